#!/usr/bin/python3
"""Lifecycle rules at work, with days of two seconds: what is due goes, what is not due or locked stays."""
import datetime
import http.client
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cloud import Cloud, Report, check
from s3_client import clients, new_bucket

DAY_S = 2
report = Report()


def until(what, wanted, text):
    """Asks again and again; each answer is looked at, the worker does the waiting."""
    deadline = time.monotonic() + 90
    while True:
        got = what()
        if got == wanted:
            return
        check(time.monotonic() < deadline, '%s: wanted %s, got %s' % (text, wanted, got))


def counter(cloud, name):
    connection = http.client.HTTPConnection('127.0.0.1', cloud.base + 12, timeout=60)
    connection.request('GET', '/metrics')
    text = connection.getresponse().read().decode()
    connection.close()
    return int(re.search(r'^ringstack_%s_total (\d+)$' % name, text, re.M).group(1))


def keys(s3, bucket):
    return [o['Key'] for o in s3.list_objects_v2(Bucket=bucket).get('Contents', [])]


def versions(s3, bucket):
    answer = s3.list_object_versions(Bucket=bucket)
    return [(v['Key'], v['VersionId']) for v in answer.get('Versions', [])], [m['Key'] for m in answer.get('DeleteMarkers', [])]


def rules(s3, bucket, *all_rules):
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={'Rules': [
        dict({'ID': 'rule%d' % n, 'Status': 'Enabled'}, **rule) for n, rule in enumerate(all_rules)]})


def test_expiration(cloud, s3):
    bucket = new_bucket(s3)
    for key in ('go/1', 'go/2', 'keep/1', 'size/small', 'size/large', 'off/1', 'tag/with', 'tag/without'):
        s3.put_object(Bucket=bucket, Key=key, Body=b'x' * (5000 if key == 'size/large' else 10),
                      **({'Tagging': 'a=b'} if key == 'tag/with' else {}))
    rules(s3, bucket, {'Filter': {'Prefix': 'go/'}, 'Expiration': {'Days': 1}},
          {'Filter': {'And': {'Prefix': 'size/', 'ObjectSizeGreaterThan': 1000}}, 'Expiration': {'Days': 1}},
          {'Filter': {'And': {'Prefix': 'tag/', 'Tags': [{'Key': 'a', 'Value': 'b'}]}}, 'Expiration': {'Days': 1}},
          {'Filter': {'Prefix': 'keep/'}, 'Expiration': {'Days': 40000}},
          {'Filter': {'Prefix': 'off/'}, 'Expiration': {'Days': 1}, 'Status': 'Disabled'})
    until(lambda: keys(s3, bucket), ['keep/1', 'off/1', 'size/small', 'tag/without'], 'objects')
    answer = s3.put_object(Bucket=bucket, Key='keep/2', Body=b'')
    check('rule-id="rule3"' in answer['Expiration'], answer)
    check('Expiration' not in s3.head_object(Bucket=bucket, Key='off/1'))


def test_versions(cloud, s3):
    bucket = new_bucket(s3)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={'Status': 'Enabled'})
    made = {}
    for key in ('old/a', 'newer/b', 'gone/c'):
        made[key] = [s3.put_object(Bucket=bucket, Key=key, Body=b'%d' % n)['VersionId'] for n in range(5)]
    s3.delete_object(Bucket=bucket, Key='gone/c')
    rules(s3, bucket, {'Filter': {'Prefix': 'old/'}, 'NoncurrentVersionExpiration': {'NoncurrentDays': 1}},
          {'Filter': {'Prefix': 'newer/'}, 'NoncurrentVersionExpiration': {'NoncurrentDays': 1, 'NewerNoncurrentVersions': 2}},
          {'Filter': {'Prefix': 'gone/'}, 'NoncurrentVersionExpiration': {'NoncurrentDays': 1},
           'Expiration': {'ExpiredObjectDeleteMarker': True}})
    left = [('newer/b', v) for v in reversed(made['newer/b'][2:])] + [('old/a', made['old/a'][4])]
    until(lambda: versions(s3, bucket), (left, []), 'versions')
    check(s3.get_object(Bucket=bucket, Key='old/a')['Body'].read() == b'4')
    # A current version that expires leaves a marker.
    rules(s3, bucket, {'Filter': {'Prefix': 'old/'}, 'Expiration': {'Days': 1}})
    until(lambda: versions(s3, bucket)[1], ['old/a'], 'marker')
    check(('old/a', made['old/a'][4]) in versions(s3, bucket)[0])


def test_uploads(cloud, s3):
    bucket = new_bucket(s3)
    s3.create_multipart_upload(Bucket=bucket, Key='keep/a')
    upload = s3.create_multipart_upload(Bucket=bucket, Key='drop/a')['UploadId']
    s3.upload_part(Bucket=bucket, Key='drop/a', UploadId=upload, PartNumber=1, Body=b'x' * 100000)
    rules(s3, bucket, {'Filter': {'Prefix': 'drop/'}, 'AbortIncompleteMultipartUpload': {'DaysAfterInitiation': 1}})
    until(lambda: [u['Key'] for u in s3.list_multipart_uploads(Bucket=bucket)['Uploads']], ['keep/a'], 'uploads')


def test_locked(cloud, s3):
    bucket = new_bucket(s3, ObjectLockEnabledForBucket=True)
    first = s3.put_object(Bucket=bucket, Key='k', Body=b'1')['VersionId']
    second = s3.put_object(Bucket=bucket, Key='k', Body=b'2')['VersionId']
    third = s3.put_object(Bucket=bucket, Key='k', Body=b'3')['VersionId']
    s3.put_object_retention(Bucket=bucket, Key='k', VersionId=first, Retention={
        'Mode': 'COMPLIANCE', 'RetainUntilDate': datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)})
    before = counter(cloud, 'lifecycle_locked')
    rules(s3, bucket, {'Filter': {'Prefix': ''}, 'NoncurrentVersionExpiration': {'NoncurrentDays': 1}})
    until(lambda: versions(s3, bucket)[0], [('k', third), ('k', first)], 'versions; the second was %s' % second)
    until(lambda: counter(cloud, 'lifecycle_locked') > before, True, 'refusals')
    check(('k', first) in versions(s3, bucket)[0])


def test_removed_rules(cloud, s3):
    bucket = new_bucket(s3)
    rules(s3, bucket, {'Filter': {'Prefix': ''}, 'Expiration': {'Days': 1}})
    s3.delete_bucket_lifecycle(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key='stays', Body=b'')
    done = counter(cloud, 'lifecycle_buckets')
    until(lambda: counter(cloud, 'lifecycle_buckets') > done + 20, True, 'passes')
    check(keys(s3, bucket) == ['stays'])


TESTS = [test_expiration, test_versions, test_uploads, test_locked, test_removed_rules]

if __name__ == '__main__':
    with Cloud('--s3-day', str(DAY_S)) as cloud:
        s3 = clients(cloud)[0]
        for test in TESTS:
            with report.test('s3_lifecycle.' + test.__name__[5:]):
                test(cloud, s3)
    report.exit()
