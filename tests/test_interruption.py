"""A run that is interrupted or killed in the middle of a fault leaves nothing: no fault, process, port or file."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from holdfast.cli import main
from holdfast.waiting import eventually
from verify_runs import BIN, copy_of, environment, run_pytest

IN_TIME_SECONDS = 15.0
"""An interrupted run ends within few seconds; this leaves room for a busy machine and is far from any bound waited."""


def command_line(process: psutil.Process) -> list[str]:
    """How a process was started; nothing when it has ended."""
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


@dataclass
class Running:
    """A verification at work, its faults in place."""

    process: subprocess.Popen[bytes]
    folder: Path
    log: Path
    family: list[psutil.Process] = field(default_factory=list)

    def text(self) -> str:
        """All it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def await_fault(self, lever: str = "") -> None:
        """Wait until the journal says that a fault is in place, and remember all processes and ports."""

        def injected() -> bool:
            assert self.process.poll() is None, self.text()
            files = [path.read_text(encoding="utf-8") for path in (self.folder / ".holdfast/journal").glob("*.jsonl")]
            return any('"injected"' in text and lever in text for text in files)

        assert eventually(injected, bool, deadline_seconds=90, interval_seconds=0.02, longest_interval_seconds=0.05).met
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        assert any("holdfast.targets.emulator" in " ".join(command_line(one)) for one in self.family)
        self.temporary = self.temporaries()
        assert self.temporary
        self.ports = set()
        for one in self.family:
            with suppress(psutil.NoSuchProcess):  # a worker of a function may end meanwhile
                listening = [found for found in one.net_connections("tcp") if found.status == psutil.CONN_LISTEN]
                self.ports |= {connection.laddr.port for connection in listening}
        assert self.ports

    def temporaries(self) -> list[Path]:
        """The temporary directories that this run has made."""
        return list((self.folder / "tmp").glob("holdfast-*"))

    def end(self, number: signal.Signals) -> int:
        """Signal it and wait for its end; returns the exit code."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(timeout=90)
        assert time.monotonic() - began < IN_TIME_SECONDS, self.text()
        return code

    def assert_nothing_is_left(self) -> None:
        """No process, no port and no temporary directory is left, at once or within seconds."""
        _, alive = psutil.wait_procs(self.family, timeout=IN_TIME_SECONDS)
        assert not alive, [command_line(one) for one in alive]
        assert eventually(self.temporaries, lambda left: not left, deadline_seconds=IN_TIME_SECONDS).met
        listening = {one.laddr.port for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
        assert not self.ports & listening

    def assert_healed(self) -> None:
        """Its journal is set aside: every fault in it is healed."""
        journals = [path for path in (self.folder / ".holdfast/journal").iterdir() if path.is_file()]
        assert journals
        assert {path.suffix for path in journals} == {".healed"}


@contextmanager
def running(folder: Path, *arguments: str | Path, program: str = "holdfast") -> Iterator[Running]:
    """Start a verification in a session of its own; whatever happens, it is gone at the end."""
    (folder / "tmp").mkdir()
    log = folder / "output.txt"
    command = [str(BIN / "holdfast"), "verify"] if program == "holdfast" else [str(BIN / program), "-p", "no:locust"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=folder,
            env=environment(TMPDIR=str(folder / "tmp")),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    run = Running(process, folder, log)
    try:
        yield run
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for one in run.family:
            with suppress(psutil.NoSuchProcess):
                one.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_healed(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """SIGINT and SIGTERM end a run within seconds: healed, told so, with its own exit code, nothing left behind."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    with running(tmp_path, descriptor, "-k", "SF-1") as run:
        run.await_fault("function-throttle")
        assert run.end(number) == code
        run.assert_nothing_is_left()
    run.assert_healed()
    assert f"interrupted by {number.name}; every fault that was in place is healed" in run.text()
    assert "0 of 2 clauses were decided" in run.text()
    assert "Traceback" not in run.text()


def test_what_was_decided_is_shown(tmp_path: Path) -> None:
    """Interrupted, a run still shows and writes the verdicts it has, and does not claim any other."""
    decided = copy_of("webhooks", tmp_path / "decided", mutant="retention-of-a-minute")
    working = copy_of("notifications", tmp_path / "working")
    with running(tmp_path, "-v", f"{decided}::SF-9", f"{working}::ES-5", f"{working}::ES-14") as run:
        run.await_fault("invocation")
        assert eventually(run.text, lambda text: "SF-9 FAILED" in text, deadline_seconds=60).met
        assert run.end(signal.SIGINT) == 130
        run.assert_nothing_is_left()
    run.assert_healed()
    assert "webhook-orders on embedded: 1 violated" in run.text()
    assert "SF-9 violated: Stored requests outlive" in run.text()
    assert "interrupted by SIGINT; every fault that was in place is healed; 1 of 3 clauses were decided" in run.text()
    assert re.search(r"to go on: holdfast verify \S+notifications.stack.toml::ES-5 \S+::ES-14", run.text())
    assert (tmp_path / ".holdfast/webhook-orders/verdict.json").exists()
    assert not (tmp_path / ".holdfast/notifications/verdict.json").exists()


