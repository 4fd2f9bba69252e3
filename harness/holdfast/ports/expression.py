"""JMESPath as ports use it, with ``from_json(text)`` added: a message inside a message is JSON inside text."""

from __future__ import annotations

import functools
import json
from typing import Any

import jmespath
import jmespath.exceptions
import jmespath.functions
import jmespath.parser

from holdfast.errors import PortError
from holdfast.stack.base import Json

_NEVER_BOOLEAN = frozenset(
    {
        "multi_select_dict",
        "multi_select_list",
        "projection",
        "value_projection",
        "filter_projection",
        "flatten",
        "slice",
    }
)


class _Functions(jmespath.functions.Functions):
    @jmespath.functions.signature({"types": ["string", "null"]})
    def _func_from_json(self, text: str | None) -> Json:
        try:
            return None if text is None else json.loads(text)
        except ValueError:
            return None


_OPTIONS = jmespath.Options(custom_functions=_Functions())


@functools.cache
def _compiled(expression: str) -> Any:
    return jmespath.compile(expression)


def check_expression(expression: str, where: str, *, boolean: bool = False) -> None:
    """Refuse an expression that cannot be parsed, or that can never be true or false where that is needed.

    Args:
        expression: the expression.
        where: the key of the descriptor that holds it.
        boolean: whether it must be able to yield true or false.

    Raises:
        PortError: it cannot be used.
    """
    try:
        tree = _compiled(expression).parsed
    except jmespath.exceptions.JMESPathError as error:
        raise PortError(
            f"{where}: {expression!r} is not a JMESPath expression",
            cause=str(error).splitlines()[0],
            remedy="correct the expression; text literals stand in single quotes, JSON literals in backticks",
        ) from None
    if boolean and _never_boolean(tree):
        raise PortError(
            f"{where}: {expression!r} can never be true or false",
            cause="it always yields a text, a number, a list or an object",
            remedy="write a condition, e.g. json.accepted == `true`, or a list of statuses such as [200, 202]",
        )


def _never_boolean(tree: dict[str, Any]) -> bool:
    kind = tree["type"]
    if kind in {"subexpression", "pipe"}:
        return _never_boolean(tree["children"][-1])
    if kind == "literal":
        return not isinstance(tree["value"], bool)
    return kind == "raw_string" or kind in _NEVER_BOOLEAN


def search(expression: str, document: Json) -> Json:
    """The value of an expression; None where it does not apply to this document."""
    try:
        return _compiled(expression).search(document, options=_OPTIONS)
    except (jmespath.exceptions.JMESPathError, TypeError, ValueError, RecursionError):
        # E.g. contains(json.text, 'x') on an answer without text: the expression says nothing about it.
        return None
