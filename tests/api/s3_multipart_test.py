#!/usr/bin/python3
"""Multipart uploads through S3, by boto3: parts in any order and sent again, copies of ranges, listings, checksums, conditions,
and completions that are repeated."""
import base64
import hashlib
import os
import sys
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cloud import Cloud, Report, check, payload
from s3_client import clients, fails, new_bucket

MB = 1024 * 1024
report = Report()


def begin(s3, bucket, key, **kw):
    return s3.create_multipart_upload(Bucket=bucket, Key=key, **kw)['UploadId']


def send(s3, bucket, key, upload, number, data, **kw):
    answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=data, **kw)
    return {'PartNumber': number, 'ETag': answer['ETag'], **{k: v for k, v in answer.items() if k.startswith('Checksum')}}


def finish(s3, bucket, key, upload, parts, **kw):
    return s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={'Parts': parts}, **kw)


def body(s3, bucket, key, **kw):
    return s3.get_object(Bucket=bucket, Key=key, **kw)['Body'].read()


def etag_of(parts):
    return '"%s-%d"' % (hashlib.md5(b''.join(hashlib.md5(p).digest() for p in parts)).hexdigest(), len(parts))


def test_whole(s3):
    bucket = new_bucket(s3)
    data = [payload('a', 5 * MB), payload('b', 6 * MB + 1), payload('c', 3)]
    upload = begin(s3, bucket, 'big', ContentType='text/x', Metadata={'colour': 'red'})
    send(s3, bucket, 'big', upload, 2, payload('old', 5 * MB))
    parts = [send(s3, bucket, 'big', upload, n, data[n - 1]) for n in (3, 1, 2)]
    parts.sort(key=lambda p: p['PartNumber'])
    fails('NoSuchKey', s3.get_object, Bucket=bucket, Key='big')
    answer = finish(s3, bucket, 'big', upload, parts)
    check(answer['ETag'] == etag_of(data), answer['ETag'])
    again = finish(s3, bucket, 'big', upload, parts)
    check(again['ETag'] == answer['ETag'])
    whole = b''.join(data)
    head = s3.head_object(Bucket=bucket, Key='big')
    check(head['ContentLength'] == len(whole) and head['ContentType'] == 'text/x' and head['Metadata'] == {'colour': 'red'})
    check(body(s3, bucket, 'big') == whole)
    for first, last in ((0, 0), (5 * MB - 1, 5 * MB), (5 * MB, 11 * MB), (11 * MB + 1, 11 * MB + 3), (3, len(whole) - 2)):
        check(body(s3, bucket, 'big', Range='bytes=%d-%d' % (first, last)) == whole[first:last + 1], (first, last))
    listed = s3.list_objects_v2(Bucket=bucket)['Contents']
    check([(o['Key'], o['Size'], o['ETag']) for o in listed] == [('big', len(whole), answer['ETag'])], listed)
    for n, part in enumerate(data):
        got = s3.get_object(Bucket=bucket, Key='big', PartNumber=n + 1)
        check(got['PartsCount'] == 3 and got['Body'].read() == part)
    fails('NoSuchUpload', s3.list_parts, Bucket=bucket, Key='big', UploadId=upload)
    s3.put_object(Bucket=bucket, Key='big', Body=b'small')
    check(body(s3, bucket, 'big') == b'small')
    fails('NoSuchUpload', finish, s3, bucket, 'big', upload, parts)


def test_refused(s3):
    bucket = new_bucket(s3)
    upload = begin(s3, bucket, 'k')
    one, two = (send(s3, bucket, 'k', upload, n, b'x' * 100) for n in (1, 2))
    fails('EntityTooSmall', finish, s3, bucket, 'k', upload, [one, two])
    fails('InvalidPartOrder', finish, s3, bucket, 'k', upload, [two, one])
    fails('InvalidPartOrder', finish, s3, bucket, 'k', upload, [one, one])
    fails('InvalidPart', finish, s3, bucket, 'k', upload, [{'PartNumber': 9, 'ETag': two['ETag']}])
    fails('InvalidPart', finish, s3, bucket, 'k', upload, [{'PartNumber': 1, 'ETag': '"' + 'f' * 32 + '"'}])
    fails('MalformedXML', finish, s3, bucket, 'k', upload, [])
    fails('NoSuchUpload', finish, s3, bucket, 'k', 'nonsense', [one])
    fails('NoSuchUpload', finish, s3, bucket, 'other', upload, [one])
    fails('InvalidArgument', s3.upload_part, Bucket=bucket, Key='k', UploadId=upload, PartNumber=10001, Body=b'')
    fails('InvalidArgument', s3.upload_part, Bucket=bucket, Key='k', UploadId=upload, PartNumber=0, Body=b'')
    fails('NoSuchUpload', s3.upload_part, Bucket=bucket, Key='k', UploadId='0' * 32, PartNumber=1, Body=b'')
    fails('BadDigest', s3.upload_part, Bucket=bucket, Key='k', UploadId=upload, PartNumber=1, Body=b'abc',
          ContentMD5=base64.b64encode(b'0' * 16).decode())
    # What was refused left the upload as it was.
    check(finish(s3, bucket, 'k', upload, [one])['ETag'] == etag_of([b'x' * 100]))


