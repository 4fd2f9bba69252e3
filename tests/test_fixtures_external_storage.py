"""Tests of the External Storage reference stacks: their handlers alone, their templates, and both deployed."""

from __future__ import annotations

import base64
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import requests
from botocore.exceptions import ClientError

from holdfast.stack.descriptor import Descriptor
from holdfast.stack.loading import load_descriptor
from holdfast.targets.cfn_template import check_parameters, read_template
from holdfast.targets.deployment import deploy
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.targets.packaging import package
from holdfast.waiting import eventually
from holdfast_fixtures.catalogue import ReferenceStack, mutants, reference_stacks
from holdfast_fixtures.overlay import Mutant, materialise

STACKS = {stack.name: stack for stack in reference_stacks() if stack.pattern == "external-storage"}
MUTANTS = [(stack, mutant) for stack in STACKS.values() for mutant in mutants(stack)]
CLAUSES = {f"ES-{number}" for number in range(1, 17)} | {"XX-1", "XX-2"}
REQUEST = {"request_id": "r-1", "recipient": "ada", "channel": "email", "note": "höhe 🙂"}
FILE = "reference,run-7\nada,1250\ngrace,300\n"


# -- handlers alone ------------------------------------------------------------------------------------------------


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Any]:
    """Loads a handler module of a stack with fake AWS clients."""
    for name, value in {
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "QUEUE_URL": "queue",
        "STATUS_TABLE": "status",
        "LEDGER_TABLE": "ledger",
        "BUCKET": "uploads-bucket",
        "MAX_RECEIVES": "3",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.dont_write_bytecode", True)

    def load_module(stack: str, name: str) -> ModuleType:
        path = STACKS[stack].directory / "handlers" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"{stack}_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for client in ("sqs", "dynamodb"):
            if hasattr(module, client):
                setattr(module, client, Mock(exceptions=getattr(module, client).exceptions))
        return module

    return load_module


def refusal(client: Any, exception: str, code: str, **extra: Any) -> ClientError:
    """An AWS error as the client raises it."""
    response: Any = {"Error": {"Code": code, "Message": "no"}, **extra}
    error: ClientError = (
        getattr(client.exceptions, exception)(response, "Operation")
        if exception
        else ClientError(response, "Operation")
    )
    return error


def message(body: str, receives: int = 1, identity: str = "m-1") -> dict[str, Any]:
    """One SQS record."""
    return {"messageId": identity, "body": body, "attributes": {"ApproximateReceiveCount": str(receives)}}


def notice(upload_id: str, receives: int = 1) -> dict[str, Any]:
    """One SQS record with an S3 notification."""
    record = {"s3": {"bucket": {"name": "uploads-bucket"}, "object": {"key": upload_id}}}
    return message(json.dumps({"Records": [record]}), receives)


@pytest.mark.parametrize("encoded", [False, True])
def test_ingest_stores_the_exact_body_before_it_acknowledges(load: Callable[[str, str], Any], encoded: bool) -> None:
    """What reaches the queue is the body as it came, to the byte, and the status row comes after it."""
    ingest = load("notifications", "ingest")
    body = json.dumps(REQUEST, indent=3, ensure_ascii=False) + "\n"
    order = Mock()
    order.attach_mock(ingest.sqs.send_message, "send")
    order.attach_mock(ingest.dynamodb.put_item, "put")
    sent = base64.b64encode(body.encode()).decode() if encoded else body
    assert ingest.handler({"body": sent, "isBase64Encoded": encoded}, None)["statusCode"] == 202
    assert [call[0] for call in order.mock_calls] == ["send", "put"]
    assert ingest.sqs.send_message.call_args.kwargs == {"QueueUrl": "queue", "MessageBody": body}


@pytest.mark.parametrize(
    "body",
    [
        None,
        "",
        "{",
        "[]",
        "[" * 50_000,
        *(json.dumps({name: value for name, value in REQUEST.items() if name != left_out}) for left_out in REQUEST),
        *(json.dumps({**REQUEST, name: wrong}) for name in REQUEST for wrong in (7, "", None, {})),
        json.dumps({**REQUEST, "request_id": "x" * 129}),
        json.dumps({**REQUEST, "note": "\ud800"}),
        json.dumps({**REQUEST, "note": "x" * 65_536}),
    ],
)
def test_ingest_refuses_what_is_wrong_and_stores_nothing(load: Callable[[str, str], Any], body: str | None) -> None:
    """A wrong request gets 400, and no call is made for it."""
    ingest = load("notifications", "ingest")
    assert ingest.handler({"body": body}, None)["statusCode"] == 400
    assert not ingest.sqs.mock_calls
    assert not ingest.dynamodb.mock_calls


def test_ingest_refuses_a_body_that_is_not_text(load: Callable[[str, str], Any]) -> None:
    """Bytes that are no UTF-8, and what is no base64, get 400."""
    ingest = load("notifications", "ingest")
    for body in (base64.b64encode(b"\xff\xfe").decode(), "%%%"):
        assert ingest.handler({"body": body, "isBase64Encoded": True}, None)["statusCode"] == 400


@pytest.mark.parametrize(
    ("exception", "code", "status"),
    [
        ("", "AccessDenied", 503),
        ("", "RequestThrottled", 503),
        ("InvalidMessageContents", "InvalidMessageContents", 400),
    ],
)
def test_ingest_acknowledges_nothing_that_the_queue_did_not_take(
    load: Callable[[str, str], Any], exception: str, code: str, status: int
) -> None:
    """An error of the queue is told to the client, and no status row is written."""
    ingest = load("notifications", "ingest")
    ingest.sqs.send_message.side_effect = refusal(ingest.sqs, exception, code)
    assert ingest.handler({"body": json.dumps(REQUEST)}, None)["statusCode"] == status
    assert not ingest.dynamodb.mock_calls


def test_ingest_leaves_a_status_that_is_there(load: Callable[[str, str], Any]) -> None:
    """A second submission is acknowledged too, and does not put a finished request back to accepted."""
    ingest = load("notifications", "ingest")
    ingest.dynamodb.put_item.side_effect = refusal(
        ingest.dynamodb, "ConditionalCheckFailedException", "ConditionalCheckFailedException"
    )
    assert ingest.handler({"body": json.dumps(REQUEST)}, None)["statusCode"] == 202
    assert ingest.dynamodb.put_item.call_args.kwargs["ConditionExpression"] == "attribute_not_exists(request_id)"


def test_one_failing_request_fails_alone(load: Callable[[str, str], Any]) -> None:
    """Of a batch only the messages that failed are reported, and each other one is delivered in one transaction."""
    worker = load("notifications", "worker")
    body, poison = json.dumps(REQUEST, indent=1), json.dumps({**REQUEST, "channel": "carrier-pigeon"})
    records = [message(body, identity="a"), message(poison, identity="b"), message("{", identity="c"), message(body)]
    assert worker.handler({"Records": records}, None) == {
        "batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "c"}]
    }
    assert worker.dynamodb.transact_write_items.call_count == 2
    update, put = worker.dynamodb.transact_write_items.call_args.kwargs["TransactItems"]
    assert update["Update"]["Key"] == {"request_id": {"S": "r-1"}}
    assert put["Put"]["Item"]["body"] == {"S": body}
    assert put["Put"]["Item"]["note"] == {"S": REQUEST["note"]}
    assert not worker.dynamodb.update_item.called


@pytest.mark.parametrize(("receives", "marked"), [(1, False), (2, False), (3, True), (4, True)])
@pytest.mark.parametrize("stack", ["notifications", "payroll"])
def test_failed_is_said_on_the_last_try_only(
    load: Callable[[str, str], Any], stack: str, receives: int, marked: bool
) -> None:
    """The status becomes failed when no delivery is left, never over a done one, and the message still fails."""
    worker = load(stack, "worker")
    if stack == "payroll":
        worker.s3 = stored("reference,x\nada,a-lot\n")
    record = (
        notice("r-1", receives)
        if stack == "payroll"
        else message(json.dumps({**REQUEST, "channel": "carrier-pigeon"}), receives)
    )
    assert worker.handler({"Records": [record]}, None) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
    assert worker.dynamodb.update_item.called is marked
    if marked:
        assert "<> :done" in worker.dynamodb.update_item.call_args.kwargs["ConditionExpression"]
    assert not worker.dynamodb.transact_write_items.called


@pytest.mark.parametrize("stack", ["notifications", "payroll"])
@pytest.mark.parametrize(
    ("reason", "failures"), [("ConditionalCheckFailed", []), ("TransactionConflict", [{"itemIdentifier": "m-1"}])]
)
def test_done_before_is_success_and_a_conflict_is_tried_again(
    load: Callable[[str, str], Any], stack: str, reason: str, failures: list[dict[str, str]]
) -> None:
    """A cancelled transaction is a duplicate only if the condition on the status failed."""
    worker = load(stack, "worker")
    worker.dynamodb.transact_write_items.side_effect = refusal(
        worker.dynamodb,
        "TransactionCanceledException",
        "TransactionCanceledException",
        CancellationReasons=[{"Code": reason}, {"Code": "None"}],
    )
    if stack == "payroll":
        worker.s3 = stored(FILE)
    record = notice("r-1") if stack == "payroll" else message(json.dumps(REQUEST))
    assert worker.handler({"Records": [record]}, None) == {"batchItemFailures": failures}


@pytest.mark.parametrize(("stack", "key"), [("notifications", "request_id"), ("payroll", "upload_id")])
def test_status_is_read_consistently_and_absent_is_404(load: Callable[[str, str], Any], stack: str, key: str) -> None:
    """The status function answers what a consistent read shows, for ids with any characters."""
    status = load(stack, "status")
    event = {"pathParameters": {"id": "a%20b"}}
    status.dynamodb.get_item.return_value = {}
    assert status.handler(event, None)["statusCode"] == 404
    status.dynamodb.get_item.return_value = {"Item": {key: {"S": "a b"}, "state": {"S": "done"}}}
    assert json.loads(status.handler(event, None)["body"]) == {key: "a b", "state": "done"}
    assert status.dynamodb.get_item.call_args.kwargs["Key"] == {key: {"S": "a b"}}
    assert status.dynamodb.get_item.call_args.kwargs["ConsistentRead"] is True


def stored(text: str) -> Any:
    """An S3 client with one object in every place."""
    content = text.encode()
    return SimpleNamespace(
        get_object=lambda **_: {"ContentLength": len(content), "Body": SimpleNamespace(read=lambda: content)}
    )


def test_a_file_is_paid_whole_from_the_stored_object(load: Callable[[str, str], Any]) -> None:
    """The ledger row holds the file byte for byte, its reference and the sum of its lines."""
    worker = load("payroll", "worker")
    worker.s3 = stored(FILE)
    assert worker.handler({"Records": [notice("run%3A7")]}, None) == {"batchItemFailures": []}
    item = worker.dynamodb.transact_write_items.call_args.kwargs["TransactItems"][1]["Put"]["Item"]
    assert item["upload_id"] == {"S": "run:7"}
    assert item["body"] == {"S": FILE}
    assert item["reference"] == {"S": "run-7"}
    assert item["total_cents"] == {"N": "1550"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "reference,a\n",
        "ada,1\n",
        "reference,a\nada\n",
        "reference,a\nada,-1\n",
        "reference,a\n,1\n",
        "reference,a\nada,1\nada,2\n",
        "reference,a\nada,1.5\n",
        "reference,a\nada," + "1" * 262_144,
    ],
)
def test_a_file_that_is_wrong_is_never_paid(load: Callable[[str, str], Any], text: str) -> None:
    """A file with any wrong line fails as a whole, on every delivery."""
    worker = load("payroll", "worker")
    worker.s3 = stored(text)
    assert worker.handler({"Records": [notice("r-1")]}, None)["batchItemFailures"]
    assert not worker.dynamodb.transact_write_items.called


