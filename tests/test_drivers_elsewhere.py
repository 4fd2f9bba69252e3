"""Drivers of containers, ECS tasks and pods: what they send, against stubbed APIs; their scripts, for real."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import docker
import psutil
import pytest
from docker.models.containers import Container, ExecResult

from holdfast.drivers import shell
from holdfast.drivers.base import Driver, Instance, Load, State
from holdfast.drivers.choosing import driver_of, driver_restored
from holdfast.drivers.container import ContainerDriver
from holdfast.drivers.ecs import TaskDriver
from holdfast.drivers.inside import Found, InsideDriver
from holdfast.drivers.kubernetes import OfficialCluster, PodDriver
from holdfast.errors import GuardRailError, Inconclusive, InjectionError, ResourceError
from holdfast.levers import ComponentEnd, ComponentKill
from holdfast.permissions import Grant, of_lever, of_provocation, of_reading
from holdfast.provocations.model import Provocation, Strike
from holdfast.provocations.requirements import Situation
from holdfast.stack.configuration import Configuration
from holdfast.stack.guarded import GuardRail
from holdfast.stack.resolve import Resource
from holdfast.waiting import eventually
from lever_stack import stack_of
from processes_rig import nowhere
from stubbed_aws import StubbedAws

SLEEPER = "import time; time.sleep(600)"


@dataclass
class Here(InsideDriver):
    """A driver whose container is this machine."""

    kind = "here"
    component: str = "sidecar"
    command_line: str = ""
    incarnation: str = "first"

    def found(self) -> Found:
        return Found(place={"where": "here"}, incarnation=self.incarnation, started_seconds=5.0, ready=True)

    def again(self, place: dict[str, str]) -> Found | None:
        return self.found()

    def run(self, place: dict[str, str], script: str) -> str:
        return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, timeout=60).stdout

    def described(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def sleeper() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A process with a word of its own in its command line."""
    word = f"holdfast-{secrets.token_hex(8)}"
    process = subprocess.Popen([sys.executable, "-c", SLEEPER, f"it's {word}"])
    yield word, process
    process.kill()
    process.wait()


linux = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the scripts read /proc, as in Linux containers"
)


@linux
def test_a_process_inside_is_found_stopped_resumed_and_killed(sleeper: tuple[str, subprocess.Popen[bytes]]) -> None:
    """The scripts find the one process by its command line, and signal it while it is the same one."""
    word, process = sleeper
    driver = Here(command_line=f"it's {word}")
    instance = driver.find()
    assert json.loads(instance.id)["pid"] == str(process.pid)
    assert driver.state(instance) is State.RUNNING
    held = driver.resources(instance)
    assert held.ready
    assert abs(held.rss_bytes - psutil.Process(process.pid).memory_info().rss) < 4_000_000
    driver.stop(instance)
    assert driver.state(instance) is State.STOPPED
    driver.resume(instance)
    assert driver.state(instance) is State.RUNNING
    earlier = replace(instance, started=instance.started + "0")
    assert driver.state(earlier) is State.GONE
    with pytest.raises(GuardRailError, match="no longer sidecar"):
        driver.signal(earlier, "KILL")
    driver.signal(instance, "KILL")
    assert process.wait(timeout=10) == -9
    assert driver.state(instance) is State.GONE
    with pytest.raises(ResourceError, match="no process of sidecar"):
        driver.find()
    with pytest.raises(InjectionError, match="did not reach"):
        driver._send(instance, "KILL")


@linux
def test_two_processes_inside_that_fit_are_not_signalled(sleeper: tuple[str, subprocess.Popen[bytes]]) -> None:
    """Neither is a component whose process the descriptor does not name."""
    word, _ = sleeper
    second = subprocess.Popen([sys.executable, "-c", SLEEPER, word])
    try:
        with pytest.raises(GuardRailError, match="2 processes of sidecar"):
            Here(command_line=word).find()
    finally:
        second.kill()
        second.wait()
    whole = Here()
    with pytest.raises(Inconclusive, match="names no command_line"):
        whole.stop(whole.find())
    assert whole.state(Here(incarnation="second").find()) is State.GONE