def test_abort(s3):
    bucket = new_bucket(s3)
    upload = begin(s3, bucket, 'gone')
    part = send(s3, bucket, 'gone', upload, 1, payload('x', MB))
    s3.abort_multipart_upload(Bucket=bucket, Key='gone', UploadId=upload)
    fails('NoSuchUpload', s3.abort_multipart_upload, Bucket=bucket, Key='gone', UploadId=upload)
    fails('NoSuchUpload', finish, s3, bucket, 'gone', upload, [part])
    fails('NoSuchUpload', s3.upload_part, Bucket=bucket, Key='gone', UploadId=upload, PartNumber=2, Body=b'')
    check('Uploads' not in s3.list_multipart_uploads(Bucket=bucket))
    s3.delete_bucket(Bucket=bucket)


def test_listings(s3):
    bucket = new_bucket(s3)
    uploads = {key: begin(s3, bucket, key) for key in ('a/1', 'a/2', 'b', 'c d&')}
    second = begin(s3, bucket, 'b')
    answer = s3.list_multipart_uploads(Bucket=bucket)
    check([u['Key'] for u in answer['Uploads']] == ['a/1', 'a/2', 'b', 'b', 'c d&'], answer['Uploads'])
    check({u['UploadId'] for u in answer['Uploads']} == set(uploads.values()) | {second})
    answer = s3.list_multipart_uploads(Bucket=bucket, Delimiter='/')
    check([p['Prefix'] for p in answer['CommonPrefixes']] == ['a/'] and len(answer['Uploads']) == 3)
    keys, marker = [], {}
    for _ in range(10):
        answer = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=2, **marker)
        keys += [u['Key'] for u in answer.get('Uploads', [])]
        if not answer['IsTruncated']:
            break
        marker = {'KeyMarker': answer['NextKeyMarker'], 'UploadIdMarker': answer['NextUploadIdMarker']}
    check(keys == ['a/1', 'a/2', 'b', 'b', 'c d&'], keys)
    for number in (5, 2, 10, 7):
        send(s3, bucket, 'b', second, number, b'%d' % number)
    send(s3, bucket, 'b', second, 7, b'seven')
    answer = s3.list_parts(Bucket=bucket, Key='b', UploadId=second)
    check([(p['PartNumber'], p['Size']) for p in answer['Parts']] == [(2, 1), (5, 1), (7, 5), (10, 2)], answer['Parts'])
    numbers, marker = [], 0
    while True:
        answer = s3.list_parts(Bucket=bucket, Key='b', UploadId=second, MaxParts=3, PartNumberMarker=marker)
        numbers += [p['PartNumber'] for p in answer['Parts']]
        if not answer['IsTruncated']:
            break
        marker = answer['NextPartNumberMarker']
    check(numbers == [2, 5, 7, 10], numbers)
    check('Contents' not in s3.list_objects_v2(Bucket=bucket))


def test_copy(s3):
    bucket, other = new_bucket(s3), new_bucket(s3)
    data = payload('source', 12 * MB)
    s3.put_object(Bucket=bucket, Key='a b+/ü', Body=data)
    upload = begin(s3, other, 'copy')
    parts = []
    for number, (first, last) in enumerate(((0, 5 * MB - 1), (5 * MB, 11 * MB)), 1):
        answer = s3.upload_part_copy(Bucket=other, Key='copy', UploadId=upload, PartNumber=number,
                                     CopySource={'Bucket': bucket, 'Key': 'a b+/ü'}, CopySourceRange='bytes=%d-%d' % (first, last))
        parts.append({'PartNumber': number, 'ETag': answer['CopyPartResult']['ETag']})
    copy = {'Bucket': other, 'Key': 'copy', 'UploadId': upload, 'PartNumber': 3, 'CopySource': {'Bucket': bucket, 'Key': 'a b+/ü'}}
    for wrong in ('0-2', 'bytes=0', 'bytes=hello-world', 'bytes=5-3', 'bytes=0-2,3-5'):
        fails('InvalidArgument', s3.upload_part_copy, CopySourceRange=wrong, **copy)
    fails('InvalidRange', s3.upload_part_copy, CopySourceRange='bytes=0-%d' % len(data), **copy)
    fails('NoSuchKey', s3.upload_part_copy, **dict(copy, CopySource={'Bucket': bucket, 'Key': 'nothing'}))
    fails('PreconditionFailed', s3.upload_part_copy, CopySourceIfMatch='nothing', **copy)
    finish(s3, other, 'copy', upload, parts)
    check(body(s3, other, 'copy') == data[:11 * MB + 1])
    # A multipart object as a source, without a range, onto itself.
    upload = begin(s3, other, 'copy')
    answer = s3.upload_part_copy(Bucket=other, Key='copy', UploadId=upload, PartNumber=1, CopySource={'Bucket': other, 'Key': 'copy'})
    finish(s3, other, 'copy', upload, [{'PartNumber': 1, 'ETag': answer['CopyPartResult']['ETag']}])
    check(body(s3, other, 'copy') == data[:11 * MB + 1])


