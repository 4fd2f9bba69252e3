"""The pytest plugin: descriptors as test files, clauses as tests, and pytest's own options at work on them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from xdist.scheduler import LoadScopeScheduling

from holdfast import pytest_plugin
from holdfast.distribution import StackScheduling
from holdfast.suites import installed_clauses
from verify_runs import STATIC, copy_of, environment, run_pytest, substituted, verify

LIST = ("--collect-only", "-q")


def listed(out: str) -> list[str]:
    """The ids that a listing names."""
    return [line for line in out.splitlines() if "::" in line]


def test_importing_the_plugin_is_cheap() -> None:
    """Whoever has Holdfast installed loads its plugin with every pytest run, so it imports little but pytest."""
    program = "import sys, holdfast.pytest_plugin; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"boto3", "botocore", "hypothesis", "requests", "pydantic", "rich", "yaml", "xdist"}
    own = {name for name in done.stdout.split() if name.startswith("holdfast.")}
    assert own == {"holdfast.option_types", "holdfast.pytest_plugin"}


# -- collecting ------------------------------------------------------------------------------------------------------

WITNESS = """
import json
from pathlib import Path
import holdfast.targets.embedded as embedded

def start(*args, **options):
    raise AssertionError("a target was opened")

embedded.EmbeddedTarget.start = start

def pytest_collection_finish(session):
    found = [
        [item.nodeid, item.name, *item.get_closest_marker("clause").args, item.obj.__doc__] for item in session.items
    ]
    Path("seen.json").write_text(json.dumps(found))
"""


def test_a_descriptor_is_a_test_file_of_the_clauses_it_owes(tmp_path: Path) -> None:
    """One test per clause of the claimed patterns, marked with id and family, its docstring the clause; no target."""
    copy_of("webhooks", tmp_path, conftest=WITNESS)
    ended = run_pytest("webhooks.stack.toml", *LIST, cwd=tmp_path)
    assert ended.code == 0, ended.text
    seen = json.loads((tmp_path / "seen.json").read_text(encoding="utf-8"))
    owed = [*installed_clauses()["storage-first"], *installed_clauses()["any"]]
    assert [one[:4] for one in seen] == [
        [f"webhooks.stack.toml::{clause.id}", clause.id, clause.id, clause.family.value] for clause in owed
    ]
    assert [" ".join(doc.split()) for *_, doc in seen] == [clause.text for clause in owed]
    assert listed(ended.out) == [f"webhooks.stack.toml::{clause.id}" for clause in owed]
    assert not (tmp_path / ".holdfast").exists()


def test_a_descriptor_is_found_from_any_directory(tmp_path: Path) -> None:
    """Relative, absolute, by --stack, by one clause's id, or as part of a folder: the same tests."""
    stack, elsewhere = tmp_path / "stacks" / "orders", tmp_path / "else" / "where"
    elsewhere.mkdir(parents=True)
    descriptor = copy_of("webhooks", stack)
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    relative = Path("../../stacks/orders/webhooks.stack.toml")
    ways: list[tuple[Path, tuple[str | Path, ...]]] = [
        (stack, ("webhooks.stack.toml",)),
        (elsewhere, (relative,)),
        (elsewhere, (descriptor,)),
        (elsewhere, ("--stack", relative)),
        (tmp_path, ("stacks",)),
        (elsewhere, (f"{relative}::SF-1", f"{relative}::SF-2")),
    ]
    found = [listed(run_pytest(*arguments, *LIST, "-k", "SF-1 or SF-2", cwd=cwd).out) for cwd, arguments in ways]
    expected = [f"stacks/orders/webhooks.stack.toml::SF-{number}" for number in (1, 2, 10)]
    assert found == [expected] * 5 + [expected[:2]]


def test_two_stacks_of_one_name_are_refused(tmp_path: Path) -> None:
    """Verdicts are kept by the stack's name, so two descriptors of one name do not overwrite each other."""
    first, second = copy_of("webhooks", tmp_path / "a"), copy_of("webhooks", tmp_path / "b")
    ended = run_pytest(first, second, *LIST, cwd=tmp_path)
    assert ended.code == pytest.ExitCode.INTERRUPTED
    assert "the name webhook-orders is taken" in ended.out
    assert "a/webhooks.stack.toml has it too" in ended.out
    assert run_pytest(f"{first}::SF-1", f"{first}::SF-2", *LIST, cwd=tmp_path).code == 0


RERUNS = """
def pytest_addoption(parser):
    parser.addoption("--reruns", type=int, default=0)
"""


