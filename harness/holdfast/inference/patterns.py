"""Which pattern a stack looks like, and which of its resources play which part. Pure.

A state machine is a saga, and so are functions on a bus of which some undo others. A stream that feeds a function which
writes another table is CQRS. An API that calls a store without code in between is storage-first, and so is a table
whose stream is relayed. A function that stores a request for another one is external storage. What runs beside an
application comes last: an extension of a function, or a second container.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from holdfast.definition.names import phrase, undoes
from holdfast.inference import beside
from holdfast.inference.beside import APPLICATION, Beside
from holdfast.inference.inventory import Inventory, Route
from holdfast.stack.patterns import PatternName

_DIRECT = frozenset({"sqs", "events", "dynamodb", "kinesis", "s3", "sns", "firehose"})
"""Services that store what an API hands them."""

_SUBMITTING = ("POST", "PUT", "PATCH")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoreographedStep:
    """A step of a choreography: the function that does it, and the one that undoes it; empty for none."""

    name: str
    function: str
    undone_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A pattern, and who plays its parts, as logical ids; empty for nobody.

    Attributes:
        pattern: the pattern.
        why: what speaks for it.
        route: how a command comes in.
        status: a route that shows what has become of a command.
        machine: the state machine of a saga.
        steps: the steps of a choreography.
        bus: the bus of a choreography.
        ingest: functions that take the command in.
        workers: functions that do the work.
        store: where the command is stored first; the event log of CQRS.
        view: the table of the read model.
        roles: roles that write the store.
        dead_letters: the queue of what is given up.
        beside: an application and its sidecar; None where the pattern is another.
    """

    pattern: PatternName
    why: str
    route: Route | None = None
    status: Route | None = None
    machine: str = ""
    steps: tuple[ChoreographedStep, ...] = ()
    bus: str = ""
    ingest: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    store: str = ""
    view: str = ""
    roles: tuple[str, ...] = ()
    dead_letters: str = ""
    beside: Beside | None = None


def infer(there: Inventory) -> Parts | None:
    """The pattern that the resources speak for most clearly; None when they speak for none."""
    for look in (_saga, _choreography, _streamed, _direct, _stored, _beside):
        found = look(there)
        if found is not None:
            return found
    return None


def of_sidecar(there: Inventory, pair: Beside, why: str) -> Parts:
    """Who plays the parts of an application with a sidecar.

    Args:
        there: what the stack consists of.
        pair: the application and its sidecar.
        why: what speaks for it.
    """
    application = pair.application
    if not isinstance(application, str):
        route = Route(api=APPLICATION, method="POST", path="", service="", targets=()) if pair.started else None
        return Parts(pattern="sidecar", why=why, route=route, store=next(iter(there.tables), ""), beside=pair)
    route = next((one for one in _submitting(there) if application in one.targets), None)
    tables = [one for one in _touched(there, application) if one in there.tables]
    return Parts(
        pattern="sidecar",
        why=why,
        route=route,
        status=_status(there, route),
        store=next(iter(tables), ""),
        beside=pair,
    )


def _beside(there: Inventory) -> Parts | None:
    found = beside.found(there)
    return of_sidecar(there, *found) if found is not None else None


def _submitting(there: Inventory) -> tuple[Route, ...]:
    return tuple(route for route in there.routes if route.method in _SUBMITTING)


def _functions(there: Inventory, route: Route) -> tuple[str, ...]:
    return tuple(target for target in route.targets if target in there.functions)


def _roles(there: Inventory, route: Route, functions: Iterable[str]) -> tuple[str, ...]:
    """The roles with which the command is stored."""
    of_functions = (there.functions[function].role for function in functions)
    return tuple(dict.fromkeys(role for role in (route.role, *of_functions) if role))


def _status(there: Inventory, route: Route | None) -> Route | None:
    """A route that reads one thing below the path of a command."""
    if route is None:
        return None
    stem = route.path.rstrip("/")
    return next(
        (one for one in there.routes if one.method == "GET" and one.path.startswith(stem + "/{")),
        None,
    )


