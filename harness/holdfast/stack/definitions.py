"""The tasks of a state machine's definition, as far as provocations and checkers ask for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Task:
    """One task.

    Attributes:
        name: of its state.
        state: the state in Amazon States Language.
        top: whether it is in no Parallel or Map state.
    """

    name: str
    state: Mapping[str, Any]
    top: bool

    @property
    def waits_for_callback(self) -> bool:
        """Whether it waits for its token to come back.

        docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
        """
        return str(self.state.get("Resource", "")).endswith(".waitForTaskToken")

    @property
    def starts(self) -> str:
        """The ARN of the state machine that it starts and waits for; empty where it does not.

        docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
        """
        resource = str(self.state.get("Resource", ""))
        if not (":states:startExecution.sync" in resource or resource.endswith(":aws-sdk:sfn:startSyncExecution")):
            return ""
        given = self.state.get("Parameters") or self.state.get("Arguments")
        return str(given.get("StateMachineArn", "")) if isinstance(given, Mapping) else ""  # or a JSONata expression


def tasks_of(definition: str) -> tuple[Task, ...]:
    """The tasks of a definition, those inside Parallel and Map states as well; none where it is no definition.

    Args:
        definition: in Amazon States Language, JSON.
    """
    try:
        parsed = json.loads(definition)
    except ValueError:
        return ()
    return tuple(_tasks(parsed, top=True)) if isinstance(parsed, dict) else ()


def _tasks(machine: Mapping[str, Any], *, top: bool) -> Iterator[Task]:
    for name, state in (machine.get("States") or {}).items():
        if state.get("Type") == "Task":
            yield Task(name, state, top)
        for inner in (*(state.get("Branches") or ()), state.get("Iterator"), state.get("ItemProcessor")):
            if isinstance(inner, dict):
                yield from _tasks(inner, top=False)
