"""Commands in the descriptor: the ways in, without Python.

A command is one call or several in a row (get a presigned URL, then PUT). Every text may hold placeholders; a JSON
text that is one placeholder alone keeps the type of what it stands for.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from holdfast.stack.base import Callable, Expression, Json, ListOf, Name, Part, Template


def _ordered(low: float, high: float, names: str = "min and max") -> None:
    if low > high:
        raise ValueError(f"{names} leave nothing to draw from: {low} is more than {high}")


class IntegerField(Part):
    """A whole number drawn between two bounds."""

    type: Literal["integer"]
    min: int = 0
    max: int = 1_000_000

    @model_validator(mode="after")
    def _drawable(self) -> IntegerField:
        _ordered(self.min, self.max)
        return self


class NumberField(Part):
    """A fraction drawn between two bounds."""

    type: Literal["number"]
    min: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    max: Annotated[float, Field(allow_inf_nan=False)] = 1_000_000.0

    @model_validator(mode="after")
    def _drawable(self) -> NumberField:
        _ordered(self.min, self.max)
        return self


class MoneyField(Part):
    """An amount with two decimals, as text (``"12.50"``) or in the smallest unit (``1250``)."""

    type: Literal["money"]
    min: Annotated[float, Field(allow_inf_nan=False)] = 0.01
    max: Annotated[float, Field(allow_inf_nan=False)] = 9_999.99
    unit: Literal["text", "cents"] = "text"

    @model_validator(mode="after")
    def _drawable(self) -> MoneyField:
        _ordered(*self.cents)
        return self

    @property
    def cents(self) -> tuple[int, int]:
        """Smallest and largest amount within the bounds, in the smallest unit."""
        low = (Decimal(str(self.min)) * 100).to_integral_value(ROUND_CEILING)
        high = (Decimal(str(self.max)) * 100).to_integral_value(ROUND_FLOOR)
        return int(low), int(high)


class EnumField(Part):
    """One of a list."""

    type: Literal["enum"]
    values: Annotated[list[Json], Field(min_length=1)]


class TextField(Part):
    """Free text: letters and digits, and for SF-4 whatever the API must admit."""

    type: Literal["text"]
    min_length: Annotated[int, Field(ge=0)] = 1
    max_length: Annotated[int, Field(ge=0)] = 64
    alphabet: Annotated[
        str, Field(description="The only characters to draw from; empty: SF-4 draws all of Unicode.")
    ] = ""

    @model_validator(mode="after")
    def _drawable(self) -> TextField:
        _ordered(self.min_length, self.max_length, "min_length and max_length")
        return self


class JsonField(Part):
    """Any JSON; SF-4 fills it with deep and large values."""

    type: Literal["json"]
    max_depth: Annotated[int, Field(ge=2, le=64, description="How deep objects and lists nest.")] = 6


class UuidField(Part):
    """A random UUID."""

    type: Literal["uuid"]


class TimestampField(Part):
    """The time of submission, ISO 8601 in UTC."""

    type: Literal["timestamp"]


GeneratedField = Annotated[
    IntegerField | NumberField | MoneyField | EnumField | TextField | JsonField | UuidField | TimestampField,
    Field(discriminator="type"),
]


class Call(Part):
    """What all calls share."""

    save: Annotated[
        dict[Name, Expression],
        Field(
            description="Values for the calls that follow: name = JMESPath on the answer {status, headers, json, text}."
        ),
    ] = Field(default_factory=dict)


class HttpCall(Call):
    """An HTTP request to an API of the stack or to any URL."""

    kind: Literal["http"]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    api: Annotated[Name | None, Field(description="The component (api or function URL) the path belongs to.")] = None
    url: Annotated[Template | None, Field(description="A whole URL, instead of api and path.")] = None
    path: Template = ""
    query: dict[str, Template] = Field(default_factory=dict)
    headers: dict[str, Template] = Field(default_factory=dict)
    json_body: Annotated[Json, Field(alias="json", description="The body as JSON.")] = None
    form: Annotated[dict[str, Template] | None, Field(description="The body as a form.")] = None
    body: Annotated[Template | None, Field(description="The body as text.")] = None
    sigv4: Annotated[str | None, Field(description="Sign for this service, e.g. execute-api.")] = None

    @model_validator(mode="after")
    def _one_address_one_body(self) -> HttpCall:
        if (self.api is None) == (self.url is None):
            raise ValueError("give either api (with path) or url")
        if sum(part is not None for part in (self.json_body, self.form, self.body)) > 1:
            raise ValueError("give one of json, form and body")
        return self


class _Message(Call):
    """What a message carries: a text, or JSON."""

    json_body: Annotated[Json, Field(alias="json", description="The body as JSON.")] = None
    body: Annotated[Template | None, Field(description="The body as text.")] = None

    @model_validator(mode="after")
    def _one_body(self) -> _Message:
        if (self.json_body is None) == (self.body is None):
            raise ValueError("give either json or body")
        return self


class SqsCall(_Message):
    """A message to a queue."""

    kind: Literal["sqs"]
    queue: Name
    attributes: dict[str, Template] = Field(default_factory=dict)
    group_id: Template | None = None
    deduplication_id: Template | None = None


class SnsCall(_Message):
    """A message to a topic."""

    kind: Literal["sns"]
    topic: Name
    attributes: dict[str, Template] = Field(default_factory=dict)
    group_id: Template | None = None
    deduplication_id: Template | None = None


class EventBridgeCall(Call):
    """An event on a bus."""

    kind: Literal["eventbridge"]
    bus: Annotated[Name | None, Field(description="The bus component; the default bus when left out.")] = None
    source: Template
    detail_type: Template
    detail: Json


class LambdaCall(Call):
    """A direct invocation."""

    kind: Literal["lambda"]
    function: Name
    payload: Json
    asynchronous: bool = False


class ExecutionCall(Call):
    """A start of a state machine."""

    kind: Literal["execution"]
    state_machine: Name
    name: Template | None = None
    input: Json
    synchronous: Annotated[
        bool, Field(description="Wait for its end with StartSyncExecution; an Express workflow only.")
    ] = False


class S3Call(_Message):
    """An object put into a bucket, by the API or through a presigned URL that Holdfast makes."""

    kind: Literal["s3"]
    bucket: Name
    object_key: Template
    content_type: str = "application/octet-stream"
    presigned: bool = False


class PythonCall(Call):
    """Your own code: ``callable(context)`` returns a `holdfast.ports.Answer`."""

    kind: Literal["python"]
    callable: Callable


AnyCall = Annotated[
    HttpCall | SqsCall | SnsCall | EventBridgeCall | LambdaCall | ExecutionCall | S3Call | PythonCall,
    Field(discriminator="kind"),
]

StatusSet = Annotated[
    list[Annotated[int, Field(ge=100, le=599)] | Annotated[str, Field(pattern=r"^[1-5]xx$")]],
    Field(description="HTTP statuses, e.g. [200, 202] or ['2xx']."),
]


def _reading(value: Any) -> str:
    return "expression" if isinstance(value, str) else "statuses"


Reading = Annotated[
    Annotated[StatusSet, Tag("statuses")] | Annotated[Expression, Tag("expression")], Discriminator(_reading)
]


def _successes() -> list[int | str] | str:
    return ["2xx"]


def _client_errors() -> list[int | str] | str:
    return ["4xx"]


class Acknowledgement(Part):
    """How to read an answer: acknowledged, refused, and anything else unknown.

    HTTP calls default to 2xx and 4xx (408 apart: the server gave up, which does not mean that it did nothing); AWS
    calls default to success and to client errors. A text is a JMESPath expression on the answer
    ``{status, headers, json, text}``.
    """

    acknowledged: Reading = Field(default_factory=_successes)
    refused: Reading = Field(default_factory=_client_errors)


class Idempotency(Part):
    """Where the key travels, for how long it deduplicates, and what a conflicting payload must get."""

    key_in: Annotated[
        Literal["path", "query", "header", "body", "attribute", "deduplication_id", "execution_name", "object_key"],
        Field(alias="in"),
    ]
    name: Annotated[str, Field(description="Name of the header, field or attribute, for the reader.")] = ""
    window_seconds: Annotated[float, Field(gt=0)] = 86_400.0
    conflict: Annotated[
        Literal["refused", "first-wins", "either"],
        Field(description="The same key with another payload: refused, the first stands, or either of the two, whole."),
    ] = "either"


class Command(Part):
    """One way in."""

    calls: Annotated[ListOf[AnyCall], Field(min_length=1)]
    fields: dict[Name, GeneratedField] = Field(default_factory=dict)
    acknowledgement: Acknowledgement = Acknowledgement()
    idempotency: Idempotency | None = None
    original: Annotated[
        Literal["body", "value"],
        Field(description="What the system must keep: the exact body of the last call, or the value alone."),
    ] = "body"
    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = 10.0
