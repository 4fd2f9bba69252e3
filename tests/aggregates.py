"""Short literals for event logs, read models and commands on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from histories import history
from holdfast.checkers.projections import Stream, streams
from holdfast.history.logs import Event, LogRead, ViewRead
from holdfast.history.model import Operation

LOG, VIEW = "accounts", "balances"


def event(sequence: int, command: str, amount: int = 1, **more: Any) -> Event:
    """One event of a deposit; its identity is its command and its place."""
    data = {"version": sequence, "command_id": command, "amount": amount, **more}
    return Event(sequence=sequence, identity=f"{command}/{sequence}", command=command, data=data)


def log(*events: Event, at: float = 8.0, aggregate: str = "a", complete: bool = True) -> LogRead:
    """One read of a log; it takes 0.1 s."""
    return LogRead(
        port=LOG,
        aggregate=aggregate,
        events=events,
        started_seconds=at,
        completed_seconds=at + 0.1,
        complete=complete,
        reason="" if complete else "denied",
    )


def view(
    state: Any,
    at: float = 9.0,
    *,
    version: int | None = None,
    aggregate: str = "a",
    reader: str = "r1",
    role: str = "load",
    port: str = VIEW,
    complete: bool = True,
    took: float = 0.1,
) -> ViewRead:
    """One read of a view; it takes 0.1 s unless told otherwise."""
    return ViewRead(
        port=port,
        aggregate=aggregate,
        state=state,
        version=version,
        started_seconds=at,
        completed_seconds=at + took,
        complete=complete,
        reason="" if complete else "throttled",
        reader=reader,
        role=role,
    )


def balance(events: Sequence[Mapping[str, Any]]) -> Any:
    """The fold of these tests: the sum of amounts and the number of events; nothing of none."""
    if not events:
        return None
    return {"balance": sum(one["amount"] for one in events), "entries": len(events)}


def stream(*parts: Operation | LogRead | ViewRead, aggregate: str = "a") -> Stream:
    """All that concerns one aggregate."""
    operations = [part for part in parts if isinstance(part, Operation)]
    (found,) = streams(
        history(*operations),
        {one.key: aggregate for one in operations},
        [part for part in parts if isinstance(part, LogRead)],
        [part for part in parts if isinstance(part, ViewRead)],
    )
    return found
