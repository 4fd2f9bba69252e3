"""``holdfast heal``: undo what a run left that was killed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from holdfast.errors import ExitCode, HealError, HoldfastError
from holdfast.levers.healing import heal_all
from holdfast.levers.journal import open_entries
from holdfast.opening import DEFAULT_FOLDER
from holdfast.progress import telling


def heal_command(arguments: Sequence[str]) -> int:
    """Undo whatever a killed run left, from its journal alone."""
    parser = argparse.ArgumentParser(prog="holdfast heal", description="Undo whatever a killed run left.")
    parser.add_argument("--holdfast-folder", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="folder of the run")
    own = parser.parse_args(list(arguments))
    folder = own.holdfast_folder / "journal"
    if own.holdfast_folder != DEFAULT_FOLDER and not own.holdfast_folder.is_dir():
        raise HoldfastError(
            f"There is no folder {own.holdfast_folder}.",
            cause=f"it was looked for from {Path.cwd()}",
            remedy="name the folder that the run was given, or begin where the run was begun",
        )
    for line in open_entries(folder).cut:
        sys.stdout.write(f"{line}\n")
    try:
        with telling() as say:
            results = heal_all(folder, say=say)
    except KeyboardInterrupt:
        left = [f"{entry.snapshot.lever} on {entry.snapshot.component}" for entry in open_entries(folder).entries]
        raise HealError(
            f"healing was interrupted; {', '.join(left) or 'nothing'} may still be in place",
            remedy="run `holdfast heal` again; what is healed already is left alone",
        ) from None
    for result in results:
        where = f"{result.entry.snapshot.lever} on {result.entry.snapshot.component} of {result.entry.pin.stack}"
        said = {"healed": result.proof, "running": "its run is still at work, so it was left alone"}
        sys.stdout.write(f"{result.outcome}: {where}: {said.get(result.outcome, result.reason)}\n")
        if result.remedy:
            sys.stdout.write(f"  remedy: {result.remedy}\n")
    unreadable = open_entries(folder).unreadable
    for line in unreadable:
        sys.stdout.write(f"failed: {folder / line}\n")
    if unreadable:
        sys.stdout.write(
            "  remedy: each may stand for a fault. It names a resource, what was found there and what was placed:\n"
            "  where what was placed still is, set it back to what was found; then remove the file\n"
        )
    if not results and not unreadable:
        sys.stdout.write(f"nothing to heal: no run left a fault in {folder}\n")
    failed = unreadable or any(result.outcome == "failed" for result in results)
    return ExitCode.NOT_HEALED if failed else ExitCode.HELD
