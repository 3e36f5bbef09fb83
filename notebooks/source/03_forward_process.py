# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 The forward process: a schedule that keeps the variance
#
# Notebook 01 destroyed pictures by flipping pixels. Notebook 02 taught you Gaussians. Now both meet: we destroy
# pictures by adding Gaussian noise, a little at a time. That sounds like a small decision. But *how much* noise at each
# step, and what to do with the picture meanwhile, is a design of its own, called a **schedule**, and half of the
# formulas in the literature on diffusion are bookkeeping about it. At the end of this page you will be able to do that
# bookkeeping in your sleep, and you will know which of the printed versions are wrong, because you will have measured
# it.
#
# **After this notebook you can**
#
# * say what happens to a picture that is given noise again and again, with and without shrinking it first;
# * unroll any chain of "shrink, then add noise" into one jump, and say which of the noises still matters today;
# * read Ho et al.'s $\bar\alpha$, the lectures' $\gamma$ and Karras et al.'s $\sigma$ as three ways to write one process;
# * choose a schedule, look at it in the only coordinate that matters (the log of the signal-to-noise ratio), and avoid
#   three traps that real models have fallen into;
# * go back one step *if you know the clean picture*: the bridge, the formula on which all samplers stand.
#
# **You need** notebook 02: affine maps of standard noise, sums, chains, conditioning. From notebook 01 only the idea
# of corrupting step by step.
#
# **Time**: about two hours of reading and thinking, without the exercises. Running all cells takes under a minute on
# two CPU cores; nothing is trained. Exercises stand where their subject is, so not in the order of their numbers.

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
from collections.abc import Callable
from functools import reduce

from torch import Tensor

from course_checks import check, equation
from course_lib import plotting
from course_lib.data import digits, toys
from course_lib.explorers import schedule_designer
from course_lib.gaussian import AffineKernel, Gaussian, Isotropic, condition, per_sample
from course_lib.metrics import classify, energy_test
from course_lib.plotting import as_pixels, beside
from course_lib.schedule import (
    ConstantGamma,
    Cosine,
    Linear,
    Marginal,
    Sigmoid,
    Table,
    bridge,
    bridge_weights,
    jump,
    kernel,
    linear_betas,
    noising_path,
)
from course_lib.scrubber import scrub

# %% [markdown]
# All randomness of this page comes from one generator, through `normal(shape)`: standard normal numbers, $N(0,1)$. The picture that
# we shall destroy is a drawn letter T of 64 by 64 pixels, white (1) on black (-1).

# %% tags=["nbval-check-output"]
rng = torch.Generator().manual_seed(3)


def normal(*shape):
    return torch.randn(shape, generator=rng, dtype=torch.float64)


letter = toys.letter_t().double()
print(f"shape {tuple(letter.shape)}, mean {letter.mean():.3f}, mean square {letter.square().mean():.3f}")

# %% [markdown]
# ## 1. Keep the picture, add noise
#
# *If you add noise at every step, the noises' variances add up, and the picture drowns, but slowly.*
#
# The simplest process one can think of: at step $t$ add noise of standard deviation $b_t$. Nothing else happens to the
# picture. Putting each step into the next one gives
#
# $$x_t = x_{t-1} + b_t\,\varepsilon_t\quad\Longrightarrow\quad x_t = x_0+\sum_{i=1}^t b_i\,\varepsilon_i,\qquad
# \operatorname{Var}[x_t\mid x_0]=\sum_{i=1}^t b_i^2. \tag{03.1}$$
#
# (Independent noises, so variances add: notebook 02, property (b). $\operatorname{Var}$ is that of one pixel.) The
# process is called **variance exploding**, VE for short: the mean stays at $x_0$, the variance only grows.
#
# To check a formula about variances you could simulate a million walks. There is an exact way: a walk is an affine map
# of its noises, $x = A e + m$, so *feed it one unit impulse at a time*. A walk of $T$ "pixels" that starts at zero and
# receives row $t$ of the identity matrix as its noise of step $t$ tells in pixel $i$ what became of noise $i$. The
# variance is the sum of squares: the diagonal of $AA^\mathsf T$.


# %% tags=["nbval-check-output"]
def add_noise(x, stds, noises):
    """All pictures of the walk, x_0 first."""
    path = [x]
    for std, noise in zip(stds, noises, strict=True):
        path.append(path[-1] + std * noise)
    return torch.stack(path)


T = 100
ramp = torch.linspace(0.01, 0.30, T, dtype=torch.float64)  # the standard deviation of each step's noise
impulses = add_noise(torch.zeros(T).double(), ramp, torch.eye(T).double())  # (T + 1, T): row t, noise i
equation("03.1", impulses.square().sum(1)[1:], ramp.square().cumsum(0))

# %% [markdown]
# Now the letter. A hundred steps, the first with noise of standard deviation 0.01, the last with 0.30. This is a real
# walk: each frame comes from the one before. On the left you see $x_t$ on a screen that shows -1 as black and 1 as
# white and clips what lies beyond, on the right the same picture divided by its own root mean square. **Look for** the
# step at which you would no longer guess the letter, if there is one, in each of the two, and at the readout: how loud is the
# picture at the end?

# %%
noises = normal(T, *letter.shape)
louder = add_noise(letter, ramp, noises)
shown = torch.arange(0, T + 1, 4)
rms = louder.square().mean((1, 2, 3, 4)).sqrt()
std_of_noise = torch.cat([torch.zeros(1).double(), ramp.square().cumsum(0).sqrt()])
scrub(
    {"x_t, clipped": as_pixels(louder[shown, 0]), "x_t / rms": as_pixels(louder[shown, 0] / rms[shown, None, None, None])},
    t=shown, readout={"std of the noise": std_of_noise[shown], "root mean square of x_t": rms[shown]},
    curves={"log SNR": -2 * std_of_noise[shown].log()}, levels=32, start=-1,
    alt="The letter T under growing noise for 100 steps: in both pictures the T gets speckled but stays readable to the end, with less contrast on the right",
)  # fmt: skip

# %% [markdown]
# The letter is there to the end. How strongly? The quantity to look at is the **signal-to-noise ratio**: the square of
# the scale of the signal over the variance of the noise. Here the scale is 1. For equal steps, $b_t=b$, the variance is
# $tb^2$, so
#
# $$\mathrm{snr}_t=\frac{1}{\sum_{i=1}^t b_i^2}\;\stackrel{b_i=b}{=}\;\frac1{t\,b^2}. \tag{03.2}$$

# %% tags=["nbval-check-output"]
equal = torch.full((T,), float(ramp.square().mean().sqrt()), dtype=torch.float64)  # the same total variance
of_equal = add_noise(torch.zeros(T).double(), equal, torch.eye(T).double())
steps = torch.arange(1, T + 1)
snr = {"equal steps": 1 / (steps * equal[0] ** 2), "steps from .01 to .30": 1 / ramp.square().cumsum(0)}
equation("03.2", tuple(1 / rows.square().sum(1)[1:] for rows in (of_equal, impulses)), tuple(snr.values()))
for t in (1, 10, 50, 100):
    print(f"t = {t:3}: SNR {snr['equal steps'][t - 1]:8.3f} equal, {snr['steps from .01 to .30'][t - 1]:10.3f} ramp")

# %% [markdown]
# With equal steps the SNR falls like $1/t$, which is a snail's pace: from any point on, another factor of ten costs
# nine times as many steps as you have made so far. The ramp's steps grow, so its SNR falls faster than that. (Both have the same
# total, so they meet at the end, and before it the ramp has the higher SNR.)
# **Look for** the slope of each line on these logarithmic axes.

# %%
plotting.curves(
    snr, x=steps, xscale="log", yscale="log", xlabel="t", ylabel="signal-to-noise ratio",
    alt="Signal-to-noise ratio against the step on log axes: equal steps fall on a straight line of slope minus one, the ramp falls ever more steeply, and both end at 0.3",
)  # fmt: skip


# %% tags=["nbval-check-output"]
def slope(values, a, b):
    return float((values[b - 1] / values[a - 1]).log()) / math.log(b / a)


for name, values in snr.items():
    print(f"{name}: slope {slope(values, 1, 2):.3f} from t = 1 to 2, {slope(values, 50, 100):.3f} from 50 to 100")
print(
    f"at t = 100 the noise has variance {ramp.square().sum():.3f} and the SNR is {snr['steps from .01 to .30'][-1]:.3f}"
)

# %% [markdown]
# So a ramp of standard deviations helps: a sum of $t$ squares of numbers that grow like $t$ grows like $t^3$. But two
# things stay bad. After a hundred steps the letter is still a third as strong (in mean square) as the noise. And the
# network that has to undo all this would meet pictures of any loudness, from 1 at the start to 2 here, and to 80 if we
# went on until the letter is gone for good (80 is where Karras et al. stop).
#
# <details><summary><b>Question.</b> Divide x_t by its standard deviation before you show it to the network. Does that change the SNR?</summary>
#
# No. Signal and noise are divided by the same number. This is worth remembering: **the SNR does not depend on how loud
# you play the picture**, so two processes with the same SNR at each step differ only by a known factor. Karras et al.
# (2022) let the picture keep its scale 1 as here (their $s=1$), and let the network divide by a known number first.
# </details>
#
# ## 2. Shrink first, then add noise
#
# *If every step makes the picture a little smaller before it adds noise, old noise fades like the picture, and the
# total stays bounded.*
#
# Multiply by a number $\gamma<1$, then add noise. With the same $\gamma$ and the same $b$ in every step, three steps
# are
#
# $$\begin{aligned}x_1&=\gamma x_0+b\,\varepsilon_1\\ x_2&=\gamma x_1+b\,\varepsilon_2=\gamma^2x_0+\gamma b\,\varepsilon_1+b\,\varepsilon_2\\
# x_3&=\gamma x_2+b\,\varepsilon_3=\gamma^3x_0+\gamma^2b\,\varepsilon_1+\gamma b\,\varepsilon_2+b\,\varepsilon_3\end{aligned} \tag{03.3}$$
#
# Look at the last line from right to left: the newest noise is whole, the one before has been shrunk once, the first
# one twice. Noise gets old.


# %% tags=["nbval-check-output"]
def shrink_and_add(x, gammas, stds, noises):
    """All pictures of the walk x -> gamma x + std noise, x_0 first."""
    path = [x]
    for gamma, std, noise in zip(gammas, stds, noises, strict=True):
        path.append(gamma * path[-1] + std * noise)
    return torch.stack(path)


gamma, b = 0.9, 0.3
x_3 = shrink_and_add(letter, [gamma] * 3, [b] * 3, noises[:3])[3]
equation("03.3", x_3, gamma**3 * letter + b * (gamma**2 * noises[0] + gamma * noises[1] + noises[2]))

# %% [markdown]
# Go on in this way and you get, for any $t$,
#
# $$x_t=\gamma^t x_0+b\sum_{i=1}^{t}\gamma^{t-i}\varepsilon_i. \tag{03.4}$$
#
# <details><summary>Proof by induction</summary>
#
# For $t=1$ the sum has one term, $\gamma^0\varepsilon_1$: correct. If it holds for $t$, then
# $x_{t+1}=\gamma x_t+b\,\varepsilon_{t+1}=\gamma^{t+1}x_0+b\sum_{i=1}^t\gamma^{t+1-i}\varepsilon_i+b\,\gamma^{0}\varepsilon_{t+1}$, and
# the last term is the one for $i=t+1$ in the sum. ∎
# </details>

# %% tags=["nbval-check-output"]
weights = gamma ** torch.arange(T - 1, -1, -1).double()  # gamma^(T - i) for i = 1 ... T
right = gamma**T * letter + b * torch.tensordot(weights, noises, dims=1)
equation("03.4", shrink_and_add(letter, [gamma] * T, [b] * T, noises)[T], right)

# %% [markdown]
# The variance is $b^2$ times the sum of the squares of these weights: $1+\gamma^2+\gamma^4+\dots$, a geometric sum.
#
# $$S_t=\sum_{k=0}^{t-1}\gamma^{2k}=\frac{1-\gamma^{2t}}{1-\gamma^2}. \tag{03.5}$$
#
# <details><summary>Why</summary>
#
# Multiply $S_t$ by $\gamma^2$: every term moves one place to the right, $\gamma^2S_t=\gamma^2+\gamma^4+\dots+\gamma^{2t}$. Subtract it from
# $S_t$: everything cancels but the first term of the one and the last of the other, $S_t-\gamma^2S_t=1-\gamma^{2t}$. Divide by
# $1-\gamma^2$, which is not 0. ∎
# </details>

# %% tags=["nbval-check-output"]
for_t = torch.tensor([1, 2, 5, 30])
summed = torch.tensor([sum(gamma ** (2 * k) for k in range(int(t))) for t in for_t], dtype=torch.float64)
equation("03.5", summed, (1 - gamma ** (2 * for_t.double())) / (1 - gamma**2))

# %% [markdown]
# So the variance of the noise does not explode. It settles:
#
# $$\operatorname{Var}[x_t\mid x_0]=b^2\,\frac{1-\gamma^{2t}}{1-\gamma^2}\;\longrightarrow\;\frac{b^2}{1-\gamma^2}\qquad(t\to\infty). \tag{03.6}$$
#
# You can see the limit without any sum: it is the variance $v_\infty$ that one more step leaves as it is, $v_\infty=\gamma^2v_\infty+b^2$.

# %% tags=["nbval-check-output"]
impulses = shrink_and_add(torch.zeros(T).double(), [gamma] * T, [b] * T, torch.eye(T).double())
variance = impulses.square().sum(1)
exact = b**2 * (1 - gamma ** (2 * torch.arange(1, T + 1).double())) / (1 - gamma**2)
equation("03.6", (variance[1:], variance[T]), (exact, b**2 / (1 - gamma**2)))