def test_the_test_event_of_s3_is_no_file(load: Callable[[str, str], Any]) -> None:
    """What S3 sends when a notification is configured does no harm and is not retried."""
    worker = load("payroll", "worker")
    body = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads-bucket"})
    assert worker.handler({"Records": [message(body)]}, None) == {"batchItemFailures": []}


def test_a_presigned_url_is_write_once_and_regional(load: Callable[[str, str], Any]) -> None:
    """The URL signs If-None-Match and the content type, and names the bucket's own regional host."""
    answer = load("payroll", "presign").handler({"body": json.dumps({"upload_id": "u-1", "period": "2026-11"})}, None)
    given = json.loads(answer["body"])
    assert given["url"].startswith("https://uploads-bucket.s3.eu-west-1.amazonaws.com/u-1?")
    assert "X-Amz-SignedHeaders=content-type%3Bhost%3Bif-none-match&" in given["url"]
    assert given["headers"] == {"Content-Type": "text/csv", "If-None-Match": "*"}


@pytest.mark.parametrize(
    "request_body",
    [
        "",
        "[]",
        "{",
        '{"upload_id": "a"}',
        '{"upload_id": "a/b", "period": "2026-11"}',
        '{"upload_id": "", "period": "2026-11"}',
        '{"upload_id": 1, "period": "2026-11"}',
        '{"upload_id": "a", "period": "2026-13"}',
        '{"upload_id": "a", "period": 2026}',
        '{"upload_id": "a\\n", "period": "2026-11"}',
    ],
)
def test_no_url_is_given_for_a_wrong_request(load: Callable[[str, str], Any], request_body: str) -> None:
    """Whatever is not an id and a month gets 400."""
    assert load("payroll", "presign").handler({"body": request_body}, None)["statusCode"] == 400


