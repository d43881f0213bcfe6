#!/usr/bin/python3
"""Stock S3 and Swift clients do real work against a real cloud; every byte is compared.

  clients_test.py [NAME]...      (default: all of aws boto3 s3cmd rclone-s3 rclone-swift s3fs restic swift)

A client that is not installed is skipped, and so is s3fs where there is no FUSE."""
import filecmp
import hashlib
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'api'))
from cloud import Cloud, Report, check, payload   # noqa: E402

report = Report()
SIZES = [0, 1, 4095, 4096, 16384, 16385, 65536, 300000, 1048576, 1048577]


def read_env(path):
    with open(path) as f:
        lines = [l.strip().removeprefix('export ') for l in f if '=' in l and not l.startswith('#')]
    return {k: v.strip('"\'') for k, v in (l.split('=', 1) for l in lines)}


class Bench:
    """A directory with a tree of files, and the environment that the clients read."""

    def __init__(self, cloud, name):
        self.top = os.path.join(cloud.dir, 'client-' + name)
        self.home = os.path.join(self.top, 'home')
        os.makedirs(self.home)
        s3 = read_env(os.path.join(cloud.data, 's3.env'))
        self.key, self.secret, self.url = s3['AWS_ACCESS_KEY_ID'], s3['AWS_SECRET_ACCESS_KEY'], s3['AWS_ENDPOINT_URL']
        self.region = s3['AWS_DEFAULT_REGION']
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(('AWS_', 'OS_')) and not k.lower().endswith('_proxy')}
        self.env.update(HOME=self.home, LC_ALL='C.UTF-8', AWS_ACCESS_KEY_ID=self.key, AWS_SECRET_ACCESS_KEY=self.secret,
                        AWS_DEFAULT_REGION=self.region)

    def run(self, *args, want=0, binary=False, stderr_too=False, **options):
        p = subprocess.run(args, cwd=self.top, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=240, **options)
        ok = p.returncode == 0 if want == 0 else p.returncode != 0
        check(ok, '%s: exit %d\n%s\n%s' % (' '.join(args), p.returncode, p.stdout[-1500:].decode(errors='replace'),
                                           p.stderr[-1500:].decode(errors='replace')))
        if binary:
            return p.stdout
        return (p.stdout + (p.stderr if stderr_too else b'')).decode(errors='replace')

    def path(self, *names):
        return os.path.join(self.top, *names)

    def tree(self, count=60):
        """Files of odd names and edge sizes, among them one that clients send in parts."""
        for i in range(count):
            folder = self.path('tree', 'd%d' % (i % 7), 'söme dir' if i % 3 else 'x')
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, 'file %d+%%&é.bin' % i), 'wb') as f:
                f.write(payload('tree%d' % i, SIZES[i % len(SIZES)]))
        with open(self.path('tree', 'large.bin'), 'wb') as f:
            f.write(payload('large', 24 * 1024 * 1024 + 13))
        return self.path('tree')


def files_of(top):
    return sorted(os.path.relpath(os.path.join(d, f), top) for d, _, names in os.walk(top) for f in names)


def same_tree(a, b):
    names, other = files_of(a), files_of(b)
    check(names == other, 'only here: %s; only there: %s' % (sorted(set(names) - set(other))[:5], sorted(set(other) - set(names))[:5]))
    _, bad, errors = filecmp.cmpfiles(a, b, names, shallow=False)
    check(not bad and not errors, (bad[:5], errors[:5]))


def sha(data):
    return hashlib.sha256(data).hexdigest()


def read(path):
    with open(path, 'rb') as f:
        return f.read()


# --- The clients. ---

