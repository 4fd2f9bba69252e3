"""A run's timeline as a small picture: faults, latency and the deepest queue, for where no script runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log10
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from holdfast.runs import Series
from holdfast_reports.downsampling import Points, extremes
from holdfast_reports.drawing import lane_of, sampled, shades
from holdfast_reports.timeline import QUEUE_DEPTH, Timeline
from holdfast_reports.wording import duration, milliseconds

WIDTH, LEFT, RIGHT = 900, 70, 10
LANE_HEIGHT, PLOT_HEIGHT, GAP = 20, 140, 34
MOST_LANES = 12
BUCKETS = 150
"""Points are thinned out to two a bucket, so that the picture stays small whatever the run was."""

MARKS = {
    "acknowledged": '<circle cx="{x:.1f}" cy="{y:.1f}" r="2"/>',
    "refused": '<path d="M{x:.1f} {y:.1f}m0-3l3 5h-6z"/>',
    "unknown": '<path d="M{x:.1f} {y:.1f}m-2.5-2.5l5 5m0-5l-5 5" class="cross"/>',
}
STYLE = """
svg{font:12px system-ui,sans-serif;background:#fff}text{fill:#5c5852}.title{fill:#1d1c1a;font-weight:600}
.acknowledged{fill:#2a55a8}.refused{fill:#b3261e}.unknown{fill:#8a5a00;stroke:#8a5a00}.cross{fill:none;stroke-width:1.5}
.band{fill:#8b8378;fill-opacity:.16}.bar{fill:#8b8378}.aimed{fill:#6a3fa0}.grid{stroke:#dedad3}
.depth{fill:none;stroke:#1a6b3c;stroke-width:1.5}
.mark{fill:#b3261e;fill-opacity:.12;stroke:#b3261e;stroke-dasharray:4 3}
@media(prefers-color-scheme:dark){svg{background:#171614}text{fill:#aca59a}.title{fill:#ece8e1}
.acknowledged{fill:#9dbcff}.refused{fill:#ff9a8f}.unknown{fill:#e9c46a;stroke:#e9c46a}.grid{stroke:#3a3732}
.aimed{fill:#cbaaf5}.depth{stroke:#7fcf9c}}
"""


def svg(timeline: Timeline, *, title: str, span_seconds: tuple[float, float] | None = None) -> str:
    """Draw a timeline.

    Args:
        timeline: what happened.
        title: said above it, and to who cannot see it.
        span_seconds: a time to mark, e.g. that of a witness.
    """
    lanes = list(dict.fromkeys(lane_of(band) for band in timeline.bands))[:MOST_LANES]
    top = 28
    latency_top = top + LANE_HEIGHT * len(lanes) + GAP
    depth_top = latency_top + PLOT_HEIGHT + GAP
    depths = [one.series[0] for one in sampled(timeline) if one.name == QUEUE_DEPTH]
    height = (depth_top + PLOT_HEIGHT // 2 if depths else latency_top + PLOT_HEIGHT) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label={quoteattr(title)}>',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="none"/>',
        f'<text x="{LEFT}" y="16" class="title">{escape(title)}</text>',
        *_bands(timeline, lanes, top, height - 24),
        *_latency(timeline, latency_top),
        *(_depth(depths[0], timeline.end_seconds, depth_top) if depths else ()),
        *_times(timeline.end_seconds, height),
    ]
    if span_seconds is not None:
        left, right = (_x(seconds, timeline.end_seconds) for seconds in span_seconds)
        parts.append(
            f'<rect class="mark" x="{left:.1f}" y="{top}" width="{max(1.0, right - left):.1f}"'
            f' height="{height - 24 - top}"><title>the witness</title></rect>'
        )
    return "".join([*parts, "</svg>"])


def _x(seconds: float, end_seconds: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, seconds / end_seconds))


def _bands(timeline: Timeline, lanes: Sequence[str], top: int, bottom: int) -> Iterator[str]:
    end = timeline.end_seconds
    for start_seconds, end_seconds in shades(timeline.bands):
        left, right = _x(start_seconds, end), _x(end_seconds, end)
        width = max(1.5, right - left)
        yield f'<rect class="band" x="{left:.1f}" y="{top}" width="{width:.1f}" height="{bottom - top}"/>'
    for number, lane in enumerate(lanes):
        yield f'<text x="{LEFT}" y="{top + LANE_HEIGHT * number + 9}">{escape(lane)}</text>'
    for band in timeline.bands:
        if lane_of(band) not in lanes:
            continue
        left, right = _x(band.start_seconds, end), _x(band.end_seconds, end)
        width = max(1.5, right - left)
        y = top + LANE_HEIGHT * lanes.index(lane_of(band)) + 12
        kind = "aimed" if band.key else "bar"
        told = f"{band.lever} on {band.component}: {band.proof or 'unproven'}"
        yield (
            f'<rect class="{kind}" x="{left:.1f}" y="{y}" width="{width:.1f}" height="6">'
            f"<title>{escape(told)}</title></rect>"
        )


def _latency(timeline: Timeline, top: int) -> Iterator[str]:
    yield f'<text x="{LEFT}" y="{top - 8}" class="title">latency</text>'
    thinned = [_thinned(points) for points in timeline.latencies]
    values = [value for points in thinned for value in points.values if value > 0]
    if not values:
        return
    low, high = np.floor(log10(min(values))), np.ceil(log10(max(values)))
    high = max(high, low + 1)

    def y(value: float) -> float:
        return float(top + PLOT_HEIGHT * (high - log10(max(value, 10**low))) / (high - low))

    for power in range(int(low), int(high) + 1):
        yield f'<path class="grid" d="M{LEFT} {y(10.0**power):.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{y(10.0**power) + 4:.1f}" text-anchor="end">{milliseconds(10.0**power)}</text>'
    for points in thinned:
        yield f'<g class="{points.name}"><title>{points.name}</title>'
        for seconds, value in zip(points.seconds, points.values, strict=True):
            yield MARKS[points.name].format(x=_x(float(seconds), timeline.end_seconds), y=y(float(value)))
        yield "</g>"


def _depth(series: Series, end_seconds: float, top: int) -> Iterator[str]:
    height, most = PLOT_HEIGHT // 2, max(series.values)
    told = " ".join(part for part in (series.component, series.name) if part)
    yield f'<text x="{LEFT}" y="{top - 8}" class="title">{escape(told)}</text>'
    for value in (0, most):
        y = top + height * (1 - value / most)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
    seconds, values = extremes(np.array(series.seconds), np.array(series.values), buckets=BUCKETS)
    path = "".join(
        f"{'L' if number else 'M'}{_x(float(at), end_seconds):.1f} {top + height * (1 - value / most):.1f}"
        for number, (at, value) in enumerate(zip(seconds, values, strict=True))
    )
    yield f'<path class="depth" d="{path}"/>'


def _times(end_seconds: float, height: int) -> Iterator[str]:
    for number in range(6):
        seconds = end_seconds * number / 5
        anchor = "start" if number == 0 else "end" if number == 5 else "middle"
        told = "0 s" if number == 0 else duration(seconds)
        yield f'<text x="{_x(seconds, end_seconds):.1f}" y="{height - 6}" text-anchor="{anchor}">{told}</text>'


def _thinned(points: Points) -> Points:
    seconds, values = extremes(points.seconds, points.values, buckets=BUCKETS)
    return Points(name=points.name, seconds=seconds, values=values, count=points.count)