def test_clauses_are_never_rerun(tmp_path: Path) -> None:
    """--reruns is refused for stacks, with exit 2 and a remedy; ordinary tests may be rerun as ever."""
    descriptor = copy_of("webhooks", tmp_path, conftest=RERUNS)
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n", encoding="utf-8")
    ended = verify(descriptor, "--reruns", "2", cwd=tmp_path)
    assert ended.code == 2
    assert "A chaos verdict is never rerun to make it pass." in ended.out
    assert "remedy: leave --reruns out" in ended.out
    assert run_pytest("test_own.py", "--reruns", "2", cwd=tmp_path).code == 0
    assert run_pytest(descriptor, "--reruns", "0", *LIST, cwd=tmp_path).code == 0


# -- running ---------------------------------------------------------------------------------------------------------


def written(cwd: Path, stack: str) -> dict[str, str]:
    """The verdicts in a stack's file."""
    document = json.loads((cwd / ".holdfast" / stack / "verdict.json").read_text(encoding="utf-8"))
    return {clause["id"]: clause["verdict"] for clause in document["clauses"]}


def test_junit_allure_and_no_cache(tmp_path: Path) -> None:
    """JUnit and Allure get one result a clause, with pytest's outcome; it all works without pytest's cache."""
    descriptor = copy_of("webhooks", tmp_path / "stack", mutant="retention-of-a-minute")
    reports = ("--junitxml", "junit.xml", "--alluredir", "allure", "-p", "no:cacheprovider")
    ended = run_pytest(descriptor, "-k", f"{STATIC} or SF-7", *reports, cwd=tmp_path)
    assert ended.code == pytest.ExitCode.TESTS_FAILED, ended.text
    cases = {
        case.get("name"): [child.tag for child in case] for case in ET.parse(tmp_path / "junit.xml").iter("testcase")
    }
    assert {name: [tag for tag in tags if tag != "properties"] for name, tags in cases.items()} == {
        "SF-7": ["skipped"],
        "SF-9": ["failure"],
        "XX-2": [],
    }
    results = [json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "allure").glob("*-result.json")]
    of_clause = {one["name"].partition(":")[0]: one for one in results}
    assert {id_: one["status"] for id_, one in of_clause.items()} == {
        "SF-7": "skipped",
        "SF-9": "failed",
        "XX-2": "passed",
    }
    violated = of_clause["SF-9"]
    assert violated["description"].startswith("Stored requests outlive the declared longest outage")
    *_, verdict, again = (step["name"] for step in violated["steps"])
    assert verdict.startswith("✕ violated: ")
    assert again.startswith("try it again: holdfast verify ")
    assert not list(tmp_path.rglob(".pytest_cache"))


def test_workers_verify_whole_stacks_and_the_controller_reports_them(tmp_path: Path) -> None:
    """With -n 2 every stack has one worker, and scorecard, verdict.json and exit code are those of a run without."""
    webhooks = copy_of("webhooks", tmp_path / "webhooks", mutant="retention-of-a-minute")
    notifications = copy_of("notifications", tmp_path / "notifications")
    ended = verify(webhooks, notifications, "-k", STATIC, "-n", "2", "-v", cwd=tmp_path)
    assert ended.code == 1, ended.text
    lines = re.findall(r"\[(gw\d)\].* (PASSED|FAILED) (\S+?)/\S+::(\S+)", ended.out)
    assert sorted(line[1:] for line in lines) == [
        ("FAILED", "webhooks", "SF-9"),
        ("PASSED", "notifications", "ES-14"),
        ("PASSED", "notifications", "XX-2"),
        ("PASSED", "webhooks", "XX-2"),
    ]
    assert len({(worker, stack) for worker, _, stack, _ in lines}) == 2
    assert ended.out.count("webhook-orders on embedded: 1 holds, 1 violated") == 1
    assert ended.out.count("notifications on embedded: 2 holds") == 1
    assert written(tmp_path, "webhook-orders") == {"SF-9": "violated", "XX-2": "holds"}
    assert written(tmp_path, "notifications") == {"ES-14": "holds", "XX-2": "holds"}
    again = run_pytest("--lf", webhooks, notifications, "-k", STATIC, *LIST, cwd=tmp_path)
    assert listed(again.out) == ["webhooks/webhooks.stack.toml::SF-9"], "ids with workers are those without"


