"""What an application answers while a sample is tried: that it lives, that it is ready, what it shows of a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from holdfast.inference.beside import APPLICATION, SIDECAR
from holdfast.inference.inventory import Inventory, Route
from holdfast.stack.running import Running
from holdfast.waiting import eventually

LIVE = ("/live", "/livez", "/alive", "/health/live", "/healthz", "/health", "/ping")
READY = ("/ready", "/readyz", "/health/ready", "/healthz", "/health")
"""Paths that are usual for it, the clearest first."""

_NOWHERE = "/holdfast-init-nothing-is-here"
_ANSWER_SECONDS = 5.0
_READY_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How an answer shows a key: a path with ``{key}``, where its entries are (empty for all of it), the attribute."""

    path: str
    entries: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What an application says of itself; empty for what is not known.

    Attributes:
        liveness: path that answers without the sidecar, too.
        readiness: path that answers only with it.
        ready: by component, the path that answers when it is ready.
        read: how it shows what a command has done.
    """

    liveness: str = ""
    readiness: str = ""
    ready: Mapping[str, str] = field(default_factory=dict)
    read: Shown | None = None


def live_route(there: Inventory, api: str) -> str:
    """The path of an API that is called as if it said that the application lives; empty for none."""
    paths = [route.path for route in there.routes if route.api == api and route.method == "GET"]
    return next((path for path in LIVE if path in paths), "")


def read_path(command: str, status: Route | None) -> str:
    """The path, with ``{key}``, at which a key is usually asked for.

    Args:
        command: path of the command.
        status: a route that reads one thing below it; None where none is known.
    """
    path = status.path if status is not None else command
    return path.partition("{")[0].rstrip("/") + "/{key}"


def shown(path: str, document: Any, value: str) -> Shown | None:
    """Where a JSON answer shows a value: in itself, or in the entries of one of its members."""
    for entries, rows in _entries(document):
        for row in rows:
            attribute = next((name for name, text in row.items() if text == value), "")
            if attribute:
                return Shown(path=path, entries=entries, value=attribute)
    return None


def _entries(document: Any) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    if isinstance(document, Mapping):
        yield "", [document]
        for name, member in document.items():
            rows = member if isinstance(member, list) else [member]
            yield str(name), [row for row in rows if isinstance(row, Mapping)]
    if isinstance(document, list):
        yield "", [row for row in document if isinstance(row, Mapping)]


def ask_read(base: str, path: str, key: str, value: str) -> Shown | None:
    """Ask an application for a key; None where it does not show the value."""
    answer = _get(base + path.replace("{key}", key))
    if answer is None or not answer.ok:
        return None
    try:
        return shown(path, answer.json(), value)
    except ValueError:
        return None


def ready_paths(running: Running) -> dict[str, str]:
    """By component, the path that says that it is ready; waits for it, and leaves out those that have none."""
    found: dict[str, str] = {}
    for name in running.order:
        base = str(running.addresses[f"{name}.url"])
        if not _all_answered(base):
            waited = eventually(
                lambda base=base: _first(base, READY),  # type: ignore[misc]
                bool,
                deadline_seconds=_READY_SECONDS,
                longest_interval_seconds=0.2,
            )
            found |= {name: waited.value} if waited.value else {}
    return found


def life(running: Running) -> tuple[str, str]:
    """Liveness and readiness of an application: what it answers with its sidecar, and what when that has ended."""
    base = str(running.addresses[f"{APPLICATION}.url"])
    if _all_answered(base):
        return "", ""
    with_it = _answered(base)
    running.end(SIDECAR)
    without = _answered(base)
    running.start(SIDECAR)
    return (
        next((path for path in LIVE if path in without), ""),
        next((path for path in READY if path in with_it and path not in without), ""),
    )


def _all_answered(base: str) -> bool:
    """Whether it answers anything at all, so that its answers tell nothing."""
    return _ok(base + _NOWHERE)


def _answered(base: str) -> set[str]:
    return {path for path in dict.fromkeys((*LIVE, *READY)) if _ok(base + path)}


def _first(base: str, paths: tuple[str, ...]) -> str:
    return next((path for path in paths if _ok(base + path)), "")


def _ok(url: str) -> bool:
    answer = _get(url)
    return answer is not None and answer.ok


def _get(url: str) -> requests.Response | None:
    try:
        return requests.get(url, timeout=_ANSWER_SECONDS)
    except requests.RequestException:
        return None
