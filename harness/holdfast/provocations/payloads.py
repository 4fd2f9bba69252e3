"""Generated payloads through the real API: every character, deep, large, at the size limit and one byte over it (SF-4).

The payloads are drawn first, as data, and sent side by side. When one of them comes out altered, it is shrunk as data
too: each smaller payload is judged once and remembered, so that Hypothesis never asks the live stack twice.
"""

from __future__ import annotations

import json
import shlex
import time

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import HypothesisException

from holdfast.errors import Inconclusive
from holdfast.history.model import Observation, Operation, Outcome
from holdfast.provocations.bench import Bench
from holdfast.provocations.deliveries import observe_store
from holdfast.provocations.model import Provocation
from holdfast.provocations.requirements import Situation
from holdfast.stack.base import Json
from holdfast.stack.commands import HttpCall
from holdfast.stack.generate import VALUE, Submission, strategies
from holdfast.stack.templates import render_text

PAYLOADS = 40
WIDTH = 4
SHRINKING_SECONDS = 15.0
"""Shrinking stops here: a small payload soon beats the smallest one much later."""

SHRINKING_STEP_SECONDS = 4.0
"""A smaller payload that shows no effect by then counts as altered too; the verdict itself waits for silence."""

Payload = dict[str, Json]


class _AlteredError(Exception):
    """A payload came out other than it went in."""


def _generated(bench: Bench) -> None:
    payloads = draw_payloads(bench)
    submissions = [bench.draw(1, payload)[0] for payload in payloads]
    bench.submit_all(submissions, role="generated", width=WIDTH)
    _at_the_limit(bench)
    altered = _await_or_altered(bench, bench.acknowledged(bench.submissions()), bench.patience_seconds)
    bench.figure("payloads", len(payloads))
    by_key = dict(zip([one.key for one in submissions], payloads, strict=True))
    known = {_identity(by_key[key]) for key in altered if key in by_key}
    if known:
        _shrink(bench, known, altered)
    bodies = [one for one in bench.operations() if one.key in altered and one.body is not None]
    if bodies:
        bench.note(replay_line(bench, min(bodies, key=lambda one: len(one.body or ""))))


