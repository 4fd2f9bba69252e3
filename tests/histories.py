"""Builders of literal histories, so that a test shows only what matters to it."""

from __future__ import annotations

from holdfast.history.model import History, Observation, Operation, Outcome

EFFECT = "fulfilled"


def operation(
    key: str,
    outcome: Outcome,
    sent: float,
    answered: float | None,
    *,
    value: str | None = None,
    body: str | None = None,
    role: str = "healthy",
    status: str = "",
    group: str = "",
    sequence: int = -1,
) -> Operation:
    """One submission of `place_order`; its id is its key and the time it was sent."""
    return Operation(
        id=f"{key}@{sent}",
        key=key,
        command="place_order",
        provocation="p",
        invoked_seconds=sent,
        completed_seconds=answered,
        outcome=outcome,
        value=value,
        body=body,
        role=role,
        status=status,
        group=group,
        sequence=sequence,
    )


def ok(
    key: str, sent: float = 1.0, answered: float = 1.5, value: str | None = None, **more: str | int | None
) -> Operation:
    """An acknowledged submission."""
    return operation(key, Outcome.OK, sent, answered, value=value, **{"status": "202", **more})  # type: ignore[arg-type]


def fail(
    key: str, sent: float = 1.0, answered: float = 1.5, value: str | None = None, **more: str | int | None
) -> Operation:
    """A refused submission."""
    return operation(key, Outcome.FAIL, sent, answered, value=value, **{"status": "409", **more})  # type: ignore[arg-type]


def unknown(key: str, sent: float = 1.0, value: str | None = None, **more: str | int | None) -> Operation:
    """A submission that got no answer."""
    return operation(key, Outcome.UNKNOWN, sent, None, value=value, **more)  # type: ignore[arg-type]


def seen(
    key: str,
    count: int,
    started: float = 9.0,
    completed: float | None = None,
    *,
    port: str = EFFECT,
    values: tuple[str, ...] = (),
    bodies: tuple[str, ...] = (),
    state: str = "",
    orders: tuple[str, ...] = (),
    complete: bool = True,
) -> Observation:
    """One read of a port; it takes 0.1 s unless told otherwise."""
    return Observation(
        port=port,
        key=key,
        count=count,
        started_seconds=started,
        completed_seconds=started + 0.1 if completed is None else completed,
        values=values,
        bodies=bodies,
        state=state,
        orders=orders,
        complete=complete,
        provocation="p",
    )


def history(*events: Operation | Observation) -> History:
    """A history of these events, in the order given."""
    return History(
        tuple(event for event in events if isinstance(event, Operation)),
        tuple(event for event in events if isinstance(event, Observation)),
    )
