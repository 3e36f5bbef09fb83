# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 Gaussians are affine maps of standard noise
#
# Notebook 01 destroyed pictures by flipping pixels, and repaired them with a network. It half worked, and whenever we wanted to *calculate*
# something, flipping pixels fought back: the pixels of a step depend on each other, and two steps together are not a step of the same kind.
# The rest of this course noises pictures with Gaussians instead, for one reason: with Gaussians, everything you will ever want to know can be
# calculated, exactly, on one page. This is the page.
#
# It hangs on a single sentence. **A Gaussian is what an affine map makes of standard noise:** $x = A\,e + m$. Every property that diffusion
# needs (scaling, adding, chaining, conditioning, comparing) is then a line of linear algebra. Nothing is memorised, little is integrated.
#
# **After this notebook you can**
#
# * say where the bell, its square and its half come from, and what "68%" means and does not mean;
# * tell where the mass of a Gaussian in 784 dimensions is (not where its density is highest);
# * name a Gaussian in many ways by maps, and in one way by its moments;
# * push a Gaussian through maps, sums, chains and noisy observations by algebra on $A$ and $m$, and check each result by another route;
# * say what a Kullback-Leibler divergence costs, in nats, and derive it for any two Gaussians;
# * see noise as a blur of the density, and say why one Gaussian cannot draw digits while many small Gaussian steps can.
#
# **You need** matrices and vectors (product, transpose, inverse, eigenvectors, orthogonal matrices), partial derivatives and integrals of
# one variable, the determinant as a volume factor (and, in one folded proof, the singular value decomposition), and the PyTorch of notebook 00.
# From probability: expectation $\mathbb E$ (the mean over all draws), variance, and independence, with two facts about independent numbers: the mean of a product is the
# product of the means, and variances add. The *law* of a random thing is its probability distribution.
# From notebook 01 one fact comes back: the best constant guess, in squared error, is the mean.
#
# **Time**: about two and a half hours of reading and thinking, without the exercises. Running all cells takes under a minute on two CPU cores.

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

from torch import Tensor

from course_checks import check, equation
from course_lib import metrics, plotting
from course_lib.data import digits, toys
from course_lib.explorers import affine_gaussian, convolution, noise_as_convolution
from course_lib.gaussian import Gaussian, Mixture, add, chain, compose, condition, kl, sqrt_covariance
from course_lib.plotting import as_pixels, beside
from course_lib.schedule import Marginal
from course_lib.scrubber import scrub

# %% [markdown]
# Two habits of this page. Numbers are float64, so that a check can be strict. And *every* displayed formula has a number, such as (02.2),
# and right below it a cell that computes its two sides by **different routes** and compares them. If one were wrong, the cell that computes it would stop with an error.


