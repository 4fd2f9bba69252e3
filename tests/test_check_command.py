"""``holdfast check`` and the functions behind it: a corpus with known verdicts, what is printed, drawn, returned."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from columnar import Op, table
from holdfast import check
from holdfast.check_command import MODELS
from holdfast.checkers.columnar.drawing import as_svg, as_text, lay_out
from holdfast.cli import main
from holdfast.history.opening import FORMATS

CORPUS = Path(__file__).parent / "corpus"
DOCUMENT = Path(__file__).parent.parent / "docs" / "check.md"
HISTORIES: list[dict[str, Any]] = tomllib.loads((CORPUS / "corpus.toml").read_text(encoding="utf-8"))["history"]
EXITS = {"holds": 0, "violated": 1, "inconclusive": 3}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code and what was printed."""
    code = main(["check", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize("known", HISTORIES, ids=[f"{one['file']} {one['model']}" for one in HISTORIES])
def test_the_corpus_has_its_known_verdicts(known: Mapping[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Each recorded history has the verdict, the kinds of anomaly and the smallest witness that are known of it."""
    path = str(CORPUS / known["file"])
    code, printed, _ = run(capsys, path, "--model", known["model"], "--json", *known.get("options", ()))
    result = json.loads(printed)
    assert (result["verdict"], code) == (known["verdict"], EXITS[known["verdict"]])
    assert [finding["title"] for finding in result["findings"]] == known.get("titles", [])
    code, text, _ = run(capsys, path, "--model", known["model"], *known.get("options", ()))
    assert code == EXITS[known["verdict"]]
    assert result["reason"] in text
    if "witness" in known:
        explanation = "\n".join(text.split("\n\n")[2].splitlines())
        assert sorted(set(re.findall(r"#\d+", explanation))) == known["witness"]


def test_every_file_of_the_corpus_is_used() -> None:
    """No recorded history lies there without a verdict, and every model has one that holds and one that is violated."""
    assert {path.name for path in CORPUS.iterdir()} == {"corpus.toml", *(one["file"] for one in HISTORIES)}
    for verdict in ("holds", "violated"):
        assert {one["model"] for one in HISTORIES if one["verdict"] == verdict} == set(MODELS)


def test_a_violation_is_printed_with_its_drawing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence, the witness in time order, a drawing of it, the figures, and an SVG where it was asked for."""
    picture = tmp_path / "witness.svg"
    path = str(CORPUS / "porcupine-register-not-linearizable.jsonl")
    code, text, _ = run(capsys, path, "--model", "register", "--draw", str(picture))
    assert code == 1
    lines = text.splitlines()
    assert lines[0].startswith(
        "register violated: Key x: the initial value must come before '200', because it was there"
    )
    assert lines[-1] == "operations 3, violations 1, keys 1"
    assert [line.split()[:2] for line in lines if re.match(r"  session \d", line)] == [
        ["session", "0"],
        ["session", "1"],
        ["session", "2"],
    ]
    root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
    shown = "".join(root.itertext())
    assert all(label in shown for label in ("#1 write '200'", "#2 read '200'", "#3 read", "not linearizable"))


def test_bars_overlap_exactly_where_operations_do() -> None:
    """In a drawing a bar begins and ends where its operation does among the moments of the witness."""
    finding = check.register(
        table(
            Op("write", 1, 0, None, "unknown", session="a"),
            Op("read", 1, 5, 7, session="b"),
            Op("read", None, 8, 9, session="a"),
        )
    ).findings[0]
    drawing = lay_out(finding)
    assert [(bar.label, bar.lane, bar.begin, bar.end) for bar in drawing.bars] == [
        ("#1 write '1' (unknown)", 0, 0, None),
        ("#2 read '1'", 1, 1, 2),
        ("#3 read", 2, 3, 4),  # the session's write never ended, so its read lies on a line of its own
    ]
    assert drawing.lanes == ("session a", "session b", "session a")
    text = as_text(finding, width=60)
    assert next(line for line in text.splitlines() if line.startswith("session")).endswith(">")
    assert all(len(line) <= 80 for line in text.splitlines())
    assert as_svg([]).startswith("<svg")


def test_every_function_takes_a_file_and_columns(tmp_path: Path) -> None:
    """The public functions judge a path, a list of paths, a dictionary of lists, and columns alike."""
    path = CORPUS / "sessions-profile-update.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()[1:-1]]
    names = ("kind", "key", "value", "invoked_ns", "completed_ns", "outcome", "session", "position")
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    for function in (check.register, check.sessions, check.staleness, check.convergence):
        results = [function(source) for source in (path, str(path), [path], columns)]
        assert all(result == results[0] for result in results)
    empty = {"kind": [], "value": [], "invoked_ns": [], "completed_ns": []}
    for name in check.__all__:
        if name[0].islower():
            arguments = {"model": "register"} if name == "search" else {}
            assert getattr(check, name)(empty, **arguments).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing.jsonl", "--model", "register"], "cannot be read"),
        ([str(CORPUS / "corpus.toml"), "--model", "register"], "is no recorded history"),
        ([str(CORPUS / "set-lost.jsonl"), "--model", "fifo"], "A queue has no operation add, read."),
        ([str(CORPUS / "queue-lost.jsonl"), "--model", "isolation", "--draw", "/nowhere/a.svg"], "cannot be written"),
        ([str(CORPUS / "queue-lost.jsonl"), str(CORPUS / "jepsen-set-phantom.edn"), "--model", "queue"], "merged"),
    ],
)
def test_what_a_person_can_cause_ends_in_one_clear_error(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, what happened and the remedy, no traceback."""
    code, _, error = run(capsys, *arguments)
    assert code == 2
    assert told in error
    assert error.count("remedy:") == 1
    assert "Traceback" not in error


def test_a_model_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The models there are are listed."""
    with pytest.raises(SystemExit) as caught:
        main(["check", "a.jsonl", "--model", "stack"])
    assert caught.value.code == 2
    assert "register" in capsys.readouterr().err


def test_the_documentation_names_every_model_and_format() -> None:
    """docs/check.md has each model, each format and each column in code type."""
    text = DOCUMENT.read_text(encoding="utf-8")
    names = {*MODELS, *FORMATS, "kind", "key", "value", "invoked_ns", "completed_ns", "outcome", "session", "position"}
    assert not {name for name in names if f"`{name}`" not in text}


def test_the_examples_of_the_documentation_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file, the command with its output, and the program of docs/check.md are as they are shown."""
    text = DOCUMENT.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```(\w*)\n(.*?)```", text, flags=re.DOTALL)
    history = next(body for kind, body in blocks if kind == "json")
    (tmp_path / "history.jsonl").write_text(history, encoding="utf-8")
    console = next(body for kind, body in blocks if kind == "console")
    command, _, expected = console.partition("\n")
    code = main(shlex.split(command.removeprefix("$ holdfast ")))
    assert capsys.readouterr().out.rstrip("\n") == expected.rstrip("\n")
    assert code == 1
    assert (tmp_path / "witness.svg").exists()
    programs = [body for kind, body in blocks if kind == "python"]
    assert len(programs) == 2
    for program in programs:
        exec(compile(program, str(DOCUMENT), "exec"), {})  # the documentation's own text
