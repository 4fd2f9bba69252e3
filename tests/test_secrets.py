"""Secrets that a run is given never reach a file that it leaves or anything that it prints."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_plus

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


MARKED = {
    "card": 'planted "cärd"/4929 8d10',
    "ssn": "planted-ssn-078-05-1120",
    "pin": "planted-pin-5c77",
}
"""Values of fields that the descriptor marks; `pin` is a generated field, sent under another name."""

IN_THE_TEMPLATE = {
    "queue policy": "planted-agent-of-the-queue-61bd",
    "table policy": "planted-agent-of-the-table-93ce",
    "bucket policy": "planted-agent-of-the-bucket-0d55",
    "function": "planted-variable-of-the-function-a7f2",
}
"""What a template holds and nobody is told that it is secret: policies and the environment of a function."""

MARKS = 'secret_fields = ["card", "customer.ssn", "secret_pin", "note"]\n'
MARKED_CALL = f"{{ card = '''{MARKED['card']}''', customer = {{ ssn = \"{MARKED['ssn']}\" }}, secret_pin = \"{{pin}}\","
VALUE = re.compile(r"v-[0-9a-z]+-?[0-9A-Za-z_.-]*-[0-9a-f]{8}")
"""The unique value of a command, which goes to the marked field `note`."""

POLICIES = f"""\
  RequestsQueuePolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref RequestsQueue]
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Sid: Theirs
            Effect: Deny
            Principal: "*"
            Action: sqs:PurgeQueue
            Resource: !GetAtt RequestsQueue.Arn
            Condition: {{ StringEquals: {{ "aws:UserAgent": {IN_THE_TEMPLATE["queue policy"]} }} }}

  Attachments:
    Type: AWS::S3::Bucket

  AttachmentsPolicy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: !Ref Attachments
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Sid: Theirs
            Effect: Deny
            Principal: "*"
            Action: s3:DeleteBucket
            Resource: !GetAtt Attachments.Arn
            Condition: {{ StringEquals: {{ "aws:UserAgent": {IN_THE_TEMPLATE["bucket policy"]} }} }}

"""

FAULTS = """\
[[fault]]
lever = "queue-deny"
component = "queue"
at = 1
for = 1

