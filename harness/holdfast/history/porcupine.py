"""Reads histories as Go programs write them for Porcupine: a JSON object per line, one operation or one event each.

An operation: ``{"ClientId": 0, "Input": {"Op": "put", "Key": "x", "Value": 1}, "Call": 1, "Output": {}, "Return": 9}``.
An event: ``{"ClientId": 0, "Kind": "call", "Id": 7, "Value": {...}}`` and later ``{"Kind": "return", "Id": 7, ...}``,
in the order in which they happened. Names count whatever their case; ``Op`` is a word, or 0, 1, 2 for get, put,
append; an output of ``null`` or with ``"Unknown": true`` is an unknown outcome.

Source: https://pkg.go.dev/github.com/anishathalye/porcupine
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from holdfast.errors import HistoryError
from holdfast.history.coding import Coder
from holdfast.history.columns import Columns

_KINDS = {"get": "read", "put": "write", "set": "write", "0": "read", "1": "write", "2": "append", "false": "write"}


@dataclass(slots=True)
class _Row:
    input: Any
    session: Any
    call: int
    output: Any = None
    returned: int | None = None


def read(path: Path) -> Columns:
    """Read a history for Porcupine up to its first damage.

    Args:
        path: the file.

    Raises:
        HistoryError: the file cannot be read or holds no operation.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise HistoryError(f"The history {path} cannot be read.", cause=str(error), remedy="name a file") from error
    rows: list[_Row] = []
    open_rows: dict[Any, _Row] = {}
    notes: list[str] = []
    at = 0
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                _take({name.lower(): value for name, value in orjson.loads(line).items()}, number, rows, open_rows)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                notes.append(
                    f"{path.name} is damaged in line {number} (byte {at}): {error}; the {len(rows)} operations before"
                    " it were read, what follows was not"
                )
                break
        at += len(line) + 1
    if not rows:
        raise HistoryError(
            f"{path} holds no operation.",
            cause="; ".join(notes),
            remedy="docs/check.md has the format; give --format for another",
        )
    coder = Coder()
    parts = [_parts(row) for row in rows]
    coder.add(
        kind=[kind for kind, _, _ in parts],
        key=[key for _, key, _ in parts],
        value=[value for _, _, value in parts],
        invoked_ns=[row.call for row in rows],
        completed_ns=[row.returned for row in rows],
        outcome=["unknown" if _is_unknown(row) else "ok" for row in rows],
        session=[row.session for row in rows],
    )
    return replace(coder.columns(), complete=not notes, notes=tuple(notes))


def _take(document: Mapping[str, Any], number: int, rows: list[_Row], open_rows: dict[Any, _Row]) -> None:
    session = document.get("clientid", document.get("client_id"))
    if "input" in document:
        call, returned = int(document["call"]), document.get("return")
        rows.append(_Row(document["input"], session, call, document.get("output"), returned))
    elif document["kind"] in ("call", False, 0):
        row = _Row(document["value"], session, number)
        open_rows[document["id"]] = row
        rows.append(row)
    else:
        row = open_rows.pop(document["id"])
        row.output, row.returned = document["value"], number


def _is_unknown(row: _Row) -> bool:
    if row.returned is None or row.output is None:
        return True
    return isinstance(row.output, Mapping) and bool(_lower(row.output).get("unknown"))


def _parts(row: _Row) -> tuple[str, Any, Any]:
    """Kind, key and value of an operation: of a read what came out, else what went in."""
    given = _lower(row.input)
    operation = str(given.get("op", given.get("f", ""))).lower()
    kind = _KINDS.get(operation, operation)
    value = given.get("value")
    if kind == "read":
        value = _lower(row.output).get("value") if isinstance(row.output, Mapping) else row.output
        # Go has no null for text: an object that was never written reads as the empty text
        value = None if value in ("", None) else value
    elif kind == "cas":
        value = [given.get("from", given.get("old")), given.get("to", given.get("new"))]
    key = given.get("key")
    return kind, key if key is None or isinstance(key, (str, int)) else str(key), value


def _lower(document: Any) -> Mapping[str, Any]:
    return {str(name).lower(): value for name, value in document.items()} if isinstance(document, Mapping) else {}
