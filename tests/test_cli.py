"""The command line: what it prints, and the exit code of every way a run can end."""

from __future__ import annotations

import json
import signal
import subprocess
from importlib.metadata import EntryPoint
from pathlib import Path

import jsonschema
import pytest

from holdfast import cli
from holdfast.cli import main
from holdfast.errors import DescriptorError, ExitCode, HealError, HoldfastError, TargetError
from holdfast.levers import Journal, MappingDisable, Pin, Snapshot
from holdfast.session import Session
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.verdict import ClauseVerdict, Family, StackReport, Verdict
from lever_stack import deploy
from test_levers_killed import run as lever_run
from verify_runs import BIN, STATIC, copy_of, environment, holdfast, run_pytest, substituted, verify

CLAUSE = {
    "type": "object",
    "required": ["id", "family", "verdict", "reason", "evidence", "findings", "seconds"],
    "properties": {
        "id": {"pattern": "^(ES|SF|XX)-[0-9]+$"},
        "family": {"enum": ["P", "I", "C", "E", "R", "S"]},
        "verdict": {"enum": ["holds", "violated", "inconclusive", "waived"]},
        "reason": {"type": "string", "minLength": 1},
        "evidence": {"type": "array", "items": {"type": "string"}},
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["title", "sentence", "key", "explanation"],
                "properties": {"explanation": {"type": "array", "items": {"type": "string"}}},
            },
        },
        "seconds": {"type": "number", "minimum": 0},
    },
}
VERDICT_FILE = {
    "type": "object",
    "required": [
        *("version", "holdfast", "stack", "descriptor", "target", "seed", "seconds", "counts", "measures", "clauses"),
    ],
    "properties": {
        "version": {"const": 1},
        "stack": {"type": "string"},
        "seed": {"type": "integer"},
        "seconds": {"type": "number", "exclusiveMinimum": 0},
        "counts": {"required": ["holds", "violated", "inconclusive", "waived"]},
        "measures": {"additionalProperties": {"type": "number"}},
        "clauses": {"type": "array", "items": CLAUSE, "minItems": 1},
    },
}
"""What docs/verdict.md says."""