@linux
def test_a_load_inside_spins_holds_and_ends() -> None:
    """Its processes are found by its token and by nothing else; ended, none is left."""
    driver, token = Here(), secrets.token_hex(8)
    instance = driver.find()
    try:
        driver.press(instance, Load(workers=1, memory_bytes=3_000_000, seconds=60), token)
        assert driver.pressing(instance, token) >= 3
        assert driver.pressing(instance, token[:8] + "other") == 0
        held = [
            process.memory_info().rss
            for process in psutil.process_iter()
            if process.name() == "tail" and process.environ().get("HOLDFAST_RUN") == token
        ]
        assert held
    finally:
        driver.relieve(instance, token)
    assert eventually(lambda: driver.pressing(instance, token), lambda left: left == 0, deadline_seconds=10).met


def test_what_a_session_prints_around_is_not_read() -> None:
    """Banners and prompts are no answers."""
    printed = (
        "\nThe Session Manager plugin was installed.\nholdfast: 7 12345 S 10 250 50\nholdfast: 8 1 Z 0 0 0\nExiting."
    )
    (process,) = shell.seen(printed)
    assert (process.pid, process.start_ticks, process.stopped) == (7, "12345", False)
    assert (process.rss_bytes, process.cpu_seconds) == (40_960, 3.0)
    assert shell.number("Starting session\nholdfast: 3\n") == 3
    assert shell.number("") == 0


class Engine(ThreadingHTTPServer):
    """Answers what a Docker engine has been recorded to answer, for one container whose state follows the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _EngineAnswers)
        self.id = "f" * 64
        self.state: dict[str, Any] = {
            "Running": True,
            "Paused": False,
            "StartedAt": "2026-01-02T03:04:05.123456789Z",
            "Health": {"Status": "healthy"},
        }
        self.asked: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def act(self, what: str) -> None:
        changes: dict[str, dict[str, Any]] = {
            "kill": {"Running": False},
            "stop": {"Running": False},
            "pause": {"Paused": True},
            "unpause": {"Paused": False},
            "start": {"Running": True, "StartedAt": "2026-01-02T03:05:00Z"},
        }
        self.state = {**self.state, **changes[what]}


class _EngineAnswers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Engine

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.split("/", 2)[2]
        if path == f"containers/{self.server.id}/json" or path in ("containers/sidecar/json", "containers/fff/json"):
            self._say({"Id": self.server.id, "Name": "/sidecar", "State": self.server.state})
        elif path.endswith("/stats"):
            memory = {"usage": 9_000_000, "stats": {"inactive_file": 1_000_000}}
            self._say({"memory_stats": memory, "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}}})
        else:
            self._say({"message": f"No such container: {path}"}, 404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        what, query = parts.path.rpartition("/")[2], parse_qs(parts.query)
        self.server.asked.append(" ".join([what, *(f"{name}={values[0]}" for name, values in query.items())]))
        self.server.act(what)
        self._send(204, "text/plain", b"")

    def _say(self, document: Mapping[str, Any], status: int = 200) -> None:
        self._send(status, "application/json", json.dumps(document).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A recorded Docker engine."""
    made = Engine()
    yield made
    made.shutdown()
    made.server_close()


def container(engine: Engine, name: str = "sidecar") -> ContainerDriver:
    """The driver of its container, through the SDK itself."""
    host = f"tcp://127.0.0.1:{engine.server_address[1]}"
    client = docker.DockerClient(base_url=host, version="1.44")
    return ContainerDriver(component="sidecar", name=name, host=host, client=client)


def test_a_container_is_killed_paused_and_started_again(engine: Engine) -> None:
    """Through the engine's own calls; started again it is another instance of the same component."""
    driver = container(engine)
    first = driver.find()
    assert first.started == "2026-01-02T03:04:05.123456789Z"
    assert Instance.parse(first.resource) == first
    assert driver.started_at(first) == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC).timestamp()
    held = driver.resources(first)
    assert (held.rss_bytes, held.cpu_seconds, held.ready) == (8_000_000, 2.5, True)
    driver.stop(first)
    assert driver.state(first) is State.STOPPED
    driver.resume(first)
    assert driver.state(first) is State.RUNNING
    driver.kill(first)
    assert driver.state(first) is State.GONE
    with pytest.raises(ResourceError, match="does not run"):
        driver.find()
    assert driver.restart()
    second = driver.find()
    assert second != first
    assert driver.state(first) is State.GONE
    with pytest.raises(GuardRailError, match="no longer sidecar"):
        driver.kill(first)
    driver.end(second)
    assert engine.asked == ["pause", "unpause", "kill signal=SIGKILL", "start", "stop t=10"]


