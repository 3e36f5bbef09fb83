# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 The loss we deserve: KL, the ELBO and a chain of VAEs
#
# Notebook 01 trained a network with a loss that felt right: show it a noisy picture, ask for a cleaner one, square the
# difference. It worked a little, and nobody could say what it was for. Why squares? How should a mistake at a high
# noise level count against one at a low level? And when the loss is 0.031, is that good? A loss deserves better: it
# should be the answer to a question we care about. On this page the question is *how probable does the model find
# real pictures?* It cannot be answered directly, because the model's probability is an integral over everything that
# might have happened on the way. It can be bounded. The bound is what diffusion models minimise, and this notebook
# derives it twice, line by line, and measures every line.
#
# **After this notebook you can**
#
# * say what a Kullback-Leibler divergence charges for, and why maximum likelihood minimises one;
# * derive the evidence lower bound (ELBO), train a variational autoencoder with it, and measure the gap it leaves;
# * read a diffusion model as a chain of VAEs whose encoder is fixed;
# * derive its bound in two ways, find the false line of a version that is often printed, and say which estimator is
#   quiet and why;
# * say when one reverse step is a Gaussian, and which variance it should have;
# * compute the bits per dimension of a real model, with a standard error, and say where they go.
#
# **You need** notebook 02 (conditioning Gaussians, their KL), notebook 03 (`alpha`, `sigma`, the kernel, the bridge),
# and derivatives.
#
# **Time**: about two and a half hours of reading and thinking, without the exercises. Running all cells takes about a
# minute on two CPU cores; the longest cell trains for some fifteen seconds.
#
# All logarithms are natural, so amounts of information are in **nats** (1 nat = 1.443 bits), until bits per dimension
# are reported.

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
from functools import partial

from torch import Tensor
from tqdm.auto import tqdm

from course_checks import check, equation
from course_lib import plotting
from course_lib.checkpoint import load_model
from course_lib.data import binarise, digits, to_unit, toys
from course_lib.gaussian import Gaussian, Isotropic, Mixture, condition, kl, per_sample
from course_lib.lessons.reverse import (
    derivations,
    gaussian_gap,
    kl_to_nearest_gaussian,
    log_snr_table,
    mixture_log_density,
    model_joint,
    model_step,
    nearest_gaussian,
    reverse_of_points,
    target_gradients,
    walk_joint,
)
from course_lib.lessons.vae import (
    bernoulli_log_likelihood,
    elbo,
    grid_log_joint,
    kl_to_standard,
    log_weights,
    minimise,
    normal_log_density,
    train_vae,
)
from course_lib.objective import bits_per_dim, bound, decoder_term, prior_term, step_term, step_weight
from course_lib.oracle import gaussian_denoiser, gaussian_step_std
from course_lib.parametrization import Prediction
from course_lib.plotting import beside
from course_lib.schedule import (
    Cosine,
    Linear,
    Marginal,
    Sigmoid,
    Table,
    Truncated,
    bridge,
    bridge_weights,
    jump,
    kernel,
    noising_path,
)
from course_lib.scrubber import scrub

# %% [markdown]
# ## 1. A penalty for being wrong
#
# *When events come with probabilities P and you bet with probabilities Q, the Kullback-Leibler divergence is what your
# wrong odds cost, on average.*
#
# An event that you thought had probability $Q$ surprises you by $-\log Q$. Had you known the truth, $P$, it would have
# surprised you by $-\log P$. The difference, $\log(P/Q)$, is what ignorance costs when that event happens, and it
# happens with probability $P$:
#
# $$\mathrm{KL}(P\,\Vert\,Q)=\sum_i P_i\log\frac{P_i}{Q_i}. \tag{04.1}$$
#
# Take a coin that lands heads with probability 0.9, and somebody who believes 0.1. Heads comes often and was
# thought rare: an expensive mistake. Tails comes rarely and was thought common: there he even gets something back.
# How much, in your estimate? The check compares the sum with the library of distributions that comes with PyTorch.

# %% tags=["nbval-check-output"]
P, Q = torch.tensor([0.9, 0.1]).double(), torch.tensor([0.1, 0.9]).double()
coin, belief = torch.distributions.Categorical(P), torch.distributions.Categorical(Q)
equation("04.1", (P * torch.log(P / Q)).sum(), torch.distributions.kl_divergence(coin, belief))

# %% tags=["nbval-check-output"]
penalty = P * torch.log(P / Q)
print(f"heads, .9 thought to be .1: costs {float(penalty[0]):6.3f} nats a throw, averaged over all throws")
print(f"tails, .1 thought to be .9: costs {float(penalty[1]):6.3f}, that is, gives some back")
print(f"together:                         {float(penalty.sum()):6.3f}")

# %% [markdown]
# The refund is small, because it is paid rarely. That is the general rule: **the divergence is never negative**, and 0
# only for $Q=P$.
#
# <details><summary>Proof</summary>
#
# | line | reason |
# |---|---|
# | if $Q_i=0<P_i$ for some $i$, the KL is $\infty$ | nothing to prove; else: |
# | $\log u\le u-1$ for all $u>0$ | the tangent of the logarithm at $u=1$ lies above it; they touch only at $u=1$ |
# | $-\mathrm{KL}=\sum_iP_i\log\frac{Q_i}{P_i}$ | $-\log(P/Q)=\log(Q/P)$; terms with $P_i=0$ are 0 and left out |
# | $\le\sum_iP_i\bigl(\frac{Q_i}{P_i}-1\bigr)$ | the first line with $u=Q_i/P_i$ |
# | $=\sum_iQ_i-\sum_iP_i\le1-1=0$ | over the $i$ with $P_i>0$, $Q$ sums to at most 1, $P$ to 1 |
#
# Equality needs $u=1$ for every $i$ with $P_i>0$, that is, $Q=P$ there; then $Q$ has nothing left for elsewhere. With
# integrals in place of sums the same lines hold for densities (equal then means: except on a set of probability 0). ∎
# </details>
#
# Look at how the two outcomes' shares and their sum move as the belief moves, for the coin with 0.9. Where does the
# sum touch zero, and what happens at the two ends?

# %%
beliefs = torch.linspace(0.01, 0.99, 197, dtype=torch.float64)
shares = {"heads: 0.9 log(0.9 / Q)": 0.9 * torch.log(0.9 / beliefs), "tails: 0.1 log(0.1 / (1 - Q))": 0.1 * torch.log(0.1 / (1 - beliefs))}  # fmt: skip
shares["KL, their sum"] = sum(shares.values())
plotting.curves(
    shares, x=beliefs, xlabel="believed probability of heads, Q", ylabel="nats a throw",
    alt="Cost of a belief Q about a coin with heads 0.9: the share of heads falls from 4 through zero at 0.9, that of tails rises slowly from minus 0.2, the sum touches zero at 0.9 and rises on both sides, to 4 at the left end",
)  # fmt: skip

# %% [markdown]
# <details><summary><b>Question.</b> Somebody is sure: Q(heads) = 1. How large is his divergence, although he would win 9 bets in
# 10?</summary>
#
# Infinite. Tails happens with probability 0.1, and $0.1\log(0.1/0)=\infty$. A model that gives probability 0 to
# something that does happen is charged without limit. Remember this for models of pictures: a single pixel to which
# the model gives no chance makes the whole test picture infinitely expensive.
# </details>
#
# ### Two directions, two characters
#
# $\mathrm{KL}(P\Vert Q)$ and $\mathrm{KL}(Q\Vert P)$ are different numbers, and, what matters more, they like
# different things. Fit one Gaussian $q$ to a density $p$ with two bumps, by making one or the other small. In
# $\mathrm{KL}(p\Vert q)$ the average is taken over $p$: wherever there are data, $q$ must not be small. In
# $\mathrm{KL}(q\Vert p)$ it is taken over $q$: wherever $q$ goes, there must be data. Which of them will sit on one
# bump?

# %%
line = torch.linspace(-9, 9, 3601, dtype=torch.float64)
dx = line[1] - line[0]
bumps = Mixture(
    torch.tensor([0.6, 0.4]).double(), torch.tensor([[-2.0], [2.0]]).double(), torch.tensor([0.5, 0.7]).double()
)
log_p = bumps.log_density(line[:, None])


def fitted(forward, start):
    """Mean and log variance that minimise KL(p || q) (forward) or KL(q || p)."""

    def divergence(parameters):
        log_q = normal_log_density(line[:, None], parameters[:1], parameters[1:])
        return dx * ((log_p - log_q) * log_p.exp() if forward else (log_q - log_p) * log_q.exp()).sum()

    return minimise(divergence, torch.tensor([start, 0.0], dtype=torch.float64))


# %%
covers, left, right = fitted(True, 0.0), fitted(False, -2.0), fitted(False, 2.0)
fits = {"KL(p || q)": covers, "KL(q || p), started left": left, "KL(q || p), started right": right}
plotting.curves(
    {"p": log_p.exp()} | {name: normal_log_density(line[:, None], fit[:1], fit[1:]).exp() for name, fit in fits.items()},
    x=line, xlabel="x", ylabel="density",
    alt="A density with two bumps; the Gaussian fitted by KL(p || q) is wide and covers both with its top in the gap, the two fitted by KL(q || p) each sit on one bump",
)  # fmt: skip

# %% tags=["nbval-check-output"]
for name, fit in fits.items():
    print(f"{name:28s} mean {float(fit[0]):6.3f}, standard deviation {float(fit[1].mul(0.5).exp()):.3f}")

# %% [markdown]
# $\mathrm{KL}(p\Vert q)$ *covers*: it would rather put its top where no data are than miss a bump. $\mathrm{KL}(q\Vert
# p)$ *chooses*: it has two local minima and stays where it started. The covering fit has a closed form: **among all
# Gaussians, the one with $p$'s own mean and variance minimises $\mathrm{KL}(p\Vert q)$**,
#
# $$\arg\min_{m,\,s}\ \mathrm{KL}\bigl(p\,\Vert\,N(m,s^2)\bigr)=\bigl(\mathbb E_p[x],\ \sqrt{\mathrm{Var}_p[x]}\bigr). \tag{04.2}$$
#
# We will meet it again as "the nearest Gaussian" in section 6.
#
# <details><summary>Proof</summary>
#
# | line | reason |
# |---|---|
# | $\mathrm{KL}(p\Vert q)=\mathbb E_p[\log p]-\mathbb E_p[\log q]$ | the definition, and $\log(p/q)=\log p-\log q$ |
# | only $-\mathbb E_p[\log q]=\frac12\log(2\pi s^2)+\frac{\mathbb E_p[(x-m)^2]}{2s^2}$ depends on $m$, $s$ | the logarithm of a Gaussian density |
# | $\mathbb E_p[(x-m)^2]=\mathrm{Var}_p[x]+(\mathbb E_p[x]-m)^2$ | add and subtract $\mathbb E_p[x]$; the mixed term averages to 0 |
# | smallest in $m$ at $m=\mathbb E_p[x]$ | the square vanishes |
# | with $V=\mathrm{Var}_p[x]$: $\frac{\mathrm d}{\mathrm ds}\bigl(\log s+\frac{V}{2s^2}\bigr)=\frac1s-\frac{V}{s^3}$, zero at $s^2=V$ | negative before, positive after: a minimum |
#
# ∎
# </details>

# %% tags=["nbval-check-output"]
mean = (bumps.weights * bumps.means[:, 0]).sum()
variance = (bumps.weights * (bumps.stds**2 + bumps.means[:, 0] ** 2)).sum() - mean**2
equation("04.2", (covers[0], (0.5 * covers[1]).exp()), (mean, variance.sqrt()), rtol=1e-4)

# %% [markdown]
# ### Maximum likelihood is minimum KL
#
# A model $p_\theta$ is trained by making the data probable: maximise the average of $\log p_\theta(x)$ over data $x$.
# For many data that is the expectation under their law $p$, and
#
# $$\mathrm{KL}(p\,\Vert\,p_\theta)=-\mathrm H(p)-\mathbb E_p\bigl[\log p_\theta(x)\bigr],\qquad \mathrm H(p)=-\mathbb E_p[\log p]. \tag{04.3}$$
#
# The entropy $\mathrm H(p)$ belongs to the data: no $\theta$ in it. So *the most likely model is the nearest one, in
# the covering direction*. That is why likelihood-trained models are spread rather than selective, and why they pay so
# dearly for missing something. The check takes $p$ with two bumps and $p_\theta=N(0.5,2^2)$: on the left one sum on the
# grid, on the right the entropy and the mean log density, the latter in closed form.

# %% tags=["nbval-check-output"]
m, s = 0.5, 2.0
log_q = normal_log_density(line[:, None], torch.tensor([m]).double(), torch.tensor([2 * math.log(s)]).double())
left_side = (log_p.exp() * (log_p - log_q)).sum() * dx
entropy = -(log_p.exp() * log_p).sum() * dx
mean_log_q = -math.log(s) - 0.5 * math.log(2 * math.pi) - (variance + (mean - m) ** 2) / (2 * s**2)
equation("04.3", left_side, -entropy - mean_log_q)

# %% [markdown]
# ### Jensen's inequality: the log of a mean, the mean of a log
#
# *The logarithm bends downwards, so a mean of logs is never more than the log of the mean.*
#
# For a positive random number $w$: $\mathbb E[\log w]\le\log\mathbb E[w]$. Proof: let $c=\mathbb E[w]$. The tangent of
# the logarithm at $c$ lies above it, $\log w\le\log c+\frac{w-c}{c}$; take the mean of both sides, and the last term
# becomes $\frac{c-c}{c}=0$. ∎ Equality holds exactly if $w$ never varies, because the
# tangent touches the logarithm at one point only.
#
# In the picture, $w$ is 0.2 or 3, equally often. The chord's midpoint is the mean of the logs, the curve above it the
# log of the mean.

# %%
w = torch.linspace(0.1, 3.3, 100, dtype=torch.float64)
ends = torch.tensor([0.2, 3.0]).double()
plotting.curves(
    {"log w": (w, w.log()), "chord": (ends, ends.log()), "tangent at the mean": (w, math.log(1.6) + (w - 1.6) / 1.6), "the gap": ([1.6, 1.6], [float(ends.log().mean()), math.log(1.6)])},
    xlabel="w", ylabel="log w",
    alt="The logarithm with a chord from w = 0.2 to 3 below it and a tangent at their mean, 1.6, above it; a vertical piece at 1.6 between chord and curve marks the gap of 0.73",
)  # fmt: skip

# %% [markdown]
# How large is the gap? If $\log w$ is itself normal with variance $v$, there is a formula:
#
# $$\log\mathbb E[w]-\mathbb E[\log w]=\tfrac v2. \tag{04.4}$$
#
# (With $\log w=a+\sqrt v\,\varepsilon$, $\varepsilon\sim N(0,1)$: $\mathbb E[w]=\exp(a)\,\mathbb E[\exp(\sqrt
# v\,\varepsilon)]=\exp(a+\frac v2)$, by completing the square in the exponent, and $\mathbb E[\log w]=a$.) So **the gap
# is half the variance of the log**, exactly for a normal $\log w$, and otherwise roughly, if the variance is small: a
# noisy logarithm is a biased one. Keep this sentence; the rest of the page is a fight against that variance.

# %% tags=["nbval-check-output"]
eps = line  # a grid for a standard normal number
density = torch.exp(-0.5 * eps**2) / math.sqrt(2 * math.pi)
log_w = 0.3 + math.sqrt(1.7) * eps
equation("04.4", (density * log_w.exp()).sum().mul(dx).log() - (density * log_w).sum() * dx, 1.7 / 2)

# %% [markdown]
# ### Importance sampling: an integral as a mean over what you can draw
#
# Here is the problem all of this is for. A model draws a hidden $z$ from $p(z)$, then a picture from $p(x\mid z)$. How
# probable is a given picture? Every $z$ might have made it:
#
# $$p(x)=\int p(x\mid z)\,p(z)\,\mathrm dz=\mathbb E_{z\sim q}\Bigl[\frac{p(x\mid z)\,p(z)}{q(z)}\Bigr]. \tag{04.5}$$
#
# The second equality holds for *any* density $q$ that is above 0 wherever $p(x\mid z)p(z)$ is (multiply and divide by
# $q(z)$). The ratio in the brackets is an **importance weight** $w$: draw $z$ from wherever you like, and correct for
# it. Unbiased for every $q$. But a lucky $q$ makes the weights nearly equal, an unlucky one lets a single huge weight
# come every thousandth time.
#
# Our test world has one number $z\sim N(0,1)$ and one number $x\sim N(z,0.5^2)$. So $p(x)=N(x;0,1.25)$ (variances
# add), and the law of $z$ given $x$ is known too (notebook 02): $N(0.8\,x,\,0.2)$. The check draws from a $q$ that is
# deliberately a bit off.

# %% tags=["nbval-check-output"]
rng = torch.Generator().manual_seed(4)
tau, x = 0.5, 1.4


def log_joint(z, x=x):
    return normal_log_density(z[..., None], torch.zeros(1), torch.zeros(1)) + normal_log_density(
        torch.full_like(z, x)[..., None], z[..., None], torch.tensor([2 * math.log(tau)]).double()
    )


def log_weight(q_mean, q_std, shape):
    z = q_mean + q_std * torch.randn(shape, generator=rng, dtype=torch.float64)
    return log_joint(z) - normal_log_density(
        z[..., None], torch.tensor([q_mean]).double(), torch.tensor([2 * math.log(q_std)]).double()
    )


