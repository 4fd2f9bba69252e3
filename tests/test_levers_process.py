"""Processes stopped and killed: only the one that is proven to be the component is ever signalled."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from holdfast.drivers.marks import start_mark
from holdfast.drivers.process_match import ProcessDescription
from holdfast.errors import GuardRailError, HealError, InjectionError, ResourceError
from holdfast.history.model import ErrorClass
from holdfast.history.recorder import Recorder
from holdfast.levers import ComponentKill, ComponentStop, Journal, Pin, heal_all, open_entries, pulled
from holdfast.stack.resolve import Resource, Stack
from holdfast.targets.attached import AttachedTarget
from holdfast.waiting import eventually
from lever_stack import stack_of

ECHO = """
import socket, sys
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
while True:
    connection, _ = listening.accept()
    connection.sendall(b"here")
    connection.close()
"""


class Sidecars:
    """Starts processes that answer on a port of their own, and ends them."""

    def __init__(self) -> None:
        self.marker = f"holdfast-{secrets.token_hex(8)}"
        self.started: list[subprocess.Popen[str]] = []
        self.ports: list[int] = []

    def start(self, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", ECHO, self.marker, *words], stdout=subprocess.PIPE, text=True)
        self.started.append(process)
        assert process.stdout is not None
        self.ports.append(int(process.stdout.readline()))
        return process

    def name(self) -> str:
        return psutil.Process(self.started[0].pid).name()

    def answers(self, port: int) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=0.3) as connection:
                connection.settimeout(0.3)
                return connection.recv(4) == b"here"
        except OSError:
            return False

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate()


@pytest.fixture
def sidecars() -> Iterator[Sidecars]:
    made = Sidecars()
    try:
        yield made
    finally:
        made.end()


def stack(sidecars: Sidecars, directory: Path, **described: Any) -> Stack:
    """A stack of one process; its target answers nobody."""
    target = AttachedTarget(
        kind="embedded", endpoint_url="http://127.0.0.1:9", account="123456789012", region="eu-west-1"
    )
    name = described.pop("name", None) or sidecars.name()
    component = {"type": "process", "name": name, **described}
    made = stack_of(target, Resource(component="sidecar", type="process", name=name), components={"sidecar": component})
    return Stack(made.descriptor, directory / "levers.stack.toml", target, made.resources)


def test_a_stopped_process_hangs_and_goes_on(sidecars: Sidecars, tmp_path: Path) -> None:
    """In the window nobody answers on its open port; afterwards the same process does."""
    process = sidecars.start()
    (port,) = sidecars.ports
    on = stack(sidecars, tmp_path, port=port)
    recorder = Recorder()
    assert sidecars.answers(port)
    with (
        Journal(tmp_path, Pin.of(on)) as journal,
        pulled([ComponentStop.on(on, "sidecar")], stack=on, journal=journal, recorder=recorder) as pull,
    ):
        assert pull.proofs == (f"process {process.pid} of sidecar is stopped",)
        assert not sidecars.answers(port)
    assert eventually(lambda: sidecars.answers(port), bool, deadline_seconds=5).met
    (window,) = recorder.history().windows
    assert (window.error_class, window.bit) == (ErrorClass.TIMEOUT, True)
    assert window.healed_proof == f"process {process.pid} of sidecar goes on"


def test_a_killed_process_is_healed_when_another_runs_in_its_place(sidecars: Sidecars, tmp_path: Path) -> None:
    """The supervisor's new process of the same description is the proof; the window tells both ids."""
    first = sidecars.start()
    on = stack(sidecars, tmp_path, command_line=sidecars.marker)
    recorder = Recorder()
    with (
        Journal(tmp_path, Pin.of(on)) as journal,
        pulled([ComponentKill.on(on, "sidecar")], stack=on, journal=journal, recorder=recorder) as pull,
    ):
        assert pull.proofs == (f"process {first.pid} of sidecar was killed",)
        assert first.wait() == -signal.SIGKILL
        second = sidecars.start()
    (window,) = recorder.history().windows
    assert (window.error_class, window.bit) == (ErrorClass.CRASH, True)
    assert f"process {second.pid} runs in its place" in window.healed_proof