# -- descriptors, templates and mutants ----------------------------------------------------------------------------


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_a_descriptor_claims_its_pattern_and_waives_one_clause(stack: ReferenceStack) -> None:
    """Each stack claims External Storage and waives only what the other one promises."""
    descriptor = load_descriptor(stack.descriptor, {})
    assert list(descriptor.patterns) == ["external-storage"]
    assert set(descriptor.waive) == {"notifications": {"ES-13"}, "payroll": {"ES-10"}}[stack.name]


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_the_defaults_of_a_template_suit_aws(stack: ReferenceStack) -> None:
    """By default visibility is six times the worker's timeout, and functions behind the API end before it does."""
    template = read_template(stack.directory / "template.yaml")
    defaults = {name: declared["Default"] for name, declared in template["Parameters"].items()}
    assert defaults["VisibilitySeconds"] >= 6 * defaults["WorkerTimeoutSeconds"]
    assert template["Globals"]["Function"]["Timeout"] < 29
    assert template["Globals"]["Function"]["Runtime"] == "python3.12"


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_a_template_uses_no_yaml_aliases(stack: ReferenceStack) -> None:
    """CloudFormation does not read aliases ("CloudFormation template format": YAML 1.1 without aliases and merges)."""
    text = (stack.directory / "template.yaml").read_text()
    assert not [line for line in text.splitlines() if ": &" in line or ": *" in line or "<<:" in line]


