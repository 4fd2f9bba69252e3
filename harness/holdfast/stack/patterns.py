"""The patterns a stack can claim, each with the ports and components that play its parts."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from holdfast.stack.base import Expression, ListOf, Name, Part, Template
from holdfast.stack.logs import Fold, Hook, Removal, Sessions
from holdfast.stack.sidecar import SidecarBounds

PatternName = Literal["external-storage", "storage-first", "saga", "cqrs", "sidecar"]
CLAUSES: dict[PatternName, tuple[str, int]] = {
    "external-storage": ("ES", 16),
    "storage-first": ("SF", 10),
    "saga": ("SG", 16),
    "cqrs": ("CQ", 11),
    "sidecar": ("SC", 12),
}
"""Prefix and number of the clauses of each pattern."""
CROSS_CUTTING_CLAUSES = ("XX", 2)
"""Prefix and number of the clauses that every pattern has."""


class Ordering(Part):
    """The order that is promised within a group."""

    group: Annotated[Name, Field(description="The command's field that names the group.")]


class Pattern(Part):
    """A pattern the stack claims, with the ports and components that play its parts."""

    command: Name
    effect: Name
    workers: Annotated[ListOf[Name], Field(description="Functions that process what was stored.")] = Field(
        default_factory=list
    )
    ingest: Annotated[
        ListOf[Name], Field(description="Functions that take the request in; empty for direct integrations.")
    ] = Field(default_factory=list)
    store: Annotated[Name | None, Field(description="The component in which a request is stored first.")] = None
    stored: Annotated[Name | None, Field(description="The effect port that shows the stored original.")] = None
    storage_roles: Annotated[
        ListOf[Name], Field(description="Roles whose right to write the store is denied to provoke ES-11 and SF-2.")
    ] = Field(default_factory=list)
    status: Name | None = None
    dead_letters: Name | None = None
    message: Annotated[Name | None, Field(description="Outbox: the effect port that shows the outgoing message.")] = (
        None
    )
    row: Annotated[Name | None, Field(description="Outbox: the effect port that shows the business row.")] = None
    order: Ordering | None = None
    strong_reads: Annotated[
        bool, Field(description="A read after the acknowledgement must return the write (ES-10).")
    ] = False
    read: Annotated[Name | None, Field(description="The effect port that ES-10 reads.")] = None

    @property
    def counted(self) -> tuple[str, ...]:
        """The effect ports that are counted for every key of a load run, each once."""
        return (self.effect,)


class Compensation(Part):
    """What undoes a step."""

    state: Annotated[str | None, Field(description="Its state in the state machine's definition.")] = None
    function: Annotated[Name | None, Field(description="The function that does it.")] = None


class SagaStep(Part):
    """One step of a saga: its effect, who does it, and what undoes it.

    With ``undone``, ``effect`` counts how often the step was done and ``undone`` how often it was undone, as two kinds
    of entries in a ledger do; without it, ``effect`` shows what is left, as a row that is deleted or a flag does.
    """

    name: Name
    effect: Annotated[Name, Field(description="The effect port that counts it.")]
    undone: Annotated[Name | None, Field(description="The effect port that counts its compensations.")] = None
    state: Annotated[str | None, Field(description="Its state in the state machine's definition.")] = None
    function: Annotated[
        Name | None,
        Field(description="The function that does it; none where the state machine calls a service."),
    ] = None
    compensation: Annotated[Compensation | None, Field(description="What undoes it; none after the pivot.")] = None
    after: Annotated[
        ListOf[Name] | None,
        Field(description="Steps it comes after; the one before it when left out, [] for none."),
    ] = None
    idempotent: Annotated[bool, Field(description="Done twice with the same input, it takes effect once.")] = True


class SagaPattern(Pattern):
    """A saga: steps that are all done, or all undone (Garcia-Molina & Salem, 1987)."""

    state_machine: Annotated[
        Name | None, Field(description="The orchestrating state machine; none for choreography.")
    ] = None
    steps: Annotated[
        list[SagaStep], Field(description="In their order; derived from the state machine's definition when left out.")
    ] = Field(default_factory=list)
    pivot: Annotated[
        Name | None, Field(description="The step after which the saga only goes forward; none when all can be undone.")
    ] = None
    compensation_order: Annotated[
        Literal["reverse", "any"], Field(description="reverse: a step is undone before those it came after.")
    ] = "reverse"
    lock: Annotated[
        Name | None, Field(description="The effect port of a semantic lock; no saga may leave one when it has ended.")
    ] = None
    reads: Annotated[
        Name | None,
        Field(description="The effect port whose entries show, as value, the keys of sagas whose effects were read."),
    ] = None

    def model_post_init(self, _: object, /) -> None:
        """Take the functions of the steps and compensations for the workers, where none are named."""
        if not self.workers:
            named = [step.function for step in self.steps]
            named += [step.compensation.function for step in self.steps if step.compensation is not None]
            self.workers.extend(dict.fromkeys(function for function in named if function is not None))

    @model_validator(mode="after")
    def _consistent(self) -> SagaPattern:
        names = [step.name for step in self.steps]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two steps are named {twice[0]}")
        if self.pivot is not None and self.steps and self.pivot not in names:
            raise ValueError(f"the pivot {self.pivot} is none of the steps {', '.join(names)}")
        for index, step in enumerate(self.steps):
            for name in step.after or ():
                if name not in names[:index]:
                    raise ValueError(f"the step {step.name} comes after {name}, which is no step before it")
        if self.state_machine is None and not self.steps:
            raise ValueError("name the state_machine, or list the steps of a choreography")
        return self

    @property
    def of_steps(self) -> tuple[str, ...]:
        """The effect ports that count steps and compensations, each once."""
        named = (port for step in self.steps for port in (step.effect, step.undone))
        return tuple(dict.fromkeys(port for port in named if port is not None))

    @property
    def counted(self) -> tuple[str, ...]:
        """The effect ports that are counted for every key of a load run, each once."""
        return tuple(dict.fromkeys((self.effect, *self.of_steps)))

    def ports(self) -> tuple[str, ...]:
        """The effect ports that tell what has become of one saga, each once."""
        return tuple(dict.fromkeys(port for port in (*self.of_steps, self.lock, self.reads) if port is not None))

    def predecessors(self) -> Mapping[str, frozenset[str]]:
        """For each step all steps that come before it, by name; steps in no such relation may overlap."""
        direct = {later.name: [earlier.name] for earlier, later in pairwise(self.steps)}
        found: dict[str, frozenset[str]] = {}
        for step in self.steps:
            before = direct.get(step.name, []) if step.after is None else step.after
            found[step.name] = frozenset(before).union(*(found[name] for name in before))
        return found

    def after_pivot(self, step: str) -> bool:
        """Whether a step comes after the pivot, so that its failure must not lead back."""
        return self.pivot is not None and self.pivot in self.predecessors()[step]


class CqrsPattern(Pattern):
    """Commands that append events to a log, from which read models are projected; ``effect`` counts a command's."""

    aggregate: Annotated[Name, Field(description="The command's field that names the aggregate.")]
    log: Annotated[Name, Field(description="The log, a table in [logs].")]
    view: Annotated[Name, Field(description="The read store itself, a table in [views].")]
    fold: Annotated[Fold, Field(description="From the events of an aggregate to the state that the view shows.")]
    query: Annotated[
        Name | None, Field(description="A view through the query API, for sessions; view itself when left out.")
    ] = None
    read_store: Annotated[Name | None, Field(description="The component that holds the view.")] = None
    read_roles: Annotated[
        ListOf[Name], Field(description="Roles whose right on the read store is denied to provoke CQ-6.")
    ] = Field(default_factory=list)
    removal: Annotated[Removal | None, Field(description="How an aggregate is removed, if it can be.")] = None
    rebuild: Annotated[Hook | None, Field(description="Fills an empty view from the log.")] = None
    snapshot: Annotated[Hook | None, Field(description="Takes a snapshot; its view is snapshot and tail.")] = None
    sessions: Annotated[Sessions, Field(description="What is promised to a client in a session.")] = Sessions()

    @property
    def reads(self) -> str:
        """The view that clients read."""
        return self.query or self.view

    @property
    def views(self) -> tuple[str, ...]:
        """Every view that the pattern names, each once."""
        hooks = (hook.view for hook in (self.rebuild, self.snapshot) if hook is not None)
        return tuple(dict.fromkeys((self.view, self.reads, *hooks)))


