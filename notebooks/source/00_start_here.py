# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 Start here
#
# A diffusion model is a network that has learned one thing: to take a little noise out of a picture. Start it on
# *nothing but* noise, let it do that a few dozen times, and a picture appears that nobody has drawn. This course
# takes such a model apart, down to the last formula, and builds it again, on handwritten digits and on your own machine.
#
# **After this notebook you can** run a notebook of the course, move through noise with a scrubber, have an exercise
# checked, read its hints, and find any symbol of the course in one table.
#
# **You need** Python and a little PyTorch. Nothing about diffusion.
#
# **Time**: 20 minutes to read, under 10 seconds to run on two CPU cores.
#
# Click into the grey cell below and press **Shift + Enter**: that runs the cell and goes to the next one. It loads what
# this notebook uses; every notebook begins with such a cell.

# %% tags=["setup"]
try:
    import torch

    import course_lib
except ModuleNotFoundError as missing:
    sentence = f"Wrong kernel: it has no `{missing.name}`; start JupyterLab by `make lab`, or pick the course's kernel."
    missing._render_traceback_ = lambda *_: [sentence]
    raise

from base64 import b64encode
from importlib.resources import files
from itertools import pairwise

from IPython.display import HTML
from torch import Tensor

from course_checks import check
from course_lib import plotting
from course_lib.checkpoint import load_model
from course_lib.command.machine import machine
from course_lib.data import digits
from course_lib.explorers import schedule_designer
from course_lib.sampling import ddpm, last, sample
from course_lib.schedule import Cosine, Table, Truncated, kernel, linear_betas
from course_lib.scrubber import scrub

# %% [markdown]
# Only a number in brackets appeared at its left? Then all is well: a setup cell is silent. Had this been the wrong kernel (the
# Python that runs the cells), it would have said so in one sentence.
#
# Here is where we are going. Each notebook ends with what still hurts, and that is the reason for the next one: it
# stands on the arrow. You are at the top left.

# %%
drawing = files("course_lib").joinpath("assets/course_map.png").read_bytes()
alt = (
    "Map of the course: from 00 Start here a path leads through 01 Naive diffusion, 02 Gaussians, 03 The forward "
    "process, 04 The loss we deserve, 05 DDPM and 06 The continuous view, to topics that come later"
)
HTML(f'<img alt="{alt}" style="width:960px; max-width:100%" src="data:image/png;base64,{b64encode(drawing).decode()}">')

# %% [markdown]
# ## Where you are running
#
# **On your own machine.** `make lab`, in the course's folder, installs what is missing and opens JupyterLab; the README
# has plain `pip` lines for machines without make. You are then working on a copy of this notebook in the folder `my/`.
# It is yours: no command of the course writes over it.
#
# **In a browser** (Binder, Colab, your university's JupyterHub). The same notebooks run there once the course is
# installed on that machine. If the README has a button for such a place, the button does it for you. Such machines forget:
# download your notebook before you leave.
#
# **Three habits.**
#
# - Run the cells from top to bottom: later ones use what earlier ones made.
# - Confused? *Kernel > Restart Kernel and Run All Cells* begins afresh. It always runs to the end, also with
#   exercises unsolved.
# - Done? *Kernel > Shut Down Kernel* gives the memory back before you open the next notebook.
#
# What has this notebook found?

# %%
print(f"course_lib {course_lib.__version__}")
print(machine())

# %% [markdown]
# A GPU is welcome and never needed: notebooks are written for two CPU cores. After the install, nothing is downloaded:
# digits and trained weights came with the course.
#
# One habit of ours to know from the start. Diffusion runs on random numbers, and every random number of this course comes
# from a generator with a *seed* that you can see. Same seed, same numbers, so what you see should be what we saw. Try it:

# %% tags=["nbval-check-output"]
for seed in (0, 0, 1):
    generator = torch.Generator().manual_seed(seed)
    three = torch.randn(3, generator=generator, dtype=torch.float64)
    print(f"seed {seed}:", " ".join(f"{number:+.3f}" for number in three))

