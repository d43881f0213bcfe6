#!/usr/bin/env python3
"""The Swift API by hand: every call of docs/api-swift.md, its limits and error answers, in both policies."""
import http.client
import json
import socket
import sys
import time
import urllib.parse
import xml.dom.minidom

sys.path.insert(0, __file__.rsplit('/', 1)[0])
from cloud import Client, Cloud, PASSWORD, Report, check, md5, payload

POLICIES = ('replicated-3', 'ec-4-2')
report = Report()


def status(answer, want, what=''):
    check(answer[0] == want, '%s: want %s, got %s %r %r' % (what, want, answer[0], answer[2][:300], answer[1]))
    return answer


def swob(answer, want, title):
    status(answer, want)
    check(answer[2].startswith(b'<html><h1>' + title.encode()), answer[2])
    check(answer[1]['content-type'] == 'text/html; charset=UTF-8', answer[1])


def names(c, path, query='', want=200):
    answer = status(c.query('GET', path, query), want)
    return answer[2].decode().splitlines()


def test_service(cloud, c):
    with report.test('info tells limits and policies'):
        answer = status(c.raw('GET', '/info'), 200)
        info = json.loads(answer[2])
        check(info['swift']['max_file_size'] == 5368709122 and 'slo' in info and 'dlo' in info, info)
        check({p['name'] for p in info['swift']['policies']} == set(POLICIES), info)
        check('x-trans-id' in answer[1], answer[1])
    with report.test('healthcheck answers'):
        check(status(c.raw('GET', '/healthcheck'), 200)[2] == b'OK', 'body')
    with report.test('v1 auth refuses a wrong password'):
        status(c.raw('GET', '/auth/v1.0', headers={'X-Auth-User': 'admin:admin', 'X-Auth-Key': 'wrong'}), 401)
    with report.test('paths that lead nowhere'):
        # Paths that are not Swift's are S3's.
        check(b'ListAllMyBucketsResult' in status(c.raw('GET', '/'), 200)[2])
        check(b'NoSuchBucket' in status(c.raw('GET', '/nothing'), 404)[2])
        status(c.raw('GET', '/v1'), 412)
        check(b'NoSuchBucket' in status(c.raw('GET', '/v7/AUTH_x'), 404)[2])
        status(c.raw('GET', '/v1/AUTH_x//o'), 404)
        check(status(c.raw('GET', '/v1/AUTH_x/%ff'), 412)[2] == b'Invalid UTF8 or contains NULL', 'body')
    with report.test('no token, a bad token, another account'):
        answer = c.raw('GET', c.path)
        swob(answer, 401, 'Unauthorized')
        check(answer[1]['www-authenticate'].startswith('Swift realm='), answer[1])
        status(c.raw('GET', c.path, headers={'X-Auth-Token': 'nonsense'}), 401)
        # Without rights existence is not told.
        status(c.raw('GET', c.path + '/nothing-here'), 401)
        status(c.raw('PUT', c.path + '/nothing-here/o', b'x'), 401)
    with report.test('methods that are not there'):
        answer = status(c.call('PUT'), 405)
        check('GET' in answer[1]['allow'], answer[1])
        status(c.call('DELETE'), 405)
        status(c.call('PATCH', '/c/o'), 405)
        check('COPY' in status(c.call('OPTIONS', '/c/o'), 200)[1]['allow'], 'allow')


def test_account(cloud, c):
    with report.test('account: headers, metadata'):
        answer = status(c.call('HEAD'), 204)
        for h in ('x-account-container-count', 'x-account-object-count', 'x-account-bytes-used', 'x-timestamp'):
            check(h in answer[1], h)
        status(c.call('POST', '', headers={'X-Account-Meta-Color': 'red', 'X-Account-Meta-Shape': 'round'}), 204)
        check(c.call('HEAD')[1]['x-account-meta-color'] == 'red', 'set')
        status(c.call('POST', '', headers={'X-Remove-Account-Meta-Color': 'x', 'X-Account-Meta-Shape': ''}), 204)
        h = c.call('HEAD')[1]
        check('x-account-meta-color' not in h and 'x-account-meta-shape' not in h, h)
    with report.test('account: listing in three formats'):
        for n in ('list-a', 'list-b', 'list-c'):
            status(c.call('PUT', '/' + n), 201)
        check([n for n in names(c, '', '') if n.startswith('list-')] == ['list-a', 'list-b', 'list-c'], 'plain')
        answer = status(c.query('GET', '', 'format=json&prefix=list-&limit=2'), 200)
        check([e['name'] for e in json.loads(answer[2])] == ['list-a', 'list-b'], answer[2])
        check({'name', 'count', 'bytes', 'last_modified'} <= set(json.loads(answer[2])[0]), answer[2])
        dom = xml.dom.minidom.parseString(status(c.query('GET', '', 'format=xml&prefix=list-&marker=list-a'), 200)[2])
        check([n.firstChild.data for n in dom.getElementsByTagName('name')] == ['list-b', 'list-c'], 'xml')
        check(names(c, '', 'prefix=list-&reverse=true') == ['list-c', 'list-b', 'list-a'], 'reverse')
        check(names(c, '', 'prefix=list-&end_marker=list-b') == ['list-a'], 'end_marker')
        status(c.query('GET', '', 'limit=10001'), 412)
        for n in ('list-a', 'list-b', 'list-c'):
            status(c.call('DELETE', '/' + n), 204)
        status(c.query('GET', '', 'prefix=list-'), 204)
        check(status(c.query('GET', '', 'prefix=list-&format=json'), 200)[2] == b'[]', 'empty json')
    with report.test('account: limits of metadata'):
        status(c.call('POST', '', headers={'X-Account-Meta-' + 'n' * 129: 'x'}), 400)
        status(c.call('POST', '', headers={'X-Account-Meta-A': 'x' * 257}), 400)
        status(c.call('POST', '', headers={'X-Account-Meta-%d' % i: 'x' for i in range(91)}), 400)
        # Over several requests too.
        for start in (0, 60):
            last = c.call('POST', '', headers={'X-Account-Meta-%d' % i: 'x' for i in range(start, start + 60)})
        status(last, 400)
        status(c.call('POST', '', headers={'X-Remove-Account-Meta-%d' % i: 'x' for i in range(60)}), 204)


