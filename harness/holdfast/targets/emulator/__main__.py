"""``python -m holdfast.targets.emulator DIRECTORY``: MiniStack on a free loopback port, with patches and interceptor.

Standard input is the parent's pipe: its end ends this process. One JSON line on standard output says ``{"port":
...}`` when requests are answered, or ``{"what": ..., "cause": ..., "remedy": ...}`` when that cannot be. Standard
error is the log.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from holdfast.errors import TargetError
from holdfast.targets.emulator.guard import start_guard
from holdfast.targets.interceptor.sockets import listening


def _report(stream: int, message: Mapping[str, object]) -> None:
    os.write(stream, json.dumps(message).encode() + b"\n")


def main() -> None:
    """Run until the parent is gone."""
    directory = Path(sys.argv[1])
    report = os.dup(1)
    os.dup2(2, 1)  # whatever the emulator prints belongs in the log
    start_guard(directory)
    listener = listening("127.0.0.1")
    port = listener.getsockname()[1]
    os.environ["GATEWAY_PORT"] = str(port)
    try:
        # MiniStack reads the port from its environment while it is imported
        from holdfast.targets.emulator.server import serve

        serve(listener, lambda: _report(report, {"port": port}))
    except TargetError as error:
        _report(report, {"what": error.what, "cause": error.cause, "remedy": error.remedy})
        sys.exit(1)


if __name__ == "__main__":
    main()
