"""Probes of functions: errors, environments, logs, throttles."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from holdfast.targets.base import Target
from holdfast.targets.probes.bench import Bench, bench, check, wait_for

_NOTICED_SECONDS = 0.03
"""An emulator that waits for a line that never comes takes longer than that for each answer."""

_SLOW_SECONDS = 6.0
"""A busy machine may give a function up to five times its timeout (``emulator/starvation.py``), here 1 s."""


def handled_error(target: Target) -> None:
    """A raised exception keeps its type and its execution environment."""
    with bench(target) as on:
        function = on.function()
        _, first = on.invoke(function, {})
        kind, error = on.invoke(function, {"raise": "boom"})
        check(kind == "Unhandled", f"FunctionError is {kind!r}")
        check((error["errorType"], error["errorMessage"]) == ("ValueError", "boom"), f"the error is {error}")
        _, third = on.invoke(function, {})
        check(third["pid"] == first["pid"], "the environment was replaced after a handled error")


def exit_error(target: Target) -> None:
    """A process that ends is Runtime.ExitError, and the next invocation has a new one."""
    with bench(target) as on:
        function = on.function()
        _, first = on.invoke(function, {})
        _, error = on.invoke(function, {"exit": 3})
        check(error["errorType"] == "Runtime.ExitError", f"the error is {error}")
        _, third = on.invoke(function, {})
        check(third["pid"] != first["pid"], "a dead process answered")


def timeout(target: Target) -> None:
    """A handler that is too slow is Sandbox.Timedout and does not go on in secret."""
    with bench(target) as on:
        table, _ = on.table()
        function = on.function(table=table, timeout_seconds=1)
        first = _answered(on, function, {})
        started = time.monotonic()
        # a busy machine may give a function up to five times its timeout
        _, error = on.invoke(function, {"sleep": _SLOW_SECONDS, "put": "late"})
        check("errorType" in error, f"the handler ran to its end: {error}")
        check(error["errorType"] == "Sandbox.Timedout", f"the error is {error}")
        check("Task timed out after 1.00 seconds" in error["errorMessage"], f"the error is {error}")
        third = _answered(on, function, {})
        check(third["pid"] != first["pid"], "the environment that timed out answered again")
        time.sleep(max(0.0, started + _SLOW_SECONDS + 0.3 - time.monotonic()))  # past the moment it would have acted
        check(on.puts(table, "late") == 0, "the handler went on after its timeout")


def _answered(on: Bench, function: str, order: Mapping[str, object]) -> dict[str, Any]:
    """The answer to an order, asked for until there is one: a start that a slow emulator counts may take its time."""

    def ask() -> dict[str, Any]:
        kind, answer = on.invoke(function, order)
        return {} if kind else dict(answer)

    return wait_for(ask, f"{function} does not answer", seconds=60)


def own_environment(target: Target) -> None:
    """A function sees AWS' variables and its own, not those of the emulator."""
    with bench(target) as on:
        _, seen = on.invoke(on.function(), {"environment": True})
        foreign = {"AUTH", "GATEWAY_PORT", "BIND_HOST", "STATE_DIR", "PYTHONPATH", "VIRTUAL_ENV"} & set(seen)
        check(not foreign, f"the function sees {sorted(foreign)}")
        for name in ("AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME", "_X_AMZN_TRACE_ID", "AWS_LAMBDA_LOG_GROUP_NAME"):
            check(name in seen, f"the function does not see {name}")


def silent_handler(target: Target) -> None:
    """A handler that prints nothing answers as fast as one that does, and what one prints is in its log."""
    with bench(target) as on:
        function = on.function()

        def logged() -> bool:
            answer = target.client("lambda").invoke(FunctionName=function, Payload=b'{"log": "here"}', LogType="Tail")
            return "here" in base64.b64decode(answer["LogResult"]).decode()

        # an emulator may answer before it has read the line
        wait_for(logged, "the log line is not in the log tail")
        silent = min(_seconds(lambda: on.invoke(function, {})) for _ in range(10))
        printing = min(_seconds(lambda: on.invoke(function, {"log": "here"})) for _ in range(10))
        check(
            silent < printing + _NOTICED_SECONDS,
            f"the fastest of ten silent invocations took {silent * 1000:.0f} ms, of others {printing * 1000:.0f} ms",
        )


def _seconds(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def throttle(target: Target) -> None:
    """Reserved concurrency 0 refuses synchronous invocations with 429."""
    with bench(target) as on:
        function = on.function()
        functions = target.client("lambda")
        functions.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
        try:
            on.invoke(function, {})
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            check(status == 429, f"the status is {status}")
            check(error.response["Error"]["Code"] == "TooManyRequestsException", f"the code is {error.response}")
        else:
            check(holds=False, otherwise="a function at concurrency 0 ran")
        functions.delete_function_concurrency(FunctionName=function)
        on.invoke(function, {})


def configuration_changed(target: Target) -> None:
    """A changed timeout, memory and environment reach the next invocation, and a stale revision changes nothing."""
    with bench(target) as on:
        function = on.function()
        on.invoke(function, {})
        client = target.client("lambda")
        stale = client.get_function_configuration(FunctionName=function)["RevisionId"]
        client.update_function_configuration(
            FunctionName=function,
            Timeout=1,
            MemorySize=256,
            Environment={"Variables": {"SAID": "so"}},
            RevisionId=stale,
        )
        wait_for(
            lambda: client.get_function_configuration(FunctionName=function)["LastUpdateStatus"] == "Successful",
            "the update did not succeed",
        )
        seen = _answered(on, function, {"environment": True})
        memory = seen.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        check((seen.get("SAID"), memory) == ("so", "256"), f"the function sees {seen.get('SAID')} and {memory} MB")
        _, error = on.invoke(function, {"sleep": _SLOW_SECONDS})
        check(bool(error) and error.get("errorType") == "Sandbox.Timedout", f"the error is {error}")
        try:
            client.update_function_configuration(FunctionName=function, Timeout=9, RevisionId=stale)
        except ClientError as refused:
            code = refused.response["Error"]["Code"]
            check(code == "PreconditionFailedException", f"a stale revision is answered {code}")
        else:
            check(False, "a stale revision is accepted")  # noqa: FBT003 - there is nothing else to ask
