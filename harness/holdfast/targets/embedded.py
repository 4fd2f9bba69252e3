"""The embedded target: an emulator that Holdfast starts itself, without Docker, and that dies with it."""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import urllib3

import holdfast
from holdfast.errors import TargetError
from holdfast.extras import install
from holdfast.targets import capabilities
from holdfast.targets.base import Capability, Interceptor, PeekedMessage, Support
from holdfast.targets.clients import OWN, Clients, Credentials, Hook, isolated_session
from holdfast.targets.emulator.guard import clean
from holdfast.targets.interceptor_client import InterceptorClient

MINISTACK_VERSION = "1.5.33"
ACCOUNT = "123456789012"
_INSTALL = install("embedded")
_CLOSE_SECONDS = 5.0
_LOG_LINES = 15


class EmbeddedTarget:
    """MiniStack in a child process on a free loopback port; use it as a context manager or call :meth:`close`.

    Attributes:
        process_id: pid of the emulator.
        directory: everything the emulator and its functions write; removed at the end.
    """

    kind = "embedded"

    def __init__(self, process: subprocess.Popen[bytes], directory: Path, port: int, region: str) -> None:
        self._process = process
        self.process_id = process.pid
        self.directory = directory
        self.account = ACCOUNT
        self.region = region
        self.endpoint_url: str | None = f"http://127.0.0.1:{port}"
        # a 12-digit access key is the root user of that account, whose signature MiniStack checks for S3 only
        self._credentials = Credentials(ACCOUNT, "test")
        self._clients = Clients(isolated_session(region, self._credentials), self.endpoint_url)
        self._http = urllib3.HTTPConnectionPool(
            "127.0.0.1",
            port,
            maxsize=16,
            timeout=urllib3.Timeout(connect=3, read=30),
            retries=False,
            headers={"user-agent": OWN},  # without it the emulator would look for the function that made the request
        )
        self.interceptor: Interceptor | None = InterceptorClient(self._http)
        self.interceptor_url: str | None = None

    @classmethod
    def start(cls, *, region: str = "eu-west-1", auth: bool = True, startup_seconds: float = 30.0) -> EmbeddedTarget:
        """Start an emulator of its own and wait until it answers.

        Args:
            region: the region its resources are in.
            auth: whether IAM and queue policies are enforced.
            startup_seconds: how long it may take, in seconds.

        Raises:
            TargetError: the extra is missing, or the emulator does not start.
        """
        _check_installed()
        directory = Path(tempfile.mkdtemp(prefix="holdfast-embedded-"))
        log = directory / "emulator.log"
        try:
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "holdfast.targets.emulator", str(directory)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    cwd=directory,
                    env=_environment(directory, region=region, auth=auth),
                    start_new_session=True,
                )
        except OSError as error:
            clean(directory)
            raise TargetError("the embedded emulator cannot be started", cause=str(error), remedy=_INSTALL) from error
        try:
            answer = _first_answer(process, startup_seconds)
            if "port" not in answer:
                raise TargetError(
                    str(answer.get("what") or "the embedded emulator did not start"),
                    cause=str(answer.get("cause") or _tail(log)),
                    remedy=str(answer.get("remedy") or "see the cause; a larger startup_seconds helps a slow machine"),
                )
            return cls(process, directory, int(answer["port"]), region)
        except BaseException:
            _end(process, directory)
            raise

    def client(self, service: str) -> Any:
        """A boto3 client of the account's root user."""
        return self._clients.get(service)

    def clients(self, hook: Hook) -> Clients:
        """Further clients that ask before every call."""
        return self._clients.hooked(hook)

    def credentials(self) -> tuple[str, str, str | None]:
        """Access key, secret key and no session token."""
        return self._credentials.access_key, self._credentials.secret_key, self._credentials.session_token

    def api_url(self, api_id: str, stage: str) -> str:
        """Base URL of a REST or HTTP API, through the endpoint."""
        return f"{self.endpoint_url}/_aws/execute-api/{api_id}/{stage}"

    def function_url(self, url: str) -> tuple[str, Mapping[str, str]]:
        """The endpoint with the path of a function URL, and the Host header that names the function."""
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        return f"{self.endpoint_url}{parts.path or '/'}{query}", {"Host": parts.netloc}

    def supports(self, capability: Capability) -> Support:
        """Whether the emulator has a capability, as its probes have shown."""
        return capabilities.EMBEDDED[capability]

    def peek_messages(self, queue_url: str) -> tuple[PeekedMessage, ...]:
        """Every message of a queue, oldest first, none received."""
        return peeked(self._get("/_ministack/sqs/messages", {"QueueUrl": queue_url, "region": self.region}))

    def close(self) -> None:
        """End the emulator and its functions, and remove what they wrote."""
        self._clients.close()
        self._http.close()
        _end(self._process, self.directory)

    def _get(self, path: str, fields: Mapping[str, str]) -> Any:
        try:
            answer = self._http.request("GET", path, fields=dict(fields))
            if answer.status != 200:
                raise TargetError(
                    f"the embedded emulator answered {answer.status} to {path}", cause=answer.data.decode()
                )
            return answer.json()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise TargetError(
                "the embedded emulator does not answer", cause=f"{error}\n{_tail(self.directory / 'emulator.log')}"
            ) from error

    def __enter__(self) -> EmbeddedTarget:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def peeked(answer: Any) -> tuple[PeekedMessage, ...]:
    """The messages in an answer of MiniStack's peek endpoint."""
    return tuple(
        PeekedMessage(
            id=message["MessageId"],
            body=message["Body"],
            attributes={name: _attribute_text(value) for name, value in message["MessageAttributes"].items()},
            visible=message["IsVisible"],
            receive_count=message["ReceiveCount"],
        )
        for regions in answer["messages"].values()
        for queues in regions.values()
        for messages in queues.values()
        for message in messages
    )


