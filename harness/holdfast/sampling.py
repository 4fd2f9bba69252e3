"""Samples of a quantity over the length of a run, in bounded memory, and the depth of a stack's queues as such."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from holdfast.provocations.quiescence import messages_in
from holdfast.runs import Series, at_end
from holdfast.stack.resolve import Stack

INTERVAL_SECONDS = {"embedded": 0.5, "localstack": 1.0, "aws": 5.0}
"""How often queues are asked, by kind of the target. A request costs on AWS, and its counts lag anyway."""

MOST_SAMPLES = 4_096
_JOIN_SECONDS = 5.0


@dataclass(slots=True)
class Samples:
    """Samples of one quantity; when there are too many, each two neighbours become the larger one.

    Attributes:
        most: how many are kept at most.
    """

    most: int = MOST_SAMPLES
    _seconds: list[float] = field(default_factory=list)
    _values: list[float] = field(default_factory=list)
    _each: int = 1
    _waiting: list[tuple[float, float]] = field(default_factory=list)

    def add(self, seconds: float, value: float) -> None:
        """Take a sample that is later than those before it."""
        self._waiting.append((value, seconds))
        if len(self._waiting) == self._each:
            self._keep()
        if len(self._values) > self.most:
            pairs = [
                max(zip(self._values[at : at + 2], self._seconds[at : at + 2], strict=True))
                for at in range(0, len(self._values), 2)
            ]
            self._values, self._seconds = [value for value, _ in pairs], [seconds for _, seconds in pairs]
            self._each *= 2

    def series(self, name: str, *, component: str = "", unit: str = "") -> Series:
        """All that is kept."""
        if self._waiting:
            self._keep()
        return Series(
            name=name, component=component, unit=unit, seconds=tuple(self._seconds), values=tuple(self._values)
        )

    def _keep(self) -> None:
        value, seconds = max(self._waiting)
        self._waiting.clear()
        self._values.append(value)
        self._seconds.append(round(seconds, 3))


@contextmanager
def queues_sampled(
    stack: Stack, now_seconds: Callable[[], float], write: Callable[[tuple[Series, ...]], None]
) -> Iterator[None]:
    """Have the depth of a stack's queues sampled in the background, and written at the end.

    Args:
        stack: the stack.
        now_seconds: the run's clock.
        write: takes the samples.
    """
    urls = {
        name: stack.resource(name).url
        for name, component in stack.descriptor.components.items()
        if component.type == "queue"
    }
    if not urls:
        yield
        return
    depths = {name: Samples() for name in urls}
    ended = threading.Event()
    thread = threading.Thread(
        target=_sample, args=(stack, urls, depths, now_seconds, ended), name="queue-depths", daemon=True
    )

    def end() -> None:
        ended.set()
        thread.join(_JOIN_SECONDS)
        write(tuple(one.series("queue depth", component=name, unit="messages") for name, one in depths.items()))

    thread.start()
    with at_end(end):
        yield


def _sample(
    stack: Stack,
    urls: Mapping[str, str],
    depths: Mapping[str, Samples],
    now_seconds: Callable[[], float],
    ended: threading.Event,
) -> None:
    sqs = stack.target.client("sqs")
    while not ended.is_set():
        for name, url in urls.items():
            try:
                depths[name].add(now_seconds(), messages_in(sqs, url))
            except (ClientError, BotoCoreError):
                continue  # a fault may refuse it, or the target is ending: there is no sample then
        ended.wait(INTERVAL_SECONDS[stack.target.kind])
