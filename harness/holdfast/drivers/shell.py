"""Small shell scripts that find, look at, signal and press a process inside a container, and what they answer.

They need ``sh``, ``grep`` and a ``/proc``, as in any Linux image with BusyBox or coreutils. A line that is meant for us
begins with a word of its own: sessions print banners around what a script writes.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from holdfast.drivers.base import Load
from holdfast.targets.interceptor.processes import RUN_VARIABLE

_WORD = "holdfast:"
_PAGE_BYTES = 4096
_TICKS_A_SECOND = 100
"""USER_HZ, which is 100 on every architecture that Linux containers run on (proc_pid_stat(5))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """One process inside a container.

    Attributes:
        pid: its id there.
        start_ticks: its start, which tells it from a later one with the same id.
        stopped: whether it is stopped.
        rss_bytes: resident memory.
        cpu_seconds: processor time.
    """

    pid: int
    start_ticks: str
    stopped: bool
    rss_bytes: int
    cpu_seconds: float


def look(command_line: str) -> str:
    """A script that prints every process whose command line contains a text.

    The text stands in the script in a form that it does not match itself: the shell's own command line holds it too.
    """
    needle = f"*[{command_line[0]}]{shlex.quote(command_line[1:])}*"
    return (
        "for d in /proc/[0-9]*; do "
        "c=$(tr '\\0' ' ' < $d/cmdline) 2>/dev/null || continue; "
        f'case "$c" in {needle}) '
        "s=$(cat $d/stat) 2>/dev/null || continue; p=${d#/proc/}; set -- ${s##*) }; "
        f'echo "{_WORD} $p ${{20}} $1 ${{22}} ${{12}} ${{13}}";; esac; done'
    )


def seen(output: str) -> tuple[Inside, ...]:
    """The processes that :func:`look` printed; those that have ended are none."""
    found = []
    for words in _lines(output):
        pid, start, state, pages, user, system = words
        if state not in ("Z", "X"):
            found.append(
                Inside(
                    pid=int(pid),
                    start_ticks=start,
                    stopped=state in ("T", "t"),
                    rss_bytes=int(pages) * _PAGE_BYTES,
                    cpu_seconds=(int(user) + int(system)) / _TICKS_A_SECOND,
                )
            )
    return tuple(found)


def signal(pid: int, start_ticks: str, name: str) -> str:
    """A script that signals a process if it is still the same one, and says so.

    Args:
        pid: its id inside the container.
        start_ticks: its start.
        name: e.g. ``KILL``.
    """
    return (
        f's=$(cat /proc/{pid}/stat) && set -- ${{s##*) }} && [ "${{20}}" = {shlex.quote(start_ticks)} ] '
        f'&& kill -{name} {pid} && echo "{_WORD} 1"'
    )


def press(load: Load, token: str) -> str:
    """A script that starts a load and returns; it ends by itself."""
    seconds = max(1, round(load.seconds))
    count = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
    spin = f"e=$(( $(date +%s) + {seconds} )); while [ $(date +%s) -lt $e ]; do {count}; done"
    # what tail is given without a line's end it keeps until all has come
    hold = f"(head -c {load.memory_bytes} /dev/zero; sleep {seconds}) | tail > /dev/null" if load.memory_bytes else ""
    inner = "".join(f"({spin}) & " for _ in range(load.workers)) + (f"({hold}) & " if hold else "") + f"sleep {seconds}"
    return (
        f"{RUN_VARIABLE}={shlex.quote(token)} nohup sh -c {shlex.quote(inner)} > /dev/null 2>&1 & "
        f'sleep 1; echo "{_WORD} 1"'
    )


def pressing(token: str) -> str:
    """A script that prints how many processes of a load run."""
    return f'echo "{_WORD} $(grep -ls {RUN_VARIABLE}={shlex.quote(token)} /proc/[0-9]*/environ | wc -l)"'


def relieve(token: str) -> str:
    """A script that ends a load."""
    return (
        f"for f in $(grep -ls {RUN_VARIABLE}={shlex.quote(token)} /proc/[0-9]*/environ); do "
        f'p=${{f#/proc/}}; kill -9 ${{p%/environ}} 2>/dev/null; done; echo "{_WORD} 1"'
    )


def number(output: str) -> int:
    """The number that a script printed; 0 when it printed none."""
    return sum(int(words[0]) for words in _lines(output))


def _lines(output: str) -> list[list[str]]:
    return [line.split()[1:] for line in output.splitlines() if line.startswith(_WORD)]
