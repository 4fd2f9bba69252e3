"""How checkers name rows in sentences, and how rows become the witness of a finding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.checkers.records import finding
from holdfast.history.columns import NANOSECONDS, Columns
from holdfast.verdict.describe import shorten
from holdfast.verdict.model import Finding


def named(columns: Columns, row: int, start: str = "the ") -> str:
    """An operation as it is named in sentences, e.g. ``the read #17``: its kind and its row, counted from 1."""
    return f"{start}{columns.kinds[int(columns.kind[row])]} #{row + 1}"


def value_text(columns: Columns, row: int) -> str:
    """What a row wrote or read, short enough for a sentence."""
    value = columns.value_of(row)
    return "null" if value is None else shorten(str(value))


def key_text(columns: Columns, row: int) -> str:
    """The key of a row; ``the only key`` where rows have none."""
    key = columns.keys.label(columns.key[row])
    return "the only key" if key is None else f"key {key}"


def session_text(columns: Columns, row: int) -> str:
    """The session of a row."""
    return f"session {columns.sessions.label(columns.session[row])}"


def milliseconds(nanoseconds: int) -> str:
    """A duration in words, e.g. ``12.5 ms``."""
    return f"{nanoseconds / NANOSECONDS * 1000:,.10g} ms"


def listed(labels: Sequence[object], most: int = 4) -> str:
    """Some labels in words, the first ones and how many more there are."""
    shown = ", ".join(shorten(str(label)) for label in labels[:most])
    return shown if len(labels) <= most else f"{shown} and {len(labels) - most:,} more"


def finding_of(columns: Columns, title: str, sentence: str, rows: Iterable[int]) -> Finding:
    """A finding whose witness is some rows, each once, in time order."""
    operations = columns.operations(rows)
    key = next((operation.key for operation in operations if operation.key), "")
    return finding(title, sentence[0].upper() + sentence[1:], key, operations)