[[fault]]
lever = "bucket-deny"
component = "attachments"
at = 1
for = 1
"""

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


def telltale(folder: Path) -> Path:
    """The same with marked fields, and with secrets in its template that the descriptor does not know of."""
    descriptor = talkative(folder, "acknowledged-before-stored")
    _replace(
        descriptor,
        ('tenant = "${PLANTED_BODY}",', f'tenant = "${{PLANTED_BODY}}", {MARKED_CALL[2:]}'),
        ("fields.channel = {", f'fields.pin = {{ type = "enum", values = ["{MARKED["pin"]}"] }}\nfields.channel = {{'),
        ("[deploy]\n", f"{MARKS}[deploy]\n"),
        ("ingest = {", 'attachments = { type = "bucket", logical_id = "Attachments" }\ningest = {'),
    )
    _replace(
        folder / "template.yaml",
        ("  RequestsDlq:\n", f"{POLICIES}  RequestsDlq:\n"),
        ("          MAX_RECEIVES:", f"          LICENCE: {IN_THE_TEMPLATE['function']}\n          MAX_RECEIVES:"),
        (
            "  LedgerTable:\n    Type: AWS::DynamoDB::Table\n    Properties:\n",
            "  LedgerTable:\n    Type: AWS::DynamoDB::Table\n    Properties:\n"
            '      ResourcePolicy: { PolicyDocument: { Version: "2012-10-17", Statement: [{ Sid: Theirs, Effect: Deny, '
            'Principal: "*", Action: "dynamodb:DeleteTable", Resource: "*", Condition: { StringEquals: '
            f'{{ "aws:UserAgent": {IN_THE_TEMPLATE["table policy"]} }} }} }}] }} }}\n',
        ),
    )
    (folder / "faults.toml").write_text(FAULTS, encoding="utf-8")
    return descriptor


def guises(value: str) -> set[str]:
    """A value as it may stand in a file: plain, as JSON writes it, in a URL, in base64 alone or within something."""
    data = value.encode()
    inside = {base64.b64encode(bytes(ahead) + data + bytes(3))[4:-8].decode() for ahead in range(3)}
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], ascii(value)[1:-1]}
    encoded = {quote(value), quote(value, safe=""), quote_plus(value), html.escape(value)}
    return {value, base64.b64encode(data).decode().rstrip("="), *inside, *escaped, *encoded}


def traces(folder: Path, known: set[Path], *runs: Ended) -> list[tuple[str, str]]:
    """Each planted value with each place where it stands in any guise; files that were there before are left out."""
    places = {f"output {at}": run.text for at, run in enumerate(runs)}
    files = [path for path in folder.rglob("*") if path.is_file() and path not in known and path.suffix != ".pyc"]
    places |= {str(path.relative_to(folder)): path.read_bytes().decode("utf-8", "replace") for path in files}
    planted = {**PLANTED, **MARKED, **IN_THE_TEMPLATE}
    found = [
        (name, place)
        for place, text in places.items()
        for name, value in planted.items()
        if any(one in text for one in guises(value))
    ]
    return found + [(value, place) for place, text in places.items() for value in VALUE.findall(text)]


def _replace(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")


def test_whatever_is_done_with_a_stack_keeps_its_secrets(tmp_path: Path) -> None:
    """No command prints or writes what is secret in environment, headers, marked fields, policies or functions."""
    descriptor = telltale(tmp_path / "stack")
    known = set(tmp_path.rglob("*"))
    run = partial(holdfast, cwd=tmp_path, **PLANTED)
    looked = [
        run("doctor", descriptor),
        run("doctor", "--iam", descriptor),
        run("verify", descriptor, "--dry-run"),
        run("init", "--template", "stack/template.yaml", "--parameter", "Planted=none", "--no-doctor"),
    ]
    verified = run(
        *("verify", descriptor, "-k", "ES-11 or ES-16", "-v", "--junitxml=junit.xml", "--alluredir=allure"),
        GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"),
    )
    files = [part for kind in ("junit", "markdown", "svg") for part in (f"--{kind}", f"run.{kind}")]
    reported = run("report", Path(".holdfast") / "notifications", "--trend", *files)
    swept = run("sweep", descriptor, "-k", "ingest SendMessage", "--pairs", "0", "--budget-seconds", "30")
    loaded = run("load", descriptor, "--rate", "5", "-t", "4s", "--faults", "stack/faults.toml")

    assert {one.code for one in (*looked, reported)} == {ExitCode.HELD}, [one.text for one in looked]
    assert verified.code == ExitCode.VIOLATED, verified.text
    (folder,) = (tmp_path / ".holdfast" / "notifications" / "runs").glob("*-verify")
    document = (folder / "verdict.json").read_text(encoding="utf-8")
    assert any(clause["findings"] for clause in json.loads(document)["clauses"]), "a counterexample was to be written"
    assert "[redacted " in verified.text, "what was sent in a marked field was to be shown by its fingerprint"
    assert swept.code in {ExitCode.HELD, ExitCode.VIOLATED}, swept.text
    assert loaded.code in {ExitCode.HELD, ExitCode.VIOLATED, ExitCode.INCONCLUSIVE}, loaded.text
    journal = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / ".holdfast/journal").glob("*.healed"))
    assert "queue-deny" in journal
    assert "bucket-deny" in journal
    assert list((tmp_path / "allure").iterdir())
    assert {path.name.rpartition("-")[2] for path in (tmp_path / ".holdfast/notifications/runs").iterdir()} == {
        *("verify", "sweep", "load")
    }
    assert traces(tmp_path, known, *looked, verified, reported, swept, loaded) == []


def test_a_payload_to_replay_keeps_its_secrets(tmp_path: Path) -> None:
    """The command that replays an altered payload is shown without the secrets that its body carries."""
    edit = substituted(r"json = \{ order_id", 'json = { tenant = "${PLANTED_BODY}", order_id')
    descriptor = copy_of("webhooks", tmp_path / "stack", mutant="shortened-original", edit=edit)
    known = set(tmp_path.rglob("*"))
    ended = verify(descriptor, "-k", "SF-4", cwd=tmp_path, **PLANTED)
    assert ended.code == ExitCode.VIOLATED, ended.text
    assert "replay: curl" in ended.out
    assert [name for name, _ in traces(tmp_path, known, ended) if name in PLANTED] == []


@pytest.mark.parametrize("value", [MARKED["card"], PLANTED["PLANTED_BODY"]])
@pytest.mark.parametrize(
    "guise",
    [
        str,
        quote,
        quote_plus,
        json.dumps,
        lambda value: base64.b64encode(value.encode()).decode(),
        lambda value: base64.b64encode(f"xx{value}yy".encode()).decode(),
    ],
)
def test_the_search_finds_a_leak(tmp_path: Path, guise: Callable[[str], str], value: str) -> None:
    """A planted value in a file or in the output is found, wherever it stands and however it is written."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log").write_bytes(b"\xff" + guise(value).encode() + b"\x00")
    said = Ended(0, "", f"token={PLANTED['AWS_SESSION_TOKEN']} v-k3f9a-b0-1-0a1b2c3d")
    assert {place for _, place in traces(tmp_path, set(), said)} == {"output 0", "deep/log"}
    assert len(traces(tmp_path, set(), said)) == 3


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
        "[commands.order]\n"
        'calls = { kind = "sqs", queue = "queue", json = { id = "{key}", token = "${TOKEN}", kind = "${KIND}" } }\n'
        '[effects.done]\nsources = { kind = "sqs-messages", queue = "queue", match = "id" }\n'
        '[patterns.storage-first]\ncommand = "order"\neffect = "done"\n',
        encoding="utf-8",
    )
    environ = {
        "ACCOUNT": "123456789012",
        "REGION": "eu-central-1",
        "QUEUE": "orders-queue-prod",
        "TOKEN": "planted-token-4c",
        "KIND": "order",
    }
    return cleaning(load_descriptor(path, environ))


def test_a_place_is_no_secret(clean: Callable[[str], str]) -> None:
    """Account, region and names stay readable wherever they come from; everything else of the environment goes."""
    text = "orders-queue-prod of 123456789012 in eu-central-1 was sent planted-token-4c"
    assert clean(text) == "orders-queue-prod of 123456789012 in eu-central-1 was sent [redacted]"


def test_a_name_in_the_descriptor_is_no_secret(clean: Callable[[str], str]) -> None:
    """A value that reads as the name of a command, a port or a component tells nothing, and findings speak by names."""
    assert clean("the command order, sent planted-token-4c") == "the command order, sent [redacted]"


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
