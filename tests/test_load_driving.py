"""Whole runs of Locust's processes against a server on this machine: what is recorded, what is said to be missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import psutil
import pytest

from holdfast.errors import HoldfastError
from holdfast.history.opening import open_history
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.waiting import eventually
from holdfast_load.latency import percentiles, read_timings
from holdfast_load.plan import LoadPlan, LoadProgress, RunRecord
from holdfast_load.running import Launch
from load_rig import Attending, drive, stack_at
from ports_rig import Web, answers, free_port, serving

STALL_SECONDS = 1.0


@pytest.fixture
def web() -> Iterator[Web]:
    """A server on loopback."""
    with serving() as one:
        one.behaviour = answers(200, {"MessageId": "m"})
        yield one


def plan_of(folder: Path, **given: Any) -> LoadPlan:
    """A short run at 100 arrivals a second."""
    usual: dict[str, Any] = {
        "descriptor": folder / "orders.stack.toml",
        "commands": ("posted",),
        "duration_seconds": 3.0,
        "rate_per_second": 100.0,
        "spacing": "even",
        "prefix": "hftest",
        "drain_seconds": 10.0,
    }
    return LoadPlan(**{**usual, **given})


def locust_of(folder: Path) -> list[psutil.Process]:
    """The Locust processes that know a folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if "locust" in process.cmdline() and str(folder) in process.environ().get("HOLDFAST_LOAD_DESCRIPTOR", ""):
                found.append(process)
    return found


def killing(folder: Path, option: str, after_seconds: float = 1.0) -> Callable[[LoadProgress], None]:
    """At a tick, kill one Locust process that was started with an option; once."""
    killed: list[int] = []

    def tick(progress: LoadProgress) -> None:
        if progress.seconds >= after_seconds and progress.sent and not killed:
            victim = next(one for one in locust_of(folder) if option in one.cmdline())
            killed.append(victim.pid)
            os.kill(victim.pid, signal.SIGKILL)

    return tick


def keys_of(record: RunRecord) -> set[str]:
    """The keys that are recorded."""
    columns = open_history(record.history)
    return {str(columns.keys.label(code)) for code in columns.key}


def asked(web: Web) -> set[str]:
    """The keys that reached the server."""
    return {one.path.rpartition("/")[2] for one in web.received}


def stalling(answer_it: Callable[[BaseHTTPRequestHandler], None]) -> Callable[[BaseHTTPRequestHandler], None]:
    """A behaviour: all answers are held back for a second, from a second after the first request on."""
    lock, first = threading.Lock(), []

    def behave(handler: BaseHTTPRequestHandler) -> None:
        with lock:
            first.append(time.monotonic())
        since = time.monotonic() - first[0]
        if 1.0 <= since < 1.0 + STALL_SECONDS:
            threading.Event().wait(1.0 + STALL_SECONDS - since)
        answer_it(handler)

    return behave


def test_a_stall_shows_in_p95_as_it_must(web: Web, tmp_path: Path) -> None:
    """A server that stalls for 1 s of 3 meets the same arrivals, and a third of them waits up to a second for it."""
    web.behaviour = stalling(answers(200))
    attending = Attending()
    stack = stack_at(web.url, tmp_path)
    record, shown = drive(plan_of(tmp_path), stack, tmp_path / "run", hooks=attending)
    assert (record.missing, record.ended, attending.overs) == ((), "", 1)
    (worker,) = record.workers
    assert (worker.operations, worker.sent, worker.refused, worker.lost) == (300, 300, 0, 0)
    assert worker.path is not None
    timings = read_timings(worker.path)
    gaps_ms = sorted({round(gap / 1e6) for gap in timings.intended_ns[1:] - timings.intended_ns[:-1]} - {0})
    assert keys_of(record) == {f"hftest-{number}" for number in range(300)} == asked(web)
    # of 300 evenly spaced arrivals 100 meet the stall and wait (0, 1] s, so 15 of 300 wait more than 0.85 s
    assert percentiles(timings.latency_ns)[95] > 700, gaps_ms
    assert attending.clock is not None
    assert attending.ticks[-1].sent == 300
    assert attending.ticks[-1].sent_of == {"posted": 300}
    assert "attended" in shown
    assert not {"locust", "gevent"} & set(sys.modules), "pytest must never run them"


