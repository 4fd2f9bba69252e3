"""Whether every port can be used, found out by reads alone before anything is injected."""

from __future__ import annotations

import random
import socket
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from holdfast.errors import PortError
from holdfast.ports.context import PortContext
from holdfast.ports.dead_letters import read_dead_letters
from holdfast.ports.effect import read_effect
from holdfast.ports.expression import check_expression
from holdfast.ports.folding import folding
from holdfast.ports.projections import read_events, read_view
from holdfast.ports.quantity import quantity_port, read_quantity
from holdfast.ports.status import read_status
from holdfast.ports.transports.address import address
from holdfast.ports.transports.python import load
from holdfast.ports.transports.web import CONNECT_TIMEOUT_SECONDS
from holdfast.stack.base import Json
from holdfast.stack.commands import AnyCall, Command, EnumField, HttpCall, PythonCall
from holdfast.stack.components import DRIVEN
from holdfast.stack.effects import (
    MEASURED,
    AnySource,
    DeltaMeasure,
    HttpSource,
    KinesisSource,
    MembershipMeasure,
    PresenceMeasure,
    PythonSource,
    SqsMessagesSource,
    SumMeasure,
)
from holdfast.stack.generate import Submission, draw
from holdfast.stack.patterns import CqrsPattern
from holdfast.stack.readers import Located, read
from holdfast.stack.resolve import Stack
from holdfast.stack.templates import placeholders
from holdfast.targets.base import Capability

_COMPONENT_KEYS = ("api", "queue", "topic", "bus", "function", "state_machine", "bucket", "table", "stream", "cluster")
_BY_ARN = frozenset({"topic", "rule", "state_machine"})
_NO_ANSWER_CAUSE = "the name does not exist, nothing listens there, or the network is closed"


def check(stack: Stack, context_for: Callable[[Submission, float], PortContext], *, receiving: bool = True) -> None:
    """Use every port once without changing anything.

    Args:
        stack: the resolved stack.
        context_for: makes the context of one read for a submission, with a timeout in seconds.
        receiving: whether messages may be received and released where the target cannot peek, which their receive
            counts show; where not, such a queue is only looked up.

    Raises:
        PortError: a port is wrong, answers garbage, or shows effects of a key that was never used.
        ResourceError: a component is missing or may not be read.
        TargetError: the target does not answer.
        DescriptorError: a placeholder stands for nothing.
    """
    descriptor = stack.descriptor
    _check_expressions(stack)
    for component in dict.fromkeys(_components(stack)):
        _check_component(stack, component)
    unused = unused_submission(stack)
    for name, command in descriptor.commands.items():
        _check_command(f"command {name}", command, context_for(unused, command.timeout_seconds))
    # what is conserved belongs to no key
    shared = {conserved.effect for conserved in descriptor.conserved.values()}
    look = receiving or stack.target.supports(Capability.QUEUE_PEEK).supported
    for name, effect in descriptor.effects.items():
        if not look and any(isinstance(source, SqsMessagesSource) for source in effect.sources):
            continue
        port = f"effect {name}"
        count = read_effect(effect, context_for(unused, CONNECT_TIMEOUT_SECONDS), port).count
        if name not in shared:
            _refuse_counted(port, count, unused.key)
    for name, conserved in descriptor.conserved.items():
        where = quantity_port(name)
        read_quantity(
            conserved, descriptor.effects[conserved.effect], context_for(unused, CONNECT_TIMEOUT_SECONDS), where
        )
    for name, status in descriptor.statuses.items():
        if not look and isinstance(status.source, SqsMessagesSource):
            continue
        port = f"status {name}"
        _, state = read_status(status, context_for(unused, CONNECT_TIMEOUT_SECONDS), port)
        if state in status.done:
            raise PortError(
                f"{port} already says {state} for a key never used",
                cause=f"it was read for {unused.key}, so what it reads does not depend on the key alone",
                remedy="put {key} into its source, so that each key has a status of its own",
            )
    _check_projections(stack, context_for(unused, CONNECT_TIMEOUT_SECONDS))
    for name, letters in descriptor.dead_letters.items():
        if look or letters.queue is None:
            read_dead_letters(letters, stack, name)


def _check_projections(stack: Stack, context: PortContext) -> None:
    """Read the log and the views of an aggregate that nobody has used: they show nothing of it."""
    descriptor = stack.descriptor
    for pattern in descriptor.patterns.values():
        if not isinstance(pattern, CqrsPattern):
            continue
        folding(pattern, stack.path)
        port = f"log {pattern.log}"
        shown = {port: bool(read_events(descriptor.logs[pattern.log], context, port))}
        for name in pattern.views:
            port = f"view {name}"
            shown[port] = read_view(descriptor.views[name], pattern, context, port).state is not None
        # of a few fixed aggregates any may have been used before
        if isinstance(descriptor.commands[pattern.command].fields[pattern.aggregate], EnumField):
            continue
        for port, something in shown.items():
            if something:
                raise PortError(
                    f"{port} already shows something of an aggregate that was never used",
                    cause=f"it was read for {pattern.aggregate} = {context.values[pattern.aggregate]!r}",
                    remedy=f"put {{{pattern.aggregate}}} into its source: each aggregate has events of its own",
                )


