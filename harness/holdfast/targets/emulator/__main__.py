"""``python -m holdfast.targets.emulator DIRECTORY``: MiniStack on a free loopback port, with patches and interceptor.

Standard input is the parent's pipe: its end ends this process. One JSON line on standard output says ``{"port":
...}`` when requests are answered, or ``{"what": ..., "cause": ..., "remedy": ...}`` when that cannot be. Standard
error is the log.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from holdfast.errors import TargetError
from holdfast.targets.emulator.guard import start_guard


def _report(stream: int, message: Mapping[str, object]) -> None:
    os.write(stream, json.dumps(message).encode() + b"\n")


def _listen() -> socket.socket:
    """A listening loopback socket; the kernel picks the port, so no two emulators can race for one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    listener.set_inheritable(False)
    return listener


def main() -> None:
    """Run until the parent is gone."""
    directory = Path(sys.argv[1])
    report = os.dup(1)
    os.dup2(2, 1)  # whatever the emulator prints belongs in the log
    start_guard(directory)
    listener = _listen()
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