# %% [markdown]
# Now a wish: *let the limit be 1*. That needs $b^2=1-\gamma^2$, and there is only one free number left. Whatever the
# variance $v_0$ of the data, the variance of $x_t$ runs to 1, and if $v_0=1$ it is 1 **all the time**:
#
# $$b^2=1-\gamma^2:\qquad\operatorname{Var}[x_t\mid x_0]=1-\gamma^{2t},\qquad
# \operatorname{Var}[x_t]=\gamma^{2t}v_0+1-\gamma^{2t}. \tag{03.7}$$
#
# This is called **variance preserving**, VP for short. The name is exact only for data of variance 1; section 6 comes
# back to that. The check does not use the formula for the sum: it follows the variance step by step,
# each time multiplying it by $\gamma^2$ and adding $1-\gamma^2$, from $v_0=0$ (this is the conditional variance), from a quarter, from 1 and from 4.

# %% tags=["nbval-check-output"]
starts, gamma = torch.tensor([0.0, 0.25, 1.0, 4.0]).double(), 0.97
followed = [starts]
for _ in range(T):
    followed.append(gamma**2 * followed[-1] + (1 - gamma**2))
followed, power = torch.stack(followed), gamma ** (2 * torch.arange(T + 1).double())[:, None]
equation("03.7", followed[1:], (power * starts + 1 - power)[1:])

# %% [markdown]
# **Look for** the one line that is flat.

# %%
plotting.curves(
    {"v_0 = 4": followed[:, 3], "v_0 = 1": followed[:, 2], "v_0 = 0.25": followed[:, 1], "v_0 = 0: given x_0": followed[:, 0]},
    xlabel="t", ylabel="variance of x_t", title="gamma = 0.97",
    alt="The variance of x_t over 100 steps from four starting values: all run to 1, and from 1 it stays there",
)  # fmt: skip

# %% [markdown]
# And the signal? Its scale is now $\gamma^t$, the noise's variance at most 1, so the SNR does not fall like $1/t$ any
# more but, once $\gamma^{2t}$ is small, exponentially:
#
# $$\mathrm{snr}_t=\frac{\gamma^{2t}}{1-\gamma^{2t}}. \tag{03.8}$$

# %% tags=["nbval-check-output"]
gammas, stds = [gamma] * T, [math.sqrt(1 - gamma**2)] * T
signal = shrink_and_add(torch.ones(1).double(), gammas, stds, torch.zeros(T, 1).double())[:, 0]  # a 1, without noise
noise = shrink_and_add(torch.zeros(T).double(), gammas, stds, torch.eye(T).double()).square().sum(1)
equation("03.8", (signal**2 / noise)[1:], power[1:, 0] / (1 - power[1:, 0]))
print(
    f"SNR after 10 steps {float(signal[10] ** 2 / noise[10]):.3f}, after 100 steps {float(signal[T] ** 2 / noise[T]):.4f}"
)
print(f"the same noise without shrinking: {1 / (10 * stds[0] ** 2):.3f} and {1 / (100 * stds[0] ** 2):.4f}")

# %% [markdown]
# The second line is (03.2) with the same $b$. Shrinking costs nothing, and the letter is gone much sooner. Watch it:
# the same letter, the **same noises** and the same ramp of standard deviations $b_t$ from .01 to .30 as before, but each step first
# shrinks by $\gamma_t=\sqrt{1-b_t^2}$. (That each step has its own $\gamma_t$ is the subject of section 3. The library keeps the two numbers of each $t$, what is left of the picture
# and the standard deviation of the noise, in a `Table`; `walk` takes the steps one by one.) **Look
# for** what happens to the contrast, and compare the readout "root mean square" with that of section 1.

# %%
vp = Table.from_gammas((1 - ramp**2).sqrt())  # alpha and sigma of this schedule, row 0 clean
kept = noising_path(letter, vp, noises)  # a true walk: each picture from the one before
rms = kept.square().mean((1, 2, 3, 4)).sqrt()
scrub(
    as_pixels(kept[shown, 0]), t=shown, levels=32, start=-1, curves={"log SNR": vp(shown).log_snr},
    readout={"alpha": vp(shown).alpha, "sigma": vp(shown).sigma, "root mean square of x_t": rms[shown]},
    alt="The letter T shrinks while noise grows, so that the picture stays equally loud; after 100 steps one hardly sees the letter",
)  # fmt: skip

# %% [markdown]
# ### Is it noise yet?
#
# At the end $\alpha_T$, the product of all the $\gamma_t$, is about 0.20. To the eye that is nearly noise. A sampler will
# start from $N(0, I)$ and pretend that this is what the training pictures looked like at time $T$. How wrong is that *for one picture $x_0$*?
# Notebook 02's answer is a KL divergence, from the true law $q(x_T\mid x_0)=N(\alpha_Tx_0,\sigma_T^2I)$ to the pretended one:
#
# $$\mathrm{KL}\bigl(q(x_T\mid x_0)\,\Vert\,N(0,I)\bigr)=\tfrac12\Bigl(\alpha_T^2\bigl(\lVert x_0\rVert^2-d\bigr)-d\,\log(1-\alpha_T^2)\Bigr). \tag{03.9}$$
#
# Here $d$ is the number of pixels. (That $\sigma_T^2=1-\alpha_T^2$ also where every step has its own $\gamma_t$ is (03.11), in section 3.)
#
# <details><summary>From notebook 02's formula</summary>
#
# Write $x_{0,k}$ for pixel number $k$ of $x_0$. For two spherical Gaussians, (notebook 02, property (f)), a dimension with means $m$ and $0$ and standard deviations $\sigma$
# and $1$ costs $-\log\sigma+\frac12(\sigma^2+m^2)-\frac12$. Put in $m=\alpha x_{0,k}$ and $\sigma^2=1-\alpha^2$:
# $-\frac12\log(1-\alpha^2)+\frac12(1-\alpha^2+\alpha^2x_{0,k}^2-1)$. Sum over the $d$ dimensions. ∎
#
# For small $\alpha$, $-\log(1-\alpha^2)\approx\alpha^2$, and what remains is $\frac12\alpha^2\lVert x_0\rVert^2$.
# </details>
#
# The check takes notebook 02's formula as the library has it, for any two spherical Gaussians. Below it the same number
# by simulation: the average of the log ratio of the two densities over samples of $x_T$, which is what a KL *is*.

# %% tags=["nbval-check-output"]
alpha, sigma, d = vp.alpha[T], vp.sigma[T], letter.numel()
prior = 0.5 * (alpha**2 * (letter.square().sum() - d) - d * torch.log(1 - alpha**2))
true_law, pretended = Isotropic(alpha * letter, sigma), Isotropic(0 * letter, torch.ones(()).double())
equation("03.9", prior, true_law.kl(pretended)[0])
x_T = true_law.sample(normal(1000, 1, 64, 64))
log_ratio = true_law.log_density(x_T) - pretended.log_density(x_T)
print(f"alpha_T = {alpha:.3f}: the letter's KL is {prior:.2f} nats")
print(f"by simulation {log_ratio.mean():.2f} nats, standard error {log_ratio.std() / 1000**0.5:.2f}")
print(f"the log ratio of a single x_T has standard deviation {log_ratio.std():.1f}")

# %% [markdown]
# Eighty nats. If you knew the letter and had to bet whether a picture is such an $x_T$ or pure noise, then, starting from even
# odds, the odds after seeing it would typically be between $e^{70}$ and $e^{95}$ to 1. You cannot see it pixel by pixel, but *average* each with its neighbours (9 by 9, contrast raised) and
# it is there. **Look for** the T on the left of the lower row, and for which of the two is darker.

# %%
fake = normal(1, 1, 64, 64)
pair = torch.cat([x_T[:1], fake])
smooth = torch.nn.functional.avg_pool2d(pair, 9, stride=1, padding=4, count_include_pad=False)
plotting.strip(
    {"as it is": as_pixels(pair / 2), "averaged": as_pixels(smooth / 0.6)}, labels=["x_T of the letter", "pure noise"], cell=1.6,
    alt="Two pictures that look like noise; averaged over neighbourhoods of nine by nine pixels the first is darker and a blurred letter T shows, the second is cloudy grey",
)  # fmt: skip

# %% [markdown]
# For digits, the mean brightness alone gives it away: digits are mostly black, so their $x_T$ are darker than nearly
# all noise that a sampler would start from. **Look for** the overlap of the two histograms.

# %%
images = digits("train").images[:4000].double()
ends = alpha * images + sigma * normal(*images.shape)
starts = normal(*images.shape)
brightness = {name: x.mean((1, 2, 3)) for name, x in {"x_T of digits": ends, "N(0, I)": starts}.items()}
plotting.histograms(
    brightness, bins=50, xlabel="mean of the 784 pixels", title=f"alpha_T = {alpha:.2f}",
    alt="Histograms of the mean brightness: that of noised digits lies around minus 0.15, that of pure noise around 0, and they hardly overlap",
)  # fmt: skip

# %% tags=["nbval-check-output"]
threshold = float(alpha * images.mean()) / 2
told = (
    (brightness["x_T of digits"] < threshold).double().mean() + (brightness["N(0, I)"] >= threshold).double().mean()
) / 2
print(
    f"brightness of x_T: {brightness['x_T of digits'].mean():.3f}, of a sampler's start: {brightness['N(0, I)'].mean():.3f}"
)
print(f"told apart by brightness alone: {told:.3f} of the time (0.5 is guessing)")

# %% [markdown]
# A model trained on this schedule has hardly ever seen an input as bright as those it would be started from. It would
# tend to produce pictures that are too bright, because brightness is the last thing that noise hides: averaged over $d$ pixels,
# the noise's standard deviation is only $1/\sqrt d$. Well-known image models had this defect (Lin et al. 2024).
# It is not cured by a better network. It is cured by a schedule that ends lower, and for that we first have to be
# able to compute $\alpha_T$ for any choice of steps.
#
# <details><summary><b>Question.</b> By what factor would alpha_T have to be smaller for the letter to cost a hundredth of a nat?</summary>
#
# The cost goes like $\frac12\alpha^2\lVert x_0\rVert^2$, with $\lVert x_0\rVert^2\approx4096\times0.97$. From 82 nats to 0.01 is a
# factor of 8,200 in $\alpha^2$, so 91 in $\alpha$: $\alpha_T\approx0.0022$. Pictures with more pixels need more: the
# error is a sum over pixels.
# </details>
#
# ### Exercise 03.1: the variance after t shrunk steps (1 point)
#
# Here $b$ and $\gamma$ are free again, and the data have a variance of their own.


# %% tags=["exercise-03.1"]
def variance_after(t: int, gamma: float, std: float, data_variance: float) -> float:
    """Return the variance of x_t after t steps x -> gamma x + std * noise, from data of variance `data_variance`.

    t is 0 or more; 0 < gamma <= 1. For gamma = 1 nothing shrinks, and the formula with 1 - gamma**2 below the line does
    not apply: what is the sum then?
    """
    ### BEGIN SOLUTION
    kept = gamma ** (2 * t)
    terms = t if gamma == 1 else (1 - kept) / (1 - gamma**2)
    return kept * data_variance + std**2 * terms
    ### END SOLUTION


# %% tags=["check-03.1"]
check("03.1", variance_after)

# %% [markdown]
# ## 3. A different gamma in every step
#
# *However the steps are chosen, the variances of all the noises that are still in the picture add up to one minus the
# square of what is left of the picture.*
#
# Nothing forces the steps to be equal. Shrink by $\gamma_t$ and add noise of variance $1-\gamma_t^2$. Unrolled as
# before, the picture has been through all the shrinkings, and the noise of step $i$ through those that came after it:
#
# $$x_t=\Bigl(\prod_{j=1}^t\gamma_j\Bigr)x_0+\sum_{i=1}^t\Bigl(\prod_{j=i+1}^t\gamma_j\Bigr)\sqrt{1-\gamma_i^2}\;\varepsilon_i. \tag{03.10}$$
#
# (A product without factors, such as that of $i=t$, is 1.)

# %% tags=["nbval-check-output"]
random_gammas = 0.5 + 0.5 * torch.rand(12, generator=rng, dtype=torch.float64)
left = noising_path(letter, Table.from_gammas(random_gammas), noises[:12])[12]
right = random_gammas.prod() * letter
for i in range(12):
    right = right + random_gammas[i + 1 :].prod() * torch.sqrt(1 - random_gammas[i] ** 2) * noises[i]
equation("03.10", left, right)

# %% [markdown]
# How much of today's variance comes from the noise injected at step $i$? Square its coefficient. And here something
# nice happens. Call $P_i=\prod_{j=i+1}^t\gamma_j^2$ what the steps after $i$ leave of a variance. Then the share of step $i$ is
# $(1-\gamma_i^2)P_i=P_i-\gamma_i^2P_i=P_i-P_{i-1}$: a difference of neighbours. In the sum all the middle ones cancel,
# like the tubes of a telescope that slide into each other; the last is $P_t=1$, the first $P_0=\prod\gamma_j^2$:
#
# $$\sum_{i=1}^t(1-\gamma_i^2)\prod_{j=i+1}^t\gamma_j^2=\sum_{i=1}^t\bigl(P_i-P_{i-1}\bigr)=1-\prod_{j=1}^t\gamma_j^2. \tag{03.11}$$
#
# With $\alpha_t=\prod_{j\le t}\gamma_j$ and $\sigma_t^2$ for the sum, this says $\sigma_t^2=1-\alpha_t^2$. **Whatever the steps, the variance is preserved** (of data with variance 1). The check
# sends impulses through section 2's `shrink_and_add`, which knows the single steps only, and measures each noise's coefficient, for six random schedules of twelve steps.

# %% tags=["nbval-check-output"]
summed, expected = [], []
for _ in range(6):
    drawn = torch.rand(12, generator=rng, dtype=torch.float64)  # anything between 0 and 1
    coefficients = shrink_and_add(torch.zeros(12).double(), drawn, torch.sqrt(1 - drawn**2), torch.eye(12).double())
    summed.append(coefficients.square().sum(1)[1:])
    expected.append(1 - drawn.square().cumprod(0))
equation("03.11", torch.stack(summed), torch.stack(expected))

