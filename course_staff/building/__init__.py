"""From a notebook's source, `notebooks/source/NN_name.py`, to the notebook of students and to the executed solution.

command    what `build` takes and says
build      writes both notebooks, or tells what is out of step
source     a source's cells and what their tags make of them; the stub that a student gets
rules      what a source has to keep to
assemble   from a source to the JSON of its two notebooks
execute    runs a solution once and keeps what it shows
launch     what every notebook begins with: badges, and the cell that installs a missing course
"""
