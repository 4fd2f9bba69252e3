"""Rows of an Aurora cluster, read through the RDS Data API."""

from __future__ import annotations

import json
from typing import Any

from holdfast.ports.context import PortContext
from holdfast.ports.sources.reading import Entry, Reading, subject
from holdfast.ports.text import text_of
from holdfast.stack.aws_errors import translated
from holdfast.stack.base import Json
from holdfast.stack.effects import RdsDataSource
from holdfast.stack.templates import render, render_text


def read(source: RdsDataSource, context: PortContext, port: str) -> Reading:
    """Run the query and take each row for an entry.

    The answer comes as JSON rows: ``formatRecordsAs``,
    https://docs.aws.amazon.com/rdsdataservice/latest/APIReference/API_ExecuteStatement.html.
    """
    cluster = context.resource(source.cluster)
    request: dict[str, Any] = {
        "resourceArn": cluster.arn,
        "secretArn": render_text(source.secret, context.values),
        "sql": source.query,
        "parameters": [
            {"name": name, "value": _field(render(value, context.values))} for name, value in source.parameters.items()
        ],
        "formatRecordsAs": "JSON",
    }
    if source.database is not None:
        request["database"] = render_text(source.database, context.values)
    with translated(subject(port, cluster), context.target):
        answer = context.client("rds-data").execute_statement(**request)
    return Reading(tuple(Entry(row) for row in json.loads(answer.get("formattedRecords") or "[]")))


def _field(value: Json) -> dict[str, Any]:
    if value is None:
        return {"isNull": True}
    if isinstance(value, bool):
        return {"booleanValue": value}
    if isinstance(value, int):
        return {"longValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": text_of(value)}
