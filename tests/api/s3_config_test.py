#!/usr/bin/python3
"""Subresources of buckets and objects through S3, by boto3: each is stored, read back, checked, removed, and does what it says."""
import base64
import datetime
import hashlib
import hmac
import http.client
import json
import os
import sys
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cloud import Cloud, Report, check
from s3_client import clients, fails, new_bucket

report = Report()
FUTURE = datetime.datetime(2040, 1, 1, tzinfo=datetime.timezone.utc)


def raw(cloud, method, path, headers=None, body=None):
    connection = http.client.HTTPConnection('127.0.0.1', cloud.base + 1, timeout=60)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, data


def test_versioning(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    check('Status' not in s3.get_bucket_versioning(Bucket=bucket))
    for status in ('Enabled', 'Suspended', 'Enabled'):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={'Status': status})
        check(s3.get_bucket_versioning(Bucket=bucket)['Status'] == status)
    fails('MalformedXML', s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={'Status': 'Off'})
    fails('AccessDenied', demo.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={'Status': 'Suspended'})
    fails('NoSuchBucket', s3.get_bucket_versioning, Bucket='no-such-bucket')


def test_bucket_tagging(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    fails('NoSuchTagSet', s3.get_bucket_tagging, Bucket=bucket)
    tags = [{'Key': 'a', 'Value': '1'}, {'Key': 'ü', 'Value': '<&>'}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={'TagSet': tags})
    check(s3.get_bucket_tagging(Bucket=bucket)['TagSet'] == tags)
    fails('InvalidTag', s3.put_bucket_tagging, Bucket=bucket, Tagging={'TagSet': [tags[0], tags[0]]})
    fails('InvalidTag', s3.put_bucket_tagging, Bucket=bucket, Tagging={'TagSet': [{'Key': 'k' * 129, 'Value': ''}]})
    s3.put_bucket_tagging(Bucket=bucket, Tagging={'TagSet': [{'Key': str(n), 'Value': ''} for n in range(50)]})
    fails('InvalidTag', s3.put_bucket_tagging, Bucket=bucket, Tagging={'TagSet': [{'Key': str(n), 'Value': ''} for n in range(51)]})
    s3.delete_bucket_tagging(Bucket=bucket)
    s3.delete_bucket_tagging(Bucket=bucket)
    fails('NoSuchTagSet', s3.get_bucket_tagging, Bucket=bucket)


def policy_of(bucket, effect, actions, principal='*'):
    return json.dumps({'Version': '2012-10-17', 'Statement': [{
        'Effect': effect, 'Principal': principal, 'Action': actions,
        'Resource': ['arn:aws:s3:::' + bucket, 'arn:aws:s3:::%s/*' % bucket]}]})


def test_policy(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key='k', Body=b'policy')
    fails('NoSuchBucketPolicy', s3.get_bucket_policy, Bucket=bucket)
    check(s3.get_bucket_policy_status(Bucket=bucket)['PolicyStatus']['IsPublic'] is False)
    fails(403, anyone.get_object, Bucket=bucket, Key='k')
    text = policy_of(bucket, 'Allow', ['s3:GetObject'])
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    check(s3.get_bucket_policy(Bucket=bucket)['Policy'] == text)
    check(s3.get_bucket_policy_status(Bucket=bucket)['PolicyStatus']['IsPublic'] is True)
    check(anyone.get_object(Bucket=bucket, Key='k')['Body'].read() == b'policy')
    fails(403, anyone.list_objects_v2, Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy_of(bucket, 'Allow', ['s3:ListBucket'], {'AWS': [demo.project]}))
    check(s3.get_bucket_policy_status(Bucket=bucket)['PolicyStatus']['IsPublic'] is False)
    check(len(demo.list_objects_v2(Bucket=bucket)['Contents']) == 1)
    fails(403, demo.get_object, Bucket=bucket, Key='k')
    fails(403, anyone.get_object, Bucket=bucket, Key='k')
    # Deny wins over ownership, but the owner gets at the policy still.
    s3.put_bucket_policy(Bucket=bucket, Policy=policy_of(bucket, 'Deny', ['s3:*']))
    fails('AccessDenied', s3.get_object, Bucket=bucket, Key='k')
    s3.delete_bucket_policy(Bucket=bucket)
    s3.get_object(Bucket=bucket, Key='k')
    fails('MalformedPolicy', s3.put_bucket_policy, Bucket=bucket, Policy='{"Version": ')
    fails('MalformedPolicy', s3.put_bucket_policy, Bucket=bucket, Policy=policy_of('another', 'Allow', ['s3:GetObject']))
    fails('AccessDenied', demo.put_bucket_policy, Bucket=bucket, Policy=text)


def test_public_access_block(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    fails('NoSuchPublicAccessBlockConfiguration', s3.get_public_access_block, Bucket=bucket)
    block = {'BlockPublicAcls': True, 'IgnorePublicAcls': True, 'BlockPublicPolicy': True, 'RestrictPublicBuckets': False}
    s3.put_bucket_acl(Bucket=bucket, ACL='public-read')
    anyone.list_objects_v2(Bucket=bucket)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    check(s3.get_public_access_block(Bucket=bucket)['PublicAccessBlockConfiguration'] == block)
    fails(403, anyone.list_objects_v2, Bucket=bucket)
    fails('AccessDenied', s3.put_bucket_acl, Bucket=bucket, ACL='public-read-write')
    fails('AccessDenied', s3.put_bucket_policy, Bucket=bucket, Policy=policy_of(bucket, 'Allow', ['s3:GetObject']))
    fails('AccessDenied', s3.put_object, Bucket=bucket, Key='k', Body=b'', ACL='public-read')
    s3.delete_public_access_block(Bucket=bucket)
    anyone.list_objects_v2(Bucket=bucket)


def test_ownership(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    rules = lambda name: {'Rules': [{'ObjectOwnership': name}]}
    s3.put_bucket_acl(Bucket=bucket, ACL='public-read-write')
    demo.put_object(Bucket=bucket, Key='theirs', Body=b'x')
    fails('InvalidBucketAclWithObjectOwnership', s3.put_bucket_ownership_controls, Bucket=bucket,
          OwnershipControls=rules('BucketOwnerEnforced'))
    s3.put_bucket_acl(Bucket=bucket, ACL='private')
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules('BucketOwnerEnforced'))
    check(s3.get_bucket_ownership_controls(Bucket=bucket)['OwnershipControls'] == rules('BucketOwnerEnforced'))
    fails('AccessControlListNotSupported', s3.put_bucket_acl, Bucket=bucket, ACL='public-read')
    fails('AccessControlListNotSupported', s3.put_object, Bucket=bucket, Key='k', Body=b'', ACL='public-read')
    s3.get_object(Bucket=bucket, Key='theirs')
    fails('MalformedXML', s3.put_bucket_ownership_controls, Bucket=bucket, OwnershipControls=rules('Nobody'))
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    fails('OwnershipControlsNotFoundError', s3.get_bucket_ownership_controls, Bucket=bucket)


def test_bucket_acl(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    acl = s3.get_bucket_acl(Bucket=bucket)
    check(acl['Owner']['ID'] == s3.project and [g['Permission'] for g in acl['Grants']] == ['FULL_CONTROL'], acl)
    fails(403, anyone.list_objects_v2, Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, ACL='public-read')
    check(len(s3.get_bucket_acl(Bucket=bucket)['Grants']) == 2)
    anyone.list_objects_v2(Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, GrantWrite='id=' + demo.project)
    demo.put_object(Bucket=bucket, Key='k', Body=b'')
    fails('AccessDenied', demo.list_objects_v2, Bucket=bucket)
    policy = {'Owner': {'ID': s3.project}, 'Grants': [
        {'Grantee': {'Type': 'CanonicalUser', 'ID': demo.project}, 'Permission': 'READ_ACP'}]}
    s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=policy)
    check(len(demo.get_bucket_acl(Bucket=bucket)['Grants']) == 1)
    fails('AccessDenied', demo.put_object, Bucket=bucket, Key='k', Body=b'')
    policy['Grants'][0]['Grantee']['ID'] = 'nobody-at-all'
    fails('InvalidArgument', s3.put_bucket_acl, Bucket=bucket, AccessControlPolicy=policy)


def test_object_acl(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key='k', Body=b'acl')
    fails(403, anyone.get_object, Bucket=bucket, Key='k')
    s3.put_object_acl(Bucket=bucket, Key='k', ACL='public-read')
    check(anyone.get_object(Bucket=bucket, Key='k')['Body'].read() == b'acl')
    check(len(s3.get_object_acl(Bucket=bucket, Key='k')['Grants']) == 2)
    fails('AccessDenied', demo.get_object_acl, Bucket=bucket, Key='k')
    fails('AccessDenied', demo.put_object_acl, Bucket=bucket, Key='k', ACL='private')
    s3.put_object_acl(Bucket=bucket, Key='k', GrantFullControl='id=' + demo.project)
    demo.put_object_acl(Bucket=bucket, Key='k', ACL='private')
    fails('AccessDenied', demo.get_object, Bucket=bucket, Key='k')
    fails('NoSuchKey', s3.get_object_acl, Bucket=bucket, Key='none')
    fails('InvalidArgument', s3.put_object_acl, Bucket=bucket, Key='k', ACL='public-everything')


def test_object_tagging(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key='k', Body=b'', Tagging='a=1&b=%C3%BC')
    check(s3.get_object_tagging(Bucket=bucket, Key='k')['TagSet'] == [{'Key': 'a', 'Value': '1'}, {'Key': 'b', 'Value': 'ü'}])
    etag = s3.head_object(Bucket=bucket, Key='k')['ETag']
    s3.put_object_tagging(Bucket=bucket, Key='k', Tagging={'TagSet': [{'Key': 'c', 'Value': ''}]})
    check(s3.get_object_tagging(Bucket=bucket, Key='k')['TagSet'] == [{'Key': 'c', 'Value': ''}])
    check(s3.head_object(Bucket=bucket, Key='k')['ETag'] == etag)
    fails('InvalidTag', s3.put_object_tagging, Bucket=bucket, Key='k',
          Tagging={'TagSet': [{'Key': str(n), 'Value': ''} for n in range(11)]})
    s3.delete_object_tagging(Bucket=bucket, Key='k')
    check(s3.get_object_tagging(Bucket=bucket, Key='k')['TagSet'] == [])
    fails('NoSuchKey', s3.get_object_tagging, Bucket=bucket, Key='none')
    fails('AccessDenied', demo.get_object_tagging, Bucket=bucket, Key='k')


def test_cors(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key='k', Body=b'cors', ACL='public-read')
    fails('NoSuchCORSConfiguration', s3.get_bucket_cors, Bucket=bucket)
    rules = [{'AllowedMethods': ['GET', 'PUT'], 'AllowedOrigins': ['http://*.example.com'], 'AllowedHeaders': ['x-amz-*'],
              'ExposeHeaders': ['x-amz-meta-a'], 'MaxAgeSeconds': 17}]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={'CORSRules': rules})
    check(s3.get_bucket_cors(Bucket=bucket)['CORSRules'] == rules)
    path = '/%s/k' % bucket
    origin = {'Origin': 'http://a.example.com', 'Access-Control-Request-Method': 'PUT'}
    status, headers, _ = raw(cloud, 'OPTIONS', path, dict(origin, **{'Access-Control-Request-Headers': 'X-Amz-Date'}))
    check(status == 200 and headers['access-control-allow-origin'] == 'http://a.example.com')
    check(headers['access-control-allow-methods'] == 'GET, PUT' and headers['access-control-max-age'] == '17')
    check(headers['access-control-allow-headers'].lower() == 'x-amz-date')
    check(raw(cloud, 'OPTIONS', path, dict(origin, Origin='http://example.org'))[0] == 403)
    check(raw(cloud, 'OPTIONS', path, dict(origin, **{'Access-Control-Request-Headers': 'X-Other'}))[0] == 403)
    check(raw(cloud, 'OPTIONS', path)[0] == 400)
    status, headers, data = raw(cloud, 'GET', path, {'Origin': 'http://b.example.com'})
    check(status == 200 and data == b'cors' and headers['access-control-expose-headers'] == 'x-amz-meta-a')
    check('access-control-allow-origin' not in raw(cloud, 'GET', path, {'Origin': 'http://c.org'})[1])
    status, headers, _ = raw(cloud, 'GET', '/%s/secret' % bucket, {'Origin': 'http://b.example.com'})
    check(status == 403 and headers['access-control-allow-origin'] == 'http://b.example.com')
    fails('InvalidRequest', s3.put_bucket_cors, Bucket=bucket,
          CORSConfiguration={'CORSRules': [{'AllowedMethods': ['FLY'], 'AllowedOrigins': ['*']}]})
    s3.delete_bucket_cors(Bucket=bucket)
    check(raw(cloud, 'OPTIONS', path, origin)[0] == 403)


def test_encryption_config(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    fails('ServerSideEncryptionConfigurationNotFoundError', s3.get_bucket_encryption, Bucket=bucket)
    rules = lambda name: {'Rules': [{'ApplyServerSideEncryptionByDefault': {'SSEAlgorithm': name}}]}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules('AES256'))
    got = s3.get_bucket_encryption(Bucket=bucket)['ServerSideEncryptionConfiguration']['Rules'][0]
    check(got['ApplyServerSideEncryptionByDefault'] == {'SSEAlgorithm': 'AES256'}, got)
    fails('NotImplemented', s3.put_bucket_encryption, Bucket=bucket, ServerSideEncryptionConfiguration=rules('aws:kms'))
    fails('MalformedXML', s3.put_bucket_encryption, Bucket=bucket, ServerSideEncryptionConfiguration=rules('ROT13'))
    s3.delete_bucket_encryption(Bucket=bucket)
    fails('ServerSideEncryptionConfigurationNotFoundError', s3.get_bucket_encryption, Bucket=bucket)


def test_lifecycle_config(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    fails('NoSuchLifecycleConfiguration', s3.get_bucket_lifecycle_configuration, Bucket=bucket)
    put = lambda *rules: s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={'Rules': list(rules)})
    one = {'ID': 'one', 'Filter': {'Prefix': 'a/'}, 'Status': 'Enabled', 'Expiration': {'Days': 3}}
    put(one, {'Filter': {'Prefix': 'b'}, 'Status': 'Disabled', 'NoncurrentVersionExpiration': {'NoncurrentDays': 2},
              'AbortIncompleteMultipartUpload': {'DaysAfterInitiation': 7}})
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)['Rules']
    check(rules[0] == one and rules[1]['ID'], rules)
    fails('InvalidArgument', put, one, one)
    fails('InvalidArgument', put, dict(one, Expiration={'Days': 0}))
    fails('MalformedXML', put, dict(one, Status='enabled'))
    check(s3.get_bucket_lifecycle_configuration(Bucket=bucket)['Rules'] == rules)
    s3.delete_bucket_lifecycle(Bucket=bucket)
    fails('NoSuchLifecycleConfiguration', s3.get_bucket_lifecycle_configuration, Bucket=bucket)


