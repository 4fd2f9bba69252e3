"""A patch may replace only code that it knows."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

from holdfast.errors import TargetError
from holdfast.extras import install


def fingerprint(code: Callable[..., Any] | type | str) -> str:
    """Twelve hex digits that change with the source of a function, a class or a script."""
    text = code if isinstance(code, str) else inspect.getsource(code)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def require(code: Callable[..., Any] | type | str, expected: str, name: str) -> None:
    """Raise unless the emulator's code is the one that a patch was written for.

    Args:
        code: what will be replaced.
        expected: its fingerprint when the patch was written.
        name: what to call it in the message.

    Raises:
        TargetError: it is other code.
    """
    found = fingerprint(code)
    if found != expected:
        raise TargetError(
            f"MiniStack's {name} is not the code that Holdfast's patch replaces",
            cause=f"its source has the fingerprint {found}, known is {expected}",
            remedy=install("embedded", "--force-reinstall"),
        )


def substitute(script: str, replacements: tuple[tuple[str, str], ...], name: str) -> str:
    """A script with each old part, which must occur exactly once, replaced by its new one.

    Raises:
        TargetError: a part is missing or not alone.
    """
    for old, new in replacements:
        if script.count(old) != 1:
            raise TargetError(
                f"MiniStack's {name} is not the script that Holdfast's patch knows",
                cause=f"{old.strip().splitlines()[0]!r} occurs {script.count(old)} times",
                remedy=install("embedded", "--force-reinstall"),
            )
        script = script.replace(old, new)
    return script
