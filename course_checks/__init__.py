"""What a learner's answers are held against: `check("05.4", step)` and `equation("05.7", left, right)` in a notebook.

An exercise is one file, `nb05/e4_ancestral_step.py`: its reference, the cases it is judged on, and the wrong answers
that students really give, each with its hint. The road of an answer: `checking` (what a learner reads) asks `registry`
for the exercise (`contract` says what that is), `running` calls the function, `judging` compares values (`answers`) and
looks for a known mistake. `wire` writes cases and answers down, for the grader, whose kernels know only `in_kernel`.
"""

from .checking import check
from .contract import Call, Case, Exercise, WrongAnswer
from .equations import equation
from .registry import load, notebooks, of_notebook

__all__ = ["Call", "Case", "Exercise", "WrongAnswer", "check", "equation", "load", "notebooks", "of_notebook"]
