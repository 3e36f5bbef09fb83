"""All commands and their arguments. Nothing heavy is imported before a command runs, or before its help is shown."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from .staff import staff_module

DATA = ["digits", "mnist", "fashion", "cifar10"]
STAFF = {  # what `course_staff` does, under our name
    "build": "build the notebooks from notebooks/source",
    "grade": "grade submitted notebooks",
    "bench": "measure our networks beside a usual one on this machine",
}


class Parser(argparse.ArgumentParser):
    """Says what is wrong with an argument in one line, and exits with 2."""

    complete: Callable[[], None] | None = None  # adds to the help what the library knows, just before it is shown

    def error(self, message: str) -> NoReturn:
        if os.environ.get("RANK", "0") == "0":  # of several processes, which all find it wrong, one says so
            print(f"{self.prog}: {one_line(message)}", file=sys.stderr)
        raise SystemExit(2)

    def format_help(self) -> str:
        if self.complete:
            self.complete()
        return super().format_help()


def seed(text: str) -> int:
    """A seed, within what PyTorch takes."""
    if not 0 <= int(text) < 2**63:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 0 to 2**63 - 1")
    return int(text)


def seconds(text: str) -> float:
    """A length of time, which may be 0."""
    if not float(text) >= 0:
        raise argparse.ArgumentTypeError(f"{text}: expected a number of at least 0")
    return float(text)


def typed_path(text: str) -> Path:
    """A path; `~` is the home folder also where the shell leaves it, as in --out=~/runs/a."""
    return Path(expanded(text))


def expanded(text: str) -> str:
    """The same as text, which may be empty or a name that means something else than a path."""
    return os.path.expanduser(text)


def parser() -> Parser:
    """All commands and their arguments; those of STAFF without, which are the other package's."""
    top = Parser(prog="course_lib", description="Train, sample, build and grade: the command line of the course.")
    shown = "train | sample | build | grade | bench | doctor"
    commands = top.add_subparsers(dest="command", required=True, metavar=shown)
    add_train(commands)
    add_sample(commands)
    for name, text in STAFF.items():
        commands.add_parser(name, help=text)
    doctor = commands.add_parser("doctor", help="say what was found on this machine, what will be slow, how to mend it")
    doctor.set_defaults(func=_doctor)
    return top


def add_train(commands: Any) -> None:
    """Add `train`; sets `func`, which returns an exit code."""
    train: Parser = commands.add_parser("train", help="train a network")
    data_help = "what to learn (default: digits, which come with the course; the others are downloaded once)"
    train.add_argument("--data", default="digits", choices=DATA, help=data_help)
    preset = train.add_argument("--preset", default="tiny")
    length = train.add_mutually_exclusive_group(required=True)
    length.add_argument("--seconds", type=float, help="how long to train, by the clock")
    steps_help = "how long to train, in steps; such a run can be repeated (on a CPU, to the bit)"
    length.add_argument("--steps", type=int, help=steps_help)
    train.add_argument("--out", type=expanded, required=True, metavar="FOLDER", help="where the run is saved")
    train.add_argument("--resume", action="store_true", help="go on with the run saved in --out")
    train.add_argument("--target", default="edm", help="what the network predicts: edm, eps, v, x0 (default: edm)")
    default = " (default: %(default)s)"  # TrainConfig's
    labels_help = "tell the network what each image shows, so that `sample --label` can ask for it"
    train.add_argument("--labels", action="store_true", help=labels_help)
    dropout_help = "the share of images whose label is withheld, so that it learns to do without too"
    train.add_argument("--label-dropout", type=float, help=dropout_help + default)
    train.add_argument("--batch", type=int, help="images a step" + default)
    optimizer_help = "muon (for the hidden convolutions; AdamW for the rest) or adamw"
    train.add_argument("--optimizer", help=optimizer_help + default)
    train.add_argument("--learning-rate", type=float, help="the highest learning rate of AdamW" + default)
    train.add_argument("--muon-rate", type=float, help="the highest learning rate of Muon" + default)
    noise_help = "mean of ln(sigma / alpha) over the training images"
    train.add_argument("--noise-mean", type=float, help=noise_help + default)
    train.add_argument("--noise-std", type=float, help="its standard deviation" + default)
    train.add_argument("--seed", type=seed, help="of everything random" + default)
    train.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: auto)")
    compile_help = "torch.compile: auto (on a GPU, for long runs; the default), on, off"
    train.add_argument("--compile", default="auto", choices=["auto", "on", "off"], help=compile_help)
    train.add_argument("--save-seconds", type=seconds, default=30.0, metavar="S", help="save this often (default: 30)")

    def complete() -> None:
        from ..training import TrainConfig
        from .train import OPTIONAL

        train.set_defaults(**{name: getattr(TrainConfig, name) for name in OPTIONAL})
        preset.help = f"the network's size: in millions of parameters {preset_sizes()} (default: tiny)"

    train.complete = complete
    train.set_defaults(func=_train)