def test_aws(b):
    def aws(*args, **options):
        return b.run('aws', '--endpoint-url', b.url, '--cli-read-timeout', '120', *args, **options)
    tree = b.tree()
    with report.test('aws: mb, sync up, ls'):
        aws('s3', 'mb', 's3://aws-box')
        aws('s3', 'sync', '--only-show-errors', tree, 's3://aws-box/t')
        check(len(aws('s3', 'ls', '--recursive', 's3://aws-box/t/').splitlines()) == len(files_of(tree)))
    with report.test('aws: sync down gives the same tree'):
        aws('s3', 'sync', '--only-show-errors', 's3://aws-box/t', b.path('back'))
        same_tree(tree, b.path('back'))
    with report.test('aws: a second sync copies nothing; a changed file only'):
        check(aws('s3', 'sync', tree, 's3://aws-box/t').strip() == '')
        with open(os.path.join(tree, 'd0', 'x', 'new'), 'w') as f:
            f.write('new')
        check(aws('s3', 'sync', '--no-progress', tree, 's3://aws-box/t').count('upload:') == 1)
    with report.test('aws: cp through pipes, head-object, range, presign'):
        data = payload('pipe', 12 * 1024 * 1024)
        aws('s3', 'cp', '-', 's3://aws-box/pipe', input=data)
        check(sha(aws('s3', 'cp', 's3://aws-box/pipe', '-', binary=True)) == sha(data))
        check('"ContentLength": %d' % len(data) in aws('s3api', 'head-object', '--bucket', 'aws-box', '--key', 'pipe'))
        aws('s3api', 'get-object', '--bucket', 'aws-box', '--key', 'pipe', '--range', 'bytes=5000000-5000099', b.path('piece'))
        check(read(b.path('piece')) == data[5000000:5000100])
        url = aws('s3', 'presign', 's3://aws-box/pipe').strip()
        check(sha(b.run('curl', '-sf', url, binary=True)) == sha(data))
    with report.test('aws: versioning brings back what was overwritten'):
        api = ('s3api',)
        aws(*api, 'put-bucket-versioning', '--bucket', 'aws-box', '--versioning-configuration', 'Status=Enabled')
        for text in ('one', 'two'):
            aws('s3', 'cp', '-', 's3://aws-box/v', input=text.encode())
        aws('s3', 'rm', 's3://aws-box/v')
        listed = aws(*api, 'list-object-versions', '--bucket', 'aws-box', '--prefix', 'v', '--query', 'Versions[].VersionId', '--output', 'text').split()
        check(len(listed) == 2, listed)
        aws(*api, 'get-object', '--bucket', 'aws-box', '--key', 'v', '--version-id', listed[1], b.path('one'))
        check(read(b.path('one')) == b'one')
    with report.test('aws: mv, rm --recursive'):
        aws('s3', 'mv', '--only-show-errors', 's3://aws-box/t/large.bin', 's3://aws-box/moved.bin')
        check(sha(aws('s3', 'cp', 's3://aws-box/moved.bin', '-', binary=True)) == sha(read(os.path.join(tree, 'large.bin'))))
        aws('s3', 'rm', '--only-show-errors', '--recursive', 's3://aws-box')
        check(aws('s3', 'ls', '--recursive', 's3://aws-box').strip() == '')


