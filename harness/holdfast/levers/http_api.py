"""A stage of an HTTP API throttled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

from holdfast.errors import Inconclusive, InjectionError
from holdfast.levers.api_throttle import ApiThrottle
from holdfast.levers.base import Snapshot, need_support
from holdfast.levers.calls import cli, persistently
from holdfast.targets.base import Capability, Target

_RATE, _BURST = "ThrottlingRateLimit", "ThrottlingBurstLimit"


@dataclass(slots=True, kw_only=True)
class HttpApiThrottle(ApiThrottle):
    """Limits of 0 for all routes of a stage: API Gateway answers 429 before any integration runs.

    The settings are written whole, as they were read, with other limits. A stage that had none gets its old settings
    back; where API Gateway keeps the limits all the same, those of the account are set, which held before. With access
    logging, updating a stage also takes ``logs:*`` rights. AWS publishes no figure for how soon it is felt; 60 s is a
    bound to give up at. Written to the documentation: no emulator that runs without Docker throttles HTTP APIs.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
    https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-stages-stagename.html

    Args:
        target: where the API is.
        component: its name in the descriptor.
        resource: ARN of the stage.
        url: base URL of the stage; only for the canary.
        canary_path: path of a route that may be asked with GET at any time, e.g. ``/health``; empty for none.
        requests_per_second: the rate that is left.
        burst: the size of the bucket that is left, requests.
    """

    name: ClassVar[str] = "http-api-throttle"
    capability: ClassVar[Capability] = Capability.HTTP_API_THROTTLE
    kind: ClassVar[str] = "HTTP API"
    collection: ClassVar[str] = "apis"

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        return cls(
            target=target,
            component=snapshot.component,
            resource=snapshot.resource,
            requests_per_second=snapshot.placed[_RATE],
            burst=snapshot.placed[_BURST],
        )

    def snapshot(self) -> Snapshot:
        """Read the limits of the stage and of the account.

        Raises:
            Inconclusive: the target does not throttle, or routes have limits of their own, which would still hold.
            InjectionError: the stage is throttled already.
        """
        need_support(self.target, self.capability, f"{self.said} cannot be throttled")
        stage = self._read()
        own = sorted(route for route, settings in (stage.get("RouteSettings") or {}).items() if any(_limits(settings)))
        if own:
            raise Inconclusive(f"{', '.join(own)} of {self.said} have limits of their own, which would still hold")
        found = _limits(_settings(stage))
        if found == self._placed:
            raise InjectionError(
                f"{self.said} is already throttled; nothing was changed",
                cause="another tool, or a run that was killed and whose journal is elsewhere, left it so",
                remedy="set its limits as its deployment does",
            )
        # the account's limits are one for REST and HTTP APIs, and only the older service shows them
        account = self.target.client("apigateway").get_account()["throttleSettings"]
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={
                "limits": found,
                "account": {_RATE: float(account["rateLimit"]), _BURST: int(account["burstLimit"])},
            },
            placed=self._placed,
        )

    def inject(self, snapshot: Snapshot) -> None:
        """Set the limits, unless somebody else has changed them since they were read."""

        def attempt() -> None:
            settings = _settings(self._read())
            if _limits(settings) not in (snapshot.found["limits"], self._placed):
                raise InjectionError(
                    f"somebody else has just changed the limits of {self.said}; they were left alone",
                    remedy="try again when nobody deploys",
                )
            self._write({**settings, **self._placed})

        persistently(attempt, deadline_seconds=30.0, passing=("ConflictException",))

    def proof(self) -> str:
        """The limits read back as placed and, where a canary may be sent, it is refused."""
        if _limits(_settings(self._read())) != self._placed:
            return ""
        read_back = f"the limits of {self.said} read back {_told(self._placed)}"
        return self.tried(read_back)

    def heal(self, snapshot: Snapshot) -> None:
        """Put the limits found back; limits that are no longer the lever's are left alone."""
        before = snapshot.found["limits"]

        def attempt(limits: Mapping[str, Any]) -> None:
            settings = _settings(self._read())
            if _limits(settings) == self._placed:
                others = {name: value for name, value in settings.items() if name not in (_RATE, _BURST)}
                self._write({**others, **limits})

        # the second changes nothing unless the service has kept limits that were left out
        for limits in (before, snapshot.found["account"] | before):
            persistently(partial(attempt, limits), deadline_seconds=30.0, passing=("ConflictException",))

    def healed_proof(self, snapshot: Snapshot) -> str:
        """The limits read back as found, as those of the account if there were none, or somebody else changed them."""
        now, before = _limits(_settings(self._read())), snapshot.found["limits"]
        if now == before:
            return f"the limits of {self.said} read back {_told(now)}, as found"
        if now == self._placed:
            return ""
        if now == snapshot.found["account"] | before:
            return (
                f"the limits of {self.said} read back {_told(now)}: those of the account, which held before, "
                "because API Gateway does not let go of limits once set"
            )
        return (
            f"the limits of {self.said} are {_told(now)}: somebody else changed them while it was throttled, "
            f"so they were left alone ({_told(before)} was found)"
        )

    def by_hand(self, snapshot: Snapshot) -> str:
        """The command that sets the limits found, or those of the account if there were none."""
        place = self._stage
        limits = json.dumps(snapshot.found["account"] | snapshot.found["limits"])
        words = ("--api-id", place["ApiId"], "--stage-name", place["StageName"], "--default-route-settings", limits)
        return cli(self.target, "apigatewayv2", "update-stage", *words)

    @property
    def _client(self) -> Any:
        return self.target.client("apigatewayv2")

    @property
    def _stage(self) -> dict[str, str]:
        api, stage = self.place
        return {"ApiId": api, "StageName": stage}

    @property
    def _placed(self) -> dict[str, Any]:
        return {_RATE: self.requests_per_second, _BURST: self.burst}

    def _read(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._client.get_stage(**self._stage)
        return found

    def _write(self, settings: Mapping[str, Any]) -> None:
        self._client.update_stage(**self._stage, DefaultRouteSettings=settings)


def _settings(stage: Mapping[str, Any]) -> Mapping[str, Any]:
    return stage.get("DefaultRouteSettings") or {}


def _limits(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The limits that are set."""
    return {name: settings[name] for name in (_RATE, _BURST) if settings.get(name) is not None}


def _told(limits: Mapping[str, Any]) -> str:
    return f"{limits.get(_RATE, 'no rate')} requests/s, burst {limits.get(_BURST, 'none')}"
