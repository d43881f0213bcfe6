#!/usr/bin/env python3
"""Goal: invariant 1 for lost drives: with any one (replicated-3) or any two (ec-4-2) of six drive directories deleted while
running, everything reads back identical, listings are whole, and writes go on or are refused with 503.
Method: for a choice of drives, a fresh cloud with objects of edge sizes in both policies; drives are removed under load."""
import itertools
import os
import random
import shutil

from cloud import Cloud, Report, check, md5, payload

SIZES = [0, 1, 4096, 16384, 16385, 65536, 262143, 262144, 262145, 1048575, 1048576, 1048577, 4194304, 4194305, 70 << 20]


def fill(client, container):
    sums = {}
    for size in SIZES:
        data = payload(size, size)
        name = 'size-%d' % size
        status, headers, body = client.call('PUT', '/%s/%s' % (container, name), data)
        check(status == 201, 'PUT %s: %d %r' % (name, status, body))
        sums[name] = md5(data)
    return sums


def verify(client, container, sums):
    check(client.listing(container) == sorted(sums), container + ': listing')
    for name, want in sums.items():
        status, _, body = client.call('GET', '/%s/%s' % (container, name))
        check(status == 200 and md5(body) == want, 'GET %s/%s: %d' % (container, name, status))
    size = int(max(sums, key=lambda n: int(n.split('-')[1])).split('-')[1])
    data = payload(size, size)
    for first, last in ((0, 0), (size - 1, size - 1), (1048570, 1048590), (size // 2, size // 2 + 3000000)):
        status, _, body = client.call('GET', '/%s/size-%d' % (container, size), headers={'Range': 'bytes=%d-%d' % (first, last)})
        check(status == 206 and body == data[first:last + 1], 'range %d-%d: %d' % (first, last, status))


def lose(report, policy, lost):
    with report.test('drives__%s_survives_loss_of_%s' % (policy.replace('-', '_'), '_and_'.join(str(d) for d in lost))), Cloud() as cloud:
        client = cloud.client()
        check(client.call('PUT', '/c', headers={'X-Storage-Policy': policy})[0] == 201, 'container')
        sums = fill(client, 'c')
        for drive in lost:
            shutil.rmtree(os.path.join(cloud.data, 'drive%d' % drive))
        verify(client, 'c', sums)
        # New writes: kept as promised, or refused with 503; small ones need only a majority of rows.
        for size in (100, 100000):
            data = payload('new%d' % size, size)
            status, headers, body = client.call('PUT', '/c/new-%d' % size, data)
            check(status in (201, 503), 'PUT after the loss: %d %r' % (status, body))
            if status == 201:
                sums['new-%d' % size] = md5(data)
                got = client.call('GET', '/c/new-%d' % size)
                check(got[0] == 200 and got[2] == data, 'GET of a new object: %d' % got[0])
        check('new-100' in sums, 'small objects must go on')
        check(client.listing('c') == sorted(sums), 'listing after new writes')


def main():
    report = Report()
    rng = random.Random(int(os.environ.get('SEED', '1')))
    pairs = list(itertools.combinations(range(1, 7), 2))
    every = bool(os.environ.get('DRIVES_ALL'))
    for drive in (range(1, 7) if every else rng.sample(range(1, 7), 2)):
        lose(report, 'replicated-3', [drive])
    for pair in (pairs if every else rng.sample(pairs, 2)):
        lose(report, 'ec-4-2', list(pair))
    report.exit()


main()
