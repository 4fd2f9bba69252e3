"""An execution environment lives on after a handled error and dies with its process, as on AWS.

* A handled error keeps the environment; a process that exits is ``Runtime.ExitError``; a timeout is
  ``Sandbox.Timedout``, and the process is killed at once, not asked to end:
  https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html ("Lambda ... resets the environment") and
  https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html.
* The log of an invocation ends at its marker (see ``worker_scripts``), so nothing waits for a line that never comes.
* Rules of the interceptor that kill a process act here, where the process is leased to one invocation alone.
"""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import threading
import time
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from holdfast.targets.emulator.cold_starts import cold_start
from holdfast.targets.emulator.interception import CURRENT, RULES, TRACER
from holdfast.targets.emulator.known import require
from holdfast.targets.emulator.patches.worker_scripts import LOG_END
from holdfast.targets.emulator.starvation import Meter
from holdfast.targets.interceptor.tracing import Invocation

_LOG_END_SECONDS = 0.25
_DEATH_SECONDS = 2.0

SLOW_START_SECONDS = 2.0
"""A start that takes longer on a busy machine is the machine's: whoever waits for the function may run out of time."""

Result = dict[str, Any]


def apply() -> None:
    """Replace how a worker serves an invocation and how its answer is read."""
    require(lambda_runtime.Worker.invoke, "96751a754710", "Worker.invoke")
    require(lambda_runtime.ProvidedWorker.invoke, "00d96a1a25c6", "ProvidedWorker.invoke")
    require(lambda_svc._execute_function_warm, "62b9218bef5b", "lambda_svc._execute_function_warm")
    provided = lambda_runtime.ProvidedWorker.invoke
    lambda_runtime.Worker.invoke = _invoke

    def invoke_provided(self: Any, event: Any, request_id: str, **context: Any) -> Result:
        invocation = CURRENT.get()
        if invocation is not None and _killed(invocation, "before", self._proc):
            return _provided_death(request_id)
        context["trace_id"] = _trace_header(invocation, context.get("trace_id"))
        result: Result = provided(self, event, request_id, **context)
        if invocation is not None and _killed(invocation, "after", self._proc):
            return _provided_death(request_id)
        return result

    lambda_runtime.ProvidedWorker.invoke = invoke_provided
    lambda_svc._execute_function_warm = _execute_function_warm


def _invoke(
    self: Any,
    event: Any,
    request_id: str,
    *,
    trace_id: str | None = None,
    depth: int | None = None,
    durable: dict[str, Any] | None = None,
    invoked_function_arn: str | None = None,
) -> Result:
    """Serve one invocation; see ``Worker.invoke``."""
    with self._lock:
        invocation = CURRENT.get()
        if invocation is not None and _killed(invocation, "before", self._proc):
            self._proc = None
            return {"status": "error", "error": _death(request_id, -signal.SIGKILL), "cold_start": False, "log": ""}
        cold = self._proc is None or self._proc.poll() is not None
        if cold:
            starting = Meter()
            with cold_start():
                self._spawn()
            if invocation is not None and starting.late(SLOW_START_SECONDS):
                invocation.starved = True
            self._cold = False
        process = self._proc
        if invocation is not None:
            invocation.process = process
        timeout = float(self.config.get("Timeout", 3))
        envelope = {
            "event": event,
            "ctx": {
                "request_id": request_id,
                "invoked_function_arn": self.config.get("FunctionArn", "")
                if invoked_function_arn is None
                else invoked_function_arn,
                "timeout_ms": int(timeout * 1000),
                "trace_id": _trace_header(invocation, trace_id),
                "depth": depth,
                "durable": durable or {},
            },
        }
        answers: list[Result] = []
        reader = threading.Thread(target=_exchange, args=(process, envelope, answers), daemon=True)
        reader.start()
        meter = Meter()
        reader.join(timeout=timeout)
        while reader.is_alive() and (owed := meter.owed_seconds(timeout)) > 0:
            reader.join(timeout=owed)
        if invocation is not None and meter.late(timeout):
            invocation.starved = (
                True  # also where it answered in the time that it was owed: its caller may not have waited
            )
        if reader.is_alive():
            _kill(process)
            self._proc = None
            message = f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds"
            error = {"errorType": "Sandbox.Timedout", "errorMessage": message}
            return {"status": "error", "error": error, "cold_start": cold, "log": _log(self, "")}
        if invocation is not None and _killed(invocation, "after", process):
            answers.clear()
        if answers:
            return {**answers[0], "cold_start": cold, "log": _log(self, request_id)}
        self._proc = None
        return {
            "status": "error",
            "error": _death(request_id, _exit_status(process)),
            "cold_start": cold,
            "log": _log(self, ""),
        }


