"""Secrets that a run is given never reach a file that it leaves or anything that it prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.errors import ExitCode, HealError, PortError
from holdfast.history import Observation, Operation, Outcome
from holdfast.redaction import clean_errors, cleaned, cleaned_arguments, cleaning
from holdfast.stack.loading import load_descriptor
from holdfast.verdict import ClauseVerdict, Family, Finding, Verdict
from verify_runs import Ended, copy_of, holdfast, substituted, verify

PLANTED = {
    "PLANTED_HEADER": "planted-header-1f6b2c9d",
    "PLANTED_API_KEY": "planted-api-key-77d0e3a4",
    "PLANTED_BEARER": "planted-bearer-5c1e9f20",
    "PLANTED_QUERY": "planted-query-9ab3d810",
    "PLANTED_BODY": "planted-body-2e4c6f11",
    "PLANTED_FUNCTION": "planted-function-env-8d2a",
    "AWS_ACCESS_KEY_ID": "AKIAPLANTEDPLANTED01",
    "AWS_SECRET_ACCESS_KEY": "planted-aws-secret-key-6e0b",
    "AWS_SESSION_TOKEN": "planted-session-token-3b7f",
    "SOMEBODY_ELSES_PASSWORD": "planted-password-a0c4",
}
"""What a person has in the environment; the descriptor uses those that begin with PLANTED."""

CALL = 'path = "/notifications", json = {'
SECRET_CALL = (
    'path = "/notifications", query = { token = "${PLANTED_QUERY}" }, headers = { X-Tenant = "${PLANTED_HEADER}", '
    'X-Api-Key = "${PLANTED_API_KEY}", Authorization = "Bearer ${PLANTED_BEARER}" }, '
    'json = { tenant = "${PLANTED_BODY}",'
)


TALKING = """\
def handler(event, context):
    print(event, os.environ["PLANTED"])
    given = handled(event)
    known = {"headers": event["headers"], "query": event["queryStringParameters"], "own": os.environ["PLANTED"]}
    return {**given, "body": json.dumps({**json.loads(given["body"]), "known": known, "body": event["body"]})}


def handled(event):
"""
"""A handler that logs and answers all it knows."""


def talkative(folder: Path, mutant: str) -> Path:
    """Notifications with secrets everywhere, whose API answers with all it knows and logs it."""

    def edit(text: str) -> str:
        assert CALL in text
        text = text.replace(CALL, SECRET_CALL)
        return text.replace('MaxReceives = "3"', 'MaxReceives = "3", Planted = "${PLANTED_FUNCTION}"')

    descriptor = copy_of("notifications", folder, mutant=mutant, edit=edit)
    queue = "          QUEUE_URL: !Ref RequestsQueue\n"
    _replace(
        folder / "template.yaml",
        ("Parameters:\n", "Parameters:\n  Planted: { Type: String }\n"),
        (queue, f"{queue}          PLANTED: !Ref Planted\n"),
    )
    _replace(folder / "handlers" / "ingest.py", ("def handler(event, context):\n", TALKING))
    return descriptor


def _replace(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")


def leaks(folder: Path, *runs: Ended) -> list[tuple[str, str]]:
    """Each planted value with each place where it stands."""
    places = {f"output {at}": run.text for at, run in enumerate(runs)}
    files = [path for path in folder.rglob("*") if path.is_file()]
    places |= {str(path.relative_to(folder)): path.read_bytes().decode("utf-8", "replace") for path in files}
    return [(name, place) for place, text in places.items() for name, value in PLANTED.items() if value in text]


def test_a_whole_run_keeps_its_secrets(tmp_path: Path) -> None:
    """Header, query, body, function and AWS secrets are in no journal, verdict, report or line of output."""
    descriptor = talkative(tmp_path / "stack", "acknowledged-before-stored")
    ended = verify(
        *(descriptor, "-k", "ES-11 or ES-9 or ES-16 or ES-14", "--junitxml=junit.xml", "--alluredir=allure"),
        cwd=tmp_path,
        GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"),
        **PLANTED,
    )
    assert ended.code == ExitCode.VIOLATED, ended.text
    document = (tmp_path / ".holdfast" / "notifications" / "verdict.json").read_text(encoding="utf-8")
    assert any(clause["findings"] for clause in json.loads(document)["clauses"]), "a counterexample was to be written"
    assert list((tmp_path / ".holdfast" / "journal").iterdir())
    assert list((tmp_path / "allure").iterdir())
    files = [part for kind in ("junit", "markdown", "svg") for part in (f"--{kind}", f"run.{kind}")]
    rebuilt = holdfast("report", Path(".holdfast") / "notifications", "--trend", *files, cwd=tmp_path, **PLANTED)
    assert rebuilt.code == ExitCode.HELD, rebuilt.text
    assert list((tmp_path / ".holdfast").glob("notifications/runs/*-verify/scorecard.html"))
    assert (tmp_path / "summary.md").stat().st_size
    assert leaks(tmp_path, ended, rebuilt) == []


def test_a_payload_to_replay_keeps_its_secrets(tmp_path: Path) -> None:
    """The command that replays an altered payload is shown without the secrets that its body carries."""
    edit = substituted(r"json = \{ order_id", 'json = { tenant = "${PLANTED_BODY}", order_id')
    descriptor = copy_of("webhooks", tmp_path / "stack", mutant="shortened-original", edit=edit)
    ended = verify(descriptor, "-k", "SF-4", cwd=tmp_path, **PLANTED)
    assert ended.code == ExitCode.VIOLATED, ended.text
    assert "replay: curl" in ended.out
    assert leaks(tmp_path, ended) == []


def test_looking_at_a_stack_keeps_its_secrets(tmp_path: Path) -> None:
    """Neither doctor, nor its policy, nor a dry run shows a secret of the descriptor."""
    descriptor = talkative(tmp_path / "stack", "")
    ended = [
        holdfast("doctor", descriptor, cwd=tmp_path, **PLANTED),
        holdfast("doctor", "--iam", descriptor, cwd=tmp_path, **PLANTED),
        verify(descriptor, "--dry-run", cwd=tmp_path, **PLANTED),
    ]
    assert {one.code for one in ended} == {ExitCode.HELD}, ended[-1].text
    assert leaks(tmp_path, *ended) == []


def test_the_search_finds_a_leak(tmp_path: Path) -> None:
    """A planted value in a file or in the output is found, wherever it stands."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log").write_bytes(b"\xff" + PLANTED["PLANTED_BODY"].encode() + b"\x00")
    said = Ended(0, "", f"token={PLANTED['AWS_SESSION_TOKEN']}")
    assert leaks(tmp_path, said) == [("AWS_SESSION_TOKEN", "output 0"), ("PLANTED_BODY", "deep/log")]


