"""botocore's models of the services, by the name that a request is signed with."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

# the signing name where it differs from the name of botocore's model
_MODELS = {"monitoring": "cloudwatch", "states": "stepfunctions", "execute-api": "apigatewaymanagementapi"}
_NAME = re.compile(r"[a-z0-9-]+")


@functools.lru_cache(maxsize=256)
def service_model(service: str) -> Any:
    """The model of a service; None when botocore knows none. The first look takes up to a tenth of a second."""
    import botocore.session
    from botocore.exceptions import DataNotFoundError, UnknownServiceError

    if not _NAME.fullmatch(service):  # it becomes the name of a file
        return None
    session = botocore.session.Session()
    try:
        return session.get_service_model(_MODELS.get(service, service))
    except (UnknownServiceError, DataNotFoundError):
        return None


@functools.lru_cache(maxsize=4096)
def operation_model(service: str, operation: str) -> Any:
    """The model of an operation; None when botocore knows none."""
    from botocore.model import OperationNotFoundError

    model = service_model(service)
    if model is None:
        return None
    try:
        return model.operation_model(operation)
    except OperationNotFoundError:
        return None


def metadata(service: str) -> Mapping[str, Any]:
    """What a model says of its service as a whole: protocol, names."""
    model = service_model(service)
    return model.metadata if model is not None else {}
