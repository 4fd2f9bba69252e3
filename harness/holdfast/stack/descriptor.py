"""The stack descriptor, ``NAME.stack.toml``: which patterns a stack claims and how to talk to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, model_validator

from holdfast.stack.base import Expression, Json, ListOf, Name, Part, Template
from holdfast.stack.commands import Command
from holdfast.stack.components import Channel, Component
from holdfast.stack.effects import AnySource, DeadLetters, Effect, Status
from holdfast.stack.logs import Log, View
from holdfast.stack.marked import Known, Marked
from holdfast.stack.patterns import Pattern, PatternName, Patterns
from holdfast.targets.base import TargetKind

Mark = Annotated[
    str,
    Field(
        pattern=r"^[^\s.\[\]{}*'\"]+(\.[^\s.\[\]{}*'\"]+)*$",
        description="The name of a field of JSON, or names joined by dots, e.g. customer.ssn.",
    ),
]
ClauseId = Annotated[str, Field(pattern=r"^(ES|SG|SF|CQ|SC|XX)-\d+$")]


class AwsPin(Part):
    """The one account and region that may be touched; nothing runs on AWS without it."""

    account: Annotated[str, Field(pattern=r"^\d{12}$")]
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    profile: str | None = None


class TargetDefaults(Part):
    """Where the stack is tested when the command line does not say."""

    default: TargetKind = "embedded"
    localstack_endpoint: str | None = None
    intercept: Annotated[
        bool,
        Field(description="On LocalStack: point the functions at an interceptor here while `holdfast verify` runs."),
    ] = False
    aws: AwsPin | None = None


class Deployment(Part):
    """A template with its code that ``--deploy`` packages and deploys, and removes afterwards."""

    template: Annotated[str, Field(description="CloudFormation, SAM or `cdk synth` output; beside the descriptor.")]
    parameters: dict[str, Template] = Field(default_factory=dict)


class Bounds(Part):
    """What the stack declares about itself; every figure is checked, none is guessed."""

    effect_seconds: Annotated[float, Field(gt=0, description="From acknowledgement to effect, faults healed.")] = 60.0
    redelivery_seconds: Annotated[
        float,
        Field(
            gt=0,
            description="Longest wait for all deliveries of a failing request; where limits and visibility timeouts "
            "allow more, what rests on redeliveries is inconclusive.",
        ),
    ] = 300.0
    read_after_ack_seconds: Annotated[float, Field(ge=0)] = 0.0
    acknowledgement_ratio: Annotated[
        float, Field(gt=1, description="Ack p99 with compute dead over without, SF-3.")
    ] = 3.0
    acknowledgement_floor_seconds: Annotated[
        float, Field(ge=0, description="Acknowledgements up to this are fine whatever their ratio: SF-3, CQ-6, XX-1.")
    ] = 0.5
    in_progress_expiry_seconds: Annotated[float, Field(gt=0, description="ES-15.")] = 60.0
    recovery_seconds: Annotated[float, Field(gt=0, description="To the steady state after healing, XX-1.")] = 120.0
    longest_outage_seconds: Annotated[float, Field(gt=0, description="SF-9 and CQ-11.")] = 86_400.0
    staleness_seconds: Annotated[
        float, Field(gt=0, description="How long what a read model shows may miss an acknowledged write, CQ-1.")
    ] = 10.0
    other_side_ratio: Annotated[
        float, Field(gt=1, description="p99 of reads with writes down over without, and the other way round, CQ-6.")
    ] = 3.0
    drain_seconds: Annotated[float, Field(gt=0, description="To work off a burst, SF-8.")] = 120.0
    saga_seconds: Annotated[
        float, Field(gt=0, description="From the start of a saga to its end, all retries included, SG-10.")
    ] = 120.0
    worker_concurrency: Annotated[int | None, Field(description="The most workers at once, SF-8 and XX-2.")] = None
    burst: Annotated[int, Field(gt=0, description="Commands in a burst.")] = 40
    max_body_bytes: Annotated[int, Field(gt=0, description="Largest body the API admits, SF-4.")] = 262_144


class Stop(Part):
    """What ends a run before its end, with every fault healed."""

    alarm: Annotated[str | None, Field(description="CloudWatch alarm; in state ALARM it ends the run.")] = None
    error_rate: Annotated[
        float | None,
        Field(ge=0, lt=1, description="More than this share of the last commands without an answer, or with a 5xx."),
    ] = None
    over_commands: Annotated[int, Field(gt=0, description="How many commands error_rate looks back on.")] = 50
    commands: Annotated[int | None, Field(gt=0, description="The most commands that a run may send.")] = None


class LoadBounds(Part):
    """What a load run must keep beside its clauses; a figure that is left out is measured and not judged."""

    p95_ms: Annotated[
        float | None, Field(gt=0, description="95th percentile of latency from the intended time, outside faults.")
    ] = None
    p99_ms: Annotated[float | None, Field(gt=0, description="99th percentile, likewise.")] = None
    p99_ms_in_faults: Annotated[
        float | None, Field(gt=0, description="99th percentile of what was intended while a fault was in place.")
    ] = None
    error_share: Annotated[
        float | None, Field(ge=0, le=1, description="Share of operations outside faults that were not acknowledged.")
    ] = None
    goodput_per_second: Annotated[
        float | None, Field(gt=0, description="The fewest acknowledged operations per second, over the whole run.")
    ] = None
    recovery_seconds: Annotated[
        float | None, Field(gt=0, description="From the end of each fault until latency and success are as before.")
    ] = None
    drain_seconds: Annotated[
        float | None, Field(gt=0, description="From the end of the load until queues and functions are at rest.")
    ] = None
    look_seconds: Annotated[
        float, Field(gt=0, description="How long keys are looked at one by one, where they cannot be counted at once.")
    ] = 600.0
    prices: Annotated[
        str | None, Field(description="A price table beside the descriptor, in place of the one that comes along.")
    ] = None
    calls_per_command: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z0-9-]+:[A-Za-z]+$")], Annotated[float, Field(ge=0)]],
        Field(
            description="For the price where no interceptor counts: AWS calls behind one command, e.g. from the report "
            "of a local run."
        ),
    ] = Field(default_factory=dict)


class SeedItem(Part):
    """A row or an object to put before a run."""

    table: Name | None = None
    item: dict[str, Json] | None = None
    bucket: Name | None = None
    object_key: Template | None = None
    body: Template | None = None

    @model_validator(mode="after")
    def _whole(self) -> SeedItem:
        row, stored = (self.table, self.item), (self.bucket, self.object_key, self.body)
        if not (all(part is not None for part in row) != all(part is not None for part in stored)):
            raise ValueError("give table and item, or bucket, object_key and body")
        return self


class Conserved(Part):
    """A quantity whose total never changes: the sum of a path over the entries of an effect port's sources."""

    effect: Name
    path: Expression
    total: float | None = None
    minimum: Annotated[float | None, Field(description="No entry may ever be below this, e.g. 0 for a stock.")] = None