def test_container(cloud, c, policy):
    box = '/box-' + policy
    with report.test(policy + ': container create, again, head'):
        status(c.call('PUT', box, headers={'X-Storage-Policy': policy, 'X-Container-Meta-Color': 'red'}), 201)
        status(c.call('PUT', box), 202)
        h = status(c.call('HEAD', box), 204)[1]
        check(h['x-storage-policy'] == policy and h['x-container-meta-color'] == 'red', h)
        check(h['x-container-object-count'] == '0' and h['x-container-bytes-used'] == '0', h)
    with report.test(policy + ': container errors'):
        other = POLICIES[1 - POLICIES.index(policy)]
        status(c.call('PUT', box, headers={'X-Storage-Policy': other}), 409)
        status(c.call('PUT', '/new-' + policy, headers={'X-Storage-Policy': 'nonsense'}), 400)
        status(c.call('PUT', '/' + 'n' * 257), 400)
        status(c.call('PUT', '/' + 'n' * 256), 201)
        status(c.call('DELETE', '/' + 'n' * 256), 204)
        swob(c.call('GET', '/nothing-here'), 404, 'Not Found')
        status(c.call('HEAD', '/nothing-here'), 404)
        status(c.call('POST', '/nothing-here'), 404)
        status(c.call('DELETE', '/nothing-here'), 404)
        status(c.call('POST', box, headers={'X-Container-Meta-Quota-Bytes': 'many'}), 400)
        status(c.call('POST', box, headers={'X-Container-Write': '.r:*'}), 400)
        status(c.call('POST', box, headers={'X-Container-Meta-A': 'x' * 257}), 400)
    with report.test(policy + ': container metadata merges'):
        status(c.call('POST', box, headers={'X-Container-Meta-Shape': 'round', 'X-Remove-Container-Meta-Color': 'x'}), 204)
        h = c.call('HEAD', box)[1]
        check(h.get('x-container-meta-shape') == 'round' and 'x-container-meta-color' not in h, h)
    with report.test(policy + ': container with objects is not deleted'):
        status(c.call('PUT', box + '/o', b'x'), 201)
        swob(c.call('DELETE', box), 409, 'Conflict')
        status(c.call('GET', box + '/o'), 200)
        status(c.call('DELETE', box + '/o'), 204)
        status(c.call('DELETE', box), 204)
        status(c.call('HEAD', box), 404)
        status(c.call('PUT', box + '/o', b'x'), 404)
        status(c.call('PUT', box, headers={'X-Storage-Policy': policy}), 201)


