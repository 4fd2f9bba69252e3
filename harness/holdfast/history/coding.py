"""From rows of a file to columns: words become codes, and whole numbers stay what they are.

A column of whole numbers from 0 costs one conversion; anything else is looked up in a dictionary, once a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdfast.errors import HistoryError
from holdfast.history.columns import FIRST_COMPOSITE, NEVER_NS, NO_POSITION, NOTHING, OUTCOMES, Columns, Integers, Names

_INTEGER = {int}
_LARGEST = int(np.iinfo(np.int64).max)
FEW_TEXTS = 5_000
"""Up to so many different texts a dictionary stays in the processor's cache and is fastest."""

_COMPOSITE = (list, dict, tuple, set, frozenset)
_OUTCOME_CODES = {outcome.value: code for code, outcome in enumerate(OUTCOMES)} | {"info": 2}


class _Interned(dict[Any, int]):
    """Gives every new key the next number."""

    def __missing__(self, key: Any) -> int:
        number = self[key] = len(self)
        return number


@dataclass(frozen=True, slots=True)
class Part:
    """What one process read of one file; codes are the part's own."""

    kinds: tuple[str, ...]
    kind: Any
    key: Integers
    value: Integers
    invoked_ns: Integers
    completed_ns: Integers
    outcome: Any
    session: Integers
    position: Integers | None
    labels: dict[str, list[object] | None]
    composites: list[object]


class _SeenBefore:
    """Codes of texts by their hashes, many at a time: a dictionary of a hundred thousand keys waits for memory.

    One text a slot; a text that is not in its slot is looked up in the dictionary and takes the slot. Two texts are
    taken for one only if Python's 64-bit hashes of them, random in every process, are equal: for a hundred thousand
    texts a chance of one in 3,000 million.
    """

    SLOTS = 1 << 20
    TRIED = 200_000

    def __init__(self) -> None:
        self._hash = np.zeros(self.SLOTS, np.int64)
        self._code = np.full(self.SLOTS, -1, np.int64)
        self._asked = self._missed = 0

    def pays(self) -> bool:
        """Whether enough texts come again."""
        return self._asked < self.TRIED or self._missed * 2 < self._asked

    def codes(self, texts: Sequence[str], interned: _Interned) -> Integers:
        """The code of each text."""
        hashes = np.fromiter(map(hash, texts), np.int64, len(texts))
        slots = hashes & (self.SLOTS - 1)
        codes: Integers = self._code[slots]
        missing = np.flatnonzero((codes < 0) | (self._hash[slots] != hashes))
        if len(missing):
            found = [interned[texts[at]] for at in missing.tolist()]
            codes[missing] = found
            self._hash[slots[missing]] = hashes[missing]
            self._code[slots[missing]] = found
        self._asked += len(texts)
        self._missed += len(missing)
        return codes


