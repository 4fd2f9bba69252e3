"""The throttles of API Gateway's stages, on the embedded target."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from holdfast.errors import Inconclusive, InjectionError, ResourceError
from holdfast.history.model import ErrorClass
from holdfast.history.recorder import Recorder
from holdfast.levers import HttpApiThrottle, Journal, Pin, RestApiThrottle, pulled
from holdfast.targets.base import Capability
from holdfast.targets.embedded import EmbeddedTarget
from lever_bed import Bed
from lever_bed import bed as made_bed


@pytest.fixture
def bed(embedded: EmbeddedTarget) -> Iterator[Bed]:
    with made_bed(embedded) as made:
        yield made


def status(bed: Bed) -> int:
    with urllib3.PoolManager(timeout=10.0, retries=False) as http:
        return http.request("GET", f"{bed.stack.resource('rest').url}/").status


def test_a_throttled_stage_answers_429_and_its_limits_come_back(bed: Bed, tmp_path: Path) -> None:
    """The canary and every other request are refused in the window, and served before and after it."""
    assert status(bed) == 200
    recorder = Recorder()
    lever = RestApiThrottle.on(bed.stack, "rest", canary_path="/")
    with (
        Journal(tmp_path, Pin.of(bed.stack)) as journal,
        pulled([lever], stack=bed.stack, journal=journal, recorder=recorder) as pull,
    ):
        assert pull.proofs[0].endswith("read back 0 requests/s, burst 0 and a request is refused with 429")
        assert status(bed) == 429
    assert status(bed) == 200
    assert bed.rest_settings() == {}
    (window,) = recorder.history().windows
    assert (window.bit, window.error_class) == (True, ErrorClass.THROTTLE)
    assert window.healed_proof == "the limits of stage live of rest read back as found"


def test_methods_with_limits_of_their_own_are_throttled_too(bed: Bed) -> None:
    """A method's own settings come before those of the stage, so they are set as well, and put back."""
    bed.limit_rest("~1/GET", "100", "50")
    before = bed.rest_settings()
    lever = RestApiThrottle.on(bed.stack, "rest")
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    assert status(bed) == 429
    lever.heal(snapshot)
    assert status(bed) == 200
    assert bed.rest_settings() == before


def test_other_settings_that_somebody_made_meanwhile_are_kept(bed: Bed) -> None:
    """Settings that the lever made are not removed once somebody else has put something of theirs into them."""
    lever = RestApiThrottle.on(bed.stack, "rest")
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    theirs = [{"op": "replace", "path": "/*/*/logging/dataTrace", "value": "true"}]
    bed.target.client("apigateway").update_stage(**bed.rest_place, patchOperations=theirs)
    lever.heal(snapshot)
    settings = bed.rest_settings()["*/*"]
    assert settings["dataTraceEnabled"]
    account = bed.target.client("apigateway").get_account()["throttleSettings"]
    assert (settings["throttlingRateLimit"], settings["throttlingBurstLimit"]) == (
        account["rateLimit"],
        account["burstLimit"],
    )
    assert "somebody else changed it" in lever.healed_proof(snapshot)


@pytest.mark.parametrize("lever", [RestApiThrottle, HttpApiThrottle])
def test_a_stage_that_is_throttled_already_is_not_touched(
    bed: Bed, lever: type[RestApiThrottle] | type[HttpApiThrottle]
) -> None:
    """What is there already was put there by somebody else, so there is nothing to restore to: refuse."""
    bed.limit_rest("*/*", "0", "0")
    bed.limit_http(ThrottlingRateLimit=0.0, ThrottlingBurstLimit=0)
    with pytest.raises(InjectionError, match="already throttled"):
        lever.on(bed.stack, "rest" if lever is RestApiThrottle else "http").snapshot()


def test_a_lever_is_for_its_own_kind_of_api(bed: Bed) -> None:
    """REST and HTTP APIs have control planes of their own; the wrong lever is refused before anything is read."""
    for lever, component in ((RestApiThrottle, "http"), (HttpApiThrottle, "rest"), (RestApiThrottle, "worker")):
        with pytest.raises(ResourceError, match="has no stage that could be throttled"):
            lever.on(bed.stack, component)


def test_routes_with_limits_of_their_own_are_inconclusive(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A route's own limits would still hold, so a throttle of the others would prove nothing for it."""
    client = bed.target.client("apigatewayv2")
    client.update_stage(**bed.http_place, RouteSettings={"GET /orders": {"ThrottlingBurstLimit": 5}})
    with pytest.raises(Inconclusive, match=r"GET /orders of stage .* have limits of their own"):
        HttpApiThrottle.on(bed.stack, "http").snapshot()


def test_limits_that_the_service_keeps_become_those_of_the_account(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where leaving limits out does not remove them, those that held before are set, and that is told."""
    client = bed.stack.target.client("apigatewayv2")
    update = client.update_stage

    def merging(**request: Any) -> Any:
        return update(**{**request, "DefaultRouteSettings": {**bed.http_settings(), **request["DefaultRouteSettings"]}})

    monkeypatch.setattr(client, "update_stage", merging)
    lever = HttpApiThrottle.on(bed.stack, "http")
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    lever.heal(snapshot)
    assert bed.http_settings() == {"ThrottlingRateLimit": 10000.0, "ThrottlingBurstLimit": 5000}
    assert "those of the account, which held before" in lever.healed_proof(snapshot)


def test_a_canary_that_is_served_proves_nothing(bed: Bed) -> None:
    """Limits that read back as placed while requests still pass are no proof."""
    lever = HttpApiThrottle.on(bed.stack, "http")
    lever.inject(lever.snapshot())
    assert "was not tried" in lever.proof()
    lever.url, lever.canary_path = bed.stack.resource("rest").url, "/"
    assert lever.proof() == ""


@pytest.mark.parametrize("rate", [10000.0, 12345.678, 0.5])
def test_a_rate_comes_back_to_the_last_digit(bed: Bed, rate: float) -> None:
    """Rates travel as text and are not rounded on the way."""
    bed.limit_rest("*/*", repr(rate), "7")
    before = bed.rest_settings()
    lever = RestApiThrottle.on(bed.stack, "rest")
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    lever.heal(snapshot)
    assert bed.rest_settings() == before


def test_what_a_target_cannot_do_is_inconclusive(bed: Bed) -> None:
    """A target that does not throttle gives its reason, and nothing is changed."""
    bed.target.forget(Capability.API_THROTTLE)
    bed.target.forget(Capability.HTTP_API_THROTTLE)
    for lever in (RestApiThrottle.on(bed.stack, "rest"), HttpApiThrottle.on(bed.stack, "http")):
        with pytest.raises(Inconclusive, match="for a reason"):
            lever.snapshot()
    assert (bed.rest_settings(), bed.http_settings()) == ({}, {})
