"""The open model: what is sent when, what is refused, and what latency means."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import HistoryError
from holdfast.history.columns import NEVER_NS, OUTCOMES
from holdfast.history.model import Outcome
from holdfast.history.reading import read
from holdfast.history.writing import HistoryFile
from holdfast_load.dispatcher import Dispatched, Dispatcher
from holdfast_load.latency import percentiles, read_timings
from holdfast_load.recorder import Command, Recorder, Reply
from holdfast_load.schedule import arrivals, constant, share
from simulated_greenlets import Simulation

MS = 1_000_000
OK = Reply(Outcome.OK, "200")


class Work:
    """Operations on keys of their own, sent by a function."""

    def __init__(self, send: Callable[[Command], Reply]) -> None:
        self.send = send

    def command(self, number: int) -> Command:
        """Each arrival has a key of its own."""
        return Command("submit", f"k{number}", number)


def dispatched(
    path: Path, send: Callable[[Simulation, Command], Reply], times_ms: list[int], **options: Any
) -> tuple[Dispatched, Simulation]:
    """Run a schedule in simulated time."""
    simulation = Simulation()
    drain_seconds = options.pop("drain_seconds", 60.0)
    recorder = Recorder(path, recorder="w0", clock_ns=simulation.clock_ns, wall_clock_ns=lambda: 0)
    dispatcher = Dispatcher(
        Work(lambda command: send(simulation, command)),
        recorder,
        spawn=simulation.spawn,
        sleep=simulation.sleep,
        clock_ns=simulation.clock_ns,
        **options,
    )
    schedule = [(number, time_ms * MS) for number, time_ms in enumerate(times_ms)]
    result = simulation.run(lambda: dispatcher.run(schedule, drain_seconds=drain_seconds))
    recorder.close()
    return result, simulation


def rows(path: Path) -> list[list[Any]]:
    """The operations of a file, as they lie there."""
    return [row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()) if isinstance(row, list)]


def test_each_operation_is_sent_at_its_time(tmp_path: Path) -> None:
    """Slow answers delay nothing: three operations overlap, each with its intended, sent and done time."""
    path = tmp_path / "w0.jsonl"

    def send(simulation: Simulation, command: Command) -> Reply:
        simulation.sleep(0.025)
        return OK

    result, _ = dispatched(path, send, [0, 10, 20])
    assert result == Dispatched(arrivals=3, sent=3, refused=0, late=0, worst_slip_ns=0, slip_budget_ns=50 * MS)
    assert result.invalid == ""
    assert rows(path) == [
        [
            "submit",
            f"k{n}",
            n,
            10 * n * MS,
            (10 * n + 25) * MS,
            "ok",
            None,
            None,
            10 * n * MS,
            (10 * n + 25) * MS,
            "200",
        ]
        for n in range(3)
    ]
    assert read(path).columns.complete


def test_a_stall_shows_in_the_percentiles(tmp_path: Path) -> None:
    """A system that stalls for the second of four at 200/s: p95 is what is left of the second after 5 % of four."""
    path = tmp_path / "w0.jsonl"

    def send(simulation: Simulation, command: Command) -> Reply:
        if 1_000 * MS <= simulation.now_ns < 2_000 * MS:
            simulation.sleep((2_000 * MS - simulation.now_ns) / 1e9)
        simulation.sleep(0.001)
        return OK

    schedule = [round(time_ns / MS) for chunk in arrivals(constant(200, 4), 0, spacing="even") for time_ns in chunk]
    result, _ = dispatched(path, send, schedule)
    assert (result.sent, result.refused) == (800, 0)
    found = percentiles(read_timings(path).latency_ns)
    assert found[50] == pytest.approx(1)
    assert found[90] == pytest.approx(1_000 - 0.10 * 4_000, abs=10)
    assert found[95] == pytest.approx(1_000 - 0.05 * 4_000, abs=10)
    assert found[99] == pytest.approx(1_000 - 0.01 * 4_000, abs=10)


def test_what_the_pool_cannot_hold_is_refused_and_recorded(tmp_path: Path) -> None:
    """With two in flight a third arrival is not sent: it counts, it is in the history as failed, not in latencies."""
    path = tmp_path / "w0.jsonl"

    def send(simulation: Simulation, command: Command) -> Reply:
        simulation.sleep(1.0)
        return OK

    result, _ = dispatched(path, send, [0, 1, 2, 1_500], most_in_flight=2)
    assert (result.arrivals, result.sent, result.refused) == (4, 3, 1)
    found = rows(path)
    assert found[0] == ["submit", "k2", 2, 2 * MS, 2 * MS, "fail", None, None, 2 * MS, 2 * MS, "refused"]
    timings = read_timings(path)
    assert (len(timings.latency_ns), timings.refused) == (3, 1)


def busy(simulation: Simulation, command: Command) -> Reply:
    """A client that needs a tenth of a second of the processor: nothing else runs meanwhile."""
    simulation.now_ns += 100 * MS
    return OK


def test_a_client_too_slow_for_the_rate_makes_the_run_invalid(tmp_path: Path) -> None:
    """Operations sent later than the budget are counted, latency includes the delay, and the run says why."""
    path = tmp_path / "w0.jsonl"
    result, _ = dispatched(path, busy, [0, 10, 20])
    assert (result.sent, result.late, result.worst_slip_ns) == (3, 2, 180 * MS)
    assert result.invalid.startswith("2 of 3 operations were sent more than 50 ms late (worst 180 ms): the client")
    timings = read_timings(path)
    assert timings.slip_ns.tolist() == [0, 90 * MS, 180 * MS]
    assert timings.service_ns.tolist() == [100 * MS] * 3
    assert timings.latency_ns.tolist() == [100 * MS, 190 * MS, 280 * MS]


@pytest.mark.parametrize(("on_time", "is_valid"), [(99, True), (98, False)])
def test_one_late_operation_in_a_hundred_is_allowed(tmp_path: Path, on_time: int, is_valid: bool) -> None:
    """The budget is one of the 99th percentile."""
    result, _ = dispatched(
        tmp_path / "w0.jsonl",
        lambda simulation, command: busy(simulation, command) if command.key == "k0" else OK,
        [0, 10, *range(200, 200 + on_time - 1)],
    )
    assert (result.sent, result.late) == (on_time + 1, 1)
    assert (result.invalid == "") is is_valid


def test_what_is_never_answered_is_recorded_as_unknown(tmp_path: Path) -> None:
    """When the wait for answers ends, what is in flight is unknown, once, and an answer after that changes nothing."""
    path = tmp_path / "w0.jsonl"

    def send(simulation: Simulation, command: Command) -> Reply:
        simulation.sleep(5.0)
        return OK

    result, simulation = dispatched(path, send, [0], drain_seconds=1.0)
    assert result.unfinished == 1
    assert simulation.now_ns == 5_000 * MS
    (row,) = rows(path)
    assert row[3:6] == [0, None, "unknown"]
    assert row[10] == "not answered when the run ended"
    columns = read(path).columns
    assert (int(columns.completed_ns[0]), OUTCOMES[int(columns.outcome[0])]) == (NEVER_NS, Outcome.UNKNOWN)


def test_a_workload_that_raises_hides_no_operation(tmp_path: Path) -> None:
    """Its operation is unknown, the others go on, and the first error is kept."""
    path = tmp_path / "w0.jsonl"

    def send(simulation: Simulation, command: Command) -> Reply:
        if command.key == "k0":
            raise ZeroDivisionError("planted")
        return OK

    result, _ = dispatched(path, send, [0, 1])
    assert (result.sent, result.crashed, str(result.first_error)) == (2, 1, "planted")
    assert [(row[1], row[5], row[10]) for row in rows(path)] == [
        ("k0", "unknown", "the workload raised ZeroDivisionError"),
        ("k1", "ok", "200"),
    ]


def test_a_record_that_cannot_be_written_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent that could not be recorded: the run stops and says why, and what could not be kept is counted."""
    full = HistoryError("The history w0.jsonl cannot be written.", cause="[Errno 28] No space left on device")
    path = tmp_path / "w0.jsonl"
    simulation = Simulation()
    recorder = Recorder(path, recorder="w0", clock_ns=simulation.clock_ns)
    written = HistoryFile.add_row

    def add_row(file: HistoryFile, row: tuple[Any, ...]) -> None:
        if row[2] == 1:
            raise full
        written(file, row)

    monkeypatch.setattr(HistoryFile, "add_row", add_row)
    dispatcher = Dispatcher(
        Work(lambda _: OK), recorder, spawn=simulation.spawn, sleep=simulation.sleep, clock_ns=simulation.clock_ns
    )
    result = simulation.run(lambda: dispatcher.run([(number, number * MS) for number in range(5)]))
    recorder.close()
    assert (result.sent, result.stopped) == (2, "The history w0.jsonl cannot be written.")
    assert (recorder.problem, recorder.lost) == (full, 1)
    assert [row[1] for row in rows(path)] == ["k0"]
    assert not read(path).columns.complete


