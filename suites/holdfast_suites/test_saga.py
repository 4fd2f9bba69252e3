"""Saga: steps that are all done or all undone, orchestrated by Step Functions or choreographed by events."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial

from holdfast.campaign import Campaign
from holdfast.checkers import conservation, retries, saga_ends, saga_traces
from holdfast.checkers import saga as sagas
from holdfast.checkers.saga import Fate
from holdfast.checkers.saga_ends import Claim
from holdfast.clause import Holds, clause, conclude
from holdfast.history import History
from holdfast.history.executions import EXECUTION, Execution, ExecutionStatus
from holdfast.ports.quantity import quantity_port
from holdfast.provocations.model import Evidence, Provocation
from holdfast.provocations.saga_definitions import analysis_of, definition_usable, derived
from holdfast.provocations.saga_failures import (
    AFTER_PIVOT,
    AFTER_PIVOT_DEAD,
    CALLBACK_LOST,
    COMPENSATION_ANSWER_LOST,
    COMPENSATION_DEAD,
    COMPENSATION_FAILS,
    STEP_AMBIGUOUS,
    STEP_ANSWER_LOST,
    STEP_FAILS,
    STEP_RETRIED,
)
from holdfast.provocations.saga_generated import GENERATED_SAGAS, SMALLEST_ROLE
from holdfast.provocations.saga_places import saga_of
from holdfast.provocations.saga_requirements import (
    answer_tells,
    executions_kept,
    machine_named,
    outcome_reported,
    quantities_declared,
    retries_declared,
    retries_read,
    several_steps,
    states_all_named,
    totals_declared,
    two_compensations,
    undoing_counted,
)
from holdfast.provocations.saga_starts import (
    CONTENDING_ROLE,
    CONTENTION,
    DUPLICATE_START,
    FIRST_ROLE,
    REPEATED,
    SAGA_LOAD,
    TWINS,
)
from holdfast.provocations.saga_stops import STOPPED
from holdfast.stack.patterns import SagaPattern
from holdfast.verdict import Family, Finding, Verdict
from holdfast.verdict.describe import began_seconds
from holdfast_suites import under_load
from holdfast_suites.judging import acknowledged, conclude_on

ENDING = (
    SAGA_LOAD,
    STEP_FAILS,
    COMPENSATION_FAILS,
    STEP_ANSWER_LOST,
    COMPENSATION_ANSWER_LOST,
    STEP_AMBIGUOUS,
    STEP_RETRIED,
)
"""What leaves every saga committed or compensated."""

EVERYTHING = (
    *ENDING,
    AFTER_PIVOT,
    DUPLICATE_START,
    CONTENTION,
    STOPPED,
    CALLBACK_LOST,
    COMPENSATION_DEAD,
    AFTER_PIVOT_DEAD,
)
"""All that starts sagas and strikes them; what of it has been run for other clauses is judged as well."""


_NO_ORDER = (
    "of no saga is the order of two compensations known: give their steps `undone` with an effect port that shows the"
    " `order`, or name the states of their compensations"
)


def _saga(campaign: Campaign) -> SagaPattern:
    return saga_of(campaign.situation)


def _there(campaign: Campaign, provocations: Iterable[Provocation]) -> list[Evidence]:
    """The evidence of those provocations that could be run here; after that of one that the clause needs."""
    return [campaign.evidence(one) for one in provocations if campaign.has(one)]


def _together(evidences: Iterable[Evidence]) -> History:
    """The histories of several provocations, without the keys about which nothing may be said."""
    return sum((evidence.decided for evidence in evidences), History())


_conclude_on = partial(conclude_on, acknowledging=False)
"""A saga that is undone need not be acknowledged."""


def _undecided(history: History, saga: SagaPattern) -> tuple[str, ...]:
    return sagas.undecided(history, saga)


def _tally(history: History, saga: SagaPattern) -> str:
    """How many sagas were committed and how many compensated, in words."""
    found = sagas.fates(history, saga)
    committed, undone = len(found.get(Fate.COMMITTED, ())), len(found.get(Fate.COMPENSATED, ()))
    return f"{committed} committed and {undone} compensated"


def _seen(history: History, saga: SagaPattern, *fates: Fate) -> tuple[str, ...]:
    """A reason for each fate that no saga of the evidence has met."""
    found = sagas.fates(history, saga)
    return tuple(f"no saga was {fate}" for fate in fates if not found.get(fate))


@clause(
    "SG-1",
    Family.COMPENSATION,
    needs=[SAGA_LOAD],
    also=[GENERATED_SAGAS],
    requires=[several_steps],
    under_load=under_load.all_or_nothing,
)
def test_sg_1(campaign: Campaign) -> Holds:
    """Every execution ends all-committed or all-compensated."""
    saga, load = _saga(campaign), campaign.evidence(SAGA_LOAD)
    struck = [one for one in _there(campaign, (*ENDING, GENERATED_SAGAS)) if one is not load]
    history = load.history + _together(struck)
    return _conclude_on(
        _smallest_first(campaign, sagas.all_or_nothing(history, saga)),
        load,
        bite=False,
        evidence=_generated_notes(campaign),
        undecided=[
            *_undecided(history, saga),
            *_seen(load.history, saga, Fate.COMMITTED, Fate.COMPENSATED),
        ],
        holds=f"of {acknowledged(history)} sagas, under load and with failures, {_tally(history, saga)}",
    )


@clause("SG-2", Family.COMPENSATION, needs=[STEP_FAILS], requires=[several_steps])
def test_sg_2(campaign: Campaign) -> Holds:
    """A failure at any step compensates every step before it."""
    saga, evidence = _saga(campaign), campaign.evidence(STEP_FAILS)
    return _conclude_on(
        sagas.compensated(evidence.decided, saga, evidence.struck),
        evidence,
        undecided=_undecided(evidence.history, saga),
        holds=f"after {_steps(evidence)} had failed for good nothing was left, and no later step was done",
    )


@clause("SG-3", Family.COMPENSATION, needs=[STEP_FAILS], also=[STEP_AMBIGUOUS], requires=[two_compensations])
def test_sg_3(campaign: Campaign) -> Holds:
    """Compensations run in reverse order of the steps."""
    saga = _saga(campaign)
    evidences = [campaign.evidence(STEP_FAILS), *_there(campaign, [STEP_AMBIGUOUS])]
    history = _together(evidences)
    executions = [one for evidence in evidences for one in evidence.executions]
    ordered = saga_traces.with_known_order(executions, history, saga)
    return _conclude_on(
        [
            *saga_traces.in_order(history, saga),
            *saga_traces.executed_in_order(executions, history, saga),
        ],
        *evidences,
        undecided=[
            *_undecided(history, saga),
            *(f"no order is known of {key}" for key in saga_traces.unplaced(history, saga) if key not in ordered),
            *(() if ordered else (_NO_ORDER,)),
        ],
        holds=f"the compensations of {len(sagas.fates(history, saga).get(Fate.COMPENSATED, ()))} sagas ran in reverse",
    )


@clause("SG-4", Family.COMPENSATION, needs=[COMPENSATION_FAILS])
def test_sg_4(campaign: Campaign) -> Holds:
    """A compensation that fails transiently is retried until it is done."""
    saga, evidence = _saga(campaign), campaign.evidence(COMPENSATION_FAILS)
    return _conclude_on(
        [*sagas.all_or_nothing(evidence.decided, saga), *sagas.undone_once(evidence.decided, saga)],
        evidence,
        undecided=[*_undecided(evidence.history, saga), *_seen(evidence.history, saga, Fate.COMPENSATED)],
        holds=f"the compensations of {_steps(evidence)} failed at first, and nothing was left",
    )


@clause("SG-5", Family.IDEMPOTENCY, needs=[STEP_ANSWER_LOST])
def test_sg_5(campaign: Campaign) -> Holds:
    """A step retried after its answer was lost takes effect once."""
    saga, evidence = _saga(campaign), campaign.evidence(STEP_ANSWER_LOST)
    fates = sagas.fates(evidence.decided, saga)
    given_up = [evidence.struck[key] for key in fates.get(Fate.COMPENSATED, ())]
    return _conclude_on(
        [*sagas.once(evidence.decided, saga), *sagas.all_or_nothing(evidence.decided, saga)],
        evidence,
        undecided=[
            *_undecided(evidence.history, saga),
            *(() if fates.get(Fate.COMMITTED) else ("no step was retried after its answer was lost",)),
        ],
        evidence=[f"not retried but undone: {', '.join(given_up)}"] if given_up else [],
        holds=f"the answers of {_steps(evidence)} were lost, and each took effect once",
    )


@clause("SG-6", Family.IDEMPOTENCY, needs=[COMPENSATION_ANSWER_LOST], leaves_open=[undoing_counted])
def test_sg_6(campaign: Campaign) -> Holds:
    """A compensation run twice undoes once."""
    saga, evidence = _saga(campaign), campaign.evidence(COMPENSATION_ANSWER_LOST)
    return _conclude_on(
        [
            *sagas.undone_once(evidence.decided, saga),
            *sagas.all_or_nothing(evidence.decided, saga),
            *_conserved(campaign, [evidence]),
        ],
        evidence,
        undecided=[*_undecided(evidence.history, saga), *_seen(evidence.history, saga, Fate.COMPENSATED)],
        holds=f"the answers of the compensations of {_steps(evidence)} were lost, and each undid once",
    )


@clause("SG-7", Family.COMPENSATION, needs=[STEP_AMBIGUOUS])
def test_sg_7(campaign: Campaign) -> Holds:
    """A step that failed ambiguously (timeout or crash after its effect) is itself compensated."""
    saga, evidence = _saga(campaign), campaign.evidence(STEP_AMBIGUOUS)
    return _conclude_on(
        sagas.compensated(evidence.decided, saga, evidence.struck, ambiguous=True),
        evidence,
        undecided=_undecided(evidence.history, saga),
        holds=f"{_steps(evidence)} took effect and then failed for good: {_tally(evidence.decided, saga)}",
    )


@clause("SG-8", Family.IDEMPOTENCY, needs=[DUPLICATE_START])
def test_sg_8(campaign: Campaign) -> Holds:
    """Starting the same saga twice runs it once."""
    saga, evidence = _saga(campaign), campaign.evidence(DUPLICATE_START)
    return _conclude_on(
        [*sagas.once(evidence.decided, saga), *sagas.all_or_nothing(evidence.decided, saga)],
        evidence,
        bite=False,
        undecided=[*_undecided(evidence.history, saga), *_seen(evidence.history, saga, Fate.COMMITTED)],
        holds=f"{acknowledged(evidence.history)} sagas that were started more than once, some at one moment, ran once",
    )


@clause(
    "SG-9",
    Family.COMPENSATION,
    needs=[CONTENTION],
    also=[GENERATED_SAGAS],
    requires=[quantities_declared],
    leaves_open=[totals_declared],
    under_load=under_load.conserved,
)
def test_sg_9(campaign: Campaign) -> Holds:
    """Quantities are conserved and never oversold under concurrent sagas on shared resources."""
    saga, evidence = _saga(campaign), campaign.evidence(CONTENTION)
    contending = evidence.history.role(CONTENDING_ROLE)
    quantities = campaign.stack.descriptor.conserved
    generated = _there(campaign, [GENERATED_SAGAS])
    # what a saga reads may have been done by any other that ran before it
    everyone = sum((one.history for one in _there(campaign, (*EVERYTHING, GENERATED_SAGAS))), History())
    dirty = sagas.dirty_reads(everyone, saga) if saga.reads is not None else ()
    return _conclude_on(
        [
            *_conserved(campaign, [evidence, *generated]),
            *sagas.all_or_nothing(evidence.history, saga),
            *dirty,
        ],
        evidence,
        bite=False,
        undecided=[
            *(gap for name in quantities for gap in conservation.undecided(evidence.history, port=quantity_port(name))),
            *_undecided(evidence.history, saga),
            *_unseen(evidence.history, saga.reads),
            *_seen(contending, saga, Fate.COMMITTED, Fate.COMPENSATED),
        ],
        holds=f"of {len(evidence.submissions)} sagas on one resource {_tally(evidence.history, saga)}; "
        f"{', '.join(quantities)} conserved",
    )


@clause("SG-10", Family.RECOVERY, needs=[COMPENSATION_DEAD], also=[SAGA_LOAD, STOPPED, CALLBACK_LOST, AFTER_PIVOT_DEAD])
def test_sg_10(campaign: Campaign) -> Holds:
    """No saga stays unfinished past its bound; one that cannot be compensated is surfaced with its input."""
    saga = _saga(campaign)
    dead = [campaign.evidence(COMPENSATION_DEAD), *_there(campaign, [AFTER_PIVOT_DEAD])]
    letters = [letter for one in dead for letter in one.dead_letters]
    bound = campaign.bounds.saga_seconds
    everything = _there(campaign, EVERYTHING)
    history = sum((evidence.history for evidence in everything), History())
    stuck, slowed = _late(campaign, history, EXECUTION, [ExecutionStatus.RUNNING])
    if saga.status is not None:
        pending = campaign.stack.descriptor.statuses[saga.status].pending
        told_of = campaign.dead_letter_keys()
        silent = {operation.key for operation in history.operations} - told_of
        unfinished, late = _late(campaign, history, saga.status, pending, silent)
        stuck, slowed = [*stuck, *unfinished], [*slowed, *late]
    half = _together(dead)
    locks = sagas.locks_left(history, saga) if saga.lock is not None else ()
    return _conclude_on(
        [
            *stuck,
            *saga_ends.surfaced(half, saga, letters=letters, keys={key for one in dead for key in one.submissions}),
            *locks,
        ],
        *dead,
        *_there(campaign, [CALLBACK_LOST]),
        undecided=[*_undecided(half, saga), *saga_ends.running_still(history), *slowed, *_unseen(history, saga.lock)],
        holds=f"{acknowledged(history)} sagas ended within {bound:g} s; {len(letters)} that could be neither undone "
        "nor completed are dead letters with their input",
    )


@clause(
    "SG-11",
    Family.RECOVERY,
    needs=[STEP_RETRIED],
    also=ENDING,
    requires=[executions_kept, retries_declared],
    leaves_open=[retries_read],
)
def test_sg_11(campaign: Campaign) -> Holds:
    """Retries follow the declared policy: attempts, backoff, jitter."""
    machine = campaign.configuration.machine(_saga(campaign).state_machine)
    assert machine is not None
    evidence = campaign.evidence(STEP_RETRIED)
    everything = _there(campaign, ENDING)
    executions = [one for each in everything for one in each.executions]
    history = sum((each.history for each in everything), History())
    count = retries.retried(executions)
    found = retries.as_declared(executions, history, retries.policies_of(machine.definition))
    slowed = [one for one in found if one.title == retries.LATE and _slowed(campaign, one, executions)]
    return _conclude_on(
        [one for one in found if one not in slowed],
        evidence,
        undecided=[
            *(f"the machine was too busy to tell: {one.sentence}" for one in slowed),
            *(() if count else ("no attempt was a retry",)),
        ],
        holds=f"{count} retries in {len(executions)} executions came when and as often as the definition declares",
    )


@clause("SG-12", Family.RECOVERY, needs=[STOPPED], requires=[several_steps])
def test_sg_12(campaign: Campaign) -> Holds:
    """An execution killed in flight can be resumed or is compensated."""
    saga, evidence = _saga(campaign), campaign.evidence(STOPPED)
    return _conclude_on(
        sagas.all_or_nothing(evidence.decided, saga),
        evidence,
        undecided=_undecided(evidence.history, saga),
        holds=f"executions stopped at {_steps(evidence)} and redriven: {_tally(evidence.history, saga)}",
    )


@clause("SG-13", Family.COMPENSATION, needs=[AFTER_PIVOT], also=[AFTER_PIVOT_DEAD])
def test_sg_13(campaign: Campaign) -> Holds:
    """After the pivot step the saga only goes forward."""
    saga, passing = _saga(campaign), campaign.evidence(AFTER_PIVOT)
    dead = _there(campaign, [AFTER_PIVOT_DEAD])
    evidences = [passing, *dead]
    history = _together(evidences)
    return _conclude_on(
        [
            *sagas.went_forward(passing.decided, saga, passing.struck),
            *sagas.not_undone(history, saga, {key for one in evidences for key in one.struck}),
        ],
        *evidences,
        undecided=_undecided(history, saga),
        holds=f"{_steps(passing)} failed after the pivot {saga.pivot} and were retried until they were done"
        + ("; where they failed for good, nothing was undone" if dead else ""),
    )


@clause("SG-14", Family.STATIC, requires=[machine_named, definition_usable], leaves_open=[states_all_named])
def test_sg_14(campaign: Campaign) -> Holds:
    """Every failure of every task leads to the compensation of all that was done, in time and in order.

    In the state machine: every task has a timeout; every task before the pivot has a catch-all path that reaches the
    compensation of every step completed by then, its own included; retries never precede a non-idempotent state marked
    so; compensations are retried and caught; Express only where every step is idempotent and the bound is under five
    minutes.
    """
    analysis = analysis_of(campaign.situation)
    told = [(one, f"{one.sentence} ({one.file}; {one.remedy})") for one in analysis.findings]
    violated = [
        Finding(title=str(one.kind), sentence=sentence, key="", witness=())
        for one, sentence in told
        if one.verdict is Verdict.VIOLATED
    ]
    return conclude(
        violated,
        holds=f"each of {len(analysis.exits)} ways in which a task can fail leads to an end that leaves nothing half"
        " done",
        undecided=[
            *(sentence for one, sentence in told if one.verdict is not Verdict.VIOLATED),
            *(() if analysis.steps.steps else ("no step is known",)),
        ],
        evidence=[derived(campaign.situation)] if analysis.steps.derived else [],
    )


@clause(
    "SG-15",
    Family.EVENTUAL,
    needs=[SAGA_LOAD],
    also=[COMPENSATION_DEAD, AFTER_PIVOT_DEAD],
    requires=[outcome_reported],
)
def test_sg_15(campaign: Campaign) -> Holds:
    """The outcome a saga reports (execution result, status, notification) agrees with what happened."""
    saga, load = _saga(campaign), campaign.evidence(SAGA_LOAD)
    history = load.history + _together(one for one in _there(campaign, EVERYTHING) if one is not load)
    port, claims = _reported(campaign)
    surfaced = campaign.dead_letter_keys()
    findings = [*saga_ends.answers_agree(history, saga, tells_outcome=answer_tells(campaign.situation))]
    if port:
        findings += saga_ends.agree(history, saga, port=port, claims=claims, surfaced_keys=surfaced)
    return _conclude_on(
        findings,
        load,
        bite=False,
        undecided=saga_ends.unreported(history, saga, port=port) if port else _undecided(history, saga),
        holds=f"what {acknowledged(history)} sagas report is what has become of them ({_tally(history, saga)})",
    )


@clause("SG-16", Family.COMPENSATION, needs=[REPEATED, TWINS], also=[CONTENTION, GENERATED_SAGAS])
def test_sg_16(campaign: Campaign) -> Holds:
    """A saga that fails or is repeated never undoes what another saga, or its own earlier success, has done."""
    saga, repeated, twins = _saga(campaign), campaign.evidence(REPEATED), campaign.evidence(TWINS)
    elder = {one.key for one in twins.history.role(FIRST_ROLE).operations} & twins.decided_keys
    shared = _there(campaign, [CONTENTION])
    generated = _there(campaign, [GENERATED_SAGAS])
    findings = [
        *sagas.stands(
            repeated.decided, saga, repeated.decided_keys, why="was committed and then repeated with a failing step"
        ),
        *sagas.once(repeated.decided, saga),
        *sagas.stands(twins.decided, saga, elder, why="was committed before another saga with the same input failed"),
        *_conserved(campaign, [*shared, *generated]),
        *(finding for one in shared for finding in sagas.all_or_nothing(one.history, saga)),
    ]
    return _conclude_on(
        findings,
        repeated,
        twins,
        *shared,
        bite=False,
        undecided=[
            *(gap for one in (repeated, twins, *shared) for gap in _undecided(one.history, saga)),
            *(() if any(window.bit for window in twins.windows) else ("no saga with the same input failed",)),
        ],
        holds=f"{len(repeated.decided_keys)} committed sagas were repeated and stand, {len(elder)} stand beside failing"
        " ones with the same input"
        + (f"; of those that share a resource {_tally(shared[0].history, saga)}" if shared else ""),
    )


def _unseen(history: History, port: str | None) -> tuple[str, ...]:
    """The keys of which a declared port was not read to the end."""
    return () if port is None else sagas.unseen(history, port)


def _late(
    campaign: Campaign, history: History, port: str, running: Collection[str], keys: Collection[str] | None = None
) -> tuple[list[Finding], list[str]]:
    """Sagas that were unfinished past their bound; and, in words, those that a busy machine kept from ending in time.

    Those have ended since; what never ends is unfinished however busy the machine was.
    """
    bound = campaign.bounds.saga_seconds
    found = saga_ends.unfinished(history, port=port, running=running, bound_seconds=bound, keys=keys)
    over = saga_ends.over_since(history, port=port, running=running)
    slowed = [
        one.key
        for one in found
        if one.key in over and campaign.slowed(began_seconds(one.witness[0]), began_seconds(one.witness[-1]))
    ]
    return (
        [one for one in found if one.key not in slowed],
        [f"the machine was too busy: {key} ended later than within {bound:g} s" for key in slowed],
    )


def _slowed(campaign: Campaign, found: Finding, executions: Iterable[Execution]) -> bool:
    """Whether the machine was too busy, while the executions of a key ran, for a late retry to say anything."""
    began = began_seconds(found.witness[0])
    entered = [
        visit.entered_seconds - one.started_seconds
        for one in executions
        if one.key == found.key
        for visit in one.visits
    ]
    return campaign.slowed(began, began + max(entered, default=0.0))


def _conserved(campaign: Campaign, evidences: Iterable[Evidence]) -> list[Finding]:
    """Quantities that are no longer what they were declared to be, as the evidence shows."""
    return [
        finding
        for evidence in evidences
        for name, one in campaign.stack.descriptor.conserved.items()
        for finding in conservation.conserved(
            evidence.history, port=quantity_port(name), total=one.total, minimum=one.minimum
        )
    ]


def _reported(campaign: Campaign) -> tuple[str, dict[str, Claim]]:
    """What reports the outcome of sagas: the port, and what its states claim; an empty name where only answers do."""
    saga = _saga(campaign)
    if saga.status is not None:
        status = campaign.stack.descriptor.statuses[saga.status]
        claims = dict.fromkeys(status.done, Claim.DONE)
        claims |= dict.fromkeys(status.failed, Claim.UNDONE) | dict.fromkeys(status.pending, Claim.OPEN)
        return saga.status, claims
    if executions_kept(campaign.situation):
        return "", {}
    ended = {ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.ABORTED}
    claims = dict.fromkeys((str(one) for one in ended), Claim.UNDONE)
    return EXECUTION, {**claims, "SUCCEEDED": Claim.DONE, "RUNNING": Claim.OPEN}


def _smallest_first(campaign: Campaign, findings: Iterable[Finding]) -> list[Finding]:
    """The findings, those about the smallest generated plan first, since it is the smallest witness."""
    generated = _there(campaign, [GENERATED_SAGAS])
    keys = {operation.key for one in generated for operation in one.history.role(SMALLEST_ROLE).operations}
    return sorted(findings, key=lambda finding: finding.key not in keys)


def _generated_notes(campaign: Campaign) -> list[str]:
    """The smallest generated plan that broke a promise, where one did."""
    return [note for one in _there(campaign, [GENERATED_SAGAS]) for note in one.notes]


def _steps(evidence: Evidence) -> str:
    """The steps that were struck, in words."""
    return ", ".join(dict.fromkeys(evidence.struck.values()))
