"""Taking faults away: at the end of their window, and from the journal when their run was killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from botocore.exceptions import ClientError

from holdfast.drivers.marks import same_process
from holdfast.errors import HealError, HoldfastError
from holdfast.levers import journal as journals
from holdfast.levers.base import Snapshot, Undo
from holdfast.levers.calls import answers, because
from holdfast.levers.journal import Entry, Reopened
from holdfast.levers.registry import OUTLIVE_TARGET, UNDO, restoring
from holdfast.levers.settling import landing_seconds
from holdfast.progress import Say, unheard
from holdfast.stack.aws_errors import is_missing
from holdfast.targets.attached import AttachedTarget
from holdfast.targets.base import Target
from holdfast.waiting import eventually


@dataclass(frozen=True, slots=True)
class Restored:
    """How taking one fault away ended.

    Attributes:
        proof: the evidence that it is gone; empty when it is not.
        reason: why it is not; empty when it is.
    """

    proof: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealResult:
    """How healing one journal entry ended.

    Attributes:
        entry: the entry.
        outcome: ``healed``; ``failed``; ``running`` when its run is still at work and was left alone.
        proof: the evidence that it is healed.
        reason: why it is not.
        remedy: the command to run by hand.
    """

    entry: Entry
    outcome: Literal["healed", "failed", "running"]
    proof: str = ""
    reason: str = ""
    remedy: str = ""


def restore(
    placed: Sequence[tuple[Undo, Snapshot]], *, pause: Callable[[float], None] = time.sleep
) -> tuple[Restored, ...]:
    """Heal every fault, the last one first, even when one of them fails; then wait for the proof of each.

    Args:
        placed: levers with what they found, in the order they were injected.
        pause: sleeps for so many seconds.
    """
    failed: dict[int, Restored] = {}
    for index, (lever, snapshot) in reversed(list(enumerate(placed))):
        try:
            lever.heal(snapshot)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong with one, the others must be healed
            failed[index] = _told(lever, error)
    return tuple(
        failed[index] if index in failed else _proven(lever, snapshot, pause)
        for index, (lever, snapshot) in enumerate(placed)
    )


def _proven(lever: Undo, snapshot: Snapshot, pause: Callable[[float], None]) -> Restored:
    def look() -> Restored:
        try:
            proof = lever.healed_proof(snapshot)
        except Exception as error:  # noqa: BLE001 - a read that fails may pass; the last one is told
            return _told(lever, error)
        return Restored(proof, "" if proof else "it was taken away, but does not read back as it was found")

    return eventually(
        look, lambda restored: bool(restored.proof), deadline_seconds=lever.propagation_seconds, pause=pause
    ).value


def _told(lever: Undo, error: Exception) -> Restored:
    if isinstance(error, ClientError) and is_missing(error):
        return Restored(proof=f"{lever.resource} no longer exists, and the fault with it")
    target = lever.target
    gone_with_target = target.kind == "embedded" and lever.name not in OUTLIVE_TARGET
    if gone_with_target and target.endpoint_url and not answers(target.endpoint_url):
        return Restored(proof="the embedded target has ended, and the fault with it")
    return Restored(reason=error.what if isinstance(error, HoldfastError) else because(error))


def attach(entry: Entry) -> Target:
    """The target of a journal entry.

    Raises:
        TargetError: it does not answer, or is another account than the journal says.
    """
    target = _unchecked(entry)
    target.check()
    return target


def _unchecked(entry: Entry) -> AttachedTarget:
    pin = entry.pin
    return AttachedTarget(
        kind=pin.kind, endpoint_url=pin.endpoint_url, account=pin.account, region=pin.region, profile=pin.profile
    )


def heal_all(
    directory: Path,
    target_for_entry: Callable[[Entry], Target] = attach,
    *,
    levers: Mapping[str, type[Undo]] = UNDO,
    only: Callable[[Entry], bool] = lambda entry: True,  # noqa: ARG005 - every entry
    pause: Callable[[float], None] = time.sleep,
    say: Say = unheard,
) -> tuple[HealResult, ...]:
    """Undo whatever killed runs left, from their journals alone; runs that are still at work are left alone.

    A run that was killed while it injected may have asked for a change that takes effect only after it was looked for
    in vain, so such entries are healed once more a little later.

    Args:
        directory: where the journals are.
        target_for_entry: opens the target of an entry; asked once for each place.
        levers: levers by name.
        only: which entries; all by default.
        pause: sleeps for so many seconds.
        say: told what is healed and waited for.

    Raises:
        Nothing for a fault that cannot be healed: its result says so.
    """
    results: list[HealResult] = []
    targets: dict[journals.Pin, Target | HoldfastError] = {}
    for path in sorted(directory.glob(f"*{journals.OPEN_SUFFIX}"), reverse=True):
        held = Reopened.take(path)
        entries = tuple(entry for entry in journals.read(path).entries if only(entry))
        if held is None:
            results += [HealResult(entry=entry, outcome="running") for entry in entries]
            continue
        try:
            found = [_heal(entry, target_for_entry, targets, levers, say) for entry in reversed(entries)]
            late = [result.entry for result in found if _may_be_on_its_way(result)]
            if late:
                landed_seconds = max(landing_seconds(entry.pin.kind) for entry in late)
                say("changes that were on their way when their run was killed", landed_seconds)
                pause(landed_seconds)
                again = {entry.id: _heal(entry, target_for_entry, targets, levers, say) for entry in late}
                found = [again.get(result.entry.id, result) for result in found]
            for result in found:
                held.mark(result.entry.id, "healed" if result.outcome == "healed" else "heal-failed", result.reason)
            results += found
        finally:
            held.close()
    for target in targets.values():
        if not isinstance(target, HoldfastError):
            target.close()
    return tuple(results)


def _may_be_on_its_way(result: HealResult) -> bool:
    """Whether the change of a healed entry may come yet: it is a request, and nobody knows that it was answered."""
    entry = result.entry
    requested = entry.pin.kind != "embedded" and entry.snapshot.lever not in OUTLIVE_TARGET
    return result.outcome == "healed" and entry.state == "planned" and requested


def _heal(
    entry: Entry,
    target_for_entry: Callable[[Entry], Target],
    targets: dict[journals.Pin, Target | HoldfastError],
    levers: Mapping[str, type[Undo]],
    say: Say,
) -> HealResult:
    outlives = entry.snapshot.lever in OUTLIVE_TARGET
    if entry.pin.kind == "embedded" and not outlives and not same_process(entry.pid, entry.started):
        return HealResult(
            entry=entry, outcome="healed", proof="the embedded target ended with its run, and the fault with it"
        )
    what = f"{entry.snapshot.lever} on {entry.snapshot.component} of {entry.pin.stack}"
    if entry.pin not in targets and not outlives:
        say(f"opening the {entry.pin.kind} target of {what}")
        try:
            targets[entry.pin] = target_for_entry(entry)
        except HoldfastError as error:
            targets[entry.pin] = error
    target = _unchecked(entry) if outlives else targets[entry.pin]
    try:
        if isinstance(target, HoldfastError):
            by_hand = restoring(_unchecked(entry), entry.snapshot, levers).by_hand(entry.snapshot)
            return HealResult(entry=entry, outcome="failed", reason=str(target), remedy=by_hand)
        lever = restoring(target, entry.snapshot, levers)
        say(f"{what} to read back as it was found", lever.propagation_seconds)
        (restored,) = restore([(lever, entry.snapshot)])
    except HealError as error:
        return HealResult(entry=entry, outcome="failed", reason=error.what, remedy=error.remedy)
    if restored.proof:
        return HealResult(entry=entry, outcome="healed", proof=restored.proof)
    return HealResult(entry=entry, outcome="failed", reason=restored.reason, remedy=lever.by_hand(entry.snapshot))


def not_healed(failures: Iterable[tuple[str, str, str]]) -> HealError:
    """The error for faults that are still in place.

    Args:
        failures: for each, the lever and its component, why, and the command to run by hand.
    """
    listed = list(failures)
    what = "; ".join(f"{name} is still in place: {reason}" for name, reason, _ in listed)
    return HealError(
        what,
        cause="see above; the journal keeps the state that was found",
        remedy="run `holdfast heal`, or by hand:\n" + "\n".join(f"    {command}" for _, _, command in listed),
    )
