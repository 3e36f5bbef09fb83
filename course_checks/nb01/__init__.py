"""Exercises of notebook 01: flipping pixels, how long it takes, the loop that repairs, the cold update."""
