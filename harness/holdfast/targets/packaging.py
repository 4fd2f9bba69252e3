"""Packaging a template: local code becomes deterministic artifacts, the template points at them. No AWS in here.

What `aws cloudformation package`, `sam package` and the CDK's asset publishing do, for the parts that hold code:
folders become zips, files are taken as they are, and every reference is rewritten to one bucket of our own.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.errors import DeploymentError
from holdfast.targets.cfn_template import read_template, references

# The earliest time a zip can hold: a constant makes equal folders equal zips.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_ARCHIVES = (".zip", ".jar")
_REMOTE = ("s3://", "https://", "http://")
_LEFT_OUT = ("__pycache__", ".git", ".pytest_cache", ".mypy_cache", ".DS_Store")

# resource type -> (property with code, key of the bucket, key of the object)
_CODE = {
    "AWS::Serverless::Function": ("CodeUri", "Bucket", "Key"),
    "AWS::Serverless::LayerVersion": ("ContentUri", "Bucket", "Key"),
    "AWS::Lambda::Function": ("Code", "S3Bucket", "S3Key"),
    "AWS::Lambda::LayerVersion": ("Content", "S3Bucket", "S3Key"),
}
# resource type -> (property with a definition file, property that takes the definition itself)
_DEFINITIONS = {
    "AWS::Serverless::StateMachine": ("DefinitionUri", "Definition"),
    "AWS::Serverless::Api": ("DefinitionUri", "DefinitionBody"),
    "AWS::Serverless::HttpApi": ("DefinitionUri", "DefinitionBody"),
}


# SAM's Globals that may hold code
_GLOBALS = {"Function": "AWS::Serverless::Function", "LayerVersion": "AWS::Serverless::LayerVersion"}


@dataclass(frozen=True, slots=True)
class Artifact:
    """One object to upload before the stack is made.

    Attributes:
        key: object key in the artifacts bucket.
        content: the bytes.
    """

    key: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Package:
    """A template that is ready to deploy.

    Attributes:
        template: the template as JSON, every local path replaced by a reference to the bucket.
        artifacts: what the bucket must hold, each key once.
    """

    template: dict[str, Any]
    artifacts: tuple[Artifact, ...]


def zip_folder(folder: Path) -> bytes:
    """Zip a folder deterministically: sorted names, constant times and modes, no caches.

    Args:
        folder: the folder; its content is at the root of the zip.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            relative = path.relative_to(folder)
            if not (set(relative.parts) & set(_LEFT_OUT) or path.suffix == ".pyc"):
                _add(archive, path, relative.as_posix())
    return buffer.getvalue()


def package(template_path: Path, bucket: str) -> Package:
    """Read a template and package the code it names.

    Args:
        template_path: CloudFormation, SAM or `cdk synth` template; paths in it are relative to its folder.
        bucket: name of the bucket that will hold the artifacts.

    Raises:
        DeploymentError: the template or a folder it names is missing or unusable; names the file and the key.
    """
    template = read_template(template_path)
    packer = _Packer(template_path, bucket)
    for section, resource_type in _GLOBALS.items():
        properties = (template.get("Globals") or {}).get(section)
        if isinstance(properties, dict):
            packer.code(resource_type, properties, f"Globals.{section}")
    for logical_id, resource in template["Resources"].items():
        properties = resource.get("Properties")
        if isinstance(properties, dict):
            packer.code(resource["Type"], properties, f"Resources.{logical_id}.Properties")
            packer.definition(resource["Type"], properties, f"Resources.{logical_id}.Properties")
        _make_removable(resource)
    template = _package_cdk_assets(template, template_path, bucket, packer.artifacts)
    return Package(template, tuple(packer.artifacts.values()))


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    entry = zipfile.ZipInfo(name, _ZIP_TIME)
    executable = path.stat().st_mode & 0o100
    entry.external_attr = (0o100755 if executable else 0o100644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, path.read_bytes())


def _artifact(source: Path, described: str) -> Artifact:
    if source.is_dir():
        content, suffix = zip_folder(source), ".zip"
        if not any(path.is_file() for path in source.rglob("*")):
            raise DeploymentError(f"{described}: the folder {source} is empty", remedy="put the code into it")
    elif source.suffix in _ARCHIVES:
        content, suffix = source.read_bytes(), source.suffix
    elif source.is_file():
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, source, source.name)
        content, suffix = buffer.getvalue(), ".zip"
    else:
        raise DeploymentError(
            f"{described}: {source} is neither a file nor a folder", remedy="name the folder with the code"
        )
    return Artifact(hashlib.sha256(content).hexdigest()[:40] + suffix, content)


