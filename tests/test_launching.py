"""Processes that a run starts: in their order, with their addresses, and gone after every end of the run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests

from holdfast.drivers.base import Load, State
from holdfast.drivers.choosing import driver_of
from holdfast.drivers.marks import start_mark
from holdfast.drivers.plan import PORTS, free_port, plan
from holdfast.drivers.strays import strays
from holdfast.errors import GuardRailError, InjectionError, ResourceError, TargetError
from holdfast.history.recorder import Recorder
from holdfast.levers import (
    ComponentEnd,
    ComponentKill,
    ComponentPressure,
    ComponentStop,
    Journal,
    Pin,
    heal_all,
    launched,
    open_entries,
    pulled,
    watched,
)
from holdfast.levers.launched import Launched
from holdfast.stack.running import StartedProcess
from holdfast.waiting import eventually
from processes_rig import components, nowhere, rig, stack_with, start_of

SLEEP = "import time; time.sleep(600)"


def test_processes_start_in_order_and_end_in_reverse(tmp_path: Path) -> None:
    """The sidecar is ready before the application starts and ended after it; ports, folders and sockets are gone."""
    with rig(tmp_path) as runs:
        assert runs.running.order == ("sidecar", "app")
        assert all(runs.running.is_ready(name) for name in runs.running.order)
        folder = Path(str(runs.running.addresses["app.folder"])).parent
        assert folder.is_dir()
        started = [runs.running.process(name) for name in runs.running.order]
    assert runs.noted() == ["started", "started", "ending", "ending"]
    assert not folder.exists()
    assert not any(psutil.pid_exists(each.pid) for each in started if each is not None)
    assert list(strays(runs.running.run)) == []
    assert open_entries(tmp_path / "journal").entries == ()
    assert "listening on" in (tmp_path / "levers-sidecar.log").read_text()


def test_a_plan_fills_templates_and_points_sdks_at_the_target(tmp_path: Path) -> None:
    """Commands and variables know addresses of others; of the run's own environment only what is named passes."""
    described = {
        "app": {
            "type": "process",
            "start": {
                "command": ["serve", "{app.port}", "{app.folder}"],
                "environment": {"SIDECAR": "{channel.url}", "TABLE": "{table.name}-{region}"},
                "after": "sidecar",
                "cpus": [0],
                "nice": 3,
            },
        },
        "sidecar": {"type": "process", "port": 9999, "start": {"command": "{python}"}},
        "table": {"type": "table", "name": "table"},
    }
    stack = stack_with(described, tmp_path, channels={"channel": {"from": "app", "to": "sidecar"}})
    environ = {"PATH": "/bin", "AWS_PROFILE": "mine", "PASSWORD": "secret"}
    made = plan(stack, run="r", folder=Path("/tmp/holdfast-r"), logs=tmp_path, environ=environ)
    sidecar, app = made.processes
    assert (sidecar.component, sidecar.command, sidecar.address.port) == ("sidecar", (sys.executable,), 9999)
    assert app.command == ("serve", str(app.address.port), "/tmp/holdfast-r/app")
    assert app.environment["SIDECAR"] == f"http://127.0.0.1:{made.addresses['channel.port']}"
    assert app.environment["TABLE"] == "table-eu-west-1"
    assert (app.cpus, app.nice, app.directory) == ((0,), 3, tmp_path)
    assert app.environment["AWS_ENDPOINT_URL"] == stack.target.endpoint_url
    assert app.environment["AWS_SDK_UA_APP_ID"] == "component.app"
    assert (app.environment["HOLDFAST_RUN"], app.environment["HOLDFAST_COMPONENT"]) == ("r", "app")
    assert not {"AWS_PROFILE", "PASSWORD"} & set(app.environment)
    (channel,) = made.channels
    assert (channel.upstream, channel.protocol) == ("127.0.0.1:9999", "http")
    assert {app.address.port, int(channel.listen.rpartition(":")[2])} <= set(PORTS)