def verdicts(cwd: Path, stack: str) -> dict[str, str]:
    """The verdict of each clause in a stack's valid verdict.json."""
    document = json.loads((cwd / ".holdfast" / stack / "verdict.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, VERDICT_FILE)
    found = {clause["id"]: clause["verdict"] for clause in document["clauses"]}
    assert document["counts"] == {kind.value: list(found.values()).count(kind.value) for kind in Verdict}
    return found


# -- the ways a verification ends ------------------------------------------------------------------------------------


def test_a_correct_stack_exits_0_and_shows_one_scorecard(tmp_path: Path) -> None:
    """Held and waived clauses exit 0; verdict.json is as documented; the scorecard comes once, at the end, alone."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    ended = verify(descriptor, "-k", f"{STATIC} or SF-7", cwd=tmp_path)
    assert ended.code == ExitCode.HELD, ended.text
    assert verdicts(tmp_path, "webhook-orders") == {"SF-7": "waived", "SF-9": "holds", "XX-2": "holds"}
    assert ended.out.count("webhook-orders on embedded: 2 holds, 1 waived") == 1
    assert ended.out.count("no order is promised") == 1
    (page,) = (tmp_path / ".holdfast").glob("webhook-orders/runs/*-verify/scorecard.html")
    assert ended.out.splitlines()[-3:-1] == [
        "written: .holdfast/webhook-orders/verdict.json",
        f"written: {page.relative_to(tmp_path)}",
    ]
    assert "Traceback" not in ended.text


def test_a_planted_bug_exits_1_with_its_counterexample(tmp_path: Path) -> None:
    """A violated clause exits 1, and what violates it is told with the clause's text; reasons are not told twice."""
    descriptor = copy_of("webhooks", tmp_path / "stack", mutant="retention-of-a-minute")
    ended = verify(descriptor, "-k", f"{STATIC} or SF-7", "--strict", cwd=tmp_path)
    assert ended.code == ExitCode.VIOLATED, ended.text
    assert verdicts(tmp_path, "webhook-orders")["SF-9"] == "violated"
    assert "SF-9 violated: Stored requests outlive the declared longest outage" in ended.out
    assert ended.out.count("no order is promised") == 1
    assert "Traceback" not in ended.text


def test_an_undecided_clause_exits_3_only_when_that_is_asked_for(tmp_path: Path) -> None:
    """A clause that cannot be decided is reported with its reason, and exits 0, or 3 with --strict."""
    descriptor = copy_of("webhooks", tmp_path / "stack", edit=substituted("storage_roles = .*", ""))
    lenient = verify(descriptor, "-k", "SF-2", cwd=tmp_path)
    strict = verify(descriptor, "-k", "SF-2", "--strict", cwd=tmp_path)
    assert (lenient.code, strict.code) == (ExitCode.HELD, ExitCode.INCONCLUSIVE), lenient.text + strict.text
    assert verdicts(tmp_path, "webhook-orders") == {"SF-2": "inconclusive"}
    assert "does not say which role stores requests where" in strict.out


UNHEALABLE = """
from botocore.exceptions import ClientError
from holdfast.levers.function import FunctionThrottle

def heal(self, snapshot):
    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not any more"}}, "PutFunctionConcurrency")

FunctionThrottle.heal = heal
"""


def test_a_fault_that_cannot_be_healed_exits_4(tmp_path: Path) -> None:
    """A fault left in place is the gravest end: exit 4, the command to run by hand, and it stays in the journal."""
    descriptor = copy_of("webhooks", tmp_path / "stack", conftest=UNHEALABLE)
    ended = verify(f"{descriptor}::SF-1", f"{descriptor}::SF-9", cwd=tmp_path)
    assert ended.code == ExitCode.NOT_HEALED, ended.text
    assert ended.out.count("function-throttle on worker is still in place") == 1
    assert "holdfast heal" in ended.out
    assert "aws lambda" in ended.out
    assert "Traceback" not in ended.text
    (journal,) = (tmp_path / ".holdfast" / "journal").glob("*.jsonl")
    assert '"heal-failed"' in journal.read_text(encoding="utf-8")
    healed = holdfast("heal", cwd=tmp_path)
    assert healed.code == ExitCode.HELD
    assert "healed: function-throttle on worker of webhook-orders: the embedded target ended" in healed.out


def test_an_ordinary_test_beside_the_stack_may_fail_too(tmp_path: Path) -> None:
    """Ordinary tests run with the stacks that are named beside them, and their failure is not swallowed."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    (tmp_path / "test_own.py").write_text("def test_own():\n    assert 1 == 2\n", encoding="utf-8")
    ended = verify(descriptor, "test_own.py", "-k", "SF-9 or own", cwd=tmp_path)
    assert ended.code == ExitCode.VIOLATED
    assert "1 failed, 1 passed" in ended.out


def clause(id_: str, verdict: Verdict) -> ClauseVerdict:
    """A clause with a verdict."""
    return ClauseVerdict(id=id_, family=Family.STATIC, verdict=verdict, reason="because")


def session(*given: Verdict, failures: tuple[HoldfastError, ...] = (), unjudged: tuple[str, ...] = ()) -> Session:
    """A session that found these verdicts, one stack each, and these failures."""
    reports = {
        str(at): StackReport(
            stack=f"s{at}",
            descriptor="d",
            target="embedded",
            clauses=(clause("XX-1", verdict),),
            seed=0,
            seconds=1,
            measures={},
        )
        for at, verdict in enumerate(given)
    }
    failed = {f"broken-{at}": failure for at, failure in enumerate(failures)}
    return Session(reports=reports, failures=failed, unjudged=list(unjudged))


H, V, U, W = Verdict.HOLDS, Verdict.VIOLATED, Verdict.INCONCLUSIVE, Verdict.WAIVED


@pytest.mark.parametrize(
    ("found", "lenient", "strict"),
    [
        (session(), 0, 0),
        (session(H, W), 0, 0),
        (session(H, U, W), 0, 3),
        (session(H, V, U), 1, 1),
        (session(H, failures=(TargetError("gone"),)), 2, 2),
        (session(V, U, failures=(DescriptorError("wrong"),)), 2, 2),
        (session(V, unjudged=("a.stack.toml::SF-1",)), 2, 2),
        (session(V, failures=(TargetError("gone"), HealError("left"))), 4, 4),
    ],
)
def test_the_gravest_cause_decides_the_exit_code(found: Session, lenient: int, strict: int) -> None:
    """Not healed > not judged > violated > inconclusive (if strict) > held, over all stacks of a run."""
    assert (found.exit_code(strict=False), found.exit_code(strict=True)) == (lenient, strict)


# -- what pytest is told ---------------------------------------------------------------------------------------------


def test_pytest_options_pass_through(tmp_path: Path) -> None:
    """Every pytest option works after the stack, here the listing of clauses, which opens nothing."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    ended = verify(descriptor, "--collect-only", "-q", "-k", "SF-9 or XX-2", cwd=tmp_path)
    assert ended.code == ExitCode.HELD
    assert ended.out.splitlines()[:2] == ["stack/webhooks.stack.toml::SF-9", "stack/webhooks.stack.toml::XX-2"]
    assert not (tmp_path / ".holdfast").exists()


@pytest.mark.parametrize("wrong", [("-k", "NONE"), ("-m", "nonsense(")])
def test_a_selection_of_nothing_is_a_mistake(tmp_path: Path, wrong: tuple[str, str]) -> None:
    """A run that verifies nothing exits 2 and says how to list the clauses: it must not look like a pass."""
    ended = verify(copy_of("webhooks", tmp_path / "stack"), *wrong, cwd=tmp_path)
    assert ended.code == ExitCode.USAGE
    assert "Traceback" not in ended.text
    assert "No clause was selected" in ended.err or "Wrong expression" in ended.text


def test_an_unknown_option_is_a_mistake(tmp_path: Path) -> None:
    """An option that neither Holdfast nor pytest knows exits 2 and is named."""
    ended = verify(copy_of("webhooks", tmp_path / "stack"), "--nonsense", cwd=tmp_path)
    assert ended.code == ExitCode.USAGE
    assert "unrecognized arguments: --nonsense" in ended.text
    assert "Traceback" not in ended.text


def test_a_folder_that_cannot_be_made_is_told_before_anything_begins(tmp_path: Path) -> None:
    """Verdicts and journals need a folder; when it cannot be made, nothing is started and the option is named."""
    (tmp_path / "file").touch()
    descriptor = copy_of("webhooks", tmp_path / "stack")
    for workers in ((), ("-n", "2")):
        ended = verify(descriptor, "-k", "SF-9", "--holdfast-folder", "file/below", *workers, cwd=tmp_path)
        assert ended.code == ExitCode.USAGE
        assert "name another one with --holdfast-folder" in ended.text
        assert "Traceback" not in ended.text


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "workers"])
def test_verdicts_that_cannot_be_written_are_told(workers: tuple[str, ...], tmp_path: Path) -> None:
    """Without verdict.json the run has not done its job: one error, exit 2, and the scorecard all the same."""
    (tmp_path / ".holdfast").mkdir()
    (tmp_path / ".holdfast" / "webhook-orders").touch()
    ended = verify(copy_of("webhooks", tmp_path / "stack"), "-k", "SF-9", *workers, cwd=tmp_path)
    assert ended.code == ExitCode.USAGE, ended.text
    assert ended.out.count("The verdicts of webhook-orders cannot be written.") == 1
    assert "written:" not in ended.out
    assert "webhook-orders on embedded: 1 holds" in ended.out
    assert "Traceback" not in ended.text