def test_listing(cloud, c, policy):
    box = '/list-' + policy
    keys = ['a', 'a/', 'a/1', 'a/2', 'b/x/1', 'b/x/2', 'b/y', 'c', 'd&<"é']
    status(c.call('PUT', box, headers={'X-Storage-Policy': policy}), 201)
    for k in keys:
        status(c.call('PUT', box + '/' + k, k.encode(), {'Content-Type': 'text/x-test'}), 201)
    with report.test(policy + ': listing plain, marker, end_marker, limit, reverse'):
        check(names(c, box) == keys, names(c, box))
        check(names(c, box, 'marker=a/1&limit=2') == ['a/2', 'b/x/1'], 'marker')
        check(names(c, box, 'end_marker=a/2') == keys[:3], 'end_marker')
        check(names(c, box, 'reverse=1') == keys[::-1], 'reverse')
        check(names(c, box, 'reverse=1&marker=b/y&limit=2') == ['b/x/2', 'b/x/1'], 'reverse marker')
        check(names(c, box, 'reverse=1&end_marker=b/y') == ['d&<"é', 'c'], 'reverse end_marker')
        status(c.query('GET', box, 'limit=0'), 204)
        check(names(c, box, 'limit=x') == keys, 'odd limit')
        status(c.query('GET', box, 'limit=10001'), 412)
        status(c.query('GET', box, 'prefix=zzz'), 204)
        status(c.query('GET', box, 'prefix=%ff'), 400)
    with report.test(policy + ': listing prefix, delimiter, path'):
        check(names(c, box, 'delimiter=/') == ['a', 'a/', 'b/', 'c', 'd&<"é'], names(c, box, 'delimiter=/'))
        check(names(c, box, 'prefix=a/&delimiter=/') == ['a/', 'a/1', 'a/2'], 'prefix')
        check(names(c, box, 'prefix=b/&delimiter=/') == ['b/x/', 'b/y'], 'fold')
        check(names(c, box, 'delimiter=/&limit=2') == ['a', 'a/'], 'limit')
        check(names(c, box, 'delimiter=/&marker=a/') == ['b/', 'c', 'd&<"é'], names(c, box, 'delimiter=/&marker=a/'))
        check(names(c, box, 'delimiter=/&marker=b/') == ['c', 'd&<"é'], 'marker of a fold')
        check(names(c, box, 'path=') == ['a', 'a/', 'c', 'd&<"é'], names(c, box, 'path='))
        check(names(c, box, 'path=a') == ['a/1', 'a/2'], 'path')
        check(names(c, box, 'path=b') == ['b/y'], 'path b')
        check(names(c, box, 'prefix=b&delimiter=x/') == ['b/x/', 'b/y'], 'long delimiter')
    with report.test(policy + ': listing JSON and XML'):
        answer = status(c.query('GET', box, 'format=json&delimiter=/'), 200)
        check(answer[1]['content-type'].startswith('application/json'), answer[1])
        entries = json.loads(answer[2])
        check(entries[2] == {'subdir': 'b/'}, entries)
        check(entries[0]['bytes'] == 1 and entries[0]['hash'] == md5(b'a') and entries[0]['content_type'] == 'text/x-test', entries)
        check(entries[4]['name'] == 'd&<"é', entries)
        time.strptime(entries[0]['last_modified'], '%Y-%m-%dT%H:%M:%S.%f')
        dom = xml.dom.minidom.parseString(status(c.query('GET', box, 'format=xml'), 200)[2])
        check([n.firstChild.data for n in dom.getElementsByTagName('name')] == keys, 'xml')
        answer = status(c.call('GET', box, headers={'Accept': 'application/xml;q=0.5,application/json'}), 200)
        check(len(json.loads(answer[2])) == len(keys), 'accept')
        status(c.call('GET', box, headers={'Accept': 'image/png'}), 406)
        h = status(c.call('HEAD', box), 204)[1]
        check(h['x-container-object-count'] == str(len(keys)), h)
        check(h['x-container-bytes-used'] == str(sum(len(k.encode()) for k in keys)), h)
    with report.test(policy + ': a listing of several steps is whole'):
        many = ['many/%04d' % i for i in range(2500)]
        for k in many:
            status(c.call('PUT', box + '/' + k, b''), 201)
        check(names(c, box, 'prefix=many/') == many, 'plain')
        check([e['name'] for e in json.loads(status(c.query('GET', box, 'prefix=many/&format=json'), 200)[2])] == many, 'json')
        check(names(c, box, 'prefix=many/&reverse=true') == many[::-1], 'reverse')


def body_sizes(policy):
    unit = 1 << 20
    yield from (0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 64 * 1024, 256 * 1024 - 1, 256 * 1024 + 1)
    yield from (unit - 1, unit, unit + 1, 5 * unit + 12345)


