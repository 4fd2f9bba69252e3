"""The client's view of one answer: acknowledged, refused, or unknown. Total: every answer has exactly one outcome."""

from __future__ import annotations

from holdfast.history.model import Outcome
from holdfast.ports.answer import Answer
from holdfast.ports.expression import search
from holdfast.stack.commands import Acknowledgement

_EXPRESSION, _EXACT, _CLASS, _NO = 3, 2, 1, 0


def classify(rule: Acknowledgement, answer: Answer) -> Outcome:
    """Apply an acknowledgement rule to an answer.

    An expression outweighs a status named exactly, which outweighs a class such as ``4xx``; an answer that both sides
    claim with the same weight is unknown. ``4xx`` leaves out 408, which says that the server gave up, not that it did
    nothing. An answer that carries an AWS error code (a function error comes with status 200) is never acknowledged.
    """
    if not answer.sent:
        return Outcome.FAIL
    if answer.error or not answer.status:
        return Outcome.UNKNOWN
    acknowledged = _weight(rule.acknowledged, answer)
    refused = _weight(rule.refused, answer)
    if acknowledged is None or refused is None or acknowledged == refused:
        return Outcome.UNKNOWN
    if refused > acknowledged:
        return Outcome.FAIL
    return Outcome.UNKNOWN if answer.code else Outcome.OK


def _weight(rule: list[int | str] | str, answer: Answer) -> int | None:
    """How strongly a rule claims an answer; None when an expression yields neither true nor false."""
    if isinstance(rule, str):
        found = search(rule, answer.document())
        if found is None:
            return _NO
        if not isinstance(found, bool):
            return None
        return _EXPRESSION if found else _NO
    if answer.status in rule:
        return _EXACT
    in_class = f"{answer.status // 100}xx" in rule and answer.status != 408
    return _CLASS if in_class else _NO