def test_a_load_runs_inside_a_container(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """By exec; the load is found again and ended by its token."""
    scripts = []

    def exec_run(self: Container, words: list[str]) -> ExecResult:
        scripts.append(words[-1])
        return ExecResult(0, b"holdfast: 2\n")

    monkeypatch.setattr(Container, "exec_run", exec_run)
    driver = container(engine)
    instance = driver.find()
    driver.press(instance, Load(), "token")
    assert driver.pressing(instance, "token") == 2
    driver.relieve(instance, "token")
    assert scripts == [shell.press(Load(), "token"), shell.pressing("token"), shell.relieve("token")]


def test_a_container_must_be_named_whole(engine: Engine) -> None:
    """The engine takes the beginning of an id too; that proves nothing."""
    for name in ("fff", "other"):
        with pytest.raises(ResourceError, match=f"no container {name}"):
            container(engine, name).find()


TASK = f"arn:aws:ecs:eu-west-1:123456789012:task/shop/{'a' * 32}"
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class Tasks:
    """What ECS answers about one service, and the sessions of ECS Exec."""

    running: list[str] = field(default_factory=lambda: [TASK])
    runtime: str = "runtime-1"
    printed: str = "holdfast: 7 99 S 10 100 0\n"
    sessions: list[tuple[str, str]] = field(default_factory=list)

    def target(self) -> StubbedAws:
        return StubbedAws(
            {
                "ListTasks": lambda asked: {"taskArns": self.running},
                "DescribeTasks": lambda asked: {"tasks": [self.task(arn) for arn in asked["tasks"]]},
                "StopTask": lambda asked: {},
                "ExecuteCommand": lambda asked: {
                    "clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/shop",
                    "session": {"sessionId": "s", "streamUrl": "wss://x", "tokenValue": "t"},
                },
            }
        )

    def task(self, arn: str) -> dict[str, Any]:
        return {
            "taskArn": arn,
            "group": "service:orders",
            "lastStatus": "RUNNING" if arn in self.running else "STOPPED",
            "startedAt": STARTED,
            "containers": [
                {"name": "app", "runtimeId": "runtime-0"},
                {"name": "sidecar", "runtimeId": self.runtime, "healthStatus": "HEALTHY"},
            ],
        }

    def session(self, session: Mapping[str, Any], region: str, target: str) -> str:
        self.sessions.append((region, target))
        return self.printed


def task_driver(tasks: Tasks, target: StubbedAws, **more: Any) -> TaskDriver:
    """The driver of the sidecar in the one task of a service."""
    described = {"service": "orders", "cluster": "shop", "container": "sidecar", **more}
    return TaskDriver(component="sidecar", target=target, session=tasks.session, **described)  # type: ignore[arg-type]


def test_a_task_is_stopped_and_its_process_signalled_through_exec() -> None:
    """StopTask ends all of it; signals go by ECS Exec to the one process, in a session named as the CLI names it."""
    tasks = Tasks()
    target = tasks.target()
    driver = task_driver(tasks, target, command_line="sidecar.py")
    instance = driver.find()
    assert json.loads(instance.id) == {"task": TASK, "container": "sidecar", "runtime": "runtime-1", "pid": "7"}
    assert instance.started == "runtime-1 99"
    assert driver.started_at(instance) == STARTED.timestamp()
    assert set(tasks.sessions) == {("eu-west-1", f"ecs:shop_{'a' * 32}_runtime-1")}
    held = driver.resources(instance)
    assert (held.rss_bytes, held.cpu_seconds, held.ready) == (40_960, 1.0, True)
    driver.end(instance)
    assert target.made("StopTask") == [{"task": TASK, "reason": "Holdfast", "cluster": "shop"}]
    answers = iter([tasks.printed, "holdfast: 1\n"])
    signalling = replace(driver, session=lambda session, region, where: next(answers))
    signalling.kill(instance)
    (*_, last) = target.made("ExecuteCommand")
    assert (last["container"], last["interactive"]) == ("sidecar", True)
    assert "kill -KILL 7" in last["command"]
    tasks.runtime = "runtime-2"
    assert driver.state(instance) is State.GONE
    with pytest.raises(GuardRailError, match="no longer sidecar"):
        driver.end(instance)
    tasks.running = []
    assert driver.state(instance) is State.GONE
    with pytest.raises(ResourceError, match="no task of the service orders runs"):
        driver.find()
    assert "execute-command" in driver.by_hand(instance, "resume")


def test_several_tasks_and_unnamed_containers_prove_nothing() -> None:
    """Neither is touched."""
    tasks = Tasks(running=[TASK, TASK[:-1] + "b"])
    with pytest.raises(GuardRailError, match="2 tasks of the service orders run"):
        task_driver(tasks, tasks.target()).find()
    one = Tasks()
    with pytest.raises(GuardRailError, match="2 containers"):
        task_driver(one, one.target(), container="").find()
    driver = task_driver(one, one.target())
    with pytest.raises(Inconclusive, match="names no command_line"):
        driver.kill(driver.find())


def test_the_guard_rail_lets_only_tasks_of_the_service_be_stopped() -> None:
    """A task of another service of the cluster is refused before anything is sent; permissions name the calls."""
    tasks = Tasks()
    target = tasks.target()
    described = {"type": "ecs_task", "name": "orders", "cluster": "shop", "container": "sidecar"}
    stack = stack_of(
        target, Resource(component="sidecar", type="ecs_task", name="orders"), components={"sidecar": described}
    )
    rail = GuardRail(stack)
    rail.check("ecs", "StopTask", {"task": TASK, "cluster": "shop"})
    other = replace(tasks)
    other.task = lambda arn: {**tasks.task(arn), "group": "service:other"}  # type: ignore[method-assign]
    elsewhere = GuardRail(replace(stack, target=other.target()))
    with pytest.raises(GuardRailError, match="was refused"):
        elsewhere.check("ecs", "ExecuteCommand", {"task": TASK, "cluster": "shop"})
    lever = ComponentEnd.on(stack, "sidecar")
    again = ComponentEnd.restoring(target, lever.snapshot())
    assert again.driver.described() == lever.driver.described()
    ours = "arn:aws:ecs:eu-west-1:123456789012"
    assert set(of_lever(lever, stack)) == {
        Grant("ecs:ListTasks", "*"),
        Grant("ecs:DescribeTasks", f"{ours}:task/shop/*"),
        Grant("ecs:StopTask", f"{ours}:task/shop/*"),
        Grant("ecs:ExecuteCommand", f"{ours}:task/shop/*"),
        Grant("ecs:ExecuteCommand", f"{ours}:cluster/shop"),
    }


@pytest.mark.parametrize("command_line", [None, "sidecar.py"])
def test_what_strikes_a_task_by_itself_is_permitted_and_looking_at_it_is(command_line: str | None) -> None:
    """A strike on a task takes the calls of its driver; a task that nothing strikes is looked at, and never stopped."""
    target = Tasks().target()
    described = {"type": "ecs_task", "name": "orders", "command_line": command_line}
    components = {"sidecar": described, "worker": {"type": "process", "name": "worker"}}
    resources = (
        Resource(component="sidecar", type="ecs_task", name="orders"),
        Resource(component="worker", type="process", name="worker"),
    )
    stack = stack_of(target, *resources, components=components)
    situation = Situation(
        stack=stack,
        pattern=stack.descriptor.patterns["storage-first"],
        configuration=Configuration(queues=(), functions=()),
    )

    def struck(lever: str, component: str) -> set[str]:
        strike = Strike(lever=lever, on=lambda _: component, about="")
        provocation = Provocation(name="strikes", provoke=lambda _: None, strikes=(strike,))
        return {grant.action for grant in of_provocation(provocation, situation)}

    assert struck("component-kill", "sidecar") == set(ComponentKill.permissions)
    assert struck("component-kill", "worker") == set()
    assert struck("invocation-fault", "sidecar") == set()
    looking = {grant for grant in of_reading(situation) if grant.action.startswith("ecs:")}
    assert {grant.action for grant in looking} == {"ecs:ListTasks", "ecs:DescribeTasks"} | (
        {"ecs:ExecuteCommand"} if command_line else set()
    )
    assert Grant("ecs:DescribeTasks", "arn:aws:ecs:eu-west-1:123456789012:task/default/*") in looking


def pod(name: str = "orders-1", *, ready: bool = True, uid: str = "u-1") -> dict[str, Any]:
    """A pod as the API server answers it."""
    running = {"running": {"startedAt": "2026-01-02T03:04:05Z"}}
    statuses = [
        {
            "name": each,
            "ready": ready,
            "restartCount": 0,
            "image": "",
            "imageID": "",
            "containerID": each,
            "state": running,
        }
        for each in ("app", "sidecar")
    ]
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": uid, "labels": {"app": "orders"}},
        "status": {"phase": "Running", "containerStatuses": statuses},
    }


