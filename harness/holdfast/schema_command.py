"""``holdfast schema``: what editors check descriptors with."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from holdfast.errors import ExitCode
from holdfast.stack.schema import json_schema


def schema_command(arguments: Sequence[str]) -> int:
    """Print the JSON Schema of stack descriptors, for editors."""
    argparse.ArgumentParser(prog="holdfast schema", description="Print the JSON Schema of descriptors.").parse_args(
        list(arguments)
    )
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
    return ExitCode.HELD
