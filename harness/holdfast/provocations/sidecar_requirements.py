"""What the provocations of an application and its sidecar need."""

from __future__ import annotations

from holdfast.provocations.model import Strike
from holdfast.provocations.requirements import Situation
from holdfast.stack.patterns import SidecarPattern

NO_SIDECAR = "the pattern is no sidecar"
"""What provocations of the sidecar pattern say to a stack that claims another one."""


def sidecar_of(situation: Situation) -> SidecarPattern:
    """The sidecar pattern under test, for provocations that require one."""
    assert isinstance(situation.pattern, SidecarPattern)
    return situation.pattern


def sidecar_claimed(situation: Situation) -> str:
    """The pattern under test must be a sidecar."""
    if isinstance(situation.pattern, SidecarPattern):
        return ""
    return NO_SIDECAR


def both_started(situation: Situation) -> str:
    """The run must start the application and its sidecar itself."""
    missing = sidecar_claimed(situation)
    if missing:
        return missing
    pattern, components = sidecar_of(situation), situation.stack.descriptor.components
    others = [name for name in (pattern.application, pattern.sidecar) if components[name].start is None]
    return (
        f"{' and '.join(others)}: not started by the run (start = ...), so nobody can start it again" if others else ""
    )


def channel_named(situation: Situation) -> str:
    """The channel between the two must lead through the relay."""
    missing = sidecar_claimed(situation)
    if missing or sidecar_of(situation).channel is not None:
        return missing
    return "the descriptor names no channel between the application and its sidecar (channel)"


def read_named(situation: Situation) -> str:
    """The descriptor must say how the application is asked for what it knows."""
    if situation.pattern.read is not None:
        return ""
    return "the descriptor names no effect port that asks the application (read)"


def behind_named(situation: Situation) -> str:
    """The descriptor must say how the store is written behind the sidecar."""
    missing = sidecar_claimed(situation)
    if missing or sidecar_of(situation).behind is not None:
        return missing
    return (
        "the descriptor names no command that writes behind the sidecar (behind); waive SC-11 where nothing is cached"
    )


def backlog_declared(situation: Situation) -> str:
    """The descriptor must say how many commands may wait for the store."""
    missing = sidecar_claimed(situation)
    if missing or sidecar_of(situation).bounds.backlog is not None:
        return missing
    return "the descriptor does not say how many commands may wait for the store (patterns.sidecar.bounds.backlog)"


def readiness_named(situation: Situation) -> str:
    """The descriptor must say where the application tells that it is ready."""
    missing = sidecar_claimed(situation)
    if missing or sidecar_of(situation).readiness is not None:
        return missing
    return "the descriptor names no URL at which the application says that it is ready (readiness)"


def the_sidecar(situation: Situation) -> list[str]:
    """The sidecar, as those whom a fault is aimed at."""
    return [sidecar_of(situation).sidecar]


def on_sidecar(lever: str, about: str) -> Strike:
    """A fault on the sidecar."""
    return Strike(lever=lever, on=lambda situation: sidecar_of(situation).sidecar, about=about)


def on_application(lever: str, about: str) -> Strike:
    """A fault on the application."""
    return Strike(lever=lever, on=lambda situation: sidecar_of(situation).application, about=about)


def on_channel(about: str) -> Strike:
    """A fault on the channel between them."""
    return Strike(lever="channel-fault", on=lambda situation: sidecar_of(situation).channel or "", about=about)