# %%
def draw(*shape, seed):
    """Standard noise, the same at every run."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def f64(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def line(low, high, count):
    """Evenly spaced numbers, both ends included."""
    return torch.linspace(low, high, count, dtype=torch.float64)


# %% [markdown]
# ## 1. One number: where the bell comes from
#
# *Start with "likely near zero, unlikely far away", and mend it until it is smooth, honest and of width 1.*
#
# You want a density that is high at 0 and falls off on both sides. The first thing to try is $\exp(-|x|)$. It falls, but it has a kink at 0: a corner
# where no derivative exists. Squaring takes the corner away: $\exp(-x^2)$. And then everybody divides the square by 2. Why? Look at the three
# curves, and ask of each: *where does it stop bending down and start bending up?*

# %%
x = line(-4, 4, 801)
shapes = {"exp(-|x|)": torch.exp(-x.abs()), "exp(-x²)": torch.exp(-(x**2)), "exp(-x²/2)": torch.exp(-(x**2) / 2)}
plotting.curves(
    shapes | {"x = -1 and x = 1": (f64([-1.0, -1.0, torch.nan, 1.0, 1.0]), f64([0, 1.0, torch.nan, 1.0, 0]))},
    x=x, xlabel="x", ylabel="height (area not yet 1)",
    alt="Three curves of height 1: exp(-|x|) with a corner at 0, exp(-x squared) narrow and smooth, exp(-x squared over 2) wider, changing its bend exactly at -1 and 1",
)  # fmt: skip


# %% [markdown]
# With the half, the bend changes sign exactly at $-1$ and $1$ (the *inflection points*): the half makes 1 the natural unit of width. Differentiate twice, with the product rule:
# $f' = -x\,f$, so $f'' = -f - x f' = -f + x^2 f$:
#
# $$f(x)=e^{-x^2/2}\quad\Longrightarrow\quad f''(x)=(x^2-1)\,f(x). \tag{02.1}$$
#
# It is 0 at $x=\pm1$ and nowhere else. The cell below differentiates without algebra, by automatic differentiation. (For $e^{-x^2}$ the same calculation gives
# $f''=(4x^2-2)f$: inflection at $\pm 0.707$. No half, no round number.)


# %% tags=["nbval-check-output"]
def bell(x):
    return torch.exp(-(x**2) / 2)


points = f64([-2.5, -1.3, 0.0, 0.4, 3.0])
second_derivative = torch.func.vmap(torch.func.grad(torch.func.grad(bell)))(points)
equation("02.1", second_derivative, (points**2 - 1) * bell(points))


# %% [markdown]
# ### Area 1
#
# A density has area 1. What must we divide by? No antiderivative of $e^{-x^2/2}$ can be written down with the functions you know, and yet the area under the whole curve has a closed form:
#
# $$\int_{-\infty}^{\infty}e^{-x^2/2}\,\mathrm dx=\sqrt{2\pi}. \tag{02.2}$$
#
# The check adds up narrow strips (*quadrature*). It stops at $\pm 12$: beyond, the curve is below $10^{-31}$.

# %% tags=["nbval-check-output"]
wide = line(-12, 12, 4001)
equation("02.2", torch.trapezoid(bell(wide), wide), math.sqrt(2 * math.pi))


# %% [markdown]
# <details><summary>Proof: go to two dimensions, where it is easy</summary>
#
# Call the area $I$. Its square is a double integral, $I^2=\int e^{-x^2/2}\mathrm dx\int e^{-y^2/2}\mathrm dy=\iint e^{-(x^2+y^2)/2}\,\mathrm dx\,\mathrm dy$,
# because $e^ae^b=e^{a+b}$. The integrand depends only on the distance $r=\sqrt{x^2+y^2}$ from the origin. So cut the plane into thin rings instead of small squares: the ring between $r$ and
# $r+\mathrm dr$ has length $2\pi r$ and width $\mathrm dr$. Hence $I^2=\int_0^\infty e^{-r^2/2}\,2\pi r\,\mathrm dr$.
#
# Now there is an antiderivative: $\frac{\mathrm d}{\mathrm dr}\bigl(-e^{-r^2/2}\bigr)=r\,e^{-r^2/2}$. So $I^2=2\pi\bigl[-e^{-r^2/2}\bigr]_0^\infty=2\pi(0+1)=2\pi$, and $I=\sqrt{2\pi}$ because $I>0$. ∎
# </details>
#
# So the **standard normal** density is $p(x)=\frac1{\sqrt{2\pi}}e^{-x^2/2}$, written $N(0,1)$. A draw from it is called **standard noise** in this course, and its letter is $e$.
# (In earnest, computers keep the logarithm: a parabola, no exponential, no underflow. Logarithms are natural here; their unit is called *nat*, more of it in property (f).)
#
# $$\log p(x)=-\tfrac12x^2-\tfrac12\log(2\pi). \tag{02.3}$$
#
# The check takes PyTorch's own normal distribution for the left side. In the picture, look at the right panel: a straight line would be $\exp(-|x|)$.

# %% tags=["nbval-check-output"]
theirs = torch.distributions.Normal(f64(0.0), f64(1.0))
equation("02.3", theirs.log_prob(points), -0.5 * points**2 - 0.5 * math.log(2 * math.pi))


# %%
log_p = -0.5 * x**2 - 0.5 * math.log(2 * math.pi)
laplace = -math.sqrt(2) * x.abs() + math.log(math.sqrt(2) / 2)  # exp(-|x|), scaled to area 1 and variance 1
beside(
    plotting.curves({"standard normal": log_p.exp(), "exp(-|x|), variance 1": laplace.exp()}, x=x, xlabel="x", ylabel="density", size=(4.4, 3.0), alt="The standard normal density beside the two-sided exponential of the same variance, which has a sharper peak"),
    plotting.curves({"standard normal": log_p, "exp(-|x|), variance 1": laplace}, x=x, xlabel="x", ylabel="log density", size=(4.4, 3.0), alt="Their logarithms: a parabola and a tent; at 4 the parabola is lower by about three units"),
)  # fmt: skip


# %% [markdown]
# ### Mean 0, variance 1
#
# By symmetry the mean of $e$ is 0. The half pays off a second time: the variance is 1, without any factor.
#
# $$\mathbb E[e]=0,\qquad \mathbb E[e^2]=\frac1{\sqrt{2\pi}}\int x^2e^{-x^2/2}\,\mathrm dx=1. \tag{02.4}$$
#
# <details><summary>Proof</summary>
#
# By (02.1), $x^2f=f''+f$. Integrate over the whole line: $\int x^2f=\bigl[f'\bigr]_{-\infty}^{\infty}+\int f=0+\sqrt{2\pi}$, because $f'=-xf$ vanishes at both ends. Divide by $\sqrt{2\pi}$.
# The mean is $\int x f\,\mathrm dx/\sqrt{2\pi}=\bigl[-f\bigr]_{-\infty}^{\infty}/\sqrt{2\pi}=0$. ∎
# </details>
#
# The check measures both in a million draws. A mean of 0 cannot be compared in per cent, so the cell shifts the draws by 1 first.

# %% tags=["nbval-check-output"]
e = draw(1_000_000, seed=1)
equation("02.4", ((e + 1).mean(), e.square().mean()), (1.0, 1.0), rtol=5e-3)


# %% [markdown]
# ### Any mean, any width
#
# Stretch standard noise by $\sigma>0$ and move it by $m$: $x=\sigma e+m$. That is all a Gaussian on the line is. Its mean is $m$, its variance $\sigma^2$. Its density follows from one idea: *the probability of
# a short interval does not change when the axis is stretched, but its length does*. The interval $[x,x+\mathrm dx]$ comes from noise in an interval of length $\mathrm dx/\sigma$ at $e=(x-m)/\sigma$, so
#
# $$N(x;\,m,\sigma^2)=\frac1\sigma\,\frac1{\sqrt{2\pi}}\exp\Bigl(-\frac12\Bigl(\frac{x-m}\sigma\Bigr)^2\Bigr). \tag{02.5}$$
#
# The check uses no density: it *counts* how many of two million stretched draws fall into short intervals, and divides by their length.

# %% tags=["nbval-check-output"]
sigma, m, width = 0.5, 2.0, 0.05
x_draws = sigma * draw(2_000_000, seed=2) + m
at = f64([1.4, 2.0, 2.5])
counted = torch.stack([((x_draws - a).abs() < width / 2).double().mean() / width for a in at])
equation("02.5", counted, bell((at - m) / sigma) / (sigma * math.sqrt(2 * math.pi)), rtol=7e-3)


# %% [markdown]
# The factor $1/\sigma$ is the one most often forgotten. It says: a narrow bell has to be high. (Above 1, if it must: a density is not a probability.)
#
# <details><summary><b>Question.</b> Is noise "a random number between 0 and 1", or between -1 and 1?</summary>
#
# No. It is not between anything: a third of all draws are outside $[-1,1]$, as you will see in a moment, and about three in a thousand outside $[-3,3]$. `torch.rand` gives uniform numbers between 0 and 1, `torch.randn` gives standard noise; the
# missing `n` is a bug that raises no error.
# </details>
#
# ### 68, 95, 99.7, and why nobody is 4 m tall
#
# How much of the mass lies within distance $r$ of the middle? There is a function made for this question, the error function:
#
# $$P(|e|\le r)=\operatorname{erf}\bigl(r/\sqrt2\bigr). \tag{02.6}$$
#
# (That is its definition, $\operatorname{erf}(z)=\frac2{\sqrt\pi}\int_0^ze^{-u^2}\mathrm du$, after substituting $x=\sqrt2\,u$.) Check by strips under the density:

# %% tags=["nbval-check-output"]
inside = torch.stack(
    [torch.trapezoid(bell(g), g) / math.sqrt(2 * math.pi) for g in [line(-r, r, 20_001) for r in (1, 2, 3)]]
)
for r, share in zip((1, 2, 3), inside, strict=True):
    print(f"within {r} standard deviation{'s' if r > 1 else ' '}: {100 * float(share):.3f} %")
equation("02.6", inside, torch.special.erf(f64([1.0, 2.0, 3.0]) / math.sqrt(2)))


# %% [markdown]
# These three numbers are for **one** dimension. In two, the circle of radius 1 holds 39%, in 784 practically nothing. Section 2 shows it; remember that it is coming.
#
# What about far out? Heights of men are close to a bell; take 1.75 m and a standard deviation of 0.07 m as round numbers. A man of 4 m would be 32 standard deviations away. Compare with a **heavy-tailed** law (*law* is short for probability distribution): Student's law
# with three degrees of freedom, scaled to the *same* mean and the *same* standard deviation. It is more peaked in the middle, so that less of it lies beyond one standard deviation; at two, the tails are about equally large. How many of four billion men would be taller than 4 m under each?


# %% tags=["nbval-check-output"]
def log10_tail_normal(z):
    return torch.special.log_ndtr(-z) / math.log(10)  # log10 P(e > z); the probability itself would underflow


def log10_tail_student(z):
    return torch.log10(0.5 - (torch.atan(z) + z / (1 + z**2)) / math.pi)  # its distribution function, at variance 1


z = f64([1.0, 2.0, 3.0, 5.0, (4.0 - 1.75) / 0.07])
for distance, thin, heavy in zip(z, log10_tail_normal(z), log10_tail_student(z), strict=True):
    print(f"{distance:6.3f} standard deviations: log10 P = {thin:8.3f} normal, {heavy:6.3f} Student")
print(
    f"men above 4 m among 4e9: 10^{float(log10_tail_normal(z[-1])) + math.log10(4e9):.3f} normal, {4e9 * 10 ** float(log10_tail_student(z[-1])):.0f} Student"
)


# %%
z = line(0.1, 8, 200)
plotting.curves(
    {"normal": 10 ** log10_tail_normal(z), "Student, 3 degrees of freedom": 10 ** log10_tail_student(z)},
    x=z, yscale="log", xlabel="z, in standard deviations", ylabel="P(x > mean + z std)",
    alt="Probability of exceeding z standard deviations on a log axis: the normal falls like a parabola to 1e-15 at 8, the heavy-tailed law flattens out above 1e-4",
)  # fmt: skip


# %% [markdown]
# Same mean, same variance, and at 2 standard deviations about the same tail; at 32 they differ by more than two hundred powers of ten. Two lessons. **A shared mean and variance are not a shared law.** (Section 8 makes the same point with digits.) And thin tails are a *claim* about
# the world: Robert Wadlow was 2.72 m tall, nearly 14 of our standard deviations, which the bell calls impossible. Heights are Gaussian in the middle only; the noise that *we* add is Gaussian everywhere, because we make it so.
#
# ## 2. Many dimensions: where the mass is
#
# *Noise in $d$ dimensions is $d$ independent draws. It looks the same from every direction, and almost all of it is at distance $\sqrt d$.*
#
# Take $e=(e_1,\dots,e_d)$ with independent standard normal coordinates. Independence multiplies densities, and multiplying exponentials adds their exponents:
#
# $$p(e)=\prod_{i=1}^d\frac1{\sqrt{2\pi}}e^{-e_i^2/2}=(2\pi)^{-d/2}\,e^{-\lVert e\rVert^2/2}. \tag{02.7}$$
#
# Check: the product of one-dimensional densities on the left, the library's $d$-dimensional one on the right.

# %% tags=["nbval-check-output"]
e = draw(6, 5, seed=3)
standard = Gaussian.spherical(f64([0.0] * 5), 1.0)
equation("02.7", (bell(e) / math.sqrt(2 * math.pi)).prod(1), standard.log_density(e).exp())


# %% [markdown]
# The coordinates are gone: only the length $\lVert e\rVert$ is left. Turn your head, and nothing changes. This is remarkable, because the product was made along the axes. Try it with $\exp(-|x|)$: its product is $\exp(-|x|-|y|)$, and you *can* see the axes. Look at the shapes of the contours.

# %%
grid = line(-3.2, 3.2, 129)
radius2, taxi = grid[:, None] ** 2 + grid**2, grid[:, None].abs() + grid.abs()
angle = line(0, 2 * math.pi, 100)
circles = {f"radius {r}": (r * angle.cos(), r * angle.sin()) for r in (1, 2)}
diamonds = {f"|x| + |y| = {r}": (f64([r, 0, -r, 0, r]), f64([0, r, 0, -r, 0])) for r in (1, 2)}
views = {"extent": (-3.2, 3.2, -3.2, 3.2), "equal": True, "size": (4.2, 3.4)}
beside(
    plotting.heatmap(torch.exp(-radius2 / 2), lines=circles, title="product of bells", alt="Product of two bells: round, with circles as contours", **views),
    plotting.heatmap(torch.exp(-taxi), lines=diamonds, title="product of exp(-|x|)", alt="Product of two two-sided exponentials: diamond-shaped contours along the axes", **views),
)  # fmt: skip


# %% [markdown]
# In fact the bell is, up to its width, the *only* law with a density that is both independent along the axes and the same from every side (Herschel 1850, Maxwell 1860). That is the best answer to "why the square".
#
# <details><summary>Proof of Herschel and Maxwell's fact (for smooth, positive, symmetric densities)</summary>
#
# Let the joint density of two coordinates be a product that depends on the radius only: $g(x)\,g(y)=h(x^2+y^2)$. Put $y=0$: $g(x)\,g(0)=h(x^2)$. So with $u=x^2$ and $w=y^2$, the function $\ell(u)=\log\bigl(h(u)/g(0)^2\bigr)$ satisfies
# $\ell(u)+\ell(w)=\log\frac{g(x)g(0)\,g(y)g(0)}{g(0)^4}=\log\frac{g(x)\,g(y)}{g(0)^2}=\ell(u+w)$ for all $u,w\ge0$. Differentiate by $w$ and put $w=0$: $\ell'(0)=\ell'(u)$. The slope is the same everywhere, and $\ell(0)=0$, so $\ell(u)=-\kappa\,u$, that is $g(x)=g(0)\,e^{-\kappa x^2}$; and $\kappa>0$,
# or the area would be infinite. Choosing the unit of length makes $\kappa=\frac12$. ∎
# </details>
#
# ### The unit circle holds 39%, not 68%
#
# In two dimensions the ring argument from the proof of (02.2) gives the mass within radius $r$ at once: $\int_0^r e^{-u^2/2}\,u\,\mathrm du$, so
#
# $$P(\lVert e\rVert\le r)=1-e^{-r^2/2}\qquad(d=2). \tag{02.8}$$

# %% tags=["nbval-check-output"]
e = draw(1_000_000, 2, seed=4)
counted = torch.stack([(e.norm(dim=1) <= r).double().mean() for r in (1, 2, 3)])
print("inside radius 1, 2, 3, counted: " + ", ".join(f"{100 * float(c):.1f} %" for c in counted))
equation("02.8", counted, 1 - torch.exp(-(f64([1.0, 2.0, 3.0]) ** 2) / 2), rtol=5e-3)


# %% [markdown]
# So the "one standard deviation" circle (and later ellipse) of a plot in the plane contains 39% of the points, the second 86%, the third 99%. The 68% are what you get when you look at *one coordinate* and ignore the other: a vertical strip, not a disc.

# %%
in_circle, in_strip = (float((size <= 1).double().mean()) for size in (e.norm(dim=1), e[:, 0].abs()))  # of all e
shown = e[:1500]
near = shown.norm(dim=1) <= 1
strip = ~near & (shown[:, 0].abs() <= 1)
groups = {
    f"in the unit circle ({100 * in_circle:.0f} %)": shown[near],
    f"only |e₁| ≤ 1 (another {100 * in_strip - 100 * in_circle:.0f} %)": shown[strip],
    "outside both": shown[~near & ~strip],
}
plotting.scatter(
    groups, limits=(-3.4, 3.4, -3.4, 4.9), xlabel="e₁", ylabel="e₂",
    alt="Fifteen hundred standard normal points in the plane: about 39 per cent inside the unit circle, about 29 per cent more only inside the vertical strip between -1 and 1",
)  # fmt: skip


# %% [markdown]
# ### In high dimensions everything is on a sphere
#
# How long is a noise vector? The squared length is a sum of $d$ independent terms $e_i^2$, each with mean 1 by (02.4) and with variance $\mathbb E[e^4]-1=2$. Means add, and variances of independent terms add:
#
# $$\mathbb E\lVert e\rVert^2=d,\qquad\operatorname{Var}\lVert e\rVert^2=2d. \tag{02.9}$$
#
# <details><summary>Why is the mean of e⁴ equal to 3?</summary>
#
# Integrate by parts with $f'=-xf$: $\int x^4f=\int x^3\,(xf)=\bigl[-x^3f\bigr]_{-\infty}^\infty+\int3x^2f=3\sqrt{2\pi}$, using (02.4). Divide by $\sqrt{2\pi}$. So $\operatorname{Var}(e^2)=3-1=2$. ∎
# </details>

# %% tags=["nbval-check-output"]
dims = (1, 2, 10, 100, 784)
squared = {d: draw(10_000_000 // max(d, 10), d, seed=d).square().sum(1) for d in dims}  # up to a million lengths each
for d, s in squared.items():
    print(f"d = {d:3d}: squared length {float(s.mean()):7.2f}, variance {float(s.var()):8.2f}")
measured = [squared[2].mean(), squared[10].mean(), squared[784].mean(), squared[2].var(), squared[10].var()]
equation("02.9", torch.stack(measured), f64([2.0, 10.0, 784.0, 4.0, 20.0]), rtol=7e-3)


# %% [markdown]
# Relative to its mean $d$, the squared length spreads by $\sqrt{2d}/d=\sqrt{2/d}$: less and less. Take the root: the length is $\sqrt d$, give or take about 0.7, *however large $d$ is* (0.6 at $d=1$; a change of $\sqrt{2d}$ in the square is a change of $\sqrt{2d}/(2\sqrt d)=1/\sqrt2$ in the length). The exact mean
# of the length is a quotient of Gamma functions, and from $d=10$ on the root on the right is within 0.1% of it:
#
# $$\mathbb E\lVert e\rVert=\sqrt2\;\frac{\Gamma\bigl(\frac{d+1}2\bigr)}{\Gamma\bigl(\frac d2\bigr)}\;\approx\;\sqrt{d-\tfrac12}. \tag{02.10}$$
#
# <details><summary>Proof of the exact part</summary>
#
# A shell of radius $r$ in $d$ dimensions has an area proportional to $r^{d-1}$, so the density of $r=\lVert e\rVert$ is proportional to $r^{d-1}e^{-r^2/2}$. Substituting $u=r^2/2$, $\mathrm dr=\mathrm du/\sqrt{2u}$: $\int_0^\infty r^{n}e^{-r^2/2}\mathrm dr=2^{(n-1)/2}\int_0^\infty u^{(n-1)/2}e^{-u}\mathrm du=2^{(n-1)/2}\,\Gamma\bigl(\frac{n+1}2\bigr)$, which is the
# definition of $\Gamma$. The mean is this with $n=d$, divided by this with $n=d-1$ (the normaliser): $2^{(d-1)/2-(d-2)/2}\,\Gamma(\frac{d+1}2)/\Gamma(\frac d2)$, and the power of 2 is $\sqrt2$. ∎
# </details>

# %% tags=["nbval-check-output"]
d = f64([float(d) for d in dims])
by_gamma = math.sqrt(2) * torch.exp(torch.lgamma((d + 1) / 2) - torch.lgamma(d / 2))
lengths = torch.stack([s.sqrt().mean() for s in squared.values()])
for k, n in enumerate(dims):
    ratio = squared[n].sqrt() / math.sqrt(n) - 1
    ten, five = (100 * float((ratio.abs() < near).double().mean()) for near in (0.1, 0.05))
    print(
        f"d = {n:3d}: length {lengths[k]:.3f}, spread {float(squared[n].sqrt().std()):.3f}, within 10 % of sqrt(d): {ten:.1f} %, within 5 %: {five:.1f} %"
    )
off = ((d[2:] - 0.5).sqrt() / by_gamma[2:] - 1).abs().max()
print(f"from d = 10 on, the root is off by at most {100 * float(off):.3f} %")
assert off < 1e-3
equation("02.10", (lengths, by_gamma[2:]), (by_gamma, (d[2:] - 0.5).sqrt()), rtol=5e-3)


# %%
plotting.histograms(
    {f"d = {n}": squared[n].sqrt() for n in dims}, bins=180, limits=(0, 31), xlabel="length of the noise", size=(7.2, 3.2),
    alt="Histograms of the length of noise in 1, 2, 10, 100 and 784 dimensions: bumps of nearly equal width at 0, 1, 3, 10 and 28",
)  # fmt: skip


# %% [markdown]
# The density is highest at the origin, and the origin is empty. Both are true. Density is probability *per volume*, and near the origin there is no volume: the shell at radius $r$ has $r^{d-1}$ of it. A noise image of 28 x 28 pixels is, practically always, within 10% of a sphere of radius 28, and 95 times in 100 within 5% (the row for $d=784$).
# This is why notebook 05 walks *on the sphere* when it interpolates between two noises, and why the picture of highest density (the peak) is typically not a *typical* picture.
#
# <details><summary><b>Question.</b> Two independent noise images: how far apart are they? And what is the angle between them?</summary>
#
# Their difference has independent coordinates of variance $1+1=2$ (property (b) below), so the squared distance is about $2d$: they are $\sqrt{2d}\approx39.6$ apart. By Pythagoras, two vectors of length $\sqrt d$ at distance $\sqrt{2d}$ are at a right angle. In high dimensions, independent noises are all
# nearly equally long, and nearly perpendicular to each other. Check with `a, b = draw(2, 784, seed=1)`.
# </details>

# %% [markdown]
# ### Exercise 02.1: log density (1 point)
#
# Write the log density of $x=\sigma e+m$ in $d$ dimensions: every coordinate stretched by the same $\sigma$, then moved. Combine (02.3), (02.5) and (02.7), and count how often each term occurs.


# %% tags=["exercise-02.1"]
def log_normal(x: Tensor, m: Tensor, sigma: float) -> Tensor:
    """Return the log density of sigma * e + m at each row of x, in nats, shape (N,).

    x      points (N, d)
    m      translation (d,)
    sigma  standard deviation of every coordinate, above 0
    """
    ### BEGIN SOLUTION
    z = (x - m) / sigma
    return -0.5 * z.square().sum(1) - x.shape[1] * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
    ### END SOLUTION


# %% tags=["check-02.1"]
check("02.1", log_normal)

# %% [markdown]
# ## 3. The definition: x = A e + m
#
# *Take standard noise, stretch, shear and turn it with a matrix, move it: whatever you get is a Gaussian, and every Gaussian is got so.*
#
# Let $e\in\mathbb R^k$ be standard noise, $A$ a $d\times k$ matrix and $m\in\mathbb R^d$. **A Gaussian on $\mathbb R^d$ is the law of**
#
# $$x=A\,e+m,\qquad\text{that is}\qquad x_i=\sum_{j=1}^kA_{ij}\,e_j+m_i. \tag{02.11}$$
#
# Nothing is asked of $A$: it may be square or not, and it may squash a direction flat. Coordinate by coordinate, each $x_i$ is a weighted sum of the *same* noises; that is how coordinates come to depend on each other. In the library this definition is the
# class `Gaussian`, with the two fields `map` and `translation`. (Noises are rows in code, `(N, k)`, hence the transpose: `e @ A.T + m`.) The check writes the sum out, in loops, against the library's `sample`.

# %% tags=["nbval-check-output"]
A, m = f64([[1.4, 0.5], [0.3, 0.8]]), f64([1.0, -0.5])
law, e = Gaussian(A, m), draw(4, 2, seed=5)
by_hand = [[sum(A[i, j] * e[n, j] for j in range(2)) + m[i] for i in range(2)] for n in range(4)]
equation("02.11", f64(by_hand), law.sample(e))


# %% [markdown]
# In the picture, follow the colours: each quarter of the round cloud keeps its colour when it is mapped. Look for where the unit circle goes.

# %%
e = draw(1200, 2, seed=6)
names = {
    (True, True): "e₁ > 0, e₂ > 0",
    (False, True): "e₁ < 0, e₂ > 0",
    (False, False): "e₁ < 0, e₂ < 0",
    (True, False): "e₁ > 0, e₂ < 0",
}
quarters = {name: e[((e > 0) == torch.tensor(signs)).all(1)] for signs, name in names.items()}
beside(
    plotting.scatter(quarters, ellipses={"radius 1, 2": (f64([0, 0]), torch.eye(2))}, limits=(-4, 5.5, -4, 5.5), xlabel="e₁", ylabel="e₂", title="standard noise e", alt="Round cloud of noise, a colour for each quarter, with circles of radius 1 and 2"),
    plotting.scatter({name: part @ A.T + m for name, part in quarters.items()}, ellipses={"what they become": (m, A @ A.T)}, limits=(-4, 5.5, -4, 5.5), xlabel="x₁", ylabel="x₂", title="x = A e + m", alt="The same cloud mapped by A and moved by m: circles have become ellipses, and the coloured quarters wedges"),
)  # fmt: skip


# %% [markdown]
# A linear map takes circles to ellipses (to a segment, if it is flat, that is, singular). The columns of $A$ are what becomes of the two unit vectors: drawn from the centre $m$, they end *on* the ellipse, but they are generally not its axes.
#
# **Turn it yourself.** The explorer keeps the noise points fixed while you change $A$ and $m$. Try these, and predict before you move:
#
# 1. Only $A_{11}$ and $A_{22}$ different from 0. What is the ellipse's shape, and what is the covariance (the mean product of the two coordinates' deviations; section 4)?
# 2. Make the second column equal to the first. What happens to the cloud, and to the determinant?
# 3. Set $A=\begin{pmatrix}0&-1\\1&0\end{pmatrix}$. What happens to the points, and what to the Gaussian?
# 4. Leave $A$ alone and move "turn the noise". Which numbers in the table stay the same to the last digit?
# 5. Can you change how many of the points lie inside the inner ellipse? (The last row counts how many noises are in the unit circle.)

# %%
affine_gaussian()


# %% [markdown]
# <details><summary>What to see</summary>
#
# 1. An ellipse along the axes, covariance 0: the coordinates use separate noises.
# 2. Both noises push in the same direction: the cloud collapses onto a line, the determinant is 0. It is still a Gaussian; it just has no density in the plane.
# 3. The points turn by 90 degrees, and nothing else changes, the variances are still 1 and the covariance 0: the round Gaussian does not notice a turn.
# 4. The column *m and A Aᵀ*, and the last row. The points move along the ellipse, the law stays. That is the subject of section 4.
# 5. No, as long as $A$ can be inverted: a point is inside the inner ellipse exactly if its noise is inside the unit circle. It is (02.8), the 39%, for every Gaussian in the plane that has a density there. (A flat $A$ makes the ellipse a segment, and it holds 68%: one dimension again.)
# </details>
#
# ### The density, where there is one
#
# If $A$ is square and invertible, $x$ has a density, by the argument of (02.5): probabilities stay, volumes change, by the factor $|\det A|$. The noise behind $x$ is $e=A^{-1}(x-m)$. So take the density of the noise, divide by $|\det A|$, and, to get rid of $A^{-1}$, use $\lVert A^{-1}(x-m)\rVert^2=(x-m)^\top A^{-\top}A^{-1}(x-m)=(x-m)^\top(AA^\top)^{-1}(x-m)$
# and $|\det A|=\sqrt{\det A\cdot\det A^\top}=\sqrt{\det(AA^\top)}$. With $\Sigma=AA^\top$:
#
# $$p(x)=\frac{(2\pi)^{-d/2}}{|\det A|}e^{-\frac12\lVert A^{-1}(x-m)\rVert^2}=\frac1{\sqrt{(2\pi)^d\det\Sigma}}\exp\Bigl(-\tfrac12(x-m)^\top\Sigma^{-1}(x-m)\Bigr). \tag{02.12}$$
#
# The check goes back to the noise on the left, and takes PyTorch's own multivariate normal on the right.

# %% tags=["nbval-check-output"]
x = law.sample(draw(5, 2, seed=7))
noise_behind = torch.linalg.solve(A, (x - m).T).T
through_noise = torch.exp(-0.5 * noise_behind.square().sum(1)) / (2 * math.pi * torch.linalg.det(A).abs())
equation("02.12", through_noise, torch.distributions.MultivariateNormal(m, A @ A.T).log_prob(x).exp())


# %% [markdown]
# Notice what happened: $A$ is gone from the right side. Only $A A^\top$ and $m$ are left. That is no accident.
#
# ## 4. Moments: the unique name
#
# *Many maps make the same Gaussian. Its mean and its covariance belong to it alone.*
#
# The mean vector is $\mathbb E[x]$. The **covariance** is the matrix $\operatorname{Cov}(x)=\mathbb E\bigl[(x-\mathbb E x)(x-\mathbb E x)^\top\bigr]$, $d\times d$: variances on the diagonal, and beside it, for each pair of coordinates, the mean product of their deviations. For $x=Ae+m$:
#
# $$\mathbb E[x]=A\,\mathbb E[e]+m=m,\qquad\operatorname{Cov}(x)=\mathbb E\bigl[Ae\,(Ae)^\top\bigr]=A\,\mathbb E[ee^\top]\,A^\top=AA^\top. \tag{02.13}$$
#
# Two things were used: expectations pass through matrices (a matrix product is a weighted sum), and $\mathbb E[ee^\top]=I$, because $\mathbb E[e_i^2]=1$ and, for $i\ne j$, $\mathbb E[e_ie_j]=\mathbb E[e_i]\,\mathbb E[e_j]=0$ by independence. Measured, in a million draws:

# %% tags=["nbval-check-output"]
x = law.sample(draw(1_000_000, 2, seed=8))
seen = x - x.mean(0)
measured_mean, measured_cov = x.mean(0), seen.T @ seen / len(x)
print(
    f"mean       {[round(v, 2) for v in measured_mean.tolist()]}\ncovariance {[[round(v, 2) for v in row] for row in measured_cov.tolist()]}"
)
equation("02.13", (measured_mean, measured_cov), (m, A @ A.T), rtol=6e-3)


# %% [markdown]
# It is $AA^\top$, not $A^\top A$. The outer size has to be $d$, the size of $x$; for a $2\times3$ map, $A^\top A$ would be $3\times3$.
#
# ### One Gaussian, many names
#
# Turn the noise before you map it: replace $A$ by $AR$ with $R$ orthogonal ($RR^\top=I$: a rotation or a reflection).
#
# $$(AR)(AR)^\top=A\,RR^\top A^\top=AA^\top. \tag{02.14}$$
#
# The covariance does not notice. Nor does the law: $Re$ has the density of $e$, which depends on the length only, and $R$ changes neither length nor volume. So $ARe+m$ *is* the same Gaussian, each draw different.
# Even the number of noises may differ. Look at the three clouds: which differences can you see, apart from chance?

# %% tags=["nbval-check-output"]
turn = math.radians(75)
R = f64([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
equation("02.14", (A @ R) @ (A @ R).T, A @ A.T)


# %%
wide_map = torch.cat([0.6 * A, 0.8 * A @ R], dim=1)  # 2 x 4: four noises, since 0.36 + 0.64 = 1
maps = {"A, 2 x 2": A, "A R, 2 x 2": A @ R, "four noises, 2 x 4": wide_map}
beside(*[
    plotting.scatter(Gaussian(B, m).sample(draw(700, B.shape[1], seed=9 + i)), ellipses={"1 and 2 std": (m, B @ B.T)}, limits=(-4, 6, -4.5, 4.5), size=(3.1, 3.1), title=name, alt=f"Seven hundred draws with the map {name}: the same tilted ellipse")
    for i, (name, B) in enumerate(maps.items())
])  # fmt: skip


# %% tags=["nbval-check-output"]
for name, B in maps.items():
    print(f"{name:18s} map @ map.T = {[[round(v, 3) for v in row] for row in (B @ B.T).tolist()]}")
flat = f64([[1.0, 2.0], [2.0, 4.0]])
print("Cholesky of [[1, 2], [2, 4]]:", "found" if torch.linalg.cholesky_ex(flat).info == 0 else "refused, rank 1")
print(
    "the eigendecomposition's root squares to it:",
    bool(torch.allclose(sqrt_covariance(flat) @ sqrt_covariance(flat).T, flat)),
)


# %% [markdown]
# ### A square name for every covariance
#
# Given a covariance $\Sigma$, how do you find *some* map? Two recipes are in use.
#
# * **Cholesky** writes $\Sigma=LL^\top$ with $L$ lower triangular. Fast, but the usual algorithm divides by the diagonal as it goes, so it needs full rank: as soon as one direction has no spread, it stops (see the last lines above) or gets through by the luck of rounding: you cannot rely on it.
# * **The eigendecomposition** always works. A covariance is symmetric, and for every $u$: $u^\top\Sigma u=\operatorname{Var}(u^\top x)\ge0$. So (spectral theorem) $\Sigma=V\Lambda V^\top$ with $V$ orthogonal and eigenvalues $\lambda_i\ge0$. Take their roots:
#
# $$A=V\Lambda^{1/2}V^\top\quad\Longrightarrow\quad AA^\top=V\Lambda^{1/2}\,V^\top V\,\Lambda^{1/2}V^\top=V\Lambda V^\top=\Sigma. \tag{02.15}$$
#
# $A=V\Lambda^{1/2}$ alone would do as well (it is the same times an orthogonal matrix). The columns of $V$ are the axes of the ellipse, the $\sqrt{\lambda_i}$ its half-lengths, the standard deviations along the axes. Where $\lambda_i=0$ there is no spread along that axis, and $\sqrt0$ is no problem. Checked on a covariance of rank 2 in three dimensions:

# %% tags=["nbval-check-output"]
cov = draw(3, 2, seed=10) @ draw(3, 2, seed=10).T  # 3 x 3, rank 2
values, V = torch.linalg.eigh(cov)
root = V @ torch.diag(values.clamp(min=0).sqrt()) @ V.T
print("eigenvalues:", [f"{abs(float(v)):.3f}" for v in values])
equation("02.15", root @ root.T, cov)


# %% [markdown]
# (`clamp`, because rounding may turn an eigenvalue 0 into $-10^{-16}$, whose root is `nan`.)
#
# ### Why moments are *the* name
#
# If two maps have the same $AA^\top$ and the same $m$, they make the same law. Not only the same mean and variances: the same everything. That is special to Gaussians, and it is what makes the rest of this page easy: **to identify a Gaussian, compute its mean and its covariance, by whatever route is shortest.**
# So we write $N(m,\Sigma)$ from now on.
#
# <details><summary>Proof</summary>
#
# Let $x=Ae+m$ with $A$ of size $d\times k$. If $k\lt d$, append columns of zeros to $A$ and new noises to $e$: neither $Ae$ nor $AA^\top$ changes. So let $k\ge d$. The singular value decomposition writes $A=W\,[\,D\;\;0\,]\,Z^\top$ with $W$ ($d\times d$) and $Z$ ($k\times k$) orthogonal, and $D$ diagonal with entries $\ge0$. Then
#
# * $Z^\top e$ is standard noise in $\mathbb R^k$ (turning does not change the law of $e$), and $[D\;\;0]$ uses its first $d$ coordinates only: so $Ae$ has the law of $WDe'$, with $e'$ standard noise in $\mathbb R^d$;
# * $W^\top e''$ is standard noise if $e''$ is. So $WDe'$ has the law of $WDW^\top e''$.
#
# The matrix $S=WDW^\top$ is symmetric, has eigenvalues $\ge0$, and $S^2=WD^2W^\top=AA^\top$. There is only *one* such $S$: the symmetric square root is unique. (If $S$ is such a root with $Sv=\mu v$, then $\Sigma v=\mu^2v$. So each eigenspace of $S$, for $\mu$, lies in the eigenspace of $\Sigma$ for $\mu^2$. Since $\mu\ge0$ is determined by $\mu^2$, and the eigenspaces of $S$ together span the
# space, they *are* the eigenspaces of $\Sigma$; so $S$ acts on each as multiplication by the root of its eigenvalue, and is determined.) Hence $Ae$ has the law of $Se''$, where $S$ depends on $AA^\top$ alone. ∎
# </details>
#
# <details><summary><b>Question.</b> Two laws have the same mean and the same covariance. Are they the same?</summary>
#
# If both are Gaussian, yes; that was the proof. Otherwise, no: Student's law in section 1 had the normal's mean and variance, and section 8 shows a cloud of digits and a cloud of smears with the same 784 means and the same 307,720 variances and covariances. Moments are the unique name *within the family*.
# </details>

# %% [markdown]
# ### Exercise 02.2: covariance and mean of an affine map (1 point)


# %% tags=["exercise-02.2"]
def affine_moments(A: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
    """Return (mean, covariance) of x = A e + m, of shapes (d,) and (d, d).

    A  map (d, k): any sizes;  m  translation (d,)
    """
    ### BEGIN SOLUTION
    return m.clone(), A @ A.T
    ### END SOLUTION


# %% tags=["check-02.2"]
check("02.2", affine_moments)


# %% [markdown]
# ## 5. Spherical: A = sigma I
#
# *The same width in every direction: one number instead of a matrix. It is all that noise on pictures ever needs.*
#
# The simplest map is $\sigma I$. Its covariance is $\sigma^2I$: independent coordinates, each with standard deviation $\sigma$. The determinant of $\sigma^2I$ is $\sigma^{2d}$, so (02.12) becomes, in logarithms (your answer to 02.1),
#
# $$\log N(x;\,m,\sigma^2I)=-\frac{\lVert x-m\rVert^2}{2\sigma^2}-d\log\sigma-\frac d2\log(2\pi). \tag{02.16}$$
#
# Read it from left to right: *a squared distance*, plus things that do not depend on $x$. This is why squared errors are everywhere in the course: maximising the likelihood of a Gaussian with a fixed width is minimising a squared distance. Checked on images: the general formula with a 784 x 784 covariance on the left, a sum of 784 one-dimensional ones on the right.

# %% tags=["nbval-check-output"]
pictures = digits("train").images[:3].double().flatten(1)
noisy = pictures + 0.5 * draw(3, 784, seed=11)
general = torch.stack(
    [Gaussian.spherical(picture, 0.5).log_density(x) for picture, x in zip(pictures, noisy, strict=True)]
)
per_pixel = torch.distributions.Normal(pictures, 0.5).log_prob(noisy)
equation("02.16", general, per_pixel.sum(1))


# %% [markdown]
# A general Gaussian on pictures of 784 pixels has 784 means and $784\cdot785/2=307{,}720$ different entries in its covariance. A spherical one has one number for the width. When the course writes $q(x_t\mid x_0)=N(\alpha_tx_0,\sigma_t^2I)$, it means, with two numbers $\alpha_t$ and $\sigma_t$ for each time $t$, $x_t=\alpha_tx_0+\sigma_te$: the map $\sigma_tI$, the translation $\alpha_tx_0$. You can already read every formula of notebook 03.
#
# <details><summary><b>Question.</b> Is A = sigma R, with R a rotation, spherical too? And is "spherical" the same as "independent coordinates"?</summary>
#
# Yes: $(\sigma R)(\sigma R)^\top=\sigma^2I$. No: independent coordinates may have different widths, $\Sigma=\operatorname{diag}(\sigma_1^2,\dots,\sigma_d^2)$, an ellipse along the axes. In that case turning the coordinate system makes them, in general, dependent. Only the spherical one stays independent in every coordinate system.
# </details>

# %% [markdown]
# ## 6. Six properties
#
# *Each property is one line about $A$ and $m$. (a) to (c) build a noising process, (d) undoes it, (e) and (f) measure.*
#
# ### (a) An affine map of a Gaussian is a Gaussian
#
# Let $x=Be+b$ be a Gaussian, and map it once more, with $A$ and $m$. Put one into the other:
#
# $$A\,(Be+b)+m=(AB)\,e+(Ab+m). \tag{02.17}$$
#
# This has the form "matrix times standard noise plus vector", so by definition it is a Gaussian, with the map $AB$ and the translation $Ab+m$. There is nothing more to prove. The check maps draws on the left, and asks the library's `compose` for a law on the right.

# %% tags=["nbval-check-output"]
B, b = f64([[0.9, -0.4, 0.2], [0.1, 0.7, 1.1]]), f64([0.5, 2.0])
e = draw(6, 3, seed=12)
x = e @ B.T + b
equation("02.17", x @ A.T + m, compose(A, m, Gaussian(B, b)).sample(e))


# %% [markdown]
# In moments: $N(\mu,\Sigma)$ becomes $N(A\mu+m,\;A\Sigma A^\top)$. A number that scales a picture scales its standard deviation, and its variance by the *square*.
#
# Three things you get for free. **Some of the coordinates** of a Gaussian are a Gaussian: let $A$ pick rows of the identity. **Every projection** $u^\top x$ is a Gaussian on the line, with variance $u^\top\Sigma u$: let $A$ be the row $u^\top$. And every Gaussian with an invertible covariance $\Sigma=V\Lambda V^\top$ can be **whitened**, back to standard noise: let $A=\Sigma^{-1/2}=V\Lambda^{-1/2}V^\top$ and $m=-A\mu$.
#
# <details><summary><b>Question.</b> In which order do the maps multiply if you first turn, then stretch, then turn back? And is the order important for the mean?</summary>
#
# The first map stands on the right: $R^\top SR\,e$. The mean is treated like any point: first $R$, then $S$, then $R^\top$, and each translation goes through all *later* maps but none of the earlier ones; that is the $Ab$ in $Ab+m$.
# </details>

# %% [markdown]
# ### Exercise 02.3: compose (2 points)
#
# First $x=Be+b$, then $Ax+m$, *and then the same map once more*: $A(Ax+m)+m$. What are the map and the translation of the whole?


# %% tags=["exercise-02.3"]
def composed(A: Tensor, m: Tensor, B: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return (map, translation) of e -> A (A (B e + b) + m) + m, of shapes (d, k) and (d,).

    A  (d, d), m (d,): the map that is applied twice
    B  (d, k), b (d,): the map that is applied first
    """
    ### BEGIN SOLUTION
    return A @ A @ B, A @ (A @ b + m) + m
    ### END SOLUTION


