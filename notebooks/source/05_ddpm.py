# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 DDPM: predict the noise
#
# Four notebooks have prepared this one. You can noise a picture in one jump (03), you know the Gaussian that leads
# one step back once the clean picture is known (03), and you know what a model pays, in nats, for not knowing it
# (04). What is missing is the network, and the small set of decisions that turned diffusion from an idea of 2015 into
# the image generators of today. Most of them are in one paper: *Denoising Diffusion Probabilistic Models* (Ho, Jain
# and Abbeel 2020). By the end of this page you will have trained one yourself, on the machine in front of you, and
# you will know what its main parts are for and what happens without them.
#
# **After this notebook you can**
#
# * say four things a network may predict, convert between them, and choose one for a reason;
# * go from the evidence lower bound to the one-line loss $\lVert\varepsilon-\varepsilon_\theta\rVert^2$, and say what
#   was thrown away;
# * read a real UNet: where its parameters sit, what its operations cost, how it is told the noise level;
# * train it in about a minute, sample from it with any sampler of the family, and scrub through what happens;
# * judge samples with three numbers, and know how each of them can fool you;
# * tell memorising from generalising, and find out by measurement why samples are noise.
#
# **You need** notebook 03 (`alpha`, `sigma`, the bridge), the result of 04 (each step costs a KL between two
# Gaussians), and 02's conditioning of one Gaussian on another.
#
# **Time**: about two hours of reading and thinking, without the exercises. Running all cells takes under three
# minutes on two CPU cores; one cell trains for a minute. (On a GPU this page has not been timed.)

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

from IPython.display import display
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from course_checks import check, equation
from course_lib import metrics, plotting
from course_lib.checkpoint import load_model
from course_lib.data import digits, toys
from course_lib.data.recorded import recording
from course_lib.explorers import sampler_bench
from course_lib.gaussian import Gaussian, Mixture, condition, per_sample
from course_lib.muon import orthogonalise
from course_lib.objective import simple, step_term, step_weight
from course_lib.oracle import empirical_denoiser, empirical_weights, gaussian_denoiser, mixture_denoiser
from course_lib.parametrization import Parametrization, Preconditioning, Prediction, clip, network_denoiser
from course_lib.plotting import as_pixels, beside
from course_lib.sampling import STEPS, ddim, ddpm, fresh_noise, heun, last, renoise, sample
from course_lib.schedule import (
    Cosine,
    Linear,
    Marginal,
    Table,
    Truncated,
    bridge,
    bridge_weights,
    jump,
    kernel,
    linear_betas,
    log_snr_times,
)
from course_lib.scrubber import scrub
from course_lib.training import Ema, TrainConfig, train, warmed_decay
from course_lib.unet import PRESETS, Attention, UNet, parameter_count

# %% [markdown]
# Nine thousand digits to learn from, a thousand that no network of this course has ever seen, and one schedule for
# most of the page: Nichol and Dhariwal's cosine, stopped shortly before `alpha` reaches 0.

# %%
train_set, held_back = digits("train"), digits("held_back")
schedule = Truncated(Cosine())
print(f"{len(train_set):,} digits to train on, {len(held_back):,} held back, each {tuple(train_set.images.shape[1:])}")
print(
    f"at t = 1 the signal is scaled by {float(schedule(1.0).alpha):.3f}, the noise by {float(schedule(1.0).sigma):.3f}"
)

# %% [markdown]
# ## 1. Four targets, one network
#
# *If you know the noisy picture, then knowing the clean picture, the noise, or the bridge's mean is one and the same
# knowledge.*
#
# The network sees $x_t = \alpha_t x_0 + \sigma_t\varepsilon$ and the noise level. To go one step back we need the
# mean of the bridge $q(x_s\mid x_t, x_0)$ for some earlier time $s$, which notebook 03 wrote as a weighted sum of
# $x_t$ and $x_0$. The network does not know $x_0$, so it must guess something. What should it be asked for? Four
# answers are in use:
#
# | target | what it is | from $x_0$ and $\varepsilon$ |
# |---|---|---|
# | $x_0$ | the clean picture | $x_0$ |
# | $m_s$ | the mean of the bridge from $t$ back to $s$ | $w_t x_t + w_0 x_0$ |
# | $\varepsilon$ | the noise that was added | $\varepsilon$ |
# | $v$ | the "velocity" (Salimans and Ho 2022) | $\alpha_t\varepsilon - \sigma_t x_0$ |
#
# Here $w_t$ and $w_0$ are the bridge's weights. With $r=\alpha_t/\alpha_s$, and its standard deviation $\tau$
# (notebook 03):
#
# $$w_t=\frac{r\,\sigma_s^2}{\sigma_t^2},\qquad w_0=\frac{\alpha_s(\sigma_t^2-r^2\sigma_s^2)}{\sigma_t^2},\qquad
# \tau=\frac{\sigma_s\sqrt{\sigma_t^2-r^2\sigma_s^2}}{\sigma_t}.$$
#
# Look at them for one digit. Which row would you find hardest to draw by hand, given the top row, on the left? And on
# the right?

# %%
rng = torch.Generator().manual_seed(5)
times = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)
x_0 = train_set.images[7:8].double().expand(5, -1, -1, -1)
noise = torch.randn(1, 1, 28, 28, generator=rng, dtype=torch.float64).expand(5, -1, -1, -1)
now, before = schedule(times), schedule(0.8 * times)  # t, and an earlier s for the bridge
x_t = jump(x_0, now, noise)
truth = Prediction(x_0, noise)
mean = bridge(before, now, x_0, x_t).mean
shown = {"x_t": x_t, "x_0": x_0, "bridge mean": mean, "noise / 2": noise / 2, "v / 2": truth.v(now) / 2}
plotting.strip(
    {name: as_pixels(x) for name, x in shown.items()}, labels=[f"t = {t:.2f}" for t in times], cell=0.9,
    alt="Five noise levels of one digit: x_t fades into noise; x_0 and the noise stay the same; v is noise on the left and minus the digit on the right",
)  # fmt: skip

# %% [markdown]
# The bridge's mean (here for $s=0.8\,t$) lies between $x_t$ and $x_0$; the shorter the step, the more it is $x_t$
# itself, and to predict it is to repeat the input with a tiny correction. The noise is hard to see on the left, where
# there is hardly any, and on the right it *is* the input. $x_0$ is the other way round. And $v$ changes sides: noise
# on the left, minus the digit on the right. It is always the part that you cannot see.
#
# ### Converting is arithmetic
#
# Two unknowns, $x_0$ and $\varepsilon$, and two equations: whichever is given, the others follow. Where the variance
# is preserved, $\alpha^2+\sigma^2=1$, the pair $(x_t, v)$ is the pair $(x_0,\varepsilon)$ turned by an angle, so
# turning it back gives
#
# $$x_0 = \alpha_t x_t - \sigma_t v,\qquad \varepsilon = \sigma_t x_t + \alpha_t v. \tag{05.1}$$

# %% tags=["nbval-check-output"]
v = truth.v(now)
alpha, sigma = per_sample(now.alpha, x_t), per_sample(now.sigma, x_t)
equation("05.1", (alpha * x_t - sigma * v, sigma * x_t + alpha * v), (x_0, noise))

# %% [markdown]
# Why "velocity"? Write $\alpha=\cos\varphi$, $\sigma=\sin\varphi$. As $\varphi$ goes from 0 to a quarter turn,
# $x_\varphi$ walks on an arc from the picture to the noise, and $v$ is the direction in which it is walking:
#
# $$v = \frac{\mathrm d}{\mathrm d\varphi}\bigl(\cos\varphi\; x_0 + \sin\varphi\;\varepsilon\bigr). \tag{05.2}$$
#
# The check differentiates by automatic differentiation instead of by hand.

# %% tags=["nbval-check-output"]
angle = torch.atan2(now.sigma, now.alpha)
_, velocity = torch.func.jvp(
    lambda a: per_sample(a.cos(), x_0) * x_0 + per_sample(a.sin(), x_0) * noise, (angle,), (torch.ones(5).double(),)
)
equation("05.2", velocity, v)

# %%
arc = torch.linspace(0, math.pi / 2, 50)
angles = torch.tensor([0.15, 0.8, 1.4])
start = torch.stack([angles.cos(), angles.sin()], 1)  # x_t in the plane spanned by x_0 (right) and the noise (up)
ahead = torch.stack([-angles.sin(), angles.cos()], 1)  # v: a quarter turn further
arrows = {
    f"v where alpha = {a.cos():.2f}": torch.stack([p, p + 0.45 * d])[None]
    for a, p, d in zip(angles, start, ahead, strict=True)
}
plotting.paths(
    arrows, points=torch.stack([arc.cos(), arc.sin()], 1), limits=(-0.6, 1.4, -0.2, 1.6),
    xlabel="amount of x_0", ylabel="amount of noise",
    alt="A quarter circle from the clean picture on the right to the noise at the top; v is tangent to it, pointing to the noise at first and away from the picture at last",
)  # fmt: skip

# %% [markdown]
# <details><summary><b>Question.</b> At t = 1 of a schedule that ends in pure noise (alpha = 0), which of the four still tell you
# something about x_0?</summary>
#
# $x_0$ itself does, and $v=-x_0$ does. The noise does not: there $x_t=\varepsilon$, so a perfect answer is a copy of
# the input, and $x_0=(x_t-\sigma\varepsilon)/\alpha$ divides zero by zero. A model that predicts the noise cannot
# start from `alpha = 0`; this is why the schedule above stops just before, and why the library raises an error
# instead of returning infinities. The bridge's mean is $\alpha_sx_0$ there: faint, if the step is short, but all
# about $x_0$.
# </details>
#
# ### Ho et al.'s way of writing it
#
# In the paper you meet the bridge's mean as a function of the noise. For one step, $s=t-1$, with
# $\beta_t=1-(\alpha_t/\alpha_{t-1})^2$:
#
# $$m_{t-1} = \frac{1}{\sqrt{1-\beta_t}}\Bigl(x_t-\frac{\beta_t}{\sigma_t}\,\varepsilon\Bigr). \tag{05.3}$$
#
# "Take away a little of the noise, then undo the shrinking." It is the same mean; only the name of the knowledge has
# changed.
#
# <details><summary>Proof</summary>
#
# Let $r=\alpha_t/\alpha_s=\sqrt{1-\beta}$. Notebook 03: $w_t=r\sigma_s^2/\sigma_t^2$ and
# $w_0=\alpha_s\beta/\sigma_t^2$, because the kernel's variance is
# $\sigma_t^2-r^2\sigma_s^2=1-\alpha_t^2-r^2(1-\alpha_s^2)=1-r^2=\beta$ when the variance is preserved. Put
# $x_0=(x_t-\sigma_t\varepsilon)/\alpha_t$ into $w_tx_t+w_0x_0$.
#
# *The factor of $\varepsilon$*:
# $-w_0\sigma_t/\alpha_t=-\dfrac{\alpha_s\beta}{\alpha_t\sigma_t}=-\dfrac{\beta}{r\sigma_t}$.
#
# *The factor of $x_t$*:
# $w_t+\dfrac{w_0}{\alpha_t}=\dfrac{r\sigma_s^2}{\sigma_t^2}+\dfrac{\beta}{r\sigma_t^2}=\dfrac{r^2\sigma_s^2+\beta}{r\sigma_t^2}=\dfrac{\sigma_t^2}{r\sigma_t^2}=\dfrac1r$.
#
# Together: $\frac1r\bigl(x_t-\frac{\beta}{\sigma_t}\varepsilon\bigr)$. ∎
# </details>

# %% tags=["nbval-check-output"]
ho = Table.from_betas(linear_betas(1000))  # Ho et al.'s schedule: row t of alpha and sigma, row 0 clean
t = torch.tensor([1, 10, 100, 500, 1000])
beta, noisy = ho.betas[t - 1], jump(x_0, ho(t), noise)
right = (noisy - per_sample(beta / ho(t).sigma, noisy) * noise) / per_sample((1 - beta).sqrt(), noisy)
equation("05.3", bridge(ho(t - 1), ho(t), x_0, noisy).mean, right)

# %% [markdown]
# ### Exercise 05.1: conversions between the four (2 points)
#
# You are given one of the four targets, by name, and its value; return all four.


