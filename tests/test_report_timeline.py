"""What is drawn of a run: extremes stay, effects are first seen when they were, faults once each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.history.columns import Columns, columns_of
from holdfast.history.model import ErrorClass, FaultWindow
from holdfast.history.writing import COLUMNS, HistoryFile
from holdfast.runs import Series, begin, read_history
from holdfast_reports.bands import Band
from holdfast_reports.breakages import Breakages, breakages
from holdfast_reports.downsampling import extremes, percentiles
from holdfast_reports.drawing import drawn, in_html
from holdfast_reports.timeline import timeline
from run_examples import run

Samples = st.lists(st.tuples(st.floats(0, 1_000), st.floats(0, 1e6)), min_size=1, max_size=300)


@given(samples=Samples, buckets=st.integers(1, 20))
def test_thinning_keeps_the_extremes_of_every_bucket(samples: list[tuple[float, float]], buckets: int) -> None:
    """What is kept was there, is in order and little, and each bucket's lowest and highest are in it."""
    seconds, values = (np.array(column) for column in zip(*samples, strict=True))
    kept_seconds, kept_values = extremes(seconds, values, buckets=buckets)
    assert list(kept_seconds) == sorted(kept_seconds)
    assert not set(zip(kept_seconds, kept_values, strict=True)) - set(samples)
    if len(samples) <= 2 * buckets:
        assert len(kept_values) == len(samples)
        return
    assert len(kept_values) <= 2 * buckets
    first, width = min(seconds), (max(seconds) - min(seconds)) / buckets or 1.0
    by_bucket: dict[int, list[float]] = {}
    for at, value in samples:
        by_bucket.setdefault(min(int((at - first) / width), buckets - 1), []).append(value)
    kept = set(kept_values)
    assert all({min(inside), max(inside)} <= kept for inside in by_bucket.values())


@given(samples=Samples, parts=st.integers(1, 6), percent=st.sampled_from([1.0, 50.0, 99.0, 100.0]))
def test_percentiles_are_of_each_part_alone(samples: list[tuple[float, float]], parts: int, percent: float) -> None:
    """Of each part of the time, the smallest value that so many per cent of its values do not exceed."""
    edges = np.linspace(0.0, 1_000.0, parts + 1)
    (found,) = percentiles(*(np.array(column) for column in zip(*samples, strict=True)), edges, (percent,))
    for part in range(parts):
        last = part == parts - 1
        inside = [value for at, value in samples if edges[part] <= at < edges[part + 1] or (last and at == edges[-1])]
        expected = [value for value in inside if sum(one <= value for one in inside) * 100 >= percent * len(inside)]
        assert found[part] == min(expected) if inside else np.isnan(found[part])


WINDOW = FaultWindow(
    lever="role-deny",
    component="worker",
    error_class=ErrorClass.DENIED,
    started_seconds=1.0,
    ended_seconds=3.0,
    proof="denied",
    hits=2,
)