def test_object(cloud, c, policy):
    box = '/obj-' + policy
    status(c.call('PUT', box, headers={'X-Storage-Policy': policy}), 201)
    with report.test(policy + ': bodies of edge sizes come back'):
        for size in body_sizes(policy):
            data = payload(size, size)
            answer = status(c.call('PUT', box + '/size', data), 201)
            check(answer[1]['etag'] == md5(data), 'etag')
            answer = status(c.call('GET', box + '/size'), 200)
            check(answer[2] == data and answer[1]['etag'] == md5(data), 'size %d' % size)
            check(status(c.call('HEAD', box + '/size'), 200)[1]['content-length'] == str(size), 'head %d' % size)
    with report.test(policy + ': chunked body'):
        data = payload('chunked', 3000000)
        answer = c.raw('PUT', c.path + box + '/chunked', iter([data[:10], data[10:2000000], data[2000000:]]),
                       {'X-Auth-Token': c.token})
        status(answer, 201)
        check(c.call('GET', box + '/chunked')[2] == data, 'bytes')
        status(c.raw('PUT', c.path + box + '/chunked', iter([b'small']), {'X-Auth-Token': c.token}), 201)
        check(c.call('GET', box + '/chunked')[2] == b'small', 'small bytes')
    with report.test(policy + ': ranges'):
        for size in (1000, 3000000):
            data = payload('range%d' % size, size)
            status(c.call('PUT', box + '/range', data, {'Content-Type': 'text/x'}), 201)
            for spec, part in (('0-0', data[:1]), ('10-99', data[10:100]), ('-7', data[-7:]), ('%d-' % (size - 5), data[-5:]),
                               ('5-%d' % (size * 2), data[5:]), ('-%d' % (size * 2), data)):
                answer = status(c.call('GET', box + '/range', headers={'Range': 'bytes=' + spec}), 206, spec)
                check(answer[2] == part, spec)
                check(answer[1]['content-range'].endswith('/%d' % size), answer[1])
            swob(c.call('GET', box + '/range', headers={'Range': 'bytes=%d-' % size}), 416, 'Requested Range Not Satisfiable')
            status(c.call('GET', box + '/range', headers={'Range': 'lines=1-2'}), 200)
            answer = status(c.call('GET', box + '/range', headers={'Range': 'bytes=0-9,20-29,-5'}), 206)
            kind = answer[1]['content-type']
            check(kind.startswith('multipart/byteranges;boundary='), kind)
            parts = answer[2].split(b'--' + kind.split('=')[1].encode())
            check(len(parts) == 5 and parts[4] == b'--', 'parts')
            check([p.split(b'\r\n\r\n', 1)[1][:-2] for p in parts[1:4]] == [data[:10], data[20:30], data[-5:]], 'bytes')
            status(c.call('GET', box + '/range', headers={'Range': 'bytes=0-9', 'If-Range': '"other"'}), 200)
            status(c.call('GET', box + '/range', headers={'Range': 'bytes=0-9', 'If-Range': md5(data)}), 206)
    with report.test(policy + ': conditional reads'):
        status(c.call('PUT', box + '/cond', b'data'), 201)
        tag, day = md5(b'data'), 'Mon, 01 Jan 2001 00:00:00 GMT'
        stamp = c.call('HEAD', box + '/cond')[1]['last-modified']
        status(c.call('GET', box + '/cond', headers={'If-Match': tag}), 200)
        status(c.call('GET', box + '/cond', headers={'If-Match': '"x", "%s"' % tag}), 200)
        status(c.call('GET', box + '/cond', headers={'If-Match': '*'}), 200)
        status(c.call('GET', box + '/cond', headers={'If-Match': 'x'}), 412)
        answer = status(c.call('GET', box + '/cond', headers={'If-None-Match': '"%s"' % tag}), 304)
        check(answer[2] == b'' and answer[1]['etag'] == tag, answer[1])
        status(c.call('GET', box + '/cond', headers={'If-None-Match': 'x'}), 200)
        status(c.call('GET', box + '/cond', headers={'If-Modified-Since': stamp}), 304)
        status(c.call('GET', box + '/cond', headers={'If-Modified-Since': day}), 200)
        status(c.call('GET', box + '/cond', headers={'If-Unmodified-Since': day}), 412)
        status(c.call('GET', box + '/cond', headers={'If-Unmodified-Since': stamp}), 200)
        status(c.call('HEAD', box + '/cond', headers={'If-None-Match': tag}), 304)
    with report.test(policy + ': conditional writes'):
        status(c.call('PUT', box + '/new', b'1', {'If-None-Match': '*'}), 201)
        swob(c.call('PUT', box + '/new', b'2', {'If-None-Match': '*'}), 412, 'Precondition Failed')
        status(c.call('PUT', box + '/new', b'2', {'If-None-Match': 'x'}), 400)
        status(c.call('PUT', box + '/new', b'2', {'If-Match': md5(b'0')}), 412)
        status(c.call('PUT', box + '/new', b'2', {'If-Match': '"%s"' % md5(b'1')}), 201)
        check(c.call('GET', box + '/new')[2] == b'2', 'bytes')
    with report.test(policy + ': the ETag of a PUT is checked'):
        for size in (10, 3000000):
            data = payload('etag', size)
            status(c.call('PUT', box + '/tag%d' % size, data, {'ETag': md5(data)}), 201)
            swob(c.call('PUT', box + '/tag%d' % size, data[:-1], {'ETag': md5(data)}), 422, 'Unprocessable Entity')
            check(c.call('GET', box + '/tag%d' % size)[2] == data, 'the old one is there')
    with report.test(policy + ': metadata, POST, kept headers'):
        status(c.call('PUT', box + '/meta.txt', b'x', {'X-Object-Meta-Color': 'réd'.encode(), 'Content-Encoding': 'gzip',
                                                       'Content-Disposition': 'attachment', 'Cache-Control': 'no-cache'}), 201)
        h = c.call('HEAD', box + '/meta.txt')[1]
        check(h['x-object-meta-color'].encode('latin-1').decode() == 'réd', h)
        check(h['content-type'] == 'text/plain' and h['content-encoding'] == 'gzip', h)
        check(h['content-disposition'] == 'attachment' and h['cache-control'] == 'no-cache', h)
        status(c.call('POST', box + '/meta.txt', headers={'X-Object-Meta-Shape': 'round'}), 202)
        h = c.call('HEAD', box + '/meta.txt')[1]
        check('x-object-meta-color' not in h and h['x-object-meta-shape'] == 'round', h)
        check(h['content-type'] == 'text/plain' and 'content-encoding' not in h and h['etag'] == md5(b'x'), h)
        status(c.call('POST', box + '/meta.txt', headers={'Content-Type': 'text/other'}), 202)
        check(c.call('HEAD', box + '/meta.txt')[1]['content-type'] == 'text/other', 'type')
        status(c.call('POST', box + '/nothing-here'), 404)
    with report.test(policy + ': limits of objects'):
        status(c.call('PUT', box + '/' + 'n' * 1024, b'x'), 201)
        status(c.call('GET', box + '/' + 'n' * 1024), 200)
        answer = status(c.call('PUT', box + '/' + 'n' * 1025, b'x'), 400)
        check(answer[2] == b'Object name length of 1025 longer than 1024', answer[2])
        status(c.call('GET', box + '/' + 'n' * 1025), 404)
        status(c.call('PUT', box + '/m', b'x', {'X-Object-Meta-' + 'n' * 129: 'x'}), 400)
        status(c.call('PUT', box + '/m', b'x', {'X-Object-Meta-A': 'x' * 257}), 400)
        status(c.call('PUT', box + '/m', b'x', {'X-Object-Meta-%d' % i: 'x' for i in range(91)}), 400)
        status(c.call('PUT', box + '/m', b'x', {'X-Object-Meta-%d' % i: 'x' * 255 for i in range(20)}), 400)
        status(c.call('GET', box + '/m'), 404)
        with_length(c, 'PUT', box + '/m', 5368709123, 413)
        with_length(c, 'PUT', box + '/m', None, 411)
    with report.test(policy + ': delete'):
        status(c.call('PUT', box + '/gone', b'x'), 201)
        status(c.call('DELETE', box + '/gone'), 204)
        swob(c.call('GET', box + '/gone'), 404, 'Not Found')
        status(c.call('DELETE', box + '/gone'), 404)
        check('gone' not in c.listing(box[1:]), 'listed')
    with report.test(policy + ': a client that goes away leaves nothing'):
        s = socket.create_connection(('127.0.0.1', c.port))
        s.sendall(('PUT %s%s/half HTTP/1.1\r\nHost: x\r\nX-Auth-Token: %s\r\nContent-Length: 3000000\r\n\r\n' % (c.path, box, c.token)).encode())
        s.sendall(payload('half', 2000000))
        s.close()
        status(c.call('GET', box + '/half'), 404)
        check('half' not in c.listing(box[1:]), 'listed')
    with report.test(policy + ': Expect: 100-continue'):
        s = socket.create_connection(('127.0.0.1', c.port))
        s.settimeout(20)
        head = 'PUT %s%s/%%s HTTP/1.1\r\nHost: x\r\nX-Auth-Token: %s\r\nContent-Length: 4\r\nExpect: 100-continue\r\n%%s\r\n' % (c.path, box, c.token)
        s.sendall((head % ('cont', '')).encode())
        check(s.recv(100).startswith(b'HTTP/1.1 100 '), 'continue')
        s.sendall(b'body')
        check(s.recv(4096).startswith(b'HTTP/1.1 201 '), 'created')
        s.sendall((head % ('cont', 'If-None-Match: *\r\n')).encode())
        check(s.recv(4096).startswith(b'HTTP/1.1 412 '), 'refused before the body')
        s.close()


