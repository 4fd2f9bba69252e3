"""Whether a declared limit of downstream concurrency was kept (SF-8)."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.verdict.model import Finding


def over_limit(seen: Mapping[str, float], *, limit: int) -> tuple[Finding, ...]:
    """Workers that ran more invocations at one moment than the declared limit.

    Args:
        seen: the most invocations at one moment, by name of the worker.
        limit: the declared limit.
    """
    return tuple(
        Finding(
            title="limit passed",
            sentence=f"{name.removeprefix('concurrency_')} ran {most:g} invocations at one moment, "
            f"the declared limit is {limit}",
        )
        for name, most in sorted(seen.items())
        if most > limit
    )
