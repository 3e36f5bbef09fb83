# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 The continuous view: SDE and ODE
#
# So far time came in steps: 1, 2, ..., T. Choose more of them and each one changes less. This notebook lets their
# number go to infinity. What is left is simpler than what we had. The noising process becomes one short equation,
# the way back becomes another, and there is a second way back that has no randomness in it at all. DDPM and DDIM, two
# recipes in notebook 05, turn out to be two ways of following these equations in finite steps. And the model
# that follows the second way back has a likelihood without any bound: you can compute it, up to the solver's error.
#
# **After this notebook you can**
#
# * write any noising schedule as a stochastic differential equation, and simulate it;
# * turn a denoiser into a noise predictor, and either into a score, and prove that they are one;
# * derive both ways back, the random and the deterministic one, and test that they end in the same law;
# * say where DDIM and DDPM sit among the solvers of these equations, and choose a sampler for a given budget;
# * take a sampler's error apart into prior, score and discretisation;
# * send an image to its noise and back, and compute its log-likelihood;
# * sample with nothing but a score, and see what flow matching is.
#
# **You need** notebook 01 (regression learns the conditional mean; cold diffusion), 02 (Gaussians, conditioning, KL), 03
# (`alpha`, `sigma`, the kernel, the bridge), 04 (the bound, long steps, the exact spread of a step), 05 (the samplers),
# and derivatives of functions of several variables. Stochastic calculus is not needed: every step of it that we use is
# proved here, but for one that section 4 names.
#
# **Time**: about two and a half hours of reading and thinking, without the exercises. Running all cells takes about a
# minute and a half on two CPU cores.

# %% [markdown]
# Run this first. It only imports; the exercises may use every name in it.

# %% tags=["setup"]
try:
    import torch

    import course_lib
except ModuleNotFoundError as missing:
    sentence = f"Wrong kernel: it has no `{missing.name}`; start JupyterLab by `make lab`, or pick the course's kernel."
    missing._render_traceback_ = lambda *_: [sentence]
    raise

import math
from itertools import pairwise

from torch import Tensor
from torch.func import jvp
from tqdm.auto import tqdm

from course_checks import check, equation
from course_lib import metrics, plotting
from course_lib.checkpoint import load_model
from course_lib.continuous import (
    angle_times,
    density_bits_per_dim,
    dequantise,
    divergence_exact,
    divergence_hutchinson,
    encode,
    euler_maruyama,
    fokker_planck,
    forward_sde,
    langevin,
    log_likelihood,
    predictor_corrector,
    probability_flow,
    probability_flow_velocity,
    reverse_drift,
    reverse_sde,
)
from course_lib.data import digits, toys
from course_lib.data.recorded import recording
from course_lib.explorers import sampler_bench
from course_lib.gaussian import Isotropic, Mixture, per_sample
from course_lib.lessons.corruption import cold_sample
from course_lib.metrics import energy_distance, null_band
from course_lib.objective import bits_per_dim, bound, prior_term
from course_lib.oracle import gaussian_denoiser, gaussian_step_std, mixture_denoiser, mixture_score
from course_lib.parametrization import Prediction, network_denoiser
from course_lib.plotting import as_pixels, beside
from course_lib.sampling import ddim, ddpm, heun, last, sample
from course_lib.schedule import (
    ConstantGamma,
    Cosine,
    Linear,
    Marginal,
    Sigmoid,
    Straight,
    Table,
    Truncated,
    VarianceExploding,
    bridge,
    bridge_weights,
    jump,
    kernel,
    log_snr_times,
)
from course_lib.scrubber import scrub

# %% [markdown]
# Most of this page happens where every answer is known: on a line with two bumps, and in the plane with three. The
# schedule is `Linear()`, the continuous form of Ho et al.'s betas. The digits and their network come in section 6.

# %%
rng = torch.Generator().manual_seed(6)
schedule = Linear()
line = Mixture(
    weights=torch.tensor([0.35, 0.65], dtype=torch.float64),
    means=torch.tensor([[-1.0], [0.8]], dtype=torch.float64),
    stds=torch.tensor([0.15, 0.25], dtype=torch.float64),
)
plane = toys.mixture_2d()
on_line, in_plane = mixture_denoiser(line), mixture_denoiser(plane)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=rng, dtype=torch.float64)


print(
    f"at t = 1 the signal is scaled by {float(schedule(1.0).alpha):.4f}, the noise by {float(schedule(1.0).sigma):.4f}"
)

# %% [markdown]
# ## 1. Smaller and smaller steps
#
# *Add independent noise again and again, in ever smaller portions: what counts is the variance you add per unit of
# time.*
#
# Take a walk that starts at 0 and takes $n$ steps until time $t$. Each adds independent standard normal noise $n_k$ times some
# size $c$. How must $c$ shrink as $n$ grows? Variances of independent steps add up: $nc^2$. With $c$ proportional to the step's
# duration $t/n$, the sum is proportional to $1/n$, and in the limit nothing moves. With a fixed $c$ it explodes. The
# one choice that leaves something finite is $c^2$ proportional to the duration:
#
# $$W_t=\sum_{k=1}^{n}\sqrt{\tfrac tn}\;n_k,\qquad \operatorname{Var}(W_t)=n\cdot\tfrac tn=t,\quad\text{for every }n. \tag{06.1}$$
#
# **The noise of a small step of duration $h$ has standard deviation $\sqrt h$, not $h$.** Remember this square root; it
# is the one thing that is new in stochastic calculus. The check adds up two steps, and twenty, a million times each.

# %% tags=["nbval-check-output"]
t = 0.7
ends = [sum(math.sqrt(t / n) * normal(1_000_000) for _ in range(n)) for n in (2, 20)]
equation("06.1", torch.stack([end.var() for end in ends]), torch.full((2,), t).double(), rtol=4.5e-3)

# %% [markdown]
# A sum of independent Gaussians is Gaussian, so $W_t\sim N(0,t)$ exactly, whatever $n$; and on stretches of time that do not
# overlap, the changes are independent. The limit $n\to\infty$ is **Brownian motion**. Here is one path of 65,536 steps, then
# its first sixteenth, then the first sixteenth of that, each filling its picture. Does it become smoother when you look closer?
# And by which factor does the vertical scale shrink, from picture to picture? Each picture shows 257 points of the path.

# %%
fine = torch.cat([torch.zeros(1).double(), (normal(65_536) / 256).cumsum(0)])
looks = {"the whole": fine[::256], "its first sixteenth": fine[:4097:16], "and the first sixteenth of that": fine[:257]}
panels = []
for title, path in looks.items():
    t = torch.linspace(0, 1 / 16 ** len(panels), len(path))
    panels.append(plotting.curves({"W": path}, x=t, xlabel="t", title=title, size=(3.0, 2.6), alt=f"A Brownian path, {title}: as jagged as the other two"))  # fmt: skip
beside(*panels)

# %% [markdown]
# It does not: every magnification is as jagged as the whole. Where time shrinks by 16, the vertical scale shrinks by about 4; for a single path only roughly, as the ranges under (06.2) say. Its slope does not exist (the change over a time $h$ is about $\sqrt h$, so
# the slope is about $1/\sqrt h$), and its length is infinite. But the sum of the *squares* of its small changes is,
# in the limit, not random at all:
#
# $$\sum_{k=1}^{n}\bigl(W_{t_k}-W_{t_{k-1}}\bigr)^2\;\longrightarrow\;t\qquad(n\to\infty). \tag{06.2}$$
#
# Each square has mean $t/n$ and variance $2(t/n)^2$ (the square of a standard normal number has variance 2), so the sum
# has mean $t$ and variance $2t^2/n\to0$. People write it $(\mathrm dW)^2=\mathrm dt$. It is the reason why second
# derivatives will turn up below where ordinary calculus has only first ones.

# %% tags=["nbval-check-output"]
changes = math.sqrt(0.7 / 1_000_000) * normal(1_000_000)
equation("06.2", changes.square().sum(), 0.7, rtol=4.5e-3)