def with_length(c, method, path, length, want):
    """A request that announces a length without sending it."""
    h = http.client.HTTPConnection('127.0.0.1', c.port, timeout=30)
    h.putrequest(method, c.path + urllib.parse.quote(path))
    h.putheader('X-Auth-Token', c.token)
    if length is not None:
        h.putheader('Content-Length', str(length))
    h.endheaders()
    answer = h.getresponse()
    check(answer.status == want, 'want %d, got %d %r' % (want, answer.status, answer.read()))
    h.close()


def test_expiry(cloud, c, policy):
    box = '/exp-' + policy
    status(c.call('PUT', box, headers={'X-Storage-Policy': policy}), 201)
    with report.test(policy + ': X-Delete-At and X-Delete-After'):
        status(c.call('PUT', box + '/o', b'x', {'X-Delete-At': 'soon'}), 400)
        status(c.call('PUT', box + '/o', b'x', {'X-Delete-After': '-1'}), 400)
        status(c.call('PUT', box + '/o', b'x', {'X-Delete-At': '1000'}), 400)
        status(c.call('PUT', box + '/o', b'x', {'X-Delete-After': '1000'}), 201)
        at = int(c.call('HEAD', box + '/o')[1]['x-delete-at'])
        check(abs(at - time.time() - 1000) < 20, at)
        status(c.call('POST', box + '/o', headers={'X-Delete-At': str(at + 5)}), 202)
        check(c.call('HEAD', box + '/o')[1]['x-delete-at'] == str(at + 5), 'post')
        status(c.call('POST', box + '/o'), 202)
        check('x-delete-at' not in c.call('HEAD', box + '/o')[1], 'removed')
        status(c.call('PUT', box + '/soon', b'x', {'X-Delete-After': '1'}), 201)
        end = time.monotonic() + 15
        while c.call('GET', box + '/soon')[0] != 404:
            check(time.monotonic() < end, 'still there')


