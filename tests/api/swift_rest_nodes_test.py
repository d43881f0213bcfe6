#!/usr/bin/env python3
"""The calls of swift_rest_test.py against separate processes over TCP."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import swift_rest_test
from cloud import Nodes

if __name__ == '__main__':
    swift_rest_test.main(Nodes)