def view_routes(there: Inventory, command: str) -> tuple[Route, ...]:
    """The routes that read one thing, those that share most with the path of a command first."""
    reading = [one for one in there.routes if one.method == "GET" and one.path.count("{") == 1]
    return tuple(sorted(reading, key=lambda one: -_shared(one.path.split("/"), command.split("/"))))


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many parts two paths have in common, from their beginning."""
    return next((at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), len(one))


def _saga(there: Inventory) -> Parts | None:
    machine = next(iter(there.machines), "")
    if not machine:
        return None
    routes = _submitting(there)
    direct = [route for route in routes if machine in route.targets]
    started = [route for route in routes for one in _functions(there, route) if machine in there.functions[one].knows]
    route = next(iter(direct + started), None)
    ingest = _functions(there, route) if route else ()
    called = there.functions.keys() & set(_called(there, machine))
    workers = [one for one in there.functions if one in called] or [one for one in there.functions if one not in ingest]
    surfaced = [queue for queue in there.of_type("SQS::Queue") if not there.fed_by(queue) and queue not in there.rules]
    return Parts(
        pattern="saga",
        why=f"the state machine {machine}",
        route=route,
        status=_status(there, route),
        machine=machine,
        ingest=ingest,
        workers=tuple(workers),
        dead_letters=next(iter(surfaced), ""),
    )


def _called(there: Inventory, machine: str) -> Iterator[str]:
    """The functions that a state machine may invoke: those that its role may write to."""
    role = there.machines[machine].role
    yield from there.role_writes.get(role, ())


def _choreography(there: Inventory) -> Parts | None:
    bus = next(iter(there.of_type("Events::EventBus")), "")
    if not bus or not there.rules:
        return None
    names = {name: phrase(name.removesuffix("Function")) for name in there.functions}
    undone = {
        earlier: later
        for later in names
        for earlier in names
        if later != earlier and (undoes(names[later], names[earlier]) or later.startswith(_stem(earlier) + "Undo"))
    }
    if not undone:
        return None
    route = next(iter(_submitting(there)), None)
    ingest = _functions(there, route) if route else ()
    queues = set(there.dead_letters.values())
    last = [queue for queue in queues if not there.fed_by(queue)]
    return Parts(
        pattern="saga",
        why=f"functions on a bus of which some undo others: {', '.join(sorted(undone.values()))}",
        route=route,
        status=_status(there, route),
        steps=tuple(
            ChoreographedStep(name=_stem(function).lower(), function=function, undone_by=undo)
            for function, undo in undone.items()
        ),
        bus=bus,
        ingest=ingest,
        workers=tuple(name for name in there.functions if name not in ingest),
        dead_letters=next(iter(sorted(last)), ""),
    )


def _stem(function: str) -> str:
    return function.removesuffix("Function").removesuffix("Lambda")


def _streamed(there: Inventory) -> Parts | None:
    """CQRS where the stream's function writes a table, an outbox where it sends messages on."""
    for log, function in there.feeds:
        if log not in there.tables:
            continue
        route = next(
            (one for one in _submitting(there) for by in _functions(there, one) if log in _touched(there, by)), None
        )
        if route is None:
            continue
        ingest = _functions(there, route)
        sends = [one for one in _touched(there, function) if one in there.of_type("SQS::Queue") and there.fed_by(one)]
        if sends:
            consumers = [worker for queue in sends for worker in there.fed_by(queue)]
            return Parts(
                pattern="storage-first",
                why=f"{function} relays the stream of {log}: an outbox",
                route=route,
                status=_status(there, route),
                ingest=ingest,
                workers=(function, *consumers),
                store=log,
                roles=_roles(there, route, ingest),
                dead_letters=next((there.dead_letters[queue] for queue in sends if queue in there.dead_letters), ""),
            )
        views = [one for one in _touched(there, function) if one in there.tables and one != log]
        return Parts(
            pattern="cqrs",
            why=f"the stream of {log} feeds {function}",
            route=route,
            status=_status(there, route),
            ingest=ingest,
            workers=(function,),
            store=log,
            view=next(iter(views), ""),
            roles=_roles(there, route, ingest),
            dead_letters=there.failures.get(function, ""),
        )
    return None


def _touched(there: Inventory, function: str) -> tuple[str, ...]:
    """What a function may write, or where that is not known, all it is told of."""
    known = there.functions[function]
    return known.writes or known.knows


def _direct(there: Inventory) -> Parts | None:
    for route in _submitting(there):
        if route.service not in _DIRECT:
            continue
        store = next((one for one in route.targets if one not in (route.role, route.api)), "")
        return Parts(
            pattern="storage-first",
            why=f"{route.method} {route.path} stores in {store or route.service} without code in between",
            route=route,
            status=_status(there, route),
            workers=_behind(there, store),
            store=store,
            roles=(route.role,) if route.role else (),
            dead_letters=_dead_letters(there, store),
        )
    return None


def _stored(there: Inventory) -> Parts | None:
    for route in _submitting(there):
        for ingest in _functions(there, route):
            for store in _touched(there, ingest):
                if not _behind(there, store):
                    continue
                return Parts(
                    pattern="external-storage",
                    why=f"{ingest} stores a request in {store}, and {_behind(there, store)[0]} works on it later",
                    route=route,
                    status=_status(there, route),
                    ingest=(ingest,),
                    workers=_behind(there, store),
                    store=store,
                    roles=_roles(there, route, [ingest]),
                    dead_letters=_dead_letters(there, store),
                )
    return None


def _next(there: Inventory, store: str) -> tuple[str, ...]:
    """What a bucket or a bus passes events on to."""
    return (*there.notifies.get(store, ()), *(one for targets in there.rules.values() for one in targets))


def _behind(there: Inventory, store: str) -> tuple[str, ...]:
    """The functions that work on what is stored, also where a queue lies between."""
    fed = there.fed_by(store)
    if fed or store in there.of_type("SQS::Queue") or store in there.tables:
        return fed
    onward = _next(there, store)
    return tuple(
        dict.fromkeys(
            function for one in onward for function in ((one,) if one in there.functions else there.fed_by(one))
        )
    )


def _dead_letters(there: Inventory, store: str) -> str:
    for queue in (store, *_next(there, store)):
        if queue in there.dead_letters:
            return there.dead_letters[queue]
    return next((there.failures[worker] for worker in _behind(there, store) if worker in there.failures), "")
