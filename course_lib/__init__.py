"""Diffusion models from "flip some pixels" to stochastic differential equations: the library behind the course.

The map, in the order in which to read. Every room imports only from rooms above it.

gaussian         a Gaussian as an affine map of noise; `per_sample`, where a number meets an image; mixtures
schedule/        what a `Schedule` is; `Marginal`, `kernel`, `bridge`; curves of alpha and sigma, tables, times, laws
parametrization  `Prediction`, `Denoiser`, clipping; the table of what a network may be asked for: x0, eps, v, edm
sampling         one loop, and the steps that plug into it: DDPM, DDIM, Heun, renoise
objective        the losses, and every term of the bound
oracle           denoisers that are exactly right: for a Gaussian, a mixture, a finite set of images
continuous       the same as SDE and ODE: rates, flows, likelihood, Langevin
unet, muon       the network, and the optimiser of its convolutions
engine/          how a step is computed, never what: devices, precision, GPU, several processes
training         batches, the loop, and the average to sample from
files            the one way to write a file
checkpoint       a trained network on disk: safetensors and a record
generate         many samples at once, shared out among processes
data/            digits, toys in the plane, captured results, larger sets
metrics          how good samples are: Fréchet distance, nearest neighbours, energy distance
plotting/        every still figure, and its numbers
scrubber/        the player in the page: move through t
explorers/       widgets: drag a parameter, see what hangs on it
lessons/         what only one notebook needs: flipped pixels, the hourglass, the small VAE
command/         the command line

What would go where: a new schedule is a class in `schedule/curves`, a new sampler a step in `sampling`, a new target a
row of the table in `parametrization`, a new way to train a loss in `objective`; guidance, a file to come, is a
`Denoiser` that wraps denoisers. None of them is a new loop. Exercises are in the package `course_checks`, one file an
exercise; building, grading and the site are in `course_staff`.

A digit's way: data > training (objective asks parametrization asks schedule) > checkpoint > sampling > scrubber.
"""

__version__ = "0.1.0"
