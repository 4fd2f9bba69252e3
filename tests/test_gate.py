"""The gate: what is red, what is accepted for how long, what a CI system is told, and the exit code of each cause."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest
import yaml

from holdfast.errors import BaselineError, ExitCode
from holdfast.gate.annotations import Annotation, System, annotation, code_quality, detected, log_lines
from holdfast.gate.baseline import Accepted, Baseline, load, written
from holdfast.gate.judging import Decision, Outcome, Standing, accepting, judge
from holdfast.verdict import ClauseVerdict, Family, Finding, StackReport, Verdict
from verify_runs import STATIC, copy_of, holdfast, substituted

ROOT = Path(__file__).resolve().parent.parent
TODAY = date(2026, 5, 4)
H, V, U, W = Verdict.HOLDS, Verdict.VIOLATED, Verdict.INCONCLUSIVE, Verdict.WAIVED


def clause(verdict: Verdict, *titles: str) -> ClauseVerdict:
    """The verdict of SF-5, with counterexamples of these kinds."""
    findings = tuple(Finding(title=title, sentence=f"{title}, as seen") for title in titles)
    return ClauseVerdict(
        id="SF-5", family=Family.IDEMPOTENCY, verdict=verdict, reason=f"it {verdict}", findings=findings
    )


def report(*clauses: ClauseVerdict) -> StackReport:
    """The report of the stack orders."""
    return StackReport(
        stack="orders",
        descriptor="stacks/orders.stack.toml",
        target="embedded",
        clauses=clauses,
        seed=0,
        seconds=1,
        measures={},
    )


def accepted(until: date, *, verdict: str = "violated", finding: str | None = None, stack: str = "orders") -> Accepted:
    """An entry of the baseline about SF-5."""
    return Accepted.model_validate(
        {"stack": stack, "clause": "SF-5", "verdict": verdict, "finding": finding, "reason": "a fix", "until": until}
    )


LAST, PAST = TODAY, date(2026, 5, 3)


@pytest.mark.parametrize(
    ("verdict", "entries", "tolerant", "standing", "code"),
    [
        (clause(H), (), False, Standing.HELD, 0),
        (clause(W), (), False, Standing.WAIVED, 0),
        (clause(U), (), False, Standing.INCONCLUSIVE, 3),
        (clause(U), (), True, Standing.TOLERATED, 0),
        (clause(V, "twice"), (), True, Standing.VIOLATED, 1),
        (clause(V, "twice"), (accepted(LAST),), False, Standing.ACCEPTED, 0),
        (clause(V, "twice"), (accepted(PAST),), False, Standing.EXPIRED, 1),
        (clause(V, "twice"), (accepted(PAST), accepted(LAST)), False, Standing.ACCEPTED, 0),
        (clause(V, "twice"), (accepted(LAST, finding="twice"),), False, Standing.ACCEPTED, 0),
        (clause(V, "twice", "lost"), (accepted(LAST, finding="twice"),), False, Standing.VIOLATED, 1),
        (clause(V, "twice"), (accepted(LAST, stack="other"),), False, Standing.VIOLATED, 1),
        (clause(V, "twice"), (accepted(LAST, verdict="inconclusive"),), False, Standing.VIOLATED, 1),
        (clause(U), (accepted(LAST),), False, Standing.INCONCLUSIVE, 3),
        (clause(U), (accepted(LAST, verdict="inconclusive"),), False, Standing.ACCEPTED, 0),
        (clause(U), (accepted(PAST, verdict="inconclusive"),), True, Standing.EXPIRED, 1),
    ],
)
def test_how_a_clause_stands(
    verdict: ClauseVerdict, entries: tuple[Accepted, ...], tolerant: bool, standing: Standing, code: int
) -> None:
    """Only an entry for this stack, clause, verdict and kind of counterexample lets one pass, up to its last day."""
    outcome = judge([report(verdict)], Baseline(accept=list(entries)), today=TODAY, tolerant=tolerant)
    assert [decision.standing for decision in outcome.decisions] == [standing]
    assert outcome.exit_code == code
    assert outcome.spent == (entries if verdict.verdict in (H, W) else ())


def test_no_clause_is_no_pass() -> None:
    """A run that decided nothing closes the gate."""
    assert judge([report()], Baseline(), today=TODAY, tolerant=True).exit_code is ExitCode.USAGE


def test_what_holds_again_is_said_to_be_spent() -> None:
    """An acceptance whose clause holds is named, so that it is removed and cannot hide a relapse."""
    entry = accepted(LAST)
    assert judge([report(clause(H))], Baseline(accept=[entry]), today=TODAY, tolerant=False).spent == (entry,)


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    """What accepts every red clause, whatever its reason holds, opens the gate for the same verdicts, and no others."""
    reason = 'ticket "HF-1"\nuntil the é outbox \\ is there'
    closed = judge([report(clause(V, "twice"))], Baseline(), today=TODAY, tolerant=False)
    path = tmp_path / "baseline.toml"
    path.write_text(written(accepting(closed, reason=reason, until=LAST)), encoding="utf-8")
    baseline = load(path)
    assert [(one.reason, one.finding, one.until) for one in baseline.accept] == [(reason, "twice", LAST)]
    assert judge([report(clause(V, "twice"))], baseline, today=TODAY, tolerant=False).exit_code == 0
    assert judge([report(clause(V, "lost"))], baseline, today=TODAY, tolerant=False).exit_code == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accept = 3", "accept: Input should be a valid list"),
        ("[[accept", "is not TOML"),
        ('[[accept]]\nstack = "a"\nclause = "SF-5"\nuntil = 2026-01-01', "accept #1, reason: Field required"),
        ('[[accept]]\nstack = "a"\nclause = "SF-5"\nreason = "r"', "accept #1, until: Field required"),
        ('[[accept]]\nstack = "a"\nclause = "five"\nreason = "r"\nuntil = 2026-01-01', "accept #1, clause: "),
    ],
)
def test_a_wrong_baseline_is_one_message(tmp_path: Path, text: str, said: str) -> None:
    """An acceptance without a reason, a last day or a clause is refused, with its place."""
    path = tmp_path / "baseline.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BaselineError) as raised:
        load(path)
    assert said in str(raised.value)
    assert "docs/gate.md" in str(raised.value)


def decision() -> Decision:
    """A red one."""
    outcome: Outcome = judge([report(clause(V, "done: 50%, twice"))], Baseline(), today=TODAY, tolerant=False)
    return outcome.decisions[0]


def test_an_annotation_points_at_the_pattern() -> None:
    """It names the line of the pattern that the clause belongs to, and tells the counterexample."""
    text = 'name = "orders"\n\n# [patterns.storage-first]\n[patterns.storage-first] # claimed\ncommand = "x"\n'
    told = annotation(decision(), path="stacks/orders.stack.toml", text=text)
    assert told == Annotation(
        path="stacks/orders.stack.toml",
        line=4,
        title="orders SF-5 violated",
        message="it violated Counterexample: done: 50%, twice, as seen",
        error=True,
        identity="orders/SF-5",
    )


def test_what_each_ci_system_is_told() -> None:
    """Each system's own escapes are kept, so that no text of a stack ends a command early."""
    one = Annotation(
        path="a,b.stack.toml", line=2, title="t: x", message="50%; it's ]\n[lost", error=True, identity="o/SF-5"
    )
    assert log_lines([one], System.GITHUB) == (
        "::error file=a%2Cb.stack.toml,line=2,title=t%3A x::50%25; it's ]%0A[lost",
    )
    assert log_lines([one], System.AZURE) == (
        "##vso[task.logissue type=error;sourcepath=a,b.stack.toml;linenumber=2;]t: x: 50%AZP25%3B it's %5D%0A[lost",
    )
    assert log_lines([one], System.TEAMCITY)[0].startswith(
        "##teamcity[buildProblem description='a,b.stack.toml:2: t: x: 50%; it|'s |]|n|[lost' identity='"
    )
    assert log_lines([one], System.GITLAB) == log_lines([one], System.NONE) == ()
    [entry] = json.loads(code_quality([one]))
    assert re.fullmatch("[0-9a-f]{64}", entry.pop("fingerprint"))
    assert entry == {
        "description": "t: x: 50%; it's ]\n[lost",
        "check_name": "o/SF-5",
        "severity": "critical",
        "location": {"path": "a,b.stack.toml", "lines": {"begin": 2}},
    }


