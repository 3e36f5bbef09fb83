"""Schedules: alpha and sigma as functions of time.

A *schedule* maps a time to its `Marginal(alpha, sigma)`, from t = 0 (clean: alpha = 1, sigma = 0) to t = `schedule.end`
(noise): 1 for continuous schedules, T for a table of T + 1 rows. The door to one room; read in this order:

marginal   alpha and sigma at one time; what a `Schedule` is; the kernel q(x_t|x_s), the bridge q(x_s|x_t,x_0)
curves     alpha and sigma as functions of continuous t, with their rates and inverses; a class a family
table      discrete schedules, and a noising path through one
times      the times at which a sampler stops: even, in log-SNR, as Karras et al. space them
laws       how often training visits each noise level
"""

from .curves import (
    STANDARD,
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
from .laws import NoiseLaw, log_normal_law, uniform_in_time
from .marginal import Marginal, Schedule, StepStd, bridge, bridge_weights, jump, kernel, reverse_std
from .table import Table, linear_betas, noising_path
from .times import karras_times, log_snr_times, uniform_times

__all__ = [
    "STANDARD",
    "ConstantGamma",
    "Continuous",
    "Cosine",
    "Linear",
    "Marginal",
    "NoiseLaw",
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
    "log_normal_law",
    "log_snr_times",
    "noising_path",
    "reverse_std",
    "uniform_in_time",
    "uniform_times",
]