def test_an_impatient_user_gets_the_same(tmp_path: Path) -> None:
    """More signals while it ends change nothing: healed, and the exit code of the first."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    with running(tmp_path, descriptor, "-k", "SF-1") as run:
        run.await_fault("function-throttle")
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            run.process.send_signal(number)
        assert run.process.wait(timeout=60) == 130
        run.assert_nothing_is_left()
    run.assert_healed()
    assert "Traceback" not in run.text()


def test_plain_pytest_heals_too(tmp_path: Path) -> None:
    """`pytest orders.stack.toml` heals like `holdfast verify`; the exit code is pytest's own."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    with running(tmp_path, descriptor, "-k", "SF-1", program="pytest") as run:
        run.await_fault("function-throttle")
        assert run.end(signal.SIGTERM) == pytest.ExitCode.INTERRUPTED
        run.assert_nothing_is_left()
    run.assert_healed()


def test_workers_are_interrupted_with_their_controller(tmp_path: Path) -> None:
    """Ctrl-C reaches every process of the terminal: with -n 2 the workers heal, and nothing is left."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    with running(tmp_path, descriptor, "-k", "SF-1", "-n", "2") as run:
        run.await_fault("function-throttle")
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.process.wait(timeout=60) == 130, run.text()
        run.assert_nothing_is_left()
    run.assert_healed()


def test_a_killed_run_takes_the_embedded_target_along(tmp_path: Path) -> None:
    """After SIGKILL the emulator, its functions, port and files are gone within seconds, and the fault with them."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    with running(tmp_path, descriptor, "-k", "SF-1") as run:
        run.await_fault("function-throttle")
        run.process.kill()
        run.process.wait()
        run.assert_nothing_is_left()
    (journal,) = (tmp_path / ".holdfast/journal").glob("*.jsonl")
    assert '"injected"' in journal.read_text(encoding="utf-8")
    assert main(["heal", "--holdfast-folder", str(tmp_path / ".holdfast")]) == 0
    run.assert_healed()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_application_and_its_stopped_sidecar_end_with_their_run(number: signal.Signals, tmp_path: Path) -> None:
    """However a verification ends while a sidecar is stopped: no process, port, socket or folder of it is left."""
    descriptor = copy_of("parcels", tmp_path / "stack")
    with running(tmp_path, descriptor, "-k", "SC-5") as run:
        run.await_fault("component-stop")
        programs = [" ".join(command_line(one)) for one in run.family]
        assert all(any(name in one for one in programs) for name in ("programs/sidecar.py", "programs/application.py"))
        run.process.send_signal(number)
        run.process.wait(timeout=60)
        run.assert_nothing_is_left()
        assert main(["heal", "--holdfast-folder", str(tmp_path / ".holdfast")]) == 0
    run.assert_healed()


def test_workers_do_not_outlive_a_killed_controller(tmp_path: Path) -> None:
    """A worker whose controller was killed ends by itself, healed, with its emulator."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    with running(tmp_path, descriptor, "-k", "SF-1", "-n", "1") as run:
        run.await_fault("function-throttle")
        run.process.kill()
        run.process.wait()
        run.assert_nothing_is_left()
    run.assert_healed()


def test_a_run_that_stops_at_the_first_failure_ends_the_others_in_order(tmp_path: Path) -> None:
    """-x lets stacks that are still at work end healed, and shows what was decided."""
    first = copy_of("webhooks", tmp_path / "first", mutant="retention-of-a-minute")
    second = copy_of("notifications", tmp_path / "second")
    ended = run_pytest("-x", f"{first}::SF-9", f"{second}::ES-5", cwd=tmp_path, TMPDIR=str(tmp_path))
    assert ended.code == pytest.ExitCode.TESTS_FAILED, ended.text
    assert "webhook-orders on embedded: 1 violated" in ended.out
    assert not list(tmp_path.glob("holdfast-*"))
    assert not list((tmp_path / ".holdfast" / "journal").rglob("*.jsonl"))
    assert "Traceback" not in ended.text
