"""Answers of HTTP/1.1 of any form, by geventhttpclient's binding of llhttp."""

from __future__ import annotations

from typing import Any, cast

from geventhttpclient.header import Headers
from geventhttpclient.response import HTTPResponse


class _Fields(Headers):
    """Headers of an answer as a plain dictionary, names in lower case."""

    def __init__(self) -> None:
        super().__init__()
        self.plain: dict[str, str] = {}

    def add(self, key: str, value: Any) -> None:
        name, value = key.lower(), value.rstrip(" \t")  # no part of the value (RFC 9110, 5.5), but llhttp leaves it
        self.plain[name] = f"{self.plain[name]}, {value}" if name in self.plain else value

    def clear(self) -> None:
        self.plain.clear()


class ParsedAnswer(HTTPResponse):
    """One answer, as it comes in.

    Args:
        method: of the request; an answer to HEAD has no body.
    """

    def __init__(self, method: str) -> None:
        super().__init__(method, headers_type=_Fields)
        self.body = b""

    @property
    def fields(self) -> dict[str, str]:
        """The headers."""
        return cast("_Fields", self.info()).plain

    @property
    def whole(self) -> bool:
        """Whether it ended; an interim one (100, 103) is followed by another."""
        return self.message_complete and self.get_code() >= 200

    def _on_body(self, buf: bytes | bytearray) -> None:
        self.body += buf
