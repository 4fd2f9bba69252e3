"""Where an HTTP call or source points, always through the target's endpoint."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.errors import PortError
from holdfast.ports.context import PortContext
from holdfast.stack.commands import HttpCall
from holdfast.stack.effects import HttpSource
from holdfast.stack.resolve import Resource
from holdfast.stack.templates import render_text


def address(part: HttpCall | HttpSource, context: PortContext) -> tuple[str, dict[str, str]]:
    """The URL of a call without its query, and the headers that its address needs.

    Raises:
        PortError: the component has no URL.
        ResourceError: the component is missing.
    """
    if part.api is None:
        return render_text(part.url or "", context.values), {}
    base, headers = base_url(context, context.resource(part.api))
    path = render_text(part.path, context.values)
    if not path:
        return base, dict(headers)
    return f"{base.rstrip('/')}/{path.removeprefix('/')}", dict(headers)


def base_url(context: PortContext, resource: Resource) -> tuple[str, Mapping[str, str]]:
    """Base URL of an API or of a function's URL, through the endpoint, and the headers it needs.

    Raises:
        PortError: the component has no URL.
    """
    if not resource.url:
        raise PortError(
            f"component {resource.component} ({resource.type}) has no URL",
            cause="only apis, functions with a function URL and processes that the run starts are called over HTTP",
            remedy="name an api component in the call, or give a whole url",
        )
    return context.target.function_url(resource.url) if resource.type == "function" else (resource.url, {})
