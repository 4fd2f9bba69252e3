"""Fidelity patches: one module for each behaviour of AWS that MiniStack 1.5.33 lacks or gets wrong.

Each cites the AWS documentation, checks that the code it replaces is the one it knows, and has a probe in
``holdfast.targets.probes``.
"""

from __future__ import annotations

from importlib import import_module

ALL = (
    "pacing",
    "execution",
    "worker_environment",
    "worker_scripts",
    "function_errors",
    "queue_store",
    "queue_redrive",
    "mappings",
    "queue_mapping",
    "stream_mapping",
    "asynchronous",
    "rule_targets",
    "replay_filters",
    "topic_subscriptions",
    "execution_history",
    "executions",
    "task_timeouts",
    "task_retries",
    "missing_paths",
    "task_calls",
    "queue_limits",
    "mapping_templates",
    "service_integration",
    "http_api_integration",
    "gateway_errors",
    "openapi_import",
    "template_properties",
)


def apply_all() -> None:
    """Put every patch in place; before the first request.

    Raises:
        TargetError: the emulator's code is not the one that a patch knows.
    """
    for name in ALL:
        import_module(f"{__name__}.{name}").apply()
