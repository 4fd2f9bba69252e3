"""Ports in Python: a module beside the descriptor."""

from __future__ import annotations

import importlib.util
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import requests
from botocore.exceptions import BotoCoreError, ClientError

from holdfast.errors import HoldfastError, PortError
from holdfast.ports.answer import Answer, Sent
from holdfast.ports.context import PortContext
from holdfast.ports.transports.aws import perform
from holdfast.stack.commands import PythonCall

_lock = threading.RLock()
_modules: dict[Path, ModuleType] = {}


def send(call: PythonCall, context: PortContext) -> Sent:
    """Call ``callable(context)``; AWS errors and timeouts that it lets through count as a transport's own would.

    Raises:
        PortError: the callable cannot be loaded, raises anything else, or returns no `Answer`.
    """
    function = load(call.callable, context.stack.path)
    answer = perform(lambda: _answer(function, call.callable, context))
    return Sent(answer.body, answer)


def _answer(function: Callable[[PortContext], object], name: str, context: PortContext) -> Answer:
    answer = run(function, name, context)
    if isinstance(answer, Answer):
        return answer
    raise PortError(
        f"{name} in {source_file(name, context.stack.path)} returned {type(answer).__name__}, no Answer",
        remedy="return holdfast.ports.Answer(status=..., text=...)",
    )


def run(function: Callable[[PortContext], object], name: str, context: PortContext) -> object:
    """Call a port function; AWS and network errors pass, anything else it raises becomes a PortError.

    Raises:
        PortError: the function raised something that is no sign of the stack's behaviour; names file and line.
    """
    try:
        return function(context)
    except (HoldfastError, ClientError, BotoCoreError, requests.RequestException, ConnectionError, TimeoutError):
        raise
    except Exception as error:  # noqa: BLE001 - a user's code may raise anything
        file = source_file(name, context.stack.path)
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        raise PortError(
            f"{name} failed in {file}, line {lines[-1] if lines else '?'}",
            cause=f"{type(error).__name__}: {error}",
            remedy="correct the function; AWS errors and timeouts may be let through, they count as the stack's answer",
        ) from None


def source_file(name: str, descriptor: Path) -> Path:
    """The file that holds ``module:function``."""
    base = descriptor.resolve().parent.joinpath(*name.partition(":")[0].split("."))
    package = base / "__init__.py"
    return package if package.is_file() else base.with_name(f"{base.name}.py")


def load(name: str, descriptor: Path) -> Callable[[PortContext], object]:
    """Import ``module:function`` from beside the descriptor, once.

    Raises:
        PortError: the file, or the function in it, is missing, or the file fails when it is imported.
    """
    file = source_file(name, descriptor)
    with _lock:
        module = _modules.get(file)
        if module is None:
            module = _modules[file] = _import(file)
    found: Any = module
    for step in name.partition(":")[2].split("."):
        found = getattr(found, step, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    raise PortError(
        f"{file} has no function {name.partition(':')[2]}",
        cause=f"the descriptor names {name}",
        remedy="define it there with one parameter, the context, or correct the name in the descriptor",
    )


def _import(file: Path) -> ModuleType:
    # A name of its own: two stacks may each have a module called ports.
    name = f"holdfast_port_{abs(hash(file)):x}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.is_file():
        raise PortError(
            f"{file} does not exist",
            cause="a python port names a module that must stand beside the descriptor",
            remedy="create the file, or correct callable = 'module:function' in the descriptor",
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything
        del sys.modules[name]
        raise PortError(
            f"{file} cannot be imported",
            cause=f"{type(error).__name__}: {error}",
            remedy="correct the file; it is imported with the Python that runs Holdfast",
        ) from None
    finally:
        sys.path.remove(str(file.parent))
    return module
