"""An execution ends when it is stopped or its time is up, and can be redriven from where it failed.

* ``TimeoutSeconds`` of a state machine: https://docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html.
* ``StopExecution``: what runs is no longer waited for, no retry and no catcher follows, the status stays ``ABORTED``:
  https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html.
* ``RedriveExecution`` goes on with the failed state, the same input and definition; of a Parallel or Map state the
  branches and items that succeeded are not run again; attempts are counted anew:
  https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html.
* ``StartExecution`` with the name and input of a running execution answers with that execution:
  https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html.
* States inside Parallel and Map states are in the history, as any other:
  https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html.

MiniStack has none of the five.
"""

from __future__ import annotations

import contextvars
import copy
import json
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ministack.services import stepfunctions

from holdfast.targets.emulator.known import require

Execution = dict[str, Any]
States = dict[str, Any]

_REDRIVABLE = ("FAILED", "ABORTED", "TIMED_OUT")
_MOST_EVENTS = 24_999
_LOOK_SECONDS = 0.1
_WITH_EXECUTION = {"Task": "_execute_task", "Parallel": "_execute_parallel", "Map": "_execute_map"}
_PURE = {"Pass": "_execute_pass", "Choice": "_execute_choice", "Wait": "_execute_wait"}


@dataclass(slots=True)
class _Place:
    """Where a sequence of states stands.

    Attributes:
        state: the state that runs.
        given: its input.
        output: of the whole sequence, once it is done.
    """

    state: str
    given: Any
    done: bool = False
    output: Any = None


@dataclass(slots=True, eq=False)
class Run:
    """One run of an execution: its start, or a redrive.

    Attributes:
        execution: as the emulator keeps it.
        places: where each sequence of states stands, by the states and items that lead to it.
        variables: what ``Assign`` has set.
        definition: the state machine as it was when the execution began.
    """

    execution: Execution
    definition: States
    places: dict[tuple[str, ...], _Place] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether it still runs: not stopped, timed out or superseded by a redrive."""
        return self.execution["status"] == "RUNNING" and _RUNS.get(self.execution["executionArn"]) is self


RUN: ContextVar[Run | None] = ContextVar("holdfast_run", default=None)
_PATH: ContextVar[tuple[str, ...]] = ContextVar("holdfast_path", default=())
_RESUMING: ContextVar[bool] = ContextVar("holdfast_resuming", default=False)
_RUNS: dict[str, Run] = {}
"""The latest run of each execution."""


class EndedError(Exception):
    """Ends a thread of an execution: the execution has ended while this part of it ran."""


def apply() -> None:
    """Replace how an execution and its branches run."""
    for name, known in _KNOWN.items():
        require(getattr(stepfunctions, name), known, f"stepfunctions.{name}")
    start, describe, handle = (
        stepfunctions._start_execution,
        stepfunctions._describe_execution,
        stepfunctions.handle_request,
    )
    stepfunctions._run_execution = _run_execution
    stepfunctions._run_sub_machine = _run_sub_machine
    stepfunctions._scaled_sleep = _sleep
    stepfunctions._run_parallel_branches = _afresh(stepfunctions._run_parallel_branches)
    stepfunctions._run_map_items = _afresh(stepfunctions._run_map_items)

    def start_execution(data: dict[str, Any]) -> Any:
        running = _same_running(data)
        if running is not None:
            told = {"executionArn": running["executionArn"], "startDate": running["startDate"]}
            return stepfunctions.json_response(told)
        return start(data)

    def describe_execution(data: dict[str, Any]) -> Any:
        status, headers, body = describe(data)
        execution = stepfunctions._executions.get(data.get("executionArn"))
        if status != 200 or execution is None:
            return status, headers, body
        return stepfunctions.json_response({**json.loads(body), **_redrive_facts(execution)})

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
        data = _object(body)
        if data is None:  # MiniStack fails on what is no text, no object, or nested too deep
            return stepfunctions.error_response_json("SerializationException", "Invalid JSON", 400)
        if headers.get("x-amz-target", "").endswith(".RedriveExecution"):
            return stepfunctions._finalize_response(_redrive(data))
        return await handle(method, path, headers, body, query)

    stepfunctions._start_execution = start_execution
    stepfunctions._describe_execution = describe_execution
    stepfunctions.handle_request = handle_request


def _object(body: bytes) -> dict[str, Any] | None:
    """The object in a request's body, empty without one; None when it is none."""
    try:
        data = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def ended() -> bool:
    """Whether the execution that this thread runs has ended meanwhile."""
    run = RUN.get()
    return run is not None and not run.alive


