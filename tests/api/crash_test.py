#!/usr/bin/env python3
"""Goal: invariants 1, 2 and 6: what was acknowledged survives kill -9, and a restart needs no manual step.
Method: writers overwrite, delete and create objects of edge sizes in both policies; after a number of answers the process is
killed without warning and started again; then every object must be in a state that its history allows, and listings whole.
CRASH_ROUNDS (default 4) rounds."""
import http.client
import os
import random
import threading

from cloud import Cloud, Report, check, md5, payload

ROUNDS = int(os.environ.get('CRASH_ROUNDS', '4'))
WRITERS, NAMES, ANSWERS = 6, 12, 150
SIZES = [0, 1, 100, 4096, 16383, 16384, 16385, 65536, 70000, 262144, 300000, 1048576, 1048577, 2500000]


class Ledger:
    """What each object may be: the last acknowledged state, or any state whose outcome is unknown since."""

    def __init__(self):
        self.lock = threading.Lock()
        self.may = {}       # (container, name) -> set of md5, None for absent
        self.answers = 0

    def begin(self, key, state):
        with self.lock:
            self.may.setdefault(key, {None}).add(state)

    def acknowledge(self, key, state):
        with self.lock:
            self.may[key] = {state}
            self.answers += 1

    def refused(self):
        with self.lock:
            self.answers += 1


def writer(cloud, ledger, number, rounds, enough, stop):
    rng = random.Random(rounds * 1000 + number)
    try:
        client = cloud.client(timeout=30)
        i = 0
        while not stop.is_set():
            i += 1
            container = rng.choice(['copies', 'coded'])
            key = (container, 'w%d-o%d' % (number, rng.randrange(NAMES)))    # One writer a name: its history is a sequence.
            path = '/%s/%s' % key
            if rng.randrange(6) == 0:
                ledger.begin(key, None)
                status, _, _ = client.call('DELETE', path)
                done = None
            else:
                data = payload('%d-%d-%d' % (rounds, number, i), rng.choice(SIZES))
                done = md5(data)
                ledger.begin(key, done)
                status, _, _ = client.call('PUT', path, data)
            if status in (201, 204, 404):
                ledger.acknowledge(key, done)
            else:
                ledger.refused()
            if ledger.answers >= enough:
                return
    except (OSError, http.client.HTTPException, RuntimeError):
        pass     # The kill; what was in flight stays "may".


def verify(client, ledger):
    listed = {c: client.listing(c) for c in ('copies', 'coded')}
    for (container, name), may in sorted(ledger.may.items()):
        status, headers, body = client.call('GET', '/%s/%s' % (container, name))
        check(status in (200, 404), '%s/%s: status %d' % (container, name, status))
        now = md5(body) if status == 200 else None
        check(now in may, '%s/%s is %s; it may be %s' % (container, name, now, may))
        if status == 200:
            check(headers['etag'] == now, '%s/%s: etag %s of %s' % (container, name, headers['etag'], now))
        check((name in listed[container]) == (status == 200), '%s/%s: status %d, but listed: %s' % (container, name, status, name in listed[container]))
        ledger.may[(container, name)] = {now}      # It was read: from now on it stays.
    for container, names in listed.items():
        check(len(names) == len(set(names)) and names == sorted(names), container + ': listing is not sorted and unique')


def main():
    report, ledger, acknowledged = Report(), Ledger(), 0
    with Cloud() as cloud:
        client = cloud.client()
        check(client.call('PUT', '/copies', headers={'X-Storage-Policy': 'replicated-3'})[0] == 201, 'container')
        check(client.call('PUT', '/coded', headers={'X-Storage-Policy': 'ec-4-2'})[0] == 201, 'container')
        for rounds in range(ROUNDS):
            with report.test('crash__acknowledged_survives_kill_%d' % rounds):
                ledger.answers, stop = 0, threading.Event()
                enough = ANSWERS + random.Random(rounds).randrange(100)
                threads = [threading.Thread(target=writer, args=(cloud, ledger, n, rounds, enough, stop)) for n in range(WRITERS)]
                for t in threads:
                    t.start()
                threads[0].join()       # Its last answer, or a failure; the others are in the middle of something.
                cloud.process.kill()
                stop.set()
                for t in threads:
                    t.join()
                check(ledger.answers >= enough, 'only %d answers' % ledger.answers)
                acknowledged += ledger.answers
                cloud.start()
                verify(cloud.client(), ledger)
        with report.test('crash__clean_stop_and_start_keep_all'):
            check(cloud.process.stop() == 0, 'exit status of a clean stop')
            cloud.start()
            verify(cloud.client(), ledger)
    print('# %d answers over %d kills' % (acknowledged, ROUNDS))
    report.exit()


main()
