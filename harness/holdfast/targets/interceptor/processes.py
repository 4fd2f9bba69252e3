"""Callers that are processes of a stack: how the interceptor knows them by their requests."""

from __future__ import annotations

import re

_APP_ID = re.compile(r"\bapp/component\.([A-Za-z][A-Za-z0-9_-]*)")


def app_id(component: str) -> str:
    """The application id that the SDKs of a component put into their user agent."""
    return f"component.{component}"


def component_in(user_agent: str) -> str:
    """The component that a request is from; empty for none."""
    found = _APP_ID.search(user_agent)
    return found.group(1) if found else ""