def test_a_stopped_dispatcher_sends_nothing_more(tmp_path: Path) -> None:
    """What is in flight is waited for; later arrivals do not come."""
    simulation = Simulation()
    recorder = Recorder(tmp_path / "w0.jsonl", recorder="w0", clock_ns=simulation.clock_ns)

    def send(command: Command) -> Reply:
        simulation.sleep(0.01)
        if command.key == "k1":
            dispatcher.stop("the budget is spent")
        return OK

    dispatcher = Dispatcher(
        Work(send), recorder, spawn=simulation.spawn, sleep=simulation.sleep, clock_ns=simulation.clock_ns
    )
    result = simulation.run(lambda: dispatcher.run([(number, number * 5 * MS) for number in range(100)]))
    assert (result.arrivals, result.sent, result.stopped) == (3, 3, "the budget is spent")
    assert dispatcher.in_flight == 0


def test_a_stop_is_seen_while_the_next_arrival_is_far_away(tmp_path: Path) -> None:
    """Between two arrivals an hour apart, a run that is stopped ends within a second."""
    simulation = Simulation()
    recorder = Recorder(tmp_path / "w0.jsonl", recorder="w0", clock_ns=simulation.clock_ns)

    def send(command: Command) -> Reply:
        simulation.sleep(2.0)
        dispatcher.stop("stopped")
        return OK

    dispatcher = Dispatcher(
        Work(send), recorder, spawn=simulation.spawn, sleep=simulation.sleep, clock_ns=simulation.clock_ns
    )
    result = simulation.run(lambda: dispatcher.run([(0, 0), (1, 3_600_000 * MS)]))
    assert (result.sent, result.stopped) == (1, "stopped")
    assert simulation.now_ns <= 3_000 * MS


