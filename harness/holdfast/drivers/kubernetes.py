"""Pods of Kubernetes: deleted, or signalled and pressed through exec.

The extra ``kubernetes`` brings the official client. Written to the documentation: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, Protocol, Self

from holdfast.drivers.base import Instance
from holdfast.drivers.inside import Found, InsideDriver
from holdfast.errors import GuardRailError, Inconclusive, ResourceError
from holdfast.extras import install
from holdfast.stack.resolve import Stack


class Cluster(Protocol):
    """The calls of the official client that are used."""

    def pods(self, namespace: str, **selectors: str) -> list[Any]:
        """Pods by selectors, as ``V1Pod``."""

    def pod(self, namespace: str, name: str) -> Any:
        """A ``V1Pod``; None when there is none."""

    def delete(self, namespace: str, name: str, *, uid: str, grace_seconds: int | None) -> None:
        """Delete a pod if it still is the one with this id."""

    def run(self, namespace: str, name: str, container: str, script: str) -> str:
        """Run a script in a container; what it printed."""


class OfficialCluster:
    """A cluster through the official client.

    Args:
        context: of the kubeconfig.

    Raises:
        Inconclusive: the extra is missing.
    """

    def __init__(self, context: str) -> None:
        try:
            self._client: Any = import_module("kubernetes.client")
            self._config: Any = import_module("kubernetes.config")
        except ImportError as error:
            raise Inconclusive(f"pods need an extra; {install('kubernetes')}") from error
        self._context = context
        self._api = self._connected()

    def pods(self, namespace: str, **selectors: str) -> list[Any]:
        """Pods by selectors."""
        return list(self._api.list_namespaced_pod(namespace, **selectors).items)

    def pod(self, namespace: str, name: str) -> Any:
        """A pod; None when there is none."""
        return next(iter(self.pods(namespace, field_selector=f"metadata.name={name}")), None)

    def delete(self, namespace: str, name: str, *, uid: str, grace_seconds: int | None) -> None:
        """Delete a pod if it still is the one with this id."""
        options = self._client.V1DeleteOptions(
            preconditions=self._client.V1Preconditions(uid=uid), grace_period_seconds=grace_seconds
        )
        self._api.delete_namespaced_pod(name, namespace, body=options)

    def run(self, namespace: str, name: str, container: str, script: str) -> str:
        """Run a script in a container, with a client of its own: a stream changes the client that it uses."""
        stream: Any = import_module("kubernetes.stream").stream
        return str(
            stream(
                self._connected().connect_get_namespaced_pod_exec,
                name,
                namespace,
                container=container,
                command=["sh", "-c", script],
                stdin=False,
                stdout=True,
                stderr=False,
                tty=False,
            )
        )

    def _connected(self) -> Any:
        return self._client.CoreV1Api(self._config.new_client_from_config(context=self._context))


@dataclass(frozen=True, slots=True, kw_only=True)
class PodDriver(InsideDriver):
    """The one running pod of a name or a label selector, or one container of it.

    Args:
        component: its name in the descriptor.
        context: of the kubeconfig.
        namespace: its namespace.
        selector: name of the pod, or a label selector such as ``app=orders``.
        container: name of the container; empty where the pod has only one.
        command_line: text in the command line of the process; empty for the pod as a whole.
        cluster: the cluster.
    """

    kind: ClassVar[str] = "pod"

    component: str
    context: str
    namespace: str
    selector: str
    container: str = ""
    command_line: str = ""
    cluster: Cluster = field(compare=False)

    @classmethod
    def of(cls, stack: Stack, component: str) -> Self:
        """The driver of a component."""
        described = stack.descriptor.components[component]
        return cls.restored(
            component,
            {
                "context": described.context or "",
                "namespace": described.namespace or "default",
                "selector": stack.resource(component).name,
                "container": described.container or "",
                "command_line": described.command_line or "",
            },
        )

    @classmethod
    def restored(cls, component: str, described: Mapping[str, Any]) -> Self:
        """The driver again, from the journal."""
        return cls(component=component, cluster=OfficialCluster(described["context"]), **described)

    def described(self) -> dict[str, Any]:
        """What is needed to make it again."""
        return {
            "context": self.context,
            "namespace": self.namespace,
            "selector": self.selector,
            "container": self.container,
            "command_line": self.command_line,
        }

    def found(self) -> Found:
        """The one pod that runs and is not being deleted."""
        by_label = "=" in self.selector or "," in self.selector
        selectors = (
            {"label_selector": self.selector} if by_label else {"field_selector": f"metadata.name={self.selector}"}
        )
        found = [self._found(pod) for pod in self.cluster.pods(self.namespace, **selectors)]
        running = [each for each in found if each is not None]
        if not running:
            raise ResourceError(f"no pod {self.selector} runs in {self.namespace} of {self.context}", remedy="start it")
        if len(running) > 1:
            raise GuardRailError(
                f"{len(running)} pods are {self.selector}; nothing was changed",
                cause="none of them is proven to be the component",
                remedy="name one pod, or scale to 1 for the test",
            )
        return running[0]

    def again(self, place: dict[str, str]) -> Found | None:
        """The pod as it is now; None when it is gone."""
        pod = self.cluster.pod(self.namespace, place["pod"])
        return None if pod is None else self._found(pod)

    def run(self, place: dict[str, str], script: str) -> str:
        """Run a script in the container."""
        return self.cluster.run(self.namespace, place["pod"], place["container"], script)

    def kill(self, instance: Instance) -> None:
        """SIGKILL to the process inside its container; the whole pod where the descriptor names no process."""
        if self.command_line:
            self.signal(instance, "KILL")
        else:
            self._delete(instance, grace_seconds=0)

    def end(self, instance: Instance) -> None:
        """Delete the pod with its grace period; its controller makes another."""
        self._delete(instance, grace_seconds=None)

    def by_hand(self, instance: Instance, what: str) -> str:
        """The command for a person."""
        place = json.loads(instance.id)
        at = f"kubectl --context {self.context} -n {self.namespace}"
        if what == "resume":
            return f"{at} exec {place['pod']} -c {place['container']} -- kill -CONT {place.get('pid', 1)}"
        return f"{at} get pods: see why no pod {self.selector} is ready"

    def _delete(self, instance: Instance, *, grace_seconds: int | None) -> None:
        self.prove(instance)
        place = json.loads(instance.id)
        self.cluster.delete(self.namespace, place["pod"], uid=place["uid"], grace_seconds=grace_seconds)

    def _found(self, pod: Any) -> Found | None:
        statuses = [each for each in pod.status.container_statuses or [] if self.container in ("", each.name)]
        if pod.metadata.deletion_timestamp is not None or not statuses:
            return None
        if len(statuses) > 1:
            raise GuardRailError(
                f"the pod {pod.metadata.name} has {len(statuses)} containers; nothing was changed",
                remedy=f"name one in components.{self.component}.container",
            )
        (status,) = statuses
        if status.state is None or status.state.running is None:
            return None
        return Found(
            place={"pod": pod.metadata.name, "uid": pod.metadata.uid, "container": status.name},
            incarnation=status.container_id or f"{pod.metadata.uid}/{status.restart_count}",
            started_seconds=status.state.running.started_at.timestamp(),
            ready=bool(status.ready),
        )