def test_copy(cloud, c, policy):
    a, b = '/copy-' + policy, '/copy2-' + policy
    other = POLICIES[1 - POLICIES.index(policy)]
    status(c.call('PUT', a, headers={'X-Storage-Policy': policy}), 201)
    status(c.call('PUT', b, headers={'X-Storage-Policy': other}), 201)
    with report.test(policy + ': COPY and X-Copy-From'):
        for size in (5, 3000000):
            data = payload('copy%d' % size, size)
            status(c.call('PUT', a + '/src é', data, {'X-Object-Meta-Color': 'red', 'Content-Type': 'text/x'}), 201)
            answer = status(c.call('COPY', a + '/src é', headers={'Destination': b[1:] + '/dst', 'X-Object-Meta-Shape': 'round'}), 201)
            check(answer[1]['x-copied-from'] == urllib.parse.quote(a[1:] + '/src é'), answer[1])
            check(answer[1]['etag'] == md5(data), answer[1])
            answer = status(c.call('GET', b + '/dst'), 200)
            check(answer[2] == data, 'bytes')
            check(answer[1]['x-object-meta-color'] == 'red' and answer[1]['x-object-meta-shape'] == 'round', answer[1])
            check(answer[1]['content-type'] == 'text/x', answer[1])
            status(c.call('PUT', b + '/dst2', b'', {'X-Copy-From': urllib.parse.quote('/' + b[1:] + '/dst'), 'X-Fresh-Metadata': 'true',
                                                    'Content-Type': 'text/y'}), 201)
            answer = status(c.call('GET', b + '/dst2'), 200)
            check(answer[2] == data and 'x-object-meta-color' not in answer[1] and answer[1]['content-type'] == 'text/y', answer[1])
        # Onto itself: new metadata, the same bytes.
        status(c.call('COPY', b + '/dst', headers={'Destination': b[1:] + '/dst', 'X-Object-Meta-Color': 'blue'}), 201)
        answer = status(c.call('GET', b + '/dst'), 200)
        check(answer[2] == data and answer[1]['x-object-meta-color'] == 'blue', answer[1])
    with report.test(policy + ': copy errors'):
        status(c.call('COPY', a + '/src é'), 412)
        status(c.call('COPY', a + '/src é', headers={'Destination': 'nowhere'}), 412)
        status(c.call('COPY', a + '/nothing-here', headers={'Destination': b[1:] + '/x'}), 404)
        status(c.call('COPY', a + '/src é', headers={'Destination': 'nothing-here/x'}), 404)
        status(c.call('PUT', b + '/x', b'body', {'X-Copy-From': b[1:] + '/dst'}), 400)