def test_object_lock(cloud, s3, demo, anyone):
    plain, bucket = new_bucket(s3), new_bucket(s3, ObjectLockEnabledForBucket=True)
    config = {'ObjectLockEnabled': 'Enabled', 'Rule': {'DefaultRetention': {'Mode': 'GOVERNANCE', 'Days': 1}}}
    fails('ObjectLockConfigurationNotFoundError', s3.get_object_lock_configuration, Bucket=plain)
    fails('InvalidBucketState', s3.put_object_lock_configuration, Bucket=plain, ObjectLockConfiguration=config)
    fails('InvalidBucketState', s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={'Status': 'Suspended'})
    version = s3.put_object(Bucket=bucket, Key='k', Body=b'1')['VersionId']
    at = {'Bucket': bucket, 'Key': 'k', 'VersionId': version}
    fails('NoSuchObjectLockConfiguration', s3.get_object_retention, **at)
    keep = lambda mode, until, **kw: s3.put_object_retention(Retention={'Mode': mode, 'RetainUntilDate': until}, **at, **kw)
    keep('GOVERNANCE', FUTURE)
    check(s3.get_object_retention(**at)['Retention'] == {'Mode': 'GOVERNANCE', 'RetainUntilDate': FUTURE})
    check(s3.head_object(**at)['ObjectLockMode'] == 'GOVERNANCE')
    fails('AccessDenied', s3.delete_object, **at)
    fails('AccessDenied', keep, 'GOVERNANCE', FUTURE.replace(year=2039))
    keep('GOVERNANCE', FUTURE.replace(year=2041))
    keep('GOVERNANCE', FUTURE, BypassGovernanceRetention=True)
    fails('InvalidArgument', keep, 'GOVERNANCE', FUTURE.replace(year=2001))
    fails('MalformedXML', keep, 'governance', FUTURE)
    s3.put_object_legal_hold(LegalHold={'Status': 'ON'}, **at)
    check(s3.get_object_legal_hold(**at)['LegalHold'] == {'Status': 'ON'})
    fails('AccessDenied', s3.delete_object, BypassGovernanceRetention=True, **at)
    s3.put_object_legal_hold(LegalHold={'Status': 'OFF'}, **at)
    s3.delete_object(BypassGovernanceRetention=True, **at)
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=config)
    check(s3.get_object_lock_configuration(Bucket=bucket)['ObjectLockConfiguration'] == config)
    answer = s3.put_object(Bucket=bucket, Key='k', Body=b'2')
    fails('AccessDenied', s3.delete_object, Bucket=bucket, Key='k', VersionId=answer['VersionId'])
    s3.delete_object(Bucket=bucket, Key='k')
    s3.put_object(Bucket=plain, Key='k', Body=b'')
    fails('InvalidRequest', s3.get_object_retention, Bucket=plain, Key='k')
    fails('InvalidRequest', s3.put_object_legal_hold, Bucket=plain, Key='k', LegalHold={'Status': 'ON'})


