"""A brute-force oracle: an interpreter of definitions that tries every failure and every interleaving.

It shares nothing with the analysis: it walks the document itself, keeps whole sets of effects instead of facts, and
visits every configuration, so loops need no bound. A task has its effect between its start and its end; a timeout or an
unnamed error may come before or after it, the error Refused only before. A Choice without a Default may match nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

Document = dict[str, Any]
Names = frozenset[str]
NOTHING: Names = frozenset()
TIMEOUT, OTHER, REFUSED = "States.Timeout", "any other error", "Refused"
NO_CHOICE = "States.NoChoiceMatched"


@dataclass(frozen=True)
class Branch:
    """A flow under way: the state it is at (None: ended well), whether a task has had its effect, what it undid.

    ``failed`` says that some task in it has failed, ``failed_in`` in which branch the failure is that is judged.
    """

    state: str | None
    applied: bool = False
    inside: tuple[Branch, ...] = ()
    undid: Names = NOTHING
    failed: bool = False
    failed_in: int | None = None


@dataclass(frozen=True)
class Move:
    """One step of an execution: the flow after it, or the error it ends with.

    ``undid`` is what this step undid; ``failure`` the task and error of a failing task; ``credit`` what the branches
    beside that failure had undone; ``alone`` whether nothing beside it had failed and no composite is retried.
    """

    flow: Branch | None
    effects: Names
    error: str = ""
    undid: Names = NOTHING
    failure: tuple[str, str] | None = None
    credit: Names = NOTHING
    alone: bool = True


@dataclass
class Interpreter:
    """Runs one document.

    Args:
        document: the machine.
        does: the step that each task does.
        undoes: the step that each task undoes.
        pivot: the task after which nothing needs to be undone.
        items: how many items every Map has.
    """

    document: Document
    does: dict[str, str]
    undoes: dict[str, str]
    pivot: str
    items: int
    limit: int = 2_500
    in_effect: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    must_run: dict[tuple[str, str], Names | None] = field(default_factory=dict)
    on_entry: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    visited: int = 0
    _ends: dict[Branch, set[Names]] = field(default_factory=dict)

    def run(self) -> bool:
        """Visit everything; False when the machine has too many configurations to be worth it."""
        start = (self.enter(self.document, self.document["StartAt"]), NOTHING)
        seen, waiting = {start}, [start]
        while waiting:
            flow, effects = waiting.pop()
            self.visited += 1
            if self.visited > self.limit:
                return False
            for move in self.moves(self.document, flow, effects, failing=True):
                if move.failure is not None:
                    self.in_effect[move.failure] |= move.effects
                    if move.alone:
                        self.judge(move)
                if move.flow is not None and move.flow.state is not None:
                    following = (stripped(move.flow), move.effects)
                    if following not in seen:
                        seen.add(following)
                        waiting.append(following)
        return True

    def judge(self, move: Move) -> None:
        """What runs on every way from a failure on."""
        assert move.failure is not None
        runs: Names | None = self.must_run.get(move.failure)
        over = move.flow is None or move.flow.state is None
        ends = {NOTHING} if move.flow is None or over else self.ends(move.flow)
        for undid in ends:
            total = undid | move.credit
            runs = total if runs is None else runs & total
        self.must_run[move.failure] = runs

    def ends(self, flow: Branch) -> set[Names]:
        """What was undone at each end that can be reached while no task fails."""
        if flow in self._ends:
            return self._ends[flow]
        found = self._ends[flow] = set()
        seen, waiting = {(flow, NOTHING)}, [(flow, NOTHING)]
        while waiting:
            current, undid = waiting.pop()
            for move in self.moves(self.document, current, NOTHING, failing=False):
                total = undid | move.undid
                if move.flow is None or move.flow.state is None:
                    found.add(total)
                elif (move.flow, total) not in seen:
                    seen.add((move.flow, total))
                    waiting.append((move.flow, total))
        return found

    def enter(self, flow: Document, name: str) -> Branch:
        """The flow at a state that was not begun."""
        return Branch(
            name, inside=tuple(self.enter(each, each["StartAt"]) for each in self.branches(flow["States"][name]))
        )

    def branches(self, state: Document) -> list[Document]:
        """The flows inside a state."""
        if state["Type"] == "Map":
            return [state["ItemProcessor"]] * self.items
        return state.get("Branches", [])

    def onward(self, flow: Document, state: Document) -> Branch:
        """The flow after a state that ended well."""
        return Branch(None) if state.get("End") or state["Type"] == "Succeed" else self.enter(flow, state["Next"])

    def moves(self, flow: Document, at: Branch, effects: Names, *, failing: bool) -> Iterator[Move]:
        """Every next step of a flow."""
        assert at.state is not None
        name, state = at.state, flow["States"][at.state]
        self.on_entry[name] |= effects
        if state["Type"] == "Choice":
            for target in [
                *(rule["Next"] for rule in state["Choices"]),
                *([state["Default"]] if "Default" in state else []),
            ]:
                yield Move(self.enter(flow, target), effects)
            if "Default" not in state and failing:
                yield Move(None, effects, error=NO_CHOICE, failure=(name, NO_CHOICE))
        elif state["Type"] == "Fail":
            yield Move(None, effects, error=state.get("Error", OTHER))
        elif state["Type"] == "Task":
            yield from self.task(flow, at, name, state, effects, failing=failing)
        elif state["Type"] in ("Parallel", "Map"):
            yield from self.composite(flow, at, name, state, effects, failing=failing)
        else:
            yield Move(self.onward(flow, state), effects)

    def task(
        self, flow: Document, at: Branch, name: str, state: Document, effects: Names, *, failing: bool
    ) -> Iterator[Move]:
        """A task has its effect, ends, or fails."""
        mine = frozenset({self.does[name]}) if name in self.does else NOTHING
        if not at.applied:
            yield Move(replace(at, applied=True), effects | mine)
        else:
            undone = frozenset({self.undoes[name]}) if name in self.undoes else NOTHING
            left = NOTHING if name == self.pivot else effects - undone
            yield Move(self.onward(flow, state), left, undid=undone)
        for error in (TIMEOUT, OTHER, REFUSED) if failing else ():
            if error != REFUSED or not at.applied:
                yield self.failed(flow, state, Move(None, effects, error=error, failure=(name, error)))

    def composite(
        self, flow: Document, at: Branch, name: str, state: Document, effects: Names, *, failing: bool
    ) -> Iterator[Move]:
        """One branch takes a step; when all have ended, the whole ends."""
        if all(branch.state is None for branch in at.inside):
            yield Move(self.onward(flow, state), effects)
        for number, (inner, branch) in enumerate(zip(self.branches(state), at.inside, strict=True)):
            if branch.state is None:
                continue
            for move in self.moves(inner, branch, effects, failing=failing):
                if move.flow is None:
                    if at.failed_in is not None and number != at.failed_in:
                        continue  # another failure, judged on its own
                    if self.first(state.get("Retry", []), move.error, composite=True) and failing:
                        yield replace(move, flow=self.enter(flow, name), error="", alone=False)
                    yield self.failed(flow, state, move)
                    continue
                failed = branch.failed or move.failure is not None
                after = replace(move.flow, undid=branch.undid | move.undid, failed=failed)
                inside = (*at.inside[:number], after, *at.inside[number + 1 :])
                if move.failure is None:
                    yield replace(move, flow=replace(at, inside=inside))
                    continue
                beside = (*at.inside[:number], *at.inside[number + 1 :])
                yield replace(
                    move,
                    flow=replace(at, inside=inside, failed_in=number),
                    credit=move.credit.union(*(other.undid for other in beside)),
                    alone=move.alone and not any(other.failed for other in beside),
                )

    def failed(self, flow: Document, state: Document, move: Move) -> Move:
        """Where a failing state goes on: at its catcher, or out of the flow with the same error."""
        catcher = self.first(state.get("Catch", []), move.error, composite=state["Type"] != "Task")
        return replace(move, flow=self.enter(flow, catcher["Next"]), error="") if catcher else move

    def first(self, entries: list[Document], error: str, *, composite: bool) -> Document | None:
        """The first catcher or retrier that takes an error."""
        for entry in entries:
            for name in entry["ErrorEquals"]:
                wild = name == "States.ALL" or (name == "States.TaskFailed" and error != TIMEOUT)
                if wild or name == error or (composite and name == "States.BranchFailed"):
                    return entry
        return None


def stripped(flow: Branch) -> Branch:
    """The flow without what is kept to judge one failure only."""
    return replace(flow, failed_in=None, inside=tuple(stripped(each) for each in flow.inside))