class ApiServer(ThreadingHTTPServer):
    """Answers what a Kubernetes API server has been recorded to answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ApiAnswers)
        self.pods = [pod()]
        self.asked: list[tuple[str, str, Any]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _ApiAnswers(BaseHTTPRequestHandler):
    server: ApiServer

    def do_GET(self) -> None:
        self._answer({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": self.server.pods})

    def do_DELETE(self) -> None:
        self.server.pods = [pod("orders-2", uid="u-2")]
        self._answer({"apiVersion": "v1", "kind": "Pod", **pod()})

    def _answer(self, document: Mapping[str, Any]) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, json.loads(body) if body else None))
        told = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@pytest.fixture
def api_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """A recorded API server, and a kubeconfig with its context."""
    made = ApiServer()
    place = f"http://127.0.0.1:{made.server_address[1]}"
    told = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": place}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(told))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(file))
    yield made
    made.shutdown()
    made.server_close()


def pod_driver(**more: Any) -> PodDriver:
    """The driver of the sidecar in a pod, through the official client."""
    described = {
        "context": "test",
        "namespace": "shop",
        "selector": "app=orders",
        "container": "sidecar",
        "command_line": "",
        **more,
    }
    return PodDriver.restored("sidecar", described)


def test_a_pod_is_deleted_if_it_still_is_the_same_one(api_server: ApiServer) -> None:
    """Killed without grace, ended with its own; the id of the pod is a precondition of the deletion."""
    driver = pod_driver()
    first = driver.find()
    assert json.loads(first.id) == {"pod": "orders-1", "uid": "u-1", "container": "sidecar"}
    assert driver.started_at(first) == STARTED.timestamp()
    assert "labelSelector=app%3Dorders" in api_server.asked[0][1]
    driver.kill(first)
    deleted = [body for method, _, body in api_server.asked if method == "DELETE"]
    assert deleted == [{"gracePeriodSeconds": 0, "preconditions": {"uid": "u-1"}}]
    assert driver.state(first) is State.GONE or json.loads(driver.find().id)["pod"] == "orders-2"
    with pytest.raises(GuardRailError, match="no longer sidecar"):
        driver.end(first)
    second = driver.find()
    driver.end(second)
    assert [body for method, _, body in api_server.asked if method == "DELETE"][1] == {"preconditions": {"uid": "u-2"}}


def test_a_process_of_a_pod_is_signalled_in_its_container(api_server: ApiServer) -> None:
    """By exec in the named container; several pods, or containers that are not named, prove nothing."""

    class Executing(OfficialCluster):
        ran: list[tuple[str, str, str]] = []  # noqa: RUF012 - of this test alone

        def run(self, namespace: str, name: str, container: str, script: str) -> str:
            self.ran.append((namespace, name, container))
            return "holdfast: 1\n" if "kill -" in script else "holdfast: 7 99 T 10 100 0\n"

    driver = replace(pod_driver(command_line="sidecar.py"), cluster=Executing("test"))
    instance = driver.find()
    assert driver.state(instance) is State.STOPPED
    driver.kill(instance)
    driver.resume(instance)
    assert set(Executing.ran) == {("shop", "orders-1", "sidecar")}
    assert "kill -CONT 7" in driver.by_hand(instance, "resume")
    with pytest.raises(GuardRailError, match="has 2 containers"):
        pod_driver(container="").find()
    api_server.pods.append(pod("orders-2"))
    with pytest.raises(GuardRailError, match="2 pods are app=orders"):
        pod_driver().find()
    api_server.pods = []
    with pytest.raises(ResourceError, match="no pod app=orders runs"):
        pod_driver().find()


def test_a_function_is_reached_by_its_configuration_only() -> None:
    """An extension shares its sandbox with the function, so there is nothing to signal; the reason names the levers."""
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:f"
    stack = stack_of(
        nowhere(),
        Resource(component="f", type="function", name="f", arn=arn),
        Resource(component="queue", type="queue", name="q"),
        components={"f": {"type": "function", "name": "f"}, "queue": {"type": "queue", "name": "q"}},
    )
    with pytest.raises(Inconclusive, match="function-variable"):
        ComponentKill.on(stack, "f")
    with pytest.raises(Inconclusive, match="queue is a queue"):
        driver_of(stack, "queue")
    with pytest.raises(ValueError, match="no driver"):
        driver_restored(nowhere(), "f", Instance("another", "1", "2"), {})


def test_every_driver_is_one() -> None:
    """The type checker holds each of them to the protocol."""
    drivers: list[type[Driver]] = [ContainerDriver, TaskDriver, PodDriver]
    assert [driver.kind for driver in drivers] == ["container", "ecs_task", "pod"]
