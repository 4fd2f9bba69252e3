"""Load: arrivals on a schedule, a cheap client, and every operation recorded for the checkers.

``from holdfast_load import ContractUser`` serves locustfiles. It imports Locust when it is asked for, and so does
`locustfile`; nothing else does. Only what runs inside Locust's processes imports gevent: pytest never does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast_load.users import ContractUser

__all__ = ["ContractUser"]


def __getattr__(name: str) -> Any:
    """The user class, imported late: Locust patches the whole process."""
    if name == "ContractUser":
        from holdfast_load.users import ContractUser

        return ContractUser
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
