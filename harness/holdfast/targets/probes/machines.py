"""Probes of state machines: timeouts, heartbeats, stops, redrives and errors."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from holdfast.targets.base import Target
from holdfast.targets.probes.bench import Bench, bench, check, wait_for

_SECONDS = 30.0
States = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Machine:
    """A state machine of a probe."""

    on: Bench
    arn: str
    name: str

    def start(self, given: object, **options: str) -> str:
        """Start an execution; its ARN."""
        client = self.on.target.client("stepfunctions")
        started = client.start_execution(stateMachineArn=self.arn, input=json.dumps(given), **options)
        return str(started["executionArn"])

    def described(self, execution: str) -> dict[str, Any]:
        """What is told of an execution."""
        return dict(self.on.target.client("stepfunctions").describe_execution(executionArn=execution))

    def finished(self, execution: str) -> dict[str, Any]:
        """What is told of an execution that has ended."""
        return wait_for(
            lambda: told if (told := self.described(execution))["status"] != "RUNNING" else {},
            "the execution did not end",
            seconds=_SECONDS,
        )

    def run(self, given: object) -> dict[str, Any]:
        """An execution from its start to its end."""
        return self.finished(self.start(given))

    def events(self, execution: str) -> list[str]:
        """The types of the events in an execution's history."""
        client = self.on.target.client("stepfunctions")
        told = client.get_execution_history(executionArn=execution, maxResults=1000)["events"]
        return [event["type"] for event in told]


def machine(on: Bench, definition: States, *, kind: str = "STANDARD", actions: Sequence[str] = ("*",)) -> Machine:
    """A state machine that is removed in the end; its role may do these actions."""
    client = on.target.client("stepfunctions")
    name = on.name()
    arn = client.create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=on.role(actions)[1], type=kind
    )["stateMachineArn"]
    on.later(client.delete_state_machine, stateMachineArn=arn)
    return Machine(on, arn, name)


def states(*names_and_states: tuple[str, States]) -> dict[str, Any]:
    """A definition of states one after the other."""
    made: dict[str, Any] = {}
    for at, (name, state) in enumerate(names_and_states):
        following: States = {"End": True}
        if state["Type"] in ("Succeed", "Fail"):
            following = {}
        elif at + 1 < len(names_and_states):
            following = {"Next": names_and_states[at + 1][0]}
        made[name] = {**state, **following}
    return {"StartAt": names_and_states[0][0], "States": made}


def _caught(*names: str) -> Sequence[States]:
    return [{"ErrorEquals": list(names), "Next": "Caught"}]


def _waiting(queue_url: str, **limits: object) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue_url, "MessageBody": {"token.$": "$$.Task.Token"}},
        **limits,
    }


def heartbeat(target: Target) -> None:
    """A task whose worker is silent longer than HeartbeatSeconds times out; one that beats goes on."""
    with bench(target) as on:
        queue = on.queue()
        asking = {**_waiting(queue.url, HeartbeatSeconds=1), "Catch": _caught("States.Timeout")}
        definition = states(("Ask", asking))
        definition["States"]["Caught"] = {"Type": "Pass", "Result": "caught", "End": True}
        waiting = machine(on, definition)
        silent = waiting.start({})
        wait_for(lambda: on.bodies(queue), "the token was not sent")
        check(json.loads(waiting.finished(silent)["output"]) == "caught", "the silence was not caught")
        check("TaskTimedOut" in waiting.events(silent), f"the history is {waiting.events(silent)}")
        client = target.client("stepfunctions")
        beating = waiting.start({})
        token = wait_for(lambda: _tokens(on, queue.url)[1:], "the second token was not sent")[0]
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            client.send_task_heartbeat(taskToken=token)
            check(waiting.described(beating)["status"] == "RUNNING", "a task that beats timed out")
            time.sleep(0.2)  # the pace of the heartbeat
        client.send_task_success(taskToken=token, output='"done"')
        check(json.loads(waiting.finished(beating)["output"]) == "done", "the beating task did not succeed")


def _tokens(on: Bench, queue_url: str) -> list[str]:
    return [json.loads(message.body)["token"] for message in on.target.peek_messages(queue_url)]


def activity_heartbeat(target: Target) -> None:
    """An activity's heartbeat counts from when a worker has taken the task."""
    with bench(target) as on:
        client = target.client("stepfunctions")
        activity = client.create_activity(name=on.name())["activityArn"]
        on.later(client.delete_activity, activityArn=activity)
        working = machine(on, states(("Work", {"Type": "Task", "Resource": activity, "HeartbeatSeconds": 1})))
        execution = working.start({"n": 1})
        taken = client.get_activity_task(activityArn=activity)
        check(json.loads(taken["input"]) == {"n": 1}, f"the worker got {taken.get('input')}")
        done = working.finished(execution)
        check(done["status"] == "FAILED", f"the status is {done['status']}")
        check(done["error"] == "States.Timeout", f"the error is {done['error']}")
        check("ActivityTimedOut" in working.events(execution), f"the history is {working.events(execution)}")


