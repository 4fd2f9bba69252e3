"""How to install an extra; Holdfast comes from its checkout, and the name on a package registry may be another's."""

from __future__ import annotations


def install(extra: str, *options: str) -> str:
    """The remedy where an extra of Holdfast is missing.

    Args:
        extra: its name in pyproject.toml.
        options: of pip install.
    """
    command = " ".join(("pip install", *options, f"'.[{extra}]'"))
    return f"install the extra, in the checkout of Holdfast: {command}"