def test_every_clause_has_a_mutant() -> None:
    """Each clause of the pattern, and each cross-cutting one, has a planted bug that it must catch."""
    assert {mutant.clause for _, mutant in MUTANTS} == CLAUSES


def test_no_mutant_is_to_be_caught_by_a_clause_that_its_stack_waives() -> None:
    """A waived clause catches nothing."""
    waived = {stack.name: load_descriptor(stack.descriptor, {}).waive for stack in STACKS.values()}
    assert not [mutant.path for stack, mutant in MUTANTS if mutant.clause in waived[stack.name]]


@pytest.mark.parametrize(("stack", "mutant"), MUTANTS, ids=[f"{stack.name}-{mutant.name}" for stack, mutant in MUTANTS])
def test_a_mutant_packages_with_the_parameters_of_its_descriptor(
    stack: ReferenceStack, mutant: Mutant, tmp_path: Path
) -> None:
    """Each overlay leaves a template that can be read, packaged and given its parameters, with all its resources."""
    path = materialise(stack.directory, mutant, tmp_path / "copy")
    template = read_template(path.parent / "template.yaml")
    check_parameters(path.parent / "template.yaml", template, parameters(load_descriptor(path, {})))
    packaged = package(path.parent / "template.yaml", "bucket").template
    assert set(packaged["Resources"]) == set(template["Resources"])