@pytest.mark.parametrize(
    ("variables", "system"),
    [
        ({"GITHUB_ACTIONS": "true", "CI": "true"}, System.GITHUB),
        ({"GITLAB_CI": "true"}, System.GITLAB),
        ({"TF_BUILD": "True"}, System.AZURE),
        ({"TEAMCITY_VERSION": "2026.1"}, System.TEAMCITY),
        ({"CI": "true", "TF_BUILD": ""}, System.NONE),
    ],
)
def test_the_ci_system_is_told_by_its_variables(variables: dict[str, str], system: System) -> None:
    """Each system is known by the variable that its jobs carry."""
    assert detected(variables) is system


# -- as a person runs it ---------------------------------------------------------------------------------------------


def test_a_gate_from_red_to_accepted_to_green(tmp_path: Path) -> None:
    """A violation closes the gate with an annotation; accepted it opens; mended, its entry is said to be spent."""
    path = copy_of("webhooks", tmp_path / "stack", mutant="retention-of-a-minute")
    red = holdfast("gate", path, "-k", f"{STATIC} or SF-7", cwd=tmp_path, GITHUB_ACTIONS="true")
    assert red.code == ExitCode.VIOLATED, red.text
    assert "::error file=stack/webhooks.stack.toml,line=" in red.out
    assert "gate closed: 1 of 3 clauses are red" in red.out
    kept = holdfast(
        *("gate", path, "-k", "SF-9", "--write-baseline", "holdfast-baseline.toml", "--reason", "until the move"),
        cwd=tmp_path,
    )
    assert kept.code == ExitCode.VIOLATED, kept.text
    opened = holdfast("gate", path, "-k", "SF-9", cwd=tmp_path)
    assert opened.code == ExitCode.HELD, opened.text
    assert "webhook-orders SF-9: accepted: accepted until " in opened.out
    mended = holdfast("gate", copy_of("webhooks", tmp_path / "mended"), "-k", "SF-9", cwd=tmp_path)
    assert mended.code == ExitCode.HELD, mended.text
    assert "webhook-orders SF-9: holds now; its entry can be removed from the baseline" in mended.out
    assert "Traceback" not in red.text + kept.text + opened.text + mended.text