def current_state() -> str:
    """Name of the state that this thread runs, also inside Parallel and Map states; empty outside of an execution."""
    path = _PATH.get()
    return path[-1] if path else ""


def _run_execution(arn: str) -> None:
    """Run an execution to its end; see ``stepfunctions._run_execution``."""
    execution = stepfunctions._executions.get(arn)
    if not execution:
        return
    last = _RUNS.get(arn)
    redriven = last is not None and last.execution is execution
    if last is not None and redriven:
        run = Run(execution, last.definition, last.places, last.variables)
    else:
        run = Run(execution, _definition(execution))
    _RUNS[arn] = run
    token, resuming = RUN.set(run), _RESUMING.set(redriven)
    timer = _timer(run)
    try:
        start = run.definition.get("StartAt")
        if not start:
            _fail(run, "InvalidDefinition", "the state machine is gone, or names no first state")
            return
        output = json.dumps(
            _walk(run.definition.get("States") or {}, start, _input(execution), execution, _context(run))
        )
        if run.alive:
            _end(run, "SUCCEEDED", "ExecutionSucceeded", {"output": output}, output=output)
    except EndedError:
        return
    except stepfunctions._ExecutionError as error:
        _fail(run, error.error, error.cause)
    except Exception as error:  # noqa: BLE001 - whatever happens, the execution ends
        _fail(run, "States.Runtime", str(error))
    finally:
        if timer is not None:
            timer.cancel()
        RUN.reset(token)
        _RESUMING.reset(resuming)


