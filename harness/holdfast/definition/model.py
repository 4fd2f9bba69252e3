"""A state machine in the Amazon States Language, as far as control flow, timeouts, retriers and catchers go.

JSONPath and JSONata differ in how data are named, not in where an execution can go, so one model serves both.
Source: the specification, states-language.net/spec.html, and docs.aws.amazon.com/step-functions/latest/dg.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The types of states."""

    TASK = "Task"
    PASS = "Pass"  # noqa: S105 - a state's type
    CHOICE = "Choice"
    WAIT = "Wait"
    SUCCEED = "Succeed"
    FAIL = "Fail"
    PARALLEL = "Parallel"
    MAP = "Map"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrier:
    """One entry of ``Retry``.

    Attributes:
        errors: the error names it retries.
        line: its line.
        maximum_attempts: retries after the first attempt.
        interval_seconds: wait before the first retry.
        backoff_rate: what each wait is multiplied by.
        maximum_delay_seconds: longest wait; None is unlimited.
    """

    errors: tuple[str, ...]
    line: int
    maximum_attempts: int = 3
    interval_seconds: float = 1
    backoff_rate: float = 2
    maximum_delay_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Catcher:
    """One entry of ``Catch``: the error names it catches, its line, and the state it goes to."""

    errors: tuple[str, ...]
    line: int
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a Task does.

    Attributes:
        resource: the ``Resource`` as written.
        action: service and action, e.g. ``dynamodb:putItem``; empty when unknown.
        subject: what it acts on: a function's name, a table, a queue; empty when the definition does not say.
        starts: the state machine it starts and waits for, as written; empty when it does none.
        has_timeout: whether ``TimeoutSeconds`` or ``TimeoutSecondsPath`` is there.
        has_heartbeat: whether ``HeartbeatSeconds`` or ``HeartbeatSecondsPath`` is there.
        timeout_seconds: the timeout when it is a number; None when it is missing or known at run time only.
    """

    resource: str
    action: str = ""
    subject: str = ""
    starts: str = ""
    has_timeout: bool = False
    has_heartbeat: bool = False
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One state.

    Attributes:
        id: its name; of a state of a nested machine, the names of the tasks that start it and its own, with ``/``.
        file: the file it is written in.
        line: its line there.
        kind: its type.
        next: the next state; None when it ends its flow or chooses.
        choices: where a Choice can go, ``Default`` last.
        retriers: its ``Retry``, in order.
        catchers: its ``Catch``, in order.
        flows: the branches of a Parallel, the one of a Map, or the machine that a Task starts and waits for, if known.
        work: what a Task does; None for other types.
        error: the error name of a Fail; empty when it has none or it is known at run time only.
        wait_seconds: how long a Wait waits; None when it is no Wait, or known at run time only.
        may_match_nothing: whether a Choice has no ``Default``, and so fails when no rule matches.
        tolerates_failures: whether a Map may succeed although items failed.
    """

    id: str
    file: str
    line: int
    kind: Kind
    next: str | None = None
    choices: tuple[str, ...] = ()
    retriers: tuple[Retrier, ...] = ()
    catchers: tuple[Catcher, ...] = ()
    flows: tuple[Flow, ...] = ()
    work: Work | None = None
    error: str = ""
    wait_seconds: float | None = None
    may_match_nothing: bool = False
    tolerates_failures: bool = False

    @property
    def name(self) -> str:
        """Its name in its own machine."""
        return self.id.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """States that run one after another: a machine's, a branch's or an item's; not those inside one of them.

    Attributes:
        start: id of the first.
        states: all of them, in the order of the text.
        express: whether they run as an Express workflow of their own: a nested machine, or the items of a Map.
    """

    start: str
    states: tuple[State, ...]
    express: bool = False

    def walk(self) -> Iterator[State]:
        """Every state, also those inside, in the order of the text."""
        for state in self.states:
            yield state
            for flow in state.flows:
                yield from flow.walk()


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A state machine.

    Attributes:
        name: what it is called: the file's name without endings, or the logical id in its template.
        file: where it is written.
        line: the line it begins on.
        flow: its states.
        express: whether it is an Express workflow; None when that is not known.
        timeout_seconds: the time after which an execution ends; None when there is none.
        aliases: other names that ``startExecution`` may know it by.
    """

    name: str
    file: str
    line: int
    flow: Flow
    express: bool | None = None
    timeout_seconds: float | None = None
    aliases: tuple[str, ...] = ()
