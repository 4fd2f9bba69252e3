"""Holdfast finds out whether a deployed serverless stack keeps the promises of the state patterns it claims."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("holdfast")
except PackageNotFoundError:  # a source tree on the path without an installation
    __version__ = "0+unknown"

__all__ = ["__version__"]
