"""A stack that claims several patterns: one that cannot be swept takes nothing from the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.errors import HoldfastError, Inconclusive, NothingChosenError
from holdfast.opening import Options
from holdfast.sweep import sweeping
from holdfast.sweep.coverage import Coverage
from holdfast.sweep.judging import Mark
from holdfast.sweep.table import details
from sweep_examples import coverage

DESCRIPTOR = Path("o.stack.toml")
COVERED = coverage(DESCRIPTOR)


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sweeps a stack of two patterns, each of which is covered or ends so."""

    def sweep(*endings: Exception | None) -> tuple[Coverage, ...]:
        left = list(endings)
        descriptor = SimpleNamespace(name="orders", marked=SimpleNamespace(hidden_fields=frozenset()))
        stack = SimpleNamespace(descriptor=descriptor, path=DESCRIPTOR, target=SimpleNamespace(kind="embedded"))
        runners = {name: SimpleNamespace(stack=stack, name=name, seed=0) for name in ("storage-first", "saga")}

        @contextmanager
        def opened(*_: object, **__: object) -> Iterator[Any]:
            yield SimpleNamespace(runners=runners, stack=stack, clean=str, run=None)

        def cover(_: object) -> Coverage:
            ending = left.pop(0)
            if ending is not None:
                raise ending
            return COVERED

        monkeypatch.setattr(sweeping, "opened", opened)
        monkeypatch.setattr(sweeping.Sweep, "cover", cover)
        return sweeping.sweep(DESCRIPTOR, options=Options()).coverages

    return sweep


def test_a_pattern_that_cannot_be_traced_is_told_beside_what_was_covered(swept: Any) -> None:
    """What the first pattern showed is kept, and the second is undecided with its reason."""
    first, second = swept(None, Inconclusive("the stack does not come to rest"))
    assert first == COVERED
    assert (second.pattern, second.cells, second.decided) == ("saga", (), False)
    assert (second.undisturbed.mark, second.undisturbed.why) == (Mark.UNREACHED, "the stack does not come to rest")
    assert "unreached: a command without a fault: the stack does not come to rest" in details(second)
    assert not any("a command without a fault" in line for line in details(first))


def test_words_that_are_those_of_one_pattern_leave_the_other_out(swept: Any) -> None:
    """Words choose points, and the points of two patterns have different names."""
    assert swept(NothingChosenError("none"), None) == (COVERED,)


@pytest.mark.parametrize(
    ("endings", "raised"),
    [
        ((NothingChosenError("none"), NothingChosenError("none")), NothingChosenError),
        ((Inconclusive("no trace"), Inconclusive("no trace")), Inconclusive),
        ((None, HoldfastError("the target is gone")), HoldfastError),
    ],
    ids=["no words", "no trace", "no target"],
)
def test_what_leaves_nothing_to_tell_is_raised(swept: Any, endings: Any, raised: type[Exception]) -> None:
    """A sweep that decides nothing at all says why, and a failing target ends it."""
    with pytest.raises(raised):
        swept(*endings)
