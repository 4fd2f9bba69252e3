"""What the client of the interceptor's control interface does when connections end."""

from __future__ import annotations

import json
from typing import Any

import pytest
import urllib3

from holdfast.errors import TargetError
from holdfast.targets.base import Rule
from holdfast.targets.interceptor_client import InterceptorClient


class Closing:
    """A pool whose connection has been closed when it is first used."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def request(self, method: str, path: str, **_: Any) -> Any:
        """Fails once, then answers."""
        self.asked.append(f"{method} {path}")
        if len(self.asked) == 1:
            raise urllib3.exceptions.ProtocolError("Connection aborted.")
        return urllib3.HTTPResponse(json.dumps({"hits": 3}).encode(), status=200, preload_content=False)


def test_a_question_is_asked_again_when_its_connection_was_closed() -> None:
    """A connection that the server closes just as it is taken loses no question."""
    pool: Any = Closing()
    assert InterceptorClient(pool).hits("rule") == 3
    assert pool.asked == ["GET /_holdfast/hits/rule", "GET /_holdfast/hits/rule"]


def test_a_change_is_not_made_twice() -> None:
    """A rule that may have been put in force is not put again: that is an error, which says so."""
    pool: Any = Closing()
    with pytest.raises(TargetError, match="the interceptor does not answer"):
        InterceptorClient(pool).add(Rule(id="rule", action="fail"))
    assert len(pool.asked) == 1
