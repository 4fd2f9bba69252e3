"""Tasks of Amazon ECS: ended by StopTask, signalled and pressed through ECS Exec.

Written to the documentation: no emulator of ours has ECS tasks with ECS Exec.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from holdfast.drivers.base import Instance
from holdfast.drivers.inside import Found, InsideDriver
from holdfast.errors import GuardRailError, InjectionError, ResourceError
from holdfast.stack.resolve import Stack
from holdfast.targets.base import Target

PERMISSIONS = ("ecs:ListTasks", "ecs:DescribeTasks", "ecs:StopTask", "ecs:ExecuteCommand")
SESSION_SECONDS = 60.0

Session = Callable[[Mapping[str, Any], str, str], str]
"""Runs a session to its end and returns what was printed: its description, the region, its target."""


def plugin_session(session: Mapping[str, Any], region: str, target: str) -> str:
    """Run a session with the Session Manager plugin, as the AWS CLI does (awscli/customizations/ecs/executecommand.py).

    Raises:
        InjectionError: the plugin is missing, or the session fails.
    """
    words = [json.dumps(dict(session)), region, "StartSession", "", json.dumps({"Target": target}), ""]
    try:
        ended = subprocess.run(
            ["session-manager-plugin", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SESSION_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise InjectionError(
            "the session of ECS Exec failed",
            cause=str(error),
            remedy="install the Session Manager plugin, and enable execute command on the service",
        ) from error
    return ended.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDriver(InsideDriver):
    """The one running task of a service, or one container of it.

    Args:
        component: its name in the descriptor.
        target: where ECS is.
        service: name of the service.
        cluster: name of the cluster; empty for the default one.
        container: name of the container; empty where the task has only one.
        command_line: text in the command line of the process; empty for the task as a whole.
        session: runs a session.
    """

    kind: ClassVar[str] = "ecs_task"

    component: str
    target: Target
    service: str
    cluster: str = ""
    container: str = ""
    command_line: str = ""
    session: Session = plugin_session

    @classmethod
    def of(cls, stack: Stack, component: str) -> Self:
        """The driver of a component."""
        described = stack.descriptor.components[component]
        return cls(
            component=component,
            target=stack.target,
            service=stack.resource(component).name,
            cluster=described.cluster or "",
            container=described.container or "",
            command_line=described.command_line or "",
        )

    @classmethod
    def restored(cls, target: Target, component: str, described: Mapping[str, Any]) -> Self:
        """The driver again, from the journal."""
        return cls(component=component, target=target, **described)

    def described(self) -> dict[str, Any]:
        """What is needed to make it again."""
        return {
            "service": self.service,
            "cluster": self.cluster,
            "container": self.container,
            "command_line": self.command_line,
        }

    def found(self) -> Found:
        """The one task of the service that runs."""
        tasks = self._client.list_tasks(serviceName=self.service, desiredStatus="RUNNING", **self._cluster())[
            "taskArns"
        ]
        running = [task for task in self._described(tasks) if task.get("lastStatus") == "RUNNING"]
        if not running:
            raise ResourceError(f"no task of the service {self.service} runs", remedy="start one")
        if len(running) > 1:
            raise GuardRailError(
                f"{len(running)} tasks of the service {self.service} run; nothing was changed",
                cause="none of them is proven to be the component",
                remedy="set the desired count to 1 for the test",
            )
        return self._found(running[0])

    def again(self, place: dict[str, str]) -> Found | None:
        """The task as it is now; None when it has stopped or is forgotten."""
        tasks = self._described([place["task"]])
        return self._found(tasks[0]) if tasks and tasks[0].get("lastStatus") == "RUNNING" else None

    def run(self, place: dict[str, str], script: str) -> str:
        """Run a script through ECS Exec, which runs it as root."""
        answer = self._client.execute_command(
            task=place["task"],
            container=place["container"],
            command=f"sh -c {_quoted(script)}",
            interactive=True,
            **self._cluster(),
        )
        cluster = str(answer["clusterArn"]).rpartition("/")[2]
        task = place["task"].rpartition("/")[2]
        return self.session(answer["session"], self.target.region, f"ecs:{cluster}_{task}_{place['runtime']}")

    def kill(self, instance: Instance) -> None:
        """SIGKILL to the process, inside the container; ECS has no call that kills at once."""
        self.signal(instance, "KILL")

    def end(self, instance: Instance) -> None:
        """StopTask: SIGTERM to all of the task, SIGKILL after its stop timeout; the service starts another."""
        self.prove(instance)
        self._client.stop_task(task=json.loads(instance.id)["task"], reason="Holdfast", **self._cluster())

    def by_hand(self, instance: Instance, what: str) -> str:
        """The command for a person."""
        if what == "resume":
            place = json.loads(instance.id)
            words = ["aws", "ecs", "execute-command", "--region", self.target.region, "--task", place["task"]]
            words += [*(["--cluster", self.cluster] if self.cluster else []), "--container", place["container"]]
            return shlex.join([*words, "--interactive", "--command", f"kill -CONT {place.get('pid', 1)}"])
        return f"see why the service {self.service} starts no task"

    @property
    def _client(self) -> Any:
        return self.target.client("ecs")

    def _cluster(self) -> dict[str, str]:
        return {"cluster": self.cluster} if self.cluster else {}

    def _described(self, tasks: list[str]) -> list[dict[str, Any]]:
        if not tasks:
            return []
        return list(self._client.describe_tasks(tasks=tasks, **self._cluster())["tasks"])

    def _found(self, task: Mapping[str, Any]) -> Found:
        containers = [each for each in task["containers"] if self.container in ("", each["name"])]
        if len(containers) != 1:
            raise GuardRailError(
                f"{len(containers)} containers of {task['taskArn']} may be {self.component}; nothing was changed",
                remedy=f"name one in components.{self.component}.container",
            )
        container = containers[0]
        place = {"task": task["taskArn"], "container": container["name"], "runtime": container.get("runtimeId", "")}
        return Found(
            place=place,
            incarnation=place["runtime"] or str(task["startedAt"].timestamp()),
            started_seconds=task["startedAt"].timestamp(),
            ready=container.get("healthStatus", "UNKNOWN") != "UNHEALTHY",
        )


def _quoted(script: str) -> str:
    """A script as one argument; the agent splits words as a shell does."""
    return "'" + script.replace("'", "'\\''") + "'"
