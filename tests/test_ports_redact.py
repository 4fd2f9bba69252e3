"""Secrets never reach the history."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.ports.redact import LONGEST_ANSWER_CHARACTERS, Redactor

HEADERS = ["Authorization", "authorization", "X-Amz-Security-Token", "X-Api-Key", "x-api-key", "Cookie"]


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(
    "shape",
    [
        "{name}: {secret}",
        "{name}={secret}\nnext",
        '{{"{name}": "{secret}"}}',
        "{{'{name}': '{secret}', 'a': 'b'}}",
        '"{{\\"{name}\\":\\"{secret}\\"}}"',
    ],
)
def test_headers_in_answers(name: str, shape: str) -> None:
    """A service that echoes the request's headers does not leak them, in whatever notation."""
    secret = "AWS4-HMAC-SHA256 Credential=AKID/2026/x, Signature=0a1b2c3d4e"
    cleaned = Redactor(environ={}).clean(shape.format(name=name, secret=secret))
    assert "0a1b2c3d4e" not in cleaned
    assert "[redacted]" in cleaned


def test_presigned_urls() -> None:
    """A presigned URL keeps its path and loses its signature, token and credential."""
    url = (
        "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F2026"
        "&X-Amz-Security-Token=FwoGZXIvY&X-Amz-Signature=deadbeef&x-id=PutObject"
    )
    assert Redactor(environ={}).clean(json.dumps({"url": url})) == json.dumps(
        {
            "url": "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=[redacted]"
            "&X-Amz-Security-Token=[redacted]&X-Amz-Signature=[redacted]&x-id=PutObject"
        }
    )


def test_secret_values() -> None:
    """The target's secret key, secrets of the environment and headers that were sent are hidden anywhere."""
    redactor = Redactor(["target-secret-key", None], environ={"SHOP_API_KEY": "s3cr3t-value", "HOME": "/home/someone"})
    assert redactor.clean("a target-secret-key b s3cr3t-value c /home/someone d sent-header", ["sent-header"]) == (
        "a [redacted] b [redacted] c /home/someone d [redacted]"
    )


def test_short_values_are_ordinary_words() -> None:
    """An emulator's secret key ``test`` does not blacken every test."""
    assert Redactor(["test"], environ={"A_TOKEN": "true"}).clean("a test is true") == "a test is true"


@given(st.text(max_size=2_000))
def test_answers_are_short(text: str) -> None:
    """Whatever is answered, the history keeps at most 500 characters of it."""
    assert len(Redactor(environ={}).shorten(text)) <= LONGEST_ANSWER_CHARACTERS


def test_a_secret_on_the_cut() -> None:
    """Text is cleaned before it is cut, so that no half of a secret remains."""
    text = "x" * (LONGEST_ANSWER_CHARACTERS - 5) + "very-secret-value"
    assert "very" not in Redactor(["very-secret-value"], environ={}).shorten(text)