def test_a_worker_tells_what_kept_a_stack_from_being_judged(tmp_path: Path) -> None:
    """With -n a stack that cannot be judged is one error and exit 2, and the others are verified."""
    broken = copy_of("webhooks", tmp_path / "broken", edit=substituted('"LedgerTable"', '"LedgrTable"'))
    good = copy_of("notifications", tmp_path / "good")
    ended = verify(broken, good, "-k", STATIC, "-n", "2", cwd=tmp_path)
    assert ended.code == 2, ended.text
    assert ended.out.count("did you mean LedgerTable?") == 1
    assert written(tmp_path, "notifications") == {"ES-14": "holds", "XX-2": "holds"}
    assert "Traceback" not in ended.text


CRASH = """
import os
import holdfast.background as background

def opened(*args, **options):
    os._exit(7)

background.opened = opened
"""


def test_a_worker_that_dies_is_no_pass(tmp_path: Path) -> None:
    """A worker that crashes leaves clauses without verdict: the run exits 2."""
    descriptor = copy_of("webhooks", tmp_path / "stack", conftest=CRASH)
    ended = verify(f"{descriptor}::SF-9", "-n", "1", "--max-worker-restart", "0", cwd=tmp_path)
    assert ended.code == 2, ended.text


MISTAKE = """
import holdfast.background as background

def opened(*args, **options):
    raise RuntimeError("a mistake of ours")

background.opened = opened
"""


def test_a_mistake_of_holdfast_is_told_as_one(tmp_path: Path) -> None:
    """An unforeseen exception is one error that says whose mistake it is; the traceback is there for who asks."""
    descriptor = copy_of("webhooks", tmp_path / "stack", conftest=MISTAKE)
    ended = verify(descriptor, "-k", STATIC, cwd=tmp_path)
    assert ended.code == 2
    assert "this is a mistake of Holdfast, not of the stack" in ended.out
    assert ended.out.count("RuntimeError: a mistake of ours") == 1
    assert "background.py" not in ended.out
    full = verify(descriptor, "-k", STATIC, "--full-trace", cwd=tmp_path)
    assert full.code == 2
    assert "background.py" in full.out


# -- distribution ----------------------------------------------------------------------------------------------------


def fake_config(folder: Path, dist: str, *arguments: str) -> pytest.Config:
    """As much of a config as choosing a scheduler takes."""
    given: dict[str, Any] = {"dist": dist, "--holdfast-folder": str(folder / "made"), "--holdfast-seed": 0}
    return cast(
        "pytest.Config",
        SimpleNamespace(
            args=list(arguments),
            invocation_params=SimpleNamespace(dir=folder),
            getoption=given.get,
            getini=lambda name: ["node_modules", ".*"] if name == "norecursedirs" else [],
            getvalue=lambda name: ["popen"] * 2,
            option=SimpleNamespace(tx=["popen"] * 2, target=None, deploy=None, allow_aws=False, cloudformation=None),
        ),
    )


def test_tests_of_others_are_distributed_as_ever(tmp_path: Path) -> None:
    """Only a run that names stacks, or a folder with some, gets a scheduler of ours; a chosen one is respected."""
    for folder in ("plain", "mixed/deep", "hidden/node_modules"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "mixed/deep/a.stack.toml").touch()
    (tmp_path / "hidden/node_modules/a.stack.toml").touch()
    choose = pytest_plugin.pytest_xdist_make_scheduler
    for arguments in (("plain",), ("hidden",), ("plain/test_a.py::test_b",)):
        assert choose(fake_config(tmp_path, "load", *arguments), None) is None
    for arguments in (("mixed",), ("mixed/deep/a.stack.toml::SF-1",), ("plain", "mixed")):
        assert isinstance(choose(fake_config(tmp_path, "load", *arguments), None), StackScheduling)
    assert choose(fake_config(tmp_path, "loadfile", "mixed"), None) is None


def test_all_clauses_of_a_stack_are_one_unit_of_work() -> None:
    """Clauses are distributed by stack, other tests one by one."""
    assert issubclass(StackScheduling, LoadScopeScheduling)
    split = StackScheduling._split_scope
    nobody = cast("StackScheduling", None)
    assert split(nobody, "a/b.stack.toml::SF-1") == split(nobody, "a/b.stack.toml::XX-1") == "a/b.stack.toml"
    assert split(nobody, "test_a.py::test_b") == "test_a.py::test_b"


def test_the_environment_of_these_tests_is_clean() -> None:
    """The pytest that runs these tests does not leak into the ones they start."""
    assert not [name for name in environment() if name.startswith(("PYTEST_", "AWS_", "LOCALSTACK"))]
