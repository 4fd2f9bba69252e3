"""What a provocation is, and the evidence it leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from holdfast.checkers.recovery import Sample
from holdfast.history.exchanges import Exchange, Life, Witnessed
from holdfast.history.executions import Execution
from holdfast.history.logs import LogRead, ViewRead
from holdfast.history.model import DeadLetterSeen, FaultWindow, History
from holdfast.provocations.requirements import Requirement, Situation, calls_alone
from holdfast.provocations.saga_coverage import PlanCoverage
from holdfast.provocations.saga_plans import BrokenPlan
from holdfast.stack.generate import Submission

if TYPE_CHECKING:
    from holdfast.provocations.bench import Bench


class Window(StrEnum):
    """A fault on everything; provocations that need the same one share it.

    In the order of their opening: the backlog of dead compute would be worked off while storing is denied, and
    reads with the write side dead would meet the backlog of the projectors.
    """

    STORAGE_DENIED = "the right to store is denied"
    STORAGE_THROTTLED = "every other call about the store is throttled"
    WRITE_STORE_SLOW = "every call about the write store is held"
    READ_STORE_SLOW = "every call about the read store is held"
    WRITE_SIDE_DEAD = "the write side throttled to zero, the write store denied to both sides"
    READ_SIDE_DEAD = "the projectors throttled to zero and detached, the read store denied"
    COMPUTE_DEAD = "every worker throttled to zero and detached"


class Moment(StrEnum):
    """When a provocation runs in a campaign."""

    FIRST = "before any fault"
    MIDDLE = "with the others, side by side"
    SCARRING = "after a last look at the others, since it leaves something half done"
    LAST = "after everything has healed and settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aimed:
    """Faults that a provocation aims at single keys.

    Attributes:
        action: what happens, for the plan, e.g. ``fail``.
        at: the functions it happens to, by their names in the descriptor.
        point: whether it happens to invocations or to AWS calls.
    """

    action: str
    at: Callable[[Situation], Sequence[str]]
    point: Literal["invocation", "call"] = "invocation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """A fault that a provocation puts on a whole component or channel by itself, for the plan.

    Attributes:
        lever: its name, e.g. ``component-kill``.
        on: the component or channel, by its name in the descriptor.
        about: what it does.
    """

    lever: str
    on: Callable[[Situation], str]
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """AWS calls that a provocation makes itself, beside its levers and the ports.

    Attributes:
        actions: IAM actions.
        on: ARNs of the resources.
    """

    actions: tuple[str, ...]
    on: Callable[[Situation], Sequence[str]]


def _no_commands(_: Situation) -> int:
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AtCalls:
    """How a provocation is done where an interceptor sees the calls of functions, but not their invocations.

    Attributes:
        provoke: as that of the provocation.
        aims: its aimed faults, all of them at calls.
        requires: what must be so beside what the provocation requires anywhere.
        alone: whether nothing else may be under way, since what it does to one delivery befalls its whole batch.
        commands: how many commands it sends when all goes well.
    """

    provoke: Callable[[Bench], Any]
    aims: tuple[Aimed, ...]
    commands: Callable[[Situation], int]
    requires: tuple[Requirement, ...] = ()
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Provocation:
    """One way to try a stack.

    Attributes:
        name: unique; names its part of the history.
        provoke: does the harm and submits the commands; inside the window, where there is one. Returns what
            ``observe`` wants to know.
        observe: waits for what must come of it, after the window is healed; side by side with all others.
        prepare: what it does before its window is opened, when nothing is wrong yet.
        healed: what it does as soon as its window is healed, before another one is opened.
        window: the fault on everything it needs, or None when its faults are aimed.
        moment: when it runs.
        requires: what must be so for it to be run at all, beside what its window and its aimed faults need.
        leaves_open: what must be so for it to see all there is to see; without it, nothing is decided but violations.
        aims: its aimed faults.
        may_aim: aimed faults that it can do without; they are put in place where the target can.
        uses: the AWS calls it makes itself.
        commands: how many commands it sends when all goes well; repeats come on top.
        at_calls: how it is done where only the calls of functions can be broken; None where it cannot.
        strikes: the faults that it puts on whole components by itself.
        exclusive: whether it breaks what all others use, so that it runs when nothing else does, and leaves it whole.
    """

    name: str
    provoke: Callable[[Bench], Any]
    observe: Callable[[Bench, Any], None] | None = None
    prepare: Callable[[Bench], None] | None = None
    healed: Callable[[Bench], None] | None = None
    window: Window | None = None
    moment: Moment = Moment.MIDDLE
    requires: tuple[Requirement, ...] = ()
    leaves_open: tuple[Requirement, ...] = ()
    aims: tuple[Aimed, ...] = ()
    may_aim: tuple[Aimed, ...] = ()
    uses: tuple[Uses, ...] = ()
    commands: Callable[[Situation], int] = _no_commands
    at_calls: AtCalls | None = None
    strikes: tuple[Strike, ...] = ()
    exclusive: bool = False

    def way(self, situation: Situation) -> Provocation | AtCalls:
        """How it is done in a situation."""
        return self.at_calls if self.at_calls is not None and calls_alone(situation) else self

    def alone(self, situation: Situation) -> bool:
        """Whether nothing else may be under way while it is done."""
        way = self.way(situation)
        return isinstance(way, AtCalls) and way.alone


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPoint:
    """One AWS call of one function while it handles one command, or the boundary of its invocation.

    Attributes:
        function: component name.
        service: endpoint prefix; empty for the invocation itself.
        operation: operation name; empty for the invocation itself.
        nth: which call of that operation, from 1.
        when: ``before`` or ``after`` it took effect.
    """

    function: str
    service: str
    operation: str
    nth: int
    when: str

    def __str__(self) -> str:
        call = f"{self.service}:{self.operation} #{self.nth}" if self.operation else "the handler"
        return f"{self.when} {call} of {self.function}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that one provocation left behind.

    Attributes:
        history: its operations, observations and fault windows.
        submissions: what it submitted, by key.
        dead_letters: the dead letters of its keys, at the end of the provocation.
        notes: facts worth keeping in the verdict, a line each.
        points: fault points that were meant to be visited, with the keys aimed at them.
        sample: the steady-state values it took, where it takes any.
        undecided: what it could not observe to the end.
        open_keys: keys that were not treated as meant, or not seen to the end, so that nothing may be said of them.
        figures: measured values by name; the name carries the unit.
        struck: the step of a saga at which a key was struck, by key.
        executions: those of its keys, with their histories, at the last look.
        logs: its reads of event logs.
        views: its reads of read models.
        broken_plan: the smallest generated plan that broke a promise.
        plan_coverage: what generated plans have visited.
        witnessed: what was seen of an application and its sidecar.
    """

    history: History
    submissions: dict[str, Submission] = field(default_factory=dict)
    dead_letters: tuple[DeadLetterSeen, ...] = ()
    notes: tuple[str, ...] = ()
    points: tuple[tuple[str, FaultPoint], ...] = ()
    sample: Sample | None = None
    undecided: tuple[str, ...] = ()
    open_keys: frozenset[str] = frozenset()
    figures: dict[str, float] = field(default_factory=dict)
    struck: dict[str, str] = field(default_factory=dict)
    executions: tuple[Execution, ...] = ()
    logs: tuple[LogRead, ...] = ()
    views: tuple[ViewRead, ...] = ()
    broken_plan: BrokenPlan | None = None
    plan_coverage: PlanCoverage | None = None
    witnessed: tuple[Witnessed, ...] = ()

    def asked(self, *questions: str, role: str = "") -> tuple[Exchange, ...]:
        """What an application answered to these questions, to all where none is named; in a role where one is named."""
        exchanges = (one for one in self.witnessed if isinstance(one, Exchange))
        return tuple(
            one for one in exchanges if (not questions or one.question in questions) and role in ("", one.role)
        )

    def lives(self, component: str) -> tuple[Life, ...]:
        """Which process a component was whenever that was looked at, in order."""
        return tuple(one for one in self.witnessed if isinstance(one, Life) and one.component == component)

    @property
    def decided_keys(self) -> frozenset[str]:
        """The keys about which something may be said."""
        return frozenset(self.submissions) - self.open_keys

    @property
    def decided(self) -> History:
        """The history without the keys about which nothing may be said."""
        return self.history.without(self.open_keys)

    @property
    def windows(self) -> tuple[FaultWindow, ...]:
        """The fault windows of this provocation."""
        return self.history.windows
