"""What a run has started beside the target: processes in their lifecycle order, and the relay of its channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from signal import Signals
from typing import Protocol

from holdfast.relay.model import ChannelRule


@dataclass(frozen=True, slots=True)
class StartedProcess:
    """One process that the run started, told from a later one with the same id by its start.

    Attributes:
        pid: its id; also of its process group and session.
        mark: its start mark.
    """

    pid: int
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedProcess:
    """How a process ended.

    Attributes:
        exit_code: negative for a signal, e.g. -9 for SIGKILL; None when it never ran.
        seconds: from the signal to the end.
        in_time: whether it ended by itself, before it was killed for taking too long.
    """

    exit_code: int | None
    seconds: float
    in_time: bool


class Relay(Protocol):
    """The relay that the run's channels lead through."""

    def add(self, rule: ChannelRule) -> None:
        """Put a rule in force."""

    def remove(self, rule_id: str) -> None:
        """Take a rule out; unknown ids are ignored."""

    def rules(self) -> tuple[ChannelRule, ...]:
        """The rules in force."""

    def hits(self, rule_id: str) -> int:
        """How often a rule has hit so far, also after it was removed."""


class Running(Protocol):
    """The processes of a run, by their names in the descriptor; all may be asked from any thread."""

    @property
    def run(self) -> str:
        """The mark in the environment of everything that this run has started."""

    @property
    def addresses(self) -> Mapping[str, str | int]:
        """What templates say of processes and channels: ``sidecar.port``, ``channel.address``, ``app.url``..."""

    @property
    def relay(self) -> Relay | None:
        """The relay, where there are channels."""

    @property
    def order(self) -> tuple[str, ...]:
        """The components in the order in which they are started."""

    def process(self, component: str) -> StartedProcess | None:
        """The process of a component; None while it does not run."""

    def start(self, component: str, *, wait: bool = True) -> StartedProcess:
        """Start a component again with the same command, environment, address and folder; harmless while it runs.

        Args:
            component: which.
            wait: whether to wait until it is ready.

        Raises:
            TargetError: it ended, or is not ready in time; the cause is the end of its log.
        """

    def end(self, component: str, *, stop_seconds: float | None = None) -> EndedProcess:
        """End a component in order: SIGTERM, and SIGKILL when it takes longer than its ``stop_seconds``."""

    def signal(self, component: str, process: StartedProcess, number: Signals, *, group: bool = True) -> bool:
        """Send a signal to a component's process, and to those that it started; whether it was still there.

        Args:
            component: which.
            process: the process that is meant, and no later one.
            number: the signal.
            group: whether the processes that it started get it too.
        """

    def exit_code(self, component: str) -> int | None:
        """How the last process of a component ended, negative for a signal; None while it runs."""

    def is_ready(self, component: str) -> bool:
        """Whether a component is ready now."""

    def log(self, component: str) -> str:
        """The end of what a component wrote to its standard output and error."""
