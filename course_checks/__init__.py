"""What a learner's answers are held against: `check("05.4", step)` and `equation("05.7", left, right)` in a notebook.

An exercise is one file, `nb05/e4_ancestral_step.py`: its reference, the cases it is judged on, and the wrong answers
that students really give, each with its hint. In the order in which to read:

contract   what an exercise is: `Exercise`, `Case`, `WrongAnswer`, and recipes for inputs
registry   finds an exercise by its id
running    calls a function on a case and notes what came of it; `forbidden`: not by calling the library's answer
answers    compares values, with tolerances; `judging`: right or wrong, and which known mistake it is
checking   what a learner reads; `live`: what of the notebook its function needs and the grade will not have
cells      what of its cell a function needs, and nothing else of it is run when it is graded; `names`: of code
equations  both sides of a formula, compared in a cell
wire       cases and answers as text, for the grader; `in_kernel`: all that a grading kernel knows of this package
"""

from .checking import check
from .contract import Call, Case, Exercise, WrongAnswer
from .equations import equation
from .registry import load, notebooks, of_notebook

__all__ = ["Call", "Case", "Exercise", "WrongAnswer", "check", "equation", "load", "notebooks", "of_notebook"]