class LabelCoder:
    """Codes of one column, given piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[Integers] = []
        self._interned: _Interned | None = None
        self._seen_before: _SeenBefore | None = None
        self.composites: list[object] = []

    def add(self, labels: Sequence[Any]) -> None:
        """Append the labels of some rows."""
        types = set(map(type, labels))
        if self._interned is None:
            if types == _INTEGER:
                try:
                    piece = np.fromiter(labels, np.int64, len(labels))
                except OverflowError:
                    piece = None
                if piece is not None and piece.min() >= 0:
                    self._pieces.append(piece)
                    return
            elif types == {type(None)}:
                self._pieces.append(np.full(len(labels), NOTHING, np.int64))
                return
            elif types == {int, type(None)} and all(one is None or 0 <= one <= _LARGEST for one in labels):
                plain = (NOTHING if one is None else one for one in labels)
                self._pieces.append(np.fromiter(plain, np.int64, len(labels)))
                return
            self._begin_interning()
        interned = self._interned
        assert interned is not None
        if types == {str}:
            self._pieces.append(self._texts(labels, interned))
        else:
            self._pieces.append(np.fromiter(map(self._code, labels), np.int64, len(labels)))

    def _texts(self, labels: Sequence[str], interned: _Interned) -> Integers:
        if len(interned) > FEW_TEXTS:
            if self._seen_before is None:
                self._seen_before = _SeenBefore()
            if self._seen_before.pays():
                return self._seen_before.codes(labels, interned)
        return np.fromiter(map(interned.__getitem__, labels), np.int64, len(labels))

    def merge(self, codes: Integers, labels: Sequence[object] | None, composites: Sequence[object]) -> None:
        """Append codes of another coder."""
        shifted = np.where(codes <= FIRST_COMPOSITE, codes - len(self.composites), codes)
        if labels is None and self._interned is None:
            self._pieces.append(shifted)
        else:
            if self._interned is None:
                self._begin_interning()
            scalar = codes >= 0
            if labels is None:
                distinct, inverse = np.unique(codes[scalar], return_inverse=True)
                table = np.fromiter(map(self._code, distinct.tolist()), np.int64, len(distinct))
                shifted[scalar] = table[inverse]
            else:
                assert self._interned is not None
                # texts need no second look, and there may be one for every row
                code = self._interned.__getitem__ if set(map(type, labels)) == {str} else self._code
                table = np.fromiter(map(code, labels), np.int64, len(labels))
                shifted[scalar] = table[codes[scalar]]
            self._pieces.append(shifted)
        self.composites.extend(composites)

    def codes(self) -> Integers:
        """All codes in order."""
        return np.concatenate(self._pieces) if self._pieces else np.empty(0, np.int64)

    def labels(self) -> list[object] | None:
        """What the codes stand for; None when they are the labels themselves."""
        if self._interned is None or set(map(type, self._interned)) == {str}:
            return None if self._interned is None else list(self._interned)
        return [_shown(label) for label in self._interned]

    def _begin_interning(self) -> None:
        self._interned = _Interned()
        for at, piece in enumerate(self._pieces):
            scalar = piece >= 0
            distinct, inverse = np.unique(piece[scalar], return_inverse=True)
            table = np.fromiter(map(self._interned.__getitem__, distinct.tolist()), np.int64, len(distinct))
            recoded = piece.copy()
            recoded[scalar] = table[inverse]
            self._pieces[at] = recoded

    def _code(self, label: Any) -> int:
        if label is None:
            return NOTHING
        assert self._interned is not None
        if isinstance(label, _COMPOSITE):
            self.composites.append(label)
            return FIRST_COMPOSITE - (len(self.composites) - 1)
        # True equals 1 and 1.0 equals 1 as keys of a dictionary; as values of a history they differ
        return self._interned[label if isinstance(label, str) or type(label) is int else _Other(label)]


@dataclass(frozen=True, slots=True)
class _Other:
    """A label that is neither text nor a whole number, equal only to its own kind."""

    label: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Other) and type(other.label) is type(self.label) and other.label == self.label

    def __hash__(self) -> int:
        return hash((type(self.label), self.label))


def _shown(label: object) -> object:
    return label.label if isinstance(label, _Other) else label


class Coder:
    """Collects rows, piece by piece, and gives columns."""

    def __init__(self) -> None:
        self._kinds = _Interned()
        self._kind: list[Any] = []
        self._outcome: list[Any] = []
        self._invoked: list[Integers] = []
        self._completed: list[Integers] = []
        self._position: list[Integers] = []
        self._positioned = False
        self._labels = {name: LabelCoder() for name in ("key", "value", "session")}

    def add(
        self,
        *,
        kind: Sequence[str],
        key: Sequence[Any],
        value: Sequence[Any],
        invoked_ns: Sequence[int | None],
        completed_ns: Sequence[int | None],
        outcome: Sequence[str],
        session: Sequence[Any],
        position: Sequence[int | None] | None = None,
    ) -> None:
        """Append rows, all columns of one length.

        Raises:
            HistoryError: something is not what its column holds; nothing of these rows is kept then.
        """
        rows = len(kind)
        if not rows:
            return
        try:
            outcomes = np.fromiter(map(_OUTCOME_CODES.__getitem__, outcome), np.uint8, rows)
        except (KeyError, TypeError) as error:
            raise HistoryError(f"{error} is no outcome.", remedy="an outcome is ok, fail or unknown") from error
        if set(map(type, kind)) != {str}:
            raise HistoryError("A kind is not a text.", remedy='a kind is a word such as "read" or "write"')
        invoked, completed = _times(invoked_ns, "invoked_ns"), _times(completed_ns, "completed_ns")
        if (invoked == NEVER_NS).any():
            raise HistoryError("An operation has no time of invocation.", remedy="record when each operation was sent")
        if (completed < invoked).any():
            raise HistoryError("An operation ended before it began.", remedy="record both times on one clock")
        positions = None if position is None else _times(position, "position", missing=NO_POSITION)
        kinds = np.fromiter(map(self._kinds.__getitem__, kind), np.int64, rows)
        if len(self._kinds) > 255:
            raise HistoryError("There are more than 255 kinds of operations.", remedy="give each kind one name")
        self._kind.append(kinds.astype(np.uint8))
        self._outcome.append(outcomes)
        self._invoked.append(invoked)
        self._completed.append(completed)
        if positions is not None:
            self._positioned = True
        self._position.append(np.full(rows, NO_POSITION, np.int64) if positions is None else positions)
        for name, labels in (("key", key), ("value", value), ("session", session)):
            self._labels[name].add(labels)

    def part(self) -> Part:
        """What was collected, to be merged in another process."""
        return Part(
            kinds=tuple(self._kinds),
            kind=_joined(self._kind, np.uint8),
            key=self._labels["key"].codes(),
            value=self._labels["value"].codes(),
            invoked_ns=_joined(self._invoked, np.int64),
            completed_ns=_joined(self._completed, np.int64),
            outcome=_joined(self._outcome, np.uint8),
            session=self._labels["session"].codes(),
            position=_joined(self._position, np.int64) if self._positioned else None,
            labels={name: coder.labels() for name, coder in self._labels.items()},
            composites=self._labels["value"].composites,
        )

    def merge(self, part: Part) -> None:
        """Append what another coder collected."""
        table = np.array([self._kinds[name] for name in part.kinds] or [0], np.uint8)
        self._kind.append(table[part.kind])
        self._outcome.append(part.outcome)
        self._invoked.append(part.invoked_ns)
        self._completed.append(part.completed_ns)
        if part.position is not None:
            self._positioned = True
        self._position.append(
            np.full(len(part.kind), NO_POSITION, np.int64) if part.position is None else part.position
        )
        for name, codes in (("key", part.key), ("value", part.value), ("session", part.session)):
            self._labels[name].merge(codes, part.labels[name], part.composites if name == "value" else ())

    def merge_columns(self, columns: Columns) -> None:
        """Append a history."""
        self.merge(
            Part(
                kinds=columns.kinds,
                kind=columns.kind,
                key=columns.key,
                value=columns.value,
                invoked_ns=columns.invoked_ns,
                completed_ns=columns.completed_ns,
                outcome=columns.outcome,
                session=columns.session,
                position=columns.position,
                labels={
                    name: None if names.labels is None else list(names.labels)
                    for name, names in (("key", columns.keys), ("value", columns.values), ("session", columns.sessions))
                },
                composites=list(columns.composites),
            )
        )

    def columns(self) -> Columns:
        """All that was collected."""
        part = self.part()
        return Columns(
            kinds=part.kinds,
            kind=part.kind,
            key=part.key,
            value=part.value,
            invoked_ns=part.invoked_ns,
            completed_ns=part.completed_ns,
            outcome=part.outcome,
            session=part.session,
            position=part.position,
            keys=Names(part.labels["key"]),
            values=Names(part.labels["value"]),
            sessions=Names(part.labels["session"]),
            composites=part.composites,
        )


def _times(numbers: Sequence[int | None], column: str, *, missing: int = NEVER_NS) -> Integers:
    types = set(map(type, numbers))
    try:
        if types == _INTEGER:
            return np.fromiter(numbers, np.int64, len(numbers))
        if types <= {int, type(None)}:
            return np.fromiter((missing if one is None else one for one in numbers), np.int64, len(numbers))
    except OverflowError:
        pass
    wrong = next((one for one in numbers if type(one) is not int and one is not None), "a number")
    raise HistoryError(f"{wrong!r} in the column {column} is not a whole number of 64 bits.", remedy="correct the row")


def _joined(pieces: Iterable[Any], kind: Any) -> Any:
    pieces = list(pieces)
    return np.concatenate(pieces) if pieces else np.empty(0, kind)
