"""Where two texts part, shown with escapes so that invisible characters can be told apart."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.verdict.describe import shorten, shown

BEFORE_CHARACTERS = 8
"""Common text shown before the first difference."""

AFTER_CHARACTERS = 16
"""Text shown from the first difference on."""


def first_difference(expected: str, seen: str) -> int:
    """Index of the first character that differs; the length of the shorter when one begins with the other."""
    shorter = min(len(expected), len(seen))
    return next((index for index in range(shorter) if expected[index] != seen[index]), shorter)


def closest(candidates: Iterable[str], seen: str) -> str:
    """The candidate that agrees longest with what was seen; the first of equals."""
    return max(candidates, key=lambda candidate: first_difference(candidate, seen))


def difference(expected: str, seen: str) -> str:
    """Where and how what was seen departs from what was expected, without a full stop."""
    sizes = len(expected), len(seen)
    expected, seen = shown(expected), shown(seen)
    if expected == seen:
        return f"in what is secret, of {sizes[0]} characters expected and {sizes[1]} characters seen"
    index = first_difference(expected, seen)
    return (
        f"at character {index} expected {_excerpt(expected, index)} of {sizes[0]} characters, "
        f"seen {_excerpt(seen, index)} of {sizes[1]} characters"
    )


def _excerpt(text: str, index: int) -> str:
    if index >= len(text):
        return f"the end after {shorten(text[max(0, index - BEFORE_CHARACTERS) :])}" if text else "nothing"
    start, end = max(0, index - BEFORE_CHARACTERS), index + AFTER_CHARACTERS
    return ("..." if start else "") + ascii(text[start:end]) + ("..." if end < len(text) else "")
