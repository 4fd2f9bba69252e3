"""Random small histories: the checkers against slow, obvious oracles that enumerate what may really have happened.

A *world* says which submissions were applied: every acknowledged one, no refused one, and any choice of the unknown.
A finding is right exactly when no world explains what was read.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain, combinations, permutations

from histories import EFFECT, history, operation, seen
from holdfast.checkers import idempotency, persistence
from holdfast.checkers.idempotency import Conflict
from holdfast.history.model import History, Observation, Operation, Outcome
from holdfast.verdict.model import Finding

HISTORIES = 10_000
KEYS = ("k-1", "k-2")
VALUES = ("a", "b", "c")
BOUND_SECONDS = 3.0

World = tuple[Operation, ...]


def random_history(chance: random.Random, values: tuple[str, ...], longest: int) -> History:
    """Up to so many submissions and three reads of each of two keys, on a coarse clock, so that times often meet."""
    events: list[Operation | Observation] = []
    for key in KEYS:
        for _ in range(chance.randint(1, longest)):
            outcome = chance.choice(tuple(Outcome))
            sent = chance.randint(0, 6)
            answered = sent + chance.randint(0, 3)
            silent = outcome is Outcome.UNKNOWN and chance.random() < 0.7
            events.append(
                operation(key, outcome, sent, None if silent else answered, value=chance.choice(values), status="200")
            )
        for _ in range(chance.randint(0, 3)):
            count, started = chance.choice((0, 1, 1, 2)), chance.randint(0, 12)
            shown = tuple(chance.choice((*values, "z") if chance.random() < 0.2 else values) for _ in range(count))
            events.append(
                seen(
                    key,
                    count,
                    started,
                    started + chance.randint(0, 2),
                    values=shown if chance.random() < 0.9 else (),
                    complete=chance.random() < 0.85,
                )
            )
    chance.shuffle(events)
    return history(*events)


def of_key(lived: History, key: str) -> tuple[list[Operation], list[Observation]]:
    """The submissions and the reads of one key, reads in the order they began."""
    reads = [read for read in lived.observations if read.key == key]
    return (
        [one for one in lived.operations if one.key == key],
        sorted(reads, key=lambda read: (read.started_seconds, read.completed_seconds)),
    )


def worlds(operations: list[Operation]) -> Iterator[World]:
    """Every choice of which submissions were applied."""
    certain = [one for one in operations if one.outcome is Outcome.OK]
    unsure = [one for one in operations if one.outcome is Outcome.UNKNOWN]
    for applied in chain.from_iterable(combinations(unsure, size) for size in range(len(unsure) + 1)):
        yield (*certain, *applied)


def last_complete(reads: list[Observation]) -> Observation | None:
    """The state at quiescence."""
    complete = [read for read in reads if read.complete]
    return complete[-1] if complete else None


def answered(one: Operation) -> float:
    """When the answer was in, or never."""
    return float("inf") if one.completed_seconds is None else one.completed_seconds


def explains_absence(world: World, reads: list[Observation]) -> bool:
    """Whether what was applied may not have been there yet, or may have come after a failed last read."""
    if not reads or not reads[-1].complete or reads[-1].count:
        return True
    return all(one.outcome is not Outcome.OK or answered(one) >= reads[-1].started_seconds for one in world)


def explains_presence(world: World, reads: list[Observation]) -> bool:
    """Whether something was applied, if an effect was read."""
    read = last_complete(reads)
    return read is None or read.count == 0 or bool(world)


def explains_values(world: World, reads: list[Observation]) -> bool:
    """Whether every value read was that of something applied."""
    read = last_complete(reads)
    return read is None or {one.value for one in world} >= set(read.values)


def moments_of_effect(operations: list[Operation], reads: list[Observation]) -> list[float]:
    """Every half second at which the effect may have appeared, given the reads up to the first that saw it."""
    reads = [read for read in reads if read.complete]
    sights = [index for index, read in enumerate(reads) if read.count]
    told = reads[: sights[0] + 1] if sights else reads
    return [
        moment
        for moment in (half / 2 for half in range(60))
        if all(moment <= read.completed_seconds if read.count else moment >= read.started_seconds for read in told)
    ]


def keys_of(findings: tuple[Finding, ...]) -> set[str]:
    """The keys found, after a look at the form of each finding."""
    sizes = [len(one.witness) for one in findings]
    assert sizes == sorted(sizes)
    for one in findings:
        assert one.sentence.startswith(f"Key {one.key} ")
        assert one.sentence.endswith(".")
        assert ". " not in one.sentence
        assert any(letter.isdigit() for letter in one.sentence)
        assert one.witness
        assert all(event.key == one.key for event in one.witness)
    assert len({one.key for one in findings}) == len(findings)
    return {one.key for one in findings}


def test_persistence_finds_what_no_world_explains() -> None:
    """Lost, phantom, altered, late and undecided keys are those of the enumeration, on 10,000 random histories."""
    chance = random.Random(20_260_101)
    found = dict.fromkeys(("lost", "phantom", "altered", "late", "undecided", "untimed", "recovered"), 0)
    for _ in range(HISTORIES):
        lived = random_history(chance, VALUES, 3)
        told = {
            "lost": keys_of(persistence.acknowledged_and_lost(lived, effect=EFFECT)),
            "phantom": keys_of(persistence.phantoms(lived, effect=EFFECT)),
            "altered": keys_of(persistence.altered(lived, effect=EFFECT)),
            "late": keys_of(persistence.late(lived, effect=EFFECT, bound_seconds=BOUND_SECONDS)),
            "undecided": set(persistence.undecided(lived, effect=EFFECT)),
            "untimed": set(persistence.undecided(lived, effect=EFFECT, bound_seconds=BOUND_SECONDS)),
            "recovered": set(persistence.recovered(lived, EFFECT)),
        }
        true: dict[str, set[str]] = {name: set() for name in told}
        for key in KEYS:
            operations, reads = of_key(lived, key)
            possible = list(worlds(operations))
            if not any(explains_absence(world, reads) for world in possible):
                true["lost"].add(key)
            if not any(explains_presence(world, reads) for world in possible):
                true["phantom"].add(key)
            if not any(explains_values(world, reads) for world in possible):
                true["altered"].add(key)
            if unsettled(operations, reads):
                true["undecided"].add(key)
            acknowledgements = [answered(one) for one in operations if one.outcome is Outcome.OK]
            in_time = (
                [moment <= min(acknowledgements) + BOUND_SECONDS for moment in moments_of_effect(operations, reads)]
                if acknowledgements
                else []
            )
            if acknowledgements and not any(in_time):
                true["late"].add(key)
            if unsettled(operations, reads) or (any(in_time) and not all(in_time)):
                true["untimed"].add(key)
            read = last_complete(reads)
            if possible[0] == () and len(possible) > 1 and read is not None and read.count:
                true["recovered"].add(key)
        assert told == true, lived
        for name, keys in true.items():
            found[name] += len(keys)
    assert min(found.values()) > 200, found


def unsettled(operations: list[Operation], reads: list[Observation]) -> bool:
    """Whether the last read is missing, unfinished, or empty and begun before the answer that it should follow."""
    if not reads or not reads[-1].complete:
        return True
    acknowledged = [one for one in operations if one.outcome is Outcome.OK]
    awaited = (
        min(map(answered, acknowledged))
        if acknowledged
        else max(one.invoked_seconds if one.completed_seconds is None else one.completed_seconds for one in operations)
    )
    return reads[-1].count == 0 and reads[-1].started_seconds <= awaited


def in_real_time(order: World) -> bool:
    """Whether nobody stands behind one that was sent after his acknowledgement."""
    return not any(
        later.outcome is Outcome.OK and answered(later) < earlier.invoked_seconds
        for earlier, later in combinations(order, 2)
    )


def refusals_kept(operations: list[Operation], winner: str | None) -> bool:
    """Whether no other payload than the winner's was acknowledged when sent after another one's acknowledgement."""
    acknowledged = [one for one in operations if one.outcome is Outcome.OK]
    return not any(
        late.value not in {winner, early.value} and answered(early) < late.invoked_seconds
        for early, late in permutations(acknowledged, 2)
    )


def explains_standing(operations: list[Operation], reads: list[Observation], conflict: Conflict) -> bool:
    """Whether some order of some world leaves standing what was read."""
    if len({one.value for one in operations}) < 2:
        return True
    read = last_complete(reads)
    standing = set() if read is None else set(read.values)
    if len(standing) > 1:
        return False
    not_refused = [one for one in operations if one.outcome is not Outcome.FAIL]
    only_refused = {one.value for one in operations} - {one.value for one in not_refused}
    if standing <= only_refused and (standing or not not_refused):
        return (
            any(
                one.value in standing and all(other.invoked_seconds > answered(one) for other in not_refused)
                for one in operations
            )
            or not not_refused
        )
    for world in worlds(operations):
        if conflict == "either":
            if standing <= {one.value for one in world}:
                return True
            continue
        for order in permutations(world):
            if not order or not in_real_time(order):
                continue
            winner = order[0].value
            if standing <= {winner} and (conflict == "first-wins" or refusals_kept(operations, winner)):
                return True
    return False


def test_idempotency_finds_what_no_world_explains() -> None:
    """Duplicates, losses and mixtures under each rule are those of the enumeration, on 10,000 random histories."""
    chance = random.Random(20_260_202)
    rules: tuple[Conflict, ...] = ("either", "first-wins", "refused")
    found = dict.fromkeys(("duplicated", "not once", *rules), 0)
    for _ in range(HISTORIES):
        lived = random_history(chance, VALUES[:2], 4)
        told = {
            "duplicated": keys_of(idempotency.duplicated(lived, effect=EFFECT)),
            "not once": keys_of(idempotency.exactly_once(lived, effect=EFFECT)),
            **{rule: keys_of(idempotency.mixture(lived, effect=EFFECT, conflict=rule)) for rule in rules},
        }
        true: dict[str, set[str]] = {name: set() for name in told}
        for key in KEYS:
            operations, reads = of_key(lived, key)
            read = last_complete(reads)
            twice = read is not None and read.count not in {0, 1}
            if twice:
                true["duplicated"].add(key)
            if twice or not any(explains_absence(world, reads) for world in worlds(operations)):
                true["not once"].add(key)
            for rule in rules:
                if not explains_standing(operations, reads, rule):
                    true[rule].add(key)
        assert told == true, lived
        for name, keys in true.items():
            found[name] += len(keys)
    assert min(found.values()) > 200, found
    assert found["either"] < found["first-wins"] < found["refused"], found
