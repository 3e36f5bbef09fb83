"""What authors and teachers run: `python -m course_staff`, which lists its commands.

course     where the notebooks and the exercises are, and where the course is published
printable  text from outside, made safe for a terminal, a page and a spreadsheet
building/  from a notebook's source to what a student opens and to its executed solution
grading/   from a submitted notebook to points; `grading/sandbox/`: the box in which its code runs
site/      the pages to read, made from the executed notebooks
release/   what is done now and then: forks, pins, pictures, shipped weights
studies/   what was measured, and can be measured again
"""
