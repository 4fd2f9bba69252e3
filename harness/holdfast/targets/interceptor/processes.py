"""Callers that are processes of a stack, and how they are known.

The SDKs put an application id into the user agent of every request
(https://docs.aws.amazon.com/sdkref/latest/guide/feature-appid.html); other clients are known by the environment of the
process at the other end of the connection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress

import psutil

RUN_VARIABLE = "HOLDFAST_RUN"
"""Mark of the run, in the environment of every process that it starts."""
COMPONENT_VARIABLE = "HOLDFAST_COMPONENT"
"""Name of the component, in the environment of its processes."""
APP_ID_VARIABLE = "AWS_SDK_UA_APP_ID"
"""Where the SDKs take their application id from."""

_APP_ID = re.compile(r"\bapp/component\.([A-Za-z][A-Za-z0-9_-]*)")


def app_id(component: str) -> str:
    """The application id that the SDKs of a component put into their user agent."""
    return f"component.{component}"


def component_in(headers: Mapping[str, str]) -> str:
    """The component that a request is from, by its user agent; empty for none."""
    found = _APP_ID.search(headers.get("user-agent", ""))
    return found.group(1) if found else ""


def component_of(process: psutil.Process | None) -> str:
    """The component that a process is, by its environment; empty for none, and for what may not be read."""
    if process is not None:
        with suppress(psutil.Error, OSError):
            return str(process.environ().get(COMPONENT_VARIABLE, ""))
    return ""
