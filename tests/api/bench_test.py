#!/usr/bin/env python3
"""tests/api/bench_test.py - 'ringstack bench' against a small store in memory that can be told to misbehave.

The generator is what later tests and figures rely on, so it must notice every kind of wrong answer.
RINGSTACK names the program (default: bin/ringstack)."""
import hashlib
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.parse

PROGRAM = os.environ.get('RINGSTACK', 'bin/ringstack')


class Store(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        self.objects = {}
        self.containers = set()
        self.fault = None
        self.calls = 0
        super().__init__(('127.0.0.1', 0), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def answer(self, status, body=b'', chunked=False, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        if chunked:
            self.send_header('Transfer-Encoding', 'chunked')
            self.end_headers()
            for i in range(0, len(body), 1000):
                piece = body[i:i + 1000]
                self.wfile.write(b'%x\r\n%s\r\n' % (len(piece), piece))
            self.wfile.write(b'0\r\n\r\n')
            return
        if status != 204:
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def fault(self):
        self.server.calls += 1
        return self.server.fault

    def do_PUT(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        fault = self.fault()
        if self.path.count('/') == 3:
            self.server.containers.add(self.path)
            return self.answer(201)
        if fault == 'busy' and self.server.calls % 3 == 0:
            return self.answer(503, b'busy')
        if fault != 'lose' or self.server.calls % 10:
            self.server.objects[self.path] = body
        etag = hashlib.md5(body + (b'x' if fault == 'etag' else b'')).hexdigest()
        self.answer(201, ETag='"%s"' % etag)

    def do_GET(self):
        fault = self.fault()
        url = urllib.parse.urlsplit(self.path)
        if url.path == '/auth/v1.0':
            good = self.headers['X-Auth-User'] == 'u:v' and self.headers['X-Auth-Key'] == 'k'
            if not good:
                return self.answer(401)
            base = 'http://127.0.0.1:%d/v1/a' % self.server.server_port
            return self.answer(200, X_Storage_Url=base, X_Auth_Token='tok')
        if url.path in self.server.containers:
            query = urllib.parse.parse_qs(url.query)
            marker, limit = query.get('marker', [''])[0], int(query['limit'][0])
            names = sorted(p[len(url.path) + 1:] for p in self.server.objects if p.startswith(url.path + '/'))
            names = [n for n in names if n > marker and n.startswith(query['prefix'][0])][:limit]
            if fault == 'listing':
                names = names[1:]
            return self.answer(200, json.dumps([{'name': n} for n in names]).encode(), chunked=True)
        body = self.server.objects.get(self.path)
        if body is None:
            return self.answer(404)
        if fault == 'rot':
            body = body[:-1] + bytes([body[-1] ^ 1])
        elif fault == 'short':
            body = body[:-1]
        elif fault == 'hang up' and self.server.calls % 5 == 0:
            self.close_connection = True
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % len(body) + body[:10])
            return None
        elif fault == 'close':
            self.close_connection = True   # Without saying so: the next request meets a closed connection.
        self.answer(200, body, chunked=fault == 'chunked')

    do_HEAD = do_GET

    def do_DELETE(self):
        if self.fault() == 'undead' and self.server.calls % 4 == 0:
            return self.answer(204)
        self.answer(204 if self.server.objects.pop(self.path, None) is not None else 404)


def bench(store, *args, fails=False, login=True):
    base = 'http://127.0.0.1:%d' % store.server_port
    where = ['--auth-url', base + '/auth/v1.0', '--user', 'u:v', '--key', 'k', '--container', 'c']
    command = [PROGRAM, 'bench', '--json', '--verify', '--concurrency', '4', '--timeout', '10']
    done = subprocess.run(command + (where if login else []) + list(args), capture_output=True, text=True, timeout=120)
    if done.returncode != (1 if fails else 0):
        sys.exit('%s: exit %d\n%s%s' % (args, done.returncode, done.stdout, done.stderr))
    return json.loads(done.stdout) if done.stdout else None


def check(what, got, wanted):
    if got != wanted:
        sys.exit('%s: %r instead of %r' % (what, got, wanted))


def main():
    store = Store()
    threading.Thread(target=store.serve_forever, daemon=True).start()

    for size in (0, 1, 5000, 9 * 1024 * 1024):   # The last one wraps the generator's pool.
        put = bench(store, '--op', 'put', '--size', str(size), '--objects', '20', '--prefix', 's%d-' % size)
        check('puts', (put['ops'], put['verified'], put['status'], put['next']), (20, 20, {'201': 20}, 20))
        get = bench(store, '--op', 'get', '--size', str(size), '--objects', '20', '--prefix', 's%d-' % size, '--sequential')
        check('gets', (get['ops'], get['verified'], get['status']), (20, 20, {'200': 20}))
    check('different contents', len({v for k, v in store.objects.items() if 's5000-' in k}), 20)
    other = bench(store, '--op', 'get', '--size', '5000', '--objects', '20', '--prefix', 's5000-', '--seed', '2', '--count', '9',
                  fails=True)
    check('another seed', (other['bad_content'], other['ops']), (9, 0))

    args = ('--op', 'get', '--size', '5000', '--objects', '20', '--prefix', 's5000-', '--count', '30')
    for fault, field, count in (('rot', 'bad_content', 30), ('short', 'bad_content', 30), ('hang up', 'network_errors', 6)):
        store.fault, store.calls = fault, 0
        result = bench(store, *args, fails=True)
        if not count - 1 <= result[field] <= count:   # The login is a call, too.
            sys.exit('%s was not noticed: %r' % (fault, result))
    for fault in ('chunked', 'close'):
        store.fault = fault
        result = bench(store, *args)
        check(fault, (result['ops'], result['verified'], result['errors']), (30, 30, 0))
        check(fault, result['reconnects'] > 0, fault == 'close')
    store.fault = 'etag'
    check('a wrong ETag', bench(store, '--op', 'put', '--count', '7', '--prefix', 'e', fails=True)['bad_content'], 7)
    store.fault = 'busy'
    busy = bench(store, '--op', 'put', '--count', '30', '--prefix', 'b', fails=True)
    check('503', busy['errors'] == busy['status']['503'] > 5, True)

    with tempfile.TemporaryDirectory() as scratch:   # What was acknowledged under faults is all there.
        ledger = ('--ledger', os.path.join(scratch, 'ledger'), '--prefix', 'k')
        for start in ('0', '1000'):
            busy = bench(store, '--op', 'put', '--count', '50', '--start', start, *ledger, fails=True)
        with open(ledger[1], encoding='ascii') as f:
            numbers = [int(line) for line in f]
        check('ledger', len(set(numbers)) == len(numbers) and 1000 < max(numbers) <= 1049, True)
        store.fault = None
        got = bench(store, '--op', 'get', '--sequential', *ledger)
        check('ledger', (got['ops'], got['verified']), (len(numbers), len(numbers)))
        store.objects.popitem()
        check('a lost object', bench(store, '--op', 'get', '--sequential', *ledger, fails=True)['status']['404'], 1)
        bench(store, '--op', 'delete', *ledger)

    bench(store, '--op', 'put', '--objects', '250', '--size', '10', '--prefix', 'l')
    pages = ('--op', 'list', '--objects', '250', '--limit', '100', '--prefix', 'l', '--count', '20')
    check('listings', bench(store, *pages)['verified'], 20)
    store.fault = 'listing'
    check('short listings', bench(store, *pages, fails=True)['bad_content'], 20)
    store.fault = None
    check('deletes', bench(store, '--op', 'delete', '--objects', '250', '--prefix', 'l')['status'], {'204': 250})
    check('deletes', sum('/l0' in k for k in store.objects), 0)

    mixed = ('--op', 'mixed', '--objects', '40', '--size', '100', '--count', '1500', '--prefix', 'm')
    result = bench(store, *mixed)
    check('mixed', (result['ops'], result['errors']), (1500, 0))
    for fault, field in (('lose', 'errors'), ('undead', 'bad_content')):
        store.fault = fault
        check('%s was noticed' % fault, bench(store, *mixed, fails=True)[field] > 0, True)
    store.fault = None

    own = bench(store, '--op', 'get', '--objects', '1', '--prefix', 's1-', '--size', '1', '--count', '5', '--pid', str(os.getpid()))
    check('pid', own['server_rss_mb'] > 1, True)
    bench(store, '--op', 'get', '--objects', '1', '--count', '5', '--pid', '999999999', fails=True)
    bench(store, '--op', 'put', '--count', '1', '--url', 'http://127.0.0.1:1/c', login=False, fails=True)
    usage = subprocess.run([PROGRAM, 'bench', '--op', 'fly', '--url', 'http://h/c'], capture_output=True, text=True)
    check('usage', (usage.returncode, usage.stderr.count('\n')), (2, 1))
    print('ok bench notices every wrong answer')


main()
