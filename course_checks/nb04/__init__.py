"""Exercises of notebook 04: KL, the ELBO, importance weights, the reverse step, the terms of the bound."""
