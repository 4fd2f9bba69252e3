"""A function becomes active, and is updated, in a moment: AWS promises only that it takes time.

https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html. MiniStack holds every new function in ``Pending``
for half a second.
"""

from __future__ import annotations

from ministack.services import lambda_svc

from holdfast.targets.emulator.known import require

_PENDING_SECONDS = 0.02


def apply() -> None:
    """Shorten the states in between."""
    require(lambda_svc._schedule_state_transition, "f072b21e2fd9", "lambda_svc._schedule_state_transition")
    lambda_svc._LAMBDA_STATE_TRANSITION_DELAY = _PENDING_SECONDS
