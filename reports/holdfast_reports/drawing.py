"""A timeline as the data that the page's script draws: few digits, plain lists, JSON that may stand inside HTML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdfast.runs import Series
from holdfast_reports.bands import Band
from holdfast_reports.downsampling import Floats, Points
from holdfast_reports.timeline import Timeline

LINES = 6
"""So many lines of one quantity are drawn, the highest ones."""

AIMED = "aimed at one command"
"""Names the lane of all faults of one lever that were aimed at single commands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """One quantity that was sampled.

    Attributes:
        name: what it is.
        unit: of its values.
        series: by component, the highest first.
        left_out: how many more there are.
    """

    name: str
    unit: str
    series: tuple[Series, ...]
    left_out: int


def drawn(timeline: Timeline) -> dict[str, Any]:
    """What the script needs of a timeline."""
    lanes = dict.fromkeys(lane_of(band) for band in sorted(timeline.bands, key=lambda band: bool(band.key)))
    at = {lane: number for number, lane in enumerate(lanes)}
    return {
        "end": _short(timeline.end_seconds),
        "latencies": [_points(one) for one in timeline.latencies],
        "quantiles": None
        if timeline.quantiles is None
        else {
            "seconds": _list(timeline.quantiles.seconds),
            "p50": _list(timeline.quantiles.p50_ms),
            "p99": _list(timeline.quantiles.p99_ms),
        },
        "lags": [_points(one) for one in timeline.lags],
        "rate": {
            "seconds": _list(timeline.rate.seconds),
            "ok": _list(timeline.rate.ok),
            "fail": _list(timeline.rate.fail),
            "unknown": _list(timeline.rate.unknown),
        },
        "sampled": [[_line(one) for one in quantity.series] for quantity in sampled(timeline)],
        "shades": [[_short(start), _short(end)] for start, end in shades(timeline.bands)],
        "lanes": list(lanes),
        "bands": [
            [_short(band.start_seconds), _short(band.end_seconds), at[lane_of(band)], int(bool(band.key))]
            for band in timeline.bands
        ],
    }


def lane_of(band: Band) -> str:
    """In which lane of the picture a fault is drawn."""
    return f"{band.lever}, {AIMED}" if band.key else f"{band.lever} on {band.component}"


def shades(bands: Sequence[Band]) -> list[tuple[float, float]]:
    """The times in which some fault was on everything, without overlaps, in order."""
    found: list[tuple[float, float]] = []
    for band in sorted((band for band in bands if not band.key), key=lambda band: band.start_seconds):
        if found and band.start_seconds <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], band.end_seconds))
        else:
            found.append((band.start_seconds, band.end_seconds))
    return found


def sampled(timeline: Timeline) -> tuple[Sampled, ...]:
    """What was sampled, by quantity, in the order in which it is told; what stayed at zero is left out."""
    quantities = dict.fromkeys((one.name, one.unit) for one in timeline.sampled if one.seconds)
    found = []
    for name, unit in quantities:
        own = [one for one in timeline.sampled if (one.name, one.unit) == (name, unit)]
        drawn_ones = sorted((one for one in own if any(one.values)), key=lambda one: -max(one.values))[:LINES]
        if drawn_ones:
            found.append(Sampled(name=name, unit=unit, series=tuple(drawn_ones), left_out=len(own) - len(drawn_ones)))
    return tuple(found)


def in_html(document: Any) -> str:
    """JSON that may stand in a script element: nothing in it can end that."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")


def _line(series: Series) -> dict[str, Any]:
    return {"name": series.component or series.name, "seconds": series.seconds, "values": series.values}


def _points(points: Points) -> dict[str, Any]:
    return {"name": points.name, "seconds": _list(points.seconds), "values": _list(points.values)}


def _list(values: Floats | Sequence[float]) -> list[float]:
    return [_short(float(value)) for value in np.asarray(values)]


def _short(value: float) -> float:
    """Six significant digits: a tenth of a millisecond in ten minutes, less than a pixel in any."""
    return float(f"{value:.6g}")
