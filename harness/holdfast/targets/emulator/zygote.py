"""A process that has imported what every Python function imports, and forks itself for each new execution environment.

A cold start costs half a second of processor time, nearly all of it for importing boto3 and reading its models, and a
verification kills functions all the time. Forking from a process that has done so already costs a few milliseconds.
What the function sees is the same: its own process, environment, folder and streams.

``python -m holdfast.targets.emulator.zygote DESCRIPTOR``: the descriptor is one end of a socket pair. Each request is
a JSON line with the standard streams as ancillary data; answers are JSON lines, one when a process was forked and one
when it ended.
"""

from __future__ import annotations

import array
import functools
import gc
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

_REQUEST_BYTES = 1 << 20
_STREAMS = 3


def warm_up() -> None:
    """Import what functions import, and keep the models that botocore reads from disk."""
    import boto3
    import botocore.loaders

    load = botocore.loaders.JSONFileLoader.load_file
    botocore.loaders.JSONFileLoader.load_file = functools.cache(load)  # type: ignore[method-assign]
    session = boto3.Session(region_name="us-east-1")
    for service in ("dynamodb", "sqs", "s3", "events", "sns", "stepfunctions", "lambda"):
        session.client(service)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page it looks at


def serve(channel: socket.socket) -> None:
    """Fork for each request until the other end closes."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    while True:
        waiting: list[Any] = [channel, woken]
        ready, _, _ = select.select(waiting, [], [])
        if woken in ready:
            os.read(woken, 4096)
            _reap(channel)
        if channel in ready:
            message, ancillary, _, _ = channel.recvmsg(_REQUEST_BYTES, socket.CMSG_SPACE(_STREAMS * 4))
            if not message:
                return
            streams = array.array("i")
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    streams.frombytes(data[: len(data) - len(data) % streams.itemsize])
            request = json.loads(message)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                for descriptor in (channel.fileno(), woken, wake):
                    os.close(descriptor)
                _become(request, list(streams))
            for stream in streams:
                os.close(stream)
            _tell(channel, {"request": request["request"], "pid": pid})


def _reap(channel: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _tell(channel, {"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _tell(channel: socket.socket, message: dict[str, Any]) -> None:
    with suppress(OSError):
        channel.sendall(json.dumps(message).encode() + b"\n")


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Turn this fork into the process that was asked for; never returns."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for stream in streams:
            if stream >= _STREAMS:
                os.close(stream)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        time.tzset()
        random.seed()
        sys.stdin = os.fdopen(0, "r", encoding="utf-8", errors="surrogateescape", closefd=False)
        sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="surrogateescape", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        script = request["script"]
        sys.argv = [script]
        sys.path[0] = str(Path(script).parent)
        runpy.run_path(script, run_name="__main__")
        status = 0
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException:  # noqa: BLE001 - an interpreter reports whatever ends it, and so does this fork
        import traceback

        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as end:
        end.set_inheritable(False)
        warm_up()
        serve(end)
