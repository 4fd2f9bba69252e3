"""Ports written in Python, beside the descriptor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import PortError
from holdfast.history.model import Outcome
from holdfast.history.recorder import Recorder
from holdfast.ports import Ports
from ports_rig import Stub, StubTarget, client_error, stack_of, submission

MODULE = """
import helper
from holdfast.ports import Answer

def place(context):
    body = helper.text(context.key, context.render("{value}!"))
    context.client("sqs").send_message(Body=body)
    return Answer(status=context.submission.fields.get("status", 202), text="done", body=body)

def found(context):
    return [{"key": context.key, "v": context.value}]

class Shop:
    @staticmethod
    def orders(context):
        return ()

def wrong(context):
    return {"status": 200}

def broken(context):
    return 1 / 0

def slow(context):
    raise TimeoutError("no answer")

number = 7
"""


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A descriptor's path with ``shop.py`` and its helper beside it."""
    (tmp_path / "shop.py").write_text(MODULE)
    (tmp_path / "helper.py").write_text("def text(*parts):\n    return ' '.join(parts)\n")
    return tmp_path / "orders.stack.toml"


def ports(path: Path, callable_: str = "shop:place", source: str = "shop:found", sqs: Any = None) -> Ports:
    """Ports whose command and effect are Python."""
    target = StubTarget({"sqs": Stub(send_message=sqs or {"MessageId": "m"})})
    commands = {"place": {"calls": [{"kind": "python", "callable": callable_}]}}
    effects = {"done": {"sources": [{"kind": "python", "callable": source, "value": "v"}]}}
    return Ports(stack_of(target, path=path, commands=commands, effects=effects), Recorder())


def test_commands(beside: Path) -> None:
    """A function gets the context, may import what stands beside it, and its answer is classified like any other."""
    operation = ports(beside).submit("place", submission())
    assert (operation.outcome, operation.status, operation.answer) == (Outcome.OK, "202", "done")
    assert operation.body == "k-1 v-1!"
    assert ports(beside).submit("place", submission(status=503)).outcome is Outcome.UNKNOWN


def test_sources(beside: Path) -> None:
    """A function returns a list of entries; methods and empty results are fine."""
    seen = ports(beside).observe("done", submission())
    assert (seen.count, seen.values, seen.complete) == (1, ("v-1",), True)
    assert ports(beside, source="shop:Shop.orders").observe("done", submission()).count == 0


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(client_error("Throttled", 429), Outcome.FAIL), (client_error("Internal", 500), Outcome.UNKNOWN)],
)
def test_aws_errors_that_are_let_through(beside: Path, error: Exception, outcome: Outcome) -> None:
    """They count as the stack's answer, by the same rules as in any transport."""
    assert ports(beside, sqs=error).submit("place", submission()).outcome is outcome


def test_timeouts_that_are_let_through(beside: Path) -> None:
    """A timeout leaves the outcome unknown."""
    operation = ports(beside, "shop:slow").submit("place", submission())
    assert (operation.outcome, operation.status) == (Outcome.UNKNOWN, "TimeoutError: no answer")


def test_lost_answers(beside: Path) -> None:
    """The function runs and its answer is discarded."""
    operation = ports(beside).submit("place", submission(), lose_answer=True)
    assert (operation.outcome, operation.answer) == (Outcome.UNKNOWN, "")


LINE = MODULE.splitlines().index("    return 1 / 0") + 1


@pytest.mark.parametrize(
    ("callable_", "message"),
    [
        (
            "shop:broken",
            "shop:broken failed in {file}, line " + str(LINE) + "\n"
            "  cause:  ZeroDivisionError: division by zero\n"
            "  remedy: correct the function; AWS errors and timeouts may be let through, "
            "they count as the stack's answer",
        ),
        (
            "shop:wrong",
            "shop:wrong in {file} returned dict, no Answer\n"
            "  remedy: return holdfast.ports.Answer(status=..., text=...)",
        ),
        (
            "shop:plaice",
            "{file} has no function plaice\n"
            "  cause:  the descriptor names shop:plaice\n"
            "  remedy: define it there with one parameter, the context, or correct the name in the descriptor",
        ),
        (
            "shop:number",
            "{file} has no function number\n"
            "  cause:  the descriptor names shop:number\n"
            "  remedy: define it there with one parameter, the context, or correct the name in the descriptor",
        ),
    ],
)
def test_mistakes_in_functions(beside: Path, callable_: str, message: str) -> None:
    """An error in a function names its file and line, what went wrong and what to do."""
    with pytest.raises(PortError) as caught:
        ports(beside, callable_).submit("place", submission())
    assert str(caught.value) == message.format(file=beside.with_name("shop.py"))


@pytest.mark.parametrize(
    ("content", "what", "cause"),
    [
        (None, "{file} does not exist", "a python port names a module that must stand beside the descriptor"),
        ("def (", "{file} cannot be imported", "SyntaxError: "),
        ("import nothing_of_that_name", "{file} cannot be imported", "ModuleNotFoundError: "),
    ],
)
def test_modules_that_cannot_be_imported(tmp_path: Path, content: str | None, what: str, cause: str) -> None:
    """A missing or broken module is an error that names the file."""
    file = tmp_path / "bad.py"
    if content is not None:
        file.write_text(content)
    with pytest.raises(PortError) as caught:
        ports(tmp_path / "orders.stack.toml", "bad:place").submit("place", submission())
    assert caught.value.what == what.format(file=file)
    assert caught.value.cause.startswith(cause)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("source", "state"),
    [
        ("shop:number", "{file} has no function number: the descriptor names shop:number"),
        (
            "shop:wrong",
            "effect done: shop:wrong in {file} returned no list of plain JSON: it returned dict",
        ),
        ("shop:slow", "effect done: shop:slow in {file} could not read: TimeoutError: no answer"),
    ],
)
def test_sources_that_fail(beside: Path, source: str, state: str) -> None:
    """A read that fails in a function is incomplete and says why."""
    seen = ports(beside, source=source).observe("done", submission())
    assert not seen.complete
    assert seen.state == state.format(file=beside.with_name("shop.py"))


def test_modules_of_the_same_name(tmp_path: Path) -> None:
    """Two stacks may each have a module of the same name."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shop.py").write_text(f"def found(context):\n    return ['{folder}']\n")
    for folder in ("one", "two"):
        seen = ports(tmp_path / folder / "orders.stack.toml").observe("done", submission())
        assert seen.count == 1
