"""Exercises of notebook 03: variances of a shrinking walk, alpha and sigma, jump, kernel, bridge, schedules."""
