"""boto3 clients for a test's cloud, and what tests of S3 share."""
import itertools
import json
import os
import urllib.request

import boto3
import botocore.client
import botocore.exceptions

from cloud import PASSWORD, check

count = itertools.count(1)


def client(cloud, access, secret, **config):
    """A client with these keys; access None: anonymous."""
    options = {'s3': {'addressing_style': 'path'}, 'retries': {'max_attempts': 1}, **config}
    if access is None:
        options['signature_version'] = botocore.UNSIGNED
    return boto3.client('s3', endpoint_url='http://127.0.0.1:%d' % (cloud.base + 1), region_name='us-east-1', aws_access_key_id=access,
                        aws_secret_access_key=secret, config=botocore.client.Config(**options))


def keystone(cloud, method, path, body=None, token=None):
    """(JSON, token of the answer) of a Keystone call."""
    rq = urllib.request.Request('http://127.0.0.1:%d/v3%s' % (cloud.base, path), method=method,
                                data=None if body is None else json.dumps(body).encode(),
                                headers={'Content-Type': 'application/json', **({'X-Auth-Token': token} if token else {})})
    with urllib.request.urlopen(rq) as answer:
        text = answer.read()
        return json.loads(text) if text else None, answer.headers['X-Subject-Token']


def clients(cloud):
    """Clients of admin, of demo, and of nobody; the first two have 'project' set."""
    made = []
    for name in ('admin', 'demo'):
        password = {'admin': PASSWORD}.get(name) or demo_password(cloud)
        body = {'auth': {'identity': {'methods': ['password'], 'password': {'user': {'name': name, 'domain': {'id': 'default'},
                                                                                      'password': password}}},
                         'scope': {'project': {'name': name, 'domain': {'id': 'default'}}}}}
        answer, token = keystone(cloud, 'POST', '/auth/tokens', body)
        user, project = answer['token']['user']['id'], answer['token']['project']['id']
        key = keystone(cloud, 'POST', '/users/%s/credentials/OS-EC2' % user, {'tenant_id': project}, token)[0]['credential']
        s3 = client(cloud, key['access'], key['secret'])
        s3.project, s3.keys = project, key
        made.append(s3)
    return made + [client(cloud, None, None)]


def demo_password(cloud):
    with open(os.path.join(cloud.data, 'openrc-demo')) as f:
        for line in f:
            if 'OS_PASSWORD=' in line:
                return line.split('=', 1)[1].strip().strip("'\"")
    raise RuntimeError('openrc-demo has no password')


def new_bucket(s3, **kw):
    name = 'bucket-%d' % next(count)
    s3.create_bucket(Bucket=name, **kw)
    return name


def fails(code, call, *args, **kw):
    """The call fails with this code (or status, when a number); returns the error."""
    try:
        answer = call(*args, **kw)
    except botocore.exceptions.ClientError as e:
        got = e.response['Error']['Code'], e.response['ResponseMetadata']['HTTPStatusCode']
        check(code in got, 'wanted %s, got %s: %s' % (code, got, e.response['Error'].get('Message')))
        return e
    raise AssertionError('%s did not fail but gave %s' % (getattr(call, '__name__', call), answer))
