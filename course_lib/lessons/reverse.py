"""The reverse conditional q(x_s | x_t), where it is known exactly, and the bound's two derivations on sampled walks.

Without x_0 a step back depends on all the data. For data that are a few points it is a mixture of bridges, for Gaussian
data a Gaussian; both can be written down, so that everything notebook 04 says about the reverse step can be measured.
Nats throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..gaussian import Gaussian, Isotropic
from ..objective import prior_term
from ..oracle import gaussian_denoiser, gaussian_step_std
from ..parametrization import Denoiser
from ..schedule import Continuous, Marginal, StepStd, Table, bridge, bridge_weights, kernel, log_snr_times, reverse_std


def reverse_of_points(
    x_t: Tensor, points: Tensor, weights: Tensor, earlier: Marginal, later: Marginal
) -> tuple[Tensor, Tensor, Tensor]:
    """q(x_s | x_t) for data that are `points` (K,) on a line with probabilities `weights` (K,): a mixture of bridges.

    `x_t` (B,), both marginals (). Returns the components' probabilities (B, K), means (B, K) and common standard
    deviation (). Each component is the bridge from one of the points, its probability that of the point given x_t.
    """
    of_x_t, of_x_0, std = bridge_weights(earlier, later)
    offsets = x_t[:, None] - later.alpha * points
    probabilities = torch.softmax(torch.log(weights) - 0.5 * (offsets / later.sigma) ** 2, dim=1)
    return probabilities, of_x_t * x_t[:, None] + of_x_0 * points, std


def mixture_log_density(x: Tensor, probabilities: Tensor, means: Tensor, std: Tensor) -> Tensor:
    """log density, (B, N), at `x` (B, N) of mixtures with `probabilities`, `means` (B, K) and one `std` ()."""
    each = torch.log(probabilities)[:, None] - 0.5 * ((x[..., None] - means[:, None]) / std) ** 2
    return torch.logsumexp(each, dim=2) - torch.log(std) - 0.5 * math.log(2 * math.pi)


def nearest_gaussian(probabilities: Tensor, means: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, (B,) each, of the Gaussian q that is nearest to a mixture p in KL(p || q): the one
    with p's own moments.
    """
    mean = (probabilities * means).sum(1)
    variance = std**2 + (probabilities * (means - mean[:, None]) ** 2).sum(1)
    return mean, variance.sqrt()


def kl_to_nearest_gaussian(probabilities: Tensor, means: Tensor, std: Tensor, points: int = 2001) -> Tensor:
    """KL of each mixture to its nearest Gaussian, (B,), by summing over `points` places that span it, +- 10 std."""
    mean, wide = nearest_gaussian(probabilities, means, std)
    low, high = means.amin(1) - 10 * std, means.amax(1) + 10 * std
    x = low[:, None] + (high - low)[:, None] * torch.linspace(0, 1, points, dtype=means.dtype)
    log_p = mixture_log_density(x, probabilities, means, std)
    log_q = -0.5 * ((x - mean[:, None]) / wide[:, None]) ** 2 - torch.log(wide)[:, None] - 0.5 * math.log(2 * math.pi)
    p = log_p.exp()
    # p log(p / q) - p + q has no cancellation where p is nearly q; what it adds is the part of q outside the span
    inside = (p * (log_p - log_q) - p + log_q.exp()).sum(1) * (high - low) / (points - 1)
    outside = torch.special.ndtr((low - mean) / wide) + torch.special.ndtr((mean - high) / wide)
    return inside + outside


def gaussian_gap(std: float, table: Table, step_std: StepStd, decoder_std: Tensor | None = None) -> Tensor:
    """Nats per dimension by which the bound exceeds -log p on average, for data N(mean, std**2): (), exactly.

    For the exact denoiser and the prior q(x_T). Each step's p(x_s | x_t) then has the mean of q(x_s | x_t) and only its
    standard deviation b differs from the right one, a: the sum of log(b / a) + a**2 / (2 b**2) - 1/2. `decoder_std`
    is that of p(x_0 | x_1); None: sigma_1.
    """
    t = torch.arange(1, int(table.end) + 1)
    a = gaussian_step_std(std, table(t - 1), table(t))
    first = table.sigma[1] if decoder_std is None else decoder_std
    b = torch.cat([first.reshape(1), reverse_std(step_std, table(t[1:] - 1), table(t[1:]))])
    return (torch.log(b / a) + 0.5 * (a / b) ** 2 - 0.5).sum()


def log_snr_table(schedule: Continuous, steps: int, last: float = 9.0) -> Table:
    """`schedule` as a table of `steps` + 1 rows: row 0 is clean (log-SNR infinity), row 1 has log-SNR `last`, then it
    falls evenly, and the last row is the schedule's end.
    """
    marginal = schedule(log_snr_times(schedule, steps, last=last).flip(0))
    return Table(marginal.alpha, marginal.sigma)


