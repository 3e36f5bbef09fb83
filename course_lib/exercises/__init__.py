"""Exercises: `check("05.3", function)` in a notebook, and one file a notebook with cases, wrong answers and hints."""

from .checking import check
from .contract import Call, Case, Exercise, Mutant
from .equations import equation
from .registry import load, notebooks, of_notebook

__all__ = ["Call", "Case", "Exercise", "Mutant", "check", "equation", "load", "notebooks", "of_notebook"]
