"""What the levers share that deny something in a resource's own policy: a queue's, a bucket's, a table's."""

from __future__ import annotations

import re
import secrets
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from botocore.exceptions import ClientError

from holdfast.errors import InjectionError
from holdfast.history.model import ErrorClass
from holdfast.levers import policies
from holdfast.levers.base import Snapshot, need_support
from holdfast.levers.calls import cli, denied, persistently
from holdfast.levers.guard import check_address
from holdfast.levers.policies import SID_PREFIX, Caller, Statement
from holdfast.levers.settling import stale_seconds
from holdfast.targets.base import Capability, Target
from holdfast.waiting import eventually

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack

EDIT_SECONDS = 30.0
"""How long an edit is tried again; DynamoDB alone blocks the next one for 15 s."""
_SERVICE = re.compile(r"^[a-z0-9.-]+\.amazonaws\.com(\.cn)?$")
_IDENTITY = re.compile(r"^arn:aws[a-z-]*:iam::\d{12}:(role|user)/[^*?]+$")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Held:
    """A resource's policy as it is now.

    Attributes:
        text: the document; empty without one.
        revision: what the service tells apart its versions by; empty where it does not.
    """

    text: str
    revision: str = ""


@dataclass(slots=True, kw_only=True)
class PolicyDenial(ABC):
    """Deny statements with a Sid of our own in a resource's policy, which end by themselves (``DateLessThan``).

    They name the principals of the stack, never everybody, so that the harness, people and other systems go on.
    Callers get ``AccessDenied``, which SDKs do not retry: it is no model of an outage. Data-plane actions alone are
    denied, so the policy can always be put back.

    A second statement is the canary: it denies one harmless call to the session that runs the harness, and to nobody
    else. Both are in one document, so a canary that is refused shows that the service applies it. Where the canary
    could not tell (the harness may not make that call anyway), the proof says that it was not tried.

    Healing takes out the statements with our Sid and leaves the others; where nothing else was changed the text is put
    back byte for byte by the run itself, and healing from the journal puts back what says the same. A policy may hold
    what nobody else should read, so no text of it is ever written to the journal or shown.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html

    Args:
        target: where the resource is.
        component: its name in the descriptor.
        resource: its ARN.
        address: what its API calls it by: the queue's URL, the bucket's or the table's name.
        principals: who is denied: ARNs of roles and users, names of services such as ``sns.amazonaws.com``.
        actions: what is denied.
        expires_seconds: the denial ends by itself after this long.
        sid: the Sid of the statements; a fresh one for each lever.
        now: wall clock, UTC.
    """

    name: ClassVar[str]
    permissions: ClassVar[tuple[str, ...]]
    propagation_seconds: ClassVar[float]
    aimed: ClassVar[bool] = False
    error_class: ClassVar[ErrorClass] = ErrorClass.DENIED
    capability: ClassVar[Capability]
    data_plane: ClassVar[frozenset[str]]
    """The actions that may be denied."""
    default_actions: ClassVar[tuple[str, ...]]
    canary_action: ClassVar[str]
    root_is_bound: ClassVar[bool] = True
    """Whether the canary tells anything when the harness runs as the root user of the account."""
    conflicts: ClassVar[frozenset[str]] = frozenset()
    """Error codes of an edit that met another one; it is read and made again."""

    target: Target
    component: str
    resource: str
    address: str
    principals: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    expires_seconds: float = 900.0
    sid: str = field(default_factory=lambda: f"{SID_PREFIX}{secrets.token_hex(6)}")
    now: Callable[[], datetime] = _utc_now
    key: str = field(default="", init=False)
    _canary_tells: bool = field(default=False, init=False)
    _found: str | None = field(default=None, init=False, repr=False)

    @classmethod
    def on(
        cls,
        stack: Stack,
        component: str,
        *,
        principals: tuple[str, ...] = (),
        actions: tuple[str, ...] = (),
        expires_seconds: float = 900.0,
    ) -> Self:
        """The lever on a component of a stack.

        Args:
            stack: the stack.
            component: what is denied access to.
            principals: who is denied; every role of the stack's components by default.
            actions: what is denied; the service's usual data-plane actions by default.
            expires_seconds: the denial ends by itself after this long.
        """
        found = stack.resource(component)
        return cls(
            target=stack.target,
            component=component,
            resource=found.arn,
            address=found.url or found.name,
            principals=principals or roles(stack),
            actions=actions or cls.default_actions,
            expires_seconds=expires_seconds,
        )

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        return cls(
            target=target,
            component=snapshot.component,
            resource=snapshot.resource,
            address=snapshot.found["address"],
            sid=snapshot.placed["sid"],
        )

    def snapshot(self) -> Snapshot:
        """Read the policy, and write down the statements that will be added to it."""
        need_support(self.target, self.capability, f"nobody can be denied {self.component} by its policy")
        check_address(self.name, self.resource, self.address)
        caller = self._caller()
        self._check(caller)
        found = self._found = self._read().text
        earlier = policies.in_force(found, SID_PREFIX, self.now())
        if earlier:
            raise InjectionError(
                f"the policy of {self.component} already holds {earlier[0]['Sid']}; nothing was changed",
                cause="a run that was killed, and whose journal is elsewhere, left it",
                remedy="run `holdfast heal` there, or wait until it has ended by itself",
            )
        # asked before: a call that is refused anyway, or a root user that no policy binds, would tell nothing
        self._canary_tells = (self.root_is_bound or not caller.is_root) and not self._canary_is_denied()
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={"sha256": policies.digest(found), "address": self.address},
            placed={"sid": self.sid, "statements": self._statements(caller)},
        )

    def inject(self, snapshot: Snapshot) -> None:
        """Add the statements to the policy as it is by now."""
        self._edit(lambda text: policies.added(text, snapshot.placed["statements"]))

    def proof(self) -> str:
        """Our statement reads back and has not ended, and the canary is refused."""
        if not policies.in_force(self._read().text, self.sid, self.now()):
            return ""
        said = f"{', '.join(self.actions)} denied to {', '.join(self.principals)} by {self.sid}, which reads back"
        if not self._canary_tells:
            return f"{said}; whether the policy is applied yet was not tried"
        return f"{said}; the harness's own {self.canary_action} is refused by it" if self._canary_is_denied() else ""

    def hits(self) -> int:
        """Denials cannot be counted from outside; the operations show them."""
        return 0

    def heal(self, snapshot: Snapshot) -> None:
        """Take out our statements, and nothing else."""
        sid = snapshot.placed["sid"]
        seen = eventually(
            lambda: persistently(self._read, deadline_seconds=EDIT_SECONDS),
            lambda held: bool(policies.own(held.text, sid)),
            deadline_seconds=stale_seconds(self.target),
        )
        if not seen.met:
            return

        def without(text: str) -> str:
            left = policies.removed(text, sid)
            return self._found if self._found is not None and policies.same(left, self._found) else left

        self._edit(without)

    def healed_proof(self, snapshot: Snapshot) -> str:
        """Our statements are gone, and the canary passes again."""
        sid, text = snapshot.placed["sid"], self._read().text
        if policies.own(text, sid) or (self._canary_tells and self._canary_is_denied()):
            return ""
        if policies.digest(text) == _found_digest(snapshot):
            return f"the policy of {self.component} reads back as found, without {sid}"
        return (
            f"the policy of {self.component} no longer holds {sid}; somebody else changed other statements of it "
            "meanwhile, so they were left alone"
        )

    def by_hand(self, snapshot: Snapshot) -> str:
        """A pipeline that takes our statements out, so that no policy is ever shown or kept in a file."""
        sid = snapshot.placed["sid"]
        if _found_digest(snapshot) == policies.digest(""):
            return cli(self.target, *self._deleting)
        without = f'del(.Statement[] | select(.Sid // "" | startswith("{sid}"))) | {self._document}'
        return (
            f"{cli(self.target, *self._reading, '--output', 'text')} | jq -c {shlex.quote(without)}"
            f" | {cli(self.target, *self._writing, 'file:///dev/stdin')}"
        )

    @abstractmethod
    def _read(self) -> Held:
        """The policy as it is."""

    @abstractmethod
    def _write(self, text: str, revision: str) -> None:
        """Set the policy, or remove it when the text is empty; fails when the revision is no longer that one."""

    @abstractmethod
    def _canary(self) -> Any:
        """One call that does no harm whether it is refused or not."""

    @property
    @abstractmethod
    def _reading(self) -> tuple[str, ...]:
        """The CLI's words that print the policy."""

    @property
    @abstractmethod
    def _writing(self) -> tuple[str, ...]:
        """The CLI's words that set the policy, up to the document."""

    @property
    @abstractmethod
    def _deleting(self) -> tuple[str, ...]:
        """The CLI's words that remove the policy."""

    @property
    def _document(self) -> str:
        """What jq makes the document of that is set."""
        return "."

    @property
    def _resources(self) -> tuple[str, ...]:
        """What the denial is on."""
        return (self.resource,)

    @property
    def _canary_resource(self) -> str:
        return self.resource

    def _edit(self, change: Callable[[str], str]) -> None:
        def once() -> None:
            held = self._read()
            wanted = change(held.text)
            if wanted != held.text:
                self._write(wanted, held.revision)

        persistently(once, deadline_seconds=EDIT_SECONDS, passing=self.conflicts)

    def _statements(self, caller: Caller) -> list[Statement]:
        ends = self.now() + timedelta(seconds=self.expires_seconds)
        wanted = [
            policies.denial(
                self.sid, principals=self.principals, actions=self.actions, resources=self._resources, ends=ends
            )
        ]
        if self._canary_tells:
            wanted.append(
                policies.denial_of(
                    caller,
                    f"{self.sid}Canary",
                    action=self.canary_action,
                    resource=self._canary_resource,
                    ends=ends,
                )
            )
        return wanted

    def _check(self, caller: Caller) -> None:
        """Refuse a denial of anything but data, of nobody, of everybody, or of the harness itself."""
        beyond = sorted(set(self.actions) - self.data_plane)
        if beyond or not self.actions:
            raise InjectionError(
                f"{self.name} cannot deny {', '.join(beyond) or 'nothing'}; nothing was changed",
                cause="only data-plane actions may be denied, so that the policy can always be put back",
                remedy=f"choose from {', '.join(sorted(self.data_plane))}",
            )
        if not self.principals:
            raise InjectionError(
                f"there is nobody to deny {self.component} to; nothing was changed",
                cause="the stack's components have no role",
                remedy="name a function or a role as a component, or give principals",
            )
        for each in self.principals:
            if not (_SERVICE.match(each) or _IDENTITY.match(each)):
                raise InjectionError(
                    f"{self.name} cannot deny {each}; nothing was changed",
                    cause="everybody or a whole account would include the harness, and others who use the resource",
                    remedy="name roles or users by their ARN, and services as in sns.amazonaws.com",
                )
            if each == caller.arn or caller.plays(each):
                raise InjectionError(
                    f"{self.name} would deny {self.component} to the harness itself; nothing was changed",
                    cause=f"the harness runs as {each}",
                    remedy="run the harness as a role of its own",
                )

    def _caller(self) -> Caller:
        # needs no permission: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
        found = self.target.client("sts").get_caller_identity()
        return Caller(arn=str(found["Arn"]), user_id=str(found["UserId"]))

    def _canary_is_denied(self) -> bool:
        try:
            self._canary()
        except ClientError as error:
            # HEAD requests give the status only
            return denied(error) or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 403
        return False


def _found_digest(snapshot: Snapshot) -> str:
    """The digest of the policy that was found; older journals hold the policy itself."""
    found = snapshot.found
    return str(found["sha256"]) if "sha256" in found else policies.digest(found["policy"])


def roles(stack: Stack) -> tuple[str, ...]:
    """ARNs of the roles that a stack's components are or run as."""
    found = {each.arn if each.type == "role" else each.role for each in stack.resources.values()}
    return tuple(sorted(found - {""}))
