"""A path that names nothing ends the execution with ``States.Runtime``, which no ``States.ALL`` catches.

"States.Runtime: an execution failed due to some exception that it couldn't process. Often these errors are caused by
errors at runtime, such as attempting to apply InputPath or OutputPath on a null JSON payload. A States.Runtime error
isn't retriable, and will always cause the execution to fail. A retry or catch on States.ALL won't catch States.Runtime
errors": https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html. ``IsPresent`` asks whether
there is anything at all: https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html. MiniStack takes null
for what is missing, so a saga goes on with holes in its data that would have stopped it.
"""

from __future__ import annotations

import json
from typing import Any

from ministack.services import stepfunctions

from holdfast.targets.emulator.known import require

_RUNTIME = "States.Runtime"
_MOST_CHARACTERS = 500


def apply() -> None:
    """Replace how a path is followed; after ``task_timeouts``, which also says what an error matches."""
    require(stepfunctions._resolve_path, "4ca0c5fe9f70", "stepfunctions._resolve_path")
    require(stepfunctions._evaluate_rule, "728e6547c8ca", "stepfunctions._evaluate_rule")
    require(stepfunctions._resolve_path_or_ctx, "39841ce14aef", "stepfunctions._resolve_path_or_ctx")
    evaluate, matches = stepfunctions._evaluate_rule, stepfunctions._error_matches

    def evaluate_rule(rule: dict[str, Any], data: Any, context: Any = None) -> bool:
        if "IsPresent" in rule and "Variable" in rule:
            try:
                stepfunctions._resolve_path_or_ctx(rule["Variable"], data, context)
            except _MissingError:
                return not rule["IsPresent"]
            return bool(rule["IsPresent"])
        return bool(evaluate(rule, data, context))

    def error_matches(names: list[str], error: str) -> bool:
        return error in names if error == _RUNTIME else bool(matches(names, error))

    stepfunctions._resolve_path = _resolve_path
    stepfunctions._evaluate_rule = evaluate_rule
    stepfunctions._error_matches = error_matches


class _MissingError(stepfunctions._ExecutionError):  # type: ignore[misc] # the emulator has no types
    """A path names nothing."""


def _resolve_path(path: str, data: Any) -> Any:
    """What a path names; see ``stepfunctions._resolve_path``.

    Raises:
        _MissingError: it names nothing.
    """
    if path == "$" or not path or not path.startswith("$"):
        return data
    steps = stepfunctions._parse_jsonpath_tokens(path)
    if steps is None:
        raise stepfunctions._ExecutionError(_RUNTIME, f"The JSONPath '{path}' is not modelled")
    found = [data]
    many = False
    for kind, name in steps:
        many = many or kind == "wildcard"
        found = [inner for one in found for inner in _inside(one, kind, name)]
    if many:
        return found
    if not found:
        told = json.dumps(data, ensure_ascii=False, default=str)[:_MOST_CHARACTERS]
        raise _MissingError(_RUNTIME, f"The JSONPath '{path}' could not be found in the input '{told}'")
    return found[0]


def _inside(value: Any, kind: str, name: Any) -> list[Any]:
    """What one step of a path leads to."""
    if kind == "field":
        return [value[name]] if isinstance(value, dict) and name in value else []
    if kind == "index":
        return [value[name]] if isinstance(value, list) and -len(value) <= name < len(value) else []
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
