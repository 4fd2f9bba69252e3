"""The reverse proxy as a child process, which ends with its parent."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import urllib3

from holdfast.errors import TargetError
from holdfast.extras import install
from holdfast.targets.interceptor_client import InterceptorClient

START_SECONDS = 30.0
_END_SECONDS = 5.0
_LOG_CHARACTERS = 2_000


class ProxyProcess:
    """The interceptor in front of an endpoint, on a free port; use it as a context manager or call :meth:`close`.

    Args:
        endpoint_url: where requests go.
        host: address to listen on.

    Attributes:
        url: where functions are to be pointed at.
        interceptor: its rules and traces.
        process_id: pid of the proxy.

    Raises:
        TargetError: it does not start.
    """

    def __init__(self, endpoint_url: str, *, host: str = "127.0.0.1") -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        command = ["-P", "-m", "holdfast.targets.interceptor.proxy", endpoint_url, "--host", host, "--until-input-ends"]
        self._process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C at a terminal must not end it before its rules are healed
        )
        self.process_id = self._process.pid
        try:
            answer = self._first_line()
            if "url" not in answer:
                raise TargetError(
                    str(answer.get("what", "the interceptor's proxy did not start")),
                    cause=str(answer.get("cause") or self.log()[-_LOG_CHARACTERS:]),
                    remedy=str(answer.get("remedy") or install("proxy")),
                )
        except BaseException:
            self._end()
            raise
        self.url: str = answer["url"]
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        self._http = urllib3.HTTPConnectionPool(
            parts.hostname, parts.port, maxsize=16, timeout=urllib3.Timeout(connect=3, read=30), retries=False
        )
        self.interceptor = InterceptorClient(self._http)

    def log(self) -> str:
        """What it wrote to its log."""
        file = self._log.fileno()
        return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")  # the child shares its position

    def close(self) -> None:
        """End it; may be called again."""
        self._http.close()
        self._end()

    def __enter__(self) -> ProxyProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _first_line(self) -> Mapping[str, Any]:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], START_SECONDS)[0]:
            return {"what": f"the interceptor's proxy did not start within {START_SECONDS:g} s"}
        line = self._process.stdout.readline()
        answer: Mapping[str, Any] = json.loads(line) if line.startswith(b"{") else {}
        return answer

    def _end(self) -> None:
        self._process.kill()
        self._process.wait(timeout=_END_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._log.close()