def test_large(cloud, c, policy):
    box, seg = '/large-' + policy, '/seg-' + policy
    status(c.call('PUT', box, headers={'X-Storage-Policy': policy}), 201)
    status(c.call('PUT', seg, headers={'X-Storage-Policy': policy}), 201)
    parts = [payload('part%d' % i, n) for i, n in enumerate((1500000, 10, 700000))]
    whole = b''.join(parts)
    for i, p in enumerate(parts):
        status(c.call('PUT', seg + '/big/%d' % i, p), 201)
    with report.test(policy + ': dynamic large object'):
        status(c.call('PUT', box + '/dlo', b'', {'X-Object-Manifest': seg[1:] + '/big/'}), 201)
        answer = status(c.call('GET', box + '/dlo'), 200)
        check(answer[2] == whole, 'bytes')
        tag = '"%s"' % md5(''.join(md5(p) for p in parts).encode())
        check(answer[1]['etag'] == tag and answer[1]['x-object-manifest'] == seg[1:] + '/big/', answer[1])
        h = status(c.call('HEAD', box + '/dlo'), 200)[1]
        check(h['content-length'] == str(len(whole)) and h['etag'] == tag, h)
        check(status(c.call('GET', box + '/dlo', headers={'Range': 'bytes=1499990-1500019'}), 206)[2] == whole[1499990:1500020], 'range')
        check(status(c.query('GET', box + '/dlo', 'multipart-manifest=get'), 200)[2] == b'', 'manifest')
        status(c.call('PUT', box + '/dlo2', b'', {'X-Object-Manifest': 'nothing'}), 400)
    manifest = [{'path': '%s/big/%d' % (seg, i), 'etag': md5(p), 'size_bytes': len(p)} for i, p in enumerate(parts)]

    def put_slo(name, items, headers=None):
        return c.raw('PUT', c.path + urllib.parse.quote(name) + '?multipart-manifest=put', json.dumps(items),
                     dict(headers or {}, **{'X-Auth-Token': c.token}))
    with report.test(policy + ': static large object'):
        answer = status(put_slo(box + '/slo', manifest, {'X-Object-Meta-Color': 'red'}), 201)
        tag = '"%s"' % md5(''.join(md5(p) for p in parts).encode())
        check(answer[1]['etag'] == tag, answer[1])
        answer = status(c.call('GET', box + '/slo'), 200)
        check(answer[2] == whole and answer[1]['etag'] == tag, 'bytes')
        check(answer[1]['x-static-large-object'] == 'True' and answer[1]['x-object-meta-color'] == 'red', answer[1])
        check(status(c.call('HEAD', box + '/slo'), 200)[1]['content-length'] == str(len(whole)), 'head')
        check(status(c.call('GET', box + '/slo', headers={'Range': 'bytes=-700005'}), 206)[2] == whole[-700005:], 'range')
        entry = [e for e in json.loads(c.query('GET', box, 'format=json')[2]) if e['name'] == 'slo'][0]
        check(entry['bytes'] == len(whole) and entry['slo_etag'] == tag, entry)
        shown = json.loads(status(c.query('GET', box + '/slo', 'multipart-manifest=get'), 200)[2])
        check([e['name'] for e in shown] == [m['path'] for m in manifest] and shown[1]['bytes'] == 10, shown)
        raw = json.loads(status(c.query('GET', box + '/slo', 'multipart-manifest=get&format=raw'), 200)[2])
        check(raw == manifest, raw)
    with report.test(policy + ': static large object with ranges, of manifests, copied'):
        items = [{'path': seg + '/big/0', 'range': '0-9'}, {'path': box + '/slo', 'range': '-5'}, {'path': seg + '/big/1'}]
        status(put_slo(box + '/slo2', items), 201)
        check(status(c.call('GET', box + '/slo2'), 200)[2] == whole[:10] + whole[-5:] + parts[1], 'bytes')
        status(c.call('COPY', box + '/slo2', headers={'Destination': box[1:] + '/flat'}), 201)
        answer = status(c.call('GET', box + '/flat'), 200)
        check(answer[2] == whole[:10] + whole[-5:] + parts[1] and 'x-static-large-object' not in answer[1], answer[1])
    with report.test(policy + ': bad manifests'):
        status(put_slo(box + '/bad', {}), 400)
        status(put_slo(box + '/bad', []), 400)
        status(put_slo(box + '/bad', [{'path': 'x'}]), 400)
        answer = status(put_slo(box + '/bad', [{'path': seg + '/nothing'}]), 400)
        check(b'404 Not Found' in answer[2], answer[2])
        check(b'Etag Mismatch' in status(put_slo(box + '/bad', [dict(manifest[0], etag='0' * 32)]), 400)[2], 'etag')
        check(b'Size Mismatch' in status(put_slo(box + '/bad', [dict(manifest[0], size_bytes=5)]), 400)[2], 'size')
        status(put_slo(box + '/bad', manifest, {'ETag': '0' * 32}), 422)
        status(put_slo(box + '/bad', [manifest[1]] * 1001), 413)
        status(c.call('GET', box + '/bad'), 404)
        status(c.query('DELETE', box + '/flat', 'multipart-manifest=delete'), 400)
    with report.test(policy + ': a segment that changed is no part any more'):
        status(c.call('PUT', seg + '/other', b'12345'), 201)
        status(put_slo(box + '/changed', [{'path': seg + '/other'}]), 201)
        status(c.call('PUT', seg + '/other', b'54321'), 201)
        status(c.call('GET', box + '/changed'), 409)
        status(c.call('DELETE', seg + '/other'), 204)
        status(c.call('GET', box + '/changed'), 409)
    with report.test(policy + ': delete with segments'):
        answer = status(c.query('DELETE', box + '/slo', 'multipart-manifest=delete&format=json'), 200)
        check(json.loads(answer[2])['Number Deleted'] == 4, answer[2])
        status(c.call('GET', box + '/slo'), 404)
        status(c.call('GET', seg + '/big/0'), 404)


def bulk(c, lines, query='bulk-delete&format=json', method='POST', headers=None):
    body = '\n'.join(lines).encode()
    return c.raw(method, c.path + '?' + query, body, dict(headers or {'X-Auth-Token': c.token}, **{'Content-Type': 'text/plain'}))


def test_bulk(cloud, c, policy):
    box = '/bulk-' + policy
    quoted = urllib.parse.quote
    status(c.call('PUT', box, headers={'X-Storage-Policy': policy}), 201)
    names = ['a', 'dir/b', 'é %+&', 'x' * 1024]
    with report.test(policy + ': bulk delete counts what it deleted and did not find'):
        for name in names:
            status(c.call('PUT', box + '/' + name, b'1'), 201)
        answer = json.loads(status(bulk(c, [quoted(box + '/' + n) for n in names] + ['', quoted(box + '/none'), 'no-box/none']), 200)[2])
        check((answer['Number Deleted'], answer['Number Not Found'], answer['Errors'], answer['Response Status']) == (4, 2, [], '200 OK'), answer)
        check(c.listing(box[1:]) == [], 'all gone')
    with report.test(policy + ': bulk delete says which names are wrong, and does the rest'):
        status(c.call('PUT', box + '/a', b'1'), 201)
        answer = json.loads(status(bulk(c, [box + '/%ff', box + '/' + 'y' * 1025, 'z' * 9000, box + '/a'], method='DELETE'), 200)[2])
        check(answer['Number Deleted'] == 1 and [e[1][:3] for e in answer['Errors']] == ['412', '412', '400'], answer)
        check(answer['Response Status'] == '400 Bad Request', answer)
        answer = json.loads(status(bulk(c, ['']), 200)[2])
        check(answer['Response Body'] == 'Invalid bulk delete.', answer)
    with report.test(policy + ': bulk delete stops at its limit'):
        answer = json.loads(status(bulk(c, ['/none/%d' % i for i in range(10000)]), 200)[2])
        check(answer['Number Not Found'] == 10000 and answer['Response Status'] == '200 OK', answer)
        answer = json.loads(status(bulk(c, ['/none/%d' % i for i in range(10001)]), 200)[2])
        check(answer['Number Not Found'] == 10000 and answer['Response Status'].startswith('413'), answer)
    with report.test(policy + ': bulk delete in plain text and XML, of containers, and by strangers'):
        check(b'Number Not Found: 1\n' in status(bulk(c, [box + '/none'], 'bulk-delete'), 200)[2])
        check(b'<number_not_found>1</number_not_found>' in status(bulk(c, [box + '/none'], 'bulk-delete&format=xml'), 200)[2])
        status(c.call('PUT', box + '/keep', b'1'), 201)
        answer = json.loads(status(bulk(c, [box], headers={'X-Auth-Token': 'wrong'}), 200)[2])
        check(answer['Response Status'].startswith('401') and answer['Number Deleted'] == 0, answer)
        answer = json.loads(status(bulk(c, [box, box + '/keep', box]), 200)[2])
        check(answer['Number Deleted'] == 2 and answer['Errors'][0][1][:3] == '409', answer)
        status(c.call('HEAD', box), 404)