# %% [markdown]
# Here is the telescope as a picture, for six steps. Each column is a day; its colours say which noise today's variance
# comes from, the lowest part is what is left of the picture. **Look for** one colour, say that of noise 2: how does it
# change from day to day? And at the height of the columns (for data of variance 1).

# %%
six = torch.tensor([0.97, 0.93, 0.88, 0.82, 0.75, 0.65]).double()
shares = noising_path(torch.zeros(6).double(), Table.from_gammas(six), torch.eye(6).double()).square()  # (7, 6)
stacked = {"x_0": Table.from_gammas(six).alpha ** 2} | {f"noise {i + 1}": shares[:, i] for i in range(6)}
plotting.stacked_shares(
    stacked, xlabel="t", ylabel="share of the variance of x_t",
    alt="Stacked columns for t = 0 to 6, all of height 1 for data of variance 1: the picture's share falls from 1 to 0.10, each noise enters at the top, once, and then fades",
)  # fmt: skip

# %% tags=["nbval-check-output"]
for t in (0, 3, 6):
    parts = " + ".join(f"{float(share):.4f}" for share in shares[t, :t])
    total = float(stacked["x_0"][t] + shares[t].sum())
    print(f"t = {t}: {float(stacked['x_0'][t]):.4f} of the picture" + (f" + {parts} = {total:.4f}" if t else ""))

# %% [markdown]
# Every noise enters at full size, once, and fades from then on *by the same factors as the picture does*. With
# steps like these, which get larger, the newest noises dominate; the picture is one more layer, the oldest.
#
# ### Exercise 03.2: alpha and sigma from the gammas (2 points)


# %% tags=["exercise-03.2"]
def telescope(gammas: Tensor) -> tuple[Tensor, Tensor]:
    """Return (alpha, sigma), each (T + 1,), of the process x_t = gamma_t x_{t-1} + sqrt(1 - gamma_t**2) noise.

    gammas  (T,), gamma_1 ... gamma_T, each in [0, 1]
    Row t belongs to time t; row 0 is clean: alpha 1, sigma 0.
    """
    ### BEGIN SOLUTION
    alpha = torch.cat([torch.ones_like(gammas[:1]), gammas.cumprod(0)])
    return alpha, torch.sqrt(1 - alpha**2)
    ### END SOLUTION


# %% tags=["check-03.2"]
check("03.2", telescope)

# %% [markdown]
# ### Exercise 03.6: shares of the variance (2 points)
#
# The matrix of the picture above, for any
# gammas. One case has a gamma of 0 in the middle: a step that forgets everything.


# %% tags=["exercise-03.6"]
def variance_shares(gammas: Tensor) -> Tensor:
    """Return a (T, T) matrix: row t - 1, column i - 1 holds the variance in x_t that comes from the noise of step i.

    gammas  (T,), each in [0, 1]; step t is x_t = gamma_t x_{t-1} + sqrt(1 - gamma_t**2) noise_t
    The noise of a later step, i > t, is not in x_t yet: 0. Row t - 1 sums to 1 - (gamma_1 ... gamma_t)**2.
    """
    ### BEGIN SOLUTION
    rows, row = [], torch.zeros_like(gammas)
    for i, gamma in enumerate(gammas):
        row = gamma**2 * row
        row[i] = 1 - gamma**2
        rows.append(row)
    return torch.stack(rows)
    ### END SOLUTION


# %% tags=["check-03.6"]
check("03.6", variance_shares)

# %% [markdown]
# ### "Big steps first" and "betas grow": both are said, both are true
#
# The variance of a step's noise has a name in the literature, $\beta_t=1-\gamma_t^2$. Ho et al. (2020) let it grow in
# equal amounts from 0.0001 to 0.02 over 1000 steps: small steps first. Other texts tell you to take the *large* steps
# first. They measure in another unit, $\log\mathrm{snr}$: *by which factor* does the noise grow, against the picture? To see it,
# divide the picture by $\alpha_t$, so that the signal always has scale 1: then the noise has
# variance $\sigma_t^2/\alpha_t^2=1/\mathrm{snr}_t$, and a step adds $\beta_t/\alpha_t^2$ to that:
#
# $$\frac1{\mathrm{snr}_t}=\frac1{\mathrm{snr}_{t-1}}+\frac{\beta_t}{\alpha_t^2}. \tag{03.12}$$
#
# (In $1/\mathrm{snr}$ itself the steps grow too, even faster than the betas. What is large at first is the step *in proportion*: the fall of
# $\log\mathrm{snr}$.)
#
# <details><summary>Why</summary>
#
# $\sigma_t^2=\gamma_t^2\sigma_{t-1}^2+\beta_t$: old noise shrinks, new noise is added. Divide by
# $\alpha_t^2=\gamma_t^2\alpha_{t-1}^2$. ∎
#
# (So a VP process is a VE process played at another loudness, with step variances $\beta_t/\alpha_t^2$.)
# </details>

# %% tags=["nbval-check-output"]
ho = Table.from_betas(linear_betas(1000))
t = torch.arange(2, 1001)
step = -torch.diff(ho(torch.arange(1, 1001)).log_snr)  # by how much log SNR falls from t - 1 to t
equation("03.12", 1 / ho(t).snr, 1 / ho(t - 1).snr + linear_betas(1000)[1:] / ho(t).alpha ** 2)
for k in (2, 10, 100, 300, 1000):
    print(f"t = {k:4}: beta {ho.betas[k - 1]:.5f}, log SNR falls by {step[k - 2]:.3f}")

# %% [markdown]
# Against a picture that is hardly noised, $1/\mathrm{snr}_{t-1}\approx0$, even a tiny $\beta$ is a huge change *in
# proportion*. The very first step is infinitely large: log SNR falls from $+\infty$. **Look for** which way each line
# goes at the left end. (The figure leaves out the last ten steps; what they are like is printed below it.)

# %%
cosine = Table.of(Cosine(), 1000)
tables = {"linear betas": ho, "cosine": cosine}
beside(
    plotting.curves({n: table.betas[:990] for n, table in tables.items()}, x=torch.arange(1, 991), xlabel="t", title="step in beta", yscale="log", size=(4.2, 3.0), alt="Beta against t on a log scale: for both schedules it grows from the first step to the last"),
    plotting.curves({n: -torch.diff(table(torch.arange(1, 991)).log_snr) for n, table in tables.items()}, x=torch.arange(2, 991), xlabel="t", title="step in log SNR", yscale="log", size=(4.2, 3.0), alt="The fall of log SNR in each step on a log scale: for both schedules it is about one at first, a hundredth in the middle and larger again at the end"),
)  # fmt: skip

# %% tags=["nbval-check-output"]
fall = -torch.diff(cosine(torch.arange(1, 1001)).log_snr)  # of the steps 2 ... 1000
print("log SNR of the cosine falls at t = 2, 3, 4 by     " + ", ".join(f"{float(x):.3f}" for x in fall[:3]))
print("                     and at t = 995 ... 1000 by   " + ", ".join(f"{float(x):.3f}" for x in fall[-6:]))

# %% [markdown]
# So: in $\beta$ the steps grow. In $\log\mathrm{snr}$ the first steps are large and those in the middle the smallest. The cosine's last ones are as
# large again and its very last is infinite, because its $\alpha$ reaches 0 (section 6). That is why the figure stops at $t=990$. When a
# text praises "big" or "small" steps, ask it for the unit. Keep log SNR in mind: it is the unit in which we shall
# compare schedules.
#
# <details><summary><b>Question.</b> Betas that grow: what would go wrong with a constant beta of 0.01 and 1000 steps?</summary>
#
# Nothing would be *wrong*: it is the constant $\gamma$ of section 2, and $\alpha_T=0.99^{500}=0.0066$. But the first step
# would bring log SNR from infinity down to 4.6 at once, as far as the first 28 steps of Ho et al. go together, and a
# sampler would have to do all the fine detail in its very last step.
# </details>
#
# ## 4. Jump
#
# *To get the picture at time t you need not walk: one jump with one noise has the same law. But many jumps are not a
# walk.*
#
# The sum in (03.10) is a sum of independent Gaussians, so it is *one* Gaussian, with the variance that we have just
# telescoped. Everything about a noising process, at one time, is in two numbers:
#
# $$x_t=\alpha_t\,x_0+\sigma_t\,\varepsilon,\qquad \varepsilon\sim N(0,I),\qquad\text{or}\qquad q(x_t\mid x_0)=N(\alpha_tx_0,\;\sigma_t^2I). \tag{03.13}$$
#
# This is the most used line of the whole course: training will draw a $t$ at random, and *jump*. In the library the two numbers are a
# `Marginal`, and the function is called `jump`. The check compares them with what the single steps,
# `shrink_and_add`, do to a 1 without noise, and to its impulses.

# %% tags=["nbval-check-output"]
g = torch.sqrt(1 - ramp**2)
signal = shrink_and_add(torch.ones(1).double(), g, ramp, torch.zeros(T, 1).double())[:, 0]
spread = shrink_and_add(torch.zeros(T).double(), g, ramp, torch.eye(T).double()).square().sum(1).sqrt()
level = vp(torch.arange(T + 1))
equation("03.13", (signal, spread), (level.alpha, level.sigma))

# %% [markdown]
# ### Exercise 03.3: jump (1 point)
#
# Each picture of the batch has a time of its own. `alphas` and `sigmas` are any tables, not only those that preserve
# the variance.


# %% tags=["exercise-03.3"]
def noised(x_0: Tensor, t: Tensor, alphas: Tensor, sigmas: Tensor, noise: Tensor) -> Tensor:
    """Return x_t, of the shape of `x_0`: picture k noised to time t[k].

    x_0, noise      (B, C, H, W)
    t               (B,) whole numbers from 0 to T
    alphas, sigmas  (T + 1,): row t belongs to time t
    `per_sample(number, x_0)` shapes () or (B,) so that it multiplies (B, ...).
    """
    ### BEGIN SOLUTION
    return per_sample(alphas[t], x_0) * x_0 + per_sample(sigmas[t], x_0) * noise
    ### END SOLUTION


# %% tags=["check-03.3"]
check("03.3", noised)

# %% [markdown]
# ### The same law? Test it
#
# "The jump has the same law as the walk" is a statement about two clouds of pictures. Notebook 02 proved it for
# Gaussians. Do not believe proofs, test them. How do you test whether two samples come from the same law? Take some
# distance between samples; we use the *energy distance* (Székely and Rizzo),
# $2\,\mathbb E\lVert X-Y\rVert-\mathbb E\lVert X-X'\rVert-\mathbb E\lVert Y-Y'\rVert$: are strangers further apart
# than siblings? It is 0 for equal laws and positive otherwise (as long as the mean norms are finite). An estimate from samples is never exactly 0, so we need to
# know how large it gets by chance: **shuffle the labels** "walked" and "jumped" among all pictures, 400 times, and
# look at the distances that come out. The *null band* is where the smaller 95% of them lie. A true difference has to
# stand above it.
#
# 200 digits are walked for 60 steps of our schedule, 200 others jump to $t=60$ directly. And to know that the test can
# see anything at all, 200 jump with a wrong formula, $\sigma=1-\alpha$.

# %% tags=["nbval-check-output"]
order = torch.randperm(9000, generator=rng)
clean = digits("train").images.double()[order[:600]].chunk(3)
short = Table(vp.alpha[:61], vp.sigma[:61])
walked = noising_path(clean[0], short, normal(60, 200, 1, 28, 28))
fresh = normal(200, 1, 28, 28)
jumped = jump(clean[1], short(60.0), fresh)
wrong = jump(clean[1], Marginal(short.alpha[60], 1 - short.alpha[60]), fresh)
for name, other in {"jump, right": jumped, "jump with sigma = 1 - alpha": wrong}.items():
    print(f"walk against {name}: {energy_test(walked[60], other, rng)}")

# %% [markdown]
# ### Equal at every time, different as a film
#
# Here is a mistake that is in many animations of diffusion. To show "the forward process" they draw one noise and
# show $\alpha_tx_0+\sigma_t\varepsilon$ for $t=0,1,2,\dots$ with the *same* $\varepsilon$. Every single frame is right. The film is
# not: the noise never moves, it just fades in. In a walk each step brings new noise. And if you draw a new
# $\varepsilon$ for every frame, you have a third film, in which the noise boils.
#
# Compare the three. **Look at** one particular patch of noise, and follow it from frame to frame.

# %%
eps = normal(T, *letter.shape)
films = {
    "a walk": noising_path(letter, vp, eps),
    "one noise": torch.stack([jump(letter, vp(float(t)), eps[0]) for t in range(T + 1)]),
    "a new noise a frame": torch.stack([jump(letter, vp(float(t)), eps[t - 1]) for t in range(T + 1)]),
}
pick = torch.arange(60, 101, 2)
scrub(
    {name: as_pixels(film[pick, 0, :, 16:48, 16:48] / 2) for name, film in films.items()}, t=pick, levels=32, size=192,
    alt="Three films of a part of the noised letter: in a walk the specks change gradually, with one noise they stay, with a new noise in every frame they boil",
)  # fmt: skip

# %% [markdown]
# A number for it: take the noise out of each frame, $(x_t-\alpha_tx_0)/\sigma_t$, and correlate that of two times. In a
# walk, all the noise at $s$ is still there at $t$, shrunk by $r=\alpha_t/\alpha_s$; what came later is independent of
# it. So the covariance is $r\sigma_s^2$, and
#
# $$\operatorname{corr}(x_s,x_t\mid x_0)=\frac{r\,\sigma_s^2}{\sigma_s\sigma_t}=\frac{\alpha_t\,\sigma_s}{\alpha_s\,\sigma_t}=\sqrt{\frac{\mathrm{snr}_t}{\mathrm{snr}_s}}. \tag{03.14}$$
#
# Once more the SNR decides. The check multiplies two rows of impulse coefficients; the figure measures it on the
# 4,096 pixels of the films above. **Look for** three different lines, although every frame has the same law in all three.

