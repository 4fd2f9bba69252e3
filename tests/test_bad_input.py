"""Bad input ends in one clear error with cause and remedy, exit 2, and nothing is injected."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from verify_runs import STATIC, Ended, copy_of, journals, substituted, verify

CLOSED = "http://127.0.0.1:9"
"""The discard port, where nothing listens."""

UNINSTALLED = """
import holdfast.suites

every = holdfast.suites.entry_points
holdfast.suites.entry_points = lambda group: [one for one in every(group=group) if one.name != "storage-first"]
"""
QUICK = ("-k", STATIC)


class Wrong(BaseHTTPRequestHandler):
    """Answers by path: a page instead of JSON, an entry for everybody, or an error."""

    def do_GET(self) -> None:
        kind, text, status = {
            "page": ("text/html", "<html>Welcome!</html>", 200),
            "everybody": ("application/json", '[{"note": "somebody else"}]', 200),
            "denied": ("application/json", '{"message": "Forbidden"}', 403),
        }[self.path.split("/")[1]]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@pytest.fixture(scope="module")
def wrong() -> Iterator[str]:
    """Base URL of a server that answers wrongly."""
    server = HTTPServer(("127.0.0.1", 0), Wrong)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def assert_one_clear_error(ended: Ended, cwd: Path, *said: str) -> None:
    """Exit 2, one error with remedy and these texts, no traceback, no fault, no verdict."""
    assert ended.code == 2, ended.text
    for text in said:
        assert ended.text.count(text) == 1, f"{text!r} in\n{ended.text}"
    assert ended.text.count("remedy:") == 1, ended.text
    assert "Traceback" not in ended.text
    assert len(ended.text.splitlines()) <= 16, ended.text
    assert journals(cwd) == []
    assert not list(cwd.rglob("verdict.json"))


@pytest.mark.parametrize(
    ("pattern", "by", "said"),
    [
        (r"\A", "name = = 1\n", ("webhooks.stack.toml is not TOML.", "(at line 1, column 8)")),
        (r"effect_seconds", "efect_seconds", ("bounds.efect_seconds cannot be used.", "did you mean effect_seconds?")),
        (r'effect = "entered"', 'effect = "entred"', ("patterns.storage-first.effect", "did you mean entered?")),
        (
            r'name = "webhook-orders"',
            'name = "${NO_SUCH_VARIABLE}"',
            ("the environment variable NO_SUCH_VARIABLE is not set",),
        ),
    ],
    ids=["syntax", "unknown-key", "unknown-port", "no-variable"],
)
def test_a_wrong_descriptor(pattern: str, by: str, said: tuple[str, ...], tmp_path: Path) -> None:
    """A mistake in the file is told with its place and what would be right; no target is opened."""
    descriptor = copy_of("webhooks", tmp_path / "stack", edit=substituted(pattern, by))
    assert_one_clear_error(verify(descriptor, cwd=tmp_path), tmp_path, *said)


def test_a_pattern_without_a_suite(tmp_path: Path) -> None:
    """A claimed pattern whose suite is not installed is told with those that are."""
    descriptor = copy_of("webhooks", tmp_path / "stack", conftest=UNINSTALLED)
    assert_one_clear_error(
        verify(descriptor, cwd=tmp_path),
        tmp_path,
        "claims storage-first, and this version has no suite for it",
        "installed suites: cqrs, external-storage, saga, sidecar",
    )


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that is not there is told with the folder it was looked for in."""
    assert_one_clear_error(
        verify("orders.stack.toml", cwd=tmp_path),
        tmp_path,
        "There is no file orders.stack.toml.",
        f"it was looked for from {tmp_path}",
    )


def test_a_file_that_cannot_be_read_as_text(tmp_path: Path) -> None:
    """A descriptor that is no text is one error, too."""
    (tmp_path / "orders.stack.toml").write_bytes(b"\xff\xfe\x00")
    assert_one_clear_error(verify("orders.stack.toml", cwd=tmp_path), tmp_path, "is not UTF-8 text")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--target", "localstack"), ("LocalStack does not answer at http://127.0.0.1:9", "Connection refused")),
        (("--target", "aws"), ("does not pin an AWS account and region",)),
        (("--target", "aws", "--allow-aws"), ("does not pin an AWS account and region",)),
    ],
    ids=["localstack-closed", "aws-no-pin", "aws-allowed-no-pin"],
)
def test_a_target_that_cannot_be_used(options: tuple[str, ...], said: tuple[str, ...], tmp_path: Path) -> None:
    """An endpoint that does not answer, and AWS without its pin, stop the run before anything is touched."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    ended = verify(descriptor, *options, *QUICK, cwd=tmp_path, LOCALSTACK_ENDPOINT=CLOSED)
    assert_one_clear_error(ended, tmp_path, *said)


def test_aws_needs_its_opt_in(tmp_path: Path) -> None:
    """A pinned account is not enough: without --allow-aws nothing runs, and the option is named."""
    pin = '[target.aws]\naccount = "123456789012"\nregion = "eu-west-1"\n\n[deploy]\n'
    descriptor = copy_of("webhooks", tmp_path / "stack", edit=substituted(r"\[deploy\]\n", pin))
    ended = verify(descriptor, "--target", "aws", *QUICK, cwd=tmp_path)
    assert_one_clear_error(ended, tmp_path, "--allow-aws")


DENIED = """
from botocore.client import BaseClient
from botocore.exceptions import ClientError

call = BaseClient._make_api_call