class SidecarPattern(Pattern):
    """An application whose state a companion process manages; ``read`` asks the application for it over HTTP."""

    application: Annotated[Name, Field(description="The component that clients talk to.")]
    sidecar: Annotated[Name, Field(description="The component beside it.")]
    channel: Annotated[Name | None, Field(description="The channel between them, a table in [channels].")] = None
    liveness: Annotated[Template, Field(description="URL at which the application says that it is alive.")]
    readiness: Annotated[
        Template | None, Field(description="URL at which it says that it is ready to serve, its sidecar included.")
    ] = None
    behind: Annotated[
        Name | None,
        Field(description="A command that writes into the store behind the sidecar, for a key that is there already."),
    ] = None
    degraded: Annotated[
        Expression | None,
        Field(description="JMESPath on {status, headers, json, text}: true for an answer that is not the usual one."),
    ] = None
    outage_statuses: Annotated[
        ListOf[int], Field(min_length=1, description="Statuses that tell a client clearly to try again later.")
    ] = Field(default_factory=lambda: [429, 502, 503, 504])
    drained_to: Annotated[
        Literal["store", "log"],
        Field(description="Where acknowledged work is when the sidecar has ended in order: stored, or in its own log."),
    ] = "store"
    bounds: SidecarBounds = SidecarBounds()


class Patterns(Part):
    """The patterns a stack claims; at least one."""

    external_storage: Annotated[Pattern | None, Field(alias="external-storage")] = None
    storage_first: Annotated[Pattern | None, Field(alias="storage-first")] = None
    saga: SagaPattern | None = None
    cqrs: CqrsPattern | None = None
    sidecar: SidecarPattern | None = None

    @model_validator(mode="after")
    def _some(self) -> Patterns:
        if not self.claimed():
            raise ValueError(f"claim at least one of {', '.join(CLAUSES)}")
        return self

    def claimed(self) -> Mapping[PatternName, Pattern]:
        """Those that are claimed, by name."""
        known: dict[PatternName, Pattern | None] = {
            "external-storage": self.external_storage,
            "storage-first": self.storage_first,
            "saga": self.saga,
            "cqrs": self.cqrs,
            "sidecar": self.sidecar,
        }
        return {name: pattern for name, pattern in known.items() if pattern is not None}