# %% tags=["nbval-check-output"]
rows = noising_path(torch.zeros(T).double(), vp, torch.eye(T).double())[1:]
cosines = torch.nn.functional.cosine_similarity(rows[:, None], rows[None], dim=-1)  # (T, T): of times s and t
snrs = vp(torch.arange(1, T + 1)).snr
s, t = torch.triu_indices(T, T)
equation("03.14", cosines[s, t], torch.sqrt(snrs[t] / snrs[s]))

# %%
first, later = 40, torch.arange(40, T + 1)
measured = {}
for name, film in films.items():
    noise = (film.flatten(1) - level.alpha[:, None] * letter.flatten()) / level.sigma[:, None]
    measured[name] = torch.stack([torch.corrcoef(noise[[first, int(k)]])[0, 1] for k in later])
measured["formula for a walk"] = torch.sqrt(level.snr[later] / level.snr[first])
plotting.curves(
    measured, x=later, xlabel="t", ylabel="correlation of the noises at 40 and t",
    alt="Correlation of the noise at time 40 with that at later times: 1 throughout for one noise, 0 at once for new noises, and for the walk a fall from 1 to 0.1 along the formula",
)  # fmt: skip

# %% [markdown]
# Can the two-sample test see it? Not in single frames. But give it the *change* from one frame to another, $x_{60}-x_{40}$,
# and it can.

# %% tags=["nbval-check-output"]
shared = [jump(clean[1], short(t), fresh) for t in (40.0, 60.0)]  # one noise for both times
again = noising_path(clean[2], short, normal(60, 200, 1, 28, 28))
change = walked[60] - walked[40]
print(f"a frame,    walk against one noise:     {energy_test(walked[60], shared[1], rng)}")
print(f"the change, walk against one noise:     {energy_test(change, shared[1] - shared[0], rng)}")
print(f"the change, walk against another walk:  {energy_test(change, again[60] - again[40], rng)}")

# %% [markdown]
# When does it matter? Training only ever looks at one time of one picture, so jumps are all it needs. A *sampler* goes
# from time to time; one that imitates the walk must also get right how two times belong together. That is what the rest of this section
# and section 7 are about.
#
# ### From any time to any later time
#
# A jump from 0 is a special case of a jump from $s$ to $t$, $s<t$. From (03.10), started at $s$ instead of 0: the scale is
# the product of the later gammas, $r=\alpha_t/\alpha_s$; the variance is what has to be added to get from the old
# noise, shrunk by $r$, to the new noise:
#
# $$q(x_t\mid x_s)=N\bigl(r\,x_s,\;(\sigma_t^2-r^2\sigma_s^2)\,I\bigr),\qquad r=\frac{\alpha_t}{\alpha_s}. \tag{03.15}$$
#
# The library calls it `kernel`. It holds for every walk, whatever its $\alpha$ and $\sigma$, as long as $\alpha_s>0$ and the SNR does not rise; where the variance is preserved, the variance is simply
# $1-r^2$, because $1-\alpha_t^2-r^2(1-\alpha_s^2)=1-r^2$. The check chains the single steps one by one (notebook 02, property
# (c)).

# %% tags=["nbval-check-output"]
single = [AffineKernel(g, torch.sqrt(1 - g**2)) for g in vp.alpha[1:] / vp.alpha[:-1]]  # step t is single[t - 1]
chained = reduce(lambda first, then: first.then(then), single[20:70])  # from s = 20 to t = 70
r = vp.alpha[70] / vp.alpha[20]
equation("03.15", (chained.scale, chained.std**2), (r, vp.sigma[70] ** 2 - r**2 * vp.sigma[20] ** 2))

# %% [markdown]
# ### Exercise 03.8: the kernel between any two times (2 points)