def _definition(execution: Execution) -> States:
    machine = stepfunctions._state_machines.get(execution["stateMachineArn"]) or {}
    try:
        told = json.loads(machine.get("definition") or "{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _timer(run: Run) -> threading.Timer | None:
    """What ends the execution when its time is up; None when it may run for ever."""
    seconds = run.definition.get("TimeoutSeconds")
    if not seconds:
        return None
    timer = threading.Timer(float(seconds), contextvars.copy_context().run, (_time_out, run))
    timer.daemon = True
    timer.start()
    return timer


def _run_sub_machine(states: States, start_at: str, given: Any, execution: Execution, context: dict[str, Any]) -> Any:
    """Run a branch or an item; see ``stepfunctions._run_sub_machine``."""
    item = (context.get("Map") or {}).get("Item", {}).get("Index", "")
    token = _PATH.set((*_PATH.get(), start_at, str(item)))
    try:
        return _walk(states, start_at, copy.deepcopy(given), execution, context)
    finally:
        _PATH.reset(token)


def _walk(states: States, start_at: str, given: Any, execution: Execution, context: dict[str, Any]) -> Any:
    """Run states one after the other, from where the run before this one failed; the last one's output."""
    run = RUN.get() or Run(execution, {})
    path = _PATH.get()
    place = run.places.get(path) if _RESUMING.get() else None
    if place is not None and place.done:
        return place.output
    resumed = place is not None
    name: str | None = place.state if place else start_at
    current = place.given if place else given
    while name:
        if RUN.get() is not None and not run.alive:
            raise EndedError
        if not resumed:
            _forget(run, path)
        run.places[path] = _Place(name, current)
        current, name = _run_state(states, name, current, execution, context, resumed=resumed)
        resumed = False
    run.places[path] = _Place("", None, done=True, output=current)
    return current


def _run_state(
    states: States, name: str, given: Any, execution: Execution, context: dict[str, Any], *, resumed: bool
) -> tuple[Any, str | None]:
    """Run one state; its output, and the next state."""
    state = states.get(name)
    if not state:
        raise stepfunctions._ExecutionError("States.Runtime", f"State '{name}' not found in definition")
    kind = state.get("Type")
    context["State"] = {"Name": name, "EnteredTime": stepfunctions.now_iso(), "RetryCount": 0}
    _tell(execution, f"{kind}StateEntered", {"name": name, "input": json.dumps(given)})
    following: str | None = None
    if kind == "Fail":
        raise stepfunctions._ExecutionError(*stepfunctions._fail_state_error(state, given, context))
    if kind == "Succeed":
        given = stepfunctions._apply_input_path(state, given, context)
        output = stepfunctions._apply_output_path(state, given, context)
    elif kind in _WITH_EXECUTION or kind in _PURE:
        path, resuming = _PATH.set((*_PATH.get(), name)), _RESUMING.set(resumed)
        try:
            # by their names in the module: patches wrap them
            if kind in _WITH_EXECUTION:
                handler = getattr(stepfunctions, _WITH_EXECUTION[kind])
                output, following = handler(state, given, execution, context)
            else:
                output, following = getattr(stepfunctions, _PURE[kind])(state, given, context)
        finally:
            _PATH.reset(path)
            _RESUMING.reset(resuming)
        if ended():
            raise EndedError
    else:
        raise stepfunctions._ExecutionError("States.Runtime", f"Unknown state type: {kind}")
    _tell(execution, f"{kind}StateExited", {"name": name, "output": json.dumps(output)})
    return output, following


def _afresh(attempt: Callable[..., Any]) -> Callable[..., Any]:
    """An attempt at a Parallel or Map state that runs everything again when it is a retry."""

    def afresh(state: dict[str, Any], given: Any, execution: Execution, context: dict[str, Any]) -> Any:
        if not context["State"].get("RetryCount"):
            return attempt(state, given, execution, context)
        token = _RESUMING.set(False)
        try:
            return attempt(state, given, execution, context)
        finally:
            _RESUMING.reset(token)

    return afresh


def _forget(run: Run, path: tuple[str, ...]) -> None:
    """What ran inside the states of a sequence is over when its next state begins."""
    for inner in [one for one in tuple(run.places) if len(one) > len(path) and one[: len(path)] == path]:
        run.places.pop(inner, None)


def _context(run: Run) -> dict[str, Any]:
    """The context object: https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html."""
    execution = run.execution
    machine = execution["stateMachineArn"]
    return {
        "QueryLanguage": run.definition.get("QueryLanguage", "JSONPath"),
        "Execution": {
            "Id": execution["executionArn"],
            "Input": _input(execution),
            "Name": execution["name"],
            "StartTime": execution["startDate"],
            "RedriveCount": execution.get("redriveCount", 0),
        },
        "StateMachine": {"Id": machine, "Name": machine.rpartition(":")[2]},
        "variables": run.variables,
    }


def _input(execution: Execution) -> Any:
    try:
        return json.loads(execution["input"])
    except ValueError:
        return {}


def _end(run: Run, status: str, event: str, details: dict[str, Any], **facts: Any) -> None:
    run.execution.update(status=status, stopDate=stepfunctions.now_iso(), **facts)
    _tell(run.execution, event, details)
    stepfunctions._emit_execution_status_event(run.execution)


def _fail(run: Run, error: str, cause: str) -> None:
    if run.alive:
        output = json.dumps({"Error": error, "Cause": cause})
        details = {"error": error, "cause": cause}
        _end(run, "FAILED", "ExecutionFailed", details, error=error, cause=cause, output=output)


def _time_out(run: Run) -> None:
    if run.alive:
        _end(run, "TIMED_OUT", "ExecutionTimedOut", {"error": "States.Timeout"}, error="States.Timeout")


def _tell(execution: Execution, event: str, details: dict[str, Any]) -> None:
    kind = "State" + event.rpartition("State")[2] if "State" in event else event
    stepfunctions._add_event(execution, event, {f"{kind[0].lower()}{kind[1:]}EventDetails": details})


def _sleep(seconds: float) -> None:
    """Wait, but not beyond the end of the execution; see ``stepfunctions._scaled_sleep``."""
    end = time.monotonic() + float(seconds) * stepfunctions._SFN_WAIT_SCALE
    while (left := end - time.monotonic()) > 0 and not ended():
        time.sleep(min(left, _LOOK_SECONDS))
    if ended():
        raise EndedError


def _same_running(data: dict[str, Any]) -> Execution | None:
    """The running execution with this name and input, if the state machine is a standard one."""
    machine = stepfunctions._resolve_state_machine_arn(str(data.get("stateMachineArn", "")).split("#", 1)[0])
    found = stepfunctions._state_machines.get(machine) if machine else None
    if not data.get("name") or found is None or found.get("type") == "EXPRESS":
        return None
    arn = f"{machine.replace(':stateMachine:', ':execution:', 1)}:{data['name']}"
    execution: Execution | None = stepfunctions._executions.get(arn)
    if execution is None or execution["status"] != "RUNNING" or execution["input"] != data.get("input", "{}"):
        return None
    return execution


def _redrive_facts(execution: Execution) -> dict[str, Any]:
    refusal = _why_not(execution)
    facts = {
        "redriveCount": execution.get("redriveCount", 0),
        "redriveStatus": "NOT_REDRIVABLE" if refusal else "REDRIVABLE",
        "redriveStatusReason": refusal,
        "redriveDate": execution.get("redriveDate"),
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _why_not(execution: Execution) -> str:
    """Why an execution cannot be redriven; empty when it can."""
    machine = stepfunctions._state_machines.get(execution["stateMachineArn"]) or {}
    if machine.get("type") == "EXPRESS" or execution.get("sync") or execution.get("mapRunArn"):
        return "Execution is not of a standard state machine and cannot be redriven"
    if execution["status"] not in _REDRIVABLE:
        return f"Execution is {execution['status']} and cannot be redriven"
    if len(execution["events"]) >= _MOST_EVENTS:
        return "Execution history event limit exceeded and cannot be redriven"
    return ""


def _redrive(data: dict[str, Any]) -> Any:
    arn = data.get("executionArn", "")
    execution = stepfunctions._executions.get(arn)
    if execution is None:
        return stepfunctions.error_response_json("ExecutionDoesNotExist", f"Execution {arn} not found", 400)
    refusal = _why_not(execution)
    if refusal:
        return stepfunctions.error_response_json("ExecutionNotRedrivable", refusal, 400)
    date = time.time()
    count = execution.get("redriveCount", 0) + 1
    execution.update(status="RUNNING", stopDate=None, output=None, redriveCount=count, redriveDate=date)
    execution.pop("error", None)
    execution.pop("cause", None)
    _tell(execution, "ExecutionRedriven", {"redriveCount": count})
    stepfunctions._emit_execution_status_event(execution)
    context = contextvars.copy_context()
    # by its name in the module: patches wrap it
    threading.Thread(target=context.run, args=(stepfunctions._run_execution, arn), daemon=True).start()
    return stepfunctions.json_response({"redriveDate": date})


_KNOWN = {
    "_run_execution": "996dff84e0e0",
    "_run_sub_machine": "f8d844168b14",
    "_scaled_sleep": "5ed19df2efa9",
    "_run_parallel_branches": "b8c7f6915297",
    "_run_map_items": "5df19a8074ce",
    "_with_retry_and_catch": "b351699db7b3",
    "_start_execution": "9923282fc76c",
    "_describe_execution": "c3ad294ad8b5",
    "handle_request": "efa6e8c4532a",
}