# -- without a stack -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 0, "usage: holdfast COMMAND"),
        (("--help",), 0, "verify   Deploy, break and judge a stack"),
        (("--version",), 0, "holdfast 0."),
        (
            ("nonsense",),
            2,
            "There is no command nonsense.\n  remedy: the commands are check, demo, doctor, gate, heal, ",
        ),
        (("verfy",), 2, "remedy: did you mean verify?"),
        (("verify",), 2, "No stack descriptor was named.\n  remedy: holdfast verify NAME.stack.toml"),
        (("verify", "--help"), 0, "exit codes: 0 nothing violated, 1 violated, 2 usage"),
        (("verify", "nope.stack.toml"), 2, "There is no file nope.stack.toml."),
        (("verify", "--stack", "nope.stack.toml::SF-1"), 2, "There is no file nope.stack.toml::SF-1."),
        (("heal",), 0, "nothing to heal: no run left a fault in .holdfast/journal"),
        (("heal", "--holdfast-folder", "mistyped"), 2, "There is no folder mistyped."),
    ],
)
def test_what_a_person_sees_is_short_and_helpful(
    arguments: tuple[str, ...],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Help and mistakes fit on a screen, name the remedy, and leave nothing behind."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    shown = capsys.readouterr()
    text = shown.err if code else shown.out
    assert said in text
    assert len(text.splitlines()) <= 30
    assert not shown.err or code
    assert not list(tmp_path.iterdir())


def test_heal_undoes_what_a_killed_run_left(
    embedded: EmbeddedTarget, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`holdfast heal` leaves a living run alone, heals a killed one fault by fault, and then has nothing to do."""
    heal = ["heal", "--holdfast-folder", str(tmp_path)]
    deployed = deploy(embedded, reserved=4)
    before = deployed.configuration()
    with lever_run(deployed, tmp_path / "journal") as run:
        run.says("0 window")
        assert main(heal) == ExitCode.HELD
        assert capsys.readouterr().out.count("its run is still at work, so it was left alone") == 3
        run.signal(signal.SIGKILL)
        run.end()
    assert deployed.configuration() != before
    assert main(heal) == ExitCode.HELD
    told = capsys.readouterr().out.splitlines()
    assert [line.split(" on ")[0] for line in told] == [
        "healed: role-deny",
        "healed: mapping-disable",
        "healed: function-throttle",
    ]
    assert deployed.configuration() == before
    assert main(heal) == ExitCode.HELD
    assert capsys.readouterr().out.startswith("nothing to heal")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("garbage", "cannot be read"),
        ('{"entry":"planned","id":"1","version":2}', "another version of Holdfast wrote it (2)"),
        ('{"entry":"injected","id":"1"}', "'1' is missing or unknown"),
    ],
)
def test_heal_never_takes_an_unreadable_line_for_nothing(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that no kill cut short may stand for a fault: exit 4, where it is, and what to do by hand."""
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "run.jsonl").write_text(f"{line}\n", encoding="utf-8")
    assert main(["heal", "--holdfast-folder", str(tmp_path)]) == ExitCode.NOT_HEALED
    told = capsys.readouterr().out
    assert f"{tmp_path / 'journal' / 'run.jsonl'}, line 1" in told
    assert said in told
    assert "remedy: " in told
    assert "nothing to heal" not in told


def test_heal_tells_what_no_lever_understands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An entry whose lever is unknown, or knows other contents, exits 4 with what was found there; no traceback."""
    nowhere = "http://127.0.0.1:9"
    pin = Pin(kind="localstack", endpoint_url=nowhere, account="1", region="eu-west-1", profile=None, stack="orders")
    snapshots = [
        Snapshot(lever=lever, component="worker", resource="arn:x", found={"timeout": 7}, placed={})
        for lever in ("unheard-of", "component-stop")
    ]
    with Journal(tmp_path / "journal", pin) as journal:
        journal.planned(snapshots)
    assert main(["heal", "--holdfast-folder", str(tmp_path)]) == ExitCode.NOT_HEALED
    told = capsys.readouterr().out
    assert told.count("set arn:x back to {'timeout': 7} by hand") == 2


def test_heal_says_what_to_do_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault that cannot be healed exits 4 with the command to run by hand, and stays in the journal."""
    with EmbeddedTarget.start() as target, lever_run(deploy(target, reserved=4), tmp_path / "journal") as run:
        run.says("0 window")
        run.signal(signal.SIGKILL)
        run.end()
    for _ in range(2):
        assert main(["heal", "--holdfast-folder", str(tmp_path)]) == ExitCode.NOT_HEALED
        told = capsys.readouterr().out
        assert told.count("failed: function-throttle on worker of levers") == 1
        assert told.count("aws lambda put-function-concurrency") == 1


def test_an_interrupted_heal_says_what_may_still_be_in_place(
    embedded: EmbeddedTarget, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while `holdfast heal` is at work exits 4 with what is left, and never says that all is healed."""
    deployed = deploy(embedded, reserved=4)
    before = deployed.configuration()
    with lever_run(deployed, tmp_path / "journal") as run:
        run.says("0 window")
        run.signal(signal.SIGKILL)
        run.end()

    def interrupted(lever: object, snapshot: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MappingDisable, "heal", interrupted)
        assert main(["heal", "--holdfast-folder", str(tmp_path)]) == ExitCode.NOT_HEALED
    told = capsys.readouterr().err
    assert "healing was interrupted; function-throttle on worker, mapping-disable on worker" in told
    assert "is healed\n" not in told
    assert main(["heal", "--holdfast-folder", str(tmp_path)]) == ExitCode.HELD
    assert deployed.configuration() == before


@pytest.mark.parametrize("command", ["heal", "schema"])
def test_a_command_refuses_options_it_does_not_know(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown option of a command exits 2 with its usage."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--nonsense"])
    assert ended.value.code == ExitCode.USAGE
    assert f"usage: holdfast {command}" in capsys.readouterr().err


def test_the_schema_is_a_valid_one(capsys: pytest.CaptureFixture[str]) -> None:
    """`holdfast schema` prints a JSON Schema that validators accept."""
    assert main(["schema"]) == ExitCode.HELD
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)


def test_a_reader_that_has_had_enough_is_no_crash(tmp_path: Path) -> None:
    """`holdfast schema | head -1` ends without a word."""
    process = subprocess.Popen(
        [str(BIN / "holdfast"), "schema"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == ExitCode.HELD
    process.stderr.close()


def test_a_command_that_cannot_be_loaded_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broken package that brings a command breaks that command alone, with its name."""
    broken = EntryPoint("load", "no_such_package:command", "holdfast.commands")
    monkeypatch.setattr(cli, "entry_points", lambda group: [broken])
    assert main(["load"]) == ExitCode.USAGE
    assert "The command load cannot be loaded." in capsys.readouterr().err
    assert main(["--help"]) == ExitCode.HELD
    assert "verify" in capsys.readouterr().out


def test_plain_pytest_reports_a_broken_stack_as_an_error(tmp_path: Path) -> None:
    """Under plain pytest a stack that cannot be judged is an error, not a failed clause, and told once."""
    descriptor = copy_of("webhooks", tmp_path / "stack", edit=substituted('"LedgerTable"', '"LedgrTable"'))
    ended = run_pytest(descriptor, "-k", STATIC, cwd=tmp_path)
    assert ended.code == pytest.ExitCode.TESTS_FAILED
    assert "1 skipped, 10 deselected, 1 error" in ended.out
    assert ended.out.count("did you mean LedgerTable?") == 1
    assert "Traceback" not in ended.text


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["sweep", "x.stack.toml", "--budget-seconds", "nan"], "nan is no number above 0"),
        (["sweep", "x.stack.toml", "--pairs", "few"], "few is no whole number of 0 or more"),
        (["replay", "x.replay.json", "--times", "0"], "0 is no whole number of 1 or more"),
    ],
)
def test_a_number_that_is_none_is_told_in_plain_words(
    line: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No name of a function of ours reaches the user."""
    with pytest.raises(SystemExit) as ended:
        main(line)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