# %% [markdown]
# ## A first look: into noise and back
#
# ### Into noise
#
# Take a picture. Make it a little weaker, add a little noise. Do it again, and again, with new noise each time. One such step,
# from the picture $x_{t-1}$ to the next one, $x_t$, is
#
# $$x_t = \text{scale}_t \cdot x_{t-1} + \text{std}_t \cdot \varepsilon_t, \qquad \varepsilon_t \sim \mathcal N(0, I).$$
#
# Here $\varepsilon_t$ ("epsilon") is fresh noise, one standard normal number for each pixel. The scale (below 1: it weakens the
# picture) and the standard deviation of the noise are prescribed by a *schedule*. Forty such steps, on 200 digits at once, taken
# from the digits that no network of this course was trained on:

# %%
T = 40
schedule = Table.of(Truncated(Cosine()), T)
rng = torch.Generator().manual_seed(0)

clean = digits("held_back").images[:200].double()
walk = [clean]
for before, now in pairwise(range(T + 1)):
    step = kernel(schedule(before), schedule(now))  # holds the step's scale and std
    noise = torch.randn(clean.shape, generator=rng, dtype=clean.dtype)
    walk.append(step(walk[-1]).sample(noise))

# %% [markdown]
# **Scrub it.** The player below holds the 41 pictures of six digits, from clean ($t = 0$) to noise ($t = 40$). Drag the slider,
# or click on it and use the arrow keys; Space plays. It lives in this page: no kernel is needed, and it still works when
# the notebook has been shut down.
#
# Before you do, guess: at which $t$ will you no longer be able to tell the digits apart?

# %%
frames = torch.stack([x[:6] for x in walk])
times = torch.arange(T + 1)
scrub(
    {"x_t": plotting.as_pixels(frames)},
    t=times,
    marginals=schedule(times.double()),
    ncols=3,
    size=336,
    alt="Six handwritten digits sink into noise, a little at every step, until nothing of them can be seen",
)

# %% [markdown]
# Under the player stand two numbers that you will meet all course long. After $t$ steps, however many they were, the picture is
#
# $$x_t = \alpha_t\, x_0 + \sigma_t\, \varepsilon :$$
#
# $\alpha_t$ ("alpha") says how much of the clean picture $x_0$ is left, $\sigma_t$ ("sigma") how strong the noise has become.
# (The third, the log of the signal-to-noise ratio, is $2 \log(\alpha_t/\sigma_t)$.) Is that so? Notebook 03 proves it. Here we
# measure, in the 200 walks: $\alpha$ as the share of $x_0$ that is found in $x_t$, $\sigma$ as the standard deviation of the rest.

# %% tags=["nbval-check-output"]
print(" t   alpha  measured   sigma  measured")
for t in (0, 10, 20, 30, 40):
    share = (walk[t] * clean).sum() / (clean * clean).sum()
    rest = (walk[t] - share * clean).std()
    level = schedule(t)
    print(f"{t:2}  {level.alpha:6.2f}  {share:8.2f}  {level.sigma:6.2f}  {rest:8.2f}")

# %% [markdown]
# ### Explore it
#
# Who prescribes $\alpha$ and $\sigma$? You may. Below, choose a family of schedules, bend it by its parameters, and move $t$ (click
# on a slider, then use the arrow keys). Everything follows: the digit, the curves, and two points, -1 and 1, that spread until
# they are one bump. Unlike the player above, this computes anew at each move, so it needs a running kernel.
#
# Try to find a schedule that keeps the digit readable until $t = 0.8$. Leave the bridge for notebook 03, and the classifier's
# confidence too: a classifier may be sure of a digit where there is nothing but noise.

# %%
schedule_designer()

# %% [markdown]
# ### And back
#
# Now the other way: from each picture of pure noise, forty steps towards a digit. At every step a network, trained by this
# course on 9,000 other digits, looks at $x_t$ and guesses the clean picture $x_0$; the step then goes a small part of the way
# towards that guess, adds a little new noise, and the network looks again. Left, the picture itself; right, the network's guess at that moment.
#
# What to look for: the guess begins as a grey blur, the mean of everything it could be. When do strokes appear? Does a digit
# ever change its mind?

