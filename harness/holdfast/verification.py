"""From a descriptor's file to the verdicts of its clauses: open the target, deploy, resolve, check, provoke, judge."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

from holdfast.campaign import COMMANDS_AT_ONCE, Campaign
from holdfast.checkers import persistence, recovery
from holdfast.checkers.columnar import convergence
from holdfast.checkers.projections import visibility
from holdfast.clause import Clause, decide
from holdfast.costing import per_thousand
from holdfast.errors import Inconclusive, InjectionError, TargetError
from holdfast.history.recorder import Recorder
from holdfast.levers.journal import Journal
from holdfast.levers.pointing import pointed
from holdfast.opening import DEFAULT_FOLDER, Options, ready, silent
from holdfast.ports.ports import Ports
from holdfast.pricing.metering import Budget, Meter
from holdfast.pricing.prices import TABLE, read_prices
from holdfast.progress import Listener, Progress, Say
from holdfast.provocations import sidecar_measures
from holdfast.provocations.cqrs_load import CQRS_LOAD
from holdfast.provocations.cqrs_runs import cqrs_of, fold_of, read_history, streams_of
from holdfast.provocations.cqrs_sides import READ_SIDE_DEAD
from holdfast.provocations.model import Provocation
from holdfast.provocations.saga_coverage import PlanCoverage, to_json
from holdfast.provocations.saga_generated import GENERATED_SAGAS
from holdfast.provocations.sidecar_cost import SIDECAR_COST
from holdfast.provocations.sidecar_disturbed import SIDECAR_DEAD, SIDECAR_HUNG
from holdfast.provocations.steady import STEADY
from holdfast.provocations.stopping import Stopping
from holdfast.provocations.windows import BURST
from holdfast.redaction import cleaned, cleaning
from holdfast.runs import RunFolder, at_end
from holdfast.stack.configuration import read_configuration
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.loading import load_descriptor
from holdfast.stack.patterns import PatternName, SidecarPattern
from holdfast.stack.prefixes import new_prefix
from holdfast.stack.resolve import Stack
from holdfast.suites import choose
from holdfast.sweep.replay import Found, plan_file, secret_in, write_plan
from holdfast.targets.base import Target, TargetKind
from holdfast.verdict.model import ClauseVerdict, StackReport, Verdict


class Verification:
    """One stack, ready to be judged; made by `opened`.

    Args:
        stack: the resolved stack.
        ports: its ports.
        recorder: the run's history.
        journal: where faults are written before they are put in place.
        chosen: the clauses that will be asked for, each with its pattern.
        options: how.
        listener: told what goes on.
        run: the folder of what is kept of the run; empty where nothing is.
    """

    def __init__(
        self,
        *,
        stack: Stack,
        ports: Ports,
        recorder: Recorder,
        journal: Journal,
        chosen: Sequence[tuple[PatternName, Clause]],
        options: Options,
        listener: Listener,
        run: str = "",
    ) -> None:
        self.stack = stack
        self._run = run
        self._options = options
        _, secret_key, token = stack.target.credentials()
        self._listener = listener
        self._clean = cleaning(stack.descriptor, secret_key, token)
        self._started = time.monotonic()
        self.chosen = tuple(chosen)
        self._verdicts: list[ClauseVerdict] = []
        self._measured: dict[PatternName, dict[str, float]] = {}
        self._replays = options.folder / stack.descriptor.name / "replays"
        prefix, patterns = new_prefix(), tuple(dict.fromkeys(pattern for pattern, _ in chosen))
        stopping = Stopping.of(
            stack, deadline_seconds=options.deadline_seconds, over_budget=_budgeted(stack, options.most_dollars)
        )
        stopping.check()
        for pattern in patterns:
            with suppress(OSError):  # of an earlier run; a folder that cannot be written is told of at the end
                plan_file(self._replays, pattern).unlink()
        self._campaigns = {
            pattern: Campaign(
                stack=stack,
                pattern=pattern,
                ports=ports,
                recorder=recorder,
                journal=journal,
                needed=_needed([clause for of, clause in chosen if of == pattern], stack.descriptor),
                seed=options.seed,
                prefix=f"{prefix}{at}",
                listener=listener,
                stopping=stopping,
            )
            for at, pattern in enumerate(patterns)
        }

    def decide(self, pattern: PatternName, clause: Clause) -> ClauseVerdict:
        """The verdict of one clause.

        Raises:
            HoldfastError: the stack, the target or a port cannot be used, or a fault could not be healed.
        """
        self._listener(Progress(self.stack.descriptor.name, f"judging {clause.id}"))
        verdict = cleaned(decide(clause, self._campaigns[pattern]), self._clean)
        if verdict.verdict is Verdict.VIOLATED and GENERATED_SAGAS in clause.also:
            verdict = self._with_replay(pattern, verdict)
        self._verdicts.append(verdict)
        return verdict

    def _with_replay(self, pattern: PatternName, verdict: ClauseVerdict) -> ClauseVerdict:
        """The verdict, with the replay file of the generated plan that broke the promise, where one did."""
        campaign = self._campaigns[pattern]
        if not campaign.has(GENERATED_SAGAS):
            return verdict
        evidence = campaign.evidence(GENERATED_SAGAS)
        broken = evidence.broken_plan
        if broken is None or not any(one.key in evidence.submissions for one in verdict.findings):
            return verdict
        hidden = self.stack.descriptor.marked.hidden_fields
        given = [broken.inputs[saga.input] for saga in broken.plan.sagas]
        secret = {name for fields in given for name in secret_in(fields, hidden, self._clean)}
        if secret:  # without them its sagas would be others
            why = f"no replay file: the plan needs {', '.join(sorted(secret))}, which are secret"
            again = f"{why}; verify again with --holdfast-seed {self._options.seed}"
            return replace(verdict, evidence=(*verdict.evidence, again))
        found = Found(
            descriptor=self.stack.path,
            stack=self.stack.descriptor.name,
            pattern=pattern,
            target=cast("TargetKind", self.stack.target.kind),
            seed=self._options.seed,
            title=broken.finding.title,
            sentence=broken.finding.sentence,
            reproduced=broken.reproduced,
        )
        path = write_plan(found, broken, folder=self._replays, clean=self._clean)
        return replace(verdict, evidence=(*verdict.evidence, f"again: holdfast replay {path}"))

    def plans(self) -> dict[str, PlanCoverage]:
        """What generated plans of sagas have visited, by pattern; nothing where none were run."""
        return {
            pattern: found
            for pattern, campaign in self._campaigns.items()
            if campaign.has(GENERATED_SAGAS) and (found := campaign.evidence(GENERATED_SAGAS).plan_coverage) is not None
        }

    def report(self) -> StackReport:
        """All verdicts so far."""
        return StackReport(
            stack=self.stack.descriptor.name,
            descriptor=str(self.stack.path),
            target=self.stack.target.kind,
            clauses=tuple(self._verdicts),
            seed=self._options.seed,
            seconds=round(time.monotonic() - self._started, 3),
            measures=self._measures(),
            complete=len(self._verdicts) == len(self.chosen),
            run=self._run,
        )

    def _measures(self) -> dict[str, float]:
        measures: dict[str, float] = {}
        for pattern, campaign in self._campaigns.items():
            # once there is evidence it does not change, and reading traces takes long
            found = self._measured[pattern] = self._measured.get(pattern) or measured(campaign)
            measures |= found
        return measures


def _budgeted(stack: Stack, most_dollars: float | None) -> Callable[[int], str] | None:
    """What says that a run has cost what it may; None without a budget."""
    if most_dollars is None:
        return None
    named = stack.descriptor.load.prices
    prices = read_prices(TABLE if named is None else stack.path.parent / named)
    meter, budget = Meter(stack, read_configuration(stack), prices), Budget(dollars=most_dollars)
    command = next(iter(stack.descriptor.patterns.values())).command
    return lambda sent: budget.exceeded(meter.bill({command: sent}), coming=COMMANDS_AT_ONCE)


def measured(campaign: Campaign) -> dict[str, float]:
    """Figures for the scorecard, from the undisturbed commands and the burst."""
    measures: dict[str, float] = {}
    if campaign.has(STEADY):
        history = campaign.evidence(STEADY).history
        latency = recovery.acknowledgement_latency(history)
        effect = persistence.time_to_effect(history, effect=campaign.pattern.effect)
        measures |= {
            "acknowledgement_p50_seconds": latency.p50,
            "acknowledgement_p99_seconds": latency.p99,
            "time_to_effect_p50_seconds": effect.p50,
            "time_to_effect_p99_seconds": effect.p99,
            "time_to_effect_max_seconds": effect.maximum,
        }
        measures |= _costs(campaign)
    if campaign.has(CQRS_LOAD):
        situation = campaign.situation
        found = streams_of(campaign.pattern, campaign.evidence(CQRS_LOAD))
        shown = visibility(found, fold=fold_of(situation), view=cqrs_of(situation).reads)
        measures |= {
            "time_to_consistency_p50_seconds": shown.p50,
            "time_to_consistency_p99_seconds": shown.p99,
            "time_to_consistency_max_seconds": shown.maximum,
        }
    for provocation, figure, since in (
        (CQRS_LOAD, "convergence", "last_write"),
        (READ_SIDE_DEAD, "healing", "healing"),
    ):
        if campaign.has(provocation):
            settled = convergence.check(read_history(campaign.situation, campaign.evidence(provocation))).figures
            quantiles = {name: settled.get(f"{figure}_ms_{name}") for name in ("p50", "p99", "max")}
            measures |= {
                f"convergence_after_{since}_{name}_seconds": ms / 1000
                for name, ms in quantiles.items()
                if ms is not None
            }
    if campaign.has(BURST):
        figures = campaign.evidence(BURST).figures
        measures |= {name: value for name, value in figures.items() if name.endswith("_seconds")}
    if isinstance(campaign.pattern, SidecarPattern):
        measures |= sidecar_measures.measures(
            campaign.pattern,
            costs=[campaign.evidence(one) for one in (SIDECAR_COST,) if campaign.has(one)],
            faults=[campaign.evidence(one) for one in (SIDECAR_DEAD, SIDECAR_HUNG) if campaign.has(one)],
        )
    return {name: round(value, 4) for name, value in measures.items()}


def _costs(campaign: Campaign) -> dict[str, float]:
    """What the undisturbed commands asked of the services; nothing where no interceptor saw it."""
    evidence, interceptor = campaign.evidence(STEADY), campaign.stack.target.interceptor
    if interceptor is None:
        return {}
    try:
        return per_thousand(
            {operation.key for operation in evidence.history.operations},
            invocations=lambda key: interceptor.invocations(key=key),
            calls=interceptor.calls,
            executions=evidence.executions,
        )
    except TargetError:  # it has ended with its target, and a verdict is worth having without it
        return {}


@contextmanager
def opened(
    path: Path,
    *,
    options: Options,
    ids: Sequence[str] = (),
    target: Target | None = None,
    listener: Listener = silent,
) -> Iterator[Verification]:
    """Open a stack for judgement: nothing is injected before everything it needs is known to be there.

    Args:
        path: the descriptor's file.
        options: how.
        ids: the clauses to judge; all that the stack owes when empty.
        target: a target that somebody else started and ends; opened here when None.
        listener: told what goes on.

    Raises:
        HoldfastError: the descriptor is wrong, the target does not answer, a resource or permission is missing, or a
            port answers what it must not.
    """
    descriptor = load_descriptor(path, options.environ)
    chosen = choose(descriptor, ids)

    def say(message: str, until_seconds: float = 0.0) -> None:
        listener(Progress(descriptor.name, message, until_seconds))

    with ExitStack() as exits:
        run = exits.enter_context(ready(path, descriptor, options=options, kind="verify", target=target, say=say))
        if _needed([clause for _, clause in chosen], descriptor):
            exits.enter_context(_intercepted(run.stack, run.journal, run.recorder, say))
        folder = run.run
        verification = Verification(
            stack=run.stack,
            ports=run.ports,
            recorder=run.recorder,
            journal=run.journal,
            chosen=chosen,
            options=options,
            listener=listener,
            run="" if folder is None else str(folder.path),
        )
        if folder is not None:
            exits.enter_context(at_end(lambda: folder.verdicts(verification.report())))
            exits.enter_context(at_end(lambda: _plans(folder, verification)))
        yield verification


def _plans(folder: RunFolder, verification: Verification) -> None:
    found = verification.plans()
    if found:
        folder.plans(to_json(found))


@contextmanager
def _intercepted(stack: Stack, journal: Journal, recorder: Recorder, say: Say) -> Iterator[None]:
    """Have the functions' calls pass the target's interceptor, where they have to be pointed there."""
    url = stack.target.interceptor_url
    if url is None:
        yield
        return
    say("pointing the functions at the interceptor")
    with ExitStack() as exits:
        try:
            exits.enter_context(pointed(stack, url, journal=journal, recorder=recorder))
        except Inconclusive as reason:
            raise InjectionError(
                "the functions cannot be pointed at the interceptor; nothing was changed",
                cause=str(reason),
                remedy="verify with --no-intercept; what needs aimed faults is inconclusive then",
            ) from reason
        yield


def verify(
    path: Path,
    *,
    options: Options,
    ids: Sequence[str] = (),
    target: Target | None = None,
    listener: Listener = silent,
) -> StackReport:
    """Judge a stack and return its report; what `holdfast verify` does, without pytest.

    Raises:
        HoldfastError: as `opened`, or a fault could not be healed.
    """
    with opened(path, options=options, ids=ids, target=target, listener=listener) as verification:
        for pattern, clause in verification.chosen:
            verification.decide(pattern, clause)
        return verification.report()


def _needed(clauses: Sequence[Clause], descriptor: Descriptor) -> tuple[Provocation, ...]:
    asked = [clause for clause in clauses if clause.id not in descriptor.waive]
    return tuple(dict.fromkeys(provocation for clause in asked for provocation in (*clause.needs, *clause.also)))


__all__ = ["DEFAULT_FOLDER", "Options", "Verification", "opened", "silent", "verify"]