def test_a_killed_worker_loses_nothing_that_was_flushed(web: Web, tmp_path: Path) -> None:
    """SIGKILL of one of two workers: what it recorded stays, the other goes on, and the record says what is missing."""
    attending = Attending(tick=killing(tmp_path, "--worker"))
    stack = stack_at(web.url, tmp_path)
    record, shown = drive(plan_of(tmp_path, workers=2), stack, tmp_path / "run", hooks=attending)
    assert attending.overs == 1
    lost = [worker for worker in record.workers if worker.operations < 0]
    assert len(lost) == 1
    assert lost[0].path is not None
    assert not record.complete
    assert record.missing == (f"{lost[0].worker}: {lost[0].problem}",)
    assert "was lost" in lost[0].problem
    assert f"{lost[0].worker} was lost" in shown
    (other,) = [worker for worker in record.workers if worker is not lost[0]]
    assert (other.operations, other.problem) == (150, "")
    # what the server answered and the killed worker had not written can only be what was in flight at that moment
    assert len(asked(web) - keys_of(record)) <= 2
    columns = open_history(record.history)
    assert not columns.complete
    assert any("has no last line" in note for note in columns.notes)
    assert locust_of(tmp_path) == []


def test_a_killed_master_ends_the_run_in_order(web: Web, tmp_path: Path) -> None:
    """SIGKILL of the master: workers stop, close their files whole, and the record says when the master was lost."""
    attending = Attending(tick=killing(tmp_path, "--master"))
    stack = stack_at(web.url, tmp_path)
    record, _ = drive(plan_of(tmp_path, workers=2, duration_seconds=60.0), stack, tmp_path / "run", hooks=attending)
    assert attending.overs == 1
    assert record.seconds < 30
    assert record.ended == record.missing[0]
    assert "the Locust master was lost" in record.ended
    assert [worker.problem for worker in record.workers] == ["", ""]
    assert keys_of(record) == asked(web)
    assert open_history(record.history).complete
    assert locust_of(tmp_path) == []


def test_a_killed_command_leaves_no_process_and_whole_files(web: Web, tmp_path: Path) -> None:
    """SIGKILL of the command itself: its Locust processes notice, close their files and end."""
    stack_at(web.url, tmp_path)
    program = (
        "import sys; from pathlib import Path; from load_rig import drive, stack_at; from test_load_driving import *\n"
        f"folder = Path({str(tmp_path)!r}); stack = stack_at({web.url!r}, folder)\n"
        "drive(plan_of(folder, duration_seconds=60.0), stack, folder / 'run')\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parent) as process:
        eventually(lambda: len(web.received), lambda count: count > 50, deadline_seconds=60)
        process.kill()
    left = eventually(lambda: locust_of(tmp_path), lambda found: not found, deadline_seconds=30)
    assert left.value == []
    columns = open_history(tmp_path / "run" / "history")
    assert columns.complete, columns.notes
    assert {str(columns.keys.label(code)) for code in columns.key} == asked(web)


def test_a_full_disk_ends_the_run_and_is_said(web: Web, tmp_path: Path) -> None:
    """When a worker's file cannot grow any more, nothing more is sent, and what could not be recorded is counted."""
    locustfile = tmp_path / "full.py"
    locustfile.write_text(
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, resource.RLIM_INFINITY))\n"
        "from holdfast_load.users import Load\n"
    )
    launch = Launch(locustfile=locustfile)
    stack = stack_at(web.url, tmp_path)
    record, _ = drive(plan_of(tmp_path, duration_seconds=30.0), stack, tmp_path / "run", launch=launch)
    (worker,) = record.workers
    assert record.seconds < 20
    assert "cannot be written" in record.ended
    assert "cannot be written" in worker.problem
    assert worker.lost >= 1
    assert f"{worker.lost} operations could not be recorded" in worker.problem
    assert worker.operations == worker.sent - worker.lost == len(keys_of(record))


