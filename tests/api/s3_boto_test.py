#!/usr/bin/python3
"""Buckets, listings, objects, copies and access through S3, by boto3 and by hand: the rows of docs/api-s3.md."""
import base64
import concurrent.futures
import contextlib
import datetime
import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import unittest.mock
import urllib.request
import xml.etree.ElementTree

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.client
import botocore.credentials
import botocore.handlers

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cloud import PASSWORD, PROGRAM, RANKS, Client, Cloud, Process, Report, check, free_base, md5, payload
from s3_client import client, clients, demo_password, fails, new_bucket

report = Report()
PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
FUTURE = datetime.datetime(2040, 1, 1, tzinfo=datetime.timezone.utc)


def raw(cloud, method, path, headers=None, body=None, host=None):
    connection = http.client.HTTPConnection('127.0.0.1', cloud.base + 1, timeout=60)
    connection.request(method, path, body, dict(headers or {}, **({'Host': host} if host else {})))
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, data


def body(answer):
    return answer['Body'].read()


def keys(page):
    return [o['Key'] for o in page.get('Contents', [])]


def prefixes(page):
    return [p['Prefix'] for p in page.get('CommonPrefixes', [])]


def test_every_answer_carries_a_request_id(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    for path, want in (('/' + bucket, 403), ('/no-such-bucket-here', 404), ('/%s?versionId=' % bucket, 400), ('/', 200)):
        status, headers, data = raw(cloud, 'GET', path)
        check(status == want, (path, status, data))
        check(headers['x-amz-request-id'] and headers['x-amz-id-2'], headers)
        if status != 200:
            check(('<RequestId>%s</RequestId>' % headers['x-amz-request-id']).encode() in data, data)
            check(headers['content-type'] == 'application/xml', headers)


def test_what_is_not_built_says_so(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    fails('NotImplemented', s3.get_bucket_website, Bucket=bucket)
    fails('NotImplemented', s3.get_bucket_notification_configuration, Bucket=bucket)
    status, _, data = raw(cloud, 'PUT', '/%s?location' % bucket)
    check(status == 405 and b'MethodNotAllowed' in data, (status, data))
    put_plain(s3, bucket, 'k', b'kept')
    for path in ('k?renameObject', 'k?append&position=4', '?session', '?metadataTable'):
        status, _, data = raw(cloud, 'GET' if path.startswith('?') else 'PUT', '/%s/%s' % (bucket, path), body=b'')
        check(status == 501 and b'NotImplemented' in data, (path, status, data))
    status, _, data = raw(cloud, 'PUT', '/%s/k' % bucket, {'x-amz-write-offset-bytes': '4'}, b'')
    check(status == 501 and body(s3.get_object(Bucket=bucket, Key='k')) == b'kept', (status, data))


def test_a_policy_about_tags_opens_nothing_else(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    put_plain(s3, bucket, 'k', b'kept')
    where = 'arn:aws:s3:::%s/*' % bucket
    tagged = {'Effect': 'Allow', 'Principal': '*', 'Action': 's3:GetObject', 'Resource': where,
              'Condition': {'StringEquals': {'s3:ExistingObjectTag/public': 'yes'}}}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({'Version': '2012-10-17', 'Statement': [tagged]}))
    for who in (anyone, demo):
        fails('AccessDenied', who.put_object, Bucket=bucket, Key='k', Body=b'new')
        fails('AccessDenied', who.delete_object, Bucket=bucket, Key='k')
        fails('AccessDenied', who.create_multipart_upload, Bucket=bucket, Key='k')
        fails('AccessDenied', who.get_object, Bucket=bucket, Key='k')
        check('Errors' in who.delete_objects(Bucket=bucket, Delete={'Objects': [{'Key': 'k'}]}))
    s3.put_object_tagging(Bucket=bucket, Key='k', Tagging={'TagSet': [{'Key': 'public', 'Value': 'yes'}]})
    check(body(anyone.get_object(Bucket=bucket, Key='k')) == b'kept')
    deny = {'Effect': 'Deny', 'Principal': '*', 'Action': ['s3:DeleteObject', 's3:PutObjectTagging', 's3:PutObjectAcl'], 'Resource': where}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({'Version': '2012-10-17', 'Statement': [tagged, deny]}))
    fails('AccessDenied', s3.delete_object, Bucket=bucket, Key='k')
    check('Errors' in s3.delete_objects(Bucket=bucket, Delete={'Objects': [{'Key': 'k'}]}))
    fails('AccessDenied', s3.put_object, Bucket=bucket, Key='t', Body=b'', Tagging='a=b')
    fails('AccessDenied', s3.put_object, Bucket=bucket, Key='t', Body=b'', ACL='public-read')
    s3.put_object(Bucket=bucket, Key='t', Body=b'')


def test_swift_keeps_away_from_buckets_with_a_policy(cloud, s3, demo, anyone):
    bucket = new_bucket(demo)
    put_plain(demo, bucket, 'k', b'kept')
    swift = Client(cloud.base).login('demo:demo', demo_password(cloud))
    check(swift.call('GET', '/%s/k' % bucket)[2] == b'kept')
    demo.put_bucket_policy(Bucket=bucket, Policy=json.dumps({'Version': '2012-10-17', 'Statement': [
        {'Effect': 'Deny', 'Principal': '*', 'Action': 's3:DeleteObject', 'Resource': 'arn:aws:s3:::%s/*' % bucket}]}))
    for method in ('GET', 'DELETE', 'PUT', 'POST'):
        check(swift.call(method, '/%s/k' % bucket, b'' if method == 'PUT' else None)[0] == 403, method)
    demo.delete_bucket_policy(Bucket=bucket)
    check(swift.call('DELETE', '/%s/k' % bucket)[0] == 204)


def test_the_first_of_two_headers_is_judged(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    s3.put_bucket_acl(Bucket=bucket, ACL='public-read-write')
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({'Version': '2012-10-17', 'Statement': [
        {'Effect': 'Deny', 'Principal': '*', 'Action': 's3:PutObject', 'Resource': 'arn:aws:s3:::%s/*' % bucket,
         'Condition': {'StringNotEquals': {'s3:x-amz-acl': 'private'}}}]}))
    for values, wanted in ((('private',), 200), (('public-read', 'private'), 403)):
        with socket.create_connection(('127.0.0.1', cloud.base + 1), 60) as s:
            lines = ''.join('x-amz-acl: %s\r\n' % v for v in values)
            s.sendall(('PUT /%s/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n%s\r\n' % (bucket, lines)).encode())
            answer = b''
            while chunk := s.recv(65536):
                answer += chunk
        check(answer.startswith(b'HTTP/1.1 %d' % wanted), (values, answer))


def test_a_signature_is_for_one_bucket(cloud, s3, demo, anyone):
    one, two = new_bucket(s3), new_bucket(s3)
    for bucket in (one, two):
        put_plain(s3, bucket, 'k', bucket.encode())
    client_ = at_host(cloud, s3, 'localhost')
    with names_of_the_cloud('localhost'):
        url = client_.generate_presigned_url('get_object', {'Bucket': one, 'Key': 'k'})
    host, path = url.split('/', 3)[2], url.split('/', 3)[3]
    status, _, data = raw(cloud, 'GET', '/' + path, host=host)
    check((status, data) == (200, one.encode()), (status, data))
    status, _, data = raw(cloud, 'GET', 'http://%s/%s' % (host.replace(one, two), path), host=host)
    check(status == 403 and b'SignatureDoesNotMatch' in data, (status, data))


def test_bucket_names(cloud, s3, demo, anyone):
    free = client_like(s3, cloud)   # boto3 would refuse some names itself.
    free.meta.events.unregister('before-parameter-build.s3', botocore.handlers.validate_bucket_name)
    fails('AccessDenied', anyone.create_bucket, Bucket='placeholder')
    for name in ('ab', 'a' * 64, 'Upper', 'under_score', '-dash', 'dash-', 'dot..dot', 'dot.-dash', '192.168.1.1', 'xn--a', 'b-s3alias'):
        fails('InvalidBucketName', free.create_bucket, Bucket=name)
    for name in ('abc', 'a.b-c.1', '9' * 63):
        s3.create_bucket(Bucket=name)
        s3.delete_bucket(Bucket=name)


def test_bucket_life(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    check(bucket in [b['Name'] for b in s3.list_buckets()['Buckets']])
    check(s3.list_buckets()['Owner']['ID'] == s3.project)
    check(s3.get_bucket_location(Bucket=bucket)['LocationConstraint'] == 'RegionOne')
    check(s3.head_bucket(Bucket=bucket)['ResponseMetadata']['HTTPHeaders']['x-amz-bucket-region'] == 'RegionOne')
    s3.create_bucket(Bucket=bucket)   # As in us-east-1.
    fails('BucketAlreadyExists', s3.create_bucket, Bucket=bucket, ACL='public-read')
    fails('BucketAlreadyExists', demo.create_bucket, Bucket=bucket)
    fails(403, demo.head_bucket, Bucket=bucket)
    fails('AccessDenied', demo.delete_bucket, Bucket=bucket)
    s3.put_object(Bucket=bucket, Key='k', Body=b'')
    fails('BucketNotEmpty', s3.delete_bucket, Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key='k')
    s3.delete_bucket(Bucket=bucket)
    fails(404, s3.head_bucket, Bucket=bucket)
    fails('NoSuchBucket', s3.delete_bucket, Bucket=bucket)
    demo.create_bucket(Bucket=bucket)   # The name is free for others.
    demo.delete_bucket(Bucket=bucket)


def test_one_creation_of_a_name_wins(cloud, s3, demo, anyone):
    for n in range(5):
        name = 'race-%d' % n
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            def one(who):
                try:
                    who.create_bucket(Bucket=name)
                    return who.project
                except Exception as e:
                    check('BucketAlreadyExists' in str(e), e)
            made = {p for p in pool.map(one, [s3, demo] * 4) if p}
        check(len(made) == 1, made)
        (s3 if made == {s3.project} else demo).delete_bucket(Bucket=name)


def test_storage_policy_of_a_bucket(cloud, s3, demo, anyone):
    bucket = new_bucket(s3, CreateBucketConfiguration={'LocationConstraint': 'RegionOne:ec-4-2'})
    data = payload(7, 3 * 1024 * 1024)
    s3.put_object(Bucket=bucket, Key='big', Body=data)
    check(body(s3.get_object(Bucket=bucket, Key='big')) == data)
    check(cloud.client().call('HEAD', '/' + bucket)[1]['x-storage-policy'] == 'ec-4-2')
    for wrong in ('Elsewhere', 'RegionOne:no-such'):
        fails('InvalidLocationConstraint', s3.create_bucket, Bucket='another-bucket', CreateBucketConfiguration={'LocationConstraint': wrong})


def test_lists_of_buckets_have_pages(cloud, s3, demo, anyone):
    names = sorted('page-%02d' % n for n in range(7))
    for name in names:
        demo.create_bucket(Bucket=name)
    status, _, data = raw(cloud, 'GET', '/?max-buckets=0')
    check(status == 400, data)
    paged, query, seen = client_like(demo, cloud), {'prefix': 'page-', 'max-buckets': '3'}, []
    paged.meta.events.register('request-created.s3.ListBuckets', lambda request, **kw: request.params.update(query))
    for want in (3, 3, 1):
        page = paged.list_buckets()
        check(len(page['Buckets']) == want, page)
        seen += [b['Name'] for b in page['Buckets']]
        text = base64.b64encode(b'1' + seen[-1].encode()).decode()
        query['continuation-token'] = text
    check(seen == names, seen)
    check([b['Name'] for b in demo.list_buckets()['Buckets'] if b['Name'].startswith('page-')] == names)
    for name in names:
        demo.delete_bucket(Bucket=name)


def test_object_round_trip(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    for size in (0, 1, 4096, 16384, 16385, 300000, 5 * 1024 * 1024 + 3):
        data = payload(size, size)
        put = s3.put_object(Bucket=bucket, Key='a/ü %+&?#/' + str(size), Body=data, Metadata={'Color': 'blue', 'empty': ''},
                            ContentType='text/plain', CacheControl='no-cache', ContentDisposition='attachment', ContentLanguage='de',
                            ContentEncoding='gzip', Expires=FUTURE)
        check(put['ETag'] == '"%s"' % md5(data))
        got = s3.get_object(Bucket=bucket, Key='a/ü %+&?#/' + str(size))
        check(body(got) == data and got['ContentLength'] == size and got['ETag'] == put['ETag'])
        check(got['Metadata'] == {'color': 'blue', 'empty': ''} and got['ContentType'] == 'text/plain', got)
        check((got['CacheControl'], got['ContentDisposition'], got['ContentLanguage'], got['ContentEncoding']) ==
              ('no-cache', 'attachment', 'de', 'gzip'), got)
        head = s3.head_object(Bucket=bucket, Key='a/ü %+&?#/' + str(size))
        check(head['ContentLength'] == size and head['LastModified'] == got['LastModified'] and head['Metadata'] == got['Metadata'])
    check('binary/octet-stream' == s3.head_object(Bucket=bucket, Key=put_plain(s3, bucket))['ContentType'])
    fails('NoSuchKey', s3.get_object, Bucket=bucket, Key='none')
    fails(404, s3.head_object, Bucket=bucket, Key='none')
    fails('NoSuchBucket', s3.put_object, Bucket='no-such-bucket', Key='k', Body=b'')


def put_plain(s3, bucket, key='plain', data=b'0123456789'):
    s3.put_object(Bucket=bucket, Key=key, Body=data)
    return key


def test_swift_and_s3_see_the_same_object(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    swift = cloud.client()
    s3.put_object(Bucket=bucket, Key='from/s3', Body=b'hello', Metadata={'foo': 'bar'}, ContentType='text/x')
    status, headers, data = swift.call('GET', '/%s/from/s3' % bucket)
    check(status == 200 and data == b'hello' and headers['x-object-meta-foo'] == 'bar' and headers['content-type'] == 'text/x', headers)
    check(headers['etag'] == md5(b'hello'), headers)
    check(swift.call('PUT', '/%s/from/swift' % bucket, b'world', {'X-Object-Meta-Baz': 'qux', 'Content-Type': 'text/y'})[0] == 201)
    got = s3.get_object(Bucket=bucket, Key='from/swift')
    check(body(got) == b'world' and got['Metadata'] == {'baz': 'qux'} and got['ContentType'] == 'text/y', got)
    check(keys(s3.list_objects_v2(Bucket=bucket)) == swift.listing(bucket) == ['from/s3', 'from/swift'])
    check(swift.call('PUT', '/Made_By_Swift')[0] == 201)
    check('Made_By_Swift' in [b['Name'] for b in s3.list_buckets()['Buckets']])
    status, _, _ = swift.call('DELETE', '/%s/from/s3' % bucket)
    check(status == 204)
    fails('NoSuchKey', s3.get_object, Bucket=bucket, Key='from/s3')


def put_static(swift, path, segments):
    """A static large object of [path, data] pairs, made through Swift; returns its bytes and its ETag's hex."""
    for name, data in segments:
        check(swift.call('PUT', name, data)[0] == 201)
    items = [{'path': name, 'etag': md5(data), 'size_bytes': len(data)} for name, data in segments]
    answer = swift.raw('PUT', swift.path + path + '?multipart-manifest=put', json.dumps(items), {'X-Auth-Token': swift.token})
    check(answer[0] == 201, answer)
    return b''.join(data for _, data in segments), md5(''.join(md5(data) for _, data in segments).encode())


def check_large(s3, bucket, key, whole, etag):
    for got in (s3.get_object(Bucket=bucket, Key=key), s3.head_object(Bucket=bucket, Key=key)):
        check(got['ContentLength'] == len(whole) and got['ETag'] == etag, got)
        check('Body' not in got or body(got) == whole, key)
    for text, first, end in (('bytes=299990-300019', 299990, 300020), ('bytes=-12', len(whole) - 12, len(whole)),
                             ('bytes=5-5', 5, 6), ('bytes=300000-', 300000, len(whole))):
        got = s3.get_object(Bucket=bucket, Key=key, Range=text)
        check(got['ResponseMetadata']['HTTPStatusCode'] == 206 and body(got) == whole[first:end], text)
        check(got['ContentRange'] == 'bytes %d-%d/%d' % (first, end - 1, len(whole)), got)
    fails('InvalidRange', s3.get_object, Bucket=bucket, Key=key, Range='bytes=%d-' % len(whole))
    check(body(s3.get_object(Bucket=bucket, Key=key, IfMatch=etag)) == whole)
    fails('PreconditionFailed', s3.get_object, Bucket=bucket, Key=key, IfMatch='"%s-N"' % ('0' * 32))
    fails(304, s3.get_object, Bucket=bucket, Key=key, IfNoneMatch=etag)
    got = s3.get_object_attributes(Bucket=bucket, Key=key, ObjectAttributes=['ETag', 'ObjectSize'])
    check(got['ETag'] == etag.strip('"') and got['ObjectSize'] == len(whole), got)
    s3.copy_object(Bucket=bucket, Key='copy-of-' + key, CopySource={'Bucket': bucket, 'Key': key}, CopySourceIfMatch=etag)
    got = s3.get_object(Bucket=bucket, Key='copy-of-' + key)
    check(body(got) == whole and got['ETag'] == '"%s"' % md5(whole), got)   # Its own bytes now.
    upload = s3.create_multipart_upload(Bucket=bucket, Key='part-of-' + key)['UploadId']
    part = s3.upload_part_copy(Bucket=bucket, Key='part-of-' + key, UploadId=upload, PartNumber=1,
                               CopySource={'Bucket': bucket, 'Key': key}, CopySourceRange='bytes=299995-300004')
    s3.complete_multipart_upload(Bucket=bucket, Key='part-of-' + key, UploadId=upload, MultipartUpload={
        'Parts': [{'PartNumber': 1, 'ETag': part['CopyPartResult']['ETag']}]})
    check(body(s3.get_object(Bucket=bucket, Key='part-of-' + key)) == whole[299995:300005])


def test_large_objects_of_swift(cloud, s3, demo, anyone):
    bucket, segments = new_bucket(s3), new_bucket(s3)
    swift = cloud.client()
    whole, tag = put_static(swift, '/%s/static' % bucket, [('/%s/big/%d' % (segments, i), payload(i, n))
                                                          for i, n in enumerate((300000, 10, 150000))])
    check_large(s3, bucket, 'static', whole, '"%s-N"' % tag)
    swift.call('PUT', '/%s/dynamic' % bucket, b'', {'X-Object-Manifest': segments + '/big/', 'X-Object-Meta-Color': 'red'})
    check_large(s3, bucket, 'dynamic', whole, '"%s-N"' % tag)
    check(s3.head_object(Bucket=bucket, Key='copy-of-dynamic')['Metadata'] == {'color': 'red'})
    check('x-object-manifest' not in swift.call('HEAD', '/%s/copy-of-dynamic' % bucket)[1])
    sizes = {o['Key']: (o['Size'], o['ETag']) for o in s3.list_objects_v2(Bucket=bucket)['Contents']}
    check(sizes['static'] == (len(whole), '"%s-N"' % tag) and sizes['dynamic'] == (0, '"%s"' % md5(b'')), sizes)   # As Swift's.
    sizes = {o['Key']: o['Size'] for o in s3.list_object_versions(Bucket=bucket)['Versions']}
    check(sizes['static'] == len(whole), sizes)
    items = [{'path': '/%s/static' % bucket, 'range': '299999-300001'}, {'path': '/%s/big/1' % segments}]
    swift.raw('PUT', swift.path + '/%s/nested?multipart-manifest=put' % bucket, json.dumps(items), {'X-Auth-Token': swift.token})
    check(body(s3.get_object(Bucket=bucket, Key='nested')) == whole[299999:300002] + whole[300000:300010])
    put = {'Bucket': bucket, 'Key': 'static', 'Body': b'plain now'}
    fails('PreconditionFailed', signed, s3, 'put_object', put, {'If-Match': '"%s-N"' % ('0' * 32)})
    signed(s3, 'put_object', put, {'If-Match': '"%s-N"' % tag})
    check(body(s3.get_object(Bucket=bucket, Key='static')) == b'plain now')


def test_segments_of_large_objects_are_checked(cloud, s3, demo, anyone):
    bucket, segments = new_bucket(s3), new_bucket(s3)
    swift = cloud.client()
    whole, _ = put_static(swift, '/%s/large' % bucket, [('/%s/s/%d' % (segments, i), payload(i, 1000)) for i in range(2)])
    swift.call('PUT', '/%s/dynamic' % bucket, b'', {'X-Object-Manifest': segments + '/s/'})
    policy = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': '*', 'Action': 's3:GetObject',
                                                      'Resource': 'arn:aws:s3:::%s/*' % bucket}]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    fails('OperationAborted', demo.get_object, Bucket=bucket, Key='large')   # The segments are not theirs to read.
    fails('AccessDenied', demo.get_object, Bucket=bucket, Key='dynamic')     # Nor theirs to list.
    policy['Statement'][0].update(Action=['s3:GetObject', 's3:ListBucket'],
                                  Resource=['arn:aws:s3:::' + segments, 'arn:aws:s3:::%s/*' % segments])
    s3.put_bucket_policy(Bucket=segments, Policy=json.dumps(policy))
    for who in (demo, anyone):
        for key in ('large', 'dynamic'):
            check(body(who.get_object(Bucket=bucket, Key=key)) == whole, key)
    s3.put_object(Bucket=segments, Key='s/0', Body=payload(7, 1000))
    fails('OperationAborted', s3.get_object, Bucket=bucket, Key='large')
    check(body(s3.get_object(Bucket=bucket, Key='large', Range='bytes=1000-')) == whole[1000:])
    check(body(s3.get_object(Bucket=bucket, Key='dynamic')) == payload(7, 1000) + whole[1000:])
    s3.delete_object(Bucket=segments, Key='s/0')
    fails('OperationAborted', s3.get_object, Bucket=bucket, Key='large')
    fails('OperationAborted', s3.copy_object, Bucket=bucket, Key='copy', CopySource={'Bucket': bucket, 'Key': 'large'})
    s3.delete_object(Bucket=bucket, Key='large')   # Segments stay: they are objects of their own.
    check(body(s3.get_object(Bucket=segments, Key='s/1')) == whole[1000:])


def test_limits_of_keys_and_metadata(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key='k' * 1024, Body=b'1')
    check(body(s3.get_object(Bucket=bucket, Key='k' * 1024)) == b'1')
    fails('KeyTooLongError', s3.put_object, Bucket=bucket, Key='k' * 1025, Body=b'1')
    s3.put_object(Bucket=bucket, Key='m', Body=b'', Metadata={'a': 'x' * 2047})
    fails('MetadataTooLarge', s3.put_object, Bucket=bucket, Key='m', Body=b'', Metadata={'a': 'x' * 2048})
    status, _, data = raw(cloud, 'GET', '/%s/%%ff%%fe' % bucket)
    check(status == 400 and b'InvalidURI' in data, data)


def test_digests_are_proved(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    good = base64.b64encode(hashlib.md5(b'data').digest()).decode()
    s3.put_object(Bucket=bucket, Key='k', Body=b'data', ContentMD5=good)
    fails('BadDigest', s3.put_object, Bucket=bucket, Key='k', Body=b'other', ContentMD5=good)
    fails('InvalidDigest', s3.put_object, Bucket=bucket, Key='k', Body=b'data', ContentMD5='AAAA')
    check(body(s3.get_object(Bucket=bucket, Key='k')) == b'data', 'a refused body changes nothing')
    sha = base64.b64encode(hashlib.sha256(b'data').digest()).decode()
    put = s3.put_object(Bucket=bucket, Key='sum', Body=b'data', ChecksumSHA256=sha)
    check(put['ChecksumSHA256'] == sha)
    check(s3.head_object(Bucket=bucket, Key='sum', ChecksumMode='ENABLED')['ChecksumSHA256'] == sha)
    check('ChecksumSHA256' not in s3.head_object(Bucket=bucket, Key='sum'))
    fails('BadDigest', s3.put_object, Bucket=bucket, Key='sum', Body=b'tada', ChecksumSHA256=sha)


def test_ranges(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    for size in (10, 400000):
        data = payload(size, size)
        s3.put_object(Bucket=bucket, Key='k', Body=data)
        for text, first, last in (('bytes=2-5', 2, 5), ('bytes=-3', size - 3, size - 1), ('bytes=4-', 4, size - 1), ('bytes=0-999999', 0, size - 1)):
            got = s3.get_object(Bucket=bucket, Key='k', Range=text)
            check(body(got) == data[first:last + 1] and got['ContentRange'] == 'bytes %d-%d/%d' % (first, last, size), got)
            check(got['ResponseMetadata']['HTTPStatusCode'] == 206)
        check(body(s3.get_object(Bucket=bucket, Key='k', Range='bytes=0-1,3-4')) == data, 'several ranges are no range')
        check(s3.head_object(Bucket=bucket, Key='k', Range='bytes=2-5')['ContentLength'] == 4)
        fails('InvalidRange', s3.get_object, Bucket=bucket, Key='k', Range='bytes=%d-' % size)
    s3.put_object(Bucket=bucket, Key='empty', Body=b'')
    fails('InvalidRange', s3.get_object, Bucket=bucket, Key='empty', Range='bytes=0-1')
    check(body(s3.get_object(Bucket=bucket, Key='k', PartNumber=1)) == data)
    fails('InvalidPart', s3.get_object, Bucket=bucket, Key='k', PartNumber=2)


def test_conditional_reads(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    tag = s3.put_object(Bucket=bucket, Key='k', Body=b'1')['ETag']
    get = lambda **kw: s3.get_object(Bucket=bucket, Key='k', **kw)
    get(IfMatch=tag)
    get(IfMatch=tag, IfUnmodifiedSince=PAST)        # If-Match decides.
    get(IfNoneMatch='"other"', IfModifiedSince=FUTURE)
    get(IfModifiedSince=PAST)
    get(IfUnmodifiedSince=FUTURE)
    fails('PreconditionFailed', get, IfMatch='"other"')
    fails('PreconditionFailed', get, IfUnmodifiedSince=PAST)
    check(fails(304, get, IfNoneMatch=tag).response['ResponseMetadata']['HTTPHeaders']['etag'] == tag)
    fails(304, get, IfNoneMatch=tag, IfModifiedSince=PAST)


def test_conditional_writes(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)

    def put(data, **headers):
        return signed(s3, 'put_object', {'Bucket': bucket, 'Key': 'k', 'Body': data}, headers)
    tag = put(b'1', **{'If-None-Match': '*'})['ETag']
    fails('PreconditionFailed', put, b'2', **{'If-None-Match': '*'})
    fails('PreconditionFailed', put, b'2', **{'If-Match': '"00000000000000000000000000000000"'})
    put(b'2', **{'If-Match': tag})
    check(body(s3.get_object(Bucket=bucket, Key='k')) == b'2')
    s3.delete_object(Bucket=bucket, Key='k')
    fails('NoSuchKey', put, b'3', **{'If-Match': tag})
    fails('NoSuchKey', s3.get_object, Bucket=bucket, Key='k')
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        def one(n):
            try:
                put(b'%d' % n, **{'If-None-Match': '*'})
                return n
            except Exception as e:
                check('PreconditionFailed' in str(e), e)
        won = [n for n in pool.map(one, range(8)) if n is not None]
    check(len(won) == 1 and body(s3.get_object(Bucket=bucket, Key='k')) == b'%d' % won[0], won)


def signed(s3, call, arguments, headers):
    """The call with more headers, which old clients do not know as arguments."""
    name = 'before-call.s3.' + {'put_object': 'PutObject', 'delete_object': 'DeleteObject', 'copy_object': 'CopyObject'}[call]
    other = client_like(s3, s3.cloud)
    other.meta.events.register(name, lambda params, **kw: params['headers'].update(headers))
    return getattr(other, call)(**arguments)


def client_like(s3, cloud):
    return client(cloud, s3.keys['access'], s3.keys['secret'])


def test_deletion(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    for n in range(30):
        put_plain(s3, bucket, 'k%02d' % n)
    s3.delete_object(Bucket=bucket, Key='k00')
    s3.delete_object(Bucket=bucket, Key='k00')
    tag = s3.head_object(Bucket=bucket, Key='k01')['ETag']
    fails('PreconditionFailed', signed, s3, 'delete_object', {'Bucket': bucket, 'Key': 'k01'}, {'If-Match': '"0"'})
    signed(s3, 'delete_object', {'Bucket': bucket, 'Key': 'k01'}, {'If-Match': tag})
    fails(404, s3.head_object, Bucket=bucket, Key='k01')
    answer = s3.delete_objects(Bucket=bucket, Delete={'Objects': [{'Key': 'k02'}, {'Key': 'none'}, {'Key': 'k03', 'VersionId': 'f' * 32}]})
    check([d['Key'] for d in answer['Deleted']] == ['k02', 'none', 'k03'], answer)
    check(s3.head_object(Bucket=bucket, Key='k03'), 'another version was named')
    answer = s3.delete_objects(Bucket=bucket, Delete={'Quiet': True, 'Objects': [{'Key': 'k%02d' % n} for n in range(30)]})
    check('Deleted' not in answer and 'Errors' not in answer, answer)
    check(keys(s3.list_objects_v2(Bucket=bucket)) == [])
    fails('MalformedXML', s3.delete_objects, Bucket=bucket, Delete={'Objects': [{'Key': str(n)} for n in range(1001)]})
    put_plain(s3, bucket)
    answer = demo_answer(demo, bucket)
    check([e['Code'] for e in answer['Errors']] == ['AccessDenied'], answer)
    check(s3.head_object(Bucket=bucket, Key='plain'))


def test_a_thousand_keys_at_once(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={'Status': 'Enabled'})
    put_plain(s3, bucket, 'x' * 1000, payload(3, 16384))
    names = [{'Key': 'x' * 1000}] + [{'Key': '%s%d' % ('y' * 500, n)} for n in range(999)]
    answer = s3.delete_objects(Bucket=bucket, Delete={'Objects': names})
    check(len(answer['Deleted']) == 1000 and all(d['DeleteMarker'] for d in answer['Deleted']), answer)
    page = s3.list_object_versions(Bucket=bucket)
    check(len(page['DeleteMarkers']) + len(page['Versions']) == 1000 and page['IsTruncated'], len(page['DeleteMarkers']))


def test_each_key_of_many_has_its_own_answer(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({'Version': '2012-10-17', 'Statement': [
        {'Effect': 'Deny', 'Principal': '*', 'Action': 's3:DeleteObject', 'Resource': 'arn:aws:s3:::%s/kept/*' % bucket}]}))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: put_plain(s3, bucket, 'kept/%03d' % n if n % 3 == 0 else 'k%03d' % n), range(0, 300)))
    # Mixed as they come: 100 that stay, 200 that go, some of them twice, names that need escaping, and names that never were.
    names = ['kept/%03d' % n if n % 3 == 0 else 'k%03d' % n for n in range(300)] + ['"<%d>&' % n for n in range(300)]
    names += ['k%03d' % n for n in range(400)]
    tag = md5(b'another')
    objects = [{'Key': name} for name in names]
    objects[1]['ETag'] = tag   # k001 has another, and goes all the same: it is there a second time, without the condition.
    status, answer = delete_by_hand(s3, cloud, bucket, objects)
    check(status == 200, (status, answer))
    found = [(e.tag, e.findtext('Key')) for e in answer]
    check([key for _, key in found] == names, 'the order of the request')
    check([tag for tag, key in found if key.startswith('kept/')] == ['Error'] * 100, found[:9])
    wrong = [key for tag, key in found[2:] if tag == 'Error' and not key.startswith('kept/')]
    check(not wrong, wrong)
    codes = {e.findtext('Code') for e in answer if e.tag == 'Error' and e.findtext('Key').startswith('kept/')}
    check(codes == {'AccessDenied'}, codes)
    check(keys(s3.list_objects_v2(Bucket=bucket)) == ['kept/%03d' % n for n in range(0, 300, 3)])
    s3.delete_bucket_policy(Bucket=bucket)
    answer = s3.delete_objects(Bucket=bucket, Delete={'Quiet': True, 'Objects': [{'Key': 'kept/%03d' % n} for n in range(0, 300, 3)]})
    check('Errors' not in answer and keys(s3.list_objects_v2(Bucket=bucket)) == [], answer)


def delete_by_hand(s3, cloud, bucket, objects):
    """DeleteObjects whose answer is read in its order, which boto3 does not keep between Deleted and Errors."""
    root = xml.etree.ElementTree.Element('Delete', xmlns='http://s3.amazonaws.com/doc/2006-03-01/')
    for item in objects:
        element = xml.etree.ElementTree.SubElement(root, 'Object')
        for name, value in item.items():
            xml.etree.ElementTree.SubElement(element, name).text = value
    data = xml.etree.ElementTree.tostring(root)
    rq = botocore.awsrequest.AWSRequest('POST', 'http://127.0.0.1:%d/%s?delete' % (cloud.base + 1, bucket), data=data,
                                        headers={'Content-MD5': base64.b64encode(hashlib.md5(data).digest()).decode()})
    keys_ = botocore.credentials.Credentials(s3.keys['access'], s3.keys['secret'])
    botocore.auth.S3SigV4Auth(keys_, 's3', 'us-east-1').add_auth(rq)
    status, _, answer = raw(cloud, 'POST', '/%s?delete' % bucket, body=data, headers=dict(rq.headers.items()))
    root = xml.etree.ElementTree.fromstring(answer)
    for element in root.iter():
        element.tag = element.tag.split('}')[-1]
    return status, list(root)


def demo_answer(demo, bucket):
    return demo.delete_objects(Bucket=bucket, Delete={'Objects': [{'Key': 'plain'}]})


def test_listing(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    names = sorted(['a', 'b/1', 'b/2', 'b/c/3', 'd', 'e/f', 'ü ?&+', 'z\x01'], key=lambda n: n.encode())
    for name in names:
        put_plain(s3, bucket, name)
    for call in (s3.list_objects, s3.list_objects_v2):
        check(keys(call(Bucket=bucket)) == names)
        check(keys(call(Bucket=bucket, Prefix='b/')) == ['b/1', 'b/2', 'b/c/3'])
        page = call(Bucket=bucket, Delimiter='/')
        check(keys(page) == [n for n in names if '/' not in n] and prefixes(page) == ['b/', 'e/'], page)
        page = call(Bucket=bucket, Delimiter='/', Prefix='b/')
        check(keys(page) == ['b/1', 'b/2'] and prefixes(page) == ['b/c/'], page)
        check(call(Bucket=bucket, MaxKeys=0)['IsTruncated'] is False)
    for limit in (1, 2, 3):
        for delimiter in ('', '/'):
            seen, folds, marker, token = [], [], '', {}
            while True:
                page = s3.list_objects_v2(Bucket=bucket, MaxKeys=limit, Delimiter=delimiter, **token)
                seen += keys(page)
                folds += prefixes(page)
                check(page['KeyCount'] == len(keys(page)) + len(prefixes(page)) <= limit, page)
                if not page['IsTruncated']:
                    break
                token = {'ContinuationToken': page['NextContinuationToken']}
            check(seen == [n for n in names if not delimiter or '/' not in n], (limit, delimiter, seen))
            check(folds == (['b/', 'e/'] if delimiter else []), folds)
            seen, folds = [], []
            while True:
                page = s3.list_objects(Bucket=bucket, MaxKeys=limit, Delimiter=delimiter, Marker=marker)
                seen += keys(page)
                folds += prefixes(page)
                if not page['IsTruncated']:
                    break
                marker = page.get('NextMarker') or keys(page)[-1]
            check(len(seen) + len(folds) == len(set(seen)) + len(set(folds)), (seen, folds))
            check(folds == (['b/', 'e/'] if delimiter else []), folds)
    check(keys(s3.list_objects_v2(Bucket=bucket, StartAfter='b/2')) == [n for n in names if n.encode() > b'b/2'])
    owner = s3.list_objects_v2(Bucket=bucket, FetchOwner=True)['Contents'][0]['Owner']
    check(owner == {'ID': s3.project, 'DisplayName': 'admin'}, owner)
    check('Owner' not in s3.list_objects_v2(Bucket=bucket)['Contents'][0])
    fails('InvalidArgument', s3.list_objects, Bucket=bucket, MaxKeys=-1)
    fails('InvalidArgument', s3.list_objects_v2, Bucket=bucket, ContinuationToken='!!')
    fails('AccessDenied', anyone.list_objects_v2, Bucket=bucket)


def test_versions(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    put_plain(s3, bucket, 'k', b'null')
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={'Status': 'Enabled'})
    ids = [s3.put_object(Bucket=bucket, Key='k', Body=b'%d' % n)['VersionId'] for n in range(3)]
    check(len(set(ids)) == 3)
    for n, version in enumerate(ids):
        got = s3.get_object(Bucket=bucket, Key='k', VersionId=version)
        check(body(got) == b'%d' % n and got['VersionId'] == version)
    check(body(s3.get_object(Bucket=bucket, Key='k', VersionId='null')) == b'null')
    marker = s3.delete_object(Bucket=bucket, Key='k')
    check(marker['DeleteMarker'] is True)
    e = fails('NoSuchKey', s3.get_object, Bucket=bucket, Key='k')
    check(e.response['ResponseMetadata']['HTTPHeaders']['x-amz-delete-marker'] == 'true')
    e = fails('MethodNotAllowed', s3.get_object, Bucket=bucket, Key='k', VersionId=marker['VersionId'])
    fails('NoSuchVersion', s3.get_object, Bucket=bucket, Key='k', VersionId='0' * 32)
    fails('InvalidArgument', s3.get_object, Bucket=bucket, Key='k', VersionId='nonsense')
    page = s3.list_object_versions(Bucket=bucket)
    check([v['VersionId'] for v in page['Versions']] == ids[::-1] + ['null'], page)
    check([m['VersionId'] for m in page['DeleteMarkers']] == [marker['VersionId']] and page['DeleteMarkers'][0]['IsLatest'], page)
    seen, more = [], {}
    while True:
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=1, **more)
        seen += [v['VersionId'] for v in page.get('Versions', []) + page.get('DeleteMarkers', [])]
        if not page['IsTruncated']:
            break
        more = {'KeyMarker': page['NextKeyMarker'], 'VersionIdMarker': page['NextVersionIdMarker']}
    check(seen == [marker['VersionId']] + ids[::-1] + ['null'], seen)
    fails('BucketNotEmpty', s3.delete_bucket, Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key='k', VersionId=marker['VersionId'])
    check(body(s3.get_object(Bucket=bucket, Key='k')) == b'2')
    answer = s3.delete_objects(Bucket=bucket, Delete={'Objects': [{'Key': 'k', 'VersionId': v} for v in ids + ['null']]})
    check(len(answer['Deleted']) == 4, answer)
    s3.delete_bucket(Bucket=bucket)


def test_copies(cloud, s3, demo, anyone):
    bucket, other = new_bucket(s3), new_bucket(s3)
    data = payload(1, 400000)
    key = 'süß %25+&?/x'
    s3.put_object(Bucket=bucket, Key=key, Body=data, Metadata={'a': '1'}, ContentType='text/plain', Tagging='t=1')
    s3.copy_object(Bucket=other, Key='to', CopySource={'Bucket': bucket, 'Key': key})
    got = s3.get_object(Bucket=other, Key='to')
    check(body(got) == data and got['Metadata'] == {'a': '1'} and got['ContentType'] == 'text/plain' and got['TagCount'] == 1, got)
    s3.copy_object(Bucket=other, Key='to', CopySource={'Bucket': bucket, 'Key': key}, MetadataDirective='REPLACE', Metadata={'b': '2'},
                   TaggingDirective='REPLACE', Tagging='x=1&y=2')
    got = s3.head_object(Bucket=other, Key='to')
    check(got['Metadata'] == {'b': '2'} and got['ContentType'] == 'binary/octet-stream', got)
    check(len(s3.get_object_tagging(Bucket=other, Key='to')['TagSet']) == 2)
    same = {'Bucket': other, 'Key': 'to'}
    fails('InvalidRequest', s3.copy_object, Bucket=other, Key='to', CopySource=same)
    s3.copy_object(Bucket=other, Key='to', CopySource=same, MetadataDirective='REPLACE', Metadata={'c': '3'})
    got = s3.get_object(Bucket=other, Key='to')
    check(body(got) == data and got['Metadata'] == {'c': '3'}, got)
    tag = got['ETag']
    s3.copy_object(Bucket=other, Key='if', CopySource=same, CopySourceIfMatch=tag)
    fails('PreconditionFailed', s3.copy_object, Bucket=other, Key='if', CopySource=same, CopySourceIfMatch='"0"')
    fails('PreconditionFailed', s3.copy_object, Bucket=other, Key='if', CopySource=same, CopySourceIfNoneMatch=tag)
    fails('PreconditionFailed', s3.copy_object, Bucket=other, Key='if', CopySource=same, CopySourceIfModifiedSince=FUTURE)
    fails('NoSuchKey', s3.copy_object, Bucket=other, Key='if', CopySource={'Bucket': bucket, 'Key': 'none'})
    fails('NoSuchBucket', s3.copy_object, Bucket=other, Key='if', CopySource={'Bucket': 'no-such-bucket', 'Key': 'none'})
    theirs = new_bucket(demo)
    fails('AccessDenied', demo.copy_object, Bucket=theirs, Key='stolen', CopySource=same)
    fails('AccessDenied', demo.copy_object, Bucket=other, Key='put', CopySource={'Bucket': theirs, 'Key': 'x'})


def test_overrides(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    put_plain(s3, bucket)
    got = s3.get_object(Bucket=bucket, Key='plain', ResponseContentType='a/b', ResponseCacheControl='c', ResponseContentDisposition='d',
                        ResponseContentEncoding='e', ResponseContentLanguage='f')
    check((got['ContentType'], got['CacheControl'], got['ContentDisposition'], got['ContentEncoding'], got['ContentLanguage']) ==
          ('a/b', 'c', 'd', 'e', 'f'), got)
    s3.put_object_acl(Bucket=bucket, Key='plain', ACL='public-read')
    check(body(anyone.get_object(Bucket=bucket, Key='plain')) == b'0123456789')
    fails('InvalidRequest', anyone.get_object, Bucket=bucket, Key='plain', ResponseContentType='a/b')


def test_attributes(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    put_plain(s3, bucket)
    got = s3.get_object_attributes(Bucket=bucket, Key='plain', ObjectAttributes=['ETag', 'ObjectSize', 'StorageClass', 'ObjectParts'])
    check((got['ETag'], got['ObjectSize'], got['StorageClass']) == (md5(b'0123456789'), 10, 'STANDARD') and 'ObjectParts' not in got, got)
    fails('InvalidArgument', s3.get_object_attributes, Bucket=bucket, Key='plain', ObjectAttributes=['Nonsense'])
    fails('NoSuchKey', s3.get_object_attributes, Bucket=bucket, Key='none', ObjectAttributes=['ETag'])


def test_access(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    put_plain(s3, bucket)
    for who in (demo, anyone):
        fails('AccessDenied', who.get_object, Bucket=bucket, Key='plain')
        fails('AccessDenied', who.get_object, Bucket=bucket, Key='none')   # Nothing is told of what is there.
        fails('AccessDenied', who.put_object, Bucket=bucket, Key='new', Body=b'')
        fails('AccessDenied', who.delete_object, Bucket=bucket, Key='plain')
        fails('AccessDenied', who.list_objects_v2, Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, ACL='public-read-write')
    check(keys(anyone.list_objects_v2(Bucket=bucket)) == ['plain'])
    fails('AccessDenied', anyone.get_object, Bucket=bucket, Key='plain')
    fails('NoSuchKey', anyone.get_object, Bucket=bucket, Key='none')
    demo.put_object(Bucket=bucket, Key='theirs', Body=b'x')
    fails('AccessDenied', s3.get_object, Bucket=bucket, Key='theirs')   # Whoever writes an object owns it.
    check(body(demo.get_object(Bucket=bucket, Key='theirs')) == b'x')
    demo.put_object(Bucket=bucket, Key='theirs', Body=b'y', ACL='bucket-owner-read')
    check(body(s3.get_object(Bucket=bucket, Key='theirs')) == b'y')
    s3.delete_object(Bucket=bucket, Key='theirs')
    fails('AccessDenied', s3.list_objects_v2, Bucket=bucket, ExpectedBucketOwner=demo.project)
    s3.list_objects_v2(Bucket=bucket, ExpectedBucketOwner=s3.project)


def test_authentication(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    put_plain(s3, bucket)
    fails('InvalidAccessKeyId', client(cloud, 'NOSUCHKEY', 'secret').list_buckets)
    fails('SignatureDoesNotMatch', client(cloud, s3.keys['access'], 'wrong').list_buckets)
    url = s3.generate_presigned_url('get_object', {'Bucket': bucket, 'Key': 'plain'}, ExpiresIn=100)
    with urllib.request.urlopen(url) as answer:
        check(answer.read() == b'0123456789')
    path = '/' + url.split('/', 3)[3]
    check(raw(cloud, 'GET', path.replace('/plain', '/other'))[0] == 403)
    put = s3.generate_presigned_url('put_object', {'Bucket': bucket, 'Key': 'up'}, ExpiresIn=100)
    check(raw(cloud, 'PUT', '/' + put.split('/', 3)[3], body=b'up')[0] == 200)
    check(body(s3.get_object(Bucket=bucket, Key='up')) == b'up')
    old = client(cloud, s3.keys['access'], s3.keys['secret'], signature_version='s3')
    check(body(old.get_object(Bucket=bucket, Key='up')) == b'up', 'Signature Version 2')


def test_virtual_hosts(cloud, s3, demo, anyone):
    bucket = new_bucket(s3, ACL='public-read')
    s3.put_object(Bucket=bucket, Key='a/b', Body=b'1', ACL='public-read')
    for host in (bucket + '.localhost', bucket + '.s3.example.org:8080', bucket + '.s3.localhost:1'):
        check(raw(cloud, 'GET', '/a/b', host=host)[2] == b'1', host)
        status, _, data = raw(cloud, 'GET', '/?list-type=2', host=host)
        check(status == 200 and b'<Key>a/b</Key>' in data, data)
    check(raw(cloud, 'GET', '/%s/a/b' % bucket, host='localhost:80')[2] == b'1')
    check(raw(cloud, 'GET', '/%s/a/b' % bucket, host='[::1]:80')[2] == b'1')


@contextlib.contextmanager
def names_of_the_cloud(suffix):
    """Within it, every host name with this end is this machine's."""
    real = socket.getaddrinfo

    def look_up(host, *args, **kw):
        return real('127.0.0.1' if isinstance(host, str) and host.endswith(suffix) else host, *args, **kw)
    with unittest.mock.patch('socket.getaddrinfo', look_up):
        yield


def at_host(cloud, s3, host, **config):
    """A client like this one that puts the bucket before the host name."""
    options = botocore.client.Config(s3={'addressing_style': 'virtual'}, retries={'max_attempts': 1}, **config)
    return boto3.client('s3', endpoint_url='http://%s:%d' % (host, cloud.base + 1), region_name='us-east-1',
                        aws_access_key_id=s3.keys['access'], aws_secret_access_key=s3.keys['secret'], config=options)


def test_configured_host_names(cloud, s3, demo, anyone):
    with names_of_the_cloud('ring.test'):
        for host in ('objects.ring.test', 'ring.test', 's3.ring.test'):
            for signature in ('s3v4', 's3'):
                bucket = 'virtual-%s-%s' % (host, signature)
                client_ = at_host(cloud, s3, host, signature_version=signature)
                client_.create_bucket(Bucket=bucket)
                client_.put_object(Bucket=bucket, Key='v1/a b', Body=b'here', ACL='public-read')
                check(body(s3.get_object(Bucket=bucket, Key='v1/a b')) == b'here', host)
                if signature == 's3v4':   # Old clients sign list-type with version 2, which nobody expects.
                    check(keys(client_.list_objects_v2(Bucket=bucket)) == ['v1/a b'], host)
                check(bucket in [b['Name'] for b in client_.list_buckets()['Buckets']], host)
                # Nobody, with a path that is Swift's elsewhere.
                status, _, data = raw(cloud, 'GET', '/v1/a%20b', host='%s.%s:%d' % (bucket, host.upper(), cloud.base + 1))   # Names have no case.
                check((status, data) == (200, b'here'), (host, status, data))
                with urllib.request.urlopen(client_.generate_presigned_url('get_object', {'Bucket': bucket, 'Key': 'v1/a b'})) as answer:
                    check(answer.read() == b'here', host)
    check(raw(cloud, 'GET', '/healthcheck', host='objects.ring.test')[2] == b'OK', 'Swift keeps its paths at the name itself')
    check(raw(cloud, 'GET', '/v1/AUTH_x', host='objects.ring.test')[0] == 401)


def test_host_names_are_checked(cloud, s3, demo, anyone):
    for name in ('', 'under_score.test', '.test', 'test.', 'a..b', '-a.test', 'x' * 64, 'http://s3.test', '10.0.0.1:80'):
        done = subprocess.run([PROGRAM, 'dev', '--data', os.path.join(cloud.dir, 'never'), '--s3-host', name], capture_output=True, text=True)
        check(done.returncode == 2 and 'is not a host name' in done.stderr, (name, done))
    many = [word for n in range(9) for word in ('--s3-host', 'h%d.test' % n)]
    done = subprocess.run([PROGRAM, 'dev', '--data', os.path.join(cloud.dir, 'never')] + many, capture_output=True, text=True)
    check(done.returncode == 2 and 'more than 8 s3-hosts' in done.stderr, done)


def test_host_names_of_a_node(cloud, s3, demo, anyone):
    with tempfile.TemporaryDirectory(prefix='ringstack-test-') as top:
        base, config = free_base(), os.path.join(top, 'node.conf')
        with open(os.path.join(top, 'password'), 'w') as f:
            f.write(PASSWORD + '\n')
        with open(config, 'w') as f:
            f.write('[cluster]\nid = 7e57\ncontrol-node = 1\npolicies = replicated-3\n[node 1]\naddress = 127.0.0.1:%d\n' % (base + RANKS + 2))
            for d in range(3):
                f.write('[device %d]\nnode = 1\nzone = %d\nhost = h%d\npath = %s/drive%d\n' % (d, d + 1, d, top, d))
            f.write('[self]\nnode = 1\nroles = control storage proxy\ndata = %s/data\nport-base = %d\nadmin-password-file = %s/password\n'
                    's3-host = one.test, two.test\n' % (top, base, top))
        node = Process(['node', '--config', config], os.path.join(top, 'log')).start()
        try:
            for host, where in (('b.one.test', 'b'), ('b.c.two.test', 'b.c')):
                connection = http.client.HTTPConnection('127.0.0.1', base + 1, timeout=60)
                connection.request('GET', '/key', headers={'Host': host})
                answer = connection.getresponse().read()
                connection.close()
                check(b'<BucketName>%s<' % where.encode() in answer, (host, answer))
        finally:
            check(node.stop() == 0)


def main():
    with Cloud('--s3-host', 'objects.ring.test', '--s3-host', 'ring.test') as cloud:
        s3, demo, anyone = clients(cloud)
        s3.cloud = demo.cloud = cloud
        for name, test in sorted(globals().items()):
            if name.startswith('test_'):
                with report.test(name[5:].replace('_', ' ')):
                    test(cloud, s3, demo, anyone)
    report.exit()


if __name__ == '__main__':
    main()
