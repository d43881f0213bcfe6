#!/usr/bin/python3
"""Server-side encryption through S3, by boto3: by the service's keys, by a customer's, by a bucket's default, in uploads and copies;
and what of it the Swift dialect shows."""
import base64
import glob
import hashlib
import json
import os
import sys
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cloud import PASSWORD, Cloud, Report, check
from s3_client import clients, fails, keystone, new_bucket

report = Report()
MIB = 1 << 20
SIZES = (0, 1, 16368, 16369, 16384, 65535, 65536, 65537, MIB, 3 * MIB + 17)


def customer(seed, prefix='SSECustomer'):
    key = hashlib.sha256(seed.encode()).digest()
    return {prefix + 'Algorithm': 'AES256', prefix + 'Key': base64.b64encode(key).decode(),
            prefix + 'KeyMD5': base64.b64encode(hashlib.md5(key).digest()).decode()}


def source(seed):
    return customer(seed, 'CopySourceSSECustomer')


def content(size, seed=1):
    block = hashlib.sha512(b'%d' % seed).digest() * 1024
    return (block * (size // len(block) + 1))[:size]


def read(s3, bucket, key, **kw):
    return s3.get_object(Bucket=bucket, Key=key, **kw)['Body'].read()


def test_service_keys(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    for size in SIZES:
        data = content(size)
        put = s3.put_object(Bucket=bucket, Key='o', Body=data, ServerSideEncryption='AES256')
        check(put['ServerSideEncryption'] == 'AES256' and put['ETag'] == '"%s"' % hashlib.md5(data).hexdigest(), put)
        got = s3.get_object(Bucket=bucket, Key='o')
        check(got['Body'].read() == data and got['ServerSideEncryption'] == 'AES256' and got['ContentLength'] == size, size)
        check(s3.head_object(Bucket=bucket, Key='o')['ContentLength'] == size)
        check(s3.list_objects_v2(Bucket=bucket)['Contents'][0]['Size'] == size)
    for first, last in ((0, 0), (65535, 65536), (65536, 65536), (1000000, 2000001), (3 * MIB, 3 * MIB + 16)):
        check(read(s3, bucket, 'o', Range='bytes=%d-%d' % (first, last)) == data[first:last + 1], (first, last))
    s3.put_object(Bucket=bucket, Key='plain', Body=b'x')
    check('ServerSideEncryption' not in s3.head_object(Bucket=bucket, Key='plain'))


def test_customers_keys(cloud, s3, demo, anyone):
    bucket, mine, yours = new_bucket(s3), customer('mine'), customer('yours')
    for size in (0, 5, 200000):
        data = content(size)
        put = s3.put_object(Bucket=bucket, Key='o', Body=data, **mine)
        check(put['SSECustomerAlgorithm'] == 'AES256' and put['SSECustomerKeyMD5'] == mine['SSECustomerKeyMD5'], put)
        got = s3.get_object(Bucket=bucket, Key='o', **mine)
        check(got['Body'].read() == data and got['SSECustomerKeyMD5'] == mine['SSECustomerKeyMD5'])
        check(s3.head_object(Bucket=bucket, Key='o', **mine)['ContentLength'] == size)
        for wrong in ({}, yours):
            fails(400, s3.get_object, Bucket=bucket, Key='o', **wrong)
            fails(400, s3.head_object, Bucket=bucket, Key='o', **wrong)
            fails(400, s3.get_object_attributes, Bucket=bucket, Key='o', ObjectAttributes=['ObjectSize'], **wrong)
    s3.put_object(Bucket=bucket, Key='plain', Body=b'x')
    fails('InvalidRequest', s3.get_object, Bucket=bucket, Key='plain', **mine)


def with_headers(s3, operation, headers, **kw):
    """The call with these headers beside its own."""
    def add(params, **_):
        params['headers'].update(headers)
    s3.meta.events.register('before-call.s3.' + operation, add, unique_id='with_headers')
    try:
        return s3._make_api_call(operation, kw)
    finally:
        s3.meta.events.unregister('before-call.s3.' + operation, unique_id='with_headers')


def test_wrong_headers(cloud, s3, demo, anyone):
    bucket, key = new_bucket(s3), customer('mine')
    sse = 'x-amz-server-side-encryption'
    names = {'algorithm': key['SSECustomerAlgorithm'], 'key': key['SSECustomerKey'], 'key-MD5': key['SSECustomerKeyMD5']}
    good = {'%s-customer-%s' % (sse, n): v for n, v in names.items()}

    def put(code, headers):
        fails(code, with_headers, s3, 'PutObject', headers, Bucket=bucket, Key='o', Body=b'x')
    for left_out in good:
        put('InvalidArgument', {n: v for n, v in good.items() if n != left_out})
    put('InvalidEncryptionAlgorithmError', {**good, sse + '-customer-algorithm': 'AES128'})
    put('InvalidArgument', {**good, sse + '-customer-key': base64.b64encode(b'short').decode()})
    put('InvalidArgument', {**good, sse + '-customer-key': 'not base64'})
    put('InvalidArgument', {**good, sse + '-customer-key-MD5': base64.b64encode(b'0' * 16).decode()})
    put('InvalidArgument', {**good, sse: 'AES256'})
    put('InvalidArgument', {sse: 'aes256'})
    put('InvalidArgument', {sse: 'AES256', sse + '-aws-kms-key-id': 'k'})
    put('InvalidArgument', {sse + '-aws-kms-key-id': 'k'})
    put('NotImplemented', {sse: 'aws:kms'})
    fails('NoSuchKey', s3.get_object, Bucket=bucket, Key='o')
    s3.put_object(Bucket=bucket, Key='o', Body=b'x', ServerSideEncryption='AES256')
    fails('InvalidArgument', with_headers, s3, 'GetObject', {sse: 'AES256'}, Bucket=bucket, Key='o')


def by_default(s3, algorithm='AES256'):
    return {'Rules': [{'ApplyServerSideEncryptionByDefault': {'SSEAlgorithm': algorithm}}]}


def test_default(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key='before', Body=b'x')
    fails('NotImplemented', s3.put_bucket_encryption, Bucket=bucket, ServerSideEncryptionConfiguration=by_default(s3, 'aws:kms'))
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=by_default(s3))
    check(s3.put_object(Bucket=bucket, Key='o', Body=b'y')['ServerSideEncryption'] == 'AES256')
    check(s3.copy_object(Bucket=bucket, Key='copy', CopySource=bucket + '/before')['ServerSideEncryption'] == 'AES256')
    check('ServerSideEncryption' not in s3.head_object(Bucket=bucket, Key='before'))
    check(s3.create_multipart_upload(Bucket=bucket, Key='m')['ServerSideEncryption'] == 'AES256')
    mine = customer('mine')
    s3.put_object(Bucket=bucket, Key='c', Body=b'z', **mine)
    fails(400, s3.get_object, Bucket=bucket, Key='c')
    s3.delete_bucket_encryption(Bucket=bucket)
    check('ServerSideEncryption' not in s3.put_object(Bucket=bucket, Key='o', Body=b'y'))


def upload(s3, bucket, key, parts, create, each):
    begun = s3.create_multipart_upload(Bucket=bucket, Key=key, **create)
    done = []
    for n, data in enumerate(parts, 1):
        etag = s3.upload_part(Bucket=bucket, Key=key, UploadId=begun['UploadId'], PartNumber=n, Body=data, **each)['ETag']
        done.append({'PartNumber': n, 'ETag': etag})
    return s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=begun['UploadId'], MultipartUpload={'Parts': done})


def test_uploads(cloud, s3, demo, anyone):
    bucket, mine = new_bucket(s3), customer('mine')
    parts = [content(5 * MIB + 1, 1), content(5 * MIB, 2), content(99999, 3)]
    whole = b''.join(parts)
    for create, each in (({'ServerSideEncryption': 'AES256'}, {}), (mine, mine)):
        made = upload(s3, bucket, 'm', parts, create, each)
        check(made['ETag'].endswith('-3"'), made)
        check(s3.list_objects_v2(Bucket=bucket)['Contents'][0]['Size'] == len(whole))
        check(read(s3, bucket, 'm', **each) == whole)
        for first, last in ((0, 0), (5 * MIB, 5 * MIB + 1), (5 * MIB - 70000, 10 * MIB + 5), (len(whole) - 1, len(whole) - 1)):
            check(read(s3, bucket, 'm', Range='bytes=%d-%d' % (first, last), **each) == whole[first:last + 1], (first, last))
        check(read(s3, bucket, 'm', PartNumber=2, **each) == parts[1])
    fails(400, s3.get_object, Bucket=bucket, Key='m')
    begun = s3.create_multipart_upload(Bucket=bucket, Key='n', **mine)
    for wrong in ({}, customer('yours')):
        fails('InvalidRequest', s3.upload_part, Bucket=bucket, Key='n', UploadId=begun['UploadId'], PartNumber=1, Body=b'x', **wrong)
    begun = s3.create_multipart_upload(Bucket=bucket, Key='n')
    fails('InvalidRequest', s3.upload_part, Bucket=bucket, Key='n', UploadId=begun['UploadId'], PartNumber=1, Body=b'x', **mine)


def test_copies(cloud, s3, demo, anyone):
    bucket, data = new_bucket(s3), content(300001)
    kinds = {'plain': ({}, {}, {}), 'service': ({'ServerSideEncryption': 'AES256'}, {}, {}),
             'a': (customer('a'), customer('a'), source('a')), 'b': (customer('b'), customer('b'), source('b'))}
    for name, (put, _, _) in kinds.items():
        s3.put_object(Bucket=bucket, Key=name, Body=data, **put)
    for name, (_, _, from_key) in kinds.items():
        for to, (put, get, _) in kinds.items():
            s3.copy_object(Bucket=bucket, Key='copy', CopySource='%s/%s' % (bucket, name), **put, **from_key)
            check(read(s3, bucket, 'copy', **get) == data, (name, to))
            begun = s3.create_multipart_upload(Bucket=bucket, Key='parts', **put)
            part = s3.upload_part_copy(Bucket=bucket, Key='parts', UploadId=begun['UploadId'], PartNumber=1,
                                       CopySource='%s/%s' % (bucket, name), CopySourceRange='bytes=65535-200000', **get, **from_key)
            s3.complete_multipart_upload(Bucket=bucket, Key='parts', UploadId=begun['UploadId'],
                                         MultipartUpload={'Parts': [{'PartNumber': 1, 'ETag': part['CopyPartResult']['ETag']}]})
            check(read(s3, bucket, 'parts', **get) == data[65535:200001], (name, to))
    fails('InvalidRequest', s3.copy_object, Bucket=bucket, Key='copy', CopySource=bucket + '/a')
    fails('InvalidRequest', s3.copy_object, Bucket=bucket, Key='copy', CopySource=bucket + '/a', **source('b'))
    # A new key for an object: a copy to itself.
    s3.copy_object(Bucket=bucket, Key='a', CopySource=bucket + '/a', **source('a'), **customer('b'))
    check(read(s3, bucket, 'a', **customer('b')) == data)


def swift(cloud, s3, method, path, data=None):
    body = {'auth': {'identity': {'methods': ['password'], 'password': {'user': {'name': 'admin', 'domain': {'id': 'default'},
                                                                                  'password': PASSWORD}}},
                     'scope': {'project': {'name': 'admin', 'domain': {'id': 'default'}}}}}
    token = keystone(cloud, 'POST', '/auth/tokens', body)[1]
    rq = urllib.request.Request('http://127.0.0.1:%d/v1/AUTH_%s/%s' % (cloud.base + 1, s3.project, path), data=data, method=method,
                                headers={'X-Auth-Token': token})
    try:
        with urllib.request.urlopen(rq, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def test_swift(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    for size in (5, 300001):
        s3.put_object(Bucket=bucket, Key='service', Body=content(size), ServerSideEncryption='AES256')
        check(swift(cloud, s3, 'GET', bucket + '/service') == (200, content(size)), size)
        s3.put_object(Bucket=bucket, Key='customer', Body=content(size), **customer('a'))
        check(swift(cloud, s3, 'GET', bucket + '/customer')[0] == 422)
    parts = [content(5 * MIB + 1, 1), content(70000, 2)]
    upload(s3, bucket, 'parts', parts, {'ServerSideEncryption': 'AES256'}, {})
    check(swift(cloud, s3, 'GET', bucket + '/parts') == (200, b''.join(parts)))
    check(swift(cloud, s3, 'HEAD', bucket + '/parts')[0] == 200)
    listing = swift(cloud, s3, 'GET', bucket + '?format=json&prefix=service')[1]
    check(json.loads(listing)[0]['bytes'] == 300001, listing)
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=by_default(s3))
    check(swift(cloud, s3, 'PUT', bucket + '/from-swift', content(70000))[0] == 201)
    got = s3.get_object(Bucket=bucket, Key='from-swift')
    check(got['Body'].read() == content(70000) and got['ServerSideEncryption'] == 'AES256')


def on_disk(cloud, mark):
    """Files below the drives that have the bytes somewhere."""
    found = []
    for path in glob.glob(os.path.join(cloud.data, '**'), recursive=True):
        if os.path.isfile(path):
            with open(path, 'rb') as f:
                while True:
                    block = f.read(64 * MIB)
                    if mark in block:
                        found.append(path)
                    if len(block) < 64 * MIB:
                        break
                    f.seek(-len(mark), 1)
    return found


def test_at_rest(cloud, s3, demo, anyone):
    bucket, mark = new_bucket(s3), b'a phrase that no other file of the test has: '
    s3.put_object(Bucket=bucket, Key='plain', Body=mark + b'plain')
    check(on_disk(cloud, mark + b'plain'))
    for size in (100, 100000):
        for name, how in (('service', {'ServerSideEncryption': 'AES256'}), ('customer', customer('a'))):
            s3.put_object(Bucket=bucket, Key=name, Body=mark + b'sealed' + b'.' * size, **how)
    check(not on_disk(cloud, mark + b'sealed'), on_disk(cloud, mark + b'sealed'))
    check(not on_disk(cloud, base64.b64decode(customer('a')['SSECustomerKey'])))


def test_after_a_start(cloud, s3, demo, anyone):
    bucket, data = new_bucket(s3), content(100000)
    s3.put_object(Bucket=bucket, Key='o', Body=data, ServerSideEncryption='AES256')
    for flags in ([], ['--new-object-key'], []):
        cloud.process.stop()
        args = cloud.process.args
        cloud.process.args = args + flags
        cloud.start()
        cloud.process.args = args
        check(read(s3, bucket, 'o') == data)
        s3.put_object(Bucket=bucket, Key='new', Body=data[1:], ServerSideEncryption='AES256')
        check(read(s3, bucket, 'new') == data[1:])
    cloud.process.stop()   # The log is whole then.
    check(cloud.log().count('crypt.new_key') == 1)
    cloud.start()
    check(read(s3, bucket, 'new') == data[1:])


TESTS = [test_service_keys, test_customers_keys, test_wrong_headers, test_default, test_uploads, test_copies, test_swift, test_at_rest,
         test_after_a_start]

if __name__ == '__main__':
    with Cloud() as cloud:
        who = clients(cloud)
        for test in TESTS:
            with report.test('s3_encryption.' + test.__name__[5:]):
                test(cloud, *who)
    report.exit()
