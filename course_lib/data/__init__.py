"""What is learned: the embedded digits (the door's own names), toys in the plane, captured results, larger sets.

`from course_lib.data import digits, to_unit`; `from course_lib.data.toys import letter`.
"""

from .digits import Digits, binarise, digits, from_unit, to_levels, to_unit

__all__ = ["Digits", "binarise", "digits", "from_unit", "to_levels", "to_unit"]
