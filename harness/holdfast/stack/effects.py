"""Effects in the descriptor: the ways out. An effect is counted, never merely seen."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from holdfast.stack.base import Callable, Expression, Json, ListOf, Name, Part, Template


class Source(Part):
    """What all sources share.

    ``value``, ``body`` and ``order`` are JMESPath expressions on one entry: a DynamoDB item as plain JSON, a message's
    JSON body (or the text itself), an object's JSON, an HTTP answer's JSON.
    """

    value: Annotated[Expression | None, Field(description="Where one entry shows the command's value.")] = None
    body: Annotated[Expression | None, Field(description="Where one entry shows the whole original payload.")] = None
    order: Annotated[Expression | None, Field(description="Where one entry shows its place in the order.")] = None
    where: Annotated[Expression | None, Field(description="Count only entries for which this is true.")] = None


def _not_zero(step: float | str) -> float | str:
    if step == 0:
        raise ValueError("one effect must add something, so step is not 0")
    return step


Number = Annotated[float, Field(allow_inf_nan=False)] | Template
"""A number, or a template that renders to one, e.g. ``"{amount}"``."""
Step = Annotated[Number, AfterValidator(_not_zero), Field(description="What one effect adds.")]


class ItemsMeasure(Part):
    """One effect per entry."""

    kind: Literal["items"] = "items"


class PresenceMeasure(Part):
    """One effect when the attribute is there (and equal, where a value is given)."""

    kind: Literal["attribute"]
    path: Expression
    equals: Json = None


class DeltaMeasure(Part):
    """The number at a path less where it stood before the command, divided by what one effect adds."""

    kind: Literal["delta"]
    path: Expression
    start: Annotated[Number, Field(description="Where it stands before the command.")] = 0.0
    step: Step = 1.0


class MembershipMeasure(Part):
    """How often an element stands in the set, list or map at a path."""

    kind: Literal["member"]
    path: Expression
    element: Template = "{key}"


class SumMeasure(Part):
    """The sum of a number over all entries, divided by what one effect adds."""

    kind: Literal["sum"]
    path: Expression
    step: Step = 1.0


Measure = Annotated[
    ItemsMeasure | PresenceMeasure | DeltaMeasure | MembershipMeasure | SumMeasure, Field(discriminator="kind")
]


class DynamoGetSource(Source):
    """One item by its primary key."""

    kind: Literal["dynamodb-get"]
    table: Name
    item_key: Annotated[dict[str, Json], Field(description="Primary key attributes, templates allowed.")]
    measure: Measure = ItemsMeasure()


class DynamoQuerySource(Source):
    """Items of one partition, by sort-key prefix, in a table or an index."""

    kind: Literal["dynamodb-query"]
    table: Name
    index: str | None = None
    partition: Annotated[dict[str, Json], Field(min_length=1, max_length=1, description="{attribute = template}")]
    sort_prefix: Annotated[dict[str, Template], Field(max_length=1)] = Field(default_factory=dict)
    measure: Measure = ItemsMeasure()


class S3ObjectSource(Source):
    """One object, its bytes or its JSON."""

    kind: Literal["s3-object"]
    bucket: Name
    object_key: Template
    content: Annotated[
        Literal["bytes", "json"], Field(description="bytes: the body is the object itself; json: value and body apply.")
    ] = "bytes"


class S3PrefixSource(Source):
    """All objects under a prefix; one effect each."""

    kind: Literal["s3-prefix"]
    bucket: Name
    prefix: Template
    content: Literal["bytes", "json"] = "bytes"


class SqsMessagesSource(Source):
    """Messages on a queue that belong to the key; read without taking them away where the target allows it."""

    kind: Literal["sqs-messages"]
    queue: Name
    match: Annotated[Expression, Field(description="JMESPath on the message body that must equal the key template.")]
    equals: Template = "{key}"


class HttpSource(Source):
    """An HTTP answer."""

    kind: Literal["http"]
    api: Name | None = None
    url: Template | None = None
    method: Literal["GET", "POST"] = "GET"
    path: Template = ""
    query: dict[str, Template] = Field(default_factory=dict)
    headers: dict[str, Template] = Field(default_factory=dict)
    sigv4: str | None = None
    entries: Annotated[
        Expression, Field(description="JMESPath on the JSON answer: a list of entries, one entry, null or a number.")
    ] = "@"
    absent: Annotated[ListOf[int], Field(description="Statuses that mean no effect.")] = Field(
        default_factory=lambda: [404]
    )

    @model_validator(mode="after")
    def _one_address(self) -> HttpSource:
        if (self.api is None) == (self.url is None):
            raise ValueError("give either api (with path) or url")
        return self


class PythonSource(Source):
    """Your own code: ``callable(context)`` returns a list of entries."""

    kind: Literal["python"]
    callable: Callable


def _reads(query: str) -> str:
    if _READING_QUERY.match(query) is None:
        raise ValueError("a source only reads, so its query begins with SELECT or WITH")
    return query


_READING_QUERY = re.compile(r"\s*(SELECT|WITH)\b", re.IGNORECASE)
SqlQuery = Annotated[
    str, AfterValidator(_reads), Field(description="A query with named parameters, e.g. WHERE account = :account.")
]
SqlParameters = Annotated[dict[Name, Json], Field(description="The query's parameters by name, templates allowed.")]


class SqlSource(Source):
    """Rows of a SQL database, read through SQLAlchemy; a row is an object of its columns."""

    kind: Literal["sql"]
    url: Annotated[Template, Field(description="SQLAlchemy URL; a relative SQLite file is beside the descriptor.")]
    query: SqlQuery
    parameters: SqlParameters = Field(default_factory=dict)
    measure: Measure = ItemsMeasure()


class RdsDataSource(Source):
    """Rows of an Aurora cluster, read through the RDS Data API; a row is an object of its columns."""

    kind: Literal["rds-data"]
    cluster: Name
    secret: Annotated[Template, Field(description="ARN of the secret with the credentials.")]
    database: Template | None = None
    query: SqlQuery
    parameters: SqlParameters = Field(default_factory=dict)
    measure: Measure = ItemsMeasure()


class KinesisSource(Source):
    """Records of a Kinesis stream that belong to the key, from the oldest that is kept."""

    kind: Literal["kinesis"]
    stream: Name
    match: Annotated[Expression, Field(description="JMESPath on the record's JSON that must equal the template.")]
    equals: Template = "{key}"
    measure: Measure = ItemsMeasure()


MEASURED = (DynamoGetSource, DynamoQuerySource, SqlSource, RdsDataSource, KinesisSource)
"""Sources that count by a measure."""


AnySource = Annotated[
    DynamoGetSource
    | DynamoQuerySource
    | S3ObjectSource
    | S3PrefixSource
    | SqsMessagesSource
    | HttpSource
    | PythonSource
    | SqlSource
    | RdsDataSource
    | KinesisSource,
    Field(discriminator="kind"),
]


class Listing(Part):
    """One read that shows the effects of all keys: each entry is one effect of the key that it names."""

    source: Annotated[AnySource, Field(description="Read once; its templates know no key.")]
    key: Annotated[Expression, Field(description="JMESPath on one entry: the key whose effect it is.")]


class Effect(Part):
    """One countable effect; several sources are combined.

    ``sum`` adds the counts; ``all`` takes the smallest (the effect is there when every source shows it) and reports
    the largest as the count when any source shows more than one.
    """

    sources: Annotated[ListOf[AnySource], Field(min_length=1)]
    combine: Literal["sum", "all"] = "sum"
    listing: Annotated[
        Listing | None,
        Field(description="For load: where the effects of all keys are listed; tables, buckets and queues need none."),
    ] = None


class Status(Part):
    """What the system itself reports about one command."""

    source: AnySource
    state: Expression
    done: Annotated[ListOf[str], Field(min_length=1, description="States that claim the effect is there.")]
    failed: Annotated[ListOf[str], Field(description="States that claim it never will be.")] = Field(
        default_factory=list
    )
    pending: Annotated[ListOf[str], Field(description="States on the way.")] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_meaning_each(self) -> Status:
        states = [*self.done, *self.failed, *self.pending]
        twice = sorted({state for state in states if states.count(state) > 1})
        if twice:
            raise ValueError("a state is in more than one of done, failed and pending")
        return self


class DeadLetters(Part):
    """Where requests go that cannot be processed, and how the key and the original are found in them."""

    queue: Name | None = None
    bucket: Name | None = None
    key: Annotated[Expression, Field(description="JMESPath on {body, json, attributes} of one dead letter.")]
    original: Annotated[
        Expression | None,
        BeforeValidator(lambda value: None if value == "" else value, json_schema_input_type=str | None),
        Field(description='JMESPath to the original payload, as text; "": not in it, judged from the stored original.'),
    ] = "body"

    @model_validator(mode="after")
    def _one_place(self) -> DeadLetters:
        if (self.queue is None) == (self.bucket is None):
            raise ValueError("give either queue or bucket")
        return self