class _Packer:
    """Replaces the local paths of one template and collects what has to be uploaded for them."""

    def __init__(self, template_path: Path, bucket: str) -> None:
        self.artifacts: dict[str, Artifact] = {}
        self._template_path = template_path
        self._bucket = bucket

    def code(self, resource_type: str, properties: dict[str, Any], where: str) -> None:
        """Package the code of one resource (or of the globals) and point its property at the bucket."""
        if resource_type not in _CODE:
            return
        name, bucket_key, object_key = _CODE[resource_type]
        source = self._local(properties.get(name), f"{where}.{name}")
        if source is None:
            return
        artifact = _artifact(source, f"{self._template_path}: {where}.{name}")
        self.artifacts[artifact.key] = artifact
        properties[name] = {bucket_key: self._bucket, object_key: artifact.key}

    def definition(self, resource_type: str, properties: dict[str, Any], where: str) -> None:
        """Put a definition that stands in a local file into the template itself."""
        if resource_type not in _DEFINITIONS:
            return
        name, inline = _DEFINITIONS[resource_type]
        source = self._local(properties.get(name), f"{where}.{name}")
        if source is not None:
            del properties[name]
            properties[inline] = _read_definition(source, f"{self._template_path}: {where}.{name}")

    def _local(self, value: object, where: str) -> Path | None:
        """The local path that a property names, or None when it is not a local path."""
        if not isinstance(value, str) or value.startswith(_REMOTE):
            return None
        path = self._template_path.parent / value
        if not path.exists():
            raise DeploymentError(
                f"{self._template_path}: {where}: {value} does not exist",
                cause="a local path in a template is relative to the folder of the template",
                remedy="correct the path, or build first (`sam build`, `cdk synth`) and name the built template",
            )
        return path


def _read_definition(source: Path, described: str) -> object:
    import yaml

    try:
        return yaml.safe_load(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DeploymentError(
            f"{described}: {source} is not valid YAML or JSON", cause=" ".join(str(error).split())
        ) from error


def _make_removable(resource: dict[str, Any]) -> None:
    # The stack is made for the run and removed after it. Kept tables and buckets (the CDK's default) would pile up.
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        if policy in resource:
            resource[policy] = "Delete"


def _package_cdk_assets(
    template: dict[str, Any], template_path: Path, bucket: str, artifacts: dict[str, Artifact]
) -> dict[str, Any]:
    """Upload the file assets that `cdk synth` listed beside the template, and point the template at our bucket.

    The manifest's format is the CDK's cloud assembly schema: ``files.<id>.source`` and ``.destinations``. We upload
    ourselves, so the account needs no `cdk bootstrap`: its version check is taken out.
    """
    manifest_path = template_path.with_name(template_path.name.removesuffix(".template.json") + ".assets.json")
    if not template_path.name.endswith(".template.json") or not manifest_path.is_file():
        return template
    try:
        manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
        files: dict[str, Any] = manifest.get("files") or {}
        if manifest.get("dockerImages"):
            raise DeploymentError(
                f"{manifest_path}: dockerImages: container images are not packaged",
                remedy="publish the images first and name them in the template",
            )
        bucket_names: set[str] = set()
        for asset_id, asset in files.items():
            source, destinations = asset["source"], list(asset["destinations"].values())
            bucket_names |= {destination["bucketName"] for destination in destinations}
            if source.get("path") == template_path.name:
                continue
            content = _cdk_asset(manifest_path, asset_id, source)
            for destination in destinations:
                artifacts[destination["objectKey"]] = Artifact(destination["objectKey"], content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeploymentError(
            f"{manifest_path}: this is not an asset manifest of the CDK",
            cause=repr(error),
            remedy="run `cdk synth` again",
        ) from error
    _drop_bootstrap_check(template)
    rewritten: dict[str, Any] = _renamed(template, sorted(bucket_names, key=len, reverse=True), bucket)
    return rewritten


def _cdk_asset(manifest_path: Path, asset_id: str, source: dict[str, Any]) -> bytes:
    described = f"{manifest_path}: files.{asset_id}.source"
    if "path" not in source:
        raise DeploymentError(
            f"{described}: only assets with a path are packaged", remedy="synthesise the asset to a file"
        )
    path = manifest_path.parent / source["path"]
    if not path.exists():
        raise DeploymentError(f"{described}.path: {source['path']} does not exist", remedy="run `cdk synth` again")
    return zip_folder(path) if source.get("packaging") == "zip" and path.is_dir() else path.read_bytes()


def _drop_bootstrap_check(template: dict[str, Any]) -> None:
    rules, parameters = template.get("Rules"), template.get("Parameters")
    if isinstance(rules, dict):
        rules.pop("CheckBootstrapVersion", None)
        if not rules:
            del template["Rules"]
    if isinstance(parameters, dict) and "BootstrapVersion" in parameters:
        rest = {section: value for section, value in template.items() if section != "Parameters"}
        if "BootstrapVersion" not in set(references(rest)):
            del parameters["BootstrapVersion"]


def _renamed(node: Any, old_names: list[str], new_name: str) -> Any:
    """The node with every name of a CDK assets bucket replaced, in literals and inside ``Fn::Sub`` alike."""
    if isinstance(node, str):
        for old_name in old_names:
            node = node.replace(old_name, new_name)
        return node
    if isinstance(node, list):
        return [_renamed(value, old_names, new_name) for value in node]
    if isinstance(node, dict):
        renamed = {key: _renamed(value, old_names, new_name) for key, value in node.items()}
        # Fn::Sub without a variable is refused by some linters and emulators: what is left is plain text.
        return renamed["Fn::Sub"] if renamed == {"Fn::Sub": new_name} else renamed
    return node
