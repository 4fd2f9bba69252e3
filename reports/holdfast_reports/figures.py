"""The pattern in figures: what an architect's comparison says in words, measured on one's own stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from holdfast.pricing.prices import read_prices
from holdfast.verdict.model import Verdict
from holdfast_reports.prices import thousand_commands
from holdfast_reports.story import Story
from holdfast_reports.wording import count, duration, milliseconds

LOAD_DOLLARS = "cost_per_1000_commands_dollars"
REQUESTS = "requests_per_thousand:"
"""Begins the name of a measure that counts one operation of a service for a thousand commands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One cell of the table.

    Attributes:
        group: what it belongs to, e.g. ``fault tolerance``.
        name: what was measured.
        value: the figure with its unit.
        about: how it was measured, one sentence.
    """

    group: str
    name: str
    value: str
    about: str = ""


def figures(story: Story) -> tuple[Figure, ...]:
    """What is known of a run, in groups; what was not measured is left out."""
    return (*_tolerance(story), *_performance(story), *_cost(story))


def _tolerance(story: Story) -> Iterator[Figure]:
    group = "Fault tolerance"
    counts = story.counts
    if story.report is not None:
        asked = sum(counts.values()) - counts[Verdict.WAIVED]
        yield Figure(
            group=group,
            name="promises kept",
            value=f"{counts[Verdict.HOLDS]} of {asked}",
            about=f"{counts[Verdict.VIOLATED]} violated, {counts[Verdict.INCONCLUSIVE]} inconclusive, "
            f"{counts[Verdict.WAIVED]} waived",
        )
    for sweep in story.sweeps:
        tried = sum(cell.mark in ("held", "violated") for cell in sweep.cells)
        yield Figure(
            group=group,
            name=f"fault points survived ({sweep.pattern})",
            value=f"{sweep.counts.get('held', 0)} of {tried}",
            about=f"{count(len(sweep.points), 'fault point')}, each broken in every way that applies",
        )
    if story.timeline is None:
        return
    bitten = [band for band in story.timeline.bands if band.proof]
    yield Figure(
        group=group,
        name="faults that bit",
        value=f"{len(bitten)} of {len(story.timeline.bands)}",
        about="a fault counts only with proof that it took effect",
    )
    recovered = [band for band in bitten if band.recovered_seconds and not band.key]
    if recovered:
        slowest = max(recovered, key=lambda band: band.recovered_seconds or 0.0)
        yield Figure(
            group=group,
            name="slowest recovery",
            value=f"≤ {duration(slowest.recovered_seconds)}",
            about=f"after {slowest.lever} on {slowest.component} ended, until the last effect of what was submitted "
            "meanwhile was seen",
        )
    drained = _measures(story).get("drain_seconds")
    if drained is not None:
        yield Figure(group=group, name="burst drained in", value=duration(drained), about="until its last effect")


def _performance(story: Story) -> Iterator[Figure]:
    group, measures = "Performance", _measures(story)
    for measure, name, about in (
        ("acknowledgement", "acknowledgement", "from sending a command to its answer, undisturbed"),
        ("time_to_effect", "time to effect", "from the answer until the effect was seen: what the pattern defers"),
        ("time_to_consistency", "time to consistency", "from a write until every reader is shown it"),
    ):
        for part in ("p50", "p99", "max"):
            value = measures.get(f"{measure}_{part}_seconds")
            if value is not None:
                yield Figure(group=group, name=f"{name} {part}", value=duration(value), about=about)
    for part in ("p50", "p99", "p99.9"):
        value = measures.get(f"latency_{part}_ms")
        if value is not None:
            about = "from when a command was to be sent, whatever was broken meanwhile"
            yield Figure(group=group, name=f"latency under load {part}", value=milliseconds(value), about=about)


def _cost(story: Story) -> Iterator[Figure]:
    group, measures = "Cost per 1,000 commands", _measures(story)
    for measure, name, about in (
        ("invocations_per_thousand", "function invocations", "of undisturbed commands"),
        ("retries_per_thousand", "of these repeated", "invocations of one function for one command beyond its first"),
        ("transitions_per_thousand", "state transitions", "of undisturbed commands"),
    ):
        if measure in measures:
            yield Figure(group=group, name=name, value=f"{measures[measure]:,.0f}", about=about)
    requests = {
        name.removeprefix(REQUESTS): value for name, value in sorted(measures.items()) if name.startswith(REQUESTS)
    }
    for name, value in requests.items():
        yield Figure(group=group, name=name.replace(":", " "), value=f"{value:,.0f}", about="requests")
    if LOAD_DOLLARS in measures:
        about = "as the load run counted and priced it; see its notes"
        yield Figure(group=group, name="price", value=f"${measures[LOAD_DOLLARS]:,.4f}", about=about)
    if "invocations_per_thousand" in measures or requests:
        prices = read_prices()
        found = thousand_commands(measures, prices, "")
        left_out = f"; without {', '.join(found.unpriced)}" if found.unpriced else ""
        yield Figure(
            group=group,
            name="price",
            value=f"${found.dollars:,.4f}",
            about=f"list prices of {found.region} as of {prices.as_of}, a unit of size each, without the time that "
            f"functions run{left_out}",
        )


def _measures(story: Story) -> Mapping[str, float]:
    return {**story.run.figures, **({} if story.report is None else story.report.measures)}
