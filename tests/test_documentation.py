"""The documentation is built without a dead link, says what the code says, and its examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from holdfast.clause import clause_of
from holdfast.levers.base import Snapshot
from holdfast.ports import Answer
from reference_pages import DOCS, PAGES
from verify_runs import environment

ROOT = DOCS.parent
TUTORIAL_SECONDS = 360


@pytest.mark.parametrize("page", sorted(PAGES))
def test_reference_pages_are_those_of_the_code(page: str) -> None:
    """Every clause with its mutants, and every command with its help, as the code has them."""
    if page == "commands.md" and sys.version_info >= (3, 13):
        pytest.skip("argparse writes options in another form from Python 3.13 on; the page has that of the older ones")
    assert (DOCS / page).read_text(encoding="utf-8") == PAGES[page](), "python tests/reference_pages.py"


def test_the_pages_are_built_without_a_dead_link(tmp_path: Path) -> None:
    """The generator takes every warning, a link between pages that leads nowhere included, for an error."""
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(tmp_path / "site")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "site" / "tutorial.html").is_file()


def test_every_page_can_be_found() -> None:
    """Each page is in a table of contents."""
    listed = set(re.findall(r"^[\w/-]+$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE))
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    assert pages - {"index"} == listed


def test_the_tutorial_runs_as_it_is_written(tmp_path: Path) -> None:
    """From pip install to a first verdict, and to a violated clause, by the tutorial's own commands."""
    commands = re.findall(r"^\$ (.*)$", (DOCS / "tutorial.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert commands[0] == "python3 -m venv .venv"
    # every command but the last, which finds the planted mistake, has to succeed
    script = "\n".join(["set -e", f"alias python3={sys.executable}", "shopt -s expand_aliases", *commands])
    variables = environment(HOLDFAST=str(ROOT))
    variables = {name: value for name, value in variables.items() if name not in ("VIRTUAL_ENV", "PYTHONHOME")}
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=TUTORIAL_SECONDS,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert "written: shop.stack.toml: storage-first" in said
    assert "shop on embedded: 3 holds" in said
    assert "SF-9 violated" in said
    assert "Traceback" not in said


def example(page: str, name: str) -> Any:
    """A code block of a page, run as a module."""
    text = (DOCS / "how-to" / page).read_text(encoding="utf-8")
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    module = ModuleType(f"example_{name.removesuffix('.py')}")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(found[1], f"{page}:{name}", "exec"), module.__dict__)
    return module


class Sqs:
    """A queue with one attribute."""

    def __init__(self) -> None:
        self.seconds = "0"
        self.sent: list[str] = []

    def get_queue_attributes(self, **_: Any) -> Any:
        """Its delay."""
        return {"Attributes": {"DelaySeconds": self.seconds}}

    def set_queue_attributes(self, **given: Any) -> None:
        """Change it."""
        self.seconds = given["Attributes"]["DelaySeconds"]

    def send_message(self, **given: Any) -> None:
        """Keep a message."""
        self.sent.append(given["MessageBody"])


def test_the_example_of_a_port_works() -> None:
    """It sends what it says it sends, and counts the entries of its own command alone."""
    ports, sqs = example("port.md", "ports.py"), Sqs()
    rows = {"Items": [{"order": {"S": "k"}, "note": {"S": "v"}}, {"order": {"S": "other"}, "note": {"S": "w"}}]}
    clients = {"sqs": sqs, "dynamodb": SimpleNamespace(query=lambda **_: rows)}
    context = SimpleNamespace(key="k", value="v", client=clients.__getitem__)
    assert ports.place(context) == Answer(status=202, body='{"order": "k", "note": "v"}')
    assert sqs.sent == ['{"order": "k", "note": "v"}']
    assert ports.placed(context) == [{"note": "v"}]


def test_the_example_of_a_clause_is_one() -> None:
    """It declares a clause with its sentence and what it needs."""
    declared = clause_of(example("clause.md", "clause.py").test_xx_9)
    assert declared is not None
    assert (declared.id, declared.text) == ("XX-9", "An undisturbed command takes effect once.")
    assert [one.name for one in declared.needs] == ["steady"]


def test_the_example_of_a_lever_heals() -> None:
    """It bites with proof, puts back what it found, and leaves alone what somebody else has set meanwhile."""
    sqs = Sqs()
    target = SimpleNamespace(client=lambda _: sqs)
    lever = example("lever.md", "lever.py").QueueSlow(target=target, component="queue", resource="url")
    snapshot: Snapshot = lever.snapshot()
    assert lever.proof() == ""
    lever.inject(snapshot)
    assert lever.proof() == "DelaySeconds reads back 60"
    assert lever.healed_proof(snapshot) == ""
    lever.heal(snapshot)
    assert lever.healed_proof(snapshot) == "DelaySeconds reads back 0"
    sqs.seconds = "5"
    lever.restoring(target, snapshot).heal(snapshot)
    assert sqs.seconds == "5"


@pytest.mark.parametrize(
    "page", sorted(path.relative_to(ROOT).as_posix() for path in (ROOT, DOCS) for path in path.glob("*.md"))
)
def test_links_to_files_lead_somewhere(page: str) -> None:
    """Every relative link of a page names a file or folder of the repository."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:|mailto:|#)([^)\s#]+)", text):
        assert (ROOT / page).parent.joinpath(link).exists(), link