# %% tags=["nbval-check-output"]
for n in (16, 1024, 65_536):
    changes = fine[:: 65_536 // n].diff()
    print(f"{n:6d} steps: length {float(changes.abs().sum()):8.3f}, sum of squares {float(changes.square().sum()):.3f}")
print("ranges in the three pictures: " + ", ".join(f"{float(path.max() - path.min()):.3f}" for path in looks.values()))

# %% [markdown]
# ### A step of a stochastic differential equation
#
# Add a push. In a short time $h$, let $x$ move by $b(x,t)\,h$, and by noise of variance $g(t)^2h$:
#
# $$x_{t+h}=x_t+b(x_t,t)\,h+g(t)\sqrt{h}\;n,\qquad n\sim N(0,I). \tag{06.3}$$
#
# This is the **Euler-Maruyama** step. Its limit for $h\to0$ is written as a *stochastic differential equation*, an SDE:
# $\mathrm dx=b(x,t)\,\mathrm dt+g(t)\,\mathrm dW$, with *drift* $b$ and *diffusion* $g$. You may read this as nothing
# more than an order: "take the step (06.3), with $h$ as small as you can afford". The simplest one, $\mathrm dx=g\,\mathrm dW$, is Brownian motion with its volume turned
# up and down: noise is added and the signal is never shrunk, notebook 03's variance exploding process.
#
# The check takes fifty such steps of $\mathrm dx=-kx\,\mathrm dt+g\,\mathrm dW$ with the library's function, and
# compares with what you get when you unroll the recursion by hand. After $N$ steps with the noises $n_0,\dots,n_{N-1}$ (here $k$ is a rate): $x_N=(1-kh)^Nx_0+g\sqrt h\sum_j(1-kh)^{N-1-j}n_j$.

# %% tags=["nbval-check-output"]
k, g, h, steps = 1.3, torch.tensor(0.8).double(), 0.02, 50
x_0, noises = normal(5, 2), normal(steps, 5, 2)
x = x_0
for noise in noises:
    x = euler_maruyama(x, -k * x, g, h, noise)
factors = (1 - k * h) ** torch.arange(steps - 1, -1, -1).double()
equation("06.3", x, (1 - k * h) ** steps * x_0 + g * math.sqrt(h) * torch.einsum("n,nbd->bd", factors, noises))

# %% [markdown]
# ### Exercise 06.1: one Euler-Maruyama step (1 point)
#
# Later we walk backwards in time as well, with $h<0$. Noise has no direction: its variance is $g^2\lvert h\rvert$.


# %% tags=["exercise-06.1"]
def maruyama_step(x: Tensor, drift: Tensor, diffusion: Tensor, h: float, noise: Tensor) -> Tensor:
    """Return x after one Euler-Maruyama step of duration `h`, shape (B, ...).

    x, drift, noise   (B, ...): where we are, the drift there, and standard normal noise
    diffusion         () or (B,), one number per sample: use `per_sample(diffusion, x)`
    h                 the change of t: below 0 where the walk goes back in time
    """
    ### BEGIN SOLUTION
    return x + drift * h + per_sample(diffusion, x) * math.sqrt(abs(h)) * noise
    ### END SOLUTION


# %% tags=["check-06.1"]
check("06.1", maruyama_step)

# %% [markdown]
# ### Which SDE is our noising process?
#
# We know the answer to a harder question already: $x_t=\alpha_tx_0+\sigma_t\varepsilon$ at every $t$. So look for a
# drift and a diffusion that produce exactly these marginals. Since $x_t$ is linear in $x_0$, try a linear drift,
# $b=f(t)\,x$.
#
# What does one small step do to a mean $m$ and a variance $V$? By (06.3), $x_{t+h}=(1+fh)\,x_t+g\sqrt h\,n$, hence the
# mean becomes $(1+fh)m$ and, because the noise is independent, the variance becomes $(1+fh)^2V+g^2h=V+(2fV+g^2)h+f^2Vh^2$.
# Subtract the old value, divide by $h$, let $h\to0$:
#
# $$\frac{\mathrm dm}{\mathrm dt}=f\,m,\qquad\frac{\mathrm dV}{\mathrm dt}=2f\,V+g^2. \tag{06.4}$$

# %% tags=["nbval-check-output"]
f, g, h = -0.7, 0.9, 1e-7
m, V = 1.7, 0.4
x = torch.tensor([m, m + 1.0, 0.0], dtype=torch.float64)  # a step is linear: these three tell all about it
noise = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
drifted = euler_maruyama(x, f * x, torch.tensor(g, dtype=torch.float64), h, noise)
slope, push = drifted[1] - drifted[0], drifted[2]
equation("06.4", ((drifted[0] - m) / h, (slope**2 * V + push**2 - V) / h), (f * m, 2 * f * V + g**2), rtol=1e-5)

# %% [markdown]
# Given $x_0$, the mean has to be $\alpha_tx_0$ and the variance $\sigma_t^2$. Put them into (06.4): the first equation
# says $\alpha'=f\alpha$, the second $(\sigma^2)'=2f\sigma^2+g^2$. Solve for $f$ and $g$:
#
# $$f(t)=\frac{\alpha_t'}{\alpha_t}=\frac{\mathrm d\log\alpha_t}{\mathrm dt},\qquad g(t)^2=\frac{\mathrm d\sigma_t^2}{\mathrm dt}-2f(t)\,\sigma_t^2. \tag{06.5}$$
#
# Every step preserves Gaussians, so mean and variance are all there is: **any smooth schedule whose signal-to-noise ratio
# falls is an SDE, and these are its rates** (the falling ratio is why $g^2$ is not negative: next formula). The library has them written down schedule by schedule, `schedule.rates(t)`; the check compares with automatic
# differentiation of $\alpha$ and $\sigma$.

# %% tags=["nbval-check-output"]
t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
schedules = {"linear": Linear(), "cosine": Cosine(), "sigmoid": Sigmoid(), "exploding": VarianceExploding(), "straight": Straight()}  # fmt: skip


def speed(function, at: Tensor) -> Tensor:
    return jvp(function, (at,), (torch.ones_like(at),))[1]  # the derivative, by automatic differentiation


given, derived = [], []
for s in schedules.values():
    f = speed(lambda t, s=s: s(t).alpha.log(), t)
    given += [s.rates(t).drift, s.rates(t).diffusion ** 2]
    derived += [f, speed(lambda t, s=s: s(t).sigma ** 2, t) - 2 * f * s(t).sigma ** 2]
equation("06.5", tuple(given), tuple(derived), rtol=1e-6, atol=1e-9)

# %% [markdown]
# The second formula has a shorter name. With $\lambda=\log\mathrm{snr}=2\log\alpha-2\log\sigma$ we have $\lambda'=2f-(\sigma^2)'/\sigma^2$;
# multiply by $-\sigma^2$ and you read (06.5):
#
# $$g(t)^2=-\sigma_t^2\,\frac{\mathrm d\lambda_t}{\mathrm dt}. \tag{06.6}$$
#
# The diffusion is what makes the signal-to-noise ratio fall; it cannot be negative as long as the ratio falls.

# %% tags=["nbval-check-output"]
log_snr_speed = torch.stack([speed(lambda t, s=s: s(t).log_snr, t) for s in schedules.values()])
sigma = torch.stack([s(t).sigma for s in schedules.values()])
equation("06.6", torch.stack([s.rates(t).diffusion ** 2 for s in schedules.values()]), -(sigma**2) * log_snr_speed)

# %% [markdown]
# **Variance preserving.** With $\alpha^2+\sigma^2=1$: $(\sigma^2)'=-(\alpha^2)'=-2\alpha\alpha'=-2f\alpha^2$, so $g^2=-2f(\alpha^2+\sigma^2)=-2f$. Call this $\beta(t)$:
#
# $$\mathrm dx=-\tfrac12\beta(t)\,x\,\mathrm dt+\sqrt{\beta(t)}\,\mathrm dW. \tag{06.7}$$
#
# You know this process. One step of notebook 03 was $x_t=\sqrt{1-\beta}\,x_s+\sqrt{\beta}\,n$; with $\beta$ proportional to
# the duration, $\sqrt{1-\beta(t)h}\approx1-\frac12\beta(t)h$: shrink a little, add a little. The check takes the library's
# exact kernel $q(x_t\mid x_{t-h})$ for a small $h$ and reads off its rates.

# %% tags=["nbval-check-output"]
h, beta = 1e-6, schedule.rates(t).diffusion ** 2
step = kernel(schedule(t - h), schedule(t))
equation("06.7", ((step.scale - 1) / h, step.std**2 / h), (-0.5 * beta, beta), rtol=1e-4)

# %% [markdown]
# Here are the diffusions of four schedules that all lead from data to noise. Look at the right-hand end: which of them
# would you not like to simulate there?

# %%
t = torch.linspace(0.01, 0.97, 97, dtype=torch.float64)
rates = {name: s.rates(t).diffusion for name, s in schedules.items() if name != "exploding"}
plotting.curves(
    rates, x=t, xlabel="t", ylabel="diffusion g", yscale="log",
    alt="Diffusion over time, log scale: linear rises from 0.5 to 4.4; cosine, sigmoid and straight shoot up towards t = 1",
)  # fmt: skip

# %% [markdown]
# Cosine, sigmoid and straight reach $\alpha=0$ at $t=1$. To forget *everything* by a fixed time, the process has to
# run infinitely fast at the end: $f=\alpha'/\alpha\to-\infty$. The walk is not to blame: on a clock that runs
# to infinity the rates stay finite, and the ODE of section 4 has coordinates in which nothing blows up (section 8). But on a clock that ends, where $\log\alpha$, the integral of $f$,
# must reach minus infinity, no relabelling helps, and solvers that step in $t$ suffer.
#
# ### Simulate it
#
# The jump $x_t=\alpha_tx_0+\sigma_t\varepsilon$ needs no steps. Simulating is only for seeing the paths, and for testing:
# 3,000 walkers from the two bumps, 200 steps each, against the density that the jump predicts. Do the histograms follow
# the lines?

# %%
walkers = dict(forward_sde(schedule, torch.linspace(0, 1, 201), line.sample(3000, rng), rng))
grid = torch.linspace(-3.5, 3.5, 701, dtype=torch.float64)
panels = []
for t in (0.1, 0.3, 0.6):
    x_t = min(walkers.items(), key=lambda item: abs(item[0] - t))[1]
    density = line.log_density(grid[:, None], schedule(t)).exp()
    panels.append(plotting.histograms({"walkers": x_t}, lines={"exact": (grid, density)}, bins=50, limits=(-3.5, 3.5), size=(3.0, 2.6), title=f"t = {t}", alt=f"Histogram of the walkers at t = {t} under the exact density"))  # fmt: skip
beside(*panels)

# %% [markdown]
# Each step of (06.3) is an approximation for finite $h$. How good? For a linear drift, mean and variance after $n$ steps
# follow from the recursion above (06.4) without any random number, so the error can be computed exactly.


# %% tags=["nbval-check-output"]
def variance_after(n: int) -> float:
    """Variance at t = 0.5 of n Euler-Maruyama steps from data of variance 0.3**2."""
    h, V = 0.5 / n, 0.3**2
    for k in range(n):
        rates = schedule.rates(k * h)
        V = (1 + float(rates.drift) * h) ** 2 * V + float(rates.diffusion) ** 2 * h
    return V


exact = float((schedule(0.5).alpha * 0.3) ** 2 + schedule(0.5).sigma ** 2)
for n in (10, 20, 40, 80):
    print(f"{n:3d} steps: the variance is off by {variance_after(n) - exact:+.5f}")

# %% [markdown]
# Twice the steps, half the error. We will say that the *order* of the method is 1, and meet better orders.
#
# <details><summary><b>Question.</b> Why does it never pay to simulate the forward process with Euler-Maruyama in training?</summary>
#
# Because its transition over any time, long or short, is known exactly: the kernel $q(x_t\mid x_s)$ of notebook 03, in
# one step, without any error. That is special to linear drifts. The way back has a drift with the score in it, which is
# anything but linear; there we need solvers.
# </details>
#
# ### Exercise 06.2: drift and diffusion of a schedule (2 points)
#
# Someone hands you $\alpha,\sigma$ and their derivatives at some times. What is the SDE? (Not every case preserves the variance.)


# %% tags=["exercise-06.2"]
def drift_and_diffusion(alpha: Tensor, sigma: Tensor, alpha_rate: Tensor, sigma_rate: Tensor) -> tuple[Tensor, Tensor]:
    """Return (f, g) such that dx = f x dt + g dW has x_t = alpha x_0 + sigma eps; all of the same shape.

    alpha, sigma              scales at some times (alpha > 0, sigma >= 0: it is 0 at t = 0)
    alpha_rate, sigma_rate    their derivatives with respect to t. Mind: of sigma, not of sigma**2
    """
    ### BEGIN SOLUTION
    f = alpha_rate / alpha
    return f, torch.sqrt(2 * sigma * sigma_rate - 2 * f * sigma**2)
    ### END SOLUTION


# %% tags=["check-06.2"]
check("06.2", drift_and_diffusion)

# %% [markdown]
# ## 2. The step back is Gaussian, and its mean is all there is to learn
#
# *On a short enough stretch the logarithm of any smooth density looks like a straight slope; so one noising step,
# undone, is a Gaussian pushed uphill.*
#
# We want to go from $x_t$ back to $x_s$, $s=t-h$, without knowing $x_0$. Bayes' rule has the answer:
# $q(x_s\mid x_t)\propto q(x_t\mid x_s)\,p_s(x_s)$. The first factor is Gaussian. The second is the density of all noised
# data, as complicated as the data. Notebook 04 showed on two points what that means: for a long step, $q(x_s\mid x_t)$ has
# two bumps. Here are three steps back from the same $x_t$, each with the Gaussian of the formula that we are about to derive.
# Look for how soon the two agree.


# %%
def back_exact(x_t: float, s: float, t: float, grid: Tensor) -> Tensor:
    """q(x_s | x_t) of the two bumps on a grid, by Bayes' rule: normalised product of kernel and density, (N,)."""
    step = kernel(schedule(s), schedule(t))
    log_q = Isotropic(step.scale * grid[:, None], step.std).log_density(torch.full((len(grid), 1), x_t).double())
    log_q = log_q + line.log_density(grid[:, None], schedule(s))
    return log_q.softmax(0) / (grid[1] - grid[0])


# %%
t, x_t = 0.4, 0.1
here = torch.tensor([[x_t]], dtype=torch.float64)
drift = reverse_drift(mixture_score(line, here, schedule(t)), here, t, schedule).item()
panels = []
for h in (0.3, 0.1, 0.02):
    mean, std = x_t - h * drift, schedule.rates(t).diffusion * math.sqrt(h)
    x_s = mean + std * torch.linspace(-4.5, 4.5, 601, dtype=torch.float64)
    gauss = Isotropic(torch.full((601, 1), mean).double(), std).log_density(x_s[:, None]).exp()
    panels.append(plotting.curves({"exact": back_exact(x_t, t - h, t, x_s), "Gaussian": gauss}, x=x_s, xlabel="x_s", title=f"one step back of {h}", size=(3.0, 2.6), alt=f"Exact law of the step back of duration {h} and the Gaussian of the formula"))  # fmt: skip
beside(*panels)

# %% [markdown]
# For small $h$:
#
# $$q(x_{t-h}\mid x_t)\;\approx\;N\Bigl(x_t-h\,\bigl[f\,x_t-g^2\,\nabla\log p_t(x_t)\bigr],\;\;g^2h\,I\Bigr). \tag{06.8}$$
#
# The variance is the forward step's. The mean undoes the drift ($-hf x_t$) and moves **uphill in log-density**, by $hg^2$ times
# the gradient. That gradient, $\nabla\log p_t(x)$, is called the **score** of $p_t$. It is the only thing here that depends on the data.
#
# <details><summary>Proof</summary>
#
# Write $x_s=x_t-\delta$. The forward step moves by about $\sqrt h$, so only $\delta$ of that size matter; we keep, in the
# exponent, what does not vanish faster than $\sqrt h$.
#
# *First factor.* By (06.3), $x_t$ given $x_s$ is $N(x_s+hf x_s,\,g^2h)$, up to terms of higher order. Its exponent, with
# $x_t-x_s-hfx_s=\delta-hfx_t+hf\delta$, is
# $-\dfrac{\lVert\delta-hfx_t+hf\delta\rVert^2}{2g^2h}$. The last term is of size $h^{3/2}$; inside the square it changes the
# exponent by about $\delta\cdot h f\delta/(g^2h)$, which is of size $h$: dropped.
#
# *Second factor.* Taylor in space: $\log p_s(x_t-\delta)=\log p_s(x_t)-\delta\cdot\nabla\log p_s(x_t)+O(\lVert\delta\rVert^2)$.
# The remainder is of size $h$, dropped; $\log p_s(x_t)$ does not depend on $\delta$; and $\nabla\log p_s$ differs from
# $\nabla\log p_t$ by something of size $h$, dropped too.
#
# *Product.* Complete the square in $\delta$, with $S=\nabla\log p_t(x_t)$:
#
# $-\dfrac{\lVert\delta-hfx_t\rVert^2}{2g^2h}-\delta\cdot S=-\dfrac{\lVert\delta-hfx_t+g^2hS\rVert^2}{2g^2h}+\text{something without }\delta.$
#
# (Multiply out: the terms with $\delta$ on the right are $\delta\cdot(hfx_t-g^2hS)/(g^2h)=\delta\cdot fx_t/g^2-\delta\cdot S$, as
# on the left.) So $\delta\sim N(hfx_t-g^2hS,\,g^2h)$, and $x_s=x_t-\delta$. ∎
# </details>
#
# The check computes $q(x_s\mid x_t)$ by Bayes' rule on a fine grid for $h=10^{-4}$ and measures its mean and variance; the
# score comes from automatic differentiation of $\log p_t$.

# %% tags=["nbval-check-output"]
h, t, moves, spreads = 1e-4, 0.4, [], []
g = schedule.rates(t).diffusion
starts = torch.tensor([-0.9, 0.4, 1.2], dtype=torch.float64)
for x_t in starts.tolist():
    x_s = torch.linspace(x_t - 8 * float(g) * h**0.5, x_t + 8 * float(g) * h**0.5, 4001, dtype=torch.float64)
    q = back_exact(x_t, t - h, t, x_s) * (x_s[1] - x_s[0])
    moves.append((q * (x_s - x_t)).sum() / h)
    spreads.append((q * (x_s - x_t) ** 2).sum() / h - h * moves[-1] ** 2)
x = starts[:, None].clone().requires_grad_()
(score,) = torch.autograd.grad(line.log_density(x, schedule(t)).sum(), x)
uphill = -(schedule.rates(t).drift * starts - g**2 * score[:, 0])
equation("06.8", (torch.stack(moves), torch.stack(spreads)), (uphill, (g**2).expand(3)), rtol=4e-3)

# %% [markdown]
# So for short steps there is nothing to learn but a mean. And a mean is what regression learns: notebook 01 proved that the
# minimiser of the squared error is the conditional mean. We need not even regress on $x_s$. Given $x_0$ as well, $x_s$ is the bridge,
# with mean $w_tx_t+w_0x_0$ (notebook 03). Average over the $x_0$ that are possible for this $x_t$; the weights are constants:
#
# $$\mathbb E[x_s\mid x_t]=\mathbb E\bigl[\,\mathbb E[x_s\mid x_t,x_0]\,\big|\,x_t\bigr]=w_t\,x_t+w_0\,\mathbb E[x_0\mid x_t]. \tag{06.9}$$
#
# This holds for steps of any length. One network that knows $\mathbb E[x_0\mid x_t]$ knows the mean of every step back. (For long steps the *shape*
# of $q(x_s\mid x_t)$ is not Gaussian, and then its mean is not enough; that is why DDPM needs many steps.)

# %% tags=["nbval-check-output"]
s, t = 0.15, 0.4
x_s = torch.linspace(-5, 5, 8001, dtype=torch.float64)
means = torch.stack([(back_exact(x, s, t, x_s) * x_s).sum() * (x_s[1] - x_s[0]) for x in starts.tolist()])
of_x_t, of_x_0, _ = bridge_weights(schedule(s), schedule(t))
x0_hat = on_line(starts[:, None], schedule(t)).x0[:, 0]
equation("06.9", means, of_x_t * starts + of_x_0 * x0_hat, rtol=1e-6)

# %% [markdown]
# And the spread? In the picture above the Gaussian was too wide for the longer steps, mainly because $g^2h$, with the $g$ of the step's start, overstates the noise of so long a step. Against the *exact* noise of the noising step, its kernel's variance, the spread of
# the step back hardly differs:

# %% tags=["nbval-check-output"]
for h in (0.3, 0.1, 0.03, 0.01):
    q = back_exact(0.1, 0.4 - h, 0.4, x_s) * (x_s[1] - x_s[0])
    variance = (q * x_s**2).sum() - (q * x_s).sum() ** 2
    forward = kernel(schedule(0.4 - h), schedule(0.4)).std ** 2
    print(
        f"step of {h:4.2f}: variance of the step back / variance of the noising step = {float(variance / forward):.3f}"
    )

# %% [markdown]
# ### Denoiser, noise, score: one knowledge
#
# The score looks like a new object that would need a new network. It is an old acquaintance:
#
# $$\nabla\log p_t(x_t)=\frac{\alpha_t\,\mathbb E[x_0\mid x_t]-x_t}{\sigma_t^2}=-\frac{\mathbb E[\varepsilon\mid x_t]}{\sigma_t}. \tag{06.10}$$
#
# "Uphill in log-density" and "towards the denoised picture" are one direction. This is **Tweedie's formula** (Robbins 1956,
# who credits M. Tweedie). The proof is four lines; go through it once with a pencil.
#
# <details><summary>Proof</summary>
#
# The density of $x_t$ is an average of Gaussians: $p_t(x)=\int p_0(x_0)\,N(x;\alpha x_0,\sigma^2I)\,\mathrm dx_0$.
#
# Differentiate under the integral. The Gaussian's gradient is $\nabla_xN=-\dfrac{x-\alpha x_0}{\sigma^2}\,N$, so
# $\nabla p_t(x)=\displaystyle\int\frac{\alpha x_0-x}{\sigma^2}\;p_0(x_0)\,N(x;\alpha x_0,\sigma^2I)\,\mathrm dx_0$.
#
# Divide by $p_t(x)$. On the left, $\nabla p/p=\nabla\log p$. On the right, $p_0(x_0)N(x;\dots)/p_t(x)$ is Bayes' rule, the density
# of $x_0$ given $x$. So $\nabla\log p_t(x)=\mathbb E\Bigl[\dfrac{\alpha x_0-x}{\sigma^2}\Big|\,x\Bigr]$, which is the first equality.
#
# And $x-\alpha x_0=\sigma\varepsilon$, so the same expression is $-\mathbb E[\varepsilon\mid x]/\sigma$. ∎
# </details>
#
# The check: automatic differentiation of the log-density on one side, the exact denoiser on the other.

# %% tags=["nbval-check-output"]
level, x = schedule(0.3), (1.5 * normal(6, 2)).requires_grad_()
(gradient,) = torch.autograd.grad(plane.log_density(x, level).sum(), x)
guess = in_plane(x.detach(), level)
right = ((level.alpha * guess.x0 - x.detach()) / level.sigma**2, -guess.eps / level.sigma)
equation("06.10", (gradient, gradient), right)

# %% [markdown]
# Here is the denoiser $\mathbb E[x_0\mid x_t]$ of the two bumps as a curve, at four noise levels. Where it lies above the line
# $x_t/\alpha_t$ (not drawn; the steeper the stronger the noise) the score is positive. What does it become when the noise is weak? When it is strong?

# %%
x = torch.linspace(-2.5, 2.5, 501, dtype=torch.float64)
guesses = {f"t = {t}": on_line(x[:, None], schedule(t)).x0[:, 0] for t in (0.01, 0.05, 0.25, 0.7)}
plotting.curves(
    guesses, x=x, xlabel="x_t", ylabel="E[x_0 | x_t]",
    alt="The denoiser of two bumps: all but the identity at the weakest noise; then flatter at the bumps with a steep jump between; a smooth step at middle noise; almost flat at strong noise",
)  # fmt: skip

# %% [markdown]
# <details><summary>What to see</summary>
#
# At the weakest noise it all but keeps what it gets. At $t=0.05$, where the noise is as wide as the narrower bump, it pulls towards the nearer bump; between the bumps it must decide, and does so within a short stretch. At
# strong noise it answers the mean of the data whatever it sees: nothing can be known. Between these, a smooth step.
# </details>
#
# ### Training a score without knowing it
#
# Suppose you want a network $s(x_t)$ close to the score. The obvious loss, $\mathbb E\lVert s(x_t)-\nabla\log p_t(x_t)\rVert^2$, cannot be
# computed: nobody knows $\nabla\log p_t$ of images. The trick (Vincent 2011) is to regress on something that we do know, the gradient of the
# *conditional* density, $\nabla\log q(x_t\mid x_0)=-\varepsilon/\sigma_t$, and to notice that it makes no difference:
#
# $$\mathbb E\bigl\lVert s(x_t)-\nabla\log q(x_t\mid x_0)\bigr\rVert^2=\mathbb E\bigl\lVert s(x_t)-\nabla\log p_t(x_t)\bigr\rVert^2
# +\Bigl(\frac{d}{\sigma_t^2}-\mathbb E\bigl\lVert\nabla\log p_t(x_t)\bigr\rVert^2\Bigr). \tag{06.11}$$
#
# ($d$ is the number of pixels.) The bracket does not contain $s$. **Denoising score matching**: whoever minimises the left side, the loss of a noise predictor
# ($s=-\hat\varepsilon/\sigma$) up to a factor $\sigma^2$, has minimised the first term on the right.
#
# <details><summary>Proof</summary>
#
# Write $Q=\nabla\log q(x_t\mid x_0)=(\alpha x_0-x_t)/\sigma^2$ and $P=\nabla\log p_t(x_t)$. The proof of Tweedie's formula said $\mathbb E[Q\mid x_t]=P$.
#
# Expand the left side: $\mathbb E\lVert s\rVert^2-2\,\mathbb E[s\cdot Q]+\mathbb E\lVert Q\rVert^2$.
#
# In the middle term, average first over $x_0$ with $x_t$ fixed; $s$ depends on $x_t$ only:
# $\mathbb E[s\cdot Q]=\mathbb E\bigl[s\cdot\mathbb E[Q\mid x_t]\bigr]=\mathbb E[s\cdot P]$.
#
# The first expectation on the right expands to $\mathbb E\lVert s\rVert^2-2\,\mathbb E[s\cdot P]+\mathbb E\lVert P\rVert^2$. The difference of the two
# is $\mathbb E\lVert Q\rVert^2-\mathbb E\lVert P\rVert^2$.
#
# Finally $Q=-\varepsilon/\sigma$ and $\mathbb E\lVert\varepsilon\rVert^2=d$, so $\mathbb E\lVert Q\rVert^2=d/\sigma^2$. ∎
# </details>
#
# The check takes a thoroughly wrong $s$ on the line ($d=1$), and integrates both sides on grids: the left one over pairs $(x_0,x_t)$, the
# right one over $x_t$ alone.

# %% tags=["nbval-check-output"]
level = schedule(0.3)
x_0, x_t = (torch.linspace(-a, a, 1601, dtype=torch.float64) for a in (2.6, 6))
cells = (x_0[1] - x_0[0]) * (x_t[1] - x_t[0])
log_q = (
    -((x_t - level.alpha * x_0[:, None]) ** 2) / (2 * level.sigma**2)
    - torch.log(level.sigma)
    - 0.5 * math.log(2 * math.pi)
)
joint = (line.log_density(x_0[:, None])[:, None] + log_q).exp() * cells  # (x_0, x_t), sums to 1
wrong = -1.3 * x_t + 0.4 * torch.sin(3 * x_t)
left = (joint * (wrong - (level.alpha * x_0[:, None] - x_t) / level.sigma**2) ** 2).sum()
p_t, score = joint.sum(0), mixture_score(line, x_t[:, None], level)[:, 0]
equation("06.11", left, (p_t * (wrong - score) ** 2).sum() + 1 / level.sigma**2 - (p_t * score**2).sum(), rtol=1e-5)

# %% [markdown]
# So the network of notebook 05 has been a score model all along. To summarise, at a given $x_t$ and noise level each of these determines all the others:
#
# | you know | then $\hat x_0$ is | then the score is |
# |---|---|---|
# | the denoised picture $\hat x_0$ | $\hat x_0$ | $(\alpha\hat x_0-x_t)/\sigma^2$ |
# | the noise $\hat\varepsilon$ | $(x_t-\sigma\hat\varepsilon)/\alpha$ | $-\hat\varepsilon/\sigma$ |
# | the score $S$ | $(x_t+\sigma^2S)/\alpha$ | $S$ |
# | $\mathbb E[x_s\mid x_t]$ of any step back | $(\mathbb E[x_s\mid x_t]-w_tx_t)/w_0$ | by the first line |
#
# ### Exercise 06.3: Tweedie's formula (2 points)


# %% tags=["exercise-06.3"]
def from_score(score: Tensor, x_t: Tensor, marginal: Marginal) -> tuple[Tensor, Tensor]:
    """Return (x0_hat, eps_hat), the conditional means of x_0 and of the noise given x_t, from the score at x_t.

    score, x_t   (B, ...)
    marginal     alpha > 0 and sigma at the time of x_t, each () or (B,): use `per_sample`. Do not assume alpha**2 + sigma**2 = 1.
    """
    ### BEGIN SOLUTION
    alpha, sigma = per_sample(marginal.alpha, x_t), per_sample(marginal.sigma, x_t)
    return (x_t + sigma**2 * score) / alpha, -sigma * score
    ### END SOLUTION


# %% tags=["check-06.3"]
check("06.3", from_score)

# %% [markdown]
# ## 3. Exact scores in the plane
#
# *If the data are a mixture of Gaussians, so are the noised data, and the score is a weighted vote of the bumps.*
#
# Component $k$, $N(m_k,s_k^2I)$, becomes $N(\alpha m_k,v_kI)$ with $v_k=\alpha^2s_k^2+\sigma^2$ (notebook 02: scale, then add). So $p_t=\sum_k w_kN_k$,
# and with $\nabla N_k=\frac{\alpha m_k-x}{v_k}N_k$,
#
# $$\nabla\log p_t(x)=\sum_kr_k(x)\,\frac{\alpha_tm_k-x}{v_k},\qquad r_k(x)=\frac{w_kN(x;\alpha_tm_k,v_kI)}{\sum_jw_jN(x;\alpha_tm_j,v_jI)}. \tag{06.12}$$
#
# Each bump pulls towards its own centre, and has as much to say, $r_k$, as the probability that $x$ came from it.

# %% tags=["nbval-check-output"]
level, x = schedule(0.2), (1.2 * normal(7, 2)).requires_grad_()
(gradient,) = torch.autograd.grad(plane.log_density(x, level).sum(), x)
v = (level.alpha * plane.stds) ** 2 + level.sigma**2
pull = level.alpha * plane.means - x.detach()[:, None]  # (B, K, 2)
votes = torch.log(plane.weights) - torch.log(2 * math.pi * v) - pull.square().sum(2) / (2 * v)
equation("06.12", gradient, (votes.softmax(1)[:, :, None] * pull / v[:, None]).sum(1))

# %% [markdown]
# Scrub from noise to data. The arrows are $\sigma_t\nabla\log p_t$, that is, minus the expected noise, so that their length stays comparable;
# the grey dots are noised data. Look for the time at which one centre becomes three, and for where the arrows are long at the end.

# %%
ticks = torch.linspace(-2.2, 2.2, 17, dtype=torch.float64)
places = torch.cartesian_prod(ticks, ticks)
moments = torch.tensor([1.0, 0.6, 0.45, 0.35, 0.28, 0.22, 0.16, 0.12, 0.08, 0.05, 0.03]).double()
data, noise = plane.sample(300, rng), normal(300, 2)
fields = [
    plotting.vector_field(places, -in_plane(places, schedule(t)).eps, samples=jump(data, schedule(t), noise), limits=(-2.5, 2.5, -2.5, 2.5), size=(4.0, 4.0), alt=f"Score field at t = {t:.2f}")
    for t in moments
]  # fmt: skip
scrub(
    fields, t=moments, marginals=schedule(moments), scale="frames", levels=32,
    alt="The score field of three noised bumps from t = 1 to t = 0.03: all arrows point to one centre at first, then to three, with sharp borders between their basins",
)  # fmt: skip

# %% [markdown]
# At strong noise the field knows only the mean. Then it splits. At the end, each point of the plane belongs to one bump, with sharp borders,
# and the arrows are long in the empty space: far away from data the score is loud, and it is *there* that a sampler starts. That is
# why one needs the whole ladder of noise levels, not only the last rung; section 9 shows what happens without it.
#
# ### The ribbon
#
# Now one dimension, time to the right, the density $p_t$ as colours (each time's largest value bright). Two ways back from noise are drawn over it: jagged paths follow an SDE,
# smooth ones an ODE; section 4 derives both. Read the picture from right to left. Do smooth paths cross? Do jagged ones?

# %%
when, x = torch.linspace(0.005, 1, 200, dtype=torch.float64), torch.linspace(-2.8, 2.8, 281, dtype=torch.float64)
density = torch.stack([line.log_density(x[:, None], schedule(t)).exp() for t in when], dim=1)
back = torch.linspace(1, 0.005, 399, dtype=torch.float64)
quantiles = torch.linspace(0.04, 0.96, 12, dtype=torch.float64)[:, None]
smooth = list(probability_flow(on_line, schedule, back, torch.special.ndtri(quantiles), "heun"))
jagged = list(reverse_sde(on_line, schedule, back, normal(6, 1), rng))
tracks = {
    name: ([state.t for state in walk], torch.stack([state.x[:, 0] for state in walk]))
    for name, walk in {"ODE": smooth, "SDE": jagged}.items()
}
plotting.ribbon(density, extent=(0.005, 1, -2.8, 2.8), tracks=tracks, alt="The density of two noised bumps over time as a ribbon that merges into one; smooth and jagged paths run back over it and end in the bumps")  # fmt: skip

# %% [markdown]
# <details><summary><b>Question.</b> Why can two smooth paths never cross, however close they come?</summary>
#
# Because the velocity at a place and time is one number, and for $t>0$ changes smoothly from place to place: then through every point goes exactly one path, forwards and backwards (Picard and Lindelöf). Two paths that met would be the same path.
# On a line, this keeps their order for ever: the walker that starts with 30% of the others below it ends with 30% below it. The ODE on a line
# maps quantiles to quantiles, which section 4 uses as a test. Jagged paths cross as they please; each draws its own noise.
# </details>

# %% [markdown]
# When do the two bumps merge into one? Count the maxima of $p_t$:

# %% tags=["nbval-check-output"]
middle = torch.linspace(-1.5, 1.5, 3001, dtype=torch.float64)
for t in (0.05, 0.3, 0.4, 0.6):
    density = line.log_density(middle[:, None], schedule(t)).exp()
    bumps = int(((density[1:-1] > density[:-2]) & (density[1:-1] > density[2:])).sum())
    print(f"t = {t:.2f}: {bumps} bump(s), alpha = {float(schedule(t).alpha):.3f}")

# %% [markdown]
# ### Exercise 06.4: the exact score of a mixture (3 points)
#
# In any number of dimensions, and far from all bumps too: there every density underflows to 0, so work with logarithms.


# %% tags=["exercise-06.4"]
def exact_score(x: Tensor, weights: Tensor, means: Tensor, stds: Tensor, marginal: Marginal) -> Tensor:
    """Return the gradient of log p_t at x (06.12), shape (B, d).

    x                     (B, d), d = 1, 2, 3, ...
    weights, means, stds  (K,), (K, d), (K,): the data's mixture of N(means[k], stds[k]**2 I), before any noise
    marginal              alpha and sigma > 0 at time t, each a 0-dimensional tensor
    """
    ### BEGIN SOLUTION
    v = (marginal.alpha * stds) ** 2 + marginal.sigma**2  # (K,)
    pull = marginal.alpha * means - x[:, None]  # (B, K, d)
    votes = torch.log(weights) - 0.5 * x.shape[1] * torch.log(v) - pull.square().sum(2) / (2 * v)
    return (votes.softmax(1)[:, :, None] * pull / v[:, None]).sum(1)
    ### END SOLUTION


# %% tags=["check-06.4"]
check("06.4", exact_score)

# %% [markdown]
# ## 4. Noise that is a flow
#
# *Seen from above, a crowd of random walkers spreads like a fluid; and a fluid can be followed without randomness, and run backwards.*
#
# ### What a flow does to a density
#
# Let every point move with a velocity $v(x,t)$. Take a small interval on the line. In a short time the mass $p\,v\,h$ enters at its left end and
# leaves at its right end; the difference stays inside. Per unit of length that is the derivative of $pv$, with a minus sign. In
# several dimensions each coordinate contributes its own derivative, and their sum is the divergence:
#
# $$\frac{\partial p}{\partial t}=-\operatorname{div}(p\,v). \tag{06.13}$$
#
# This is the **continuity equation**: mass moves, none is made. The check uses a flow whose densities we know, the shrinking
# $x_t=x_0e^{-kt}$, with $v=-kx$ and $p_t(x)=p_0(xe^{kt})\,e^{kt}$.


# %% tags=["nbval-check-output"]
def shrunk(x: Tensor, t: Tensor, k: float = 0.8) -> Tensor:
    return (line.log_density(x * torch.exp(k * t)) + k * t).exp()


x, t = torch.tensor([[-0.6], [0.3], [0.5]]).double(), torch.tensor(0.4).double()
left = speed(lambda t: shrunk(x, t), t)
equation("06.13", left, -divergence_exact(lambda x: shrunk(x, t)[:, None] * (-0.8 * x), x))

# %% [markdown]
# ### What noise does to a density
#
# Now the SDE $\mathrm dx=b\,\mathrm dt+g\,\mathrm dW$. The drift contributes $-\operatorname{div}(p\,b)$, as before. The noise flattens: a hilltop loses more
# walkers than it gains, a valley gains. What measures "hilltop" is the second derivative; in several dimensions the sum of
# all of them, the Laplacian $\Delta p$:
#
# $$\frac{\partial p}{\partial t}=-\operatorname{div}(p\,b)+\tfrac12g^2\,\Delta p. \tag{06.14}$$
#
# This is the **Fokker-Planck equation**.
#
# <details><summary>Proof (on a line; in more dimensions it is the same, coordinate by coordinate)</summary>
#
# Take any smooth function $\varphi$ that vanishes far out, and ask how its average over the walkers, $\mathbb E\,\varphi(x_t)$, changes in one
# step (06.3). Taylor to second order, with the change $\delta=bh+g\sqrt h\,n$:
#
# $\varphi(x+\delta)=\varphi(x)+\varphi'(x)\,\delta+\tfrac12\varphi''(x)\,\delta^2+\dots$
#
# Average over $n$: $\mathbb E\,\delta=bh$, and $\mathbb E\,\delta^2=g^2h+b^2h^2$. (Here is the square root again: because the noise is of size $\sqrt h$, its *square* is
# of size $h$ and the second derivative counts. The next terms are of size $h^2$: $\mathbb E\,n^3=0$ removes $h^{3/2}$.) So
#
# $\dfrac{\mathrm d}{\mathrm dt}\mathbb E\,\varphi(x_t)=\mathbb E\bigl[\varphi'b+\tfrac12g^2\varphi''\bigr]=\displaystyle\int\bigl(\varphi'b+\tfrac12g^2\varphi''\bigr)\,p\,\mathrm dx.$
#
# Integrate by parts, once in the first term and twice in the second; nothing is left at the ends, where $\varphi$ vanishes:
#
# $=\displaystyle\int\varphi\,\Bigl(-(bp)'+\tfrac12g^2p''\Bigr)\mathrm dx.$
#
# The left side is also $\displaystyle\int\varphi\,\frac{\partial p}{\partial t}\,\mathrm dx$. Two functions that have the same integral against every $\varphi$ are equal. ∎
# </details>
#
# For our noising process the density of every time is known, so both sides can be computed: the left one by differentiating in $t$, the right one in $x$.


# %% tags=["nbval-check-output"]
def density(mixture: Mixture, x: Tensor, t: Tensor | float) -> Tensor:
    return mixture.log_density(x, schedule(t)).exp()


def gradient(x: Tensor, t: float) -> Tensor:
    return torch.autograd.grad(density(plane, x, t).sum(), x, create_graph=True)[0]


t, x = 0.35, 0.9 * normal(6, 2)
rates = schedule.rates(t)
left = speed(lambda t: density(plane, x, t), torch.tensor(t).double())
carried = divergence_exact(lambda x: density(plane, x, t)[:, None] * rates.drift * x, x)
laplacian = divergence_exact(lambda x: gradient(x, t), x)
equation("06.14", left, -carried + 0.5 * rates.diffusion**2 * laplacian)

# %% [markdown]
# It is also a recipe. Put the density of the two bumps on a grid, and let the equation carry it forward: no walkers, no random numbers. Look whether the
# dashed line, from the grid, lies on the formula for $p_t$.

# %%
grid, panels = torch.linspace(-4, 4, 129, dtype=torch.float64), []
start = density(line, grid[:, None], 0.0)
for t in (0.05, 0.2, 0.5):
    shown = {
        "exact": density(line, grid[:, None], t),
        "grid": fokker_planck(start, grid, schedule, 0.0, t, 1600),
        "data": start,
    }
    panels.append(plotting.curves(shown, x=grid, xlabel="x", title=f"t = {t}", size=(3.0, 2.6), alt=f"At t = {t} the density from the grid lies on the exact one"))  # fmt: skip
beside(*panels)

# %% [markdown]
# How well does it do? Twice the cells, a quarter of the error; and no mass is lost:

# %% tags=["nbval-check-output"]
for cells, steps in ((64, 800), (128, 1600), (256, 6400)):
    grid = torch.linspace(-4, 4, cells + 1, dtype=torch.float64)
    p = fokker_planck(density(line, grid[:, None], 0.0), grid, schedule, 0.0, 0.5, steps)
    error, mass = (p - density(line, grid[:, None], 0.5)).abs().max(), p.sum() * (grid[1] - grid[0])
    print(f"{cells:3d} cells: largest error {float(error):.5f}, mass {float(mass):.5f}")

# %% [markdown]
# ### Diffusion is a flow
#
# Here is the hinge of the whole notebook. Differentiate the logarithm: $\nabla\log p=\nabla p/p$, so $p\,\nabla\log p=\nabla p$, and
#
# $$\operatorname{div}\bigl(p\,\nabla\log p\bigr)=\operatorname{div}(\nabla p)=\Delta p. \tag{06.15}$$
#
# **What noise does to a density, a flow can do too**: one with velocity $-\frac12g^2\nabla\log p$, straight downhill, from where there are many to where there are few.

# %% tags=["nbval-check-output"]
t, x = 0.3, 0.9 * normal(6, 2)
left = divergence_exact(lambda x: density(plane, x, t)[:, None] * mixture_score(plane, x, schedule(t)), x)
equation("06.15", left, divergence_exact(lambda x: gradient(x, t), x))

# %% [markdown]
# Put (06.15) into Fokker-Planck (06.14), with $b=fx$:
# $\partial_tp=-\operatorname{div}(p\,fx)+\frac12g^2\operatorname{div}(p\nabla\log p)=-\operatorname{div}\bigl(p\,[fx-\frac12g^2\nabla\log p]\bigr)$. Compare with the continuity equation (06.13). It is a flow, with velocity
#
# $$\frac{\mathrm dx}{\mathrm dt}=f(t)\,x-\tfrac12g(t)^2\,\nabla\log p_t(x). \tag{06.16}$$
#
# This is the **probability-flow ODE** (Song et al. 2021). Start walkers with the law of the data, let them follow it, and at every time their law is $p_t$, exactly that of the noising
# process, without any noise. (Both laws solve the same equation from the same start. That it has only one solution, for velocities as smooth as these, is the one thing that we take on trust; so it is for the two equations that follow.) And a flow can be run backwards: start at $t=1$ with walkers
# distributed as $p_1$, integrate towards $t=0$, and you have data.
#
# The check differentiates $p_t$ in time, and takes the divergence of $p$ times the library's velocity.

# %% tags=["nbval-check-output"]
t, x = 0.35, 0.9 * normal(6, 2)


def flow(x: Tensor) -> Tensor:
    return probability_flow_velocity(mixture_score(plane, x, schedule(t)), x, t, schedule)


left = speed(lambda t: density(plane, x, t), torch.tensor(t).double())
equation("06.16", left, -divergence_exact(lambda x: density(plane, x, t)[:, None] * flow(x), x))

# %% [markdown]
# ### The random way back
#
# Can the *SDE* be run backwards? Let time run back, $\tau=1-t$, and look for a process $\mathrm dx=b\,\mathrm d\tau+g\,\mathrm dW$ with the same noise, and with the density $p_{1-\tau}$ at every $\tau$. Fokker-Planck
# in $\tau$ demands $\partial_\tau p=-\operatorname{div}(p\,b)+\frac12g^2\Delta p$. But time runs the other way, so $\partial_\tau p=-\partial_tp=\operatorname{div}(p\,fx)-\frac12g^2\Delta p$. Subtract:
# $\operatorname{div}(p\,b)=-\operatorname{div}(p\,fx)+g^2\Delta p=-\operatorname{div}\bigl(p\,[fx-g^2\nabla\log p]\bigr)$, by (06.15). So $b=-[fx-g^2\nabla\log p]$ does it. Written with $t$, for steps $\mathrm dt<0$:
#
# $$\mathrm dx=\bigl[f(t)\,x-g(t)^2\,\nabla\log p_t(x)\bigr]\,\mathrm dt+g(t)\,\mathrm dW. \tag{06.17}$$
#
# This is **Anderson's reverse SDE** (1982). Compare its step with (06.8): it is the Gaussian that we found by Bayes' rule in section 2, and the two derivations support each other. Fokker-Planck says
# that the *marginals* are right. Bayes' rule says more: each step has the right law *given where the walker is*, so whole paths are distributed like noising paths read backwards. The ODE has the first
# property, not the second.


# %% tags=["nbval-check-output"]
def backwards(x: Tensor) -> Tensor:
    return -reverse_drift(mixture_score(plane, x, schedule(t)), x, t, schedule)


left = -speed(lambda t: density(plane, x, t), torch.tensor(t).double())  # dp / dtau
carried = divergence_exact(lambda x: density(plane, x, t)[:, None] * backwards(x), x)
laplacian = divergence_exact(lambda x: gradient(x, t), x)
equation("06.17", left, -carried + 0.5 * schedule.rates(t).diffusion ** 2 * laplacian)

# %% [markdown]
# Once you see it, there is a whole family. Take the ODE, add noise of strength $\eta g$, and compensate for it by more of the uphill drift:
#
# $$\mathrm dx=\Bigl[f\,x-\tfrac{1+\eta^2}{2}\,g^2\,\nabla\log p_t\Bigr]\mathrm dt+\eta\,g\,\mathrm dW,\qquad \mathrm dt<0,\;\eta\ge0. \tag{06.18}$$
#
# $\eta=0$ is the ODE, $\eta=1$ is Anderson's SDE; every $\eta$ has the marginals $p_t$. (Going back, the extra drift is $+\frac{\eta^2}2g^2\nabla\log p$ per unit of time; its flow is $-\frac{\eta^2}2g^2\Delta p$ in the density, by
# (06.15), and the extra noise adds $+\frac{\eta^2}2g^2\Delta p$: they cancel.) This is notebook 05's knob, $c=\eta\tau$ with $\tau$ the bridge's standard deviation, in the limit of small steps. Section 9 will recognise the pair that cancels: it is Langevin's walk.

# %% tags=["nbval-check-output"]
eta = 0.6


def family(x: Tensor) -> Tensor:
    rates, score = schedule.rates(t), mixture_score(plane, x, schedule(t))
    return -(rates.drift * x - 0.5 * (1 + eta**2) * rates.diffusion**2 * score)


carried = divergence_exact(lambda x: density(plane, x, t)[:, None] * family(x), x)
equation("06.18", left, -carried + 0.5 * (eta * schedule.rates(t).diffusion) ** 2 * laplacian)

# %% [markdown]
# ### Same marginals: test it
#
# *On a line*, the ODE must map quantiles to quantiles (no path crosses another). Below, walkers are started at the 5%, 10%, ..., 95% quantiles of $N(0,1)$, which is all but $p_1$, and we ask whether each ends at the quantile of the data law that it had under $p_1$.


# %% tags=["nbval-check-output"]
def below(x: Tensor, t: float) -> Tensor:
    """The probability of lying below x under p_t of the two bumps: a weighted sum of normal distribution functions."""
    level = schedule(t)
    spread = torch.sqrt((level.alpha * line.stds) ** 2 + level.sigma**2)
    return (line.weights * torch.special.ndtr((x - level.alpha * line.means[:, 0]) / spread)).sum(1)


start = torch.special.ndtri(torch.linspace(0.05, 0.95, 19, dtype=torch.float64))[:, None]
down = torch.linspace(1, 0.0, 501, dtype=torch.float64) ** 2  # finer steps near the data
end = last(probability_flow(on_line, schedule, down, start, "heun"))
print(
    f"largest change of a walker's quantile from noise to data: {float((below(end, 0.0) - below(start, 1.0)).abs().max()):.3f}"
)

# %% [markdown]
# *In the plane*, we compare clouds. The energy distance $2\,\mathbb E\lVert X-Y\rVert-\mathbb E\lVert X-X'\rVert-\mathbb E\lVert Y-Y'\rVert$ is 0 if two laws are the same, and positive if not. (Our estimate from clouds is unbiased, so by chance it may fall a little below 0.) Two finite clouds of the *same*
# law have a small one by chance; how small, we find out by drawing exact samples of $p_t$, a hundred pairs of them. The **null band** reaches up to the value that 99 of 100 such pairs stay below. A sampler passes if
# its distance to an exact sample is inside the band.
#
# To see that the test can fail, a third sampler commits a plausible mistake: noise as in the SDE, but only the ODE's half of the uphill drift. Its step:


# %%
def half_uphill(x: Tensor, t: float, s: float) -> Tensor:
    score = mixture_score(plane, x, schedule(t))
    drift = probability_flow_velocity(score, x, t, schedule)
    return euler_maruyama(x, drift, schedule.rates(t).diffusion, s - t, normal(*x.shape))


WALKERS = 800
back = torch.linspace(1, 0.02, 491, dtype=torch.float64)
start = jump(plane.sample(WALKERS, rng), schedule(1.0), normal(WALKERS, 2))
ways = {
    "reverse SDE": {round(state.t, 3): state.x for state in reverse_sde(in_plane, schedule, back, start, rng)},
    "ODE": {round(state.t, 3): state.x for state in probability_flow(in_plane, schedule, back, start, "heun")},
    "half uphill": {1.0: start},
}
for t, s in pairwise(back.tolist()):
    ways["half uphill"][round(s, 3)] = half_uphill(ways["half uphill"][round(t, 3)], t, s)

# %% tags=["nbval-check-output"]
for t in (0.5, 0.2, 0.02):

    def exact_draw(t=t):
        return jump(plane.sample(WALKERS, rng), schedule(t), normal(WALKERS, 2))

    band = null_band(exact_draw)
    print(f"t = {t:.2f}, null band up to {band:.4f}")
    for name, states in ways.items():
        found = energy_distance(states[t], exact_draw())
        print(f"    {name:12s} {found:7.4f}  {'inside' if found <= band else 'OUTSIDE'}")

# %% [markdown]
# Both ways back pass at every time; the mistake does not. Here are the ends; below them, three paths of the SDE (every tenth point of them) and ten of the ODE. Same law, other paths.

# %%
clouds = {"exact": jump(plane.sample(WALKERS, rng), schedule(0.02), normal(WALKERS, 2))} | {
    name: ways[name][0.02] for name in ways
}
beside(*[plotting.scatter(cloud, limits=(-2.2, 2.2, -2.2, 2.2), size=(2.5, 2.6), title=name, alt=f"Points at t = 0.02, {name}") for name, cloud in clouds.items()])  # fmt: skip

# %%
shown = {
    "reverse SDE": torch.stack(list(ways["reverse SDE"].values())[::10])[:, :3],
    "ODE": torch.stack(list(ways["ODE"].values()))[:, :10],
}
beside(*[plotting.paths(tracks.transpose(0, 1), points=plane.sample(300, rng), limits=(-2.5, 2.5, -2.5, 2.5), size=(3.6, 3.6), title=name, alt=f"Paths of the {name} from noise to the bumps") for name, tracks in shown.items()])  # fmt: skip

# %% [markdown]
# <details><summary><b>Question.</b> The ODE turns noise into data with no randomness on the way. Where is the randomness of the samples?</summary>
#
# All of it is in the starting noise. The ODE is one fixed map of the space onto itself, which carries $p_1$, here all but $N(0,I)$, to the data law: it has an inverse, so noise and
# data are two names of the same thing (section 7), and it stretches and squeezes volumes by an amount that can be computed (section 8).
# </details>
#
# ### Exercise 06.5: the two ways back (2 points)


# %% tags=["exercise-06.5"]
def two_ways_back(x: Tensor, score: Tensor, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Return (velocity of the probability-flow ODE, drift of the reverse SDE), both (B, ...).

    x, score   (B, ...): places, and the score of p_t there
    f, g       the noising SDE is dx = f x dt + g dW: each () or (B,), use `per_sample`

    Both are rates per unit of t; the walk back multiplies them by dt < 0.
    """
    ### BEGIN SOLUTION
    pull, uphill = per_sample(f, x) * x, per_sample(g, x) ** 2 * score
    return pull - 0.5 * uphill, pull - uphill
    ### END SOLUTION


# %% tags=["check-06.5"]
check("06.5", two_ways_back)

# %% [markdown]
# ## 5. Overshoot and noise, or just the right length
#
# *The random step goes too far and adds noise back; the deterministic one stops exactly where the noise is right.*
#
# ### Better coordinates
#
# Half of the ODE (06.16) is bookkeeping: $fx$ only undoes the shrinking. Divide it out. Let $y=x/\alpha_t$, the picture at its original contrast, and let
# the clock be its noise, $u=\sigma_t/\alpha_t$. Then
#
# $$\frac{\mathrm dy}{\mathrm du}=\hat\varepsilon(x,t),\qquad y=x/\alpha_t,\quad u=\sigma_t/\alpha_t. \tag{06.19}$$
#
# <details><summary>Proof</summary>
#
# Tweedie (06.10): $\nabla\log p=-\hat\varepsilon/\sigma$, so the ODE is $x'=fx+\dfrac{g^2}{2\sigma}\hat\varepsilon$.
#
# From (06.5), with $f=\alpha'/\alpha$: $g^2=2\sigma\sigma'-2\dfrac{\alpha'}\alpha\sigma^2=2\sigma\alpha\cdot\dfrac{\sigma'\alpha-\sigma\alpha'}{\alpha^2}=2\sigma\alpha\,u'$, since the fraction is the
# derivative of $\sigma/\alpha$. So $\dfrac{g^2}{2\sigma}=\alpha u'$, and $x'=\dfrac{\alpha'}\alpha x+\alpha u'\hat\varepsilon$.
#
# On the other hand $x=\alpha y$ has $x'=\alpha'y+\alpha y'=\dfrac{\alpha'}\alpha x+\alpha y'$. Compare: $y'=u'\,\hat\varepsilon$. Divide by $u'$. ∎
# </details>
#
# No $f$, no $g$, no schedule (for $\hat\varepsilon$ is the mean of $\varepsilon$ given $y=x_0+u\varepsilon$, which knows of $y$ and $u$ only): the paths in $(u,y)$ are the same for all schedules. A schedule only says how fast to walk along them.
# The check multiplies out: the library's velocity in $t$ against $\frac{\alpha'}{\alpha}x+\alpha u'\hat\varepsilon$, derivatives by automatic differentiation.

# %% tags=["nbval-check-output"]
t = torch.tensor([0.15, 0.35, 0.8]).double()
x = normal(3, 2)
guess = in_plane(x, schedule(t))
alpha, alpha_rate, u_rate = (
    schedule(t).alpha,
    speed(lambda t: schedule(t).alpha, t),
    speed(lambda t: schedule(t).ratio, t),
)
right = (alpha_rate / alpha)[:, None] * x + (alpha * u_rate)[:, None] * guess.eps
equation("06.19", probability_flow_velocity(guess.score(schedule(t)), x, t, schedule), right)

# %% [markdown]
# The same velocity has a form that needs no division by anything. Put $x=\alpha\hat x_0+\sigma\hat\varepsilon$ into the last line of the proof: $\frac{\alpha'}{\alpha}(\alpha\hat x_0+\sigma\hat\varepsilon)+\alpha\frac{\sigma'\alpha-\sigma\alpha'}{\alpha^2}\hat\varepsilon$, and the
# terms with $\sigma\alpha'/\alpha$ cancel:
#
# $$\frac{\mathrm dx}{\mathrm dt}=\alpha_t'\,\hat x_0+\sigma_t'\,\hat\varepsilon. \tag{06.20}$$
#
# It is the derivative of $\alpha_tx_0+\sigma_t\varepsilon$, with guesses for what is unknown. Keep it in mind for section 10.

# %% tags=["nbval-check-output"]
sigma_rate = speed(lambda t: schedule(t).sigma, t)
left = probability_flow_velocity(guess.score(schedule(t)), x, t, schedule)
equation("06.20", left, alpha_rate[:, None] * guess.x0 + sigma_rate[:, None] * guess.eps)

# %% [markdown]
# Here is the ribbon again, in these coordinates: $u$ to the right, $y$ upwards, up to $u=4$. Compare with section 3: what has become of the paths, and where do they still bend?

# %%
us, y = torch.linspace(0.08, 4, 200, dtype=torch.float64), torch.linspace(-7, 7, 281, dtype=torch.float64)
levels = [Marginal.from_ratio(u) for u in us]
density_y = torch.stack([line.log_density(level.alpha * y[:, None], level).exp() for level in levels], dim=1)
ratios = torch.stack([schedule(state.t).ratio for state in smooth])
ys = torch.stack([state.x[:, 0] / schedule(state.t).alpha for state in smooth])
seen = (ratios > 0.08) & (ratios < 4)
plotting.ribbon(density_y, extent=(0.08, 4, -7, 7), tracks={"ODE": (ratios[seen], ys[seen])}, xlabel="u = sigma / alpha", ylabel="y = x / alpha", alt="The ribbon in u and y opens to the right like a fan; the paths are nearly straight lines that bend only below about u = 1")  # fmt: skip

# %% [markdown]
# Far out, where $u$ is large, $\hat\varepsilon$ hardly changes along a path and the path is straight. It bends where the bumps come into sight. (Whether straight-looking paths also save steps is a question for measurement: section 6.)
#
# ### DDIM is Euler's method
#
# Freeze $\hat\varepsilon$ for one step from $u_t$ to $u_s$: that is **Euler's method**, $y_s=y_t+(u_s-u_t)\,\hat\varepsilon$. Multiply by $\alpha_s$, with $y_t=(\alpha_t\hat x_0+\sigma_t\hat\varepsilon)/\alpha_t=\hat x_0+u_t\hat\varepsilon$:
#
# $$x_s=\alpha_s\,\bigl[\,y_t+(u_s-u_t)\,\hat\varepsilon\,\bigr]=\alpha_s\hat x_0+\sigma_s\hat\varepsilon. \tag{06.21}$$
#
# This is DDIM. In notebook 05 it was a member of a family, with the fresh noise turned off. Here it comes out of an equation, exactly, not up to small terms. And it tells what DDIM is: the simplest solver there is, in coordinates that know of no schedule.

# %% tags=["nbval-check-output"]
earlier, later = schedule(0.2), schedule(0.35)
x_t = normal(5, 2)
guess = in_plane(x_t, later)
euler = earlier.alpha * (x_t / later.alpha + (earlier.ratio - later.ratio) * guess.eps)
equation("06.21", ddim(x_t, earlier, later, in_plane, 0 * x_t)[0], euler)

# %% tags=["nbval-check-output"]
times, x_T = torch.cat([schedule.time_at(torch.linspace(-9, 9, 20)), torch.zeros(1)]).double(), normal(200, 2)
y, x = x_T / schedule(times[0]).alpha, x_T
for t, s in pairwise(times):
    x = ddim(x, schedule(s), schedule(t), in_plane, x)[0]
    y = y + (schedule(s).ratio - schedule(t).ratio) * in_plane(schedule(t).alpha * y, schedule(t)).eps
print(f"20 steps of DDIM against 20 of Euler in u: they differ by less than 1e-9: {bool((x - y).abs().max() < 1e-9)}")

# %% [markdown]
# ### DDPM is the reverse SDE with the guess frozen
#
# Do the same with the *random* way back: freeze $\hat x_0$ for one step. The score becomes $(\alpha_\tau\hat x_0-x)/\sigma_\tau^2$ at every time $\tau$ of the step, and the reverse SDE (06.17) becomes linear in $x$. We could solve it with patience. Or think:
# this is the score of noised data that consist of the single point $\hat x_0$, for which it is exact. So (06.17) is the exact reversal of the noising of that one point, and its transition from $t$ to $s$ is $q(x_s\mid x_t,x_0=\hat x_0)$: **the bridge. A DDPM step is the
# exact transition of the reverse SDE with $\hat x_0$ frozen.** Solving it all the same gives the bridge in a form worth having:
#
# $$\mathbb E[x_s\mid x_t,\hat x_0]=\alpha_s\hat x_0+\frac{\sigma_s^2\,\alpha_t}{\sigma_t^2\,\alpha_s}\,(x_t-\alpha_t\hat x_0),\qquad
# \operatorname{Var}(x_s\mid x_t,\hat x_0)=\frac{\sigma_s^4}{\alpha_s^2}\,\bigl(\mathrm{snr}_s-\mathrm{snr}_t\bigr). \tag{06.22}$$
#
# <details><summary>Proof</summary>
#
# Let $z=x-\alpha\hat x_0$. Since $(\alpha\hat x_0)'=f\alpha\hat x_0$, the reverse SDE for $z$ is $\mathrm dz=\bigl(f+g^2/\sigma^2\bigr)z\,\mathrm dt+g\,\mathrm dW$.
#
# *Mean.* It obeys $m'=(f+g^2/\sigma^2)\,m$. By (06.5), $g^2/\sigma^2=2\sigma'/\sigma-2f$, so the bracket is $2\sigma'/\sigma-f=(2\log\sigma-\log\alpha)'$. Hence $m$ is proportional to $\sigma^2/\alpha$:
# $m_s=\dfrac{\sigma_s^2/\alpha_s}{\sigma_t^2/\alpha_t}\,m_t$, with $m_t=x_t-\alpha_t\hat x_0$ given.
#
# *Variance.* Noise of variance $g_\tau^2\,\mathrm d\tau$ that enters at time $\tau$ is multiplied on the way to $s$ by the same ratio, $\dfrac{\sigma_s^2/\alpha_s}{\sigma_\tau^2/\alpha_\tau}$. Independent contributions add, so the variance is
# $\dfrac{\sigma_s^4}{\alpha_s^2}\displaystyle\int_s^tg_\tau^2\,\frac{\alpha_\tau^2}{\sigma_\tau^4}\,\mathrm d\tau$. By (06.6), $g^2\alpha^2/\sigma^4=-\lambda'\,\mathrm{snr}=-\mathrm{snr}'$ (because $\mathrm{snr}=e^\lambda$). The integral is $\mathrm{snr}_s-\mathrm{snr}_t$. ∎
# </details>
#
# The check compares (06.22) with a step of DDPM, told a fixed $\hat x_0$, without noise and with; to rounding.

# %% tags=["nbval-check-output"]
x_t, x0_hat, noise = normal(3, 4, 2)


def frozen(x: Tensor, marginal: Marginal) -> Prediction:
    return Prediction.from_x0(x0_hat, x, marginal)


calm, noisy = (ddpm("bridge")(x_t, earlier, later, frozen, n)[0] for n in (0 * noise, noise))
pull = earlier.sigma**2 * later.alpha / (later.sigma**2 * earlier.alpha)
variance = earlier.sigma**4 / earlier.alpha**2 * (earlier.snr - later.snr)
equation(
    "06.22",
    (calm, noisy - calm),
    (earlier.alpha * x0_hat + pull * (x_t - later.alpha * x0_hat), variance.sqrt() * noise),
)

# %% [markdown]
# And, to be sure that no step of that proof was wishful: the frozen SDE simulated as it stands, with Euler-Maruyama in many tiny steps, mean and variance by the recursion of section 1.

# %% tags=["nbval-check-output"]
for n in (10, 100, 1000, 10000):
    fine = torch.linspace(0.35, 0.2, n + 1, dtype=torch.float64)
    rates, h = schedule.rates(fine[:-1]), -0.15 / n
    slopes = 1 + (rates.drift + (rates.diffusion / schedule(fine[:-1]).sigma) ** 2) * h
    later_slopes = torch.cat([slopes.flip(0).cumprod(0).flip(0)[1:], torch.ones(1).double()])
    simulated = (slopes.prod(), (rates.diffusion**2 * abs(h) * later_slopes**2).sum())
    print(f"{n:5d} tiny steps: pull {float(simulated[0]):.5f}, variance {float(simulated[1]):.5f}")
print(f"  one DDPM step: pull {float(pull):.5f}, variance {float(variance):.5f}")

# %% [markdown]
# ### How far is too far?
#
# Compare the two steps in the coordinates $y$, $u$, where nothing shrinks. Both move along the same direction, $-\hat\varepsilon$. DDIM moves by $u_t-u_s$. DDPM's *mean* moves from $\hat x_0+u_t\hat\varepsilon$ to $\hat x_0+\frac{u_s^2}{u_t}\hat\varepsilon$ (divide the first half of (06.22) by $\alpha_s$: $\frac{\sigma_s^2\alpha_t}{\sigma_t^2\alpha_s^2}\,\alpha_tu_t\hat\varepsilon=\frac{u_s^2}{u_t^2}u_t\hat\varepsilon$),
# so by $u_t-\frac{u_s^2}{u_t}=\frac{(u_t-u_s)(u_t+u_s)}{u_t}$. The deterministic step is a fraction of the random one's:
#
# $$\frac{\text{length of DDIM's step}}{\text{length of DDPM's mean step}}=\frac{u_t}{u_t+u_s}\;\longrightarrow\;\frac12\qquad(s\to t). \tag{06.23}$$
#
# (Where the signal is not shrunk, $\alpha=1$, this is $\sigma_t/(\sigma_t+\sigma_s)$. With shrinking it holds for $\sigma/\alpha$, and only in these coordinates: in $x$, the two steps do not even point in the same direction, because both also undo the shrinking.)
#
# The random step goes *twice as far* uphill, for short steps. It is the same factor 2 as between the two drifts, $g^2$ and $\frac12g^2$.

# %% tags=["nbval-check-output"]
y_t, moves = x_t / later.alpha, {}
for name, step in {"ddim": ddim, "ddpm": ddpm("bridge")}.items():
    moves[name] = step(x_t, earlier, later, in_plane, 0 * x_t)[0] / earlier.alpha - y_t
left = (moves["ddim"] * moves["ddpm"]).sum(1) / moves["ddpm"].square().sum(1)
equation("06.23", left, (later.ratio / (later.ratio + earlier.ratio)).expand(4))

# %% [markdown]
# Why is the shorter one right, and what becomes of the longer one? Count the noise, in the case that the guess is true, $\hat x_0=x_0$. At $u_t$ the picture carries noise $u_t\varepsilon$; at $u_s$ it should carry noise of standard deviation $u_s$. DDIM leaves $u_s\hat\varepsilon$:
# just right. DDPM's mean leaves $\frac{u_s^2}{u_t}\hat\varepsilon$, less than $u_s$: **it overshoots**, and then adds fresh noise of variance $\frac{\operatorname{Var}}{\alpha_s^2}$, which fills the gap exactly:
#
# $$\Bigl(\frac{u_s^2}{u_t}\Bigr)^2+u_s^4\,\Bigl(\frac1{u_s^2}-\frac1{u_t^2}\Bigr)=u_s^2. \tag{06.24}$$
#
# (The second term is the variance in (06.22), divided by $\alpha_s^2$, with $\mathrm{snr}=1/u^2$.) The check measures both terms on steps of the library with a large picture of pure noise, $x_0=0$: what the calm step leaves, and what the noise adds.

# %% tags=["nbval-check-output"]
pixels, fresh = normal(1, 400_000), normal(1, 400_000)
nothing = gaussian_denoiser(0.0, 0.0)  # data that are exactly 0: the guess is true
calm, noisy = (
    ddpm("bridge")(later.sigma * pixels, earlier, later, nothing, n)[0] / earlier.alpha for n in (0 * fresh, fresh)
)
equation("06.24", calm.square().mean() + (noisy - calm).square().mean(), earlier.ratio**2, rtol=4.5e-3)

# %% [markdown]
# Here is the fraction (06.23) for even steps of the linear schedule. Where is it near one half, and where not?

# %%
shown = {}
for n in (5, 20, 100):
    level = schedule(schedule.times(n))
    shown[f"{n} steps"] = (schedule.times(n)[:-1], level.ratio[:-1] / (level.ratio[:-1] + level.ratio[1:]))
plotting.curves(
    shown, markers=True, xlabel="t at the start of the step", ylabel="DDIM's length / DDPM's",
    alt="The ratio of step lengths over time for 5, 20 and 100 even steps: near one half for many steps, 1 on the last step to t = 0",
)  # fmt: skip

# %% tags=["nbval-check-output"]
for h in (0.2, 0.1, 0.05, 0.025, 0.0125):
    u_t, u_s = schedule(0.4).ratio, schedule(0.4 - h).ratio
    print(f"step of {h:.4f}: fraction {float(u_t / (u_t + u_s)):.3f}")

# %% [markdown]
# Near one half only for short steps. The last step, to $t=0$, has $u_s=0$ and the fraction 1: there both land on $\hat x_0$.
#
# One step in the plane, from $u_t=1$ to $u_s=0.6$, both samplers guided by the same guess $\hat x_0$ (the small dot; the circle around it has radius $u_s$, one standard deviation per coordinate of the noise wanted at $s$). DDIM's step is the short one; DDPM's mean lies beyond it, nearer to the guess; from there, ten draws of DDPM's noise. Is DDIM's end among them?

# %%
t, s = (schedule(schedule.time_at(-2 * math.log(u))) for u in (1.0, 0.6))
x_0 = plane.means[:1]
y_t = x_0 + t.ratio * torch.tensor([[1.0, 0.8]]).double()


def one_point(x: Tensor, marginal: Marginal) -> Prediction:
    return Prediction.from_x0(x_0.expand_as(x), x, marginal)


x_t, noise = (t.alpha * y_t).expand(10, 2), normal(10, 2)
ddim_end, mean, ddpm_ends = (x / s.alpha for x in (ddim(x_t, s, t, one_point, noise)[0], ddpm()(x_t, s, t, one_point, 0 * noise)[0], ddpm()(x_t, s, t, one_point, noise)[0]))  # fmt: skip
tracks = {
    "DDPM's noise": torch.stack([mean, ddpm_ends], 1),
    "DDPM's mean": torch.stack([y_t[0], mean[0]]),
    "DDIM": torch.stack([y_t[0], ddim_end[0]]),
}
plotting.paths(tracks, widths={"DDPM's mean": 5.0, "DDIM": 1.6}, ellipses={"wanted noise: 1 std": (x_0[0], s.ratio**2 * torch.eye(2))}, deviations=(0.02, 1), limits=(-2.2, 1.4, -1.8, 1.2), size=(5.6, 4.6), xlabel="first coordinate of y", ylabel="second", alt="From one start DDIM goes part of the way to the guess; DDPM's mean goes further, and from there noise leads to ten ends all around")  # fmt: skip

# %% [markdown]
# In the plane the ends are all over the place, and DDIM's is only one possibility. In 784 dimensions noise is a thin shell (notebook 02), and both samplers end on the same shell around the picture, at the radius that belongs to time $s$:

# %% tags=["nbval-check-output"]
picture, n = normal(1, 784), normal(1, 784)
for name, end in {"start": t.sigma * picture / t.alpha, "DDIM": ddim(t.sigma * picture, s, t, nothing, n)[0] / s.alpha,
                  "DDPM's mean": ddpm()(t.sigma * picture, s, t, nothing, 0 * n)[0] / s.alpha,
                  "DDPM": ddpm()(t.sigma * picture, s, t, nothing, n)[0] / s.alpha}.items():  # fmt: skip
    print(f"{name:12s} noise per pixel {float(end.square().mean().sqrt()):.3f}")
print(f"wanted at s  noise per pixel {float(s.ratio):.3f}")

# %% [markdown]
# ### Exercise 06.6: the right step length (2 points)
#
# You know the mean of the bridge. Stop before it.


# %% tags=["exercise-06.6"]
def right_length(x_t: Tensor, bridge_mean: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    """Return (fraction, x_s): how much of the way to the bridge's mean to go without adding noise, and where that ends.

    The way is straight in y = x / alpha: from x_t / alpha_t to bridge_mean / alpha_s. Go the fraction after which (if x0_hat were
    the picture) noise of standard deviation sigma_s / alpha_s is left, as it should be at time s, and return x_s = alpha_s y, (B, ...).

    x_t, bridge_mean   (B, ...);  bridge_mean is that of q(x_s | x_t, x0_hat)
    earlier, later     marginals at s < t, each with alpha, sigma and ratio = sigma / alpha, () or (B,): use `per_sample`
    fraction           () or (B,), like the marginals
    """
    ### BEGIN SOLUTION
    fraction = later.ratio / (later.ratio + earlier.ratio)
    start = x_t / per_sample(later.alpha, x_t)
    way = bridge_mean / per_sample(earlier.alpha, x_t) - start
    return fraction, per_sample(earlier.alpha, x_t) * (start + per_sample(fraction, x_t) * way)
    ### END SOLUTION


# %% tags=["check-06.6"]
check("06.6", right_length)

# %% [markdown]
# ### And Euler-Maruyama?
#
# Euler-Maruyama on the reverse SDE freezes more: $f$, $g$ and the whole drift, at their values at the start of the step. For short steps that hardly matters. Below, both walk from $t=0.9$ to $t=0.1$ with the same noises, and we look how far apart they end.


# %% tags=["nbval-check-output"]
def apart(n: int) -> float:
    """RMS distance at t = 0.1 between DDPM and Euler-Maruyama walks of n steps with the same noise."""
    one = other = jump(plane.sample(500, rng), schedule(0.9), normal(500, 2))
    for t, s in pairwise(torch.linspace(0.9, 0.1, n + 1, dtype=torch.float64).tolist()):
        noise = normal(500, 2)
        one = ddpm("bridge")(one, schedule(s), schedule(t), in_plane, noise)[0]
        drift = reverse_drift(in_plane(other, schedule(t)).score(schedule(t)), other, t, schedule)
        other = euler_maruyama(other, drift, schedule.rates(t).diffusion, s - t, noise)
    return float((one - other).square().mean().sqrt())


gaps = {n: apart(n) for n in (50, 100, 200, 400, 800)}
for n, gap in gaps.items():
    print(f"{n:4d} steps: {gap:.4f} apart, times n: {n * gap:.2f}")

# %% tags=["nbval-check-output"]
steps, gap = torch.tensor(list(gaps)).double(), torch.tensor(list(gaps.values())).double()
slope = torch.linalg.lstsq(torch.stack([steps.log(), torch.ones(5).double()], 1), gap.log()[:, None]).solution[0, 0]
print(
    f"the distance falls like n to the power {float(slope):.2f}: first order, -1, within 0.15: {abs(float(slope) + 1) < 0.15}"
)

# %% [markdown]
# First order: twice the steps, half the difference. So DDPM is not "Euler-Maruyama on the reverse SDE", as one often reads; the two agree in the limit. DDPM treats the
# linear part exactly and knows what the noise level at the end of the step will be. With few, long steps that is worth much (section 6: on the digits Euler-Maruyama is useless with 8 evaluations, and behind DDPM still with 32). With short steps it need not be: on the Gaussian
# data of section 6, from 20 steps on, it is Euler-Maruyama whose spread is nearer to the truth.
#
# ### The promise of notebook 01
#
# Notebook 01 ended with cold diffusion, a sampler for degradations without noise: guess the clean picture, and replace the degradation of strength $t$ by that of strength $s$, *as a correction* to $x_t$: $x_s=x_t-D(\hat x_0,t)+D(\hat x_0,s)$. It was promised that
# for Gaussian noise this is DDIM. Here the degradation is $D(x_0,t)=\alpha_tx_0+\sigma_t\,\varepsilon$, with some noise $\varepsilon$; and $D$ should say what was done to *this* picture, so the noise is the one that the guess implies, $\hat\varepsilon=(x_t-\alpha_t\hat x_0)/\sigma_t$. Then $D(\hat x_0,t)=x_t$, and
#
# $$x_t-D(\hat x_0,t)+D(\hat x_0,s)=\alpha_s\hat x_0+\sigma_s\hat\varepsilon. \tag{06.25}$$
#
# The check runs notebook 01's own loop, `cold_sample`, beside DDIM.


# %% tags=["nbval-check-output"]
class GaussianNoise:
    """Restoration and degradation for the cold loop: `restore` guesses, and remembers the noise that its guess implies."""

    def restore(self, x_t: Tensor, t: float) -> Tensor:
        guess = in_plane(x_t, schedule(t))
        self.eps = (x_t - schedule(t).alpha * guess.x0) / schedule(t).sigma
        return guess.x0

    def degrade(self, x_0: Tensor, t: float) -> Tensor:
        return jump(x_0, schedule(t), self.eps)


cold, x_T, times = GaussianNoise(), normal(300, 2), log_snr_times(schedule, 12)
repaired = list(cold_sample(cold.restore, cold.degrade, times, x_T))[-1].x
equation("06.25", repaired, last(sample(in_plane, schedule, times, x_T, ddim)), rtol=1e-5, atol=1e-9)

# %% [markdown]
# <details><summary><b>Question.</b> What if D always adds the same noise, the one the walk started with?</summary>
#
# Then $D(\hat x_0,t)$ is not $x_t$, and the update is $x_s=x_t+(\alpha_s-\alpha_t)\hat x_0+(\sigma_s-\sigma_t)\varepsilon_T$. It is a step of (06.20) with both guesses held fixed, and the wrong noise: as soon as the guess changes on the way, $x_t$ no longer consists of $\hat x_0$ and $\varepsilon_T$. Try it: let `degrade` use `x_T` in place of `self.eps`, and look at where the points end. (The cloud collapses: a heap between the three bumps, away from every centre, with about a third of the data's spread.)
# </details>

# %% [markdown]
# ### Exercise 06.7: DDIM from the ODE (3 points)
#
# Without the formula of DDIM: walk along (06.19) by Euler's method, and let $x=\alpha y$ translate.


# %% tags=["exercise-06.7"]
def euler_in_u(denoiser, schedule, times: Tensor, x: Tensor) -> Tensor:
    """Return the sample x at times[-1], (B, ...), by Euler's method on dy/du = eps_hat, y = x / alpha, u = sigma / alpha.

    denoiser   denoiser(x, marginal) has .eps, the expected noise in x: it wants x, not y
    schedule   schedule(t) is the marginal at time t, with .alpha, .sigma and .ratio = sigma / alpha (0-dimensional here)
    times      falling, (n + 1,); the last may be 0
    x          (B, ...) at times[0]
    """
    ### BEGIN SOLUTION
    y = x / schedule(times[0]).alpha
    for t, s in pairwise(times):
        eps = denoiser(schedule(t).alpha * y, schedule(t)).eps
        y = y + (schedule(s).ratio - schedule(t).ratio) * eps
    return schedule(times[-1]).alpha * y
    ### END SOLUTION


# %% tags=["check-06.7"]
check("06.7", euler_in_u)

# %% [markdown]
# ## 6. One network, every sampler
#
# *With the equations in hand, a sampler is a solver; what it is worth is how its error falls with the number of evaluations.*
#
# ### A better solver
#
# Euler's method uses the slope at the start of a step. **Heun's method** takes Euler's step as a trial, looks at the slope where it ends, and goes with the average of the two (Karras et al. 2022):
#
# $$y_s=y_t+\frac{u_s-u_t}2\Bigl[\hat\varepsilon(\alpha_ty_t,\,t)+\hat\varepsilon(\alpha_s\tilde y_s,\,s)\Bigr],\qquad\tilde y_s=y_t+(u_s-u_t)\,\hat\varepsilon(\alpha_ty_t,\,t). \tag{06.26}$$
#
# It costs two evaluations of the network per step. A last step to $\sigma_s=0$ is Euler's: at $\sigma=0$ a network has no noise to estimate. So $n$ steps cost $2n-1$ evaluations.

# %% tags=["nbval-check-output"]
x_t, earlier, later = normal(5, 2), schedule(0.2), schedule(0.35)
y, du = x_t / later.alpha, earlier.ratio - later.ratio
trial = y + du * in_plane(later.alpha * y, later).eps
right = earlier.alpha * (
    y + 0.5 * du * (in_plane(later.alpha * y, later).eps + in_plane(earlier.alpha * trial, earlier).eps)
)
equation("06.26", heun(x_t, earlier, later, in_plane, 0 * x_t)[0], right)

# %% [markdown]
# ### Exercise 06.8: Heun's step (2 points)


# %% tags=["exercise-06.8"]
def heun_step(x_t: Tensor, earlier: Marginal, later: Marginal, denoiser) -> Tensor:
    """Return x_s, (B, ...), by one step of Heun's method in u = sigma / alpha (06.26); Euler's where sigma_s = 0.

    earlier, later   marginals at s < t with alpha, sigma and ratio = sigma / alpha, 0-dimensional; alpha > 0 in both
    denoiser         denoiser(x, marginal).eps is the expected noise in x at that marginal
    """
    ### BEGIN SOLUTION
    y, du = x_t / later.alpha, earlier.ratio - later.ratio
    slope = denoiser(x_t, later).eps
    if earlier.sigma > 0:
        trial = earlier.alpha * (y + du * slope)
        slope = 0.5 * (slope + denoiser(trial, earlier).eps)
    return earlier.alpha * (y + du * slope)
    ### END SOLUTION


# %% tags=["check-06.8"]
check("06.8", heun_step)

# %% [markdown]
# ### Orders of convergence
#
# A method has order $p$ if its error falls like $n^{-p}$: twice the steps, $2^p$ times less error. On the three bumps the exact solution is known as well as we like (Heun in $t$, 4,000 steps), so measure. The *deterministic* methods are compared point
# by point: from the same noise, how far from where the true path ends (at log SNR 6), for the median walker? Four methods: Euler and Heun, each in $u$ and in $t$.


# %%
def even_log_snr(n: int) -> Tensor:
    """n + 1 times from t = 1 to log SNR 6, evenly spaced in log SNR."""
    return schedule.time_at(torch.linspace(float(schedule(1.0).log_snr), 6.0, n + 1, dtype=torch.float64))


x_T, counts = normal(150, 2), (20, 40, 80, 160, 320)
truth = last(probability_flow(in_plane, schedule, even_log_snr(4000), x_T, "heun"))
methods = {
    "DDIM (Euler in u)": lambda times: sample(in_plane, schedule, times, x_T, ddim),
    "Heun (in u)": lambda times: sample(in_plane, schedule, times, x_T, heun),
    "Euler in t": lambda times: probability_flow(in_plane, schedule, times, x_T, "euler"),
    "Heun in t": lambda times: probability_flow(in_plane, schedule, times, x_T, "heun"),
}
errors = {
    name: [float((last(solve(even_log_snr(n))) - truth).norm(dim=1).median()) for n in counts]
    for name, solve in methods.items()
}

# %% [markdown]
# For the *random* ones, no two runs agree point by point, so we ask for the law of the ends. On Gaussian data (here $N(0.4, 0.3^2)$, exact denoiser) every step of every sampler is linear, so mean and variance of the ends follow exactly, without a single random number: probe the step at
# $x=0$ and $x=1$ without noise, and at $x=0$ with noise 1.


# %%
bell = gaussian_denoiser(0.4, 0.3)


def law_after(move, times: Tensor, mean: float, variance: float) -> tuple[float, float]:
    """Mean and variance after the linear random steps `move(x, t, s, noise)` along falling times."""
    x, noise = torch.tensor([[0.0], [1.0], [0.0]]).double(), torch.tensor([[0.0], [0.0], [1.0]]).double()
    for t, s in pairwise(times):
        at_0, at_1, noisy = move(x, t, s, noise)[:, 0].tolist()
        mean = (at_1 - at_0) * mean + at_0
        variance = (at_1 - at_0) ** 2 * variance + (noisy - at_0) ** 2
    return mean, variance


def plug(step, denoiser=bell):
    return lambda x, t, s, noise: step(x, schedule(s), schedule(t), denoiser, noise)[0]


def maruyama(x: Tensor, t: Tensor, s: Tensor, noise: Tensor) -> Tensor:
    drift = reverse_drift(bell(x, schedule(t)).score(schedule(t)), x, t, schedule)
    return euler_maruyama(x, drift, schedule.rates(t).diffusion, float(s - t), noise)


# %%
def true_law(t: float | Tensor) -> tuple[float, float]:
    level = schedule(t)
    return float(0.4 * level.alpha), float((0.3 * level.alpha) ** 2 + level.sigma**2)


wanted, off = true_law(even_log_snr(1)[-1])[1], {}
moves = {"DDIM": plug(ddim), "Heun": plug(heun), "Euler-Maruyama": maruyama, "DDPM": plug(ddpm("bridge"))}
for name, move in moves.items():
    laws = [law_after(move, even_log_snr(n), *true_law(1.0)) for n in counts]
    off[name] = [math.sqrt(law[1]) - math.sqrt(wanted) for law in laws]
titles = {"distance from the true path": errors, "error of the ends' spread": off}
sizes = {title: {name: [abs(e) for e in v] for name, v in table.items()} for title, table in titles.items()}
beside(*[plotting.curves(shown, x=range(5), yscale="log", markers=True, xlabel="doublings of 20 steps", title=title, size=(4.0, 3.4), alt=f"{title} on a log scale against doublings of the number of steps: straight lines, Heun's twice as steep") for title, shown in sizes.items()])  # fmt: skip


# %% tags=["nbval-check-output"]
def order(values: list[float]) -> float:
    """Minus the slope of log error against log n, over the three largest n."""
    x, y = torch.tensor(counts[-3:]).double().log(), torch.tensor(values[-3:]).double().log()
    return float(-((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


for title, table in titles.items():
    print(title)
    for name, values in table.items():
        print(f"    {name:18s} order {order(sizes[title][name]):4.1f}, error with 80 steps {values[2]:+.5f}")

# %% [markdown]
# First order and second order, as the theory of solvers has it (Heun's slope is the trapezoidal rule, whose error per step is of size $h^3$). The coordinates matter less than the pretty straight lines of section 5 promised: with the *same times*, stepping in
# $t$ is even more accurate here. Where the lines are straight in $u$, the walk in $t$ is easy too: a VP schedule shrinks $x$ just as the noise grows, and far out the paths in $t$ hardly move at all (look at the ribbon of section 3). What $u$ buys is that no rate of any schedule enters, and that none can blow up ($u$ itself
# is infinite where $\alpha=0$; there the schedule is stopped early).
#
# Of the random two, Euler-Maruyama's spread is here nearer to the truth than DDPM's: it ends a little too wide, DDPM too narrow, and by more. DDPM's noise is the bridge's, too small for data that are not one point (a frozen $\hat x_0$ forgets that the guess is uncertain), always in the same direction. First order says how fast an error
# falls, not whose constant is smaller. On digits, with few steps, the order is the reverse (below).
#
# One random sampler is better than first order on Gaussian data. If DDPM uses the *exact* spread of $q(x_s\mid x_t)$, which for such data is known (notebook 04), its steps are exact:

# %% tags=["nbval-check-output"]
exact_spread = ddpm(lambda s, t: gaussian_step_std(0.3, s, t))
for n in (2, 5, 20):
    mean, variance = law_after(plug(exact_spread), even_log_snr(n), *true_law(1.0))
    print(f"{n:2d} steps: the ends' spread is off by {math.sqrt(variance) - math.sqrt(wanted):.6f}")

# %% [markdown]
# ### An error budget
#
# A sampler can be wrong for three reasons: it starts from $N(0,I)$ where $p_1$ is something else (**prior**), its denoiser is wrong (**score**), its steps are finite (**discretisation**). With oracles in place of a network, each can be switched on alone. The schedule is stopped early, at
# log SNR $-4$, so that the prior matters; the wrong denoiser believes in $N(0.41,0.31^2)$; the coarse solver takes 10 DDIM steps. The cost is $\mathrm{KL}(\text{ends}\,\Vert\,\text{data})$, which notebook 02 has in closed form. Which is the largest, do you think?


# %% tags=["nbval-check-output"]
def cost(from_normal: bool, wrong: bool, steps: int | None) -> float:
    """KL in nats between the ends and N(0.4, 0.3**2) with these errors switched on; `steps` None: 400 Heun steps."""
    stopped, denoiser = Truncated(Linear(), log_snr=-4.0), gaussian_denoiser(0.41, 0.31) if wrong else bell
    start = stopped(1.0)
    law = (0.0, 1.0) if from_normal else (float(0.4 * start.alpha), float((0.3 * start.alpha) ** 2 + start.sigma**2))
    step, n = (heun, 400) if steps is None else (ddim, steps)
    mean, variance = law_after(lambda x, t, s, noise: step(x, stopped(s), stopped(t), denoiser, noise)[0], log_snr_times(stopped, n), *law)  # fmt: skip
    return 0.5 * (variance / 0.09 + (mean - 0.4) ** 2 / 0.09 - 1 - math.log(variance / 0.09))


budget = {"prior": (True, False, None), "score": (False, True, None), "discretisation": (False, False, 10), "all three": (True, True, 10), "none": (False, False, None)}  # fmt: skip
budget = {name: cost(*switches) for name, switches in budget.items()}
for name, nats in budget.items():
    print(f"{name:15s} {nats:.4f} nats")

# %%
plotting.bars(
    budget,
    ylabel="KL to the data, nats",
    size=(5.4, 3.0),
    alt="Error budget of a sampler: prior, score, discretisation, all three together, and none of them",
)

# %% [markdown]
# The parts do not simply add up (errors can point the same way or cancel), but they tell where to spend: more steps do nothing for a wrong denoiser, and a better denoiser nothing for a wrong start.
#
# ### The digits
#
# Now the shipped network of notebook 05, with its own schedule (cosine, stopped at log SNR $-9$). First a look: the same nine noises, **12 evaluations** of the network for everybody. (Heun can pay for 6 steps with 11.) Then 40. Rank the four before you look.

# %%
model = load_model("digits")
denoiser, cosine = model.denoiser(), model.schedule


def draw(sampler: str, evaluations: int, x_T: Tensor, seed: int = 1) -> Tensor:
    """Digits from the noise x_T by one of four samplers, times evenly spaced in log SNR, at most so many evaluations."""
    generator = torch.Generator().manual_seed(seed)
    times = log_snr_times(cosine, (evaluations + 1) // 2 if sampler == "Heun" else evaluations)
    if sampler == "Euler-Maruyama":
        return last(reverse_sde(denoiser, cosine, times, x_T, generator)).clamp(-1, 1)
    step = {"DDPM": ddpm("bridge"), "DDIM": ddim, "Heun": heun}[sampler]
    return last(sample(denoiser, cosine, times, x_T, step, generator)).clamp(-1, 1)


# %%
SAMPLERS = ("DDPM", "DDIM", "Heun", "Euler-Maruyama")
x_T = torch.randn(9, 1, 28, 28, generator=torch.Generator().manual_seed(4))
for evaluations in (12, 40):
    rows = {f"{name}, {evaluations}": as_pixels(draw(name, evaluations, x_T)) for name in SAMPLERS}
    plotting.strip(
        rows,
        cell=0.5,
        alt=f"Four rows of digits by DDPM, DDIM, Heun and Euler-Maruyama with {evaluations} evaluations each",
    ).show()

# %% [markdown]
# Nine digits are an impression; a comparison needs hundreds, several seeds, and a number. That takes half an hour on one core, so it is **recorded**: made beforehand by a script, whose name and settings the last lines print. The number is notebook 05's Fréchet distance
# (lower is better; the flat line is what as many *real* digits get, and no honest sampler can be expected to be below). Look for three things: who is good with few evaluations, who is best with many, and which curve has not arrived by the end.

# %%
grid = recording("06_samplers")
cells = {name: [row for key, row in grid["results"].items() if key.startswith(name + ",")] for name in SAMPLERS}
real = next(row for key, row in grid["results"].items() if "real" in key)
shown = {name: ([row["evaluations"] for row in rows], [row["mean"] for row in rows]) for name, rows in cells.items()}
shown["real digits"] = ([1, 250], [real["mean"]] * 2)
bands = {
    name: ([min(row["values"]) for row in rows], [max(row["values"]) for row in rows]) for name, rows in cells.items()
}
plotting.curves(shown, bands=bands, xscale="log", yscale="log", markers=True, xlabel="evaluations of the network", ylabel="Fréchet distance", size=(6.8, 4.0), alt="Fréchet distance against evaluations for four samplers: none works with one or two; DDPM, DDIM and Heun drop together by eight, Euler-Maruyama later; then all level off above the line of real digits")  # fmt: skip

# %%
print(
    "evaluations (at most)" + "".join(f"{key.split(', ')[1]:>15s}" for key in grid["results"] if key.startswith("DDIM"))
)
for name, rows in cells.items():
    print(f"{name:21s}" + "".join(f"{row['mean']:9.2f} ± {row['spread']:3.1f}" for row in rows))
print(f"real digits          {real['mean']:9.2f} ± {real['spread']:.1f}")
print(f"recorded by: {grid['command']}\n{grid['settings']}")

# %%
for verdict in grid["verdicts"]:
    print(verdict)
for n in (64, 250):
    by_seed = {name: grid["results"][f"{name}, {n}"]["values"] for name in ("DDPM", "DDIM")}
    print(
        f"{n} evaluations, seed by seed: "
        + ", ".join(f"DDPM {a:.2f} DDIM {b:.2f}" for a, b in zip(*by_seed.values(), strict=True))
    )
for name, n, more in (("DDIM", 32, 64), ("DDIM", 64, 250), ("Heun", 32, 250)):
    few, many = (grid["results"][f"{name}, {count}"]["values"] for count in (n, more))
    change = ", ".join(f"{b - a:+.2f}" for a, b in zip(few, many, strict=True))
    print(f"more steps, same noises: {name} {n} to {more}, seed by seed: {change}")

# %% [markdown]
# A recording should be spot-checked. This cell repeats one of its numbers live, with the same seed: DDIM, 8 evaluations, seed 0.

# %%
noise = torch.randn(256, 1, 28, 28, generator=torch.Generator().manual_seed(2000))
reference = metrics.digit_features(digits().images)
live = metrics.frechet_distance(reference, metrics.digit_features(draw("DDIM", 8, noise)))
print(f"live {live:.2f}, recorded {grid['results']['DDIM, 8']['values'][0]:.2f}")

# %% [markdown]
# What the table says:
#
# * With one or two evaluations nothing works. With four, DDIM and DDPM begin to, and no difference between them is shown; Heun, with two steps, is still lost.
# * With eight, DDIM is ahead of Heun, which has only four steps, for every seed; between DDIM and DDPM no difference is shown. With sixteen none is shown between any two of the three.
# * From about 32 on Heun has **arrived**, DDIM from about 64: from the same noises, more steps then change each seed's figure by less than 0.2 (the lines *more steps* above), because the ODE is solved. What is left is not the solver's error but the network's.
# * DDPM has the lowest mean at 32 and at 64 evaluations, and at 250 shares it with Euler-Maruyama. At 250 it is so close to real digits that the seeds overlap, while DDIM stays above real digits for every seed; and there DDPM is below DDIM for every seed. With fewer evaluations the seeds overlap, so by this course's rule *no difference is shown*.
#   (A verdict "for every seed" of three against three arises by chance in one of ten comparisons of equal samplers, and there are six here: more seeds would settle it.) A reason why it may be so: the ODE carries every error of the score to the end, and fresh noise forgets some of it. Section 9 shows that at work.
# * Euler-Maruyama is useless with few evaluations, and comes near to DDPM when steps are small: two approximations of the same SDE.
#
# All this for one network, these digits, this spacing of times; with a better network the deterministic samplers have less to carry. The same numbers are an error budget of the *digits'* sampler, roughly, for Fréchet distances do not add. Take DDIM with 8 evaluations. What it loses
# between 8 and 250 evaluations is discretisation. What 250 evaluations still have above real digits is the score, since the prior costs next to nothing:

# %% tags=["nbval-check-output"]
nats = prior_term(digits("held_back").images.double(), cosine(1.0)).mean()
print(
    f"starting from N(0, I) in place of the noised digits costs at most {float(nats):.3f} nats a digit, {float(bits_per_dim(nats, 784)):.5f} bits per dimension"
)

# %% [markdown]
# **Turn it yourself**: samplers on the three bumps, exact denoiser. Compare, with the same seed, $\eta=0$ at 50 steps and at 5 steps (does the same noise still end at the same place?), then $\eta=1$; then Heun with 5 steps. In the view against time, look for the steps' corners.

# %%
sampler_bench()

# %% [markdown]
# ## 7. To noise and back
#
# *The ODE has no arrow: run it forwards and every image gets its own noise.*
#
# A flow is a map with an inverse. From data to noise, the same ODE along rising times: `encode`. From there back to the data: a sampler. In between is the noise that *is* this image, for this model. First with the exact denoiser on three bumps, where the only error on the round trip is the solver's.

# %% tags=["nbval-check-output"]
data = plane.sample(200, rng)
for n in (10, 20, 40, 80):
    times = even_log_snr(n)
    trips = {}
    for name, step in {"DDIM": ddim, "Heun": heun}.items():
        code = list(encode(in_plane, schedule, times.flip(0), data, step))[-1].x
        trips[name] = float((last(sample(in_plane, schedule, times, code, step)) - data).square().mean().sqrt())
    print(f"{n:3d} steps each way: round trip error {trips['DDIM']:.5f} with DDIM, {trips['Heun']:.5f} with Heun")

# %% [markdown]
# Twice the steps bring DDIM's error down to a bit more than half, and Heun's to a quarter or less: the orders of section 6. Why is there any error, if the map is invertible? Because the solver's step back is not the inverse of its step there: DDIM forwards uses the slope at one end of a step, DDIM backwards the slope at the other end.
#
# Now digits that the network has never seen. (Without clipping $\hat x_0$: a clipped velocity has kinks.) There is one trap. A real image lives at $t=0$, but a network's flow does not start there: at log SNR 9, say, it expects an image with a breath of noise on it, here $\sigma=0.011$, far too faint to see.
# Give it that breath (`breath` below). What happens if you don't? Look at the last row, and at the numbers under the picture.

# %%
smooth_denoiser = model.denoiser(clip_x0=False)


def rungs(n: int) -> Tensor:
    """n + 1 times from the noise down to log SNR 9: where the sampler makes its last step, to t = 0, we stop."""
    return log_snr_times(cosine, n + 1)[:-1]


def code_of(images: Tensor, n: int, step) -> Tensor:
    return list(encode(smooth_denoiser, cosine, rungs(n).flip(0), images, step))[-1].x


def decode(code: Tensor, n: int, step) -> Tensor:
    return last(sample(smooth_denoiser, cosine, rungs(n), code, step))


some = torch.cat([digits("held_back").of(k)[:1] for k in (2, 3, 5, 7, 8, 9)])
breath = jump(some, cosine(rungs(1)[-1]), torch.randn(some.shape, generator=torch.Generator().manual_seed(7))).float()

# %%
codes, breathless = code_of(breath, 20, heun), code_of(some, 20, heun)
shown = {
    "digit": some,
    "its noise": codes / 3,
    "back, Heun 20": decode(codes, 20, heun),
    "back, DDIM 5": decode(code_of(breath, 5, ddim), 5, ddim),
    "no breath": breathless / 3,
}
plotting.strip({name: as_pixels(x) for name, x in shown.items()}, cell=0.7, alt="Six unseen digits; the noise that the flow turns them into; what comes back, the same with 20 Heun steps, changed with 5 DDIM steps; and codes made without a breath of noise, which are calmer")  # fmt: skip

# %%
for n in (5, 10, 20):
    back = {"DDIM": decode(code_of(breath, n, ddim), n, ddim)}
    back["Heun"] = decode(code_of(breath, n, heun), n, heun) if n < 20 else shown["back, Heun 20"]
    print(
        f"{n:3d} steps each way: "
        + ", ".join(f"{name} {float((x - breath).square().mean().sqrt()):.3f}" for name, x in back.items())
    )
    if n == 10:
        lost = (back["Heun"] - breath).square().flatten(1).mean(1).sqrt()
print("10 Heun steps, digit by digit: " + ", ".join(f"{float(rms):.3f}" for rms in lost))
for name, x in {"with": codes, "without": breathless}.items():
    neighbours = (x[..., 1:] * x[..., :-1]).mean() / x.square().mean()
    print(
        f"codes {name} a breath of noise: mean {float(x.mean()):.3f}, std {float(x.std()):.3f}, correlation of neighbours {float(neighbours):.3f}"
    )

# %% [markdown]
# With few steps a digit may come back as something else (the row "DDIM 5"). With 10 Heun steps all six come back nearly as they were (the printed line), with 20 closer still. A digit that lands on the wrong side costs more than the solver's order tells.
#
# For a perfect model the codes of data are practically $N(0,I)$ (they are $p_1$): mean 0, standard deviation 1, no correlation. With the breath of noise ours come close. Without it, they are much too calm: most pixels of a digit are exactly black, and a flow has nothing there that it could amplify into noise. A deterministic map makes no randomness; whatever is random in the code must have been random, if ever so
# faintly, in the image.
#
# ### Between two digits
#
# Two images have codes; between codes one can walk on the sphere (notebook 05), and every point on the way decodes to something. Compare with fading one image into the other. (And look which digits the way passes: five of the nine pictures are a 0.)

# %%
ends = torch.cat([digits("held_back").of(3)[4:5], digits("held_back").of(8)[2:3]])
noise = torch.randn(ends.shape, generator=torch.Generator().manual_seed(8))
a, b = code_of(jump(ends, cosine(rungs(1)[-1]), noise).float(), 20, heun).split(1)
way = torch.linspace(0, 1, 9).reshape(-1, 1, 1, 1)
between = (way * math.pi / 2).cos() * a + (way * math.pi / 2).sin() * b
rows = {"through codes": decode(between, 15, heun), "cross-fade": (1 - way) * ends[:1] + way * ends[1:]}
plotting.strip({name: as_pixels(x) for name, x in rows.items()}, cell=0.6, alt="From a 3 to an 8 in nine pictures: through the codes every picture is a plausible digit; the cross-fade shows two digits on top of each other")  # fmt: skip

# %% [markdown]
# ### Same noise, same digit
#
# Notebook 05 noticed that with DDIM the noise decides the digit, whatever the number of steps. Now you know why: all of these are approximations of one and the same path. Look down the columns: from which row on is the digit decided? (From the second, 8 evaluations, in eight columns of ten; the first and the last change later.)

# %%
x_T = torch.randn(10, 1, 28, 28, generator=torch.Generator().manual_seed(9))
rows = {f"DDIM, {n}": draw("DDIM", n, x_T) for n in (4, 8, 16, 32)} | {"Heun, 33": draw("Heun", 33, x_T)}
plotting.strip({name: as_pixels(x) for name, x in rows.items()}, cell=0.5, alt="Five rows of ten digits from the same noises with more and more evaluations: nearly all columns agree from the second row on").show()  # fmt: skip
for name, x in rows.items():
    print(f"{name:8s} rms distance to the last row {float((x - rows['Heun, 33']).square().mean().sqrt()):.3f}")

# %% [markdown]
# ## 8. The likelihood, by the change of variables
#
# *A flow that squeezes volume makes density; add up the squeezing along an image's way to noise, and you have its likelihood.*
#
# The probability-flow ODE is an invertible map from data to noise, whose density we know. So the model has a density too, $p(x_0)$, with no bound and no sampling of latents. How does $\log p_t$ change for someone who rides along with the flow?
#
# $$\frac{\mathrm d}{\mathrm dt}\log p_t(x_t)=-\operatorname{div}v(x_t,t)\qquad\text{along}\quad\frac{\mathrm dx_t}{\mathrm dt}=v(x_t,t). \tag{06.27}$$
#
# <details><summary>Proof</summary>
#
# Chain rule: the rider sees the change of the density where he is, plus the change because he moves: $\frac{\mathrm d}{\mathrm dt}\log p_t(x_t)=\frac{1}{p}\frac{\partial p}{\partial t}+v\cdot\nabla\log p$.
#
# By continuity (06.13) and the product rule, $\frac{\partial p}{\partial t}=-\operatorname{div}(p\,v)=-p\operatorname{div}v-v\cdot\nabla p$.
#
# Divide by $p$: $-\operatorname{div}v-v\cdot\nabla\log p$. The last term cancels. ∎
# </details>
#
# The check rides: it differentiates $\log p_t(x)$ in the direction $(v,1)$ of space and time together.

# %% tags=["nbval-check-output"]
t, x = torch.tensor(0.3).double(), 0.9 * normal(6, 2)


def velocity(x: Tensor) -> Tensor:
    return probability_flow_velocity(mixture_score(plane, x, schedule(0.3)), x, 0.3, schedule)


_, riding = jvp(lambda x, t: plane.log_density(x, schedule(t)), (x, t), (velocity(x), torch.ones_like(t)))
equation("06.27", riding, -divergence_exact(velocity, x))

# %% [markdown]
# Integrate from data to noise. $\log p_1(x_1)-\log p_0(x_0)=-\int\operatorname{div}v$, so
#
# $$\log p_0(x_0)=\log p_1(x_1)+\int_0^1\operatorname{div}v(x_t,t)\,\mathrm dt. \tag{06.28}$$
#
# (Chen et al. 2018 call the principle the instantaneous change of variables.) The integrals of $x_t$ and of the divergence run together, by one solver. The library's `log_likelihood` uses Heun's method in the angle $\arctan(\sigma/\alpha)$, where the velocity is notebook 05's $v$ and stays finite at both ends.
# On three bumps in the plane the divergence is two derivatives, and the answer has a closed form. (The schedule is the full cosine here, whose $\alpha$ is exactly 0 at the end, so that $N(0,I)$ is exactly $p_1$ and the solver's error is the only one.)

# %% tags=["nbval-check-output"]
x_0 = plane.sample(200, rng)
whole = Cosine()
found = log_likelihood(in_plane, whole, x_0, angle_times(whole, 300, first=math.inf, power=2.0))
equation("06.28", found, plane.log_density(x_0), rtol=3e-3, atol=1e-3)

# %%
ticks = torch.linspace(-1.6, 1.6, 49, dtype=torch.float64)
places = torch.cartesian_prod(ticks, ticks)
by_flow = log_likelihood(in_plane, whole, places, angle_times(whole, 60, first=math.inf, power=2.0))
maps = {"by the flow": by_flow, "closed form": plane.log_density(places)}
beside(*[plotting.heatmap(values.reshape(49, 49).T.clamp(min=-12), extent=(-1.6, 1.6, -1.6, 1.6), equal=True, colour_label="log p", title=name, size=(4.5, 3.4), alt=f"Log density of three bumps in the plane, {name}") for name, values in maps.items()])  # fmt: skip

# %% [markdown]
# **How do you know that the solver's steps are small enough, when there is no closed form?** Double them. A second-order method has an error of about $C/n^2$; between $n$ and $2n$ steps the result changes by $C/n^2-C/4n^2=\frac34C/n^2$, so a third of the change estimates what is still missing after $2n$ steps. Below, that estimate and the true error, side by side; and what is left
# if you add the estimate to the result (Richardson's extrapolation). With 20 steps the law $C/n^2$ is not reached yet: expect a guess of the right size, not more.

# %% tags=["nbval-check-output"]
results = {
    n: log_likelihood(in_plane, whole, x_0, angle_times(whole, n, first=math.inf, power=2.0)).mean()
    for n in (20, 40, 80, 160)
}
for n in (20, 40, 80):
    estimate, exact = (results[2 * n] - results[n]) / 3, plane.log_density(x_0).mean()
    print(f"{2 * n:3d} steps: {float(results[2 * n]):.4f} nats; missing by estimate {float(estimate):+.4f}, in truth {float(exact - results[2 * n]):+.4f}; extrapolated {float(results[2 * n] + estimate):.4f}")  # fmt: skip
print(f"closed form: {float(exact):.4f} nats")

# %% [markdown]
# The first two estimates are nearly double the truth: of the right size, and too large. So the extrapolation from 20 and 40 steps is hardly better than the plain result with 40; it pays from 80 steps on.
#
# ### Hundreds of dimensions
#
# For an image the divergence is the sum of 784 derivatives, one backward pass each: too dear. **Hutchinson's trick** (1990) asks for one. Take a random vector $z$ of signs $\pm1$, and the Jacobian $J$ of the velocity:
#
# $$\mathbb E\bigl[z^\top J z\bigr]=\sum_{i,j}J_{ij}\,\mathbb E[z_iz_j]=\sum_iJ_{ii}=\operatorname{tr}J=\operatorname{div}v, \tag{06.29}$$
#
# because $z_i^2=1$ always, and different signs are independent with mean 0. And $z^\top J$ is a single backward pass, whatever the dimension: the gradient of the number $z\cdot v(x)$. The check averages over *all* four sign vectors of the plane, which is the expectation itself.

# %% tags=["nbval-check-output"]
signs = torch.cartesian_prod(torch.tensor([-1.0, 1.0]), torch.tensor([-1.0, 1.0])).double()
estimates = torch.stack([divergence_hutchinson(velocity, x, z.expand_as(x)) for z in signs])
equation("06.29", estimates.mean(0), divergence_exact(velocity, x))

# %% tags=["nbval-check-output"]
J = normal(50, 50)
J = (J + J.T) / 10 + torch.diag(torch.linspace(1, 3, 50)).double()
probes = {"signs": (torch.rand(20_000, 50, generator=rng) < 0.5).double() * 2 - 1, "normal": normal(20_000, 50)}
for name, z in probes.items():
    one = ((z @ J) * z).sum(1)
    print(
        f"{name:7s} trace {float(J.trace()):.3f}, mean of single probes {float(one.mean()):.3f}, their spread {float(one.std()):.3f}"
    )

# %% [markdown]
# Signs are better than normal numbers: they get the diagonal of $J$ exactly, with every single probe; only the rest is noise.
#
# ### Exercise 06.9: Hutchinson's estimate (3 points)
#
# Given probes, one row each, so that there is one right number. The scaffold stays; fill in the rest, in the loop and after it.


# %% tags=["exercise-06.9"]
def trace_estimate(field, x: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
    """Return (mean, standard error) of z^T J z over the probes, both (B,): estimates of the divergence of `field` at x.

    field    a function of x (B, ...) with values (B, ...), each sample for itself; J is its Jacobian at a sample
    x        (B, ...)
    probes   (K, B, ...), K >= 2: z for every sample
    The standard error of a mean of K numbers is their standard deviation (dividing by K - 1) over the square root of K.
    """
    estimates = []
    for z in probes:
        leaf = x.detach().clone().requires_grad_()  # a fresh leaf, so that gradients belong to this probe
        ### BEGIN SOLUTION
        (gradient,) = torch.autograd.grad((field(leaf) * z).sum(), leaf)
        estimates.append((gradient * z).flatten(1).sum(1))
    found = torch.stack(estimates)
    return found.mean(0), found.std(0) / math.sqrt(len(probes))
    ### END SOLUTION


# %% tags=["check-06.9"]
check("06.9", trace_estimate)

# %% [markdown]
# ### Pixels are whole numbers
#
# One trap before we may say "bits per dimension". Digits have 256 grey levels, and four of five pixels are exactly black. A *density* can put narrower and narrower spikes on such values, and its log-likelihood grows without bound: the number would mean nothing. **Dequantise**: spread each level evenly over its own bin of width $2/256$ (an image's bin is a cube of volume $(2/256)^d$). Then a density cannot do better than the bin is wide, and the mass it gives to the bin, $P(k)=\int_{\text{bin}}p$, is a discrete model of the pixels, for which Jensen's inequality gives
# $-\log_2P(k)\le\mathbb E_u\bigl[-\log_2\bigl(p(x_u)\cdot(\tfrac{2}{256})^d\bigr)\bigr]$, with $x_u$ drawn evenly from the bin. So
#
# $$\text{bits per dimension}=-\frac{\log p(x_u)}{d\,\log2}+\log_2\frac{256}{2} \tag{06.30}$$
#
# is, on average over $u$, an upper bound on the cost of the pixels under *this* discrete model. For a density that is smooth on the scale of a bin it is nearly equal. The check: one pixel, a normal density, (06.30) averaged over the bin, against minus the base-2 logarithm of the bin's exact mass.

# %% tags=["nbval-check-output"]
u = (torch.arange(1000).double() + 0.5) / 1000
x_u = dequantise(torch.full((1000, 1), 200 / 255 * 2 - 1).double(), u[:, None])
bell_density = Isotropic(torch.full((1000, 1), 0.1).double(), torch.tensor(0.4).double()).log_density(x_u)
edges = (torch.tensor([200.0, 201.0]).double() / 256 * 2 - 1 - 0.1) / 0.4
equation(
    "06.30", density_bits_per_dim(bell_density, 1).mean(), -torch.log2(torch.special.ndtr(edges).diff()[0]), rtol=1e-4
)

# %% [markdown]
# Now the shipped network, on eight digits it has never seen: Hutchinson with one probe of signs per digit, 20 and 40 steps, and the extrapolation with its estimate of the solver's error.
#
# Where does the ride start? Section 7 gave digits a breath of noise and started at log SNR 9. Here the bin's even spread is the noise, of standard deviation 0.0023, and the ride starts at log SNR 13 (noise 0.0015), narrower than a bin: at log SNR 9 the noise, 0.011, is wider than a bin (0.0078). This start is part of the model: the last lines of the output tell what it is worth.

# %%
unseen = digits("held_back").images[:8]
generator = torch.Generator().manual_seed(10)
x_u = dequantise(unseen, torch.rand(unseen.shape, generator=generator))
network = network_denoiser(model.network.requires_grad_(False), model.parametrization)


def bits(n: int, z: Tensor, first: float = 13.0) -> Tensor:
    """Bits per dimension of the eight digits, (8,), by the ODE in n steps from log SNR `first`, with the probe z."""
    nats = log_likelihood(
        network, cosine, x_u, angle_times(cosine, n, first), lambda field, x: divergence_hutchinson(field, x, z)
    )
    return density_bits_per_dim(nats, 784)


probe = torch.randint(0, 2, unseen.shape, generator=generator).float() * 2 - 1
coarse, finer = (bits(n, probe) for n in tqdm((20, 40)))
by_ode = finer + (finer - coarse) / 3


# %%
def mean_and_error(values: Tensor) -> str:
    return f"{float(values.mean()):.3f} ± {float(values.std()) / math.sqrt(len(values)):.3f}"


other = bits(20, torch.randint(0, 2, unseen.shape, generator=generator).float() * 2 - 1)
print(f"by the ODE, bits per dimension: 20 steps {mean_and_error(coarse)}, 40 steps {mean_and_error(finer)}")
print(f"extrapolated                    {mean_and_error(by_ode)} (standard error over 8 digits)")
print(f"missing after 40 steps, by step doubling: {float((finer - coarse).mean()) / 3:+.3f}")
print(f"another probe changes a digit's figure (20 steps) by {float((other - coarse).abs().mean()):.3f} on average")
for first in (11.0, 9.0):
    print(f"started at log SNR {first:.0f} in place of 13, 20 steps: {mean_and_error(bits(20, probe, first))}")

# %% [markdown]
# (For a method of second order, the next change, from 40 to 80 steps, should be a quarter of this one; that takes too long to run here.) Beside it, notebook 04's bound for the same network on the same digits: a chain of 200 steps, every term computed, with the discretised decoder.

# %%
table = Table.of(cosine, 200)
pieces = bound(smooth_denoiser, table, unseen, generator)
by_bound = pieces.bits_per_dim(784)
print(f"by the bound, 200 steps, bits per dimension: {mean_and_error(by_bound)} (standard error over 8 digits)")
parts = {"prior": pieces.prior, "steps": pieces.step_sum, "decoder": pieces.decoder}
print("of which " + ", ".join(f"{name} {float(bits_per_dim(part, 784).mean()):.3f}" for name, part in parts.items()))
order_of = by_bound.argsort(descending=True)
plotting.bars({"bound, 200 steps": by_bound[order_of], "ODE, dequantised": by_ode[order_of]}, labels=[str(int(k)) for k in digits("held_back").labels[:8][order_of]], xlabel="digit", ylabel="bits per dimension", alt="Bits per dimension of eight digits by the discrete bound and by the ODE; both rank the digits nearly alike")  # fmt: skip

# %% [markdown]
# Two figures for one network, and it is tempting to read them as "bound" and "exact value". **They are not: no inequality holds between them.** They belong to two different models that share a network. The chain of notebook 04 is a model that draws 200 random steps and a discretised last one; the bound is a bound on *its* likelihood. The ODE is a model that draws one noise and then follows a
# flow; (06.30) is about *its* density, up to the solver's error and the probe's; started at log SNR 9, its figure
# is even above the bound. If the denoiser were exact (for the pixels in the chain, for the dequantised pixels in the ODE), the chain would tend to the data law with ever more steps, the ODE would be it up to the prior, and both figures would tend to the same number: minus the base-2 logarithm of the digit's probability, per pixel. With 200 steps and this network neither is there, and they differ.
#
# Where everything is exact, scores, spread of the steps and prior, everything meets. Data $N(0.4,0.3^2)$, three points, nats: the closed form, the ODE, and the bound with the exact reverse spread, the exact $p_T$ as prior, averaged over many draws of its noises (so it may be off by a standard error or two).


# %% tags=["nbval-check-output"]
def spread(s: Marginal, t: Marginal) -> Tensor:
    return gaussian_step_std(0.3, s, t)


DRAWS, points, chain = 10_000, torch.tensor([[0.1], [0.4], [0.9]]).double(), Table.of(schedule, 40)
closed = Isotropic(torch.full_like(points, 0.4), torch.tensor(0.3).double()).log_density(points)
last_law = Isotropic(torch.full((DRAWS, 1), true_law(1.0)[0]).double(), torch.tensor(true_law(1.0)[1]).double().sqrt())
flowing = log_likelihood(bell, schedule, points, angle_times(schedule, 200, first=math.inf, power=1.0), prior=Isotropic(last_law.mean[:3], last_law.std))  # fmt: skip
for point, exact, ode in zip(points, closed, flowing, strict=True):
    drawn = bound(bell, chain, point.expand(DRAWS, 1), rng, spread, decoder_std=spread(chain(0), chain(1)), levels=None, prior=last_law).total  # fmt: skip
    error = float(drawn.std()) / math.sqrt(DRAWS)
    print(
        f"x_0 = {float(point):.1f}: log p {float(exact):.3f}, by the ODE {float(ode):.3f}, by the bound {-float(drawn.mean()):.3f} ± {error:.3f}"
    )

# %% [markdown]
# ## 9. With the score alone
#
# *If all you have is the direction uphill, walk uphill and stumble: in the long run you are where the density says.*
#
# Forget time for a moment. Take one density $p$ with its score, and the step
#
# $$x\;\leftarrow\;x+h\,\nabla\log p(x)+\sqrt{2h}\;n. \tag{06.31}$$
#
# This is **Langevin's walk**: Euler-Maruyama for $\mathrm dx=\nabla\log p\,\mathrm dt+\sqrt2\,\mathrm dW$. In the limit of small steps, walkers that have the law $p$ keep it: Fokker-Planck (06.14) with $b=\nabla\log p$, $g^2=2$ says $\partial_tp=-\operatorname{div}(p\nabla\log p)+\Delta p$, which is 0 by (06.15). The hill pulls in exactly as much as the noise drives out. (That they
# *reach* it from anywhere is true too, under mild conditions; how long it takes is another matter.)

# %% tags=["nbval-check-output"]
x, noise = normal(5, 2), normal(5, 2)
score = mixture_score(plane, x, schedule(0.1))
by_sde = euler_maruyama(x, score, torch.tensor(2.0).double().sqrt(), 0.01, noise)
equation("06.31", by_sde, x + 0.01 * score + math.sqrt(0.02) * noise)

# %% [markdown]
# The step is finite, so there is a bias. For $p=N(0,1)$ the score is $-x$, a step is $x\leftarrow(1-h)x+\sqrt{2h}\,n$, and the variance settles where $V=(1-h)^2V+2h$. Solve: $V(2h-h^2)=2h$,
#
# $$V=\frac{1}{1-h/2}. \tag{06.32}$$
#
# Its variance is too large by about $h/2$ (for $h<2$; beyond, the walk explodes). The check probes the library's step and iterates the variance until it settles.

# %% tags=["nbval-check-output"]
h, V = 0.1, torch.tensor(4.0).double()
one, zero = torch.ones(1).double(), torch.zeros(1).double()
shrink, spread = langevin(-one, one, h, zero)[0], langevin(zero, zero, h, one)[0]
for _ in range(300):
    V = shrink**2 * V + spread**2
equation("06.32", V, 1 / (1 - h / 2))

# %% [markdown]
# Now the three bumps at weak noise ($t=0.05$), from standard normal starts. A score is all that Langevin needs, and it has 1,000 steps. Watch the shares of the bumps, which should be 0.50, 0.30 and 0.20.


# %% tags=["nbval-check-output"]
def shares(x: Tensor) -> str:
    nearest = torch.cdist(x, plane.means).argmin(1)
    return ", ".join(f"{float((nearest == k).double().mean()):.3f}" for k in range(3))


walkers, level = normal(1000, 2), schedule(0.05)
print(f"at the start         {shares(walkers)}")
for k in range(1, 1001):
    walkers = langevin(mixture_score(plane, walkers, level), walkers, 0.002, normal(1000, 2))
    if k in (100, 1000):
        print(f"after {k:4d} steps     {shares(walkers)}")
exact = jump(plane.sample(1000, rng), level, normal(1000, 2))
print(f"exact draws          {shares(exact)}")
for name, x in {"walkers": walkers, "exact draws": exact}.items():
    inside = [x[torch.cdist(x, plane.means).argmin(1) == k] for k in range(3)]
    print(f"spread within each bump, {name:11s} " + ", ".join(f"{float(near.std(0).mean()):.3f}" for near in inside))

# %% [markdown]
# The walkers fall into a near bump and hardly leave it; between the bumps lies a desert that is crossed rarely, and after 1,000 steps the shares are still creeping towards what they should be. Within a bump the spread is about right, the *proportions* are not: the score at weak noise is a local affair (section 3), and does not know how much weight the other bumps have. The cure is the ladder: start where the noise has merged everything, walk a little, lower the noise, walk a
# little (Song and Ermon 2019). That is a diffusion model without an SDE.
#
# ### Predictor and corrector
#
# Both ideas can be combined: a step of any sampler down to the next noise level (**predictor**), then one or more of Langevin's steps *at* that level (**corrector**), which pull the walkers' law towards $p_s$, whatever the predictor did wrong. Corrections cost evaluations as well, so there are two fair comparisons: at equal steps, and at equal evaluations. The second block starts from a *wrong prior*,
# $N(0,I)$ shifted by 1 to the right. Energy distances to exact draws, exact denoiser; the null band is what chance alone makes (of 30 pairs, roughly the largest). A correction is one Langevin step of $h=0.3\,\sigma_s^2$.

# %% tags=["nbval-check-output"]
start, target = normal(2000, 2), plane.sample(2000, rng)
band = null_band(lambda: plane.sample(2000, rng), pairs=30)
for title, x in {"right prior": start, "wrong prior": start + torch.tensor([1.0, 0.0])}.items():
    print(f"{title}; null band up to {band:.4f}")
    for name, predictor in {"DDIM": ddim, "DDPM": ddpm("bridge")}.items():
        found = {
            f"{n} steps": last(sample(in_plane, schedule, log_snr_times(schedule, n), x, predictor, rng))
            for n in (12, 24)
        }
        found["12 steps, each corrected"] = last(predictor_corrector(in_plane, schedule, log_snr_times(schedule, 12), x, predictor, 1, 0.3, rng))  # fmt: skip
        print(f"    {name}: " + ", ".join(f"{key} {energy_distance(end, target):.4f}" for key, end in found.items()))

# %% [markdown]
# With the right prior: for the same number of *steps*, the correction removes most of DDIM's error and half of DDPM's. For the same number of *evaluations* it depends: DDIM gains about as much from corrections as from more steps, DDPM gains more from more steps. With the wrong prior the picture changes. DDIM carries the wrong start to the end, with 24 steps as with 12: a deterministic path
# forgets nothing. One correction per step makes it forget nearly all. DDPM forgets by itself, nearly all as well. (None of the six is inside the null band.)
#
# And the family (06.18) is now easy to read: $\eta$ turns the ODE into "ODE plus Langevin's walk at every moment, at speed $\frac{\eta^2}{2}g^2$". The reverse SDE is a predictor-corrector method with infinitely small steps; the noise is not there to make samples random (the starting noise does that) but to forget errors.
#
# <details><summary><b>Question.</b> A Langevin corrector needs the score of p_s to be right. If the network's score is wrong, what does the corrector pull towards?</summary>
#
# Towards whatever density the wrong score belongs to (if it belongs to any). It repairs the errors of the *discretisation* and of the *prior*, two of the three items in the budget of section 6. It cannot repair the third.
# </details>
#
# ## 10. Half a page on flow matching
#
# *Draw a straight line from each noise to each picture, and learn the mean direction.*
#
# Choose the simplest schedule of all, $\alpha_t=1-t$, $\sigma_t=t$. Then $x_t=(1-t)x_0+t\varepsilon$ is a straight line from picture to noise, walked at constant speed $\varepsilon-x_0$. By (06.20), with $\alpha'=-1$ and $\sigma'=1$, the velocity of the probability-flow ODE is
#
# $$v(x_t,t)=\mathbb E\bigl[\varepsilon-x_0\,\big|\,x_t\bigr]=\hat\varepsilon-\hat x_0, \tag{06.33}$$
#
# a conditional mean again, so a regression learns it: minimise $\mathbb E\lVert v_\theta(x_t,t)-(\varepsilon-x_0)\rVert^2$. This is **flow matching** (Lipman et al. 2023; rectified flow: Liu et al. 2023). No SDE, no score, no bound is needed to state it, and you have known it for sections: it is one more target and one more schedule. (An error $\delta$ in $\hat x_0$ is an error
# $-\delta/t$ in $v$, so its simple loss weighs errors of the picture by $1/t^2$: notebook 05's price list has one more row.)
#
# The check computes the conditional mean by Bayes' rule on a grid of $x_0$, for the two bumps on the line.

# %% tags=["nbval-check-output"]
straight, t, places = Straight(), 0.6, torch.tensor([-0.8, 0.2, 1.1]).double()
x_0 = torch.linspace(-2.6, 2.6, 4001, dtype=torch.float64)
log_posterior = line.log_density(x_0[:, None])[:, None] - (places - (1 - t) * x_0[:, None]) ** 2 / (2 * t**2)
posterior = log_posterior.softmax(0)  # (x_0, place)
direction = (posterior * ((places - (1 - t) * x_0[:, None]) / t - x_0[:, None])).sum(0)
score = mixture_score(line, places[:, None], straight(t))
equation("06.33", direction, probability_flow_velocity(score, places[:, None], t, straight)[:, 0])

# %% [markdown]
# DDIM for this schedule, $x_s=(1-s)\hat x_0+s\hat\varepsilon$, with $x_t=(1-t)\hat x_0+t\hat\varepsilon$ subtracted, is Euler's method in $t$ itself:
#
# $$x_s=x_t+(s-t)\,(\hat\varepsilon-\hat x_0). \tag{06.34}$$

# %% tags=["nbval-check-output"]
x_t = normal(6, 2)
guess = in_plane(x_t, straight(0.7))
equation("06.34", ddim(x_t, straight(0.5), straight(0.7), in_plane, x_t)[0], x_t + (0.5 - 0.7) * (guess.eps - guess.x0))

# %% [markdown]
# Does the straight schedule give straighter paths, hence better samples? By (06.19) the paths in $(u,y)$ do not depend on the schedule at all. What changes is where the steps fall, and how training effort is spread. Put the steps at the same noise levels, and the samples are the same to rounding:

# %% tags=["nbval-check-output"]
levels, noise = torch.linspace(-8, 8, 15).double(), normal(300, 2)
ends = {}
for name, s in {"linear": Linear(), "cosine": Cosine(), "straight": straight}.items():
    times = torch.cat([s.time_at(levels), torch.zeros(1).double()])
    first = s(times[0])
    ends[name] = last(sample(in_plane, s, times, noise * torch.hypot(first.alpha, first.sigma), ddim))
    print(f"{name:9s} largest difference from linear: {float((ends[name] - ends['linear']).abs().max()):.6f}")

# %% [markdown]
# <details><summary><b>Question.</b> If the lines from noise to picture are straight, why is one Euler step not enough?</summary>
#
# The line of *one pair* is straight. At a given $x_t$ many lines cross, and the velocity is their mean, which changes from place to place. The paths of the ODE bend because they follow means (in section 5's picture: below about $u=1$). In one step you would get $x_0=\varepsilon-\mathbb E[\varepsilon-x_0\mid x_1=\varepsilon]=\mathbb E[x_0\mid\varepsilon]$, and without any signal in $x_1$ that is the mean of the data: notebook 01's grey average.
# </details>
#
# ## What we can do now, and what still hurts
#
# **We can** write any noising process as an SDE, and go back along it in two ways, whose marginals agree by a proof and by test. DDIM is Euler's method; DDPM is the exact step with a frozen guess; Heun has second order for a few more lines of code. Images have noises, noises have images, and both have a likelihood. Given a sampler, we can say
# which part of its error is whose fault.
#
# **What still hurts**
#
# * *Steps, again.* Solvers got us from hundreds of evaluations to a dozen or two. Going on to four, two, one needs another idea than solving the ODE more cleverly: learn the solution. (Notebook 08.)
# * *Control.* All of this samples from everything the model knows. How do we ask for a 7, or for a picture that matches a sentence? (Notebook 07.)
# * *The score at places without data* is where samplers start, and where the network has seen the least. (Notebook 09.)
#
# **References**
#
# * Y. Song, J. Sohl-Dickstein, D. Kingma, A. Kumar, S. Ermon, B. Poole: *Score-Based Generative Modeling through Stochastic Differential Equations*. ICLR 2021. The VP-SDE, the probability-flow ODE, its likelihood, predictor and corrector.
# * B. Anderson: *Reverse-time diffusion equation models*. Stochastic Processes and their Applications, 1982. Our (06.17).
# * P. Vincent: *A Connection Between Score Matching and Denoising Autoencoders*. Neural Computation, 2011. Our (06.11).
# * H. Robbins: *An Empirical Bayes Approach to Statistics*. Berkeley Symposium, 1956; B. Efron: *Tweedie's Formula and Selection Bias*. JASA 2011. Our (06.10).
# * Y. Song, S. Ermon: *Generative Modeling by Estimating Gradients of the Data Distribution*. NeurIPS 2019. Langevin's walk down a ladder of noise levels.
# * J. Song, C. Meng, S. Ermon: *Denoising Diffusion Implicit Models*. ICLR 2021. DDIM, and (their section 4.3) the ODE in $\sigma/\alpha$.
# * T. Karras, M. Aittala, T. Aila, S. Laine: *Elucidating the Design Space of Diffusion-Based Generative Models*. NeurIPS 2022. Heun's method in this setting, spacings of times.
# * R. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud: *Neural Ordinary Differential Equations*. NeurIPS 2018; W. Grathwohl et al.: *FFJORD*. ICLR 2019. (06.27), and Hutchinson's estimate for it.
# * M. Hutchinson: *A Stochastic Estimator of the Trace of the Influence Matrix for Laplacian Smoothing Splines*. Communications in Statistics, 1990.
# * L. Theis, A. van den Oord, M. Bethge: *A Note on the Evaluation of Generative Models*. ICLR 2016. Dequantisation.
# * A. Bansal et al.: *Cold Diffusion: Inverting Arbitrary Image Transforms Without Noise*. NeurIPS 2023. The update of (06.25).
# * Y. Lipman, R. Chen, H. Ben-Hamu, M. Nickel, M. Le: *Flow Matching for Generative Modeling*. ICLR 2023; X. Liu, C. Gong, Q. Liu: *Flow Straight and Fast*. ICLR 2023.
# * G. Szekely, M. Rizzo: *Energy Statistics: A Class of Statistics Based on Distances*. Journal of Statistical Planning and Inference, 2013.