exact = torch.exp(torch.tensor(-0.5 * x**2 / 1.25)) / math.sqrt(2 * math.pi * 1.25)
equation("04.5", exact, log_weight(1.0, 0.6, (400_000,)).exp().mean(), rtol=3e-3)

# %% [markdown]
# Two choices of $q$, ten draws each, repeated 2,000 times: the prior $p(z)$ itself (draw blindly) and a $q$ near the
# truth. The mean weight is right on average for both; its logarithm is not. Which would you rather have as *one*
# estimate of $\log p(x)$? The black line is the exact value, about $-1.81$.

# %%
blind = log_weight(0.0, 1.0, (10, 2000)).exp().mean(0).log()
aimed = log_weight(1.0, 0.6, (10, 2000)).exp().mean(0).log()
truth = float(exact.log())
plotting.histograms(
    {"z from the prior": blind, "z from a good q": aimed}, lines={"exact": ([truth, truth], [0, 3])}, limits=(-4, -0.8),
    xlabel="log of the mean of 10 weights",
    alt="Histograms of 2,000 estimates: those with draws from the prior spread from minus 4 to minus 1, those from a good q are a narrow peak at the exact value minus 1.81",
)  # fmt: skip

# %% tags=["nbval-check-output"]
print(f"exact log p(x): {truth:.3f}")
for name, estimate in (("z from the prior", blind), ("z from a good q", aimed)):
    print(f"{name:17s} mean of the log {float(estimate.mean()):.3f}, standard deviation {float(estimate.std()):.3f}, half its variance {float(estimate.var() / 2):.3f}")  # fmt: skip

# %% [markdown]
# The logs are too low on average, by something like half their variance: (04.4) at work, although these logs are only
# roughly normal.
#
# ### Both together: the evidence lower bound
#
# Jensen's inequality for the importance weight: $\log p(x)=\log\mathbb E_q[w]\ge\mathbb E_q[\log w]$. The right side
# is the **evidence lower bound**, ELBO: the mean of something we can compute, over something we can draw. And the gap
# has a name:
#
# $$\log p(x)=\underbrace{\mathbb E_q\Bigl[\log\frac{p(x,z)}{q(z)}\Bigr]}_{\text{ELBO}}+\mathrm{KL}\bigl(q(z)\,\Vert\,p(z\mid x)\bigr). \tag{04.6}$$
#
# <details><summary>Proof, and why it contains the bound</summary>
#
# | line | reason |
# |---|---|
# | $\log p(x)=\mathbb E_q[\log p(x)]$ | a constant is its own mean |
# | $=\mathbb E_q\bigl[\log\frac{p(x,z)}{p(z\mid x)}\bigr]$ | $p(x,z)=p(z\mid x)\,p(x)$ |
# | $=\mathbb E_q\bigl[\log\frac{p(x,z)}{q(z)}\bigr]+\mathbb E_q\bigl[\log\frac{q(z)}{p(z\mid x)}\bigr]$ | multiply and divide by $q(z)$ inside the logarithm |
#
# The last term is a KL, so at least 0: the ELBO is at most $\log p(x)$, and equal to it exactly when $q(z)=p(z\mid
# x)$. ∎
# </details>
#
# Maximising the ELBO therefore pushes towards two things: a more probable picture, and a $q$ that is a better guess of
# where the picture came from. (Only their difference, $\log p(x)$ minus the KL, is sure to rise.) The check uses $q=N(0.3,0.6^2)$: ELBO on the grid, KL in closed form.

# %% tags=["nbval-check-output"]
guess = Isotropic(torch.tensor([[0.3]]).double(), torch.tensor(0.6).double())
posterior = Isotropic(torch.tensor([[0.8 * x]]).double(), torch.tensor(math.sqrt(0.2)).double())
q_on_grid = guess.log_density(line[:, None])
evidence_bound = (q_on_grid.exp() * (log_joint(line) - q_on_grid)).sum() * dx
equation("04.6", exact.log(), evidence_bound + guess.kl(posterior)[0])

# %% [markdown]
# Split the joint, $p(x,z)=p(x\mid z)\,p(z)$, and the same ELBO reads as a bargain:
#
# $$\text{ELBO}=\underbrace{\mathbb E_q\bigl[\log p(x\mid z)\bigr]}_{\text{reconstruction}}-\underbrace{\mathrm{KL}\bigl(q(z)\,\Vert\,p(z)\bigr)}_{\text{price of the message}}. \tag{04.7}$$
#
# *Explain the picture well, with a hidden cause that is not too particular.* (Line by line: $\log\frac{p(x,z)}{q}=\log
# p(x\mid z)+\log\frac{p(z)}{q}$, and the mean of the last is minus a KL.)

# %% tags=["nbval-check-output"]
reconstruction = -math.log(tau) - 0.5 * math.log(2 * math.pi) - ((x - 0.3) ** 2 + 0.6**2) / (2 * tau**2)
price = guess.kl(Isotropic(torch.zeros(1, 1).double(), torch.ones(()).double()))[0]
equation("04.7", evidence_bound, reconstruction - price)

# %% [markdown]
# <details><summary><b>Question.</b> What is the ELBO if q is the prior? And if q is the exact posterior?</summary>
#
# With $q=p(z)$ the price is 0 and the reconstruction is the mean of $\log p(x\mid z)$ over blind draws: bad, because
# most of them do not explain $x$ at all. With $q=p(z\mid x)$ the weight is $p(x,z)/p(z\mid x)=p(x)$, the same for
# every $z$: no variance, no gap, one draw is enough. The whole art is to come near it.
# </details>
#
# ### Exercise 04.1: discrete KL (1 point)


# %% tags=["exercise-04.1"]
def divergence(P: Tensor, Q: Tensor) -> Tensor:
    """Return KL(P || Q) in nats for each row: (B,) from `P`, `Q` of shape (B, K), whose rows sum to 1.

    An outcome with P = 0 costs nothing, whatever Q is (also where Q = 0 as well). Q is above 0 wherever P is.
    """
    ### BEGIN SOLUTION
    ratio = torch.where(P > 0, P / Q, torch.ones_like(P))
    return (P * torch.log(ratio)).sum(1)
    ### END SOLUTION


# %% tags=["check-04.1"]
check("04.1", divergence)

# %% [markdown]
# ## 2. Five families, and where ours belongs
#
# *Every generative model answers two questions, "how probable is this?" and "give me one", and pays somewhere for the
# answers.*
#
# | family | what is written down | $\log p(x)$ | drawing a sample | trained on | what hurts |
# |---|---|---|---|---|---|
# | **energy-based** | any function $E(x)$, $p=e^{-E}/Z$ | up to an unknown constant | long random walks | data against walks | the normaliser $Z$ |
# | **autoregressive** | $p(x_1)\,p(x_2\mid x_1)\cdots$ | exact | one number at a time | exact likelihood | $d$ steps, and an order must be chosen |
# | **VAE** | $z\sim N(0,I)$, then $p(x\mid z)$ | a bound | one pass | the bound | the bound's gap; blur |
# | **flow** | an invertible map $z\mapsto x$ | exact | one pass | exact likelihood | only maps with an easy inverse and determinant |
# | **GAN** | any map $z\mapsto x$ | none | one pass | a critic's opinion | unstable; nothing to say about missing modes |
# | *diffusion* | a chain of small Gaussian steps | a bound (06: exact) | many passes | the bound, term by term | many passes |
#
# One small picture for each, before we follow the third row.
#
# **Energy-based: exam scores.** You have 71 points in an exam. Is that good? You cannot know without everybody else's
# points. An energy is such a raw score: low energy, plausible picture. To turn it into a probability, take $e^{-E}$ and
# divide it by its sum over all pictures there are:
#
# $$p(x)=\frac{e^{-E(x)}}{Z},\qquad Z=\int e^{-E(x)}\,\mathrm dx. \tag{04.8}$$
#
# In the plane, $Z$ can be summed on a grid; in $28\times28$ dimensions there is no grid. The check hides a constant in
# the energy of the course's mixture and lets $Z$ find it.

# %% tags=["nbval-check-output"]
mixture = toys.mixture_2d()
axis = torch.linspace(-2.5, 2.5, 301, dtype=torch.float64)
plane = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)


def energy(x):
    return 3.7 - mixture.log_density(x)  # a raw score: shifted by a number nobody told you


Z = torch.exp(-energy(plane)).sum() * (axis[1] - axis[0]) ** 2
some = mixture.sample(50, rng)
equation("04.8", torch.exp(-energy(some)) / Z, mixture.log_density(some).exp(), rtol=1e-4)

# %% [markdown]
# **Autoregressive: one coordinate at a time.** The product rule, read as a recipe:
#
# $$p(x_1,x_2)=p(x_1)\;p(x_2\mid x_1). \tag{04.9}$$
#
# ($x_1$, $x_2$ are the two coordinates of one point here; from section 4 on, an index is a time.) For the mixture both
# factors are mixtures again: $p(x_1)$ forgets the second coordinate, and in $p(x_2\mid x_1)$ the bumps' weights are those
# given $x_1$. (The bumps are round, so inside one of them $x_1$ says nothing about $x_2$.)

# %% tags=["nbval-check-output"]
first = Mixture(mixture.weights, mixture.means[:, :1], mixture.stds)
given_first = torch.softmax(first.log_joint(some[:, :1]), dim=1)  # which bump, once x_1 is seen
second = Mixture(torch.ones(3).double() / 3, mixture.means[:, 1:], mixture.stds).log_joint(some[:, 1:]) + math.log(3)
equation(
    "04.9", first.log_density(some[:, :1]).exp() * (given_first * second.exp()).sum(1), mixture.log_density(some).exp()
)

# %% [markdown]
# **Flow: bend the plane.** If $x=f(z)$ with an invertible $f$, then volumes are stretched by $f$, and densities shrink
# accordingly:
#
# $$p(x)=N\bigl(f^{-1}(x);\,0,I\bigr)\,\Bigl\lvert\det\frac{\partial f^{-1}}{\partial x}\Bigr\rvert. \tag{04.10}$$
#
# Ours bends the plane into a banana: $f(z)=(z_1,\ \tfrac12z_1^2+0.4\,z_2)$. The check takes the determinant by automatic
# differentiation, and, independently, the density as $N(x_1;0,1)\,N(x_2;\tfrac12x_1^2,0.4^2)$.

# %% tags=["nbval-check-output"]


def straighten(x):
    return torch.stack([x[..., 0], (x[..., 1] - 0.5 * x[..., 0] ** 2) / 0.4], -1)


determinant = torch.linalg.det(torch.func.vmap(torch.func.jacrev(straighten))(some)).abs()
flow = torch.exp(normal_log_density(straighten(some), torch.zeros(2), torch.zeros(2))) * determinant
by_hand = torch.exp(
    normal_log_density(some[:, :1], torch.zeros(1), torch.zeros(1))
    + normal_log_density(some[:, 1:], 0.5 * some[:, :1] ** 2, torch.tensor([2 * math.log(0.4)]).double())
)
equation("04.10", flow, by_hand)

# %% [markdown]
# **VAE: a cloud of small bumps along a sheet.** The hidden $z$ says where on the sheet, the decoder adds a little
# noise: a mixture with infinitely many parts. **GAN: only samples**, and a critic that looks at them beside data. The
# best possible critic, shown as many data as fakes, answers $D(x)=p(x)/(p(x)+g(x))$, with $g$ the generator's density:
# 1/2 wherever the two agree.
#
# In the pictures: the energy of the mixture (dark is low); $p(x_1)$ in equal slices with the $p(x_2\mid x_1)$ of two of
# them; the curve of a decoder and its samples; a straight grid bent by the flow; and two densities with the best
# critic. Look for what each one *has*: a surface, factors, a sheet, a map, an opinion.

# %%
pale = torch.linspace(-1.6, 1.6, 201, dtype=torch.float64)
slices = {f"p(x_2 | x_1 = {a:.1f})": (torch.softmax(first.log_joint(torch.tensor([[a]]).double()), 1) * torch.exp(normal_log_density(pale[:, None, None], mixture.means[None, :, 1:], 2 * mixture.stds.log()[None, :, None]))).sum(1) for a in (-0.7, 0.3)}  # fmt: skip
beside(
    plotting.heatmap(energy(plane).reshape(301, 301).clamp(max=20), extent=(-2.5, 2.5, -2.5, 2.5), equal=True, title="energy-based: E(x)", size=(3.7, 3.0), alt="Energy of the mixture in the plane: three dark hollows in a bright plain"),
    plotting.curves({"p(x_1)": first.log_density(pale[:, None]).exp()} | slices, x=pale, title="autoregressive", xlabel="x_1, or x_2", size=(3.7, 3.0), alt="The density of the first coordinate with three bumps, and the density of the second given the first at two places, each a different mixture of bumps"),
)  # fmt: skip

# %%
spiral = toys.spiral_2d(width=0.05)
mesh = torch.stack(torch.meshgrid(torch.linspace(-2, 2, 9), torch.linspace(-2, 2, 33), indexing="ij"), -1).double()
bend = torch.cat([mesh, mesh.flip(-1)])
bent = torch.stack([bend[..., 0], 0.5 * bend[..., 0] ** 2 + 0.4 * bend[..., 1]], -1)
g = torch.exp(normal_log_density(line[:, None], torch.tensor([-1.3]), torch.tensor([0.2])))
shown = line.abs() < 5
beside(
    plotting.scatter({"samples": spiral.sample(600, rng), "decoder's mean": spiral.means}, limits=(-1.3, 1.3, -1.3, 1.3), title="VAE: a sheet with noise", size=(3.0, 3.0), alt="A spiral curve, the decoder's mean as z moves, with samples scattered closely around it"),
    plotting.paths(bent, title="flow: a bent grid", size=(3.0, 3.0), limits=(-2.3, 2.3, -1.2, 3.2), alt="A square grid of lines bent into a parabola-shaped grid without crossing itself"),
    plotting.curves({"data": log_p.exp()[shown], "generator": g[shown], "best critic": (log_p.exp() / (log_p.exp() + g))[shown]}, x=line[shown], title="GAN: an opinion", size=(3.4, 3.0), alt="Two bumps of data, one wide bump of a generator, and the best critic, near one half on the left bump and near one on the right bump that the generator misses"),
)  # fmt: skip

# %% [markdown]
# <details><summary><b>Question.</b> Diffusion models are trained with a bound like VAEs, sampled in many steps like energy-based
# models, and turn noise into data like flows. In which of the five would you look for a cheaper sampler, and in which
# for an exact likelihood?</summary>
#
# Two of the five have an exact likelihood, autoregressive models and flows. Of these two the flow is the one that turns
# noise into data, and notebook 06 will find a flow inside every diffusion model: the probability-flow ODE. The cheap sampler is the other side of the same coin: a deterministic map from noise to data
# can be approximated in few steps. What the bound gives up for all this is on this page.
# </details>

# %% [markdown]
# ## 3. A variational autoencoder, live
#
# *Two networks make the bargain of (04.7) for every picture at once: one proposes causes, the other explains pictures by
# them.*
#
# Our pictures are digits whose pixels are made **black or white**, 0 or 1. This is not a detail. It lets the decoder
# give a true probability: for each pixel $j$ a chance $f_j(z)$ of being 1, pixels independent *given* $z$, so
#
# $$\log p(x\mid z)=\sum_j\bigl[x_j\log f_j(z)+(1-x_j)\log(1-f_j(z))\bigr]. \tag{04.11}$$
#
# You know this as (minus) the binary cross-entropy. On grey pixels the same formula can be computed, and is in many
# tutorials, but then it is no likelihood: the numbers would bound nothing. The network gives logits $\ell$, with
# $f=1/(1+e^{-\ell})$. Then $\log f=\ell-\log(1+e^\ell)$ and $\log(1-f)=-\log(1+e^\ell)$, so each summand is
# $x\,\ell-\log(1+e^\ell)$, which is what the code uses: it never takes the log of 0.

# %% tags=["nbval-check-output"]
images, held_back = (to_unit(binarise(digits(split).images)) for split in ("train", "held_back"))
images, held_back = images.flatten(1), held_back.flatten(1)  # (N, 784) of 0 and 1
logits = 5 * torch.randn(4, 784, generator=rng, dtype=torch.float64)
likelihood = torch.distributions.Bernoulli(logits=logits).log_prob(held_back[:4].double()).sum(1)
equation("04.11", bernoulli_log_likelihood(logits, held_back[:4].double()), likelihood)

# %% [markdown]
# The **encoder** proposes, for a picture $x$, a Gaussian $q(z\mid x)=N(\mu(x),\mathrm{diag}\,s(x)^2)$; its outputs are
# $\mu$ and $\log s^2$ (so that $s$ is positive by itself). With the prior $p(z)=N(0,I)$ the price of the message is
# known:
#
# $$\mathrm{KL}\bigl(q(z\mid x)\,\Vert\,p(z)\bigr)=\tfrac12\sum_i\bigl(\mu_i^2+s_i^2-1-\log s_i^2\bigr). \tag{04.12}$$
#
# It is notebook 02's KL of two Gaussians, with diagonal covariances; the check asks 02's function, with full matrices.

# %% tags=["nbval-check-output"]
mu, log_var = torch.tensor([0.7, -1.2]).double(), torch.tensor([-1.0, 0.4]).double()
standard = Gaussian.spherical(torch.zeros(2).double(), 1.0)
equation("04.12", kl_to_standard(mu, log_var), kl(Gaussian.from_moments(mu, torch.diag(log_var.exp())), standard))

