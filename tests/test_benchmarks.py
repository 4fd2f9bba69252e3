"""The benchmarks can be started: what they import is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
IMPORTING = """
import importlib, sys
import locust  # as its own command does: it patches what the other modules import
for name in sys.argv[1:]:
    importlib.import_module(name)
"""
SETTINGS = {"service": "dynamodb", "endpoint": "http://127.0.0.1:9", "users": 1, "client": "boto3"}
"""What the benchmark of the load client hands its child."""


def test_every_benchmark_can_be_imported() -> None:
    """No benchmark imports a name that has moved; they run in a process of their own, for Locust changes it."""
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    assert "sweep_mutants" in names
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(FOLDER), *filter(None, sys.path)]),
        "HOLDFAST_BENCHMARK": json.dumps(SETTINGS),
    }
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTING, *names], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
