# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 Naive diffusion: flip some pixels
#
# Pictures that nobody has drawn, out of nothing but noise: how would you do it, if nobody had told you how? This
# notebook starts with the most naive idea there is. *Ruining* a picture is easy: flip some pixels, again and again,
# until it is snow. So train a network to undo one such step; then give it snow. There is no theory here, only
# counting and one fact about averages. What comes out half works, and you will find out, by measuring, which half and
# why. Repairing it leads to a second algorithm, which draws digits, and all its parts will come back in the models of
# the later notebooks with better mathematics.
#
# **After this notebook you can**
#
# * say why a generator needs randomness, and why the squared error turns "several answers are right" into grey;
# * compute how fast random flips erase a picture, and why the *last* pixel takes so much longer;
# * build and train an hourglass network, and say what its skips, its clock and its coordinates are
#   meant for, and which of them was seen to matter;
# * sample with two algorithms, and name three flaws of the first and what each of them costs;
# * ruin pictures without any noise (blur, pixelate, fade) and repair them, and say where the randomness has gone.
#
# **You need** Python, a little PyTorch, what an average and a variance are. Notebook 00 for how exercises are
# checked. Nothing about diffusion.
#
# **Time**: about two hours of reading and thinking, without the exercises. Running all cells takes about a minute
# and a quarter on two quiet CPU cores; four cells train a network, the longest for about half a minute.

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
from itertools import combinations, islice, pairwise, product

from torch import Tensor
from tqdm.auto import tqdm

from course_checks import check, equation
from course_lib import plotting
from course_lib.data import binarise, digits
from course_lib.data.recorded import recording
from course_lib.lessons.corruption import (
    blur,
    cold_sample,
    cold_update,
    corrupt_exactly,
    corrupt_step,
    denoise_renoise,
    fade,
    pixelate,
    pixelation,
    random_pixels,
    random_values,
    steps_to_reach,
    touched_counts,
    untouched_probability,
)
from course_lib.lessons.hourglass import Hourglass
from course_lib.lessons.naive import (
    Example,
    along_the_chain,
    batches,
    best_constant,
    by_degradation,
    by_number_touched,
    draw_pixels,
    fake_denoising,
    falling_counts,
    fit,
    nearest_restorer,
    repair_digits,
    restorer,
    smooth,
    touch,
)
from course_lib.metrics import class_balance, digit_features, frechet_distance
from course_lib.plotting import as_pixels, beside
from course_lib.scrubber import scrub
from course_lib.unet import parameter_count

# %% [markdown]
# The material: 9,000 handwritten digits of 28 x 28 pixels. For most of this page we make them black and white: every
# pixel is -1 (black) or +1 (white), nothing between. That makes "flip a pixel" mean something. $d = 784$ is the number
# of pixels.

# %%
grey_digits, held_back = digits("train"), digits("held_back")
images = binarise(grey_digits.images)  # (9000, 1, 28, 28), every pixel -1 or +1
unseen = binarise(held_back.images)
d = images[0].numel()
plotting.image_grid(
    as_pixels(images[:20]), ncols=10, alt="Twenty handwritten digits in black and white, ten a row"
)  # fmt: skip

# %% [markdown]
# ## 1. A box with one button
#
# *A generator is a box with one button: press it and out comes a picture; press again and out comes another one.*
#
# Compare this with what you know. A classifier gets a picture and returns a label; it is trained on pairs (picture,
# label). The box has **no input**, so there are no pairs to train it on. All we have is a heap of outputs it should
# be able to make. And it must not return the same picture twice, although a computer program without an input does
# just that. So **randomness must enter**: each press draws random numbers, and the box is a function from random
# numbers to pictures.
#
# Then why not make pairs? Each time a digit is shown, draw a fresh grid of random numbers, and train a network to turn
# the grid into the digit. It is worth trying, because it fails in an instructive way. The network is the hourglass that
# section 4 takes apart. Before you look: which picture would *you* learn to answer with, if every question were noise,
# drawn afresh, and had nothing to do with its answer?


# %%
def pairs_at_random(generator: torch.Generator):
    for x in batches(images, 32, generator):
        yield Example(random_values(x.shape, generator), torch.ones(len(x)), x)


torch.manual_seed(0)  # PyTorch draws a network's first weights
rng = torch.Generator().manual_seed(1)
paired = Hourglass(width=16)
bar = tqdm(fit(paired, pairs_at_random(rng), 80), total=80, desc="noise to digit")
losses = [float(state.loss) for state in bar]

# %%
questions = random_values((5, 1, 28, 28), rng)
with torch.no_grad():
    answers = paired(questions, torch.ones(5))
mean_digit = images.mean(0)
plotting.image_grid(
    as_pixels(torch.cat([questions, mean_digit[None], answers, images[:1]])), ncols=6, cell=1.0,
    titles=["noise"] * 5 + ["mean digit"] + ["answer"] * 5 + ["a digit"],
    alt="Five grids of noise above, the network's five answers below: five times nearly the same grey cloud, not unlike the mean of all digits beside them",
)  # fmt: skip

# %%
price = float((images - mean_digit).square().mean())
print(
    f"loss of the last 20 batches {sum(losses[-20:]) / 20:.3f}; answering always with the mean digit costs {price:.3f}"
)

# %% [markdown]
# The answers are nearly all alike, whatever the noise: a grey cloud, and the loss is already near what the mean digit
# costs. Training longer would only bring the cloud nearer to that mean, for the mean *is* the best answer to the
# question that we have asked. The next fact says why. It is used all course long, so take your time with it.
#
# ### The fact: squared error asks for the mean
#
# *If you must name one number for a random quantity and pay the squared distance, name its mean.*
#
# Let $X$ be a random picture (a vector) with mean $m = \mathbb E[X]$, and let $c$ be any fixed picture. Then
#
# $$\mathbb E\lVert X-c\rVert^2=\mathbb E\lVert X-m\rVert^2+\lVert m-c\rVert^2. \tag{01.1}$$
#
# The first term does not depend on $c$; the second is smallest, namely 0, at $c=m$ and nowhere else.
#
# <details><summary>Proof</summary>
#
# Write $X-c=(X-m)+(m-c)$ and square:
# $\lVert X-c\rVert^2=\lVert X-m\rVert^2+2\,(X-m)\cdot(m-c)+\lVert m-c\rVert^2$.
#
# Take expectations. In the middle term $m-c$ is a fixed vector, so it comes out of the expectation:
# $\mathbb E[(X-m)\cdot(m-c)]=(\mathbb E[X]-m)\cdot(m-c)=0\cdot(m-c)=0$. The first and the last term remain. ∎
# </details>
#
# The digits are a random quantity if you draw one of the 9,000 at random; expectations are then averages over them,
# and (01.1) can be checked to the last decimal. As a constant $c$ we take the digit in the top left corner above.

# %% tags=["nbval-check-output"]
x, c = images.double().flatten(1), images[0].double().flatten()
m = x.mean(0)
left = (x - c).square().sum(1).mean()
right = x.square().sum(1).mean() - m @ m + (m - c) @ (m - c)  # E|X - m|^2 = E|X|^2 - |m|^2
equation("01.1", left, right)
print(f"per pixel: answering with the digit costs {left / d:.3f}, with the mean {(x - m).square().mean():.3f}")

# %% [markdown]
# Answering always with one real digit costs more than answering always with the grey cloud, which is no digit at all.
# A squared error has no taste: it prefers a picture that is never right and never far off.
#
# Now let the answer depend on something. You see $Y$ (a noisy picture, a label, anything), and answer $f(Y)$. The
# same sum of squares, for each value of $Y$ by itself, gives
#
# $$\mathbb E\lVert X-f(Y)\rVert^2=\mathbb E\lVert X-\mathbb E[X\mid Y]\rVert^2+\mathbb E\lVert \mathbb E[X\mid Y]-f(Y)\rVert^2. \tag{01.2}$$
#
# So the best $f$ is the **conditional mean**: *for what you have seen, the average of all that it could have come
# from.* A network trained with the squared error tries to become this function. In the experiment above $Y$ was noise
# drawn independently of $X$; knowing it tells nothing, $\mathbb E[X\mid Y]=\mathbb E[X]$, and the mean digit is all
# that can be learned.
#
# <details><summary>Proof of (01.2)</summary>
#
# Fix a value $y$. Given $Y=y$, the answer $f(y)$ is a constant and $X$ has the mean $\mathbb E[X\mid Y=y]$. Equation
# (01.1), applied to the law of $X$ given $Y=y$, reads
#
# $$\mathbb E\bigl[\lVert X-f(Y)\rVert^2\,\big|\,Y=y\bigr]=\mathbb E\bigl[\lVert X-\mathbb E[X\mid Y]\rVert^2\,\big|\,Y=y\bigr]+\lVert\mathbb E[X\mid Y=y]-f(y)\rVert^2 .$$
#
# Average both sides over the values of $Y$. The average of a conditional expectation is the expectation (if every
# class has its mean, the mean of all is the mean of these, weighted by the size of the classes). That is (01.2). ∎
# </details>
#
# Check it with the label as $Y$: the best answer is then the mean digit *of that class*. As the wrong answer $f$ take
# one example of each class.

# %% tags=["nbval-check-output"]
labels = grey_digits.labels
class_means = torch.stack([x[labels == label].mean(0) for label in range(10)])
examples = torch.stack([x[labels == label][0] for label in range(10)])  # the wrong answer f: a real digit
best = (x - class_means[labels]).square().mean()
share = torch.bincount(labels) / len(labels)
excess = (share.double()[:, None] * (class_means - examples).square()).sum() / d
equation("01.2", (x - examples[labels]).square().mean(), best + excess)
print(f"per pixel: seeing nothing {(x - m).square().mean():.3f}, seeing the label {best:.3f}")

# %%
plotting.image_grid(
    as_pixels(class_means.reshape(10, 1, 28, 28)), ncols=10, titles=[str(n) for n in range(10)],
    alt="The mean of each of the ten classes: blurred but recognisable digits",
)  # fmt: skip

