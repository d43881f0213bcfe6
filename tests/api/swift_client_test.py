#!/usr/bin/env python3
"""The stock `swift` client and curl against a cloud: what a newcomer pastes from docs/api-swift.md."""
import filecmp
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cloud import Cloud, PASSWORD, Report, check, payload

POLICIES = ('replicated-3', 'ec-4-2')
report = Report()


class Shell:
    """Runs commands with the credentials that the cloud wrote."""

    def __init__(self, openrc, cwd):
        self.cwd = cwd
        out = subprocess.run(['sh', '-c', '. "$1"; env -0', 'sh', openrc], stdout=subprocess.PIPE, check=True).stdout
        self.env = dict(e.split('=', 1) for e in out.decode().split('\0') if '=' in e)
        self.env['LC_ALL'] = 'C.UTF-8'

    def __call__(self, *args, want=0):
        p = subprocess.run(args, cwd=self.cwd, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
        check((p.returncode == 0) == (want == 0), '%s: exit %d\n%s\n%s' % (args, p.returncode, p.stdout.decode()[-2000:],
                                                                          p.stderr.decode()[-2000:]))
        return p.stdout.decode()

    def swift(self, *args, want=0):
        return self('swift', *args, want=want)


def make_tree(top):
    """Files of odd names and edge sizes."""
    sizes = [0, 1, 4095, 4096, 16384, 16385, 65536, 300000, 1048576, 1048577, 3000000]
    for i in range(60):
        folder = os.path.join(top, 'tree', 'd%d' % (i % 7), 'söme dir' if i % 3 else 'x')
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, 'file %d+%%&é.bin' % i), 'wb') as f:
            f.write(payload('tree%d' % i, sizes[i % len(sizes)]))


def same_tree(a, b):
    cmp = filecmp.dircmp(a, b)
    check(not cmp.left_only and not cmp.right_only and not cmp.funny_files, (cmp.left_only, cmp.right_only))
    _, bad, errors = filecmp.cmpfiles(a, b, cmp.common_files, shallow=False)
    check(not bad and not errors, (bad, errors))
    for d in cmp.common_dirs:
        same_tree(os.path.join(a, d), os.path.join(b, d))


def test_policy(sh, top, policy):
    box = 'box-' + policy
    with report.test(policy + ': swift post, stat'):
        sh.swift('post', '-H', 'X-Storage-Policy: ' + policy, '-m', 'color:red', box)
        out = sh.swift('stat', box)
        check('Meta Color: red' in out and policy in out, out)
    with report.test(policy + ': swift upload, list, download of a tree'):
        sh.swift('upload', box, 'tree')
        listed = sh.swift('list', box).splitlines()
        local = sorted(os.path.relpath(os.path.join(d, f), top) for d, _, files in os.walk(os.path.join(top, 'tree')) for f in files)
        check(sorted(listed) == local, 'listing')
        out = os.path.join(top, 'out-' + policy)
        sh.swift('download', box, '-D', out)
        same_tree(os.path.join(top, 'tree'), os.path.join(out, 'tree'))
        shutil.rmtree(out)
        check('tree/' in sh.swift('list', '--delimiter', '/', box), 'delimiter')
        before = sh.swift('stat', box, listed[0])
        sh.swift('upload', '--changed', box, 'tree')
        after = sh.swift('stat', box, listed[0])
        stamp = [line for line in before.splitlines() if 'X-Timestamp' in line]
        check(stamp and stamp[0] in after, 'what did not change is not sent again')
    with report.test(policy + ': swift upload in segments, dynamic and static'):
        for kind in ((), ('--use-slo',)):
            name = 'big' + ''.join(kind)
            sh.swift('upload', '-S', '5000000', *kind, '--object-name', name, box, 'big.bin')
            sh.swift('download', box, name, '-o', 'back.bin')
            check(filecmp.cmp(os.path.join(top, 'big.bin'), os.path.join(top, 'back.bin'), shallow=False), name)
            stat = sh.swift('stat', box, name)
            check('Content Length: %d' % os.path.getsize(os.path.join(top, 'big.bin')) in stat, stat)
        sh.swift('delete', box, 'big--use-slo')
        sh.swift('delete', box, 'big')
        check(sh.swift('list', box + '_segments').strip() == '', 'segments are left')
    with report.test(policy + ': swift post and copy of an object'):
        name = sh.swift('list', box).splitlines()[0]
        sh.swift('post', '-m', 'shape:round', box, name)
        check('Meta Shape: round' in sh.swift('stat', box, name), 'meta')
        sh.swift('copy', '-d', '/%s/copied' % box, box, name)
        check('Meta Shape: round' in sh.swift('stat', box, 'copied'), 'copied meta')
    with report.test(policy + ': curl, public container'):
        sh.swift('post', '-r', '.r:*,.rlistings', box)
        sh.swift('upload', '--object-name', 'page.html', box, 'page.html')
        auth = dict(line.split('=', 1) for line in sh.swift('auth').replace('export ', '').splitlines())
        url = auth['OS_STORAGE_URL'] + '/' + box
        out = sh('curl', '-sfi', url + '/page.html')
        check('content-type: text/html' in out.lower() and out.endswith('<p>hello</p>\n'), out)
        check(json.loads(sh('curl', '-sf', url + '?format=json&prefix=page'))[0]['name'] == 'page.html', 'listing')
        sh('curl', '-sf', '-X', 'PUT', '--data-binary', '@page.html', url + '/page2.html', want=1)
        sh('curl', '-sf', '-T', 'page.html', '-H', 'X-Auth-Token: ' + auth['OS_AUTH_TOKEN'], url + '/page2.html')
        sh('curl', '-sf', '-C', '3', url + '/page2.html')
    with report.test(policy + ': swift delete of a container with all in it'):
        sh.swift('delete', box)
        sh.swift('stat', box, want=1)


