"""A history from whatever a person has: files of our own, of Jepsen, for Porcupine, or columns of a table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from holdfast.errors import HistoryError
from holdfast.history import jepsen, porcupine, reading
from holdfast.history.columns import Columns, columns_of
from holdfast.history.merging import merge

Format = Literal["holdfast", "jepsen", "porcupine"]
FORMATS: tuple[Format, ...] = ("holdfast", "jepsen", "porcupine")

Source = Columns | str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Mapping[str, Any] | Any
"""A history in columns, a file, several files, a folder of them, or a table."""


def open_history(
    source: Source,
    *,
    written_as: Format | None = None,
    uncertainty_ns: int | None = None,
    keyed: bool = False,
    intended: bool = False,
) -> Columns:
    """Read a history.

    Args:
        source: a file, several files of our own format that are merged, a folder of them, or columns of a table.
        written_as: the format of the file; None to tell it by its beginning.
        uncertainty_ns: by how much each recorder's clock may be wrong, instead of what the files say.
        keyed: whether values of a Jepsen history are ``[key value]``.
        intended: count from when an operation was to be sent, where a file of our own format tells that.

    Raises:
        HistoryError: it cannot be read.
    """
    if isinstance(source, Columns):
        return source
    if isinstance(source, (str, os.PathLike)):
        source = [source]
    if not isinstance(source, Sequence):
        return columns_of(source)
    if not all(isinstance(one, (str, os.PathLike)) for one in source):
        raise HistoryError(
            "A list of rows is no history.", remedy="give columns, a dictionary of lists, or names of files"
        )
    files = [file for one in source for file in _files(Path(one))]
    if not files:
        raise HistoryError("No history was named.", remedy="name a file or a folder that holds *.jsonl files")
    kinds = {written_as or _format(file) for file in files}
    if kinds == {"holdfast"}:
        return merge([reading.read(file, intended=intended) for file in files], uncertainty_ns=uncertainty_ns)
    if len(files) > 1:
        raise HistoryError(
            f"{len(files)} histories were named, and not all of them can be merged.",
            remedy="name one file of Jepsen or Porcupine, or several that Holdfast recorded",
        )
    return jepsen.read(files[0], keyed=keyed) if kinds == {"jepsen"} else porcupine.read(files[0])


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.jsonl")) if path.is_dir() else [path]


def _format(path: Path) -> Format:
    """The format of a file, by its name and its first bytes."""
    if path.suffix == ".edn":
        return "jepsen"
    try:
        with path.open("rb") as file:
            start = file.read(200).lstrip()
    except OSError as error:
        raise HistoryError(f"The history {path} cannot be read.", cause=str(error), remedy="name a file") from error
    if start[:1] == b"{" and b'"holdfast"' in start:
        return "holdfast"
    if start[:2] == b"{:" or start[:3] == b"[{:" or start[:1] == b";" or start[:2] == b"#j":
        return "jepsen"
    return "porcupine" if start[:1] == b"{" else "holdfast"