def callback_failed(target: Target) -> None:
    """A function that fails before it has called back fails its task."""
    with bench(target) as on:
        function = on.function()
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {"FunctionName": function, "Payload": {"raise": "no", "token.$": "$$.Task.Token"}},
            "TimeoutSeconds": 20,
        }
        done = machine(on, states(("Ask", task))).run({})
        check(done["error"] == "ValueError", f"the error is {done.get('error')}")


def throttled_function(target: Target) -> None:
    """A throttled function is Lambda.TooManyRequestsException to its state machine."""
    with bench(target) as on:
        function = on.function()
        target.client("lambda").put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
        task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": function}}
        done = machine(on, states(("Call", task))).run({})
        check(done["error"] == "Lambda.TooManyRequestsException", f"the error is {done.get('error')}")


def timed_out(target: Target) -> None:
    """An execution that runs longer than its TimeoutSeconds is TIMED_OUT, and nothing of it runs on."""
    with bench(target) as on:
        table, _ = on.table()
        definition = states(("Wait", {"Type": "Wait", "Seconds": 3}), ("Put", _put(table, "late")))
        slow = machine(on, {**definition, "TimeoutSeconds": 1})
        done = slow.run({})
        check(done["status"] == "TIMED_OUT", f"the status is {done['status']}")
        time.sleep(2.5)  # longer than the wait that must not go on
        check(on.puts(table, "late") == 0, "a state ran after the timeout")


def _put(table: str, key: str) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:putItem",
        "Parameters": {
            "TableName": table,
            "Item": {"pk": {"S": key}, "sk": {"S.$": "States.Format('{}', States.UUID())"}},
        },
        "ResultPath": None,
    }


def stopped(target: Target) -> None:
    """A stopped execution stays ABORTED, and neither retry nor catcher runs after it."""
    with bench(target) as on:
        table, _ = on.table()
        function = on.function(table=table)
        failing = {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": function, "Payload": {"put": "key", "raise": "no"}},
            "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "MaxAttempts": 5}],
            "Catch": _caught("States.ALL"),
        }
        definition = states(("Fail", failing))
        definition["States"]["Caught"] = {**_put(table, "caught"), "End": True}
        retrying = machine(on, definition)
        execution = retrying.start({})
        wait_for(lambda: "TaskFailed" in retrying.events(execution), "the first attempt did not fail")
        target.client("stepfunctions").stop_execution(executionArn=execution)
        time.sleep(3)  # longer than the interval of the retry that must not come
        status = retrying.described(execution)["status"]
        check(status == "ABORTED", f"the status after the stop is {status}")
        check(on.puts(table, "key") == 1, "it was tried again after the stop")
        check(on.puts(table, "caught") == 0, "the catcher ran after the stop")


def redriven(target: Target) -> None:
    """A redriven execution goes on where it failed: what succeeded before, branches too, does not run again."""
    with bench(target) as on:
        table, _ = on.table()
        function = on.function(table=table, code=_FAILS_UNTIL)
        gate = {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": function, "Payload": {"table": table}},
            "ResultPath": None,
        }
        branches = [states(("Good", _put(table, "branch"))), states(("Inner", _put(table, "inner")), ("Gate", gate))]
        both = {"Type": "Parallel", "Branches": branches, "ResultPath": None}
        saga = machine(on, states(("First", _put(table, "first")), ("Both", both), ("Last", _put(table, "last"))))
        execution = saga.start({"n": 1})
        check(saga.finished(execution)["status"] == "FAILED", "the gate did not fail")
        check(saga.described(execution).get("redriveStatus") == "REDRIVABLE", "the execution is not redrivable")
        target.client("dynamodb").put_item(TableName=table, Item={"pk": {"S": "open"}, "sk": {"S": "0"}})
        client = target.client("stepfunctions")
        client.redrive_execution(executionArn=execution)
        done = saga.finished(execution)
        check(done["status"] == "SUCCEEDED", f"the redriven execution {done['status']}: {done.get('error')}")
        counts = {key: on.puts(table, key) for key in ("first", "branch", "inner", "last")}
        check(set(counts.values()) == {1}, f"the states took effect {counts} times")
        check(done.get("redriveCount") == 1, f"redriven {done.get('redriveCount')} times")
        check("ExecutionRedriven" in saga.events(execution), f"the history is {saga.events(execution)}")
        try:
            client.redrive_execution(executionArn=execution)
        except ClientError as error:
            check(error.response["Error"]["Code"] == "ExecutionNotRedrivable", f"the error is {error}")
            return
        check(holds=False, otherwise="an execution that succeeded was redriven")