def test_boto3(b):
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError
    import io
    s3 = boto3.client('s3', endpoint_url=b.url, aws_access_key_id=b.key, aws_secret_access_key=b.secret, region_name=b.region,
                      config=Config(retries={'max_attempts': 1}, s3={'addressing_style': 'path'}))
    large = payload('boto', 40 * 1024 * 1024 + 1)
    with report.test('boto3: managed transfer in parts, both ways'):
        s3.create_bucket(Bucket='boto-box')
        s3.upload_fileobj(io.BytesIO(large), 'boto-box', 'dir/large', ExtraArgs={'Metadata': {'color': 'red'}, 'ContentType': 'x/y'})
        out = io.BytesIO()
        s3.download_fileobj('boto-box', 'dir/large', out)
        check(sha(out.getvalue()) == sha(large))
        head = s3.head_object(Bucket='boto-box', Key='dir/large')
        check(head['Metadata'] == {'color': 'red'} and head['ContentType'] == 'x/y' and '-' in head['ETag'], head)
    with report.test('boto3: 300 objects, listed page by page, with folders'):
        for i in range(300):
            s3.put_object(Bucket='boto-box', Key='many/%03d/é' % i, Body=b'%d' % i)
        seen = [o['Key'] for page in s3.get_paginator('list_objects_v2').paginate(Bucket='boto-box', Prefix='many/', PaginationConfig={'PageSize': 70})
                for o in page.get('Contents', [])]
        check(seen == ['many/%03d/é' % i for i in range(300)], seen[:3])
        page = s3.list_objects_v2(Bucket='boto-box', Prefix='many/', Delimiter='/', MaxKeys=5)
        check([p['Prefix'] for p in page['CommonPrefixes']] == ['many/%03d/' % i for i in range(5)] and page['IsTruncated'])
    with report.test('boto3: conditional writes, copies, tags'):
        s3.put_object(Bucket='boto-box', Key='once', Body=b'1')
        s3.copy_object(Bucket='boto-box', Key='copy', CopySource='boto-box/dir/large', MetadataDirective='REPLACE', Metadata={'a': 'b'})
        check(sha(s3.get_object(Bucket='boto-box', Key='copy')['Body'].read()) == sha(large))
        s3.put_object_tagging(Bucket='boto-box', Key='once', Tagging={'TagSet': [{'Key': 'k', 'Value': 'v'}]})
        check(s3.get_object_tagging(Bucket='boto-box', Key='once')['TagSet'] == [{'Key': 'k', 'Value': 'v'}])
    with report.test('boto3: errors carry their codes'):
        for call, code in ((lambda: s3.get_object(Bucket='boto-box', Key='none'), 'NoSuchKey'),
                           (lambda: s3.list_objects_v2(Bucket='no-such-box-here'), 'NoSuchBucket'),
                           (lambda: s3.delete_bucket(Bucket='boto-box'), 'BucketNotEmpty')):
            try:
                call()
                check(False, code)
            except ClientError as e:
                check(e.response['Error']['Code'] == code, e.response)
    with report.test('boto3: delete_objects by the thousand, delete_bucket'):
        keys = [o['Key'] for page in s3.get_paginator('list_objects_v2').paginate(Bucket='boto-box') for o in page.get('Contents', [])]
        answer = s3.delete_objects(Bucket='boto-box', Delete={'Objects': [{'Key': k} for k in keys]})
        check(len(answer.get('Deleted', [])) == len(keys) and not answer.get('Errors'), answer.get('Errors'))
        s3.delete_bucket(Bucket='boto-box')


def test_s3cmd(b):
    host = b.url.split('//', 1)[1]
    with open(b.path('s3cfg'), 'w') as f:
        f.write('[default]\naccess_key = %s\nsecret_key = %s\nhost_base = %s\nhost_bucket = %s\nuse_https = False\n'
                'bucket_location = %s\nmultipart_chunk_size_mb = 6\n' % (b.key, b.secret, host, host, b.region))
    os.chmod(b.path('s3cfg'), 0o600)

    def s3cmd(*args, **options):
        return b.run('s3cmd', '-c', b.path('s3cfg'), '--no-progress', *args, **options)
    tree = b.tree()
    with report.test('s3cmd: mb, put --recursive, in parts'):
        s3cmd('mb', 's3://cmd-box')
        s3cmd('put', '--recursive', tree + '/', 's3://cmd-box/t/')
    with report.test('s3cmd: ls, du, info'):
        check(len(s3cmd('ls', '--recursive', 's3://cmd-box').splitlines()) == len(files_of(tree)))
        size = sum(os.path.getsize(os.path.join(tree, n)) for n in files_of(tree))
        check(s3cmd('du', 's3://cmd-box').split()[0] == str(size))
        check('File size:' in s3cmd('info', 's3://cmd-box/t/large.bin'))
    with report.test('s3cmd: sync down gives the same tree'):
        os.mkdir(b.path('back'))
        s3cmd('sync', 's3://cmd-box/t/', b.path('back') + '/')
        same_tree(tree, b.path('back'))
    with report.test('s3cmd: cp, mv, signurl'):
        s3cmd('cp', 's3://cmd-box/t/large.bin', 's3://cmd-box/copy.bin')
        s3cmd('mv', 's3://cmd-box/copy.bin', 's3://cmd-box/moved.bin')
        url = s3cmd('signurl', 's3://cmd-box/moved.bin', '+600').strip()
        check(sha(b.run('curl', '-sf', url, binary=True)) == sha(read(os.path.join(tree, 'large.bin'))))
    with report.test('s3cmd: del --recursive, rb'):
        s3cmd('del', '--recursive', '--force', 's3://cmd-box')
        s3cmd('rb', 's3://cmd-box')