# %% [markdown]
# <details><summary><b>Question.</b> You see the top half of a digit. What does the best answer, in squared error, look like in the bottom half, if
# the top half could belong to a 3 or to a 5?</summary>
#
# Both bottom halves at once, each as bright as it is probable (for a 3 and a 5 they nearly agree; where they differ,
# grey). The mean of two good answers need not be a good answer.
# </details>
#
# So a network that is asked for everything at once answers with fog. The way out, which all of this course follows:
# **ask for less**. Ruin the picture only a little. Then what was there before is nearly what you see, the conditional
# mean is sharp, and it can be learned. Generating is then a long walk of such small repairs.
#
# ## 2. Ruin a digit
#
# *In each step, choose some pixels at random and set each to black or white by a coin.*
#
# One step: choose $k$ different pixels of the $d$; each becomes -1 or +1 with probability one half, whatever it was.
# The picture after $t$ steps is called $x_t$; $x_0$ is the clean one. Note what a step looks at: only the picture
# before it. Such a walk, in which the next state depends on the present one and not on the way there, is called a
# **Markov chain**.

# %%
k, steps = 10, 360
rng = torch.Generator().manual_seed(2)
x_t = images[[7, 2, 5, 1]]
walk = [x_t]
for _ in range(steps):
    x_t = corrupt_step(x_t, random_pixels(x_t, k, rng), random_values((len(x_t), k), rng))
    walk.append(x_t)
walk = torch.stack(walk)  # (361, 4, 1, 28, 28)

# %% [markdown]
# Scrub through it (every tenth step is a frame). It is a real walk: each frame is the one before with 100 coins
# tossed, so a pixel that is wrong stays wrong until it is hit again. Until which step can *you* read the digits?
# The slider's readout, or the figure at the end of the next subsection, tells how many pixels are then still untouched.

# %%
shown = torch.arange(0, steps + 1, 10)
changed = (walk[shown] != walk[0]).float().mean((1, 2, 3, 4))
scrub(
    as_pixels(walk[shown]), t=shown, ncols=4, size=96 * 4,
    readout={"untouched (formula)": untouched_probability(k, d, shown), "changed (counted)": changed},
    alt="Four digits dissolve into black and white snow over 360 steps of ten pixels each",
)  # fmt: skip

# %% [markdown]
# ### How long until nothing is left?
#
# A given pixel escapes one step with probability $1-k/d$. The choices of different steps are independent, so it
# escapes all of the first $t$ with probability
#
# $$\alpha_t=\Bigl(1-\frac kd\Bigr)^t . \tag{01.3}$$
#
# The check does not use this argument. It follows the *number* $n$ of touched pixels from step to step instead: of the
# $k$ pixels chosen next, $j$ are new with a probability from counting (choose $j$ of the $d-n$ untouched and $k-j$ of
# the $n$ touched). That gives the whole law of $n$ after $t$ steps, one row of a table; the untouched share is one
# minus its mean over $d$.

# %% tags=["nbval-check-output"]
counts = touched_counts(k, d, 900)  # row t, column n: P(n pixels touched after t steps)
numbers = torch.arange(d + 1, dtype=torch.float64)
t = torch.arange(901)
equation("01.3", untouched_probability(k, d, t[:400]), 1 - (counts @ numbers)[:400] / d)
print(f"alpha falls to 0.5 at t = {steps_to_reach(0.5, k, d)}, to 0.01 at t = {steps_to_reach(0.01, k, d)}")

# %% [markdown]
# **Touched is not changed.** The coin does not know what colour the pixel had: half of the touched pixels keep it.
# So on average a share $(1-\alpha_t)/2$ of the pixels differs from $x_0$, and on average never more than one half. In
# snow, about half of your pixels are right!
#
# Now look at one pixel that was $x_0$. After $t$ steps it is still $x_0$ if untouched, and otherwise a fair coin with
# mean 0. Its mean and variance follow:
#
# $$\mathbb E[x_t\mid x_0]=\alpha_t\,x_0,\qquad \mathrm{Var}[x_t\mid x_0]=1-\alpha_t^2. \tag{01.4}$$
#
# <details><summary>Proof</summary>
#
# The mean: $\alpha_t\cdot x_0+(1-\alpha_t)\cdot 0$. The square of the pixel is 1 whatever happens, because it is -1 or
# +1, so $\mathbb E[x_t^2\mid x_0]=1$, and the variance is the mean square minus the squared mean, $1-\alpha_t^2x_0^2$,
# with $x_0^2=1$. ∎
# </details>
#
# The check lets a pixel jump between its two states by a 2 x 2 table of probabilities, and multiplies that table by
# itself $t$ times: no $\alpha$ in sight.

# %% tags=["nbval-check-output"]
p = k / d  # touched in one step
step = torch.tensor([[1 - p / 2, p / 2], [p / 2, 1 - p / 2]], dtype=torch.float64)  # from black or white, to either
states, some = torch.tensor([-1.0, 1.0], dtype=torch.float64), [1, 50, 100, 359]
law = torch.stack([torch.linalg.matrix_power(step, t)[1] for t in some])  # of a pixel that was white
mean, variance = law @ states, law @ states**2 - (law @ states) ** 2
alpha = untouched_probability(k, d, torch.tensor(some))
equation("01.4", (mean, variance), (alpha * 1.0, 1 - alpha**2))

# %% [markdown]
# Remember the pair $\alpha_t$ and $1-\alpha_t^2$. From notebook 03 on, a picture will be scaled by some $\alpha_t$ and
# get Gaussian noise of variance $\sigma_t^2=1-\alpha_t^2$: the same two numbers. Flipping pixels already does that,
# pixel by pixel.
#
# In the figure: theory as lines, the walk of the four digits above as counted. The dotted line at one half is the
# limit of "changed".

# %%
theory = untouched_probability(k, d, torch.arange(steps + 1))
counted = (walk != walk[0]).double().mean((1, 2, 3, 4))
plotting.curves(
    {"touched, 1 - alpha": 1 - theory, "changed, half of it": (1 - theory) / 2, "changed, counted": counted, "one half": torch.full((steps + 1,), 0.5)},
    xlabel="step t", ylabel="share of the pixels",
    alt="The share of touched pixels rises towards 1 and the share of changed pixels towards one half; the counted share follows its line",
)  # fmt: skip

# %% [markdown]
# ### The last pixel
#
# At $t=359$ a given pixel is untouched with probability 0.01. There are 784 pixels, so about 8 of them are *still
# untouched*. If you want to be sure that nothing is left, you have to wait for the last one, and that is the problem of
# the collector who buys packets with $k$ random cards in each and misses one card of the album for ages. The expected
# number of untouched pixels is $d\,\alpha_t$ (expectations add, independent or not).

# %% tags=["nbval-check-output"]
for t in (100, 359, 548, 878):
    print(
        f"t = {t}: {d * untouched_probability(k, d, t):7.3f} untouched pixels expected, all touched with probability {counts[t, -1]:.3f}"
    )
print(f"fewer than 0.01 untouched pixels expected first at t = {steps_to_reach(0.01 / d, k, d)}")

# %% [markdown]
# *Half* of the pixels are gone after 54 steps, *99 in 100* after 359; the *last* one after 548 if you are satisfied with
# an even chance, and after 878 if you want to be 99% sure. In the figure each curve is the law of the number of touched pixels at one time: a
# narrow hump that creeps against the wall on the right. Look at how narrow it is; section 6 comes back to that.

# %%
plotting.curves(
    {f"t = {t}": (numbers[400:], counts[t][400:]) for t in (60, 100, 150, 250, 359)},
    xlabel="number of touched pixels (of 784)", ylabel="probability",
    alt="Five narrow humps, at 421, 567, 669, 752 and 776 touched pixels: the laws of the number of touched pixels after 60 to 359 steps",
)  # fmt: skip

# %% [markdown]
# <details><summary><b>Question.</b> Why not choose k = 784 and be done in one step?</summary>
#
# Then one step leads from digit to snow, and undoing it means producing a digit from snow at once: the experiment of
# section 1, whose best answer is fog. Small steps are what makes the conditional mean sharp.
# </details>
#
# ### Exercise 01.1: one step (1 point)


