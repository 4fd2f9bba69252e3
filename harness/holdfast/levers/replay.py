"""Events of an archive sent once more."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from botocore.exceptions import ClientError

from holdfast.errors import InjectionError
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot, need_support
from holdfast.levers.calls import cli, persistently
from holdfast.stack.aws_errors import error_code, is_missing
from holdfast.targets.base import Capability, Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack

CALL_SECONDS = 20.0
RUNNING = frozenset({"STARTING", "RUNNING"})
ENDED = frozenset({"COMPLETED", "CANCELLED", "FAILED"})
NEVER_STARTED = ""
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_AT_LEAST = timedelta(seconds=1)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class ArchiveReplay:
    """A replay: EventBridge sends what an archive holds once more, to the rules of the stack alone.

    Every replayed event is a duplicate, in any order within a minute. There is nothing to restore: it is over when the
    replay is ``COMPLETED``, and a running one is cancelled. "There may be a delay" between an event and its arrival in
    the archive; AWS recommends to wait 10 minutes before a replay. At most 10 replays run at a time in an account and
    region. A replayed event carries the replay's name (``replay-name``), so each one that reaches a function can be
    counted where an interceptor sits.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-replay-archived-event.html
    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_StartReplay.html

    Args:
        target: where the archive is.
        component: its name in the descriptor.
        resource: its ARN.
        rules: ARNs of the rules that get the events.
        since: the first moment of which events are replayed, UTC.
        replay: name of the replay; a fresh one for each lever.
        now: wall clock, UTC; events until then are replayed.
    """

    name: ClassVar[str] = "archive-replay"
    permissions: ClassVar[tuple[str, ...]] = (
        "events:DescribeArchive",
        "events:StartReplay",
        "events:DescribeReplay",
        "events:CancelReplay",
    )
    # how long the first replayed event may take; AWS gives no figure
    propagation_seconds: ClassVar[float] = 300.0
    aimed: ClassVar[bool] = False
    capability: ClassVar[Capability] = Capability.ARCHIVE_REPLAY
    error_class: ClassVar[ErrorClass] = ErrorClass.DUPLICATE

    target: Target
    component: str
    resource: str
    rules: tuple[str, ...] = ()
    since: datetime = _EARLIEST
    replay: str = field(default_factory=lambda: f"holdfast-{secrets.token_hex(6)}")
    now: Callable[[], datetime] = _utc_now
    key: str = field(default="", init=False)

    @classmethod
    def on(cls, stack: Stack, component: str, *, since: datetime) -> Self:
        """The lever on an archive of a stack.

        Args:
            stack: the stack; its rules get the events.
            component: the archive.
            since: events from this moment on are replayed, UTC.
        """
        rules = tuple(sorted(each.arn for each in stack.resources.values() if each.type == "rule"))
        resource = stack.resource(component).arn
        return cls(target=stack.target, component=component, resource=resource, rules=rules, since=since)

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        return cls(
            target=target,
            component=snapshot.component,
            resource=snapshot.resource,
            replay=snapshot.placed["replay"],
        )

    @property
    def reaches(self) -> tuple[str, ...]:
        """ARNs of all that it acts on beside its own resource, for the guard rail."""
        return self.rules

    def snapshot(self) -> Snapshot:
        """See that the archive can be replayed, to the stack's rules on its bus."""
        need_support(self.target, self.capability, f"{self.component} cannot be replayed")
        archive = self._client.describe_archive(ArchiveName=self._archive)
        if archive["State"] != "ENABLED":
            raise InjectionError(
                f"{self.component} cannot be replayed: it is {archive['State']}; nothing was changed",
                cause=str(archive.get("StateReason", "")),
                remedy="wait until the archive is ENABLED",
            )
        bus = str(archive["EventSourceArn"])
        rules = [rule for rule in self.rules if _bus_of(rule) == bus.partition(":event-bus/")[2]]
        if not rules:
            raise InjectionError(
                f"{self.component} cannot be replayed; nothing was changed",
                cause=f"no rule of the stack is on its bus {bus}, and rules of others must not get its events",
                remedy="name the rule that should get the duplicates as a component",
            )
        until = self.now() + _AT_LEAST
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={},
            placed={
                "replay": self.replay,
                "bus": bus,
                "rules": rules,
                "since": self.since.isoformat(),
                "until": until.isoformat(),
            },
        )

    def inject(self, snapshot: Snapshot) -> None:
        """Start the replay."""
        placed = snapshot.placed
        persistently(lambda: self._start(placed), deadline_seconds=CALL_SECONDS)

    def proof(self) -> str:
        """At least one event was replayed: seen at a function, or told by EventBridge."""
        hits = self.hits()
        if hits:
            return f"replay {self.replay} reached the stack's functions {hits} times"
        last = self._describe().get("EventLastReplayedTime")
        return f"EventBridge says that {self.replay} replayed events up to {last:%Y-%m-%dT%H:%M:%SZ}" if last else ""

    def hits(self) -> int:
        """How often a replayed event reached a function; 0 where no interceptor sits."""
        interceptor = self.target.interceptor
        if interceptor is None:
            return 0
        return sum(not one.by_service for one in interceptor.invocations(key=self.replay))

    def heal(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the replay is all there is
        """Cancel the replay if it still runs."""
        persistently(self._cancel, deadline_seconds=CALL_SECONDS)

    def healed_proof(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - the replay is all there is
        """The replay has ended, or never began."""
        state = self._state()
        if state == NEVER_STARTED:
            return f"no replay {self.replay} was started"
        return f"replay {self.replay} is {state}; there is nothing to restore" if state in ENDED else ""

    def by_hand(self, snapshot: Snapshot) -> str:
        """The command that cancels the replay."""
        return cli(self.target, "events", "cancel-replay", "--replay-name", snapshot.placed["replay"])

    @property
    def _client(self) -> Any:
        return self.target.client("events")

    @property
    def _archive(self) -> str:
        return self.resource.rpartition(":archive/")[2]

    def _start(self, placed: dict[str, Any]) -> None:
        try:
            self._client.start_replay(
                ReplayName=placed["replay"],
                EventSourceArn=self.resource,
                EventStartTime=datetime.fromisoformat(placed["since"]),
                EventEndTime=datetime.fromisoformat(placed["until"]),
                Destination={"Arn": placed["bus"], "FilterArns": placed["rules"]},
            )
        except ClientError as error:
            # an earlier attempt whose answer was lost; the name is nobody else's
            if error_code(error) != "ResourceAlreadyExistsException":
                raise

    def _describe(self) -> dict[str, Any]:
        try:
            return dict(self._client.describe_replay(ReplayName=self.replay))
        except ClientError as error:
            if is_missing(error):
                return {}
            raise

    def _state(self) -> str:
        return str(self._describe().get("State", NEVER_STARTED))

    def _cancel(self) -> None:
        if self._state() not in RUNNING:
            return
        try:
            self._client.cancel_replay(ReplayName=self.replay)
        except ClientError:
            # it may have ended between the look and the call
            if self._state() in RUNNING:
                raise


def _bus_of(rule: str) -> str:
    return rule.partition(":rule/")[2].rpartition("/")[0] or "default"
