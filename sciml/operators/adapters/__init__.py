"""Models of the package ``neuraloperator`` behind the interface of this one; the package is imported when one is built.

Read :mod:`~sciml.operators.adapters.base` first, then any model. What is broken in ``neuraloperator`` 2.0.0 is listed,
by name, in :data:`DEFECTS`.
"""

from sciml.operators.adapters.codano import CODANO
from sciml.operators.adapters.defects import DEFECTS, Defect, expected_failures, known_defects
from sciml.operators.adapters.gino import GINO
from sciml.operators.adapters.local_no import LocalNO
from sciml.operators.adapters.uno import UNO

__all__ = ["CODANO", "DEFECTS", "GINO", "UNO", "Defect", "LocalNO", "expected_failures", "known_defects"]
