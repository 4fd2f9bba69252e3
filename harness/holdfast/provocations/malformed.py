"""Malformed, oversized, refused and failing requests among healthy ones (ES-16)."""

from __future__ import annotations

from typing import Any

from holdfast.provocations.bench import Bench
from holdfast.provocations.deliveries import impossible
from holdfast.provocations.model import Provocation
from holdfast.provocations.requirements import Situation
from holdfast.stack.commands import AnyCall, Command, HttpCall, SnsCall, SqsCall
from holdfast.stack.generate import VALUE

HEALTHY = 6
GARBAGE = {
    "truncated": '{"',
    "empty": "",
    "another type": "[]",
    "not JSON": "\u00fe\u00ff garbage {key}",
}
"""Bodies that no request has, by what is wrong with them."""


def malformed_variants(command: Command) -> dict[str, Command]:
    """The command with bodies that no request has, by what is wrong with them; none where a body cannot be replaced."""
    last = command.calls[-1]
    variants = {}
    for wrong, body in GARBAGE.items():
        call = _with_body(last, body)
        if call is not None:
            variants[wrong] = command.model_copy(update={"calls": [*command.calls[:-1], call]})
    if isinstance(last, HttpCall | SqsCall | SnsCall) and isinstance(last.json_body, dict) and len(last.json_body) > 1:
        for name in last.json_body:
            rest: dict[str, Any] = {key: value for key, value in last.json_body.items() if key != name}
            call = last.model_copy(update={"json_body": rest})
            variants[f"without {name}"] = command.model_copy(update={"calls": [*command.calls[:-1], call]})
    return variants


def _with_body(call: AnyCall, body: str) -> AnyCall | None:
    if isinstance(call, HttpCall):
        headers = {"Content-Type": "application/json", **call.headers}
        return call.model_copy(update={"json_body": None, "form": None, "body": body, "headers": headers})
    if isinstance(call, SqsCall | SnsCall) and body:
        return call.model_copy(update={"json_body": None, "body": body})
    return None


def _malformed_among_healthy(bench: Bench) -> None:
    variants = malformed_variants(bench.command)
    refused = bench.stack.descriptor.refused
    healthy = bench.draw(HEALTHY)
    bench.submit_all(healthy[: HEALTHY // 2], role="undisturbed")
    for wrong, variant in variants.items():
        bench.submit(bench.draw(1)[0], f"malformed: {wrong}", variant=variant)
    for special in refused:
        bench.submit(bench.draw(1, dict(special.fields))[0], "refused")
    for submission in impossible(bench, _failing(bench.situation)):
        bench.submit(submission, "failing")
    oversized = bench.draw(1, {VALUE: "x" * (bench.bounds.max_body_bytes + 1)})
    bench.submit(oversized[0], "oversized")
    bench.submit_all(healthy[HEALTHY // 2 :])
    bench.await_effects(bench.acknowledged(healthy))


def _failing(situation: Situation) -> int:
    """How many requests are sent that fail later; none where the descriptor names no such input."""
    return 2 if situation.stack.descriptor.impossible else 0


def _something_wrong(situation: Situation) -> str:
    """There must be a body to malform, or an input that is refused."""
    command = situation.stack.descriptor.commands[situation.pattern.command]
    if malformed_variants(command) or situation.stack.descriptor.refused:
        return ""
    return "the command has no body to malform and the descriptor names no refused input"


def _commands(situation: Situation) -> int:
    descriptor = situation.stack.descriptor
    variants = malformed_variants(descriptor.commands[situation.pattern.command])
    return HEALTHY + len(variants) + len(descriptor.refused) + _failing(situation) + 1


MALFORMED = Provocation(
    name="malformed", provoke=_malformed_among_healthy, requires=(_something_wrong,), commands=_commands
)
