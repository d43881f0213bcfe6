#!/usr/bin/env python3
"""Goal: nodes talk mutual TLS, and who has no certificate of the cluster's CA is not let in.
Method: certificates by openssl; the cloud of nodes_test.py on them; a storage process restarts with a certificate of another
CA, and is kept out, while what is stored stays readable; strangers with plain TCP, without and with a foreign certificate."""
import os
import socket
import ssl
import subprocess
import threading

from cloud import PROGRAM, Nodes, RANKS, Report, check, md5, payload

SIZES = [0, 1, 16384, 16385, 1048577, 5 << 20]


def openssl(*args, cwd):
    subprocess.run(('openssl',) + args, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_ca(directory, name):
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=' + name,
            '-keyout', name + '-key.pem', '-out', name + '.pem', cwd=directory)


def make_cert(directory, ca, name):
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=' + name, '-keyout',
            name + '-key.pem', '-out', name + '.csr', cwd=directory)
    openssl('x509', '-req', '-in', name + '.csr', '-CA', ca + '.pem', '-CAkey', ca + '-key.pem', '-CAcreateserial', '-days', '2',
            '-out', name + '.pem', cwd=directory)


def section(directory, n):
    if not os.path.exists(os.path.join(directory, 'ca.pem')):
        make_ca(directory, 'ca')
    make_cert(directory, 'ca', 'node-%d' % n)
    return '[tls]\nca = %s/ca.pem\ncert = %s/node-%d.pem\nkey = %s/node-%d-key.pem\n' % (directory, directory, n, directory, n)


def greeting(nodes, node, context):
    """What a stranger gets from a node's RPC port: bytes, or None when it is turned away."""
    with socket.create_connection(('127.0.0.1', nodes.bases[node] + RANKS + 2), timeout=20) as raw:
        try:
            if context is None:
                raw.sendall(b'RS' + bytes(126))
                return raw.recv(1) or None
            with context.wrap_socket(raw) as s:
                s.sendall(b'RS' + bytes(126))
                return s.recv(1) or None
        except (ssl.SSLError, ConnectionError):
            return None


def client_context(directory=None, name=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if name:
        context.load_cert_chain(os.path.join(directory, name + '.pem'), os.path.join(directory, name + '-key.pem'))
    return context


def verify(client, sums):
    for name, want in sums.items():
        status, _, body = client.call('GET', '/' + name)
        check(status == 200 and md5(body) == want, 'GET %s: %d' % (name, status))


def main():
    report, sums = Report(), {}
    with Nodes(tls=section) as nodes:
        make_ca(nodes.dir, 'other-ca')
        make_cert(nodes.dir, 'other-ca', 'stranger')
        client = nodes.client()
        with report.test('nodes_tls__objects_of_both_policies'):
            for container, policy in (('copies', 'replicated-3'), ('coded', 'ec-4-2')):
                check(client.call('PUT', '/' + container, headers={'X-Storage-Policy': policy})[0] == 201, 'container')
                for size in SIZES:
                    data = payload('%s%d' % (container, size), size)
                    status, _, body = client.call('PUT', '/%s/%d' % (container, size), data)
                    check(status == 201, 'PUT %d bytes: %d %r' % (size, status, body))
                    sums['%s/%d' % (container, size)] = md5(data)
            verify(client, sums)
        with report.test('nodes_tls__strangers_are_turned_away'):
            for context in (None, client_context(), client_context(nodes.dir, 'stranger')):
                check(greeting(nodes, 2, context) is None, 'a stranger got an answer')
            member = client_context(nodes.dir, 'node-1')
            with socket.create_connection(('127.0.0.1', nodes.bases[2] + RANKS + 2), timeout=20) as raw:
                with member.wrap_socket(raw) as s:
                    check(s.version() in ('TLSv1.2', 'TLSv1.3'), 'a member gets in: %s' % s.version())
        with report.test('nodes_tls__a_node_of_another_ca_is_kept_out'):
            nodes.processes[3].stop()
            for kind in ('.pem', '-key.pem'):
                os.replace(os.path.join(nodes.dir, 'node-3' + kind), os.path.join(nodes.dir, 'kept' + kind))
                os.symlink('stranger' + kind, os.path.join(nodes.dir, 'node-3' + kind))
            p = subprocess.Popen([PROGRAM] + nodes.processes[3].args, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
            patience = threading.Timer(60, p.kill)
            patience.start()
            try:
                for line in p.stderr:
                    if b'event=rpc.unreachable' in line:
                        break
                else:
                    raise AssertionError('it ended, status %s, without a word of being turned away' % p.wait())
                check('event=rpc.refused' in nodes.log(), 'the others refuse it')
                verify(client, sums)
            finally:
                patience.cancel()
                p.kill()
                p.communicate()
            for kind in ('.pem', '-key.pem'):
                os.replace(os.path.join(nodes.dir, 'kept' + kind), os.path.join(nodes.dir, 'node-3' + kind))
            nodes.processes[3].start()
            verify(client, sums)
    report.exit()


main()