# %% tags=["check-02.3"]
check("02.3", composed)


# %% [markdown]
# ### (b) A sum of independent Gaussians is a Gaussian: covariances add
#
# Let $x=Ae+m$ and $y=Be'+b$ on the same $\mathbb R^d$, with *independent* noises $e$ and $e'$. Stack the two noises into one longer noise vector, which is standard noise too, and put the matrices side by side:
#
# $$x+y=[\,A\;\;B\,]\begin{bmatrix}e\\e'\end{bmatrix}+(m+b),\qquad[\,A\;\;B\,][\,A\;\;B\,]^\top=AA^\top+BB^\top. \tag{02.18}$$
#
# Means add, covariances add. (Standard deviations do not: on the line, $\sqrt{\sigma^2+\tau^2}$, a hypotenuse.) Here is why non-square maps were allowed; the library's `add` does exactly this. The check measures the covariance of sums of a million pairs.

# %% tags=["nbval-check-output"]
first, second = Gaussian(A, m), Gaussian(B, b)
sums = first.sample(draw(1_000_000, 2, seed=13)) + second.sample(draw(1_000_000, 3, seed=14))
equation("02.18", (sums.mean(0), torch.cov(sums.T)), (m + b, A @ A.T + B @ B.T), rtol=6e-3)


