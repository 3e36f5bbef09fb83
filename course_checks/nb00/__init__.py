"""Exercises of notebook 00: one, solved for the learner, to show how exercises are checked."""