_FAILS_UNTIL = """
import boto3

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    key = {"pk": {"S": "open"}, "sk": {"S": "0"}}
    if "Item" not in dynamodb.get_item(TableName=event["table"], Key=key, ConsistentRead=True):
        raise ValueError("closed")
"""


def started_twice(target: Target) -> None:
    """StartExecution with the name and input of a running execution answers with it; with other input it is refused."""
    with bench(target) as on:
        slow = machine(on, states(("Wait", {"Type": "Wait", "Seconds": 20})))
        name = on.name()
        first = slow.start({"n": 1}, name=name)
        check(slow.start({"n": 1}, name=name) == first, "another execution was started")
        try:
            slow.start({"n": 2}, name=name)
        except ClientError as error:
            check(error.response["Error"]["Code"] == "ExecutionAlreadyExists", f"the error is {error}")
        else:
            check(holds=False, otherwise="the same name was accepted with other input")
        target.client("stepfunctions").stop_execution(executionArn=first)


def history(target: Target) -> None:
    """Functions have their own events in the history, and states inside a Parallel state are in it."""
    with bench(target) as on:
        function = on.function()
        arn = target.client("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"]
        call = {"Type": "Task", "Resource": arn, "Parameters": {"raise": "no"}}
        both = {"Type": "Parallel", "Branches": [states(("Call", call))]}
        failing = machine(on, states(("Both", both)))
        execution = failing.start({})
        failing.finished(execution)
        found = failing.events(execution)
        check("LambdaFunctionFailed" in found, f"the history is {found}")
        check("TaskStateEntered" in found, f"the history is {found}")
        told = target.client("stepfunctions").get_execution_history(executionArn=execution)["events"]
        entered = [
            event.get("stateEnteredEventDetails", {}).get("name") for event in told if "Entered" in event["type"]
        ]
        check(entered == ["Both", "Call"], f"the states entered are {entered}")


def retry_delays(target: Target) -> None:
    """A retry waits no longer than MaxDelaySeconds, and with full jitter for less than its interval."""
    with bench(target) as on:
        arn = target.client("lambda").get_function(FunctionName=on.function())["Configuration"]["FunctionArn"]
        call = {"Type": "Task", "Resource": arn, "Parameters": {"raise": "no"}}
        capped = {"IntervalSeconds": 1, "BackoffRate": 5, "MaxAttempts": 3, "MaxDelaySeconds": 1}
        jittered = {"IntervalSeconds": 2, "BackoffRate": 1, "MaxAttempts": 3, "JitterStrategy": "FULL"}
        for retrier, least, most in ((capped, 3.0, 5.5), (jittered, 0.0, 5.99)):
            failing = machine(on, states(("Call", {**call, "Retry": [{"ErrorEquals": ["States.ALL"], **retrier}]})))
            done = failing.run({})
            waited = (done["stopDate"] - done["startDate"]).total_seconds()
            check(least <= waited <= most, f"with {retrier} it failed after {waited:.2f} s")


def missing_path(target: Target) -> None:
    """A path that names nothing ends the execution with States.Runtime, caught by nothing; IsPresent may ask for it."""
    with bench(target) as on:
        prefix = "arn:aws:states:::"
        calling = {
            "Type": "Task",
            "Resource": f"{prefix}aws-sdk:sqs:listQueues",
            "Parameters": {"QueueNamePrefix.$": "$.name"},
            "Catch": _caught("States.ALL"),
        }
        definition = states(("Call", calling))
        definition["States"]["Caught"] = {"Type": "Pass", "Result": "caught", "End": True}
        done = machine(on, definition).run({"other": None})
        check((done["status"], done.get("error")) == ("FAILED", "States.Runtime"), f"it {_ending(done)}")
        asking: dict[str, Any] = {
            "StartAt": "Ask",
            "States": {
                "Ask": {
                    "Type": "Choice",
                    "Choices": [{"Variable": "$.name", "StringEquals": "x", "Next": "Yes"}],
                    "Default": "No",
                },
                "Yes": {"Type": "Pass", "Result": "yes", "End": True},
                "No": {"Type": "Pass", "Result": "no", "End": True},
            },
        }
        done = machine(on, asking).run({})
        check(done.get("error") == "States.Runtime", f"a choice on nothing {_ending(done)}")
        asking["States"]["Ask"]["Choices"][0] = {"Variable": "$.name", "IsPresent": True, "Next": "Yes"}
        present = machine(on, asking)
        for given, expected in (({}, "no"), ({"name": None}, "yes")):
            done = present.run(given)
            check(done.get("output") == json.dumps(expected), f"IsPresent for {given} {_ending(done)}")


def _ending(done: Mapping[str, Any]) -> str:
    return f"{done['status']}: {done.get('error') or done.get('output')}"