def form(fields, data):
    boundary = 'a-boundary-of-no-file'
    parts = ['--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (boundary, k, v) for k, v in fields.items()]
    head = '--%s\r\nContent-Disposition: form-data; name="file"; filename="f.txt"\r\nContent-Type: text/plain\r\n\r\n' % boundary
    body = ''.join(parts).encode() + head.encode() + data + ('\r\n--%s--\r\n' % boundary).encode()
    return body, {'Content-Type': 'multipart/form-data; boundary=' + boundary}


def test_post_object(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    expires = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime('%Y-%m-%dT%H:%M:%SZ')
    def post(fields=None, data=b'posted', conditions=None, secret=s3.keys['secret']):
        fields = {'key': 'up/${filename}', 'acl': 'public-read', 'Content-Type': 'text/x', 'x-amz-meta-a': 'b', **(fields or {})}
        policy = base64.b64encode(json.dumps({'expiration': expires, 'conditions': [
            {'bucket': bucket}, ['starts-with', '$key', 'up/'], {'acl': 'public-read'}, ['starts-with', '$Content-Type', 'text/'],
            ['starts-with', '$x-amz-meta-a', ''], ['content-length-range', 1, 100], ['starts-with', '$success_action_status', ''],
            ['starts-with', '$success_action_redirect', '']] + (conditions or [])}).encode())
        sign = base64.b64encode(hmac.new(secret.encode(), policy, hashlib.sha1).digest()).decode()
        body, headers = form(dict(fields, AWSAccessKeyId=s3.keys['access'], policy=policy.decode(), signature=sign), data)
        return raw(cloud, 'POST', '/' + bucket, headers, body)
    check(post()[0] == 204)
    got = s3.get_object(Bucket=bucket, Key='up/f.txt')
    check(got['Body'].read() == b'posted' and got['ContentType'] == 'text/x' and got['Metadata'] == {'a': 'b'})
    check(anyone.get_object(Bucket=bucket, Key='up/f.txt')['Body'].read() == b'posted')
    status, _, body = post({'success_action_status': '201'})
    check(status == 201 and b'<Key>up/f.txt</Key>' in body, body)
    status, headers, _ = post({'success_action_redirect': 'http://example.com/done?x=1'})
    check(status == 303 and headers['location'] == 'http://example.com/done?x=1&bucket=%s&key=%s&etag=%%22%s%%22' % (
        bucket, urllib.parse.quote('up/f.txt', ''), hashlib.md5(b'posted').hexdigest()), headers)
    check(b'EntityTooLarge' in post(data=b'x' * 101)[2])
    check(b'EntityTooSmall' in post(data=b'')[2])
    check(post({'key': 'elsewhere'})[0] == 403)
    check(post(secret='wrong')[0] == 403)
    check(post({'x-amz-meta-other': '1'})[0] == 403)
    body, headers = form({'key': 'anonymous'}, b'x')
    check(raw(cloud, 'POST', '/' + bucket, headers, body)[0] == 403)
    s3.put_bucket_acl(Bucket=bucket, ACL='public-read-write')
    check(raw(cloud, 'POST', '/' + bucket, headers, body)[0] == 204)


def test_not_built(cloud, s3, demo, anyone):
    bucket = new_bucket(s3)
    for call in (s3.get_bucket_website, s3.get_bucket_logging, s3.get_bucket_notification_configuration, s3.get_bucket_replication,
                 s3.get_bucket_accelerate_configuration, s3.list_bucket_inventory_configurations,
                 s3.list_bucket_analytics_configurations, s3.list_bucket_metrics_configurations):
        fails('NotImplemented', call, Bucket=bucket)
    check(s3.get_bucket_request_payment(Bucket=bucket)['Payer'] == 'BucketOwner')
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={'Payer': 'BucketOwner'})
    fails('NotImplemented', s3.put_bucket_request_payment, Bucket=bucket, RequestPaymentConfiguration={'Payer': 'Requester'})


TESTS = [test_versioning, test_bucket_tagging, test_policy, test_public_access_block, test_ownership, test_bucket_acl, test_object_acl,
         test_object_tagging, test_cors, test_encryption_config, test_lifecycle_config, test_object_lock, test_post_object,
         test_not_built]

if __name__ == '__main__':
    with Cloud() as cloud:
        who = clients(cloud)
        for test in TESTS:
            with report.test('s3_config.' + test.__name__[5:]):
                test(cloud, *who)
    report.exit()