class SpecialInput(Part):
    """Generated fields with given values that make a command refused, or impossible to process."""

    fields: Annotated[dict[Name, Json], Field(min_length=1)]
    why: str = ""


class BusinessFailure(SpecialInput):
    """Generated fields with given values that one step of a saga refuses for good, as business does."""

    step: Annotated[Name, Field(description="The step that refuses them.")]


class MetBy(Part):
    """A clause that is met another way than the suite's default."""

    how: Literal["dead-letter", "group-order", "token-reads"]
    reason: Annotated[str, Field(min_length=1)]


class Descriptor(Part):
    """One stack: what it claims, how to talk to it, what may be broken."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
    description: str = ""
    cloudformation: Annotated[str | None, Field(description="Name of the deployed CloudFormation stack.")] = None
    target: TargetDefaults = TargetDefaults()
    deploy: Deployment | None = None
    components: dict[Name, Component] = Field(default_factory=dict)
    channels: dict[Name, Channel] = Field(default_factory=dict)
    commands: Annotated[dict[Name, Command], Field(min_length=1)]
    effects: dict[Name, Effect] = Field(default_factory=dict)
    statuses: dict[Name, Status] = Field(default_factory=dict)
    dead_letters: dict[Name, DeadLetters] = Field(default_factory=dict)
    logs: dict[Name, Log] = Field(default_factory=dict)
    views: dict[Name, View] = Field(default_factory=dict)
    claims: Annotated[Patterns, Field(alias="patterns")]
    bounds: Bounds = Bounds()
    stop: Stop = Stop()
    load: LoadBounds = LoadBounds()
    seed: ListOf[SeedItem] = Field(default_factory=list)
    conserved: dict[Name, Conserved] = Field(default_factory=dict)
    refused: Annotated[ListOf[SpecialInput], Field(description="Inputs that must be refused.")] = Field(
        default_factory=list
    )
    impossible: Annotated[
        ListOf[SpecialInput], Field(description="Inputs that are accepted and can never succeed (poison).")
    ] = Field(default_factory=list)
    business_failures: Annotated[
        ListOf[BusinessFailure],
        Field(description="Inputs that a step of a saga refuses, so that it compensates."),
    ] = Field(default_factory=list)
    contended: Annotated[
        ListOf[SpecialInput], Field(description="Inputs whose sagas meet on one scarce resource (SG-9, SG-16).")
    ] = Field(default_factory=list)
    waive: Annotated[dict[ClauseId, Annotated[str, Field(min_length=1)]], Field(description="Clause = reason.")] = (
        Field(default_factory=dict)
    )
    met_by: dict[ClauseId, MetBy] = Field(default_factory=dict)
    secret_fields: Annotated[
        ListOf[Mark],
        Field(description="Fields of commands, answers and of what ports read, whose values are never shown."),
    ] = Field(default_factory=list)
    _secrets: frozenset[str] = PrivateAttr(default=frozenset())
    _known: Known = PrivateAttr(default_factory=Known)

    @cached_property
    def patterns(self) -> Mapping[PatternName, Pattern]:
        """The patterns that are claimed, by name."""
        return self.claims.claimed()

    @property
    def sources(self) -> Iterator[AnySource]:
        """Every source that a port of any kind reads."""
        for effect in self.effects.values():
            yield from effect.sources
            if effect.listing is not None:
                yield effect.listing.source
        yield from (status.source for status in self.statuses.values())
        yield from (log.source for log in self.logs.values())
        yield from (view.source for view in self.views.values())

    @cached_property
    def marked(self) -> Marked:
        """The fields that are marked as secret; it knows the values that the descriptor itself gives them."""
        marked = Marked(self.secret_fields, self.commands, self._known)
        marked.learn([item.item for item in self.seed])
        marked.learn([item.body for item in self.seed])
        for special in (*self.refused, *self.impossible, *self.business_failures, *self.contended):
            marked.learn_fields(special.fields)
        return marked

    @property
    def secrets(self) -> frozenset[str]:
        """Values that came from ``${ENV}``; they are never shown."""
        return self._secrets

    def with_secrets(self, secrets: frozenset[str]) -> Descriptor:
        """The same descriptor that knows its secrets."""
        known = self.model_copy()
        known._secrets = secrets  # noqa: SLF001 - of its own copy
        return known
