"""Entries that your own code finds."""

from __future__ import annotations

import json

import requests
from botocore.exceptions import BotoCoreError, ClientError

from holdfast.errors import PortError
from holdfast.ports.context import PortContext
from holdfast.ports.sources.reading import Entry, Reading
from holdfast.ports.transports.python import load, run, source_file
from holdfast.stack.effects import PythonSource


def read(source: PythonSource, context: PortContext, port: str) -> Reading:
    """Call ``callable(context)``, which returns a list of entries, plain JSON each."""
    function = load(source.callable, context.stack.path)
    file = source_file(source.callable, context.stack.path)
    try:
        entries = run(function, source.callable, context)
    except (ClientError, BotoCoreError, requests.RequestException, OSError) as error:
        raise PortError(
            f"{port}: {source.callable} in {file} could not read",
            cause=f"{type(error).__name__}: {error}",
            remedy="correct what the function reads, or start what should answer",
        ) from None
    try:
        if not isinstance(entries, list | tuple):
            raise TypeError(f"it returned {type(entries).__name__}")
        plain = json.loads(json.dumps(entries))
    except (TypeError, ValueError, RecursionError) as error:
        raise PortError(
            f"{port}: {source.callable} in {file} returned no list of plain JSON",
            cause=str(error),
            remedy="return a list with one JSON entry for each effect",
        ) from None
    return Reading(tuple(Entry(one) for one in plain))
