"""The witness of a finding drawn: one line per session, one bar per operation, as text or as SVG.

Bars lie in the order of beginnings and ends, not to scale: what decides is what ended before what began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from holdfast.history.model import Operation
from holdfast.verdict.describe import shorten
from holdfast.verdict.model import Finding

LABEL_CHARACTERS = 24
_COLUMN_PIXELS = 78
_LANE_PIXELS = 46
_LEFT_PIXELS = 130
_TOP_PIXELS = 56
_COLORS = {"ok": "#2f6f4f", "fail": "#9b2c2c", "unknown": "#8a6d1c"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One operation in a drawing.

    Attributes:
        operation: the operation.
        lane: the line it lies on, from 0.
        begin: the moment at which it began, numbered from 0.
        end: the moment at which it ended; None when it never did.
        label: what is written on it.
    """

    operation: Operation
    lane: int
    begin: int
    end: int | None
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A witness laid out.

    Attributes:
        title: what is wrong.
        sentence: why.
        lanes: names of the lines.
        moments: number of different moments.
        bars: the operations.
    """

    title: str
    sentence: str
    lanes: tuple[str, ...]
    moments: int
    bars: tuple[Bar, ...]


def lay_out(finding: Finding) -> Drawing:
    """Lay the operations of a witness out; a line per session, one more where operations of it overlap."""
    operations = [one for one in finding.witness if isinstance(one, Operation)]
    times = sorted(
        {time for one in operations for time in (one.invoked_seconds, one.completed_seconds) if time is not None}
    )
    place = {time: at for at, time in enumerate(times)}
    lanes: list[tuple[str, float]] = []
    bars = []
    for one in sorted(operations, key=lambda one: (one.invoked_seconds, one.id)):
        name = one.role or "operations"
        end = float("inf") if one.completed_seconds is None else one.completed_seconds
        lane = next((at for at, (of, until) in enumerate(lanes) if of == name and until < one.invoked_seconds), None)
        if lane is None:
            lane = len(lanes)
            lanes.append((name, end))
        lanes[lane] = (name, end)
        bars.append(
            Bar(
                operation=one,
                lane=lane,
                begin=place[one.invoked_seconds],
                end=None if one.completed_seconds is None else place[one.completed_seconds],
                label=_label(one),
            )
        )
    return Drawing(
        title=finding.title,
        sentence=finding.sentence,
        lanes=tuple(name for name, _ in lanes),
        moments=len(times),
        bars=tuple(bars),
    )


def as_text(finding: Finding, *, width: int = 100) -> str:
    """A witness as lines of text: ``|---|`` for an operation that ended, ``|--->`` for one that never did.

    Args:
        finding: the finding.
        width: columns of the screen.
    """
    drawing = lay_out(finding)
    if not drawing.bars:
        return ""
    margin = max(map(len, drawing.lanes)) + 2
    step = max((width - margin - 2) // max(drawing.moments, 1), 2)
    lines = []
    for lane, name in enumerate(drawing.lanes):
        bar_line, label_line = [" "] * width * 2, [" "] * width * 2
        free_from = 0
        for bar in (one for one in drawing.bars if one.lane == lane):
            begin = margin + bar.begin * step
            end = margin + (drawing.moments if bar.end is None else bar.end) * step
            end = max(end, begin + 1)
            bar_line[begin : end + 1] = ["|", *"-" * (end - begin - 1), ">" if bar.end is None else "|"]
            at = max(begin, free_from)
            label_line[at : at + len(bar.label)] = bar.label
            free_from = at + len(bar.label) + 1
        lines.append(name.ljust(margin) + "".join(bar_line)[margin:].rstrip())
        lines.append("".join(label_line).rstrip())
    return "\n".join(lines)


def as_svg(findings: Sequence[Finding]) -> str:
    """Witnesses as one SVG document, one below the other."""
    parts: list[str] = []
    top, width = 0, 480
    for finding in findings:
        drawing = lay_out(finding)
        lines = _wrapped(f"{finding.title}: {finding.sentence}", 110)
        parts += [
            f'<text x="12" y="{top + 22 + 16 * at}" class="{"title" if at == 0 else "told"}">{escape(line)}</text>'
            for at, line in enumerate(lines)
        ]
        begin = top + _TOP_PIXELS + 16 * (len(lines) - 1)
        for lane, name in enumerate(drawing.lanes):
            y = begin + lane * _LANE_PIXELS
            parts.append(f'<text x="12" y="{y + 20}" class="lane">{escape(name)}</text>')
        parts += [_bar(bar, begin, drawing.moments) for bar in drawing.bars]
        top = begin + len(drawing.lanes) * _LANE_PIXELS + 24
        width = max(width, _LEFT_PIXELS + (drawing.moments + 2) * _COLUMN_PIXELS, 12 + 7 * max(map(len, lines)))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{max(top, 40)}" role="img">\n'
        "<style>text{font:12px monospace;fill:#222}.title{font-weight:bold}.lane{fill:#666}.on{fill:#fff}"
        "rect{rx:3}</style>\n"
        f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _bar(bar: Bar, top: int, moments: int) -> str:
    x = _LEFT_PIXELS + bar.begin * _COLUMN_PIXELS
    end = moments if bar.end is None else bar.end
    width = max((end - bar.begin) * _COLUMN_PIXELS, 14)
    y = top + bar.lane * _LANE_PIXELS
    dashes = "" if bar.end is not None else ' stroke-dasharray="6 4"'
    color = _COLORS[bar.operation.outcome.value]
    return (
        f'<rect x="{x}" y="{y + 6}" width="{width}" height="20" fill="{color}" fill-opacity="0.25" stroke="{color}"'
        f'{dashes}/><text x="{x + 4}" y="{y + 20}">{escape(bar.label)}</text>'
    )


def _label(operation: Operation) -> str:
    value = "" if operation.value is None else f" {shorten(operation.value, LABEL_CHARACTERS)}"
    outcome = "" if operation.outcome.value == "ok" else f" ({operation.outcome.value})"
    return f"{operation.id} {operation.command}{value}{outcome}"


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
