"""The command line: `python -m course_lib train | sample | build | grade | bench | doctor`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from course_staff.building.command import add_build
from course_staff.grading.command import add_grade


class Parser(argparse.ArgumentParser):
    """Says what is wrong with an argument in one line, and exits with 2."""

    def error(self, message: str) -> NoReturn:
        if os.environ.get("RANK", "0") == "0":  # of several processes, which all find it wrong, one says so
            print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(2)

    def format_help(self) -> str:
        """The help; that of `train` with TrainConfig's defaults, for which torch is imported only here."""
        if self.get_default("func") is _train:
            from .command.train import OPTIONAL
            from .training import TrainConfig

            self.set_defaults(**{name: getattr(TrainConfig, name) for name in OPTIONAL})
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


def parser() -> Parser:
    """All commands and their arguments. Nothing heavy is imported before a command runs."""
    top = Parser(prog="course_lib", description="Train, sample, build and grade: the command line of the course.")
    commands = top.add_subparsers(
        dest="command", required=True, metavar="train | sample | build | grade | bench | doctor"
    )

    train = commands.add_parser("train", help="train a network")
    sets = ["digits", "mnist", "fashion", "cifar10"]
    data_help = "what to learn (default: digits, which come with the course; the others are downloaded once)"
    train.add_argument("--data", default="digits", choices=sets, help=data_help)
    sizes = "in millions of parameters tiny 0.23, small 1, base 5.4, large 35 (for CIFAR-10's 32 x 32; not for digits)"
    train.add_argument("--preset", default="tiny", help=f"the network's size: {sizes} (default: tiny)")
    length = train.add_mutually_exclusive_group(required=True)
    length.add_argument("--seconds", type=float, help="how long to train, by the clock")
    steps_help = "how long to train, in steps; such a run can be repeated (on a CPU, to the bit)"
    length.add_argument("--steps", type=int, help=steps_help)
    train.add_argument("--out", required=True, metavar="FOLDER", help="where the run is saved")
    train.add_argument("--resume", action="store_true", help="go on with the run saved in --out")
    train.add_argument("--target", default="edm", help="what the network predicts: edm, eps, v, x0 (default: edm)")
    default = " (default: %(default)s)"  # TrainConfig's
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
    train.set_defaults(func=_train)

    sample = commands.add_parser("sample", help="draw samples from a trained network")
    sample.add_argument("--model", default="digits", help="the shipped network, digits, or a folder made by train")
    number_help = "how many images (default: 64); after torchrun, which has options of its own in n, --number"
    sample.add_argument("--n", "--number", type=int, default=64, metavar="N", help=number_help)
    sample.add_argument("--sampler", default="ddpm", help="ddpm, ddim, heun, renoise (default: ddpm)")
    sample.add_argument("--steps", type=int, help="steps from noise to image (default: ddpm 120, ddim 50, heun 18)")
    sample.add_argument("--seed", type=seed, default=0)
    sample.add_argument("--device", default="auto")
    sample.add_argument("--out", required=True, metavar="FILE", help="an array, .npz, or a contact sheet, .png")
    sample.set_defaults(func=_sample)

    add_build(commands)
    add_grade(commands)

    bench = commands.add_parser(
        "bench",
        help="measure our networks beside a usual one on this machine",
        description="Takes about ten minutes, with nothing else running; measures the processor only; "
        "needs diffusers (`make teacher`).",
    )
    bench.add_argument("--presets", nargs="+", default=["tiny"], help="those of ours to measure (default: tiny)")
    bench.add_argument("--seconds", type=float, default=180.0, help="how long to train each (default: 180)")
    bench.add_argument("--samples", type=int, default=500, help="images for each Fréchet distance (default: 500)")
    bench.add_argument("--no-reference", dest="reference", action="store_false", help="leave diffusers' network out")
    bench.add_argument("--out", default="runs/bench", metavar="FOLDER", help="where it is saved (default: runs/bench)")
    bench.set_defaults(func=_bench)

    doctor = commands.add_parser("doctor", help="say what was found on this machine, what will be slow, how to mend it")
    doctor.set_defaults(func=_doctor)
    return top


def _train(arguments: argparse.Namespace) -> int:
    from .command.train import train_run

    return train_run(arguments)


def _sample(arguments: argparse.Namespace) -> int:
    from .command.sample import sample_run

    return sample_run(arguments)


def _bench(arguments: argparse.Namespace) -> int:
    from course_staff.studies.bench import bench

    return bench(arguments)


def _doctor(arguments: argparse.Namespace) -> int:
    from .command.doctor import report

    return report()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 a failure while running, 2 a bad argument, 130 interrupted."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.func(arguments)
    except ValueError as error:
        print(f"course_lib {arguments.command}: {error}", file=sys.stderr)
        return 2
    except (OSError, RuntimeError) as error:
        print(f"course_lib {arguments.command}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        needs = f"needs {error.name!r}, which only authors and teachers install: pip install -r requirements-test.txt"
        print(f"course_lib {arguments.command}: {needs}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"course_lib {arguments.command}: interrupted{interrupt}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
