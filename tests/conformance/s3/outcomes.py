"""A pytest plugin: the outcome of every test, one JSON line each, into $OUTCOMES. Used by ./run."""
import json
import os

import pytest

worst = {}
RANK = {'passed': 0, 'skipped': 1, 'failed': 2, 'error': 3}


def reason(report):
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])[:200]
    lines = [l[1:].strip() for l in report.longreprtext.splitlines() if l.startswith('E')]
    return (lines[0] if lines else report.longreprtext[-200:]).replace('\n', ' ')[:200]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session, config, items):
    for item in items:
        item.user_properties.append(('marks', sorted({m.name for m in item.iter_markers()})))


def pytest_runtest_logreport(report):
    outcome = 'error' if report.failed and report.when != 'call' else report.outcome
    seen = worst.setdefault(report.nodeid, {'id': report.nodeid, 'outcome': 'passed', 'why': '', 'seconds': 0.0, 'marks': []})
    seen['seconds'] = round(seen['seconds'] + report.duration, 2)
    for name, value in report.user_properties:
        if name == 'marks':
            seen['marks'] = value
    if RANK[outcome] > RANK[seen['outcome']]:
        seen['outcome'], seen['why'] = outcome, reason(report)


def pytest_sessionfinish(session):
    if os.environ.get('PYTEST_XDIST_WORKER') or not os.environ.get('OUTCOMES'):
        return
    with open(os.environ['OUTCOMES'], 'w') as f:
        for entry in worst.values():
            f.write(json.dumps(entry) + '\n')