def test_checksums(s3):
    bucket = new_bucket(s3)
    data = [payload('c1', 5 * MB), payload('c2', 77)]
    upload = begin(s3, bucket, 'sum', ChecksumAlgorithm='SHA256')
    fails('BadDigest', send, s3, bucket, 'sum', upload, 1, data[0], ChecksumSHA256=base64.b64encode(b'0' * 32).decode())
    fails('InvalidRequest', send, s3, bucket, 'sum', upload, 1, data[0],
          ChecksumCRC32=base64.b64encode(zlib.crc32(data[0]).to_bytes(4, 'big')).decode())
    parts = [send(s3, bucket, 'sum', upload, n + 1, d, ChecksumAlgorithm='SHA256') for n, d in enumerate(data)]
    for part, d in zip(parts, data):
        check(part['ChecksumSHA256'] == base64.b64encode(hashlib.sha256(d).digest()).decode())
    listed = s3.list_parts(Bucket=bucket, Key='sum', UploadId=upload)['Parts']
    check([p['ChecksumSHA256'] for p in listed] == [p['ChecksumSHA256'] for p in parts])
    want = base64.b64encode(hashlib.sha256(b''.join(hashlib.sha256(d).digest() for d in data)).digest()).decode() + '-2'
    fails('BadDigest', finish, s3, bucket, 'sum', upload, parts, ChecksumSHA256=base64.b64encode(b'1' * 32).decode() + '-2')
    answer = finish(s3, bucket, 'sum', upload, parts, ChecksumSHA256=want)
    check(answer['ChecksumSHA256'] == want, answer)
    head = s3.head_object(Bucket=bucket, Key='sum', ChecksumMode='ENABLED')
    check(head['ChecksumSHA256'] == want)
    fails('InvalidRequest', begin, s3, bucket, 'sum', ChecksumAlgorithm='CRC31')


def test_conditions(s3):
    bucket = new_bucket(s3)
    def complete(headers):
        upload = begin(s3, bucket, 'c')
        part = send(s3, bucket, 'c', upload, 1, b'data')
        def add(request, **_):
            for name, value in headers.items():
                request.headers[name] = value
        s3.meta.events.register('before-sign.s3.CompleteMultipartUpload', add, unique_id='add')
        try:
            return finish(s3, bucket, 'c', upload, [part])
        finally:
            s3.meta.events.unregister('before-sign.s3.CompleteMultipartUpload', unique_id='add')
    fails('NoSuchKey', complete, {'If-Match': '*'})
    etag = complete({'If-None-Match': '*'})['ETag']
    fails('PreconditionFailed', complete, {'If-None-Match': '*'})
    fails('PreconditionFailed', complete, {'If-Match': '"0123"'})
    complete({'If-Match': etag})


def test_versions(s3):
    bucket = new_bucket(s3)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={'Status': 'Enabled'})
    versions, data = [], []
    for n in range(3):
        data.append(payload('v%d' % n, 5 * MB + n))
        upload = begin(s3, bucket, 'v')
        parts = [send(s3, bucket, 'v', upload, 1, data[n])]
        answer = finish(s3, bucket, 'v', upload, parts)
        check(finish(s3, bucket, 'v', upload, parts)['VersionId'] == answer['VersionId'])
        versions.append(answer['VersionId'])
    check(len(set(versions)) == 3)
    for version, d in zip(versions, data):
        check(body(s3, bucket, 'v', VersionId=version) == d)
    s3.delete_object(Bucket=bucket, Key='v', VersionId=versions[2])
    check(body(s3, bucket, 'v') == data[1])


TESTS = [test_whole, test_refused, test_abort, test_listings, test_copy, test_checksums, test_conditions, test_versions]

if __name__ == '__main__':
    with Cloud() as cloud:
        s3 = clients(cloud)[0]
        for test in TESTS:
            with report.test('s3_multipart.' + test.__name__[5:]):
                test(s3)
    report.exit()
