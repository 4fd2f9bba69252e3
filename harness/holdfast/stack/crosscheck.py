"""What one key alone cannot tell: that names exist, have the right type, and that templates can be filled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from holdfast.errors import DescriptorError
from holdfast.stack.base import Json, Part
from holdfast.stack.commands import (
    AnyCall,
    Command,
    EnumField,
    EventBridgeCall,
    ExecutionCall,
    HttpCall,
    JsonField,
    LambdaCall,
    PythonCall,
    S3Call,
    SnsCall,
    SqsCall,
)
from holdfast.stack.components import Channel, Component, Start
from holdfast.stack.descriptor import Descriptor, SeedItem
from holdfast.stack.effects import (
    MEASURED,
    AnySource,
    DeadLetters,
    DeltaMeasure,
    DynamoGetSource,
    DynamoQuerySource,
    HttpSource,
    KinesisSource,
    MembershipMeasure,
    PresenceMeasure,
    RdsDataSource,
    S3ObjectSource,
    S3PrefixSource,
    SqlSource,
    SqsMessagesSource,
    Status,
    SumMeasure,
)
from holdfast.stack.keypath import KeyPath, Problem
from holdfast.stack.lifecycle import PYTHON, attributes_of, is_start
from holdfast.stack.lifecycle import problems as lifecycle_problems
from holdfast.stack.logs import SEEN, Log, View
from holdfast.stack.marked_problems import problems as marked_problems
from holdfast.stack.patterns import (
    CLAUSES,
    CROSS_CUTTING_CLAUSES,
    Compensation,
    CqrsPattern,
    Pattern,
    SagaPattern,
    SagaStep,
    SidecarPattern,
)
from holdfast.stack.templates import parse, suggestion

EVERYWHERE = frozenset({"account", "region"})
"""Names that every template may use."""
RESERVED = frozenset({"key", "value"}) | EVERYWHERE
"""Names that a field or a saved value may not take."""
_ATTRIBUTES = ("arn", "name", "url")
_WITH_URL = ("queue", "api", "function")

_BESIDE = ("process", "container", "ecs_task", "pod", "function")
"""What an application and its sidecar may be."""
_PATTERN_REFERENCES: Mapping[str, tuple[str, ...]] = {
    "workers": ("function", "process"),
    "ingest": ("function", "process"),
    "store": ("queue", "table", "bucket", "topic", "bus", "state_machine", "stream", "cluster"),
    "storage_roles": ("role",),
}

_REFERENCES: Mapping[type[Part], Mapping[str, tuple[str, ...]]] = {
    HttpCall: {"api": ("api", "function", "process")},
    SqsCall: {"queue": ("queue",)},
    SnsCall: {"topic": ("topic",)},
    EventBridgeCall: {"bus": ("bus",)},
    LambdaCall: {"function": ("function",)},
    ExecutionCall: {"state_machine": ("state_machine",)},
    S3Call: {"bucket": ("bucket",)},
    DynamoGetSource: {"table": ("table",)},
    DynamoQuerySource: {"table": ("table",)},
    S3ObjectSource: {"bucket": ("bucket",)},
    S3PrefixSource: {"bucket": ("bucket",)},
    SqsMessagesSource: {"queue": ("queue",)},
    HttpSource: {"api": ("api", "function", "process")},
    KinesisSource: {"stream": ("stream",)},
    RdsDataSource: {"cluster": ("cluster",)},
    DeadLetters: {"queue": ("queue",), "bucket": ("bucket",)},
    SeedItem: {"table": ("table",), "bucket": ("bucket",)},
    Pattern: _PATTERN_REFERENCES,
    SagaPattern: {**_PATTERN_REFERENCES, "state_machine": ("state_machine",)},
    SagaStep: {"function": ("function",)},
    CqrsPattern: {**_PATTERN_REFERENCES, "read_store": ("table", "bucket", "api", "cluster"), "read_roles": ("role",)},
    SidecarPattern: {**_PATTERN_REFERENCES, "application": _BESIDE, "sidecar": _BESIDE},
    Compensation: {"function": ("function",)},
}
"""Keys that name components, and the types these may have."""

_TEMPLATES: Mapping[type[Part], tuple[str, ...]] = {
    SidecarPattern: ("liveness", "readiness"),
    HttpCall: ("url", "path", "query", "headers", "json_body", "form", "body"),
    SqsCall: ("json_body", "body", "attributes", "group_id", "deduplication_id"),
    SnsCall: ("json_body", "body", "attributes", "group_id", "deduplication_id"),
    EventBridgeCall: ("source", "detail_type", "detail"),
    LambdaCall: ("payload",),
    ExecutionCall: ("name", "input"),
    S3Call: ("object_key", "body", "json_body"),
    DynamoGetSource: ("item_key",),
    DynamoQuerySource: ("partition", "sort_prefix"),
    S3ObjectSource: ("object_key",),
    S3PrefixSource: ("prefix",),
    SqsMessagesSource: ("equals",),
    HttpSource: ("url", "path", "query", "headers"),
    SqlSource: ("url", "parameters"),
    RdsDataSource: ("secret", "database", "parameters"),
    KinesisSource: ("equals",),
    PresenceMeasure: ("equals",),
    DeltaMeasure: ("start", "step"),
    MembershipMeasure: ("element",),
    SumMeasure: ("step",),
    SeedItem: ("item", "object_key", "body"),
    Component: ("name",),
    Start: ("command", "environment"),
    Channel: ("upstream",),
}
"""Keys that hold templates."""

_KEY_PLACES: Mapping[str, Mapping[type[Part], tuple[str, ...]]] = {
    "path": {HttpCall: ("url", "path")},
    "query": {HttpCall: ("url", "path", "query")},
    "header": {HttpCall: ("headers",)},
    "body": {
        HttpCall: ("json_body", "form", "body"),
        SqsCall: ("json_body", "body"),
        SnsCall: ("json_body", "body"),
        S3Call: ("json_body", "body"),
        EventBridgeCall: ("detail",),
        LambdaCall: ("payload",),
        ExecutionCall: ("input",),
    },
    "attribute": {SqsCall: ("attributes",), SnsCall: ("attributes",)},
    "deduplication_id": {SqsCall: ("deduplication_id",), SnsCall: ("deduplication_id",)},
    "execution_name": {ExecutionCall: ("name",)},
    "object_key": {S3Call: ("object_key",), HttpCall: _TEMPLATES[HttpCall]},  # a service may make it from any part
}
"""Where the key may travel, by ``idempotency.in``."""


def crosscheck(descriptor: Descriptor) -> list[Problem]:
    """Every reference that leads nowhere and every template that cannot be filled, with paths as the model has them."""
    return list(_Check(descriptor).problems())


class _Check:
    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor

    def problems(self) -> Iterator[Problem]:
        descriptor = self._descriptor
        for name, component in descriptor.components.items():
            yield from self._templates(component, ("components", name), EVERYWHERE)
            if component.start is not None:
                yield from self._templates(component.start, ("components", name, "start"), EVERYWHERE | {PYTHON})
        for name, channel in descriptor.channels.items():
            yield from self._templates(channel, ("channels", name), EVERYWHERE)
        yield from lifecycle_problems(descriptor)
        if descriptor.deploy is not None:
            yield from self._template(descriptor.deploy.parameters, ("deploy", "parameters"), EVERYWHERE)
        if descriptor.target.default == "aws" and descriptor.target.aws is None:
            yield Problem(
                ("target", "aws"),
                "it is missing, and aws is the default target",
                "pin the account and the region there",
            )
        for name, command in descriptor.commands.items():
            yield from self._command(command, ("commands", name))
        yield from self._sources()
        for name, dead_letters in descriptor.dead_letters.items():
            yield from self._references(dead_letters, ("dead_letters", name))
        for pattern_name, pattern in descriptor.patterns.items():
            yield from self._pattern(pattern, ("patterns", pattern_name))
        for index, item in enumerate(descriptor.seed):
            yield from self._references(item, ("seed", index))
            yield from self._templates(item, ("seed", index), EVERYWHERE)
        for name, conserved in descriptor.conserved.items():
            yield from _exists(conserved.effect, descriptor.effects, "effect", ("conserved", name, "effect"))
        yield from self._special_inputs()
        yield from self._clauses()
        yield from marked_problems(descriptor)

    def _command(self, command: Command, path: KeyPath) -> Iterator[Problem]:
        for name in command.fields:
            if name in RESERVED or name in self._descriptor.components:
                what = "a reserved name" if name in RESERVED else "the name of a component"
                yield Problem((*path, "fields", name), f"{name} is {what}", "give the field another name")
        known = RESERVED | frozenset(command.fields)
        opaque = {name for name, kind in command.fields.items() if isinstance(kind, JsonField | EnumField)}
        for index, call in enumerate(command.calls):
            at = (*path, "calls", index)
            yield from self._references(call, at)
            yield from self._templates(call, at, known, opaque)
            for name in call.save:
                if name in RESERVED or name in command.fields or name in self._descriptor.components:
                    yield Problem((*at, "save", name), f"{name} is taken already", "give the saved value another name")
            known |= frozenset(call.save)
            opaque |= set(call.save)
        yield from _key_travels(command, path)

    def _sources(self) -> Iterator[Problem]:
        descriptor = self._descriptor
        for name, effect in descriptor.effects.items():
            known = self._known_to("effects", name)
            for index, source in enumerate(effect.sources):
                yield from self._source(source, ("effects", name, "sources", index), known)
            if effect.listing is not None:
                yield from self._source(effect.listing.source, ("effects", name, "listing", "source"), known)
        others: dict[str, Mapping[str, Status | Log | View]] = {
            "statuses": descriptor.statuses,
            "logs": descriptor.logs,
            "views": descriptor.views,
        }
        for kind, ports in others.items():
            for name, port in ports.items():
                yield from self._source(port.source, (kind, name, "source"), self._known_to(kind, name))

    def _source(self, source: AnySource, path: KeyPath, known: frozenset[str]) -> Iterator[Problem]:
        opaque = {
            name
            for command in self._descriptor.commands.values()
            for name, kind in command.fields.items()
            if isinstance(kind, JsonField | EnumField)
        }
        yield from self._references(source, path)
        yield from self._templates(source, path, known, opaque)
        if isinstance(source, MEASURED):
            yield from self._templates(source.measure, (*path, "measure"), known, opaque)

    def _pattern(self, pattern: Pattern, path: KeyPath) -> Iterator[Problem]:
        descriptor = self._descriptor
        yield from _exists(pattern.command, descriptor.commands, "command", (*path, "command"))
        for key in ("effect", "stored", "message", "row", "read"):
            name = getattr(pattern, key)
            if name is not None:
                yield from _exists(name, descriptor.effects, "effect", (*path, key))
        if pattern.status is not None:
            yield from _exists(pattern.status, descriptor.statuses, "status", (*path, "status"), "statuses")
        if pattern.dead_letters is not None:
            yield from _exists(
                pattern.dead_letters,
                descriptor.dead_letters,
                "dead-letter port",
                (*path, "dead_letters"),
                "dead_letters",
            )
        yield from self._references(pattern, path)
        if isinstance(pattern, SagaPattern):
            yield from self._saga(pattern, path)
        if isinstance(pattern, CqrsPattern):
            yield from self._cqrs(pattern, path)
        if isinstance(pattern, SidecarPattern):
            yield from self._sidecar(pattern, path)
        command = descriptor.commands.get(pattern.command)
        if pattern.order is not None and command is not None and pattern.order.group not in command.fields:
            yield _no_field(pattern.order.group, command.fields, pattern.command, (*path, "order", "group"))

    def _saga(self, saga: SagaPattern, path: KeyPath) -> Iterator[Problem]:
        descriptor = self._descriptor
        for key, port in (("lock", saga.lock), ("reads", saga.reads)):
            if port is not None:
                yield from _exists(port, descriptor.effects, "effect", (*path, key))
        for index, step in enumerate(saga.steps):
            at = (*path, "steps", index)
            yield from _exists(step.effect, descriptor.effects, "effect", (*at, "effect"))
            if step.undone is not None:
                yield from _exists(step.undone, descriptor.effects, "effect", (*at, "undone"))
            yield from self._references(step, at)
            if step.compensation is not None:
                yield from self._references(step.compensation, (*at, "compensation"))
        known = [step.name for step in saga.steps]
        for index, failure in enumerate(descriptor.business_failures):
            if known and failure.step not in known:
                yield Problem(
                    ("business_failures", index, "step"),
                    f"there is no step {failure.step}",
                    suggestion(failure.step, known),
                    frozenset({failure.step}),
                )

    def _cqrs(self, cqrs: CqrsPattern, path: KeyPath) -> Iterator[Problem]:
        descriptor = self._descriptor
        yield from _exists(cqrs.log, descriptor.logs, "log", (*path, "log"))
        for key, view in (("view", cqrs.view), ("query", cqrs.query)):
            if view is not None:
                yield from _exists(view, descriptor.views, "view", (*path, key))
        yield from self._references(cqrs, path)
        commands = [(cqrs.command, (*path, "aggregate"))]
        for key, hook in (("rebuild", cqrs.rebuild), ("snapshot", cqrs.snapshot)):
            if hook is not None:
                yield from _exists(hook.view, descriptor.views, "view", (*path, key, "view"))
                yield from _exists(hook.command, descriptor.commands, "command", (*path, key, "command"))
        if cqrs.removal is not None:
            at = (*path, "removal", "command")
            yield from _exists(cqrs.removal.command, descriptor.commands, "command", at)
            commands.append((cqrs.removal.command, at))
        for name, at in commands:
            command = descriptor.commands.get(name)
            if command is not None and cqrs.aggregate not in command.fields:
                yield _no_field(cqrs.aggregate, command.fields, name, at)

    def _sidecar(self, sidecar: SidecarPattern, path: KeyPath) -> Iterator[Problem]:
        descriptor = self._descriptor
        yield from self._templates(sidecar, path, EVERYWHERE)
        if sidecar.channel is not None:
            yield from _exists(sidecar.channel, descriptor.channels, "channel", (*path, "channel"))
        if sidecar.behind is not None:
            yield from _exists(sidecar.behind, descriptor.commands, "command", (*path, "behind"))
        read = descriptor.effects.get(sidecar.read or "")
        if read is not None and (len(read.sources) != 1 or not isinstance(read.sources[0], HttpSource)):
            yield Problem(
                (*path, "read"),
                f"the effect {sidecar.read} does not ask the application",
                "name an effect with one source, of kind http",
            )
        command, answer_seconds = descriptor.commands.get(sidecar.command), sidecar.bounds.answer_seconds
        if command is not None and command.timeout_seconds <= answer_seconds:
            yield Problem(
                (*path, "bounds", "answer_seconds"),
                f"the command {sidecar.command} is given up after {command.timeout_seconds:g} s, so an answer after"
                f" more"
                f" than {answer_seconds:g} s would not be seen",
                f"let commands.{sidecar.command}.timeout_seconds be more",
            )

    def _special_inputs(self) -> Iterator[Problem]:
        descriptor = self._descriptor
        claimed = {pattern.command for pattern in descriptor.patterns.values()} & set(descriptor.commands)
        commands = {name: descriptor.commands[name] for name in sorted(claimed or descriptor.commands)}
        for kind, inputs in (
            ("refused", descriptor.refused),
            ("impossible", descriptor.impossible),
            ("business_failures", descriptor.business_failures),
            ("contended", descriptor.contended),
        ):
            for index, special in enumerate(inputs):
                names = set(special.fields) - {"value"}
                if any(names <= set(command.fields) for command in commands.values()):
                    continue
                known = {field for command in commands.values() for field in command.fields}
                for name in sorted(names - known):
                    yield _no_field(name, known, " or ".join(commands), (kind, index, "fields", name))
                if names <= known:
                    yield Problem(
                        (kind, index, "fields"),
                        "no command has all of these fields",
                        "write one input for each command",
                    )

    def _clauses(self) -> Iterator[Problem]:
        descriptor = self._descriptor
        ranges = [CLAUSES[pattern] for pattern in descriptor.patterns] + [CROSS_CUTTING_CLAUSES]
        claimed = [f"{prefix}-{number}" for prefix, last in ranges for number in range(1, last + 1)]
        for key, clauses in (("waive", descriptor.waive), ("met_by", descriptor.met_by)):
            for clause in clauses:
                if clause not in claimed:
                    yield Problem(
                        (key, clause),
                        f"{clause} is no clause of the patterns that are claimed",
                        f"name one of {', '.join(f'{prefix}-1..{last}' for prefix, last in ranges)}",
                        frozenset(descriptor.patterns),
                    )
        for clause in descriptor.met_by:
            if clause in descriptor.waive:
                yield Problem(("met_by", clause), f"{clause} is waived as well", "keep it in one of waive and met_by")

    def _known_to(self, kind: str, name: str) -> frozenset[str]:
        """The names that every command has whose pattern uses a port; those of any command where none does."""
        descriptor = self._descriptor
        users = {pattern.command for pattern in descriptor.patterns.values() if name in _ports_of(pattern, kind)} & set(
            descriptor.commands
        )
        fields = [frozenset(descriptor.commands[user].fields) for user in sorted(users)]
        always = RESERVED | {SEEN} if kind == "views" else RESERVED
        if fields:
            return always | frozenset.intersection(*fields)
        return always | frozenset(name for command in descriptor.commands.values() for name in command.fields)

    def _references(self, part: Part, path: KeyPath) -> Iterator[Problem]:
        for key, types in _REFERENCES.get(type(part), {}).items():
            named = getattr(part, key)
            if isinstance(named, list):
                for index, name in enumerate(named):
                    yield from self._component(name, types, (*path, key, index))
            elif named is not None:
                yield from self._component(named, types, (*path, key))

    def _component(self, name: str, types: tuple[str, ...], path: KeyPath) -> Iterator[Problem]:
        components = self._descriptor.components
        fitting = [each for each, component in components.items() if component.type in types]
        if name not in components:
            yield Problem(
                path,
                f"there is no component {name}",
                f"{suggestion(name, fitting)} (a component of type {' or '.join(types)})",
                frozenset({name}),
            )
        elif components[name].type not in types:
            yield Problem(
                path,
                f"the component {name} is of type {components[name].type}, not {' or '.join(types)}",
                suggestion(name, fitting),
                frozenset({name}),
            )

    def _templates(
        self, part: Part, path: KeyPath, known: frozenset[str], opaque: Iterable[str] = ()
    ) -> Iterator[Problem]:
        for key in _TEMPLATES.get(type(part), ()):
            alias = type(part).model_fields[key].alias or key
            yield from self._template(getattr(part, key), (*path, alias), known, opaque)

    def _template(
        self, template: Json, path: KeyPath, known: frozenset[str], opaque: Iterable[str] = ()
    ) -> Iterator[Problem]:
        if isinstance(template, Mapping):
            for key, value in template.items():
                yield from self._template(key, (*path, key), known, opaque)
                yield from self._template(value, (*path, key), known, opaque)
        elif isinstance(template, list):
            for index, value in enumerate(template):
                yield from self._template(value, (*path, index), known, opaque)
        elif isinstance(template, str):
            try:
                names = sorted({placeholder.name for placeholder in parse(template)})
            except DescriptorError as error:
                yield Problem(path, error.what.rstrip("."), error.remedy)
                return
            for name in names:
                yield from self._placeholder(name, path, known, opaque)

    def _placeholder(self, name: str, path: KeyPath, known: frozenset[str], opaque: Iterable[str]) -> Iterator[Problem]:
        first, _, attribute = name.partition(".")
        if name in known or (attribute and first in opaque and first in known):
            return
        reachable = is_start(path) or path[0] not in ("components", "deploy")
        component = self._descriptor.components.get(first) if reachable else None
        running = attributes_of(self._descriptor, first) if reachable else ()
        if attribute and attribute in running:
            return
        if running and attribute:
            yield Problem(path, f"{first} has no {attribute} ({{{name}}})", suggestion(attribute, running))
        elif component is None or not attribute:
            names = {*known, *(f"{each}.{end}" for each in self._descriptor.components for end in _ATTRIBUTES)}
            yield Problem(
                path,
                f"the placeholder {{{name}}} stands for nothing here",
                f"{suggestion(name, names if attribute else known)} ({{{{{name}}}}} is the text in braces itself)",
                frozenset({first}),
            )
        elif attribute not in _ATTRIBUTES:
            yield Problem(path, f"a component has no {attribute} ({{{name}}})", suggestion(attribute, _ATTRIBUTES))
        elif attribute == "url" and component.type not in _WITH_URL:
            yield Problem(
                path, f"a {component.type} has no URL ({{{name}}})", f"use {{{first}.name}} or {{{first}.arn}}"
            )


def _ports_of(pattern: Pattern, kind: str) -> tuple[str | None, ...]:
    if kind == "effects":
        return _effects_of(pattern)
    if kind == "statuses":
        return (pattern.status,)
    if not isinstance(pattern, CqrsPattern):
        return ()
    return (pattern.log,) if kind == "logs" else pattern.views


def _effects_of(pattern: Pattern) -> tuple[str | None, ...]:
    of_saga = pattern.ports() if isinstance(pattern, SagaPattern) else ()
    return pattern.effect, pattern.stored, pattern.message, pattern.row, pattern.read, *of_saga


def _exists(name: str, known: Mapping[str, object], what: str, path: KeyPath, table: str = "") -> Iterator[Problem]:
    if name not in known:
        remedy = f"{suggestion(name, known)} (a table in [{table or what + 's'}])"
        yield Problem(path, f"there is no {what} {name}", remedy, frozenset({name}))


def _no_field(name: str, fields: Iterable[str], command: str, path: KeyPath) -> Problem:
    return Problem(
        path, f"the command {command} has no field {name}", suggestion(name, fields), frozenset({name, command})
    )


def _key_travels(command: Command, path: KeyPath) -> Iterator[Problem]:
    """Every submission must be recognisable by its key, and carry it where the descriptor says."""
    if any(isinstance(call, PythonCall) for call in command.calls):
        return
    if not any(_holds({"key"}, call, _TEMPLATES[type(call)]) for call in command.calls):
        yield Problem((*path, "calls"), "no call carries {key}", "put {key} where the system finds its idempotency key")
        return
    if command.idempotency is None:
        return
    # what an earlier answer gave may well be made from the key, such as a presigned URL
    carriers = {"key", *(name for call in command.calls for name in call.save)}
    place = command.idempotency.key_in
    places = _KEY_PLACES[place]
    if not any(_holds(carriers, call, places.get(type(call), ())) for call in command.calls):
        yield Problem(
            (*path, "idempotency", "in"),
            f"the key is said to travel in the {place}, but no call has {{key}} there",
            f"put {{key}} in the {place}, or correct idempotency.in",
        )


def _holds(names: set[str], call: AnyCall, keys: Iterable[str]) -> bool:
    try:
        return any(placeholder.name in names for key in keys for placeholder in parse(getattr(call, key)))
    except DescriptorError:
        return True  # reported as a bad template already
