"""Effects and statuses read over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.history.recorder import Recorder
from holdfast.ports import Ports
from ports_rig import StubTarget, Web, answer, answers, cut, resource, serving, stack_of, submission


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server."""
    with serving() as server:
        yield server


def source(web: Web, **parts: Any) -> dict[str, Any]:
    """An HTTP source at the server."""
    return {"kind": "http", "url": f"{web.url}/orders/{{key}}", **parts}


def seen(web: Web, **parts: Any) -> Any:
    """The observation of an effect with one HTTP source."""
    stack = stack_of(StubTarget(), effects={"done": {"sources": [source(web, **parts)]}})
    with Ports(stack, Recorder()) as ports:
        return ports.observe("done", submission())


@pytest.mark.parametrize(
    ("body", "parts", "count", "values"),
    [
        ([{"v": 1}, {"v": "b"}], {"value": "v"}, 2, ("1", "b")),
        ({"v": "a"}, {"value": "v"}, 1, ("a",)),
        ({"orders": [{"v": "a"}]}, {"entries": "orders", "value": "v"}, 1, ("a",)),
        ({"orders": []}, {"entries": "orders"}, 0, ()),
        ({}, {"entries": "orders"}, 0, ()),
        ({"total": 3}, {"entries": "total"}, 3, ()),
        ({"total": 3.0}, {"entries": "total"}, 3, ()),
        (True, {}, 1, ()),
        (False, {}, 0, ()),
        (None, {}, 0, ()),
        ([{"s": 1}, {"s": 2}], {"where": "s == `2`"}, 1, ()),
    ],
)
def test_entries(web: Web, body: Any, parts: dict[str, Any], count: int, values: tuple[str, ...]) -> None:
    """A list, one entry, nothing, true and false, and a number are all counted for what they mean."""
    web.behaviour = answers(200, b"null" if body is None else body)
    found = seen(web, **parts)
    assert (found.count, found.values, found.complete) == (count, values, True)


def test_absence(web: Web) -> None:
    """404 means no effect unless the source says otherwise."""
    web.behaviour = answers(404, {"message": "no such order"})
    assert (seen(web).count, seen(web).complete) == (0, True)
    assert not seen(web, absent=[410]).complete


def test_requests(web: Web) -> None:
    """Path, query and headers are rendered; a component gives the base URL; a signature is added where asked."""
    api = resource("api", "api", url=f"{web.url}/live")
    http = {
        "kind": "http",
        "method": "POST",
        "api": "api",
        "path": "find/{key}",
        "query": {"v": "{value}"},
        "headers": {"X-Value": "{value}"},
        "sigv4": "execute-api",
    }
    with Ports(stack_of(StubTarget(), api, effects={"done": {"sources": [http]}}), Recorder()) as ports:
        ports.observe("done", submission())
    request = web.received[0]
    assert (request.method, request.path) == ("POST", "/live/find/k-1?v=v-1")
    assert request.headers["x-value"] == "v-1"
    assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE0000/")


@pytest.mark.parametrize(
    ("behaviour", "state"),
    [
        (answers(500, b"oops", "text/plain"), "GET {url}/orders/k-1 answers 500: text/plain: 'oops'"),
        (answers(200, b"<html>", "text/html"), "GET {url}/orders/k-1 answers no JSON: text/html: '<html>'"),
        (cut, "GET {url}/orders/k-1 gets no answer: connection failed: "),
    ],
    ids=["500", "html", "cut"],
)
def test_answers_that_cannot_be_used(web: Web, behaviour: Any, state: str) -> None:
    """At run time they are incomplete observations that say why, never an absent effect."""
    web.behaviour = behaviour
    found = seen(web)
    assert (found.count, found.complete) == (0, False)
    assert found.state.startswith("effect done: " + state.format(url=web.url))


def test_secrets_of_a_source(web: Web) -> None:
    """An error answer that echoes the source's API key does not bring it into the history."""
    web.behaviour = lambda handler: answer(handler, 403, handler.headers["X-Api-Key"].encode(), "text/plain")
    assert seen(web, headers={"X-Api-Key": "my-api-key-1"}).state.endswith(" answers 403: text/plain: '[redacted]'")


def status(web: Web, **parts: Any) -> Any:
    """The observation of a status read over HTTP."""
    progress = {"source": source(web, **parts), "state": "state", "done": ["DONE"]}
    with Ports(stack_of(StubTarget(), statuses={"progress": progress}), Recorder()) as ports:
        return ports.observe_status("progress", submission(), provocation="p")


@pytest.mark.parametrize(
    ("behaviour", "count", "state", "complete"),
    [
        (answers(200, {"state": "DONE"}), 1, "DONE", True),
        (answers(200, {"state": 2}), 1, "2", True),
        (answers(200, {}), 1, "", True),
        (answers(404), 0, "", True),
        (answers(200, [{"state": "OPEN"}, {"state": "DONE"}]), 2, "DONE", True),
        (answers(502, b"bad", "text/plain"), 0, None, False),
    ],
)
def test_statuses(web: Web, behaviour: Any, count: int, state: str | None, complete: bool) -> None:
    """The state is what the latest entry says; 404 is no state; a failed read is incomplete."""
    web.behaviour = behaviour
    found = status(web)
    assert (found.port, found.count, found.complete, found.provocation) == ("progress", count, complete, "p")
    if state is not None:
        assert found.state == state


def test_a_status_and_its_value(web: Web) -> None:
    """A status may show the value too."""
    web.behaviour = answers(200, {"state": "DONE", "note": "v-1"})
    assert status(web, value="note").values == ("v-1",)
