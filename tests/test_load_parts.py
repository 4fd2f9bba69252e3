"""The parts of a run that need no process: slips, clocks, files carried piece by piece, shapes, progress, arguments."""

from __future__ import annotations

import argparse
import io
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from holdfast.errors import HoldfastError
from holdfast.history.model import Outcome
from holdfast.stack.loading import load_descriptor
from holdfast_load.clocks import Exchange, Offset, offset_of, uncertainty_ns
from holdfast_load.command import duration_seconds
from holdfast_load.courier import PIECE_BYTES, Receiver, Sender
from holdfast_load.messages import Lines, line
from holdfast_load.plan import LoadPlan, LoadProgress
from holdfast_load.recorder import Command, Recorder, Reply
from holdfast_load.schedule import Segment, Shape
from holdfast_load.shapes import arrivals_of, shape_of
from holdfast_load.show import EVERY_SECONDS, Shown, described
from holdfast_load.slips import Slips
from holdfast_load.submissions import Drawing, command_of, number_of
from load_rig import DESCRIPTOR


def plan_of(**given: object) -> LoadPlan:
    """A plan of 60 arrivals a second for a minute."""
    usual = {"descriptor": Path("x"), "commands": ("queued", "posted"), "duration_seconds": 60.0, "prefix": "hfx"}
    return LoadPlan(**{"rate_per_second": 60.0, **usual, **given})  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [1, 40, 3_000, 10**6, 10**9])
def test_percentiles_of_slips_are_at_most_three_per_cent_too_high(scale: int) -> None:
    """Counting in buckets never says less than the exact percentile, and hardly more."""
    rng = random.Random(scale)
    values = [round(rng.expovariate(1 / scale)) for _ in range(3_000)]
    slips = Slips()
    for value in values:
        slips.add(value)
    for percent in (1, 50, 90, 99, 99.9, 100):
        exact = int(np.sort(values)[int(np.ceil(len(values) * percent / 100)) - 1])
        assert exact <= slips.percentile_ns(percent) <= exact * 1.032 + 1
    assert (slips.count, slips.worst_ns, slips.take_recent_ns()) == (3_000, max(values), max(values))
    assert slips.take_recent_ns() == 0
    assert Slips().percentile_ns(99) == 0


@pytest.mark.parametrize("ahead_ns", [0, 5_000_000_000, -77])
def test_a_clock_is_known_within_half_of_the_shortest_round_trip(ahead_ns: int) -> None:
    """However uneven the two ways are, the true offset lies within the uncertainty of the best exchange."""
    rng = random.Random(3)
    exchanges, now_ns = [], 1_000
    for _ in range(8):
        there, back = rng.randrange(1, 2_000_000), rng.randrange(1, 2_000_000)
        received = now_ns + there + ahead_ns
        exchanges.append(Exchange(now_ns, received, received + 500, now_ns + there + 500 + back))
        now_ns += 10_000_000
    found = offset_of(exchanges)
    assert abs(found.ns - ahead_ns) <= found.uncertainty_ns
    assert found.uncertainty_ns == min(one.round_trip_ns for one in exchanges) // 2 + 1


def test_what_clocks_drifted_apart_counts() -> None:
    """The uncertainty of a run is that of its start, or the drift to its end with the end's own, whichever is more."""
    start = Offset(1_000, 50)
    assert uncertainty_ns(start, None) == 50
    assert uncertainty_ns(start, Offset(1_010, 20)) == 50
    assert uncertainty_ns(start, Offset(700, 20)) == 320


