"""Denials in a resource's own policy, healed from what the journal keeps of it: where it is, and a digest."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import pytest

from holdfast.levers.base import Snapshot
from holdfast.levers.denial import Held, PolicyDenial
from holdfast.targets.attached import AttachedTarget
from holdfast.targets.base import Capability

SID = "Holdfast0123456789ab"
THEIRS = {"Sid": "Theirs", "Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
OURS = {**THEIRS, "Sid": SID, "Effect": "Deny"}
TARGET = AttachedTarget(
    kind="localstack", endpoint_url="http://127.0.0.1:1", account="000000000000", region="eu-west-1", profile=None
)


@dataclass(slots=True, kw_only=True)
class Denial(PolicyDenial):
    """A denial in a policy that is held in memory."""

    name: ClassVar[str] = "denial"
    propagation_seconds: ClassVar[float] = 0.0
    capability: ClassVar[Capability] = Capability.QUEUE_POLICY
    held: list[str] = field(default_factory=lambda: [""])

    def _read(self) -> Held:
        return Held(self.held[-1])

    def _write(self, text: str, revision: str) -> None:
        self.held.append(text)

    def _canary(self) -> Any:
        return None

    @property
    def _reading(self) -> tuple[str, ...]:
        return ("sqs", "read")

    @property
    def _writing(self) -> tuple[str, ...]:
        return ("sqs", "write", "--policy")

    @property
    def _deleting(self) -> tuple[str, ...]:
        return ("sqs", "delete")


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}) if statements else ""


def written_by_the_previous_version(found: str) -> Snapshot:
    """Its journals hold the policy itself, and no digest of it."""
    return Snapshot(
        lever="denial",
        component="queue",
        resource="arn:aws:sqs:eu-west-1:000000000000:queue",
        found={"policy": found, "address": "http://127.0.0.1:1/000000000000/queue"},
        placed={"sid": SID, "statements": [OURS]},
    )


def again(snapshot: Snapshot, now: str) -> Denial:
    lever = Denial.restoring(TARGET, Snapshot(**json.loads(json.dumps(asdict(snapshot)))))
    lever.held = [now]
    return lever


@pytest.mark.parametrize("before", [(), (THEIRS,)], ids=["no policy", "a policy of theirs"])
def test_a_journal_of_the_previous_version_heals(before: tuple[dict[str, Any], ...]) -> None:
    """An entry that holds the policy in place of its digest is healed, and says that it reads back as found."""
    snapshot = written_by_the_previous_version(policy(*before))
    lever = again(snapshot, policy(*before, OURS))
    lever.heal(snapshot)
    assert lever.held[-1] == policy(*before)
    assert "reads back as found" in lever.healed_proof(snapshot)


def test_a_journal_of_the_previous_version_says_how_to_heal_by_hand() -> None:
    """An entry of the previous version that cannot be healed gives the command, as an entry of this one does."""
    for before, verb in ((policy(), "delete"), (policy(THEIRS), "read")):
        snapshot = written_by_the_previous_version(before)
        command = again(snapshot, before).by_hand(snapshot)
        assert shlex.split(command)[:3] == ["aws", "sqs", verb]
        assert "Theirs" not in command
