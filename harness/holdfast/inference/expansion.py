"""SAM templates translated to CloudFormation's own resources, with nothing packaged or uploaded."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.errors import DeploymentError
from holdfast.extras import install
from holdfast.targets.cfn_template import read_template, uses_transform

_PLACEHOLDER = "s3://holdfast/nothing-is-uploaded"
_LOCAL = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::StateMachine": "DefinitionUri"}


def expanded(path: Path) -> dict[str, Any]:
    """Read a template and translate what is SAM's.

    Args:
        path: a CloudFormation or SAM template.

    Raises:
        DeploymentError: it cannot be read or translated, or the translator is not installed.
    """
    template = read_template(path)
    if not uses_transform(template):
        return template
    try:
        import boto3
        from samtranslator.model.exceptions import ExceptionWithMessage
        from samtranslator.parser.parser import Parser
        from samtranslator.translator.translator import Translator
    except ImportError:
        raise DeploymentError(
            f"{path}: this is a SAM template, and nothing here can translate it.",
            cause="the extra `embedded` is not installed",
            remedy=f"{install('embedded')}; or name the deployed stack with --cloudformation",
        ) from None
    # it counts what it does, and warns that nobody asks for the counts
    logging.getLogger("samtranslator.metrics.metrics").setLevel(logging.ERROR)
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
    try:
        translated: dict[str, Any] = translator.translate(_with_code(template), _defaults(template))
    except ExceptionWithMessage as error:
        raise DeploymentError(
            f"{path}: SAM refuses the template.", cause=" ".join(str(error.message).split()), remedy="correct it"
        ) from error
    return translated


def _with_code(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template with placeholders where local code is named: the translator takes only what is in a bucket."""
    prepared = copy.deepcopy(dict(template))
    everywhere = prepared.get("Globals")
    of_functions = everywhere.get("Function") if isinstance(everywhere, dict) else None
    if isinstance(of_functions, dict):
        of_functions.pop("CodeUri", None)
    for resource in prepared["Resources"].values():
        key = _LOCAL.get(resource["Type"])
        resource["Properties"] = properties = resource.get("Properties") or {}
        if (
            key is not None
            and isinstance(properties, dict)
            and not {"InlineCode", "ImageUri", "Definition"} & set(properties)
        ):
            properties[key] = _PLACEHOLDER
    return prepared


def _declared(template: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of a template; none where an empty or odd section stands for them."""
    found = template.get("Parameters")
    return found if isinstance(found, Mapping) else {}


def _defaults(template: Mapping[str, Any]) -> dict[str, Any]:
    declared = _declared(template)
    return {name: one["Default"] for name, one in declared.items() if isinstance(one, dict) and "Default" in one}


def settled(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """The template with parameters as their values, and of every ``Fn::If`` what it gives first.

    Args:
        template: CloudFormation's own form.
        parameters: values by name; else a parameter has its default.
    """
    values = {**_literal_defaults(template), **parameters}

    def settle(node: Any) -> Any:
        if isinstance(node, list):
            return [one for one in map(settle, node) if one is not _NOTHING]
        if not isinstance(node, Mapping):
            return node
        if set(node) == {"Fn::If"} and isinstance(node["Fn::If"], list) and len(node["Fn::If"]) == 3:
            first, second = map(settle, node["Fn::If"][1:])
            return second if first is _NOTHING else first
        if set(node) == {"Ref"} and isinstance(node["Ref"], str):
            return _NOTHING if node["Ref"] == "AWS::NoValue" else values.get(node["Ref"], node)
        pairs = ((name, settle(one)) for name, one in node.items())
        return {name: one for name, one in pairs if one is not _NOTHING}

    resources = {name: settle(one) for name, one in template["Resources"].items()}
    return {**template, "Resources": resources}


_NOTHING = object()
"""What ``AWS::NoValue`` leaves of a property."""


def _literal_defaults(template: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults that are values; those of AWS::SSM::Parameter::Value<...> are names of values."""
    declared = _declared(template)
    return {
        name: value
        for name, value in _defaults(template).items()
        if not str(declared[name].get("Type", "")).startswith("AWS::SSM::")
    }
