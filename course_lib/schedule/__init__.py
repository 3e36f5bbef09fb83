"""Schedules: alpha and sigma as functions of time.

A *schedule* maps a time to its `Marginal(alpha, sigma)`, from t = 0 (clean: alpha = 1, sigma = 0) to t = `schedule.end`
(noise): 1 for continuous schedules, T for a table of T + 1 rows. This module is the door to all of it: the continuous
curves live in `families`, tables in `table`, the spacing of times in `spacing`, and what follows from the marginals of
two times, the kernel and the bridge, in `marginal`.
"""

from .curves import (
    ConstantGamma,
    Continuous,
    Cosine,
    Linear,
    Rates,
    Sigmoid,
    Straight,
    Truncated,
    VarianceExploding,
    VariancePreserving,
)
from .marginal import Marginal, StepStd, bridge, bridge_weights, jump, kernel, reverse_std
from .table import Table, linear_betas, walk
from .times import Schedule, karras_times, log_snr_times, uniform_times

__all__ = [
    "ConstantGamma",
    "Continuous",
    "Cosine",
    "Linear",
    "Marginal",
    "Rates",
    "Schedule",
    "Sigmoid",
    "StepStd",
    "Straight",
    "Table",
    "Truncated",
    "VarianceExploding",
    "VariancePreserving",
    "bridge",
    "bridge_weights",
    "jump",
    "karras_times",
    "kernel",
    "linear_betas",
    "log_snr_times",
    "reverse_std",
    "uniform_times",
    "walk",
]
