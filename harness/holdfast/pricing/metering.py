"""What a run costs on AWS: what was requested, counted, and priced by a table that says of when it is and where from.

Where an interceptor sees every call, its counts are priced: AWS calls, invocations and their running time. Elsewhere
the calls that the client made are counted, and what lies behind a command is what the descriptor says of it
(``load.calls_per_command``). The bill says which.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.pricing.prices import Prices, priced
from holdfast.stack.commands import (
    AnyCall,
    EventBridgeCall,
    ExecutionCall,
    HttpCall,
    LambdaCall,
    S3Call,
    SnsCall,
    SqsCall,
)
from holdfast.stack.configuration import Configuration
from holdfast.stack.resolve import Stack
from holdfast.targets.base import TracedTotals

_MEGABYTES = 1_024
_POLLED = 2
"""Requests to a queue for a batch that a mapping hands to a function: one to receive it and one to delete it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What was requested.

    Attributes:
        calls: AWS calls by ``service:Operation``.
        units: units of the price table that are no calls, e.g. ``lambda-request``.
        how: how it was counted, one sentence.
    """

    calls: Mapping[str, float]
    units: Mapping[str, float]
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a run costs.

    Attributes:
        dollars: in all.
        commands: operations that were sent.
        by_unit: dollars by unit of the price table.
        counted: how many of each unit.
        region: whose prices were taken.
        as_of: of when they are.
        how: how units were counted.
        unpriced: calls that the table does not know, with their number.
    """

    dollars: float
    commands: int
    by_unit: Mapping[str, float]
    counted: Mapping[str, float]
    region: str
    as_of: str
    how: str
    unpriced: Mapping[str, float]

    @property
    def dollars_per_1000_commands(self) -> float:
        """What a thousand commands cost."""
        return self.dollars * 1000 / self.commands if self.commands else 0.0

    def figures(self) -> dict[str, float]:
        """The figures by name; each name carries its unit."""
        found = {"cost_dollars": self.dollars, "cost_per_1000_commands_dollars": self.dollars_per_1000_commands}
        found |= {f"cost_{unit.replace('-', '_')}_count": count for unit, count in sorted(self.counted.items())}
        return {name: round(value, 9) for name, value in found.items()}

    def notes(self) -> tuple[str, ...]:
        """How it was counted and priced, a sentence each."""
        unknown = ", ".join(f"{name} ({count:g})" for name, count in sorted(self.unpriced.items()))
        return (
            f"Cost: {self.how}; prices of {self.region} as of {self.as_of}, without free tier, transfer and storage.",
            *((f"Not priced: {unknown}.",) if unknown else ()),
        )


class Meter:
    """Counts what a run requests.

    Args:
        stack: the resolved stack.
        configuration: how it is deployed.
        prices: the price table.
    """

    def __init__(self, stack: Stack, configuration: Configuration, prices: Prices) -> None:
        self._stack = stack
        self._configuration = configuration
        self._prices = prices
        self._before = self._totals()
        self.region = stack.target.region

    def bill(self, sent_of: Mapping[str, int], transitions: float = 0.0) -> Bill:
        """What was requested since the meter was made, priced.

        Args:
            sent_of: operations that were sent, by command.
            transitions: state transitions of all executions.
        """
        usage = self._usage(sent_of)
        units = {**usage.units, **({"state-transition": transitions} if transitions else {})}
        found = priced(self._prices, self.region, usage.calls, units)
        return Bill(
            dollars=found.dollars,
            commands=sum(sent_of.values()),
            by_unit=found.by_unit,
            counted=found.counted,
            region=found.region,
            as_of=self._prices.as_of,
            how=usage.how,
            unpriced=found.unpriced,
        )

    def _totals(self) -> TracedTotals | None:
        target = self._stack.target
        # functions that would have to be pointed at an interceptor first are not, so it does not see their calls
        return None if target.interceptor is None or target.interceptor_url is not None else target.interceptor.totals()

    def _usage(self, sent_of: Mapping[str, int]) -> Usage:
        calls: defaultdict[str, float] = defaultdict(float)
        units: defaultdict[str, float] = defaultdict(float)
        commands = self._stack.descriptor.commands
        for name, count in sent_of.items():
            for call in commands[name].calls if name in commands else ():
                self._of_client(call, count, calls, units)
        totals = self._totals()
        if totals is None or self._before is None:
            behind = self._stack.descriptor.load.calls_per_command
            for name, each in behind.items():
                calls[name] += each * sum(sent_of.values())
            how = "the client's own calls were counted" + (
                ", and load.calls_per_command taken for what lies behind a command"
                if behind
                else "; what lies behind a command was not, since nobody sees it (load.calls_per_command)"
            )
            return Usage(calls=calls, units=units, how=how)
        for name, total in totals.calls.items():
            calls[name] += total - self._before.calls.get(name, 0)
        self._functions(totals, units)
        return Usage(
            calls={name: count for name, count in calls.items() if count},
            units=units,
            how="calls and invocations were counted by the interceptor",
        )

    def _functions(self, totals: TracedTotals, units: defaultdict[str, float]) -> None:
        """Invocations, their running time, and the requests of the pollers that feed them."""
        assert self._before is not None
        known = {self._stack.resource(one.component).name: one for one in self._configuration.functions}
        for name, total in totals.invocations.items():
            count = total - self._before.invocations.get(name, 0)
            seconds = totals.running_seconds.get(name, 0.0) - self._before.running_seconds.get(name, 0.0)
            function = known.get(name)
            megabytes = 128 if function is None else function.memory_megabytes
            units["lambda-request"] += count
            units["lambda-gigabyte-second"] += seconds * megabytes / _MEGABYTES
            if function is not None and any(":sqs:" in one.source_arn for one in function.mappings):
                units["sqs-request"] += _POLLED * count

    def _of_client(
        self, call: AnyCall, count: int, calls: defaultdict[str, float], units: defaultdict[str, float]
    ) -> None:
        match call:
            case HttpCall() if call.api is not None:
                arn = self._stack.resource(call.api).arn
                for part, unit in (("/restapis/", "api-rest-request"), ("/apis/", "api-http-request")):
                    if part in arn:
                        units[unit] += count
            case SqsCall():
                fifo = self._stack.resource(call.queue).name.endswith(".fifo")
                units["sqs-fifo-request" if fifo else "sqs-request"] += count
            case SnsCall():
                calls["sns:Publish"] += count
            case EventBridgeCall():
                calls["events:PutEvents"] += count
            case S3Call():
                calls["s3:PutObject"] += count
            case LambdaCall():
                calls["lambda:Invoke"] += count
            case ExecutionCall():
                calls["states:StartExecution"] += count
            case _:
                pass


@dataclass(slots=True)
class Budget:
    """Stops a run before it has cost more than it may.

    Args:
        dollars: what it may cost.

    Attributes:
        spent_dollars: what it has cost when it was last looked at.
    """

    dollars: float
    spent_dollars: float = 0.0

    def exceeded(self, bill: Bill, coming: float) -> str:
        """Why the run has to stop now; empty when it may go on.

        Args:
            bill: of what was requested so far.
            coming: operations that are in flight, or will be sent before the next look.
        """
        self.spent_dollars = bill.dollars
        each = bill.dollars / bill.commands if bill.commands else 0.0
        projected = bill.dollars + each * coming
        if projected < self.dollars:
            return ""
        return (
            f"the budget of ${self.dollars:g} would be passed: ${bill.dollars:.6f} for {bill.commands:,} commands so"
            f" far, ${projected:.6f} with what is under way"
        )
