"""Reading CloudFormation, SAM and `cdk synth` templates into plain JSON, with mistakes named by file and key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from holdfast.errors import DeploymentError

_WITHOUT_PREFIX = ("Ref", "Condition")


class _Loader(yaml.SafeLoader):
    """SafeLoader that knows CloudFormation's short forms and leaves dates as text."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        # Only the first dot separates: attribute names (Outputs.X of a nested stack) hold dots themselves.
        value = value.split(".", 1)
    return {suffix if suffix in _WITHOUT_PREFIX else f"Fn::{suffix}": value}


def _as_text(loader: _Loader, node: yaml.ScalarNode) -> Any:
    return loader.construct_scalar(node)


_Loader.add_multi_constructor("!", _short_form)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_text)


def find_template(path: Path) -> Path:
    """Return the template file that a path means: the file itself, or the one template of a ``cdk.out`` folder.

    Args:
        path: a template file or the folder that `cdk synth` wrote.

    Raises:
        DeploymentError: nothing is there, or the folder holds no template or several.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise DeploymentError(
            f"{path}: the template does not exist",
            cause="deploy.template of the descriptor is relative to the descriptor's folder",
            remedy="correct the path; for the CDK run `cdk synth` first",
        )
    found = sorted(path.glob("*.template.json"))
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.name for one in found) or "none"
    raise DeploymentError(
        f"{path}: a folder must hold exactly one *.template.json; it holds: {names}",
        remedy="name the template file itself in deploy.template",
    )


def read_template(path: Path) -> dict[str, Any]:
    """Read a template, JSON or YAML, with YAML's short forms (``!Ref``, ``!Sub`` ...) as long forms.

    Args:
        path: the template file.

    Raises:
        DeploymentError: the file cannot be read, is not YAML or JSON, or has no resources.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DeploymentError(
            f"{path}: the template cannot be read",
            cause=error.strerror or str(error),
            remedy="correct the path, or its permissions",
        ) from error
    except UnicodeDecodeError as error:
        raise _unreadable(str(path), error) from error
    return parsed_template(text, str(path))


def parsed_template(text: str, where: str) -> dict[str, Any]:
    """A template from its text, JSON or YAML, with YAML's short forms as long forms.

    Args:
        text: the template.
        where: what it is the template of, for messages: its file, or a deployed stack.

    Raises:
        DeploymentError: it is not YAML or JSON, or has no resources.
    """
    try:
        # JSON first: it is faster, and JSON indented with tabs is not YAML.
        template = json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, Loader=_Loader)  # noqa: S506
        template = json.loads(json.dumps(template, allow_nan=False))
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        raise _unreadable(where, error) from error
    except RecursionError as error:
        raise DeploymentError(f"{where}: the template is nested too deeply to be read") from error
    except (TypeError, ValueError) as error:
        raise DeploymentError(f"{where}: the template holds what JSON does not have", cause=str(error)) from error
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict) or not template["Resources"]:
        raise DeploymentError(
            f"{where}: Resources is missing or empty",
            cause="this is not a CloudFormation or SAM template",
            remedy="name a template that has resources",
        )
    for logical_id, resource in template["Resources"].items():
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise DeploymentError(f"{where}: Resources.{logical_id}.Type is missing", remedy="give the resource a type")
    return template


def _unreadable(where: str, error: Exception) -> DeploymentError:
    return DeploymentError(
        f"{where}: the template is not valid YAML or JSON",
        cause=" ".join(str(error).split()),
        remedy="correct the line named",
    )


def check_parameters(path: Path, template: Mapping[str, Any], given: Mapping[str, str]) -> None:
    """Refuse parameters that the template does not have, and missing ones that have no default.

    Args:
        path: the template file, for the message.
        template: the template.
        given: parameter values by name.

    Raises:
        DeploymentError: names the file and the parameter.
    """
    declared: Mapping[str, Any] = template.get("Parameters") or {}
    for name in given:
        if name not in declared:
            raise DeploymentError(
                f"{path}: Parameters.{name} does not exist",
                cause=f"the template has: {', '.join(sorted(declared)) or 'no parameters'}",
                remedy="correct the name in deploy.parameters of the descriptor",
            )
    for name, declaration in declared.items():
        if name not in given and "Default" not in (declaration or {}):
            raise DeploymentError(
                f"{path}: Parameters.{name} has no default and no value was given",
                remedy=f"add {name} to deploy.parameters of the descriptor",
            )


def uses_transform(template: Mapping[str, Any]) -> bool:
    """Whether a macro (SAM's included) must expand the template."""
    return bool(template.get("Transform")) or any("Fn::Transform" in node for node in _mappings(template))


def references(node: object) -> Iterator[str]:
    """The names that a part of a template refers to by ``Ref``, ``Fn::GetAtt`` or inside ``Fn::Sub``."""
    for mapping in _mappings(node):
        if isinstance(mapping.get("Ref"), str):
            yield mapping["Ref"]
        attribute = mapping.get("Fn::GetAtt")
        if attribute:
            yield attribute.split(".")[0] if isinstance(attribute, str) else str(attribute[0])
        text = mapping.get("Fn::Sub")
        text = text[0] if isinstance(text, list) and text else text
        if isinstance(text, str):
            yield from (part.split("}", 1)[0].split(".", 1)[0] for part in text.split("${")[1:])


def _mappings(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _mappings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _mappings(value)
