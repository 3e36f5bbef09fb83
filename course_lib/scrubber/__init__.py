"""The "scrub t" player: move through frames with a slider, in the page alone.

    from course_lib.scrubber import scrub
    scrub({"x_t": noised, "predicted x_0": predicted}, t=times, marginals=marginals, alt="A three emerges from noise")

The output is one self-contained piece of HTML: frames inside, no kernel, no network. So it works in JupyterLab, after
the kernel has stopped, and in an exported page. Where scripts may not run (an untrusted notebook), a still sheet of all
frames stays visible.

Keyboard: arrows step, Page Up and Page Down leap a tenth, Home and End go to the ends, Space plays and pauses.
"""

from .scrub import Scrubber, scrub

__all__ = ["Scrubber", "scrub"]