# %% [markdown]
# **Independent** is essential. $x+x=2x$ has variance $4\sigma^2$, the sum of two independent draws $2\sigma^2$. In general $\operatorname{Cov}(x+y)=\operatorname{Cov}(x)+\operatorname{Cov}(y)+\operatorname{Cov}(x,y)+\operatorname{Cov}(x,y)^\top$,
# where $\operatorname{Cov}(x,y)=\mathbb E\bigl[(x-\mathbb Ex)(y-\mathbb Ey)^\top\bigr]$, for $x\in\mathbb R^d$ and $y\in\mathbb R^n$ a $d\times n$ matrix. It is linear in each argument, $\operatorname{Cov}(Bx,y)=B\operatorname{Cov}(x,y)$ and $\operatorname{Cov}(x,By)=\operatorname{Cov}(x,y)B^\top$, and $\operatorname{Cov}(x,x)=\operatorname{Cov}(x)$. If it is 0, $x$ and $y$ are called *uncorrelated*.
#
# **A sum is not a mixture.** To *add*, you draw from both and add the numbers. To *mix*, you toss a coin and draw from one of the two; the other is never drawn. "The sum of two densities" is (up to a half) the mixture's density, not the density of the sum. Look at the number of heaps:

# %%
left_heap, right_heap = 1.0 * draw(60_000, seed=15) - 3.0, 0.6 * draw(60_000, seed=16) + 2.0
coin = torch.rand(60_000, generator=torch.Generator().manual_seed(17)) < 0.5
plotting.histograms(
    {"sum of two draws": left_heap + right_heap, "one of the two, by a coin": torch.where(coin, left_heap, right_heap)}, bins=120, xlabel="x", size=(7, 3.2),
    alt="Histogram of the sum: one bell around -1; histogram of the mixture: two heaps around -3 and 2",
)  # fmt: skip


# %% [markdown]
# A mixture has means and variances too, and its variance is *not* the mean of the variances. With weights $w_k$, means $m_k$, covariances $\Sigma_k$ and $\bar m=\sum_kw_km_k$:
#
# $$\operatorname{Cov}(\text{mixture})=\underbrace{\sum_kw_k\Sigma_k}_{\text{within the heaps}}+\underbrace{\sum_kw_k\,(m_k-\bar m)(m_k-\bar m)^\top}_{\text{between the heaps}}. \tag{02.19}$$
#
# <details><summary>Proof</summary>
#
# Given the component $k$, write $x-\bar m=(x-m_k)+(m_k-\bar m)$. The product $(x-\bar m)(x-\bar m)^\top$ has four terms. The mean of the first, $(x-m_k)(x-m_k)^\top$, is $\Sigma_k$. The two mixed terms have mean 0, because $\mathbb E[x-m_k]=0$ given $k$. The fourth is the constant $(m_k-\bar m)(m_k-\bar m)^\top$. Averaging over $k$ with the weights gives the formula. ∎
# </details>
#
# The check uses the course's mixture in the plane, three bumps that you will meet again and again, and *integrates* its density on a grid for the left side.

# %% tags=["nbval-check-output"]
bumps = toys.mixture_2d()
axis = line(-3, 3, 301)
plane = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
mass = bumps.log_density(plane).exp() * (axis[1] - axis[0]) ** 2  # probability of each little square
centred = plane - mass @ plane
by_grid = (mass[:, None] * centred).T @ centred
within = (bumps.weights * bumps.stds**2).sum() * torch.eye(2)
apart = bumps.means - bumps.weights @ bumps.means
print(
    f"variances: within {float(within[0, 0]):.3f}, {float(within[1, 1]):.3f}; in all {float(by_grid[0, 0]):.3f}, {float(by_grid[1, 1]):.3f}"
)
equation("02.19", by_grid, within + (bumps.weights[:, None] * apart).T @ apart)


# %% [markdown]
# ### (c) Chaining: a sample becomes the next mean
#
# Two planks. You want planks of length $\mu$. You measure and saw the first: it comes out as $x\sim N(\mu,\sigma^2)$. The second plank is cut *to match the first*, not the drawing: laid beside it and sawn, with the saw's own wobble, $y\mid x\sim N(x,\tau^2)$. The sample has become the mean. How long is the second plank, if you do not know the first?
#
# Every noising process of this course is such a chain of planks. First the honest long way. The second length is $y$ if the first was *some* $x$ and the saw then missed by $y-x$. Add up all possible $x$:
#
# $$p(y)=\int N(y;\,x,\tau^2)\;N(x;\,\mu,\sigma^2)\,\mathrm dx. \tag{02.20}$$
#
# This is a **convolution**: the bell of the first plank, smeared with the bell of the saw. Do not solve it yet. Let the computer add strips for every $y$, against a count of three million sawn planks:


# %% tags=["nbval-check-output"]
def normal(x, mean, std):
    return bell((x - mean) / std) / (std * math.sqrt(2 * math.pi))


mu, sigma, tau = 2.0, 0.03, 0.04
strips = line(1.7, 2.3, 2001)
at = f64([1.95, 2.0, 2.03])
integral = torch.stack([torch.trapezoid(normal(y, strips, tau) * normal(strips, mu, sigma), strips) for y in at])
planks = mu + sigma * draw(3_000_000, seed=18)
planks = planks + tau * draw(3_000_000, seed=19)
counted = torch.stack([((planks - y).abs() < 0.0025).double().mean() / 0.005 for y in at])
equation("02.20", counted, integral, rtol=8e-3)


# %%
y = line(1.75, 2.25, 301)
whole = torch.stack([torch.trapezoid(normal(each, strips, tau) * normal(strips, mu, sigma), strips) for each in y])
plotting.curves(
    {"first plank": normal(y, mu, sigma), "the saw alone, around 2": normal(y, mu, tau), "second plank, by the integral": whole},
    x=y, xlabel="length in m", ylabel="density",
    alt="Three bells around 2 metres: the first plank's narrow one, the saw's wider one, and the second plank's, the widest",
)  # fmt: skip


# %% tags=["nbval-check-output"]
area, spread = torch.trapezoid(whole, y), torch.trapezoid(whole * (y - mu) ** 2, y).sqrt()
print(
    f"area {float(area):.3f}, standard deviation {float(spread):.3f} m; sigma + tau = {sigma + tau:.3f}, sqrt(sigma² + tau²) = {math.hypot(sigma, tau):.3f}"
)


# %% [markdown]
# The integral seems to be a bell again, with standard deviation 0.05, the hypotenuse of 0.03 and 0.04. That is so:
#
# $$\int N(y;\,x,\tau^2)\,N(x;\,\mu,\sigma^2)\,\mathrm dx=N(y;\,\mu,\;\sigma^2+\tau^2). \tag{02.21}$$

# %% tags=["nbval-check-output"]
equation("02.21", whole, normal(y, mu, math.sqrt(sigma**2 + tau**2)))


# %% [markdown]
# <details><summary>The derivation in full, by completing the square. (Read it once in your life; then see below.)</summary>
#
# Shift so that $\mu=0$. Write $S=\sigma^2+\tau^2$. The integrand is $\frac1{2\pi\sigma\tau}e^{-E/2}$ with $E=\frac{(y-x)^2}{\tau^2}+\frac{x^2}{\sigma^2}$. Sort $E$ by powers of $x$:
#
# $E=x^2\Bigl(\frac1{\tau^2}+\frac1{\sigma^2}\Bigr)-2x\,\frac y{\tau^2}+\frac{y^2}{\tau^2}$. The bracket is $\frac{\sigma^2+\tau^2}{\sigma^2\tau^2}=\frac1{v}$, with $v=\frac{\sigma^2\tau^2}{S}$.
#
# Complete the square: $E=\frac1v\Bigl(x^2-2x\,\frac{v\,y}{\tau^2}\Bigr)+\frac{y^2}{\tau^2}=\frac1v\Bigl(x-\frac{v\,y}{\tau^2}\Bigr)^2-\frac{v\,y^2}{\tau^4}+\frac{y^2}{\tau^2}$.
#
# The last two terms: $\frac{y^2}{\tau^2}\Bigl(1-\frac v{\tau^2}\Bigr)=\frac{y^2}{\tau^2}\Bigl(1-\frac{\sigma^2}S\Bigr)=\frac{y^2}{\tau^2}\cdot\frac{\tau^2}S=\frac{y^2}S$. The variable $x$ has left them.
#
# So the integral is $\frac1{2\pi\sigma\tau}\,e^{-y^2/(2S)}\int\exp\Bigl(-\frac{(x-vy/\tau^2)^2}{2v}\Bigr)\mathrm dx$. The remaining integral is a bell of width $\sqrt v$, whose area is $\sqrt{2\pi v}$ whatever its centre: (02.2), stretched. And $\frac{\sqrt{2\pi v}}{2\pi\sigma\tau}=\frac{1}{\sqrt{2\pi}}\cdot\frac{\sigma\tau/\sqrt S}{\sigma\tau}=\frac1{\sqrt{2\pi S}}$. Together: $\frac1{\sqrt{2\pi S}}e^{-y^2/(2S)}=N(y;0,S)$. ∎
#
# (The bell inside, with centre $vy/\tau^2=\frac{\sigma^2}{\sigma^2+\tau^2}y$ and variance $\frac{\sigma^2\tau^2}{\sigma^2+\tau^2}$, is what is known about $x$ once $y$ is seen. It comes back in property (d), without the labour.)
# </details>
#
# **And now in one line.** The first plank is $x=\mu+\sigma e$. The second is $y=x+\tau e'=\mu+\sigma e+\tau e'$. That is a sum; by (b) it is $N(\mu,\sigma^2+\tau^2)$. Done. Nobody integrated.
#
# With a matrix in between, so that the next mean is $Ax$, and with noise of covariance $Q$, (a) and (b) together give the law of $y=Ax+\text{noise}$:
#
# $$x\sim N(\mu,\Sigma),\quad y\mid x\sim N(Ax,\,Q)\qquad\Longrightarrow\qquad y\sim N\bigl(A\mu,\;A\Sigma A^\top+Q\bigr). \tag{02.22}$$
#
# The check takes the left side the hard way once more: it *adds up* $p(y\mid x)\,p(x)$ over a fine grid of the plane, at three $y$; the right side is the density of the library's `chain`.

# %% tags=["nbval-check-output"]
prior, step = Gaussian(A, m), f64([[0.8, 0.1], [-0.2, 0.9]])
Q = f64([[0.3, 0.1], [0.1, 0.2]])
axis = line(-9, 9, 361)
plane = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
mass = prior.log_density(plane).exp() * (axis[1] - axis[0]) ** 2
at = f64([[0.5, 0.0], [2.0, -1.0], [0.0, -1.5]])
summed = torch.stack([(mass * Gaussian.from_moments(y, Q).log_density(plane @ step.T).exp()).sum() for y in at])
equation("02.22", summed, chain(prior, step, Q).log_density(at).exp())


# %% [markdown]
# A noising process is this, over and over, with $A$ a number, at most 1, and $Q$ a multiple of $I$. A thousand steps are a thousand affine maps, and composed they are *one*: this is why notebook 03 can jump from the clean picture to any time at once. (Pixel flips could do that too; but there two steps were not a step of the same kind with other numbers. Here they are.)
#
# <details><summary><b>Question.</b> Ten planks are cut, each to match the one before. Ten others are each cut to match the first. How long is the last plank of either kind?</summary>
#
# Matching the one before, the wobbles pile up: the $n$-th copy has variance $\sigma^2+n\tau^2$, so the tenth $\sigma^2+10\,\tau^2$. Matching the first, every copy has $\sigma^2+\tau^2$. The mean is $\mu$ in both cases. Chains of samples drift, a random walk. Every carpenter knows it; so does every diffusion.
# </details>

# %% [markdown]
# ### Exercise 02.4: sum and chain (2 points)
#
# Two laws: $x\sim N(\mu,\Sigma)$, and noise $\sim N(b,Q)$, whose mean $b$ need not be 0. Return the moments of the sum $x+\text{noise}$, and of a chain of `steps` steps, each of which replaces $x$ by $Ax+{}$**fresh** noise. With no step, the chain's law is that of $x$.


# %% tags=["exercise-02.4"]
def sum_and_chain(mu: Tensor, cov: Tensor, b: Tensor, Q: Tensor, A: Tensor, steps: int) -> tuple:
    """Return ((mean, covariance) of x + noise, (mean, covariance) after `steps` steps x -> A x + noise); (d,) and (d, d) each.

    mu, cov  mean (d,) and covariance (d, d) of x
    b, Q     mean (d,) and covariance (d, d) of the noise; it is independent of x and drawn afresh in each step
    A        (d, d);  steps  0, 1, 2, ...
    """
    ### BEGIN SOLUTION
    total = (mu + b, cov + Q)
    for _ in range(steps):
        mu, cov = A @ mu + b, A @ cov @ A.T + Q
    return total, (mu.clone(), cov.clone())
    ### END SOLUTION


# %% tags=["check-02.4"]
check("02.4", sum_and_chain)


# %% [markdown]
# ### A map that grows, and how to shorten it
#
# Chaining by maps has a price: each step appends columns. After 200 steps in the plane the map is $2\times402$, one pair of columns for each wobble. It is a correct name, and a long one. The unique name is short. So form $\Sigma=AA^\top$ and take a square root of it: back to $2\times2$, the same law.

# %% tags=["nbval-check-output"]
law = Gaussian(torch.eye(2).double(), f64([1.0, 0.0]))
for _ in range(200):
    law = chain(law, 0.98 * R, 0.04 * f64([[1.0, 0.9], [0.9, 1.0]]))
short = Gaussian.from_moments(law.mean, law.cov)
print("map after 200 steps:", tuple(law.map.shape), " shortened:", tuple(short.map.shape))
print("same mean and covariance:", torch.allclose(law.cov, short.cov) and torch.equal(law.mean, short.mean))

# %% [markdown]
# ### Exercise 02.5: a map for a covariance, singular ones too (2 points)
#
# Write that shortening step yourself. Many answers are right, so the check looks at $AA^\top$ only.


# %% tags=["exercise-02.5"]
def root_of(cov: Tensor) -> Tensor:
    """Return a square map A, (d, d), of real numbers, with A A^T = cov.

    cov  a covariance (d, d): symmetric, eigenvalues not negative (but for rounding), some perhaps 0; its entries may be tiny or large
    """
    ### BEGIN SOLUTION
    values, vectors = torch.linalg.eigh(cov)
    return vectors * values.clamp(min=0).sqrt()
    ### END SOLUTION


# %% tags=["check-02.5"]
check("02.5", root_of)


# %% [markdown]
# ### (d) Conditioning: you see $y$, what is $x$?
#
# The chain runs forward: from the first plank to the second. Now the second plank lies before you. What do you know about the first? This is the question behind every reverse step of diffusion, so take your time here.
#
# **Bayes' rule in five minutes, with a pixel.** A pixel is white with probability 0.2. It is read through a noisy line, which flips it with probability 0.1. You *see* white. Is it white?
#
# Take 1000 such pixels. 200 are white, of which 180 are seen white (and 20 black). 800 are black, of which 80 are seen white. So 260 are seen white, and of these 180 are white: 69%, not 90%. That is all of Bayes' rule: **list the ways to get what you saw, and take each one's share.**
#
# $$p(x\mid y)=\frac{p(y\mid x)\,p(x)}{\sum_{x'}p(y\mid x')\,p(x')}. \tag{02.23}$$
#
# $p(x)$, what was known before, is the **prior**; $p(y\mid x)$ as a function of $x$ is the **likelihood** (of $x$; it need not sum to 1 over $x$); $p(x\mid y)$ is the **posterior**. Check: three million simulated pixels on the left, the rule on the right.