def _exchange(process: subprocess.Popen[str], envelope: Result, answers: list[Result]) -> None:
    """Hand an event to a process and read lines until one is an answer; none when the process ends before."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(envelope) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith("{"):
                try:
                    answer = json.loads(line)
                except ValueError:
                    continue  # the handler printed past the redirection
                if answer.get("status") in ("ok", "error"):
                    answers.append(answer)
                    return
    except (OSError, ValueError):
        return  # the process is dead, or was killed while it was written to


def _killed(invocation: Invocation, when: str, process: subprocess.Popen[str] | None) -> bool:
    """Kill the process if a rule says so on this side of the handler; whether one did."""
    rule = next((rule for rule in invocation.kill if rule.when == when), None)
    if rule is None:
        return False
    if process is not None:
        _kill(process)
    RULES.hit(rule)
    return True


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    _exit_status(process)


def _exit_status(process: subprocess.Popen[str]) -> int:
    try:
        return process.wait(timeout=_DEATH_SECONDS)
    except subprocess.TimeoutExpired:  # it closed its pipes and lives on
        process.kill()
        return process.wait(timeout=_DEATH_SECONDS)


def _death(request_id: str, status: int) -> dict[str, str]:
    """How AWS reports a process that is gone."""
    if status < 0:
        cause = f"signal: {_SIGNALS.get(-status, str(-status))}"
    else:
        cause = f"exit status {status}" if status else ""
    tail = f"Runtime exited with error: {cause}" if cause else "Runtime exited without providing a reason"
    return {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {request_id} Error: {tail}"}


_SIGNALS: dict[int, str] = {
    signal.SIGKILL: "killed",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGTERM: "terminated",
}


def _provided_death(request_id: str) -> Result:
    payload = _death(request_id, -signal.SIGKILL)
    return {"status": "error", "error": payload["errorMessage"], "error_payload": payload, "log": ""}


def _trace_header(invocation: Invocation | None, given: str | None) -> str | None:
    """The tracing header of an invocation, by which the SDKs say whose calls theirs are.

    Lambda sets it on every invocation, sampled or not:
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html (``_X_AMZN_TRACE_ID``).
    """
    if invocation is None:
        return given
    if given:
        fields = dict(part.split("=", 1) for part in given.split(";") if "=" in part)
        if "Root" in fields:
            TRACER.known_as(invocation, fields["Root"])
            return given
    return f"Root={invocation.trace_root};Parent={invocation.trace_root[-16:]};Sampled=0"


def _log(worker: Any, request_id: str) -> str:
    """The lines of an invocation up to its end marker; with no id, what there is."""
    lines: list[str] = []
    end = time.monotonic() + _LOG_END_SECONDS
    while True:
        try:
            line = worker._stderr_queue.get(timeout=max(0.0, end - time.monotonic()) if request_id else 0.005)
        except queue.Empty:
            return "\n".join(lines)
        before, marker, ended = line.partition(LOG_END)
        if before or not marker:
            lines.append(before)
        if marker and ended == request_id and request_id:
            return "\n".join(lines)


def _execute_function_warm(func: dict[str, Any], event: Any, request_id: str) -> Result:
    """Run a Python or Node.js function on a pooled worker; see ``lambda_svc._execute_function_warm``."""
    config = func.get("config") or func
    code = func.get("code_zip")
    if not code:
        return {"body": {"statusCode": 200, "body": "Mock response - no code deployed"}}
    name = config.get("FunctionName", "unknown")
    lambda_svc._ensure_reaper_thread()
    worker, _ = lambda_runtime.acquire_worker(name, config, code, qualifier=config.get("Version", "$LATEST"))
    try:
        answer: Result = worker.invoke(
            event,
            request_id,
            trace_id=lambda_svc._xray_trace_id_for_invocation(config),
            invoked_function_arn=config.get("FunctionArn", ""),
            depth=lambda_svc._invoke_depth.get(),
            durable=lambda_svc._durable_env_overlay(),
        )
    except (RuntimeError, OSError, ValueError) as failure:  # the process did not get ready
        return {"body": _init_error(request_id, failure), "error": True, "log": str(failure)}
    finally:
        lambda_runtime.release_worker(worker)
    if answer["status"] == "ok":
        return {"body": answer.get("result"), "log": answer["log"]}
    error = answer.get("error")
    if not isinstance(error, dict):
        error = {"errorType": "Runtime.Unknown", "errorMessage": str(error)}
    return {"body": error, "error": True, "log": answer["log"]}


def _init_error(request_id: str, error: Exception) -> dict[str, str]:
    """A function that could not be loaded."""
    text = str(error)
    if text.startswith("Worker init failed: "):
        kind = "Runtime.ImportModuleError" if "No module named" in text else "Runtime.UserCodeError"
        return {"errorType": kind, "errorMessage": text.removeprefix("Worker init failed: ")}
    kind = "Runtime.ExitError" if "exited immediately" in text else "Runtime.Unknown"
    return {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {text}"}