# %% tags=["nbval-check-output"]
model = load_model("digits")
denoiser = model.denoiser()
start = walk[T][:6].float()
states = list(sample(denoiser, schedule, schedule.times(T), start, ddpm(), rng))
print(f"{len(states)} states, from t = {states[0].t:g} to t = {states[-1].t:g}")

# %%
back = torch.tensor([state.t for state in states], dtype=torch.float64)
scrub(
    {
        "x_t": plotting.as_pixels(torch.stack([state.x for state in states])),
        "the network's guess of x_0": plotting.as_pixels(torch.stack([state.x0 for state in states])),
    },
    t=back,
    marginals=schedule(back),
    ncols=3,
    size=336,
    alt="From noise, six digits form; beside them the network's guess, first a grey blur, then ever sharper strokes",
)

# %% [markdown]
# Digits that nobody wrote, or nearly so: how to tell is a question for notebook 05.
#
# **A question.** The six pictures of noise that we started from were made from six digits. Are those the digits that came
# back? And what if we turn round earlier, at $t = 10$ say, and walk back from there?

# %%
rows, titles = [clean[:6].float()], ["clean"]
for turn in (10, 20, 30):
    noisy = walk[turn][:6].float()
    rows.append(last(sample(denoiser, schedule, schedule.times(T)[-turn - 1 :], noisy, ddpm(), rng)))
    titles.append(f"from t = {turn}")

plotting.image_grid(
    plotting.as_pixels(torch.cat([*rows, states[-1].x])),
    ncols=6,
    row_labels=[*titles, f"from t = {T}"],
    alt="Rows of six digits: turned round early the same digits come back, turned round late other ones do",
)

# %% [markdown]
# <details><summary>What do you see, and why? (Think first, then open)</summary>
#
# From $t = 10$ the same digits come back, almost stroke for stroke: enough of each is left in $x_t$. From $t = 20$ they are the
# same digits still, drawn a little differently. From $t = 30$ one or another has turned into something else. From $t = 40$ they have nothing to do
# with the clean ones: there $\alpha = 0.01$, the old digit is ninety times weaker than the noise, and the network cannot find it.
# It makes one up, and which one depends on the noise, at the start and along the way.
# That is what makes it a *generator*: noise goes in, a picture comes out, and no one had to supply the picture.
# </details>
#
# ## Exercises, and how they are checked
#
# An exercise of this course is a function with a name, a docstring and no body yet. The cell below it calls `check`, which tries
# the function on several inputs, among them odd ones, and compares numbers. Check as often as you like: it never stops the
# notebook, and later cells never use your function, so no exercise blocks your way.
#
# The first one is solved for you, so that you can see all that `check` has to say. It is the formula under the player above, with
# one thing to find out:
#
# > **Add noise and keep the variance.** Given pictures $x_0$ whose pixels have variance 1, independent noise $\varepsilon$ with
# > variance 1, and $\alpha$, return $\alpha\, x_0 + \sigma\, \varepsilon$ with the $\sigma$ that makes the variance of the result 1 again.
#
# (Why keep it? So that pictures stay of about the same contrast, however much noise is in them. The pixels of our digits have a
# smaller variance, 0.27 on average; notebook 03 asks what follows.)
#
# What must $\sigma$ be? A first idea: what the picture loses, the noise gets, so $\alpha + \sigma = 1$. Is it right?


# %% tags=["nbval-check-output"]
def first_try(x_0: Tensor, noise: Tensor, alpha: float) -> Tensor:
    sigma = 1 - alpha
    return alpha * x_0 + sigma * noise


check("00.1", first_try)

# %% [markdown]
# Read it from the top: on which case it went wrong, with which inputs, what your function returned, what was expected, and a
# hint. A hint appears where your mistake is one that we know; it says what to think about, not what to type.
#
# So let us think about variances. Multiplying by $\alpha$ multiplies a variance by $\alpha^2$, and variances of independent things
# add up. The result has variance $\alpha^2 + \sigma^2$. Second idea: $\sigma^2 = 1 - \alpha^2$.


