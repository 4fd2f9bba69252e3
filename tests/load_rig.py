"""A stack behind any endpoint, to drive without an emulator: its descriptor, its resources, and a run of a plan."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from holdfast.stack.loading import load_descriptor
from holdfast.stack.resolve import Stack
from holdfast.stack.resources import Resource
from holdfast.targets.attached import AttachedTarget
from holdfast_load.plan import LoadPlan, LoadProgress, RunClock, RunRecord
from holdfast_load.running import Launch, run
from holdfast_load.show import Shown

ACCOUNT, REGION = "123456789012", "eu-west-1"
DESCRIPTOR = """
name = "orders"

[components]
queue  = { type = "queue", name = "orders" }
topic  = { type = "topic", name = "orders" }
bus    = { type = "bus", name = "orders" }
bucket = { type = "bucket", name = "orders" }
worker = { type = "function", name = "orders" }
flow   = { type = "state_machine", name = "orders" }
api    = { type = "api", name = "orders", stage = "live" }
ledger = { type = "table", name = "ledger" }

[commands.queued]
calls = [{ kind = "sqs", queue = "queue", json = { id = "{key}", note = "{value}", amount = "{amount}" } }]
fields = { amount = { type = "integer" } }

[commands.posted]
calls = [{ kind = "http", api = "api", path = "/orders/{key}", json = { id = "{key}", note = "{value}" } }]
timeout_seconds = 5

[effects.entered]
sources = [{ kind = "dynamodb-query", table = "ledger", partition = { id = "{key}" }, value = "note" }]

[patterns.storage-first]
command = "queued"
effect = "entered"
workers = ["worker"]
store = "queue"
"""


def stack_at(url: str, folder: Path, *, descriptor: str = DESCRIPTOR) -> Stack:
    """The stack of a descriptor whose components are all at one endpoint; nothing is asked of it."""
    path = folder / "orders.stack.toml"
    if not path.exists():
        path.write_text(descriptor, encoding="utf-8")
    read = load_descriptor(path, {})
    arn = f"arn:aws:{{}}:{REGION}:{ACCOUNT}:{{}}"
    arns = {
        "queue": arn.format("sqs", "orders"),
        "topic": arn.format("sns", "orders"),
        "function": arn.format("lambda", "function:orders"),
        "state_machine": arn.format("states", "stateMachine:orders"),
    }
    urls = {"queue": f"{url}/{ACCOUNT}/orders", "api": f"{url}/live"}
    resources = {
        name: Resource(
            component=name,
            type=component.type,
            name=str(component.name),
            arn=arns.get(component.type, ""),
            url=urls.get(component.type, ""),
        )
        for name, component in read.components.items()
    }
    target: Any = AttachedTarget(kind="localstack", endpoint_url=url, account=ACCOUNT, region=REGION)
    return Stack(read, path, target, MappingProxyType(resources))


@dataclass
class Attending:
    """Hooks that keep what they are told.

    Attributes:
        ticks: every progress.
        overs: how often the load was said to be over.
        tick: called at every progress, with what stops the run.
    """

    ticks: list[LoadProgress] = field(default_factory=list)
    overs: int = 0
    clock: RunClock | None = None
    stop: Callable[[str], None] = print
    tick: Callable[[LoadProgress], None] = lambda _: None

    def on_start(self, clock: RunClock, stop: Callable[[str], None]) -> None:
        self.clock, self.stop = clock, stop

    def on_tick(self, progress: LoadProgress) -> str:
        self.ticks.append(progress)
        self.tick(progress)
        return "attended"

    def on_over(self) -> None:
        self.overs += 1

    def on_end(self, record: RunRecord) -> int:
        return 0


def drive(
    plan: LoadPlan, stack: Stack, folder: Path, *, hooks: Attending | None = None, launch: Launch | None = None
) -> tuple[RunRecord, str]:
    """Run a plan; its record and what was shown meanwhile."""
    history = folder / "history"
    history.mkdir(parents=True)
    out = io.StringIO()
    record = run(
        plan,
        stack,
        folder=folder,
        history=history,
        hooks=hooks or Attending(),
        launch=launch or Launch(local_workers=plan.workers, expected_workers=plan.workers),
        shown=Shown(out),
    )
    return record, out.getvalue()
