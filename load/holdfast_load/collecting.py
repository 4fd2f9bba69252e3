"""Workers' files by way of an S3 prefix, where machines do not reach each other by more than Locust's port."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from holdfast.errors import HistoryError, HoldfastError
from holdfast.targets.base import Target

ATTEMPTS = 3


def place_of(url: str) -> tuple[str, str]:
    """Bucket and prefix of ``s3://bucket/prefix``.

    Raises:
        HoldfastError: it is no such URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise HoldfastError(f"{url} is no S3 prefix.", remedy="write --collect s3://BUCKET/PREFIX")
    return parts.netloc, parts.path.strip("/")


def put(target: Target, path: Path, url: str) -> None:
    """Upload a worker's file below a prefix.

    Args:
        target: whose S3.
        path: the file.
        url: ``s3://bucket/prefix``.

    Raises:
        HistoryError: it cannot be uploaded; the file stays where it is.
    """
    bucket, prefix = place_of(url)
    _attempted(
        lambda client: client.upload_file(str(path), bucket, _key(prefix, path.name)),
        target,
        f"{path} could not be uploaded to {url}",
    )


def get(target: Target, name: str, url: str, folder: Path) -> Path:
    """Download a worker's file.

    Args:
        target: whose S3.
        name: of the file.
        url: ``s3://bucket/prefix``.
        folder: where to.

    Raises:
        HistoryError: it is not there, or cannot be downloaded.
    """
    bucket, prefix = place_of(url)
    path = folder / name
    _attempted(
        lambda client: client.download_file(bucket, _key(prefix, name), str(path)),
        target,
        f"{name} could not be downloaded from {url}",
    )
    return path


def _key(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name


def _attempted(transfer: Any, target: Target, what: str) -> None:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    # clients of its own: the guard rail of a stack lets nothing through to a bucket that is none of its components
    clients = target.clients(lambda *_: None)
    try:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                transfer(clients.get("s3"))
            except (Boto3Error, BotoCoreError, ClientError, OSError) as error:
                if attempt == ATTEMPTS:
                    raise HistoryError(
                        f"{what}.",
                        cause=" ".join(str(error).split()),
                        remedy="see that the bucket is there and may be written; copy the file by hand",
                    ) from error
            else:
                return
    finally:
        clients.close()
