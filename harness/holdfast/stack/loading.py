"""Reads a descriptor; every mistake of the file is reported at once, and no secret is."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from holdfast.errors import DescriptorError
from holdfast.stack.base import Json
from holdfast.stack.crosscheck import crosscheck
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.environment import Environment
from holdfast.stack.explain import explain
from holdfast.stack.keypath import KeyPath, Problem, as_written, dotted, value_at

_REMEDY = "every key is described in docs/descriptor.md; holdfast schema prints the schema for editors"

_CODE = {"kind": "python", "callable": "code:code"}
_STAND_INS: Mapping[tuple[str | int, str | int], Json] = {
    ("commands", "calls"): [_CODE],
    ("effects", "sources"): [_CODE],
    ("statuses", "source"): _CODE,
}
"""What takes the place of a port that is wrong, while the rest of the file is checked."""


def load_descriptor(path: Path, environ: Mapping[str, str]) -> Descriptor:
    """Read, complete and check a descriptor.

    Args:
        path: a ``NAME.stack.toml``.
        environ: the variables that ``${NAME}`` stands for.

    Raises:
        DescriptorError: the file cannot be read or used; names the file, and each key with its cause and remedy.
    """
    written = _read(path)
    environment = Environment(environ, marks=frozenset(_marks(written)))
    document = environment.substitute(written)
    problems = list(environment.problems)
    missing = [problem.path for problem in problems]
    descriptor, found = _validated(document, environment)
    problems += [problem for problem in found if problem.path not in missing]
    if descriptor is not None and not problems:
        return descriptor.with_secrets(environment.secrets)
    raise _error(path, problems, environment)


def _read(path: Path) -> dict[str, Json]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows' editors put a byte order mark in front
    except FileNotFoundError:
        raise DescriptorError(
            f"There is no descriptor {path}.", cause="the file does not exist", remedy="correct the path"
        ) from None
    except UnicodeDecodeError as error:
        raise DescriptorError(
            f"{path} is not UTF-8 text.", cause=f"byte {error.start} cannot be decoded", remedy="save it as UTF-8"
        ) from None
    except OSError as error:
        raise DescriptorError(
            f"{path} cannot be read.", cause=str(error.strerror or error), remedy="check the path and its permissions"
        ) from None
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DescriptorError(f"{path} is not TOML.", cause=str(error), remedy="correct it at that place") from None


def _marks(document: dict[str, Json]) -> Iterator[str]:
    """The names that are marked as secret, before anything is known to be right."""
    given = document.get("secret_fields", ())
    for mark in [given] if isinstance(given, str) else given if isinstance(given, list) else ():
        yield str(mark).rpartition(".")[2]


def _validated(document: Json, environment: Environment) -> tuple[Descriptor | None, list[Problem]]:
    """The model, or all problems: those of single keys, and those between keys as far as these can be told."""
    problems: list[Problem] = []
    remaining = copy.deepcopy(document)
    removed: set[str] = set()
    while True:
        try:
            descriptor = Descriptor.model_validate(remaining)
        except ValidationError as error:
            found = explain(error, remaining, environment)
            if remaining == document:
                problems = found
            # look past these mistakes, to report what is wrong between the keys that are right in the same go
            if not all(_remove(remaining, problem.path, removed) for problem in found):
                return None, problems
            continue
        between = [
            Problem(as_written(document, each.path, absent=True), each.cause, each.remedy)
            for each in crosscheck(descriptor)
            if not each.names & removed
        ]
        return descriptor if remaining == document else None, problems + between


def _remove(document: Json, path: KeyPath, removed: set[str]) -> bool:
    """Take the innermost entry of a path that is there out of a document; False when that is the whole document."""
    while path and (value_at(document, path[:-1]) is None or _absent(document, path)):
        path = path[:-1]
    # an index would shift the others
    while path and any(isinstance(step, int) for step in path[-1:]):
        path = path[:-1]
    if not path:
        return False
    table, last = value_at(document, path[:-1]), path[-1]
    removed.update(str(name) for name in _names(last, table.pop(last)))
    if len(path) == 3 and (path[0], last) in _STAND_INS:
        table[last] = _STAND_INS[path[0], last]
    return True


def _absent(document: Json, path: KeyPath) -> bool:
    table, last = value_at(document, path[:-1]), path[-1]
    if isinstance(table, Mapping):
        return last not in table
    return not (isinstance(table, list) and isinstance(last, int) and last < len(table))


def _names(key: str | int, value: Json) -> list[str | int]:
    return [key, *value] if isinstance(value, Mapping) else [key]


def _error(path: Path, problems: list[Problem], environment: Environment) -> DescriptorError:
    shown = [
        (
            dotted(problem.path),
            environment.scrub(problem.cause, problem.path),
            environment.scrub(problem.remedy, problem.path),
        )
        for problem in dict.fromkeys(problems)
    ]
    if len(shown) == 1:
        key, cause, remedy = shown[0]
        return DescriptorError(f"{path}: {key} cannot be used.", cause=cause, remedy=remedy or _REMEDY)
    lines = [f"{path}: {len(shown)} keys cannot be used."]
    for key, cause, remedy in shown:
        lines.append(f"  {key}")
        lines.append(f"    cause:  {cause}")
        if remedy:
            lines.append(f"    remedy: {remedy}")
    return DescriptorError("\n".join(lines), remedy=_REMEDY)
