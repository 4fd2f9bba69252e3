"""SC-1, SC-5, SC-7 and SC-12: what an application answers while its sidecar, or what is behind it, is gone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from holdfast.checkers.records import finding, ranked
from holdfast.history.exchanges import Down, Exchange
from holdfast.verdict.describe import moment, shorten
from holdfast.verdict.model import Finding


def in_time(exchanges: Iterable[Exchange], *, bound_seconds: float, fault: str) -> tuple[Finding, ...]:
    """Every question is answered within the declared deadline.

    Args:
        exchanges: questions to the application under a fault.
        bound_seconds: the deadline, seconds from the question.
        fault: what was wrong, e.g. ``while the sidecar was dead``.
    """
    found = []
    for one in exchanges:
        if one.answered and one.seconds <= bound_seconds:
            continue
        told = (
            f"was answered {one.status} after {one.seconds:.3f} s"
            if one.answered
            else f"got no answer in {one.seconds:.3f} s ({one.reason})"
        )
        found.append(
            finding(
                "no answer in time",
                f"{_about(one)} {fault} {told}, expected an answer within {bound_seconds:g} s.",
                one.key,
                (one.observation(),),
            )
        )
    return ranked(found)


def live(probes: Iterable[Exchange], *, fault: str) -> tuple[Finding, ...]:
    """The application says that it is alive whenever it is asked.

    Args:
        probes: questions to its liveness URL.
        fault: what was wrong.
    """
    return ranked(
        finding(
            "not alive",
            f"The liveness probe at {moment(one.started_seconds)} {fault} got"
            f" {one.status if one.answered else f'no answer ({one.reason})'}, expected a 2xx.",
            "",
            (one.observation(),),
        )
        for one in probes
        if not one.succeeded
    )


def clear(exchanges: Iterable[Exchange], *, outage_statuses: Collection[int], fault: str) -> tuple[Finding, ...]:
    """An answer that is an error says that it is an outage: one of the declared statuses.

    Statuses below 500 are left to `contradictions` and to the comparison of business verdicts.

    Args:
        exchanges: questions under a fault.
        outage_statuses: what an outage is answered with.
        fault: what was wrong.
    """
    allowed = ", ".join(str(status) for status in sorted(outage_statuses))
    return ranked(
        finding(
            "unclear error",
            f"{_about(one)} {fault} was answered {one.status}, expected one of {allowed}, which say that it is an"
            " outage.",
            one.key,
            (one.observation(),),
        )
        for one in exchanges
        if one.status >= 500 and one.status not in outage_statuses
    )


def contradictions(
    exchanges: Iterable[Exchange], *, stored: Mapping[str, Collection[str]], fault: str
) -> tuple[Finding, ...]:
    """No answer contradicts what is stored: what is there is not said to be absent, nor to be something else.

    Args:
        exchanges: reads under a fault during which nothing is written.
        stored: the keys that are stored, with the values that each may show; none when values are not known.
        fault: what was wrong.
    """
    found = []
    for one in exchanges:
        allowed = stored.get(one.key)
        if allowed is None or one.count is None:
            continue
        wrong = next((value for value in one.values if allowed and value not in allowed), None)
        if one.count and wrong is None:
            continue
        told = f"shows {shorten(wrong)}" if wrong is not None else f"says that there is nothing ({one.status})"
        expected = " or ".join(shorten(value) for value in sorted(allowed)) or "what is stored"
        found.append(
            finding(
                "outage answered as a fact",
                f"{_about(one)} {fault} {told}, while the store holds {expected}; expected that or an error.",
                one.key,
                (one.observation(),),
            )
        )
    return ranked(found)


def ready_without(probes: Iterable[Exchange], *, down: Collection[Down]) -> tuple[Finding, ...]:
    """The application does not say that it is ready while its sidecar is not.

    Only probes that began and ended within such a time count: another one may have met the sidecar.

    Args:
        probes: questions to its readiness URL.
        down: when the sidecar was not ready.
    """
    found = []
    for one in probes:
        within = next(
            (
                each
                for each in down
                if each.started_seconds < one.started_seconds <= one.completed_seconds < each.ended_seconds
            ),
            None,
        )
        if one.succeeded and within is not None:
            found.append(
                finding(
                    "ready without its sidecar",
                    f"The application said that it is ready ({one.status}) at {moment(one.started_seconds)},"
                    f" {within.why}:"
                    f" the sidecar was not ready until {moment(within.ended_seconds)}.",
                    "",
                    (one.observation(),),
                )
            )
    return ranked(found)


def degraded_share(exchanges: Iterable[Exchange]) -> float:
    """Which part of the answers says of itself that it is not the usual one; 0 when there were none."""
    answered = [one for one in exchanges if one.answered]
    return sum(one.degraded for one in answered) / len(answered) if answered else 0.0


def _about(one: Exchange) -> str:
    of = f" of {one.key}" if one.key else ""
    return f"'{one.question}'{of}, asked at {moment(one.started_seconds)}"