@dataclass(frozen=True)
class Derivations:
    """Both derivations of the bound, term by term on the same walks; nats, each (T, B), row 0 being t = 1.

    `prior`      -log p(x_T) at the walk's end, (B,)
    `backward`   -log p(x_{t-1} | x_t) at the walk's states
    `forward`    log q(x_t | x_{t-1}) at the walk's states
    `mean_forward`  what `forward` is on average over x_t, minus the entropy of a step: a constant
    `prior_kl`   KL(q(x_T | x_0) || p(x_T)), (B,)
    `kl`         KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)); row 0: -log p(x_0 | x_1)
    """

    prior: Tensor
    backward: Tensor
    forward: Tensor
    mean_forward: Tensor
    prior_kl: Tensor
    kl: Tensor

    @property
    def path(self) -> Tensor:
        """-log of p(walk) / q(walk | x_0): the first derivation before any average is taken, (B,)."""
        return self.prior + (self.backward + self.forward).sum(0)

    @property
    def first(self) -> Tensor:
        """The first derivation with its constants: averages of log q replaced by what they are, (B,)."""
        return self.prior + (self.backward + self.mean_forward).sum(0)

    @property
    def second(self) -> Tensor:
        """The second derivation: one KL a step, (B,)."""
        return self.prior_kl + self.kl.sum(0)


def model_step(
    denoiser: Denoiser, table: Table, t: int, x_t: Tensor, step_std: StepStd, decoder_std: Tensor | None
) -> Isotropic:
    """p(x_{t-1} | x_t), `Isotropic`: the bridge with x_0 guessed; at t = 1 the guess itself with `decoder_std`."""
    earlier, later = table(t - 1), table(t)
    x0_hat = denoiser(x_t, later).x0
    if t == 1:
        return Isotropic(x0_hat, later.sigma if decoder_std is None else decoder_std)
    return Isotropic(bridge(earlier, later, x0_hat, x_t).mean, reverse_std(step_std, earlier, later))


@torch.no_grad()
def derivations(
    denoiser: Denoiser, table: Table, states: Tensor, step_std: StepStd = "bridge", decoder_std: Tensor | None = None,
    prior: Isotropic | None = None,
) -> Derivations:  # fmt: skip
    """Every term of both derivations on the walks `states` (T + 1, B, ...); arguments as in `objective.bound`, the
    decoder being a density.
    """
    x_0, x_T, end = states[0], states[-1], table(table.end)
    start = Isotropic(torch.zeros_like(x_0), torch.ones_like(table.sigma[-1])) if prior is None else prior
    backward, forward, mean_forward, kl = [], [], [], []
    for t in range(1, len(states)):
        step = kernel(table(t - 1), table(t))(states[t - 1])
        model = model_step(denoiser, table, t, states[t], step_std, decoder_std)
        backward.append(-model.log_density(states[t - 1]))
        forward.append(step.log_density(states[t]))
        dims = x_0[0].numel()
        mean_forward.append(-0.5 * dims * (1 + torch.log(2 * math.pi * step.std**2)).expand(len(x_0)))
        kl.append(backward[0] if t == 1 else bridge(table(t - 1), table(t), x_0, states[t]).kl(model))
    return Derivations(
        prior=-start.log_density(x_T),
        backward=torch.stack(backward),
        forward=torch.stack(forward),
        mean_forward=torch.stack(mean_forward),
        prior_kl=prior_term(x_0, end, start),
        kl=torch.stack(kl),
    )


def walk_joint(mean: float, std: float, table: Table) -> Gaussian:
    """The law of a whole walk (x_0, ..., x_T), a Gaussian on R^(T+1), for data N(mean, std**2) on a line."""
    alpha, sigma = table.alpha, table.sigma
    ratio = torch.tril(alpha[:, None] / alpha[None])  # x_t holds x_s times alpha_t / alpha_s, for s <= t
    noise = (sigma**2 * ratio) - torch.diag(0.5 * sigma**2)  # noise that x_s and x_t share; half of the diagonal
    return Gaussian.from_moments(alpha * mean, (alpha * std)[:, None] * (alpha * std) + noise + noise.T)


def model_joint(mean: float, std: float, table: Table, step_std: StepStd, decoder_std: Tensor) -> Gaussian:
    """The law of (x_0, ..., x_T) under the model: x_T from q(x_T), then the exact denoiser's steps with `step_std`.

    Every step is affine in x_t plus fresh noise, so the whole is one Gaussian; its first coordinate is p(x_0).
    """
    last, denoiser = int(table.end), gaussian_denoiser(mean, std)
    ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    rows = torch.zeros(last + 1, last + 1, dtype=torch.float64)  # state t as a combination of the steps' noises
    shift = torch.zeros(last + 1, dtype=torch.float64)
    rows[last, last] = torch.hypot(table.alpha[-1] * std, table.sigma[-1])
    shift[last] = table.alpha[-1] * mean
    for t in range(last, 0, -1):
        step = model_step(denoiser, table, t, ends, step_std, decoder_std)
        slope = (step.mean[1] - step.mean[0])[0]
        rows[t - 1], shift[t - 1] = slope * rows[t], slope * shift[t] + step.mean[0, 0]
        rows[t - 1, t - 1] = step.std
    return Gaussian(rows, shift)


def target_gradients(
    denoiser: Denoiser, table: Table, states: Tensor, t: int, step_std: StepStd = "bridge"
) -> tuple[Tensor, Tensor]:
    """Derivative of both derivations' term of time t >= 2 when x0_hat moves by the same amount everywhere, (B,) each.

    First: p's mean should hit the x_{t-1} that the walk came from. Second: the bridge's mean, to which that x_{t-1}
    averages. For one-dimensional states, (T + 1, B, 1).
    """
    earlier, later = table(t - 1), table(t)
    model = model_step(denoiser, table, t, states[t], step_std, None)
    pull = bridge_weights(earlier, later)[1] / model.std**2
    first = pull * (model.mean - states[t - 1])
    second = pull * (model.mean - bridge(earlier, later, states[0], states[t]).mean)
    return first.flatten(), second.flatten()
