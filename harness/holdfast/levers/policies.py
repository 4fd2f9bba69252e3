"""Editing a policy document: add denials that end by themselves, tell whether they are there, take them out. Pure.

A document is JSON text as AWS returns it; the empty text stands for a resource that has no policy.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

SID_PREFIX = "Holdfast"
"""Begins the Sid of every statement that Holdfast adds; letters and digits only, which every service accepts."""

Statement = dict[str, Any]

_COMPACT = (",", ":")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes the harness's own calls, as STS says it.

    Attributes:
        arn: e.g. ``arn:aws:sts::123456789012:assumed-role/ci/session``.
        user_id: the unique id that policies know as ``aws:userid``.
    """

    arn: str
    user_id: str

    @property
    def is_root(self) -> bool:
        """Whether it is the root user of the account."""
        return self.arn.endswith(":root")

    def plays(self, role_arn: str) -> bool:
        """Whether it is a session of this role."""
        session = self.arn.partition(":assumed-role/")[2]
        return bool(session) and session.split("/")[0] == role_arn.rpartition("/")[2]


def denial(
    sid: str, *, principals: Sequence[str], actions: Sequence[str], resources: Sequence[str], ends: datetime
) -> Statement:
    """A Deny for named principals, until a moment.

    Args:
        sid: the statement's id.
        principals: ARNs of roles or users, and names of services, e.g. ``sns.amazonaws.com``.
        actions: what is denied.
        resources: on what, ARNs.
        ends: when it ends by itself, UTC.
    """
    identities = sorted(each for each in principals if each.startswith("arn:"))
    services = sorted(each for each in principals if not each.startswith("arn:"))
    named = {"AWS": identities, "Service": services}
    principal = {kind: each for kind, each in named.items() if each}
    return _deny(sid, principal=principal, actions=actions, resources=resources, ends=ends, condition={})


def denial_of(caller: Caller, sid: str, *, action: str, resource: str, ends: datetime) -> Statement:
    """A Deny of one action for one caller alone, until a moment: the canary of a document.

    A session is told by its ``aws:userid``; the root user and users by their ARN.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    alone = (
        {"StringEquals": {"aws:userid": caller.user_id}}
        if ":sts:" in caller.arn
        else {"ArnEquals": {"aws:PrincipalArn": caller.arn}}
    )
    return _deny(sid, principal="*", actions=[action], resources=[resource], ends=ends, condition=alone)


def _deny(
    sid: str,
    *,
    principal: Any,
    actions: Sequence[str],
    resources: Sequence[str],
    ends: datetime,
    condition: dict[str, dict[str, str]],
) -> Statement:
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": principal,
        "Action": list(actions),
        "Resource": list(resources),
        "Condition": {**condition, "DateLessThan": {"aws:CurrentTime": f"{ends.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}},
    }


def statements(document: str) -> tuple[Statement, ...]:
    """The statements of a document; AWS lets a single one stand without a list."""
    found = json.loads(document).get("Statement", []) if document else []
    return tuple(found) if isinstance(found, list) else (found,)


def own(document: str, sid: str) -> tuple[Statement, ...]:
    """The statements whose Sid begins with ours."""
    return tuple(each for each in statements(document) if str(each.get("Sid", "")).startswith(sid))


def added(document: str, new: Sequence[Statement]) -> str:
    """The document with these statements at its end; one that has the Sid already is replaced."""
    policy = json.loads(document) if document else {"Version": "2012-10-17"}
    sids = {each["Sid"] for each in new}
    kept = [each for each in statements(document) if each.get("Sid") not in sids]
    return _written({**policy, "Statement": [*kept, *new]}, document)


def removed(document: str, sid: str) -> str:
    """The document without our statements; empty when nothing else is left of it."""
    mine = own(document, sid)
    if not mine:
        return document
    kept = [each for each in statements(document) if each not in mine]
    return _written({**json.loads(document), "Statement": kept}, document) if kept else ""


def in_force(document: str, sid: str, now: datetime) -> tuple[Statement, ...]:
    """Our statements that have not ended yet."""
    return tuple(each for each in own(document, sid) if _ends(each) > now)


def same(first: str, second: str) -> bool:
    """Whether two documents say the same; a single statement with or without its list is the same."""
    return bool(_canonical(first) == _canonical(second))


def digest(document: str) -> str:
    """Enough to know a policy again that says the same, of which nothing may be kept."""
    return hashlib.sha256(json.dumps(_canonical(document), sort_keys=True).encode()).hexdigest()


def _written(policy: Any, like: str) -> str:
    """A document as text, with blanks where the other has them: it is put back as it was, byte for byte."""
    compact = bool(like) and json.dumps(json.loads(like), separators=_COMPACT) == like
    return json.dumps(policy, separators=_COMPACT if compact else None)


def _canonical(document: str) -> Any:
    if not document:
        return None
    return {**json.loads(document), "Statement": list(statements(document))}


def _ends(statement: Statement) -> datetime:
    told = statement.get("Condition", {}).get("DateLessThan", {}).get("aws:CurrentTime")
    # AWS may return a single value in a list
    text = told[0] if isinstance(told, list) and told else told
    return datetime.fromisoformat(text) if isinstance(text, str) else datetime.max.replace(tzinfo=UTC)
