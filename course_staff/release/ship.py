"""Judge a finished run and ship its weights as the `digits` model: `python -m course_staff ship runs/digits`."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from course_lib.checkpoint import Model, load_model, save_model
from course_lib.command.parser import typed_path
from course_lib.data import digits
from course_lib.generate import SAMPLER_STEPS, generate
from course_lib.metrics import class_balance, digit_features, frechet_distance, nearest_neighbours

ASSETS = Path(__file__).parents[2] / "course_lib" / "assets"


def figures(samples: Tensor) -> dict[str, Any]:
    """How 1,000 samples, (1000, 1, 28, 28) in [-1, 1], compare with the 1,000 held-back digits. Always at equal n."""
    train, held_back = digits("train").images, digits("held_back").images
    reference = digit_features(train)
    to_train, _ = nearest_neighbours(samples, train)
    held_back_to_train, _ = nearest_neighbours(held_back, train)
    return {
        "frechet_distance": {
            "samples to the 9,000": round(frechet_distance(digit_features(samples), reference), 3),
            "held-back digits to the 9,000": round(frechet_distance(digit_features(held_back), reference), 3),
            "n": len(samples),
        },
        "nearest training digit": {
            "median distance, samples": round(to_train.median().item(), 3),
            "median distance, held-back digits": round(held_back_to_train.median().item(), 3),
            "share of samples closer than the held-back median": round(
                (to_train < held_back_to_train.median()).float().mean().item(), 3
            ),
            "smallest distance, samples": round(to_train.min().item(), 3),
            "smallest distance, held-back digits": round(held_back_to_train.min().item(), 3),
        },
        "class balance": [round(share, 3) for share in class_balance(samples).tolist()],
    }


def command_of(settings: dict[str, Any]) -> str:
    """The command line that makes a run with these settings again."""
    length = "steps" if settings["steps"] is not None else "seconds"
    names = f"data preset {length} target optimizer batch learning_rate muon_rate noise_mean noise_std seed".split()
    words = [f"--{name.replace('_', '-')} {settings[name]}" for name in names]
    return " ".join(["python -m course_lib train", *words, "--out runs/digits"])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="course_staff ship", description=__doc__)
    parser.add_argument("run", type=typed_path, help="a folder made by train")
    parser.add_argument("--judge-only", action="store_true", help="print the figures, ship nothing")
    arguments = parser.parse_args(argv)
    model = load_model(arguments.run)
    samples = generate(model, 1000, "ddpm", SAMPLER_STEPS["ddpm"], seed=0)
    found = figures(samples) | {"sampler": f"ddpm, {SAMPLER_STEPS['ddpm']} steps, seed 0"}
    print(json.dumps(found, indent=2))
    if arguments.judge_only:
        return 0
    record = {
        "command": command_of(model.record["settings"]),
        **model.record,
        **found,
        "data": "the 9,000 training digits",
    }
    shipping = ASSETS / "shipping"
    save_model(shipping, Model(model.network, model.parametrization, record))
    (shipping / "model.safetensors").replace(ASSETS / "digits.safetensors")
    (shipping / "record.json").replace(ASSETS / "digits.json")
    shutil.rmtree(shipping)
    print(f"shipped as {ASSETS / 'digits.safetensors'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