# %% tags=["exercise-05.1"]
def all_four(
    given: str, value: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (x_0, mean, eps, v), each of the shape of `x_t`, from the one of them that is known.

    given     "x0", "mean", "eps" or "v"; `value` (B, ...) is its value
    x_t       (B, ...) with x_t = alpha x_0 + sigma eps at the `later` marginal
    earlier   alpha, sigma at time s, and
    later     alpha, sigma at time t > s: each () or (B,), one number per image (use `per_sample(number, x_t)`)

    mean is that of the bridge q(x_s | x_t, x_0): of_x_t * x_t + of_x_0 * x_0, where
    `of_x_t, of_x_0, std = bridge_weights(earlier, later)`. v = alpha eps - sigma x_0.
    Do not assume alpha**2 + sigma**2 = 1: one case has alpha = sigma = 0.5.
    """
    ### BEGIN SOLUTION
    alpha, sigma = per_sample(later.alpha, x_t), per_sample(later.sigma, x_t)
    of_x_t, of_x_0 = (per_sample(weight, x_t) for weight in bridge_weights(earlier, later)[:2])
    if given == "x0":
        x_0 = value
    elif given == "mean":
        x_0 = (value - of_x_t * x_t) / of_x_0
    elif given == "eps":
        x_0 = (x_t - sigma * value) / alpha
    else:
        x_0 = (alpha * x_t - sigma * value) / (alpha**2 + sigma**2)
    eps = (x_t - alpha * x_0) / sigma
    return x_0, of_x_t * x_t + of_x_0 * x_0, eps, alpha * eps - sigma * x_0
    ### END SOLUTION


# %% tags=["check-05.1"]
check("05.1", all_four)

# %% [markdown]
# ### Same knowledge, different errors
#
# If they are all the same, why does it matter which one the network predicts? Because a network is never exact, and **the
# same error in one of them is a different error in another**. From $x_t=\alpha x_0+\sigma\varepsilon$, with $x_t$
# fixed, an error $\delta$ in $x_0$ is an error $-\frac{\alpha}{\sigma}\delta$ in $\varepsilon$. So the squared errors
# are related by the signal-to-noise ratio:
#
# $$\lVert\hat\varepsilon-\varepsilon\rVert^2=\mathrm{snr}_t\,\lVert\hat x_0-x_0\rVert^2,\qquad
# \lVert\hat v-v\rVert^2=(1+\mathrm{snr}_t)\,\lVert\hat x_0-x_0\rVert^2,\qquad
# \lVert\hat m_s-m_s\rVert^2=w_0^2\,\lVert\hat x_0-x_0\rVert^2. \tag{05.4}$$
#
# The second needs $\alpha^2+\sigma^2=1$: $v=\alpha\varepsilon-\sigma x_0$ errs by
# $-\bigl(\tfrac{\alpha^2}{\sigma}+\sigma\bigr)\delta=-\delta/\sigma$, and $1/\sigma^2=1+\mathrm{snr}$. (Below, `edm`
# is the preconditioned target of the next subsection.)

# %% tags=["nbval-check-output"]
wrong_x0 = x_0 + 0.1 * torch.randn(x_0.shape, generator=rng, dtype=torch.float64)
guess = Prediction.from_x0(wrong_x0, x_t, now)
errors = [
    guess.eps - noise,
    guess.v(now) - v,
    (bridge(before, now, guess.x0, x_t).mean - bridge(before, now, x_0, x_t).mean),
]
squared = (wrong_x0 - x_0).square().flatten(1).sum(1)
left = tuple(error.square().flatten(1).sum(1) for error in errors)
equation("05.4", left, (now.snr * squared, (1 + now.snr) * squared, bridge_weights(before, now)[1] ** 2 * squared))

# %% [markdown]
# Read it as a price list: *training with equal care at every t on this target pays this much per unit of error in the
# picture.* Look for which curve crosses 1 (and at which t), and how many powers of ten each spans.

# %%
grid = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
level = schedule(grid)
prices = {
    "x_0": torch.ones_like(grid), "noise": level.snr, "v": 1 + level.snr,
    "bridge mean, s = t - 0.01": bridge_weights(schedule(grid - 0.01), level)[1] ** 2,
}  # fmt: skip
plotting.curves(
    prices, x=grid, yscale="log", xlabel="t", ylabel="price of an error in x_0",
    alt="Weight of the squared error in x_0 over t on a log scale: flat for x_0, falling over six powers of ten for the noise, levelling off at 1 for v, and from 1 on the last step down to a thousandth for the bridge's mean",
)  # fmt: skip

# %% tags=["nbval-check-output"]
for t in (0.05, 0.5, 0.95):
    here, row = schedule(t), [f"t = {t:.2f}"]
    for name in ("x0", "eps", "v", "edm"):
        row.append(f"{name} {float(Parametrization(name, sigma_data=0.5).error_weight(here)):9.4f}")
    print("   ".join(row))

# %% [markdown]
# The noise's price crosses 1 at $t=0.5$, where signal and noise are equally strong, and spans six powers of ten; that
# of $v$ spans three and ends at 1, that of the bridge's mean spans three and ends far below 1.
#
# <details><summary><b>Question.</b> At t = 0.95 a network that predicts the noise makes a squared error of 0.01 per pixel. How
# large is the error of the picture it stands for?</summary>
#
# Divide by the price, 0.0079: about 1.3 per pixel, for pixels in [-1, 1]. Answering with the mean picture of all digits
# errs by only 0.27 (section 4): this network is worse than no network, although its loss looks small. That means two
# things. A small loss tells you nothing before you know at which t. And in the first steps of sampling, the `x_0` that
# a noise-predicting network implies can be far outside [-1, 1], which is why samplers clip it (section 10 shows how
# that goes wrong).
# </details>
#
# ### Preconditioning: a target that is easy at every noise level
#
# Karras et al. (2022) turn the question around. Not: which of the named quantities shall we predict? But: **which
# combination is equally hard at all noise levels?** Let the network $F$ see a scaled input, and let its answer be
# scaled and added to a scaled copy of the input:
#
# $$\hat x_0 = c_\text{skip}\,x_t + c_\text{out}\,F(c_\text{in}\,x_t).$$
#
# Three wishes fix the three factors, for data of standard deviation $\sigma_d$ (and mean zero: think of the mean
# picture as subtracted):
#
# 1. the input has unit variance: $c_\text{in}=1/\sqrt{\alpha^2\sigma_d^2+\sigma^2}$;
# 2. the target, $F^\star=(x_0-c_\text{skip}x_t)/c_\text{out}$, has unit variance: so $c_\text{out}$ is the standard
#    deviation of $x_0-c_\text{skip}x_t$;
# 3. errors of $F$ are amplified as little as possible: choose $c_\text{skip}$ so that $c_\text{out}$ is smallest.
#
# The third says: of all multiples of $x_t$, $c_\text{skip}\,x_t$ is the best guess of $x_0$ (for data with mean zero).
# Notebook 02 has computed it, as the mean of a Gaussian conditioned on a noisy observation, and $c_\text{out}$ is what
# remains, *the posterior's standard deviation*:
#
# $$c_\text{skip}=\frac{\alpha\sigma_d^2}{\alpha^2\sigma_d^2+\sigma^2},\qquad
# c_\text{out}=\frac{\sigma\sigma_d}{\sqrt{\alpha^2\sigma_d^2+\sigma^2}}. \tag{05.5}$$
#
# So the network answers the question: *by how many standard deviations is the Gaussian guess off?* The check asks
# notebook 02's `condition`.

# %% tags=["nbval-check-output"]
sigma_d, here = 0.5, schedule(0.4)
prior = Gaussian.spherical(torch.zeros(1, dtype=torch.float64), sigma_d)
noise_cov, observe = (here.sigma**2).reshape(1, 1), here.alpha.reshape(1, 1)
posterior = condition(
    prior, torch.ones(1, dtype=torch.float64), noise_cov, observe
)  # what is x_0 once x_t = 1 is seen?
factors = Preconditioning.of(here, sigma_d)
equation("05.5", (factors.skip, factors.out), (posterior.mean[0], posterior.cov[0, 0].sqrt()))

# %% [markdown]
# <details><summary>The three wishes without notebook 02</summary>
#
# The variance of $x_0-c\,x_t=(1-c\alpha)x_0-c\sigma\varepsilon$ is $V(c)=(1-c\alpha)^2\sigma_d^2+c^2\sigma^2$, a
# parabola in $c$. Its derivative, $-2\alpha(1-c\alpha)\sigma_d^2+2c\sigma^2$, vanishes at
# $c=\alpha\sigma_d^2/(\alpha^2\sigma_d^2+\sigma^2)$, which is $c_\text{skip}$. With $D=\alpha^2\sigma_d^2+\sigma^2$
# we have $1-c\alpha=\sigma^2/D$, so
# $V=\dfrac{\sigma^4\sigma_d^2+\alpha^2\sigma_d^4\sigma^2}{D^2}=\dfrac{\sigma^2\sigma_d^2(\sigma^2+\alpha^2\sigma_d^2)}{D^2}=\dfrac{\sigma^2\sigma_d^2}{D}$.
# ∎
# </details>
#
# Two measurements on the digits show what was gained. On the left, the size of each target. On the right, the share
# of a target's variance that a *straight copy of the input, scaled*, explains: what the network gets for nothing. A
# target that is nearly a copy of the input makes a small loss and teaches little. Look for a line that is flat at 1
# on the left, and at 0 on the right.

# %%
images = train_set.images[:500].double()
centred = images - images.mean(0)  # the mean picture is subtracted
sigma_data, names = float(centred.square().mean().sqrt()), ("x0", "eps", "v", "edm")
log_snrs = torch.linspace(-8, 8, 17, dtype=torch.float64)
size, copied = {name: [] for name in names}, {name: [] for name in names}
for level in map(Marginal.from_log_snr, log_snrs):
    eps = torch.randn(centred.shape, generator=rng, dtype=torch.float64)
    seen = jump(centred, level, eps)
    for name in names:
        target = Parametrization(name, sigma_data).output(centred, eps, level)
        size[name].append(float(target.square().mean().sqrt()))
        copied[name].append(float((target * seen).mean() ** 2 / (target.square().mean() * seen.square().mean())))

# %%
beside(
    plotting.curves(size, x=log_snrs, xlabel="log SNR", title="size of the target", size=(4.2, 3.0), alt="Standard deviation of four targets over the log signal-to-noise ratio: x_0 flat at 0.5, the noise flat at 1, v rising from 0.5 on the noisy side to 1 on the clean side, the preconditioned target flat at 1"),
    plotting.curves(copied, x=log_snrs, xlabel="log SNR", title="explained by copying x_t", size=(4.2, 3.0), alt="Share of each target explained by the input: x_0 rises to 1 on the clean side, the noise to 1 on the noisy side, v to a third in the middle, the preconditioned target stays at 0"),
)  # fmt: skip

# %% tags=["nbval-check-output"]
print(f"standard deviation of a digit's pixel around the mean picture: {sigma_data:.3f}")
print(f"largest share of the preconditioned target that a copy explains: {max(copied['edm']):.3f}")
print(f"of the noise, at log SNR -8: {copied['eps'][0]:.3f}; of x_0, at log SNR 8: {copied['x0'][-1]:.3f}")

# %% [markdown]
# The preconditioned target has the same size everywhere and holds nothing that could be had by copying. There is one
# more gift, at the start of training: a network whose last layer is initialised to zero answers $F=0$, and so the
# untrained model already answers with $c_\text{skip}\,x_t$, the best multiple of $x_t$, were the mean 0. (`v` with
# unit-variance data is the same target with the opposite sign: put $\sigma_d=1$ into (05.5).) All networks of this
# course are trained this way.
#
# ### Exercise 05.2: the preconditioned prediction (2 points)


# %% tags=["exercise-05.2"]
def denoised(network, x_t: Tensor, marginal: Marginal, sigma_data: float) -> Tensor:
    """Return x0_hat = c_skip x_t + c_out F(c_in x_t), of the shape of `x_t` (B, ...).

    network     called as network(input, log_snr): input of the shape of x_t, log_snr of shape (B,), one number per image
    marginal    alpha, sigma at the time of x_t: each () or (B,); `marginal.log_snr` has the same shape
    sigma_data  standard deviation of the data, a number

    Write c_skip, c_out and c_in yourself, from (05.5) and wish 1. `per_sample(number, x_t)` shapes () or (B,) so that it
    multiplies images; `.expand(len(x_t))` turns () into (B,).
    """
    ### BEGIN SOLUTION
    variance = (marginal.alpha * sigma_data) ** 2 + marginal.sigma**2
    c_skip = marginal.alpha * sigma_data**2 / variance
    c_out = marginal.sigma * sigma_data / variance.sqrt()
    answer = network(per_sample(variance.rsqrt(), x_t) * x_t, marginal.log_snr.expand(len(x_t)))
    return per_sample(c_skip, x_t) * x_t + per_sample(c_out, x_t) * answer
    ### END SOLUTION


# %% tags=["check-05.2"]
check("05.2", denoised)

# %% [markdown]
# ## 2. From the bound to one line
#
# *The evidence lower bound is a sum of squared errors with weights; drop the weights and it works better.*
#
# Notebook 04 ended with a bound on $-\log p(x_0)$: a prior term, a decoder term, and for each step of the chain
# $\mathrm{KL}\bigl(q(x_s\mid x_t,x_0)\,\Vert\,p(x_s\mid x_t)\bigr)$. The model $p(x_s\mid x_t)$ is the bridge with
# the network's guess $\hat x_0$ in the place of $x_0$. Both are Gaussians with the same standard deviation, so only
# their means differ, and
#
# $$\mathrm{KL}=\tfrac12\bigl(\mathrm{snr}_s-\mathrm{snr}_t\bigr)\,\lVert x_0-\hat x_0\rVert^2. \tag{05.6}$$
#
# <details><summary>Complete derivation</summary>
#
# For two Gaussians with the same covariance $\tau^2I$ and means $m$, $\hat m$, the KL is
# $\lVert m-\hat m\rVert^2/(2\tau^2)$ (notebook 02, property (f): the logarithm and the trace cancel the constant).
#
# The means are $w_tx_t+w_0x_0$ and $w_tx_t+w_0\hat x_0$, so
# $\lVert m-\hat m\rVert^2=w_0^2\lVert x_0-\hat x_0\rVert^2$ with $w_0=\alpha_sV/\sigma_t^2$, where
# $V=\sigma_t^2-r^2\sigma_s^2$ is the kernel's variance and $r=\alpha_t/\alpha_s$. The bridge's variance is
# $\tau^2=\sigma_s^2V/\sigma_t^2$. Hence
#
# $$\frac{w_0^2}{2\tau^2}=\frac{\alpha_s^2V^2}{\sigma_t^4}\cdot\frac{\sigma_t^2}{2\sigma_s^2V}=\frac{\alpha_s^2V}{2\sigma_s^2\sigma_t^2}
# =\frac{\alpha_s^2\sigma_t^2-\alpha_t^2\sigma_s^2}{2\sigma_s^2\sigma_t^2}=\frac12\Bigl(\frac{\alpha_s^2}{\sigma_s^2}-\frac{\alpha_t^2}{\sigma_t^2}\Bigr).\;∎$$
#
# No step used that the variance is preserved: it holds for every schedule.
# </details>
#
# The check computes the left side as a KL between two Gaussians over all pixels, for a model that guesses wrongly on
# purpose.


# %% tags=["nbval-check-output"]
def wrong_denoiser(x_t, marginal):
    return Prediction.from_x0(wrong_x0, x_t, marginal)


equation("05.6", step_term(wrong_denoiser, x_0, x_t, before, now), 0.5 * (before.snr - now.snr) * squared)

# %% [markdown]
# Written with the noise, $\lVert x_0-\hat x_0\rVert^2=\lVert\varepsilon-\hat\varepsilon\rVert^2/\mathrm{snr}_t$ by
# (05.4). Ho et al. give the model the variance $\beta_t$ instead of the bridge's
# $\tilde\beta_t=\sigma_{t-1}^2\beta_t/\sigma_t^2$; then the two Gaussians differ in width too, which adds a constant
# that no network can change:
#
# $$\mathrm{KL}=\frac{\beta_t}{2(1-\beta_t)\,\sigma_t^2}\,\lVert\varepsilon-\hat\varepsilon\rVert^2
# +\frac d2\Bigl(\log\frac{\beta_t}{\tilde\beta_t}+\frac{\tilde\beta_t}{\beta_t}-1\Bigr). \tag{05.7}$$
#
# The first factor is their equation 12: from (05.3) the means differ by $\frac{\beta}{\sigma_t\sqrt{1-\beta}}$ times
# the error of the noise; square, and divide by twice the model's variance $\beta$.

# %% tags=["nbval-check-output"]
t = torch.tensor([2, 10, 100, 500, 1000])
noisy = jump(x_0, ho(t), noise)
beta, tilde = ho.betas[t - 1], bridge_weights(ho(t - 1), ho(t))[2] ** 2
miss = (Prediction.from_x0(wrong_x0, noisy, ho(t)).eps - noise).square().flatten(1).sum(1)
constant = 784 / 2 * (torch.log(beta / tilde) + tilde / beta - 1)
nats = step_term(wrong_denoiser, x_0, noisy, ho(t - 1), ho(t), step_std="beta")
equation("05.7", nats, beta / (2 * (1 - beta) * ho(t).sigma ** 2) * miss + constant)

# %% [markdown]
# Now look at the factor in front of $\lVert\varepsilon-\hat\varepsilon\rVert^2$ over the thousand steps. If the bound
# is what we want, this is how much each step's error matters. Look at the left end.

# %%
steps = torch.arange(2, 1001)
of_beta = ho.betas[steps - 1] / (2 * (1 - ho.betas[steps - 1]) * ho(steps).sigma ** 2)
of_bridge = step_weight(ho(steps - 1), ho(steps)) / ho(steps).snr
plotting.curves(
    {"bound, variance beta": of_beta, "bound, variance beta-tilde": of_bridge, "simple loss (times 0.01)": torch.full((999,), 0.01)},
    x=steps, xscale="log", yscale="log", xlabel="t", ylabel="weight of the noise's squared error",
    alt="Weights over the time step on log axes: both bounds fall from about 0.3 and 0.6 at t = 2 to 0.005 near t = 350 and rise to 0.01; the simple loss is flat",
)  # fmt: skip

# %% tags=["nbval-check-output"]
print(f"the bound weighs step 2 against step 500 by a factor of {float(of_beta[0] / of_beta[498]):.3f}")
share = of_bridge.cumsum(0) / of_bridge.sum()
print(f"the first 20 of 999 steps hold {float(share[19]):.3f} of all the weight")

# %% [markdown]
# The bound spends its weight where the picture is almost clean: a quarter of it on the first 2% of the steps, on noise
# that is hardly visible. That is honest accounting: a pixel's last bits cost as many nats as its first ones. But it is
# not what we look at in a picture. So Ho et al. set all the weights to 1:
#
# $$L_\text{simple}=\mathbb E_{t,\,x_0,\,\varepsilon}\,\bigl\lVert\varepsilon-\varepsilon_\theta(\alpha_tx_0+\sigma_t\varepsilon,\;t)\bigr\rVert^2,\qquad t\text{ uniform}. \tag{05.8}$$
#
# In code: draw a time, draw noise, jump, ask, compare. Five lines. (The code takes the mean over the pixels, that is,
# divides by $d$.) The check takes a "network" whose error is known: one that always answers 0, so that the loss must
# be the mean of $\varepsilon^2$.

# %% tags=["nbval-check-output"]
times = torch.randint(1, 1001, (64,), generator=rng)
batch = train_set.images[:64].double()
eps = torch.randn(batch.shape, generator=rng, dtype=torch.float64)


def always_zero(x, log_snr):
    return torch.zeros_like(x)


equation("05.8", simple(always_zero, Parametrization("eps"), batch, ho(times), eps), eps.square().sum() / eps.numel())

# %% [markdown]
# <details><summary><b>Question.</b> Every target has a "simple" loss: set the weight of <i>its</i> squared error to 1. Is the simple loss of v
# the same as that of the noise? Which cares more about the noisy end?</summary>
#
# By (05.4) they weigh $\lVert x_0-\hat x_0\rVert^2$ with $1+\mathrm{snr}$ and $\mathrm{snr}$: almost the same where
# the picture is clean, but at the noisy end, where snr tends to 0, v still pays 1 per unit of error in the picture
# and the noise pays nothing. So "predict v" is two decisions at once: what the output means, and how errors are
# weighed. The experiment below takes them apart: half of its runs give all targets the same weight.
# </details>
#
# ### One integral, many losses
#
# Schedules and losses look like two choices. In training they are one. What counts is how often a noise level is
# visited, times how much an error counts there. With $\lambda=\log\mathrm{snr}$ as the variable, and $e(\lambda)$ the
# mean squared error of $\hat x_0$ at that level,
#
# $$\mathbb E_{t\sim U(0,1)}\bigl[w(\lambda_t)\,e(\lambda_t)\bigr]=\int w(\lambda)\,e(\lambda)\;\Bigl\lvert\frac{\mathrm dt}{\mathrm d\lambda}\Bigr\rvert\,\mathrm d\lambda \tag{05.9}$$
#
# (substitution; Kingma and Gao 2023 collect what all published losses become). The check integrates both sides for
# data $N(0, \sigma_d^2)$, where $e(\lambda)=c_\text{out}^2$ is known, once over $t$ and once over $\lambda$, through
# `time_at`, the inverse of the schedule.


# %% tags=["nbval-check-output"]
def paid(level):
    return Preconditioning.of(level, 0.5).out ** 2 * (1 + level.snr)  # error of Gaussian data, at v's price


t = torch.linspace(0.05, 1, 20_001, dtype=torch.float64)
over_t = torch.trapezoid(paid(schedule(t)), t)
log_snr = torch.linspace(float(schedule(1.0).log_snr), float(schedule(0.05).log_snr), 20_001, dtype=torch.float64)
when = schedule.time_at(log_snr)
over_levels = (paid(Marginal.from_log_snr(log_snr))[:-1] * (when[:-1] - when[1:])).sum()  # |dt/d log_snr| d log_snr
equation("05.9", over_t, over_levels, rtol=1e-3)

# %% [markdown]
# Here are three recipes as weights on the picture's error over the noise levels, each scaled to its own maximum: Ho
# et al.'s (noise, linear betas), v with the cosine schedule, and Karras et al.'s (their target, noise levels from a
# log-normal law; with this course's default numbers, $N(-0.2, 1.1^2)$, not theirs, $N(-1.2, 1.2^2)$). Look for where
# each recipe spends its effort.

# %%
levels = torch.linspace(-9, 9, 181, dtype=torch.float64)
at = Marginal.from_log_snr(levels)


def visits(schedule):
    return -torch.gradient(schedule.time_at(levels), spacing=(levels,))[0]


log_ratio = -0.5 * levels  # log(sigma / alpha), drawn from N(-0.2, 1.1**2)
log_normal = torch.exp(-0.5 * ((log_ratio + 0.2) / 1.1) ** 2)
recipes = {
    "noise, linear": at.snr * visits(Linear()), "v, cosine": (1 + at.snr) * visits(Cosine()),
    "preconditioned, log-normal": (at.snr + 4) * log_normal, "bound": at.snr,
}  # fmt: skip
plotting.curves(
    {name: (w * at.sigma**2 / (w * at.sigma**2).max()) for name, w in recipes.items()}, x=levels, xlabel="log SNR", ylabel="effort, relative to the highest",
    alt="Relative effort over noise levels, measured in errors of v: the bound rises to the clean side and stays there, the three recipes in use are bumps around the middle",
)  # fmt: skip

# %% [markdown]
# (For the eye, each weight is multiplied by $\sigma^2$, so that the height says how much an error of *v* counts.) The
# bound insists on the clean side. Everything in use has its bump in the middle, where a blur becomes a picture.
#
# ### Does it matter? The published table, and ours
#
# Ho et al. trained the same network with several objectives, on CIFAR-10 (their table 2; IS, the Inception score,
# higher is better; FID, a Fréchet distance in the features of an Inception network, lower is better; section 6
# explains it):
#
# | objective | IS | FID |
# |---|---|---|
# | predict the bridge's mean, bound, fixed variance | 8.06 | 13.22 |
# | predict the noise, bound, fixed variance | 7.67 | 13.51 |
# | **predict the noise, simple loss** | **9.46** | **3.17** |
#
# (Predicting the mean with the simple loss failed to train, and so did a learned variance with the noise.) The gain
# comes with the weights: the second row predicts the noise as well. (That weight 1 on the error of the *mean* failed
# does not contradict this: by (05.4) it is another weight on the picture's error, $w_0^2$ instead of snr.)
#
# Our small replica crosses $x_0$, the noise, $v$ and the preconditioned target (`edm`) with two weights, on digits
# averaged down to 12 x 12: the same small UNet, the same number of steps, the same noise levels, three seeds. It is
# **recorded**: made beforehand by a script, because it takes minutes; the last lines say which script and with what
# settings. (All recordings on this page are older than the recipe of section 4. They use AdamW alone, at one rate, and
# a network that normalises channels in groups: compare them with one another, not with what you train below.) *Simple*
# weighs the squared error of the target itself by 1; *bound* weighs the picture's error at every step as the bound
# does, the same for all targets: within these four bars only the meaning of the output differs. The Fréchet distance
# (lower is better) is section 6's. Before you run the next cell, write down which row you expect to win, and whether
# you expect the seeds to agree.

# %%
replica = recording("05_targets")
for name, row in replica["results"].items():
    print(
        f"{name:16s} Fréchet distance {row['mean']:6.2f} ± {row['spread']:.2f}   (seeds: {', '.join(f'{v:.2f}' for v in row['values'])})"
    )
print(f"recorded by: {replica['command']}\n{replica['settings']}")

# %%
targets, results = ("x0", "eps", "v", "edm"), replica["results"]
plotting.bars(
    {weight: [results[f"{target}, {weight}"]["mean"] for target in targets] for weight in ("simple", "bound")},
    errors={weight: [results[f"{target}, {weight}"]["spread"] for target in targets] for weight in ("simple", "bound")},
    labels=targets, ylabel="Fréchet distance", alt="Fréchet distance of four targets, each with simple and with bound weights, with the spread over three seeds as error bars",
)  # fmt: skip

# %%
for verdict in replica["verdicts"]:
    print(verdict)

# %% [markdown]
# The weights matter as in the paper: for every target the bound's weights are worse with every seed, and on average
# their distance is two to three times as large. The targets surprise. With their own simple weights, noise and v cannot
# be told apart, but predicting $x_0$ is far ahead of both. Ho et al. report the contrary (they tried $x_0$ early on,
# and it gave worse pictures).
#
# <details><summary><b>Question.</b> Is x_0 ahead because of its weight or because of what it is? (Look at the price list of section 1
# and at the second set of bars.)</summary>
#
# The tempting answer is the weight: at weight 1 for $x_0$ errors at the noisy end count fully, at weight 1 for the
# noise they count next to nothing there, and after 1,000 steps on tiny pictures rough shape, which is decided at the
# noisy end, is what the network still gets wrong. But the bars refute it twice. The *bound* bars give all four targets
# the same weight, and there $x_0$ leads by as much. And among the *simple* bars v and the preconditioned target pay
# fully at the noisy end as well, by the price list, and yet v cannot be told from the noise, and the preconditioned
# target is last. So in this short run the form of the target matters: what the network's output means. Why, we have not
# found out. Nor need it hold in the other place: Ho et al. trained a large network on photographs for most of a million
# steps. An experiment answers for its own settings.
# </details>

# %% [markdown]
# ### Exercise 05.3: the simple loss (2 points)
#
# The time and the noise are given, so that there is one right number.


# %% tags=["exercise-05.3"]
def noise_loss(network, schedule, x_0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Return the simple loss (05.8), a 0-dimensional tensor: the mean over all images and pixels of |noise - prediction|**2.

    network   predicts the noise: network(x_t, log_snr), with x_t (B, C, H, W) and log_snr (B,)
    schedule  schedule(t) is the marginal at time t: .alpha, .sigma and .log_snr, each (B,)
    x_0       clean images (B, C, H, W);  t (B,) their times;  noise (B, C, H, W) standard normal, drawn already

    The network is shown x_t as it is, without preconditioning, and is told the log-SNR. Tables hand out float64: cast
    the log-SNR to the images' type with `.to(x_0)`.
    """
    ### BEGIN SOLUTION
    marginal = schedule(t)
    x_t = jump(x_0, marginal, noise)
    return (network(x_t, marginal.log_snr.to(x_0)) - noise).square().mean()
    ### END SOLUTION


# %% tags=["check-05.3"]
check("05.3", noise_loss)

# %% [markdown]
# ## 3. The real UNet
#
# *A picture goes in and a picture of the same size comes out; in between, the network looks at it coarsely and
# finely, and is told how noisy it is.*
#
# Notebook 01's hourglass had the right shape. The real one keeps its blocks, its skips, its packed pixels and its
# zeros, lets go of the waist and the coordinates, and adds attention and a better ear for the noise level.
#
# ```
#  x_t ── pack ── conv ── block ──┬──────── skip ────────── join ── block ── conv ── unpack ── F
#                               halve    (14 x 14)        double
#                               block ──┬── skip ── join ── block
#                                       │  (7 x 7)   │
#                                       └─ block, attention, block
#
#  log SNR ── sines, cosines ── two linear layers ── a scale and a shift inside every block
# ```
#
# Kept:
#
# * **Residual blocks**: $x+\text{conv}(\ldots\text{conv}(\ldots x))$, each convolution preceded by a normalisation
#   and a smooth kink (SiLU). A block that has learnt nothing passes its input on (where the number of channels changes,
#   through one linear map of the channels).
# * **Skips by concatenation** from the way down to the way up, so that fine detail does not have to squeeze through
#   the coarse levels.
# * **Zeros**: each block's last layer, and the network's last layer, start at zero, so that at first every block adds
#   nothing and the network answers 0.
# * **Packing**: $2\times2$ pixels become channels at the entrance, so that the expensive layers work on $14\times14$.
#   That makes two CPU cores enough.
#
# New:
#
# * **Attention** at the coarsest level: every place looks at every other. A stroke's two ends are far apart for a 3x3
#   convolution.
# * **The noise level as log SNR**, not as $t$, so that one network serves every schedule; and as **a scale beside the
#   shift**, after each block's second normalisation ("FiLM"). The same features, amplified or muted depending on how
#   much noise there is.
# * **No waist**: the coarsest level has more channels than the finest, not fewer. And no coordinates: showing a pixel
#   where it stands brought nothing that we could measure (`docs/performance.md`).

# %%
tiny = PRESETS["tiny"]
print(tiny)
for name, config in PRESETS.items():
    print(
        f"{name:6s} {parameter_count(UNet(config)):>12,} parameters, images must be multiples of {config.divisor} pixels"
    )

# %% [markdown]
# Where do the parameters sit, and where does the time go? The second column counts multiplications and additions for
# one digit. Before you look: will the coarse level (7 x 7, 48 channels) cost more or less than the fine one
# (14 x 14, 16 channels)?

# %%
network = UNet(tiny).eval()
with torch.no_grad(), FlopCounterMode(display=False) as counter:
    network(torch.zeros(1, 1, 28, 28), torch.zeros(1))
cost = counter.get_flop_counts()  # by module: path -> operations

# %% tags=["nbval-check-output"]
parts = {"noise level": "noise_level", "stem": "stem", "down, 14 x 14": "down.0", "halve": "shrink.0", "down, 7 x 7": "down.1",
         "middle, 7 x 7": "middle", "up, 7 x 7": "up.0", "double": "grow.0", "up, 14 x 14": "up.1", "head": "head"}  # fmt: skip
flops = {name: sum(cost[f"UNet.{path}"].values()) if f"UNet.{path}" in cost else 0 for name, path in parts.items()}
for name, path in parts.items():
    inside = [key for key in cost if key.startswith(f"UNet.{path}.") and key.count(".") == path.count(".") + 2]
    flops[name] = flops[name] or sum(sum(cost[key].values()) for key in inside)
    count = parameter_count(network.get_submodule(path))
    print(f"{name:14s} {count:>8,} parameters   {flops[name] / 1e6:6.2f} million operations")
total = counter.get_total_flops() / 1e6
print(f"{'all':14s} {parameter_count(network):>8,} parameters   {total:6.2f} million operations")

# %% [markdown]
# The coarse level costs four times as much here: its three rows make 18.8 million operations, the two of the fine level
# 4.7. (Attention's own products are in the middle's count, 0.46 million: see the question below. The 32 parameters that
# the rows do not show are the last normalisation's.) A $3\times3$ convolution from $c$ to $c'$ channels has $9cc'$
# weights, and each is used once per place. Twice the channels at half the resolution means four times the weights a
# layer, at a quarter of the places: equal cost, more parameters. That is why UNets usually double their channels when
# they halve the resolution. `tiny` even triples them, so a layer below costs $9/4$ of one above, and the middle adds
# two more blocks there. It pays: in the same minute on one core, 16 and 48 channels gave better digits than 24 and 48
# (measured in `docs/performance.md`).
#
# <details><summary><b>Question.</b> Attention compares every place with every other. What would it cost at 14 x 14, compared with 7 x 7? And
# on a 256 x 256 picture?</summary>
#
# Places squared times channels, twice (scores, and their use): at $7\times7$ with 48 channels
# $2\cdot2\cdot49^2\cdot48\approx0.46$ million operations, next to nothing. At $14\times14$, sixteen times as much for
# the same channels, a third of that with this network's 16. At $256\times256$, $65{,}536^2$ pairs: four thousand million
# scores for one layer. So attention stays at the coarse levels (`attn_levels`), or the whole model moves to a smaller
# latent picture.
# </details>
#
# Attention is one formula. Each place holds a query, a key and a value, three linear maps of its features:
#
# $$\operatorname{attention}(Q,K,V)=\operatorname{softmax}\bigl(QK^\top/\sqrt{d_k}\bigr)\,V \tag{05.10}$$
#
# with $d_k$ the length of a query. A softmax over the places, then an average: you will meet the same shape again in
# section 7, where it is the exact denoiser of a data set.

# %% tags=["nbval-check-output"]
layer = Attention(channels=8, head_dim=4).double()
nn.init.normal_(layer.out.weight, generator=rng)  # it starts at zero, which would hide the answer
features = torch.randn(2, 8, 3, 3, generator=rng, dtype=torch.float64)
Q, K, V = layer.qkv(layer.norm(features)).reshape(2, 3, 2, 4, 9).transpose(-1, -2).unbind(1)  # each (2, heads, 9, 4)
mixed = (Q @ K.transpose(-1, -2) / math.sqrt(4)).softmax(-1) @ V
by_hand = features + layer.out(mixed.transpose(-1, -2).reshape(2, 8, 3, 3))
equation("05.10", layer(features), by_hand)

# %% [markdown]
# ### What zero buys
#
# A fresh network answers zero, exactly. With the preconditioned target its denoiser is then $c_\text{skip}\,x_t$, the
# best multiple of $x_t$, were the mean 0: nothing has been learned, and the loss starts at the size of the target
# instead of somewhere wild.

# %% tags=["nbval-check-output"]
edm = Parametrization("edm", sigma_data=0.5)
fresh = network_denoiser(network, edm)
with torch.no_grad():
    guess, output = fresh(x_t.float(), now).x0, network(x_t.float(), now.log_snr.float())
factors = Preconditioning.of(now, 0.5)
print(f"largest output of a fresh network: {float(output.abs().max()):.3f}")
print(
    f"its denoiser against c_skip x_t, largest difference: {float((guess - per_sample(factors.skip, x_t) * x_t).abs().max()):.3f}"
)

# %% [markdown]
# ### Is the noise level critical as an input?
#
# Predict first. One network has to denoise pictures with hardly any noise and pictures that are nothing but noise.
# Surely it must be told which is which? Suppose you always told it the same level, in training and in sampling. What
# would happen?
#
# <details><summary>Have a guess, then unfold</summary>
#
# A picture of 784 pixels gives its noise level away. Most pixels near a digit's border are exactly $-1$ before
# noising, so the spread of, say, a hundred of them after noising *is* $\sigma_t$, to within 7%
# ($1/\sqrt{2\cdot100}$). The next cell measures it. What the network loses is not the knowledge but the convenience:
# it must spend capacity on estimating the level, and on turning its features up or down accordingly.
# </details>

# %% tags=["nbval-check-output"]
border = torch.ones(28, 28, dtype=torch.bool)
border[1:-1, 1:-1] = False
times = torch.linspace(0.02, 0.98, 500, dtype=torch.float64)
pictures = held_back.images[:500].double()
noisy = jump(pictures, schedule(times), torch.randn(pictures.shape, generator=rng, dtype=torch.float64))
measured = noisy[:, 0, border].std(dim=1)
off = (measured / schedule(times).sigma - 1)[times > 0.1]
print(
    f"{int(border.sum())} border pixels tell sigma to {float(off.square().mean().sqrt()):.3f} of its value; theory says {1 / math.sqrt(2 * 107):.3f}"
)

# %% [markdown]
# So nothing needs to be told that could not be seen. But is it as good? Recorded: the same network and budget, told
# the level and not told it (a constant instead), three seeds, sampled with the two samplers that section 5 explains:
# DDIM, which takes the network at its word, and DDPM, which stirs fresh noise in at every step.

# %%
ablation = recording("05_noise_level")
for name, row in ablation["results"].items():
    print(
        f"{name:22s} Fréchet distance {row['mean']:6.2f} ± {row['spread']:.2f}   (seeds: {', '.join(f'{v:.2f}' for v in row['values'])})"
    )
for verdict in ablation["verdicts"]:
    print(verdict)
print(f"recorded by: {ablation['command']}\n{ablation['settings']}")

# %% [markdown]
# Not being told does not hurt: with DDIM the untold network is even a little better with every seed, with DDPM the
# seeds overlap. So the noise level is not critical as an input, for such small pictures with such plain borders, at
# such a short budget. It is given anyway: it costs next to nothing, and where a picture does not show its noise level
# (few pixels, textures that look like noise) it cannot be guessed. The second thing to see: DDPM is ahead of DDIM for
# both networks, although every single step is the same network's answer. Section 5 says why fresh noise can repair a
# network's errors.

# %% [markdown]
# ## 4. Train it
#
# *Draw pictures, draw noise levels, draw noise; move the weights against the gradient; keep an average.*
#
# ### The average that you sample from
#
# The weights of the last step jitter: each step follows the noise of one batch. Sampling is done with a running average
# of the weights, an *exponential moving average* (EMA): after the $k$-th step,
# $\bar w_k=\rho_k\bar w_{k-1}+(1-\rho_k)w_k$. Unrolled, the average after $n$ steps is a weighted mean of all weights
# there have been,
#
# $$\bar w_n=\Bigl(\prod_{k=1}^n\rho_k\Bigr)w_0+\sum_{j=1}^n(1-\rho_j)\Bigl(\prod_{k=j+1}^{n}\rho_k\Bigr)w_j, \tag{05.11}$$
#
# and its weights sum to 1. The check builds them for a decay with warm-up and compares with the update, done step by
# step.


# %% tags=["nbval-check-output"]
def shares(decays: Tensor) -> Tensor:
    """How much w_0, w_1, .., w_n count in the average, (n + 1,)."""
    later = decays.flip(0).cumprod(0).flip(0)  # product of rho_j .. rho_n
    return torch.cat([later[:1], (1 - decays) * torch.cat([later[1:], torch.ones(1, dtype=later.dtype)])])


decays = torch.tensor([warmed_decay(step, 0.9999) for step in range(1, 301)], dtype=torch.float64)
walk = torch.randn(301, generator=rng, dtype=torch.float64).cumsum(0)
average = walk[0]
for rho, w in zip(decays, walk[1:], strict=True):
    average = rho * average + (1 - rho) * w
equation("05.11", (average, 1.0), ((shares(decays) * walk).sum(), shares(decays).sum()))

# %% [markdown]
# Papers train for a million steps with $\rho=0.9999$. On a run of 2,000 steps that number is a trap: look at what
# remains of the random start. The remedy is to let the decay warm up, $\rho_k=\min\bigl(\rho,\frac{1+k}{10+k}\bigr)$:
# then the average always covers the most recent part of the run, whatever its length. (You will write it yourself in
# exercise 05.6.)

# %% tags=["nbval-check-output"]
n = 2000
ramp = torch.tensor([warmed_decay(step, 0.9999) for step in range(1, n + 1)], dtype=torch.float64)
constant = {0.99: shares(torch.full((n,), 0.99).double()), 0.9999: shares(torch.full((n,), 0.9999).double())}
print(
    f"share of the random start after {n} steps: {float(constant[0.9999][0]):.3f} with 0.9999, {float(shares(ramp)[0]):.3f} with warm-up"
)
print(f"half of the average is younger than {int((shares(ramp).flip(0).cumsum(0) < 0.5).sum())} steps with warm-up")

# %%
plotting.curves(
    {"decay 0.99": constant[0.99][1:] + 1e-12, "decay 0.9999": constant[0.9999][1:], "0.9999 with warm-up": shares(ramp)[1:]},
    x=torch.arange(1, n + 1), yscale="log", xlabel="step of training", ylabel="share in the final average",
    alt="Share of each training step in the final average on a log scale: 0.99 remembers the last few hundred steps, 0.9999 counts all steps alike and keeps the start, the warm-up rises smoothly towards the end",
)  # fmt: skip

# %% [markdown]
# ### A minute of training
#
# The loop of the library is a generator: it yields after every step, and you own the progress bar, the pictures and
# the decision to stop. You have met most of what it does: batches, noise levels drawn from a log-normal law, `simple`
# on the preconditioned target, the average. The rest in half a sentence each:
#
# * the noise levels of a batch are *stratified*: one from each of 64 equally probable parts of their law, which takes
#   chance out of the loss;
# * a gradient longer than 1 is *clipped*, shortened to length 1: one odd batch cannot throw the weights far;
# * the learning rates *warm up* for a few steps, then fall to zero along a cosine;
# * *AdamW* is Adam that also shrinks every weight a little at each step (weight decay);
# * *Muon* moves the convolutions inside the network. It is the one new idea:
#
# <details><summary><b>Muon, in a few sentences.</b></summary>
#
# A layer's gradient is a matrix. (A convolution's, too: a row for each output channel, a column for each input channel
# and place in the window.) Of its singular values a few are large and most are small: a plain step goes almost wholly
# along the large ones. Muon (Jordan et al. 2024) averages the gradients of the last steps and brings all singular
# values of the average close to one, so that every direction moves about equally far. No decomposition is needed. The
# matrix is divided by its norm, so that no singular value $s$ is above 1, and then five times
# $s\to as+bs^3+cs^5$ with $a=3.4445$, $b=-4.775$, $c=2.0315$. For the matrix that is $aM+bMM^\top M+c(MM^\top)^2M$:
# products of matrices only (`course_lib/muon.py`). Small values grow by more than three each time; 1 is no fixed point
# ($a+b+c=0.70$), so the values do not converge: whatever was above 0.005 ends between 0.68 and 1.16, and
# more is not needed.
# AdamW moves the rest: the first and the last layer, the linear layers, biases, and the scales of normalisations.
# </details>
#
# On a matrix whose singular values lie far apart: before, after, and what the formula says.

# %% tags=["nbval-check-output"]
matrix = torch.randn(32, 64, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
matrix = matrix * torch.logspace(0, -2, 64, dtype=torch.float64)
first, after = torch.linalg.svdvals(matrix / matrix.norm()), torch.linalg.svdvals(orthogonalise(matrix))
formula = first
for _ in range(5):
    formula = 3.4445 * formula - 4.775 * formula**3 + 2.0315 * formula**5
off = (after - formula.sort(descending=True).values).abs().max()
print(f"singular values divided by the norm: {float(first.min()):.3f} to {float(first.max()):.3f}")
print(f"after five rounds: {float(after.min()):.3f} to {float(after.max()):.3f}; off the formula by {float(off):.3f}")

# %% [markdown]
# On two CPU cores the next cell trains the `tiny` preset (0.23 million parameters) for about a minute, eight or nine passes
# over the digits. Where a GPU is found the same cell trains `base`, some twenty-four times the size, for the same
# minute; its rates and its batch are those that were tuned for `tiny` on CPUs, and how far `base` comes with them has
# not been measured. The pictures are drawn from the average, always from the same noise, after 1, 3, 10, 30, 60 and 99
# percent of the time: in which of these rows do you expect the first digit?


# %%
def start_noise(n: int, seed: int) -> Tensor:
    """`n` pictures of pure noise, (n, 1, 28, 28), always the same for the same seed."""
    return torch.randn(n, 1, 28, 28, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def draw(denoiser, x: Tensor, steps: int = 20, step=ddim, seed: int = 0) -> Tensor:
    """Samples in [-1, 1], of the shape of the noise `x` they start from."""
    generator = torch.Generator().manual_seed(seed)
    return last(sample(denoiser, schedule, log_snr_times(schedule, steps), x, step, generator)).cpu()


# %%
def show_rows(pictures: dict[str, Tensor], alt: str, **more) -> plotting.Picture:
    """A labelled row of pictures for each entry, images in [-1, 1]."""
    return plotting.strip({name: as_pixels(x) for name, x in pictures.items()}, alt=alt, **{"cell": 0.5} | more)


# %%
SECONDS = 60
device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(5)
mine, losses, x_T = UNet(PRESETS["base" if device == "cuda" else "tiny"]), [], start_noise(14, seed=1).to(device)
shown, moments = {"start": x_T}, [0.01, 0.03, 0.1, 0.3, 0.6, 0.99, math.inf]
screen = display(show_rows(shown, "Pictures of pure noise"), display_id=True)
with tqdm(total=100, unit="%", bar_format="{l_bar}{bar}| {elapsed}{postfix}") as bar:
    for state in train(mine, edm, train_set.images, TrainConfig(seconds=SECONDS)):
        losses.append(state.loss)
        if state.progress >= moments[len(shown) - 1]:
            average = state.average.eval()
            shown[f"step {state.step}"] = draw(network_denoiser(average, edm, clip_x0=True), x_T)
            screen.update(show_rows(shown, "Samples after 1, 3, 10, 30, 60 and 99% of training: from noise to digits"))
            bar.set_postfix_str(f"step {state.step}, loss {float(torch.stack(losses[-50:]).mean()):.3f}")
        bar.update(min(100, round(100 * state.progress)) - bar.n)

# %% [markdown]
# First the edges turn dark, then there are blobs, then strokes in snow, and then the snow clears. Most of what the eye
# can see happens in the first third of the minute; after that the digits change little, and some are none to the end.
# The course ships a wider network, `digits`, with a million parameters and trained for longer:
# `python -m course_lib train --data digits --preset small --steps 20000 --noise-mean -0.4 --noise-std 1.4 --seed 0 --out runs/digits`,
# about an hour on two quiet cores. From here on the pictures come from the shipped one, and yours is beside it where it
# is interesting.

# %%
model = load_model("digits")
denoiser = model.denoiser(clip_x0=True)
yours = network_denoiser(average, edm, clip_x0=True)
show_rows(
    {"yours, after a minute": draw(yours, x_T), "shipped": draw(denoiser, x_T.cpu())},
    "Two rows of digits from the same noise: from the network trained above, and from the shipped network",
)

# %%
print(f"the shipped network has {parameter_count(model.network):,} parameters; its record says:")
for key in ("command", "steps", "images_seen", "frechet_distance"):
    print(f"  {key}: {model.record.get(key)}")

# %% [markdown]
# ### Where the loss is lost
#
# The loss curve falls fast and then hardly moves. Before you call the network
# "converged", look at the loss *per noise level*, on digits it was trained on and on digits it has never seen. The
# third line is the untrained network, whose guess is $c_\text{skip}\,x_t$.

# %%
smooth = torch.stack(losses).float().cpu().unfold(0, min(25, len(losses)), 1).mean(1)
levels = torch.linspace(-7, 7, 15)


@torch.no_grad()
def loss_at(net, images: Tensor, level: Marginal) -> float:
    eps, there = torch.randn(images.shape, generator=torch.Generator().manual_seed(3)), next(net.parameters()).device
    return float(simple(net, edm, images.to(there), level, eps.to(there)))


rows = {"trained on": (mine.eval(), train_set), "never seen": (mine, held_back), "untrained": (UNet(tiny), held_back)}
by_level = {
    name: [loss_at(net, data.images[:200], Marginal.from_log_snr(level)) for level in levels]
    for name, (net, data) in rows.items()
}
beside(
    plotting.curves({"loss": smooth}, yscale="log", xlabel="step", title="mean of 25 steps", size=(4.2, 3.0), alt="Training loss over steps: a steep fall, then a slow decline"),
    plotting.curves(by_level, x=levels, yscale="log", xlabel="log SNR", title="loss by noise level", size=(4.2, 3.0), alt="Loss over the log signal-to-noise ratio for training digits, unseen digits and an untrained network: most is learned at the noisy end and in the middle"),
)  # fmt: skip

# %% tags=["nbval-check-output"]
mean_only = (train_set.images.mean(0) - held_back.images).double().square().mean()
print(f"squared error per pixel of the best constant picture, on held-back digits: {float(mean_only):.3f}")

# %% [markdown]
# <details><summary><b>Question.</b> The untrained curve is far above 1 at the noisy end. Wish 2 promised a target of unit size. What went
# wrong?</summary>
#
# The wish assumed a data mean of zero. The digits are mostly black, $-0.74$ on average, and at the noisy end the
# target is $(x_0-c_\text{skip}x_t)/c_\text{out}\approx x_0/\sigma_d$, mean included. A bias in the last layer learns
# the mean within the first dozens of steps. Where the noise is strong, knowing the mean picture is most of what there
# is to know: see the printed number, the error of the best constant.
# </details>
#
# <details><summary><b>Question.</b> "Trained on" and "never seen" lie on top of each other. What would you see if the network had
# memorised the training digits, and at which noise levels?</summary>
#
# A gap, from intermediate noise (log SNR about -3) all the way to the clean side: there a network that knows the
# digits by heart can name the one that was noised, and with it the noise, so its loss falls to 0. At very strong
# noise (below -5) there is no gap: not even a perfect memory can tell which digit it was. Section 7 measures it.
# </details>

# %% [markdown]
# ## 5. Sample
#
# *Guess the clean picture, step back to where the bridge says, add as much noise as the bridge says; repeat.*
#
# ### The ancestral loop
#
# "Ancestral": draw $x_T$ from pure noise, then each $x_s$ given its parent $x_t$, from $p(x_s\mid x_t)$, which is the
# bridge with $\hat x_0$ in place of $x_0$:
#
# $$x_s = w_t\,x_t + w_0\,\hat x_0 + \tau\,n,\qquad n\sim N(0,I). \tag{05.12}$$
#
# Here it is in full, in nine lines. The check runs the library's `sample` with the same random numbers: same
# pictures.

# %% tags=["nbval-check-output"]
exact = gaussian_denoiser(0.4, 0.3)  # data N(0.4, 0.09): every pixel's best guess is known
times = log_snr_times(schedule, 25)
x = start_noise(4, seed=2).double()
generator = torch.Generator().manual_seed(3)
for t, s in pairwise(times):
    prediction = exact(x, schedule(t))
    of_x_t, of_x_0, std = bridge_weights(schedule(s), schedule(t))
    fresh_part = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    x = of_x_t * x + of_x_0 * prediction.x0 + std * fresh_part
library = sample(
    exact, schedule, times, start_noise(4, seed=2).double(), ddpm("bridge"), torch.Generator().manual_seed(3)
)
equation("05.12", x, last(library))

# %% [markdown]
# Three details in these lines are where most home-made samplers break. The times are taken as neighbours of a list
# (`pairwise`), never as "t minus something". At the last step $s=0$ the bridge's std is 0, so no noise is added. And
# network and sampler read the *same* marginal. Section 10 breaks the last two; the first is a trap in exercise 05.5.
#
# ### Which variance?
#
# Ho et al. tried two: the bridge's, $\tilde\beta_t=\frac{\sigma_s^2}{\sigma_t^2}\beta_t$, right if the data were a
# single point, and the forward step's $\beta_t$, right if the data were standard normal. They found no difference in
# quality, with a thousand steps. Look at the ratio of the two to see why, and where it is not so.

# %%
rows = {}
for steps in (1000, 100, 10):
    table = Table.of(Linear(), steps)
    t = torch.arange(2, steps + 1)
    rows[f"T = {steps}"] = (t / steps, bridge_weights(table(t - 1), table(t))[2] / kernel(table(t - 1), table(t)).std)
plotting.curves(
    rows, xlabel="t / T", ylabel="std of bridge / std of forward step", size=(6.4, 3.0),
    alt="Ratio of the two standard deviations over time: close to 1 except in the first steps for T = 1000, well below 1 in the first third of the time for T = 10",
)  # fmt: skip

# %% [markdown]
# On Gaussian data we can do better than look. With the exact denoiser each step maps $x_t$ to $a\,x_t+b+c\,n$: an
# affine map. So the variance of what comes out follows from the slopes alone,
#
# $$\operatorname{Var}(x_s)=a^2\operatorname{Var}(x_t)+c^2, \tag{05.13}$$
#
# and a sampler's final variance can be computed without drawing a single number. `slopes` measures $a$ and $c$ of *any*
# step of the library; the check draws 400,000 samples with 20 steps.


# %%
def slopes(step, s: Marginal, t: Marginal, denoiser) -> tuple[Tensor, Tensor]:
    """How strongly x_t and the fresh noise enter x_s, for a denoiser that is affine in x_t."""
    zero = torch.zeros(1, 1, dtype=torch.float64)
    at = {(x, n): step(zero + x, s, t, denoiser, zero + n)[0] for x, n in ((0, 0), (1, 0), (0, 1))}
    return (at[1, 0] - at[0, 0])[0, 0], (at[0, 1] - at[0, 0])[0, 0]


def final_variance(step, schedule, times, denoiser) -> float:
    """The variance of the samples of data N(m, std**2), from pure noise down to t = 0."""
    variance = 1.0
    for t, s in pairwise(times):
        a, c = slopes(step, schedule(s), schedule(t), denoiser)
        variance = float(a**2 * variance + c**2)
    return variance


# %% tags=["nbval-check-output"]
x = torch.randn(400_000, 1, generator=rng, dtype=torch.float64)
drawn = last(sample(exact, Linear(), Linear().times(20), x, ddpm("beta"), rng))
equation("05.13", final_variance(ddpm("beta"), Linear(), Linear().times(20), exact), drawn.var(), rtol=6e-3)

# %% [markdown]
# The data's variance is 0.09. What do the samplers make of it? (`renoise` is notebook 01's second algorithm: guess
# the clean picture, noise it afresh.)

# %% tags=["nbval-check-output"]
print("steps   DDPM, beta-tilde   DDPM, beta    DDIM   renoise      (data: 0.090)")
for steps in (10, 30, 100, 1000):
    each = [
        final_variance(step, Linear(), Linear().times(steps), exact)
        for step in (ddpm("bridge"), ddpm("beta"), ddim, renoise)
    ]
    print(f"{steps:5d}   {each[0]:16.3f}   {each[1]:10.3f}   {each[2]:5.3f}   {each[3]:7.3f}")

# %% [markdown]
# $\tilde\beta$ comes out too narrow at every number of steps; $\beta$ comes out too wide, except with ten steps,
# where the long last step, which adds no noise, costs more than the others bring. With a thousand steps both are
# nearly right, and so is DDIM. `renoise` is not, and more steps do not help.
#
# ### Renoising halves the variance
#
# *Throwing the noise away and drawing all of it again forgets more than the guess restores.* Why exactly half?
#
# <details><summary>Proof</summary>
#
# *One step.* Data $N(\mu,\sigma_d^2)$, one dimension; the right variance of $x_t$ is $D=\alpha^2\sigma_d^2+\sigma^2$.
# The exact guess is $\hat x_0=\mu+\frac{\alpha\sigma_d^2}{D}(x_t-\alpha\mu)$. Renoising gives
# $x_s=\alpha_s\hat x_0+\sigma_s n$, so the variance $V$ of what is really there goes as
# $V_s=\bigl(\alpha_s\frac{\alpha_t\sigma_d^2}{D_t}\bigr)^2V_t+\sigma_s^2$.
#
# *Where it wants to be.* If the level did not change, $s=t$, this would be $V\mapsto g^2V+\sigma^2$ with
# $g=\alpha^2\sigma_d^2/D$. Its fixed point is $V^\star=\sigma^2/(1-g^2)$. Since
# $1-g^2=\frac{(D-\alpha^2\sigma_d^2)(D+\alpha^2\sigma_d^2)}{D^2}=\frac{\sigma^2(D+\alpha^2\sigma_d^2)}{D^2}$,
# it is $V^\star=D^2/(D+\alpha^2\sigma_d^2)$.
#
# *The gap.* Let $e=V-V^\star$. In a step of length $h=t-s$ the scales $\alpha_s$, $\sigma_s^2$ and the fixed point
# $V^\star_s$ differ from those at $t$ by at most a multiple of $h$ (they are smooth functions of the time), so
#
# $$\lvert e_s\rvert\le g_t^2\,\lvert e_t\rvert+Ch\,(1+\lvert e_t\rvert)$$
#
# with one number $C$ for the whole walk. As $g\le1$, $1+\lvert e\rvert$ grows by at most the factor
# $1+Ch\le\mathrm e^{Ch}$ in a step, so in all steps together by at most $\mathrm e^{C}$ (the times go from 1 to 0). So
# $\lvert e\rvert$ is bounded, and with a larger $C$ we have $\lvert e_s\rvert\le g_t^2\lvert e_t\rvert+Ch$.
#
# *While $\sigma\ge\delta$*, $g^2$ stays below some $q<1$. If no step is longer than $h$, then after $k$ steps a
# geometric sum gives $\lvert e\rvert\le q^k\lvert e_T\rvert+\frac{Ch}{1-q}$: it tends to 0 as the steps become small
# and many.
#
# *Below $\delta$*, where $g$ tends to 1, each step adds at most $C$ times its length, all of them together at most $C$
# times the length of time that is left. Choose $\delta$ first, so small that this is as little as you like; then make
# the steps small, so that little is left of $e$ on the way down to $\delta$. So $e\to0$ at the end of the walk, and
# there, with $\alpha=1$, $\sigma=0$, $D=\sigma_d^2$:
# $V^\star=\sigma_d^4/(2\sigma_d^2)=\sigma_d^2/2$. (1000 steps give 0.044, the limit is 0.045.) ∎
# </details>
#
# $$V^\star=\frac{D^2}{D+\alpha^2\sigma_d^2}\;\xrightarrow[\;\sigma\to0\;]{}\;\frac{\sigma_d^2}{2},\qquad D=\alpha^2\sigma_d^2+\sigma^2. \tag{05.14}$$
#
# The check iterates the library's `renoise` at one noise level until it settles.

# %% tags=["nbval-check-output"]
here = schedule(0.3)
a, c = slopes(renoise, here, here, exact)
settled = torch.ones((), dtype=torch.float64)
for _ in range(500):
    settled = a**2 * settled + c**2
wide = here.alpha**2 * 0.09 + here.sigma**2
equation("05.14", settled, wide**2 / (wide + here.alpha**2 * 0.09))

# %% [markdown]
# ### One knob
#
# All of these are one formula. Take the guess $(\hat x_0,\hat\varepsilon)$ at time $t$. Build $x_s$ from it: the
# picture scaled by $\alpha_s$, and noise of total strength $\sigma_s$, of which a part $c$ is drawn afresh and the
# rest is the noise that is already there:
#
# $$x_s=\alpha_s\hat x_0+\sqrt{\sigma_s^2-c^2}\;\hat\varepsilon+c\,n,\qquad 0\le c\le\sigma_s. \tag{05.15}$$
#
# * $c=0$: **DDIM** (Song, Meng and Ermon 2021). No randomness after the start; notebook 06 shows that it solves an
#   ODE.
# * $c=\tau$, the bridge's std: **DDPM** with $\tilde\beta$. The check below shows that this is (05.12).
# * $c=\sigma_s$: **renoise**.
#
# DDPM with $\beta$ is not in the family: it keeps the bridge's mean and only widens the noise.

# %% tags=["nbval-check-output"]
s, t = schedule(0.45), schedule(0.5)
x = start_noise(2, seed=4).double()
n, guess = start_noise(2, seed=5).double(), exact(x, t)
tau = bridge_weights(s, t)[2]
by_formula = s.alpha * guess.x0 + (s.sigma**2 - tau**2).sqrt() * guess.eps + tau * n
equation("05.15", by_formula, ddpm("bridge")(x, s, t, exact, n)[0])

# %% [markdown]
# Turn the knob on Gaussian data: the final variance against $c$ as a multiple of the bridge's std, for several
# numbers of steps. More steps bring all curves nearer to the truth; but what does turning the knob up do, at any
# number of steps?

# %%
multiples = torch.linspace(0, 1.4, 8)
turned = {}
for steps in (10, 100, 400):
    turned[f"{steps} steps"] = [
        final_variance(fresh_noise(float(m)), Linear(), Linear().times(steps), exact) for m in multiples
    ]
turned["data"] = torch.full((8,), 0.09)
plotting.curves(
    turned, x=multiples, xlabel="fresh noise, in units of the bridge's std (0: DDIM, 1: DDPM)", ylabel="variance of the samples",
    alt="Variance of the samples against the amount of fresh noise: every curve falls as more noise is fresh; with 400 steps it is close to the truth up to DDPM, with 10 steps far below it",
)  # fmt: skip

# %% [markdown]
# Fresh noise makes each step's discretisation error worse, and past 1 it turns DDPM gradually into `renoise`. With ten
# steps it has done so at 1.2: $c$ cannot exceed $\sigma_s$, is capped there, and the curve ends in a kink at the value
# that the table above has for `renoise`.
#
# **Turn it yourself**, on three bumps in the plane, whose exact denoiser is known: whatever goes wrong is the
# sampler's doing. The first noise stays the same until you change its seed. Start with $\eta = 0$ (DDIM; 1 is DDPM)
# and few steps, then turn $\eta$ up: which view changes first, the walks or the samples? Then choose `renoise` and
# read the widths of the bumps: what should their ratio be, by (05.14)?

# %%
sampler_bench()

# %% [markdown]
# <details><summary>What to see</summary>
#
# The walks change first: they become jagged. The samples change only a little: read the widths in the table, which fall
# slightly. With `renoise` and fifty steps the widths of the bumps shrink to about $\sqrt{1/2}\approx0.71$ of what they
# should be. Only about: (05.14) is for a single Gaussian, and three bumps are one only once a walk has settled on one
# of them.
# </details>
#
# <details><summary><b>Question.</b> If fresh noise only makes things worse, why does anybody use it?</summary>
#
# Because here the denoiser is exact. A trained network makes errors, and along a deterministic path they stay:
# whatever is wrong with $x_t$ is carried on. Fresh noise replaces part of $x_t$'s noise by correct noise and forgets
# some of the error. So with a good network and many steps DDPM often gives the better pictures, with few steps DDIM.
# Notebook 06 measures it.
# </details>
#
# And on digits. Each column starts from the same noise. In the top row nothing else is random; from row to row more of
# the noise is drawn afresh. Look for how soon the columns stop showing the same digit. (A variance cannot be read off
# eleven digits: for that, trust the table.)

# %%
x_T = start_noise(11, seed=6)
rows = {
    "DDIM, c = 0": ddim,
    "c = half": fresh_noise(0.5),
    "DDPM, bridge": ddpm("bridge"),
    "DDPM, beta": ddpm("beta"),
    "renoise": renoise,
}
drawn = {name: draw(denoiser, x_T, steps=30, step=step, seed=7) for name, step in rows.items()}
show_rows(
    drawn,
    "Five rows of eleven digits from the same starting noise: the more of the noise is fresh, the less a column shows the same digit",
)  # fmt: skip

# %% [markdown]
# ### Scrub through it
#
# Left, $x_t$; right, what the network believes the digit is, $\hat x_0$, at the same moment. Drag the slider or press
# play. Find the moment when a digit's identity is decided; then find the moment when its last stroke is. Is there a
# difference between the two halves of the walk?

# %%
times, generator = log_snr_times(schedule, 30), torch.Generator().manual_seed(9)
walk = list(sample(denoiser, schedule, times, start_noise(12, seed=8), ddpm("bridge"), generator))
panels = {"x_t": torch.stack([state.x for state in walk]), "predicted x_0": torch.stack([state.x0 for state in walk])}
scrub(
    {name: as_pixels(frames) for name, frames in panels.items()},
    t=times, marginals=schedule(times), scale="frames", size=250, levels=32,
    alt="Twelve digits emerging from noise over 31 moments, with the network's current guess of each beside it",
)  # fmt: skip

# %%
changes = [float((a.x0 - b.x0).square().mean().sqrt()) for a, b in pairwise(walk)]
plotting.curves(
    {"change of the guess": changes},
    x=schedule(times[:-1]).log_snr,
    xlabel="log SNR (the walk goes to the right)",
    ylabel="rms change per step",
    size=(6.4, 2.6),
    alt="How much the predicted digit changes at each step of the walk: most in the middle noise levels",
)

# %% [markdown]
# At first $\hat x_0$ is the mean of all digits: the network does not know anything, and says so. Then it commits,
# over a short stretch, to one digit; then it works on strokes. Compare this with notebook 01, whose two algorithms
# you can now name:
#
# | notebook 01 | what the network predicts | how a step goes | here |
# |---|---|---|---|
# | Algorithm 1 | the previous picture, $x_{t-1}$ | take the prediction's *mean* | predict the bridge's mean, and *add noise of the bridge's width*: DDPM |
# | Algorithm 2 | the clean picture, $x_0$ | noise it afresh to the next level | same target as DDPM; as a sampler it is `renoise` |
#
# The targets of both are now one and the same, by conversion. Not so the samplers. What Algorithm 1 was missing is
# the noise: it fed back means, and means are grey. What Algorithm 2 was missing is memory: it threw away the noise it
# had, and with it half of the variance.
#
# ### Exercise 05.4: one ancestral step (3 points)


# %% tags=["exercise-05.4"]
def step_back(x_t: Tensor, x0_hat: Tensor, earlier: Marginal, later: Marginal, noise: Tensor, step_std: str) -> Tensor:
    """Return x_s (B, ...): the bridge's mean at `x0_hat`, plus `noise` times a standard deviation.

    x_t, x0_hat  (B, ...): where we are, at the `later` marginal, and what the network believes the clean picture is
    earlier      alpha, sigma at time s < t, where we go; later: alpha, sigma at t. Each () or (B,)
    noise        standard normal, of the shape of x_t
    step_std     "bridge": the standard deviation of q(x_s | x_t, x_0), whose square is beta-tilde
                 "beta": that of the forward step q(x_t | x_s), whose square is beta
                 At s = 0, where sigma_s = 0, no noise is added, whichever is chosen.

    Write it with alphas and sigmas: r = alpha_t / alpha_s, beta = sigma_t**2 - r**2 sigma_s**2.
    Do not assume alpha**2 + sigma**2 = 1: in two cases it is not so.
    """
    ### BEGIN SOLUTION
    r = later.alpha / earlier.alpha
    beta = later.sigma**2 - (r * earlier.sigma) ** 2
    of_x_t = r * earlier.sigma**2 / later.sigma**2
    of_x_0 = earlier.alpha * beta / later.sigma**2
    std = beta.clamp(min=0).sqrt() * (earlier.sigma / later.sigma if step_std == "bridge" else 1.0)
    std = torch.where(earlier.sigma > 0, std, 0.0)
    return per_sample(of_x_t, x_t) * x_t + per_sample(of_x_0, x_t) * x0_hat + per_sample(std, x_t) * noise
    ### END SOLUTION


# %% tags=["check-05.4"]
check("05.4", step_back)

# %% [markdown]
# ### Exercise 05.5: the sampling loop, with any step (2 points)


# %% tags=["exercise-05.5"]
def walk_down(denoiser, schedule, times: Tensor, x: Tensor, step, noises: Tensor) -> Tensor:
    """Return all images of a sampling walk, (n + 1, B, ...): first `x` itself, at times[0], last the sample, at times[n].

    denoiser  handed on to `step`
    schedule  schedule(t) is the marginal at time t
    times     (n + 1,) falling from the noise to 0; not evenly spaced in general
    x         (B, ...) at times[0]
    step      called as step(x_t, earlier, later, denoiser, noise), where `earlier` is the marginal of the time it goes to and
              `later` that of x_t; returns (x_s, prediction)
    noises    (n, B, ...): step i, counted from 0 at the noisy end, uses noises[i]
    """
    ### BEGIN SOLUTION
    images = [x]
    for (t, s), noise in zip(pairwise(times), noises, strict=True):
        x, _ = step(x, schedule(s), schedule(t), denoiser, noise)
        images.append(x)
    return torch.stack(images)
    ### END SOLUTION


# %% tags=["check-05.5"]
check("05.5", walk_down)

# %% [markdown]
# ### Exercise 05.6: an average with warm-up (2 points)
#
# Loop and step are yours now. What is still missing of your own DDPM is the average of section 4, whose weights the
# network that you sample from carries.


# %% tags=["exercise-05.6"]
def moving_average(weights: Tensor, decay: float) -> Tensor:
    """Return the running average (P,) after the last step of a run.

    weights  (n + 1, P): row 0 holds the initial weights, row k those after the k-th step; n may be 0
    decay    where the warm-up ends

    The average starts as row 0. The k-th update, k = 1 .. n, keeps a share rho of the average and adds 1 - rho of row k,
    where rho is the smaller of `decay` and (1 + k) / (10 + k).
    """
    ### BEGIN SOLUTION
    average = weights[0]
    for k in range(1, len(weights)):
        rho = min(decay, (1 + k) / (10 + k))
        average = rho * average + (1 - rho) * weights[k]
    return average
    ### END SOLUTION


# %% tags=["check-05.6"]
check("05.6", moving_average)

# %% [markdown]
# ## 6. Judge it
#
# *Three numbers, and how each of them can fool you.*
#
# "They look good" is a start. Three questions have numbers for answers: Is the *distribution* right? Are the samples *new*?
# Is *everything* there? Let us draw four hundred samples to ask about.

# %%
N = 400
parts = [
    draw(denoiser, start_noise(50, seed=100 + i), steps=10, step=heun) for i in tqdm(range(N // 50), desc="samples")
]
fake = torch.cat(parts)
plotting.image_grid(as_pixels(fake[:60]), ncols=20, cell=0.36, alt="Sixty samples of the shipped network")

# %% [markdown]
# ### The Fréchet distance
#
# Send real and generated pictures through a network that knows the subject, and compare the two clouds of features. Fit
# one Gaussian to each. The distance between two Gaussians is what it costs to move one onto the other (its square,
# strictly). The cost is the smallest mean squared distance $\mathbb E\lVert x-y\rVert^2$ over all couplings, that is,
# over all joint laws of $x\sim N(m_a,A)$ and $y\sim N(m_b,B)$. We take the formula for it without proof:
#
# $$\min\mathbb E\lVert x-y\rVert^2=\lVert m_a-m_b\rVert^2+\operatorname{tr}\bigl(A+B-2(A^{1/2}BA^{1/2})^{1/2}\bigr). \tag{05.16}$$
#
# With the features of an Inception network it is called FID (Heusel et al. 2017). Ours come from a small classifier,
# trained on the same 9,000 digits, never on the held-back ones: numbers on this page compare with one another and
# with nothing published.
#
# The check takes covariances with common axes. There the best way is to stretch along each axis, and what it costs is
# $\sum_i(\sqrt{a_i}-\sqrt{b_i})^2$ plus the shift.

# %% tags=["nbval-check-output"]
white = torch.randn(200, 3, generator=rng, dtype=torch.float64)
white = white - white.mean(0)
white = (
    white @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(white.T))).T
)  # sample mean 0, sample covariance I, exactly
a, b, shift = (
    torch.tensor([1.0, 4.0, 0.25]).double(),
    torch.tensor([2.25, 1.0, 0.25]).double(),
    torch.tensor([0.3, 0.0, -1.0]).double(),
)
stretch = ((a.sqrt() - b.sqrt()) ** 2).sum() + shift.square().sum()
equation("05.16", metrics.frechet_distance(white * a.sqrt(), white * b.sqrt() + shift), stretch)

# %% [markdown]
# **How it fools you: it is biased.** Two sets of samples from the *same* law have different covariances, so their
# distance is not zero; it falls as the sets grow. Look at the line of the
# held-back digits, real against real: that is the distance of a perfect generator, and with a hundred pictures it is so
# uncertain that samples may even come out below it. Numbers for different $n$ must never be compared.

# %%
real, unseen = metrics.digit_features(train_set.images), metrics.digit_features(held_back.images)
snow = 0.15 * torch.randn(held_back.images.shape, generator=rng)
features = {
    "held-back digits, slightly noised": metrics.digit_features((held_back.images + snow).clamp(-1, 1)),
    "samples": metrics.digit_features(fake),
    "held-back digits": unseen,
}
sizes = [100, 150, 200, 300, 400]
distance = {name: [metrics.frechet_distance(real[:n], f[:n]) for n in sizes] for name, f in features.items()}
plotting.curves(
    distance, x=sizes, markers=True, xlabel="pictures on each side", ylabel="Fréchet distance",
    alt="Fréchet distance to training digits against the number of pictures: the curves fall on the whole as the number grows; held-back digits lowest in the end",
)  # fmt: skip

# %% tags=["nbval-check-output"]
same_law = torch.randn(2, 400_000 // 64, 64, generator=rng, dtype=torch.float64)
for n in (100, 400, 1600):
    several = [metrics.frechet_distance(same_law[0, i : i + n], same_law[1, i : i + n]) for i in range(0, 6 * 700, 700)]
    print(
        f"two sets of {n:5d} draws from one 64-dimensional normal law: {sum(several) / 6:.3f}, times n: {n * sum(several) / 6:.0f}"
    )

# %% [markdown]
# The bias falls about as $1/n$ (the last column hardly changes), so halving it takes twice as many pictures.
#
# <details><summary><b>Question.</b> A generator that returns the training digits themselves: what Fréchet distance does it get? And one
# that has only ever seen the digit 1?</summary>
#
# The first gets the distance of real digits to real digits, or better: the number cannot tell new pictures from
# copies. The second gets a large one, although each of its pictures is perfect. The distance sees the distribution,
# not the origin: hence the next two questions.
# </details>
#
# ### Are they new?
#
# For each sample, find the nearest training digit, pixel by pixel. Top: samples, bottom: the nearest of the 9,000.
# Would you call any of these a copy?

# %%
distances, nearest = metrics.nearest_neighbours(fake, train_set.images)
closest = distances.argsort()[:6].tolist() + list(range(6))
show_rows(
    {"samples": fake[closest], "nearest": train_set.images[nearest[closest]]},
    labels=["closest"] * 6 + ["any"] * 6, alt="Twelve samples above their nearest training digits: similar shapes, different strokes",
)  # fmt: skip

# %% [markdown]
# A distance alone says little: two plain 1s are always near each other. The yardstick is how near *real, unseen*
# digits are to the training set. A model that copies would be nearer than they are.

# %%
yardstick = metrics.nearest_neighbours(held_back.images[:N], train_set.images)[0]
nearer = float((distances[:, None] < yardstick[None]).float().mean())
print(
    f"median distance to the nearest training digit: samples {float(distances.median()):.2f}, held-back digits {float(yardstick.median()):.2f}"
)
print(f"a sample is nearer than a held-back digit in {nearer:.0%} of all pairs (50% would be a draw)")
plotting.histograms(
    {"samples": distances, "held-back digits": yardstick},
    bins=40,
    xlabel="distance to the nearest training digit",
    size=(6.4, 2.8),
    alt="Histograms of distances to the nearest training digit, for samples and for held-back digits: they overlap",
)

# %% [markdown]
# These samples lie a little *farther* from the training digits than honest new ones: no sign of copying, and a sign
# that some of them are not quite digits.
#
# **How it fools you:** pixel distance is blind to small shifts, and a sample that is *blurrier* than real digits is
# nearer to everything. And being nearer than real digits are is not yet copying; section 7 shows what copying looks
# like.
#
# ### Is everything there?
#
# Ten digits, about equally often. The classifier counts; the error bars are two standard errors of a share,
# $2\sqrt{p(1-p)/n}$. Which bars disagree with the real shares?

# %%
share, true_share = metrics.class_balance(fake), torch.bincount(train_set.labels, minlength=10) / len(train_set)
spread = 2 * (true_share * (1 - true_share) / N).sqrt()
plotting.bars(
    {"training digits": true_share, "samples": share}, labels=[str(i) for i in range(10)], errors={"samples": spread},
    xlabel="digit", ylabel="share", size=(6.4, 2.8), alt="Shares of the ten digits among training digits and among samples, with error bars",
)  # fmt: skip

# %%
outside = [str(i) for i in range(10) if (share[i] - true_share[i]).abs() > spread[i]]
print(f"further than two standard errors from the real share: {', '.join(outside) or 'none'}")

# %% tags=["nbval-check-output"]
right = (metrics.classify(held_back.images).argmax(1) == held_back.labels).double().mean()
print(f"the classifier names {float(right):.3f} of the held-back digits correctly")

# %% [markdown]
# <details><summary><b>Question.</b> One of ten bars is off by a little more than two standard errors. Does the network neglect that digit?</summary>
#
# That is not enough to say so. Even if all shares are right, a bar lies outside in about one case of twenty; among ten
# bars that is half a bar on average. Two or three outside, or one far outside, are a finding; one just outside is a
# reason to draw four hundred other samples and look at that digit again.
# </details>
#
# **How it fools you:** the classifier must say something, also about scribbles. And balance over ten classes says
# nothing about variety *within* a class.
#
# ## 7. Memorise or generalise?
#
# *The best possible denoiser of your training set returns your training set. That the network does not is the real
# puzzle.*
#
# All losses of section 2 have the same minimiser at each noise level: the conditional mean $\mathbb E[x_0\mid x_t]$
# (notebook 01). Training does not know the law of digits; it knows $N$ pictures. For these, "data drawn at random"
# means: one of the $N$, each with probability $1/N$. And then the conditional mean is no mystery. By Bayes' rule, the
# probability that $x_t$ came from picture $n$ is proportional to the density of the noise that would be needed, so
#
# $$\mathbb E[x_0\mid x_t]=\sum_{n=1}^N w_n\,x^{(n)},\qquad
# w=\operatorname{softmax}_n\Bigl(-\frac{\lVert x_t-\alpha_tx^{(n)}\rVert^2}{2\sigma_t^2}\Bigr). \tag{05.17}$$
#
# <details><summary>Why: Bayes' rule in two lines</summary>
#
# $p(n\mid x_t)=\dfrac{\frac1N\,N(x_t;\alpha_tx^{(n)},\sigma_t^2I)}{\sum_m\frac1N\,N(x_t;\alpha_tx^{(m)},\sigma_t^2I)}$.
# All densities have the same factor in front, $(2\pi\sigma_t^2)^{-d/2}$, which cancels with the $1/N$: what remains
# is the exponential of the quadratic over the sum of such exponentials, which is a softmax. Given $n$, $x_0=x^{(n)}$
# is certain, so $\mathbb E[x_0\mid x_t]=\sum_np(n\mid x_t)\,x^{(n)}$. ∎
# </details>
#
# It is attention with the noisy picture as the query and the data set as keys and values. The check compares with the
# exact denoiser of a *mixture of Gaussians* whose components have width zero: another formula, another route.

# %% tags=["nbval-check-output"]
few = train_set.images[:50].double()
points = Mixture(torch.full((50,), 1 / 50).double(), few, torch.zeros(50).double())
here = schedule(0.6)
seen = jump(few[:8], here, torch.randn(few[:8].shape, generator=rng, dtype=torch.float64))
scores = -(seen[:, None] - here.alpha * few[None]).square().flatten(2).sum(2) / (2 * here.sigma**2)
by_softmax = torch.einsum("bn,nchw->bchw", scores.softmax(1), few)
equation("05.17", by_softmax, mixture_denoiser(points)(seen, here).x0)

# %% [markdown]
# ### Sample with it: from fresh noise, all 9,000 digits in the softmax
#
# A formula, no network, nothing learned. Top: what the sampler returns. Bottom: the nearest training digit. Predict
# the difference.

# %%
oracle = empirical_denoiser(train_set.images)
copies = draw(oracle, start_noise(12, seed=10).double(), steps=40)
which = metrics.nearest_neighbours(copies, train_set.images)[1]
show_rows(
    {"samples": copies, "nearest": train_set.images[which]},
    alt="Twelve samples of the exact denoiser of the training set; each equals a training digit",
)

# %% tags=["nbval-check-output"]
off = (copies - train_set.images[which]).abs().max()
print(
    f"largest difference of a pixel from the training digit: {float(off):.3f}; different digits: {len(set(which.tolist()))}"
)

# %% [markdown]
# Perfect digits, every one, and all of them copies. This *is* the global minimum of the training loss. So every
# diffusion model that makes new pictures does so because it was **not** trained to the minimum: its network cannot,
# or does not, represent that softmax.
#
# When does the softmax decide? Count how many digits share the weight, as $\exp(\text{entropy})$: 9,000 means no
# idea, 1 means decided. Look for how sudden it is, and where the network's own decision (the scrubber above) was.

# %%
levels = torch.linspace(-9, 3, 17, dtype=torch.float64)
undecided = []
for level in levels:
    one = Marginal.from_log_snr(level)
    seen = jump(train_set.images[:25].double(), one, torch.randn(25, 1, 28, 28, generator=rng, dtype=torch.float64))
    w = empirical_weights(train_set.images, seen, one)
    undecided.append(float(torch.special.entr(w).sum(1).exp().median()))
plotting.curves(
    {"digits sharing the weight (median)": undecided}, x=levels, yscale="log", xlabel="log SNR", ylabel="number of digits", size=(6.4, 2.8),
    alt="Effective number of training digits in the softmax: about 9,000 at log SNR -8, then a fall to 1 at log SNR -1.5",
)  # fmt: skip

# %% [markdown]
# The fall from thousands to one happens almost wholly between log SNR -5 and -1.5. It is the same stretch in which the
# network's guess moved most (the curve below the scrubber): there a noisy picture begins to tell one digit from
# another, for the formula and for the network.
#
# ### In the plane, live
#
# Forty points drawn from a spiral are all the data. Three denoisers: the exact one for the *forty points*, a small
# network trained on them, and the exact one for the *spiral*, which the network never sees. Which of the outer two
# will the network's samples resemble?


# %%
class Plane(nn.Module):
    """A denoiser of points of the plane: (B, 2) and log-SNR (B,) in, (B, 2) out."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        sizes = pairwise((8, width, width, width))
        hidden = [layer for pair in sizes for layer in (nn.Linear(*pair), nn.SiLU())]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, 2))

    def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
        level = log_snr.clamp(-12, 12)[:, None] / 4
        return self.layers(torch.cat([x, 2 * x, level, level.sin(), level.cos(), level**2 / 4], dim=1))


# %%
forty = toys.spiral(40, torch.Generator().manual_seed(11)).float()
torch.manual_seed(0)
small, law = Plane(), Parametrization("edm", sigma_data=0.5)
optimizer = torch.optim.Adam(small.parameters(), lr=3e-3)
for step in tqdm(range(2000), desc="2-D network", mininterval=0.5):
    optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / 2000)
    x_0 = forty[torch.randint(40, (256,), generator=rng)]
    level = Marginal.from_log_snr(8 * torch.rand(256, generator=rng) * 2 - 8)
    loss = simple(small, law, x_0, level, torch.randn(256, 2, generator=rng))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# %%
starts = torch.randn(500, 2, generator=torch.Generator().manual_seed(12), dtype=torch.float64)
rivals = {
    "exact for the 40": empirical_denoiser(forty),
    "network": network_denoiser(small.double(), law),
    "exact for the spiral": mixture_denoiser(toys.spiral_2d()),
}
drawn = {name: draw(rival, starts, steps=60) for name, rival in rivals.items()}
beside(*[
    plotting.scatter({"samples": x, "the 40": forty}, limits=(-1.4, 1.4, -1.4, 1.4), size=(2.8, 3.0), title=name, alt=f"500 samples and the 40 training points, denoiser: {name}")
    for name, x in drawn.items()
])  # fmt: skip

# %%
for name, x in drawn.items():
    to_points = torch.cdist(x, forty.double()).min(1).values
    likelihood = toys.spiral_2d().log_density(x, Marginal(torch.ones(()), torch.tensor(0.05))).mean()
    print(
        f"{name:22s} median distance to the 40: {float(to_points.median()):.3f}   mean log density of the spiral, blurred by 0.05: {float(likelihood):7.2f}"
    )

# %% tags=["nbval-check-output"]
exact_copies = torch.cdist(drawn["exact for the 40"], forty.double()).min(1).values
print(
    f"exact denoiser of the 40 points: {float((exact_copies < 0.01).double().mean()):.3f} of the samples are copies to within 0.01"
)

# %% [markdown]
# In its distance to the forty points the network is between. In log density it is last: some of its samples lie off
# the curve. It cannot bend as sharply as the softmax, so its samples smear along the curve from one training point to
# the next: some of that is what we want (points of the spiral that nobody gave it), some of it is not (bridges across
# a gap). *Generalising is a mistake that we like.* Which mistakes a network makes is decided by its architecture:
# convolutions, attention, the packing, and by how long it trains.
#
# ### On digits, recorded
#
# The small UNet of the other recordings, trained on 10 digits and on 9,000, for the same 1,000 steps of 64 pictures:
# that is 6,400 passes over the ten, and 7 over the 9,000. For each sample: its nearest training digit, and whether it
# is a copy, meaning that it is less than half as far from its nearest training digit as held-back digits are at the
# median. Three seeds. The rule needs a baseline, as all rules do: how many held-back digits, which are certainly no
# copies, would it call so?

# %%
memory = recording("05_memorise")
ours, others = (nn.functional.adaptive_avg_pool2d(split.images, 12) for split in (train_set, held_back))
for name, row in memory["results"].items():
    far = metrics.nearest_neighbours(others, ours[: int(name)])[0]
    baseline = float((far < far.median() / 2).float().mean())
    print(
        f"trained on {name:>5s} digits: {row['mean']:6.1%} ± {row['spread']:.1%} of the samples are copies by the rule"
        f" (seeds: {', '.join(f'{v:.1%}' for v in row['values'])}), {baseline:.1%} of the held-back digits"
    )
for verdict in memory["verdicts"]:
    print(verdict)
print(f"recorded by: {memory['command']}\n{memory['settings']}")

# %% [markdown]
# Trained on ten digits, every sample is a copy, where honest new digits would be mistaken for one in about two cases of
# a hundred. Trained on 9,000, the samples are called copies even less often than honest new digits (most of these are
# plain 1s, which are near one another): no sign of copying. What the two runs do not tell apart is the number of digits
# and the number of passes over them.
#
# <details><summary><b>Question.</b> The model that you trained has 0.23 million parameters, and 9,000 digits are 7 million pixels. Is it safe to publish a model that
# was trained on private pictures, as long as there are fewer parameters than pixels?</summary>
#
# No. Not all pictures can be stored, but some can: one that occurs a hundred times in the training set is
# worth a hundred times the attention, and large image models have been shown to return such pictures nearly unchanged
# (Carlini et al. 2023). The test is the one above: nearest neighbours, against the yardstick of unseen pictures.
# </details>
#
# ### Exercise 05.7: the denoiser of a finite set (3 points)


# %% tags=["exercise-05.7"]
def posterior_mean(x_t: Tensor, images: Tensor, marginal: Marginal) -> Tensor:
    """Return E[x_0 | x_t], of the shape of `x_t` (B, ...), when x_0 is one of `images` (N, ...), all equally likely.

    marginal  alpha, sigma at the time of x_t, sigma > 0: each () or (B,)

    It has to survive small sigma, where every exponential underflows: use `softmax` on the scores, or subtract the largest first.
    """
    ### BEGIN SOLUTION
    x, references = x_t.flatten(1)[:, None], images.flatten(1)[None]
    alpha, sigma = per_sample(marginal.alpha, x), per_sample(marginal.sigma, x)
    scores = -((x - alpha * references) ** 2 / (2 * sigma**2)).sum(-1)
    return (scores.softmax(1) @ images.flatten(1)).reshape(x_t.shape)
    ### END SOLUTION


# %% tags=["check-05.7"]
check("05.7", posterior_mean)

# %% [markdown]
# ## 8. What the noise remembers
#
# *The starting noise is a name for the picture; pictures with the same grandparent look alike.*
#
# ### Same noise, other samplers
#
# With $c=0$ nothing is random after the start, so the noise decides everything. Does the *number of steps* matter? Or
# the solver? Look down the columns.

# %%
x_T = start_noise(11, seed=13)
solved = {f"DDIM, {n}": draw(denoiser, x_T, steps=n) for n in (5, 10, 20, 40)} | {
    "Heun, 20": draw(denoiser, x_T, steps=20, step=heun)
}
solved["DDPM, 40"] = draw(denoiser, x_T, steps=40, step=ddpm("bridge"))
show_rows(
    solved,
    "Six rows of eleven digits from the same noise: the deterministic samplers agree on each digit, DDPM draws others",
)

# %%
for name, x in solved.items():
    apart = (x - solved["DDIM, 40"]).square().mean().sqrt()
    print(f"{name:9s} rms difference from DDIM with 40 steps: {float(apart):.3f}")

# %% tags=["nbval-check-output"]
x = start_noise(1, seed=14).double()
ends = {n: last(sample(exact, schedule, log_snr_times(schedule, n), x, ddim)) for n in (10, 20, 40, 80)}
for n, end in ends.items():
    print(
        f"exact denoiser, {n:3d} DDIM steps: rms distance to 80 steps {float((end - ends[80]).square().mean().sqrt()):.3f}"
    )

# %% [markdown]
# Notebook 06 explains why: these samplers solve the same differential equation, some more roughly than others.
#
# ### Same grandparent
#
# Now the stochastic sampler. Walk from the noise down to some time $t$ *once*, then continue ten times with different
# fresh noise. The later the walks part, the more they have in common. Which property is shared first, and which last?
# Look from top to bottom.

# %%
times = log_snr_times(schedule, 40)
trunk = list(
    sample(denoiser, schedule, times, start_noise(1, seed=15), ddpm("bridge"), torch.Generator().manual_seed(16))
)
families, alike = {}, []
for split in (0, 12, 16, 20, 26):
    x = trunk[split].x.expand(10, -1, -1, -1)
    family = last(sample(denoiser, schedule, times[split:], x, ddpm("bridge"), torch.Generator().manual_seed(17)))
    families[f"part at log SNR {float(schedule(times[split]).log_snr):4.1f}"] = family
    alike.append(float(torch.cdist(family.flatten(1), family.flatten(1)).sum() / 90))
show_rows(
    families,
    alt="Rows of ten digits whose walks part at different noise levels: unrelated when they part at once, the same digit later, the same strokes at last",
)

# %%
print("mean distance within a row, from top to bottom: " + ", ".join(f"{d:.1f}" for d in alike))

# %% [markdown]
# <details><summary>What to see</summary>
#
# The top row shares nothing but the model. Then the rough placement of ink is shared, then the digit, then each
# stroke; in the last row only the finest texture is left to chance. Coarse first, fine last: the order in which noise
# hides things, backwards. (Ho et al. 2020, figure 7, show it for faces.)
# </details>
#
# ### Between two noises
#
# If noise is a name, what is between two names? Not the straight line. The length of a noise vector in $d$ dimensions
# is close to $\sqrt d$ (notebook 02), and halfway between two independent ones it is not:
#
# $$\mathbb E\bigl\lVert(1-u)\,a+u\,b\bigr\rVert^2=d\,\bigl((1-u)^2+u^2\bigr), \tag{05.18}$$
#
# half of what the network expects, at $u=\frac12$. Walking on the sphere instead ("slerp"), with weights
# $\cos\theta$ and $\sin\theta$, whose squares sum to 1, stays normal: $\cos\theta\,a+\sin\theta\,b$ has variance 1
# for every $\theta$. Look at the weight of the strokes in the middle: does too little noise read as too little ink? Two
# rows cannot say; the share of white below can, over 36 pairs of noises, both ways halfway between the same two.

# %% tags=["nbval-check-output"]
a, b = torch.randn(2, 2000, 784, generator=rng, dtype=torch.float64)
weight = torch.tensor([0.25, 0.5, 0.8], dtype=torch.float64)
lengths = torch.stack([((1 - w) * a + w * b).square().sum(1).mean() for w in weight])
equation("05.18", lengths, 784 * ((1 - weight) ** 2 + weight**2), rtol=5e-3)

# %%
a, b = start_noise(2, seed=21).split(1)
way = torch.linspace(0, 1, 12).reshape(-1, 1, 1, 1)
straight, sphere = (1 - way) * a + way * b, (way * math.pi / 2).cos() * a + (way * math.pi / 2).sin() * b
show_rows(
    {"straight": draw(denoiser, straight, steps=30), "on the sphere": draw(denoiser, sphere, steps=30)},
    alt="Two rows of twelve digits between the same two noises, along the straight line and on the sphere: the same at both ends",
)  # fmt: skip

# %%
between = start_noise(36, seed=22) + start_noise(36, seed=23)
white = [(draw(denoiser, x, steps=20) + 1).mean((1, 2, 3)) / 2 for x in (between / 2, between / math.sqrt(2))]
less, error = (white[1] - white[0]).mean(), (white[1] - white[0]).std() / 6  # 6: the root of 36 pairs
print(f"share of white: straight {float(white[0].mean()):.3f}, on the sphere {float(white[1].mean()):.3f}")
print(f"the straight way has less by {float(less):.3f}, with a standard error of {float(error):.3f}")

# %% [markdown]
# A difference is a finding where it is well over two of its standard errors, here as everywhere.
#
# Two *given* digits can be joined too (Ho et al., section 4.4): noise both to the same $t$ with the same noise, mix
# the two noisy pictures, walk back. A larger $t$ forgets more of both ends and invents more in between.

# %%
one, two = held_back.of(3)[:1], held_back.of(8)[1:2]
way, mixtures = torch.linspace(0, 1, 11).reshape(-1, 1, 1, 1), {}
for log_snr in (0.0, -2.0, -3.5):
    t = float(schedule.time_at(log_snr))
    mixed = jump((1 - way) * one + way * two, schedule(t), start_noise(1, seed=19).expand(11, -1, -1, -1)).float()
    below = log_snr_times(schedule, 40)
    below = torch.cat([torch.tensor([t]).double(), below[below < t - 1e-6]])
    mixtures[f"log SNR {log_snr:4.1f}"] = last(sample(denoiser, schedule, below, mixed, ddim))
show_rows(
    mixtures,
    alt="Three rows from a 3 to an 8: the stronger the noise, the less the two ends stay what they were",
)

# %% [markdown]
# ## 9. Optional: ask for a digit
#
# *Tell the network the label during training, withhold it now and then, and at sampling time exaggerate the
# difference.*
#
# The subject of a later notebook; here is a first taste. A network with a label input (`classes=10`) learns
# $\hat\varepsilon(x_t\mid y)$. If in one case of ten the label is withheld in training (`label_dropout`), the *same*
# network also knows $\hat\varepsilon(x_t)$. Classifier-free guidance (Ho and Salimans 2022) walks along a combination
# that overshoots, $w>1$ (our $w$ is their $w+1$):
#
# $$\hat\varepsilon_w=\hat\varepsilon(x_t)+w\,\bigl(\hat\varepsilon(x_t\mid y)-\hat\varepsilon(x_t)\bigr)=-\sigma_t\,\nabla_{x_t}\log\bigl[p_t(x_t)\,p_t(y\mid x_t)^w\bigr]. \tag{05.19}$$
#
# The second equality is Bayes' rule: $\log p_t(x\mid y)-\log p_t(x)=\log p_t(y\mid x)-\log p(y)$, and for exact
# denoisers $\hat\varepsilon=-\sigma_t\nabla\log p_t$. With exact denoisers of a mixture it can be checked by
# automatic differentiation. Our "classes" are the three bumps of the plane's mixture.

# %% tags=["nbval-check-output"]
everything, y, w = toys.mixture_2d(), 0, 3.0
only = Mixture(torch.ones(1).double(), everything.means[y : y + 1], everything.stds[y : y + 1])


def guided(x_t, marginal, w=w):
    free, told = mixture_denoiser(everything)(x_t, marginal).eps, mixture_denoiser(only)(x_t, marginal).eps
    return Prediction.from_eps(free + w * (told - free), x_t, marginal)


x, here = torch.randn(6, 2, generator=rng, dtype=torch.float64).requires_grad_(), schedule(0.6)
p, p_given_y = everything.log_density(x, here), only.log_density(x, here)
(gradient,) = torch.autograd.grad((p + w * (p_given_y - p)).sum(), x)
equation("05.19", guided(x.detach(), here).eps, -here.sigma * gradient)

# %%
starts = torch.randn(400, 2, generator=torch.Generator().manual_seed(20), dtype=torch.float64)
beside(*[
    plotting.scatter({"data": everything.sample(400, rng), "samples": draw(lambda x, m, w=w: guided(x, m, w), starts, steps=60)}, limits=(-1.8, 1.6, -1.5, 1.5), size=(2.8, 2.8), title=f"w = {w:g}", alt=f"Samples with guidance weight {w:g} over the mixture's three bumps")
    for w in (0.0, 1.0, 4.0)
])  # fmt: skip

# %% tags=["nbval-check-output"]
for w in (0.0, 1.0, 2.0, 4.0):
    x = draw(lambda x, m, w=w: guided(x, m, w), starts, steps=60)
    share = (torch.cdist(x, everything.means).argmin(1) == y).double().mean()
    print(
        f"w = {w:.0f}: share in bump 0 {float(share):.3f}, standard deviation {float(x.std(0).mean()):.3f}, mean x {float(x[:, 0].mean()):.3f}"
    )

# %% [markdown]
# $w=0$ ignores the label, $w=1$ samples the class, larger $w$ buys certainty with variety: the samples shrink and
# move away from the other classes, past the centre of their own. It is *not* a sample of the sharpened law
# $p(x)\,p(y\mid x)^w$: sharpening and noising do not commute, so (05.19) holds at each noise level but the levels do
# not belong to one process. The notebook on guidance will take this apart.
#
# <details><summary><b>Question.</b> What would w = -1 do?</summary>
#
# It walks away from the class: $\hat\varepsilon(x_t)-(\hat\varepsilon(x_t\mid y)-\hat\varepsilon(x_t))$, towards
# $p(x)/p(y\mid x)$: away from bump 0, and mostly into the empty space around the others, because that ratio is large
# wherever bump 0 is improbable, also where no data are. "Negative prompts" of image generators are this idea.
# </details>
#
# ## 10. "Why are my samples noise?"
#
# *Six classic mistakes. None raises an error; each has a measurement that finds it.*
#
# Here are a sound sampler of the shipped network and six that are broken in one place each. (In five of them the
# network is the shipped one; the broken place of the other is the network itself.) Before you read the labels under the
# fold, try to tell what is wrong from the pictures.

# %%
x_T, coarse = start_noise(10, seed=22), log_snr_times(schedule, 30)
raw = model.denoiser(clip_x0=False)
short = Table.from_betas(linear_betas(100))  # the usual betas, with 100 steps instead of 1000
stale = network_denoiser(Ema(UNet(tiny)).average, edm)  # an average that never left its random start


def walk_with(denoise, a_schedule=schedule, times=coarse, step=STEPS["ddpm"]):
    return last(sample(denoise, a_schedule, times, x_T, step, torch.Generator().manual_seed(23)))


# %%
def clip_only(x_t, marginal):
    guess = raw(x_t, marginal)
    return Prediction(guess.x0.clamp(-0.7, 0.7), guess.eps)  # eps still belongs to the old x0


def told_wrong(x_t, marginal):
    wrong_level = Marginal.from_log_snr(marginal.log_snr + 1.5)
    return Prediction.from_x0(denoiser(x_t, wrong_level).x0, x_t, marginal)


def std_is_variance(x_t, earlier, later, denoise, noise):
    guess = denoise(x_t, later)
    target = bridge(earlier, later, guess.x0, x_t)
    return target.mean + target.std**2 * noise, guess


# %%
with torch.no_grad():
    clinic = {
        "A": walk_with(denoiser, short, short.times(50)), "B": walk_with(clip_only, step=ddim),
        "C": walk_with(denoiser) + 0.35 * start_noise(10, seed=24), "D": walk_with(told_wrong),
        "E": walk_with(denoiser, step=std_is_variance), "F": walk_with(stale), "sound": walk_with(denoiser),
    }  # fmt: skip
show_rows(
    clinic,
    "Seven rows of ten samples: six broken samplers A to F with different artefacts, and a sound one",
)

# %% [markdown]
# <details><summary>What was done to each</summary>
#
# | row | broken | what you see | what to measure |
# |---|---|---|---|
# | A | betas of a 1000-step table used with 100 steps: the chain does not end in noise, but sampling starts there | too bold and crowded | $\alpha_T$: it should be near 0 |
# | B | $\hat x_0$ clipped, $\hat\varepsilon$ not recomputed (the range is narrowed here, so that it shows) | grey, with specks | $\alpha\hat x_0+\sigma\hat\varepsilon-x_t$: it should be 0 |
# | C | noise added on the last step (exaggerated here, 0.35, so that it shows: who forgets the rule adds at most the last level's $\sigma$, 0.011) | a clean digit under snow | the last step with two noises: the same result |
# | D | the network is told another noise level than the one $x_t$ has | ragged strokes, dirt that is never removed | the slope of $\hat x_0$ in $x_t$ on data with a known answer |
# | E | the variance used as standard deviation (a square root missing): too little noise | hardly anything: if at all, cleaner and with fewer details | the strength of the fresh noise against the bridge's std |
# | F | an average without warm-up: these are still the initial weights (of a `tiny`) | noise | the share of the initial weights left in the average |
#
# And one that you cannot see here, because it happens before training: pictures prepared in $[0,1]$ instead of
# $[-1,1]$.
# </details>
#
# Looking is not diagnosing: several rows could be "not trained enough". Measuring is. Notice that none of the
# measurements needs a good network. Most need no network at all: put in data whose answer you know, a single pixel if
# you like, and compare numbers. `gaussian_denoiser` was made for this. A sound pipeline passes all of these checks, one
# for each row of the table, *before* the first training run:

# %% tags=["nbval-check-output"]
t, s = schedule(0.5), schedule(0.45)
x, n = torch.full((1, 1), 4.0).double(), torch.ones(1, 1).double()
guess = clip(exact(x, t), x, t)
print(f"images run from {float(train_set.images.min()):.3f} to {float(train_set.images.max()):.3f}")
print(f"alpha at the end: {float(schedule(1.0).alpha):.3f} here, {float(short(100).alpha):.3f} with the wrong betas")
print(f"clipped guess, alpha x0 + sigma eps - x_t: {float((t.alpha * guess.x0 + t.sigma * guess.eps - x).abs()):.3f}")
final = [ddpm("beta")(x, schedule(0.0), schedule(0.02), exact, sign * n)[0] for sign in (1, -1)]
print(f"last step, with noise and with its mirror image: difference {float((final[0] - final[1]).abs()):.3f}")
fresh_std = (ddpm("bridge")(x, s, t, exact, n)[0] - ddpm("bridge")(x, s, t, exact, -n)[0]) / 2
print(f"fresh noise in one step, relative to the bridge's: {float(fresh_std / bridge_weights(s, t)[2]):.3f}")

# %% tags=["nbval-check-output"]
slope = exact(x + 1, t).x0 - exact(x, t).x0  # sigma_data of `exact` is 0.3
print(f"slope of the guess in x_t, relative to c_skip: {float(slope / Preconditioning.of(t, 0.3).skip):.3f}")
one = nn.Linear(1, 1, bias=False)
nn.init.ones_(one.weight)  # a network whose only weight is 1 at first ...
kept = Ema(one)
nn.init.zeros_(one.weight)  # ... and 0 after every step
for step in range(1, 1001):
    kept.update(one, step)
print(f"share of the initial weights in the average after 1000 steps: {float(kept.average.weight):.3f}")

# %% [markdown]
# ### Exercise 05.8: diagnose (3 points)
#
# You get six set-ups, shuffled. Each is broken in exactly one place, and no two in the same. All are made for
# one-number "pictures" drawn from $N(0,\sigma_d^2)$, and the network inside is exact, so there is nothing to train
# and nothing random. A set-up has
#
# * `setup.T`, the number of time steps; times run from 0 (clean) to `T`;
# * `setup.prepare(pixels)`: grey levels 0 to 255 become training pictures;
# * `setup.corrupt(x_0, t, noise)`: returns $x_t=\alpha_tx_0+\sigma_t\varepsilon$;
# * `setup.predict(x_t, t)`: returns the pair $(\hat x_0,\hat\varepsilon)$, for $t\ge1$;
# * `setup.step(x_t, t, noise)`: one ancestral step to $t-1$, meant to use the bridge's variance.
#
# Pictures are float64 tensors of any shape, `t` is an int. Measure $\alpha_t$ and $\sigma_t$ of a set-up with its own
# `corrupt`: of the picture 1 without noise, and of the picture 0 with the noise 1. The six symptoms, each with the
# number to report, which is 0 (or, for 1, small) where all is sound:
#
# | symptom | evidence |
# |---|---|
# | 0: wrong range | the largest absolute error of `prepare` at the grey levels 0 and 255 |
# | 1: does not end in noise | $\alpha_T$ |
# | 2: network told another time | at $t=T//2$ and $x_t=0.1$: the absolute value of $\hat x_0/(c_\text{skip}x_t)-1$, with $c_\text{skip}$ from (05.5) |
# | 3: a guess torn apart | at $t=1$ and $x_t=4$: the absolute value of $\alpha_1\hat x_0+\sigma_1\hat\varepsilon-x_t$ |
# | 4: noise on the last step | how strongly the noise enters the step from $t=1$ |
# | 5: noise of the wrong strength | at $t=T//2$: how strongly the noise enters, divided by the bridge's std; the absolute value of that minus 1 |
#
# "How strongly the noise enters" is half the difference between the step with noise $+1$ and with noise $-1$ (from
# $x_t=1$), as an absolute value.


# %% tags=["exercise-05.8"]
def find_faults(setups: list, data_std: float) -> tuple[Tensor, Tensor]:
    """Return (index, evidence), both of shape (6,): for each symptom 0 .. 5 of the table above, which of the `setups` (0 .. 5)
    shows it most, as whole numbers (int64), and the number that was measured there (float64).

    data_std  the standard deviation sigma_d of the data; their mean is 0
    """
    ### BEGIN SOLUTION
    one = torch.ones(1, dtype=torch.float64)

    def scales(setup, t):
        return Marginal(setup.corrupt(one, t, 0 * one)[0], setup.corrupt(0 * one, t, one)[0])

    def noise_strength(setup, t):
        return (setup.step(one, t, one) - setup.step(one, t, -one)).abs()[0] / 2

    def measure(setup):
        half, ends = setup.T // 2, torch.tensor([0.0, 255.0], dtype=torch.float64)
        now, first = scales(setup, half), scales(setup, 1)
        c_skip = now.alpha * data_std**2 / ((now.alpha * data_std) ** 2 + now.sigma**2)
        x0, eps = setup.predict(4 * one, 1)
        return torch.stack(
            [
                (setup.prepare(ends) - torch.tensor([-1.0, 1.0])).abs().max(),
                scales(setup, setup.T).alpha,
                (setup.predict(0.1 * one, half)[0][0] / (0.1 * c_skip) - 1).abs(),
                (first.alpha * x0 + first.sigma * eps - 4).abs()[0],
                noise_strength(setup, 1),
                (noise_strength(setup, half) / bridge_weights(scales(setup, half - 1), now)[2] - 1).abs(),
            ]
        )

    evidence, index = torch.stack([measure(setup) for setup in setups]).max(dim=0)
    return index, evidence
    ### END SOLUTION


# %% tags=["check-05.8"]
check("05.8", find_faults)

# %% [markdown]
# ## What we can do now, and what still hurts
#
# **We can** train a network that turns noise into digits, in a minute, and say of each of its parts what it is for:
# the target, the weight, the schedule, the average, the step, the knob. We can tell whether its samples come from the
# right distribution, whether they are new, and when they are broken, why.
#
# **What still hurts**
#
# * *Steps.* A sample costs dozens of network evaluations. DDIM with few steps was not so bad; why? How few can it be?
#   What is the limit of many?
# * *Two kinds of samplers*, random and not, end in the same distribution, and we have only seen that they do. Is
#   there a reason?
# * *Likelihood.* The bound of 04 is a bound. Could the exact likelihood of this very network be computed?
#
# All three have the same answer: let the steps become infinitely small. That is notebook 06.
#
# **References**
#
# * J. Ho, A. Jain, P. Abbeel: *Denoising Diffusion Probabilistic Models*. NeurIPS 2020. Equations 6, 7, 11, 12, 14;
#   algorithms 1 and 2; table 2.
# * J. Sohl-Dickstein, E. Weiss, N. Maheswaranathan, S. Ganguli: *Deep Unsupervised Learning using Nonequilibrium
#   Thermodynamics*. ICML 2015. The idea and the bound.
# * A. Nichol, P. Dhariwal: *Improved Denoising Diffusion Probabilistic Models*. ICML 2021. The cosine schedule,
#   learned variances.
# * K. Jordan, Y. Jin, V. Boza, J. You, F. Cesista, L. Newhouse, J. Bernstein: *Muon: An optimizer for hidden layers in
#   neural networks*. 2024, kellerjordan.github.io/posts/muon.
# * J. Song, C. Meng, S. Ermon: *Denoising Diffusion Implicit Models*. ICLR 2021. Equation 12 is our (05.15).
# * T. Salimans, J. Ho: *Progressive Distillation for Fast Sampling of Diffusion Models*. ICLR 2022. Where $v$ comes
#   from.
# * T. Karras, M. Aittala, T. Aila, S. Laine: *Elucidating the Design Space of Diffusion-Based Generative Models*.
#   NeurIPS 2022. Preconditioning, the log-normal law of noise levels, Heun.
# * D. Kingma, R. Gao: *Understanding Diffusion Objectives as the ELBO with Simple Data Augmentation*. NeurIPS 2023.
#   All losses as one integral.
# * P. Dhariwal, A. Nichol: *Diffusion Models Beat GANs on Image Synthesis*. NeurIPS 2021. The UNet in this shape.
# * M. Heusel et al.: *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium*. NeurIPS 2017.
#   The Fréchet distance.
# * N. Carlini et al.: *Extracting Training Data from Diffusion Models*. USENIX Security 2023.
# * J. Ho, T. Salimans: *Classifier-Free Diffusion Guidance*. 2022.