# %% tags=["exercise-01.1"]
def one_step(x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    """Return the images after one step, of the shape of `x`, without changing `x`.

    x        (B, C, H, W)
    indices  (B, k), whole numbers: for each image, which pixels are touched; pixels count row by row, as in
             `x.flatten(1)`, and those of one image are all different
    values   (B, k): values[b, j] is what pixel indices[b, j] of image b becomes
    """
    ### BEGIN SOLUTION
    return x.flatten(1).scatter(1, indices, values).reshape(x.shape)
    ### END SOLUTION


# %% tags=["check-01.1"]
check("01.1", one_step)

# %% [markdown]
# ### Exercise 01.2: how long? (1 point)


# %% tags=["exercise-01.2"]
def how_long(k: int, d: int, t: int, alpha: float) -> tuple[float, int]:
    """Return (probability, steps).

    probability  that a given pixel is untouched after t steps; each step touches k different pixels of d
    steps        the smallest whole number of steps after which that probability is at most `alpha`

    0 < k < d, t >= 0, 0 < alpha <= 1. Plain numbers, no tensors.
    """
    ### BEGIN SOLUTION
    probability = (1 - k / d) ** t
    steps = math.ceil(math.log(alpha) / math.log(1 - k / d) - 1e-9)  # the tiny number: 2.0000000001 steps are 2
    return probability, max(steps, 0)
    ### END SOLUTION


# %% tags=["check-01.2"]
check("01.2", how_long)

# %% [markdown]
# ### Exercise 01.3: mean and variance of a flipped pixel (2 points)
#
# This time the coin is not fair, so that (01.4) has to be derived again: a touched pixel becomes white (+1) with
# probability `white`, and black (-1) otherwise. For `white` = 1/2 it must give (01.4).


# %% tags=["exercise-01.3"]
def pixel_moments(x_0: Tensor, k: int, d: int, t: int, white: float) -> tuple[Tensor, Tensor, float]:
    """Return (mean, variance, alpha) of the pixels of x_t, given x_0.

    x_0       every entry is -1 or +1, any shape
    mean      E[x_t | x_0] for each pixel, of the shape of x_0
    variance  Var[x_t | x_0] for each pixel, of the shape of x_0
    alpha     a number: the slope of the mean as a function of x_0, which is what is left of the picture

    Each of the t steps touches k different pixels of d; a touched pixel becomes +1 with probability `white`, else -1.
    """
    ### BEGIN SOLUTION
    alpha = (1 - k / d) ** t
    mean = alpha * x_0 + (1 - alpha) * (2 * white - 1)
    return mean, 1 - mean**2, alpha
    ### END SOLUTION


# %% tags=["check-01.3"]
check("01.3", pixel_moments)

# %% [markdown]
# ## 3. Algorithm 1: walk, and after each step learn to undo it
#
# *Keep the picture before and the picture after the step; ask the network for the one before.*
#
# > **Algorithm 1, training**
# > 1. Take a batch of digits; $t=0$.
# > 2. Flip: $x_t$ from $x_{t-1}$, by touching $k$ pixels of each.
# > 3. Train the network on the pair: input $x_t$ and $t$, target $x_{t-1}$, squared error.
# > 4. $t\leftarrow t+1$. If $t<T$ go to 2, else to 1.
#
# It is the first thing that comes to mind: the walk produces its training pairs on the way. With ten pixels a step a
# walk has 359 steps, and the steps are tiny; to get somewhere in twenty seconds of training we touch $k=98$ pixels a step, an
# eighth of the picture. Then $\alpha=0.01$ is reached at $T=35$. In the library it is a stream of examples, each with
# what is `seen`, the time as a share of $T$, and what is `wanted`.

# %% tags=["nbval-check-output"]
k_fast = 98
T = steps_to_reach(0.01, k_fast, d)
stream = along_the_chain(images, k_fast, T, batch=32, generator=torch.Generator().manual_seed(3))
first_walk = list(islice(stream, T))
print(f"T = {T}, alpha_T = {untouched_probability(k_fast, d, T):.3f}")
print(f"one walk gives {len(first_walk)} batches, of shape {tuple(first_walk[0].seen.shape)}")

# %%
some = [first_walk[t - 1] for t in (1, 5, 10, 20, 35)]
rows = {
    "seen: x_t": torch.cat([e.seen[:1] for e in some]),
    "wanted: x_{t-1}": torch.cat([e.wanted[:1] for e in some]),
    "difference / 2": torch.cat([(e.wanted - e.seen)[:1] / 2 for e in some]),
}
plotting.strip(
    {name: as_pixels(row) for name, row in rows.items()}, labels=[f"t = {t}" for t in (1, 5, 10, 20, 35)], cell=1.0,
    alt="Five times of one walk: what the network sees, what it is asked for, and their difference, about fifty scattered pixels",
)  # fmt: skip

# %% [markdown]
# The two upper rows are nearly the same. What does a network pay that simply copies its input? Of the $k$ touched
# pixels half have changed, each by 2, that is 4 when squared. Per pixel:
#
# $$\frac1d\,\mathbb E\lVert x_t-x_{t-1}\rVert^2=\frac1d\cdot k\cdot\frac12\cdot 4=\frac{2k}{d}. \tag{01.5}$$
#
# That is a bar, but not the lowest one. Somebody who knows nothing about digits, only $k$, may hedge every pixel alike
# and answer $c\,x_t$ with one number $c$. A pixel that step $t$ did not touch is the same in $x_{t-1}$ and $x_t$, one that
# it touched is a fresh coin, so the product of the two is $1-k/d$ on average. Their squares are 1, and the cost is
# $1-2c(1-k/d)+c^2$. It is smallest at $c=1-k/d$, here $7/8$, where it is $1-(1-k/d)^2$. So *the input, faded by an
# eighth*, beats the copy; a network with a higher loss has learned less than to fade. The check counts, on the walk of
# 32 digits that we have just drawn.

# %% tags=["nbval-check-output"]
copied = torch.stack([(e.seen - e.wanted).double().square().mean() for e in first_walk]).mean()
fade_by = 1 - k_fast / d
faded = torch.stack([(fade_by * e.seen.double() - e.wanted).square().mean() for e in first_walk]).mean()
equation("01.5", copied, 2 * k_fast / d, rtol=5e-3)
print(f"copying: {2 * k_fast / d:.3f}, counted {copied:.3f}")
print(f"fading by an eighth: {1 - fade_by**2:.3f}, counted {faded:.3f}")

# %% [markdown]
# Now train: sixteen walks, one batch after each step. While the bar runs: will the loss fall smoothly? (The learning rate
# rises briefly and then falls to zero; otherwise this is the plainest loop there is, `course_lib.lessons.naive.fit`, 20 lines.)

# %%
torch.manual_seed(4)
first = Hourglass(width=16)
stream = along_the_chain(images, k_fast, T, batch=32, generator=torch.Generator().manual_seed(4))
losses, walks = [], 16
for state in tqdm(fit(first, stream, walks * T), total=walks * T, desc="Algorithm 1"):
    losses.append(float(state.loss))

# %%
plotting.curves(
    {"loss": torch.tensor(losses).clamp(max=0.4), "copying, 2k/d": torch.full((len(losses),), 2 * k_fast / d), "fading by an eighth": torch.full((len(losses),), 1 - fade_by**2)},
    xlabel="batch", ylabel="squared error per pixel", size=(7.2, 3.2),
    alt="Training loss of sixteen walks, cut at 0.4: a saw with one tooth a walk, low at the start of each walk and rising to about the cost of copying at its end",
)  # fmt: skip

# %%
by_time = torch.tensor(losses).reshape(walks, T)[-1]  # the last walk
print(f"last walk: loss {by_time[:5].mean():.3f} in its first 5 steps, {by_time[-5:].mean():.3f} in its last 5")
print(f"copying costs {2 * k_fast / d:.3f}, fading by an eighth {1 - fade_by**2:.3f}")

# %% [markdown]
# After the first batches (what is above 0.4 is cut off) it becomes a saw, one tooth a walk. At the start of a walk, when
# specks lie on a clean digit, they are easy to see and to remove, and the network beats copying. At the end it sees
# snow, and 49 of 784 specks of it have just changed: nobody can say which. There the best answer is the input faded
# by an eighth, and the network is no better than that.
#
# ### Exercise 01.4: the best constant (2 points)
#
# Copying and fading look at the input. Another yardstick is the best answer of somebody who does not look at it at
# all, who must name one image for everything: (01.1) says which. From section 7 on, where the target is the digit
# itself, compare each loss that you see with it.


# %% tags=["exercise-01.4"]
def best_answer_unseen(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return (constant, loss).

    images    (N, C, H, W), any values
    constant  (C, H, W): the one image that predicts all of them best, in squared error
    loss      (): its squared error per pixel, averaged over all images and pixels
    """
    ### BEGIN SOLUTION
    constant = images.mean(0)
    return constant, (images - constant).square().mean()
    ### END SOLUTION


# %% tags=["check-01.4"]
check("01.4", best_answer_unseen)

# %% [markdown]
# ## 4. The hourglass
#
# *Look at the whole picture through a narrow waist, and carry the details around it.*
#
# What must a network be able to do for us? Picture in, picture of the same size out. To tell a speck from a stroke it
# must look at the surroundings, and to tell whether a 3 or an 8 is meant it must look at everything. Convolutions see
# a window of three by three pixels; so the picture is made smaller on the way, until three pixels reach across half of
# the digit, and then larger again. Drawn on its side, it is an hourglass:
#
# ```
#  x_t ── 4 x 14 x 14 ── 16 x 14 x 14 ─────────── skip ───────────► concatenate ── 16 x 14 x 14 ── x_{t-1}
#         (+ x, y)              │                                        ▲
#                               ▼                                        │
#                         32 x 7 x 7 ──────────── skip ──► concatenate ──┘
#                               │                               ▲
#                               └──────► waist, 8 x 7 x 7 ──────┘          t is told at every level
# ```
#
# (The first step packs each 2 x 2 pixels into four channels: a quarter of the work.) In our library the skips, the clock
# and the coordinates can be switched off, and the zeros at the edges replaced by pictures that wrap around, so that we
# can ask what each is for.

# %% tags=["nbval-check-output"]
for name, net in {
    "complete": Hourglass(16),
    "without skips": Hourglass(16, skips=False),
    "without coordinates": Hourglass(16, coordinates=False),
}.items():
    print(f"{name:20s} {parameter_count(net):6,} parameters")

# %% [markdown]
# **The skips.** Everything must pass the waist, $8\times7\times7=392$ numbers, fewer than there are pixels. For
# "which digit is it" that is plenty. For "repeat these 784 independent specks of snow" it is a bottleneck, and Algorithm
# 1 asks for just this: its target is nearly its input. The skips carry the details around the waist, and the layers after
# the concatenation mix both: *what* from below, *where exactly* from the side. Two experiments, recorded beforehand
# because they need three seeds each, with digits shrunk to 12 x 12 pixels (so the waist has 72 numbers for 144 pixels): the
# error of a network trained to **return its input unchanged**, on noised digits, and the quality of Algorithm 2's
# samples (section 7). *Quality* is the Fréchet distance of notebook 05: how far the
# samples' statistics are from those of real digits, both black and white. It is a *squared* distance: twice the number
# is 1.4 times as far. 0 is perfect; three sets of 400 real training digits score as printed below. (The number depends
# on how many pictures are compared, and on their size: compare it within a table, not between tables.)
#
# How to read the tables: one setting is called better "for every seed" only if its *worst* seed beats the other's
# *best*. Otherwise the seeds overlap, and three seeds have decided nothing.


# %%
def report(name: str, width: int = 34) -> dict:
    kept = recording(name)
    for row, result in kept["results"].items():
        seeds = ", ".join(f"{v:.3f}" for v in result["values"])
        print(f"{row:{width}s} {result['mean']:8.3f} ± {result['spread']:.3f}   (seeds: {seeds})")
    print(*kept["verdicts"], sep="\n")
    print(f"recorded by: {kept['command']}\n{kept['settings']}")
    return kept["results"]


yardstick = recording("01_steps")["results"]
print(f"real digits {yardstick['real digits']['mean']:.2f}, pure snow {yardstick['pure noise']['mean']:.1f}\n")
without = report("01_skips")

# %% [markdown]
# Without skips the network did not even learn to repeat its input in 200 batches: its error is about 25 times as large,
# for every seed. And the samples suffer: they score more than twice as high, again for every seed. (It has fewer
# parameters too, as printed above, so the skips' share in this is not told apart from theirs. All figures in this and the other recorded
# tables belong to short trainings of small networks. They compare; they are no records.)
#
# **The clock.** One network serves all $t$, and at $t=2$ it has another job than at $t=30$. So it is told $t$: some
# sines and cosines of it, through two linear layers, added in every block. It might also guess $t$ from the amount of
# snow.
#
# **The coordinates.** A convolution does the same everywhere: *shift the input and the output shifts along*. That is
# called **translation equivariance**, and it is why convolutions learn from so few pictures: a stroke found on the
# left is a stroke on the right. But some knowledge is about places. Noses are in the middle of a face; digits are in
# the middle of our pictures, and their borders are black. A network without a sense of place cannot know that.
#
# Measure it. Take a network with random weights whose pictures *wrap around* at the edges (what leaves on the right
# comes in on the left), so that no pixel is special. Shift its input by 4 pixels and compare. (By 4, because the
# network halves the picture twice.)


# %% tags=["nbval-check-output"]
def shift_error(**switches) -> float:
    """How much the answer to a shifted picture differs from the shifted answer, relative to the answer's size."""
    rng = torch.Generator().manual_seed(5)
    net = Hourglass(8, **switches).double()
    for weights in net.parameters():
        weights.data = 0.3 * torch.randn(weights.shape, generator=rng, dtype=torch.float64)
    x, t = images[:4].double(), torch.full((4,), 0.5, dtype=torch.float64)
    with torch.no_grad():
        one, other = net(x.roll(4, 3), t), net(x, t).roll(4, 3)
    return float((one - other).std() / other.std())


for name, switches in {"wrapped edges, no coordinates": {"wrap": True, "coordinates": False}, "zeros at the edges": {"coordinates": False}, "coordinates": {"wrap": True}}.items():  # fmt: skip
    print(f"{name:30s} {shift_error(**switches):.3f}")

# %% [markdown]
# Zero, up to rounding, for the first. The second line is a surprise to many: the zeros that fill up the edges of an ordinary
# convolution already tell it where the edges are, and deep layers pass that on. The coordinates say it openly.
#
# What follows for generating? Snow looks the same everywhere: shifted snow is as probable as snow. Put it into an
# equivariant network $f$. The mean of the answer at pixel $p$ is $\mathbb E[f(x)_p]$. Shift everything by $s$:
# $\mathbb E[f(x)_{p}]=\mathbb E[f(\text{shifted }x)_{p+s}]=\mathbb E[f(x)_{p+s}]$, first because $f$ is equivariant,
# then because shifted snow has the law of snow. So on average the answer to snow is **equally bright in the middle
# and in the corner** (up to shifts by 4). An equivariant network cannot begin to draw in the middle. It may start
# anywhere, and then the digit hangs over the edge.

# %%
placed = report("01_inputs")

# %%
plotting.bars(
    {name: placed[name]["mean"] for name in placed}, errors={name: placed[name]["spread"] for name in placed},
    ylabel="Fréchet distance", size=(7.2, 3.4),
    alt="Fréchet distance of four networks: about 20 to 25 for the complete one, without time and without coordinates, and 80 with wrapped edges and no coordinates",
)  # fmt: skip

# %% [markdown]
# The network that cannot know where it is scores about four times as high (3.3 to 4.7 times, by seed). Taking only the
# coordinates away shows no difference beyond the scatter of three seeds. A reason is at hand, though not tested here:
# the zeros at the edges tell the place too, and in pictures of 12 pixels no pixel is far from an edge.
#
# And the clock? By our rule no difference. Seed by seed, with the same first weights and the same batches, the network
# with the clock scores lower three times out of three: a hint, and no more, because mere accidents are nearly as large.
# You can see how large: the complete network stands in *both* tables, trained in the same way from the same first
# weights, and scores 17.0 in one and 20.4 in the other. (The random numbers differ: for the first table another
# network was trained before with the same generator, so that this one saw other batches and other snow.) The snow may
# show its own amount; the recording leaves it open. In notebook 05 you will meet the same question, with the same
# caution. Both inputs cost next to nothing, so we keep them.
#
# <details><summary><b>Question.</b> Would training on more digits help the equivariant network to find the middle?</summary>
#
# No. It is not a lack of examples: no choice of its weights gives an answer to snow that is brighter in the middle on
# average. (Training on digits shifted at random would *remove* the need to know, by making them equally probable
# everywhere; then the samples would be shifted digits.)
# </details>
#
# ## 5. Sample: pretend that snow is a ruined digit
#
# *Start from pure snow and let the network undo 35 steps that never happened.*
#
# > **Algorithm 1, sampling**
# > 1. $x_T$: every pixel black or white by a fair coin.
# > 2. For $t=T,\dots,1$: $x_{t-1}\leftarrow$ the network's answer to $x_t$ and $t$.
#
# We fake it: the network believes that it sees a digit after 35 steps. Its training was short, so do not expect much.
# What do you see in the second half of the scrub?

# %%
snow = random_values((100, 1, 28, 28), torch.Generator().manual_seed(6))
as_means = torch.stack(list(fake_denoising(first, snow, T)))  # (36, 100, 1, 28, 28), noise first
shown = torch.arange(T + 1)
grey_share = (as_means[shown].abs() < 0.9).float().mean((1, 2, 3, 4))
scrub(
    as_pixels(as_means[shown, :12]), t=T - shown, ncols=6, size=6 * 80, readout={"share of grey pixels": grey_share},
    alt="Twelve grids of snow, led back over 35 steps by the network's own answers: they turn grey, and no clear digit comes out",
)  # fmt: skip

# %% [markdown]
# Most of the snow clears, and the network knows something: that black is the commonest colour, and that ink comes in
# clumps. But there are no strokes. Many pictures fade to black, some keep a pale blob or two, some never calm down. Half
# of a success, at best.
#
# One reason can be seen in the readout: the pictures are **grey**. The network answers with a conditional
# mean, and means of black and white are grey. Fed back, they are pictures such as it has never seen: in training
# every pixel was -1 or +1. Its input is *off-distribution*, from the second step on, and what it answers there nobody
# has trained. (In snow even the best answer is the input faded by an eighth, as section 3 said: grey.) Grey also carries less than a pixel: "-0.6" was meant to say "black in four cases of five", and now the
# network reads it as an odd kind of pixel.
#
# The remedy for the greys is one line. The mean of a pixel that is -1 or +1 *is* its whole law: white with probability $(1+m)/2$. So
# **toss the coin**: draw each pixel with the predicted mean, and feed back what was drawn.
#
# $$P(x_{t-1}=+1\mid x_t)=\frac{1+\mathbb E[x_{t-1}\mid x_t]}2 . \tag{01.6}$$
#
# It follows from $\mathbb E[x]=(+1)\,P(+1)+(-1)\,(1-P(+1))=2P(+1)-1$. The check counts the left side and calculates the
# right one. Count: walk twelve pixels of all 9,000 digits 5 steps, each pixel for itself, with no network; of those that
# are white at $t=5$, how many were white one step before? Calculate: "white" is the number $(1+x_5)/2$, 1 for white
# and 0 for black, so $\mathbb E[x_4\mid x_5=+1]=\mathbb E[x_4\,(1+x_5)/2]\,/\,\mathbb E[(1+x_5)/2]$. Here
# $\mathbb E[x_t]=\alpha_t\,m_0$ with the mean $m_0$ of these pixels at $t=0$, by (01.4), and $\mathbb E[x_4x_5]=1-k/d$, from
# section 3. The coin is tossed with this mean, too.

# %% tags=["nbval-check-output"]
rng = torch.Generator().manual_seed(7)
now = images.flatten(1)[:, 14 * 28 + 8 : 14 * 28 + 20]  # twelve pixels in the middle of each digit
m_0 = now.double().mean()
for _ in range(5):
    before = now
    now = torch.where(torch.rand(now.shape, generator=rng) < k_fast / d, random_values(now.shape, rng), now)
counted = (before[now > 0] > 0).double().mean()
alpha_4, alpha_5 = (float(untouched_probability(k_fast, d, t)) for t in (4, 5))
mean = (alpha_4 * m_0 + 1 - k_fast / d) / (1 + alpha_5 * m_0)  # E[x_4 | x_5 = +1]
tossed = (draw_pixels(mean.expand(1_000_000), rng) > 0).double().mean()
equation("01.6", (counted, tossed), ((1 + mean) / 2, (1 + mean) / 2), rtol=5e-3)

# %% [markdown]
# Now with the network. (Its last answer is shown as it is in both rows, so even the "draws" end with some grey; for the
# distances below it everything is rounded to black and white.)

# %%
rng = torch.Generator().manual_seed(8)
*_, as_draws = fake_denoising(first, snow, T, rng)
plotting.image_grid(
    as_pixels(torch.cat([as_means[-1, :10], as_draws[:10]])), ncols=10, row_labels=["means", "draws"],
    alt="Two rows of ten samples, means fed back above and drawn pixels fed back below; neither row shows clear digits",
)  # fmt: skip

# %%
real = digit_features(unseen)
for name, x in {
    "means fed back": as_means[-1],
    "pixels drawn": as_draws,
    "pure snow": snow,
    "training digits": images[:100],
}.items():
    print(f"{name:16s} Fréchet distance {frechet_distance(real, digit_features(binarise(x))):6.1f}")

# %% [markdown]
# The draws are crisper to the eye; some become clumps of ink on black, others stay snow to the end. But neither row draws
# digits, and the distances of both are far nearer to that of snow than to that of digits. Being on-distribution does not
# make a poor network good. (Independent coins are also right only for a small step, in which two pixels rarely have to
# agree with each other.) Why is the network so poor, after so many batches?

# %% [markdown]
# ## 6. Three flaws
#
# Look for what is wrong with an idea before you mend it. For each of the three there is a number.
#
# ### Flaw 1: the examples come in sequence
#
# *All pictures of a batch are at the same $t$, and for 35 batches they are the same pictures.*
#
# While the walk is in the snow, the network sees only snow, and nothing reminds it of what it knew about early steps.
# It **forgets**, and learns again in the next walk. To see it, interrupt the training every 5 batches and measure the
# loss on a fixed set of unseen examples, once for the first quarter of the chain ($t\le T/4$), once for the last
# quarter. And compare with a stream that shows *every picture at its own random $t$*, at the same price.
#
# For that stream we must be able to **jump** to a random $t$ without walking. By symmetry, once you know *how many*
# pixels are touched, all choices of which ones are equally likely. So: draw the number $n$ from its law, which is a
# row of a table like section 2's (there is one for each $k$); choose $n$ pixels; toss $n$ coins. Algorithm 1 needs a
# *pair*: with $n$ from row $t-1$ this gives $x_{t-1}$, the target, and one ordinary step more gives $x_t$, the input. The
# law is narrower than you may think: if each pixel were touched independently of the others, $n$ would be binomial.
# Here is section 2's table, $k=10$.

# %% tags=["nbval-check-output"]
for t in (20, 60, 100, 359):
    law, alpha = counts[t], float(untouched_probability(10, d, t))
    mean = law @ numbers
    std, binomial = (law @ (numbers - mean) ** 2).sqrt(), math.sqrt(d * alpha * (1 - alpha))
    print(f"k = 10, t = {t:3d}: {mean:7.3f} pixels touched, standard deviation {std:6.3f} (binomial: {binomial:6.3f})")

# %% [markdown]
# At $t=20$ the spread is a third of the binomial's: ten pixels a step are hit *for certain*, and only collisions vary.
# Each single pixel follows (01.3) and (01.4), but they are not independent of each other. Now the comparison. It is recorded, with the digits of 12 x 12
# pixels and $k=18$, an eighth of them again. It has a third arm: the pairs of the walks, every single one, but
# **shuffled** before the training. In the figure: seed 0, the loss on unseen examples while training (above 0.5 cut off).

# %%
order = recording("01_order")["curves"]
batch = torch.arange(5, 5 * len(order["first quarter, random t"]) + 1, 5)
bars = {"copying": torch.full((len(batch),), 2 * 18 / 144), "fading by an eighth": torch.full((len(batch),), 1 - (7 / 8) ** 2)}  # fmt: skip
beside(*[
    plotting.curves(
        {name: torch.tensor(order[f"{part}, {name}"]).clamp(max=0.5) for name in ("in sequence", "shuffled", "random t")} | bars,
        x=batch, xlabel="batch", ylabel="loss on unseen digits", title=f"{part} of the chain", size=(4.4, 3.2),
        alt=f"Loss on unseen examples of the {part} of the chain: jagged for examples in sequence, falling smoothly for the same examples shuffled and for random t",
    ) for part in ("first quarter", "last quarter")
])  # fmt: skip

# %%
ordered = report("01_order", width=30)

# %% [markdown]
# (The rows "loss" are for 600 unseen digits, each at its own random $t$ of the whole chain.) First the middle arm: *the
# same pairs in another order*, and the loss is lower for every seed. With random $t$ each pair is also of a fresh digit:
# 13,440 drawn digits instead of the 384 of twelve walks. After the shuffling that adds nothing that three seeds could
# show: the mean loss goes from 0.240 to 0.233 by shuffling, and to 0.232 with random $t$.
#
# How much is it? Measured by the bars of section 3: in sequence the network does not even reach fading by an
# eighth, $1-(7/8)^2=0.234$; shuffled and with random $t$ it gets just below. The figure says where: in the first quarter
# of the chain all three end below the line of fading, in the last quarter none reaches it.
#
# With drawn pixels the samples, too, are nearer to digits for every seed, shuffled or with random $t$; with means fed back
# the seeds overlap, no difference shown. (And here, at 12 x 12 pixels, the means end *nearer* to digits than the draws do,
# for every seed; in our one run at 28 x 28, section 5, they came out about equal. Perhaps each coin brings new
# specks, and a network that does not find the old ones does not find these either. Being on-distribution does not make
# a poor network good.)
#
# Shuffling is such a habit in machine learning that one forgets what it is for. Here you see it.
#
# ### Flaw 2: knowing the digit hardly pays
#
# *The target differs from the input in about 49 of 784 pixels; nearly all of the task is to copy, or to fade.*
#
# What would a network gain that knew *everything* about the digit? Let it know $x_0$, pixel by pixel. Then it sees of each
# pixel of $x_t$ whether it is right or wrong, and the best it can do is to fade the right ones and the wrong ones by
# different amounts. If a group's pixels have changed in step $t$ with probability $r$, the best answer is $(1-2r)\,x_t$,
# and it costs the variance, $4r(1-r)$. The two probabilities: a pixel is wrong with probability
# $(1-\alpha_t)/2$, and both wrong and changed in step $t$ if it was right before, was touched, and the coin fell the other
# way, $\frac{1+\alpha_{t-1}}2\cdot\frac kd\cdot\frac12$; the quotient is $r$. For the right ones exchange the signs of both
# $\alpha$. The last column does not use this: it walks the 1,000 unseen digits and counts.


# %%
def just_changed(t: Tensor, sign: int) -> Tensor:
    """P(changed in step t | wrong) for sign = +1, P(changed in step t | right) for sign = -1."""
    alpha, before = untouched_probability(k_fast, d, t), untouched_probability(k_fast, d, t - 1)
    return k_fast / d * (1 + sign * before) / 2 / (1 - sign * alpha)


def knowing_counted(x_0: Tensor, seen: Tensor, wanted: Tensor) -> float:
    kept, wrong = (seen * wanted).double(), seen != x_0
    return sum(float((1 - kept[of].mean() ** 2) * of.double().mean()) for of in (wrong, ~wrong))


# %% tags=["nbval-check-output"]
t = torch.arange(1, T + 1)
shares = {sign: (1 - sign * untouched_probability(k_fast, d, t)) / 2 for sign in (1, -1)}
knowing = sum(shares[sign] * 4 * just_changed(t, sign) * (1 - just_changed(t, sign)) for sign in (1, -1))
x_t = unseen
rng = torch.Generator().manual_seed(9)
for n in t.tolist():
    before, x_t = x_t, corrupt_step(x_t, random_pixels(x_t, k_fast, rng), random_values((len(x_t), k_fast), rng))
    if n in (1, 3, 7, 15, 35):
        print(
            f"t = {n:2d}: knowing x_0 costs {knowing[n - 1]:.3f} (counted {knowing_counted(unseen, x_t, before):.3f})"
        )
print(
    f"mean over t: knowing x_0 {knowing.mean():.3f}; at every t: fading {1 - fade_by**2:.3f}, copying {2 * k_fast / d:.3f}"
)

# %% [markdown]
# In the first step knowing the digit is worth everything, and soon it is worth nearly nothing: over the whole
# chain 0.219 instead of 0.234. The best network there can be differs by 6% of its loss from the answer "fade it all". The
# other 94% are coins that nobody can foresee, and they shake every gradient, while the 6% are to teach the network what
# a digit is.
#
# ### Flaw 3: only the last step's should be undone, and none can tell which
#
# *At $t=20$ most wrong pixels were made wrong earlier; they have to stay wrong in the answer.*
#
# The target $x_{t-1}$ still contains all specks of the steps before. Seeing a speck is not enough: was it made in
# step $t$, or before? Its age cannot be seen. Of the pixels that have been touched, the share touched in step $t$
# itself is
#
# $$P(\text{touched in step }t\mid\text{touched by then})=\frac{k/d}{1-\alpha_t}. \tag{01.7}$$
#
# <details><summary>Proof, and where the check comes from</summary>
#
# A pixel touched in step $t$ is touched by then, so the conditional probability is $P(\text{touched in step
# }t)/P(\text{touched by then})=(k/d)/(1-\alpha_t)$. ∎
#
# The check sums over the step $j$ in which the pixel was touched *last*: touched in step $j$ and in none of the
# $t-j$ later ones, $\frac kd(1-\frac kd)^{t-j}$. These exclude each other, and together they are "touched by then".
# </details>

# %% tags=["nbval-check-output"]
t = torch.tensor([2, 5, 10, 20, 35], dtype=torch.float64)
ages = [torch.tensor([(k_fast / d) * (1 - k_fast / d) ** age for age in range(int(n))], dtype=torch.float64) for n in t]
left = torch.stack([law[0] / law.sum() for law in ages])  # age 0: touched last in step t itself
equation("01.7", left, (k_fast / d) / (1 - untouched_probability(k_fast, d, t)))
print("   ".join(f"t = {int(n)}: {float(share):.3f}" for n, share in zip(t, left, strict=True)))

# %% [markdown]
# At $t=20$ only 13 in 100 touched pixels were touched in the last step, and half of these have kept their colour. The
# network could know *exactly* which pixels are wrong, and would still have to answer with "-0.86 instead of -1" for each:
# a hesitant hint. All of its knowledge about the picture is squeezed into a small part of the contrast.
#
# <details><summary><b>Question.</b> Suppose the network knows x_0 perfectly. What is its best answer for a pixel that is wrong in x_t, with t = 20?</summary>
#
# The pixel is wrong, so it has been touched. With probability 0.134 its last touch was step 20; then before that
# step it was right or wrong, according to the law at $t=19$: right with probability $(1+\alpha_{19})/2=0.54$.
# Otherwise it was already wrong. So the answer lies $0.134\cdot0.54=0.072$ of the way from the wrong colour to the
# right one: not -1 but -0.86, for a pixel that should be +1. (A wrong pixel is touched for certain, and its colour
# after the touch does not depend on the colour before.)
# </details>
#
# Is that what holds our network back? Take unseen digits, walk them to $t$, and let it answer. Rank the pixels by how
# much the answer differs from the input. If $n$ pixels were really changed in the last step, how many of them are
# among the first $n$ of the ranking? Guessing finds 49/784, about 6%. Two columns to compare with: "black" answers black everywhere, that is, suspects
# every white pixel. And somebody who knows $x_0$, and so *every* wrong
# pixel, but not its age, must pick $n$ of the wrong ones at random: he finds the share $r$ of flaw 2. (The first column is of
# a trained network, so it will be a little different on your machine.)


# %%
@torch.no_grad()
def found_share(network, t: int) -> float:
    rng = torch.Generator().manual_seed(9)
    walk = along_the_chain(unseen[:200], k_fast, T, batch=200, generator=rng)
    example = next(islice(walk, t - 1, None))
    suspicion = (network(example.seen, example.t) - example.seen).abs().flatten(1)
    really = (example.seen != example.wanted).flatten(1)
    ranked = really.gather(1, suspicion.argsort(1, descending=True)).cumsum(1)  # hits among the first n
    n = really.sum(1)
    return float((ranked.gather(1, (n - 1).clamp(min=0)[:, None])[:, 0] / n.clamp(min=1)).mean())


def black(x, t):  # suspects every white pixel, in no particular order
    return -1 + 0.01 * torch.rand(x.shape, generator=torch.Generator().manual_seed(1))


print("share of the pixels changed in the last step that is found by")
for n in (1, 3, 7, 15, 35):
    knower = float(just_changed(torch.tensor(n), 1))
    print(f"t = {n:2d}: the network {found_share(first, n):5.1%}, 'black' {found_share(black, n):5.1%}, who knows x_0 {knower:6.1%}")  # fmt: skip

# %% [markdown]
# In the first step every wrong pixel is of this step, and most of them are found: specks on a clean surface. Then the share
# falls quickly. But compare it with the last column: who knows the digit does not find many more. The specks do not hide;
# their age does. And towards the end even blind suspicion of everything white does as well as knowing the digit: flaw 2
# again. A network that is trained on this gets hardly any reward for learning what digits are.
#
# Flaws 2 and 3 have one root: **the target is one step away**. Ask for $x_0$ instead. Then every speck is to be removed,
# whatever its age (3), and the whole answer depends on what the picture shows (2). Flaw 1 can be mended by itself, we have
# just jumped; with $x_0$ as the target it is easier still, since nobody needs the step before: it is enough to produce an
# $x_t$ directly (1).
#
# ## 7. Algorithm 2: repair everything, then ruin it a little less
#
# *Touch exactly $t$ pixels, ask for the clean picture; when sampling, put most of the noise back.*
#
# First the noise. We are free to choose it, so let us choose the simplest: touch **exactly $t$ different pixels**,
# $t=0,\dots,d$. Shuffle the pixels of a picture and touch the first $t$ of the shuffled order. No pixel is touched
# twice, no table of laws is needed, and after $t=d=784$ steps *all* pixels are touched, for certain: the collector
# gets a complete album with 784 cards. A given pixel is among the first $t$ with probability $t/d$, so
#
# $$\mathbb E[x_t\mid x_0]=\alpha_t\,x_0,\quad\mathrm{Var}[x_t\mid x_0]=1-\alpha_t^2,\quad\text{now with }\alpha_t=1-\frac td, \tag{01.8}$$
#
# by the same proof as (01.4). And $\alpha_d=0$ exactly. The check enumerates *everything* that can happen to a
# picture of 6 pixels: each choice of $t$ of them, each outcome of the $t$ coins.


# %% tags=["nbval-check-output"]
def everything(x_0: Tensor, t: int) -> Tensor:
    """All equally likely x_t of a picture x_0 (d,): one row for each choice of t pixels and each outcome of t coins."""
    rows = []
    for chosen in combinations(range(len(x_0)), t):
        for coins in product((-1.0, 1.0), repeat=t):
            row = x_0.clone()
            row[list(chosen)] = torch.tensor(coins, dtype=torch.float64)
            rows.append(row)
    return torch.stack(rows)


little = torch.tensor([1, -1, -1, 1, 1, -1], dtype=torch.float64)
outcomes = [everything(little, t) for t in range(7)]
means = torch.stack([rows.mean(0) for rows in outcomes])
variances = torch.stack([rows.var(0, correction=0) for rows in outcomes])  # (7, 6): each pixel by itself
alpha = (1 - torch.arange(7, dtype=torch.float64) / 6)[:, None]
equation("01.8", (means, variances), (alpha * little, (1 - alpha**2).expand(7, 6)))
print(f"t = 3: {len(outcomes[3])} outcomes")

# %% [markdown]
# A digit at growing $t$, in one order of its pixels, so that it is one walk (without replacement). Where is the last
# picture in which *you* recognise it? What share of its pixels is then still untouched?

# %%
rng = torch.Generator().manual_seed(10)
touched = torch.tensor([0, 100, 200, 300, 400, 500, 600, 700, 784])
nine_times = images[13:14].expand(9, 1, 28, 28)
order_of_pixels = random_pixels(images[13:14], d, rng).expand(9, d)
coins = random_values((1, d), rng).expand(9, d)
ruined = corrupt_exactly(nine_times, touched, order_of_pixels, coins)
plotting.strip(
    as_pixels(ruined), labels=[f"t = {int(n)}" for n in touched], cell=0.8,
    alt="One digit with 0 to 784 touched pixels: recognisable to about 500, snow at 784",
)  # fmt: skip

# %% [markdown]
# ### Exercise 01.5: exactly t pixels (2 points)
#
# The shuffled order comes as an argument, so that there is only one right answer.


# %% tags=["exercise-01.5"]
def touch_exactly(x: Tensor, t: Tensor, permutation: Tensor, values: Tensor) -> Tensor:
    """Return x_t, of the shape of `x`: the first t pixels in the given order have been set to their values.

    x            (B, C, H, W), d = C H W pixels each, counted row by row as in `x.flatten(1)`
    t            (B,), whole numbers from 0 to d: how many pixels of each image are touched
    permutation  (B, d): permutation[b, 0] is the pixel of image b that is touched first, permutation[b, 1] the next, ...
    values       (B, d): values[b, j] is for the pixel that is touched as number j (counted from 0)
    """
    ### BEGIN SOLUTION
    flat = x.flatten(1)
    is_touched = torch.arange(flat.shape[1]) < t[:, None]  # in the order of touching
    new = torch.where(is_touched, values, flat.gather(1, permutation))
    return flat.scatter(1, permutation, new).reshape(x.shape)
    ### END SOLUTION


# %% tags=["check-01.5"]
check("01.5", touch_exactly)

# %% [markdown]
# Now the two halves of the algorithm.
#
# > **Algorithm 2, training.** Draw a digit $x_0$ and a random $t$ from 1 to $d$; touch exactly $t$ pixels; input
# > $x_t$ and $t$, target $x_0$, squared error.
# >
# > **Algorithm 2, sampling.** Choose times $d=t_0>t_1>\dots>t_K=0$. Start with snow, $x_{t_0}$. For each pair of
# > neighbours $t>s$: let the network guess $\hat x_0$ from $x_t$ (*denoise*), then touch $s$ pixels of the guess,
# > freshly chosen (*renoise*). The last guess, rounded to black and white, is the sample.
#
# Same network, same loop, another stream.

# %%
torch.manual_seed(11)
second = Hourglass(width=16)
stream = by_number_touched(images, 32, torch.Generator().manual_seed(11))
losses, at_times = [], []
for state in tqdm(fit(second, stream, 1000), total=1000, desc="Algorithm 2"):
    losses.append(float(state.loss))

# %%
constant, floor = best_constant(images.double())
plotting.curves(
    {"loss": losses, "mean of 25": (torch.arange(12, len(losses) - 12), smooth(losses, 25)), "best constant": torch.full((len(losses),), float(floor))},
    xlabel="batch", ylabel="squared error per pixel", size=(7.2, 3.2),
    alt="Training loss of Algorithm 2: noisy but without a saw, falling from above the cost of the best constant to well below it",
)  # fmt: skip

# %% [markdown]
# No saw. But the loss is an average over all $t$, and it cannot come near 0: the large $t$ keep it up. So look at it $t$
# by $t$, on unseen digits. At $t=784$ nothing is left of the digit, and the best answer is a constant, the mean digit. Its
# price is that of exercise 01.4, here with the mean of the *training* digits and paid on the unseen ones. At small $t$ the
# conditional mean is sharp.


# %%
@torch.no_grad()
def guesses(t: int, x_0: Tensor) -> tuple[Tensor, Tensor]:
    """(x_t, the network's guess of x_0), each of the shape of x_0."""
    x_t = touch(x_0, t, torch.Generator().manual_seed(12))
    return x_t, second(x_t, torch.full((len(x_0),), t / d))


some = (50, 200, 350, 500, 600, 700, 784)
errors = [float((guesses(t, unseen[:500])[1] - unseen[:500]).square().mean()) for t in some]
mean_price = float((unseen[:500] - constant).square().mean())
plotting.curves(
    {"network": (some, errors), "mean training digit": (some, [mean_price] * len(some))}, markers=True,
    xlabel="t, number of touched pixels", ylabel="squared error per pixel",
    alt="Squared error of the guess over t: small at t = 50, rising to about the mean digit's at t = 784",
)  # fmt: skip

# %%
pairs = [guesses(t, unseen[:1]) for t in some]
plotting.strip(
    {"x_t": as_pixels(torch.cat([x_t for x_t, _ in pairs])), "guess of x_0": as_pixels(torch.cat([x for _, x in pairs])), "truth": as_pixels(unseen[:1].expand(7, 1, 28, 28))},
    labels=[f"t = {t}" for t in some], cell=0.95,
    alt="Seven noise levels of an unseen digit, the network's guesses and the truth: sharp on the left, more and more fog, a cloud at t = 784",
)  # fmt: skip

# %%
for t, error in zip(some, errors, strict=True):
    print(f"t = {t:3d}: squared error {error:.3f}   (mean training digit: {mean_price:.3f})")

# %% [markdown]
# (At $t=784$ nothing can be known, so the network cannot beat the mean digit by reading the snow; if its error lies a
# little *above*, it still reads something into it.) Low $t$ predicts the digit, high $t$ the mean, and between the network says with its greys how sure it is. So at
# $t=784$ the guess is worthless as a picture; but it is not useless. It says *where the ink may be*. Keep that and
# put back a little less noise than there was: the fresh $x_s$ holds a trace of the guess, and of those traces the
# next guess makes a choice. Small accidents of the snow decide which digit it becomes. That is the randomness that
# has to enter.
#
# ### Exercise 01.6: denoise and renoise (3 points)
#
# The loop, for any denoiser and any way to ruin pictures. Notebook 05's samplers all begin a step in this
# way: guess, then go to a lower time.


# %% tags=["exercise-01.6"]
def repair(restore, degrade, times: Tensor, x: Tensor) -> Tensor:
    """Return all states of the loop, (n + 1, B, C, H, W): x at times[0], at times[1], ..., at times[n].

    restore  called as restore(x_t, t): a guess of x_0, of the shape of x_t; t is a plain number
    degrade  called as degrade(x_0, t): x_0 ruined to severity t; at t = 0 it returns x_0 unchanged
    times    (n + 1,), falling, not always evenly; the last one is not always 0
    x        (B, C, H, W): the start, of severity times[0]
    """
    ### BEGIN SOLUTION
    states = [x]
    for t, s in pairwise(times.tolist()):
        guess = restore(states[-1], t)
        states.append(degrade(guess, s))
    return torch.stack(states)
    ### END SOLUTION


# %% tags=["check-01.6"]
check("01.6", repair)

# %% [markdown]
# ### Digits
#
# One choice is left. The guess is grey, but in training the untouched pixels of $x_t$ were -1 or +1. Section 5 has
# taught us to be careful: what should be renoised, the guess **as it is**, grey; the guess **rounded** to black and
# white; or pixels **drawn** with the guess as their mean? Think about which you would choose; all three are in the
# figure below. First watch with "drawn" and $K=10$ steps. Look at the lower panel: when is it decided which digit it
# will be?

# %%
snow = random_values((200, 1, 28, 28), torch.Generator().manual_seed(13))
films = {how: list(repair_digits(second, 10, how, snow, torch.Generator().manual_seed(14))) for how in ("as it is", "rounded", "drawn")}  # fmt: skip
film = films["drawn"]
scrub(
    {"x_t": as_pixels(torch.stack([s.x[:10] for s in film])), "guess of x_0": as_pixels(torch.stack([s.x0[:10] for s in film]))},
    t=[s.t for s in film], ncols=5, size=5 * 72,
    alt="Ten grids of snow become digits, or shapes of strokes, while the guesses below them go from a grey cloud to sharp strokes",
)  # fmt: skip

# %%
plotting.image_grid(
    as_pixels(torch.cat([films[how][-1].x[:30] for how in films])), ncols=15, cell=0.5,
    row_labels=[name for how in films for name in (how, "")],
    alt="Thirty samples each of three ways to renoise the guess: as it is, rounded, drawn; many are recognisable digits, the rounded ones are thin strokes, far too often ones",
)  # fmt: skip

# %%
print(f"share of ones among real digits {float((held_back.labels == 1).double().mean()):.2f}")
for how, states in films.items():
    shares = class_balance(states[-1].x)
    distance = frechet_distance(real, digit_features(states[-1].x))
    print(f"{how:9s} Fréchet distance {distance:5.1f}; share of ones {float(shares[1]):.2f}, rarest digit {float(shares.min()):.2f}")  # fmt: skip

# %% [markdown]
# Look at the drawn rows: a good part are digits that you can read, from nothing but coins, after about half a minute of
# training; others are strokes that have not become one. **Rounded** is the worst here (one network): see its rows, and its
# share of ones beside that of real digits. A likely reason: the greys of the guess are its doubts, and rounding erases
# them. Wherever ink is less probable than not, it becomes black for certain, and thin, safe strokes are what survives.
# *As it is* keeps the doubts as greys, at the price that the network sees greys, which it does not know from training;
# *drawn* keeps them as chances, at the price of specks.
#
# ### How many steps?
#
# $K$ is ours to choose: the network is trained for all $t$, and the loop may take the levels in strides. Before you
# look: what does $K=1$ give? And is more always better? (Recorded, 12 x 12 pixels; the bands reach from the
# best to the worst of three seeds.)

# %%
by_steps, strides = recording("01_steps")["results"], (1, 2, 5, 10, 20, 50)
rows = {how: [by_steps[f"{how}, K = {K}"] for K in strides] for how in ("as it is", "rounded", "drawn")}
plotting.curves(
    {how: [row["mean"] for row in kept] for how, kept in rows.items()},
    bands={how: ([min(r["values"]) for r in kept], [max(r["values"]) for r in kept]) for how, kept in rows.items()},
    x=strides, xscale="log", yscale="log", markers=True, xlabel="steps K", ylabel="Fréchet distance",
    xticks=strides, yticks=(10, 20, 40, 60),
    alt="Fréchet distance over the number of steps: about 40 for one step; from two steps on about 15 where the guess is drawn and 25 where it is rounded; where it is left grey 12 to 15 up to twenty steps and 27 at fifty, with a band that opens up to 59",
)  # fmt: skip

# %%
kept = report("01_steps", width=22)

# %%
for K in (1, 5, 20):
    *_, end = repair_digits(second, K, "drawn", snow, torch.Generator().manual_seed(14))
    print(f"live, drawn, K = {K:2d}: Fréchet distance {frechet_distance(real, digit_features(end.x)):6.1f}")

# %% [markdown]
# With $K=1$ there is one guess, from snow. The *best* guess would be the mean digit, the same for everybody: the box of
# section 1 again. The network's guesses differ a little, because it reads something into the snow. The second step
# already brings most of what there is to gain. After that little changes for the drawn guess: $K=50$ is a little lower than
# $K=5$ for each of the three networks (the same three, so they may be compared one by one), though the ranges overlap, and
# lower than $K=10$ without overlap. For the grey one the seeds disagree: at $K=50$ two are at 9 and 11 and the third is at
# 59. Feeding greys back may go well, and may drift off, a little in each of many steps; drawing is the safer
# choice. Rounding is worse than drawing for every seed at $K=20$. The three live lines are of one network and one draw of
# 200 samples: the fall from $K=1$ is plain there too; the order of the others is not to be relied on.
#
# <details><summary><b>Question.</b> With K = 784 each step puts back one touched pixel less. Is this Algorithm 1 with a better target?</summary>
#
# No. Algorithm 1 keeps $x_t$ and changes a little of it. Algorithm 2 throws $x_t$ away: all of the $s$ touched pixels are
# chosen afresh in each step, and so are their coins. Only the guess goes on. That is simple, and it is wasteful: the
# guess must carry everything. Something between the two (keep most of $x_t$, and most of its noise) is what notebook 03
# will call a bridge.
# </details>

# %% [markdown]
# ## 8. Cold diffusion: ruin without noise
#
# *Nothing in Algorithm 2 asks that the ruin be random. Blur, pixelate or fade, and run the same loop.*
#
# Bansal et al. (2022) asked how much of diffusion is about noise, and answered: train a network to undo *any*
# degradation $D(x_0,t)$ that is nothing at $t=0$ and everything at the end. Three of them, on the grey digits:
# **blur** (heat spreads in the picture), **pixelate** (blocks of 2, 4, 7, 14 and 28 pixels become their mean), and
# **fade** into another digit, here into an 8.

# %%
one, eight = grey_digits.of(4)[3:4], grey_digits.of(8)[:1]
blocks, levels = (1, 2, 4, 7, 14, 28), torch.linspace(0, 1, 6)
cold_rows = {
    "blur": torch.cat([blur(one, 24 * float(t) ** 2) for t in levels]),
    "pixelate": torch.cat([pixelate(one, block) for block in blocks]),
    "fade": torch.cat([fade(one, eight, float(t)) for t in levels]),
}
plotting.strip(
    {name: as_pixels(row) for name, row in cold_rows.items()}, labels=[f"t = {float(t):.1f}" for t in levels], cell=1.0,
    alt="A four in three rows: ever more blurred to an even dark grey, ever larger blocks to one grey square, and fading into an eight",
)  # fmt: skip

# %% [markdown]
# Sampling by denoise-and-renoise is possible: $x_s=D(\hat x_0,s)$. But look at what it throws away. The blurred
# $x_t$ holds exact knowledge about the picture (all of its coarse waves), and the loop forgets it: only the guess,
# errors included, goes on. Their **improved update** keeps $x_t$ and changes only what the guess says *about the
# difference* between the two severities:
#
# $$x_s=x_t-D(\hat x_0,t)+D(\hat x_0,s). \tag{01.9}$$
#
# If the guess is right then $x_t=D(\hat x_0,t)$, the first two terms cancel, and both updates agree. If it is wrong,
# they differ by $x_t-D(\hat x_0,t)$: what the guess, ruined again, fails to explain about the picture that we *have*.
# The improved update puts it back. Suppose that $D$ is a straight line in $t$, $D(x,t)=x+t\,e$ with a fixed pattern $e$.
# Then $D(\hat x_0,s)-D(\hat x_0,t)=(s-t)\,e$ whatever the guess is, and from $x_t=x_0+te$ the update leads to
# $x_0+se$ exactly. *Any* restorer at all would do. The check uses one that answers with noise.

# %% tags=["nbval-check-output"]
rng = torch.Generator().manual_seed(15)
clean = grey_digits.images[:3].double()
pattern = torch.randn(1, 1, 28, 28, generator=rng, dtype=torch.float64)
nonsense = torch.randn(clean.shape, generator=rng, dtype=torch.float64)


def straight(x, t):
    return x + t * pattern


left = cold_update(straight(clean, 0.8), nonsense, straight, 0.8, 0.5)
equation("01.9", left, straight(clean, 0.5))
renoised = straight(nonsense, 0.5)
print(f"error of the improved update {float((left - straight(clean, 0.5)).abs().max()):.3f}")
print(f"error of denoise-and-renoise {float((renoised - straight(clean, 0.5)).square().mean().sqrt()):.3f}")

# %% [markdown]
# ### Exercise 01.7: the improved update (2 points)


# %% tags=["exercise-01.7"]
def improved(x_t: Tensor, guess: Tensor, degrade, t: float, s: float) -> Tensor:
    """Return x_s by the improved update, of the shape of `x_t`.

    x_t      (B, C, H, W), of severity t
    guess    the restorer's guess of x_0, same shape; it may be wrong
    degrade  called as degrade(x, t): x ruined to severity t
    s        the next, lower severity
    """
    ### BEGIN SOLUTION
    return x_t - degrade(guess, t) + degrade(guess, s)
    ### END SOLUTION


# %% tags=["check-01.7"]
check("01.7", improved)

# %% [markdown]
# How much does it matter? First with a restorer that needs no training: *the training digit which, ruined by t, comes
# nearest to what you see*. It always answers with a real digit, never quite the right one. Start from unseen
# digits in blocks of 7 x 7 pixels, or faded to 80% into the eight, and walk back.

# %%
memory, start = grey_digits.images[:3000], held_back.images[:10]
blocky = pixelation(blocks)
fading_out = lambda x, t: fade(x, eight, t)  # noqa: E731
tasks = {"pixelate": (blocky, torch.tensor([3.0, 2, 1, 0])), "fade": (fading_out, torch.linspace(0.8, 0, 9))}
shown = {"truth": start}
for name, (degrade, times) in tasks.items():
    ruined = degrade(start, float(times[0]))
    nearest = nearest_restorer(memory, degrade)
    *_, plain = denoise_renoise(nearest, degrade, times, ruined)
    *_, better = cold_sample(nearest, degrade, times, ruined)
    shown |= {f"{name}: seen": ruined, "denoise, renoise": plain.x, "improved": better.x}
    for what, x in {"seen": ruined, "denoise, renoise": plain.x, "improved": better.x}.items():
        print(f"{name:9s} {what:17s} squared error {float((x - start).square().mean()):.3f}")
    plotting.strip({k: as_pixels(x) for k, x in shown.items()}, cell=0.62, alt=f"Ten unseen digits, ruined by {name}, and brought back by two updates from a memory of training digits").show()  # fmt: skip
    shown = {"truth": start}

# %% [markdown]
# In squared error the improved update wins on both tasks, by little for blocks and clearly for the fade. For the fade you can
# see why: put $D(x,t)=(1-t)\,x+t\cdot\text{eight}$ into (01.9), and it becomes
# $x_s=x_t+(t-s)(\hat x_0-\text{eight})$: take out a little of the eight, put in as much of the guess. The 20% of the
# truth that was in the picture at the start is never touched; the other 80% are what the guesses say. Here they always say
# the same (the same training digit in each step), so the error is 0.8 times the guess's, and squared 0.64 times:
# $0.64\cdot0.104=0.067$, as printed. Denoise-and-renoise forgets these 20%, and here it can never change its mind: a
# training digit, ruined, is nearest to itself, so the first guess is also the last. It ends with a real digit, crisp,
# always another picture than the truth, though mostly of the right class.
#
# ### A network of our own: blur
#
# The same hourglass, the same loop, once more another stream: grey digits, blurred by $24\,t^2$ pixels (a standard deviation) with $t$ uniform.
# The square makes room for the weak blurs, where there is something to be seen.


# %%
def blurred(x, t):
    return blur(x, 24 * t**2)


torch.manual_seed(16)
third = Hourglass(width=16)
stream = by_degradation(grey_digits.images, blurred, 32, torch.Generator().manual_seed(16))
for _ in tqdm(fit(third, stream, 280), total=280, desc="blur"):
    pass

# %%
unblur = restorer(third)
truth = held_back.images[:200]
half = blurred(truth, 0.5)
walk_back = list(cold_sample(unblur, blurred, torch.linspace(0.5, 0, 11), half))
plotting.strip(
    {"truth": as_pixels(truth[:10]), "blurred, t = 0.5": as_pixels(half[:10]), "first guess": as_pixels(walk_back[0].x0[:10]), "improved": as_pixels(walk_back[-1].x[:10])},
    cell=0.62, alt="Ten unseen digits, blurred, the network's first guess, and the end of the walk, both far sharper than what was seen",
)  # fmt: skip

# %%
*_, plain = denoise_renoise(unblur, blurred, torch.linspace(0.5, 0, 11), half)
for name, x in {"blurred": half, "first guess": walk_back[0].x0, "denoise, renoise": plain.x, "improved": walk_back[-1].x}.items():  # fmt: skip
    print(f"{name:17s} squared error {float((x - truth).square().mean()):.4f} (200 digits)")

# %% [markdown]
# Look at the numbers beside the pictures. The *first guess*, in one step, is hard to beat in squared error: it was
# trained for just that, and shows it by being soft where it is in doubt. The improved update ends sharper, at the price of
# some squared error. Denoise-and-renoise loses far more: it drifts away from the picture that was there, while the
# improved update stays with it, because $x_t$ itself is carried along.
#
# ### Where must the randomness come from?
#
# *A walk without coins ends where its start decides. So all variety must be in the start.*
#
# Snow is 784 coins: $2^{784}$ different starts. What is left of a digit after full blur?

# %% tags=["nbval-check-output"]
ends = blur(grey_digits.images.double(), 24.0)
brightness = ends.mean((1, 2, 3))
print(f"within a fully blurred digit the pixels' standard deviation is {float(ends.flatten(1).std(1).mean()):.3f}")
print(f"from digit to digit the mean brightness has the standard deviation {float(brightness.std()):.3f}")
pixel_variance = grey_digits.images.double().var(0, correction=0).mean()
print(f"the digits themselves: standard deviation of a pixel {float(pixel_variance.sqrt()):.3f}")

# %% [markdown]
# One number, the mean brightness (how much ink), and beside it almost nothing. Draw it like those of real digits,
# start from an even grey of this brightness, and walk back. How many different digits do you expect? In the second
# row the start gets a very faint grain, standard deviation 0.02, too faint to be seen: that breaks the symmetry (Bansal et al.
# do the same, for the same reason).

# %%
rng = torch.Generator().manual_seed(17)
picked = brightness[torch.randperm(len(brightness), generator=rng)[:100]].sort().values.float()
even = picked[:, None, None, None].expand(100, 1, 28, 28)
grainy = even + 0.02 * torch.randn(even.shape, generator=rng)
back = {
    name: list(cold_sample(unblur, blurred, torch.linspace(1, 0, 41), start))[-1].x
    for name, start in {"even": even, "grainy": grainy}.items()
}
plotting.image_grid(
    as_pixels(torch.cat([x[::10] for x in back.values()])), ncols=10, row_labels=list(back), cell=0.65,
    alt="Ten samples from even greys of rising brightness, one family whose neighbours are alike; and ten from grainy greys",
)  # fmt: skip

# %%
for name, x in back.items():
    spread = float((x - x.mean(0)).square().mean().sqrt())
    print(f"{name:7s} standard deviation of a pixel over 100 samples {spread:.3f}; shares of 0..9: {[round(float(s), 2) for s in class_balance(x)]}")  # fmt: skip

# %% [markdown]
# One number goes in, so a family with one parameter comes out, whatever the network: the walk has no coins, and neighbours in
# the first row are nearly alike. The generator has a button, but the box is nearly empty, as the class shares show:
# some classes do not occur at all. With grain there is more variety. What variety there is, is the start's: whoever ruins
# without noise must find the randomness elsewhere. Grain is one way, and it is a small confession: some randomness is
# needed after all.
#
# **A promise.** Take for $D$ the Gaussian noise of later notebooks, $D(x_0,t)=\alpha_tx_0+\sigma_t\hat\varepsilon$,
# where $\hat\varepsilon=(x_t-\alpha_t\hat x_0)/\sigma_t$ is the noise that the guess implies. Then
# $D(\hat x_0,t)=x_t$, the first two terms of (01.9) cancel, and $x_s=\alpha_s\hat x_0+\sigma_s\hat\varepsilon$ is
# left. That is DDIM, today's standard sampler without coins. Its variety is all in the start, 784 Gaussian numbers;
# why that is enough, and why it draws from the right distribution, is notebook 06's subject.
#
# ### One more puzzle: the last pixel, exactly
#
# ### Exercise 01.8: the probability that all pixels are touched (2 points)
#
# Section 2 printed the probability that after $t$ steps of $k$ different pixels none of the $d$ is left untouched.
# Compute it. Two ways lead there: follow the *number* of touched pixels from step to step (how many of the $k$ are
# new?); or count with inclusion and exclusion, in which a set of $j$ pixels escapes one step with probability
# $\binom{d-j}{k}/\binom dk$. Beware of the answer $(1-\alpha_t)^d$: it would be right if the pixels were independent.


# %% tags=["exercise-01.8"]
def all_touched(k: int, d: int, t: int) -> float:
    """Return the probability that after t steps every one of d pixels has been touched at least once.

    Each step touches k different pixels, every set of k being equally likely; 1 <= k <= d <= 40, t >= 0.
    `math.comb(n, j)` is the binomial coefficient, 0 where j > n.
    """
    ### BEGIN SOLUTION
    law = [1.0] + [0.0] * d  # law[n]: probability that n pixels are touched
    for _ in range(t):
        new = [0.0] * (d + 1)
        for n, probability in enumerate(law):
            for j in range(min(k, d - n) + 1):
                new[n + j] += probability * math.comb(d - n, j) * math.comb(n, k - j) / math.comb(d, k)
        law = new
    return law[d]
    ### END SOLUTION


# %% tags=["check-01.8"]
check("01.8", all_touched)

# %% [markdown]
# ## What we can do now, and what still hurts
#
# **We can** press a button and get digits, from nothing but coin tosses, after about half a minute of training. We know
# that the squared error draws conditional means, so that a network should be asked for something that its input nearly
# decides. We know three reasons why "undo the last step" is a poor question, and have put numbers on them. And we know the
# loop of all that follows: guess the clean picture, and go back to a little less noise.
#
# **What still hurts**
#
# * *Black and white.* Coins are for two colours. What is noise for grey pixels, for colours, for sounds?
# * *Nothing is proved.* Denoise-and-renoise works, somewhat. Does it draw from the right law? (It does not;
#   notebook 05 calculates the error of this sampler in a case where everything is known.) How much noise should a step put back? Algorithm 2 forgets all of
#   $x_t$, the cold update keeps all of it; is there something between?
# * *No yardstick but looking*, and a distance that we borrowed.
#
# For all of these we need a noise with which one can calculate: add it twice, undo it, ask what is likely behind it,
# and get an answer in one line each time. There is one, and it is notebook 02's subject: the Gaussian.
#
# **References**
#
# * A. Bansal et al.: *Cold Diffusion: Inverting Arbitrary Image Transforms Without Noise*. 2022 (NeurIPS 2023).
#   Degradations without noise; its algorithm 2 is our (01.9).
# * J. Sohl-Dickstein, E. Weiss, N. Maheswaranathan, S. Ganguli: *Deep Unsupervised Learning using Nonequilibrium
#   Thermodynamics*. ICML 2015. The idea of learning to undo small steps of ruin; also for binary data.
# * J. Austin et al.: *Structured Denoising Diffusion Models in Discrete State-Spaces*. NeurIPS 2021. Flipping done
#   right, with a bound on the likelihood.
# * O. Ronneberger, P. Fischer, T. Brox: *U-Net: Convolutional Networks for Biomedical Image Segmentation*. MICCAI
#   2015. The hourglass with concatenated skips.
# * R. Liu et al.: *An Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution*. NeurIPS 2018.
#   Coordinates as input channels.
# * M. A. Islam, S. Jia, N. Bruce: *How Much Position Information Do Convolutional Neural Networks Encode?* ICLR 2020.
#   Zeros at the edges tell the network where it is.
# * Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: *Gradient-Based Learning Applied to Document Recognition*. Proceedings
#   of the IEEE, 1998. The digits.