# %% tags=["nbval-check-output"]
def second_try(x_0: Tensor, noise: Tensor, alpha: float) -> Tensor:
    sigma = 1 - alpha**2
    return alpha * x_0 + sigma * noise


check("00.1", second_try)

# %% [markdown]
# Another mistake, another hint: a square root is missing. Third time lucky:


# %% tags=["nbval-check-output"]
def third_try(x_0: Tensor, noise: Tensor, alpha: float) -> Tensor:
    sigma = (1 - alpha**2) ** 0.5
    return alpha * x_0 + sigma * noise


check("00.1", third_try)

# %% [markdown]
# ### Exercise 00.1: add noise and keep the variance (0 points)
#
# This is what an exercise looks like when you meet it. Your part: replace the line `raise NotImplementedError` by the two lines of
# `third_try`, run the cell, then run the check below it. Then break it on purpose, and see what `check` says.
#
# <details><summary>Rules of the game, for all notebooks</summary>
#
# - A function uses its arguments and what the setup cell imports, nothing else: so it can be checked anywhere.
# - It returns its answer and leaves its inputs as they are. What it prints is ignored.
# - Where chance is needed, the random numbers arrive as an argument (here `noise`), so that a right answer is one number.
# - The solved notebooks are in the course's folder, in `notebooks/solutions/` (beside `my/`, which is all that JupyterLab shows when
#   `make lab` has started it). Looking there is allowed; trying first teaches more.
# </details>


# %% tags=["exercise-00.1"]
def noised(x_0: Tensor, noise: Tensor, alpha: float) -> Tensor:
    """Return alpha * x_0 + sigma * noise, with the sigma for which alpha**2 + sigma**2 = 1.

    `x_0` and `noise` have the same shape, alpha lies between 0 and 1.
    """
    ### BEGIN SOLUTION
    sigma = (1 - alpha**2) ** 0.5
    return alpha * x_0 + sigma * noise
    ### END SOLUTION


# %% tags=["check-00.1"]
check("00.1", noised)

# %% [markdown]
# ## The words and symbols of the course
#
# The field has many dialects. This course speaks one, in formulas and in code; come back to this table whenever you need it.
#
# | formula | in code | what it is |
# |---|---|---|
# | $x_0$ | `x_0` | a clean picture, pixels from -1 (black) to 1 (white); a batch has shape `(B, C, H, W)` |
# | $x_t$ | `x_t` | the same picture at time $t$, with noise |
# | $t$, $T$ | `t`, `T` | time: 0 is clean, $T$ is noise. In continuous time $T = 1$ |
# | $s$ | `s` | an *earlier* time, $s < t$ |
# | $\varepsilon$ | `eps`, `noise` | standard normal noise, one independent number for each pixel |
# | $\alpha_t$ | `alpha` | how much of $x_0$ is in $x_t$ |
# | $\sigma_t$ | `sigma` | standard deviation of the noise in $x_t$ |
# | $\alpha_t^2/\sigma_t^2$ | `snr`, `log_snr` | signal-to-noise ratio, and its logarithm |
# | $\alpha_t^2 + \sigma_t^2 = 1$ | | a *variance-preserving* (VP) process; with $\alpha_t = 1$ it is *variance exploding* (VE) |
# | $q(x_t \mid x_s)$ | `kernel` | from $s$ on to $t$: how noise is added. Nothing in a law called $q$ is learned |
# | $q(x_s \mid x_t, x_0)$ | `bridge` | from $t$ back to $s$, for those who know the clean picture |
# | $p(x_s \mid x_t)$ | `ddpm()` (one step), `sample` (all of them) | from $t$ back to $s$ without knowing it: the model |
# | $\hat x_0$, $\hat\varepsilon$ | `x0`, `eps` | the network's guesses; one follows from the other |
#
# Papers write the same things differently. In short (the whole table is in `docs/design.md`, and a subject of notebook 03):
#
# | here | Ho et al. 2020 | Karras et al. 2022 |
# |---|---|---|
# | $\alpha_t$ | $\sqrt{\bar\alpha_t}$ | $s(t)$ |
# | $\sigma_t$ | $\sqrt{1 - \bar\alpha_t}$ | $s(t)\,\sigma(t)$ |
# | $\alpha_t / \alpha_{t-1}$ | $\sqrt{1 - \beta_t}$ | |
#
# where $\bar\alpha_t = (1-\beta_1)(1-\beta_2)\cdots(1-\beta_t)$, and $\beta_t$ is the variance of the noise that step $t$ adds. So Ho's
# $\bar\alpha$ ("alpha bar") is the *square* of our $\alpha$. Such a line can be tested, and in this course it is:

