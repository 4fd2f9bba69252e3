"""Definition analysis: what a state machine's definition alone says about the failures of a saga.

``read_definitions`` reads files, ``embedded`` puts nested machines inside, ``analyse`` follows each failure to its end.
"""

from holdfast.definition.analysis import Analysis, analyse
from holdfast.definition.deriving import derive_steps, possible_pivots
from holdfast.definition.files import read_definitions
from holdfast.definition.findings import Finding, FindingKind
from holdfast.definition.model import Definition
from holdfast.definition.nesting import embedded
from holdfast.definition.paths import FailureExit
from holdfast.definition.steps import SagaSteps, Step

__all__ = [
    "Analysis",
    "Definition",
    "FailureExit",
    "Finding",
    "FindingKind",
    "SagaSteps",
    "Step",
    "analyse",
    "derive_steps",
    "embedded",
    "possible_pivots",
    "read_definitions",
]
