"""The mistakes that people are likeliest to make: one message each, with what happened, why, and what to do."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.errors import ExitCode
from holdfast.stack.loading import load_descriptor
from holdfast.verify_command import _terminal
from verify_runs import copy_of, holdfast, substituted

EDITS: dict[str, Callable[[str], str]] = {
    "syntax": substituted("name = .*", "name = webhooks"),
    "key": substituted("(?m)^workers = ", "wrokers = "),
    "reference": substituted('effect = "entered"', 'effect = "enterd"'),
    "variable": substituted('path = "/orders"', 'path = "${ORDERS_PATH}"'),
    "template": substituted("template.yaml", "templat.yaml"),
    "parameter": substituted("(?m)^WorkerTimeoutSeconds", "WorkerTimeout"),
    "resource": substituted('"OrdersQueue"', '"OrderQueue"'),
    "expression": substituted("json.order_id", "json..order_id"),
    "unpinned": substituted(r"(?m)^\[deploy\]", '[target]\ndefault = "aws"\n\n[deploy]'),
}
"""Slips in a descriptor, by the file that has them."""

FILES = {
    "bad.asl.json": "x",
    "bad.replay.json": "{}",
    "history.jsonl": "",
    "baseline.toml": "accept = 1",
    "empty.yaml": "AWSTemplateFormatVersion: '2010-09-09'",
    "bare.toml": 'name = "bare"',
}

MISTAKES = [
    ("verfy", "There is no command verfy.", "did you mean verify?"),
    ("verify", "No stack descriptor was named.", "holdfast verify NAME.stack.toml"),
    ("verify nope.stack.toml", "There is no file nope.stack.toml.", "name an existing stack descriptor"),
    ("verify syntax.stack.toml", "is not TOML.", "correct it at that place"),
    ("verify key.stack.toml", "patterns.storage-first.wrokers cannot be used.", "did you mean workers?"),
    ("verify reference.stack.toml", "there is no effect enterd", "did you mean entered?"),
    ("verify variable.stack.toml", "the environment variable ORDERS_PATH is not set", "set ORDERS_PATH"),
    ("verify template.stack.toml -k SF-9", "the template does not exist", "correct the path"),
    ("verify parameter.stack.toml -k SF-9", "Parameters.WorkerTimeout does not exist", "correct the name"),
    ("verify resource.stack.toml -k SF-9", "has no resource OrderQueue", "did you mean OrdersQueue?"),
    ("verify expression.stack.toml", "not a JMESPath expression", "text literals stand in single quotes"),
    ("verify unpinned.stack.toml", "aws is the default target", "pin the account and the region"),
    ("verify webhooks.stack.toml -k SF-9 --target localstack", "LocalStack does not answer", "start LocalStack"),
    ("verify template.yaml", "template.yaml is none: the name of one ends in .stack.toml", "NAME.stack.toml"),
    ("doctor bare.toml", "bare.toml is none: the name of one ends in .stack.toml", "holdfast doctor NAME.stack.toml"),
    ("verify webhooks.stack.toml::SF-99", "The stack webhook-orders owes no clause SF-99.", "it owes SF-1, SF-2"),
    ("verify webhooks.stack.toml::sf-1", "The stack webhook-orders owes no clause sf-1.", "did you mean SF-1?"),
    ("verify key.stack.toml::SF-1", "patterns.storage-first.wrokers cannot be used.", "did you mean workers?"),
    ("verify webhooks.stack.toml --dry-runn", "An option cannot be used.", "holdfast verify --help"),
    ("verify webhooks.stack.toml::SF-9 --minutes x", "x is no number above 0", "holdfast verify --help"),
    ("verify webhooks.stack.toml -k SF-99", "No clause was selected.", "--collect-only -q lists the clauses"),
    ("sweep webhooks.stack.toml --target aws", "does not pin an AWS account", "add target.aws"),
    ("heal --holdfast-folder nope", "There is no folder nope.", "name the folder that the run was given"),
    ("load webhooks.stack.toml -t 10s", "Give either a rate or users.", "--rate N for arrivals"),
    ("check history.jsonl --model register", "is no recorded history", "docs/check.md has the format"),
    ("lint bad.asl.json", "this is not JSON.", "correct it at that place"),
    ("replay bad.replay.json", "is no replay file of this version", "write it anew"),
    ("report .", ". is no run's folder.", "name .holdfast/STACK"),
    ("gate webhooks.stack.toml --baseline baseline.toml", "baseline.toml cannot be used", "docs/gate.md"),
    ("init --template empty.yaml", "Resources is missing or empty", "name a template that has resources"),
    ("init --template nope.yaml", "the template cannot be read", "correct the path"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack, its descriptor with each slip beside it, and files that are none of what they are taken for."""
    folder = tmp_path_factory.mktemp("mistakes") / "stack"
    original = copy_of("webhooks", folder)
    text = original.read_text(encoding="utf-8")
    for name, edit in EDITS.items():
        edited = edit(text)
        assert edited != text, name
        (folder / f"{name}.stack.toml").write_text(edited, encoding="utf-8")
    for name, content in FILES.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


@pytest.mark.parametrize(("command", "what", "remedy"), MISTAKES, ids=[command for command, _, _ in MISTAKES])
def test_a_mistake_is_answered_by_what_to_do(folder: Path, command: str, what: str, remedy: str) -> None:
    """Exit 2, what happened once, what to do about it, no traceback, on less than a screen."""
    ended = holdfast(*command.split(), cwd=folder, LOCALSTACK_ENDPOINT="http://127.0.0.1:9")
    assert ended.code == ExitCode.USAGE, ended.text
    assert ended.text.count(what) == 1
    assert remedy in ended.text.split(what)[1]
    assert "Traceback" not in ended.text
    assert len(ended.text.splitlines()) <= 24


def test_a_byte_order_mark_and_carriage_returns_are_read(folder: Path, tmp_path: Path) -> None:
    """A descriptor that an editor on Windows has saved is the same descriptor."""
    text = (folder / "webhooks.stack.toml").read_text(encoding="utf-8")
    saved = tmp_path / "saved.stack.toml"
    saved.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert load_descriptor(saved, {}) == load_descriptor(folder / "webhooks.stack.toml", {})


def test_doctor_says_nothing_of_patterns_that_are_not_claimed(folder: Path) -> None:
    """A storage-first stack is not told that it is no sidecar."""
    ended = holdfast("doctor", "webhooks.stack.toml::XX-1", cwd=folder)
    assert ended.code == ExitCode.HELD, ended.text
    assert "1 of 1 clauses can be decided" in ended.text
    assert "sidecar" not in ended.text


def test_an_option_that_takes_a_number_says_so(folder: Path) -> None:
    """A number that cannot be is refused in words."""
    ended = holdfast("gate", "webhooks.stack.toml", "--minutes", "0", cwd=folder)
    assert ended.code == ExitCode.USAGE
    assert "argument --minutes: 0 is no number above 0" in ended.err


def test_standard_error_need_not_be_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where standard error is closed, or is a notebook's, what is told meanwhile goes nowhere, and nothing fails."""
    for instead in (None, io.StringIO()):
        monkeypatch.setattr(sys, "stderr", instead)
        with _terminal() as terminal:
            terminal.write("importing what is needed\n")
