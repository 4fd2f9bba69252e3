"""Tests of the overlays that plant bugs in reference stacks, and of the catalogue that finds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.errors import HoldfastError
from holdfast_fixtures.catalogue import mutants, reference_stacks
from holdfast_fixtures.overlay import Mutant, materialise, read_mutant

TEMPLATE = """
AWSTemplateFormatVersion: 2010-09-09
Resources:
  # a comment
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub "${AWS::StackName}-queue"
      Tags: [{Key: a, Value: !Ref Name}, {Key: b, Value: !GetAtt Other.Arn}]
"""
HANDLER = """
def handler(event, context):
    x = 1
    y = 1
    return x + y
"""
HEAD = 'title = "t"\nclause = "ES-5"\nexplanation = "e"\n'


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A stack with one handler, one template and one file that must not be copied."""
    folder = tmp_path / "stack"
    (folder / "handlers").mkdir(parents=True)
    (folder / "mutants").mkdir()
    (folder / "handlers" / "__pycache__").mkdir()
    (folder / "handlers" / "__pycache__" / "worker.pyc").write_bytes(b"")
    (folder / "thing.stack.toml").write_text('name = "thing"\n')
    (folder / "template.yaml").write_text(TEMPLATE)
    (folder / "handlers" / "worker.py").write_text(HANDLER)
    return folder


def overlay(stack: Path, text: str, head: str = HEAD) -> Mutant:
    """The mutant of an overlay with this text."""
    path = stack / "mutants" / "planted.mutant.toml"
    path.write_text(head + text)
    return read_mutant(path)


def replacing(file: str, old: str, new: str) -> str:
    """One [[replace]] entry; JSON-like literals are TOML too."""
    return f"[[replace]]\nfile = '''{file}'''\nold = '''{old}'''\nnew = '''{new}'''\n"


def test_a_copy_without_a_mutant_is_the_stack_without_its_mutants(stack: Path, tmp_path: Path) -> None:
    """The copy holds every file byte for byte, but neither mutants nor compiled code."""
    copy = tmp_path / "copy"
    descriptor = materialise(stack, None, copy)
    assert descriptor == copy / "thing.stack.toml"
    files = {path.relative_to(copy).as_posix(): path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert files == {
        name: (stack / name).read_bytes() for name in ("thing.stack.toml", "template.yaml", "handlers/worker.py")
    }


def test_a_replacement_changes_the_copy_and_not_the_stack(stack: Path, tmp_path: Path) -> None:
    """The exact text is exchanged in the copy; the stack itself stays as it is."""
    before = (stack / "handlers" / "worker.py").read_text()
    materialise(stack, overlay(stack, replacing("handlers/worker.py", "x = 1", "x = 2")), tmp_path / "copy")
    assert (tmp_path / "copy" / "handlers" / "worker.py").read_text() == before.replace("x = 1", "x = 2")
    assert (stack / "handlers" / "worker.py").read_text() == before


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (replacing("handlers/worker.py", "z = 1", "z = 2"), "occurs 0 times"),
        (replacing("handlers/worker.py", " = 1", " = 2"), "occurs 2 times"),
        (replacing("handlers/worker.py", "x = 1", "x = 1"), "old and new are equal"),
        (replacing("handlers/worker.py", "    x = 1", "  x = 1"), "Line 4"),
        (replacing("handlers/other.py", "x", "y"), "There is no 'handlers/other.py'"),
        (replacing("../stack/template.yaml", "x", "y"), "There is no '../stack/template.yaml'"),
        ('[[set]]\npath = "Resources.Nothing.Properties"\nvalue = 1\n', "no 'Nothing' on the way"),
        ('[[set]]\npath = "Resources.Queue.Properties.Tags.2"\nvalue = 1\n', "no '2' on the way"),
        ('[[set]]\npath = "Resources.Queue.Type.x"\nvalue = 1\n', "no 'x' on the way"),
        ('[[set]]\npath = "Resources.Queue.Properties.Nothing"\nremove = true\n', "no 'Nothing' on the way"),
    ],
)
def test_an_overlay_that_does_not_fit_is_an_error(stack: Path, tmp_path: Path, text: str, what: str) -> None:
    """An overlay that misses its stack, or leaves code that does not parse, says so and why."""
    mutant = overlay(stack, text)
    with pytest.raises(HoldfastError) as caught:
        materialise(stack, mutant, tmp_path / "copy")
    assert what in str(caught.value)
    assert str(mutant.path) in str(caught.value)
    assert caught.value.remedy


def test_two_replacements_may_pass_through_code_that_does_not_parse(stack: Path, tmp_path: Path) -> None:
    """Only the end result of an overlay has to be Python."""
    first = replacing("handlers/worker.py", "    x = 1", "  x = 1")
    second = replacing("handlers/worker.py", "  x = 1\n    y", "    x = 3\n    y")
    materialise(stack, overlay(stack, first + second), tmp_path / "copy")
    assert "    x = 3" in (tmp_path / "copy" / "handlers" / "worker.py").read_text()


