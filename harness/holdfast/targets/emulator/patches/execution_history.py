"""The history of an execution names what happened as AWS does: functions, activities, timeouts have their own events.

``LambdaFunctionFailed``, ``ActivityFailed``, ``TaskTimedOut`` and their kin:
https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html. MiniStack calls all of them
``TaskFailed``. Branches add to it from several threads, so numbers are given under a lock.
"""

from __future__ import annotations

import threading
from typing import Any

from ministack.services import stepfunctions

from holdfast.targets.emulator.known import require

_LOCK = threading.Lock()


def apply() -> None:
    """Replace what adds an event."""
    require(stepfunctions._add_event, "b1db143ccd21", "stepfunctions._add_event")
    stepfunctions._add_event = add_event


def add_event(execution: dict[str, Any], kind: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    """Add to the history, from any thread; see ``stepfunctions._add_event``."""
    kind, details = _named(kind, details or {})
    with _LOCK:
        number = len(execution["events"]) + 1
        event = {"id": number, "type": kind, "timestamp": stepfunctions.now_iso(), **details}
        execution["events"].append(event)
    return event


def _named(kind: str, details: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The event as AWS names it, and its details."""
    if not kind.startswith("Task") or kind.startswith("TaskState"):
        return kind, details
    told = details.get(f"t{kind[1:]}EventDetails") or {}
    resource = str(told.get("resource", ""))
    what = kind.removeprefix("Task")
    if what == "Failed" and told.get("error") == "States.Timeout":
        what = "TimedOut"
    subject = "Task"
    if ":lambda:" in resource and ":function:" in resource:
        subject = "LambdaFunction"
    elif ":activity:" in resource:
        subject = "Activity"
    kept = {"Scheduled": ("resource",), "Succeeded": ("output",)}.get(what, ("error", "cause"))
    if subject != "Task":
        told = {name: told[name] for name in kept if name in told}
    return f"{subject}{what}", {f"{subject[0].lower()}{subject[1:]}{what}EventDetails": told}
