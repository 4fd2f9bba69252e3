"""Runs `holdfast verify` and `pytest` as people do: in a process of their own, on copies of the reference stacks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast_fixtures.catalogue import mutants, reference_stacks
from holdfast_fixtures.overlay import materialise

BIN = Path(sys.executable).parent
LIMIT_SECONDS = 240
_OF_CI = ("CI", "BUILD_NUMBER")
"""pytest shortens nothing where one of these is set; what a person sees at a terminal is tested here."""
STATIC = "XX-2 or SF-9 or ES-14"
"""Clauses that the configuration alone decides: a run with them takes as long as its target takes to start."""


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All it wrote."""
        return self.out + self.err


def environment(**extra: str) -> dict[str, str]:
    """What a run sees: nothing of the pytest that tests it, nor of AWS settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "AWS_", "LOCALSTACK")) and name not in _OF_CI
    }
    return {**kept, "COLUMNS": "140", **extra}


def copy_of(name: str, folder: Path, *, mutant: str = "", edit: Callable[[str], str] = str, conftest: str = "") -> Path:
    """Copy a reference stack, and return the descriptor.

    Args:
        name: the stack's folder, e.g. ``webhooks``.
        folder: where to; made.
        mutant: name of the planted bug, if any.
        edit: changes the descriptor's text.
        conftest: text of a conftest.py beside the descriptor.
    """
    stack = next(stack for stack in reference_stacks() if stack.name == name)
    planted = next((one for one in mutants(stack) if one.name == mutant), None)
    assert planted is not None or not mutant
    descriptor = materialise(stack.directory, planted, folder)
    text = descriptor.read_text(encoding="utf-8")
    edited = edit(text)
    assert edit is str or edited != text
    descriptor.write_text(edited, encoding="utf-8")
    if conftest:
        (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    return descriptor


def substituted(pattern: str, by: str) -> Callable[[str], str]:
    """An edit that replaces every match of a regular expression."""
    return lambda text: re.sub(pattern, by, text)


def verify(*arguments: str | Path, cwd: Path, **environ: str) -> Ended:
    """``holdfast verify`` with these arguments."""
    return _run([str(BIN / "holdfast"), "verify", *map(str, arguments)], cwd, environ)


def holdfast(*arguments: str | Path, cwd: Path, **environ: str) -> Ended:
    """``holdfast`` with these arguments."""
    return _run([str(BIN / "holdfast"), *map(str, arguments)], cwd, environ)


def run_pytest(*arguments: str | Path, cwd: Path, **environ: str) -> Ended:
    """``pytest`` with these arguments."""
    return _run([str(BIN / "pytest"), "-p", "no:locust", *map(str, arguments)], cwd, environ)


def _run(command: Sequence[str], cwd: Path, environ: dict[str, str]) -> Ended:
    done = subprocess.run(
        command, cwd=cwd, env=environment(**environ), capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def journals(folder: Path) -> list[str]:
    """Names of the journals under a working directory, healed ones included: a run that injects nothing leaves none."""
    return [path.name for path in folder.rglob("journal/*") if path.is_file()]