# %% [markdown]
# One obstacle is left. The reconstruction is a mean over $z\sim q$, and $q$ depends on the encoder's weights: how does
# one differentiate through a draw? By notebook 02's very definition of a Gaussian: **$z=\mu+s\,\varepsilon$** with
# $\varepsilon\sim N(0,I)$. The randomness comes from outside; what the weights do is an ordinary function. This is
# called the reparametrisation trick, and every $x_t=\alpha_tx_0+\sigma_t\varepsilon$ of this course is an instance.
#
# So the whole loss is: encode, add noise, decode, two sums.
#
# ```python
# mean, log_var = vae.encode(x)
# z = mean + torch.exp(0.5 * log_var) * noise
# loss = kl_to_standard(mean, log_var) - bernoulli_log_likelihood(vae.decode(z), x)
# ```
#
# ### Exercise 04.2: the ELBO of a VAE (2 points)
#
# The noise is given, so that there is one right number for each picture.


# %% tags=["exercise-04.2"]
def evidence_lower_bound(encoder, decoder, x: Tensor, noise: Tensor) -> Tensor:
    """Return the one-sample ELBO of each picture in nats, (B,): reconstruction minus KL.

    encoder  x (B, d) -> (mean, log_var), each (B, k): q(z | x) is normal with variances exp(log_var)
    decoder  z (B, k) -> logits (B, d): pixel j is 1 with probability sigmoid(logits[:, j])
    x        pixels, 0 or 1, (B, d)
    noise    standard normal, drawn already, (B, k)

    The prior of z is N(0, I). Some logits are large (1,000): the result must stay finite.
    `torch.nn.functional.softplus(l)` is log(1 + exp(l)).
    """
    ### BEGIN SOLUTION
    mean, log_var = encoder(x)
    logits = decoder(mean + torch.exp(0.5 * log_var) * noise)
    reconstruction = (x * logits - torch.nn.functional.softplus(logits)).sum(1)
    return reconstruction - 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    ### END SOLUTION


# %% tags=["check-04.2"]
check("04.2", evidence_lower_bound)

# %% [markdown]
# ### Train it
#
# One hidden layer of 400 in each network, a hidden space of **two** dimensions, so that we can look at it, and 2,500
# steps of 64 digits. `train_vae` is a generator that yields after each step; we keep pictures at twelve moments. While
# it runs, guess: how many nats of message will two numbers be worth?

# %%
AT = (0, 10, 30, 60, 100, 200, 400, 700, 1000, 1500, 2000, 2500)
side = torch.special.ndtri(torch.linspace(0.02, 0.98, 11))  # spaced as the prior is: equal shares of N(0, 1)
z_grid = torch.stack(torch.meshgrid(-side, side, indexing="ij"), -1).flip(-1).reshape(-1, 2)
labels, moments = digits("held_back").labels, []
look = torch.Generator().manual_seed(40)
fixed_noise = torch.randn(1000, 2, generator=look)


@torch.no_grad()
def snapshot(vae, step):
    """Step, reconstruction, price, reconstruction without noise, codes, and the decoded grid."""
    terms, codes = elbo(vae, held_back, fixed_noise), vae.encode(held_back)[0]
    noise_free = bernoulli_log_likelihood(vae.decode(codes), held_back)
    sheet = torch.sigmoid(vae.decode(z_grid)).reshape(-1, 28, 28)
    return step, float(terms.reconstruction.mean()), float(terms.kl.mean()), noise_free, codes, sheet


# %%
for state in tqdm(train_vae(images, AT[-1]), total=AT[-1] + 1, desc="VAE"):
    if state.step in AT:
        moments.append(snapshot(state.vae, state.step))
vae = state.vae

# %%
for step, explained, price, *_ in moments:
    print(
        f"step {step:4d}: reconstruction {explained:8.1f}, price {price:5.2f}, ELBO {explained - price:8.1f} nats a digit (held back)"
    )

# %% [markdown]
# For scale: calling every pixel a fair coin costs $784\log2=543$ nats, and knowing only each pixel's own average costs
# about 208 (the numbers are printed below the player). The first messages are waste: ten nats that explain nothing
# better than the average picture. Then a message of five to six nats saves more than fifty nats of explanation.
#
# **Scrub through the training.** On the left, where the encoder puts 1,000 digits that it has never been trained on,
# each drawn as its label (the network sees no labels). On the right, what the decoder makes of an even grid over the
# prior. Look for the moment when the zeros and the ones part, and for the digits that never get a place of their own.
# (The window is fixed: early on some codes lie outside it.)

# %%
maps = [
    plotting.labelled_points(codes, labels, limits=(-4, 4, -4, 4), xlabel="z_1", ylabel="z_2", size=(4.2, 4.2), alt=f"The latent map at step {step}")
    for step, _, _, _, codes, _ in moments
]  # fmt: skip
sheets = torch.stack([torch.as_tensor(plotting.tile(sheet, ncols=11, pad=0)) for *_, sheet in moments])
scrub(
    {"where the encoder puts digits": maps, "what the decoder draws": sheets}, start=len(AT) - 1,
    captions=[f"step {step}" for step in AT], readout={"ELBO": [round(a - b, 1) for _, a, b, *_ in moments]}, size=330,
    alt="Training of a VAE: the cloud of codes opens into a fan of separate digit classes while the decoded grid changes from grey blobs to digits that flow into each other",
)  # fmt: skip

# %% tags=["nbval-check-output"]
average = images.double().mean(0).clamp(1e-4, 1 - 1e-4)
code_free = (held_back.double() * average.log() + (1 - held_back.double()) * (1 - average).log()).sum(1).mean()
print(f"a fair coin for every pixel:   {784 * math.log(2):7.3f} nats a digit")
print(f"every pixel's own average:     {-float(code_free):7.3f} nats a digit")

# %% [markdown]
# ### Why it is blurry
#
# The grid is smooth: neighbours in $z$ are alike, and between a 7 and a 9 there are things that are a bit of both. It is
# also blurred. That is not a lack of training. For one $z$ the decoder must give *one* chance per pixel, and all the
# digits that share this $z$ have to be explained by it. The best $f_j$ is their average (a coin that lands 1 with
# frequency $m$ is coded best by $f=m$: by section 1, $\mathrm{KL}\ge0$). A noisy message of five to six nats can
# tell some $e^{5.5}\approx240$ places apart, not 9,000 digits, so averages are all there is, and an average of shifted
# strokes is a blur.
#
# Look at the three rows: held-back digits; the decoder's chances for them (at the encoder's mean $z$); and an honest
# *sample* of the decoder at that $z$, which throws each pixel's coin.

# %%
shown = held_back[:10]
with torch.no_grad():
    chances = torch.sigmoid(vae.decode(vae.encode(shown)[0]))
thrown = torch.bernoulli(chances, generator=look)
plotting.strip(
    {"digit": shown.reshape(-1, 28, 28), "chance": chances.reshape(-1, 28, 28), "sample": thrown.reshape(-1, 28, 28)}, cell=0.65,
    alt="Ten held-back digits, the decoder's chances for them, blurred, and samples of the pixels, ragged along the strokes",
)  # fmt: skip

# %%
undecided = ((chances > 0.1) & (chances < 0.9)).float().mean()
print(f"share of pixels to which the decoder gives a chance between 0.1 and 0.9: {float(undecided):.2f}")

# %% [markdown]
# The third row is what the decoder really claims to be possible: ragged edges, because pixels are independent given $z$.
# Papers show the second row. Two lessons for later: a better decoder would be one that does not have to decide
# everything at once (section 4), and a blurred mean is the right answer to a question with several answers.
#
# ### Autoencoder against VAE
#
# What if we leave out the noise and the price? Then it is a plain autoencoder: the same networks, trained to
# reconstruct. Before you look: which of the two will reconstruct better, and which will draw better digits from random
# $z$?

# %%
for state in tqdm(train_vae(images, 1000, kl_weight=0.0), total=1001, desc="autoencoder"):
    plain = state.vae
*_, vae_fit, vae_codes, _ = moments[AT.index(1000)]
with torch.no_grad():
    plain_codes = plain.encode(held_back)[0]
    plain_fit = bernoulli_log_likelihood(plain.decode(plain_codes), held_back)
better = plain_fit - vae_fit
print("reconstruction of 1,000 held-back digits without noise, both after 1,000 steps:")
print(
    f"autoencoder {float(plain_fit.mean()):.1f} nats, VAE {float(vae_fit.mean()):.1f} nats, difference digit by digit {float(better.mean()):.1f} ± {float(better.std() / 1000**0.5):.1f}"
)
print(
    f"standard deviation of the codes: autoencoder {[round(float(v), 1) for v in plain_codes.std(0)]}, VAE {[round(float(v), 1) for v in vae_codes.std(0)]}"
)

# %%
beside(
    plotting.labelled_points(plain_codes, labels, title="autoencoder: codes", size=(3.7, 3.7), alt="Codes of the autoencoder: a lopsided fan that reaches from minus 6 to 15, with empty space between the classes"),
    plotting.labelled_points(vae_codes, labels, limits=(-4, 4, -4, 4), title="VAE: codes", size=(3.7, 3.7), alt="Codes of the VAE: a cloud of about the size of a standard normal around the origin"),
)  # fmt: skip

# %%
z = torch.randn(12, 2, generator=look)
with torch.no_grad():
    fit_z = (
        plain_codes.mean(0) + z @ torch.linalg.cholesky(torch.cov(plain_codes.T)).T
    )  # a Gaussian fitted to its codes
    drawn = {
        "autoencoder, z ~ N(0, I)": plain.decode(z),
        "autoencoder, fitted z": plain.decode(fit_z),
        "finished VAE, z ~ N(0, I)": vae.decode(z),
    }
plotting.strip(
    {name: torch.sigmoid(value).reshape(-1, 28, 28) for name, value in drawn.items()}, cell=0.5,
    alt="Twelve pictures decoded from random z: those of the autoencoder from standard noise show few kinds of digits, those from a fitted Gaussian and those of the VAE many, all blurred",
)  # fmt: skip

# %% [markdown]
# In this run the autoencoder reconstructs better: a code that costs nothing can be as particular as it likes. But its
# codes live wherever they like, up to 15 from the origin, crowded here and empty there. Nobody told it what a random $z$ looks
# like, so "give me one" is not a question it can answer: standard noise reaches a few kinds of digits only. A Gaussian
# fitted to its codes afterwards does better here, because in two dimensions far less space is empty than in fifty. It is
# a repair: the Gaussian and the decoder together do define a $p(x)$, but nothing in the training made it large. The price of the message is what makes the cloud of codes fill the prior, and the noise is
# what makes neighbours alike.
#
# ### How large is the gap?
#
# The ELBO is a lower bound. By (04.6) what is missing is $\mathrm{KL}(q(z\mid x)\Vert p(z\mid x))$: the encoder may
# only propose an upright ellipse, while the true posterior has whatever shape it has. With *two* hidden dimensions the
# integral (04.5) can simply be summed on a grid, so we can look at the true posterior. The pictures show it for four
# held-back digits, with the encoder's ellipse at two standard deviations. Where do they disagree: in place, in size,
# or in shape?

# %%
test = held_back[:100]
with torch.no_grad():
    q_mean, q_std = vae.encode(test)[0], torch.exp(0.5 * vae.encode(test)[1])
    log_both, places, area = grid_log_joint(vae, test, side=300)
exact_digits = torch.logsumexp(log_both, 1) + math.log(area)  # log p(x), (100,)
true_mean = torch.softmax(log_both, 1) @ places  # of p(z | x), (100, 2)
del log_both  # 9 million numbers that nothing below needs

# %%
circle = torch.linspace(0, 2 * math.pi, 60)


def posterior_picture(i):
    label, std, centre = int(labels[i]), q_std[i], (q_mean[i] + true_mean[i]) / 2
    reach = float((q_mean[i] - true_mean[i]).abs().max() / 2 + 5 * std.max())
    log_here, _, _ = grid_log_joint(vae, test[i : i + 1], side=101, limit=reach, centre=centre)
    density = torch.exp(log_here[0] - exact_digits[i]).reshape(101, 101).T  # row: z_2, column: z_1
    ring = (q_mean[i, 0] + 2 * std[0] * circle.cos(), q_mean[i, 1] + 2 * std[1] * circle.sin())
    (left, low), (right, high) = (centre - reach).tolist(), (centre + reach).tolist()
    return plotting.heatmap(
        density, extent=(left, right, low, high), lines={"q": ring}, equal=True, xlabel="z_1", ylabel="z_2", title=f"a {label}", size=(3.3, 2.8),
        alt=f"The true posterior of a digit, a {label}, as colours, with the encoder's ellipse over it",
    )  # fmt: skip


beside(*[posterior_picture(i) for i in (0, 3, 5, 6)])

# %%
miss = ((true_mean - q_mean) / q_std).norm(dim=1)  # distance of the two means, in standard deviations of q
print("distance of q's mean from the posterior's, in q's own standard deviations, over 100 digits:")
print(
    f"half of the digits are below {float(miss.median()):.1f}, nine tenths below {float(miss.quantile(0.9)):.1f}, the largest is {float(miss.max()):.1f}; the four above: {[round(float(miss[i]), 1) for i in (0, 3, 5, 6)]}"
)

# %% [markdown]
# Most of all in *place*: the encoder has to find the posterior of a digit it has never seen in one glance. Half of the
# digits it misses by about two of its own standard deviations or more, every tenth by more than four; the "1" on the right
# is one of these. If the widths agree, a miss of $d$ standard deviations costs $\frac12d^2$ nats, so a few such digits
# make up much of the gap. Size and shape are off as well: two of these posteriors are tilted, which no upright ellipse can
# follow.
#
# ### Narrowing it: several draws, one logarithm
#
# Instead of improving $q$, take more draws *inside* the logarithm (Burda, Grosse and Salakhutdinov 2016):
#
# $$\mathcal L_K=\mathbb E_{z_1,\ldots,z_K\sim q}\Bigl[\log\frac1K\sum_{k=1}^Kw_k\Bigr],\qquad w_k=\frac{p(x,z_k)}{q(z_k\mid x)}. \tag{04.13}$$
#
# $\mathcal L_1$ is the ELBO. Every $\mathcal L_K$ is a lower bound, $\mathcal L_1\le\mathcal L_2\le\ldots\le\log
# p(x)$, and they tend to $\log p(x)$: the mean of $K$ weights varies less, so (04.4) charges less for its logarithm.
#
# <details><summary>Proof</summary>
#
# | line | reason |
# |---|---|
# | $\mathbb E\bigl[\frac1K\sum_kw_k\bigr]=p(x)$ | each $w_k$ has mean $p(x)$, (04.5) |
# | $\mathcal L_K\le\log p(x)$ | Jensen |
# | $\frac1K\sum_{k}w_k=\mathbb E_I\bigl[\frac1{J}\sum_{i\in I}w_i\bigr]$ for $J<K$ | $I$: $J$ of the $K$ indices, drawn at random; each index is in $I$ with chance $J/K$ |
# | $\log\frac1K\sum_kw_k\ge\mathbb E_I\bigl[\log\frac1{J}\sum_{i\in I}w_i\bigr]$ | Jensen again, for the random choice $I$ |
# | $\mathcal L_K\ge\mathcal L_{J}$ | take the mean over the draws: any $J$ of them are as good as the first $J$ |
# | $\mathcal L_K\to\log p(x)$ | law of large numbers inside the log. If $\mathcal L_1$ is finite, limit and mean may be exchanged: the log of the mean lies between the mean of the $\log w_k$ and the mean of the $w_k$ minus 1, and both converge in mean |
#
# ∎
# </details>
#
# The check takes the one-number world of section 1, $q=N(0.3,0.6^2)$ and $K=2$: a million pairs of draws against a
# double sum over the grid.

# %% tags=["nbval-check-output"]
monte_carlo = (torch.logsumexp(log_weight(0.3, 0.6, (2, 1_000_000)), 0) - math.log(2)).mean()
coarse = torch.linspace(-4, 4.6, 801, dtype=torch.float64)
log_q = normal_log_density(coarse[:, None], torch.tensor([0.3]).double(), torch.tensor([2 * math.log(0.6)]).double())
chance, log_w = log_q.exp() * (coarse[1] - coarse[0]), log_joint(coarse) - log_q
pairs = torch.logaddexp(log_w[:, None], log_w[None]) - math.log(2)
equation("04.13", monte_carlo, chance @ pairs @ chance, rtol=4e-3)

# %% tags=["nbval-check-output"]
print(f"exact log p(x) {truth:.3f}, L_2 {float(chance @ pairs @ chance):.3f}, L_1 {float(chance @ log_w):.3f}")

# %% [markdown]
# Now for the digits: 100 that the network has not been trained on, up to 1,000 draws each, and the exact value from the
# grid. (Standard errors are over the 100 digits; they are the same digits in each row, so differences between rows are
# much better known.)

# %%
with torch.no_grad():
    draws = [log_weights(vae, test, torch.randn(100, 100, 2, generator=look)) for _ in tqdm(range(10), desc="weights")]
draws = torch.cat(draws).double()  # (1000, 100)
exact_digits = exact_digits.double()
bounds = {K: (torch.logsumexp(draws.reshape(K, -1, 100), 0) - math.log(K)).mean(0) for K in (1, 10, 100, 1000)}
for K, value in bounds.items():
    print(
        f"K = {K:4d}: bound {float(value.mean()):8.2f} ± {float(value.std() / 10):.2f} nats, below the exact value by {float((exact_digits - value).mean()):.2f} ± {float((exact_digits - value).std() / 10):.2f}"
    )