def test_a_killed_process_that_nobody_starts_again_is_told_by_hand(
    sidecars: Sidecars, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill has no undo: without a supervisor the run ends as not healed, saying what to start; starting it heals."""
    monkeypatch.setattr(ComponentKill, "propagation_seconds", 0.3)
    sidecars.start()
    on = stack(sidecars, tmp_path, command_line=sidecars.marker)
    with (
        Journal(tmp_path, Pin.of(on)) as journal,
        pytest.raises(HealError, match="nobody has started it again") as caught,
        pulled([ComponentKill.on(on, "sidecar")], stack=on, journal=journal, recorder=Recorder()),
    ):
        pass
    assert "start sidecar again, a process named" in caught.value.remedy
    (failed,) = heal_all(tmp_path)
    assert (failed.outcome, failed.remedy[:19]) == ("failed", "start sidecar again")
    sidecars.start()
    (healed,) = heal_all(tmp_path)
    assert healed.outcome == "healed"
    assert open_entries(tmp_path).entries == ()


def test_a_process_stays_stopped_when_the_target_of_a_killed_run_ends_and_heal_lets_it_go_on(
    sidecars: Sidecars, tmp_path: Path
) -> None:
    """The embedded target dies with its run, a stopped process does not: it is healed although nothing answers."""
    process = sidecars.start()
    on = stack(sidecars, tmp_path, command_line=sidecars.marker)
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_levers_process import Sidecars, stack\n"
        "from holdfast.levers import Journal, Pin, ComponentStop\n"
        "on = stack(Sidecars(), Path(sys.argv[2]), name=sys.argv[3], command_line=sys.argv[4])\n"
        "lever = ComponentStop.on(on, 'sidecar')\n"
        "journal = Journal(Path(sys.argv[2]), Pin.of(on))\n"
        "journal.planned([lever.snapshot()])\n"
        "lever.inject(lever.snapshot())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    arguments = [str(Path(__file__).parent), str(tmp_path), sidecars.name(), sidecars.marker]
    # the marker is in the script's own command line too, but a process is never the component it looks for
    run = subprocess.run([sys.executable, "-c", script, *arguments], check=False)
    assert run.returncode == -signal.SIGKILL
    assert psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
    (result,) = heal_all(tmp_path)
    assert (result.outcome, result.proof) == ("healed", f"process {process.pid} of sidecar goes on")
    assert psutil.Process(process.pid).status() != psutil.STATUS_STOPPED
    assert on.path.parent == tmp_path


def test_two_processes_that_fit_are_not_signalled(sidecars: Sidecars, tmp_path: Path) -> None:
    """What fits several is proven for none; one more word that only one of them has is enough."""
    sidecars.start("one")
    second = sidecars.start("two")
    for lever in (ComponentStop, ComponentKill):
        with pytest.raises(GuardRailError, match=r"2 processes .* nothing was signalled"):
            lever.on(stack(sidecars, tmp_path, command_line=sidecars.marker), "sidecar")
    told = stack(sidecars, tmp_path, command_line=f"{sidecars.marker} two")
    assert ComponentStop.on(told, "sidecar").resource.split(":")[1] == str(second.pid)
    by_port = stack(sidecars, tmp_path, port=sidecars.ports[1])
    assert ComponentStop.on(by_port, "sidecar").resource.split(":")[1] == str(second.pid)


def test_all_that_is_said_of_a_process_must_be_true(sidecars: Sidecars, tmp_path: Path) -> None:
    """A port of one process and a command line of another are nobody's; neither is a name that does not fit."""
    sidecars.start("one")
    sidecars.start("two")
    one, two = sidecars.ports
    for described in (
        {"port": one, "command_line": f"{sidecars.marker} two"},
        {"name": "no-such-program", "port": two},
        {"command_line": secrets.token_hex(16)},
        {"pid_file": "missing.pid"},
    ):
        with pytest.raises(ResourceError, match="nothing was signalled"):
            ComponentStop.on(stack(sidecars, tmp_path, **described), "sidecar")


def test_a_pid_file_names_its_process_until_the_id_is_given_to_another(sidecars: Sidecars, tmp_path: Path) -> None:
    """A file that is older than the process that has its id was written by an earlier process with that id."""
    process = sidecars.start()
    file = tmp_path / "sidecar.pid"
    file.write_text(f"{process.pid}\n")
    on = stack(sidecars, tmp_path, pid_file="sidecar.pid")
    assert ComponentStop.on(on, "sidecar").resource == f"process:{process.pid}:{start_mark(process.pid)}"
    began = psutil.Process(process.pid).create_time() - 60
    os.utime(file, (began, began))
    with pytest.raises(ResourceError, match="nothing was signalled"):
        ComponentStop.on(on, "sidecar")
    for content in ("", "not a number", "-1", str(2**70)):
        file.write_text(content)
        with pytest.raises(ResourceError, match="nothing was signalled"):
            ComponentStop.on(on, "sidecar")


def test_the_harness_itself_is_never_the_component(tmp_path: Path) -> None:
    """Neither this process nor one that started it is found, however well the description fits."""
    own = psutil.Process()
    for process in (own, *own.parents()[:1]):
        file = tmp_path / "own.pid"
        file.write_text(str(process.pid))
        with pytest.raises(ResourceError):
            ProcessDescription(name=process.name(), pid_file=str(file)).find()


@pytest.mark.parametrize("lever", [ComponentStop, ComponentKill])
def test_a_process_started_again_meanwhile_is_not_signalled(
    sidecars: Sidecars, tmp_path: Path, lever: type[ComponentStop] | type[ComponentKill]
) -> None:
    """Between the lever and its signal the proof is made again: the new process is not the one that was proven."""
    first = sidecars.start()
    on = stack(sidecars, tmp_path, command_line=sidecars.marker)
    made = lever.on(on, "sidecar")
    snapshot = made.snapshot()
    first.kill()
    first.wait()
    second = sidecars.start()
    with pytest.raises((GuardRailError, InjectionError), match="nothing was signalled"):
        made.inject(snapshot)
    assert second.poll() is None
    assert sidecars.answers(sidecars.ports[1])


@pytest.mark.parametrize("lever", [ComponentStop, ComponentKill])
def test_a_process_that_is_no_longer_the_component_is_not_signalled(
    sidecars: Sidecars, tmp_path: Path, lever: type[ComponentStop] | type[ComponentKill]
) -> None:
    """A handover between the lever and its signal leaves the old process alone, although it still runs."""
    old, new = sidecars.start(), sidecars.start()
    file = tmp_path / "sidecar.pid"
    file.write_text(str(old.pid))
    made = lever.on(stack(sidecars, tmp_path, pid_file="sidecar.pid"), "sidecar")
    snapshot = made.snapshot()
    file.write_text(str(new.pid))
    with pytest.raises(GuardRailError, match="is no longer the component"):
        made.inject(snapshot)
    assert all(sidecars.answers(port) for port in sidecars.ports)


def test_the_guard_rail_lets_only_the_component_through(sidecars: Sidecars, tmp_path: Path) -> None:
    """A lever on another process, even of the same program, is refused before anything is written or signalled."""
    sidecars.start("one")
    other = sidecars.start("two")
    on = stack(sidecars, tmp_path, command_line=f"{sidecars.marker} one")
    lever = ComponentStop.on(on, "sidecar")
    lever.resource = f"process:{other.pid}:{start_mark(other.pid)}"
    with Journal(tmp_path, Pin.of(on)) as journal:
        window = pulled([lever], stack=on, journal=journal, recorder=Recorder())
        with pytest.raises(GuardRailError, match="not part of component 'sidecar'"), window:
            pytest.fail("the window must not open")
        assert not journal.path.exists()
    assert sidecars.answers(sidecars.ports[1])


def test_a_process_that_is_stopped_already_is_not_touched(sidecars: Sidecars, tmp_path: Path) -> None:
    """What is stopped already was stopped by somebody else, so there is nothing to restore to: refuse."""
    process = sidecars.start()
    lever = ComponentStop.on(stack(sidecars, tmp_path, command_line=sidecars.marker), "sidecar")
    process.send_signal(signal.SIGSTOP)
    stopped: Callable[[], bool] = lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED  # noqa: E731
    assert eventually(stopped, bool, deadline_seconds=5).met
    with pytest.raises(InjectionError, match=f"kill -CONT {process.pid}|already stopped"):
        lever.snapshot()


def test_a_process_of_another_machine_is_not_healed_here(sidecars: Sidecars, tmp_path: Path) -> None:
    """A journal that came from elsewhere names processes of its own machine; the same ids here are others."""
    sidecars.start()
    for lever in (ComponentStop, ComponentKill):
        made = lever.on(stack(sidecars, tmp_path, command_line=sidecars.marker), "sidecar")
        snapshot = made.snapshot()
        snapshot.found["machine"] = "elsewhere"
        with pytest.raises(HealError, match="runs on elsewhere"):
            lever.restoring(made.target, snapshot).healed_proof(snapshot)


def test_a_process_of_another_user_is_told(sidecars: Sidecars, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that is not permitted is an injection that failed, not a traceback."""
    sidecars.start()
    lever = ComponentStop.on(stack(sidecars, tmp_path, command_line=sidecars.marker), "sidecar")
    snapshot = lever.snapshot()

    def denied(self: psutil.Process, number: int) -> None:
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "send_signal", denied)
    with pytest.raises(InjectionError, match="may not be signalled"):
        lever.inject(snapshot)


def test_the_journal_holds_no_command_line(sidecars: Sidecars, tmp_path: Path) -> None:
    """A command line may hold a secret, so only what the descriptor says is kept."""
    sidecars.start("--password=hunter2")
    lever = ComponentKill.on(stack(sidecars, tmp_path, command_line=sidecars.marker), "sidecar")
    snapshot = lever.snapshot()
    assert "hunter2" not in repr(snapshot) + lever.by_hand(snapshot)