def test_access(cloud, c, policy):
    box = '/acl-' + policy
    demo = Client(cloud.base)
    status(c.call('PUT', box, headers={'X-Storage-Policy': policy}), 201)
    status(c.call('PUT', box + '/o', b'x'), 201)
    path = c.path + box
    with report.test(policy + ': public read, listings, referrers'):
        status(demo.raw('GET', path + '/o'), 401)
        status(c.call('POST', box, headers={'X-Container-Read': '.r:*'}), 204)
        check(c.call('HEAD', box)[1]['x-container-read'] == '.r:*', 'shown to the owner')
        answer = status(demo.raw('GET', path + '/o'), 200)
        status(demo.raw('GET', path), 401)
        status(demo.raw('GET', path + '/nothing'), 404)
        status(demo.raw('PUT', path + '/o', b'y'), 401)
        status(demo.raw('DELETE', path + '/o'), 401)
        status(demo.raw('POST', path), 401)
        status(c.call('POST', box, headers={'X-Container-Read': '.r:*, .rlistings'}), 204)
        answer = status(demo.raw('GET', path), 200)
        check('x-container-read' not in answer[1], 'shown to all')
        status(c.call('POST', box, headers={'X-Container-Read': '.r:*,.r:-.thief.com'}), 204)
        status(demo.raw('GET', path + '/o', headers={'Referer': 'http://www.thief.com/x'}), 401)
        status(demo.raw('GET', path + '/o', headers={'Referer': 'http://www.other.com/x'}), 200)
        status(c.call('POST', box, headers={'X-Remove-Container-Read': 'x'}), 204)
        status(demo.raw('GET', path + '/o'), 401)


def test_quota(cloud, c, policy):
    box = '/quota-' + policy
    status(c.call('PUT', box, headers={'X-Storage-Policy': policy}), 201)
    with report.test(policy + ': container quotas'):
        status(c.call('POST', box, headers={'X-Container-Meta-Quota-Bytes': '100', 'X-Container-Meta-Quota-Count': '2'}), 204)
        answer = status(c.call('PUT', box + '/a', b'x' * 101), 413)
        check(answer[2] == b'Upload exceeds quota.', answer[2])
        status(c.call('PUT', box + '/a', b'x' * 60), 201)
        status(c.call('PUT', box + '/b', b'x' * 60), 413)
        status(c.raw('PUT', c.path + box + '/b', iter([b'x' * 60]), {'X-Auth-Token': c.token}), 413)
        status(c.call('PUT', box + '/b', b'x'), 201)
        status(c.call('PUT', box + '/c', b'x'), 413)
        status(c.call('POST', box, headers={'X-Container-Meta-Quota-Bytes': '', 'X-Container-Meta-Quota-Count': ''}), 204)
        status(c.call('PUT', box + '/c', b'x' * 200), 201)


def test_account_quota(cloud, c):
    with report.test('account quota is set by the reseller and binds'):
        status(c.call('PUT', '/aq'), 201)
        status(c.call('POST', '', headers={'X-Account-Meta-Quota-Bytes': '1'}), 204)
        check(c.call('HEAD')[1]['x-account-meta-quota-bytes'] == '1', 'shown')
        status(c.call('PUT', '/aq/o', b'12345'), 413)
        status(c.call('POST', '', headers={'X-Account-Meta-Quota-Bytes': ''}), 204)
        status(c.call('PUT', '/aq/o', b'12345'), 201)
    with report.test('account counts follow'):
        end = time.monotonic() + 30
        while int(c.call('HEAD')[1]['x-account-object-count']) == 0:
            check(time.monotonic() < end, 'no counts')


def main(kind=Cloud):
    with kind() as cloud:
        c = cloud.client()
        test_service(cloud, c)
        test_account(cloud, c)
        for policy in POLICIES:
            for test in (test_container, test_listing, test_object, test_expiry, test_copy, test_large, test_bulk, test_access, test_quota):
                try:
                    test(cloud, c, policy)
                except Exception as e:
                    with report.test('%s: %s' % (policy, test.__name__)):
                        raise
        test_account_quota(cloud, c)
    report.exit()


if __name__ == '__main__':
    main()
