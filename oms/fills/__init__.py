"""Fill models: parameters of one simulated broker, from the most hopeful to the most careful."""

from typing import Final

from oms.fills import perfect, realistic, worst
from oms.fills.base import FillModel

MODELS: Final[dict[str, FillModel]] = {
    "perfect": perfect.fill,
    "realistic": realistic.fill,
    "worst_case": worst.fill,
}

__all__ = ["MODELS", "FillModel"]