def unused_submission(stack: Stack) -> Submission:
    """A submission with a key that nobody has used, and the fields of every command."""
    key = f"holdfast-check-{uuid.uuid4().hex}"
    rng = random.Random(key)  # noqa: S311 - test data
    fields: dict[str, Json] = {}
    value = ""
    for command in stack.descriptor.commands.values():
        drawn = draw(command, key, rng)
        fields = {**drawn.fields, **fields}
        value = value or drawn.value
    return Submission(key, value, fields)


def _refuse_counted(port: str, count: int, key: str) -> None:
    if count:
        raise PortError(
            f"{port} already counts {count} for a key never used",
            cause=f"it was read for {key}, so what it matches does not depend on the key alone",
            remedy="put {key} into its partition, prefix, path, match or equals: each key has effects of its own",
        )


def _check_component(stack: Stack, component: str) -> None:
    resource = stack.resource(component)
    if resource.type in DRIVEN or (resource.type == "api" and not resource.arn):
        return
    read(
        Located(
            component=component,
            type=resource.type,
            physical=resource.arn if resource.type in _BY_ARN else resource.name,
            stage=resource.stage or None,
        ),
        stack.target,
    )


def _components(stack: Stack) -> Iterator[str]:
    descriptor = stack.descriptor
    parts: list[object] = [call for command in descriptor.commands.values() for call in command.calls]
    parts += descriptor.sources
    parts += list(descriptor.dead_letters.values())
    for part in parts:
        for name in _COMPONENT_KEYS:
            component = getattr(part, name, None)
            if isinstance(component, str):
                yield component


def _check_command(port: str, command: Command, context: PortContext) -> None:
    saved: set[str] = set()
    for at, call in enumerate(command.calls):
        if isinstance(call, PythonCall):
            load(call.callable, context.stack.path)
        if isinstance(call, HttpCall) and not saved & _in_address(call):
            url, _ = address(call, context)
            _check_reachable(f"{port}: call {at + 1}", url)
        saved |= set(call.save)


def _in_address(call: HttpCall) -> frozenset[str]:
    return frozenset(name.partition(".")[0] for name in placeholders([call.url or "", call.path]))


def _check_reachable(port: str, url: str) -> None:
    """Open and close a connection: a request would be a command."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise PortError(
            f"{port} has no usable URL",
            cause=f"it renders to {url!r}",
            remedy="give a whole http:// or https:// URL, or api and path",
        )
    default = 443 if parts.scheme == "https" else 80
    try:
        socket.create_connection((parts.hostname, parts.port or default), CONNECT_TIMEOUT_SECONDS).close()
    except OSError as error:
        raise PortError(
            f"{port}: {parts.hostname}:{parts.port or default} cannot be reached",
            cause=f"{_NO_ANSWER_CAUSE} ({error})",
            remedy="correct the url in the descriptor, or start what should listen there",
        ) from None


def _check_expressions(stack: Stack) -> None:
    descriptor = stack.descriptor
    for name, command in descriptor.commands.items():
        _check_command_expressions(f"commands.{name}", command)
    for name, effect in descriptor.effects.items():
        for at, source in enumerate(effect.sources):
            _check_source_expressions(f"effects.{name}.sources[{at}]", source, stack)
        if effect.listing is not None:
            _check_source_expressions(f"effects.{name}.listing.source", effect.listing.source, stack)
            check_expression(effect.listing.key, f"effects.{name}.listing.key")
    for name, status in descriptor.statuses.items():
        _check_source_expressions(f"statuses.{name}.source", status.source, stack)
        check_expression(status.state, f"statuses.{name}.state")
    for name, log in descriptor.logs.items():
        _check_source_expressions(f"logs.{name}.source", log.source, stack)
    for name, view in descriptor.views.items():
        _check_source_expressions(f"views.{name}.source", view.source, stack)
    for name, conserved in descriptor.conserved.items():
        check_expression(conserved.path, f"conserved.{name}.path")
    for name, letters in descriptor.dead_letters.items():
        check_expression(letters.key, f"dead_letters.{name}.key")
        if letters.original is not None:
            check_expression(letters.original, f"dead_letters.{name}.original")


def _check_command_expressions(where: str, command: Command) -> None:
    for side in ("acknowledged", "refused"):
        rule = getattr(command.acknowledgement, side)
        if isinstance(rule, str):
            check_expression(rule, f"{where}.acknowledgement.{side}", boolean=True)
    for at, call in enumerate(command.calls):
        _check_saves(f"{where}.calls[{at}]", call)


def _check_saves(where: str, call: AnyCall) -> None:
    for name, expression in call.save.items():
        check_expression(expression, f"{where}.save.{name}")


def _check_source_expressions(where: str, source: AnySource, stack: Stack) -> None:
    for name in ("value", "body", "order"):
        expression = getattr(source, name)
        if expression is not None:
            check_expression(expression, f"{where}.{name}")
    if source.where is not None:
        check_expression(source.where, f"{where}.where", boolean=True)
    match source:
        case HttpSource():
            check_expression(source.entries, f"{where}.entries")
        case SqsMessagesSource() | KinesisSource():
            check_expression(source.match, f"{where}.match")
        case PythonSource():
            load(source.callable, stack.path)
        case _:
            pass
    if isinstance(source, MEASURED):
        rule = source.measure
        if isinstance(rule, PresenceMeasure | DeltaMeasure | MembershipMeasure | SumMeasure):
            check_expression(rule.path, f"{where}.measure.path")