def draw_payloads(bench: Bench) -> list[Payload]:
    """Draw the payloads as data; the stack is not touched."""
    strategy = strategies(bench.command, most_characters=min(16_384, bench.bounds.max_body_bytes // 8))
    drawn: dict[str, Payload] = {}

    @settings(
        max_examples=PAYLOADS,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @seed(bench.random.getrandbits(32))
    @given(strategy)
    def collect(payload: Payload) -> None:
        if payload:
            drawn.setdefault(_identity(payload), payload)

    collect()
    return list(drawn.values())


def _identity(payload: Payload) -> str:
    return json.dumps(payload, sort_keys=True)


def _at_the_limit(bench: Bench) -> None:
    """Fill the value so that the body has exactly the largest size, and one byte more."""
    operations = [one for one in bench.operations() if one.body is not None and one.outcome is not Outcome.UNKNOWN]
    if not operations or bench.command.original != "body":
        bench.note("the size limit was not tried: the command's body is not what is kept")
        return
    probe = bench.draw(1)[0]
    sent = bench.submit(probe, "generated")
    if sent.body is None or probe.value not in sent.body:
        bench.note("the size limit was not tried: the body does not carry {value}")
        return
    rest = len(sent.body.encode("utf-8", "surrogateescape")) - len(probe.value)
    for size, role in (
        (bench.bounds.max_body_bytes, "at the limit"),
        (bench.bounds.max_body_bytes + 1, "over the limit"),
    ):
        fixed: Payload = {**dict(probe.fields), VALUE: "x" * (size - rest)}
        answered = bench.submit(bench.draw(1, fixed)[0], role)
        if role == "at the limit" and answered.outcome is not Outcome.OK:
            bench.undecided(
                f"a body of max_body_bytes ({size}) was answered {answered.outcome} {answered.status}, so the declared "
                "size is not what the API admits"
            )


def _await_or_altered(bench: Bench, submissions: list[Submission], deadline_seconds: float) -> list[str]:
    """Wait for the effects, but no longer than it takes to see an original stored altered; returns those keys."""
    sent = {operation.key: operation for operation in bench.operations()}
    waiting = list(submissions)
    altered: list[str] = []

    def look() -> list[Submission]:
        still = []
        for submission in waiting:
            operation = sent[submission.key]
            effect = bench.ports.observe(bench.pattern.effect, submission, provocation=bench.name)
            if _differs(effect, operation):
                altered.append(submission.key)
            elif effect.count < 1:
                if _stored_differs(bench, submission, operation):
                    altered.append(submission.key)
                else:
                    still.append(submission)
        waiting[:] = still
        return waiting

    # Once one payload is known to be altered, the others get a few seconds, not the whole bound.
    def met(left: list[Submission]) -> bool:
        return not left or bool(altered)

    bench.until(f"{len(waiting)} generated payloads", look, met, deadline_seconds)
    return altered + ([one.key for one in waiting] if not altered else [])


def _stored_differs(bench: Bench, submission: Submission, operation: Operation) -> bool:
    try:
        return _differs(observe_store(bench, submission), operation)
    except Inconclusive:
        return False


def _differs(observation: Observation, operation: Operation) -> bool:
    return any(body != operation.body for body in observation.bodies) or any(
        value != operation.value for value in observation.values
    )


def _shrink(bench: Bench, known: set[str], altered_keys: list[str]) -> None:
    """Find a small altered payload: Hypothesis proposes, each proposal is sent once, and its verdict is remembered."""
    remembered = dict.fromkeys(known, True)
    ends = time.monotonic() + SHRINKING_SECONDS
    strategy = strategies(bench.command, most_characters=64)

    def is_altered(payload: Payload) -> bool:
        identity = _identity(payload)
        if identity not in remembered:
            if not payload or time.monotonic() > ends:
                return False
            submission = bench.draw(1, payload)[0]
            acknowledged = bench.submit(submission, "shrinking").outcome is Outcome.OK
            altered = _await_or_altered(bench, [submission], SHRINKING_STEP_SECONDS) if acknowledged else []
            altered_keys.extend(altered)
            remembered[identity] = bool(altered)
        return remembered[identity]

    @settings(
        max_examples=PAYLOADS,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @seed(0)
    @given(strategy)
    def find(payload: Payload) -> None:
        if is_altered(payload):
            raise _AlteredError

    try:
        find()
    except (_AlteredError, HypothesisException):
        # Flaky counts as found: one altered payload is a proof, whatever the next try shows.
        bench.note(f"{len(remembered) - len(known)} smaller payloads were tried, each once")


def replay_line(bench: Bench, operation: Operation) -> str:
    """How to send one payload again by hand: a curl command for HTTP, else the payload itself."""
    call = bench.command.calls[-1]
    body = shell_quoted(operation.body or "")
    if not isinstance(call, HttpCall):
        return f"replay: submit {body} as the {call.kind} payload"
    submission = next(one for one in bench.submissions() if one.key == operation.key)
    values = bench.stack.values(submission)
    base = bench.stack.resource(call.api).url if call.api is not None else render_text(call.url or "", values)
    kind = "application/x-www-form-urlencoded" if call.form is not None else "application/json"
    url = f"{base}{render_text(call.path, values)}"
    return f"replay: curl -sS -X {call.method} {shlex.quote(url)} -H 'Content-Type: {kind}' --data-binary {body}"


def shell_quoted(text: str) -> str:
    """A text as one word for bash, byte for byte, control characters and non-ASCII bytes escaped (ANSI-C quoting)."""
    data = text.encode("utf-8", "surrogateescape")
    if all(0x20 <= byte < 0x7F for byte in data):
        return shlex.quote(text)
    special = {0x5C: "\\\\", 0x27: "\\'"}
    escaped = "".join(special.get(byte, chr(byte)) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in data)
    return f"$'{escaped}'"


def _payload_varies(situation: Situation) -> str:
    """The command must carry something that can be drawn at random."""
    # Hypothesis, which this imports, is slow to import
    from holdfast.stack.payloads import varying

    if varying(situation.stack.descriptor.commands[situation.pattern.command]):
        return ""
    return "the command carries neither {value} nor a free field in its body, so no payload can vary"


GENERATED_PAYLOADS = Provocation(
    name="generated-payloads", provoke=_generated, requires=(_payload_varies,), commands=lambda _: PAYLOADS + 3
)
