"""The fixpoint analyses agree with an interpreter that tries every failure and every interleaving."""

from __future__ import annotations

import random
from typing import Any

import pytest

from asl_interpreter import REFUSED, Interpreter
from holdfast.definition import SagaSteps, Step, analyse
from holdfast.definition.files import parse_text
from saga_definitions import text_of

MACHINES_A_SEED = 250
SEEDS = 8
STEPS = ("a", "b", "c")


class Maker:
    """Makes small machines, with loops, branches, items, catchers and retriers, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = 0
        self.tasks: list[str] = []
        self.choices: list[str] = []
        self.in_map: set[str] = set()

    def machine(self) -> dict[str, Any]:
        """A machine of two to five states, some of them with flows inside."""
        return self.flow(size=self.random.randint(2, 5), depth=0, mapped=False)

    def flow(self, *, size: int, depth: int, mapped: bool) -> dict[str, Any]:
        names = [f"S{self.count + number}" for number in range(size)]
        self.count += size
        states = {name: self.state(name, names, depth, mapped=mapped) for name in names}
        return {"StartAt": names[0], "States": states}

    def state(self, name: str, names: list[str], depth: int, *, mapped: bool) -> dict[str, Any]:
        pick = self.random
        inside = (
            ["Parallel", "Parallel", "Map"]
            if depth == 0
            else ["Parallel"]
            if depth == 1 and pick.random() < 0.2
            else []
        )
        kind = pick.choice(["Task"] * 8 + ["Choice", "Choice", "Pass", "Fail", "Succeed", *inside])
        if kind == "Fail":
            return {"Type": kind, **({"Error": REFUSED} if pick.random() < 0.4 else {})}
        if kind == "Succeed":
            return {"Type": kind}
        if kind == "Choice":
            rules = [
                {"Condition": "{% true %}", "Next": target} for target in pick.choices(names, k=pick.randint(1, 2))
            ]
            if pick.random() < 0.3:
                self.choices.append(name)
                return {"Type": kind, "Choices": rules}
            return {"Type": kind, "Choices": rules, "Default": pick.choice(names)}
        state: dict[str, Any] = {"Type": kind, **self.onward(name, names)}
        if kind == "Task":
            state["Resource"] = "arn:aws:lambda:eu-west-1:123456789012:function:f"
            self.tasks.append(name)
            if mapped:
                self.in_map.add(name)
        if kind == "Parallel":
            state["Branches"] = [self.flow(size=pick.randint(1, 2), depth=depth + 1, mapped=mapped) for _ in range(2)]
        if kind == "Map":
            state["ItemProcessor"] = self.flow(size=pick.randint(1, 2), depth=depth + 1, mapped=True)
        if kind != "Pass":
            state["Catch"] = [
                {"ErrorEquals": [error], "Next": pick.choice(names)}
                for error in pick.sample(
                    ["Refused", "States.Timeout", "States.NoChoiceMatched", "States.TaskFailed", "States.ALL"],
                    pick.randint(0, 2),
                )
            ]
            if kind != "Task" and pick.random() < 0.3:
                state["Catch"].append({"ErrorEquals": ["States.BranchFailed"], "Next": pick.choice(names)})
            if kind != "Task" and pick.random() < 0.2:
                state["Retry"] = [{"ErrorEquals": [pick.choice(["States.ALL", "States.Timeout"])]}]
        return state

    def onward(self, name: str, names: list[str]) -> dict[str, Any]:
        """Mostly forward, sometimes back, sometimes the end."""
        later = names[names.index(name) + 1 :]
        chance = self.random.random()
        if chance < 0.2 or (chance < 0.85 and not later):
            return {"End": True}
        return {"Next": self.random.choice(later if chance < 0.85 else names)}

    def steps(self) -> SagaSteps:
        """Each step is done by one task and undone by up to two others."""
        order = self.random.sample(self.tasks, len(self.tasks))
        steps = []
        for name in STEPS:
            if not order:
                break
            does = order.pop()
            undoing = tuple(order.pop() for _ in range(min(len(order), self.random.randint(1, 2))))
            steps.append(Step(name=name, states=(does,), compensations=undoing))
        pivot = steps[-1].name if steps and self.random.random() < 0.3 else None
        return SagaSteps(steps=tuple(steps), pivot=pivot)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_fixpoints_equal_exhaustive_execution(seed: int) -> None:
    """On every failure exit the steps that may be in effect, and what must run from there, are those of all executions.

    With a Map the analysis may only say more in effect and less that must run: how many items two Maps have is not
    independent, which it does not know.
    """
    compared = told = 0
    for number in range(MACHINES_A_SEED):
        maker = Maker(seed * 100_000 + number)
        document = maker.machine()
        steps = maker.steps()
        mapped = '"Map"' in text_of(document)
        runs = [run for items in ((0, 1, 2) if mapped else (1,)) if (run := interpreted(document, steps, items))]
        if len(runs) < (3 if mapped else 1):
            continue
        analysis = analyse(parse_text(text_of(document), file="random", name="random"), steps)
        exits = [each for each in analysis.exits if each.state in (*maker.tasks, *maker.choices)]
        failing = {task for run in runs for task, _ in run.in_effect}
        assert failing <= {each.state for each in exits} if mapped else failing == {each.state for each in exits}
        for each in exits:
            keys = [(each.state, error) for error in each.errors]
            may = {name for run in runs for key in keys for name in run.in_effect.get(key, ())}
            assert may <= each.in_effect if mapped else may == each.in_effect, (document, steps, each)
            known = [run.must_run.get(key) for run in runs if run.items for key in keys]
            everything = frozenset(step.name for step in steps.steps)
            must = everything.intersection(*(names for names in known if names is not None))
            assert each.must_run <= must if mapped else each.must_run == must, (document, steps, each)
            compared += 1
            told += bool(may) and bool(must)
    assert compared > MACHINES_A_SEED
    assert told > MACHINES_A_SEED // 10


def interpreted(document: dict[str, Any], steps: SagaSteps, items: int) -> Interpreter | None:
    """A run of everything; None when the machine is too large for it."""
    pivot = next((step.states[0] for step in steps.steps if step.name == steps.pivot), "")
    interpreter = Interpreter(
        document,
        does={step.states[0]: step.name for step in steps.steps},
        undoes={state: step.name for step in steps.steps for state in step.compensations},
        pivot=pivot,
        items=items,
    )
    return interpreter if interpreter.run() else None
