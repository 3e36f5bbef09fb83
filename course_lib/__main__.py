"""The command line: `python -m course_lib train | sample | build | grade | bench | doctor`."""

import sys

from .command.parser import main

if __name__ == "__main__":
    sys.exit(main())
