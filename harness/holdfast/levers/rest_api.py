"""A stage of a REST API throttled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from holdfast.errors import Inconclusive, InjectionError
from holdfast.levers.api_throttle import ApiThrottle
from holdfast.levers.base import Snapshot, need_support
from holdfast.levers.calls import cli, persistently
from holdfast.targets.base import Capability, Target

EVERY_METHOD = "*/*"
"""Key of the settings of all methods that have none of their own."""

_UNTOUCHED: Mapping[str, Any] = {
    "metricsEnabled": False,
    "loggingLevel": "OFF",
    "dataTraceEnabled": False,
    "cachingEnabled": False,
    "cacheTtlInSeconds": 300,
    "cacheDataEncrypted": False,
    "requireAuthorizationForCacheControl": True,
    "unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER",
}
"""What the other settings are when only the limits were set.

https://docs.aws.amazon.com/apigateway/latest/api/API_MethodSetting.html
"""

Limits = tuple[float, int]
"""Requests a second, and the size of the bucket."""


@dataclass(slots=True, kw_only=True)
class RestApiThrottle(ApiThrottle):
    """Limits of 0 on all methods of a stage: API Gateway answers 429 before any integration runs.

    Methods with settings of their own do not follow those of the stage, so their limits are set too. AWS publishes no
    figure for how soon it is felt; 60 s is a bound to give up at. There is no revision to compare with: what is
    restored is read just before.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
    https://docs.aws.amazon.com/apigateway/latest/api/API_UpdateStage.html
    https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateStage-Patch

    Args:
        target: where the API is.
        component: its name in the descriptor.
        resource: ARN of the stage.
        url: base URL of the stage; only for the canary.
        canary_path: path of a method that may be asked with GET at any time, e.g. ``/health``; empty for none.
        requests_per_second: the rate that is left.
        burst: the size of the bucket that is left, requests.
    """

    name: ClassVar[str] = "rest-api-throttle"
    capability: ClassVar[Capability] = Capability.API_THROTTLE
    kind: ClassVar[str] = "REST API"
    collection: ClassVar[str] = "restapis"

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        requests_per_second, burst = snapshot.placed["limits"]
        return cls(
            target=target,
            component=snapshot.component,
            resource=snapshot.resource,
            requests_per_second=requests_per_second,
            burst=burst,
        )

    def snapshot(self) -> Snapshot:
        """Read the limits of the stage, of every method with settings of its own, and of the account.

        Raises:
            Inconclusive: the target does not throttle, or settings show no limits to put back.
            InjectionError: the stage is throttled already.
        """
        need_support(self.target, self.capability, f"{self.said} cannot be throttled")
        found = {method: _limits(settings) for method, settings in self._settings().items()}
        without = sorted(method for method, limits in found.items() if limits is None)
        if without:
            raise Inconclusive(f"the settings of {', '.join(without)} of {self.said} show no limits to put back")
        if found.get(EVERY_METHOD) == self._placed:
            raise InjectionError(
                f"{self.said} is already throttled; nothing was changed",
                cause="another tool, or a run that was killed and whose journal is elsewhere, left it so",
                remedy=f"restore it, e.g. {self._command(['op=remove,path=/*/*'])}",
            )
        account = self._client.get_account()["throttleSettings"]
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={
                "limits": {EVERY_METHOD: None, **{method: list(limits) for method, limits in found.items() if limits}},
                "account": [float(account["rateLimit"]), int(account["burstLimit"])],
            },
            placed={"limits": list(self._placed)},
        )

    def inject(self, snapshot: Snapshot) -> None:
        """Set the limits of the stage and of every method with settings of its own."""
        self._patch([each for method in snapshot.found["limits"] for each in _replacing(method, self._placed)])

    def proof(self) -> str:
        """All limits read back as placed and, where a canary may be sent, it is refused."""
        settings = self._settings()
        if EVERY_METHOD not in settings or any(_limits(each) != self._placed for each in settings.values()):
            return ""
        read_back = f"the limits of all methods of {self.said} read back {_told(self._placed)}"
        return self.tried(read_back)

    def heal(self, snapshot: Snapshot) -> None:
        """Put the limits back that are still the lever's, or remove the settings that it made."""
        settings = persistently(self._settings, deadline_seconds=20.0)
        operations: list[dict[str, str]] = []
        for method, before in snapshot.found["limits"].items():
            now = settings.get(method)
            if now is None or _limits(now) != self._placed:
                continue
            if before is not None:
                operations += _replacing(method, _pair(before)) if _pair(before) != self._placed else []
            elif all(now.get(name, value) == value for name, value in _UNTOUCHED.items()):
                operations.append({"op": "remove", "path": f"/{method}"})
            else:
                # somebody else has set something beside the limits: it stays, with the limits that held before
                operations += _replacing(method, _pair(snapshot.found["account"]))
        if operations:
            self._patch(operations)

    def healed_proof(self, snapshot: Snapshot) -> str:
        """Every limit reads back as found, or somebody else has changed it."""
        settings = self._settings()
        left = []
        for method, before in snapshot.found["limits"].items():
            now = _limits(settings[method]) if method in settings else None
            if now == (None if before is None else _pair(before)):
                continue
            if now == self._placed:
                return ""
            left.append(f"{method} is {'absent' if now is None else _told(now)}")
        if not left:
            return f"the limits of {self.said} read back as found"
        return f"{self.said}: {'; '.join(left)}: somebody else changed it while it was throttled, so it was left alone"

    def by_hand(self, snapshot: Snapshot) -> str:
        """The command that restores the limits."""
        operations: list[str] = []
        for method, before in snapshot.found["limits"].items():
            if before is None:
                operations.append(f"op=remove,path=/{method}")
            else:
                operations += [
                    f"op=replace,path={each['path']},value={each['value']}"
                    for each in _replacing(method, _pair(before))
                ]
        return self._command(operations)

    @property
    def _client(self) -> Any:
        return self.target.client("apigateway")

    @property
    def _stage(self) -> dict[str, str]:
        api, stage = self.place
        return {"restApiId": api, "stageName": stage}

    @property
    def _placed(self) -> Limits:
        return self.requests_per_second, self.burst

    def _settings(self) -> Mapping[str, Mapping[str, Any]]:
        found: Mapping[str, Mapping[str, Any]] = self._client.get_stage(**self._stage).get("methodSettings") or {}
        return found

    def _patch(self, operations: list[dict[str, str]]) -> None:
        persistently(
            lambda: self._client.update_stage(**self._stage, patchOperations=operations),
            deadline_seconds=30.0,
            passing=("ConflictException",),
        )

    def _command(self, operations: list[str]) -> str:
        place = self._stage
        words = ("--rest-api-id", place["restApiId"], "--stage-name", place["stageName"], "--patch-operations")
        return cli(self.target, "apigateway", "update-stage", *words, *operations)


def _limits(settings: Mapping[str, Any]) -> Limits | None:
    rate, burst = settings.get("throttlingRateLimit"), settings.get("throttlingBurstLimit")
    return None if rate is None or burst is None else (float(rate), int(burst))


def _pair(limits: list[Any]) -> Limits:
    return float(limits[0]), int(limits[1])


def _replacing(method: str, limits: Limits) -> list[dict[str, str]]:
    rate, burst = limits
    return [
        {"op": "replace", "path": f"/{method}/throttling/{name}", "value": value}
        for name, value in (("rateLimit", _written(rate)), ("burstLimit", str(burst)))
    ]


def _written(rate: float) -> str:
    return str(int(rate)) if rate == int(rate) else repr(rate)


def _told(limits: Limits) -> str:
    return f"{_written(limits[0])} requests/s, burst {limits[1]}"
