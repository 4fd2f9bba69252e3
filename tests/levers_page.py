"""The tables of docs/levers.md, made from the levers themselves; ``python tests/levers_page.py`` writes them anew."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from holdfast.history.model import ErrorClass
from holdfast.levers import LEVERS
from holdfast.targets.base import Capability, Support
from holdfast.targets.capabilities import AWS, EMBEDDED, LOCALSTACK

PAGE = Path(__file__).resolve().parent.parent / "docs" / "levers.md"
BEGIN, END = "<!-- {} -->", "<!-- end of {} -->"
TARGETS = (EMBEDDED, LOCALSTACK, AWS)


@dataclass(frozen=True, slots=True)
class Acts:
    """What the code of a lever does not say in one place.

    Attributes:
        on: the type of component.
        calls: the AWS operations that change something, of injecting and of healing.
        canary: the operations of its permissions that only prove it, and change nothing here.
        classes: its error classes, where they depend on how it is made.
        capabilities: its capabilities, where they depend on how it is made.
        said: what it does, where that is no AWS operation.
    """

    on: str
    calls: tuple[str, ...] = ()
    canary: tuple[str, ...] = ()
    classes: tuple[ErrorClass, ...] = ()
    capabilities: tuple[Capability, ...] = ()
    said: str = ""


_CONFIGURED = Acts("function", ("UpdateFunctionConfiguration",))
_ATTRIBUTES = Acts("queue", ("SetQueueAttributes",))
_STAGE = Acts("api", ("UpdateStage",))
_DRIVEN = Acts("process, container, ecs_task, pod", ("StopTask", "ExecuteCommand"))

ACTS = {
    "archive-replay": Acts("archive", ("StartReplay", "CancelReplay")),
    "bucket-deny": Acts("bucket", ("PutBucketPolicy", "DeleteBucketPolicy")),
    "execution-abort": Acts("state_machine", ("StopExecution", "RedriveExecution")),
    "function-experiment": Acts(
        "function",
        ("CreateExperimentTemplate", "StartExperiment", "StopExperiment", "DeleteExperimentTemplate"),
        canary=("TagResource", "PassRole"),
        classes=(
            ErrorClass.TIMEOUT,
            ErrorClass.FAILURE,
            ErrorClass.LOST_ANSWER,
            ErrorClass.THROTTLE,
            ErrorClass.DENIED,
        ),
    ),
    "function-memory": _CONFIGURED,
    "function-throttle": Acts(
        "function", ("PutFunctionConcurrency", "DeleteFunctionConcurrency"), canary=("InvokeFunction",)
    ),
    "function-timeout": _CONFIGURED,
    "function-variable": _CONFIGURED,
    "http-api-throttle": _STAGE,
    "invocation-fault": Acts(
        "function, or what a call is about",
        classes=(
            ErrorClass.FAILURE,
            ErrorClass.THROTTLE,
            ErrorClass.CRASH,
            ErrorClass.TIMEOUT,
            ErrorClass.LOST_ANSWER,
            ErrorClass.DUPLICATE,
            ErrorClass.DENIED,
        ),
        capabilities=(Capability.INVOCATION_FAULTS, Capability.CALL_FAULTS),
        said="a rule in the interceptor",
    ),
    "mapping-disable": Acts("function", ("UpdateEventSourceMapping",)),
    "permission-cut": Acts("function", ("RemovePermission", "AddPermission")),
    "channel-fault": Acts(
        "channel", classes=(ErrorClass.TIMEOUT, ErrorClass.LOST_ANSWER), said="a rule in the relay of the run"
    ),
    "component-end": replace(_DRIVEN, said="SIGTERM, StopTask, deleting a pod"),
    "component-kill": replace(_DRIVEN, said="SIGKILL"),
    "component-pressure": replace(_DRIVEN, said="processes that spin and hold memory"),
    "component-stop": replace(_DRIVEN, said="SIGSTOP and SIGCONT, pausing a container"),
    "queue-delay": _ATTRIBUTES,
    "queue-deny": Acts("queue", ("SetQueueAttributes",), canary=("DeleteMessage",)),
    "queue-redrive": _ATTRIBUTES,
    "queue-visibility": Acts("queue", ("SetQueueAttributes",), classes=(ErrorClass.DUPLICATE, ErrorClass.STALLED)),
    "rest-api-throttle": _STAGE,
    "role-deny": Acts("role, function, state_machine", ("PutRolePolicy", "DeleteRolePolicy")),
    "rule-disable": Acts("rule", ("DisableRule", "EnableRule", "PutRule")),
    "subscription-filter": Acts("topic", ("SetSubscriptionAttributes",)),
    "table-cap": Acts("table", ("UpdateTable",)),
    "table-capacity": Acts("table", ("UpdateTable",)),
    "table-deny": Acts("table", ("PutResourcePolicy", "DeleteResourcePolicy")),
}


def capabilities_of(name: str) -> tuple[Capability, ...]:
    """What a target must be able to do for a lever."""
    lever: Any = LEVERS[name]
    if ACTS[name].capabilities:
        return ACTS[name].capabilities
    return () if lever.capability is None else (lever.capability,)


def classes_of(name: str) -> tuple[ErrorClass, ...]:
    """The error classes of a lever."""
    lever: Any = LEVERS[name]
    return ACTS[name].classes or (lever.error_class,)


def expires(name: str) -> bool:
    """Whether a fault can be given a time at which it ends by itself."""
    lever: Any = LEVERS[name]
    return "expires_seconds" in {each.name for each in fields(lever)} or name in (
        "channel-fault",
        "component-pressure",
        "invocation-fault",
    )


def _known(supports: list[Support]) -> str:
    if not supports:
        return "this machine"
    if not any(each.supported for each in supports):
        return "no"
    return "verified" if all(each.known_from == "probe" for each in supports if each.supported) else "documented"


def levers_table() -> str:
    """What each lever does, and where."""
    rows = [
        "| lever | on | call | error class | felt within | ends by itself | embedded | LocalStack | AWS |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in sorted(LEVERS):
        acts = ACTS[name]
        targets = [_known([table[each] for each in capabilities_of(name)]) for table in TARGETS]
        cells = [
            f"`{name}`",
            acts.on,
            acts.said or ", ".join(acts.calls),
            ", ".join(classes_of(name)),
            f"{LEVERS[name].propagation_seconds:g} s",
            "yes" if expires(name) else "no",
            *targets,
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def permissions_table() -> str:
    """What each lever needs."""
    rows = ["| lever | permissions |", "|---|---|"]
    for name in sorted(LEVERS):
        told = ", ".join(f"`{each}`" for each in LEVERS[name].permissions) or "none"
        rows.append(f"| `{name}` | {told} |")
    return "\n".join(rows)


TABLES = {"levers": levers_table, "permissions": permissions_table}


def between(page: str, name: str) -> tuple[str, str, str]:
    """What is before, in and after a table of the page."""
    before, _, rest = page.partition(BEGIN.format(name) + "\n")
    table, _, after = rest.partition("\n" + END.format(name))
    return before, table, after


def main() -> None:
    """Write the tables anew."""
    page = PAGE.read_text(encoding="utf-8")
    for name, made in TABLES.items():
        before, _, after = between(page, name)
        page = f"{before}{BEGIN.format(name)}\n{made()}\n{END.format(name)}{after}"
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
