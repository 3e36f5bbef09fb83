"""Runs the grading notebook: submitted code in a box of bubblewrap, everything that judges it outside.

The path of one submission: `grade` gives it to a grading process (`grader`), which forks a child that reads the file
and a second one that runs what was found. That child has a `KernelPool` (in `nbval_plugin`), whose `KernelServer`
(`kernels`) starts `kernel_server` in the box; this forks a fresh kernel for each exercise. nbval sends it the cells
through a `KernelConnection` and gets back values, which the plugin judges in the child, outside the box.

stage          what the box shows of the course: the library, and of the exercises only what runs a function on inputs
box            the box itself, by bubblewrap; `cgroups`: limits on all its processes together
kernels        the grader's end of a kernel server; `kernel_server`: the end in the box, of which `stage` makes a copy
connection     reads the messages of a kernel that may send anything
nbval_plugin   nbval runs the cells; makes the verdict line that nbval compares, and notes what went wrong
orphans        ends what outlives its parents, where there is no box
"""
