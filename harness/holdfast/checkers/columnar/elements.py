"""The elements of lists that reads returned, as codes beside those of single values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from holdfast.history.columns import FIRST_COMPOSITE, NOTHING, Columns, Integers

_LARGEST = 1 << 62


@dataclass(frozen=True, slots=True)
class Elements:
    """Single values and elements of lists in one numbering.

    Attributes:
        value: for each row of the history the code of its single value; `NOTHING` for null and for lists.
        row: for each element of a list its row; rows in the order asked for, elements in the order of the list.
        element: its code.
        labels: what the codes stand for.
    """

    value: Integers
    row: Integers
    element: Integers
    labels: dict[int, object]


def elements_of(columns: Columns, rows: Integers) -> Elements:
    """The elements of the lists that some rows hold; a row with a single value holds that one, one with null none.

    Args:
        columns: the history.
        rows: the rows whose lists are wanted.
    """
    single = np.where(columns.value > FIRST_COMPOSITE, columns.value, NOTHING)
    values = columns.value[rows]
    if len(values) and int(values.min()) > FIRST_COMPOSITE:  # no list among them, so nothing to look into
        some = values != NOTHING
        return Elements(value=single, row=rows[some], element=values[some], labels={})
    names = columns.values.labels
    codes: dict[object, int] = {} if names is None else {_identity(label): at for at, label in enumerate(names)}
    more: dict[int, object] = {}
    beyond = max(int(single.max()) + 1 if len(single) else 0, 0 if names is None else len(names))

    def code(label: Any) -> int:
        if names is None and type(label) is int and 0 <= label < _LARGEST:
            return label
        identity = _identity(label)
        found = codes.get(identity)
        if found is None:
            # below everything that a whole number could mean by itself
            found = codes[identity] = (-2 - len(more)) if names is None else beyond + len(more)
            more[found] = label
        return found

    lengths: list[int] = []
    pieces: list[Integers] = [np.empty(0, np.int64)]
    for value in columns.value[rows].tolist():
        if value == NOTHING:
            lengths.append(0)
        elif value > FIRST_COMPOSITE:
            lengths.append(1)
            pieces.append(np.array([value], np.int64))
        else:
            items = list(columns.composites[FIRST_COMPOSITE - value])
            lengths.append(len(items))
            if names is None and set(map(type, items)) == {int} and min(items) >= 0 and max(items) < _LARGEST:
                pieces.append(np.array(items, np.int64))
            else:
                pieces.append(np.fromiter(map(code, items), np.int64, len(items)))
    return Elements(
        value=single,
        row=np.repeat(rows, np.array(lengths, np.int64)),
        element=np.concatenate(pieces),
        labels=more,
    )


def with_equal_lists_shared(columns: Columns) -> Columns:
    """The same history where lists and objects that are equal have one code, as single values have."""
    listed = np.flatnonzero(columns.value <= FIRST_COMPOSITE)
    if not len(listed):
        return columns
    first: dict[object, int] = {}
    value = columns.value.copy()
    for row in listed.tolist():
        code = int(value[row])
        value[row] = first.setdefault(_identity(columns.composites[FIRST_COMPOSITE - code]), code)
    return replace(columns, value=value)


def label_of(columns: Columns, elements: Elements, code: int) -> object:
    """What a code of an element stands for."""
    return elements.labels[code] if code in elements.labels else columns.values.label(code)


def _identity(label: object) -> object:
    """Equal only for labels of one type: JSON's 1, 1.0 and true are three values; lists become tuples."""
    if isinstance(label, (list, tuple)):
        return tuple(_identity(one) for one in label)
    if isinstance(label, dict):
        return ("object", *sorted((str(name), repr(_identity(one))) for name, one in label.items()))
    if isinstance(label, (set, frozenset)):
        return frozenset(_identity(one) for one in label)
    return label if isinstance(label, str) else (type(label), label)
