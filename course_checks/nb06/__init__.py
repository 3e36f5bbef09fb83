"""Exercises of notebook 06: SDEs of a schedule, scores, the ways back, Euler, Heun, Hutchinson."""