def test_a_free_port_is_one_that_nobody_has() -> None:
    """Neither one that somebody listens on, nor one that this plan has given away already."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        busy = listening.getsockname()[1]
        drawn = iter([busy, 15_001, 15_001, 15_002])
        taken: set[int] = set()
        assert free_port(taken, draw=lambda _: next(drawn)) == 15_001
        assert free_port(taken, draw=lambda _: next(drawn)) == 15_002
        with pytest.raises(TargetError, match="is free"):
            free_port(set(), draw=lambda _: busy)


def test_a_path_that_is_too_long_for_a_socket_is_told_before_anything_starts(tmp_path: Path) -> None:
    """Kernels cut such a path, or refuse it, with a message that nobody understands; who needs no socket may start."""
    folder = Path("/tmp") / ("x" * 100)
    channels = {"state": {"from": "app", "to": "sidecar", "transport": "unix"}}
    stack = stack_with(components(tmp_path / "notes"), tmp_path, channels=channels)
    with pytest.raises(TargetError, match="too long for a Unix socket"):
        plan(stack, run="r", folder=folder, logs=tmp_path)
    assert plan(stack_with(components(tmp_path / "notes"), tmp_path), run="r", folder=folder, logs=tmp_path).processes


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ({"command": ["{python}", "-c", "print('no table'); raise SystemExit(3)"]}, "ended with 3"),
        (
            {"command": ["{python}", "-c", "import time; time.sleep(60)"], "ready": {"port": True, "seconds": 0.3}},
            "0.3 s",
        ),
        ({"command": ["no-such-program"]}, "cannot be started"),
        pytest.param(
            {"command": ["{python}", "-c", SLEEP], "cpus": [4095]},
            "cannot be limited to the processors",
            marks=pytest.mark.skipif(not hasattr(psutil.Process, "cpu_affinity"), reason="psutil sets none here"),
        ),
    ],
    ids=["ends", "never ready", "missing", "no such processor"],
)
def test_a_process_that_does_not_start_ends_all_and_says_why(
    start: dict[str, object], told: str, tmp_path: Path
) -> None:
    """The error carries the end of the log; those that were started before are ended, and nothing is left."""
    notes = tmp_path / "notes"
    described = {
        "sidecar": {"type": "process", "start": start_of("sidecar", str(notes))},
        "app": {"type": "process", "start": {"ready": {"file": "ready"}, "after": "sidecar", **start}},
    }
    stack = stack_with(described, tmp_path)
    with (
        Journal(tmp_path / "journal", Pin.of(stack)) as journal,
        pytest.raises(TargetError, match=told) as caught,
        launched(stack, journal, logs=tmp_path),
    ):
        pytest.fail("the block must not begin")
    if "ended with 3" in told:
        assert "no table" in caught.value.cause
    assert "components.app.start" in caught.value.remedy
    assert notes.read_text().splitlines() == ["started", "ending"]
    assert open_entries(tmp_path / "journal").entries == ()


def test_what_does_not_drain_in_time_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    """A process that ignores SIGTERM ends after stop_seconds, and its children with it, whatever group they are in."""
    script = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "own = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "print(own.pid, flush=True); open(sys.argv[1], 'w').close(); time.sleep(600)"
    )
    start = {
        "command": ["{python}", "-c", script, "{app.folder}/ready"],
        "ready": {"file": "ready"},
        "stop_seconds": 0.2,
    }
    stack = stack_with({"app": {"type": "process", "start": start}}, tmp_path)
    with Journal(tmp_path / "journal", Pin.of(stack)) as journal, launched(stack, journal, logs=tmp_path) as runs:
        assert runs.running is not None
        child = int(runs.running.log("app"))
        ended = runs.running.end("app")
        assert (ended.exit_code, ended.in_time) == (-signal.SIGKILL, False)
        assert runs.running.process("app") is None
    assert start_mark(child) == ""


def test_a_killed_process_keeps_its_address_and_its_folder(tmp_path: Path) -> None:
    """In the window nobody answers; healed is the same command in another process, with what it had written down."""
    with rig(tmp_path) as runs:
        before = runs.running.process("sidecar")
        kept = Path(str(runs.running.addresses["sidecar.folder"])) / "log"
        kept.write_text("written down")
        recorder = Recorder()
        lever = ComponentKill.on(runs.stack, "sidecar")
        with pulled([lever], stack=runs.stack, journal=runs.journal, recorder=recorder) as pull:
            assert before is not None
            assert pull.proofs == (f"process {before.pid} of sidecar was killed",)
            assert runs.running.exit_code("sidecar") == -signal.SIGKILL
            with pytest.raises(requests.ConnectionError):
                runs.ask("/", name="sidecar")
        again = runs.running.process("sidecar")
        assert again is not None
        assert again != before
        assert runs.ask("/", name="sidecar")["pid"] == again.pid
        assert kept.read_text() == "written down"
        (window,) = recorder.history().windows
        assert f"process {again.pid} runs in its place" in window.healed_proof


def test_a_process_ends_in_order_and_is_started_again(tmp_path: Path) -> None:
    """SIGTERM lets it drain, so its note comes before the proof; healing starts it again."""
    with rig(tmp_path) as runs:
        lever = ComponentEnd.on(runs.stack, "sidecar")
        with pulled([lever], stack=runs.stack, journal=runs.journal, recorder=Recorder()) as pull:
            assert "was ended" in pull.proofs[0]
            assert runs.noted()[-1] == "ending"
            assert runs.running.exit_code("sidecar") == 0
        assert runs.running.is_ready("sidecar")


def test_a_stopped_process_hangs_goes_on_and_ends_in_order(tmp_path: Path) -> None:
    """It does not answer in the window, is the same process after it, and one still stopped at the end is ended too."""
    with rig(tmp_path) as runs:
        process = runs.running.process("sidecar")
        lever = ComponentStop.on(runs.stack, "sidecar")
        with pulled([lever], stack=runs.stack, journal=runs.journal, recorder=Recorder()):
            with pytest.raises(requests.Timeout):
                runs.ask("/", timeout_seconds=0.3)
            assert driver_of(runs.stack, "sidecar").state(lever.instance) is State.STOPPED
        assert process is not None
        assert runs.ask("/")["pid"] == process.pid
        assert runs.running.signal("sidecar", process, signal.SIGSTOP)
    assert runs.noted().count("ending") == 2


def test_only_the_process_that_is_meant_is_signalled(tmp_path: Path) -> None:
    """One that was started again is another; neither a lever nor a signal for the first one reaches it."""
    with rig(tmp_path) as runs:
        lever = ComponentKill.on(runs.stack, "sidecar")
        snapshot, first = lever.snapshot(), runs.running.process("sidecar")
        assert first is not None
        runs.running.end("sidecar")
        with pytest.raises((GuardRailError, InjectionError, ResourceError)):
            lever.inject(snapshot)
        second = runs.running.start("sidecar")
        with pytest.raises((GuardRailError, InjectionError), match="nothing was signalled"):
            lever.inject(snapshot)
        assert not runs.running.signal("sidecar", first, signal.SIGKILL)
        assert not runs.running.signal("sidecar", StartedProcess(second.pid, "another"), signal.SIGKILL)
        assert runs.running.process("sidecar") == second
        with pytest.raises(ResourceError, match="has started no component other"):
            runs.running.start("other")


def test_resources_are_those_of_the_process_and_its_children(tmp_path: Path) -> None:
    """Memory and processor time are counted, and the start is a time of the wall clock."""
    with rig(tmp_path) as runs:
        driver = driver_of(runs.stack, "sidecar")
        instance = driver.find()
        found = driver.resources(instance)
        assert found.ready
        assert 1_000_000 < found.rss_bytes < 1_000_000_000
        assert 0.0 < found.cpu_seconds < 60.0
        assert abs(driver.started_at(instance) - time.time()) < 120.0


def test_pressure_is_within_the_limits_and_ends(tmp_path: Path) -> None:
    """The load has the processors and the priority of the process; it spins, holds memory, and is gone when healed."""
    notes = tmp_path / "notes"
    start = start_of("sidecar", str(notes), cpus=[0], nice=5)
    stack = stack_with({"sidecar": {"type": "process", "start": start}}, tmp_path)
    with Journal(tmp_path / "journal", Pin.of(stack)) as journal, launched(stack, journal, logs=tmp_path) as runs:
        load = Load(workers=1, memory_bytes=8_000_000, seconds=60)
        lever = ComponentPressure.on(runs, "sidecar", load=load)
        with pulled([lever], stack=runs, journal=journal, recorder=Recorder()) as pull:
            assert "1 processes spin and 8000000 bytes are held" in pull.proofs[0]
            loading = list(strays(lever.token))
            assert len(loading) == 2
            for process in loading:
                assert process.nice() == 5
                if hasattr(process, "cpu_affinity"):
                    assert process.cpu_affinity() == [0]
            assert eventually(
                lambda: max(process.cpu_times().user for process in loading), lambda user: user > 0, deadline_seconds=20
            ).met
            assert max(process.memory_info().rss for process in loading) > 8_000_000
        assert list(strays(lever.token)) == []
        too_much = ComponentPressure.on(runs, "sidecar", load=Load(memory_bytes=2**60))
        with pytest.raises(InjectionError, match="more than half"):
            too_much.inject(too_much.snapshot())


def test_a_load_ends_by_itself(tmp_path: Path) -> None:
    """Nobody has to heal it: after its seconds no process of it is left."""
    with rig(tmp_path) as runs:
        lever = ComponentPressure.on(runs.stack, "sidecar", load=Load(seconds=0.5))
        lever.inject(lever.snapshot())
        assert eventually(
            lambda: lever.driver.pressing(lever.instance, lever.token), lambda left: left == 0, deadline_seconds=20
        ).met
        lever.heal(lever.snapshot())


RUN = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from holdfast.levers import ComponentPressure, ComponentStop, watched
from holdfast.history.recorder import Recorder
from holdfast.levers import pulled
from processes_rig import rig

with rig(Path(sys.argv[2]), where="socket") as runs, watched(runs.journal, enabled=sys.argv[3] == "watchdog"):
    levers = [ComponentStop.on(runs.stack, "app"), ComponentPressure.on(runs.stack, "sidecar")]
    with pulled(levers, stack=runs.stack, journal=runs.journal, recorder=Recorder()):
        print(runs.running.run, runs.running.addresses["channel.socket"], levers[1].token, flush=True)
        if sys.argv[4] != "SIGKILL":
            os.kill(os.getpid(), getattr(signal, sys.argv[4]))
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("healer", "signalled"),
    [("heal", "SIGKILL"), ("watchdog", "SIGKILL"), ("nobody", "SIGINT"), ("nobody", "SIGTERM")],
)
def test_no_end_of_the_run_leaves_a_process_a_socket_or_a_relay(healer: str, signalled: str, tmp_path: Path) -> None:
    """Killed in the middle of a fault: what was stopped, pressed, listening or relaying is gone with its files."""
    ended = subprocess.run(
        [sys.executable, "-c", RUN, str(Path(__file__).parent), str(tmp_path), healer, signalled],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if signalled == "SIGKILL":
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    run, socket, token = ended.stdout.split()
    folder = Path(socket).parent
    if healer == "heal":
        assert list(strays(run))
        assert folder.exists()
        results = heal_all(tmp_path / "journal")
        assert [result.outcome for result in results] == ["healed"] * 3, results
    assert eventually(
        lambda: (
            list(strays(run)),
            list(strays(token)),
            folder.exists(),
            open_entries(tmp_path / "journal").entries,
        ),
        lambda left: left == ([], [], False, ()),
        deadline_seconds=30 if healer == "watchdog" else 0,
    ).met


def test_a_run_elsewhere_is_not_healed_here(tmp_path: Path) -> None:
    """A journal that came from another machine names processes and folders of that one."""
    undo = Launched(target=nowhere(), resource="r", folder=tmp_path / "folder", machine="elsewhere")
    with Journal(tmp_path, Pin.of(stack_with({}, tmp_path))) as journal:
        journal.planned([undo.snapshot()])
        journal._open.clear()
        assert journal._file is not None
        os.close(journal._file)
        journal._file = None
    (result,) = heal_all(tmp_path)
    assert (result.outcome, "was on elsewhere" in result.reason) == ("failed", True)
    assert "HOLDFAST_RUN=r" in result.remedy or "there" in result.remedy


def test_a_watchdog_is_there_whenever_a_run_starts_processes(tmp_path: Path) -> None:
    """The embedded target ends with its run, processes do not: their run is watched on every target."""
    stack = stack_with(components(tmp_path / "notes"), tmp_path)
    with Journal(tmp_path, Pin.of(stack)) as journal:
        with watched(journal) as nobody:
            assert nobody is None
        with watched(journal, enabled=True) as somebody:
            assert somebody is not None
