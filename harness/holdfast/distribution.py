"""How xdist distributes clauses; imported only where xdist is installed and used."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from holdfast.pytest_plugin import SUFFIX


class StackScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Like xdist's ``load``, but all clauses of a stack go to one worker.

    ``--dist loadgroup`` would do the same and put the group's name into every test id, so that ``--lf`` and reports
    would not find the tests of a run without workers.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file.endswith(SUFFIX) else nodeid
