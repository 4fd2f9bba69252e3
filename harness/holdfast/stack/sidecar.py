"""What is declared about an application and its sidecar."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from holdfast.stack.base import Part

MEBIBYTE = 1024 * 1024


class SidecarBounds(Part):
    """Deadlines and budgets of an application with a sidecar; every figure is checked, none is guessed."""

    answer_seconds: Annotated[
        float, Field(gt=0, description="Longest answer of the application, whatever its sidecar does: SC-1, SC-5.")
    ] = 5.0
    recovery_seconds: Annotated[
        float, Field(gt=0, description="From the sidecar being back to the first acknowledgement: SC-3, SC-5.")
    ] = 10.0
    staleness_seconds: Annotated[
        float, Field(gt=0, description="How long a cached answer may miss what was written behind the cache, SC-11.")
    ] = 10.0
    added_p50_seconds: Annotated[
        float, Field(gt=0, description="What the sidecar may add to the median of an answer, SC-8.")
    ] = 0.1
    added_p99_seconds: Annotated[
        float, Field(gt=0, description="What the sidecar may add to the 99th percentile of an answer, SC-8.")
    ] = 1.0
    memory_bytes: Annotated[
        int, Field(gt=0, description="Resident memory of the sidecar under load, its children included: SC-8.")
    ] = 256 * MEBIBYTE
    backlog_memory_bytes: Annotated[
        int, Field(gt=0, description="Resident memory of the sidecar while its store is slow, SC-10.")
    ] = 256 * MEBIBYTE
    backlog: Annotated[
        int | None, Field(gt=0, description="Most commands acknowledged and not stored yet; more are refused, SC-10.")
    ] = None
    pressure_ratio: Annotated[
        float, Field(gt=1, description="Median answer with the sidecar under pressure over without, SC-9.")
    ] = 3.0
    pressure_floor_seconds: Annotated[
        float, Field(ge=0, description="Medians up to this are fine whatever their ratio, SC-9.")
    ] = 0.5
