"""``python -m holdfast.targets.interceptor.proxy ENDPOINT``: the interceptor in front of an endpoint that runs already.

Functions are pointed at it by ``AWS_ENDPOINT_URL`` (see ``holdfast.levers.pointing``). One JSON line on standard output
says ``{"url": ...}`` when requests are answered, or ``{"what": ..., "cause": ..., "remedy": ...}`` when that cannot be.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from urllib.parse import urlsplit

from holdfast.errors import TargetError
from holdfast.targets.interceptor.connections import LoopbackCallers
from holdfast.targets.interceptor.control import Control
from holdfast.targets.interceptor.failing import Failing
from holdfast.targets.interceptor.forwarding import Forwarding
from holdfast.targets.interceptor.middleware import Interceptor
from holdfast.targets.interceptor.rules import RuleBook
from holdfast.targets.interceptor.sockets import listening
from holdfast.targets.interceptor.tracing import Tracer
from holdfast.targets.interceptor.uvicorn_server import serve


def application(endpoint_url: str) -> Failing:
    """The interceptor around a reverse proxy to an endpoint."""
    rules, tracer = RuleBook(), Tracer()
    callers = LoopbackCallers(rules, tracer)
    return Failing(Control(Interceptor(Forwarding(endpoint_url), rules, tracer, callers), rules, tracer))


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the process is ended, or its standard input is, where that is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m holdfast.targets.interceptor.proxy", description="Aimed faults in front of an AWS endpoint."
    )
    parser.add_argument("endpoint", help="where requests go, e.g. http://127.0.0.1:4566")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--until-input-ends", action="store_true", help="end when standard input does")
    given = parser.parse_args(arguments)
    parts = urlsplit(given.endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        error = TargetError(f"{given.endpoint!r} is no endpoint", remedy="write it as http://127.0.0.1:4566")
        return _failed(error)
    try:
        listener = listening(given.host, given.port)
    except OSError as error:
        where = f"{given.host}:{given.port}"
        return _failed(
            TargetError(f"the interceptor cannot listen on {where}", cause=str(error), remedy="choose another port")
        )
    if given.until_input_ends:
        threading.Thread(target=_end_with_input, daemon=True).start()
    host = f"[{given.host}]" if ":" in given.host else given.host
    url = f"http://{host}:{listener.getsockname()[1]}"
    serve(application(given.endpoint), listener, lambda: _say({"url": url}))
    return 0


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGKILL)  # nothing to save, and connections may be held by delays


def _failed(error: TargetError) -> int:
    _say({"what": error.what, "cause": error.cause, "remedy": error.remedy})
    return int(error.exit_code)


def _say(message: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
