"""Secrets never reach the history."""

from __future__ import annotations

import base64
import html
import json
from typing import Any, ClassVar, SupportsIndex
from urllib.parse import quote, unquote, unquote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.ports.redact import LONGEST_ANSWER_CHARACTERS, REDACTED, Redactor
from holdfast.stack.hidden import Hidden

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


AWKWARD = st.text(
    st.one_of(st.sampled_from("\"'\\/\n\t%+=&<> äß€😀\x00\u2028"), st.characters(codec="utf-8")),
    min_size=8,
    max_size=40,
)
"""Values with quotes, backslashes, line breaks and characters of all of Unicode."""
TELLING = AWKWARD.filter(lambda value: len(set(value)) > 3 and not REDACTED.startswith(value[:1]))


@given(secret=TELLING, around=st.sampled_from(["", "a", "{", " x: "]))
def test_a_secret_is_removed_however_it_is_written(secret: str, around: str) -> None:
    """Of a secret that JSON, JSON within JSON, a URL, `repr` or HTML shows, nothing stays."""
    redactor = Redactor([secret], environ={})
    told = json.dumps({"a": secret})
    writings = {
        "plain": secret,
        "JSON": told,
        "JSON as UTF-8": json.dumps({"a": secret}, ensure_ascii=False),
        "JSON within JSON": json.dumps({"body": told}),
        "repr": repr({"a": secret, "b": "'\""}),
        "ascii": ascii(secret),
        "URL": f"https://x.example/?q={quote(secret, safe='')}",
        "path": quote(secret),
        "form": urlencode({"a": secret}),
        "HTML": html.escape(secret),
    }
    for name, written in writings.items():
        cleaned = redactor.clean(f"{around}{written}{around}")
        assert secret not in cleaned, name
        # what decodes it, finds nothing either
        for decode in (unquote, unquote_plus, html.unescape, _unescaped, lambda text: _unescaped(_unescaped(text))):
            assert secret not in decode(cleaned), name
        assert REDACTED in cleaned, name


def test_a_text_is_compared_once_however_many_values_begin_alike() -> None:
    """Values that a run makes in a row begin alike; what is done for a text does not grow with their number."""

    class Counted(str):
        """A text that counts how often it is looked into."""

        __slots__ = ()
        looks: ClassVar[int] = 0

        def __getitem__(self, place: SupportsIndex | slice) -> str:
            Counted.looks += 1
            return super().__getitem__(place)

        def startswith(self, *given: Any) -> bool:
            Counted.looks += 1
            return super().startswith(*given)

    def looks(values: int) -> int:
        hidden = Hidden(lambda _: REDACTED)
        hidden.add(f"customer-{number:04}" for number in range(values))
        Counted.looks = 0
        assert hidden.remove(Counted("a customer-0001, a customer of ours")) == f"a {REDACTED}, a customer of ours"
        return Counted.looks

    assert looks(1_000) == looks(10)


def test_a_long_value_goes_everywhere_though_a_form_of_a_short_one_is_the_same() -> None:
    """Base64 of a value of few letters goes as a whole word only; a value that reads the same goes wherever it is."""
    short = "abcdef"
    long = base64.b64encode(short.encode()).decode()
    for values in ((short, long), (long, short)):
        hidden = Hidden(lambda _: REDACTED)
        hidden.add(values)
        assert hidden.remove(f"x{long}x") == f"x{REDACTED}x"


@given(secret=TELLING, before=st.binary(max_size=5), after=st.binary(max_size=5))
def test_a_secret_in_base64_is_removed(secret: str, before: bytes, after: bytes) -> None:
    """Wherever it begins within what is encoded, the part of the text that stands for it alone goes."""
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    cleaned = Redactor([secret], environ={}).clean(encoded)
    longest = max((len(part) for part in cleaned.split(REDACTED)), default=0)
    assert REDACTED in cleaned
    assert longest <= (len(before) + len(after)) * 2 + 8


def _unescaped(text: str) -> str:
    """What JSON would make of a text that stands in a string."""
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


@given(st.lists(st.text("abc", min_size=8, max_size=12), min_size=1, max_size=4), st.text("abc", max_size=60))
def test_secrets_that_overlap_are_removed_as_a_whole(secrets: list[str], text: str) -> None:
    """No end of a secret stays because another one begins in it."""
    covered = set()
    for secret in secrets:
        covered |= {at + i for at in range(len(text)) if text.startswith(secret, at) for i in range(len(secret))}
    cleaned = Redactor(secrets, environ={}).clean(text)
    assert cleaned.replace(REDACTED, "") == "".join(one for at, one in enumerate(text) if at not in covered)


@given(short=st.text(max_size=3), text=st.text(max_size=80))
def test_a_secret_of_up_to_three_characters_shreds_nothing(short: str, text: str) -> None:
    """An empty secret, one letter or a number of three digits is left alone: it would tell nothing and hide all."""
    assert Hidden(lambda _: REDACTED).remove(text) == text
    assert Redactor([short], environ={}, declared=[short]).clean(text) == Redactor(environ={}).clean(text)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("the pass is abcd", "the pass is [redacted]"),
        ("abcd, abcd; 'abcd' abcde xabcd _abcd", "[redacted], [redacted]; '[redacted]' abcde xabcd _abcd"),
        ("/abcd/", "/[redacted]/"),
    ],
)
def test_a_declared_secret_of_four_to_seven_characters_is_removed_as_a_word(text: str, cleaned: str) -> None:
    """What a descriptor takes from the environment goes where it stands by itself, and longer words stay whole."""
    assert Redactor(environ={}, declared=["abcd"]).clean(text) == cleaned


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