# %% tags=["nbval-check-output"]
generator = torch.Generator().manual_seed(20)
white = torch.rand(3_000_000, generator=generator) < 0.2
seen_white = white ^ (torch.rand(3_000_000, generator=generator) < 0.1)
share = white[seen_white].double().mean()
print(f"white among the pixels seen white: {100 * float(share):.1f} %")
equation("02.23", share, 0.9 * 0.2 / (0.9 * 0.2 + 0.1 * 0.8), rtol=5e-3)


# %% [markdown]
# <details><summary><b>Question.</b> Why does a 90% reliable line give only 69% certainty?</summary>
#
# Because black is common. One in ten of the many black pixels looks white, and they compete with nine in ten of the few white ones. With a prior of 0.5 the answer would be 90%. The prior counts as much as the evidence: keep this in mind when a denoiser "sees" a digit in noise. It is what digits usually look like that decides.
# </details>
#
# For densities the rule is the same, with an integral in the denominator. For a Gaussian prior and Gaussian noise you could multiply the two bells and complete the square. The affine way is shorter, and it shows *why* the answer is what it is. It needs one fact.
#
# **Uncorrelated is independent, if jointly Gaussian.** Independent variables always have covariance 0. The converse is false in general. It is true if the two are *jointly* Gaussian, that is, if the vector that holds both, $\begin{bmatrix}u\\v\end{bmatrix}$, is an affine map of one standard noise.
#
# <details><summary>Proof, by names</summary>
#
# Let $\begin{bmatrix}u\\v\end{bmatrix}$ be Gaussian with mean $\begin{bmatrix}m_u\\m_v\end{bmatrix}$ and covariance $\begin{bmatrix}\Sigma_u&0\\0&\Sigma_v\end{bmatrix}$. Take roots $S_uS_u^\top=\Sigma_u$ and $S_vS_v^\top=\Sigma_v$, and *build* a vector out of two separate noises: $\begin{bmatrix}S_u&0\\0&S_v\end{bmatrix}\begin{bmatrix}e\\e'\end{bmatrix}+\begin{bmatrix}m_u\\m_v\end{bmatrix}$.
# It is Gaussian with the same mean and the same covariance. The moments are the unique name (section 4), so it has the *same law*. In the built vector, the upper part uses $e$ only and the lower part $e'$ only: they are independent. Independence is a property of the law, so $u$ and $v$ are independent too. ∎
# </details>
#
# **Beware: "jointly" cannot be dropped.** Take standard noise $e$ and a fair coin $c=\pm1$, and let $u=e$, $v=c\,e$. Both are standard normal. Their covariance is $\mathbb E[c\,e^2]=\mathbb E[c]\,\mathbb E[e^2]=0$. But $|u|=|v|$, always: know one, and you know the other up to its sign. They are not jointly Gaussian ($u+v$ is exactly 0 half of the time; no Gaussian with a spread does that). Look at the picture for what zero correlation does not see.

# %%
u = draw(1500, seed=21)
v = torch.where(torch.rand(1500, generator=torch.Generator().manual_seed(22)) < 0.5, u, -u)
beside(
    plotting.scatter(torch.stack([u, v], 1), limits=(-3.5, 3.5, -3.5, 3.5), xlabel="u", ylabel="v = ± u", title="uncorrelated, dependent", size=(3.6, 3.6), alt="Points on a cross: each coordinate is normal, the correlation is zero, and yet one determines the other up to sign"),
    plotting.scatter(torch.stack([u, draw(1500, seed=23)], 1), limits=(-3.5, 3.5, -3.5, 3.5), xlabel="u", ylabel="v", title="uncorrelated, jointly Gaussian", size=(3.6, 3.6), alt="A round cloud of independent standard normal pairs"),
)  # fmt: skip


# %% tags=["nbval-check-output"]
u = draw(400_000, seed=24)
coin = torch.rand(400_000, generator=torch.Generator().manual_seed(25)) < 0.5
for name, v in {"± u": torch.where(coin, u, -u), "independent": draw(400_000, seed=26)}.items():
    squares = torch.corrcoef(torch.stack([u**2, v**2]))[0, 1]
    print(
        f"v = {name:11s}: correlation of u and v {abs(float(torch.corrcoef(torch.stack([u, v]))[0, 1])):.2f}, of their squares {abs(float(squares)):.2f}"
    )


# %% [markdown]
# **The residual trick.** Prior $x\sim N(\mu,\Sigma)$; you see $y=x+\text{noise}$, noise $\sim N(0,Q)$ independent of $x$. Guess $x$ by an affine function of $y$, and look at what remains: the **residual**
#
# $$r=(x-\mu)-G\,(y-\mu)=(I-G)(x-\mu)-G\cdot\text{noise},\qquad G=\Sigma\,(\Sigma+Q)^{-1}. \tag{02.24}$$
#
# The matrix $G$, the **gain**, is chosen to make $r$ and $y$ uncorrelated. Look: $\operatorname{Cov}(x,y)=\operatorname{Cov}(x,\,x+\text{noise})=\operatorname{Cov}(x,x)+0=\Sigma$ and, by (b), $\operatorname{Cov}(y)=\Sigma+Q$, which has to be invertible. So $\operatorname{Cov}(r,y)=\operatorname{Cov}(x,y)-G\operatorname{Cov}(y)=\Sigma-G\,(\Sigma+Q)$, and this is 0 for exactly the $G$ above. Both $r$ and $y$ are affine maps of the same noises (those of $x$ and of the observation), so they are *jointly* Gaussian; being uncorrelated, they are **independent**. What remains is independent of what was seen. The check: $G\operatorname{Cov}(y)$ with measured covariances against the measured $\operatorname{Cov}(x,y)$.

# %% tags=["nbval-check-output"]
mu, cov, Q = f64([0.5, -0.5]), f64([[1.2, 0.5], [0.5, 0.8]]), f64([[0.5, 0.2], [0.2, 0.6]])
G = cov @ torch.linalg.inv(cov + Q)
x = Gaussian.from_moments(mu, cov).sample(draw(400_000, 2, seed=27))
noise = Gaussian.from_moments(f64([0, 0]), Q).sample(draw(400_000, 2, seed=28))
y = x + noise
both = torch.cov(torch.cat([x, y], 1).T)  # 4 x 4
r = (x - mu) - (y - mu) @ G.T
print(f"largest correlation of r and y: {float(torch.corrcoef(torch.cat([r, y], 1).T)[:2, 2:].abs().max()):.2f}")
equation(
    "02.24", (G @ both[2:, 2:], r), (both[:2, 2:], (x - mu) @ (torch.eye(2) - G).T - noise @ G.T), rtol=8e-3, atol=1e-9
)


# %% [markdown]
# Now solve for $x$: it is a known function of $y$ plus something independent of $y$,
#
# $x=\mu+G(y-\mu)+r$.
#
# Seeing $y$ fixes the middle and tells nothing about $r$; and $r$ has mean 0. So given $y$, $x$ is Gaussian, with mean $\mu+G(y-\mu)$ and the covariance of $r$ (with the $G$ of (02.24), so $\Sigma+Q$ is invertible here, too):
#
# $$x\mid y\;\sim\;N\bigl(\mu+G(y-\mu),\;(I-G)\Sigma\bigr). \tag{02.25}$$
#
# <details><summary>Why is the covariance of r equal to (I - G) Σ?</summary>
#
# $r$ is uncorrelated with $y$, so $\operatorname{Cov}(r,r)=\operatorname{Cov}(r,\;x-\mu-G(y-\mu))=\operatorname{Cov}(r,x)-\operatorname{Cov}(r,y)\,G^\top=\operatorname{Cov}(r,x)$. And $\operatorname{Cov}(r,x)=\operatorname{Cov}(x,x)-G\operatorname{Cov}(y,x)=\Sigma-G\Sigma$, because $\operatorname{Cov}(y,x)=\operatorname{Cov}(x+\text{noise},x)=\Sigma$. ∎
# </details>
#
# The check knows nothing of this: it takes Bayes' rule on a grid. At every point of the plane, prior times likelihood; divided by the sum; then mean and covariance of the resulting weights.


# %% tags=["nbval-check-output"]
def moments_on(points, log_weights):
    """Mean and covariance of points (N, d) with these log weights (N,), not yet normalised."""
    weights = torch.softmax(log_weights, 0)
    centre = weights @ points
    return centre, (weights[:, None] * (points - centre)).T @ (points - centre)


axis = line(-7, 7, 351)
plane = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
seen = f64([2.0, 0.3])
log_prior = Gaussian.from_moments(mu, cov).log_density(plane)
log_likelihood = Gaussian.from_moments(seen, Q).log_density(plane)  # of y = seen, at each x: symmetric in x and y
equation("02.25", moments_on(plane, log_prior + log_likelihood), (mu + G @ (seen - mu), (torch.eye(2) - G) @ cov))


# %%
posterior = condition(Gaussian.from_moments(mu, cov), seen, Q)
close = (y - seen).abs().amax(1) < 0.1
plotting.scatter(
    {"x, all draws": x[:1000], "x of draws with y near the cross": x[close][:200], "seen: y": seen.repeat(40, 1) + torch.cat([torch.stack([line(-0.25, 0.25, 20), torch.zeros(20).double()], 1), torch.stack([torch.zeros(20).double(), line(-0.25, 0.25, 20)], 1)])},
    ellipses={"prior": (mu, cov), "posterior, by the formula": (posterior.mean, posterior.cov)}, limits=(-4, 5, -4, 5), xlabel="x₁", ylabel="x₂",
    alt="Draws of the prior; among those whose observation fell near the cross, x lies in a smaller ellipse between the prior's mean and the observation, as the formula says",
)  # fmt: skip


# %% [markdown]
# **On the line** it becomes something to keep for life. With prior variance $\sigma^2$ and noise variance $\tau^2$, the gain is $\sigma^2/(\sigma^2+\tau^2)$, and multiplying out:
#
# $$\text{mean}=\frac{\tau^2\,\mu+\sigma^2\,y}{\sigma^2+\tau^2},\qquad\text{variance}=\frac{\sigma^2\tau^2}{\sigma^2+\tau^2},\qquad\text{that is}\quad\frac1{\text{variance}}=\frac1{\sigma^2}+\frac1{\tau^2}. \tag{02.26}$$
#
# Read it aloud. The posterior mean lies *between* the prior mean and the observation. The *less noisy* of the two pulls harder (note that the weights are crossed: the observation's weight has the prior's variance). Certainties add: one over the variance is called **precision**. And the variance does not depend on what was seen. The check: strips.

# %% tags=["nbval-check-output"]
mu1, s, tau, y1 = 1.0, 0.8, 0.5, 2.5
points = line(-6, 8, 4001)[:, None]
log_weights = -0.5 * ((points[:, 0] - mu1) / s) ** 2 - 0.5 * ((y1 - points[:, 0]) / tau) ** 2
centre, variance = moments_on(points, log_weights)
formula = ((tau**2 * mu1 + s**2 * y1) / (s**2 + tau**2), 1 / (1 / s**2 + 1 / tau**2))
print(f"posterior mean {formula[0]:.3f}, standard deviation {math.sqrt(formula[1]):.3f}")
product_form = s**2 * tau**2 / (s**2 + tau**2)
equation("02.26", (centre[0], variance[0, 0], variance[0, 0]), (*formula, product_form))


# %% [markdown]
# Look how the posterior moves when the observation gets worse. Which of the two does it resemble at the ends?

# %%
grid = line(-2.5, 10, 500)
pictures = []
for noise_std in (0.2, 0.8, 3.0):
    law = condition(Gaussian.spherical(f64([mu1]), s), f64([y1]), f64([[noise_std**2]]))
    bells = {
        "prior": normal(grid, mu1, s),
        "likelihood of x": normal(grid, y1, noise_std),
        "posterior": normal(grid, law.mean, law.cov[0].sqrt()),
    }
    pictures.append(plotting.curves(bells, x=grid, xlabel="x", ylabel="density", title=f"noise std {noise_std}", size=(3.3, 2.9), alt=f"Prior around 1, likelihood around 2.5 with noise {noise_std}, and the posterior between them, narrower than both"))  # fmt: skip
beside(*pictures)


# %% [markdown]
# **In general** you may see only part of $x$, or a mixture of its coordinates: $y=Hx+\text{noise}$ with an $n\times d$ matrix $H$. The same trick with $\operatorname{Cov}(x,y)=\Sigma H^\top$ and $\operatorname{Cov}(y)=H\Sigma H^\top+Q$, again invertible, gives
#
# $$G=\Sigma H^\top(H\Sigma H^\top+Q)^{-1},\qquad x\mid y\sim N\bigl(\mu+G(y-H\mu),\;(I-GH)\Sigma\bigr). \tag{02.27}$$
#
# (Engineers call this the update of the Kalman filter.) Here $H=[1\;\;0]$ observes the first coordinate only; on the grid as before. The second coordinate learns from it too, because the two are correlated.

# %% tags=["nbval-check-output"]
H, y1, Q1 = f64([[1.0, 0.0]]), f64([2.0]), f64([[0.1]])
G = cov @ H.T @ torch.linalg.inv(H @ cov @ H.T + Q1)
by_formula = (mu + G @ (y1 - H @ mu), (torch.eye(2) - G @ H) @ cov)
by_bayes = moments_on(plane, log_prior - 0.5 * (y1 - plane @ H.T).square().sum(1) / 0.1)
print(
    f"second coordinate: before {float(mu[1]):.3f} ± {float(cov[1, 1].sqrt()):.3f}, after {float(by_bayes[0][1]):.3f} ± {float(by_bayes[1][1, 1].sqrt()):.3f}"
)
equation("02.27", by_bayes, by_formula)


# %% [markdown]
# <details><summary><b>Question.</b> What do the formulas give for an observation without noise (Q = 0, H = I)? And for infinitely much noise? And if x has no spread at all?</summary>
#
# Without noise $G=\Sigma\Sigma^{-1}=I$, if $\Sigma$ can be inverted: the mean is $y$, the covariance 0; you know $x$. With enormous noise $G\to0$: you keep the prior. With $\Sigma=0$ the gain is 0 too: you knew before, and no observation changes your mind. With $Q=0$ and a singular $\Sigma$ the formula has no value, because $\Sigma+Q$ has no inverse; if *both* are 0, you are certain of two things, perhaps different ones. The library refuses.
# </details>
#
# In notebook 03, "prior" will be where the walk from $x_0$ may be at an earlier time, "observation" will be the noisier $x_t$, and the posterior will be called the *bridge*. You now own it.

# %% [markdown]
# ### Exercise 02.6: condition on a noisy observation (3 points)


