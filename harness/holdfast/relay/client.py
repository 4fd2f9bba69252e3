"""The relay in a process of its own: started, asked, ended."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from holdfast.errors import TargetError
from holdfast.relay.model import ChannelRule, RelayedChannel

START_SECONDS = 30.0
ANSWER_SECONDS = 10.0
_END_SECONDS = 5.0


class RelayProcess:
    """A relay of several channels. It ends with its standard input, and so with whoever started it.

    Args:
        channels: where it listens, and where each leads to.
        log: file for its standard error.
        variables: further variables of its environment.

    Attributes:
        process_id: its process.

    Raises:
        TargetError: it does not start, or cannot listen.
    """

    def __init__(self, channels: Sequence[RelayedChannel], *, log: Path, variables: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "holdfast.relay.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **variables},
                start_new_session=True,  # Ctrl-C at a terminal must not end it before the run does
            )
        self.process_id = self._process.pid
        try:
            self._ask({"listen": [asdict(channel) for channel in channels]}, seconds=START_SECONDS)
        except BaseException:
            self.close()
            raise

    def add(self, rule: ChannelRule) -> None:
        """Put a rule in force."""
        self._ask({"add": asdict(rule)})

    def remove(self, rule_id: str) -> None:
        """Take a rule out; unknown ids are ignored."""
        self._ask({"remove": rule_id})

    def rules(self) -> tuple[ChannelRule, ...]:
        """The rules in force."""
        return tuple(ChannelRule(**told) for told in self._ask({"rules": ""}))

    def hits(self, rule_id: str) -> int:
        """How often a rule has hit so far, also after it was removed."""
        return int(self._ask({"hits": rule_id}))

    def close(self) -> None:
        """End it; may be called again."""
        self._process.kill()
        self._process.wait(timeout=_END_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _ask(self, question: Mapping[str, Any], *, seconds: float = ANSWER_SECONDS) -> Any:
        """Send one line and read one.

        Raises:
            TargetError: it has ended, does not answer, or refuses.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with self._lock:
            try:
                stdin.write(json.dumps(question).encode() + b"\n")
                stdin.flush()
                line = stdout.readline() if select.select([stdout], [], [], seconds)[0] else b""
            except (OSError, ValueError) as error:
                raise TargetError("the relay has ended", cause=str(error) or self._said()) from error
        if not line:
            raise TargetError("the relay does not answer", cause=self._said())
        answer = json.loads(line)
        if "error" in answer:
            raise TargetError(
                str(answer["error"]), cause=str(answer.get("cause", "")), remedy=str(answer.get("remedy", ""))
            )
        return answer["answer"]

    def _said(self) -> str:
        try:
            return self._log.read_text(errors="replace")[-2_000:]
        except OSError:
            return ""
