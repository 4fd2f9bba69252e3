"""From a document to a state machine; every mistake is reported at once, by line and state, with a remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from holdfast.definition.integrations import work_of
from holdfast.definition.model import Catcher, Definition, Flow, Kind, Retrier, State, Work
from holdfast.definition.source import Node
from holdfast.errors import DefinitionError

_WITHOUT_NEXT = (Kind.CHOICE, Kind.SUCCEED, Kind.FAIL)
_MAY_CATCH = (Kind.TASK, Kind.PARALLEL, Kind.MAP)
_SHOWN_PROBLEMS = 20


def parse(
    node: Node,
    *,
    file: str,
    name: str,
    express: bool | None = None,
    aliases: tuple[str, ...] = (),
) -> Definition:
    """Read a state machine from its document.

    Args:
        node: the document, an object with ``StartAt`` and ``States``.
        file: where it is written, for messages and findings.
        name: what the machine is called.
        express: whether it is an Express workflow; None when that is not known.
        aliases: other names that ``startExecution`` may know it by.

    Raises:
        DefinitionError: it is not the Amazon States Language; every mistake with its line, state and remedy.
    """
    if not node.entries or "States" not in node.entries or "StartAt" not in node.entries:
        raise DefinitionError(
            f"{file}:{node.line}: this is not a state machine's definition.",
            cause="it has no StartAt and States" if node.entries else "it is no object with StartAt and States",
            remedy="name a file in the Amazon States Language, or a CloudFormation or SAM template with state machines",
        )
    parser = _Parser(file)
    flow = parser.flow(node, "the machine", frozenset())
    timeout = parser.number(node, "TimeoutSeconds", "the machine", least=1)
    parser.check_names()
    if parser.problems:
        raise _error(file, parser.problems)
    assert flow is not None
    return Definition(
        name=name, file=file, line=node.line, flow=flow, express=express, timeout_seconds=timeout, aliases=aliases
    )


@dataclass(frozen=True, slots=True)
class _Problem:
    line: int
    what: str
    remedy: str


def _error(file: str, problems: Iterable[_Problem]) -> DefinitionError:
    ordered = sorted(dict.fromkeys(problems), key=lambda problem: problem.line)
    if len(ordered) == 1:
        return DefinitionError(f"{file}:{ordered[0].line}: {ordered[0].what}", remedy=ordered[0].remedy)
    lines = [f"{file}: this is not the Amazon States Language in {len(ordered)} places."]
    lines += [f"  {file}:{each.line}: {each.what} {each.remedy}." for each in ordered[:_SHOWN_PROBLEMS]]
    if len(ordered) > _SHOWN_PROBLEMS:
        lines.append(f"  and {len(ordered) - _SHOWN_PROBLEMS} more")
    return DefinitionError(
        "\n".join(lines), remedy="correct these places; states-language.net/spec.html is the language"
    )


@dataclass(slots=True)
class _Parser:
    """Collects problems while it reads; what it returns is used only when there are none."""

    file: str
    problems: list[_Problem] = field(default_factory=list)
    seen: list[tuple[str, int]] = field(default_factory=list)

    def flow(self, node: Node, where: str, outer: frozenset[str]) -> Flow | None:
        """The states of a machine, a branch or an item."""
        start, states = node.get("StartAt"), node.get("States")
        if states is None or not states.entries:
            self._problem(node, f"{where} has no States.", "list its states by name")
            return None
        names = frozenset(states.entries)
        if start is None or start.text is None:
            self._problem(node, f"{where} has no StartAt.", "name the state it starts at")
        else:
            self._target(start, start.text, names, outer, f"StartAt of {where}")
        read = tuple(self._state(name, each, names, outer) for name, each in states.entries.items())
        return Flow(start=(start.text or "") if start else "", states=tuple(each for each in read if each is not None))

    def check_names(self) -> None:
        """Names of states are unique in the whole machine, its branches included."""
        first: dict[str, int] = {}
        for name, line in self.seen:
            if name in first:
                self.problems.append(
                    _Problem(
                        line,
                        f"State {name} is there twice, first on line {first[name]}.",
                        "Names of states are unique in the whole machine; rename one",
                    )
                )
            first.setdefault(name, line)

    def number(self, node: Node, key: str, where: str, *, least: float) -> float | None:
        """A number that may also be an expression, which is None; anything else is a problem."""
        given = node.get(key)
        if given is None:
            return None
        value = given.value
        if isinstance(value, str) and (value.lstrip().startswith("{%") or "${" in value):
            return None
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= 1e9:
            self._problem(given, f"{key} of {where} is no number from {least:g} to 1e9.", "Give a number")
            return None
        return float(value)

    def _problem(self, node: Node, what: str, remedy: str) -> None:
        self.problems.append(_Problem(node.line, what[0].upper() + what[1:], remedy))

    def _state(self, name: str, node: Node, names: frozenset[str], outer: frozenset[str]) -> State | None:
        self.seen.append((name, node.line))
        where = f"state {name}"
        kind_node = node.get("Type")
        if kind_node is None or kind_node.text not in {kind.value for kind in Kind}:
            given = "no Type" if kind_node is None else f"an unknown Type, {_shown(kind_node)}"
            self._problem(
                kind_node or node, f"{where} has {given}.", f"The types are {', '.join(kind.value for kind in Kind)}"
            )
            return None
        kind = Kind(kind_node.text)
        catches = kind in _MAY_CATCH
        return State(
            id=name,
            file=self.file,
            line=node.line,
            kind=kind,
            next=self._next(node, kind, where, names, outer),
            choices=self._choices(node, where, names, outer) if kind is Kind.CHOICE else (),
            retriers=tuple(self._retriers(node, where)) if catches else (),
            catchers=tuple(self._catchers(node, where, names, outer)) if catches else (),
            flows=self._flows(node, kind, where, names | outer),
            work=self._work(node, where) if kind is Kind.TASK else None,
            error=self._error_name(node) if kind is Kind.FAIL else "",
            wait_seconds=self.number(node, "Seconds", where, least=0) if kind is Kind.WAIT else None,
            may_match_nothing=kind is Kind.CHOICE and "Default" not in node.entries,
            tolerates_failures=any(
                key.startswith("ToleratedFailure") and given.value != 0 for key, given in node.entries.items()
            ),
        )

    def _next(self, node: Node, kind: Kind, where: str, names: frozenset[str], outer: frozenset[str]) -> str | None:
        if kind in _WITHOUT_NEXT:
            return None
        following, end = node.get("Next"), node.get("End")
        ends = end is not None and end.value is True
        if following is None and not ends:
            self._problem(node, f"{where} has neither Next nor End.", 'Give it a Next, or "End": true')
        if following is not None and ends:
            self._problem(following, f"{where} has both Next and End.", "Keep one of them")
        return None if following is None else self._target(following, following.text, names, outer, f"Next of {where}")

    def _choices(self, node: Node, where: str, names: frozenset[str], outer: frozenset[str]) -> tuple[str, ...]:
        rules, default = node.get("Choices"), node.get("Default")
        if rules is None or not rules.items:
            self._problem(node, f"{where} has no Choices.", "Give it at least one rule")
        targets = []
        for rule in rules.items if rules else ():
            following = rule.get("Next")
            if following is None:
                self._problem(rule, f"A rule of {where} has no Next.", "Name the state it goes to")
            else:
                targets.append(self._target(following, following.text, names, outer, f"Next of a rule of {where}"))
        if default is not None:
            targets.append(self._target(default, default.text, names, outer, f"Default of {where}"))
        return tuple(dict.fromkeys(targets))

    def _target(self, node: Node, target: str | None, names: frozenset[str], outer: frozenset[str], what: str) -> str:
        if target in names and target is not None:
            return target
        close = difflib.get_close_matches(target or "", names, n=1)
        if target in outer:
            remedy = "A branch cannot go to a state outside it; end the branch and go on from there"
        else:
            remedy = f"Did you mean {close[0]}?" if close else "Name a state of the same level"
        self._problem(node, f"{what} names {_shown(node)}, which is no state there.", remedy.rstrip("?"))
        return target or ""

    def _errors(self, node: Node, where: str) -> tuple[str, ...]:
        given = node.get("ErrorEquals")
        if given is None or not given.items or any(each.text is None for each in given.items):
            self._problem(given or node, f"{where} has no list of names in ErrorEquals.", "List the error names")
            return ()
        return tuple(each.text for each in given.items if each.text is not None)

    def _retriers(self, node: Node, where: str) -> Iterable[Retrier]:
        for each in self._list(node, "Retry", where):
            what = f"a retrier of {where}"
            attempts = self.number(each, "MaxAttempts", what, least=0)
            interval = self.number(each, "IntervalSeconds", what, least=0)
            backoff = self.number(each, "BackoffRate", what, least=1)
            yield Retrier(
                errors=self._errors(each, what),
                line=each.line,
                maximum_attempts=3 if attempts is None else int(attempts),
                interval_seconds=1 if interval is None else interval,
                backoff_rate=2 if backoff is None else backoff,
                maximum_delay_seconds=self.number(each, "MaxDelaySeconds", what, least=1),
            )

    def _catchers(self, node: Node, where: str, names: frozenset[str], outer: frozenset[str]) -> Iterable[Catcher]:
        for each in self._list(node, "Catch", where):
            what = f"a catcher of {where}"
            following = each.get("Next")
            if following is None:
                self._problem(each, f"{what} has no Next.", "Name the state that handles the error")
            target = self._target(following, following.text, names, outer, f"Next of {what}") if following else ""
            yield Catcher(errors=self._errors(each, what), line=each.line, next=target)

    def _list(self, node: Node, key: str, where: str) -> list[Node]:
        given = node.get(key)
        if given is not None and not isinstance(given.value, list):
            self._problem(given, f"{key} of {where} is no list.", "Put it in brackets")
        return given.items if given else []

    def _flows(self, node: Node, kind: Kind, where: str, outer: frozenset[str]) -> tuple[Flow, ...]:
        if kind is Kind.PARALLEL:
            branches = node.get("Branches")
            if branches is None or not branches.items:
                self._problem(node, f"{where} has no Branches.", "Give it at least one branch")
                return ()
            read = [
                self.flow(each, f"branch {at} of {where}", outer) for at, each in enumerate(branches.items, start=1)
            ]
            return tuple(each for each in read if each is not None)
        if kind is Kind.MAP:
            body = node.get("ItemProcessor") or node.get("Iterator")
            if body is None:
                self._problem(node, f"{where} has no ItemProcessor.", "Say what is done with each item")
                return ()
            flow = self.flow(body, f"the items of {where}", outer)
            config = body.get("ProcessorConfig")
            kind_of_items = config.get("ExecutionType") if config else None
            express = kind_of_items is not None and kind_of_items.text == "EXPRESS"
            return (replace(flow, express=express),) if flow is not None else ()
        return ()

    def _work(self, node: Node, where: str) -> Work | None:
        resource = node.get("Resource")
        if resource is None or not isinstance(resource.value, str | dict):
            self._problem(resource or node, f"{where} has no Resource.", "Name what it calls")
            return None
        return work_of(
            node,
            has_timeout="TimeoutSeconds" in node.entries or "TimeoutSecondsPath" in node.entries,
            has_heartbeat="HeartbeatSeconds" in node.entries or "HeartbeatSecondsPath" in node.entries,
            timeout_seconds=self.number(node, "TimeoutSeconds", where, least=1),
        )

    def _error_name(self, node: Node) -> str:
        given = node.get("Error")
        text = given.text if given else None
        return "" if text is None or text.lstrip().startswith("{%") else text


def _shown(node: Node) -> str:
    return str(node.value) if not isinstance(node.value, dict | list) else "something that is no text"