def test_a_setting_keeps_the_meaning_of_the_rest_of_the_template(stack: Path, tmp_path: Path) -> None:
    """Short tags come out as their long form, dates stay text, and only the path changes."""
    text = (
        '[[set]]\npath = "Resources.Queue.Properties.MessageRetentionPeriod"\nvalue = 60\n'
        '[[set]]\npath = "Resources.Queue.Properties.Tags.0.Value"\nvalue = { Ref = "Else" }\n'
        '[[set]]\npath = "Resources.Queue.Type"\nremove = true\n'
    )
    materialise(stack, overlay(stack, text), tmp_path / "copy")
    assert yaml.safe_load((tmp_path / "copy" / "template.yaml").read_text()) == {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            "Queue": {
                "Properties": {
                    "QueueName": {"Fn::Sub": "${AWS::StackName}-queue"},
                    "Tags": [
                        {"Key": "a", "Value": {"Ref": "Else"}},
                        {"Key": "b", "Value": {"Fn::GetAtt": ["Other", "Arn"]}},
                    ],
                    "MessageRetentionPeriod": 60,
                }
            }
        },
    }


def test_a_setting_changes_a_json_file_and_leaves_the_rest_as_it_is(stack: Path, tmp_path: Path) -> None:
    """A definition stays JSON, with its nulls, its order and its characters."""
    definition: dict[str, Any] = {
        "StartAt": "A",
        "States": {"A": {"Type": "Task", "ResultPath": None, "Comment": "ö", "Next": "B"}},
    }
    (stack / "saga.asl.json").write_text(json.dumps(definition))
    text = '[[set]]\nfile = "saga.asl.json"\npath = "States.A.Next"\nvalue = "C"\n'
    materialise(stack, overlay(stack, text), tmp_path / "copy")
    definition["States"]["A"]["Next"] = "C"
    assert (tmp_path / "copy" / "saga.asl.json").read_text() == json.dumps(
        definition, indent=2, ensure_ascii=False
    ) + "\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (HEAD, "neither [[replace]] nor [[set]]"),
        ("title = ", "is not TOML"),
        (HEAD + 'colour = "red"\n[[set]]\npath = "a"\n', "colour: Extra inputs"),
        (HEAD.replace("ES-5", "ES5") + '[[set]]\npath = "a"\n', "clause: String should match"),
        (HEAD.replace('title = "t"\n', "") + '[[set]]\npath = "a"\n', "title: Field required"),
    ],
)
def test_an_overlay_that_cannot_be_used_is_an_error(stack: Path, text: str, what: str) -> None:
    """A wrong overlay names its file and the key."""
    with pytest.raises(HoldfastError) as caught:
        overlay(stack, "", head=text)
    assert what in str(caught.value)
    assert "planted.mutant.toml" in str(caught.value)


def test_a_missing_overlay_is_an_error(tmp_path: Path) -> None:
    """A missing file gives one clear error."""
    with pytest.raises(HoldfastError, match="cannot be read"):
        read_mutant(tmp_path / "none.mutant.toml")


def test_a_destination_in_use_is_refused(stack: Path, tmp_path: Path) -> None:
    """Nothing is written into a folder that holds files."""
    with pytest.raises(HoldfastError, match="cannot be copied"):
        materialise(stack, None, stack)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert materialise(stack, None, empty).is_file()


def test_a_folder_without_exactly_one_descriptor_is_refused(stack: Path, tmp_path: Path) -> None:
    """Two descriptors, or none, do not make a stack."""
    (stack / "other.stack.toml").write_text("")
    with pytest.raises(HoldfastError, match="is not a stack"):
        materialise(stack, None, tmp_path / "copy")
    with pytest.raises(HoldfastError, match="is not a stack"):
        materialise(stack / "handlers", None, tmp_path / "copy")


def test_the_catalogue_finds_the_external_storage_stacks() -> None:
    """Stacks and mutants are found in their folders and named after them."""
    found = {(stack.pattern, stack.name): stack for stack in reference_stacks()}
    assert {"notifications", "payroll"} <= {name for pattern, name in found if pattern == "external-storage"}
    for stack in found.values():
        assert stack.descriptor.parent == stack.directory
        assert all(mutant.path.parent == stack.directory / "mutants" for mutant in mutants(stack))


def test_every_mutant_of_every_stack_fits_its_stack(tmp_path: Path) -> None:
    """Each overlay applies, changes something that is deployed, and leaves code that parses."""
    for stack in reference_stacks():
        for mutant in mutants(stack):
            copy = materialise(stack.directory, mutant, tmp_path / stack.name / mutant.name).parent
            originals = (path for path in stack.directory.rglob("*") if path.suffix in {".py", ".yaml", ".json"})
            changed = [
                path
                for path in originals
                if "__pycache__" not in path.parts
                and (copy / path.relative_to(stack.directory)).read_bytes() != path.read_bytes()
            ]
            assert changed, mutant.path