def _attribute_text(value: Mapping[str, Any]) -> str:
    if "StringValue" in value:
        return str(value["StringValue"])
    binary = value.get("BinaryValue", "")
    return base64.b64encode(binary).decode() if isinstance(binary, bytes) else str(binary)


def _check_installed() -> None:
    """Raise unless exactly the emulator that the patches know is installed."""
    try:
        found = metadata.version("ministack")
        metadata.version("hypercorn")
        metadata.version("psutil")
    except metadata.PackageNotFoundError as error:
        raise TargetError(
            "the embedded target is not installed", cause=f"no package {error.name}", remedy=_INSTALL
        ) from error
    if found != MINISTACK_VERSION:
        raise TargetError(
            f"the embedded target needs MiniStack {MINISTACK_VERSION}, found {found}",
            cause="its patches replace code of exactly that version",
            remedy=_INSTALL,
        )


def _environment(directory: Path, *, region: str, auth: bool) -> dict[str, str]:
    """What the emulator sees: nothing of the user's AWS settings, proxies or secrets."""
    temporary = directory / "tmp"
    temporary.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    if site.ENABLE_USER_SITE:
        kept["PYTHONUSERBASE"] = site.getuserbase()
    return {
        **kept,
        "HOME": str(directory),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUTF8": "1",
        "PYTHONPATH": str(Path(holdfast.__file__).parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AUTH": "true" if auth else "false",
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": region,
        "LOG_LEVEL": "WARNING",
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.5",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "S3_DATA_DIR": str(directory / "s3"),
        "STATE_DIR": str(directory / "state"),
    }


def _first_answer(process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    """The line that the child reports; empty when it dies or is too slow."""
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return {"what": f"the embedded emulator did not start within {seconds:g} s"}
        piece = os.read(process.stdout.fileno(), 65536)
        if not piece:
            return {}
        line += piece
    answer: dict[str, Any] = json.loads(line)
    return answer


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "it left no log"
    return "\n".join(lines[-_LOG_LINES:]) or "its log is empty"


def _end(process: subprocess.Popen[bytes], directory: Path) -> None:
    """Kill the emulator's process group and wait until its guard has cleaned; may be called again."""
    if process.returncode is None:  # not yet waited for, so the id is still its own
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.stdin and not process.stdin.closed:
        process.stdin.close()
    process.wait(timeout=_CLOSE_SECONDS)
    if process.stdout and not process.stdout.closed:
        # the guard holds the other end until it has removed the directory
        deadline = time.monotonic() + _CLOSE_SECONDS
        while select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            if not os.read(process.stdout.fileno(), 65536):
                break
        process.stdout.close()
    clean(directory)