def denied(self, operation, parameters):
    if operation == "DescribeTable":
        message = "User: tester is not authorized to perform: dynamodb:DescribeTable"
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}}, operation)
    return call(self, operation, parameters)

BaseClient._make_api_call = denied
"""


def test_a_missing_permission(tmp_path: Path) -> None:
    """A read that AWS denies is told with the action to allow and the component it is needed for."""
    descriptor = copy_of("webhooks", tmp_path / "stack", conftest=DENIED)
    ended = verify(descriptor, *QUICK, cwd=tmp_path)
    assert_one_clear_error(ended, tmp_path, "not authorized to perform: dynamodb:DescribeTable", "component ledger")


@pytest.mark.parametrize(
    ("pattern", "by", "said"),
    [
        ('logical_id = "LedgerTable"', 'logical_id = "LedgrTable"', ("ledger is missing", "did you mean LedgerTable?")),
        ('template = "template.yaml"', 'template = "templat.yaml"', ("templat.yaml",)),
        (
            'MaxReceives = "3"',
            'MaxReceive = "3"',
            ("Parameters.MaxReceive does not exist", "the template has: MaxReceives,"),
        ),
    ],
    ids=["logical-id", "template", "parameter"],
)
def test_a_stack_that_is_not_what_the_descriptor_says(
    pattern: str, by: str, said: tuple[str, ...], tmp_path: Path
) -> None:
    """Missing resources, templates and parameters are named, with what would fit."""
    descriptor = copy_of("webhooks", tmp_path / "stack", edit=substituted(pattern, by))
    assert_one_clear_error(verify(descriptor, *QUICK, cwd=tmp_path), tmp_path, *said)


def test_a_template_that_cannot_be_deployed(tmp_path: Path) -> None:
    """A template that is no template is one error that names it."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    (tmp_path / "stack" / "template.yaml").write_text("Resources: [\n", encoding="utf-8")
    assert_one_clear_error(verify(descriptor, *QUICK, cwd=tmp_path), tmp_path, "template.yaml")


STATUS = r"(\[statuses\.request\]\nsource = \{ kind = \"http\", )[^\n]*"
SOURCE = r"(sources = \[\n  \{) [^\n]*\n"
CALL = r'api = "api"\npath = "/orders"'


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("page", ("status request: GET", "answers no JSON", "text/html: '<html>Welcome!</html>'")),
        ("denied", ("status request: GET", "answers 403")),
    ],
)
def test_a_status_that_answers_garbage(path: str, said: tuple[str, ...], wrong: str, tmp_path: Path) -> None:
    """A status endpoint that answers a page or an error is told with what it answered."""
    descriptor = copy_of(
        "notifications", tmp_path / "stack", edit=substituted(STATUS, rf'\1url = "{wrong}/{path}/{{key}}" }}')
    )
    assert_one_clear_error(verify(descriptor, *QUICK, cwd=tmp_path), tmp_path, *said)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("page", ("effect entered: GET", "answers no JSON")),
        ("everybody", ("effect entered already counts 1 for a key never used",)),
    ],
)
def test_an_effect_that_shows_what_it_must_not(path: str, said: tuple[str, ...], wrong: str, tmp_path: Path) -> None:
    """An effect port that answers garbage, or the same for every key, would judge wrongly and is refused."""
    source = rf'\1 kind = "http", url = "{wrong}/{path}/{{key}}", value = "note" }},\n'
    descriptor = copy_of("webhooks", tmp_path / "stack", edit=substituted(SOURCE, source))
    assert_one_clear_error(verify(descriptor, *QUICK, cwd=tmp_path), tmp_path, *said)


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (f'url = "{CLOSED}/orders"', ("command place_order: call 1: 127.0.0.1:9 cannot be reached",)),
        ('url = "orders.example"', ("command place_order: call 1 has no usable URL", "it renders to 'orders.example'")),
        ('api = "dlq"\npath = "/orders"', ("commands.place_order",)),
    ],
    ids=["closed", "no-url", "no-api"],
)
def test_a_command_that_cannot_be_sent(by: str, said: tuple[str, ...], tmp_path: Path) -> None:
    """A command with nobody to take it is found out without sending it."""
    descriptor = copy_of("webhooks", tmp_path / "stack", edit=substituted(CALL, by))
    assert_one_clear_error(verify(descriptor, *QUICK, cwd=tmp_path), tmp_path, *said)


@pytest.mark.parametrize(
    ("pattern", "by", "said"),
    [
        ("effect_seconds", "efect_seconds", "did you mean effect_seconds?"),
        ('"LedgerTable"', '"LedgrTable"', "did you mean LedgerTable?"),
    ],
    ids=["descriptor", "resource"],
)
def test_a_broken_stack_does_not_keep_others_from_being_verified(
    pattern: str, by: str, said: str, tmp_path: Path
) -> None:
    """Of two stacks the broken one is told, the other one is verified and in the scorecard, and the exit code is 2."""
    broken = copy_of("webhooks", tmp_path / "broken", edit=substituted(pattern, by))
    good = copy_of("notifications", tmp_path / "good")
    ended = verify(broken, good, *QUICK, cwd=tmp_path)
    assert ended.code == 2, ended.text
    assert ended.text.count(said) == 1
    assert ended.out.count("notifications on embedded: 2 holds") == 1
    assert (tmp_path / ".holdfast" / "notifications" / "verdict.json").exists()
    assert not (tmp_path / ".holdfast" / "webhook-orders").exists()
    assert "Traceback" not in ended.text
    assert journals(tmp_path) == []
