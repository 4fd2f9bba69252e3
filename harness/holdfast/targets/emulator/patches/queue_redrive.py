"""Dead letters can be moved back: StartMessageMoveTask and its kin, and ListDeadLetterSourceQueues.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html and
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html:
moved messages are new messages "with a new messageID and enqueueTime"; without a destination each goes back to where
it came from.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from dataclasses import dataclass
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.services import sqs

from holdfast.errors import TargetError
from holdfast.extras import install
from holdfast.targets.emulator.patches import queue_store

_MOST_PER_SECOND = 500
_LONGEST_LIST = 10


@dataclass(slots=True)
class _Task:
    """One move, running or ended."""

    source: str
    destination: str | None
    per_second: int
    to_move: int
    started_ms: int
    handle: str
    moved: int = 0
    status: str = "RUNNING"
    reason: str = ""

    def shown(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "Status": self.status,
            "SourceArn": self.source,
            "ApproximateNumberOfMessagesMoved": self.moved,
            "ApproximateNumberOfMessagesToMove": self.to_move,
            "StartedTimestamp": self.started_ms,
        }
        if self.status == "RUNNING":
            told["TaskHandle"] = self.handle
        if self.destination:
            told["DestinationArn"] = self.destination
        if self.reason:
            told["FailureReason"] = self.reason
        return told


_TASKS: list[_Task] = []
_LOCK = threading.Lock()


def apply() -> None:
    """Add the four actions."""
    for action, handler in (
        ("StartMessageMoveTask", _start),
        ("ListMessageMoveTasks", _list),
        ("CancelMessageMoveTask", _cancel),
        ("ListDeadLetterSourceQueues", _sources),
    ):
        if action in sqs._HANDLERS:
            raise TargetError(f"MiniStack already has {action}", remedy=install("embedded", "--force-reinstall"))
        sqs._HANDLERS[action] = handler


def _queue(arn: str) -> dict[str, Any]:
    found: dict[str, Any] | None = sqs._queue_by_arn(arn)
    if found is None:
        raise sqs._Err(
            "ResourceNotFoundException",
            "The resource that you specified for the SourceArn parameter doesn't exist.",
            404,
        )
    return found


def _start(data: dict[str, Any], _url: str) -> dict[str, Any]:
    source = str(data.get("SourceArn") or "")
    queue = _queue(source)
    sqs._enforce_queue_policy(queue, "sqs:StartMessageMoveTask")
    if not any(_dead_letter_arn(other) == source for other in sqs._queues.values()):
        raise sqs._Err("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
    destination = data.get("DestinationArn")
    if destination:
        _queue(str(destination))
    with _LOCK:
        if any(task.source == source and task.status == "RUNNING" for task in _TASKS):
            raise sqs._Err(
                "UnsupportedOperation",
                "There is already a task running: only one is allowed for a source queue at a time.",
            )
        task = _Task(
            source,
            str(destination) if destination else None,
            int(data.get("MaxNumberOfMessagesPerSecond") or _MOST_PER_SECOND),
            len(queue["messages"]),
            int(time.time() * 1000),
            base64.b64encode(json.dumps({"taskId": sqs.new_uuid(), "sourceArn": source}).encode()).decode(),
        )
        _TASKS.append(task)
    spawn_background(_move, task, queue, thread_name="holdfast-move")
    return {"TaskHandle": task.handle}


def _dead_letter_arn(queue: dict[str, Any]) -> str:
    try:
        return str(json.loads(queue["attributes"].get("RedrivePolicy") or "{}").get("deadLetterTargetArn", ""))
    except (AttributeError, ValueError):
        return ""


def _move(task: _Task, queue: dict[str, Any]) -> None:
    pause = 1.0 / task.per_second
    for _ in range(task.to_move):
        if task.status != "RUNNING":
            return
        if not _move_one(task, queue):
            break
        if pause > 0.005:
            time.sleep(pause)
    if task.status == "RUNNING":
        task.status = "COMPLETED"


def _move_one(task: _Task, queue: dict[str, Any]) -> bool:
    now = time.time()
    with queue_store.LOCK:
        message = next((one for one in queue["messages"] if one["visible_at"] <= now), None)
        if message is None:
            return False
        origin = task.destination or (message.get("sys") or {}).get("DeadLetterQueueSourceArn", "")
        target = sqs._queue_by_arn(origin)
        if target is None:
            task.status, task.reason = "FAILED", "CouldNotDetermineMessageSource"
            return False
        queue_store.remove(queue, lambda one: one is message)
        moved = {
            **message,
            "id": sqs.new_uuid(),
            "sent_at": now,
            "visible_at": now,
            "receive_count": 0,
            "first_receive_at": None,
            "receipt_handle": None,
            "sys": {**message["sys"], "SentTimestamp": str(int(now * 1000))},
        }
        moved.pop("enqueued_at", None)
        moved["sys"].pop("DeadLetterQueueSourceArn", None)
        if target["is_fifo"]:
            target["fifo_seq"] += 1
            moved["seq"] = str(target["fifo_seq"]).zfill(20)
        target["messages"].append(moved)
        task.moved += 1
    sqs.esm_wake.set()
    return True


def _list(data: dict[str, Any], _url: str) -> dict[str, Any]:
    source = str(data.get("SourceArn") or "")
    sqs._enforce_queue_policy(_queue(source), "sqs:ListMessageMoveTasks")
    most = min(int(data.get("MaxResults") or 1), _LONGEST_LIST)
    with _LOCK:
        found = [task.shown() for task in reversed(_TASKS) if task.source == source]
    return {"Results": found[:most]}


def _sources(_data: dict[str, Any], url: str) -> dict[str, Any]:
    queue = sqs._get_q(url, "sqs:ListDeadLetterSourceQueues")
    arn = queue["attributes"]["QueueArn"]
    found = [other["url"] for other in sqs._queues.values() if _dead_letter_arn(other) == arn]
    return {"queueUrls": [sqs._externalize_url(one) for one in found]}


def _cancel(data: dict[str, Any], _url: str) -> dict[str, Any]:
    with _LOCK:
        task = next((one for one in _TASKS if one.handle == data.get("TaskHandle") and one.status == "RUNNING"), None)
        if task is None:
            raise sqs._Err("ResourceNotFoundException", "Task does not exist.", 404)
        task.status = "CANCELLED"
    return {"ApproximateNumberOfMessagesMoved": task.moved}
