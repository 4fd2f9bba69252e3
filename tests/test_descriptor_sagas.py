"""Sagas in the descriptor: their steps, the order among them, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from descriptor_examples import EXAMPLES, load_text
from holdfast.errors import DescriptorError
from holdfast.stack.patterns import SagaPattern


def saga(*steps: dict[str, Any], **options: Any) -> SagaPattern:
    """A saga of these steps."""
    listed = [{"effect": "done", **step} for step in steps]
    return SagaPattern.model_validate({"command": "start", "effect": "done", "steps": listed, **options})


def test_a_step_comes_after_the_one_before_it_unless_it_says_otherwise() -> None:
    """The order is a line by default, and partial where steps say what they come after; it is transitive."""
    booked = saga(
        {"name": "hold"}, {"name": "flight"}, {"name": "hotel", "after": ["hold"]}, {"name": "pay", "after": ["flight"]}
    )
    assert booked.predecessors() == {
        "hold": frozenset(),
        "flight": {"hold"},
        "hotel": {"hold"},
        "pay": {"hold", "flight"},
    }


def test_only_what_follows_the_pivot_is_after_it() -> None:
    """The pivot itself can still be undone by failing, and what overlaps with it is not after it."""
    booked = saga({"name": "hold"}, {"name": "pay"}, {"name": "ship"}, {"name": "tell", "after": []}, pivot="pay")
    assert [step.name for step in booked.steps if booked.after_pivot(step.name)] == ["ship"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('pivot = "reserve"', 'pivot = "pay"', "the pivot pay is none of the steps reserve"),
        ('undone = "released"', 'undone = "relesed"', "did you mean released?"),
        ('step = "reserve"', 'step = "reserv"', "did you mean reserve?"),
        ('state_machine = "saga"\npivot', 'state_machine = "stock"\npivot', "is of type table, not state_machine"),
        ('name = "reserve", effect', 'name = "reserve", after = "pay", effect', "comes after pay, which is no step"),
        ('state = "Release" }', 'state = "Release", function = "saga" }', "of type state_machine, not function"),
        ('pivot = "reserve"', 'pivot = "reserve"\nlock = "held"', "there is no effect held"),
        ("[patterns.saga]", "[patterns.sagas]", "did you mean saga?"),
    ],
)
def test_a_wrong_saga_is_told_where_and_how_to_mend_it(old: str, new: str, told: str, tmp_path: Path) -> None:
    """Each slip in a saga is one error that names the place and the remedy."""
    text = EXAMPLES["step-functions"]
    assert text.count(old) == 1
    with pytest.raises(DescriptorError) as caught:
        load_text(text.replace(old, new), tmp_path)
    assert told in f"{caught.value.what}\n{caught.value.cause}\n{caught.value.remedy}"


def test_a_choreography_lists_its_steps() -> None:
    """Without a state machine nothing tells the steps, so they must be listed."""
    with pytest.raises(ValueError, match="name the state_machine, or list the steps"):
        saga()