def rclone_work(b, name, remote):
    tree = b.tree()

    def rclone(*args, **options):
        return b.run('rclone', '--config', b.path('rclone.conf'), '--retries', '1', *args, **options)
    box = remote + ':rclone-' + name
    with report.test('rclone %s: mkdir, sync, check --download' % name):
        rclone('mkdir', box)
        rclone('sync', tree, box + '/t')
        rclone('check', '--download', tree, box + '/t')
    with report.test('rclone %s: a second sync transfers nothing' % name):
        out = b.run('rclone', '--config', b.path('rclone.conf'), 'sync', '--use-json-log', '--stats', '1h', '-v', tree, box + '/t', stderr_too=True)
        check('"transfers":0' in out.replace(' ', ''), out[-800:])
        rclone('check', tree, box + '/t')
    with report.test('rclone %s: copy down gives the same tree' % name):
        rclone('copy', box + '/t', b.path('back'))
        same_tree(tree, b.path('back'))
    with report.test('rclone %s: rcat, cat, moveto, lsf, delete' % name):
        data = payload('rcat', 7 * 1024 * 1024)
        rclone('rcat', box + '/stream', input=data)
        check(sha(rclone('cat', box + '/stream', binary=True)) == sha(data))
        rclone('moveto', box + '/stream', box + '/moved')
        check('moved' in rclone('lsf', box))
        rclone('purge', box)


def test_rclone_s3(b):
    with open(b.path('rclone.conf'), 'w') as f:
        f.write('[r]\ntype = s3\nprovider = Other\naccess_key_id = %s\nsecret_access_key = %s\nendpoint = %s\nregion = %s\n'
                'upload_cutoff = 8M\nchunk_size = 5M\n' % (b.key, b.secret, b.url, b.region))
    rclone_work(b, 's3', 'r')


def test_rclone_swift(b, cloud):
    rc = read_env(os.path.join(cloud.data, 'openrc'))
    with open(b.path('rclone.conf'), 'w') as f:
        f.write('[w]\ntype = swift\nuser = %s\nkey = %s\nauth = %s\ntenant = %s\ndomain = Default\ntenant_domain = Default\nauth_version = 3\n'
                'chunk_size = 8M\n' % (rc['OS_USERNAME'], rc['OS_PASSWORD'], rc['OS_AUTH_URL'], rc['OS_PROJECT_NAME']))
    rclone_work(b, 'swift', 'w')


