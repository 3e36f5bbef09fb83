"""The command line, `python -m course_lib ...`: the top floor, which everything else knows nothing of.

parser     all commands and their arguments; imports nothing heavy; `staff`: the door to `course_staff`
train      what `train` does; `sample`: what `sample` does; `words`: what the two share
doctor     what was found on this machine, what will be slow, how to mend it
machine    what this machine has: versions, threads, memory, a GPU
"""
