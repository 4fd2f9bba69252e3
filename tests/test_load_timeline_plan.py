"""Plans of faults: every mistake is told, a line each, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.errors import HoldfastError
from holdfast.stack.configuration import Configuration
from holdfast.stack.loading import load_descriptor
from holdfast.stack.resolve import Resource, Stack
from holdfast.targets.base import Capability, Support
from holdfast_fixtures.catalogue import reference_stacks
from holdfast_load.timeline import checking, plan
from holdfast_load.timeline.plan import Condition, FaultPlan

(WEBHOOKS,) = (stack for stack in reference_stacks() if stack.name == "webhooks")
RUN_SECONDS = 60.0


@dataclass
class Incapable:
    """A target that can do all but what is named."""

    cannot: frozenset[Capability] = frozenset()
    kind: str = "embedded"
    region: str = "us-east-1"
    account: str = "000000000000"
    interceptor: Any = field(default_factory=object)

    def supports(self, capability: Capability) -> Support:
        """Whether it can."""
        return Support(capability not in self.cannot, "it never learned to")

    def client(self, service: str) -> Any:
        """Of a function without mappings."""
        assert service == "lambda"
        pages = SimpleNamespace(paginate=lambda **_: [{"EventSourceMappings": []}])
        return SimpleNamespace(get_paginator=lambda _: pages)


def stack(*cannot: Capability) -> Stack:
    """The webhooks stack on a target that does not exist."""
    descriptor = load_descriptor(WEBHOOKS.descriptor, {})
    resources = {
        name: Resource(component=name, type=one.type, name=name, arn=f"arn:aws:x:us-east-1:000000000000:{name}")
        for name, one in descriptor.components.items()
    }
    target: Any = Incapable(frozenset(cannot))
    return Stack(descriptor, WEBHOOKS.descriptor, target, resources)


def read(tmp_path: Path, text: str) -> FaultPlan:
    """A plan from its text."""
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return plan.read(path)


def check(tmp_path: Path, text: str, *cannot: Capability) -> list[str]:
    """The mistakes of a plan, a line each; none when it can be used."""
    faults = read(tmp_path, text)
    try:
        checking.check(Path("plan.toml"), faults, stack(*cannot), Configuration((), ()), RUN_SECONDS)
    except HoldfastError as error:
        return [line.strip() for line in error.what.splitlines()[1:]]
    return []


def test_a_plan_says_when_and_how_often(tmp_path: Path) -> None:
    """Durations may carry a unit; what comes again comes until the run ends, and nothing lasts longer than the run."""
    (fault,) = read(
        tmp_path,
        '[[fault]]\nlever = "rule-disable"\ncomponent = "r"\nat = "500ms"\nfor = "10s"\nevery = "0.5m"\n'
        'while = "rate >= 200"\n',
    ).fault
    assert list(fault.occurrences(65.0)) == [(0.5, 10.5), (30.5, 40.5), (60.5, 65.0)]
    assert fault.while_ == Condition(">=", 200.0)
    assert [fault.while_.holds(rate) for rate in (199.0, 200.0)] == [False, True]


def test_a_fault_without_an_end_lasts_until_the_run_ends(tmp_path: Path) -> None:
    """Without for there is one occurrence, to the end."""
    (fault,) = read(tmp_path, '[[fault]]\nwindow = "compute-dead"\nat = 5\n').fault
    assert list(fault.occurrences(60.0)) == [(5.0, 60.0)]


def test_what_no_plan_may_say_is_told_at_once(tmp_path: Path) -> None:
    """Each entry that is malformed is one line."""
    text = (
        '[[fault]]\nlever = "queue-delay"\nwindow = "compute-dead"\nat = 1\n'
        '[[fault]]\nwindow = "compute-dead"\nat = "soon"\n'
        '[[fault]]\nwindow = "compute-dead"\nat = 1\nevery = 5\n'
        '[[fault]]\nwindow = "compute-dead"\nat = 1\nwhile = "errors > 3"\n'
    )
    with pytest.raises(HoldfastError) as told:
        read(tmp_path, text)
    assert [line.strip() for line in told.value.what.splitlines()[1:]] == [
        "fault 1: give exactly one of lever, window and rule",
        'fault 2 at: a duration is a number of seconds, or a text such as "90s", "250ms" or "2m"',
        "fault 3: what comes again needs for, the time that it lasts",
        'fault 4 while: a condition compares the rate per second with a number, e.g. "rate >= 200"',
    ]


@pytest.mark.parametrize(
    ("entry", "mistake"),
    [
        (
            'lever = "queue-dely"\ncomponent = "queue"\nat = 1',
            "there is no lever queue-dely; did you mean queue-delay?",
        ),
        (
            'lever = "function-throttle"\ncomponent = "wrker"\nat = 1',
            "there is no component wrker; did you mean worker?",
        ),
        (
            'lever = "function-throttle"\ncomponent = "queue"\nat = 1',
            "queue is a queue, and the lever function-throttle acts on function",
        ),
        ('lever = "queue-delay"\ncomponent = "queue"\nat = 1', "the lever queue-delay needs the option seconds"),
        (
            'lever = "queue-delay"\ncomponent = "queue"\noptions = { seconds = "5" }\nat = 1',
            "the option seconds of the lever queue-delay is a whole number",
        ),
        (
            'lever = "execution-abort"\ncomponent = "queue"\nat = 1',
            "the lever execution-abort cannot be used here: it is aimed at single executions",
        ),
        ('window = "compute-dad"\nat = 1', "there is no window compute-dad; did you mean compute-dead?"),
        (
            'component = "worker"\nrule = { action = "refuse" }\nat = 1',
            'refuse is for calls: set point to "call"',
        ),
        ('lever = "function-throttle"\ncomponent = "worker"\nat = 60', "it begins at 60 s, and the run ends at 60 s"),
        (
            'lever = "function-throttle"\ncomponent = "worker"\nat = 55\nfor = 10',
            "it ends at 65 s, and the run at 60 s",
        ),
    ],
)
def test_what_cannot_be_put_on_is_told(entry: str, mistake: str, tmp_path: Path) -> None:
    """One line says which entry it is and what is wrong with it."""
    (told,) = check(tmp_path, f"[[fault]]\n{entry}\n")
    assert told.startswith("fault 1 (")
    assert told.endswith(f"): {mistake}")


def test_every_entry_with_a_mistake_is_told(tmp_path: Path) -> None:
    """Mistakes of different entries come together."""
    told = check(
        tmp_path,
        '[[fault]]\nlever = "x"\ncomponent = "queue"\nat = 1\n'
        '[[fault]]\nlever = "queue-redrive"\ncomponent = "y"\nat = 99\n',
    )
    assert [line.partition(":")[0] for line in told] == ["fault 1 (x on queue)", *["fault 2 (queue-redrive on y)"] * 2]


def test_what_the_target_cannot_do_is_told(tmp_path: Path) -> None:
    """The reason is the target's own."""
    plain = '[[fault]]\nlever = "function-throttle"\ncomponent = "worker"\nat = 1\n'
    assert check(tmp_path, plain) == []
    (told,) = check(tmp_path, plain, Capability.FUNCTION_THROTTLE)
    assert told.endswith("the embedded target cannot do function-throttle: it never learned to")


def test_two_faults_on_one_resource_at_one_time_are_told(tmp_path: Path) -> None:
    """The second would find what the first has put there; one after the other they are fine."""
    entry = '[[fault]]\nlever = "function-throttle"\ncomponent = "worker"\nfor = 5\nat = {}\n'
    assert check(tmp_path, entry.format(1) + entry.format(10)) == []
    (told,) = check(tmp_path, entry.format(1) + entry.format(4))
    assert told == (
        "fault 2 (function-throttle on worker): it is on the same resource at the same time as"
        " fault 1 (function-throttle on worker)"
    )
