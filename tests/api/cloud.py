"""A real cloud for a test: starts bin/ringstack on ports and a directory of its own, and ends it.

Nothing here sleeps to wait: readiness is the line `ringstack: ready`, progress is counted in answers."""
import contextlib
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.parse

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get('RINGSTACK', os.path.join(TOP, 'bin/ringstack'))
PASSWORD = 'test-password'
RANKS = 13


def free_base():
    """A port base whose whole range is free now."""
    for _ in range(200):
        base = random.randrange(20000, 60000, 20)
        with contextlib.ExitStack() as stack:
            try:
                for rank in range(RANKS):
                    s = stack.enter_context(socket.socket())
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(('127.0.0.1', base + rank))
            except OSError:
                continue
            return base
    raise RuntimeError('no free ports')


class Process:
    """One ringstack process; output goes to a file in its directory."""

    def __init__(self, args, log, env=None):
        self.args, self.log, self.env = args, log, env
        self.process = None

    def start(self):
        err = open(self.log, 'ab')
        self.process = subprocess.Popen([PROGRAM] + self.args, stdout=subprocess.PIPE, stderr=err, stdin=subprocess.DEVNULL,
                                        env=dict(os.environ, **(self.env or {})))
        err.close()
        for line in self.process.stdout:
            if line.strip() == b'ringstack: ready':
                return self
        self.process.wait()
        with open(self.log, errors='replace') as f:
            raise RuntimeError('not ready, exit status %s:\n%s' % (self.process.returncode, f.read()[-3000:]))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        """Ends it politely; the exit status."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else None
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError('SIGTERM did not end it in 60 s')
        self.process.stdout.close()
        return self.process.returncode


class Client:
    """A Swift client of one keep-alive connection."""

    def __init__(self, base, timeout=60):
        self.port, self.timeout, self.connection = base + 1, timeout, None
        self.base = base
        self.token = self.path = None

    def raw(self, method, path, body=None, headers=None):
        """(status, headers, body); raises OSError or HTTPException when the connection breaks."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=self.timeout)
            self.connection.request(method, path, body, headers or {})
            answer = self.connection.getresponse()
            data = answer.read()
            if answer.will_close:
                self.close()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, data
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def login(self, user='admin:admin', password=PASSWORD):
        status, headers, body = self.raw('GET', '/auth/v1.0', headers={'X-Auth-User': user, 'X-Auth-Key': password})
        if status not in (200, 204):
            raise RuntimeError('login: %d %r' % (status, body))
        self.token = headers['x-auth-token']
        self.path = urllib.parse.urlsplit(headers['x-storage-url']).path
        return self

    def call(self, method, path='', body=None, headers=None):
        return self.raw(method, self.path + urllib.parse.quote(path), body, dict(headers or {}, **{'X-Auth-Token': self.token}))

    def query(self, method, path, query):
        return self.raw(method, self.path + urllib.parse.quote(path) + '?' + query, None, {'X-Auth-Token': self.token})

    def listing(self, container):
        """All names, page by page."""
        names, marker = [], ''
        while True:
            status, _, body = self.query('GET', '/' + container, urllib.parse.urlencode({'format': 'json', 'marker': marker, 'limit': 1000}))
            if status == 204:
                return names
            if status != 200:
                raise RuntimeError('listing: %d %r' % (status, body))
            page = [e['name'] for e in json.loads(body)]
            if not page:
                return names
            names += page
            marker = page[-1]


class Cloud:
    """`ringstack dev` in a temporary directory."""

    def __init__(self, *args):
        self.dir = tempfile.mkdtemp(prefix='ringstack-test-')
        self.data = os.path.join(self.dir, 'data')
        self.base = free_base()
        self.process = Process(['dev', '--data', self.data, '--port-base', str(self.base), '--admin-password', PASSWORD] + list(args),
                               os.path.join(self.dir, 'log'))

    def start(self):
        self.process.start()
        return self

    def client(self, **options):
        return Client(self.base, **options).login()

    def log(self):
        with open(self.process.log, errors='replace') as f:
            return f.read()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        try:
            self.process.stop()
        finally:
            if os.environ.get('KEEP'):
                print('# kept: ' + self.dir)
            else:
                shutil.rmtree(self.dir, ignore_errors=True)


