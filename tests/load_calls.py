"""A process of its own that makes calls with the cheap client: pytest must never run gevent.

Standard input: ``{endpoint, region, access_key, calls, ...}``; standard output: what came back of each call.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import boto3
import gevent
from botocore.config import Config
from botocore.credentials import Credentials

from holdfast_load.client.calls import reply
from holdfast_load.client.cheap import CheapClient
from holdfast_load.client.signing import Keys


def main() -> None:
    """Make the calls, one after another, or all at once."""
    asked = json.load(sys.stdin)
    access_key = asked.get("access_key", "AKIDEXAMPLE")
    session = boto3.Session(access_key, "test", region_name=asked["region"])

    def client_of(service: str) -> Any:
        config = Config(s3={"addressing_style": "path"}, inject_host_prefix=False)
        return session.client(service, endpoint_url=asked["endpoint"], config=config)

    late_seconds = asked.get("late_seconds", 0.0)
    keys = Keys(Credentials(access_key, "test"), asked["region"], clock=lambda: time.time() - late_seconds)
    client = CheapClient(client_of, keys, **asked.get("timeouts", {}))

    def make(call: dict[str, Any]) -> dict[str, Any]:
        if call.get("pause_seconds"):
            gevent.sleep(call["pause_seconds"])
        if "url" in call:
            answer = client.http(
                call.get("method", "POST"),
                call["url"],
                headers=call.get("headers", {}),
                body=call.get("body", "").encode(),
                sign_for=call.get("sign_for", ""),
            )
        else:
            answer = client.call(call["service"], call["operation"], call["parameters"])
        told = reply(answer)
        return {
            "outcome": told.outcome,
            "answered": told.answered,
            "status": answer.status,
            "code": answer.code,
            "text": answer.text,
            "error": answer.error,
            "summary": told.status,
        }

    if asked.get("at_once"):
        greenlets = [gevent.spawn(make, call) for call in asked["calls"]]
        gevent.joinall(greenlets)
        made = [greenlet.get() for greenlet in greenlets]
    else:
        made = [make(call) for call in asked["calls"]]
    opened = sum(pool.opened for pool in client._pools.values())
    client.close()
    json.dump({"made": made, "opened": opened, "skew_corrections": client.skew_corrections}, sys.stdout)


if __name__ == "__main__":
    main()