@pytest.mark.parametrize("seed", range(5))
def test_a_file_arrives_whole_over_a_way_that_loses_and_repeats(seed: int, tmp_path: Path) -> None:
    """Pieces and answers that get lost or come twice change nothing, and what arrived is always a beginning."""
    rng = random.Random(seed)
    source, now = tmp_path / "w0.jsonl", [0.0]
    content = rng.randbytes(3 * PIECE_BYTES + 17)
    source.write_bytes(content[:1000])
    receiver = Receiver(tmp_path / "copy.jsonl")

    def send(offset: int, piece: bytes) -> None:
        for _ in range(rng.choice([0, 1, 1, 2])):
            held = receiver.take(offset, piece)
            if rng.random() < 0.7:
                sender.got(held)

    sender = Sender(source, send, clock=lambda: now[0])
    sender.step()
    source.write_bytes(content)
    for _ in range(200):
        if not sender.step():
            break
        now[0] += 3.0
        arrived = receiver.path.read_bytes() if receiver.path.exists() else b""
        assert content.startswith(arrived)
    receiver.close()
    assert receiver.path.read_bytes() == content


def test_a_master_that_cannot_write_says_so(tmp_path: Path) -> None:
    """A file that cannot be written is a problem of that file, and what it holds does not grow."""
    (tmp_path / "w0.jsonl").write_bytes(b"somebody else's")
    receiver = Receiver(tmp_path / "w0.jsonl")
    assert receiver.take(0, b"piece") == 0
    assert "cannot be written" in receiver.problem
    assert (tmp_path / "w0.jsonl").read_bytes() == b"somebody else's"


@pytest.mark.parametrize(
    ("shape", "segments"),
    [
        ("constant", [(60, 60, 60)]),
        ("ramp:from=10", [(10, 60, 60)]),
        ("spike", [(60, 60, 20), (180, 180, 10), (60, 60, 30)]),
        ("spike:peak=500,at=10,for=5", [(60, 60, 10), (500, 500, 5), (60, 60, 45)]),
        ("soak:ramp=20", [(0, 60, 20), (60, 60, 20), (60, 0, 20)]),
        ("step:steps=3", [(20, 20, 20), (40, 40, 20), (60, 60, 20)]),
        ("step:steps=2,from=5,by=7", [(5, 5, 30), (12, 12, 30)]),
    ],
)
def test_shapes_are_written_in_a_word(shape: str, segments: list[tuple[float, float, float]]) -> None:
    """Every shape of the command line is the schedule it says, within the given time."""
    found = shape_of(plan_of(shape=shape))
    assert found == Shape(tuple(Segment(*segment) for segment in segments))
    assert found.seconds == pytest.approx(60)


@pytest.mark.parametrize(
    ("shape", "what", "remedy"),
    [
        ("wave", "no shape wave", "constant, ramp, spike, soak, step, replay:FILE"),
        ("ramp:by=3", "no parameter by", "it takes from"),
        ("constant:x=1", "no parameter x", "it takes none"),
        ("spike:at=soon", "at=soon in the shape spike is no number", "write at=NUMBER"),
        ("replay:/nowhere,speed=fast", "", ""),
    ],
)
def test_shapes_that_make_no_sense_are_refused(shape: str, what: str, remedy: str) -> None:
    """A mistake in a shape is named with what may be written instead."""
    with pytest.raises(HoldfastError) as raised:
        list(arrivals_of(plan_of(shape=shape)))
    assert what in raised.value.what
    assert remedy in raised.value.remedy


def test_recorded_arrivals_are_replayed(tmp_path: Path) -> None:
    """A replay has the recorded arrivals, those included that were refused, from any number of workers' files."""
    times = {"w0": [5_000, 7_000], "w1": [6_000, 9_000]}
    for name, sent in times.items():
        recorder = Recorder(tmp_path / f"{name}.jsonl", recorder=name, origin=(0, 0))
        for at in sent:
            reply = Reply(Outcome.FAIL, "refused") if at == 7_000 else Reply(Outcome.OK, "200")
            recorder.add(Command("queued", f"k{at}", at), reply, at, at, at + 1)
        recorder.close()
    found = np.concatenate(list(arrivals_of(plan_of(shape=f"replay:{tmp_path}")))).tolist()
    assert found == [0, 1_000, 2_000, 4_000]
    faster = np.concatenate(list(arrivals_of(plan_of(shape=f"replay:{tmp_path},speed=2")))).tolist()
    assert faster == [0, 500, 1_000, 2_000]
    with pytest.raises(HoldfastError, match="holds no worker's file"):
        list(arrivals_of(plan_of(shape=f"replay:{tmp_path.parent / 'empty'}"))) if (
            tmp_path.parent / "empty"
        ).mkdir() is None else None


