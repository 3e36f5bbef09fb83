"""What is learned: the embedded digits (the door's own names), toys in the plane, captured results, larger sets.

`from course_lib.data import digits, to_unit`; `from course_lib.data.toys import letter`.
"""

from .digits import Labelled, binarise, digits, from_unit, to_unit

__all__ = ["Labelled", "binarise", "digits", "from_unit", "to_unit"]