# %% tags=["nbval-check-output"]
betas = linear_betas(1000)
ours = Table.from_betas(betas)
alpha_bar = torch.cumprod(1 - betas, 0)
for t in (1, 250, 500, 1000):
    print(f"t = {t:4}: alpha^2 = {ours(t).alpha ** 2:.6f}, alpha bar = {alpha_bar[t - 1]:.6f}")

# %% [markdown]
# <details><summary>Why <code>alpha_bar[t - 1]</code>, but <code>ours(t)</code>? (Think first)</summary>
#
# The betas belong to steps, and the first step is number 1, stored at index 0. Our tables belong to times, and have a row for
# $t = 0$, the clean picture: $T$ steps, $T + 1$ times. Many a bug in this field lives in that difference of one.
# </details>
#
# ## The way ahead
#
# | notebook | its question | minutes | seconds to run |
# |---|---|---|---|
# | 00 Start here | how does this work? | 20 | 10 |
# | 01 Naive diffusion | can a network un-flip pixels, and why does it only half work? | 120 | 90 |
# | 02 Gaussians | which noise can we calculate with? | 150 | 90 |
# | 03 The forward process | how much noise, and when? What does going back need? | 120 | 90 |
# | 04 The loss we deserve | what should a network learn, and what is the bound it climbs? | 150 | 90 |
# | 05 DDPM | train it, sample it, judge it, repair it | 120 | 180 |
# | 06 The continuous view | what if the steps become tiny? | 150 | 90 |
#
# Minutes are for reading and a first go at the exercises, and will be wrong for you. Seconds are upper limits for everything in
# the notebook on two CPU cores, and no notebook may take more than 1.2 GB of memory. Each runs on its own; reading one takes
# what came before.
#
# **Not covered yet**: guidance and conditioning on text, samplers of a few steps, score matching and energy-based models as a subject
# of their own, flow matching, latent diffusion, discrete diffusion. Nor do we train on large colour pictures: what a
# large model adds is size, and the parts are those that you will build.
#
# ## What we can do now, and what still hurts
#
# You can run a notebook, scrub through noise, have a function checked and read its hint, and look up a symbol. You have seen a
# model make digits out of noise, and that it forgets where it came from once $\alpha$ is small.
#
# What hurts: everything in it was given. *Why* this noise, and not another? Why should guessing the clean picture, which cannot be
# guessed, make pictures? What is the network trained on, and what does it minimise? We throw it all away and begin with the
# most naive idea there is: flip some pixels, and ask a network to flip them back. That is notebook 01.
#
# ## References
#
# - J. Ho, A. Jain, P. Abbeel, *Denoising diffusion probabilistic models*, NeurIPS 2020: the steps back used above.
# - A. Nichol, P. Dhariwal, *Improved denoising diffusion probabilistic models*, ICML 2021: the schedule (cosine) used above.
# - T. Karras, M. Aittala, T. Aila, S. Laine, *Elucidating the design space of diffusion-based generative models*, NeurIPS 2022.
# - Y. LeCun, C. Cortes, C. J. C. Burges, *The MNIST database of handwritten digits*: the digits (CC BY-SA 3.0).
