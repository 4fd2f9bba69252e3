"""Checkers for recorded histories, without the rest of Holdfast.

    from holdfast import check

    result = check.register("history.jsonl")
    result = check.register({"kind": [...], "key": [...], "value": [...], "invoked_ns": [...], "completed_ns": [...]})
    print(result.verdict, result.reason)

Each function takes a file, several files or a folder that Holdfast recorded, a history of Jepsen (EDN) or for Porcupine
(JSON lines), or columns: a dictionary of lists, a pandas or polars DataFrame, an Arrow table. docs/check.md has the
formats, and what the rows of each model are.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.checkers.columnar import (
    bank as _bank,
)
from holdfast.checkers.columnar import (
    convergence as _convergence,
)
from holdfast.checkers.columnar import (
    counter as _counter,
)
from holdfast.checkers.columnar import (
    effects as _effects,
)
from holdfast.checkers.columnar import (
    isolation as _isolation,
)
from holdfast.checkers.columnar import (
    register as _register,
)
from holdfast.checkers.columnar import (
    search as _search,
)
from holdfast.checkers.columnar import (
    sequences as _sequences,
)
from holdfast.checkers.columnar import (
    sessions as _sessions,
)
from holdfast.checkers.columnar import (
    set_full as _set_full,
)
from holdfast.checkers.columnar import (
    staleness as _staleness,
)
from holdfast.checkers.columnar.isolation import Level
from holdfast.checkers.columnar.result import Result
from holdfast.checkers.columnar.search import Budget, SearchedModel
from holdfast.checkers.columnar.sessions import Guarantee
from holdfast.history.opening import Source, open_history


def register(source: Source, *, budget: Budget | None = None) -> Result:
    """Whether the register of each key is linearizable (zone test; search for keys without unique values).

    Args:
        source: the history.
        budget: what the search may cost; None for the default.

    Raises:
        HistoryError: the history cannot be read.
    """
    return _register.check(open_history(source), budget=budget)


def search(source: Source, *, model: SearchedModel, budget: Budget | None = None) -> Result:
    """Whether some order explains a register, a first-in first-out queue or a counter (Wing, Gong and Lowe's search).

    Args:
        source: the history.
        model: the model.
        budget: what the search may cost; past it the verdict is inconclusive.

    Raises:
        HistoryError: the history cannot be read, or has operations that the model does not.
    """
    return _search.check(open_history(source), model=model, budget=budget)


def staleness(source: Source, *, bound_versions: int | None = None, bound_ms: float | None = None) -> Result:
    """How many versions and milliseconds reads were behind, against bounds where they are given.

    Args:
        source: the history.
        bound_versions: most versions; None for no bound.
        bound_ms: most milliseconds; None for no bound.

    Raises:
        HistoryError: the history cannot be read.
    """
    return _staleness.check(open_history(source), bound_versions=bound_versions, bound_ms=bound_ms)


def sessions(source: Source, *, guarantees: Sequence[Guarantee] | None = None) -> Result:
    """Whether sessions read their writes, never read backwards and write in order.

    Args:
        source: the history.
        guarantees: which of them; None for all that the history can decide.

    Raises:
        HistoryError: the history cannot be read.
    """
    return _sessions.check(open_history(source), guarantees=guarantees)


def convergence(source: Source, *, bound_ms: float | None = None) -> Result:
    """Whether and when reads of every key settled on its last version.

    Args:
        source: the history.
        bound_ms: most milliseconds after the last write, or the end of the last fault; None for no bound.

    Raises:
        HistoryError: the history cannot be read.
    """
    return _convergence.check(open_history(source), bound_ms=bound_ms)


def set_full(source: Source, *, fresh: bool = False) -> Result:
    """Whether a set loses, invents or doubles elements, and how long until all reads see them.

    Args:
        source: the history.
        fresh: whether an acknowledged element must be in every read that begins afterwards.

    Raises:
        HistoryError: the history cannot be read.
    """
    return _set_full.check(open_history(source), fresh=fresh)


def queue(source: Source) -> Result:
    """Whether each element that was enqueued was dequeued exactly once.

    Args:
        source: the history.

    Raises:
        HistoryError: the history cannot be read.
    """
    return _effects.check(open_history(source))


def effects(source: Source) -> Result:
    """Whether each submission took effect exactly once, judged from a ledger of effects.

    Args:
        source: the history.

    Raises:
        HistoryError: the history cannot be read.
    """
    return _effects.check(open_history(source), model="effects")


def counter(source: Source) -> Result:
    """Whether each read of a counter lies between what must and what may have been added.

    Args:
        source: the history.

    Raises:
        HistoryError: the history cannot be read, or holds an amount that is no whole number.
    """
    return _counter.check(open_history(source))


def sequence(source: Source, *, first: int = 1) -> Result:
    """Whether the log of each stream is gap-free and immutable and holds what was accepted.

    Args:
        source: the history.
        first: position of a stream's first event.

    Raises:
        HistoryError: the history cannot be read, or an event has no position.
    """
    return _sequences.check(open_history(source), first=first)


def bank(source: Source, *, total: int | None = None, least: int | None = 0) -> Result:
    """Whether transfers conserve the total and overdraw no account.

    Args:
        source: the history.
        total: the sum of all balances; None for that of the first read.
        least: least balance; None where overdrafts are allowed.

    Raises:
        HistoryError: the history cannot be read, or a balance is no whole number.
    """
    return _bank.check(open_history(source), total=total, least=least)


def isolation(source: Source, *, level: Level = "serializable") -> Result:
    """Whether transactions show an anomaly that their isolation level forbids, with the shortest cycle in words.

    Args:
        source: the history.
        level: the level that is promised.

    Raises:
        HistoryError: the history cannot be read, or a transaction is no list of steps.
    """
    return _isolation.check(open_history(source), level=level)


__all__ = [
    "Budget",
    "Result",
    "bank",
    "convergence",
    "counter",
    "effects",
    "isolation",
    "queue",
    "register",
    "search",
    "sequence",
    "sessions",
    "set_full",
    "staleness",
]
