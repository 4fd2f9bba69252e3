"""Wires a checkout: its five source roots can be imported, and the plugin is loaded also where entry points are not.

The entry point of the installed plugin has the module's own path as its key, so pytest knows the name that is given
here and loads the plugin once.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

sys.path.extend(
    str(HERE / root)
    for root in ("harness", "suites", "fixtures", "load", "reports")
    if str(HERE / root) not in sys.path
)

pytest_plugins = ("holdfast.pytest_plugin",)
