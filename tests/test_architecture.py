"""The layers of ARCHITECTURE.md, and the size of modules, hold in the code."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "holdfast": ROOT / "harness" / "holdfast",
    "holdfast_suites": ROOT / "suites" / "holdfast_suites",
    "holdfast_fixtures": ROOT / "fixtures" / "holdfast_fixtures",
    "holdfast_load": ROOT / "load" / "holdfast_load",
    "holdfast_reports": ROOT / "reports" / "holdfast_reports",
}
_ROWS = re.findall(r"^\| \d+ \| (.*?) \|", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.MULTILINE)
LAYERS = [set(re.findall(r"`(\w+)`", row)) for row in _ROWS]
STRANGERS = {
    "ports": {"checkers", "levers"},
    "checkers": {"ports", "levers", "targets"},
    "levers": {"ports", "checkers"},
}
LARGEST_MODULE_LINES = 600


def modules() -> list[Path]:
    """Every module of the project's packages, handlers of reference stacks apart: they are users' code."""
    return [
        path
        for folder in PACKAGES.values()
        for path in sorted(folder.rglob("*.py"))
        if "handlers" not in path.parts and "mutants" not in path.parts
    ]


def imports(path: Path) -> Iterator[str]:
    """Full names of what a module imports when it runs; imports for type checkers only do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.module


def part(path: Path) -> str:
    """The first part of a module's name within `holdfast`."""
    return path.relative_to(PACKAGES["holdfast"]).parts[0].removesuffix(".py")


def rank(name: str) -> int:
    """The layer a part is in."""
    return next(at for at, layer in enumerate(LAYERS) if name in layer)


HARNESS = [path for path in modules() if path.is_relative_to(PACKAGES["holdfast"]) and part(path) != "__init__"]


@pytest.mark.parametrize("path", HARNESS, ids=lambda path: str(path.relative_to(PACKAGES["holdfast"])))
def test_a_module_imports_from_its_own_layer_and_lower_ones(path: Path) -> None:
    """No module of the harness imports from a layer above its own, or from a stranger beside it."""
    own = part(path)
    for name in imports(path):
        if not name.startswith("holdfast."):
            continue
        other = name.split(".")[1]
        assert rank(other) <= rank(own), f"{own} must not import {name}"
        assert other not in STRANGERS.get(own, ()), f"{own} must not import {name}"


def test_the_harness_imports_no_other_package_of_the_project() -> None:
    """The harness finds suites, reporters and commands by entry points, never by name."""
    others = set(PACKAGES) - {"holdfast"}
    found = {(path.name, name) for path in HARNESS for name in imports(path) if name.split(".")[0] in others}
    assert not found


@pytest.mark.parametrize("package", sorted(set(PACKAGES) - {"holdfast"}))
def test_other_packages_import_the_harness_only(package: str) -> None:
    """Suites, fixtures, load and reports import the harness and themselves, not each other."""
    others = set(PACKAGES) - {"holdfast", package}
    found = {
        (path.name, name)
        for path in modules()
        if path.is_relative_to(PACKAGES[package])
        for name in imports(path)
        if name.split(".")[0] in others
    }
    assert not found


def test_reports_import_data_types_only() -> None:
    """A report runs nothing: it sees verdicts, history and the price table, and no engine."""
    data = {"errors", "progress", "verdict", "history", "runs"}
    found = {
        name
        for path in modules()
        if path.is_relative_to(PACKAGES["holdfast_reports"])
        for name in imports(path)
        if name.startswith("holdfast.") and name.split(".")[1] not in data
    }
    assert found <= {"holdfast.pricing.prices"}


REPORTERS = {"say", "listener", "progress"}
SILENT_ON_PURPOSE = {
    ("watchdog.py", "heal_all"): "nobody waits: the run is dead",
}


def waiting_helpers() -> set[str]:
    """Names of functions that tell a reporter what they wait for, and are silent when they are given none."""
    found = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                named = [argument.arg for argument in node.args.args[len(node.args.args) - len(node.args.defaults) :]]
                pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                named += [argument.arg for argument, default in pairs if default is not None]
                if REPORTERS & set(named):
                    found.add(node.name)
    return found


