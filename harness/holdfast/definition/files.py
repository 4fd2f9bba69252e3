"""Definitions in files: alone (``.asl.json``, ``.asl.yaml``), or inside a CloudFormation or SAM template."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from holdfast.definition.integrations import text_of
from holdfast.definition.model import Definition
from holdfast.definition.parsing import parse
from holdfast.definition.source import Node, read_json, read_yaml
from holdfast.errors import DefinitionError

_TYPES = ("AWS::StepFunctions::StateMachine", "AWS::Serverless::StateMachine")
_LARGEST_BYTES = 16 * 1024 * 1024
_ELSEWHERE = "name the definition's file; or `holdfast verify NAME.stack.toml::SG-14`, which reads the deployed one"


def read_definitions(path: Path, *, express: bool | None = None) -> tuple[Definition, ...]:
    """Read the state machines of a file.

    Args:
        path: a definition, or a template with state machines.
        express: whether they are Express workflows, where the file does not say.

    Raises:
        DefinitionError: the file cannot be read or holds no state machine; names file, line, cause and remedy.
    """
    text = _text(path)
    document = _document(text, str(path))
    if "Resources" in document.entries and "StartAt" not in document.entries:
        return tuple(_of_template(document, path, express=express))
    return (_alone(document, path, express=express),)


def parse_text(text: str, *, file: str, name: str, first_line: int = 1, express: bool | None = None) -> Definition:
    """Read a state machine from JSON text, e.g. the ``definition`` that ``DescribeStateMachine`` answers with.

    Args:
        text: the definition.
        file: what it is called in messages and findings.
        name: what the machine is called.
        first_line: the line of the text's first line in its file.
        express: whether it is an Express workflow.

    Raises:
        DefinitionError: the text is no definition.
    """
    return parse(read_json(text, file, first_line=first_line), file=file, name=name, express=express)


def _alone(document: Node, path: Path, *, express: bool | None) -> Definition:
    return parse(document, file=str(path), name=path.name.split(".")[0], express=express)


def _text(path: Path) -> str:
    try:
        if path.is_dir():
            raise DefinitionError(f"{path} is a folder.", remedy="name the files in it")
        if path.stat().st_size > _LARGEST_BYTES:
            raise DefinitionError(
                f"{path} is larger than {_LARGEST_BYTES} bytes.", remedy="name a state machine's definition"
            )
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DefinitionError(
            f"There is no file {path}.", cause=f"it was looked for from {Path.cwd()}", remedy="correct the path"
        ) from None
    except UnicodeDecodeError as error:
        raise DefinitionError(
            f"{path} is not UTF-8 text.", cause=f"byte {error.start} cannot be decoded", remedy="save it as UTF-8"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise DefinitionError(
            f"{path} cannot be read.",
            cause=getattr(error, "strerror", None) or str(error),
            remedy="check the path and its permissions",
        ) from None


def _document(text: str, name: str) -> Node:
    if name.endswith(".toml"):
        raise DefinitionError(
            f"{name} is no state machine's definition, which is JSON or YAML.",
            cause="a descriptor is not linted; its stack's deployed definition is verified",
            remedy=f"`holdfast verify {name}::SG-14`, or name the definition's file",
        )
    # JSON first: it is faster, and JSON indented with tabs is not YAML
    if name.endswith(".json") or text.lstrip().startswith("{"):
        return read_json(text, name)
    return read_yaml(text, name)


def _of_template(document: Node, path: Path, *, express: bool | None) -> Iterable[Definition]:
    found = False
    for logical_id, resource in (document.get("Resources") or document).entries.items():
        kind, properties = resource.get("Type"), resource.get("Properties")
        if kind is None or kind.text not in _TYPES or properties is None:
            continue
        found = True
        yield _of_resource(logical_id, properties, path, express=express)
    if not found:
        raise DefinitionError(
            f"{path}: this template has no state machine.",
            cause=f"no resource has the type {' or '.join(_TYPES)}",
            remedy="name the file that holds one: a template, or a definition (.asl.json, .asl.yaml)",
        )


def _of_resource(logical_id: str, properties: Node, path: Path, *, express: bool | None) -> Definition:
    said = text_of(properties.get("StateMachineType") or properties.get("Type"))
    if said in ("EXPRESS", "STANDARD"):
        express = said == "EXPRESS"
    elif said and said.isupper():
        raise DefinitionError(
            f"{path}:{properties.line}: {logical_id} has the type {said}.", remedy="there are STANDARD and EXPRESS"
        )
    elif not said:
        express = express or False  # CloudFormation's default is STANDARD
    alias = text_of(properties.get("StateMachineName") or properties.get("Name"))
    aliases = (alias,) if alias else ()
    whole = properties.get("Definition")
    if whole is not None:
        return parse(whole, file=str(path), name=logical_id, express=express, aliases=aliases)
    given = properties.get("DefinitionString")
    if given is not None:
        return _of_string(given, logical_id, path, aliases, express=express)
    uri = text_of(properties.get("DefinitionUri"))
    if uri and not re.match(r"\w+://", uri):
        inner = path.parent / uri
        if not inner.exists():
            raise DefinitionError(
                f"{path}:{properties.line}: {logical_id} has its definition in {uri}, and there is no such file.",
                cause=f"it was looked for beside the template, as {inner}",
                remedy="correct DefinitionUri, or name the definition's file instead of the template",
            )
        document = _document(_text(inner), str(inner))
        return parse(
            document, file=str(inner), name=logical_id, express=express, aliases=(*aliases, inner.name.split(".")[0])
        )
    raise DefinitionError(
        f"{path}:{properties.line}: the definition of {logical_id} is not in this template.",
        cause="it is in S3, or missing",
        remedy=_ELSEWHERE,
    )


def _of_string(
    given: Node, logical_id: str, path: Path, aliases: tuple[str, ...], *, express: bool | None
) -> Definition:
    line = given.line
    for _ in range(4):  # Fn::Sub with a list of text and names, inside other functions
        inner = given.get("Fn::Sub") or (given.items[0] if given.items else None)
        if inner is None:
            break
        given, line = inner, inner.line
    text = text_of(given)
    if not text.lstrip().startswith("{"):
        raise DefinitionError(
            f"{path}:{line}: the definition of {logical_id} is put together when it is deployed.",
            cause="DefinitionString is no JSON object as text, nor Fn::Sub or Fn::Join of one",
            remedy=_ELSEWHERE,
        )
    if path.suffix == ".json":
        text = text.replace("\n", " ")  # a JSON text is on one line of its file, whatever lines are in it
    document = read_json(text, str(path), first_line=line)
    return parse(document, file=str(path), name=logical_id, express=express, aliases=aliases)