def test_users_of_an_own_locustfile_are_recorded(web: Web, tmp_path: Path) -> None:
    """Users who wait for each answer submit through `ContractUser`, in sessions of their own."""
    locustfile = tmp_path / "own.py"
    locustfile.write_text(
        "from locust import constant_pacing, task\n"
        "from holdfast_load import ContractUser\n"
        "class Shopper(ContractUser):\n"
        "    wait_time = constant_pacing(0.1)\n"
        "    @task\n"
        "    def shop(self):\n"
        "        assert self.submit('posted').outcome == 'ok'\n"
        "        self.submit('queued')\n"
    )
    plan = plan_of(tmp_path, rate_per_second=0.0, users=3, duration_seconds=2.0, commands=("posted", "queued"))
    record, _ = drive(plan, stack_at(web.url, tmp_path), tmp_path / "run", launch=Launch(locustfile=locustfile))
    assert (record.missing, record.ended) == ((), "")
    columns = open_history(record.history)
    assert len(columns) == record.workers[0].operations == len(web.received) >= 30
    sessions = {columns.sessions.label(code) for code in columns.session}
    assert len(sessions) == 3
    assert set(columns.kinds) == {"posted", "queued"}


HOLDFAST = Path(sys.executable).with_name("holdfast")


def test_workers_on_other_machines_hand_their_files_over(web: Web, tmp_path: Path) -> None:
    """A worker that shares no folder with the command sends its file through Locust's own channel, byte for byte."""
    port = free_port()
    stack = stack_at(web.url, tmp_path)
    elsewhere = tmp_path / "elsewhere"
    with worker_elsewhere(stack.path, port, elsewhere) as worker:
        record, shown = drive(
            plan_of(tmp_path, slip_budget_seconds=1e-9), stack, tmp_path / "run", launch=launch_for_others(port)
        )
        said, _ = worker.communicate(timeout=60)
    assert worker.returncode == 0, said
    assert "waiting for workers" in shown
    (kept,) = elsewhere.rglob("w0.jsonl")
    assert record.missing == ()
    assert record.files == (tmp_path / "run" / "history" / "w0.jsonl",)
    assert kept.read_bytes() == record.files[0].read_bytes()
    assert open_history(record.history).complete
    assert keys_of(record) == asked(web)
    assert "more than 1e-06 ms late" in record.invalid
    assert "w0 recorded 300 operations" in said


def test_a_descriptor_that_differs_is_refused(web: Web, tmp_path: Path) -> None:
    """A worker whose descriptor is another one than the master's does not begin, and the command says why."""
    port = free_port()
    stack = stack_at(web.url, tmp_path)
    other = tmp_path / "other.stack.toml"
    other.write_text(stack.path.read_text() + "# changed\n")
    with worker_elsewhere(other, port, tmp_path / "elsewhere") as worker:
        with pytest.raises(HoldfastError, match="run cannot begin") as raised:
            drive(plan_of(tmp_path), stack, tmp_path / "run", launch=launch_for_others(port))
        worker.communicate(timeout=60)
    assert "is not the descriptor that the master uses" in raised.value.cause
    assert web.received == []


def test_workers_hand_their_files_over_by_way_of_s3(tmp_path: Path) -> None:
    """With an S3 prefix the worker uploads its file there, and the command fetches it."""
    port = free_port()
    with EmbeddedTarget.start() as target:
        target.client("sqs").create_queue(QueueName="orders")
        target.client("s3").create_bucket(
            Bucket="histories", CreateBucketConfiguration={"LocationConstraint": target.region}
        )
        stack = stack_at(str(target.endpoint_url), tmp_path)
        plan = plan_of(tmp_path, commands=("queued",), collect="s3://histories/runs/1", duration_seconds=1.0)
        with worker_elsewhere(stack.path, port, tmp_path / "elsewhere") as worker:
            record, _ = drive(plan, stack, tmp_path / "run", launch=launch_for_others(port))
            said, _ = worker.communicate(timeout=60)
        stack.target.close()
        stored = target.client("s3").get_object(Bucket="histories", Key="runs/1/w0.jsonl")["Body"].read()
        kept = target.peek_messages(f"{target.endpoint_url}/{target.account}/orders")
    assert worker.returncode == 0, said
    assert record.missing == ()
    assert record.files[0].read_bytes() == stored
    columns = open_history(record.history)
    assert (columns.complete, len(columns), len(kept)) == (True, 100, 100)
    assert set(columns.outcome.tolist()) == {0}


def launch_for_others(port: int) -> Launch:
    """A master that waits for one worker of another machine."""
    return Launch(local_workers=0, expected_workers=1, bind_port=port)


def worker_elsewhere(descriptor: Path, port: int, folder: Path) -> subprocess.Popen[str]:
    """``holdfast load --worker``, as somebody types it on another machine."""
    return subprocess.Popen(
        [HOLDFAST, "load", descriptor, "--worker", "--master-port", str(port), "--holdfast-folder", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
