"""From submitted notebooks to points. The values that a student's function returns leave the box; verdicts never enter.

command       what `grade` takes, says and writes
grade         hands each submission to a grading process, collects its results, counts the points
grader        that process: imports everything once, forks two children for each submission
submission    reads a file, which may be anything, and finds the solution cells
notebook      the trusted notebook that is run: setup, the student's cell, a grading cell with inputs
sandbox/      runs it
verdicts      from what came out of the kernel to a verdict
records       what has been graded already; `reports`: grades and feedback; `class_report`: what was hard
"""
