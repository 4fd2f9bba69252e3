"""A plan of faults, the file that ``--faults`` names.

For example::

[[fault]]
lever = "queue-visibility"      # a lever of docs/levers.md,
component = "queue"
options = { seconds = 0 }
at = "10s"                      # from the first arrival
for = "5s"
every = "30s"                   # again, as long as the run lasts
while = "rate >= 200"           # and only while so many operations are sent a second

[[fault]]
window = "compute-dead"         # or a fault on everything that `verify` opens,
at = 20
for = 10

[[fault]]
component = "worker"            # or a rule of the interceptor
rule = { action = "fail", share = 0.1 }
at = 40
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from holdfast.errors import HoldfastError
from holdfast.provocations.model import Window
from holdfast.stack.base import Part
from holdfast.stack.patterns import PatternName
from holdfast.targets.base import Action

WINDOWS = MappingProxyType(
    {
        "compute-dead": Window.COMPUTE_DEAD,
        "storage-denied": Window.STORAGE_DENIED,
        "read-side-dead": Window.READ_SIDE_DEAD,
        "write-side-dead": Window.WRITE_SIDE_DEAD,
    }
)
"""Faults on everything by their name in a plan."""

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_CONDITION = re.compile(r"rate\s*(?P<sign><=|>=|<|>)\s*(?P<rate>\d+(?:\.\d+)?)")


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _DURATION.fullmatch(value.strip())
    if found is None:
        raise ValueError('a duration is a number of seconds, or a text such as "90s", "250ms" or "2m"')
    return float(found["number"]) * _SECONDS[found["unit"]]


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False)]
Length = Annotated[float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Condition:
    """A bound on the rate of operations.

    Attributes:
        sign: ``>=``, ``>``, ``<=`` or ``<``.
        rate_per_second: what the rate is compared with.
    """

    sign: str
    rate_per_second: float

    def holds(self, rate_per_second: float) -> bool:
        """Whether a rate fulfils it."""
        match self.sign:
            case ">=":
                return rate_per_second >= self.rate_per_second
            case ">":
                return rate_per_second > self.rate_per_second
            case "<=":
                return rate_per_second <= self.rate_per_second
            case _:
                return rate_per_second < self.rate_per_second

    def __str__(self) -> str:
        return f"rate {self.sign} {self.rate_per_second:g}"


def _condition(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _CONDITION.fullmatch(value.strip())
    if found is None:
        raise ValueError('a condition compares the rate per second with a number, e.g. "rate >= 200"')
    return Condition(found["sign"], float(found["rate"]))


class RulePart(Part):
    """A rule of the interceptor, on a share of the invocations or calls of its component."""

    action: Action
    point: Literal["invocation", "call"] = "invocation"
    when: Literal["before", "after"] = "before"
    service: str = ""
    operation: str = ""
    error: str = ""
    delay: Seconds = 0.0
    share: Annotated[float, Field(gt=0, le=1)] = 1.0


class FaultPart(Part):
    """One entry of a plan."""

    lever: str | None = None
    window: str | None = None
    rule: RulePart | None = None
    component: str | None = None
    pattern: PatternName | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    at: Seconds
    for_: Annotated[Length | None, Field(alias="for")] = None
    every: Length | None = None
    while_: Annotated[Condition | None, BeforeValidator(_condition), Field(alias="while")] = None

    @model_validator(mode="after")
    def _one_kind(self) -> FaultPart:
        if sum(one is not None for one in (self.lever, self.window, self.rule)) != 1:
            raise ValueError("give exactly one of lever, window and rule")
        if (self.window is None) == (self.component is None):
            raise ValueError("a lever or a rule needs a component, and a window has none")
        if self.window is None and self.pattern is not None:
            raise ValueError("only a window has a pattern")
        if self.lever is None and self.options:
            raise ValueError("only a lever has options")
        if self.every is not None and self.for_ is None:
            raise ValueError("what comes again needs for, the time that it lasts")
        if self.every is not None and self.for_ is not None and self.every <= self.for_:
            raise ValueError("every is longer than for")
        return self

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        if self.window is not None:
            return self.window
        what = self.lever if self.rule is None else self.rule.action
        return f"{what} on {self.component}"

    def occurrences(self, run_seconds: float) -> Iterator[tuple[float, float]]:
        """When it is to begin and to end, in seconds of the run, in order; nothing lasts longer than the run."""
        begin = self.at
        while begin < run_seconds:
            yield begin, run_seconds if self.for_ is None else min(begin + self.for_, run_seconds)
            if self.every is None:
                return
            begin += self.every


class FaultPlan(Part):
    """A plan of faults."""

    fault: Annotated[list[FaultPart], Field(min_length=1)]


def read(path: Path) -> FaultPlan:
    """Read a plan.

    Raises:
        HoldfastError: it cannot be read, is not TOML, or says what no plan may say; every mistake is told.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise HoldfastError(
            f"The fault plan {path} cannot be read.", cause=str(error), remedy="check the path and the rights on it"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise HoldfastError(
            f"The fault plan {path} is not TOML.", cause=str(error), remedy="correct the syntax at that place"
        ) from None
    try:
        return FaultPlan.model_validate(document)
    except ValidationError as error:
        raise mistakes(path, [_mistake(one) for one in error.errors()]) from None


def mistakes(path: Path, found: list[str]) -> HoldfastError:
    """One error that tells every mistake of a plan, a line each."""
    count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
    lines = "".join(f"\n  {one}" for one in found)
    return HoldfastError(
        f"The fault plan {path} has {count}; nothing was sent and nothing changed:{lines}",
        remedy="docs/load-judgement.md has the form of a plan",
    )


def _mistake(error: Any) -> str:
    where = [part for part in error["loc"] if not isinstance(part, str) or not part.startswith("function-")]
    place = " ".join(str(part + 1) if isinstance(part, int) else str(part) for part in where)
    return f"{place or 'the plan'}: {error['msg'].removeprefix('Value error, ')}"