def add_sample(commands: Any) -> None:
    """Add `sample`; sets `func`, which returns an exit code."""
    sample: Parser = commands.add_parser("sample", help="draw samples from a trained network")
    model_help = "the shipped network, digits, or a folder made by train"
    sample.add_argument("--model", type=expanded, default="digits", help=model_help)
    number_help = "how many images (default: 64); after torchrun, which has options of its own in n, --number"
    sample.add_argument("--n", "--number", type=int, default=64, metavar="N", help=number_help)
    sampler = sample.add_argument("--sampler", default="ddpm")
    steps = sample.add_argument("--steps", type=int)
    label_help = "what to draw, such as 7, by a network that was trained with --labels (default: anything)"
    sample.add_argument("--label", type=int, help=label_help)
    sample.add_argument("--seed", type=seed, default=0)
    sample.add_argument("--device", default="auto")
    out_help = "an array, .npz, or a contact sheet, .png"
    sample.add_argument("--out", type=expanded, required=True, metavar="FILE", help=out_help)

    def complete() -> None:
        from ..generate import SAMPLER_STEPS

        sampler.help = f"{', '.join(SAMPLER_STEPS)} (default: ddpm)"
        usual = ", ".join(f"{name} {number}" for name, number in SAMPLER_STEPS.items())
        steps.help = f"steps from noise to image (default: {usual})"

    sample.complete = complete
    sample.set_defaults(func=_sample)


def preset_sizes() -> str:
    """The presets with their millions of parameters, to two digits: "tiny 0.23, small 1"."""
    import torch

    from ..unet import PRESETS, UNet, parameter_count

    sizes = []
    for name, layout in PRESETS.items():
        with torch.device("meta"):  # counted, not made
            millions = parameter_count(UNet(layout)) / 1e6
        unfit = f" (for sides that {layout.divisor} divides; not for digits)" if 28 % layout.divisor else ""
        sizes.append(f"{name} {float(f'{millions:.2g}'):g}{unfit}")
    return ", ".join(sizes)


def _train(arguments: argparse.Namespace) -> int:
    from .train import train_run

    return train_run(arguments)


def _sample(arguments: argparse.Namespace) -> int:
    from .sample import sample_run

    return sample_run(arguments)


def _doctor(arguments: argparse.Namespace) -> int:
    from .doctor import report

    return report()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    print_anything()
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in STAFF:
        return exit_code(f"course_lib {words[0]}", lambda: staff_module(words[0]).main(words[1:], "course_lib"))
    arguments = parser().parse_args(words)
    return exit_code(f"course_lib {arguments.command}", lambda: arguments.func(arguments))


def print_anything() -> None:
    """Let a terminal in ASCII or another code page get \\xe9 for what it cannot show, instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def one_line(text: str) -> str:
    """`text` with line ends, and all else that a terminal obeys, written out: names may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def exit_code(command: str, work: Callable[[], int]) -> int:
    """That of `work`; or 1 for a failure while running, 2 for a bad argument, 130 interrupted, told in one line.

    Where who reads what is printed has gone (`| head`), 141 without a word, as of any program.
    """
    try:
        code = work()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
        return 141
    except ValueError as error:
        return refuse(command, str(error))
    except (OSError, RuntimeError) as error:
        print(f"{command}: {one_line(str(error))}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        reason = "which only authors and teachers install: pip install -r requirements-test.txt"
        return refuse(command, f"needs {error.name!r}, {reason}")
    except KeyboardInterrupt as interrupt:
        print(f"{command}: interrupted{interrupt}", file=sys.stderr)
        return 130


def refuse(command: str, reason: str) -> int:
    """Say in one line why `command` does nothing; the exit code for that."""
    print(f"{command}: {one_line(reason)}", file=sys.stderr)
    return 2