# %% tags=["exercise-03.8"]
def kernel_between(earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    """Return (scale, std) of q(x_t | x_s) = N(scale * x_s, std**2 I).

    earlier  alpha, sigma at time s; later: at time t > s; each () or (B,), any schedule
    alpha_s > 0; alpha_t may be 0
    """
    ### BEGIN SOLUTION
    scale = later.alpha / earlier.alpha
    return scale, torch.sqrt(later.sigma**2 - (scale * earlier.sigma) ** 2)
    ### END SOLUTION


# %% tags=["check-03.8"]
check("03.8", kernel_between)

# %% [markdown]
# ### Markov, forwards and backwards
#
# A chain in which each step looks only at the present, never at the past, is called a **Markov chain**. The chain rule
# of probability, $q(x_1,x_2,x_3)=q(x_1)\,q(x_2\mid x_1)\,q(x_3\mid x_1,x_2)$, holds for any variables; the Markov property
# lets us forget the past in each factor:
#
# $$q(x_1,\dots,x_T\mid x_0)=\prod_{t=1}^Tq(x_t\mid x_{t-1}). \tag{03.16}$$
#
# The check takes one pixel and four steps. Left: the joint law of $(x_1,\dots,x_4)$ is *one* Gaussian in four dimensions, $Ae+m$, whose map
# is the matrix of impulses; its log density is notebook 02's. Right: the sum of the four steps' log densities.

# %% tags=["nbval-check-output"]
four = Table.from_gammas(torch.tensor([0.9, 0.8, 0.9, 0.7]))
start = torch.tensor([0.6]).double()
A = noising_path(torch.zeros(4).double(), four, torch.eye(4).double())[1:]
joint = Gaussian(A, four.alpha[1:] * start)
path = noising_path(start.expand(50), four, normal(4, 50))  # fifty walks of one pixel
steps = sum(
    kernel(four(t - 1.0), four(float(t)))(path[t - 1][:, None]).log_density(path[t][:, None]) for t in range(1, 5)
)
equation("03.16", joint.log_density(path[1:].T), steps)

# %% [markdown]
# Now turn the film around. Is the *reversed* chain Markov too? If you know $x_2$ and want to guess $x_1$, does it help to
# know $x_3$ as well? No:
#
# $$q(x_1\mid x_2,x_3)=q(x_1\mid x_2). \tag{03.17}$$
#
# <details><summary>Proof</summary>
#
# By definition $q(x_1\mid x_2,x_3)=q(x_1,x_2,x_3)/q(x_2,x_3)$. Above the line, the chain is Markov:
# $q(x_1,x_2)\,q(x_3\mid x_2)$. Below: $q(x_2)\,q(x_3\mid x_2)$, by definition. The factor $q(x_3\mid x_2)$ cancels, and
# $q(x_1,x_2)/q(x_2)=q(x_1\mid x_2)$. ∎
# </details>
#
# Let us see it happen where everything can be counted: three states, -1, 0 and 1, and a walk on them whose probabilities are
# those of a Gaussian step, cut to this grid. The joint law of $(x_0,x_1,x_2,x_3)$ is a table of $3^4=81$ numbers; every
# conditional is a sum over some of them divided by another. **Look for** rows that are equal, and for rows that are not.

# %% tags=["nbval-check-output"]
states = torch.tensor([-1.0, 0.0, 1.0]).double()
towards = torch.exp(-0.5 * ((states[None] - 0.9 * states[:, None]) / 0.8) ** 2)  # (from, to)
towards = towards / towards.sum(1, keepdim=True)
data = torch.tensor([0.6, 0.1, 0.3]).double()
law = torch.einsum("a,ab,bc,cd->abcd", data, towards, towards, towards)  # of x_0, x_1, x_2, x_3
x123, x12 = law.sum(0), law.sum((0, 3))
backwards = x123 / x123.sum(0)  # q(x_1 | x_2, x_3), indices (x_1, x_2, x_3)
equation("03.17", backwards, (x12 / x12.sum(0))[:, :, None].expand(3, 3, 3))
for k, x_3 in enumerate(states.tolist()):
    given = ", ".join(f"{float(p):.3f}" for p in backwards[:, 2, k])
    both = ", ".join(f"{float(p):.3f}" for p in (x123 / x123.sum(1, keepdim=True))[0, :, k])
    print(f"x_3 = {x_3:2.0f}: x_1 given x_2 = 1 is [{given}];   x_2 given x_1 = -1 is [{both}]")

# %% [markdown]
# The first triple does not depend on $x_3$: that is the reversed chain's Markov property. The second does: a picture
# *between* two others depends on both of them.
#
# This is what makes sampling simple. To go back one step you have to look at the present picture only, not
# at the noisier ones you came from. But mind what is missing in (03.17): there is no formula for $q(x_1\mid x_2)$. It
# depends on `data`, the law of $x_0$, which nobody knows. Given $x_0$ there is one (section 7); without it, the network
# will have to learn (notebooks 04 and 05).
#
# <details><summary><b>Question.</b> Are the frames that share one noise a Markov chain?</summary>
#
# Not if you forget $x_0$: two frames of that film are two equations for the two unknowns $x_0$ and
# $\varepsilon$, so they tell all later frames exactly, while one frame alone leaves them uncertain. The past helps.
# (Given $x_0$, one frame already tells the noise and with it the whole film.)
# </details>
#
# ## 5. One thing, four notations
#
# *The literature has four alphabets for the same two numbers, and one letter that means three things: alpha is our scale of the picture,
# Ho et al.'s 1 - beta_t, and in many programs the name of a table of alpha-bar.*
#
# | here | Ho et al. 2020 | lecture style (gamma) | Karras et al. 2022 |
# |---|---|---|---|
# | `alpha_t` | sqrt(alpha-bar_t) | product of gamma_1..gamma_t | s(t) |
# | `sigma_t` | sqrt(1 - alpha-bar_t) | sqrt(1 - that product squared) | s(t) * sigma(t) |
# | `alpha_t / alpha_{t-1}` | sqrt(1 - beta_t) | gamma_t | |
# | `sigma_t / alpha_t` | | | sigma |
#
# How to read it. **Ho et al.** start from the variances $\beta_t$ of the steps; their $\alpha_t$ (without a bar) is
# $1-\beta_t$, a step's kept share of the *variance*, and $\bar\alpha_t$ is the product of these. So their $\bar\alpha_t$ is our $\alpha_t^2$. **Lectures** like
# the step's scale $\gamma_t$, because it multiplies the picture. **Karras et al.** write every process as a picture
# $x_0+\sigma n$, played at the loudness $s$. Their $\sigma$ is our $\sigma_t/\alpha_t$.
#
# Two more traps. Some texts write $\alpha+\beta=1$: then both are variances (Ho et al.). Others write
# $\alpha^2+\beta^2=1$: then their $\alpha$ is ours, the scale of the picture, and their $\beta$ is our $\sigma$, a standard deviation. And in papers on "flow matching"
# $\alpha_t$ and $\sigma_t$ are as here, but time often runs the other way. **Before you copy a formula, put in a number**: at which value of
# the symbol is the picture clean?
#
# Here is Ho et al.'s schedule computed in all four alphabets, each from its own definitions. (For Karras et al. the
# definitions are those of their table 1 for a VP process with $\beta(t)$ growing linearly, so this column belongs to the
# continuous-time version of the schedule and is printed beside it.)

# %% tags=["nbval-check-output"]
t, beta = 300, linear_betas(1000)
alpha_bar = torch.cumprod(1 - beta, 0)[t - 1]  # Ho et al.
gamma_t = torch.sqrt(1 - beta)  # a lecture
product = gamma_t[:t].prod()
integral = 19.9 / 2 * (t / 1000) ** 2 + 0.1 * (t / 1000)  # Karras et al., beta_d = 19.9 and beta_min = 0.1
karras_sigma, karras_s = math.sqrt(math.exp(integral) - 1), 1 / math.sqrt(math.exp(integral))
here, smooth = ho(float(t)), Linear()(t / 1000)
rows = {
    "alpha_t": (here.alpha, alpha_bar.sqrt(), product, smooth.alpha, karras_s),
    "sigma_t": (here.sigma, (1 - alpha_bar).sqrt(), torch.sqrt(1 - product**2), smooth.sigma, karras_s * karras_sigma),
    "alpha_t / alpha_t-1": (here.alpha / ho(t - 1.0).alpha, torch.sqrt(1 - beta[t - 1]), gamma_t[t - 1]),
    "sigma_t / alpha_t": (here.ratio, "", "", smooth.ratio, karras_sigma),
}
print(" " * 22 + "".join(f"{head:<12}" for head in ("here", "Ho et al.", "gamma", "here, cont.", "Karras")))
for name, row in rows.items():
    print(f"{name:22}" + "".join(f"{x:<12}" if isinstance(x, str) else f"{float(x):<12.4f}" for x in row))

# %% [markdown]
# <details><summary><b>Question.</b> A colleague sends you a table called "alpha" that starts with 0.9999 and ends with 0.98. Another one's starts with
# 0.9999 and ends with 0.00004. A third one's ends with 0.0064. What are they?</summary>
#
# All three may be the same schedule. The first is Ho et al.'s $\alpha_t=1-\beta_t$, a step's share (it never gets
# near 0). The second is $\bar\alpha_t$, the third our $\alpha_t=\sqrt{\bar\alpha_t}$: $0.0064^2=0.00004$. Note also that none
# of them has the row $t=0$, where all are 1: their first row belongs to $t=1$. Half of all index errors
# are born here.
# </details>

# %% [markdown]
# ## 6. Choosing a schedule
#
# *A schedule is a curve: log SNR against time. All else follows from it.*
#
# From here on, unless a table is meant, $t$ runs from 0 to 1, and $\alpha$ and $\sigma$ are functions of it. A table for any number of steps $T$
# is made by reading the function at $t=0,\frac1T,\frac2T,\dots,1$. Where the variance is preserved, one number per time is
# enough, and the most telling is $\lambda=\log\mathrm{snr}$:
#
# $$\lambda=\log\frac{\alpha^2}{\sigma^2}\quad\Longleftrightarrow\quad\alpha^2=\frac1{1+e^{-\lambda}},\qquad\sigma^2=\frac1{1+e^{\lambda}}. \tag{03.18}$$
#
# (Put $\sigma^2=1-\alpha^2$ into $\lambda$ and solve for $\alpha^2$.) At $\lambda=0$ picture and noise have equal weight; at 4.6 the
# noise has one hundredth of the signal's variance, at -4.6 a hundred times as much.

# %% tags=["nbval-check-output"]
t = torch.linspace(0.05, 0.95, 19).double()
log_snr = Cosine()(t).log_snr
left = (Cosine()(t).alpha ** 2, Cosine()(t).sigma ** 2)
equation("03.18", left, (1 / (1 + torch.exp(-log_snr)), 1 / (1 + torch.exp(log_snr))))

# %% [markdown]
# Four families are in use.
#
# **Constant.** The same shrinkage all the time. With $T$ steps of $\gamma=e^{-c/T}$, after a share $t$ of them,
#
# $$\alpha(t)=\gamma^{tT}=e^{-ct}. \tag{03.19}$$

# %% tags=["nbval-check-output"]
c, T = 5.0, 200
gammas = torch.full((T,), math.exp(-c / T), dtype=torch.float64)
equation("03.19", Table.from_gammas(gammas).alpha, ConstantGamma(c)(torch.linspace(0, 1, T + 1).double()).alpha)

# %% [markdown]
# **Linear.** Ho et al.'s betas that grow by equal amounts. In continuous time (section 8 shows how), a step of length
# $h$ has $\beta=\beta(t)\,h$ with $\beta(t)=\beta_{\min}+(\beta_{\max}-\beta_{\min})\,t$, usually from 0.1 to 20, and
#
# $$\alpha(t)=\exp\Bigl(-\tfrac12\int_0^t\beta(u)\,\mathrm du\Bigr)=\exp\Bigl(-\tfrac12\beta_{\min}t-\tfrac14(\beta_{\max}-\beta_{\min})\,t^2\Bigr). \tag{03.20}$$

# %% tags=["nbval-check-output"]
ends = torch.tensor([0.1, 0.3, 0.6, 1.0]).double()
u = ends * torch.linspace(0, 1, 2001).double()[:, None]  # a grid from 0 to each of the ends
area = torch.trapezoid(0.1 + 19.9 * u, u, dim=0)
equation("03.20", torch.exp(-area / 2), Linear(0.1, 20.0)(ends).alpha)
print(f"alpha(1) = {float(Linear()(1.0).alpha):.4f}; Ho et al.'s table of 1000 ends at {float(ho(1000.0).alpha):.4f}")

# %% [markdown]
# **Cosine.** Nichol and Dhariwal (2021) found that the noisiest fifth of a linear schedule can be skipped
# with little harm, because its pictures are noise already, and let $\alpha$ fall like a cosine; the small offset $o=0.008$ keeps the first steps of a table from being too small:
#
# $$\alpha(t)=\cos\Bigl(\frac{t+o}{1+o}\cdot\frac\pi2\Bigr)\Big/\cos\Bigl(\frac{o}{1+o}\cdot\frac\pi2\Bigr). \tag{03.21}$$
#
# (They print $\bar\alpha$, hence a square. They also clip every beta at 0.999, so that no step forgets everything: with $T=1000$ that
# changes one beta, and their table ends not at exactly 0 but as printed below.) The check multiplies the steps of a table that follows *their* recipe: betas from
# ratios of $f(t)=\cos^2(\cdot)$.

# %% tags=["nbval-check-output"]
u = torch.linspace(0, 1, 51).double()
f = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
their_betas = 1 - f[1:] / f[:-1]
equation("03.21", Table.from_betas(their_betas).alpha[:-1], Cosine(0.008)(u).alpha[:-1])  # the last is 0
thousand = Table.of(Cosine(0.008), 1000).betas
clipped = Table.from_betas(thousand.clamp(max=0.999)).alpha[-1]
print(f"clipping changes {int((thousand > 0.999).sum())} of 1000 betas and leaves alpha_T = {clipped:.6f}")

# %% [markdown]
# **Sigmoid.** Jabri, Fleet and Chen (2022) let $\alpha^2$ fall along a piece of the logistic curve $\operatorname{logistic}(z)=1/(1+e^{-z})$, with
# $z(t)=\bigl(\text{start}+t\,(\text{stop}-\text{start})\bigr)/\text{temperature}$:
#
# $$\alpha(t)^2=\frac{\operatorname{logistic}(z(1))-\operatorname{logistic}(z(t))}{\operatorname{logistic}(z(1))-\operatorname{logistic}(z(0))}. \tag{03.22}$$

# %% tags=["nbval-check-output"]
start, stop, temperature = -3.0, 3.0, 0.7
u = torch.linspace(0, 0.98, 50).double()
logistic = torch.sigmoid(torch.cat([start + u * (stop - start), torch.tensor([stop])]) / temperature)
equation(
    "03.22",
    Sigmoid(start, stop, temperature)(u).alpha ** 2,
    (logistic[-1] - logistic[:-1]) / (logistic[-1] - logistic[0]),
)

# %% [markdown]
# Drawn as $\alpha$ they look like cousins. In log SNR you see their characters. **Look for** where each starts and ends, and
# how flat it is in between.

# %%
u = torch.linspace(0.004, 0.996, 249).double()
families = {"constant": ConstantGamma(), "linear": Linear(), "cosine": Cosine(), "sigmoid": Sigmoid()}
beside(
    plotting.curves({n: f(u).alpha for n, f in families.items()}, x=u, xlabel="t", ylabel="alpha", size=(4.2, 3.2), alt="Alpha against t: all fall from 1 towards 0, constant gamma fastest, then linear, cosine and sigmoid last"),
    plotting.curves({n: f(u).log_snr for n, f in families.items()}, x=u, xlabel="t", ylabel="log SNR", size=(4.2, 3.2), alt="Log SNR against t: constant gamma is low from the start, linear goes down steadily to minus ten, cosine and sigmoid are flat in the middle and plunge at the end"),
)  # fmt: skip

# %% [markdown]
# What does it look like? The same digit with the same noise, at the same times, under the four. **Look for** the last column in
# which you can read each row, and compare with log SNR in the figure above.

# %%
at = torch.tensor([0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.95]).double()
one_digit = digits("held_back").of(7)[:1].double().expand(10, -1, -1, -1)
one_noise = normal(1, 1, 28, 28).expand(10, -1, -1, -1)
plotting.strip(
    {name: as_pixels(jump(one_digit, family(at), one_noise)) for name, family in families.items()},
    labels=[f"t = {float(t):g}" for t in at], cell=0.72,
    alt="A seven under four schedules at ten times: with constant gamma it is lost by t = 0.3, with linear by 0.5, with cosine and sigmoid only near 0.8",
)  # fmt: skip

# %% [markdown]
# ### At which noise levels is anything decided?
#
# Ask somebody who knows digits. The course ships a small classifier, trained on clean digits. Give it 500 digits it
# has never seen, noised to a given log SNR, and count how often it is right. **Look for** how narrow the band is between "as good as
# on clean digits" and guessing, and for the second line: the probability that the classifier gives to its own answer.

# %%
held_back = digits("held_back")
some, labels = held_back.images[:500].double(), held_back.labels[:500]
noise = normal(*some.shape)
levels = torch.arange(-6, 8.5, 1.0).double()
answers = [classify(jump(some, Marginal.from_log_snr(level), noise)) for level in levels]
right = torch.stack([(p.argmax(1) == labels).double().mean() for p in answers])
sure = torch.stack([p.max(1).values.mean() for p in answers])
votes = answers[0].argmax(1).bincount(minlength=10)
print(f"at log SNR {levels[0]:.0f} it takes {votes.max()} of the 500 for the digit {int(votes.argmax())}")
plotting.curves(
    {"right": right, "says it is sure": sure}, x=levels, markers=True, xlabel="log SNR", ylabel="share, probability",
    alt="Share of correct answers over log SNR: about 0.1 up to log SNR 1, then up steeply to 0.98 at 3; the classifier's own confidence never falls below 0.7, not even on pure noise",
)  # fmt: skip

# %% [markdown]
# Within two units of log SNR everything is lost. To the left of it the classifier is still "sure": it takes nearly everything for the
# same digit. It was trained on clean pictures and nobody taught it to say "I don't know", so *its confidence out there means
# nothing; only being right does*. (The band is this classifier's. One trained on noisy digits would hold out to lower SNR, and your own eye does too, as you are about
# to see.) How much of its time does each schedule spend between log SNR 4 and -4, a range wide enough for better eyes than this
# classifier's? Above it next to nothing is lost yet, below it nothing can be decided any more.

# %% tags=["nbval-check-output"]
for name, family in families.items():
    enters, leaves = float(family.time_at(4.0)), float(family.time_at(-4.0))
    print(
        f"{name:9} log SNR {float(family(0.01).log_snr):6.3f} at t = 0.01, {float(family(0.99).log_snr):7.3f} at t = 0.99; "
        f"share of the time above 4: {enters:.3f}, between: {leaves - enters:.3f}, below -4: {1 - leaves:.3f}"
    )

# %% [markdown]
# The constant schedule spends 60% of its time where nothing is decided any more, the linear one 37%, the cosine 9% and the sigmoid 5%. For the
# sigmoid both ends together take 10%: nine tenths of its time go where something may be decided.
#
# And now bend them yourself. Everything follows your hand: log SNR, $\alpha$ and $\sigma$, the density of two points
# that melt into one, the classifier's confidence in the right digit, the bridge's weights (section 7), and the digit.
# (So that this is fast, the classifier was asked beforehand at 61 values of log SNR, eight noises each; the curve you
# see is read off between them. That is allowed because the noised digit at fixed loudness depends on the schedule *only
# through* log SNR.)
#
# Three things to try. Make the cosine's offset large: which end of the curve moves? Choose "linear" and pull "beta at t
# = 1" down to 5: what is left of the digit at $t=1$? Choose digit 8, and look at the confidence at $t=1$; what does
# the classifier see in noise?
#
# <details><summary>What you should have seen</summary>
#
# The offset moves the *clean* end: with a large one the first steps are larger, log SNR falls faster from $+\infty$, and $\alpha(1)$ is
# still 0. With a rate that grows only to 5, $\alpha(1)=e^{-(0.1+5)/4}=0.28$: the digit is still there at the end. And in noise the
# classifier sees an 8: its "confidence in the right digit" is high at $t=1$ for the 8, and for no other digit. A
# number that says how sure a network is says nothing where the network was never trained.
# </details>

# %%
schedule_designer()

# %% [markdown]
# ### Which variance is preserved?
#
# Two variances are around, and texts are careless about which they mean. The **conditional** one, given the picture: it
# is $\sigma_t^2$, always. The **total** one, over all pictures and noises. They are linked by the law of total
# variance; for a pixel whose variance over the data is $v_0$, as in (03.7),
#
# $$\operatorname{Var}[x_t]=\alpha_t^2\,v_0+\sigma_t^2\;\overset{\text{VP}}{=}\;1-\alpha_t^2\,(1-v_0). \tag{03.23}$$
#
# It stays at 1 only if $v_0=1$. Our digits, in $[-1,1]$, have $v_0=0.27$ a pixel, because most pixels are black most of the time. "Variance
# preserving" is said about unit-variance data. The check noises all 9,000 digits and measures.

# %% tags=["nbval-check-output"]
images = digits("train").images
v_0 = float((images - images.mean(0)).square().mean())
measured, predicted = [], []
for t in (0.2, 0.5, 0.8):
    x_t = jump(images, Cosine()(t), torch.randn(images.shape, generator=rng))
    measured.append(float((x_t - x_t.mean(0)).square().mean()))
    predicted.append(1 - float(Cosine()(t).alpha) ** 2 * (1 - v_0))
    print(f"t = {t}: conditional variance {float(Cosine()(t).sigma) ** 2:.3f}, total variance {measured[-1]:.3f}")
equation("03.23", torch.tensor(measured), torch.tensor(predicted), rtol=4e-3)
print(f"variance of a digit's pixel, mean over the pixels: {v_0:.3f}")

# %% [markdown]
# ### Three traps at the end
#
# **Trap 1: fewer steps, same betas.** Ho et al.'s betas run from 0.0001 to 0.02, *for $T=1000$*. If you want a
# hundred steps and write `linspace(1e-4, 0.02, 100)`, each step still adds its little noise but there are only a tenth as many:
#
# $$\alpha_T^2=\prod_{t=1}^T(1-\beta_t)\approx\exp\Bigl(-\sum_t\beta_t\Bigr)=\exp(-0.01005\,T). \tag{03.24}$$
#
# (The mean beta is 0.01005, and $\log(1-\beta)\approx-\beta$.) At $T=1000$ the product is 0.00004, at $T=100$ it
# is 0.36, and at $T=10$ it is 0.90. The approximation is good as long as the sum of the squares of the betas is small: the check takes $T=10$.
#
# **Trap 2: scaling the betas by $1000/T$.** The usual patch. It keeps the sum. But for $T=10$ the last beta is 2, and $\sqrt{1-\beta}$ does not
# exist.

# %% tags=["nbval-check-output"]
products = {T: (1 - linear_betas(T)).log().sum().exp() for T in (10, 100, 1000)}
equation("03.24", products[10], math.exp(-0.01005 * 10), rtol=2e-3)
for T, product in products.items():
    scaled = linear_betas(T) * 1000 / T
    honest = Table.of(Linear(), T)
    print(f"T = {T:4}: same betas leave alpha_T^2 = {product:.5f}; scaled, the largest is {scaled.max():.3f}; "
          f"derived, it is {honest.betas.max():.3f} and alpha_T^2 = {honest.alpha[-1] ** 2:.5f}")  # fmt: skip

# %% [markdown]
# The cure for both: choose the curve $\alpha(t)$ once, and **derive the betas** from it for any $T$. What a step shrinks
# is the ratio of two neighbours:
#
# $$\beta_t=1-\Bigl(\frac{\alpha(t/T)}{\alpha((t-1)/T)}\Bigr)^2,\qquad t=1,\dots,T. \tag{03.25}$$
#
# Then the product telescopes and the table ends where the curve ends, at any $T$. (For $T=10$ the largest beta is 0.851, in
# place of an impossible 2.) The check builds the tables from these betas and looks whether they pass through the curve.

# %% tags=["nbval-check-output"]
built, curve = [], []
for T in (7, 10, 100):
    u = torch.linspace(0, 1, T + 1).double()
    alphas = torch.exp(-0.05 * u - 4.975 * u**2)  # the linear curve (03.20), written out
    built.append(Table.from_betas(1 - (alphas[1:] / alphas[:-1]) ** 2).alpha)
    curve.append(Linear()(u).alpha)
equation("03.25", tuple(built), tuple(curve))

# %% [markdown]
# ### Exercise 03.4: betas from alpha(t), at any T (2 points)


# %% tags=["exercise-03.4"]
def betas_for(alpha: Callable[[Tensor], Tensor], T: int) -> Tensor:
    """Return beta_1 ... beta_T, (T,), float64, of the variance-preserving table that passes through the curve `alpha`.

    alpha  a function: times (N,), float64 in [0, 1] -> alpha (N,), with alpha(0) = 1; it may be 0 at 1, but not before
    """
    ### BEGIN SOLUTION
    values = alpha(torch.linspace(0, 1, T + 1, dtype=torch.float64))
    return 1 - (values[1:] / values[:-1]) ** 2
    ### END SOLUTION


# %% tags=["check-03.4"]
check("03.4", betas_for)

# %% [markdown]
# **Trap 3: the end that is exactly zero, and the end that is not.** As curves, cosine and sigmoid reach $\alpha(1)=0$ (Nichol and Dhariwal's clipped
# table does not quite): log SNR is
# $-\infty$ there, the last beta is 1, $x_T$ *is* noise and nothing was pretended. This is called **zero terminal
# SNR**. It has a price: where $\alpha=0$ the picture $x_0=(x_t-\sigma_t\varepsilon)/\alpha_t$ cannot be computed from
# the noise any more, so a network that predicts the noise cannot start there (notebook 05 shows a target that can).
# Linear and constant stop at a small $\alpha$ and pretend. How bad is it? By (03.9), averaged over digits. (This bounds the error of a
# sampler's start from above: the law of all $x_T$ together is nearer to $N(0,I)$, by the information that $x_T$ still carries about which digit it was.
# A sampler never has to look like one particular digit's $x_T$, only like some digit's. Notebook 04 needs exactly this average: it stands in its loss.)

# %% tags=["nbval-check-output"]
size = images.double().square().sum((1, 2, 3)).mean()
ends = {"section 2's ramp": vp.alpha[-1], "Ho et al., T = 1000": ho.alpha[-1], "their betas, T = 100": products[100].sqrt(), "constant, c = 5": ConstantGamma()(1.0).alpha, "cosine": Cosine()(1.0).alpha}  # fmt: skip
for name, alpha_T in ends.items():
    nats = 0.5 * (alpha_T**2 * (size - 784) - 784 * torch.log(1 - alpha_T**2))
    print(f"{name:21} alpha_T = {float(alpha_T):.4f}, KL given x_0, mean over digits {abs(float(nats)):8.3f} nats")

# %% [markdown]
# Ho et al.'s own table costs a hundredth of a nat; nobody will ever see it. The same betas with a hundred steps are
# worse than our ramp.
#
# Let us take the ramp's 15 nats apart. The cost of a mean and that of a variance add up. If the start's mean were not 0 but $\alpha_T$
# times some picture $c$, each digit's cost would fall by what $c$ explains, on average $\frac12\alpha_T^2(2\bar x\cdot c-\lVert c\rVert^2)$, where $\bar x$ is the mean
# digit: try the mean brightness in every pixel, and $\bar x$ itself. The last line is a bound from *below* for the law of all $x_T$: the KL
# of the Gaussian that has their mean and covariance.

# %% tags=["nbval-check-output"]
flat, alpha_T = images.double().flatten(1), vp.alpha[-1]
mean_digit, grey = flat.mean(0), flat.mean().expand(784)
in_variance = -0.5 * 784 * (alpha_T**2 + torch.log(1 - alpha_T**2))
print(f"of the ramp's nats, in the mean: {0.5 * alpha_T**2 * size:.2f}, in the variance: {in_variance:.2f}")
for name, c in {"the right brightness": grey, "the mean digit": mean_digit}.items():
    centred = (flat - c).square().sum(1).mean()
    print(f"a start with {name} saves {0.5 * alpha_T**2 * (size - centred):.2f}")
cov = alpha_T**2 * torch.cov(flat.T, correction=0) + (1 - alpha_T**2) * torch.eye(784).double()
bound = 0.5 * (cov.trace() + alpha_T**2 * mean_digit.square().sum() - 784 - torch.logdet(cov))
print(
    f"a sampler that starts from N(0, I) is wrong by at least {bound:.2f} nats, at most {0.5 * alpha_T**2 * size + in_variance:.2f}"
)

# %% [markdown]
# <details><summary><b>Question.</b> Is it enough, then, to start sampling from the right brightness instead of from N(0, I)?</summary>
#
# Only in part. Of the ramp's 15.0 nats a digit 14.7 lie in the mean, but brightness is only one direction of the mean: the right one
# saves 8.65 nats, and the mean digit, $N(\alpha_T\bar x,I)$, 10.43. For the rest you would have to know $x_0$, and that is what you do not have. Ending
# lower is simpler still.
# </details>

# %% [markdown]
# ### Exercise 03.5: the cosine schedule (2 points)


# %% tags=["exercise-03.5"]
def cosine_schedule(t: Tensor, offset: float) -> tuple[Tensor, Tensor]:
    """Return (alpha, sigma), each of the shape of `t`, of the variance-preserving cosine schedule (03.21).

    t       (N,), times in [0, 1]
    offset  the o of the formula, 0 or more
    """
    ### BEGIN SOLUTION
    angle = (t + offset) / (1 + offset) * math.pi / 2
    alpha = torch.cos(angle) / math.cos(offset / (1 + offset) * math.pi / 2)
    return alpha, torch.sqrt((1 - alpha**2).clamp(min=0))
    ### END SOLUTION


# %% tags=["check-03.5"]
check("03.5", cosine_schedule)

# %% [markdown]
# ## 7. Going back
#
# *Undoing a step needs the noise that was added, which is gone. With the clean picture known, though, there is a
# formula for where we were: the bridge.*
#
# ### Going back is not undoing
#
# The step was $x_t=\gamma x_s+\sqrt{\beta}\,\varepsilon$, with $s=t-1$. Solve it for $x_s$: $x_s=(x_t-\sqrt\beta\,\varepsilon)/\gamma$. If you had kept
# $\varepsilon$, this would be exact. You have not. So take a *fresh* noise $\varepsilon'$, which has the same law? Then
#
# $$\operatorname{Var}\Bigl[\frac{x_t-\sqrt{\beta}\,\varepsilon'}{\gamma}\,\Big|\,x_0\Bigr]=\frac{\sigma_t^2+\beta}{\gamma^2}=\sigma_s^2+\frac{2\beta}{\gamma^2}, \tag{03.26}$$
#
# because subtracting an *independent* noise is adding one: the minus sign is lost on a symmetric law. Instead of taking
# $\beta$ away we have added it a second time. The check sends impulses through ten steps forward and one step "back".

# %% tags=["nbval-check-output"]
table = Table.of(Cosine(), 20)
rows = noising_path(torch.zeros(11).double(), Table(table.alpha[:11], table.sigma[:11]), torch.eye(10, 11).double())
beta, gamma = table.betas[9], torch.sqrt(1 - table.betas[9])
fresh = torch.eye(11).double()[10]  # the noise that nobody has seen
back = (rows[10] - torch.sqrt(beta) * fresh) / gamma
equation("03.26", back.square().sum(), table.sigma[9] ** 2 + 2 * beta / gamma**2)
print(f"variance at s = 9: {table.sigma[9] ** 2:.3f}; after a step forward and one 'back': {back.square().sum():.3f}")

# %% [markdown]
# Do it all the way from $t=60$ (of 100) to 0 and see. **Look for** the letter that should come back, and read the loudness above
# the pictures (each is shown divided by its root mean square, the rms).

# %%
forth = Table.of(Linear(), 100)
x = noising_path(letter, forth, normal(100, *letter.shape))[60]
frames, loud = [], []
for t in range(60, -1, -1):
    if t % 12 == 0:
        loud.append(float(x.square().mean().sqrt()))
        frames.append(as_pixels(x / loud[-1])[0])
    if t:
        fresh = normal(*letter.shape)
        x = (x - torch.sqrt(forth.betas[t - 1]) * fresh) / torch.sqrt(1 - forth.betas[t - 1])
plotting.strip(
    frames, labels=[f"t = {t}, rms {r:.1f}" for t, r in zip(range(60, -1, -12), loud, strict=True)], cell=1.3,
    alt="The noised letter and five pictures on the supposed way back: each is noise, and ever louder",
)  # fmt: skip

# %% [markdown]
# ### Nor is it "remove a third of the noise"
#
# Second idea, for three equal VE steps: $x_3=x_0+n$, where $n=b(\varepsilon_1+\varepsilon_2+\varepsilon_3)$ is the sum of three noises. A
# network guesses $n$. To go back one of three steps, take away a third: $x_0+\frac23n$. But *standard deviations do not
# add*. The noise of $x_2$ has variance $2b^2$, and $\frac23n$ has only $\frac49\cdot3b^2=\frac43b^2$. What is missing?
#
# Given $x_3$ and $x_0$ we know the *sum* of the three noises, not how it came about. By symmetry each of the three holds a third of
# it on average, so the mean of $x_2$ is indeed $x_0+\frac23n$: taking away a third is right **on average**. Around
# this mean $x_2$ still varies, and that variance must be put back as fresh noise. In general, for going from $t$ to $s$ of equal VE
# steps:
#
# $$\underbrace{\Bigl(\frac st\Bigr)^2tb^2}_{\text{from the mean}}+\underbrace{\frac{s\,(t-s)}{t}\,b^2}_{\text{fresh noise}}=s\,b^2, \tag{03.27}$$
#
# which for $s=2$, $t=3$ is $\frac43+\frac23=2$. The check measures the two parts by regression: of the noise of $x_2$ on that of $x_3$, for a million
# walks.

# %% tags=["nbval-check-output"]
eps = normal(3, 1_000_000)
n_2, n_3 = eps[:2].sum(0), eps.sum(0)  # b = 1
slope = (n_2 * n_3).mean() / n_3.square().mean()
parts = (slope * n_3).square().mean(), (n_2 - slope * n_3).square().mean()
equation("03.27", (*parts, n_2.var()), ((2 / 3) ** 2 * 3, 2 * (3 - 2) / 3, 2.0), rtol=6e-3)
print(f"slope {slope:.2f} (two thirds); variances: {parts[0]:.2f} along, {parts[1]:.2f} around")

# %% [markdown]
# And the trick of shrinking $n$ by $\sqrt{2/3}$ instead, so that the variance is right at once? Compare three ways of
# making an $x_2$ from $x_3$ and $x_0$ by what a pair $(x_2,x_3)$ has to have: the variance of $x_2$, and its
# correlation with $x_3$, which in a walk is $\sqrt{2/3}=0.816$ by (03.14).

# %% tags=["nbval-check-output"]
fresh = normal(1_000_000)
ways = {
    "a true walk": n_2, "a third taken away": 2 / 3 * n_3, "shrunk by sqrt(2/3)": math.sqrt(2 / 3) * n_3,
    "a third away, fresh noise": 2 / 3 * n_3 + math.sqrt(2 / 3) * fresh,
}  # fmt: skip
for name, n in ways.items():
    print(f"{name:26} variance {n.var():.2f}, correlation with x_3 {torch.corrcoef(torch.stack([n, n_3]))[0, 1]:.2f}")

# %% [markdown]
# The first attempt loses variance. The second has the right variance and the wrong film: it is the "one noise" film of
# section 4, with equal marginals. (You will meet it again as a sampler, DDIM.) Only the third is what happened.
#
# ### The bridge
#
# Now in full, for any schedule and any $s<t$. We know where the walk started, $x_0$, and where it is now, $x_t$. Where
# was it at time $s$? Write down what is known about $x_s$, first without and then with $x_t$:
#
# $$x_s=\alpha_sx_0+\sigma_s\,e_1\ \text{ (the jump)},\qquad x_t=r\,x_s+\sqrt v\;e_2\ \text{ (the kernel)},\qquad r=\frac{\alpha_t}{\alpha_s},\quad v=\sigma_t^2-r^2\sigma_s^2. \tag{03.28}$$
#
# with $e_1,e_2$ independent $N(0,I)$, because the noise after $s$ is new. This is notebook 02's property (d): a Gaussian unknown, a noisy
# observation of it. "Prior" is the first, "observation" the second. The check chains the single steps of a table, four up to $s$ and two from $s$ to
# $t$, and compares what comes out with these four numbers.

# %% tags=["nbval-check-output"]
earlier, later = Cosine()(0.4), Cosine()(0.6)
r, v = later.alpha / earlier.alpha, later.sigma**2 - (later.alpha / earlier.alpha * earlier.sigma) ** 2
ten = torch.cos((torch.linspace(0, 1, 11).double() + 0.008) / 1.008 * math.pi / 2)  # (03.21); the line below it cancels
single = [AffineKernel(g, torch.sqrt(1 - g**2)) for g in ten[1:] / ten[:-1]]
to_s, on_to_t = (reduce(lambda first, then: first.then(then), steps) for steps in (single[:4], single[4:6]))
equation("03.28", (to_s.scale, to_s.std, on_to_t.scale, on_to_t.std**2), (earlier.alpha, earlier.sigma, r, v))

# %% [markdown]
# The answer of notebook 02: move the prior's mean towards the observation, by the surprise times a gain
# $G=\operatorname{Cov}(x_s,x_t)/\operatorname{Var}(x_t)$. Here $\operatorname{Cov}(x_s,x_t)=r\sigma_s^2$ and
# $\operatorname{Var}(x_t)=r^2\sigma_s^2+v=\sigma_t^2$, so
#
# $$q(x_s\mid x_t,x_0)=N\bigl(w_t\,x_t+w_0\,x_0,\;\tau^2I\bigr),\qquad
# w_t=\frac{r\,\sigma_s^2}{\sigma_t^2},\quad w_0=\frac{\alpha_s\,v}{\sigma_t^2},\quad \tau=\frac{\sigma_s\sqrt v}{\sigma_t}. \tag{03.29}$$
#
# <details><summary>Every step of the derivation</summary>
#
# All pixels are independent, so do it for one. Fix $x_0$; "mean" and "variance" are given $x_0$.
#
# *The gain.* From (03.28), $x_t-rx_s=\sqrt v\,e_2$ is independent of $x_s$. Hence
# $\operatorname{Cov}(x_s,x_t)=r\operatorname{Var}(x_s)=r\sigma_s^2$, $\operatorname{Var}(x_t)=r^2\sigma_s^2+v=\sigma_t^2$, and
# $G=r\sigma_s^2/\sigma_t^2$.
#
# *Split $x_s$ into two independent parts.* Put $u=x_s-Gx_t$. Its covariance with $x_t$ is
# $r\sigma_s^2-G\sigma_t^2=0$. Both are affine maps of $(e_1,e_2)$, so they are jointly Gaussian, and uncorrelated
# then means independent. So $x_s=Gx_t+u$, and learning $x_t$ does not change the law of $u$.
#
# *The mean.* $\mathbb E[x_s\mid x_t]=Gx_t+\mathbb E[u]=Gx_t+\alpha_sx_0-G\alpha_tx_0$. The factor of $x_0$ is
# $\alpha_s-G\alpha_t=\alpha_s-\alpha_s\,r\,\frac{r\sigma_s^2}{\sigma_t^2}=\alpha_s\frac{\sigma_t^2-r^2\sigma_s^2}{\sigma_t^2}=\frac{\alpha_sv}{\sigma_t^2}$, where $\alpha_t=r\alpha_s$ was used.
#
# *The variance.* $\operatorname{Var}(x_s\mid x_t)=\operatorname{Var}(u)=\operatorname{Var}(x_s)-G^2\operatorname{Var}(x_t)=\sigma_s^2-\frac{r^2\sigma_s^4}{\sigma_t^2}=\sigma_s^2\,\frac{\sigma_t^2-r^2\sigma_s^2}{\sigma_t^2}=\frac{\sigma_s^2v}{\sigma_t^2}$.
# (The second step: $x_s$ is the sum of the independent parts $Gx_t$ and $u$, so variances add.) ∎
# </details>
#
# Two checks by two routes: notebook 02's `condition`, and Bayes' rule by brute force. The latter multiplies the
# two densities, $q(x_s\mid x_0)\,q(x_t\mid x_s)$, on a fine grid of $x_s$, and reads off mean and standard deviation of what comes out.

# %% tags=["nbval-check-output"]
seen, x_0 = torch.tensor([0.9]).double(), torch.tensor([-0.7]).double()
grid = torch.linspace(-8, 8, 16_001).double()
density = torch.exp(-0.5 * ((grid - earlier.alpha * x_0) / earlier.sigma) ** 2 - 0.5 * (seen - r * grid) ** 2 / v)
density = density / density.sum()
grid_mean = (grid * density).sum()
grid_std = ((grid - grid_mean) ** 2 * density).sum().sqrt()
w_t, w_0, tau = (
    r * earlier.sigma**2 / later.sigma**2,
    earlier.alpha * v / later.sigma**2,
    earlier.sigma * v.sqrt() / later.sigma,
)
prior = Gaussian.spherical(earlier.alpha * x_0, float(earlier.sigma))
posterior = condition(prior, seen, v.reshape(1, 1), r.reshape(1, 1))
mean = (w_t * seen + w_0 * x_0)[0]
equation("03.29", (mean, tau, mean, tau), (grid_mean, grid_std, posterior.mean[0], posterior.cov[0, 0].sqrt()))

# %% [markdown]
# **Look for**, in the picture of these densities: which of the two pieces of knowledge is the sharper one, and how does the
# product lie between them?

# %%
window = (grid > -3.2) & (grid < 3.2)
where = grid[window]
peak = {
    "from x_0: the jump": torch.exp(-0.5 * ((where - earlier.alpha * x_0) / earlier.sigma) ** 2) / earlier.sigma,
    "from x_t: the kernel\n(scaled to area 1)": torch.exp(-0.5 * (seen - r * where) ** 2 / v) * r / v.sqrt(),
    "both: the bridge": torch.exp(-0.5 * ((where - mean) / tau) ** 2) / tau,
}
plotting.curves(
    {name: y / math.sqrt(2 * math.pi) for name, y in peak.items()}, x=where, xlabel="x_s", ylabel="density",
    alt="Three bumps over x_s: a narrow one around minus 0.56 from x_0, a wider one around 1.2 from x_t, and the bridge between them, nearer to the first and narrower than both",
)  # fmt: skip

# %% [markdown]
# Where the variance is preserved and $s=t-1$, we have $r=\sqrt{1-\beta_t}$ and $v=\beta_t$, and (03.29) becomes what you
# find in Ho et al. as equations 6 and 7; they write $\tilde\beta_t$ for $\tau^2$:
#
# $$w_t=\frac{\sqrt{1-\beta_t}\,(1-\bar\alpha_{t-1})}{1-\bar\alpha_t},\qquad w_0=\frac{\sqrt{\bar\alpha_{t-1}}\,\beta_t}{1-\bar\alpha_t},\qquad \tilde\beta_t=\frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}\,\beta_t. \tag{03.30}$$

# %% tags=["nbval-check-output"]
betas, t = linear_betas(1000), torch.tensor([2, 10, 300, 1000])
bars = torch.cumprod(1 - betas, 0)
now, before, beta = bars[t - 1], bars[t - 2], betas[t - 1]
left = (1 - beta).sqrt() * (1 - before) / (1 - now), before.sqrt() * beta / (1 - now), (1 - before) / (1 - now) * beta
of_x_t, of_x_0, std = bridge_weights(ho(t - 1), ho(t))
equation("03.30", left, (of_x_t, of_x_0, std**2), rtol=1e-5)

# %% [markdown]
# Whatever the formula looks like in print, it has to satisfy three conditions, because $x_s$, made in this way from $x_t$,
# must have the mean, the variance and the covariance that a walk gives it:
#
# $$w_t\,\alpha_t+w_0=\alpha_s,\qquad w_t^2\,\sigma_t^2+\tau^2=\sigma_s^2,\qquad w_t\,\sigma_t^2=\frac{\alpha_t}{\alpha_s}\,\sigma_s^2. \tag{03.31}$$
#
# Three equations for three numbers: they determine $w_t$, $w_0$ and $\tau$ completely. Remember them as a test for any
# formula you meet. The right sides are measured here: the mean, variance and covariance of a walk's two rows of
# coefficients.

# %% tags=["nbval-check-output"]
rows = noising_path(torch.zeros(100).double(), forth, torch.eye(100).double())
signal = noising_path(torch.ones(1).double(), forth, torch.zeros(100, 1).double())[:, 0]
s, t = torch.tensor([1, 20, 50, 98]), torch.tensor([2, 40, 51, 100])
w_t, w_0, tau = bridge_weights(forth(s), forth(t))
left = w_t * forth(t).alpha + w_0, w_t**2 * forth(t).sigma ** 2 + tau**2, w_t * forth(t).sigma ** 2
equation("03.31", left, (signal[s], rows[s].square().sum(1), (rows[s] * rows[t]).sum(1)))

# %% [markdown]
# Who decides, the present picture or the clean one? Here are the two weights over time, for one of 20 and for one of 200
# steps, of the cosine schedule (where less than one step is left, the step goes to 0). **Look for** the two ends, and
# for what the number of steps changes.

# %%
u = torch.linspace(0.005, 1, 200).double()
drawn = {}
for n in (20, 200):
    w_t, w_0, tau = bridge_weights(Cosine()((u - 1 / n).clamp(min=0)), Cosine()(u))
    drawn |= {f"of x_t, {n} steps": w_t, f"of x_0, {n} steps": w_0}
plotting.curves(
    drawn, x=u, xlabel="t", ylabel="weight in the bridge's mean",
    alt="With 20 steps the weight of x_0 is 1 in the last step to clean data and falls quickly, that of x_t rises from 0 to 0.8 and falls to 0 at t = 1; with 200 steps x_t has nearly all the weight almost everywhere",
)  # fmt: skip

# %% tags=["nbval-check-output"]
for n in (20, 200):
    for t in (1 / n, 0.5):
        w_t, w_0, tau = bridge_weights(Cosine()(max(t - 1 / n, 0.0)), Cosine()(t))
        print(f"{n:3} steps, from t = {t:.3f}: weight of x_t {w_t:.3f}, of x_0 {w_0:.3f}, fresh noise {tau:.3f}")

# %% [markdown]
# In the last step, to $s=0$, the weight of $x_0$ is 1 and no noise is added: we know the answer. At the other
# end, $t=1$, the weight of $x_t$ is 0, because $\alpha_1=0$: pure noise tells nothing about $x_s$. Between the ends, with short steps, the bridge
# says: *stay where you are, and lean a little towards the picture*. That little is the only thing a network will have to supply, again and
# again.
#
# ### A digit walks back from noise
#
# Let us do it. Start from *pure noise* that has never seen a digit, tell the bridge which $x_0$ to end at, and walk:
# 50 steps from $t=1$ to $t=0$. Beside it, for comparison, a forward walk of the same digit, played backwards. **Look for** any difference in
# style between the two. There should be none.

# %%
table = Table.of(Cosine(), 50)
digit = held_back.of(3)[:1].double()
back = [normal(*digit.shape)]  # x_T: pure noise
for t in range(50, 0, -1):
    law = bridge(table(t - 1.0), table(float(t)), digit, back[-1])
    back.append(law.sample(normal(*digit.shape)))
reverse = noising_path(digit, table, normal(50, *digit.shape)).flip(0)
back_to = torch.arange(49, -1, -1)
scrub(
    {"bridge, from noise": as_pixels(torch.cat(back[1:])), "a forward walk, reversed": as_pixels(reverse[1:, 0])},
    t=back_to, marginals=table(back_to), levels=32, size=168, start=30,
    alt="A digit three appears out of noise under the bridge; beside it a forward walk of the same digit played backwards, which looks alike",
)  # fmt: skip

# %% [markdown]
# "There should be none" can be tested: 300 bridges from noise against 300 forward walks of the same digit, pairs of frames at $t=10$
# and $t=25$ of 50, by the test of section 4. And two wrong ways back: without the fresh noise (the mean only), and with
# fresh noise but the x_0 of another digit.


# %%
def go_back(target, fresh_scale=1.0):
    """Pairs of frames (at 25 and at 10) on 300 walks from noise to `target`."""
    x, seen = normal(300, 1, 28, 28), []
    for t in range(50, 10, -1):
        law = bridge(table(t - 1.0), table(float(t)), target.expand_as(x), x)
        x = law.mean + fresh_scale * law.std * normal(*x.shape)
        seen += [x] if t - 1 in (25, 10) else []
    return torch.cat(seen, 1)


# %% tags=["nbval-check-output"]
many = noising_path(
    digit.expand(300, -1, -1, -1), Table(table.alpha[:26], table.sigma[:26]), normal(25, 300, 1, 28, 28)
)
true_pairs = torch.cat([many[25], many[10]], 1)
other = held_back.of(5)[:1].double()
ways = {"the bridge": (digit, 1.0), "its mean only": (digit, 0.0), "to another digit": (other, 1.0)}
for name, (target, fresh_scale) in ways.items():
    print(f"{name:16} {energy_test(go_back(target, fresh_scale), true_pairs, rng, 200)}")

# %% [markdown]
# <details><summary><b>Question.</b> We started the bridge from noise that had nothing to do with the digit, and it arrived exactly. Is that cheating?</summary>
#
# At $t=1$ of the cosine schedule $\alpha=0$: there *every* picture is pure noise, so any noise is as good an $x_T$ of
# this digit as any other. From there the digit enters through $x_0$, in 50 doses $w_0x_0$, small at first, the last one whole ($w_0=1$, which is
# why it arrived exactly). It is we who told it. The whole
# problem that is left is to replace the $x_0$ in the formula by a guess, made from $x_t$ alone, and the guess may
# improve from step to step. That is a diffusion model.
# </details>
#
# ### Exercise 03.7: the bridge (3 points)


# %% tags=["exercise-03.7"]
def bridge_between(x_0: Tensor, x_t: Tensor, earlier: Marginal, later: Marginal) -> tuple[Tensor, Tensor]:
    """Return (mean, std) of q(x_s | x_t, x_0): mean of the shape of `x_t`, std () or (B,).

    x_0, x_t  (B, ...)
    earlier   alpha, sigma at time s; later: at time t > s; each () or (B,), any schedule; at s = 0, sigma_s is 0
    `per_sample(number, x_t)` shapes () or (B,) so that it multiplies (B, ...).
    """
    ### BEGIN SOLUTION
    r = later.alpha / earlier.alpha
    v = later.sigma**2 - (r * earlier.sigma) ** 2
    weight_t = r * (earlier.sigma / later.sigma) ** 2
    weight_0 = earlier.alpha * v / later.sigma**2
    return per_sample(weight_t, x_t) * x_t + per_sample(weight_0, x_0) * x_0, earlier.sigma * v.sqrt() / later.sigma
    ### END SOLUTION


# %% tags=["check-03.7"]
check("03.7", bridge_between)

# %% [markdown]
# ### Exercise 03.9: four printed formulas (2 points)
#
# The three numbers of (03.30) are printed in hundreds of papers, posts and programs, and some of them are misprinted. You get four
# versions as functions, in some order: `formula(betas, t)` returns $(w_t,w_0,\tau)$ for the step from $t$ to $t-1$, where `betas` is
# $(\beta_1,\dots,\beta_T)$ and $t$ is a whole number from 2 to $T$. Do not try to read them. **Measure**: put each one's numbers into the three conditions (03.31), for a table
# of each of three schedules. The error of a formula on a schedule is the largest absolute difference between the left and
# the right side, over all three conditions and all $t=2,\dots,T$.
#
# One of the four is right. One of the wrong ones looks right on one of the three schedules: this is how misprints
# survive.


# %% tags=["exercise-03.9"]
def measured_errors(formulas: list, tables: list) -> Tensor:
    """Return a tensor of shape (number of formulas, number of tables), float64: each formula's error on each table.

    formulas  functions: formula(betas, t) -> (weight of x_t, weight of x_0, std) of the step from t to s = t - 1
    tables    `Table`s that preserve the variance: table.betas (T,), table.alpha and table.sigma (T + 1,), row 0 clean

    Error: the largest absolute gap among, for t = 2 ... T,
        w_t alpha_t + w_0 - alpha_s,   w_t**2 sigma_t**2 + std**2 - sigma_s**2,   w_t sigma_t**2 - alpha_t / alpha_s sigma_s**2
    """
    ### BEGIN SOLUTION
    errors = torch.zeros(len(formulas), len(tables), dtype=torch.float64)
    for k, formula in enumerate(formulas):
        for j, table in enumerate(tables):
            for t in range(2, len(table.alpha)):
                w_t, w_0, std = formula(table.betas, t)
                (a_s, a_t), (s_s, s_t) = table.alpha[t - 1 : t + 1], table.sigma[t - 1 : t + 1]
                mean = w_t * a_t + w_0 - a_s
                variance = w_t**2 * s_t**2 + std**2 - s_s**2
                covariance = w_t * s_t**2 - a_t / a_s * s_s**2
                errors[k, j] = max(errors[k, j], abs(mean), abs(variance), abs(covariance))
    return errors
    ### END SOLUTION


# %% tags=["check-03.9"]
check("03.9", measured_errors)

# %% [markdown]
# Here are all four, measured in this way by the library on one table of each kind, twelve steps each. **Look for** the row of zeros, and for the single zero in a wrong
# row.

# %% tags=["nbval-check-output"]
from course_checks.nb03.inputs import equal_steps, growing_steps, printed_formulas
from course_checks.nb03.measures import Gaps

three = {"equal": equal_steps(0.1, 12), "growing": growing_steps(0.02, 0.4, 12), "cosine": Table.of(Cosine(), 12)}
print(" " * 11 + "".join(f"{name:>9}" for name in three))
for k, formula in enumerate(printed_formulas([0, 1, 3, 2]), start=1):
    worst = [float(Gaps.of(formula, table).worst) for table in three.values()]
    print(f"formula ({k})" + "".join(f"{gap:9.3f}" for gap in worst))

# %% [markdown]
# <details><summary>Which misprints were they? (Read this afterwards.)</summary>
#
# (1) $\tilde\beta_t$ with the two $\bar\alpha$ exchanged, $\frac{1-\bar\alpha_t}{1-\bar\alpha_{t-1}}\beta_t$: it is larger than
# $\beta_t$ instead of smaller. The condition on the variance shows it. (2) The root in $w_t$ taken from the wrong step,
# $\sqrt{1-\beta_{t-1}}$: invisible as long as all betas are equal. (3) The noise multiplied by $\tilde\beta_t$ instead of its
# root: the fresh noise is far too weak. The condition on the variance shows it. And (4) is right. The numbers are the rows of the table above.
# </details>
#
# ## 8. Infinitely many steps
#
# *Keep the ends, let the number of steps grow: betas shrink like 1/T, and what is left of them is a rate.*
#
# How many steps should a schedule have? Derive the tables from the same curve $\alpha(t)$ for larger and larger $T$, by
# (03.25). Nothing changes at the points they share. But each step gets smaller, and $T$ times its beta tends to a number that belongs to
# the curve and not to any table, a **rate**:
#
# $$T\,\beta_{tT}\;\longrightarrow\;\beta(t)=-2\,\frac{\mathrm d}{\mathrm dt}\log\alpha(t)\qquad(T\to\infty). \tag{03.32}$$
#
# Here $t$ is a time between 0 and 1, and $\beta_{tT}$ is the beta of step number $tT$ in the table of $T$ steps (where $tT$ is whole). It holds
# wherever $\alpha(t)>0$ and $\alpha$ is smooth; so not at the cosine's $t=1$.
#
# <details><summary>Proof</summary>
#
# With $h=1/T$, $\beta=1-\exp\bigl(2\log\alpha(t)-2\log\alpha(t-h)\bigr)$. The exponent is
# $2h\,\frac{\mathrm d}{\mathrm dt}\log\alpha(t)+O(h^2)$, and $1-e^{z}=-z+O(z^2)$. So
# $\beta=-2h\,\frac{\mathrm d}{\mathrm dt}\log\alpha(t)+O(h^2)$. Multiply by $T=1/h$. ∎
# </details>
#
# The right side is computed by automatic differentiation of the cosine (03.21); the constant below its line drops out.

# %% tags=["nbval-check-output"]
times = torch.tensor([0.25, 0.5, 0.75]).double()
log_alpha = torch.func.grad(lambda u: torch.cos((u + 0.008) / 1.008 * math.pi / 2).log())  # its derivative, by autograd
rate = -2 * torch.stack([log_alpha(u) for u in times])
for T in (4, 40, 400, 4000, 40000):
    scaled = T * Table.of(Cosine(), T).betas[(times * T).round().long() - 1]
    print(f"T = {T:5}: T beta at t = 1/4, 1/2, 3/4 is " + ", ".join(f"{float(b):.4f}" for b in scaled))
print("             the rate beta(t) is        " + ", ".join(f"{float(b):.4f}" for b in rate))
equation("03.32", scaled, rate, rtol=1e-3)

# %% [markdown]
# Each factor of ten in $T$ gives one more correct digit: the error is of order $1/T$. Ho et al.'s 0.0001 to 0.02 at $T=1000$ are
# a rate from 0.1 to 20: these are the two numbers of `Linear`.
#
# The same limit, told as a product: many factors, each nearly 1, become an exponential. It is where
# $\alpha(t)=\exp(-\frac12\int\beta)$ in (03.20) came from:
#
# $$\prod_{k=1}^{T}\sqrt{1-\tfrac1T\,\beta\!\left(\tfrac kT\right)}\;\longrightarrow\;\exp\Bigl(-\tfrac12\int_0^1\beta(u)\,\mathrm du\Bigr). \tag{03.33}$$

# %% tags=["nbval-check-output"]
limit = math.exp(-0.5 * (0.5 + 5.0) / 2)  # a rate that grows from 0.5 to 5
for T in (10, 100, 1000, 10000):
    k = torch.arange(1, T + 1).double()
    product = torch.sqrt(1 - (0.5 + 4.5 * k / T) / T).prod()
    print(f"T = {T:5}: {product:.5f}, off by {product - limit:+.5f}; times T: {(product - limit) * T:+.3f}")
equation("03.33", product, limit, rtol=2e-3)

# %% [markdown]
# The last column settles: the error is $1/T$ times a constant, once more.
#
# And a single short step? Take the kernel (03.15) from $t$ to $t+h$. To first order in $h$,
#
# $$x_{t+h}\approx x_t-\tfrac12\beta(t)\,h\,x_t+\sqrt{\beta(t)\,h}\;\varepsilon. \tag{03.34}$$
#
# The pull towards 0 is proportional to $h$, the noise to $\sqrt h$. For small $h$ the noise is the far larger of the
# two in a single step, but it has no direction. Over $1/h$ steps the pull adds up to something of order 1, and so does the noise, because
# variances add.

# %% tags=["nbval-check-output"]
h, at = 1e-4, times
step = kernel(Linear()(at), Linear()(at + h))
beta_t = 0.1 + 19.9 * at
equation("03.34", ((1 - step.scale) / h, step.std / math.sqrt(h)), (beta_t / 2, beta_t.sqrt()), rtol=2e-3)

# %% [markdown]
# What does a path look like when the steps get smaller and smaller? Here is one pixel that starts at 1, with the same randomness
# seen at three resolutions: the finest walk has 4,096 steps, and the coarser ones only look at it less often. **Look for** whether it
# becomes smooth.

# %%
fine = Table.of(Linear(), 4096)
path = noising_path(torch.ones(200).double(), fine, normal(4096, 200))  # 200 pixels
resolutions = {f"{n} steps": path[:: 4096 // n, 0] for n in (16, 256, 4096)}
span = float(path[:, 0].min()) - 0.2, float(path[:, 0].max()) + 0.2
panels = [
    plotting.curves({name: (torch.linspace(0, 1, len(y)), y)}, xlabel="t", ylabel="x_t", ylim=span, title=name, size=(3.1, 2.6), alt=f"One pixel's path over time, seen in {name}: the finer, the more jagged")
    for name, y in resolutions.items()
]  # fmt: skip
beside(*panels)

# %% [markdown]
# It never becomes smooth. A number for that: add up the steps' lengths, and add up their squares.

# %% tags=["nbval-check-output"]
for n in (16, 256, 4096):
    moves = path[:: 4096 // n].diff(dim=0)
    print(
        f"{n:4} steps: sum of lengths {moves.abs().sum(0).mean():8.2f}, sum of squares {moves.square().sum(0).mean():6.2f}"
    )
print(f"minus two log alpha(1), the integral of the rate: {float(-2 * Linear()(1.0).alpha.log()):.2f}")

# %% [markdown]
# The length goes to infinity, like $\sqrt T$: sixteen times the steps, four times the length. A path of the limit has no
# speed anywhere. But the sum of the *squares* settles, at the integral of the rate. (With 16 steps it has not settled yet: they are so long
# that towards the end the pixel has forgotten where it was.) A Markov process with
# continuous paths is called a diffusion; these two properties are its mark, and the models are named after it. And (03.34) without
# the $\approx$ is written
#
# $$\mathrm dx=-\tfrac12\beta(t)\,x\,\mathrm dt+\sqrt{\beta(t)}\;\mathrm dW. \tag{03.35}$$
#
# Read it as nothing more than (03.34) with a step too small to see: $\mathrm dt$ stands for $h$, $\mathrm dW$ for $\sqrt h\,\varepsilon$. Follow it for many tiny steps and you must arrive at the same law as by one
# jump: that is the check, for the mean and the variance at $t=\frac12$ and at $t=1$, with 20,000 steps of (03.34) in place of the kernel. What
# can be *done* with such an equation, above all run it backwards, is notebook 06.

# %% tags=["nbval-check-output"]
n = 20_000
mean, variance = 1.0, 0.0
for k in range(n):
    pull = 0.5 * (0.1 + 19.9 * (k + 0.5) / n) / n
    mean, variance = (1 - pull) * mean, (1 - pull) ** 2 * variance + 2 * pull
    if k + 1 == n // 2:
        half = mean, variance
middle, end = Linear()(0.5), Linear()(1.0)
equation("03.35", (*half, mean, variance), (middle.alpha, middle.sigma**2, end.alpha, end.sigma**2), rtol=2e-3)

# %% [markdown]
# <details><summary><b>Question.</b> If T does not matter for the law of x_t, why does anybody care how many steps there are?</summary>
#
# Going forward nobody does: one jump is exact. Going back, without knowing $x_0$, each step has to pretend that
# $q(x_s\mid x_t)$ is a Gaussian. It is not (the data's law enters), but the smaller the step the better the pretence. That is
# notebook 04. And each step costs one evaluation of a network. That is notebook 06.
# </details>
#
# ## What we can do now, and what still hurts
#
# **We can** noise any picture to any time in one line, choose how fast, and say what is left at the end. We can
# translate the literature. And if somebody tells us the clean picture, we can walk back from pure noise to it, in steps that nobody
# can tell from a true walk played backwards.
#
# **What still hurts.** Nobody tells us the clean picture. A model has to guess it, or the noise, and then the question
# is: *guess by which measure?* What loss makes a chain of guessed bridges a good model of the data, as a whole? The
# naive answer of notebook 01, squared error from step to step, was a guess too. Notebook 04 derives the loss we
# deserve, and the bridge (03.29) will be at the heart of it.
#
# **References**
#
# * J. Ho, A. Jain, P. Abbeel: *Denoising Diffusion Probabilistic Models*. NeurIPS 2020. Equations 2, 4, 6, 7: the step, the
#   jump, the bridge; section 4: the linear betas.
# * J. Sohl-Dickstein, E. Weiss, N. Maheswaranathan, S. Ganguli: *Deep Unsupervised Learning using Nonequilibrium
#   Thermodynamics*. ICML 2015. The forward process as a Markov chain.
# * A. Nichol, P. Dhariwal: *Improved Denoising Diffusion Probabilistic Models*. ICML 2021. The cosine schedule.
# * A. Jabri, D. Fleet, T. Chen: *Scalable Adaptive Computation for Iterative Generation*. 2022. The sigmoid schedule.
# * D. Kingma, T. Salimans, B. Poole, J. Ho: *Variational Diffusion Models*. NeurIPS 2021. Log SNR as the coordinate.
# * T. Karras, M. Aittala, T. Aila, S. Laine: *Elucidating the Design Space of Diffusion-Based Generative Models*.
#   NeurIPS 2022. Table 1: the same processes as a noise level and a loudness.
# * Y. Song et al.: *Score-Based Generative Modeling through Stochastic Differential Equations*. ICLR 2021. VP, VE, and (03.35).
# * S. Lin, B. Liu, J. Li, X. Yang: *Common Diffusion Noise Schedules and Sample Steps are Flawed*. WACV 2024. Zero terminal SNR.
# * G. Székely, M. Rizzo: *Energy statistics: A class of statistics based on distances*. Journal of Statistical
#   Planning and Inference, 2013. The two-sample test.