def test_undecided_is_red_unless_said_otherwise(tmp_path: Path) -> None:
    """What verify lets pass, the gate does not; GitLab's report is written where GitLab runs it."""
    path = copy_of("webhooks", tmp_path / "stack", edit=substituted("storage_roles = .*", ""))
    red = holdfast("gate", path, "-k", "SF-2", cwd=tmp_path, GITLAB_CI="true")
    assert red.code == ExitCode.INCONCLUSIVE, red.text
    [entry] = json.loads((tmp_path / "gl-code-quality-report.json").read_text(encoding="utf-8"))
    assert entry["check_name"] == "webhook-orders/SF-2"
    tolerated = holdfast("gate", path, "-k", "SF-2", "--inconclusive", "green", cwd=tmp_path)
    assert tolerated.code == ExitCode.HELD, tolerated.text
    assert "webhook-orders SF-2: tolerated" in tolerated.out


def test_a_budget_of_time_ends_the_run(tmp_path: Path) -> None:
    """When the minutes are used up the run stops, heals, says so, and exits with a code of its own."""
    path = copy_of("webhooks", tmp_path / "stack")
    ended = holdfast("gate", path, "-k", "SF-1", "--minutes", "0.01", cwd=tmp_path)
    assert ended.code == ExitCode.BUDGET, ended.text
    assert "its budget of time is used up" in ended.out
    assert "Traceback" not in ended.text


def test_a_budget_of_money_ends_the_run(tmp_path: Path) -> None:
    """Before the run of a stack costs more than it may, it stops, heals, and says what it has cost."""
    path = copy_of("webhooks", tmp_path / "stack")
    ended = holdfast("gate", path, "-k", "SF-3", "--dollars", "0.000001", cwd=tmp_path)
    assert ended.code == ExitCode.BUDGET, ended.text
    assert "the budget of $1e-06 would be passed" in ended.out
    assert "Traceback" not in ended.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--baseline", "none.toml"), "The baseline none.toml cannot be read."),
        (("--write-baseline", "b.toml"), "Nothing is accepted without a reason."),
    ],
)
def test_a_mistake_is_found_before_anything_runs(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """A wrong option exits 2 at once, with cause and remedy."""
    ended = holdfast("gate", copy_of("webhooks", tmp_path / "stack"), *arguments, cwd=tmp_path)
    assert ended.code == ExitCode.USAGE
    assert said in ended.err
    assert "remedy:" in ended.err
    assert not (tmp_path / ".holdfast").exists()


# -- what the repository offers to pipelines -------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["action.yml", "docs/ci/gitlab-ci.yml", "Containerfile"])
def test_the_files_for_pipelines_call_the_gate_with_options_that_exist(file: str) -> None:
    """Every long option that stands in the action, the snippet and the container file is one of the gate's."""
    text = (ROOT / file).read_text(encoding="utf-8")
    known = holdfast("gate", "--help", cwd=ROOT).out + holdfast("verify", "--help", cwd=ROOT).out + "--junitxml"
    called = re.findall(r"holdfast gate[^\n]*", text) or re.findall(r"ENTRYPOINT[^\n]*", text)
    assert called
    for option in re.findall(r"--[a-z-]+", " ".join(called)):
        assert option in known, option
    if not file.endswith("file"):
        assert isinstance(yaml.safe_load(text), dict)
