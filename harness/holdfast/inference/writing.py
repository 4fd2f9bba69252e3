"""A first descriptor as text: commented, with what could not be found out marked ``FILL IN``. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.inference import writing_beside, writing_saga
from holdfast.inference.evidence import Effect, Folding, Status, snake
from holdfast.inference.inventory import Inventory, Route
from holdfast.inference.learning import Row, Trial, upload_link
from holdfast.inference.patterns import Parts
from holdfast.inference.sample import FIELD_ALPHABET, FIELD_LENGTH, Sample
from holdfast.inference.serving import Served, live_route
from holdfast.inference.steps import NOTHING_TOLD, FoundStep, Told
from holdfast.inference.toml import MARK, toml
from holdfast.stack.descriptor import AwsPin

_TYPES = {
    "AWS::Lambda::Function": "function",
    "AWS::SQS::Queue": "queue",
    "AWS::DynamoDB::Table": "table",
    "AWS::S3::Bucket": "bucket",
    "AWS::SNS::Topic": "topic",
    "AWS::Events::EventBus": "bus",
    "AWS::Events::Rule": "rule",
    "AWS::ApiGateway::RestApi": "api",
    "AWS::ApiGatewayV2::Api": "api",
    "AWS::StepFunctions::StateMachine": "state_machine",
    "AWS::Kinesis::Stream": "stream",
    "AWS::IAM::Role": "role",
}
_BODY = "{key} is its idempotency key, {value} a text that its effect shows"
_SUFFIXES = ("function", "lambda", "queue", "table", "bucket", "topic", "machine", "role")


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What trials have shown.

    Attributes:
        good: a command that went well.
        effects: where commands leave entries.
        status: where their state is shown; None for nowhere.
        steps: of a saga, in order.
        pivot: the last step at which a saga turns back; empty for none.
        view: the route that shows the view of an aggregate, where no table does; None for none.
        folding: how a view comes from the log; None where there is none.
        served: what an application with a sidecar says of itself; None for another pattern.
    """

    good: Trial
    effects: tuple[Effect, ...]
    status: Status | None = None
    steps: tuple[FoundStep, ...] = ()
    pivot: str = ""
    view: Route | None = None
    folding: Folding | None = None
    served: Served | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a descriptor comes from.

    Attributes:
        name: of the stack.
        template: path of the template, relative to the descriptor; empty for a deployed stack.
        cloudformation: name of the deployed stack; empty for a template.
        target: where it is deployed; empty for a template.
        pin: the account and region on AWS; None elsewhere.
        parameters: of the template.
        seeds: rows that were put, by the table's logical id.
    """

    name: str
    template: str = ""
    cloudformation: str = ""
    target: str = ""
    pin: AwsPin | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    seeds: Sequence[tuple[str, Row]] = ()


def descriptor(
    origin: Origin,
    there: Inventory,
    parts: Parts,
    sample: Sample | None,
    known: Knowledge | None,
    *,
    told: Told = NOTHING_TOLD,
) -> str:
    """The text of ``NAME.stack.toml``.

    Args:
        origin: where it comes from.
        there: what the stack consists of.
        parts: the pattern, and who plays its parts.
        sample: a command by example; None where there is none.
        known: what trials with it have shown; None without trials.
        told: the steps of a saga that its definition tells.
    """
    return "\n".join(_Writer(origin, there, parts, sample, known, told=told).lines()) + "\n"


class _Writer:
    def __init__(
        self,
        origin: Origin,
        there: Inventory,
        parts: Parts,
        sample: Sample | None,
        known: Knowledge | None,
        *,
        told: Told,
    ) -> None:
        self._origin, self._there, self._parts = origin, there, parts
        self._sample, self._known, self._told = sample, known, told
        self._names = self._named()
        self._command = "submit"
        # what the template alone tells
        route = parts.route
        self._seen = Served(liveness=live_route(there, route.api)) if route is not None else Served()

    def lines(self) -> Iterator[str]:
        yield f"# Made by `holdfast init`: {self._parts.why}."
        yield f"# Lines marked {MARK} could not be found out; docs/descriptor.md has every key."
        yield f"name = {toml(self._origin.name)}"
        if self._origin.cloudformation:
            yield f"cloudformation = {toml(self._origin.cloudformation)}"
        if self._origin.template:
            yield from ("", "[deploy]", f"template = {toml(self._origin.template)}")
            if self._origin.parameters:
                yield f"parameters = {toml(self._origin.parameters)}"
        yield from self._target()
        yield from self._components()
        yield from self._commands()
        yield from self._seeds()
        yield from self._effects()
        yield from self._status()
        yield from self._dead_letters()
        yield from self._log()
        yield from self._pattern()
        yield from self._bounds()

    def _target(self) -> Iterator[str]:
        pin = self._origin.pin
        if self._origin.target:
            yield from ("", "[target]", f"default = {toml(self._origin.target)}")
        if pin is not None:
            yield f"aws = {toml({'account': pin.account, 'region': pin.region})}"

    def _named(self) -> dict[str, str]:
        """Names of the components by logical id: short where that stays unique."""
        wanted = {name for name, kind in self._there.types.items() if kind in _TYPES}
        roles = set(self._there.of_type("IAM::Role"))
        wanted = {name for name in wanted if name not in roles} | {role for role in self._parts.roles if role in roles}
        # SAM makes the roles of functions by itself, under this name
        wanted |= set(self._parts.roles)
        full = {name: snake(name) for name in self._there.types if name in wanted}
        full |= {role: snake(role) for role in self._parts.roles}
        short = {name: _short(one) for name, one in full.items()}
        beside = writing_beside.names(self._parts.beside) if self._parts.beside is not None else ()
        taken = [*short.values(), *beside]
        own = {name: short[name] if taken.count(short[name]) == 1 else one for name, one in full.items()}
        return own | {name: name for name in beside}

    def _components(self) -> Iterator[str]:
        yield from ("", "[components]")
        beside = self._parts.beside
        own = writing_beside.names(beside) if beside is not None else ()
        for name, component in self._names.items():
            if name in own:
                continue
            kind = _TYPES[self._there.types.get(name, "AWS::IAM::Role")]
            entry = {"type": kind, "logical_id": name}
            if kind == "api" and name in self._there.stages:
                entry["stage"] = self._there.stages[name]
            yield f"{component} = {toml(entry)}"
        if beside is not None:
            yield from writing_beside.components(beside, self._names, self._served())

    def _served(self) -> Served:
        """What is known of an application's answers."""
        return self._known.served if self._known is not None and self._known.served is not None else self._seen

    def _commands(self) -> Iterator[str]:
        yield from ("", f"[commands.{self._command}]")
        sample, parts = self._sample, self._parts
        route = parts.route
        alone = writing_saga.starts_alone(parts)
        if alone and parts.machine:
            yield 'idempotency = { in = "execution_name" }'
        elif sample is not None and sample.key_header:
            yield f'idempotency = {{ in = "header", name = {toml(sample.key_header)} }}'
        elif sample is None or sample.key_field:
            name = sample.key_field if sample else "id"
            yield f'idempotency = {{ in = "body", name = {toml(name)} }}'
        elif "{key}" in sample.path:
            yield 'idempotency = { in = "path" }'
        for field_name in sample.fields if sample else ():
            drawn = {
                "type": "text",
                "min_length": FIELD_LENGTH,
                "max_length": FIELD_LENGTH,
                "alphabet": FIELD_ALPHABET,
            }
            yield f"fields.{field_name} = {toml(drawn)}"
        if alone:
            yield from ("", f"[[commands.{self._command}.calls]]")
            yield from writing_saga.call(parts, self._names, sample)
            return
        if route is None or not route.path:
            where = {"url": "http://localhost/"} if route is None else {"api": self._names[route.api], "path": "/"}
            body = {"id": "{key}", "note": "{value}"} if sample is None else sample.body
            call = {"kind": "http", **where, "json": body}
            yield f"calls = {toml(call)}  # {MARK}: where a command goes and what it holds; {_BODY}"
            return
        yield from ("", f"[[commands.{self._command}.calls]]")
        method, path = (sample.method, sample.path) if sample else (route.method, route.path)
        yield 'kind = "http"'
        if method != "POST":
            yield f"method = {toml(method)}"
        yield f"api = {toml(self._names[route.api])}"
        yield f"path = {toml(path)}"
        if sample is None:
            yield f'json = {{ id = "{{key}}", note = "{{value}}" }}  # {MARK}: what a command holds; {_BODY}'
            return
        if sample.headers:
            yield f"headers = {toml(sample.headers)}"
        if sample.body is not None:
            yield f"json = {toml(sample.body)}"
        yield from self._upload()

    def _upload(self) -> Iterator[str]:
        sample, known = self._sample, self._known
        if sample is None or not sample.upload or known is None or not isinstance(known.good.answer, Mapping):
            return
        link = upload_link(known.good.answer)
        if not link:
            return
        yield f"save = {toml({'url': f'json.{link}'})}"
        yield from ("", f"[[commands.{self._command}.calls]]", 'kind = "http"', 'method = "PUT"', 'url = "{url}"')
        if sample.upload_headers:
            yield f"headers = {toml(sample.upload_headers)}"
        yield f"body = {toml(sample.upload)}"

    def _seeds(self) -> Iterator[str]:
        for table, row in self._origin.seeds:
            yield from ("", "[[seed]]", f"table = {toml(self._names[table])}", f"item = {toml(row)}")

    def _effects(self) -> Iterator[str]:
        if self._known is None:
            yield from self._guessed_effect()
            return
        for effect in self._used():
            yield from ("", f"[effects.{effect.name}]", f"sources = {toml(self._source(effect))}")
        if self._parts.route is not None and self._parts.beside is not None:
            yield from writing_beside.read(self._served(), self._names[self._parts.route.api])

    def _used(self) -> tuple[Effect, ...]:
        """The effects that the pattern names."""
        assert self._known is not None
        of_steps = [one for step in self._known.steps for one in (step.done, step.undone) if one is not None]
        return tuple(dict.fromkeys([*of_steps, self._main()]))

    def _main(self) -> Effect:
        """The effect that counts a command: its last step's; else an append-only one that shows the value."""
        assert self._known is not None
        done = [step.done for step in self._known.steps if step.done is not None]
        if done:
            return done[-1]
        logged = [one for one in self._known.effects if one.table == self._parts.store and self._parts.view]
        return (
            logged[0]
            if logged
            else max(
                self._known.effects,
                key=lambda one: (
                    bool(self._there.tables[one.table].sort),
                    bool(one.value),
                    one.table not in self._touched_by_ingest(),
                ),
            )
        )

    def _touched_by_ingest(self) -> set[str]:
        return {table for name in self._parts.ingest for table in self._there.functions[name].knows}

    def _source(self, effect: Effect) -> dict[str, Any]:
        table = self._there.tables[effect.table]
        source: dict[str, Any] = {
            "kind": "dynamodb-query",
            "table": self._names[effect.table],
            "partition": {table.partition: f"{{{effect.partition}}}"},
        }
        if effect.prefix:
            source["sort_prefix"] = {table.sort: effect.prefix}
        if effect.key:
            source["measure"] = {"kind": "attribute", "path": effect.key, "equals": "{key}"}
            return source
        return source | {name: getattr(effect, name) for name in ("value", "body", "order") if getattr(effect, name)}

    def _guessed_effect(self) -> Iterator[str]:
        """Without trials: the table that a worker writes, an append-only one first."""
        workers = [self._there.functions[name] for name in self._parts.workers if name in self._there.functions]
        written = [table for one in workers for table in (one.writes or one.knows) if table in self._there.tables]
        if self._parts.beside is not None and self._parts.store:
            written = [self._parts.store]
        yield from ("", "[effects.done]")
        if self._parts.pattern == "cqrs":
            log = self._there.tables[self._parts.store]
            counted = {
                "kind": "dynamodb-query",
                "table": self._names[self._parts.store],
                "partition": {log.partition: f"{{{log.partition}}}"},
                "measure": {"kind": "attribute", "path": "id", "equals": "{key}"},
            }
            yield f"sources = {toml(counted)}  # guessed: the attribute of an event that shows the key"
            return
        if not written:
            elsewhere = {"kind": "http", "url": "http://localhost/{key}", "value": "note"}
            yield f"sources = {toml(elsewhere)}  # {MARK}: where the effect of a command is counted"
            return
        table = max(dict.fromkeys(written), key=lambda name: bool(self._there.tables[name].sort))
        source = {
            "kind": "dynamodb-query",
            "table": self._names[table],
            "partition": {self._there.tables[table].partition: "{key}"},
            "value": "note",
        }
        yield f"sources = {toml(source)}  # {MARK}: the attribute that shows the value"

    def _status(self) -> Iterator[str]:
        status = self._known.status if self._known else None
        if status is None:
            return
        yield from ("", f"[statuses.{self._command}]")
        if status.table:
            key = self._there.tables[status.table].partition
            source: dict[str, Any] = {
                "kind": "dynamodb-get",
                "table": self._names[status.table],
                "item_key": {key: "{key}"},
            }
        else:
            route = self._parts.status
            assert route is not None
            path = route.path.split("{")[0] + "{key|urlencode}"
            source = {"kind": "http", "api": self._names[route.api], "path": path}
        yield f"source = {toml(source)}"
        yield f"state = {toml(status.attribute)}"
        yield f"done = {toml(status.done)}"
        if status.failed:
            yield f"failed = {toml(status.failed)}"
        if status.pending:
            yield f"pending = {toml(list(status.pending))}"

    def _dead_letters(self) -> Iterator[str]:
        queue = self._parts.dead_letters
        if not queue:
            return
        yield from ("", f"[dead_letters.{self._names[queue]}]", f"queue = {toml(self._names[queue])}")
        if self._parts.store in self._there.of_type("S3::Bucket"):
            yield 'key = "json.Records[0].s3.object.key"'
        else:
            name = self._sample.key_field if self._sample else ""
            yield f"key = {toml(f'json.{name}' if name else 'json.id')}  # guessed: where a dead letter shows the key"

    def _log(self) -> Iterator[str]:
        """The event log and its view."""
        parts, known = self._parts, self._known
        if parts.pattern != "cqrs":
            return
        log = self._there.tables[parts.store]
        aggregate = self._aggregate()
        folding = known.folding if known and known.folding else Folding()
        logged = next((one for one in known.effects if one.table == parts.store), None) if known else None
        source: dict[str, Any] = {
            "kind": "dynamodb-query",
            "table": self._names[parts.store],
            "partition": {log.partition: f"{{{aggregate}}}"},
        }
        yield from ("", "[logs.events]", f"source = {toml(source)}", f"sequence = {toml(log.sort)}")
        if folding.event:
            yield f"event = {toml(folding.event)}"
        if logged and logged.key:
            yield f"command = {toml(logged.key)}"
        if known is not None and known.view is not None:
            yield from self._view_route(known.view, folding)
            return
        if not parts.view:
            said = "where the view of one aggregate is read, e.g. kind sql or http, and what of it the fold gives"
            source = {"kind": "http", "url": f"http://localhost/{{{aggregate}}}"}
            yield from ("", "[views]", f"view = {toml({'source': source, 'state': 'state'})}  # {MARK}: {said}")
            return
        view = {
            "kind": "dynamodb-get",
            "table": self._names[parts.view],
            "item_key": {self._there.tables[parts.view].partition: f"{{{aggregate}}}"},
        }
        yield from ("", "[views.view]", f"source = {toml(view)}")
        yield from _state(folding)

    def _view_route(self, route: Route, folding: Folding) -> Iterator[str]:
        """A view that the API shows."""
        path = route.path.replace(f"{{{route.parameter}}}", f"{{{self._aggregate()}|urlencode}}")
        source = {"kind": "http", "api": self._names[route.api], "path": path}
        yield from ("", "[views.view]", f"source = {toml(source)}")
        yield from _state(folding)

    def _aggregate(self) -> str:
        logged = [one for one in self._known.effects if one.table == self._parts.store] if self._known else []
        return logged[0].partition if logged else self._there.tables[self._parts.store].partition

    def _pattern(self) -> Iterator[str]:
        parts, known = self._parts, self._known
        yield from ("", f"# {parts.why}", f"[patterns.{parts.pattern}]", f"command = {toml(self._command)}")
        yield f"effect = {toml(self._main().name if known else 'done')}"
        if parts.pattern == "cqrs":
            yield f"aggregate = {toml(self._aggregate())}"
            yield from ('log = "events"', 'view = "view"')
        if parts.machine:
            yield f"state_machine = {toml(self._names[parts.machine])}"
        for key, ids in (("ingest", parts.ingest), ("workers", parts.workers), ("storage_roles", parts.roles)):
            if ids and not (key == "storage_roles" and parts.pattern == "saga"):
                yield f"{key} = {toml([self._names[one] for one in ids])}"
        if parts.store:
            yield f"store = {toml(self._names[parts.store])}"
        if parts.view:
            yield f"read_store = {toml(self._names[parts.view])}"
        if known and known.status:
            yield f"status = {toml(self._command)}"
        if parts.dead_letters:
            yield f"dead_letters = {toml(self._names[parts.dead_letters])}"
        if parts.beside is not None:
            route = parts.route
            address = f"{{{self._names[route.api]}.url}}" if route is not None else ""
            yield from writing_beside.pattern(parts.beside, self._names, address, self._served())
        yield from self._steps()
        yield from self._fold()

    def _steps(self) -> Iterator[str]:
        parts, known = self._parts, self._known
        if parts.pattern != "saga":
            return
        steps = known.steps if known else ()
        if known and known.pivot:
            yield f"pivot = {toml(known.pivot)}  # the last step whose failure undoes the saga"
        if steps:
            yield from writing_saga.found(steps, self._names)
        elif parts.machine:
            yield from writing_saga.told(self._told, self._names)
        else:
            yield from writing_saga.choreographed(parts.steps, self._names, self._main().name if known else "done")

    def _fold(self) -> Iterator[str]:
        if self._parts.pattern != "cqrs":
            return
        folding = self._known.folding if self._known and self._known.folding else Folding()
        yield from ("", "[patterns.cqrs.fold]")
        for name, (kind, path) in folding.attributes.items():
            yield f"{name} = {toml({'kind': kind, 'path': path} if path else {'kind': kind})}"
        if not folding.attributes:
            yield f'state = {{ kind = "count" }}  # {MARK}: how the view comes from the events'
        if folding.others:
            yield f"# not understood, and left out of the comparison: {', '.join(folding.others)}"

    def _bounds(self) -> Iterator[str]:
        yield from ("", "[bounds]")
        seconds = self._known.good.seconds if self._known else 0.0
        yield "effect_seconds = 30" + (f"  # a sample took {seconds:.1f} s" if self._known else "")


def _state(folding: Folding) -> Iterator[str]:
    """What of a view the fold gives, and how far the view is."""
    shown = ", ".join(f"{name}: {name}" for name in folding.attributes)
    comment = "" if shown else f"  # {MARK}: JMESPath on the view: what the fold gives"
    yield f"state = {toml('{' + shown + '}' if shown else 'state')}{comment}"
    if folding.version:
        yield f"version = {toml(folding.version)}"


def _short(name: str) -> str:
    for suffix in _SUFFIXES:
        if name.endswith(f"_{suffix}"):
            return name.removesuffix(f"_{suffix}") if suffix != "role" else name
    return name
