"""Train the feature network behind the Fréchet distance: `python -m course_staff features`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor
from tqdm.auto import tqdm

from course_lib.data import digits
from course_lib.files import write_atomically
from course_lib.metrics import FeatureNet

ASSETS = Path(__file__).parents[2] / "course_lib" / "assets"


def move_a_little(images: Tensor, generator: torch.Generator) -> Tensor:
    """`images` turned, sheared, resized and shifted a little, each in its own way; (N, 1, 28, 28)."""
    grid = torch.eye(2, 3).expand(len(images), 2, 3) + 0.1 * torch.randn(len(images), 2, 3, generator=generator)
    return (
        F.grid_sample(images + 1, F.affine_grid(grid, list(images.shape), align_corners=False), align_corners=False) - 1
    )


def train_features(steps: int = 3000, batch: int = 128, seed: int = 0) -> None:
    """Train the network and write its weights and its record into the assets."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    train, held_back = digits("train"), digits("held_back")
    network = FeatureNet()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05)
    decay = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in tqdm(range(steps), desc="feature network"):
        chosen = torch.randint(len(train), (batch,), generator=generator)
        logits = network(move_a_little(train.images[chosen], generator))
        F.cross_entropy(logits, train.labels[chosen], label_smoothing=0.05).backward()
        optimizer.step()
        decay.step()
        optimizer.zero_grad()
    network.eval()
    with torch.no_grad():
        features = network.layers(train.images)
        network.mean.copy_(features.mean(0))
        network.std.copy_(features.std(0))
        accuracy = (network(held_back.images).argmax(1) == held_back.labels).float().mean().item()
    record = {
        "made by": "python -m course_staff.release.features",
        "data": "9,000 embedded MNIST digits (split 'train'), random small affine moves",
        "seed": seed,
        "steps": steps,
        "batch": batch,
        "accuracy on the 1,000 held-back digits": round(accuracy, 4),
    }
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    write_atomically(ASSETS / "features.safetensors", save(weights))
    write_atomically(ASSETS / "features.json", json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


def main(arguments: list[str] | None = None) -> int:
    argparse.ArgumentParser(prog="course_staff features", description=__doc__).parse_args(arguments)
    train_features()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
