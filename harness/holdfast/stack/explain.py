"""Validation errors in the words of the person who wrote the descriptor: key, cause and remedy.

Pydantic's own messages echo the input, which may be a secret: nothing of what came from the environment is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from holdfast.stack.base import Json
from holdfast.stack.environment import Environment
from holdfast.stack.keypath import KeyPath, Problem, as_written, value_at
from holdfast.stack.schema import keys_at, kinds_at
from holdfast.stack.templates import close_matches, suggestion

_LONGEST_SHOWN = 60
_UNKNOWN = "unknown key"
_MISSING = "it is missing"
_RENAMED = {
    "model_type": "should be a table",
    "model_attributes_type": "should be a table",
    "dict_type": "should be a table",
    "list_type": "should be a list",
    "string_type": "should be text",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "finite_number": "should be a finite number",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
}
_PATTERNS = {
    r"^[A-Za-z][A-Za-z0-9_-]*$": "a name: a letter, then letters, digits, _ and -",
    r"^\d{12}$": "12 digits",
    r"^[a-z]{2}(-[a-z]+)+-\d$": "a region, e.g. eu-west-1",
    r"^(ES|SG|SF|CQ|SC|XX)-\d+$": "a clause id, e.g. ES-1",
    r"^[\w.]+:[\w.]+$": "module:function",
    r"^[^\s.\[\]{}*'\"]+(\.[^\s.\[\]{}*'\"]+)*$": "the name of a field, or names joined by dots, e.g. customer.ssn",
    r"^[1-5]xx$": "a class of statuses, e.g. 2xx",
    r"^[a-z][a-z0-9-]{0,40}$": "a small letter, then up to 40 small letters, digits and -",
}


def explain(error: ValidationError, document: Json, environment: Environment) -> list[Problem]:
    """One problem per key, in the order of the document's model.

    Args:
        error: what validation found.
        document: the document that was validated.
        environment: knows which keys are secret.
    """
    by_path: dict[KeyPath, list[Problem]] = {}
    for detail in error.errors(include_url=False):
        problem = _explain(detail, document, environment)
        by_path.setdefault(problem.path, []).append(problem)
    misspelt = {
        (*path[:-1], meant[0])
        for path, problems in by_path.items()
        if problems[0].cause == _UNKNOWN and (meant := close_matches(str(path[-1]), keys_at(document, path[:-1])))
    }
    return [
        _merged(path, problems)
        for path, problems in by_path.items()
        if path not in misspelt or problems[0].cause != _MISSING
    ]


def _merged(path: KeyPath, problems: list[Problem]) -> Problem:
    """The alternatives of a union fail one by one; together they are one mistake."""
    causes = list(dict.fromkeys(problem.cause for problem in problems))
    remedies = list(dict.fromkeys(problem.remedy for problem in problems if problem.remedy))
    return Problem(path, "; or ".join(causes), "; or ".join(remedies))


def _explain(detail: ErrorDetails, document: Json, environment: Environment) -> Problem:  # noqa: PLR0911 - one a kind
    kind, context = detail["type"], detail.get("ctx", {})
    path = as_written(document, detail["loc"], absent=kind == "missing")
    if "[key]" in detail["loc"]:
        return _explain_key(detail, path)
    shown = "" if environment.is_secret(path) else _shown(value_at(document, path))
    match kind:
        case "extra_forbidden":
            return Problem(path, _UNKNOWN, suggestion(str(path[-1]), keys_at(document, path[:-1])))
        case "missing":
            return Problem(path, _MISSING, f"add the key {path[-1]}" if path else "")
        case "union_tag_invalid" | "union_tag_not_found":
            return _explain_tag(detail, document, path, environment)
        case "literal_error" | "enum":
            choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
            return Problem(path, f"{_given(shown)}not one of its values", suggestion(shown.strip("'\""), choices))
        case "string_pattern_mismatch":
            pattern = str(context.get("pattern", ""))
            return Problem(path, f"{_given(shown)}not {_PATTERNS.get(pattern, f'of the form {pattern}')}", "correct it")
        case "value_error":
            return Problem(path, "its keys do not fit together", str(context.get("error", "")))
        case "jmespath":
            why = "" if environment.is_secret(path) else f": {context.get('why', '')}"
            remedy = "text literals stand in single quotes, JSON literals in backticks"
            return Problem(path, f"not a JMESPath expression{why}", remedy)
    expected = _RENAMED.get(kind) or re.sub(r"^(Input|Value|String|List|Dictionary) ", "", detail["msg"])
    return Problem(path, f"it is {shown}, but {expected}" if shown else f"it {expected}", "correct it")


def _explain_key(detail: ErrorDetails, path: KeyPath) -> Problem:
    context = detail.get("ctx", {})
    if detail["type"] == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return Problem(path, _UNKNOWN, suggestion(str(path[-1]), choices))
    pattern = str(context.get("pattern", ""))
    return Problem(path, f"the key is not {_PATTERNS.get(pattern, f'of the form {pattern}')}", "give it another name")


def _explain_tag(detail: ErrorDetails, document: Json, path: KeyPath, environment: Environment) -> Problem:
    name = str(detail.get("ctx", {}).get("discriminator", "'kind'")).strip("'")
    choices: Iterable[str] = kinds_at(document, path)
    tag_path = (*path, name)
    tag = value_at(document, tag_path)
    if tag is None:
        return Problem(tag_path, _MISSING, suggestion("", choices))
    if environment.is_secret(tag_path):
        return Problem(tag_path, "not one of its values", suggestion("", choices))
    return Problem(tag_path, f"{_given(_shown(tag))}not one of its values", suggestion(str(tag), choices))


def _given(shown: str) -> str:
    return f"it is {shown}, " if shown else ""


def _shown(value: Json) -> str:
    if isinstance(value, dict | list) or value is None:
        return ""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