def test_s3fs(b):
    if not os.path.exists('/dev/fuse') or os.geteuid() != 0:
        report.skip('s3fs: mounts, copies, renames', 'no FUSE here')
        return
    with open(b.path('passwd'), 'w') as f:
        f.write('%s:%s\n' % (b.key, b.secret))
    os.chmod(b.path('passwd'), 0o600)
    b.run('aws', '--endpoint-url', b.url, 's3', 'mb', 's3://fs-box')
    mount = b.path('mnt')
    os.mkdir(mount)
    p = subprocess.run(['s3fs', 'fs-box', mount, '-o', 'passwd_file=' + b.path('passwd'), '-o', 'url=' + b.url, '-o', 'use_path_request_style',
                        '-o', 'endpoint=' + b.region, '-o', 'multipart_size=5'], env=b.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if p.returncode != 0 and b'fuse' in p.stdout.lower():
        report.skip('s3fs: mounts, copies, renames', p.stdout.decode(errors='replace').strip()[:100])
        return
    check(p.returncode == 0, p.stdout)
    try:
        tree = b.tree(12)
        with report.test('s3fs: cp -r, compare'):
            shutil.copytree(tree, os.path.join(mount, 't'))
            same_tree(tree, os.path.join(mount, 't'))
        with report.test('s3fs: rename, append, write in the middle, remove'):
            at = os.path.join(mount, 't', 'large.bin')
            os.rename(at, at + '.moved')
            with open(at + '.moved', 'ab') as f:
                f.write(b'tail')
            check(sha(read(at + '.moved')) == sha(read(os.path.join(tree, 'large.bin')) + b'tail'))
            with open(at + '.moved', 'r+b') as f:
                f.seek(1000)
                f.write(b'middle')
            want = bytearray(read(os.path.join(tree, 'large.bin')) + b'tail')
            want[1000:1006] = b'middle'
            check(sha(read(at + '.moved')) == sha(bytes(want)))
            shutil.rmtree(os.path.join(mount, 't'))
            check(os.listdir(mount) == [])
    finally:
        subprocess.run(['umount', '-l', mount])


def test_restic(b):
    b.env.update(RESTIC_REPOSITORY='s3:%s/restic-box' % b.url, RESTIC_PASSWORD='secret')
    tree = b.tree()
    with report.test('restic: init, backup, check --read-data'):
        b.run('restic', 'init')
        b.run('restic', 'backup', 'tree')
        b.run('restic', 'check', '--read-data')
    with report.test('restic: second snapshot, restore of the first gives the same tree'):
        shutil.copytree(tree, b.path('before'))
        with open(os.path.join(tree, 'large.bin'), 'r+b') as f:
            f.write(b'changed')
        b.run('restic', 'backup', 'tree')
        first = [l.split()[0] for l in b.run('restic', 'snapshots', '--compact').splitlines() if l[:8].strip().isalnum() and len(l.split()[0]) == 8][0]
        b.run('restic', 'restore', first, '--target', b.path('back'))
        same_tree(b.path('before'), b.path('back', 'tree'))
    with report.test('restic: forget --prune, check'):
        b.run('restic', 'forget', '--keep-last', '1', '--prune')
        b.run('restic', 'check')


def test_swift(b, cloud):
    rc = read_env(os.path.join(cloud.data, 'openrc'))
    b.env.update(rc)
    tree = b.tree()
    with report.test('swift: upload, in segments, and what S3 sees of it'):
        b.run('swift', 'upload', '--segment-size', str(8 << 20), '--skip-identical', 'swift-box', 'tree')
        b.run('swift', 'upload', 'swift-box', '--object-name', 'plain', os.path.join('tree', 'd3', 'söme dir', 'file 10+%&é.bin'))
        got = b.run('aws', '--endpoint-url', b.url, 's3', 'cp', 's3://swift-box/plain', '-', binary=True)
        check(got == read(os.path.join(tree, 'd3', 'söme dir', 'file 10+%&é.bin')))
    with report.test('swift: download gives the same tree, of S3 uploads too'):
        b.run('aws', '--endpoint-url', b.url, 's3', 'cp', '--only-show-errors', os.path.join(tree, 'large.bin'), 's3://swift-box/tree/from-s3.bin')
        b.run('swift', 'download', 'swift-box', '--output-dir', b.path('back'), '--prefix', 'tree/')
        shutil.copy(os.path.join(tree, 'large.bin'), os.path.join(tree, 'from-s3.bin'))
        same_tree(tree, b.path('back', 'tree'))
    with report.test('swift: copy and manifest of what S3 uploaded in parts'):
        b.run('swift', 'copy', 'swift-box', 'tree/from-s3.bin', '--destination', '/swift-box/tree/copy.bin')
        got = b.run('swift', 'download', 'swift-box', 'tree/copy.bin', '--output', '-', binary=True)
        check(sha(got) == sha(read(os.path.join(tree, 'large.bin'))))
        check('Manifest' not in b.run('swift', 'stat', 'swift-box', 'tree/copy.bin'))
    with report.test('swift: delete'):
        b.run('swift', 'delete', 'swift-box')


CLIENTS = {   # Name: program that must be there (None: checked inside), function, wants the cloud.
    'aws': ('aws', test_aws, False), 'boto3': ('boto3', test_boto3, False), 's3cmd': ('s3cmd', test_s3cmd, False),
    'rclone-s3': ('rclone', test_rclone_s3, False), 'rclone-swift': ('rclone', test_rclone_swift, True),
    's3fs': ('s3fs', test_s3fs, False), 'restic': ('restic', test_restic, False), 'swift': ('swift', test_swift, True),
}


def installed(program):
    if program != 'boto3':
        return shutil.which(program) is not None
    try:
        import boto3   # noqa: F401
        return True
    except ImportError:
        return False


def main():
    names = sys.argv[1:] or list(CLIENTS)
    with Cloud() as cloud:
        for name in names:
            program, function, wants_cloud = CLIENTS[name]
            if not installed(program):
                report.skip(name, program + ' is not installed')
                continue
            b = Bench(cloud, name)
            function(b, cloud) if wants_cloud else function(b)
            shutil.rmtree(b.top, ignore_errors=True)
    report.exit()


if __name__ == '__main__':
    main()
