"""A timeline as the data that the page's script draws: few digits, plain lists, JSON that may stand inside HTML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from holdfast.runs import Series
from holdfast_reports.bands import Band
from holdfast_reports.downsampling import Floats, Points
from holdfast_reports.timeline import Timeline

DEPTHS = 6
"""So many queues are drawn, the deepest ones."""

AIMED = "aimed at one command"
"""Names the lane of all faults of one lever that were aimed at single commands."""


def drawn(timeline: Timeline) -> dict[str, Any]:
    """What the script needs of a timeline."""
    lanes = dict.fromkeys(lane_of(band) for band in sorted(timeline.bands, key=lambda band: bool(band.key)))
    at = {lane: number for number, lane in enumerate(lanes)}
    return {
        "end": _short(timeline.end_seconds),
        "latencies": [_points(one) for one in timeline.latencies],
        "lags": [_points(one) for one in timeline.lags],
        "rate": {
            "seconds": _list(timeline.rate.seconds),
            "ok": _list(timeline.rate.ok),
            "fail": _list(timeline.rate.fail),
            "unknown": _list(timeline.rate.unknown),
        },
        "depths": [
            {"name": one.component or one.name, "seconds": one.seconds, "values": one.values}
            for one in deepest(timeline)
        ],
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


def deepest(timeline: Timeline) -> list[Series]:
    """What was sampled, the highest first; what stayed at zero is left out."""
    found = [one for one in timeline.depths if any(one.values)]
    return sorted(found, key=lambda one: -max(one.values))[:DEPTHS]


def in_html(document: Any) -> str:
    """JSON that may stand in a script element: nothing in it can end that."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")


def _points(points: Points) -> dict[str, Any]:
    return {"name": points.name, "seconds": _list(points.seconds), "values": _list(points.values)}


def _list(values: Floats | Sequence[float]) -> list[float]:
    return [_short(float(value)) for value in np.asarray(values)]


def _short(value: float) -> float:
    """Six significant digits: a tenth of a millisecond in ten minutes, less than a pixel in any."""
    return float(f"{value:.6g}")