print(f"exact:    log p {float(exact_digits.mean()):8.2f} ± {float(exact_digits.std() / 10):.2f} nats")

# %%
plotting.curves(
    {"L_K": (list(bounds), [float(v.mean()) for v in bounds.values()]), "exact, from the grid": (list(bounds), [float(exact_digits.mean())] * 4)},
    xscale="log", markers=True, xlabel="K, draws inside the logarithm", ylabel="nats a digit", size=(5.6, 3.2),
    alt="The bound rises with the number of draws K, quickly at first, towards the exact log likelihood, which it stays below",
)  # fmt: skip

# %% [markdown]
# The gap is narrowed, not closed: each factor of ten in $K$ buys less. For pictures with thousands of hidden dimensions
# there is no grid, and nobody knows how much is left.
#
# ### Exercise 04.3: the importance-weighted bound (2 points)


# %% tags=["exercise-04.3"]
def multi_sample_bound(log_joint: Tensor, log_q: Tensor) -> Tensor:
    """Return the estimate of L_K for each picture, (B,), in nats.

    log_joint  log p(x, z_k), (K, B): row k belongs to the k-th draw
    log_q      log q(z_k | x), (K, B)

    The logs are far below zero (-2,000): exp of them is 0 in every floating-point type of PyTorch, so do not take it.
    """
    ### BEGIN SOLUTION
    return torch.logsumexp(log_joint - log_q, dim=0) - math.log(len(log_joint))
    ### END SOLUTION


# %% tags=["check-04.3"]
check("04.3", multi_sample_bound)

# %% [markdown]
# ## 4. Fix the encoder, make it noise
#
# *A diffusion model is a VAE whose hidden part is a whole chain of ever noisier pictures, and whose encoder has
# nothing to learn.*
#
# What limited our VAE? The decoder had to get from a blurry idea to all 784 pixels in one go. Why not in many small
# ones? Put a chain of hidden variables between picture and prior, each nearly determined by the next. A **hierarchical
# VAE** learns encoder and decoder for every link. That is hard to train, since both sides move. Now the bold move: *do
# not learn the encoder*. Let it be the noising process of notebook 03.
#
# | VAE | diffusion model |
# |---|---|
# | hidden $z$, a few numbers | hidden $x_1,\ldots,x_T$, each as large as the picture |
# | encoder $q(z\mid x)$, learned | noising $q(x_t\mid x_{t-1})$, fixed: shrink, add noise |
# | prior $p(z)=N(0,I)$ | $p(x_T)=N(0,I)$, which $q(x_T)$ nearly reaches by itself |
# | decoder $p(x\mid z)$, one network, one pass | $p(x_{t-1}\mid x_t)$, one network told the noise level, $T$ passes |
# | price of the message is traded against the explanation | encoder and $p(x_T)$ are both fixed, so one share of the price is, $\mathrm{KL}(q(x_T\mid x_0)\Vert p(x_T))$; the rest, one KL a step (section 7), is what the network learns to make small |
#
# The encoder's law of the whole chain, given the picture, is a product of kernels:
#
# $$q(x_1,\ldots,x_T\mid x_0)=\prod_{t=1}^Tq(x_t\mid x_{t-1}). \tag{04.14}$$
#
# For one-number pictures all of this is one big Gaussian, which can be written down at once: means $\alpha_tx_0$, and
# covariance of $x_s$ and $x_t$ ($s\le t$) equal to $\frac{\alpha_t}{\alpha_s}\sigma_s^2$, because $x_t$ is $x_s$ scaled
# plus fresh noise. The check compares the two at a few chains.


# %% tags=["nbval-check-output"]
def walked(a_table, x_0, generator=rng):
    """Notebook 03's walk with fresh noise, one for each x_0 (B, ...): all its states, (T + 1, B, ...)."""
    return noising_path(x_0, a_table, torch.randn(int(a_table.end), *x_0.shape, generator=generator, dtype=x_0.dtype))


table = Table.of(Linear(), 3)
x_0 = 0.4 + 0.3 * torch.randn(6, 1, generator=rng, dtype=torch.float64)
states = walked(table, x_0)  # (4, 6, 1): x_0, x_1, x_2, x_3
product = sum(kernel(table(t - 1), table(t))(states[t - 1]).log_density(states[t]) for t in (1, 2, 3))
given = walk_joint(0.0, 0.0, table)  # of data that are always 0: the noise alone
shift = table.alpha[1:] * x_0
chain_law = Gaussian.from_moments(torch.zeros(3).double(), given.cov[1:, 1:])
equation("04.14", product, chain_law.log_density(states[1:, :, 0].T - shift))

# %% [markdown]
# And the model's law, from noise to picture:
#
# $$p(x_0,\ldots,x_T)=p(x_T)\prod_{t=1}^Tp(x_{t-1}\mid x_t). \tag{04.15}$$
#
# If every step back were exactly right, and $p(x_T)$ were $q(x_T)$, this would be the law of the noising walk, read from
# the other end. On Gaussian data we know the exact steps (section 8 derives them), so that can be tested: model chain
# against the joint law of data and walk. So that only the steps can be at fault, the prior is here $q(x_T)$ itself, which
# for these data is a Gaussian, nearly $N(0,1)$; sections 5, 7 and 8 keep this.

# %% tags=["nbval-check-output"]
exact_denoiser, exact_std = gaussian_denoiser(0.4, 0.3), partial(gaussian_step_std, 0.3)  # data N(0.4, 0.3**2)


def arrival(a_table, count):
    """q(x_T) for these data, the prior p(x_T) of `count` one-number pictures."""
    end = a_table(a_table.end)
    return Isotropic((0.4 * end.alpha).expand(count, 1), torch.hypot(0.3 * end.alpha, end.sigma))


from_noise = arrival(table, 6).log_density(states[3])
for t in (3, 2, 1):
    step_back = model_step(exact_denoiser, table, t, states[t], exact_std, exact_std(table(0), table(1)))
    from_noise = from_noise + step_back.log_density(states[t - 1])
equation("04.15", from_noise, walk_joint(0.4, 0.3, table).log_density(states[..., 0].T))

# %% [markdown]
# ### T = 1 is a VAE
#
# With one step, $z=x_1$, encoder $N(\alpha_1x_0,\sigma_1^2I)$, decoder $p(x_0\mid x_1)$. The bound is minus the ELBO of
# (04.7), the price minus the (log-)explanation:
#
# $$-\log p(x_0)\le\mathrm{KL}\bigl(q(x_1\mid x_0)\,\Vert\,p(x_1)\bigr)+\mathbb E_q\bigl[-\log p(x_0\mid x_1)\bigr]=-\text{ELBO}. \tag{04.16}$$
#
# The check computes the library's `bound` for diffusion models at $T=1$, and by hand a VAE with this encoder, on eight
# pictures of 12 numbers, with the same noise.

