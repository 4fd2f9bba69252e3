"""Event logs and read models in the descriptor, and the fold that leads from one to the other."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from holdfast.stack.base import Callable, Expression, Name, Part
from holdfast.stack.effects import AnySource

SEEN = "seen"
"""Placeholder of views: the sequence of the last event that the reading session knows of, 0 for none."""


class Log(Part):
    """An event log: its source shows all events of the aggregate that a submission names."""

    source: AnySource
    sequence: Annotated[Expression, Field(description="JMESPath on one event: its place, 1, 2, 3 and so on.")]
    event: Annotated[
        Expression | None, Field(description="JMESPath on one event: its identity; the sequence when left out.")
    ] = None
    command: Annotated[Expression, Field(description="JMESPath on one event: the key of the command it came of.")]


class View(Part):
    """What a read model shows of the aggregate that a submission names: one entry, or none."""

    source: AnySource
    state: Annotated[
        Expression | None,
        Field(description="JMESPath on the entry: what must equal the fold; its names in the entry when left out."),
    ] = None
    version: Annotated[
        Expression | None, Field(description="JMESPath on the entry: the sequence of the last event it has seen.")
    ] = None


class LastFold(Part):
    """The value of the last event that has one."""

    kind: Literal["last"]
    path: Expression
    where: Expression | None = None


class SumFold(Part):
    """The sum of a number over the events."""

    kind: Literal["sum"]
    path: Expression
    where: Expression | None = None
    start: Annotated[float, Field(allow_inf_nan=False, description="Where it stands before the first event.")] = 0.0


class CountFold(Part):
    """How many events there are."""

    kind: Literal["count"]
    where: Annotated[Expression | None, Field(description="Only the events for which this is true.")] = None


class SetFold(Part):
    """The different values of the events, without an order."""

    kind: Literal["set"]
    path: Expression
    where: Expression | None = None


FoldRule = Annotated[LastFold | SumFold | CountFold | SetFold, Field(discriminator="kind")]
Fold = Annotated[
    Annotated[dict[Name, FoldRule], Field(min_length=1), Tag("rules")] | Annotated[Callable, Tag("function")],
    Discriminator(lambda value: "function" if isinstance(value, str) else "rules"),
]
"""State by name, each from the events by a rule; or ``module:function`` that is given the list of events."""


class Removal(Part):
    """How an aggregate is removed: its view is gone after the event, and no older event may bring it back."""

    command: Name
    event: Annotated[Expression, Field(description="JMESPath on one event: true for one that removes the aggregate.")]


class Hook(Part):
    """A command that fills a view from the log, or from a snapshot and the events after it."""

    command: Name
    view: Name


class Sessions(Part):
    """What a client is promised that reads through the query API in a session."""

    read_your_writes: bool = False
    monotonic_reads: bool = False
