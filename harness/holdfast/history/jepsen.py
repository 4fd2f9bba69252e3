"""Reads histories of Jepsen: EDN, one map per invocation or completion, as in ``history.edn``.

``:type`` is ``:invoke``, ``:ok``, ``:fail`` or ``:info``; a process has one operation at a time, so an operation's end
is the next map of its process. ``:info`` is ``unknown``. What the nemesis did is left out. Times are ``:time`` in
nanoseconds; where some are missing the order of the maps stands for time.

Source: https://github.com/jepsen-io/history
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from holdfast.errors import HistoryError
from holdfast.history.coding import Coder
from holdfast.history.columns import Columns
from holdfast.history.edn import Damage, read_all

_KINDS = {"put": "write", "get": "read", "insert": "add"}
_OUTCOMES = {"ok": "ok", "fail": "fail", "info": "unknown"}


@dataclass(frozen=True, slots=True)
class _Event:
    process: Any
    type: str
    kind: str
    key: Any
    value: Any
    time: Any


def read(path: Path, *, keyed: bool = False) -> Columns:
    """Read a history of Jepsen up to its first damage.

    Args:
        path: the file.
        keyed: whether values are ``[key value]``, as those of ``jepsen.independent`` are.

    Raises:
        HistoryError: the file cannot be read or holds no operation.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise HistoryError(f"The history {path} cannot be read.", cause=str(error), remedy="name a file") from error
    events: list[_Event] = []
    notes: list[str] = []
    try:
        for document in _documents(text):
            events += _event(document, keyed=keyed)
    except Damage as damage:
        line = text.count("\n", 0, damage.at) + 1
        byte = len(text[: damage.at].encode())
        notes.append(f"{path.name} is damaged in line {line} (byte {byte}): {damage}; what follows was not read")
    if not events and not notes:
        raise HistoryError(
            f"{path} holds no operation.", remedy="a Jepsen history has maps with :process, :type, :f and :value"
        )
    return replace(_paired(events), complete=not notes, notes=tuple(notes))


def _documents(text: str) -> Iterator[Mapping[str, Any]]:
    """The maps of a file: one after the other, or in one vector."""
    for value in read_all(text):
        for document in value if isinstance(value, list) else [value]:
            if isinstance(document, Mapping):
                yield document


def _event(document: Mapping[str, Any], *, keyed: bool) -> Iterator[_Event]:
    process, kind = document.get("process"), str(document.get("f", ""))
    if not isinstance(process, int) or document.get("type") not in ("invoke", "ok", "fail", "info"):
        return  # the nemesis, or a line of another kind
    key, value = document.get("key"), document.get("value")
    if keyed and isinstance(value, list) and len(value) == 2:
        key, value = value
    yield _Event(process, str(document["type"]), _KINDS.get(kind, kind), key, value, document.get("time"))


def _paired(events: list[_Event]) -> Columns:
    """Invocations with their completions."""
    timed = all(type(event.time) is int for event in events)
    rows: list[tuple[_Event, int, int | None, str, Any]] = []
    open_at: dict[Any, int] = {}
    for place, event in enumerate(events):
        moment = event.time if timed else place
        if event.type == "invoke":
            open_at[event.process] = len(rows)
            rows.append((event, moment, None, "unknown", event.value))
        elif event.process in open_at:
            at = open_at.pop(event.process)
            begun, invoked, _, _, value = rows[at]
            if event.type == "ok" and event.value is not None:
                value = event.value
            # the end of an operation of unknown outcome says nothing about when, or whether, it happened
            ended = None if event.type == "info" else max(moment, invoked)
            rows[at] = (begun, invoked, ended, _OUTCOMES[event.type], value)
    coder = Coder()
    if rows:
        began, invoked_ns, completed_ns, outcome, values = zip(*rows, strict=True)
        coder.add(
            kind=[event.kind for event in began],
            key=[_plain(event.key) for event in began],
            value=[_as_written(value) for value in values],
            invoked_ns=invoked_ns,
            completed_ns=completed_ns,
            outcome=outcome,
            session=[event.process for event in began],
        )
    return coder.columns()


def _plain(key: Any) -> Any:
    return key if key is None or isinstance(key, (str, int)) else str(key)


def _as_written(value: Any) -> Any:
    """Sets as lists: a set that was read is a list of its elements."""
    return sorted(value, key=repr) if isinstance(value, frozenset) else value
