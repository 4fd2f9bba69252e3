"""What a Task calls: a function, an action of a service, another state machine.

Source: docs.aws.amazon.com/step-functions/latest/dg/integrate-services.html.
"""

from __future__ import annotations

import re

from holdfast.definition.model import Work
from holdfast.definition.source import Node

_OPTIMISED = re.compile(r":states:[^:]*:[^:]*:(?P<what>.+)$")
_FUNCTION = re.compile(r":lambda:[^:]*:[^:]*:function:(?P<name>[^:]+)")
_PATTERN = re.compile(r"\.(sync(:\d+)?|waitForTaskToken)$")
_SUBJECTS = (
    "FunctionName",
    "TableName",
    "QueueUrl",
    "TopicArn",
    "Bucket",
    "ApiEndpoint",
    "StreamName",
    "StateMachineArn",
)


def work_of(node: Node, *, has_timeout: bool, has_heartbeat: bool, timeout_seconds: float | None) -> Work:
    """What a Task does, from its ``Resource`` and its ``Parameters`` or ``Arguments``."""
    resource = text_of(node.get("Resource"))
    arguments = node.get("Parameters") or node.get("Arguments")
    action, subject, starts = "", "", ""
    optimised = _OPTIMISED.search(resource)
    function = _FUNCTION.search(resource)
    if function:
        action, subject = "lambda:invoke", function["name"]
    elif optimised and not optimised["what"].startswith("activity:"):
        what = optimised["what"].removeprefix("aws-sdk:")
        action = _PATTERN.sub("", what)
        given = (text_of(arguments.get(key) or arguments.get(f"{key}.$")) for key in _SUBJECTS) if arguments else ()
        subject = next((each for each in given if each), "")
        named = _FUNCTION.search(subject)
        subject = named["name"] if named else subject
        # only the forms that wait for the end of the other machine make its failure ours
        waits = what.startswith("states:startExecution.sync") or action == "sfn:startSyncExecution"
        starts = subject if waits else ""
    elif optimised:
        action, subject = "states:activity", optimised["what"].removeprefix("activity:")
    elif not resource.startswith("arn:"):
        subject = resource.strip("${}")
    return Work(
        resource=resource,
        action=action,
        subject=subject,
        starts=starts,
        has_timeout=has_timeout,
        has_heartbeat=has_heartbeat,
        timeout_seconds=timeout_seconds,
    )


def text_of(node: Node | None) -> str:
    """Text, with CloudFormation's references in it as ``${Name}``; empty when it is neither."""
    if node is None:
        return ""
    if node.text is not None:
        return node.text
    if not node.entries:
        return ""
    function, given = next(iter(node.entries.items()))
    first = text_of(given) or text_of(next(iter(given.items), None))
    if function in ("Ref", "Fn::GetAtt"):
        return f"${{{first}}}"
    if function == "Fn::Join" and len(given.items) == 2:
        return text_of(given.items[0]).join(text_of(part) for part in given.items[1].items)
    return first if function == "Fn::Sub" else ""