def test_an_arrival_says_what_it_submits(tmp_path: Path) -> None:
    """Number, key, command and values of an arrival follow from each other, on every machine alike."""
    path = tmp_path / "orders.stack.toml"
    path.write_text(DESCRIPTOR)
    descriptor = load_descriptor(path, {})
    plan = plan_of(seed=3)
    first, again = (Drawing(plan, descriptor) for _ in range(2))
    drawn = [first.submission(number) for number in range(50)]
    assert [again.submission(number) for number in reversed(range(50))] == drawn[::-1]
    assert [number_of(plan, one.key) for one in drawn] == list(range(50))
    assert [command_of(plan, number) for number in range(3)] == ["queued", "posted", "queued"]
    assert len({one.value for one in drawn}) == 50
    assert {one.fields.keys() == {"amount"} for one in drawn[::2]} == {True}
    other = Drawing(plan_of(seed=4), descriptor).submission(0)
    assert other.value != drawn[0].value
    with pytest.raises(ValueError, match="no key of hfx"):
        number_of(plan, "hfy-3")


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("1.5s", 1.5), ("10m", 600), ("1h30m", 5_400)])
def test_durations(text: str, seconds: float) -> None:
    """Hours, minutes and seconds, or a plain number of seconds."""
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "ten", "-3", "10 m", "5x"])
def test_what_is_no_duration(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(argparse.ArgumentTypeError, match="is no duration"):
        duration_seconds(text)


def test_documents_are_put_together_from_pieces() -> None:
    """Lines that arrive in pieces of any size are the documents that were told."""
    told = [{"tick": {"sent": number}} for number in range(20)]
    data, lines, got = b"".join(line(**one) for one in told), Lines(), []
    for at in range(0, len(data), 7):
        got += list(lines.feed(data[at : at + 7]))
    assert got == told


PROGRESS = LoadProgress(
    seconds=12.4, sent=1_000, acknowledged=980, failed=5, unknown=15, in_flight=7, rate_per_second=99.6, lag_ms=3.2
)


def test_progress_in_a_line() -> None:
    """Rate, in flight, errors, lag, and what attends the run; refused arrivals when there are any."""
    line_of = "12 s, 100/s, 1000 sent, 7 in flight, 2 % errors (5 failed, 15 unknown), lag 3 ms"
    assert described(PROGRESS, "") == line_of
    assert described(PROGRESS, "fault: throttle; $0.01 of $1") == f"{line_of}; fault: throttle; $0.01 of $1"
    refused = LoadProgress(seconds=1, refused=3)
    assert described(refused, "").endswith("0 % errors (0 failed, 0 unknown), lag 0 ms, 3 refused")


class Terminal(io.StringIO):
    """Text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_one_line_and_a_file_one_every_five_seconds() -> None:
    """On a terminal the line is refreshed; elsewhere there is a line in five seconds."""
    now = [0.0]

    def shown(out: io.StringIO, clock: Callable[[], float]) -> str:
        one = Shown(out, clock=clock)
        for second in range(11):
            now[0] = float(second)
            one.progress(PROGRESS, "")
        one.line("w1 was lost")
        return out.getvalue()

    plain = shown(io.StringIO(), lambda: now[0]).splitlines()
    assert len(plain) == 11 // EVERY_SECONDS + 1 + 1
    assert plain[-1] == "  w1 was lost"
    terminal = shown(Terminal(), lambda: now[0])
    assert terminal.count("\r\x1b[2K") == 11
    assert terminal.count("\n") == 2
