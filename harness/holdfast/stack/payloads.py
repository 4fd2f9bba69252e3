r"""Payloads that an API must admit and a stack must keep byte for byte (SF-4), as Hypothesis strategies.

All of Unicode without surrogates, control characters, ``& + % = " \``, deep and large values. A value that travels
outside a body too (path, query, header, attribute, object key, group) keeps its tame value: those places have rules of
their own, and breaking them proves nothing about what is stored.
"""

from __future__ import annotations

from typing import assert_never

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from holdfast.stack.base import Json
from holdfast.stack.commands import (
    AnyCall,
    Command,
    EventBridgeCall,
    ExecutionCall,
    HttpCall,
    JsonField,
    LambdaCall,
    PythonCall,
    S3Call,
    SnsCall,
    SqsCall,
    TextField,
)
from holdfast.stack.generate import VALUE
from holdfast.stack.templates import placeholders

_NASTY = "&+%=\"\\'<>/?#;:,{}[]$`|~^ \t\r\n\0\x07\x1b\x7f\x85\u200b\u202e\u2028\ufeff\uffff\U0001f600e\u0301"
_PHRASES = (
    "a&b=c+d%20e",
    '"quoted" \\ back\\slash',
    "%7B%22a%22%3A1%7D",
    "line\r\nfeed\ttab\0null",
    '{"a": "{key}"}',
    "$input.body ${util} $!x #set($a=1)",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \u202ertl\u202c e\u0301 \u00e9 \u2028",
    "&amp;&#x41;<b>]]></b>",
    "null",
    "1e400",
    "-0",
)
# What SQS and SNS refuse in a message: "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
# (API reference of SendMessage). As raw text it is never admitted, so it says nothing about what is kept.
_NO_MESSAGE = "".join(chr(code) for code in range(0x20) if chr(code) not in "\t\n\r") + "\ufffe\uffff"
_MOST_EXACT_INTEGER = 2**53 - 1  # parsers that read doubles keep these


def varying(command: Command) -> tuple[str, ...]:
    """What of a command may be drawn at random: the unique value and the free fields that travel in bodies only."""
    outside = frozenset().union(*(placeholders(_outside_body(call)) for call in command.calls))
    inside = frozenset().union(*(placeholders(_body(call)) for call in command.calls))
    free = [name for name, kind in command.fields.items() if isinstance(kind, TextField | JsonField)]
    return tuple(name for name in (VALUE, *free) if name in inside - outside)


def overrides(command: Command, *, most_characters: int) -> SearchStrategy[dict[str, Json]]:
    """Overrides for `holdfast.stack.generate.draw`: free text, JSON fields and the unique value, filled at random.

    Args:
        command: the command to submit.
        most_characters: the longest text, in characters.
    """
    raw = frozenset().union(*(placeholders(_raw_message(call)) for call in command.calls))
    filled: dict[str, SearchStrategy[Json]] = {}
    for name in varying(command):
        kind = command.fields.get(name)
        excluded = _NO_MESSAGE if name in raw else ""
        if name == VALUE:
            filled[VALUE] = _text(1, most_characters, excluded)
        elif isinstance(kind, TextField):
            longest = min(kind.max_length, max(most_characters, kind.min_length))
            filled[name] = (
                st.text(kind.alphabet, min_size=kind.min_length, max_size=longest)
                if kind.alphabet
                else _text(kind.min_length, longest, excluded)
            )
        elif isinstance(kind, JsonField):
            filled[name] = _json(kind.max_depth, most_characters, excluded)
    return st.fixed_dictionaries(filled)


def _text(shortest: int, longest: int, excluded: str) -> SearchStrategy[str]:
    character = st.characters(exclude_categories=["Cs"], exclude_characters=excluded)
    nasty = [each for each in _NASTY if each not in excluded]
    phrases = [each for each in _PHRASES if shortest <= len(each) <= longest and not set(each) & set(excluded)]
    size = min(longest, max(shortest, 200))
    choices: list[SearchStrategy[str]] = [
        st.text(character, min_size=shortest, max_size=size),
        st.text(st.sampled_from(nasty), min_size=shortest, max_size=size),
        st.builds(lambda each, length: each * length, character, st.integers(shortest, longest)),
    ]
    if phrases:
        choices.append(st.sampled_from(phrases))
    return st.one_of(choices)


def _json(deepest: int, most_characters: int, excluded: str) -> SearchStrategy[Json]:
    leaves: SearchStrategy[Json] = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-_MOST_EXACT_INTEGER, _MOST_EXACT_INTEGER),
        # three decimals: every parser and store agrees on how these are written
        st.integers(-(10**9), 10**9).map(lambda thousandths: thousandths / 1000),
        _text(0, min(most_characters, 2_000), excluded),
    )
    wide: SearchStrategy[Json] = st.one_of(
        st.lists(leaves, max_size=6), st.dictionaries(_text(1, 40, excluded), leaves, max_size=6)
    )
    levels = st.lists(st.booleans(), min_size=deepest - 1, max_size=deepest - 1)
    deep = st.builds(_nested, leaves, levels)
    return st.one_of(leaves, wide, deep)


def _nested(leaf: Json, as_lists: list[bool]) -> Json:
    for as_list in as_lists:
        leaf = [leaf] if as_list else {"n": leaf}
    return leaf


def _body(call: AnyCall) -> Json:
    match call:
        case HttpCall():
            return [call.json_body, call.form, call.body]
        case SqsCall() | SnsCall() | S3Call():
            return [call.json_body, call.body]
        case EventBridgeCall():
            return call.detail
        case LambdaCall():
            return call.payload
        case ExecutionCall():
            return call.input
        case PythonCall():
            # what it does with the submission is its own affair; the value it must keep
            return "{value}"
        case _:
            assert_never(call)


def _raw_message(call: AnyCall) -> Json:
    return call.body if isinstance(call, SqsCall | SnsCall) else None


def _outside_body(call: AnyCall) -> Json:
    match call:
        case HttpCall():
            return [call.url, call.path, call.query, call.headers]
        case SqsCall() | SnsCall():
            return [call.attributes, call.group_id, call.deduplication_id]
        case EventBridgeCall():
            return [call.source, call.detail_type]
        case ExecutionCall():
            return call.name
        case S3Call():
            return call.object_key
        case LambdaCall() | PythonCall():
            return None
        case _:
            assert_never(call)