class Nodes:
    """The same cloud as separate processes over TCP: node 1 control and proxy, nodes 2 to 4 storage with two devices each."""

    STORAGE = (2, 3, 4)

    def __init__(self, tls=None):
        """'tls': a function from the directory and a node to a [tls] section."""
        self.dir = tempfile.mkdtemp(prefix='ringstack-test-')
        self.base = free_base()
        # RPC ports lie behind the service ports; metrics of storage nodes use port bases of their own.
        self.bases = {1: self.base}
        while len(self.bases) < 4:
            base = free_base()
            if all(abs(base - b) >= 20 for b in self.bases.values()):
                self.bases[len(self.bases) + 1] = base
        password = os.path.join(self.dir, 'password')
        with open(password, 'w') as f:
            f.write(PASSWORD + '\n')
        common = '[cluster]\nid = 7e57c1a57e12\ncontrol-node = 1\npolicies = replicated-3 ec-4-2\n'
        for n, base in self.bases.items():
            common += '[node %d]\naddress = 127.0.0.1:%d\n' % (n, base + RANKS + 2)
        for d in range(6):
            n = self.STORAGE[d // 2]
            common += '[device %d]\nnode = %d\nzone = %d\nhost = h%d\npath = %s/drive%d\n' % (d, n, n, n, self.dir, d + 1)
        self.processes = {}
        for n, base in self.bases.items():
            config = os.path.join(self.dir, 'node%d.conf' % n)
            with open(config, 'w') as f:
                f.write(common + '[self]\nnode = %d\nroles = %s\ndata = %s/node%d\nport-base = %d\n%s%s' % (
                    n, 'control proxy' if n == 1 else 'storage', self.dir, n, base,
                    'admin-password-file = %s\n' % password if n == 1 else '', tls(self.dir, n) if tls else ''))
            self.processes[n] = Process(['node', '--config', config], os.path.join(self.dir, 'log%d' % n))

    def start(self):
        import threading
        failed = []

        def run(p):
            try:
                p.start()
            except Exception as e:
                failed.append(e)
        threads = [threading.Thread(target=run, args=(p,)) for p in self.processes.values()]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if failed:
            raise failed[0]
        return self

    def client(self, **options):
        return Client(self.base, **options).login()

    def log(self):
        return ''.join(open(p.log, errors='replace').read() for p in self.processes.values())

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        try:
            for p in self.processes.values():
                if p.process is not None:
                    p.stop()
        finally:
            if os.environ.get('KEEP'):
                print('# kept: ' + self.dir)
            else:
                shutil.rmtree(self.dir, ignore_errors=True)


def payload(seed, size):
    """Bytes that depend on the seed and cannot be compressed."""
    return random.Random(seed).randbytes(size)


def md5(data):
    return hashlib.md5(data).hexdigest()


class Report:
    """TAP lines; `with report.test('name'):` counts an exception as a failure."""

    def __init__(self):
        self.failed = 0

    @contextlib.contextmanager
    def test(self, name):
        try:
            yield
        except Exception as e:
            self.failed += 1
            import traceback
            print('not ok %s' % name)
            print('# ' + '\n# '.join(traceback.format_exc().strip().split('\n')))
        else:
            print('ok %s' % name)
        sys.stdout.flush()

    def skip(self, name, why):
        print('ok %s # SKIP %s' % (name, why))
        sys.stdout.flush()

    def exit(self):
        sys.exit(1 if self.failed else 0)


def check(condition, text=''):
    if not condition:
        raise AssertionError(text)