# -- deployed ------------------------------------------------------------------------------------------------------


def parameters(descriptor: Descriptor) -> dict[str, str]:
    """The parameters that a descriptor deploys with."""
    assert descriptor.deploy is not None
    return dict(descriptor.deploy.parameters)


class Live:
    """A deployed stack, looked at with plain boto3 and requests."""

    def __init__(self, target: EmbeddedTarget, stack_name: str) -> None:
        described = target.client("cloudformation").describe_stack_resources(StackName=stack_name)
        self.target = target
        self.ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in described["StackResources"]}
        self.url = target.api_url(self.ids["Api"], "live")

    def ledger(self, key: str) -> list[dict[str, Any]]:
        """The effects of a key."""
        name = "request_id" if "RequestsQueue" in self.ids else "upload_id"
        items: list[dict[str, Any]] = self.target.client("dynamodb").query(
            TableName=self.ids["LedgerTable"],
            KeyConditionExpression=f"{name} = :key",
            ExpressionAttributeValues={":key": {"S": key}},
            ConsistentRead=True,
        )["Items"]
        return items

    def await_effect(self, key: str) -> list[dict[str, Any]]:
        """The effects of a key as soon as there are any."""
        waited = eventually(lambda: self.ledger(key), bool, deadline_seconds=20)
        assert waited.met, f"{key} had no effect"
        return waited.value

    def state(self, key: str) -> str:
        """What the stack says about a key."""
        path = "notifications" if "RequestsQueue" in self.ids else "uploads"
        answer = requests.get(f"{self.url}/{path}/{key}", timeout=10)
        return str(answer.json()["state"]) if answer.status_code == 200 else str(answer.status_code)

    def await_settled(self) -> None:
        """Wait until the queue is empty: nothing is waiting and nothing is in flight."""
        queue = self.ids.get("RequestsQueue") or self.ids["NoticesQueue"]

        def depth() -> int:
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            answer = self.target.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)
            return sum(int(value) for value in answer["Attributes"].values())

        assert eventually(depth, lambda waiting: waiting == 0, deadline_seconds=60).met

    def await_dead_letter(self, text: str) -> str:
        """The body of the dead letter with a text in it."""
        queue = self.ids.get("RequestsDlq") or self.ids["NoticesDlq"]

        def look() -> list[str]:
            return [one.body for one in self.target.peek_messages(queue) if text in one.body]

        waited = eventually(look, bool, deadline_seconds=60)
        assert waited.met, f"no dead letter with {text}"
        return waited.value[0]

    def notify(self, key: str, **fields: str) -> tuple[int, str]:
        """POST a notification; its status and the exact body that was sent."""
        body = json.dumps({**REQUEST, "request_id": key, **fields}, indent=1, ensure_ascii=False)
        answer = requests.post(f"{self.url}/notifications", data=body.encode(), timeout=10)
        return answer.status_code, body

    def upload(self, key: str, text: str) -> int:
        """Get a presigned URL and PUT a file to it; the status of the PUT."""
        given = requests.post(f"{self.url}/uploads", json={"upload_id": key, "period": "2026-11"}, timeout=10)
        assert given.status_code == 200, given.text
        document = given.json()
        answer = requests.put(document["url"], data=text.encode(), headers=document["headers"], timeout=10)
        return answer.status_code


@pytest.fixture(scope="module")
def target() -> Iterator[EmbeddedTarget]:
    """One emulator for all tests that deploy."""
    with EmbeddedTarget.start() as started:
        yield started


def deployed(target: EmbeddedTarget, descriptor_path: Path, name: str) -> Any:
    """Deploy a stack with its descriptor's parameters."""
    template = descriptor_path.parent / "template.yaml"
    return deploy(target, template, stack_name=name, parameters=parameters(load_descriptor(descriptor_path, {})))


