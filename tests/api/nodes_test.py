#!/usr/bin/env python3
"""Goal: the roles in separate processes over TCP behave as the cloud of one process does.
Method: a control and proxy process and three storage processes of two devices each; objects of edge sizes in both policies;
then a storage process is killed, used without, and started again."""
from cloud import Nodes, Report, check, md5, payload

SIZES = [0, 1, 16384, 16385, 262145, 1048577, 4194305, 20 << 20]


def fill(client, container, salt):
    sums = {}
    for size in SIZES:
        data = payload('%s%d' % (salt, size), size)
        status, _, body = client.call('PUT', '/%s/%s-%d' % (container, salt, size), data)
        check(status == 201, 'PUT %d bytes: %d %r' % (size, status, body))
        sums['%s-%d' % (salt, size)] = md5(data)
    return sums


def verify(client, container, sums):
    check(client.listing(container) == sorted(sums), 'listing of ' + container)
    for name, want in sums.items():
        status, _, body = client.call('GET', '/%s/%s' % (container, name))
        check(status == 200 and md5(body) == want, 'GET %s/%s: %d' % (container, name, status))


def main():
    report, sums = Report(), {}
    with Nodes() as nodes:
        client = nodes.client()
        with report.test('nodes__objects_of_both_policies_over_tcp'):
            for container, policy in (('copies', 'replicated-3'), ('coded', 'ec-4-2')):
                check(client.call('PUT', '/' + container, headers={'X-Storage-Policy': policy})[0] == 201, 'container')
                sums[container] = fill(client, container, 'a')
                verify(client, container, sums[container])
        with report.test('nodes__a_killed_storage_node_loses_nothing'):
            nodes.processes[3].kill()
            for container in sums:
                verify(client, container, sums[container])
            status, _, body = client.call('PUT', '/copies/small', b'small')
            check(status == 201, 'a small object without one node: %d %r' % (status, body))
            sums['copies']['small'] = md5(b'small')
        with report.test('nodes__a_storage_node_that_comes_back_serves_again'):
            nodes.processes[3].start()
            for container in sums:
                verify(client, container, sums[container])
            nodes.processes[2].kill()
            verify(client, 'copies', sums['copies'])
            nodes.processes[2].start()
        with report.test('nodes__the_proxy_restarts_without_loss'):
            client.close()
            nodes.processes[1].kill()
            nodes.processes[1].start()
            client = nodes.client()
            for container in sums:
                verify(client, container, sums[container])
    report.exit()


main()