def calls_of(tree: ast.AST, names: set[str]) -> Iterator[tuple[str, ast.Call]]:
    """Calls of functions by name, with what they are called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in names:
                yield name, node


def test_whoever_waits_tells_what_for() -> None:
    """No helper that can tell what is waited for is called without somebody to tell: nobody waits in silence."""
    helpers = waiting_helpers()
    assert {"deploy", "heal_all", "sweep", "opened"} <= helpers
    ambiguous = {"run", "__init__"}  # also names of others
    untold = {
        (path.name, name)
        for path in modules()
        for name, call in calls_of(ast.parse(path.read_text(encoding="utf-8")), helpers - ambiguous)
        if not REPORTERS & {keyword.arg for keyword in call.keywords}
    }
    assert untold <= set(SILENT_ON_PURPOSE), untold - set(SILENT_ON_PURPOSE)


def test_no_source_root_is_a_package() -> None:
    """The five folders hold packages; an __init__.py directly in them would make `fixtures` or `load` importable."""
    assert not [folder.parent for folder in PACKAGES.values() if (folder.parent / "__init__.py").exists()]


def test_the_root_conftest_wires_and_nothing_more() -> None:
    """It makes the five folders importable and names the plugin as its entry point does: no fixture, hook or test."""
    tree = ast.parse((ROOT / "conftest.py").read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert set(imports(ROOT / "conftest.py")) == {"__future__", "sys", "pathlib"}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    ((key, module),) = project["project"]["entry-points"]["pytest11"].items()
    assert key == module, "pytest would load the plugin twice"
    assert module in texts
    assert {folder.parent.name for folder in PACKAGES.values()} <= set(texts)


@pytest.mark.parametrize("autoload", [True, False], ids=["installed", "no entry points"])
def test_a_checkout_collects_descriptors_once(autoload: bool, tmp_path: Path) -> None:
    """With the installed plugin or without it, from any directory, each clause of a stack is collected once."""
    stack = ROOT / "fixtures" / "holdfast_fixtures" / "storage_first" / "webhooks" / "webhooks.stack.toml"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    if not autoload:
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    ended = subprocess.run(
        # without pyproject.toml, whose settings for pytest-timeout are unknown where nothing is loaded
        [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", ROOT, stack, "--collect-only", "-q"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    ids = [line.partition("::")[2] for line in ended.stdout.splitlines() if "::" in line]
    assert "SF-1" in ids
    assert len(ids) == len(set(ids))


def test_the_definition_analysis_is_pure() -> None:
    """It reads text and judges it: no client, target, stack or provocation is in its reach."""
    found = {
        name
        for path in HARNESS
        if part(path) == "definition"
        for name in imports(path)
        if name.split(".")[0] in {"boto3", "botocore", "requests", "socket", "subprocess"}
        or (name.startswith("holdfast.") and name.split(".")[1] not in {"definition", "errors", "verdict"})
    }
    assert not found


def test_modules_stay_small() -> None:
    """One concept a module: none is longer than 600 lines."""
    tests = sorted((ROOT / "tests").rglob("*.py"))
    long = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in [*modules(), *tests]}
    assert not {name: lines for name, lines in long.items() if lines > LARGEST_MODULE_LINES}


def test_locust_and_gevent_stay_in_processes_of_their_own() -> None:
    """Only the users import Locust, and nothing that the command or pytest imports imports gevent at once."""
    load = PACKAGES["holdfast_load"]
    found: dict[str, set[str]] = {"locust": set(), "gevent": set(), "geventhttpclient": set()}
    for path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
                for library in {name.split(".")[0] for name in names} & found.keys():
                    found[library].add(str(path.relative_to(load if path.is_relative_to(load) else ROOT)))
    assert found["locust"] == {"users.py"}
    assert found["geventhttpclient"] == {"client/answers.py", "client/connection.py"}
    assert found["gevent"] == {
        "channel.py",
        "client/connection.py",
        "master.py",
        "standalone.py",
        "users.py",
        "worker.py",
    }
    command = "import sys, holdfast_load.command; print(sorted({'locust', 'gevent'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, timeout=120, check=True)
    assert ended.stdout.strip() == "[]"
