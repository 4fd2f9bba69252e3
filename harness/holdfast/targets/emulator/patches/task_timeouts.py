"""A task that waits for its worker ends in time: heartbeats, timeouts, and the failure of the call that it waits on.

* ``HeartbeatSeconds`` of a task with a task token, and of an activity: without ``SendTaskHeartbeat`` for that long it
  fails with ``States.Timeout``, which ``States.HeartbeatTimeout`` in a Retry or Catch names too:
  https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html. Of an activity the time counts from
  when a worker has taken it: https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html.
* ``TimeoutSecondsPath`` and ``HeartbeatSecondsPath`` (same page).
* A function invoked with ``.waitForTaskToken`` that fails before it has called back fails its task:
  https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token.

MiniStack forgets heartbeats, lets activities wait for ever, and waits for ever for a function that has failed.
"""

from __future__ import annotations

import contextvars
import json
import threading
import time
from contextvars import ContextVar
from typing import Any

from ministack.services import stepfunctions

from holdfast.targets.emulator.known import require
from holdfast.targets.emulator.patches.executions import EndedError, ended

_TIMEOUT = "States.Timeout"
_HEARTBEAT = "States.HeartbeatTimeout"
_LONGEST_SECONDS = 99_999_999.0  # the default TimeoutSeconds of a task
_LOOK_SECONDS = 0.02
_LONGEST_LOOK_SECONDS = 0.1
_STATE: ContextVar[dict[str, Any]] = ContextVar("holdfast_task_state")
Token = dict[str, Any]


class _Silence(str):
    """The name of a timeout for want of a heartbeat, which a Retry or Catch may call by its own name."""

    __slots__ = ()


def apply() -> None:
    """Replace how a task waits, and what heartbeats do."""
    require(stepfunctions._invoke_with_callback, "bbb38423156a", "stepfunctions._invoke_with_callback")
    require(stepfunctions._invoke_activity, "1fc6dceff76d", "stepfunctions._invoke_activity")
    require(stepfunctions._send_task_heartbeat, "56879a4655d1", "stepfunctions._send_task_heartbeat")
    require(stepfunctions._get_activity_task, "706809887c94", "stepfunctions._get_activity_task")
    require(stepfunctions._execute_task, "53c818d247db", "stepfunctions._execute_task")
    require(stepfunctions._error_matches, "519b9dc729c5", "stepfunctions._error_matches")
    execute, matches, heartbeat = (
        stepfunctions._execute_task,
        stepfunctions._error_matches,
        stepfunctions._send_task_heartbeat,
    )
    get_task = stepfunctions._get_activity_task

    def execute_task(state: dict[str, Any], given: Any, execution: dict[str, Any], context: dict[str, Any]) -> Any:
        state = _with_paths(state, given)
        token = _STATE.set(state)
        try:
            return execute(state, given, execution, context)
        finally:
            _STATE.reset(token)

    def error_matches(names: list[str], error: str) -> bool:
        return bool(matches(names, error)) or (isinstance(error, _Silence) and _HEARTBEAT in names)

    def send_task_heartbeat(data: dict[str, Any]) -> Any:
        waiting = stepfunctions._task_tokens.get(data.get("taskToken"))
        if waiting is not None:
            waiting["beaten"] = time.monotonic()
        return heartbeat(data)

    async def get_activity_task(data: dict[str, Any]) -> Any:
        answer = await get_task(data)
        told = json.loads(answer[2] or b"{}")
        waiting = stepfunctions._task_tokens.get(told.get("taskToken")) if isinstance(told, dict) else None
        if waiting is not None:
            waiting["taken"] = waiting["beaten"] = time.monotonic()
        return answer

    stepfunctions._execute_task = execute_task
    stepfunctions._error_matches = error_matches
    stepfunctions._send_task_heartbeat = send_task_heartbeat
    stepfunctions._get_activity_task = get_activity_task
    stepfunctions._invoke_activity = _invoke_activity
    stepfunctions._invoke_with_callback = _invoke_with_callback


