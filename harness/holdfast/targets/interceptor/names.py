"""One name for a resource, however a call names it: by name, ARN or URL."""

from __future__ import annotations

import re
from urllib.parse import unquote

_ARN_PARTS = 6
_PLAIN_RESOURCES = frozenset({"sqs", "sns", "s3"})
"""Services whose ARNs give the name with no type before it."""

_PARTIAL_FUNCTION = re.compile(r"\d{12}:function:")


def name_of(named: str) -> str:
    """The bare name in a name, an ARN or a queue's URL.

    The parts of an ARN are in https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html; a partial ARN of a
    function in https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html.
    """
    if named.startswith("arn:"):
        parts = named.split(":", _ARN_PARTS - 1)
        if len(parts) < _ARN_PARTS:
            return named
        pieces = re.split("[:/]", parts[-1])
        return pieces[0] if parts[2] in _PLAIN_RESOURCES or len(pieces) == 1 else pieces[1]
    if "://" in named:
        return unquote(named.rstrip("/").rpartition("/")[2])
    return _PARTIAL_FUNCTION.sub("", named, count=1).partition(":")[0]  # a function's version or alias is no part of it