def test_a_command_line_is_shown_without_its_secrets() -> None:
    """What came from the environment goes, and the value of an option whose name speaks of a secret."""
    given = ("holdfast", "verify", "--api-token", "abc", "--password=def", "-k", "a-planted-one", "--token", "--strict")
    assert cleaned_arguments(given, lambda text: text.replace("planted", "[redacted]")) == (
        *("holdfast", "verify", "--api-token", "[redacted]", "--password=[redacted]", "-k", "a-[redacted]-one"),
        *("--token", "--strict"),
    )


# -- what is cleaned, and what is not --------------------------------------------------------------------------------


@pytest.fixture
def clean(tmp_path: Path) -> Callable[[str], str]:
    """Cleans what came from the environment into a descriptor."""
    path = tmp_path / "orders.stack.toml"
    path.write_text(
        'name = "orders"\n[target]\naws = { account = "${ACCOUNT}", region = "${REGION}" }\n'
        '[components]\nqueue = { type = "queue", name = "${QUEUE}" }\n'
        '[commands.order]\ncalls = { kind = "sqs", queue = "queue", json = { id = "{key}", token = "${TOKEN}" } }\n'
        '[effects.done]\nsources = { kind = "sqs-messages", queue = "queue", match = "id" }\n'
        '[patterns.storage-first]\ncommand = "order"\neffect = "done"\n',
        encoding="utf-8",
    )
    environ = {
        "ACCOUNT": "123456789012",
        "REGION": "eu-central-1",
        "QUEUE": "orders-queue-prod",
        "TOKEN": "planted-token-4c",
    }
    return cleaning(load_descriptor(path, environ))


def test_a_place_is_no_secret(clean: Callable[[str], str]) -> None:
    """Account, region and names stay readable wherever they come from; everything else of the environment goes."""
    text = "orders-queue-prod of 123456789012 in eu-central-1 was sent planted-token-4c"
    assert clean(text) == "orders-queue-prod of 123456789012 in eu-central-1 was sent [redacted]"


def test_a_verdict_is_cleaned_through_and_through(clean: Callable[[str], str]) -> None:
    """Reason, evidence, sentences and every text of a witness lose their secrets; keys and figures stay."""
    secret = "planted-token-4c"
    sent = Operation(
        id="op-1",
        key="k-1",
        command="order",
        provocation="p",
        invoked_seconds=1.0,
        completed_seconds=2.0,
        outcome=Outcome.OK,
        body=f'{{"token": "{secret}"}}',
        answer=secret,
        status=secret,
    )
    seen = Observation(
        port="done", key="k-1", count=1, started_seconds=1, completed_seconds=2, bodies=(secret,), values=(secret,)
    )
    verdict = ClauseVerdict(
        id="SF-4",
        family=Family.PERSISTENCE,
        verdict=Verdict.VIOLATED,
        reason=f"because {secret}",
        evidence=(f"replay: curl {secret}",),
        findings=(Finding(title="altered", sentence=secret, key="k-1", witness=(sent, seen)),),
    )
    done = cleaned(verdict, clean)
    assert secret not in repr(done)
    assert done.findings[0].key == "k-1"
    assert repr(done).count("[redacted]") == repr(verdict).count(secret)


def test_errors_are_cleaned_but_the_way_to_heal_by_hand(clean: Callable[[str], str]) -> None:
    """What happened and why is told without secrets; a command that heals a stack must work as it stands."""
    with pytest.raises(PortError) as port, clean_errors(clean):
        raise PortError("sent planted-token-4c", cause="planted-token-4c", remedy="send planted-token-4c")
    assert "planted" not in str(port.value) + repr(port.value)
    with pytest.raises(HealError) as heal, clean_errors(clean):
        raise HealError("left planted-token-4c", remedy="aws sqs --queue-name planted-token-4c")
    assert heal.value.what == "left [redacted]"
    assert heal.value.remedy.endswith("planted-token-4c")