def _with_paths(state: dict[str, Any], given: Any) -> dict[str, Any]:
    """The state with the seconds that its paths name."""
    named = {field: state.get(f"{field}Path") for field in ("TimeoutSeconds", "HeartbeatSeconds")}
    found = {field: stepfunctions._resolve_path(path, given) for field, path in named.items() if path}
    return {**state, **{field: value for field, value in found.items() if isinstance(value, int | float)}}


def _invoke_with_callback(resource: str, parameters: Any, token: str, state: dict[str, Any]) -> Any:
    """Make the call, and wait for its token to come back; see ``stepfunctions._invoke_with_callback``."""
    waiting = _new_token(token)
    waiting["taken"] = time.monotonic()
    context = contextvars.copy_context()

    def make_call() -> None:
        try:
            # by its name in the module: whatever wraps it sees the call
            context.run(stepfunctions._invoke_resource, resource.replace(".waitForTaskToken", ""), parameters)
        except EndedError:
            return
        except Exception as error:  # noqa: BLE001 - whatever the call ended with, the task must learn of it
            known = isinstance(error, stepfunctions._ExecutionError)
            waiting["failure"] = error if known else stepfunctions._ExecutionError("States.Runtime", str(error))
            waiting["event"].set()

    threading.Thread(target=make_call, daemon=True, name="holdfast-callback").start()
    return _await(token, waiting, state)


def _invoke_activity(resource: str, parameters: Any) -> Any:
    """Offer a task to the workers of an activity, and wait; see ``stepfunctions._invoke_activity``."""
    if resource not in stepfunctions._activities:
        raise stepfunctions._ExecutionError("ActivityDoesNotExist", f"Activity {resource} not found")
    token = stepfunctions.new_uuid()
    waiting = _new_token(token)
    offered = {"taskToken": token, "input": json.dumps(parameters)}
    stepfunctions._activity_tasks[resource].append(offered)
    return _await(token, waiting, _STATE.get())


def _seconds(state: dict[str, Any], name: str) -> float:
    """A limit of a state; as good as none when it has none, or an expression that is not modelled."""
    told = state.get(name)
    return float(told) if isinstance(told, int | float) else _LONGEST_SECONDS


def _new_token(token: str) -> Token:
    now = time.monotonic()
    waiting: Token = {"event": threading.Event(), "result": None, "error": None, "heartbeat": None}
    waiting.update(beaten=now, taken=None, failure=None)
    stepfunctions._task_tokens[token] = waiting
    return waiting


def _await(token: str, waiting: Token, state: dict[str, Any]) -> Any:
    """The task's result, once its token came back.

    Raises:
        _ExecutionError: it failed, or its time is up.
    """
    timeout, silence = _seconds(state, "TimeoutSeconds"), _seconds(state, "HeartbeatSeconds")
    try:
        while not waiting["event"].is_set():
            if ended():
                raise EndedError
            now = time.monotonic()
            if waiting["taken"] is None:
                waiting["event"].wait(_LOOK_SECONDS)
                continue
            timed_out, silent = waiting["taken"] + timeout, waiting["beaten"] + silence
            if now >= timed_out:
                raise stepfunctions._ExecutionError(_TIMEOUT, f"Task timed out after {timeout:g} seconds")
            if now >= silent:
                raise stepfunctions._ExecutionError(
                    _Silence(_TIMEOUT), f"Task sent no heartbeat for {silence:g} seconds"
                )
            waiting["event"].wait(min(timed_out - now, silent - now, _LONGEST_LOOK_SECONDS))
    finally:
        stepfunctions._task_tokens.pop(token, None)
    if waiting["error"]:
        told = waiting["error"]
        raise stepfunctions._ExecutionError(told.get("Error", "TaskFailed"), told.get("Cause", ""))
    if waiting["result"] is None and waiting["failure"] is not None:
        raise waiting["failure"]
    result = waiting["result"]
    try:
        return json.loads(result) if isinstance(result, str) else result
    except ValueError:
        return result