def denied(live: Live, role: str, action: str) -> Callable[[], Any]:
    """Deny an action to a role; returns what takes the denial away."""
    iam = live.target.client("iam")
    statement = {"Effect": "Deny", "Action": action, "Resource": "*"}
    iam.put_role_policy(
        RoleName=live.ids[role],
        PolicyName="deny",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    return lambda: iam.delete_role_policy(RoleName=live.ids[role], PolicyName="deny")


def test_notifications_deployed(target: EmbeddedTarget) -> None:
    """Once whatever is repeated, refused when it is wrong or cannot be stored, dead-lettered byte for byte."""
    with deployed(target, STACKS["notifications"].descriptor, "es-notifications"):
        live = Live(target, "es-notifications")
        status, poison = live.notify("poison", channel="carrier-pigeon")
        assert (status, live.state("poison")) == (202, "accepted")
        status, body = live.notify("one")
        assert status == 202
        assert live.state("one") in {"accepted", "done"}
        assert live.notify("one")[0] == 202
        assert [row["body"]["S"] for row in live.await_effect("one")] == [body]
        assert live.notify("one", note="another")[0] == 202
        assert live.notify("wrong", channel="")[0] == 400
        heal = denied(live, "IngestRole", "sqs:SendMessage")
        assert (live.notify("denied")[0], live.state("denied")) == (503, "404")
        heal()
        assert live.notify("denied")[0] == 202
        live.await_effect("denied")
        assert live.await_dead_letter('"poison"') == poison
        live.await_settled()
        assert [row["body"]["S"] for row in live.ledger("one")] == [body]
        assert [live.state(key) for key in ("one", "denied", "poison", "wrong")] == ["done", "done", "failed", "404"]
        assert [len(live.ledger(key)) for key in ("denied", "poison", "wrong")] == [1, 0, 0]


def test_payroll_deployed(target: EmbeddedTarget) -> None:
    """Paid once from the stored file, which is never overwritten; dead-lettered with its key, the file still there."""
    with deployed(target, STACKS["payroll"].descriptor, "es-payroll"):
        live = Live(target, "es-payroll")
        bad = "reference,bad\nada,a-lot\n"
        assert live.upload("poison", bad) == 200
        assert live.upload("one", FILE) == 200
        assert [row["body"]["S"] for row in live.await_effect("one")] == [FILE]
        assert live.upload("one", FILE.replace("1250", "9999")) == 412
        heal = denied(live, "PresignRole", "s3:PutObject")
        assert live.upload("denied", FILE) == 403
        heal()
        assert live.upload("denied", FILE) == 200
        live.await_effect("denied")
        letter = json.loads(live.await_dead_letter('"poison"'))
        assert letter["Records"][0]["s3"]["object"]["key"] == "poison"
        live.await_settled()
        assert [row["body"]["S"] for row in live.ledger("one")] == [FILE]
        assert [live.state(key) for key in ("one", "denied", "poison")] == ["done", "done", "failed"]
        s3 = target.client("s3")
        files = {
            key: s3.get_object(Bucket=live.ids["UploadsBucket"], Key=key)["Body"].read().decode()
            for key in ("one", "poison")
        }
        assert files == {"one": FILE, "poison": bad}


@pytest.mark.parametrize(
    ("stack", "name"), [("notifications", "worker-invoked-directly"), ("payroll", "paid-then-recorded")]
)
def test_a_mutant_works_while_nothing_goes_wrong(target: EmbeddedTarget, stack: str, name: str, tmp_path: Path) -> None:
    """A planted bug shows only when something is broken: undisturbed, the mutant takes effect once and says so."""
    mutant = next(one for one in mutants(STACKS[stack]) if one.name == name)
    with deployed(target, materialise(STACKS[stack].directory, mutant, tmp_path / "copy"), f"es-{name}"):
        live = Live(target, f"es-{name}")
        assert (live.upload("one", FILE) if stack == "payroll" else live.notify("one")[0]) in {200, 202}
        live.await_effect("one")
        assert eventually(lambda: live.state("one"), lambda state: state == "done", deadline_seconds=20).met
        assert len(live.ledger("one")) == 1