# %% tags=["exercise-02.6"]
def posterior_moments(mu: Tensor, cov: Tensor, H: Tensor, Q: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return (mean, covariance), (d,) and (d, d), of x ~ N(mu, cov) once H x + noise is seen to be y; noise ~ N(0, Q).

    mu (d,), cov (d, d), perhaps singular;  H (n, d), perhaps not square;  Q (n, n), perhaps 0;  y (n,)
    The covariance of y, H cov H^T + Q, can be inverted.
    """
    ### BEGIN SOLUTION
    gain = torch.linalg.solve(H @ cov @ H.T + Q, H @ cov).T
    return mu + gain @ (y - H @ mu), cov - gain @ H @ cov
    ### END SOLUTION


# %% tags=["check-02.6"]
check("02.6", posterior_moments)


# %% [markdown]
# ### (e) The mean squared distance to a point
#
# How far is a noisy thing from a fixed point $y$, in the mean square? As far as its mean is, plus what its noise adds, whatever the direction. For $x\sim N(\mu,\sigma^2I)$ in $d$ dimensions:
#
# $$\mathbb E\lVert x-y\rVert^2=\lVert\mu-y\rVert^2+d\,\sigma^2. \tag{02.28}$$
#
# <details><summary>Proof, for any covariance (and any law)</summary>
#
# Write $x-y=(\mu-y)+(x-\mu)$ and expand: $\lVert x-y\rVert^2=\lVert\mu-y\rVert^2+2(\mu-y)^\top(x-\mu)+\lVert x-\mu\rVert^2$. The middle term has mean $2(\mu-y)^\top\,\mathbb E[x-\mu]=0$. The last is $\sum_i(x_i-\mu_i)^2$, whose mean is the sum of the variances: the **trace** of the covariance, $\operatorname{tr}\Sigma$, which is $d\sigma^2$ if $\Sigma=\sigma^2I$.
# So in general $\mathbb E\lVert x-y\rVert^2=\lVert\mu-y\rVert^2+\operatorname{tr}\Sigma$. Nothing here used that $x$ is Gaussian. ∎
# </details>

# %% tags=["nbval-check-output"]
digit = digits("train").images[0].double().flatten()
target = digits("train").images[1].double().flatten()
distances = (digit + 0.5 * draw(2000, 784, seed=29) - target).square().sum(1)
print(
    f"between the digits {float((digit - target).square().sum()):.1f}, noise adds {784 * 0.25:.1f}, measured {float(distances.mean()):.0f}"
)
equation("02.28", distances.mean(), (digit - target).square().sum() + 784 * 0.5**2, rtol=5e-3)


# %% [markdown]
# Three uses. *The best constant guess of $x$ is its mean*: $y=\mu$ makes the first term 0, and nothing touches the second (notebook 01's fact, again). *The second term is the price of noise that no network can save*: a perfect predictor of the mean still has the loss $d\sigma^2$. And it is the only integral that the next property needs.
#
# ### (f) How different are two Gaussians? The Kullback-Leibler divergence
#
# **What it costs to believe the wrong law.** You send the weather of a city, one letter a day. Frequent letters should get short code words. A good code for probabilities $p$ spends $\log_2\frac1p$ bits on a letter of probability $p$ (1 bit for one half, 2 for a quarter, 3 for an eighth). If you built the code for the wrong probabilities $q$, every letter costs $\log_2\frac1q$ bits, while it still comes with probability $p$.
# The excess, on average, is the KL divergence; with natural logarithms it is counted in **nats** (1 nat = 1.443 bits):
#
# $$\mathrm{KL}(p\,\Vert\,q)=\mathbb E_{p}\Bigl[\log\frac1{q}-\log\frac1{p}\Bigr]=\sum_xp(x)\log\frac{p(x)}{q(x)}\;\ge\;0. \tag{02.29}$$
#
# The cell sends a million letters with the right code words and with the wrong ones, and compares the extra length *per letter* with the sum.

# %% tags=["nbval-check-output"]
p, q = f64([1 / 2, 1 / 4, 1 / 8, 1 / 8]), f64([1 / 8, 1 / 8, 1 / 4, 1 / 2])
letters = torch.multinomial(p, 1_000_000, replacement=True, generator=torch.Generator().manual_seed(30))
right_code, wrong_code = -torch.log2(p), -torch.log2(q)  # lengths of the code words: 1 2 3 3 and 3 3 2 1
print(
    f"bits a letter: right code {float(right_code[letters].mean()):.2f}, wrong code {float(wrong_code[letters].mean()):.2f}"
)
equation("02.29", (wrong_code - right_code)[letters].mean() * math.log(2), (p * (p / q).log()).sum(), rtol=5e-3)


# %% [markdown]
# <details><summary>Why is it never negative?</summary>
#
# Because the logarithm lies below its tangent at 1: $\log u\le u-1$ for every $u>0$, with equality only at $u=1$ (the difference $u-1-\log u$ has derivative $1-1/u$: falling before 1, rising after it, 0 at 1). So
# $-\mathrm{KL}=\sum p\log\frac qp\le\sum p\,\bigl(\frac qp-1\bigr)=\sum q-\sum p\le0$ (sums over the $x$ with $p>0$). Equality only if $q=p$ wherever $p>0$. For densities, read integrals. ∎
# </details>
#
# Three things about it. It is **not symmetric**: the price is paid by the truth $p$ that uses $q$'s code. It is infinite if $q$ forbids something that $p$ does. And there is no "distance" to draw, but for densities you can draw what is averaged, $p\log(p/q)$. The filled curve is below 0 where $q$ would have been cheaper; the whole area is the KL.

# %%
grid = line(-5, 6, 500)
p_x, q_x = normal(grid, 0.0, 1.0), normal(grid, 1.0, 1.5)
integrand = p_x * (p_x / q_x).log()
plotting.curves(
    {"p = N(0, 1)": p_x, "q = N(1, 1.5²)": q_x, "p log(p / q)": integrand}, x=grid, bands={"p log(p / q)": (0 * integrand, integrand)}, xlabel="x",
    alt="Two bells p and q, and the integrand p log(p/q), positive between about -2.5 and 0.9, where p is larger, and negative outside",
)  # fmt: skip


# %% [markdown]
# **Spherical Gaussians.** Let $p=N(\mu_p,\sigma_p^2I)$ and $q=N(\mu_q,\sigma_q^2I)$ in $d$ dimensions. Put the log densities (02.16) into the definition, and let property (e) take the means:
#
# $$\mathrm{KL}(p\,\Vert\,q)=d\log\frac{\sigma_q}{\sigma_p}+\frac{d\,\sigma_p^2+\lVert\mu_p-\mu_q\rVert^2}{2\sigma_q^2}-\frac d2. \tag{02.30}$$
#
# <details><summary>Derivation, complete</summary>
#
# $\log p(x)-\log q(x)=-\frac{\lVert x-\mu_p\rVert^2}{2\sigma_p^2}-d\log\sigma_p+\frac{\lVert x-\mu_q\rVert^2}{2\sigma_q^2}+d\log\sigma_q$; the terms $\frac d2\log2\pi$ cancel. Take the mean over $x\sim p$, with (e) twice:
#
# * with $y=\mu_p$: $\mathbb E\lVert x-\mu_p\rVert^2=d\sigma_p^2$, so the first term becomes $-\frac d2$;
# * with $y=\mu_q$: $\mathbb E\lVert x-\mu_q\rVert^2=\lVert\mu_p-\mu_q\rVert^2+d\sigma_p^2$, over $2\sigma_q^2$.
#
# Collect: $d\log\frac{\sigma_q}{\sigma_p}+\frac{d\sigma_p^2+\lVert\mu_p-\mu_q\rVert^2}{2\sigma_q^2}-\frac d2$. ∎
# </details>
#
# The check draws from $p$ and averages the extra nats, draw by draw.

# %% tags=["nbval-check-output"]
p, q = Gaussian.spherical(f64([0.0, 1.0, -1.0]), 0.7), Gaussian.spherical(f64([1.0, 0.5, -2.0]), 1.2)
x = p.sample(draw(400_000, 3, seed=31))
extra = p.log_density(x) - q.log_density(x)
formula = 3 * math.log(1.2 / 0.7) + (3 * 0.7**2 + float((p.mean - q.mean).square().sum())) / (2 * 1.2**2) - 1.5
print(f"extra nats: {float(extra.mean()):.2f} on average, from {float(extra.min()):.1f} to {float(extra.max()):.1f}")
equation("02.30", extra.mean(), formula, rtol=6e-3)


# %% [markdown]
# If the widths are equal, the logarithm and the two $\frac d2$ cancel and only $\frac{\lVert\mu_p-\mu_q\rVert^2}{2\sigma^2}$ is left: **a squared distance, in units of the noise.** This innocent remark is why diffusion models are trained with squared errors (notebooks 04 and 05).
#
# And the asymmetry in numbers: a narrow law coded with a wide one, and a wide one with a narrow one.

# %% tags=["nbval-check-output"]
narrow, broad = Gaussian.spherical(f64([0.0]), 0.1), Gaussian.spherical(f64([0.0]), 1.0)
print(f"KL(narrow || wide) = {float(kl(narrow, broad)):.3f} nats: the code wastes words on what never comes")
print(f"KL(wide || narrow) = {float(kl(broad, narrow)):.3f} nats: what comes has very long words")


# %% [markdown]
# **Any two Gaussians.** Only one new tool: the **trace trick**. A number is its own trace, and inside a trace the factors may be turned around, $\operatorname{tr}(BC)=\operatorname{tr}(CB)$ (both are $\sum_{ij}B_{ij}C_{ji}$). So a quadratic form becomes linear in $vv^\top$, and an expectation can walk in. For a random $v$ and a fixed matrix $M$:
#
# $$\mathbb E\bigl[v^\top Mv\bigr]=\mathbb E\bigl[\operatorname{tr}(M\,vv^\top)\bigr]=\operatorname{tr}\bigl(M\;\mathbb E[vv^\top]\bigr). \tag{02.31}$$

# %% tags=["nbval-check-output"]
M = f64([[2.0, 0.5], [0.5, 1.0]])
v = Gaussian(A, m).sample(draw(1_000_000, 2, seed=32))
equation("02.31", ((v @ M) * v).sum(1).mean(), torch.trace(M @ (A @ A.T + torch.outer(m, m))), rtol=5e-3)


# %% [markdown]
# With $p=N(\mu_p,\Sigma_p)$ and $q=N(\mu_q,\Sigma_q)$, both of full rank, the divergence is
#
# $$\mathrm{KL}(p\,\Vert\,q)=\tfrac12\Bigl[\operatorname{tr}\bigl(\Sigma_q^{-1}\Sigma_p\bigr)-d+(\mu_q-\mu_p)^\top\Sigma_q^{-1}(\mu_q-\mu_p)+\log\frac{\det\Sigma_q}{\det\Sigma_p}\Bigr]. \tag{02.32}$$
#
# <details><summary>Derivation, complete</summary>
#
# From (02.12), $\log p(x)-\log q(x)=-\frac12(x-\mu_p)^\top\Sigma_p^{-1}(x-\mu_p)+\frac12(x-\mu_q)^\top\Sigma_q^{-1}(x-\mu_q)+\frac12\log\frac{\det\Sigma_q}{\det\Sigma_p}$. Take the mean over $x\sim p$.
#
# *First term.* Trace trick with $v=x-\mu_p$, $\mathbb E[vv^\top]=\Sigma_p$: $-\frac12\operatorname{tr}(\Sigma_p^{-1}\Sigma_p)=-\frac12\operatorname{tr}(I)=-\frac d2$.
#
# *Second term.* Trace trick with $v=x-\mu_q=(x-\mu_p)+(\mu_p-\mu_q)$. Expand $vv^\top$; the two mixed products have mean 0; so $\mathbb E[vv^\top]=\Sigma_p+(\mu_p-\mu_q)(\mu_p-\mu_q)^\top$. Hence $\frac12\operatorname{tr}(\Sigma_q^{-1}\Sigma_p)+\frac12\operatorname{tr}\bigl(\Sigma_q^{-1}(\mu_p-\mu_q)(\mu_p-\mu_q)^\top\bigr)$, and by the trace trick backwards the last is $\frac12(\mu_p-\mu_q)^\top\Sigma_q^{-1}(\mu_p-\mu_q)$.
#
# *Third term.* A constant. Collect the three. ∎
#
# Test it: with $\Sigma=\sigma^2I$ the trace is $d\sigma_p^2/\sigma_q^2$ and the log of the determinants $2d\log(\sigma_q/\sigma_p)$; you get (02.30).
# </details>

# %% tags=["nbval-check-output"]
p = Gaussian.from_moments(f64([0.5, -0.5]), f64([[1.2, 0.5], [0.5, 0.8]]))
q = Gaussian.from_moments(f64([0.0, 0.5]), f64([[0.9, -0.4], [-0.4, 1.1]]))
x = p.sample(draw(1_000_000, 2, seed=33))
inverse, shift = torch.linalg.inv(q.cov), q.mean - p.mean
formula = 0.5 * (torch.trace(inverse @ p.cov) - 2 + shift @ inverse @ shift + torch.logdet(q.cov) - torch.logdet(p.cov))
print(f"KL(p || q) = {float(formula):.3f} nats, KL(q || p) = {float(kl(q, p)):.3f}")
equation("02.32", (p.log_density(x) - q.log_density(x)).mean(), formula, rtol=6e-3)


# %% [markdown]
# <details><summary><b>Question.</b> What is the divergence if p is flat (its covariance is singular), or if q is?</summary>
#
# If $q$ is flat and $p$ does not lie in $q$'s plane, then $p$ produces, with probability 1, points that $q$ forbids: infinite. If $p$ is flat and $q$ is not, then $\log\det\Sigma_p=-\infty$ and the divergence is infinite again: $p$ is infinitely dense on its plane, so a code for $p$ alone would save infinitely many nats. If both are flat *and fill the same plane*, it is finite: compare them inside the plane. If they fill different planes, it is infinite. This is why a noise level of exactly 0 needs care all course long.
# </details>

# %% [markdown]
# ### Exercise 02.7: KL between spherical Gaussians (2 points)


# %% tags=["exercise-02.7"]
def kl_spherical(mu_p: Tensor, sigma_p: float, mu_q: Tensor, sigma_q: float) -> Tensor:
    """Return KL(N(mu_p, sigma_p^2 I) || N(mu_q, sigma_q^2 I)) in nats, a number.

    mu_p, mu_q  (d,);  sigma_p, sigma_q  standard deviations, above 0
    """
    ### BEGIN SOLUTION
    d = len(mu_p)
    squared = (mu_p - mu_q).square().sum()
    return d * math.log(sigma_q / sigma_p) + (d * sigma_p**2 + squared) / (2 * sigma_q**2) - d / 2
    ### END SOLUTION


# %% tags=["check-02.7"]
check("02.7", kl_spherical)


# %% [markdown]
# ### Exercise 02.8: KL between any two Gaussians (3 points)


# %% tags=["exercise-02.8"]
def kl_general(mu_p: Tensor, cov_p: Tensor, mu_q: Tensor, cov_q: Tensor) -> Tensor:
    """Return KL(N(mu_p, cov_p) || N(mu_q, cov_q)) in nats, a number.

    mu_p, mu_q  (d,);  cov_p, cov_q  (d, d), both of full rank. Their determinants may be too small even for a float64: use
    torch.logdet or torch.linalg.slogdet, not the logarithm of torch.det.
    """
    ### BEGIN SOLUTION
    shift = mu_q - mu_p
    spread = torch.trace(torch.linalg.solve(cov_q, cov_p))
    squared = shift @ torch.linalg.solve(cov_q, shift)
    return 0.5 * (spread - len(mu_p) + squared + torch.logdet(cov_q) - torch.logdet(cov_p))
    ### END SOLUTION


# %% tags=["check-02.8"]
check("02.8", kl_general)

# %% [markdown]
# ## 7. Adding noise blurs the density
#
# *Add noise to every point of a cloud, and its density is smeared out by a bell: noise on the points is blur on the density.*
#
# Property (c) did not need the first plank to be Gaussian. Let $x_0$ have *any* law, with density $p$ (or be any finite set of points), and let $x_t=x_0+\sigma e$, with noise $e$ that is independent of $x_0$. (From notebook 03 on, the noise that is added to a picture is written $\varepsilon$, as in the papers.) Add up all $x_0$ that could have led to $x_t$:
#
# $$p_\sigma(x_t)=\int p(x_0)\;N(x_t;\,x_0,\sigma^2I)\,\mathrm dx_0. \tag{02.33}$$
#
# This is the *convolution* of the density $p$ with the Gaussian of the noise: each little piece of mass is replaced by a little bell. If you know image processing: adding noise to a *picture* is not blurring that picture. It is blurring the *density of pictures*, in the space in which a picture is a point.
#
# If $p$ is a mixture of Gaussians, the answer needs no integral: component by component it is property (c), and variances become $\sigma_k^2+\sigma^2$. The check takes this for the right side, and for the left the integral, as a sum over a grid.

# %% tags=["nbval-check-output"]
axis = line(-2.5, 2.5, 251)
plane = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
mass = bumps.log_density(plane).exp() * (axis[1] - axis[0]) ** 2
at = f64([[0.0, 0.0], [0.7, -0.4], [-0.5, 1.0]])
summed = torch.stack([(mass * normal(plane, x_t, 0.3).prod(1)).sum() for x_t in at])
equation("02.33", summed, bumps.log_density(at, Marginal(f64(1.0), f64(0.3))).exp())


# %% [markdown]
# **Scrub $\sigma$**, on the three clouds that stay with us: two points, three bumps, a spiral. Before you move the slider: which loses its shape first? At which $\sigma$ do the two points, 2 apart, become one hill? Can you still tell the three apart at the end?

# %%
sigmas = torch.logspace(math.log10(0.04), math.log10(2.0), 26, dtype=torch.float64)
axis = line(-2.2, 2.2, 100).numpy()
films = {}
for name in ("two points", "three bumps", "spiral"):
    frames = torch.stack([torch.as_tensor(convolution.density(name, float(s), axis, axis)).flip(0) for s in sigmas])
    films[name] = frames / frames.amax((1, 2), keepdim=True)
scrub(
    films,
    alt="Densities of two points, three bumps and a spiral under growing noise: sharp at first, then blurred, at last three similar round hills",
    readout={"σ": sigmas},
    scale="frames",
    size=220,
)


# %% [markdown]
# (Each frame is scaled to its own maximum; in truth the hills get ever lower while they get wider.) Noise erases *fine structure first*: whatever is much smaller than $\sigma$ is gone, whatever is much larger is still there. For two points at $\pm1$ on the line you can say exactly when the valley between them disappears. It is at $x=0$, and there
#
# $$p_\sigma''(0)=N(1;\,0,\sigma^2)\;\frac{1-\sigma^2}{\sigma^4}: \tag{02.34}$$
#
# a valley (positive) while $\sigma\lt1$, a hilltop (negative) as soon as $\sigma\gt1$. (From (02.1), stretched: the second derivative of a bell of width $\sigma$ at distance $u$ from its middle is the bell times $u^2/\sigma^4-1/\sigma^2$; here $u=\pm1$, and each bell weighs one half.)


# %% tags=["nbval-check-output"]
def two_points_density(x, sigma):
    return 0.5 * (normal(x, -1.0, sigma) + normal(x, 1.0, sigma))


second = torch.func.grad(torch.func.grad(two_points_density))
stds = f64([0.5, 0.8, 1.2, 2.0])
by_autograd = torch.stack([second(f64(0.0), float(s)) for s in stds])
equation("02.34", by_autograd, torch.stack([normal(f64(1.0), 0.0, float(s)) * (1 - s**2) / s**4 for s in stds]))


# %% [markdown]
# At the end only one hill is left, and it looks like a Gaussian. How much? Compare the noised mixture with *the Gaussian that has its mean and covariance*, in nats (the integral on a grid):

# %% tags=["nbval-check-output"]
axis = line(-9, 9, 451)
plane = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
for s in (0.1, 0.3, 1.0, 2.0):
    log_p = bumps.log_density(plane, Marginal(f64(1.0), f64(s)))
    mass = log_p.exp() * (axis[1] - axis[0]) ** 2
    twin = Gaussian.from_moments(*moments_on(plane, log_p))
    print(
        f"sigma = {s:.1f}: KL to the Gaussian of the same moments {float((mass * (log_p - twin.log_density(plane))).sum()):.5f} nats"
    )


# %% [markdown]
# **Any data of bounded size, under enough noise, are nearly a Gaussian cloud**: that is one end of a diffusion model, and the only distribution there that we have to be able to sample. The other end is the data. The explorer shows the points and their density side by side, and a cut through the density; with the arrows ("score") switched on, it shows the direction in which the density grows. They will carry notebook 06.

# %%
noise_as_convolution()


# %% [markdown]
# <details><summary><b>Question.</b> Blurring can be undone in principle (divide in the Fourier domain). So is adding noise reversible?</summary>
#
# The *density* can be recovered in principle: in the Fourier domain, convolution with a Gaussian multiplies each frequency $\omega$ by $e^{-\sigma^2\omega^2/2}$, which is never 0. In practice these factors become so tiny that any error in $p_\sigma$ explodes. The *points* cannot be recovered at all: the noise is gone for good. What diffusion undoes is the law, not the individual journey: it makes *a* clean picture out of noise, not *the* one.
# </details>
#
# ## 8. Pictures are points in R^784
#
# *A picture of 28 x 28 pixels is one point in a space of 784 dimensions. The digits are a thin, curved dust in it; one Gaussian around them is a balloon.*
#
# To generate digits is to sample their density in $\mathbb R^{784}$. How hard can it be? Press the simplest button: random pixels. And, a little less simple: give each pixel its right histogram, by taking each pixel from some training digit, chosen afresh for each pixel. Which of these rows would you call digits?

# %%
train, held_back = digits("train").images, digits("held_back").images
generator = torch.Generator().manual_seed(34)
count = 1000
uniform = 2 * torch.rand(count, 1, 28, 28, generator=generator) - 1
pick = torch.randint(len(train), (count, 784), generator=generator)
pixelwise = train.flatten(1).gather(0, pick).reshape(count, 1, 28, 28)
plotting.image_grid(
    as_pixels(torch.cat([uniform[:10], pixelwise[:10], held_back[:10]])), ncols=10, row_labels=["random pixels", "each pixel from its histogram", "digits"],
    alt="Ten images of random grey pixels, ten clouds of white specks in the middle with each pixel's right histogram, ten real digits",
)  # fmt: skip


# %% [markdown]
# You could press that button for the rest of your life. Even black-and-white pictures of this size number $2^{784}\approx10^{236}$. How far is a random picture from the nearest of 9,000 training digits, and how far is a real digit that is not among them?


# %%
def nearest(images, n=300):
    return metrics.nearest_neighbours(images[:n], train)[0].mean()


rows = {"random pixels": uniform, "each pixel from its histogram": pixelwise, "held-back digits": held_back}
for name, images in rows.items():
    print(f"{name:30s} mean distance to the nearest training digit {float(nearest(images)):5.2f}")


# %% [markdown]
# ### One Gaussian, fitted to the digits
#
# Now use this page. Choose the Gaussian that has the digits' mean and covariance:
#
# $$m=\frac1N\sum_nx_n,\qquad\Sigma=\frac1N\sum_n(x_n-m)(x_n-m)^\top. \tag{02.35}$$
#
# (Where $\Sigma$ has full rank, it is also the Gaussian of highest likelihood.) The check: along any direction $u$ the variance of the digits must be $u^\top\Sigma u$. It measures ten random directions.

# %% tags=["nbval-check-output"]
X = train.double().flatten(1)
mean = X.mean(0)
cov = (X - mean).T @ (X - mean) / len(X)
u = draw(784, 10, seed=35)
equation("02.35", ((X @ u).mean(0), (X @ u).var(0, correction=0)), (mean @ u, ((cov @ u) * u).sum(0)))


# %% tags=["nbval-check-output"]
values, V = torch.linalg.eigh(cov)
rank = int((values > 1e-10 * values[-1]).sum())
print(f"rank {rank} of 784; pixels that never change: {int((X.var(0) == 0).sum())}")
lit = (X > -1).sum(0)  # in how many digits
rare = X[:, (lit >= 1) & (lit <= 3)]
print(f"pixels lit in one to three digits: {rare.shape[1]}, rank {int(torch.linalg.matrix_rank(rare - rare.mean(0)))}")
print(
    "Cholesky:",
    "found" if torch.linalg.cholesky_ex(cov).info == 0 else "refused",
    " (the eigendecomposition does not mind)",
)
share = values.flip(0).cumsum(0) / values.sum()
print(
    f"half of the variance lies along {int((share < 0.5).sum()) + 1} directions, 95 % along {int((share < 0.95).sum()) + 1}"
)


# %% [markdown]
# A singular covariance, in the wild: some pixels at the border are black in every digit. Eight more directions are lost because some pixels near the border are lit in the same one, two or three digits only, so they depend on each other linearly (second line of the output: 43 such pixels, rank 35). So take the root by eigenvectors, and press the button $x=Ae+m$. One matrix product, no training. What do you expect: digits, noise, something between?

# %%
fitted = Gaussian.from_moments(mean, cov)
smears = fitted.sample(draw(count, 784, seed=36)).float().reshape(-1, 1, 28, 28)
found = metrics.nearest_neighbours(smears[:10], train)[1]
plotting.image_grid(
    as_pixels(torch.cat([smears[:10], train[found], held_back[:10]])), ncols=10, row_labels=["one Gaussian", "nearest digits", "digits"],
    alt="Ten samples of the fitted Gaussian: soft white smears of stroke-like width on mottled grey; below them the nearest training digits, and real digits",
)  # fmt: skip


# %% [markdown]
# Smears. They have the right places, the right softness, strokes of about the right width: everything that covariances know. They are not digits. Measure how far off they are. The Fréchet distance compares two sets of pictures in the features of a small digit classifier (lower is better; notebook 05 takes it apart; its floor here is what two sets of 1,000 real digits get). The samples are judged as drawn, not clipped to $[-1,1]$: clipping would change the mean and the covariance, which are the point here.

# %%
rows = {
    "random pixels": uniform,
    "each pixel from its histogram": pixelwise,
    "one Gaussian": smears,
    "real digits (training)": train[:count],
}
reference = metrics.digit_features(held_back)
frechet = {name: metrics.frechet_distance(metrics.digit_features(images), reference) for name, images in rows.items()}
for name, images in rows.items():
    apart = "" if name.startswith("real") else f", nearest training digit at {float(nearest(images)):5.2f}"
    print(f"{name:30s} Fréchet distance {frechet[name]:7.2f}{apart}")
print(f"{'(held-back digits':30s} nearest training digit at {float(nearest(held_back)):5.2f})")


# %% [markdown]
# The smears are nearer to the digits than anything random before them, and still far from the floor. And yet, by construction, the mean and the covariance are *right*: all 784 means and all 307,720 covariances. **A shared mean and a shared covariance are not a shared law.** Where is the difference? Not in any pair of pixels' correlation. Look at three other things.
#
# *First, single pixels.* Digits are mostly black or white; a Gaussian pixel is anything.

# %%
middle = {"digits": train[:count, 0, 10:18, 10:18].double(), "one Gaussian": smears[:, 0, 10:18, 10:18].double()}
plotting.histograms(
    middle, limits=(-3, 3), bins=61, xlabel="value of the 8 x 8 pixels in the middle",
    alt="Pixel values in the middle of the picture: digits pile up at -1 and 1, the Gaussian's pixels form one broad bell reaching beyond both",
)  # fmt: skip


# %% tags=["nbval-check-output"]
for name, pixels in middle.items():
    ends = (pixels.abs() - 1).abs() < 0.1
    print(
        f"{name:12s}: mean {float(pixels.mean()):.2f}, variance {float(pixels.var()):.2f}, within 0.1 of black or white {100 * float(ends.double().mean()):.0f} %, beyond {100 * float((pixels.abs() > 1.1).double().mean()):.0f} %"
    )


# %% [markdown]
# *Second, the distance from the middle.* Whiten the 100 directions of largest variance: $z=\Lambda^{-1/2}V^\top(x-m)$. Then $\mathbb E\lVert z\rVert^2=100$ for the digits and for the Gaussian. The Gaussian's points sit in a thin shell, by (02.9): $100\pm14$. And the digits?

# %%
leading, widths = V[:, -100:], values[-100:].sqrt()
whitened = {
    "digits": ((X - mean) @ leading / widths).square().sum(1),
    "one Gaussian": ((fitted.sample(draw(3000, 784, seed=37)) - mean) @ leading / widths).square().sum(1),
}
plotting.histograms(
    whitened, limits=(0, 300), bins=75, xlabel="squared distance from the mean, whitened",
    alt="Squared whitened distances: the Gaussian's concentrate in a bell around 100, the digits' spread from 20 to beyond 250",
)  # fmt: skip


# %% tags=["nbval-check-output"]
for name, distances in whitened.items():
    print(f"{name:12s}: mean {float(distances.mean()):.1f}, standard deviation {float(distances.std()):.1f}")


# %% [markdown]
# Same mean square, another law: the digits are not in the shell (so, whitened, they are not standard noise).
#
# *Third, what lies between.* Along a straight line the log of a Gaussian density is a parabola that opens downwards. So the middle between *any* two points $x$, $y$ is of higher density than the two are on (geometric) average, by an amount that is 0 only if $x=y$ (for a $\Sigma$ of full rank, or within the directions that have spread):
#
# $$\log p\Bigl(\frac{x+y}2\Bigr)=\frac{\log p(x)+\log p(y)}2+\frac18(x-y)^\top\Sigma^{-1}(x-y). \tag{02.36}$$
#
# <details><summary>Proof</summary>
#
# Let $a=x-m$, $c=y-m$ and write $[a,c]=a^\top\Sigma^{-1}c$. The constants cancel, and what is left to show is $-\frac12\cdot\frac14[a+c,a+c]=-\frac14[a,a]-\frac14[c,c]+\frac18[a-c,a-c]$. Multiply by 8: the left is $-[a,a]-2[a,c]-[c,c]$, the right is $-2[a,a]-2[c,c]+[a,a]-2[a,c]+[c,c]$. They are equal. ∎
# </details>
#
# The check is made on digits, in the 100 leading directions, with PyTorch's density.

# %% tags=["nbval-check-output"]
inside = torch.distributions.MultivariateNormal(torch.zeros(100).double(), torch.diag(widths**2))
x, y = ((X[k : k + 4] - mean) @ leading for k in (0, 4))
gain_in_nats = ((x - y).square() / widths**2).sum(1) / 8
print("the ghost of two digits beats the mean of the two by", [f"{float(g):.1f}" for g in gain_in_nats], "nats")
one, other = ((half - mean) @ leading for half in X.split(4500))
better = inside.log_prob((one + other) / 2) > torch.maximum(inside.log_prob(one), inside.log_prob(other))
print(f"it beats both of them in {100 * float(better.double().mean()):.0f} % of {len(better)} pairs")
equation("02.36", inside.log_prob((x + y) / 2), (inside.log_prob(x) + inside.log_prob(y)) / 2 + gain_in_nats)


# %%
a, c = train[:6], train[4:10]
plotting.image_grid(
    as_pixels(torch.cat([a, (a + c) / 2, c])), ncols=6, row_labels=["x", "(x + y) / 2", "y"],
    alt="Six pairs of digits and, between them, their averages: two ghosts laid over each other",
)  # fmt: skip


# %% [markdown]
# A Gaussian believes that two digits laid over each other make a better digit than the two do on average, and nearly always (97% of the pairs in the output above) a better one than either. It cannot believe otherwise: its hill has one top. Digits are many thin ridges with nothing between them.
#
# ### What it is good for: property (d)
#
# Bad at *drawing* digits, the Gaussian is not bad at *cleaning* them, because cleaning can lean on what is seen. Add noise of standard deviation 1 to digits, $y=x+\sigma e$, the noise independent of $x$, and condition the fitted Gaussian on the noisy picture, (02.25) with $Q=\sigma^2I$. Its posterior mean $\hat x=m+G(y-m)$ is one matrix product. Along each eigenvector of $\Sigma$ it keeps the share $\lambda/(\lambda+\sigma^2)$: directions in which digits vary a lot are believed, the others are taken for noise. Look at the middle row before you read on: what does it get right, and what is missing?

# %%
kept = values.clamp(min=0) / (values.clamp(min=0) + 1.0**2)  # the gain along each eigenvector, for sigma = 1


def affine_denoiser(y):
    return mean + ((y - mean) @ V * kept) @ V.T


clean = held_back[:10].double().flatten(1)
noisy = clean + draw(10, 784, seed=38)
plotting.image_grid(
    as_pixels(torch.cat([noisy, affine_denoiser(noisy), clean]).reshape(-1, 1, 28, 28)), ncols=10, row_labels=["noisy", "Gaussian's guess", "clean"],
    alt="Ten digits drowned in noise, the guesses of the fitted Gaussian, soft but readable, and the clean digits",
)  # fmt: skip


# %% [markdown]
# It gets place, slant and thickness right. What is missing is a sharp edge and a clean background, because it may only shrink directions, not decide which digit it is.
#
# The error of this guess needs no Gaussian digits. The residual's covariance was computed from covariances only, so for *any* law with this mean and this covariance
#
# $$\mathbb E\lVert x-\hat x\rVert^2=\operatorname{tr}\bigl((I-G)\Sigma\bigr)=\sum_i\frac{\lambda_i\,\sigma^2}{\lambda_i+\sigma^2}. \tag{02.37}$$
#
# (The trace is the sum of the eigenvalues; those of $(I-G)\Sigma$ are $\bigl(1-\frac{\lambda}{\lambda+\sigma^2}\bigr)\lambda$.) It is the best that an *affine* denoiser can do (Wiener): since the residual is uncorrelated with $y$ and has mean 0, any other affine guess adds to the error the mean square of an affine function of $y$. The check noises all training digits and measures.

# %% tags=["nbval-check-output"]
errors = [
    (part - affine_denoiser(part + draw(len(part), 784, seed=44 + k))).square().sum(1)
    for k, part in enumerate(X.split(3000))
]
measured = torch.cat(errors).mean()
print(
    f"squared error per pixel: noisy 1.000, the Gaussian's guess {float(measured) / 784:.3f}, the mean digit {float(values.sum()) / 784:.3f}"
)
equation("02.37", measured, (values.clamp(min=0) * (1 - kept)).sum(), rtol=5e-3)


# %% [markdown]
# So the same two moments make a hopeless painter and a decent cleaner. Keep the second talent, cleaning, in mind: with a cleaner that is not affine, it will draw at the end of this page.
#
# ### More Gaussians?
#
# Give each of the ten kinds its own Gaussian, and toss a ten-sided coin (here: take exactly 100 of each): a mixture.

# %%
labels = digits("train").labels
kinds = []
for k in range(10):
    of_kind = X[labels == k]
    law = Gaussian.from_moments(of_kind.mean(0), torch.cov(of_kind.T))
    kinds.append(law.sample(draw(100, 784, seed=40 + k)).float().reshape(-1, 1, 28, 28))
ten = torch.cat(kinds)
plotting.image_grid(as_pixels(ten[::100]), ncols=10, titles=list("0123456789"), alt="One sample of each digit's own Gaussian: blurred but mostly readable digits with mottled strokes")  # fmt: skip


# %%
rows = {"one Gaussian": smears, "ten Gaussians": ten, "real digits (training)": train[:count]}
for name, images in rows.items():
    print(f"{name:30s} Fréchet distance {metrics.frechet_distance(metrics.digit_features(images), reference):6.2f}")


# %% [markdown]
# Better: some can be read. With ever more, ever smaller bumps it would go on like this, until every training digit has a bump of its own: then the samples are perfect, and all of them are copies with a little noise. (Notebook 05 meets this *memorising* again.) We want neither the smear nor the copy.
#
# ### Why many small Gaussian steps will do better
#
# Here is the idea of the whole course, on the smallest data set there is: two points, $x_0=\pm1$, equally likely, on the line. One Gaussian with their moments is $N(0,1)$, a smear over both. Instead, walk: noise them little by little, and *undo* the noise little by little, every undoing step a draw from a Gaussian.
#
# Let $s\lt t$ be two times, $x_s=x_0+\sigma_se$ and, later, $x_t=x_s+\sqrt{\sigma_t^2-\sigma_s^2}\;e'$, with $\sigma_s\lt\sigma_t$ and fresh, independent noises. Going back means to draw from the law of $x_s$ given $x_t$; write $q(x_s\mid x_t)$ for it. Bayes' rule (02.23), for densities:
#
# $$q(x_s\mid x_t)=\frac{p_{\sigma_s}(x_s)\;N\bigl(x_t;\,x_s,\,\sigma_t^2-\sigma_s^2\bigr)}{p_{\sigma_t}(x_t)}. \tag{02.38}$$
#
# The denominator is the noised density itself, by (c). The check goes another way round, through the data. *If $x_0$ were known*, this would be property (d): the prior of $x_s$ is $N(x_0,\sigma_s^2)$, and $x_t$ observes it with noise of variance $\sigma_t^2-\sigma_s^2$. The gain is $G=\sigma_s^2/\sigma_t^2$, so the posterior is $N\bigl(x_0+G(x_t-x_0),\,(1-G)\sigma_s^2\bigr)$.
# And which point $x_0$ was is a discrete question, with Bayes' answer: each point's probability is proportional to $N(x_t;x_0,\sigma_t^2)$. The mixture of the two posteriors must be the same law.

# %% tags=["nbval-check-output"]
sigma_s, sigma_t, x_t = 0.6, 1.0, f64(0.3)
at = f64([-0.6, 0.3, 1.0])
by_rule = (
    two_points_density(at, sigma_s)
    * normal(x_t, at, math.sqrt(sigma_t**2 - sigma_s**2))
    / two_points_density(x_t, sigma_t)
)
G, points = (sigma_s / sigma_t) ** 2, f64([-1.0, 1.0])
which = torch.softmax(-0.5 * ((x_t - points) / sigma_t) ** 2, 0)
given_x0 = normal(at[:, None], points + G * (x_t - points), math.sqrt(1 - G) * sigma_s)  # one column for each x_0
print(f"probability that the data point was 1: {float(which[1]):.3f}")
equation("02.38", by_rule, given_x0 @ which)


# %% [markdown]
# Now look at this reverse law for a large, a middling and a small step back from $x_t=0.3$, beside the Gaussian of the same mean and variance.

# %%
grid = line(-5, 5, 4001)


def step_back(sigma_s, sigma_t=1.0):
    """The reverse law on `grid`, and the Gaussian with its moments there."""
    back = two_points_density(grid, sigma_s) * normal(x_t, grid, math.sqrt(sigma_t**2 - sigma_s**2))
    back = back / torch.trapezoid(back, grid)
    centre, variance = moments_on(grid[:, None], back.clamp(min=1e-300).log())
    return back, normal(grid, centre[0], variance[0, 0].sqrt())


# %%
pictures, shown = [], slice(1000, 3001)
for sigma_s in (0.2, 0.6, 0.9):
    back, twin = step_back(sigma_s)
    pictures.append(plotting.curves({"q(x_s | x_t)": back[shown], "Gaussian": twin[shown]}, x=grid[shown], xlabel="x_s", ylabel="density", title=f"from sigma 1 back to {sigma_s}", size=(3.3, 2.9), alt=f"Reverse law from sigma 1 to {sigma_s}, and the Gaussian with its moments"))  # fmt: skip
beside(*pictures)


# %% tags=["nbval-check-output"]
for sigma_s in (0.2, 0.4, 0.6, 0.8, 0.9, 0.97):
    back, twin = (density.clamp(min=1e-300) for density in step_back(sigma_s))
    print(
        f"from sigma 1 back to {sigma_s:.2f}: KL to that Gaussian {float(torch.trapezoid(back * (back / twin).log(), grid)):.5f} nats"
    )


# %% [markdown]
# A large step back leads to two bumps: no Gaussian. **A small step back is nearly a Gaussian, whatever the data are**, because over a short distance the logarithm of the noised density is nearly a straight line, and a bell times the exponential of a straight line is a bell, shifted. (Notebook 04 measures how fast this happens, notebook 06 takes the limit.)
#
# Which Gaussian? Take its mean and variance from the mixture above. Let $\hat x_0$ and $\hat v_0$ be mean and variance of $x_0$ given $x_t$: the best guess of the data point, and how uncertain it is. The mixture's components have the means $x_0+G(x_t-x_0)=(1-G)\,x_0+G\,x_t$. So, "within" plus "between" (02.19):
#
# $$\mathbb E[x_s\mid x_t]=\hat x_0+G\,(x_t-\hat x_0),\qquad\operatorname{Var}(x_s\mid x_t)=(1-G)\,\sigma_s^2+(1-G)^2\,\hat v_0. \tag{02.39}$$
#
# The check compares with moments taken on the grid from Bayes' rule.


# %% tags=["nbval-check-output"]
def gaussian_step(x_t, sigma_s, sigma_t, points, shares, doubt=1.0):
    """Mean and std of one step back from each of x_t, (N,), for data `points` with `shares`, (K,); `doubt` weighs v0_hat."""
    which = torch.softmax(shares.log() - 0.5 * ((x_t[:, None] - points) / sigma_t) ** 2, dim=1)
    x0_hat = which @ points
    v0_hat, G = doubt * (which @ points**2 - x0_hat**2), (sigma_s / sigma_t) ** 2
    return x0_hat + G * (x_t - x0_hat), ((1 - G) * sigma_s**2 + (1 - G) ** 2 * v0_hat.clamp(min=0)).sqrt()


step_mean, step_std = gaussian_step(x_t[None], 0.6, 1.0, f64([-1, 1]), f64([0.5, 0.5]))
centre, variance = moments_on(
    grid[:, None], (two_points_density(grid, 0.6) * normal(x_t, grid, 0.8)).clamp(min=1e-300).log()
)
equation("02.39", (step_mean, step_std**2), (centre, variance[0]))


# %% [markdown]
# Now the experiment, with harder data: five points on the line, at uneven places and with uneven shares. Start in a wide Gaussian, at $\sigma=5$, and walk down to $\sigma=0.01$ in $n$ steps, each a draw: mean plus standard deviation times $e$. With one step the result is close to one Gaussian. With many? Look at *where* the samples are; the second figure asks whether there are *as many as there should be* at each data point.

# %%
points, shares = f64([-2.0, -1.4, 0.0, 0.4, 2.0]), f64([0.30, 0.10, 0.25, 0.05, 0.30])


def walk_back(n, count=100_000, doubt=1.0):
    levels = torch.logspace(math.log10(5.0), math.log10(0.01), n + 1, dtype=torch.float64)
    middle = shares @ points
    x = middle + (shares @ (points - middle) ** 2 + 25).sqrt() * draw(count, seed=60)
    for k in range(n):
        mean, std = gaussian_step(x, levels[k + 1], levels[k], points, shares, doubt)
        x = mean + std * draw(count, seed=61 + k)
    return x


# %%
walks = {n: walk_back(n) for n in (1, 3, 10, 30, 100)}
beside(*[plotting.histograms({"samples": x}, limits=(-5, 5), bins=200, title=f"{n} step{'s' if n > 1 else ''}", xlabel="x", size=(2.8, 2.8), alt=f"Samples after {n} Gaussian step{'s' if n > 1 else ''} back from noise") for n, x in walks.items() if n != 30])  # fmt: skip


# %%
def wrong_share(x):
    """The share of samples that would have to move to another data point for the shares to be right."""
    counts = torch.bincount((x[:, None] - points).abs().argmin(1), minlength=5)
    return float(0.5 * (counts / len(x) - shares).abs().sum())


by_chance = float(
    (0.5 * (shares * (1 - shares) * 2 / math.pi / 100_000).sqrt()).sum()
)  # mean of |normal| is sqrt(2 / pi) std
plotting.curves(
    {"n Gaussian steps": [wrong_share(x) for x in walks.values()], "100,000 draws from the data": [by_chance] * len(walks)}, x=list(walks), markers=True,
    xscale="log", yscale="log", xlabel="n", ylabel="share at the wrong data point", alt="The share of samples at the wrong data point falls from a quarter with one step to the level of pure chance with a hundred",
)  # fmt: skip


# %% tags=["nbval-check-output"]
for n, x in walks.items():
    close = ((x[:, None] - points).abs().amin(1) < 0.05).double().mean()
    print(
        f"{n:3d} Gaussian step{'s' if n > 1 else ' '}: {100 * float(close):5.1f} % within 0.05 of a data point, {100 * wrong_share(x):4.1f} % at the wrong one; mean {float(x.mean()):.1f}, variance {float(x.var()):.1f}"
    )
print(f"100,000 draws from the data: {100 * by_chance:.1f} % at the wrong one, by chance")
without = {n: wrong_share(walk_back(n, doubt=0.0)) for n in (10, 30, 100)}
print(
    "with v0_hat left out: "
    + ", ".join(f"{n} steps {100 * share:.1f} % at the wrong one" for n, share in without.items())
)


# %% [markdown]
# Every step was a Gaussian. A single one leaves the smear. Three already land near the data, but in the wrong proportions: large steps back are *not* Gaussian, and each pays for pretending. With a hundred, hardly more is left of the error than the chance of 100,000 draws: the samples are the data, points *and* shares.
#
# <details><summary><b>Question.</b> Property (a) says that affine maps of Gaussians are Gaussians, and (c) that chains of Gaussians are. Why is the result of the last walk not a Gaussian?</summary>
#
# Because the mean of a step is not an *affine* function of $x_t$, and its width is not the same for every $x_t$. Both contain what is known of the data: $\hat x_0$, the guess of what was there before the noise, which bends with $x_t$, and its uncertainty $\hat v_0$. (The smaller the steps, the less $\hat v_0$ matters: see the last line of the output.) For the law *behind* the digits nobody can write this guess down. But it is a conditional mean, and notebook 01 showed that whoever minimises a squared error learns the conditional mean. There the network will come in.
# </details>
#
# ## What we can do now, and what still hurts
#
# **We can** turn any question about Gaussians into algebra on maps and moments, and check the answer by sampling, strips or grids:
#
# | | in one line |
# |---|---|
# | definition | $x=Ae+m$; unique name: mean $m$, covariance $AA^\top$ |
# | (a) map | $(AB,\;Ab+m)$ |
# | (b) add | means add, covariances add (independent draws) |
# | (c) chain | $N(A\mu,\;A\Sigma A^\top+Q)$ |
# | (d) condition | $N(\mu+G(y-\mu),\;(I-G)\Sigma)$ with $G=\Sigma(\Sigma+Q)^{-1}$ |
# | (e) distance | $\lVert\mu-y\rVert^2+d\sigma^2$ |
# | (f) KL | equal widths: $\lVert\mu_p-\mu_q\rVert^2/(2\sigma^2)$ |
#
# **What still hurts**
#
# * *How much noise, and when?* In the walk above we just added noise, and the numbers grew: at $\sigma=5$ a pixel is no longer between $-1$ and 1, and a network dislikes that. Could we shrink while we add, so that the size stays the same? Which sequence of steps is good?
# * *The way back could be computed because the data themselves were the five points.* For the 9,000 training digits the same sum can be computed, and brings back copies of them; for the law behind the digits it cannot be written down. Given $x_0$, the step back is property (d), for pictures too. That, and the schedule, is notebook 03.
# * *What does a chain of wrong guesses cost, in nats?* That is notebook 04, and property (f) is its currency.
#
# **References**
#
# * C. Bishop: *Pattern Recognition and Machine Learning*. Springer 2006. Section 2.3: the Gaussian with marginals, conditionals and Bayes' rule, by completing squares; compare it with the affine way.
# * D. MacKay: *Information Theory, Inference, and Learning Algorithms*. Cambridge 2003. Codes, lengths, and the divergence as what a wrong code costs (chapters 2, 4 and 5).
# * T. Cover, J. Thomas: *Elements of Information Theory*. Second edition, Wiley 2006. Chapters 2 and 8.
# * J. Herschel: review of Quetelet on probabilities, *Edinburgh Review* 1850; J. C. Maxwell: *Illustrations of the Dynamical Theory of Gases*. Philosophical Magazine 1860. Independent and round implies Gaussian.
# * R. Vershynin: *High-Dimensional Probability*. Cambridge 2018. Chapter 3: the thin shell.
# * R. Kalman: *A New Approach to Linear Filtering and Prediction Problems*. Journal of Basic Engineering 1960. The gain $G$.
# * W. Feller: *On the Theory of Stochastic Processes, with Particular Reference to Applications*. Berkeley Symposium 1949; and J. Sohl-Dickstein, E. Weiss, N. Maheswaranathan, S. Ganguli: *Deep Unsupervised Learning using Nonequilibrium Thermodynamics*. ICML 2015, who built on it: for small steps the reverse has the same form as the forward process.
# * M. Heusel et al.: *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium*. NeurIPS 2017. The Fréchet distance between sets of pictures.
# * The digits: Y. LeCun, C. Cortes, C. Burges, *The MNIST database of handwritten digits*.