# %% tags=["nbval-check-output"]
one, pictures = Table.of(Linear(), 1), 0.4 + 0.3 * torch.randn(8, 12, generator=rng, dtype=torch.float64)
as_diffusion = bound(exact_denoiser, one, pictures, torch.Generator().manual_seed(9), decoder_std=0.3, levels=None)
noise = torch.randn(8, 12, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
mu, log_var = one.alpha[1] * pictures, (2 * one.sigma[1].log()).expand(8, 12)
decoded = exact_denoiser(mu + (0.5 * log_var).exp() * noise, one(1)).x0
by_hand = kl_to_standard(mu, log_var) - normal_log_density(
    pictures, decoded, torch.tensor(2 * math.log(0.3)).double().expand(8, 12)
)
equation("04.16", as_diffusion.total, by_hand)

# %% [markdown]
# <details><summary><b>Question.</b> Our trained VAE spent five to six nats on its message. How many nats does the encoder of the T = 1
# diffusion model spend, if it ends in almost pure noise? And what does that leave for the decoder?</summary>
#
# Almost none: $q(x_1\mid x_0)\approx N(0,I)=p(x_1)$ for every picture. No message, so the decoder can only offer the
# mean picture: this VAE is useless. The nats have to be handed out along a *chain*: a little per step, where each step
# needs only a small decision. In a diffusion model the messages are the $x_t$ themselves, and what they cost is one KL a
# step (section 7).
# </details>
#
# ### What can be computed
#
# Before we derive anything, it pays to know which of the many densities are at hand. "Tractable" means: there is a
# formula that you can evaluate for a given picture, without a sum over all data.
#
# | under the noising process $q$ | tractable? | why |
# |---|---|---|
# | $q(x_t\mid x_{t-1})$, $q(x_t\mid x_s)$ | yes | the kernel of 03: we chose it |
# | $q(x_t\mid x_0)$ | yes | the jump of 03 |
# | $q(x_s\mid x_t,x_0)$ | yes | the bridge of 03, by Bayes' rule with $x_0$ known |
# | $q(x_0)$, $q(x_t)$ | **no** | the law of all pictures, known by samples only |
# | $q(x_s\mid x_t)$ | **no** | Bayes' rule needs $q(x_s)$: depends on all the data (section 6) |
#
# | under the model $p$ | tractable? | why |
# |---|---|---|
# | $p(x_T)$ | yes | $N(0,I)$: we chose it |
# | $p(x_{t-1}\mid x_t)$ | yes | a Gaussian around the network's output |
# | $p(x_t)$ for $t<T$, so also $p(x_0)$ | **no** | an integral over all chains that lead there |
# | $p(x_t\mid x_{t-1})$, $p(x_1,\ldots,x_T\mid x_0)$ | **no** | Bayes' rule needs the row above |
#
# Every line of the two derivations below moves from the "no" rows to the "yes" rows.

# %% [markdown]
# ## 5. First derivation, and a false line
#
# *Jensen's inequality, applied to the whole chain at once; then nothing but bookkeeping.*
#
# | | line | reason |
# |---|---|---|
# | 1 | $-\log p(x_0)=-\log\int p(x_0,\ldots,x_T)\,\mathrm dx_1\cdots\mathrm dx_T$ | the hidden ones are integrated out |
# | 2 | $=-\log\mathbb E_q\Bigl[\frac{p(x_0,\ldots,x_T)}{q(x_1,\ldots,x_T\mid x_0)}\Bigr]$ | importance sampling (04.5), $z=(x_1,\ldots,x_T)$ |
# | 3 | $\le\mathbb E_q\Bigl[-\log\frac{p(x_0,\ldots,x_T)}{q(x_1,\ldots,x_T\mid x_0)}\Bigr]$ | Jensen, for the convex $-\log$ |
# | 4 | $=\mathbb E_q\Bigl[-\log p(x_T)-\sum_{t=1}^T\log\frac{p(x_{t-1}\mid x_t)}{q(x_t\mid x_{t-1})}\Bigr]$ | the products (04.14), (04.15); the log of a product is a sum |
#
# Every density in line 4 is in a "yes" row. What line 3 gave away is, by (04.6), a KL between two laws of chains:
#
# $$-\log p(x_0)=\mathbb E_q\Bigl[-\log p(x_T)-\sum_{t=1}^T\log\frac{p(x_{t-1}\mid x_t)}{q(x_t\mid x_{t-1})}\Bigr]-\mathrm{KL}\bigl(q(x_1,\ldots,x_T\mid x_0)\,\Vert\,p(x_1,\ldots,x_T\mid x_0)\bigr). \tag{04.17}$$
#
# For one-number pictures both sides can be had. Take data $N(0.4,0.3^2)$, three steps, the prior $q(x_T)$, the exact
# denoiser, but as the variance of a step $\beta_t$, that of the forward step, which Ho et al. used (and $\sigma_1^2$ for the
# last step), so that the model is *not* exact. The model is a Gaussian in
# $(x_0,\ldots,x_3)$; notebook 02 conditions it on $x_0=0.9$. The expectation is taken over 400,000 walks.

# %% tags=["nbval-check-output"]
seen = torch.tensor([0.9]).double()
model_law = model_joint(0.4, 0.3, table, "beta", table.sigma[1])
first_row = torch.eye(4, dtype=torch.float64)[:1]
known = condition(model_law, seen, torch.zeros(1, 1).double(), observe=first_row)  # p(x_1, x_2, x_3 | x_0)
backwards = Gaussian.from_moments(known.mean[1:], known.cov[1:, 1:])
forwards = Gaussian.from_moments(table.alpha[1:] * 0.9, chain_law.cov)
model_x0 = Isotropic(model_law.mean[:1, None], model_law.cov[0, 0].sqrt())
from_one = walked(table, seen.expand(400_000, 1))
terms = derivations(exact_denoiser, table, from_one, "beta", None, arrival(table, 400_000))
equation("04.17", -model_x0.log_density(seen[None])[0], terms.path.mean() - kl(forwards, backwards), rtol=5e-3)

# %% tags=["nbval-check-output"]
print(
    f"-log p(x_0) = {-float(model_x0.log_density(seen[None])):.3f}, the bound {float(terms.path.mean()):.3f}, the gap {float(kl(forwards, backwards)):.3f} nats"
)

# %% [markdown]
# ### The constants, kept
#
# In line 4 the $\log q(x_t\mid x_{t-1})$ contain no parameters: for training they can be dropped, and many texts drop
# them without a word. For a *number* they are needed. Their mean is minus the entropy of the noise of one step (in $d$
# dimensions, $\beta_t=\sigma_t^2-\frac{\alpha_t^2}{\alpha_{t-1}^2}\sigma_{t-1}^2$):
#
# $$\mathbb E_q\bigl[\log q(x_t\mid x_{t-1})\bigr]=-\tfrac d2\log(2\pi e\,\beta_t). \tag{04.18}$$
#
# ($\log N(x_t;\cdot,\beta_tI)=-\frac d2\log(2\pi\beta_t)-\frac{\lVert\text{noise}\rVert^2}{2\beta_t}$, and the mean of
# $\lVert\text{noise}\rVert^2$ is $d\beta_t$.)

# %% tags=["nbval-check-output"]
equation("04.18", terms.forward.mean(1), -0.5 * torch.log(2 * math.pi * math.e * table.betas), rtol=5e-3)

# %% [markdown]
# What remains for the network is one term a step. With $p(x_{t-1}\mid x_t)=N(m_\theta(x_t),\,b_t^2I)$,
#
# $$-\log p(x_{t-1}\mid x_t)=\frac{\lVert x_{t-1}-m_\theta(x_t)\rVert^2}{2b_t^2}+\frac d2\log(2\pi b_t^2). \tag{04.19}$$
#
# Read it again: *show the network a noisy picture, ask for the one a step earlier, square the difference.* It is
# notebook 01's first algorithm, now with a reason and with a weight, $1/(2b_t^2)$, that nobody had to guess.
#
# > **Algorithm 3** (first derivation). Repeat: draw a picture $x_0$ and a step $t$ of $1,\ldots,T$, all equally likely;
# > walk to $x_{t-1}$, and one step on to $x_t$; take a gradient step on $\lVert x_{t-1}-m_\theta(x_t)\rVert^2/(2b_t^2)$.
#
# With fixed $b_t$ it is **unbiased**: its average is the bound's gradient, divided by $T$ (which only rescales the
# learning rate). And it is **loud**: the target $x_{t-1}$ holds fresh noise
# that nobody can predict, and the gradient carries it along. Section 7 measures how loud.

# %% tags=["nbval-check-output"]
target, m_theta, b = (torch.randn(5, 12, generator=rng, dtype=torch.float64) for _ in range(3))
b = b[0, :1].abs()
squares = (target - m_theta).square().sum(1) / (2 * b**2) + 6 * torch.log(2 * math.pi * b**2)
equation("04.19", -Isotropic(m_theta, b[0]).log_density(target), squares)

# %% [markdown]
# ### A version you will meet in print, and its false line
#
# It would be nice to have KL divergences instead of single logs: they are averages already taken. Several tutorials
# (for example Luo 2022, and lecture notes that follow it) regroup line 4 so that the two densities *of the same
# picture* $x_t$ stand together:
#
# | | line | reason given |
# |---|---|---|
# | A | $\mathbb E_q\bigl[-\log p(x_T)-\sum_{t=1}^T\log\frac{p(x_{t-1}\mid x_t)}{q(x_t\mid x_{t-1})}\bigr]$ | line 4 above |
# | B | $\mathbb E_q\bigl[-\log p(x_0\mid x_1)+\log\frac{q(x_T\mid x_{T-1})}{p(x_T)}+\sum_{t=1}^{T-1}\log\frac{q(x_t\mid x_{t-1})}{p(x_t\mid x_{t+1})}\bigr]$ | regrouped: $p(x_t\mid x_{t+1})$ is the old sum's term $t+1$ |
# | C | the same, as a sum of $T+1$ expectations, each over the variables in it | expectations add |
# | D | in C, the second term is $\mathbb E_{q(x_{T-1}\mid x_0)}\bigl[\mathrm{KL}(q(x_T\mid x_{T-1})\Vert p(x_T))\bigr]$ | the mean over $x_T$, given $x_{T-1}$, taken first |
# | E | in C, term $t$ of the sum is $\mathbb E_{q(x_{t-1},x_{t+1}\mid x_0)}\bigl[\mathrm{KL}(q(x_t\mid x_{t-1})\Vert p(x_t\mid x_{t+1}))\bigr]$ | the mean over $x_t$ taken first |
#
# They call the terms of E "consistency terms": coming from the left or from the right, $x_t$ should have the same
# distribution. It sounds convincing, and one line is false. Before you look: which? Each line is a number. So measure
# all of them, on Gaussian data, five steps, with the exact model, for which we know that A must be the mean of $-\log
# p(x_0)$.

# %%
five = Table.of(Linear(), 5)
many = 200_000
walks = walked(five, 0.4 + 0.3 * torch.randn(many, 1, generator=rng, dtype=torch.float64))
start = arrival(five, many)
back = {t: model_step(exact_denoiser, five, t, walks[t], exact_std, exact_std(five(0), five(1))) for t in range(1, 6)}
ahead = {t: kernel(five(t - 1), five(t))(walks[t - 1]) for t in range(1, 6)}
log_p_back = {t: back[t].log_density(walks[t - 1]) for t in back}  # log p(x_{t-1} | x_t)
log_q_ahead = {t: ahead[t].log_density(walks[t]) for t in ahead}  # log q(x_t | x_{t-1})
log_p_end = start.log_density(walks[5])

# %% tags=["nbval-check-output"]
ends = -log_p_back[1]  # -log p(x_0 | x_1)
middles = {t: log_q_ahead[t] - log_p_back[t + 1] for t in range(1, 5)}
lines = {
    "A": (-log_p_end - sum(log_p_back[t] - log_q_ahead[t] for t in range(1, 6))).mean(),
    "B": (ends + log_q_ahead[5] - log_p_end + sum(middles.values())).mean(),
    "C": ends.mean() + (log_q_ahead[5] - log_p_end).mean() + sum(term.mean() for term in middles.values()),
    "D": ends.mean() + ahead[5].kl(start).mean() + sum(term.mean() for term in middles.values()),
    "E": ends.mean() + ahead[5].kl(start).mean() + sum(ahead[t].kl(back[t + 1]).mean() for t in range(1, 5)),
}
for name, value in lines.items():
    print(f"line {name}: {float(value):6.3f} nats")
print(f"exact:  {0.5 * math.log(2 * math.pi * math.e * 0.09):6.3f} nats, the mean of -log p(x_0)")

# %% [markdown]
# A to D agree with the exact value, within the error of 200,000 walks. **E is false**, and by more than the thing it
# computes. Here are its terms beside those of C, one by one:

# %% tags=["nbval-check-output"]
for t in range(1, 5):
    both = float(middles[t].mean()), float(ahead[t].kl(back[t + 1]).mean())
    print(f"t = {t}: log q - log p, averaged over walks {both[0]:.3f};   as a KL {both[1]:.3f}")

# %% [markdown]
# What went wrong? "The mean over $x_t$ taken first" means: hold $x_{t-1}$ and $x_{t+1}$ fixed and average over $x_t$.
# But in a walk, an $x_t$ *between* two known neighbours is not distributed as $q(x_t\mid x_{t-1})$. It is drawn from
# $q(x_t\mid x_{t-1},x_{t+1})$, since $x_{t+1}$ was made from it. The KL in E draws $x_t$ without looking at $x_{t+1}$:
# **it drops a dependence.** (In D nothing comes after $x_T$, so D is right.) The size of the error follows: with $c_t$
# the slope of the model's mean of $x_t$ as a function of $x_{t+1}$,
#
# $$\text{term of E}-\text{term of C}=\frac{c_t}{b_{t+1}^2}\,\mathrm{Cov}(x_t,x_{t+1}\mid x_{t-1})=\frac{c_t}{b_{t+1}^2}\,\frac{\alpha_{t+1}}{\alpha_t}\,\beta_t. \tag{04.20}$$
#
# <details><summary>Derivation</summary>
#
# | line | reason |
# |---|---|
# | let $x_t'$ be a fresh draw from $q(x_t\mid x_{t-1})$ | this is what the KL averages over |
# | $\log q(x_t'\mid x_{t-1})$ and $\log q(x_t\mid x_{t-1})$ have the same mean | same law given $x_{t-1}$ |
# | so E − C $=\frac1{2b^2}\mathbb E\bigl[(x_t'-m)^2-(x_t-m)^2\bigr]$, $m=m(x_{t+1})$ | (04.19); the constants cancel |
# | $=\frac1{b^2}\mathbb E[(x_t-x_t')\,m]$ | multiply out; $x_t^2$ and $x_t'^2$ have the same mean, $m^2$ cancels |
# | $=\frac1{b^2}\mathbb E\bigl[\mathrm{Cov}(x_t,m\mid x_{t-1})\bigr]$ | given $x_{t-1}$, $x_t'$ has the mean of $x_t$ and is independent of $m$ |
# | $=\frac{c}{b^2}\mathrm{Cov}(x_t,x_{t+1}\mid x_{t-1})$ | $m$ is affine in $x_{t+1}$ with slope $c$ |
# | $=\frac c{b^2}\frac{\alpha_{t+1}}{\alpha_t}\beta_t$ | $x_{t+1}=\frac{\alpha_{t+1}}{\alpha_t}x_t+$ fresh noise, and $x_t$ varies by $\beta_t$ given $x_{t-1}$ |
#
# ∎
# </details>

# %% tags=["nbval-check-output"]
difference, predicted = [], []
for t in range(1, 5):
    two = torch.tensor([[0.0], [1.0]]).double()
    means = model_step(exact_denoiser, five, t + 1, two, exact_std, None).mean[:, 0]
    covariance = kernel(five(t), five(t + 1)).scale * kernel(five(t - 1), five(t)).std ** 2
    difference.append((ahead[t].kl(back[t + 1]) - middles[t]).mean())
    predicted.append((means[1] - means[0]) * covariance / back[t + 1].std ** 2)
equation("04.20", sum(difference), sum(predicted), rtol=6e-3)

# %% [markdown]
# Is it harmful? A network that minimised E would be trained towards the wrong picture: towards an $x_t'$ that has
# never met the $x_{t+1}$ it is predicted from. The best straight line then has the slope $\frac{v_t-\beta_t}{v_t}$
# times the right one, $v_t$ being the variance of $x_t$ (its covariance with $x_{t+1}$ has lost the part $\beta_t$
# that fresh noise gave both):

# %% tags=["nbval-check-output"]
for t in range(1, 5):
    fresh = kernel(five(t - 1), five(t))(walks[t - 1]).sample(torch.randn(many, 1, generator=rng, dtype=torch.float64))
    moved = walks[t + 1] - walks[t + 1].mean()
    slopes = [float((x * moved).mean() / moved.square().mean()) for x in (walks[t], fresh)]
    print(f"t = {t}: best slope of x_t on x_t+1: {slopes[0]:.2f} with the true x_t, {slopes[1]:.2f} with E's")

# %% [markdown]
# <details><summary><b>Question.</b> Texts that print line E go on to say that its estimate may have a high variance, and
# derive another form. How could it stand in print that the two are equal?</summary>
#
# Because nobody needs it: nobody trains with it. The other form (section 7) is derived from line 4 again, not
# from E, so the mistake does no damage there. An equation that is never evaluated can be wrong for years. That is why
# every equation on this page has a cell.
# </details>
#
# ## 6. One step back depends on all the data
#
# *Without knowing the picture, where a noisy one came from is a question about everything that could be there.*
#
# The model's $p(x_s\mid x_t)$ should be like the true $q(x_s\mid x_t)$, for an earlier time $s<t$. By Bayes' rule
#
# $$q(x_s\mid x_t)=\frac{q(x_t\mid x_s)\,q(x_s)}{q(x_t)}. \tag{04.21}$$
#
# The kernel is a simple Gaussian. But $q(x_s)$ is the law of *all* noised data. What does the product look like? Take
# the smallest data set worth noising, two points: $x_0=-1$ or $+1$, equally often. Then every piece is known. The check
# normalises the product on a grid, and compares with $q(x_t)$ in the denominator.

# %% tags=["nbval-check-output"]
cosine, points, halves = Cosine(), torch.tensor([-1.0, 1.0]).double(), torch.tensor([0.5, 0.5]).double()
coins = Mixture(halves, points[:, None], torch.zeros(2).double())
now, before, x_t = cosine(0.5), cosine(0.25), torch.tensor([0.2]).double()
fine = torch.linspace(-6, 6, 6001, dtype=torch.float64)
product = kernel(before, now)(fine[:, None]).log_density(x_t[:, None]) + coins.log_density(fine[:, None], before)
normalised = product.exp() / (product.exp().sum() * (fine[1] - fine[0]))
shown = fine.abs() < 2
equation("04.21", normalised[shown], torch.exp(product - coins.log_density(x_t[:, None], now))[shown])

# %% [markdown]
# There is a shorter way to the same answer. If we knew which point it was, we would have 03's bridge. We do not know,
# but $x_t$ tells how likely each is. So the reverse conditional is a **mixture of bridges**. If $x_0$ is one of the points
# $a_k$, with probability $\pi_k$ (here $-1$ and $1$, one half each):
#
# $$q(x_s\mid x_t)=\sum_k\Pr(x_0=a_k\mid x_t)\;q(x_s\mid x_t,x_0=a_k),\qquad\Pr(x_0=a_k\mid x_t)\propto\pi_k\,e^{-(x_t-\alpha_ta_k)^2/2\sigma_t^2}. \tag{04.22}$$
#
# (Sum over what is not known: $q(x_s\mid x_t)=\sum_kq(x_s,x_0=a_k\mid x_t)$, and each summand is a product of two
# conditionals. The second formula is Bayes' rule with the jump.)

# %% tags=["nbval-check-output"]
parts = reverse_of_points(x_t, points, halves, before, now)  # probabilities, means, standard deviation
equation("04.22", mixture_log_density(fine[None], *parts)[0].exp()[shown], normalised[shown], rtol=1e-5)

# %% [markdown]
# For a million pictures instead of two points it is a mixture of a million bridges. No network outputs that. Yet our
# model's step is a single Gaussian. When is that good enough? **Scrub from a long step to a short one**: $t=0.5$ and
# $x_t=0.2$ stay, $s$ comes closer. The dashed line is the nearest Gaussian in the sense of (04.2), with the exact mean
# and variance. Look for the step at which you can no longer tell them apart.

# %%
lengths = torch.tensor([0.48, 0.45, 0.42, 0.38, 0.34, 0.30, 0.26, 0.22, 0.18, 0.14, 0.10, 0.06, 0.03]).double()
places = torch.linspace(-2.4, 2.4, 961, dtype=torch.float64)


def one_step_back(h):
    parts = reverse_of_points(x_t, points, halves, cosine(0.5 - h), now)
    centre, wide = nearest_gaussian(*parts)
    lines = {
        "q(x_s | x_t), exact": mixture_log_density(places[None], *parts)[0].exp(),
        "nearest Gaussian": Isotropic(centre[:, None], wide).log_density(places[:, None]).exp(),
    }
    alt = f"q(x_s | x_t) and its nearest Gaussian for a step of {h:.2f}"
    return plotting.curves(lines, x=places, xlabel="x_s", ylabel="density", size=(5.6, 3.2), alt=alt)


# %%
frames = [one_step_back(h) for h in lengths]
divergences = [
    float(kl_to_nearest_gaussian(*reverse_of_points(x_t, points, halves, cosine(0.5 - h), now))) for h in lengths
]
scrub(
    {"one step back": frames}, captions=[f"t = 0.50, s = {0.5 - h:.2f}, step {h:.2f}" for h in lengths], readout={"KL to nearest Gaussian": [float(f"{d:.2g}") for d in divergences]}, size=480,
    alt="As the step shrinks from 0.48 to 0.03 the exact reverse conditional turns from two narrow bumps at minus one and one into one bump that its nearest Gaussian covers",
)  # fmt: skip

# %% [markdown]
# A long step has to decide between the two points: two bumps. A short one postpones the decision: almost a Gaussian. How
# quickly? Average the KL over $x_t\sim q(x_t)$ and plot it against the step on logarithmic axes, where a power law is a
# straight line. What slope do you expect?

# %%
x_many = torch.linspace(-4.5, 4.5, 181, dtype=torch.float64)
density_t = coins.log_density(x_many[:, None], now).exp()
density_t /= density_t.sum()  # weights of the places x_t
steps = 0.4 * 0.5 ** torch.arange(10, dtype=torch.float64)
averaged, ratios, extra = [], [], []
for h in steps:
    parts = reverse_of_points(x_many, points, halves, cosine(0.5 - h), now)
    a, b = nearest_gaussian(*parts)[1], kernel(cosine(0.5 - h), now).std  # exact, at each x_t; forward step
    averaged.append(float((density_t * kl_to_nearest_gaussian(*parts)).sum()))
    ratios.append(float((density_t * a**2).sum() / b**2))
    extra.append(float((density_t * (torch.log(b / a) + a**2 / (2 * b**2) - 0.5)).sum()))
guide = [averaged[-1] * float(h / steps[-1]) ** 3 for h in steps]
plotting.curves(
    {"KL to the nearest Gaussian": averaged, "slope 3": guide}, x=steps, xscale="log", yscale="log", markers=True, xlabel="step t - s", ylabel="nats",
    alt="KL against step size on log axes: for small steps a straight line of slope 3, for long steps a little above it",
)  # fmt: skip

# %% tags=["nbval-check-output"]
logs = torch.tensor(averaged[-5:]).double().log(), steps[-5:].log()
slope = ((logs[0] - logs[0].mean()) * (logs[1] - logs[1].mean())).sum() / (logs[1] - logs[1].mean()).square().sum()
print(f"fitted rate over the five shortest steps: KL falls like step ** {float(slope):.3f}")
for h, ratio in zip(steps[::3], ratios[::3], strict=True):
    print(f"step {float(h):.3f}: variance of the reverse step / variance of the forward step = {ratio:.3f}")
print("\n  step   KL to nearest Gaussian   what beta as the variance adds   (thousandths of a nat)")
for h, near, more in list(zip(steps, averaged, extra, strict=True))[2:7]:
    print(f"{float(h):6.4f}   {1e3 * near:22.4f}   {1e3 * more:30.4f}")

# %% [markdown]
# Halve the step, and the error of a step of this kind falls by eight, while there are twice as many: four times less
# over a stretch of the chain, *if each step has the exact mean and variance for its $x_t$*. **Many small Gaussian steps
# can do what one Gaussian cannot.** The ratios say what the variance tends to: that of the forward step, $\beta$
# (Sohl-Dickstein et al. built on this and cite Feller 1949; for continuous time it is a theorem of Anderson 1982). So one
# may fix the variance and learn the mean only. But that has a price: at a step $h$, $\beta$ is off by a relative error of
# order $h$, so it costs of the order of $h^2$. The table's last column falls by four when the step is halved, and a chain
# that uses $\beta$ errs only two times less. (All this is at one time, $t=0.5$. For data that are points it does not reach
# the last step: there $q(x_0\mid x_t)$ is discrete, and no Gaussian is near in the sense of KL.)
#
# Where does the third power come from? The leading error of a nearly Gaussian law is its lopsidedness, the third
# cumulant $\kappa_3=\mathbb E[(x-\mathbb E x)^3]$. With $\rho$ the standard deviation of the law,
#
# $$\mathrm{KL}\ \approx\ \frac{\kappa_3^2}{12\,\rho^6}. \tag{04.23}$$
#
# <details><summary>Derivation, and why this is the third power of the step</summary>
#
# | line | reason |
# |---|---|
# | $p=q\,(1+\delta)$, with $\delta=\frac{\kappa_3}{6\rho^3}(u^3-3u)$, $u=\frac{x-\mathbb Ex}{\rho}$ | first term of the Gram-Charlier series: the smallest correction of the Gaussian $q$ that leaves area, mean and variance alone and gives the third cumulant $\kappa_3$, because $\mathbb E_q[u^3(u^3-3u)]=15-9=6$ |
# | $\mathrm{KL}=\mathbb E_q[(1+\delta)\log(1+\delta)]\approx\mathbb E_q[\delta+\frac12\delta^2]=\frac12\mathbb E_q[\delta^2]$ | Taylor: $(1+\delta)\log(1+\delta)=\delta+\frac{\delta^2}2-\ldots$; $\mathbb E_q[\delta]=0$ |
# | $\mathbb E_q[(u^3-3u)^2]=15-18+9=6$ | moments of a standard normal number: $\mathbb E u^6=15$, $\mathbb E u^4=3$, $\mathbb E u^2=1$ |
# | $\mathrm{KL}\approx\frac12\cdot\frac{\kappa_3^2}{36\rho^6}\cdot6=\frac{\kappa_3^2}{12\rho^6}$ | together |
# | $x_s=w_tx_t+w_0x_0+\tau\varepsilon$, so $\kappa_3=w_0^3\,\kappa_3(x_0\mid x_t)$ | the bridge; its noise is symmetric, and cumulants of independent summands add |
# | $w_0\propto h$ and $\rho^2\propto h$ for a short step $h$ | $w_0=\alpha_sV/\sigma_t^2$, and the kernel's variance $V$ grows like $h$; $\rho^2\approx V$ |
# | $\mathrm{KL}\propto h^6/h^3=h^3$ | |
#
# ∎
# </details>
#
# For $\pm1$ with probabilities $P,1-P$: $\kappa_3(x_0\mid x_t)=8P(1-P)(1-2P)$. The check is at the step 0.001,
# averaged over $x_t$.

# %% tags=["nbval-check-output"]
tiny = cosine(0.499)
chances, means, std = reverse_of_points(x_many, points, halves, tiny, now)
plus = chances[:, 1]
third = bridge_weights(tiny, now)[1] ** 3 * 8 * plus * (1 - plus) * (1 - 2 * plus)
spread = nearest_gaussian(chances, means, std)[1]
by_formula = (density_t * third**2 / (12 * spread**6)).sum() * 1e9
equation("04.23", (density_t * kl_to_nearest_gaussian(chances, means, std)).sum() * 1e9, by_formula, rtol=8e-3)

# %% [markdown]
# ### Exercise 04.4: the exact reverse conditional of two points (3 points)


# %% tags=["exercise-04.4"]
def step_back(
    x_t: Tensor, points: tuple[float, float], share: float, earlier: Marginal, later: Marginal
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (probabilities, means, std) of the two parts of q(x_s | x_t): shapes (B, 2), (B, 2) and ().

    x_t       noisy numbers, (B,)
    points    the data: x_0 is points[0] or points[1];  share  the probability of points[1]
    earlier   alpha, sigma at time s, and
    later     alpha, sigma at time t > s: each ()

    Column k belongs to points[k]. `of_x_t, of_x_0, std = bridge_weights(earlier, later)` are the bridge's two weights and
    its standard deviation. One case has |x_t| = 40 and hardly any noise: work with logarithms (`torch.softmax`).
    """
    ### BEGIN SOLUTION
    a = torch.tensor(points, dtype=x_t.dtype)
    prior = torch.tensor([1 - share, share], dtype=x_t.dtype)
    of_x_t, of_x_0, std = bridge_weights(earlier, later)
    logs = torch.log(prior) - (x_t[:, None] - later.alpha * a) ** 2 / (2 * later.sigma**2)
    return torch.softmax(logs, dim=1), of_x_t * x_t[:, None] + of_x_0 * a, std
    ### END SOLUTION


# %% tags=["check-04.4"]
check("04.4", step_back)

# %% [markdown]
# ## 7. Second derivation: condition on the picture
#
# *In training we do know the picture. Then the step back is a bridge, and averages can be taken by hand.*
#
# The trouble with line E was the average over one variable with both neighbours fixed. Here is a regrouping in which the
# average is honest. The trick: $x_t$ depends on $x_{t-1}$ alone, so adding $x_0$ as a condition changes nothing, but it
# makes Bayes' rule tractable:
#
# $$q(x_t\mid x_{t-1})=q(x_t\mid x_{t-1},x_0)=\frac{q(x_{t-1}\mid x_t,x_0)\;q(x_t\mid x_0)}{q(x_{t-1}\mid x_0)}. \tag{04.24}$$
#
# Three Gaussians on the right, all known: bridge, jump, jump.

# %% tags=["nbval-check-output"]
t = 3
x_0, x_s, x_t = walks[0, :8], walks[t - 1, :8], walks[t, :8]
through_bridge = bridge(five(t - 1), five(t), x_0, x_t).log_density(x_s)
jump_t = Isotropic(five.alpha[t] * x_0, five.sigma[t]).log_density(x_t)
jump_s = Isotropic(five.alpha[t - 1] * x_0, five.sigma[t - 1]).log_density(x_s)
equation("04.24", kernel(five(t - 1), five(t))(x_s).log_density(x_t), through_bridge + jump_t - jump_s)

# %% [markdown]
# From line 4 of the first derivation:
#
# | | line | reason |
# |---|---|---|
# | 5 | $\mathbb E_q\Bigl[-\log p(x_T)-\log\frac{p(x_0\mid x_1)}{q(x_1\mid x_0)}-\sum_{t=2}^T\log\frac{p(x_{t-1}\mid x_t)}{q(x_t\mid x_{t-1})}\Bigr]$ | line 4; the term $t=1$ apart, where (04.24) would divide by $q(x_0\mid x_0)$ |
# | 6 | the sum is $\sum_{t=2}^T\log\frac{p(x_{t-1}\mid x_t)}{q(x_{t-1}\mid x_t,x_0)}+\sum_{t=2}^T\log\frac{q(x_{t-1}\mid x_0)}{q(x_t\mid x_0)}$ | (04.24) for each $t\ge2$ |
# | 7 | the last sum is $\log q(x_1\mid x_0)-\log q(x_T\mid x_0)$ | it telescopes: each $q(x_t\mid x_0)$ with $1<t<T$ comes once above and once below |
# | 8 | $\mathbb E_q\Bigl[\log\frac{q(x_T\mid x_0)}{p(x_T)}+\sum_{t=2}^T\log\frac{q(x_{t-1}\mid x_t,x_0)}{p(x_{t-1}\mid x_t)}-\log p(x_0\mid x_1)\Bigr]$ | 6 and 7 in 5; $\log q(x_1\mid x_0)$ cancels |
# | 9 | in 8, the mean of term $t$ over $x_{t-1}$, with $x_t$ and $x_0$ held fixed, is a KL | in a walk from $x_0$, given $x_t$, the law of $x_{t-1}$ *is* $q(x_{t-1}\mid x_t,x_0)$, and nothing else in the term depends on $x_{t-1}$ |
#
# Line 9 is where E went wrong and this is right. The result, in this form in Ho et al. (2020, equation
# 5), after Sohl-Dickstein et al. (2015):
#
# $$L=\underbrace{\mathrm{KL}\bigl(q(x_T\mid x_0)\,\Vert\,p(x_T)\bigr)}_{L_T}+\sum_{t=2}^T\underbrace{\mathbb E_{q(x_t\mid x_0)}\,\mathrm{KL}\bigl(q(x_{t-1}\mid x_t,x_0)\,\Vert\,p(x_{t-1}\mid x_t)\bigr)}_{L_{t-1}}+\underbrace{\mathbb E_{q(x_1\mid x_0)}\bigl[-\log p(x_0\mid x_1)\bigr]}_{L_0}. \tag{04.25}$$
#
# *A prior term that no network can change, one KL between two Gaussians for each step, a reconstruction.* Nothing was
# given away since line 3, so it is the same number as the first derivation's. The check has it by two routes for
# Gaussian data and the variance $\beta$: the left side averages (04.25) term by term in closed form; the right side is
# the first derivation, (04.17) to (04.19), averaged in closed form.

# %%
steps, later_steps = torch.arange(1, 6), torch.arange(2, 6)
s_level, t_level = five(later_steps - 1), five(later_steps)
spread_T = torch.hypot(0.3 * five.alpha[5], five.sigma[5])  # of x_T; the prior is q(x_T) here
b = torch.cat([five.sigma[1:2], kernel(s_level, t_level).std])  # the model's: sigma_1, then beta
a = gaussian_step_std(0.3, five(steps - 1), five(steps))  # the true ones, of x_{t-1} once x_t is seen
cross_entropies = 0.5 * torch.log(2 * math.pi * b**2) + 0.5 * (a / b) ** 2  # means of -log p(x_{t-1} | x_t)
entropies = 0.5 * torch.log(2 * math.pi * math.e * torch.cat([spread_T[None] ** 2, five.betas]))
first_sum = entropies[0] + cross_entropies.sum() - entropies[1:].sum()

# %% tags=["nbval-check-output"]
left_over = 1 / (1 / 0.09 + five(steps).snr)  # variance of x_0 once x_t is seen: the error of the best guess
_, of_x_0, tau_t = bridge_weights(s_level, t_level)
L_T = torch.log(spread_T / five.sigma[5])
L_steps = torch.log(b[1:] / tau_t) + (tau_t**2 + of_x_0**2 * left_over[1:]) / (2 * b[1:] ** 2) - 0.5
L_0 = 0.5 * torch.log(2 * math.pi * b[0] ** 2) + left_over[0] / (2 * b[0] ** 2)
equation("04.25", L_T + L_steps.sum() + L_0, first_sum)

# %% [markdown]
# ### Same mean, different noise
#
# Three ways to estimate the bound from one walk per picture: the **path** (line 4 as it is, with the sampled $\log
# q$), the **first** derivation with its constants (Algorithm 3's loss plus (04.18)), and the **second** (04.25). The
# picture is always $x_0=0.9$, so all the spread you see comes from the walks. Which one would you train with?

# %% tags=["nbval-check-output"]
for T in (3, 10, 100):
    steps_table = Table.of(Linear(), T)
    fixed = walked(steps_table, torch.full((20_000, 1), 0.9).double(), torch.Generator().manual_seed(T))
    found = derivations(exact_denoiser, steps_table, fixed, "beta", None, arrival(steps_table, 20_000))
    estimates = {"path": found.path, "first": found.first, "second": found.second}
    print(f"T = {T:3d}: " + ";  ".join(f"{name} {float(v.mean()):.3f} ± {float(v.std() / 20_000**0.5):.3f}, std {float(v.std()):.3f}" for name, v in estimates.items()))  # fmt: skip
    apart = found.path - found.second, found.first - found.second
    differences = [f"{float(d.mean()):6.3f} ± {float(d.std() / 20_000**0.5):.3f}" for d in apart]
    print(f"         walk by walk: path - second {differences[0]};  first - second {differences[1]}")
    print(
        f"         variance of the first / variance of the second: {float(found.first.var() / found.second.var()):.3f}"
    )

# %% [markdown]
# All three agree, their differences being within two standard errors of 0; their variances do not. The first is by far the
# loudest, and grows louder with $T$. So does the second: at $T=100$ the path is even seven times quieter than it (the second's terms at
# the clean end carry large weights). The path is quiet *as a number*, because the sampled $\log q$ cancels most of the
# noise in $\log p$; with the exact model it is even the same for every walk from $x_0$, namely $-\log p(x_0)$ (section 8 shows
# it). But training needs gradients, and there $\log q$ has none: **the path's gradient is the first derivation's
# gradient**, noise and all.
#
# For the gradient one step's term suffices. The second derivation replaces the target $x_{t-1}$ by its mean $m$, the
# bridge's. That this changes nothing on average is a very old identity of statistics (mean square = squared mean +
# variance):
#
# $$\mathbb E_{q(x_{t-1}\mid x_t,x_0)}\lVert x_{t-1}-m_\theta(x_t)\rVert^2=\lVert m-m_\theta(x_t)\rVert^2+d\,\tau^2. \tag{04.26}$$
#
# ($x_{t-1}=m+\tau\varepsilon$ in $d$ dimensions; the mixed term has mean 0.)

# %% tags=["nbval-check-output"]
here = bridge(cosine(0.45), cosine(0.5), torch.full((1, 12), 0.3).double(), torch.full((1, 12), 0.7).double())
m_theta = here.mean + 0.05
landed = here.mean + here.std * torch.randn(200_000, 12, generator=rng, dtype=torch.float64)
right_side = (here.mean - m_theta).square().sum() + 12 * here.std**2
equation("04.26", (landed - m_theta).square().sum(1).mean(), right_side, rtol=4e-3)

# %% [markdown]
# Now the measurement: the gradient of each term with respect to the network's guess $\hat x_0$ (moved by the same
# amount for all walks), 20,000 walks on a hundred steps, exact denoiser. Look at the distance between the curves: it
# is on a logarithmic axis.

# %%
hundred = Table.of(Linear(), 100)
many_walks = walked(hundred, 0.4 + 0.3 * torch.randn(20_000, 1, generator=rng, dtype=torch.float64))
at = list(range(2, 101, 2))
noise_of = [[float(g.std()) for g in target_gradients(exact_denoiser, hundred, many_walks, t)] for t in at]
plotting.curves(
    {"first: target is the sampled x_(t-1)": [row[0] for row in noise_of], "second: target is the bridge's mean": [row[1] for row in noise_of]},
    x=at, yscale="log", xlabel="t", ylabel="standard deviation of the gradient",
    alt="Noise of the gradient over t on a log axis: the first derivation's lies above the second's, close together at the clean end and by several powers of ten apart at the noisy end",
)  # fmt: skip

# %% tags=["nbval-check-output"]
for t in (2, 5, 20, 50):
    loud, quiet = target_gradients(exact_denoiser, hundred, many_walks, t)
    means = f"means {float(loud.mean() / loud.std()):6.3f} and {float(quiet.mean() / quiet.std()):6.3f} standard deviations from 0"
    print(
        f"t = {t:2d}: variance of the first / variance of the second = {float(loud.var() / quiet.var()):9.3f};  {means}"
    )

# %% [markdown]
# Both gradients have mean 0 here, as they must at the optimum. At the clean end the first is hardly noisier than the second
# (1.5 times in variance at $t=2$); at $t=50$ its *variance* is a thousand times larger: the network is asked for a picture
# that is nearly all fresh noise. *The same gradient in expectation, the same optimum, and a quieter teacher.* This is a
# good reason to train with the second form, and practice does. (There is another one: for the second form $x_t$ comes by
# one jump, without a walk.)
#
# ### Exercise 04.5: one term of the bound (3 points)


# %% tags=["exercise-04.5"]
def bound_term(
    x_0: Tensor, x0_hat: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal, model_std: Tensor
) -> Tensor:
    """Return KL(q(x_s | x_t, x_0) || p(x_s | x_t)) in nats, (B,), summed over all dimensions but the first.

    x_0        clean pictures (B, ...);  x0_hat  the network's guesses, (B, ...);  x_t  noisy pictures (B, ...)
    earlier    alpha, sigma at time s > 0, and
    later      alpha, sigma at time t > s: each () or (B,)
    model_std  the standard deviation of p(x_s | x_t), () or (B,); its mean is the bridge's, with x0_hat in place of x_0

    `of_x_t, of_x_0, std = bridge_weights(earlier, later)` belong to the bridge. `per_sample(number, x_t)` shapes () or
    (B,) so that it multiplies pictures. Mind that the two standard deviations may differ.
    """
    ### BEGIN SOLUTION
    of_x_t, of_x_0, std = (per_sample(weight, x_t) for weight in bridge_weights(earlier, later))
    wide = per_sample(model_std, x_t)
    apart = of_x_0 * (x_0 - x0_hat)  # the part of x_t is the same in both means
    terms = torch.log(wide / std) + (std**2 + apart**2) / (2 * wide**2) - 0.5
    return terms.flatten(1).sum(1)
    ### END SOLUTION


# %% tags=["check-04.5"]
check("04.5", bound_term)

# %% [markdown]
# ### Exercise 04.6: the weight of a squared error (2 points)
#
# If the model uses the bridge's own standard deviation, the two Gaussians of 04.5 differ in their means only, and the
# KL is a number times $\lVert x_0-\hat x_0\rVert^2$. Find that number, from alpha and sigma at the two times. It
# becomes surprisingly short; section 10 shows what it means, so try before you read on.


# %% tags=["exercise-04.6"]
def error_weight(earlier: Marginal, later: Marginal) -> Tensor:
    """Return w with KL(q(x_s | x_t, x_0) || p(x_s | x_t)) = w |x_0 - x0_hat|**2 in nats, where |.|**2 is the sum over pixels.

    earlier  alpha, sigma at time s > 0, and
    later    alpha, sigma at time t > s: each () or (B,); so is the answer.
    Do not assume alpha**2 + sigma**2 = 1. p has the bridge's standard deviation.
    """
    ### BEGIN SOLUTION
    return 0.5 * ((earlier.alpha / earlier.sigma) ** 2 - (later.alpha / later.sigma) ** 2)
    ### END SOLUTION


# %% tags=["check-04.6"]
check("04.6", error_weight)

# %% [markdown]
# ### The last term, for pixels
#
# $L_0$ averages $-\log p(x_0\mid x_1)$, and we want it to be the probability of a picture, not for a density. Pixels come in 256 levels, in
# our scale $\Delta=2/255$ apart. A *density* at a level can be made as large as you like by narrowing the Gaussian: on
# pixels that are mostly exactly $-1$, "the likelihood" would go to infinity. So give each level its bin (Ho et al.
# 2020, equation 13), with the outermost bins reaching to infinity, so that all is spent on levels that exist. For one
# pixel:
#
# $$p(x\mid x_1)=\Phi\Bigl(\frac{x+\frac\Delta2-\hat x_0}{b}\Bigr)-\Phi\Bigl(\frac{x-\frac\Delta2-\hat x_0}{b}\Bigr). \tag{04.27}$$
#
# Here $\Phi$ is the standard normal's distribution function, $\hat x_0$ the guess from $x_1$, and $b$ a standard
# deviation of the decoder's own; at $x=1$ the first $\Phi$ is 1, at $x=-1$ the second is 0. Pixels are independent given
# $x_1$, so a picture's probability is the product over its pixels, and minus its logarithm a sum. The check adds up a fine grid of the density over five bins, and the sum over all
# levels must be 1.

# %% tags=["nbval-check-output"]
guess_0, width = torch.tensor([[0.1]]).double(), 0.05
levels = torch.linspace(-1, 1, 256, dtype=torch.float64)[:, None]
of_levels = torch.exp(-decoder_term(levels, guess_0.expand(256, 1), width))
inside = levels[140:145] + torch.linspace(-1 / 255, 1 / 255, 2001, dtype=torch.float64)
area = torch.trapezoid(
    torch.exp(-0.5 * ((inside - 0.1) / width) ** 2) / (width * math.sqrt(2 * math.pi)), inside, dim=1
)
equation("04.27", (*of_levels[140:145], of_levels.sum()), (*area, 1.0), rtol=1e-5)

# %% [markdown]
# Written naively the difference of two $\Phi$ is $1-1=0$ for a pixel far from the guess, and its log is $-\infty$: one
# bad pixel makes the whole picture "impossible". In the tails one has to subtract *logarithms*: with $a<b$ both far to
# the left, $\log(\Phi(b)-\Phi(a))=\log\Phi(b)+\log\bigl(1-e^{\log\Phi(a)-\log\Phi(b)}\bigr)$. And far to the right use
# the mirror image: the area between $a$ and $b$ is that between $-b$ and $-a$.
#
# ### Exercise 04.7: the discretised decoder, safe in the tails (3 points)
#
# The body is scaffolded: bins and mirror are there, and what is missing is the logarithm of the area, the sum, and the
# bits.


# %% tags=["exercise-04.7"]
def decoder_cost(x_0: Tensor, x0_hat: Tensor, std: float, levels: int) -> tuple[Tensor, Tensor]:
    """Return -log p(x_0 | x_1) of each picture in nats, (B,), and in bits per dimension, (B,).

    x_0     pictures (B, ...) whose pixels lie on `levels` equally spaced levels from -1 to 1
    x0_hat  the decoder's mean, (B, ...);  std  its standard deviation, above 0

    `torch.special.log_ndtr(u)` is the logarithm of the standard normal's distribution function, right however small it is.
    Bits per dimension: divide the nats of a picture by log 2 and by the number of its pixels.
    """
    half = 1 / (levels - 1)  # half a bin
    lower = torch.where(x_0 - half < -1, -math.inf, (x_0 - half - x0_hat) / std)
    upper = torch.where(x_0 + half > 1, math.inf, (x_0 + half - x0_hat) / std)
    flip = lower > -upper  # a bin right of the mean: use its mirror image
    lower, upper = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
    ### BEGIN SOLUTION
    below, whole = torch.special.log_ndtr(lower), torch.special.log_ndtr(upper)
    nats = -(whole + torch.log(-torch.expm1(below - whole))).flatten(1).sum(1)
    return nats, nats / (math.log(2) * x_0[0].numel())
    ### END SOLUTION


# %% tags=["check-04.7"]
check("04.7", decoder_cost)

# %% [markdown]
# ## 8. A world in which everything is exact
#
# *On Gaussian data we can compute every $q(x_s\mid x_t)$, so we can see what the model's variance is worth.*
#
# Data $N(0.4,0.3^2)$ again. Everything is Gaussian, so $q(x_s\mid x_t)$ is exactly Gaussian at *every* step length,
# and the exact denoiser gives its mean. What remains is to choose the standard deviation $b$ of the model's step. Let
# $a$ be that of $q(x_s\mid x_t)$. Two Gaussians with the same mean are compared at each step, so what the bound loses
# on average is
#
# $$\mathbb E[L]-\mathbb E[-\log q(x_0)]=\sum_{t=1}^T\Bigl(\log\frac{b_t}{a_t}+\frac{a_t^2}{2b_t^2}-\frac12\Bigr), \tag{04.28}$$
#
# per dimension, with the prior $q(x_T)$ and $q(x_0)$ the data's density. (At $t=1$, the decoder, $\tilde\beta$ would be
# 0; there $b_1=\sigma_1$ under either choice of variance.) (By (04.6) and (04.15) the left side is the KL
# between the laws of the two chains. Read backwards both are Markov chains that start in $q(x_T)$, and the KL of two
# such chains is the sum of the KLs of their steps, averaged over where they are.) The check
# computes that KL of two Gaussians on $\mathbb R^{11}$ by notebook 02's formula, with full covariance matrices.

# %% tags=["nbval-check-output"]
ten = Table.of(Linear(), 10)
left_side = tuple(
    kl(walk_joint(0.4, 0.3, ten), model_joint(0.4, 0.3, ten, choice, ten.sigma[1])) for choice in ("beta", "bridge")
)
equation("04.28", left_side, (gaussian_gap(0.3, ten, "beta"), gaussian_gap(0.3, ten, "bridge")), rtol=1e-6)

# %% [markdown]
# ### The right variance
#
# By notebook 02's conditioning: before seeing $x_t$, $x_s$ has variance $v_s=\alpha_s^2\sigma_d^2+\sigma_s^2$, with
# $\sigma_d$ the standard deviation of the data (0.3 here); $x_t$ is
# $x_s$ times $r=\alpha_t/\alpha_s$ plus noise of variance $V$ (which is $\beta$ for one step); and $x_t$ itself has
# variance $v_t=r^2v_s+V$. So
#
# $$a^2=v_s-\frac{(rv_s)^2}{v_t}=V\,\frac{v_s}{v_t},\qquad v=\alpha^2\sigma_d^2+\sigma^2. \tag{04.29}$$
#
# (First form: prior variance minus what was learnt. Common denominator: $\frac{v_s(v_t-r^2v_s)}{v_t}$, and the bracket
# is $V$.)

# %% tags=["nbval-check-output"]
s_level, t_level = ten(6), ten(7)
v_s = (s_level.alpha * 0.3) ** 2 + s_level.sigma**2
step = kernel(s_level, t_level)
learnt = condition(
    Gaussian.spherical(torch.zeros(1).double(), float(v_s.sqrt())),
    torch.ones(1).double(),
    (step.std**2).reshape(1, 1),
    observe=step.scale.reshape(1, 1),
)
equation("04.29", gaussian_step_std(0.3, s_level, t_level) ** 2, learnt.cov[0, 0])

# %% [markdown]
# Two special cases are famous. Data that are **one point** ($\sigma_d=0$): $v=\sigma^2$, and
# $a^2=V\sigma_s^2/\sigma_t^2$, the bridge's variance, Ho et al.'s $\tilde\beta$. **Standard normal data**
# ($\sigma_d=1$, variance preserving): $v=1$ always, and $a^2=V=\beta$. Gaussian data with
# $0<\sigma_d<1$ are between. So is, *on average over $x_t$*, the variance for any data of variance up to 1; at a single
# $x_t$ it may be above $\beta$. Look at where the four curves differ at all.

# %%
t = torch.arange(2, 101)
relative = {
    f"data std {std:g}": gaussian_step_std(std, hundred(t - 1), hundred(t)) ** 2 / hundred.betas[1:]
    for std in (1.0, 0.3, 0.1, 0.0)
}
plotting.curves(
    relative, x=t, xscale="log", xlabel="t (of 100 steps)", ylabel="variance of q(x_s | x_t) / beta",
    alt="Exact reverse variance relative to beta over t on a log axis: 1 for standard normal data, beta-tilde for a single point, which starts at a third and rises to 1, and the others between",
)  # fmt: skip

# %% tags=["nbval-check-output"]
for k in (2, 10, 20, 30, 50):
    print(f"t = {k:2d}: " + ",  ".join(f"{name} {float(ratio[k - 2]):.3f}" for name, ratio in relative.items()))

# %% [markdown]
# In the first third of the steps or so, where the noise level changes much from one step to the next: at $t=10$ the
# point's variance is 17% below $\beta$, at $t=30$ still 4%. That looks harmless. Now measure. First the promise: with the exact variance, and the prior $q(x_T)$, the bound is **tight at
# every T**, even $T=1$. Not only on average: if the model's own law of the chain given $x_0$ is $q$'s, the ratio in
# line 2 of section 5 is $p(x_0)$ for *every single walk*, and so is the path estimate $-\log p(x_0)$. The largest
# difference over 2,000 walks:

# %% tags=["nbval-check-output"]
data = 0.4 + 0.3 * torch.randn(2000, 1, generator=rng, dtype=torch.float64)
truth = -Isotropic(torch.full_like(data, 0.4), torch.tensor(0.3, dtype=torch.float64)).log_density(data)
for T in (1, 2, 10, 100, 1000):
    steps_table = Table.of(Linear(), T)
    states, ideal = walked(steps_table, data), exact_std(steps_table(0), steps_table(1))
    found = derivations(exact_denoiser, steps_table, states, exact_std, ideal, arrival(steps_table, 2000))
    print(
        f"T = {T:4d}: largest |path + log p(x_0)| over 2,000 walks: {float((found.path - truth).abs().max()):.3f} nats"
    )

# %% [markdown]
# Then the two variances in use, on two grids: steps even in time, and steps even in log-SNR (from the schedule's end
# up to log-SNR 9, then one step to clean data). Before you run it: with more and more steps, which of the four will
# close the gap?

# %% tags=["nbval-check-output"]
print("     T     beta  beta, log-SNR grid  beta-tilde  beta-tilde, log-SNR grid     (gap in nats per dimension)")
for T in (10, 100, 1000, 10_000, 100_000):
    even, by_level = Table.of(Linear(), T), log_snr_table(Linear(), T)
    gaps = [float(gaussian_gap(0.3, grid, choice)) for choice in ("beta", "bridge") for grid in (even, by_level)]
    print(f"{T:6d}   {gaps[0]:.4f}        {gaps[1]:.4f}        {gaps[2]:.4f}          {gaps[3]:.4f}")

# %%
counts = [int(round(10 ** (1 + k / 4))) for k in range(17)]
lines = {
    "beta, even in t": ("beta", Table.of),
    "beta, even in log-SNR": ("beta", log_snr_table),
    "beta-tilde, even in t": ("bridge", Table.of),
    "beta-tilde, even in log-SNR": ("bridge", log_snr_table),
}
series = {
    name: [float(gaussian_gap(0.3, make(Linear(), T), choice)) for T in counts]
    for name, (choice, make) in lines.items()
}
plotting.curves(
    series | {"0.2886": [0.2886] * len(counts)}, x=counts, xscale="log", yscale="log", xlabel="T, number of steps", ylabel="gap, nats per dimension",
    alt="Gap of the bound over the number of steps on log axes: three lines fall in proportion to 1/T or faster, beta-tilde with even times levels off at 0.29",
)  # fmt: skip

# %% [markdown]
# $\beta$ costs about $3.65/T$: good for many steps. $\tilde\beta$ with even times **never closes**: .665, .432, .314
# nats at $T=100$, 1,000, 10,000. The reason is at the clean end. There $\sigma^2$ grows in proportion to time, so
# after $k$ steps it is $k$ times the first step's, *however short the steps are*:
# $\tilde\beta/\beta=\sigma_{k-1}^2/\sigma_k^2=\frac{k-1}k$, while the exact variance is practically $\beta$ (the
# data's spread is much wider than this noise). These first steps come in every table, and cost what they cost:
#
# $$\lim_{T\to\infty}\text{gap}=\sum_{k=2}^\infty\frac12\Bigl(\frac1{k-1}-\log\frac k{k-1}\Bigr)=\frac\gamma2=0.2886\ldots \tag{04.30}$$
#
# with Euler's constant $\gamma=0.5772\ldots$ Neither the data nor the
# schedule appear in it, as long as the data are Gaussian with $\sigma_d>0$ and $\sigma^2$ starts in proportion to time.
#
# <details><summary>Derivation</summary>
#
# | line | reason |
# |---|---|
# | $a^2/b^2=\beta/\tilde\beta=k/(k-1)$ at step $k\ge2$ | exact variance $\beta$, model's variance $\tilde\beta$ |
# | $\log\frac ba+\frac{a^2}{2b^2}-\frac12=\frac12\bigl(-\log\frac k{k-1}+\frac k{k-1}-1\bigr)=\frac12\bigl(\frac1{k-1}-\log\frac k{k-1}\bigr)$ | (04.28) for this step |
# | $\sum_{k=2}^n\frac1{k-1}=1+\frac12+\ldots+\frac1{n-1}$, $\ \sum_{k=2}^n\log\frac k{k-1}=\log n$ | the second telescopes |
# | their difference tends to $\gamma$ | the definition of Euler's constant ($\log n$ and $\log(n-1)$ differ by less and less) |
# | all other steps contribute nothing in the limit | away from the clean end $\tilde\beta/\beta\to1$; each step costs $O(1/T^2)$, and there are $T$ |
# | step 1 contributes nothing in the limit | the decoder's $\sigma_1$ against $a_1=\sigma_1\bigl(1+\sigma_1^2/(\alpha_1\sigma_d)^2\bigr)^{-1/2}\big/\alpha_1$: their ratio tends to 1 |
#
# ∎
# </details>
#
# The check takes half a million steps.

# %% tags=["nbval-check-output"]
euler = -torch.special.digamma(torch.ones(()).double())
equation("04.30", gaussian_gap(0.3, Table.of(Linear(), 500_000), "bridge"), euler / 2, rtol=6e-3)

# %% [markdown]
# 0.2886 nats are 0.416 *bits for every dimension*: for a $28\times28$ picture of such numbers, 226 nats. Steps even in **log-SNR**
# have no such place: from one to the next the noise level changes by the same factor, and that factor tends to 1.
# Lesson: *a bound is a property of model, variance and grid together.*
#
# These gaps were computed. Does the library's `bound`, which draws one $x_t$ for each term, see the same? 20,000 data, a
# hundred steps:

# %% tags=["nbval-check-output"]
data = 0.4 + 0.3 * torch.randn(20_000, 1, generator=rng, dtype=torch.float64)
truth = -Isotropic(torch.full_like(data, 0.4), torch.tensor(0.3, dtype=torch.float64)).log_density(data)
for choice in ("beta", "bridge"):
    lost = bound(exact_denoiser, hundred, data, rng, choice, levels=None, prior=arrival(hundred, 20_000)).total - truth
    print(
        f"{choice:6s} measured gap {float(lost.mean()):.3f} ± {float(lost.std() / 20_000**0.5):.3f}, computed {float(gaussian_gap(0.3, hundred, choice)):.3f} nats"
    )

# %% [markdown]
# <details><summary><b>Question.</b> Ho et al. found samples equally good with beta and with beta-tilde. Here one of them loses 0.29
# nats per dimension for ever. A contradiction?</summary>
#
# No. The loss sits in the first steps at the clean end, where the noise is too weak to be seen: samples look the same.
# Likelihood counts every scale alike; the eye does not. Nichol and Dhariwal (2021) let the network learn a variance
# between the two, and gained in likelihood, not in looks.
# </details>
#
# ### Exercise 04.8: the best variance for Gaussian data (2 points)


# %% tags=["exercise-04.8"]
def best_variance(data_std: float, earlier: Marginal, later: Marginal) -> Tensor:
    """Return the variance of q(x_s | x_t), () or (B,), for data N(mean, data_std**2): the best that a reverse step can use.

    earlier  alpha, sigma at time s, and
    later    alpha, sigma at time t > s: each () or (B,)

    `kernel(earlier, later)` has `.scale` (alpha_t / alpha_s) and `.std`. Do not assume alpha**2 + sigma**2 = 1; s may be 0
    (sigma_s = 0).
    """
    ### BEGIN SOLUTION
    before = (earlier.alpha * data_std) ** 2 + earlier.sigma**2
    after = (later.alpha * data_std) ** 2 + later.sigma**2
    return kernel(earlier, later).std ** 2 * before / after
    ### END SOLUTION


# %% tags=["check-04.8"]
check("04.8", best_variance)

# %% [markdown]
# ## 9. A real model's bits
#
# *How many bits would the course's digit model need to send you a digit it has never seen?*
#
# `load_model("digits")` is a UNet trained on 9,000 grey digits (notebook 05 is about it; here it is a black box that
# guesses $\hat x_0$ from $x_t$). We need a table of steps: 1,000, even in log-SNR, from $-9$ (pure noise, for the eye)
# up to $11$, where the noise is half a grey level. The bound is divided by the number of pixels and by $\log2$: **bits
# per dimension**.
#
# The prior term needs no network at all. How far from noise is the end of the chain?

# %% tags=["nbval-check-output"]
model = load_model("digits")
denoiser, ladder = model.denoiser(), log_snr_table(model.schedule, 1000, last=11.0)
grey = digits("held_back").images[:100]
L_T = prior_term(grey.double(), ladder(1000))
print(f"at t = 1: sigma {float(ladder.sigma[1]):.5f}, half the distance of two levels is {1 / 255:.5f}")
print(f"L_T: {float(L_T.mean()):.3f} nats a digit, {float(bits_per_dim(L_T, 784).mean()):.6f} bits per dimension")

# %% [markdown]
# **$L_0$ with a standard deviation of its own.** The decoder sees $x_1$, guesses $\hat x_0$, and must spread its
# belief over the 256 levels. How widely? Its error is not the noise of $x_1$: most pixels are exactly black, and the
# network knows it. So choose the width that codes *training* digits best, and only then look at the held-back ones.


# %%
def guess_clean(x, t, generator):
    noise = torch.randn(x.shape, generator=generator)
    return denoiser(jump(x, ladder(t), noise), ladder(t)).x0


draw_noise = torch.Generator().manual_seed(49)
practice = digits("train").images[:100]
practice_guess = guess_clean(practice, 1, draw_noise)
widths = [float(ladder.sigma[1]) * f for f in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2)]
costs = [float(bits_per_dim(decoder_term(practice, practice_guess, width), 784).mean()) for width in widths]
decoder_std = widths[min(range(len(widths)), key=costs.__getitem__)]
plotting.curves(
    {"training digits": costs}, x=[127.5 * width for width in widths], markers=True, xlabel="the decoder's standard deviation, in grey levels", ylabel="L_0, bits per dimension", size=(5.2, 3.0),
    alt="L_0 over the decoder's standard deviation: a valley below the noise level sigma_1, rising steeply to the left and gently to the right",
)  # fmt: skip

# %%
grey_guess = guess_clean(grey, 1, draw_noise)
L_0 = decoder_term(grey, grey_guess, decoder_std)
plain_0 = decoder_term(grey, guess_clean(grey, 1, draw_noise), float(ladder.sigma[1]))
for name, value in ((f"its own std, {decoder_std:.5f}", L_0), (f"sigma_1, {float(ladder.sigma[1]):.5f}", plain_0)):
    bits = bits_per_dim(value, 784)
    print(
        f"L_0 of held-back digits with {name}: {float(bits.mean()):.3f} ± {float(bits.std() / 10):.3f} bits per dimension"
    )

# %% [markdown]
# **The 999 steps between.** A hundred digits times 999 evaluations is too much for a page. The sum does not need them
# all: split the steps into 20 groups, draw *one* $t$ per digit in each group, and multiply by the group's size. That
# is unbiased (each step of a group is drawn with the same chance), and the groups keep the noise of the draw small.
# The spread over digits then contains everything that is random, so its standard error is honest.


# %%
def step_costs(x, steps_table, groups, generator, choices=("bridge",)):
    """Nats of the KL terms for each choice of variance, by groups of neighbouring steps, (choices, B, groups): one t is
    drawn for each picture and group, the same for all choices."""
    edges = torch.linspace(2, steps_table.end + 1, groups + 1).round().long().tolist()
    columns = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        t = torch.randint(low, high, (len(x),), generator=generator)
        x_t = jump(x, steps_table(t), torch.randn(x.shape, generator=generator))
        s_level, t_level, guess = steps_table(t - 1), steps_table(t), denoiser(x_t, steps_table(t))
        costs = [step_term(lambda *_, at=guess: at, x, x_t, s_level, t_level, choice) for choice in choices]
        columns.append((high - low) * torch.stack(costs))
    return torch.stack(columns, 2).double()


L_steps = step_costs(grey, ladder, 20, draw_noise)[0]

# %% [markdown]
# Bar by bar, from clean (left) to noise (right): where do the bits go? Guess first: is it the shape of the digit or the
# grain of its edges that costs most?

# %%
share = {"L_0": L_0.double()} | {f"{10.5 - k:.1f}": L_steps[:, k] for k in range(20)} | {"L_T": L_T}
bits = {name: bits_per_dim(value, 784) for name, value in share.items()}
plotting.bars(
    {"": [float(b.mean()) for b in bits.values()]}, errors={"": [float(b.std() / 10) for b in bits.values()]}, labels=[name if i % 3 == 2 or name[0] == "L" else "" for i, name in enumerate(bits)], size=(7.6, 3.4),
    xlabel="decoder;  groups of 50 steps by their log-SNR, clean to noisy;  prior", ylabel="bits per dimension",
    alt="Bar chart of the bound's terms: the decoder's bar is the highest, the bars of the KL terms shrink steadily from the clean end to nothing at log-SNR minus 4, the prior's is invisible",
)  # fmt: skip

# %%
total = bits_per_dim(L_0.double() + L_steps.sum(1) + L_T, 784)
fine_end, middle = L_0.double() + L_steps[:, :6].sum(1), L_steps[:, 6:10].sum(1)
rough = bits_per_dim(L_steps[:, 10:].sum(1) + L_T, 784)
print(
    f"the bound: {float(total.mean()):.3f} ± {float(total.std() / 10):.3f} bits per dimension, over 100 held-back digits"
)
print(
    f"of which L_0 {float(bits['L_0'].mean()):.3f}, steps {float(bits_per_dim(L_steps.sum(1), 784).mean()):.3f}, L_T {float(bits['L_T'].mean()):.5f}"
)
print(
    f"cleaner than log-SNR 5 (noise below {127.5 * float(ladder.sigma[301]):.0f} grey levels), with L_0: {float(bits_per_dim(fine_end, 784).mean()):.3f};  from 5 to 1: {float(bits_per_dim(middle, 784).mean()):.3f}"
)
print(
    f"all steps noisier than log-SNR 1, in which the digit takes shape: {float(rough.mean()):.3f} bits per dimension, {float(rough.mean() * 784 * math.log(2)):.0f} nats a digit"
)

# %%
each = decoder_term(grey.reshape(-1, 1), grey_guess.reshape(-1, 1), decoder_std)  # L_0 pixel by pixel
between = ((grey > -1) & (grey < 1)).flatten()
print(
    f"neither black nor white: {float(between.double().mean()):.2f} of the pixels, {float(each[between].sum() / each.sum()):.2f} of L_0"
)

# %% [markdown]
# Nearly four fifths are spent at log-SNR above 5, where the noise is below some ten of 256 grey levels. Of $L_0$, three quarters are
# paid by the fifth of the pixels that are neither black nor white: the strokes' edges. No eye can judge them so exactly.
# *Which digit it is, and how it is written*, costs less than a tenth of a bit per dimension. This is the honest
# accounting of a likelihood, and the reason why notebook 05 will throw these weights away when pictures are to look
# good.
#
# For scale, here is a model with no idea of shape at all: for every pixel its own histogram over the 256 levels (counted
# on the training digits, mixed with 1% of a uniform law, so that nothing is impossible).

# %% tags=["nbval-check-output"]
seen, asked = (
    ((digits(split).images.flatten(1) + 1) * 127.5).round().to(torch.uint8) for split in ("train", "held_back")
)
counted = torch.zeros(784, 256, dtype=torch.float64)
for part in seen.split(1000):
    counted.scatter_add_(1, part.T.long(), torch.ones(784, len(part), dtype=torch.float64))
histogram = 0.99 * counted / 9000 + 0.01 / 256
independent = -histogram.log().T.gather(0, asked[:100].long()).sum(1)
per_dim = bits_per_dim(independent, 784)
print(
    f"256 equally likely levels: {bits_per_dim(torch.tensor(784 * math.log(256)).double(), 784):.3f} bits per dimension"
)
print(f"every pixel's own histogram: {float(per_dim.mean()):.3f} ± {float(per_dim.std() / 10):.3f} bits per dimension")

# %% [markdown]
# The network's bound, 1.35 on the same hundred digits, is some 0.4 bits below. Most bits go to grain, for which shape
# is of little help; but 0.4 bits for each of 784 pixels are two hundred nats a digit.
#
# How much of the bound is the number of steps, and the variance? The same 32 digits, other tables of the same span, with
# the bridge's variance ($\tilde\beta$) and with $\beta$, in bits per dimension. Since the digits are the same, differences
# are taken digit by digit:

# %%
few = grey[:32]
fixed_ends = L_0[:32].double() + L_T[:32]
for T in (10, 30, 100, 1000):
    other = log_snr_table(model.schedule, T, last=11.0)
    both = step_costs(few, other, min(T - 1, 12), draw_noise, ("bridge", "beta")).sum(2)
    tilde, beta = (bits_per_dim(fixed_ends + nats, 784) for nats in both)
    compared = {
        "bridge": tilde,
        "beta": beta,
        "beta - bridge": beta - tilde,
        "bridge - histogram": tilde - per_dim[:32],
    }
    cells = [f"{name} {float(v.mean()):6.3f} ± {float(v.std() / 32**0.5):.3f}" for name, v in compared.items()]
    print(f"T = {T:4d}: " + ",  ".join(cells))

# %% [markdown]
# More steps, a tighter bound. Few long steps lose twice: one Gaussian cannot make the decisions of section 6, and its
# variance is wrong (section 8 had the second loss without the first). This table does not tell the two apart. (With 10
# steps the network does worse than the histograms, with 30 hardly better.) On these digits the bridge's variance is the better one, plausibly
# because most pixels are exactly black, that is, "data that are one point", the case for which it is exact.
#
# <details><summary><b>Question.</b> Could you compare this number with the ELBO of section 3's VAE, about −157 nats a digit?</summary>
#
# No: those were *binarised* digits, another set of pictures. 784 binary pixels cost 543 nats at most without any
# model; 784 pixels of 256 levels cost 4,347. Likelihoods can be compared only for the same data, prepared in the same
# way, and densities not with probabilities at all. Nor does a smaller bound prove a better model: perhaps only a
# tighter bound.
# </details>
#
# ## 10. Every schedule, the same bound
#
# *A KL term is a difference of two signal-to-noise ratios times a squared error; with many steps the sum becomes an
# integral, in which the schedule no longer appears.*
#
# The answer to exercise 04.6:
#
# $$\mathrm{KL}\bigl(q(x_s\mid x_t,x_0)\,\Vert\,p(x_s\mid x_t)\bigr)=\tfrac12\bigl(\mathrm{snr}_s-\mathrm{snr}_t\bigr)\,\lVert x_0-\hat x_0\rVert^2\qquad\text{(model variance }\tilde\beta\text{, }s>0). \tag{04.31}$$
#
# <details><summary>Derivation</summary>
#
# | line | reason |
# |---|---|
# | $\mathrm{KL}=\frac{\lVert m-\hat m\rVert^2}{2\tau^2}$ | two Gaussians with the same covariance $\tau^2I$: the other terms cancel |
# | $m-\hat m=w_0(x_0-\hat x_0)$ | both means are $w_tx_t+w_0\,\cdot$ |
# | $w_0=\frac{\alpha_sV}{\sigma_t^2}$, $\tau^2=\frac{\sigma_s^2V}{\sigma_t^2}$, $V=\sigma_t^2-\frac{\alpha_t^2}{\alpha_s^2}\sigma_s^2$ | the bridge, notebook 03 |
# | $\frac{w_0^2}{2\tau^2}=\frac{\alpha_s^2V^2}{\sigma_t^4}\cdot\frac{\sigma_t^2}{2\sigma_s^2V}=\frac{\alpha_s^2V}{2\sigma_s^2\sigma_t^2}$ | divide |
# | $=\frac{\alpha_s^2\sigma_t^2-\alpha_t^2\sigma_s^2}{2\sigma_s^2\sigma_t^2}=\frac12\bigl(\frac{\alpha_s^2}{\sigma_s^2}-\frac{\alpha_t^2}{\sigma_t^2}\bigr)$ | put $V$ in; divide each term |
#
# No line used $\alpha^2+\sigma^2=1$. ∎
# </details>
#
# Everything that the schedule does in training is in this one factor: a step pays for the *information it reveals*.

# %% tags=["nbval-check-output"]
x_0, noise, mistake = torch.randn(3, 6, 1, 4, 4, generator=rng, dtype=torch.float64)
levels_t = cosine(torch.linspace(0.2, 0.9, 6, dtype=torch.float64))
levels_s = cosine(torch.linspace(0.15, 0.7, 6, dtype=torch.float64))


def mistaken(x, marginal):
    return Prediction.from_x0(x_0 + 0.3 * mistake, x, marginal)


nats = step_term(mistaken, x_0, jump(x_0, levels_t, noise), levels_s, levels_t)
equation("04.31", nats, step_weight(levels_s, levels_t) * (0.3 * mistake).square().flatten(1).sum(1))

# %% [markdown]
# Add up the steps. Let $e(u)=\mathbb E\lVert x_0-\hat x_0\rVert^2$ be the squared error at the signal-to-noise ratio $u$,
# summed over all pixels and averaged over pictures and noise, of one and the same denoiser. Then
# $\sum_t\frac12(\mathrm{snr}_{t-1}-\mathrm{snr}_t)\,e(\mathrm{snr}_t)$ is a Riemann sum, and when all steps become short in
# snr, between ends $\mathrm{snr}_1$ and $\mathrm{snr}_T$ that stay,
#
# $$\sum_{t}L_{t-1}\ \longrightarrow\ \frac12\int_{\mathrm{snr}_T}^{\mathrm{snr}_1}e(u)\,\mathrm du. \tag{04.32}$$
#
# The integral knows where the schedule starts and ends, and nothing of the way (Kingma et al. 2021). (Steps even in time
# down to $t=0$ do not do it: section 8's first steps never become short in snr.) The error of the exact denoiser shrinks
# as the signal grows, and the sum takes $e$ at the noisy end of each step, so the sum lies *above* the integral: divide
# the steps further, and the bound gets tighter. For Gaussian data $e(u)=1/(\sigma_d^{-2}+u)$, so the integral is
# $\frac12\log\frac{1+\sigma_d^2\,\mathrm{snr}_1}{1+\sigma_d^2\,\mathrm{snr}_T}$. The check sums 10,000 steps of the
# linear schedule.


# %% tags=["nbval-check-output"]
def steps_sum(schedule, T, top=6.0):
    """Sum of the KL terms for data of std 0.3, with T even steps from t = 1 to the time of log-SNR `top`."""
    grid = schedule(torch.linspace(float(schedule.time_at(top)), 1.0, T + 1, dtype=torch.float64))
    error = 1 / (1 / 0.09 + grid.snr)
    return (0.5 * (grid.snr[:-1] - grid.snr[1:]) * error[1:]).sum()


integral = 0.5 * (
    torch.log1p(0.09 * torch.tensor(6.0).double().exp()) - torch.log1p(0.09 * torch.tensor(-9.0).double().exp())
)
equation("04.32", steps_sum(Truncated(Linear()), 10_000), integral, rtol=4e-3)

# %% tags=["nbval-check-output"]
families = {"linear": Truncated(Linear()), "cosine": Truncated(Cosine()), "sigmoid": Truncated(Sigmoid())}
print(f"integral: {float(integral):.3f} nats")
for T in (10, 100, 1000, 10_000):
    print(
        f"T = {T:5d}: " + ",  ".join(f"{name} {float(steps_sum(family, T)):.3f}" for name, family in families.items())
    )

# %% [markdown]
# Three schedules, one limit. With few steps they differ (so the choice matters for a bound with ten steps), with many
# they do not. Does it hold for the trained network, whose error has no formula? The sum of its KL terms between
# log-SNR $-9$ and $6$, with three schedules of 1,000 steps, 32 digits, 40 draws of $t$ for each:

# %%
measured = {}
for name, family in families.items():
    times = torch.linspace(0, 1, 1001, dtype=torch.float64)
    inner = family(float(family.time_at(6.0)) + (1 - float(family.time_at(6.0))) * times)
    as_table = Table(
        torch.cat([torch.ones(1).double(), inner.alpha]), torch.cat([torch.zeros(1).double(), inner.sigma])
    )
    measured[name] = bits_per_dim(step_costs(few, as_table, 40, draw_noise)[0].sum(1), 784)
for name, value in measured.items():
    against = value - measured["linear"]
    print(
        f"{name:8s} {float(value.mean()):.3f} ± {float(value.std() / 32**0.5):.3f} bits per dimension; minus linear, digit by digit: {float(against.mean()):6.3f} ± {float(against.std() / 32**0.5):.3f}"
    )

# %% [markdown]
# Same network, same endpoints, same bound, within the errors of the draw. (The digits are the same in the three rows,
# so most of the first error, the spread from digit to digit, is common to all; the second column takes it out.) So a
# schedule, in training, is *only* a choice of where to look how often. In sampling it is more: the steps are taken.
#
# <details><summary><b>Question.</b> If the schedule drops out, why do papers search for good ones?</summary>
#
# The value of the integral does not depend on it; the *variance* of estimating it by random $t$ does, and with the
# variance the speed of training. And few who want good-looking pictures use the bound's weights as they are: notebook 05
# sets them to 1 *for every $t$, drawn evenly*. Then the effective weight of a noise level is how often the schedule visits
# it, and the freedom of (04.32) is gone.
# </details>
#
# ## What we can do now, and what still hurts
#
# **We can** say what a diffusion model's loss is *for*: it bounds the number of nats a model needs for a picture. We
# can derive it in two ways, know where each line comes from, and which of the two to train with. We know that a step
# back is a Gaussian if it is short, which variance it should have, and that the whole loss is one integral of squared
# errors over the signal-to-noise ratio.
#
# **What still hurts**
#
# * *Whose guess?* Everything here used a denoiser that was exact, or came from a box. How does one build and train a
#   network that guesses $x_0$ well at every noise level? Should it guess $x_0$ at all?
# * *Bits are not looks.* The bound spends most of its effort on grain that nobody sees. Which weights make pictures good?
# * *A bound is not a value.* Is there an exact likelihood? (Notebook 06: yes, of a different model with the same
#   network.)
#
# Notebook 05 takes the first two.
#
# **References**
#
# * S. Kullback, R. Leibler: *On Information and Sufficiency*. Annals of Mathematical Statistics 1951.
# * D. Kingma, M. Welling: *Auto-Encoding Variational Bayes*. ICLR 2014; D. Rezende, S. Mohamed, D. Wierstra: *Stochastic
#   Backpropagation and Approximate Inference in Deep Generative Models*. ICML 2014. The VAE and its trick.
# * Y. Burda, R. Grosse, R. Salakhutdinov: *Importance Weighted Autoencoders*. ICLR 2016. (04.13).
# * W. Feller: *On the Theory of Stochastic Processes, with Particular Reference to Applications*. Berkeley Symposium
#   1949. Cited by Sohl-Dickstein et al. for short reverse steps.
# * B. Anderson: *Reverse-Time Diffusion Equation Models*. Stochastic Processes and their Applications 1982.
# * J. Sohl-Dickstein, E. Weiss, N. Maheswaranathan, S. Ganguli: *Deep Unsupervised Learning using Nonequilibrium
#   Thermodynamics*. ICML 2015. The bound (04.25).
# * J. Ho, A. Jain, P. Abbeel: *Denoising Diffusion Probabilistic Models*. NeurIPS 2020. Equations 3, 5 and 13; the two
#   variances; its appendix A is our table of section 7.
# * A. Nichol, P. Dhariwal: *Improved Denoising Diffusion Probabilistic Models*. ICML 2021. A learned variance.
# * D. Kingma, T. Salimans, B. Poole, J. Ho: *Variational Diffusion Models*. NeurIPS 2021. (04.31) and (04.32).
# * C. Luo: *Understanding Diffusion Models: A Unified Perspective*. 2022. A careful tutorial; section 5 discusses one of
#   its lines.
