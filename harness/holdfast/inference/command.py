"""``holdfast init``: from a template or a deployed stack to a first descriptor, and what it can decide."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from holdfast.definition import read_definitions
from holdfast.definition.files import parse_text
from holdfast.doctor import described, diagnose
from holdfast.errors import DefinitionError, DescriptorError, ExitCode, HoldfastError
from holdfast.inference.beside import told
from holdfast.inference.deployed import deployed, tagged
from holdfast.inference.evidence import snake
from holdfast.inference.expansion import expanded, settled
from holdfast.inference.inventory import Inventory, inventory
from holdfast.inference.learning import Row
from holdfast.inference.patterns import Parts, infer, of_sidecar
from holdfast.inference.sample import Sample, parse_sample
from holdfast.inference.steps import NOTHING_TOLD, Told, told_steps
from holdfast.inference.toml import marked
from holdfast.inference.trials import Draft, learn
from holdfast.inference.writing import Origin, descriptor
from holdfast.inference.writing_saga import starts_alone
from holdfast.opening import Options
from holdfast.progress import telling
from holdfast.stack.descriptor import AwsPin
from holdfast.targets.open import open_target

SUFFIX = ".stack.toml"
_LONGEST_NAME = 40


def init_command(arguments: Sequence[str]) -> int:
    """Write a first descriptor for a stack: ``holdfast init --template FILE``, or ``--cloudformation NAME``."""
    own = _parser().parse_args(list(arguments))
    found = _of_template(own) if own.template else _of_deployed(own)
    path = Path(own.output or f"{found.origin.name}{SUFFIX}")
    _refuse_existing(path, force=own.force)
    parts = _parts(own, found.there)
    told = _told_by_definition(own, found.there, parts)
    sample = _sample(own, parts)
    if sample is not None and parts.route is not None:
        parts = replace(parts, route=replace(parts.route, path=parts.route.path or sample.path))
    known = None
    if sample is not None and own.template and parts.route is not None:
        draft = Draft(path=path, text=descriptor(found.origin, found.there, parts, sample, None))
        with telling() as say:
            known = learn(
                Path(own.template), sample, origin=found.origin, there=found.there, parts=parts, draft=draft, say=say
            )
    elif sample is not None:
        why = _unsent(parts) if own.template else "a deployed stack is only read"
        sys.stderr.write(f"  the sample is not sent, only its form is taken: {why}\n")
    text = descriptor(found.origin, found.there, parts, sample, known, told=told)
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
    parameters = dict(_pair(one, "--parameter") for one in own.parameter)
    there = _inventory(settled(expanded(path), parameters), str(path))
    name = own.name or _name(path.resolve().parent.name if path.stem in ("template", "main") else path.stem)
    folder = Path(own.output).parent if own.output else Path()
    return _Found(
        there=there,
        origin=Origin(
            name=name,
            template=os.path.relpath(path, folder),
            parameters=parameters,
            seeds=tuple(_seed(one, there) for one in own.seed),
        ),
    )


def _of_deployed(own: argparse.Namespace) -> _Found:
    """Read what CloudFormation keeps of a deployed stack; nothing is sent to the stack."""
    if own.parameter or own.seed:
        raise DescriptorError(
            "Parameters and rows are for a template.",
            cause="--parameter or --seed is given for a deployed stack",
            remedy="leave them out",
        )
    tags = dict(_pair(tag, "--tags") for tag in own.tags or ())
    pin = _pin(own)
    target = open_target(own.target, pin=pin, allow_aws=own.allow_aws)
    try:
        found = deployed(target, own.cloudformation or tagged(target, tags))
    finally:
        target.close()
    there = _inventory(settled(found.template, found.parameters), found.name, found.physical)
    origin = Origin(name=own.name or _name(found.name), cloudformation=found.name, target=own.target, pin=pin)
    return _Found(there=there, origin=origin)


def _pin(own: argparse.Namespace) -> AwsPin | None:
    if own.target != "aws" or not (own.account and own.region):
        return None
    try:
        return AwsPin(account=own.account, region=own.region)
    except ValidationError:
        raise DescriptorError(
            f"There is no account {own.account} in a region {own.region}.",
            cause="an account has twelve digits, and a region is called like eu-west-1",
            remedy="correct --account and --region",
        ) from None


def _inventory(template: Mapping[str, Any], where: str, physical: Mapping[str, str] | None = None) -> Inventory:
    try:
        return inventory(template, physical)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DescriptorError(
            f"{where} cannot be understood.",
            cause=f"a resource is not written as CloudFormation has it: {type(error).__name__}: {error}",
            remedy="see what CloudFormation makes of it: aws cloudformation validate-template, or cfn-lint",
        ) from error


def _parts(own: argparse.Namespace, there: Inventory) -> Parts:
    if own.sidecar or own.application:
        pair = told(there, own.sidecar, own.application)
        said = own.sidecar if not pair.started else "two processes"
        return of_sidecar(there, pair, f"what --sidecar says: {said}")
    parts = infer(there)
    if parts is None:
        raise DescriptorError(
            "The resources speak for none of the patterns.",
            cause="there is no state machine, no store behind an API, no stream that feeds a function, no bus of "
            "its own with functions that undo each other",
            remedy="say what runs beside the application with --sidecar, or write the descriptor by hand; "
            "docs/descriptor.md has every key, `holdfast schema` helps editors",
        )
    return parts


def _sample(own: argparse.Namespace, parts: Parts) -> Sample | None:
    if not own.sample:
        return None
    routes = (parts.route,) if parts.route else ()
    alone = starts_alone(parts)
    if alone and (own.header or own.upload):
        raise DescriptorError(
            "There is nothing to send headers or an upload to.",
            cause=f"no API of the template is seen to lead to {parts.machine or parts.bus}",
            remedy="leave --header and --upload out, or write the call by hand",
        )
    if not own.template and own.upload:
        raise DescriptorError(
            "Nothing is uploaded to a deployed stack.",
            cause="where a file goes is in the answer to the sample, which is not sent",
            remedy="leave --upload out, or give the template",
        )
    return parse_sample(
        own.sample,
        tuple(route for route in routes if route.path),
        headers=dict(_pair(one, "--header") for one in own.header),
        upload=own.upload,
        upload_headers=dict(_pair(one, "--upload-header") for one in own.upload_header),
        alone=alone,
    )


def _unsent(parts: Parts) -> str:
    """Why a sample is not sent to a template that could be deployed."""
    if not starts_alone(parts):
        return "the template shows no API"
    written = "execution" if parts.machine else "eventbridge"
    return (
        f"no API of the template is seen to lead to {parts.machine or parts.bus}; its body is written as the call of "
        f'kind = "{written}"'
    )


def _told_by_definition(own: argparse.Namespace, there: Inventory, parts: Parts) -> Told:
    """The steps that the definition of the state machine tells; nothing where it cannot be read."""
    if not parts.machine:
        return NOTHING_TOLD
    inline = there.machines[parts.machine].definition
    try:
        if own.template:
            of_file = read_definitions(Path(own.template))
            definition = next((one for one in of_file if one.name == parts.machine), None)
        else:
            definition = parse_text(json.dumps(inline), file=parts.machine, name=parts.machine) if inline else None
    except DefinitionError:
        return NOTHING_TOLD
    return told_steps(definition, parts.workers) if definition is not None else NOTHING_TOLD


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
    parser.add_argument("--header", action="append", default=[], metavar="K=V", help="a header of the sample")
    parser.add_argument("--upload", default="", metavar="TEXT", help="what is put where the answer to the sample says")
    parser.add_argument("--upload-header", action="append", default=[], metavar="K=V", help="a header of the upload")
    parser.add_argument(
        "--sidecar",
        default="",
        metavar="COMMAND",
        help="what runs beside the application: the command that starts it with its environment in front, e.g. "
        "LISTEN={sidecar.address} TABLE={orders.name} {python} sidecar.py; or the function that it is an extension of",
    )
    parser.add_argument(
        "--application",
        default="",
        metavar="COMMAND",
        help="the command that starts the application, e.g. LISTEN={application.address} SIDECAR={channel.address} "
        "{python} app.py",
    )
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
