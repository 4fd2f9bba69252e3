"""A run's folder, ``.holdfast/STACK/runs/TIME-KIND/``: all that reports are made from, written while the run goes on.

========================  =====================================================================================
``run.json``              what was run (`Run`); written at the beginning, and again at the end with its duration
``verdict.json``          the verdicts (docs/verdict.md); the newest of a stack lies at ``.holdfast/STACK`` too
``history/*.jsonl``       operations, observations and fault windows as recorded histories (docs/check.md), one file a
                          recorder; observations have the kind ``observe:PORT`` (`holdfast.history.events`)
``series.json``           what was sampled over time, e.g. the depth of queues (`Series`)
``coverage.json``         of a sweep: what `holdfast.sweep.coverage` calls its coverage
``plans.json``            of a verification of a saga: what its generated plans visited
========================  =====================================================================================

Every text is cleaned of secrets before it is written. A run that was killed leaves what it had; `Run.seconds` is None.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from holdfast import __version__
from holdfast.errors import HistoryError
from holdfast.history.columns import Columns
from holdfast.history.opening import open_history
from holdfast.verdict.document import read, report_to_json, without_secrets
from holdfast.verdict.model import StackReport

VERSION = 1
KEPT = 20
"""So many runs of a stack are kept; older ones are removed when the next begins."""

RunKind = Literal["verify", "sweep", "load"]
RUN_FILE, VERDICT_FILE, SERIES_FILE, COVERAGE_FILE, PLANS_FILE, HISTORY_FOLDER = (
    "run.json",
    "verdict.json",
    "series.json",
    "coverage.json",
    "plans.json",
    "history",
)
_PARTS = ("boto3", "ministack", "locust", "pytest")


def versions() -> dict[str, str]:
    """Versions of Holdfast, Python and the installed parts that decide results."""
    found = {"holdfast": __version__, "python": platform.python_version()}
    for part in _PARTS:
        try:
            found[part] = version(part)
        except PackageNotFoundError:
            continue
    return found


class Run(BaseModel):
    """What was run.

    Attributes:
        version: of this format; changes when the meaning of a key does.
        kind: which command it was.
        stack: the stack's name.
        descriptor: path of its descriptor.
        patterns: the patterns it claims.
        target: kind of the target.
        seed: of the generated values.
        versions: of Holdfast, Python and what decides results, by name.
        command: the command line, without secrets.
        started: when it began, UTC.
        seconds: how long it took; None while it runs, and for ever when it was killed.
        figures: what it measured beside its verdicts, by name; the name carries the unit.
        notes: what a reader must know, a sentence each, e.g. why a load run is invalid.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = VERSION
    kind: RunKind
    stack: str
    descriptor: str
    patterns: tuple[str, ...] = ()
    target: str
    seed: int
    versions: dict[str, str] = Field(default_factory=versions)
    command: tuple[str, ...] = ()
    started: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    seconds: float | None = None
    figures: dict[str, float] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Series(BaseModel):
    """One quantity over the time of a run.

    Attributes:
        name: what it is, e.g. ``queue depth``.
        component: of which component; empty for the whole run.
        unit: of the values, e.g. ``messages``.
        seconds: when each was sampled, from the beginning of the history.
        values: the values, as many as seconds.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    component: str = ""
    unit: str = ""
    seconds: tuple[float, ...] = ()
    values: tuple[float, ...] = ()


_SERIES = TypeAdapter(list[Series])


class RunFolder:
    """One run being written; made by `begin`.

    Args:
        path: its folder.
        run: what is run.
        clean: removes secrets from a text.
    """

    def __init__(self, path: Path, run: Run, clean: Callable[[str], str]) -> None:
        self.path = path
        self.run = run
        self._clean = clean

    @property
    def history(self) -> Path:
        """The folder for recorded histories; it is there."""
        return self.path / HISTORY_FOLDER

    def verdicts(self, report: StackReport) -> None:
        """Write the verdicts; what was written before is replaced.

        Raises:
            HistoryError: the file cannot be written.
        """
        self._write(VERDICT_FILE, report_to_json(report))

    def coverage(self, document: Any) -> None:
        """Write what a sweep covered.

        Raises:
            HistoryError: the file cannot be written.
        """
        self._write(COVERAGE_FILE, document)

    def plans(self, document: Any) -> None:
        """Write what generated plans of sagas visited.

        Raises:
            HistoryError: the file cannot be written.
        """
        self._write(PLANS_FILE, document)

    def series(self, series: Iterable[Series]) -> None:
        """Write what was sampled.

        Raises:
            HistoryError: the file cannot be written.
        """
        self._write(SERIES_FILE, _SERIES.dump_python(list(series), mode="json"), indent=None)

    def end(self, seconds: float, *, figures: dict[str, float] | None = None, notes: Sequence[str] = ()) -> None:
        """Say how long the run took and what else there is to know.

        Raises:
            HistoryError: the file cannot be written.
        """
        self.run = self.run.model_copy(
            update={
                "seconds": round(seconds, 3),
                "figures": {**self.run.figures, **(figures or {})},
                "notes": (*self.run.notes, *notes),
            }
        )
        self._write(RUN_FILE, self.run.model_dump(mode="json"))

    def _write(self, name: str, document: Any, *, indent: int | None = 2) -> None:
        text = json.dumps(without_secrets(document, self._clean), indent=indent, ensure_ascii=False)
        path = self.path / name
        draft = path.with_name(f"{name}.new")
        try:
            draft.write_text(text + "\n", encoding="utf-8")
            draft.replace(path)
        except OSError as error:
            raise _not_written(path, error) from error


def begin(folder: Path, run: Run, *, clean: Callable[[str], str], kept: int = KEPT) -> RunFolder:
    """Make the folder of a run that begins, and remove the oldest ones beyond those that are kept.

    Args:
        folder: of journals and verdicts, e.g. ``.holdfast``.
        run: what is run.
        clean: removes secrets from a text.
        kept: how many runs of the stack are kept, with this one.

    Raises:
        HistoryError: it cannot be made.
    """
    runs = folder / run.stack / "runs"
    name = f"{run.started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{run.kind}"
    number = 1
    path = runs / name
    try:
        while True:
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError:
                number += 1
                path = runs / f"{name}-{number}"
        (path / HISTORY_FOLDER).mkdir()
    except OSError as error:
        raise _not_written(path, error) from error
    begun = RunFolder(path, run, clean)
    begun._write(RUN_FILE, run.model_dump(mode="json"))  # noqa: SLF001 - its maker
    for old in runs_of(folder, run.stack)[: -max(1, kept)]:
        shutil.rmtree(old, ignore_errors=True)
    return begun


@contextmanager
def at_end(write: Callable[[], None]) -> Iterator[None]:
    """Write at the end, also of what failed; then a file that cannot be written hides nothing.

    Raises:
        HistoryError: what was to be written cannot be.
    """
    try:
        yield
    except BaseException:
        with suppress(HistoryError):
            write()
        raise
    write()


def runs_of(folder: Path, stack: str) -> list[Path]:
    """The runs of a stack that are kept, oldest first.

    Args:
        folder: of journals and verdicts, e.g. ``.holdfast``.
        stack: the stack's name.
    """
    found = [path.parent for path in (folder / stack / "runs").glob(f"*/{RUN_FILE}")]
    return sorted(found, key=_by_time)


def _by_time(path: Path) -> tuple[str, int, str]:
    time, _, rest = path.name.partition("-")
    kind, _, number = rest.partition("-")
    return time, int(number) if number.isdecimal() else 1, kind


def read_run(path: Path) -> Run:
    """What was run in a folder.

    Raises:
        HistoryError: it is no run's folder.
    """
    try:
        return Run.model_validate_json((path / RUN_FILE).read_bytes())
    except OSError as error:
        raise HistoryError(
            f"{path} is no run's folder.",
            cause=f"{RUN_FILE} cannot be read: {error.strerror}",
            remedy="name a folder below .holdfast/STACK/runs",
        ) from error
    except ValidationError as error:
        raise _damaged(path / RUN_FILE, error) from None


def read_verdicts(path: Path) -> StackReport | None:
    """The verdicts of a run; None where it ended before there were any.

    Raises:
        HistoryError: they cannot be read.
    """
    file = path / VERDICT_FILE
    if not file.exists():
        return None
    try:
        return read(file)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(file, error) from error


def read_series(path: Path) -> tuple[Series, ...]:
    """What a run sampled; none where it sampled nothing.

    Raises:
        HistoryError: the file cannot be read.
    """
    file = path / SERIES_FILE
    if not file.exists():
        return ()
    try:
        return tuple(_SERIES.validate_json(file.read_bytes()))
    except (OSError, ValidationError) as error:
        raise _damaged(file, error) from error


def read_history(path: Path, *, intended: bool = False) -> Columns | None:
    """The operations and observations of a run on one clock; None where nothing was recorded.

    Args:
        path: its folder.
        intended: count from when an operation was to be sent, where that is recorded.

    Raises:
        HistoryError: a file cannot be read.
    """
    folder = path / HISTORY_FOLDER
    return open_history(folder, intended=intended) if any(folder.glob("*.jsonl")) else None


def _not_written(path: Path, error: OSError) -> HistoryError:
    return HistoryError(
        f"The run's {path.name} cannot be written.",
        cause=f"{path}: {error.strerror}",
        remedy="free space, or name another folder with --holdfast-folder",
    )


def _damaged(path: Path, error: Exception) -> HistoryError:
    return HistoryError(
        f"{path} cannot be read.",
        cause=" ".join(str(error).split())[:300],
        remedy="it is damaged or of another version: name another run, or run again",
    )
