"""``holdfast init``: from a template or a deployed stack to a first descriptor, and what it can decide."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.doctor import described, diagnose
from holdfast.errors import DescriptorError, ExitCode, HoldfastError, ResourceError
from holdfast.inference.evidence import snake
from holdfast.inference.expansion import expanded
from holdfast.inference.inventory import Inventory, inventory
from holdfast.inference.learning import Row
from holdfast.inference.patterns import Parts, infer
from holdfast.inference.sample import Sample, parse_sample
from holdfast.inference.trials import learn
from holdfast.inference.writing import Origin, descriptor, marked
from holdfast.opening import Options
from holdfast.progress import telling
from holdfast.stack.aws_errors import translated
from holdfast.stack.descriptor import AwsPin
from holdfast.targets.base import Target
from holdfast.targets.open import open_target

SUFFIX = ".stack.toml"
_LONGEST_NAME = 40


def init_command(arguments: Sequence[str]) -> int:
    """Write a first descriptor for a stack: ``holdfast init --template FILE``, or ``--cloudformation NAME``."""
    own = _parser().parse_args(list(arguments))
    found = _of_template(own) if own.template else _of_deployed(own)
    path = Path(own.output or f"{found.origin.name}{SUFFIX}")
    _refuse_existing(path, force=own.force)
    parts = infer(found.there)
    if parts is None:
        raise DescriptorError(
            "The resources speak for none of the patterns.",
            cause="there is no state machine, no store behind an API, no stream that feeds a function",
            remedy="write the descriptor by hand; docs/descriptor.md has every key, `holdfast schema` helps editors",
        )
    sample = _sample(own, parts)
    known = None
    if sample is not None and own.template:
        with telling() as say:
            known = learn(Path(own.template), found.origin, found.there, parts, sample, say=say)
    text = descriptor(found.origin, found.there, parts, sample, known)
    _write(path, text)
    _tell(path, parts, text)
    _doctor(path, own)
    return ExitCode.HELD


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    origin: Origin
    there: Inventory


def _of_template(own: argparse.Namespace) -> _Found:
    path = Path(own.template)
    there = inventory(expanded(path))
    name = own.name or _name(path.resolve().parent.name if path.stem in ("template", "main") else path.stem)
    folder = Path(own.output).parent if own.output else Path()
    return _Found(
        there=there,
        origin=Origin(
            name=name,
            template=os.path.relpath(path, folder),
            parameters=dict(_pair(one, "--parameter") for one in own.parameter),
            seeds=tuple(_seed(one, there) for one in own.seed),
        ),
    )


def _of_deployed(own: argparse.Namespace) -> _Found:
    """Read the template that CloudFormation keeps of a deployed stack; nothing is sent to the stack."""
    if own.sample and (own.parameter or own.seed):
        raise DescriptorError(
            "Parameters and rows are for a template.",
            cause="--parameter or --seed is given for a deployed stack",
            remedy="leave them out",
        )
    pin = AwsPin(account=own.account, region=own.region) if own.account and own.region else None
    target = open_target(own.target, pin=pin, allow_aws=own.allow_aws)
    try:
        stack = own.cloudformation or _tagged(target, own.tags)
        with translated(f"The CloudFormation stack {stack}", target):
            answer = target.client("cloudformation").get_template(StackName=stack, TemplateStage="Processed")
    finally:
        target.close()
    body = answer["TemplateBody"]
    template: Mapping[str, Any] = json.loads(body) if isinstance(body, str) else body
    return _Found(there=inventory(template), origin=Origin(name=own.name or _name(stack), cloudformation=stack))


def _tagged(target: Target, tags: Sequence[str]) -> str:
    """The one CloudFormation stack whose resources carry all the tags.

    docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html: CloudFormation puts its
    stack's name into the tag ``aws:cloudformation:stack-name``.
    """
    wanted = dict(_pair(tag, "--tags") for tag in tags)
    filters = [{"Key": name, "Values": [value]} for name, value in wanted.items()]
    with translated("The tags", target):
        pages = target.client("resourcegroupstaggingapi").get_paginator("get_resources").paginate(TagFilters=filters)
        tagged = [one["Tags"] for page in pages for one in page["ResourceTagMappingList"]]
    stacks = {str(tag["Value"]) for one in tagged for tag in one if tag["Key"] == "aws:cloudformation:stack-name"}
    if len(stacks) == 1:
        return stacks.pop()
    raise ResourceError(
        f"The tags do not lead to one CloudFormation stack, but to {len(stacks)}.",
        cause=", ".join(sorted(stacks)) or f"{len(tagged)} resources carry them, and none belongs to a stack",
        remedy="name the stack with --cloudformation",
    )


def _sample(own: argparse.Namespace, parts: Parts) -> Sample | None:
    if not own.sample:
        return None
    routes = (parts.route,) if parts.route else ()
    headers = dict(_pair(one, "--upload-header") for one in own.upload_header)
    return parse_sample(own.sample, routes, upload=own.upload, upload_headers=headers)


def _pair(text: str, option: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise DescriptorError(f"{option} {text} cannot be used.", cause="it has no =", remedy=f"{option} NAME=VALUE")
    return name, value


def _seed(text: str, there: Inventory) -> tuple[str, Row]:
    table, row = _pair(text, "--seed")
    try:
        found = json.loads(row)
    except json.JSONDecodeError as error:
        raise DescriptorError(f"--seed {text} cannot be used.", cause=f"the row is not JSON: {error}") from None
    if table not in there.tables or not isinstance(found, dict):
        raise DescriptorError(
            f"--seed {text} cannot be used.",
            cause=f"{table} is no table of the template" if table not in there.tables else "the row is no JSON object",
            remedy=f"the tables are {', '.join(there.tables) or 'none'}",
        )
    return table, found


def _name(text: str) -> str:
    """A name that a stack may have."""
    name = snake(text).replace("_", "-").lstrip("-0123456789")[:_LONGEST_NAME].rstrip("-")
    return name or "stack"


def _refuse_existing(path: Path, *, force: bool) -> None:
    if not path.name.endswith(SUFFIX):
        raise DescriptorError(f"{path} is no name of a descriptor.", remedy=f"--output NAME{SUFFIX}")
    if path.exists() and not force:
        raise DescriptorError(
            f"{path} exists.", cause="nothing is overwritten", remedy="--output another name, or --force"
        )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DescriptorError(
            f"{path} cannot be written.", cause=str(error.strerror or error), remedy="--output names another place"
        ) from None


def _tell(path: Path, parts: Parts, text: str) -> None:
    sys.stdout.write(f"written: {path}: {parts.pattern}, because of {parts.why}\n")
    lines, numbers = text.splitlines(), marked(text)
    for number in numbers:
        sys.stdout.write(f"  line {number}: {lines[number - 1]}\n")
    if numbers:
        sys.stdout.write(f"{len(numbers)} line{'s have' if len(numbers) > 1 else ' has'} to be filled in by hand\n")


def _doctor(path: Path, own: argparse.Namespace) -> None:
    """What the new descriptor can decide; its gaps are no failure of this command."""
    if own.no_doctor:
        return
    target = None if own.template else own.target
    options = Options(target=target, allow_aws=own.allow_aws)
    try:
        with telling() as say:
            lines = described(diagnose(path, options=options, say=say))
    except HoldfastError as error:
        sys.stdout.write(f"holdfast doctor {path} cannot say what it decides yet: {error}\n")
        return
    sys.stdout.write("\n".join(lines) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="holdfast init",
        description="Read a template or a deployed stack, infer its pattern, and write a first, commented descriptor. "
        "With a sample command the template is deployed to an emulator of its own, the command is sent there, and what "
        "it leaves behind shows where its effects are. Then doctor says what can be decided.",
        epilog="exit codes: 0 written, 2 usage, template or target",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--template", metavar="FILE", help="a CloudFormation or SAM template")
    source.add_argument("--cloudformation", metavar="NAME", help="a deployed stack; it is only read")
    source.add_argument("--tags", nargs="+", metavar="K=V", help="the deployed stack whose resources carry these tags")
    parser.add_argument(
        "--sample",
        default="",
        metavar="TEXT",
        help='e.g. POST /orders {"order_id": "{key}", "note": "{value}"}; the body alone where there is one route',
    )
    parser.add_argument("--upload", default="", metavar="TEXT", help="what is put where the answer to the sample says")
    parser.add_argument("--upload-header", action="append", default=[], metavar="K=V", help="a header of the upload")
    parser.add_argument("--parameter", action="append", default=[], metavar="K=V", help="a parameter of the template")
    parser.add_argument("--seed", action="append", default=[], metavar="TABLE=JSON", help="a row that the stack needs")
    parser.add_argument("--name", default="", help="of the stack (default: the template's folder, or the stack's name)")
    parser.add_argument("--output", default="", metavar="FILE", help=f"default: NAME{SUFFIX}")
    parser.add_argument("--force", action="store_true", help="overwrite")
    parser.add_argument("--no-doctor", action="store_true", help="do not ask doctor what can be decided")
    parser.add_argument("--target", choices=("localstack", "aws"), default="aws", help="where the stack is deployed")
    parser.add_argument("--account", default="", help="on AWS: the account it must be")
    parser.add_argument("--region", default="", help="on AWS: the region")
    parser.add_argument("--allow-aws", action="store_true", help="opt in to read real AWS")
    return parser