def main():
    with Cloud() as cloud:
        top = os.path.join(cloud.dir, 'work')
        os.mkdir(top)
        make_tree(top)
        with open(os.path.join(top, 'big.bin'), 'wb') as f:
            f.write(payload('big', 12345678))
        with open(os.path.join(top, 'page.html'), 'w') as f:
            f.write('<p>hello</p>\n')
        admin = Shell(os.path.join(cloud.data, 'openrc'), top)
        demo = Shell(os.path.join(cloud.data, 'openrc-demo'), top)
        with report.test('swift capabilities, auth, stat'):
            check('slo' in admin.swift('capabilities'), 'capabilities')
            check('OS_AUTH_TOKEN' in admin.swift('auth'), 'auth')
            check('Containers: 0' in admin.swift('stat'), 'stat')
        for policy in POLICIES:
            test_policy(admin, top, policy)
        with report.test('a user of another project, with and without a list'):
            demo.swift('post', 'mine')
            demo.swift('upload', 'mine', 'page.html')
            admin.swift('post', 'theirs')
            admin.swift('upload', 'theirs', 'page.html')
            url = dict(line.split('=', 1) for line in admin.swift('auth').replace('export ', '').splitlines())['OS_STORAGE_URL']
            demo.swift('--os-storage-url', url, 'stat', want=1)
            demo.swift('--os-storage-url', url, 'stat', 'theirs', 'page.html', want=1)
            admin.swift('post', '-r', 'demo:demo', 'theirs')
            demo.swift('--os-storage-url', url, 'stat', 'theirs', 'page.html')
            demo.swift('--os-storage-url', url, 'upload', 'theirs', 'page.html', want=1)
            admin.swift('post', '-w', 'demo:*', 'theirs')
            demo.swift('--os-storage-url', url, 'upload', '--object-name', 'from-demo', 'theirs', 'page.html')
            check('from-demo' in admin.swift('list', 'theirs'), 'written')
        with report.test('legacy auth with the swift client'):
            demo('swift', '-A', 'http://127.0.0.1:%d/auth/v1.0' % (cloud.base + 1), '-U', 'admin:admin', '-K', PASSWORD, '-V', '1', 'list')
    report.exit()


if __name__ == '__main__':
    main()
