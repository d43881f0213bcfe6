#!/usr/bin/env python3
"""Access keys: the stock `openstack` client makes, shows and deletes them; keystoneclient's own signer is believed by
/v3/ec2tokens; s3.env holds a key of the admin that survives restarts."""
import base64
import datetime
import hashlib
import hmac
import http.client
import json
import os
import stat
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cloud import Cloud, PASSWORD, Report, check

# Debian's packages are seen only by Debian's interpreter.
PYTHON = '/usr/bin/python3'
report = Report()


def read_env(path):
    out = subprocess.run(['sh', '-c', '. "$1"; env -0', 'sh', path], stdout=subprocess.PIPE, check=True, env={}).stdout
    return dict(e.split('=', 1) for e in out.decode().split('\0') if '=' in e)


class OpenStack:
    """`openstack` with the credentials of an openrc."""

    def __init__(self, openrc):
        self.env = dict(os.environ, **read_env(openrc))
        self.env['LC_ALL'] = 'C.UTF-8'

    def run(self, *args, want=0):
        p = subprocess.run(['openstack', *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        check((p.returncode == 0) == (want == 0), '%s: exit %d\n%s\n%s' % (args, p.returncode, p.stdout.decode(),
                                                                          p.stderr.decode()))
        return p.stdout.decode() + p.stderr.decode()

    def json(self, *args):
        p = subprocess.run(['openstack', *args, '-f', 'json'], env=self.env, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=120)
        check(p.returncode == 0, '%s: exit %d\n%s' % (args, p.returncode, p.stderr.decode()))
        return json.loads(p.stdout)


def call(cloud, method, path, body=None, token=None):
    connection = http.client.HTTPConnection('127.0.0.1', cloud.base, timeout=60)
    headers = {'X-Auth-Token': token} if token else {}
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, answer.getheader('X-Subject-Token'), json.loads(data) if data else None


# The request that keystoneclient's signer signs, in both versions.
SIGNER = '''
import datetime, hashlib, json, sys
from keystoneclient.contrib.ec2 import utils
access, secret, version = sys.argv[1:]
now = datetime.datetime.utcnow()
c = {"access": access, "host": "cloud.example:8773", "verb": "GET", "path": "/services/Cloud", "headers": {},
     "params": {"AWSAccessKeyId": access, "Action": "DescribeInstances", "odd name/*~": "sp ace+=&\\u00e4"}, "body_hash": ""}
if version == "2":
    c["params"].update({"SignatureVersion": "2", "Timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")})
else:
    c["headers"] = {"Host": "cloud.example:8773", "X-Amz-Date": now.strftime("%Y%m%dT%H%M%SZ"),
        "Authorization": "AWS4-HMAC-SHA256 Credential=%s/%s/RegionOne/ec2/aws4_request, "
                         "SignedHeaders=host;x-amz-date, Signature=x" % (access, now.strftime("%Y%m%d"))}
    c["body_hash"] = hashlib.sha256(b"").hexdigest()
c["signature"] = utils.Ec2Signer(secret).generate(c)
print(json.dumps(c))
'''


def signed(access, secret, version):
    return json.loads(subprocess.run([PYTHON, '-c', SIGNER, access, secret, version], stdout=subprocess.PIPE,
                                     check=True, timeout=60).stdout)


def sign_s3(secret, text, version):
    if version == '1':
        return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
    key = ('AWS4' + secret).encode()
    for part in text.split('\n')[2].split('/'):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def test_ec2_commands(admin, demo):
    with report.test('openstack ec2 credentials create, show, list, delete'):
        made = demo.json('ec2', 'credentials', 'create')
        check(len(made['access']) == 32 and len(made['secret']) == 32 and made['trust_id'] is None, made)
        check(made['project_id'] == demo.json('token', 'issue')['project_id'], made)
        shown = demo.json('ec2', 'credentials', 'show', made['access'])
        check(shown == made, (shown, made))
        listed = demo.json('ec2', 'credentials', 'list')
        check([(e['Access'], e['Secret'], e['Project ID'], e['User ID']) for e in listed] ==
              [(made['access'], made['secret'], made['project_id'], made['user_id'])], listed)
        check(demo.json('credential', 'list')[0]['Type'] == 'ec2', 'in the general list too')
        demo.run('ec2', 'credentials', 'delete', made['access'])
        check(demo.json('ec2', 'credentials', 'list') == [], 'deleted')
        check('404' in demo.run('ec2', 'credentials', 'show', made['access'], want=1), 'shown after deletion')
    with report.test('openstack ec2 credentials of another user: the admin may, a member may not'):
        made = admin.json('ec2', 'credentials', 'create', '--user', 'demo', '--project', 'demo')
        check(made['access'] in [e['Access'] for e in demo.json('ec2', 'credentials', 'list')], 'the user sees it')
        check(made['access'] not in [e['Access'] for e in admin.json('ec2', 'credentials', 'list')], 'the admin has it')
        admin_id = admin.json('token', 'issue')['user_id']
        check('403' in demo.run('ec2', 'credentials', 'list', '--user', admin_id, want=1), 'the list of the admin')
        admin.run('ec2', 'credentials', 'delete', '--user', 'demo', made['access'])


def test_credential_commands(admin, demo):
    with report.test('openstack credential create, show, list, set, delete'):
        made = admin.json('credential', 'create', '--type', 'cert', 'demo', 'a text äöü')
        check(made['blob'] == 'a text äöü' and made['project_id'] is None, made)
        shown = admin.json('credential', 'show', made['id'])
        check(shown == made, shown)
        admin.run('credential', 'set', made['id'], '--user', 'demo', '--type', 'totp', '--data', 'another')
        shown = admin.json('credential', 'show', made['id'])
        check(shown['blob'] == 'another' and shown['type'] == 'totp', shown)
        check([e['ID'] for e in admin.json('credential', 'list', '--type', 'totp', '--user', 'demo')] == [made['id']], 'list')
        admin.run('credential', 'delete', made['id'])
        check(admin.json('credential', 'list', '--type', 'totp') == [], 'deleted')
    with report.test('openstack credential: a key that the caller chose'):
        blob = json.dumps({'access': 'CHOSEN-ACCESS', 'secret': 'chosen/secret+1'})
        made = admin.json('credential', 'create', '--type', 'ec2', '--project', 'demo', 'demo', blob)
        check(made['id'] == hashlib.sha256(b'CHOSEN-ACCESS').hexdigest(), made)
        check(demo.json('ec2', 'credentials', 'show', 'CHOSEN-ACCESS')['secret'] == 'chosen/secret+1', 'secret')
        check('409' in admin.run('credential', 'create', '--type', 'ec2', '--project', 'demo', 'demo', blob, want=1), 'twice')


def test_tokens(cloud, admin):
    token = admin.json('token', 'issue')['id']
    access, secret = 'CHOSEN-ACCESS', 'chosen/secret+1'
    for version in '2', '4':
        with report.test('ec2tokens: version %s as keystoneclient signs it' % version):
            body = signed(access, secret, version)
            status, subject, answer = call(cloud, 'POST', '/v3/ec2tokens', {'credentials': body}, token)
            check(status == 200 and subject, (status, answer))
            check(answer['token']['methods'] == ['ec2credential'] and answer['token']['project']['name'] == 'demo' and
                  answer['token']['user']['name'] == 'demo', answer)
            check(call(cloud, 'GET', '/v3/auth/projects', None, subject)[0] == 200, 'the token is good')
            check(call(cloud, 'POST', '/v3/ec2tokens', {'credentials': body})[0] == 401, 'without a token')
            check(call(cloud, 'POST', '/v3/ec2tokens', {'credentials': body}, subject)[0] == 403, 'as a member')
            body['verb'] = 'PUT'
            check(call(cloud, 'POST', '/v3/ec2tokens', {'credentials': body}, token)[0] == 401, 'another verb')
    with report.test('s3tokens: signatures of both kinds'):
        day = datetime.datetime.utcnow().strftime('%Y%m%d')
        texts = {'1': 'GET\n\n\nThu, 01 Jan 2026 00:00:00 +0000\n/bucket/key',
                 '4': 'AWS4-HMAC-SHA256\n%sT000000Z\n%s/RegionOne/s3/aws4_request\n%s' % (day, day, '0' * 64)}
        for version, text in texts.items():
            body = {'access': access, 'token': base64.urlsafe_b64encode(text.encode()).decode(),
                    'signature': sign_s3(secret, text, version)}
            status, subject, answer = call(cloud, 'POST', '/v3/s3tokens', {'credentials': body}, token)
            check(status == 200 and subject is None and answer['token']['user']['name'] == 'demo', (status, answer))
            body['signature'] = sign_s3('wrong', text, version)
            check(call(cloud, 'POST', '/v3/s3tokens', {'credentials': body}, token)[0] == 401, 'another secret')


def test_s3_env(cloud, admin):
    path = os.path.join(cloud.data, 's3.env')
    with report.test('s3.env: a key of the admin, for its owner only, the same after a restart'):
        check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, oct(os.stat(path).st_mode))
        before = read_env(path)
        check(before['AWS_ENDPOINT_URL'] == 'http://127.0.0.1:%d' % (cloud.base + 1), before)
        check(before['AWS_DEFAULT_REGION'] == 'RegionOne', before)
        listed = admin.json('ec2', 'credentials', 'list')
        check([(e['Access'], e['Secret']) for e in listed] ==
              [(before['AWS_ACCESS_KEY_ID'], before['AWS_SECRET_ACCESS_KEY'])], listed)
        os.unlink(path)
        cloud.process.kill()
        cloud.process.start()
        check(read_env(path) == before, 'another file after the restart')
        check(len(admin.json('ec2', 'credentials', 'list')) == 1, 'another key after the restart')
    with report.test('s3.env: a key that was deleted does not come back'):
        admin.run('ec2', 'credentials', 'delete', before['AWS_ACCESS_KEY_ID'])
        cloud.process.stop()
        cloud.process.start()
        check(admin.json('ec2', 'credentials', 'list') == [], 'it came back')
    with report.test('catalog: s3'):
        services = [(e['Name'], e['Type']) for e in admin.json('catalog', 'list')]
        check(('s3', 's3') in services, services)


def test_users(admin):
    with report.test('openstack user: email, description and default project are kept'):
        made = admin.json('user', 'create', '--email', 'u@example.org', '--description', 'about u', '--project', 'demo',
                          '--password', 'pw', 'u')
        shown = admin.json('user', 'show', 'u')
        check(shown['email'] == 'u@example.org' and shown['description'] == 'about u', shown)
        check(shown['default_project_id'] == made['default_project_id'], shown)
        admin.run('user', 'set', '--email', 'v@example.org', 'u')
        shown = admin.json('user', 'show', 'u')
        check(shown['email'] == 'v@example.org' and shown['description'] == 'about u', shown)
        admin.run('ec2', 'credentials', 'create', '--user', 'u', '--project', 'demo')
        admin.run('user', 'delete', 'u')
        owners = [e['User ID'] for e in admin.json('credential', 'list', '--type', 'ec2')]
        check(owners and made['id'] not in owners, 'keys went with the user')


def main():
    with Cloud() as cloud:
        admin = OpenStack(os.path.join(cloud.data, 'openrc'))
        demo = OpenStack(os.path.join(cloud.data, 'openrc-demo'))
        test_ec2_commands(admin, demo)
        test_credential_commands(admin, demo)
        test_tokens(cloud, admin)
        test_users(admin)
        test_s3_env(cloud, admin)
        with report.test('no secret in the log'):
            check('chosen/secret' not in cloud.log(), 'the log has a secret')
    report.exit()


main()
