"""Everything Holdfast raises on purpose.

HoldfastError                 what happened, the likely cause, the remedy
├── DescriptorError           the stack descriptor is wrong                       exit 2
├── DefinitionError           a state machine's definition cannot be used         exit 2
├── TargetError               the target cannot be reached, started or trusted    exit 2
│   ├── DeploymentError       a template could not be packaged, deployed, removed exit 2
│   └── InterceptorEnded      nothing listens where the interceptor was           exit 2
├── ResourceError             a component is missing or may not be read           exit 2
├── PortError                 a port cannot be used, or answers what it must not  exit 2
├── GuardRailError            something outside the descriptor would be changed   exit 2
├── HistoryError              a history cannot be written, read or judged         exit 2
├── InjectionError            a fault could not be put in place (it is undone)    exit 2
├── NothingChosenError        words that choose fault points choose none          exit 2
├── BaselineError             the file of accepted violations is wrong            exit 2
├── StoppedError              a stop condition ended the run; all is healed       exit 5
│   └── BudgetError           its budget of time or money is used up              exit 7
└── HealError                 a fault could not be taken away: act by hand        exit 4

Inconclusive                  a clause cannot be decided, with the reason; a verdict, not a mistake
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line."""

    HELD = 0
    VIOLATED = 1
    USAGE = 2
    INCONCLUSIVE = 3
    NOT_HEALED = 4
    STOPPED = 5
    MISSED = 6
    """No clause is violated, but a bound of ``[load]`` was not kept."""
    BUDGET = 7


class HoldfastError(Exception):
    """A mistake or outage that a person can act on.

    Args:
        what: what happened, one sentence.
        cause: the likely cause; empty when it is already in ``what``.
        remedy: what to do about it.
    """

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(self, what: str, *, cause: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        lines = [self.what]
        if self.cause:
            lines.append(f"  cause:  {self.cause}")
        if self.remedy:
            lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)


class DescriptorError(HoldfastError):
    """The stack descriptor cannot be used; names the file and the key."""


class DefinitionError(HoldfastError):
    """A state machine's definition cannot be read or is not Amazon States Language; names the file and the line."""


class TargetError(HoldfastError):
    """The target cannot be reached, started, or is not the one that was pinned."""


class DeploymentError(TargetError):
    """A template could not be packaged, deployed or removed."""


class InterceptorEnded(TargetError):  # noqa: N818 - it names what happened
    """Nothing listens any more where the interceptor was; its rules ended with it."""


class ResourceError(HoldfastError):
    """A component of the stack is missing or may not be read."""


class PortError(HoldfastError):
    """A port cannot be used or answers something it must not."""


class GuardRailError(HoldfastError):
    """Something outside the resources of the descriptor would be changed."""


class HistoryError(HoldfastError):
    """A recorded history cannot be written, read, or judged by the model that was asked for."""


class InjectionError(HoldfastError):
    """A fault could not be put in place."""


class StoppedError(HoldfastError):
    """A stop condition of the descriptor ended the run; every fault is healed."""

    exit_code = ExitCode.STOPPED


class BudgetError(StoppedError):
    """The run's budget of time or money is used up; every fault is healed."""

    exit_code = ExitCode.BUDGET


class NothingChosenError(HoldfastError):
    """The words that choose fault points and kinds are those of none."""


class BaselineError(HoldfastError):
    """The file of accepted violations cannot be used; names the file and the entry."""


class HealError(HoldfastError):
    """A fault could not be taken away; the remedy says what to do by hand."""

    exit_code = ExitCode.NOT_HEALED


class Inconclusive(Exception):  # noqa: N818 - a verdict, not an error
    """A clause cannot be decided here; the message is the reason."""
