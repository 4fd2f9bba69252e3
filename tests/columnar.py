"""Short literals for histories in columns, and an obvious oracle of linearizability."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from holdfast.history.columns import Columns, columns_of

State = Hashable


class Op(NamedTuple):
    """One operation: what, its value, when (any whole numbers), how it ended, and who did it to what."""

    kind: str
    value: Any
    begin: int
    end: int | None
    outcome: str = "ok"
    key: Any = "x"
    session: Any = None
    position: int | None = None


def table(*operations: Op) -> Columns:
    """Operations as columns; row numbers in verdicts are places here, counted from 1."""
    positions = [one.position for one in operations]
    return columns_of(
        {
            "kind": [one.kind for one in operations],
            "key": [one.key for one in operations],
            "value": [one.value for one in operations],
            "invoked_ns": [one.begin for one in operations],
            "completed_ns": [one.end for one in operations],
            "outcome": [one.outcome for one in operations],
            "session": [one.session for one in operations],
            **({} if set(positions) == {None} else {"position": positions}),
        }
    )


def rows(witness: Sequence[Any]) -> list[str]:
    """The rows of a witness, as they are named in sentences."""
    return [one.id for one in witness]


def explained(operations: Sequence[Op], step: Callable[[State, Op], Sequence[State]], initial: State = None) -> bool:
    """Whether some order that real time permits explains the operations: every one is tried at every place.

    Args:
        operations: certain ones must happen, unknown ones may; refused ones and unknown reads are left out.
        step: from a state and an operation the states it may lead to, none where it cannot happen.
        initial: the first state.
    """
    relevant = [
        one for one in operations if one.outcome == "ok" or (one.outcome == "unknown" and one.kind not in ("read",))
    ]
    ends = [one.end if one.outcome == "ok" and one.end is not None else 10**9 for one in relevant]
    seen: set[tuple[int, State]] = set()

    def search(left: int, state: State) -> bool:
        if not any(left >> at & 1 and one.outcome == "ok" for at, one in enumerate(relevant)):
            return True
        if (left, state) in seen:
            return False
        seen.add((left, state))
        first_end = min(ends[at] for at in range(len(relevant)) if left >> at & 1)
        return any(
            search(left & ~(1 << at), after)
            for at, one in enumerate(relevant)
            if left >> at & 1 and one.begin <= first_end
            for after in step(state, one)
        )

    return search((1 << len(relevant)) - 1, initial)


def register_states(state: State, one: Op) -> Sequence[State]:
    """A register that is written, read, and compared and set."""
    if one.kind == "write":
        return [one.value]
    if one.kind == "read":
        return [state] if state == one.value else []
    old, new = one.value
    if one.outcome == "unknown":
        return [new, state] if state == old else [state]
    return [new] if state == old else []
