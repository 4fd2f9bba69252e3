"""What a person gives `holdfast init` for each reference stack: a command by example, and what the stack needs."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from holdfast_fixtures.catalogue import ReferenceStack

SAMPLES: Mapping[str, tuple[str, ...]] = {
    "notifications": ('{"request_id": "{key}", "recipient": "{recipient}", "channel": "email", "note": "{value}"}',),
    "payroll": (
        'POST /uploads {"upload_id": "{key}", "period": "2026-10"}',
        "--upload=reference,{value}\nada,12.50\ngrace,125000\n",
        "--upload-header=Content-Type=text/csv",
        "--upload-header=If-None-Match=*",
    ),
    "webhooks": ('{"order_id": "{key}", "amount": "12.50", "currency": "EUR", "note": "{value}", "details": {}}',),
    "outbox": ('{"order_id": "{key}", "customer": "{customer}", "amount": "12.50", "note": "{value}", "details": {}}',),
    "orders": (
        '{"order_id": "{key}", "sku": "kettle", "quantity": 1, "card": "visa", "amount": "12.50", "note": "{value}"}',
    ),
    "booking": (
        '{"trip_id": "{key}", "flight": "north", "car": "small", "payer": "anna", "amount": 12, "note": "{value}"}',
    ),
    "trip": ('{"trip_id": "{key}", "flight": "north", "hotel": "astoria", "car": "small", "note": "{value}"}',),
    "transfer": ('{"transfer_id": "{key}", "from": "anna", "to": "cleo", "amount": 12, "note": "{value}"}',),
    "accounts": (
        'POST /accounts/{account_id}/deposits {"command_id": "{key}", "amount": 12, "tag": "rent", "note": "{value}"}',
    ),
    "accounts_sql": (
        'POST /accounts/{account_id}/deposits {"command_id": "{key}", "amount": 12, "tag": "rent", "note": "{value}"}',
    ),
    "parcels": (
        'POST /parcels {"parcel_id": "{key}", "note": "{value}", "grams": 12}',
        "--header=Idempotency-Key={key}",
    ),
    "tariffs": ('{"tariff_id": "{key}", "note": "{value}"}',),
}
"""A sample for each reference stack, and what else its command needs."""


def beside(stack: ReferenceStack) -> tuple[str, str]:
    """What ``--sidecar`` and ``--application`` say of a stack whose descriptor has one; empty for others."""
    claimed = _document(stack)
    pattern = claimed["patterns"].get("sidecar")
    if pattern is None:
        return "", ""
    components = claimed["components"]
    if pattern["sidecar"] == pattern["application"]:
        return components[pattern["sidecar"]]["logical_id"], ""
    return _command(components[pattern["sidecar"]]), _command(components[pattern["application"]])


def arguments(stack: ReferenceStack, folder: Path) -> list[str]:
    """What a person types after ``holdfast init`` in the stack's folder, its sample apart.

    Args:
        stack: the stack.
        folder: for databases.
    """
    claimed = _document(stack)
    said = [f"--{name}={text}" for name, text in zip(("sidecar", "application"), beside(stack), strict=True) if text]
    for name, value in claimed["deploy"].get("parameters", {}).items():
        said.append(f"--parameter={name}={f'sqlite:///{folder}/<log>.db' if name == 'ReadModelUrl' else value}")
    return ["--template=template.yaml", *said, *_seeds(claimed)]


def _document(stack: ReferenceStack) -> dict[str, Any]:
    return tomllib.loads(stack.descriptor.read_text(encoding="utf-8"))


def _seeds(claimed: Mapping[str, Any]) -> Iterator[str]:
    for row in claimed.get("seed", ()):
        yield f"--seed={claimed['components'][row['table']]['logical_id']}={json.dumps(row['item'])}"


def _command(component: Mapping[str, Any]) -> str:
    start = component["start"]
    assigned = [f"{name}={value}" for name, value in start.get("environment", {}).items()]
    return shlex.join([*assigned, *start["command"]])