def history(*windows: FaultWindow) -> Columns:
    """Five commands, of which c failed and d was never answered, and reads at two ports; e shows nothing."""
    rows = [
        ("place", "a", None, 0.5, 0.6, "ok"),
        ("place", "b", None, 1.5, 2.5, "ok"),
        ("place", "c", None, 2.0, 2.1, "fail"),
        ("place", "d", None, 2.2, None, "unknown"),
        ("place", "e", None, 5.0, 5.1, "ok"),
        ("observe:shown", "a", 0, 0.7, 0.8, "ok"),
        ("observe:shown", "a", 1, 0.9, 1.0, "ok"),
        ("observe:shown", "a", 2, 1.2, 1.3, "ok"),
        ("observe:shown", "b", 1, 3.4, 3.5, "ok"),
        ("observe:shown", "d", 1, 3.9, 4.0, "ok"),
        ("observe:shown", "e", 0, 6.9, 7.0, "ok"),
        ("observe:stored", "b", 1, 2.6, 2.7, "ok"),
    ]
    names = ("kind", "key", "value", "invoked_seconds", "completed_seconds", "outcome")
    table = {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    return replace(columns_of(table), windows=windows)


def test_a_timeline_tells_what_happened() -> None:
    """Latency by outcome, lag by port from the first sight, the rate, the figures, and how soon a fault was over."""
    depth = Series(name="queue depth", component="q", seconds=(0.0, 3.5, 6.0), values=(0.0, 9.0, 1.0))
    found = timeline(history(WINDOW, replace(WINDOW, provocation="steady"), replace(WINDOW, key="a")), [depth])
    assert found.end_seconds == 6.0
    assert (found.operations, found.unanswered) == (5, 1)
    assert found.quantiles is None
    assert [(one.name, one.count, one.values.round(3).tolist()) for one in found.latencies] == [
        ("acknowledged", 3, [100.0, 1000.0, 100.0]),
        ("refused", 1, [100.0]),
    ]
    assert [(one.name, one.seconds.tolist(), one.values.round(3).tolist()) for one in found.lags] == [
        ("shown", [1.0, 3.5], [0.4, 1.0]),
        ("stored", [2.7], [0.2]),
    ]
    everything, aimed = found.bands
    assert everything == Band(
        lever="role-deny",
        component="worker",
        error_class="non-retryable 4xx",
        key="",
        start_seconds=1.0,
        end_seconds=3.0,
        proof="denied",
        hits=2,
        recovered_seconds=1.0,
        submitted=2,
        seen=2,
    )
    assert (aimed.key, aimed.submitted, aimed.seen, aimed.recovered_seconds) == ("a", 0, 0, None)
    assert sum(found.rate.ok) * found.end_seconds / 20 == pytest.approx(3)
    assert [sum(getattr(row, name) for row in found.rows) for name in ("ok", "fail", "unknown")] == [3, 1, 1]
    fullest = max(found.rows, key=lambda row: row.depth or 0)
    assert (round(fullest.start_seconds, 3), fullest.depth, fullest.faults) == (3.3, 9.0, 0)
    slowest = max(found.rows, key=lambda row: row.max_ms or 0)
    assert (slowest.start_seconds, slowest.p50_ms, slowest.max_ms, slowest.faults) == (1.5, 1000.0, 1000.0, 2)


def test_a_run_without_events_has_a_timeline() -> None:
    """Nothing recorded is drawn as nothing, not as a mistake."""
    nothing: dict[str, list[object]] = {
        name: [] for name in ("kind", "key", "value", "invoked_ns", "completed_ns", "outcome")
    }
    found = timeline(columns_of(nothing))
    assert (found.operations, found.latencies, found.lags, found.bands) == (0, (), (), ())
    assert drawn(found)["end"] == found.end_seconds > 0


def test_a_load_run_counts_from_the_intended_time(tmp_path: Path) -> None:
    """Where a file tells when an operation was to be sent, its latency begins there."""
    made = begin(tmp_path, run("load"), clean=str)
    with HistoryFile(made.history / "w.jsonl", recorder="w", columns=(*COLUMNS, "intended_ns")) as file:
        file.add_row(("submit", "a", None, 400_000_000, 500_000_000, "ok", None, None, 100_000_000))
    for intended, latency_ms in ((True, 400.0), (False, 100.0)):
        read = read_history(made.path, intended=intended)
        assert read is not None
        assert timeline(read).latencies[0].values.tolist() == [latency_ms]


def test_data_in_a_page_ends_no_element() -> None:
    """Whatever a name holds, the JSON of a page holds no tag."""
    text = in_html({"name": "</script><!--<script>"})
    assert "<" not in text


def test_what_was_broken_is_counted_by_component_and_kind() -> None:
    """Proven faults and all that were put in place, a row for each component."""
    band = Band(
        lever="x",
        component="b",
        error_class="crash",
        key="",
        start_seconds=0,
        end_seconds=1,
        proof="it died",
        hits=1,
        recovered_seconds=None,
        submitted=0,
        seen=0,
    )
    found = breakages(
        [band, replace(band, proof=""), replace(band, component="a", error_class="timeout"), replace(band, key="k")]
    )
    assert found == Breakages(kinds=("crash", "timeout"), rows=(("a", ((0, 0), (1, 1))), ("b", ((2, 3), (0, 0)))))
