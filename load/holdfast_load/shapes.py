"""Shapes as they are written on the command line: ``spike:peak=500,at=10,for=5``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from holdfast.errors import HoldfastError
from holdfast_load import schedule
from holdfast_load.latency import read_timings
from holdfast_load.plan import LoadPlan
from holdfast_load.schedule import Shape, Times

REPLAY = "replay:"

Parameters = Mapping[str, float]


def _ramp(plan: LoadPlan, given: Parameters) -> Shape:
    return schedule.ramp(given.get("from", 0.0), plan.rate_per_second, plan.duration_seconds)


def _spike(plan: LoadPlan, given: Parameters) -> Shape:
    rate, seconds = plan.rate_per_second, plan.duration_seconds
    return schedule.spike(
        rate,
        given.get("peak", 3 * rate),
        at_seconds=given.get("at", seconds / 3),
        for_seconds=given.get("for", seconds / 6),
        seconds=seconds,
    )


def _soak(plan: LoadPlan, given: Parameters) -> Shape:
    seconds = plan.duration_seconds
    return schedule.soak(plan.rate_per_second, seconds, ramp_seconds=given.get("ramp", seconds / 10))


def _step(plan: LoadPlan, given: Parameters) -> Shape:
    steps = int(given.get("steps", 5))
    rate = plan.rate_per_second
    first = given.get("from", rate / max(1, steps))
    more = given.get("by", (rate - first) / max(1, steps - 1))
    return schedule.step(first, more, steps=steps, step_seconds=plan.duration_seconds / max(1, steps))


_SHAPES: Mapping[str, tuple[Callable[[LoadPlan, Parameters], Shape], frozenset[str]]] = {
    "constant": (lambda plan, _: schedule.constant(plan.rate_per_second, plan.duration_seconds), frozenset()),
    "ramp": (_ramp, frozenset({"from"})),
    "spike": (_spike, frozenset({"peak", "at", "for"})),
    "soak": (_soak, frozenset({"ramp"})),
    "step": (_step, frozenset({"from", "by", "steps"})),
}

NAMES = (*_SHAPES, "replay:FILE")
"""What may be asked for."""


def shape_of(plan: LoadPlan) -> Shape:
    """The rate over time that a plan asks for.

    Raises:
        HoldfastError: there is no such shape, or a parameter is wrong.
    """
    name, _, rest = plan.shape.partition(":")
    if name not in _SHAPES:
        raise HoldfastError(f"There is no shape {name}.", remedy=f"use one of {', '.join(NAMES)}")
    make, known = _SHAPES[name]
    return make(plan, _parameters(name, rest, known))


def arrivals_of(plan: LoadPlan) -> Iterator[Times]:
    """All arrivals of a plan, those of all workers together.

    Raises:
        HoldfastError: the shape is wrong, or the recording cannot be replayed.
    """
    if plan.shape.startswith(REPLAY):
        return _replayed(plan)
    return schedule.arrivals(shape_of(plan), plan.seed, spacing=plan.spacing)


def _replayed(plan: LoadPlan) -> Iterator[Times]:
    """The intended times of a recorded run: one worker's file, or a folder of them."""
    text, _, rest = plan.shape.removeprefix(REPLAY).partition(",")
    path = Path(text)
    files = sorted(path.glob("w*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise HoldfastError(f"{path} holds no worker's file.", remedy="name a history folder of a load run")
    times = np.concatenate([read_timings(file).arrivals_ns for file in files])
    speed = _parameters("replay", rest, frozenset({"speed"})).get("speed", 1.0)
    return schedule.replay(times, speed=speed)


def _parameters(name: str, text: str, known: frozenset[str]) -> Parameters:
    found: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        if key not in known:
            takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
            raise HoldfastError(f"The shape {name} has no parameter {key}.", remedy=takes)
        try:
            found[key] = float(value)
        except ValueError:
            raise HoldfastError(
                f"{part} in the shape {name} is no number.", remedy=f"write {key}=NUMBER, in seconds or per second"
            ) from None
    return found
