"""Notebook 01's ways to ruin an image, and the two loops that repair one: flipped pixels, blur, pixelate, fade.

Pixel flipping already speaks the course's language. On pixels in {-1, +1}, setting `k` of `d` pixels a step to random
values keeps a pixel untouched for t steps with probability alpha_t = (1 - k / d)**t; then E[x_t | x_0] = alpha_t x_0,
and each pixel's variance is 1 - alpha_t**2: variance preserving, pixel by pixel. Touched is not changed: half the
touched pixels keep their value by luck.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..gaussian import per_sample
from ..sampling import State, falling_times


def corrupt_step(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    """One noising step: the pixels `indices` (B, k) of each flattened image of `x` (B, ...) become `values` (B, k).

    Raises ValueError where an index is not a pixel.
    """
    flat = x.flatten(1)
    if bool(((indices < 0) | (indices >= flat.shape[1])).any()):
        raise ValueError(
            f"expected pixels from 0 to {flat.shape[1] - 1}, got {int(indices.min())}..{int(indices.max())}"
        )
    return flat.scatter(1, indices, values.to(flat.dtype)).reshape(x.shape)


def corrupt_exactly(x: Tensor, touched: Tensor | int, permutation: Tensor, values: Tensor) -> Tensor:
    """x_t in one jump: the first `touched` pixels in the order `permutation` (B, d) are set to their `values` (B, d).

    `touched`: one number of pixels, or one per image, (B,), from 0 to d. `values[b, j]` is for the j-th pixel touched.
    With one permutation and its values kept fixed, growing `touched` walks one path of noising without replacement.
    """
    flat = x.flatten(1)
    counts = torch.as_tensor(touched, device=x.device).expand(len(flat))
    if bool(((counts < 0) | (counts > flat.shape[1])).any()):
        raise ValueError(f"expected 0 to {flat.shape[1]} touched pixels, got {counts.tolist()}")
    order = torch.arange(flat.shape[1], device=x.device)
    chosen = torch.where(order < counts[:, None], values.to(flat.dtype), flat.gather(1, permutation))
    return flat.scatter(1, permutation, chosen).reshape(x.shape)


def random_pixels(x: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """`count` different pixels of each image of `x` (B, ...), in random order: indices (B, count) for `corrupt_step`.

    With `count` = d it is a random permutation for `corrupt_exactly`.
    """
    size = x[0].numel()
    if not 0 <= count <= size:
        raise ValueError(f"cannot choose {count} of {size} pixels")
    return torch.rand(len(x), size, generator=generator).argsort(1)[:, :count].to(x.device)


def random_values(shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
    """-1 or +1 with equal probability, float32."""
    return torch.randint(0, 2, tuple(shape), generator=generator).float() * 2 - 1


def untouched_probability(k: int, d: int, t: Tensor | float) -> Tensor:
    """(1 - k / d)**t, the probability that a pixel is never chosen in `t` steps of `k` of `d` pixels; alpha_t.
    Float64.
    """
    if not 0 <= k <= d:
        raise ValueError(f"expected 0 to {d} pixels a step, got {k}")
    return torch.as_tensor(1 - k / d, dtype=torch.float64) ** torch.as_tensor(t, dtype=torch.float64)


def steps_to_reach(alpha: float, k: int, d: int) -> int:
    """The first t with (1 - k / d)**t <= alpha, for 0 < alpha <= 1 and 0 < k < d."""
    if not (0 < alpha <= 1 and 0 < k < d):
        raise ValueError(f"expected 0 < alpha <= 1 and 0 < k < d, got alpha {alpha:g}, k {k}, d {d}")
    return max(0, math.ceil(math.log(alpha) / math.log1p(-k / d) - 1e-12))


def touched_counts(k: int, d: int, steps: int) -> Tensor:
    """P(n different pixels touched after t steps), (steps + 1, d + 1), float64; row t, column n.

    A step of `k` different pixels that finds n touched adds j new ones with the hypergeometric probability
    C(d - n, j) C(n, k - j) / C(d, k). The last column is the probability that *all* have been touched: the coupon
    collector's problem. Knowing these rows would let the chain be jumped with `corrupt_exactly`.
    """
    if not 0 <= k <= d:
        raise ValueError(f"expected 0 to {d} pixels a step, got {k}")
    n = torch.arange(d + 1, dtype=torch.float64)
    added = [torch.exp(_log_choose(d - n, j) + _log_choose(n, k - j) - math.log(math.comb(d, k))) for j in range(k + 1)]
    rows = [torch.zeros(d + 1, dtype=torch.float64)]
    rows[0][0] = 1
    for _ in range(steps):
        moved = torch.zeros(d + 1, dtype=torch.float64)
        for j in range(k + 1):
            moved[j:] += (rows[-1] * added[j])[: d + 1 - j]
        rows.append(moved)
    return torch.stack(rows)


def _log_choose(n: Tensor, k: int) -> Tensor:
    """log of the binomial coefficient C(n, k), -inf where k > n."""
    enough = n >= k
    rest = torch.where(enough, n - k, 0.0)
    value = torch.lgamma(n + 1) - math.lgamma(k + 1) - torch.lgamma(rest + 1)
    return torch.where(enough, value, -math.inf)


Degradation = Callable[[Tensor, float], Tensor]
"""(x_0 (B, ...), t) -> x_t, the clean images degraded to severity t; the identity at t = 0."""

Restorer = Callable[[Tensor, float], Tensor]
"""(x_t (B, ...), t) -> a guess of x_0."""


def blur(x: Tensor, std: Tensor | float) -> Tensor:
    """`x` (B, C, H, W) after heat has spread in it: Gaussian blur of `std` pixels, () or (B,), with insulated edges.

    Each cosine wave of the image (they are the waves that end flat at the edges) fades by exp(-frequency**2 std**2 /
    2). So the mean brightness never changes, and two blurs are one of std sqrt(a**2 + b**2). At std = 0, `x` itself.
    """
    std = per_sample(std, x)  # () or (B, 1, 1, 1)
    if bool((std < 0).any()):
        raise ValueError(f"expected a standard deviation of at least 0, got {std.min().item():g}")
    return _spread(x.shape[2], std) @ x @ _spread(x.shape[3], std).transpose(-1, -2)


def _spread(size: int, std: Tensor) -> Tensor:
    """The matrix that blurs a line of `size` pixels, (..., size, size)."""
    k = torch.arange(size, dtype=torch.float64, device=std.device)
    waves = torch.cos(math.pi / size * k[:, None] * (k + 0.5)) * math.sqrt(2 / size)
    waves[0] /= math.sqrt(2)
    kept = torch.exp(-0.5 * (math.pi / size * k * std.double()) ** 2)  # (size,) or (B, 1, 1, size)
    return ((waves.T * kept) @ waves).to(std.dtype)


def pixelate(x: Tensor, block: int) -> Tensor:
    """Every block x block square of `x` (B, C, H, W) replaced by its mean. ValueError unless blocks tile the image."""
    if block < 1 or x.shape[2] % block or x.shape[3] % block:
        raise ValueError(f"blocks of {block} pixels do not tile an image of {x.shape[2]} x {x.shape[3]}")
    small = torch.nn.functional.avg_pool2d(x, block)
    return small.repeat_interleave(block, 2).repeat_interleave(block, 3)


def fade(x: Tensor, other: Tensor, t: Tensor | float) -> Tensor:
    """(1 - t) x + t other, `t` () or (B,) in [0, 1]: a cross-fade into `other` (B, ...)."""
    t = per_sample(t, x)
    return (1 - t) * x + t * other


def blurring(largest: float) -> Degradation:
    """The degradation `blur` of std `largest` * t, for t in [0, 1]."""
    return lambda x, t: blur(x, largest * t)


def pixelation(blocks: Sequence[int] = (1, 2, 4, 7, 14, 28)) -> Degradation:
    """The degradation `pixelate` by blocks[t], for whole t from 0."""
    return lambda x, t: pixelate(x, blocks[round(t)])


def fading(other: Tensor) -> Degradation:
    """The degradation `fade` into the fixed images `other` (B, ...), for t in [0, 1]."""
    return lambda x, t: fade(x, other, t)


def denoise_renoise(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Iterator[State]:
    """Notebook 01's second algorithm: guess x_0, degrade the guess to the next, lower time; along falling `times`.

    `degrade` may draw its own randomness (fresh pixels at every step). Yields n + 1 states, the sample last; a last
    time of 0 returns the last guess.
    """
    for t, s in pairwise(falling_times(times).tolist()):
        x0 = restore(x, t)
        yield State(t, x, x0)
        x = degrade(x0, s)
    yield State(float(times[-1]), x, x)


def cold_update(x_t: Tensor, x0_hat: Tensor, degrade: Degradation, t: float, s: float) -> Tensor:
    """x_s = x_t - D(x0_hat, t) + D(x0_hat, s), for s < t and a deterministic `degrade` D; images (B, ...)."""
    return x_t - degrade(x0_hat, t) + degrade(x0_hat, s)


def cold_sample(restore: Restorer, degrade: Degradation, times: Tensor, x: Tensor) -> Iterator[State]:
    """x_s = x_t - D(x0_hat, t) + D(x0_hat, s): cold diffusion's improved update (Bansal et al. 2022, algorithm 2).

    What D does to the guess at t and at s largely cancels, so errors of the restorer do not add up: where D(x, t) = x +
    t e a wrong guess does no harm at all. `degrade` must be deterministic. Yields n + 1 states, the sample last.
    """
    for t, s in pairwise(falling_times(times).tolist()):
        x0 = restore(x, t)
        yield State(t, x, x0)
        x = cold_update(x, x0, degrade, t, s)
    yield State(float(times[-1]), x, x)