def test_workers_share_one_start(tmp_path: Path) -> None:
    """Two workers of one schedule, given the same start, send each arrival once, at its time."""
    start_ns, sent = 50 * MS, []
    for worker in range(2):
        simulation = Simulation()
        recorder = Recorder(tmp_path / f"w{worker}.jsonl", recorder=f"w{worker}", clock_ns=simulation.clock_ns)
        dispatcher = Dispatcher(
            Work(lambda command, at=simulation: (sent.append((command.value, at.now_ns)), OK)[1]),
            recorder,
            spawn=simulation.spawn,
            sleep=simulation.sleep,
            clock_ns=simulation.clock_ns,
        )
        mine = share(arrivals(constant(100, 0.1), 1, spacing="even"), worker, 2)
        simulation.run(lambda run=dispatcher.run, of=mine: run(of, start_ns=start_ns))
    assert sorted(sent) == [(number, start_ns + 5 * MS + 10 * MS * number) for number in range(10)]


STALLED = """
import sys, json
from holdfast_load.client.calls import reply
from holdfast_load.client.cheap import CheapClient
from holdfast_load.client.signing import Keys
from holdfast_load.dispatcher import on_gevent
from holdfast_load.recorder import Command, Recorder
from holdfast_load.schedule import arrivals, constant, share

url, path = sys.argv[1:]
client = CheapClient(None, None)

class Work:
    def command(self, number):
        return Command("submit", number, number)

    def send(self, command):
        return reply(client.http("GET", url))

recorder = Recorder(path, recorder="w0")
result = on_gevent(Work(), recorder, slip_budget_seconds=5.0).run(
    share(arrivals(constant(100, 4), 0, spacing="even"), 0, 1)
)
recorder.close()
print(json.dumps([result.arrivals, result.sent, result.refused, result.invalid]))
"""


def test_a_server_that_stalls_for_a_second_shows_in_p95(tmp_path: Path) -> None:
    """At 100/s over sockets, a server stalls for the second of four seconds: all are sent, and p95 is 0.8 s."""
    seen: list[float] = []

    class Stalling(http.server.BaseHTTPRequestHandler):
        """Answers at once, but not for a second from the hundredth request on."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            seen.append(time.monotonic())
            if len(seen) >= 100:
                threading.Event().wait(max(0.0, seen[99] + 1.0 - time.monotonic()))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    path = tmp_path / "w0.jsonl"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stalling) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ended = subprocess.run(
            [sys.executable, "-c", STALLED, f"http://127.0.0.1:{server.server_port}/", path],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        server.shutdown()
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [400, 400, 0, ""]
    assert len(seen) == 400
    # 5 % of four seconds' arrivals came in the first 0.2 s of the stall and waited longer than this
    assert percentiles(read_timings(path).latency_ns)[95] >= 790
    assert {row[5] for row in rows(path)} == {"ok"}
