"""Several processes that train one network or share out one set of samples: torch.distributed, started by `torchrun`.

Every process draws what a single one would draw for the whole batch and takes its rows, so that the number of processes
changes nothing but rounding. One alone is `ALONE`, for which everything here does nothing.

    torchrun --nproc-per-node 2 -m course_lib train --data digits --steps 1000 --out runs/a

CPUs speak through gloo, GPUs through NCCL. docs/scaling.md says more.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Processes:
    """This process among its like: `rank` of `count`, `local_rank` of those on this machine; all counted from 0."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that prints, saves, and whose clock decides."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The device called `name` as this process should use it: its own GPU for "auto" and "cuda".

        Raises ValueError where there is none left for it, or where `name` is one certain GPU for all.
        """
        if self.count == 1 or name == "cpu" or not torch.cuda.is_available():
            return name  # without any GPU, `choose_device` says so
        if name not in ("auto", "cuda"):
            raise ValueError(f"--device {name} for {self.count} processes: expected auto, cpu or cuda, a GPU for each")
        gpus = torch.cuda.device_count()
        if self.local_rank >= gpus:
            raise ValueError(f"more processes than GPUs: expected --nproc-per-node of at most {gpus} on this machine")
        return f"cuda:{self.local_rank}"

    def share(self, batch: int) -> slice:
        """This process's rows of a batch, as many as every other's. Raises ValueError where that cannot be."""
        if batch % self.count:
            raise ValueError(
                f"a batch of {batch} images cannot be shared equally by {self.count} processes: "
                f"expected a multiple of {self.count}"
            )
        each = batch // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def owners(self, n: int, piece: int) -> Tensor:
        """Whose row each of `n` is, (n,): blocks of whole pieces of `piece` rows, about as many for each process."""
        pieces = -(-n // piece)
        return torch.arange(n) // piece * self.count // max(pieces, 1)

    def wrap(self, network: nn.Module, device: torch.device) -> nn.Module:
        """`network`, which starts the same everywhere, made to average its gradients over all processes."""
        if self.count == 1:
            return network
        return DistributedDataParallel(
            network,
            device_ids=[device] if device.type == "cuda" else None,
            gradient_as_bucket_view=True,
        )

    def mean(self, value: Tensor) -> Tensor:
        """The mean of all processes' `value`, on each of them."""
        if self.count == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total / self.count

    def agree(self, number: float) -> float:
        """The first process's `number`, on each of them. Travels between CPUs: no GPU is waited for."""
        if self.count == 1:
            return number
        common = torch.tensor(number, dtype=torch.float64)
        dist.broadcast(common, 0)
        return float(common)

    def tensors_of_first(self, tensors: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
        """The first process's named tensors, or its None, on each of them: only it needs to read a run's files."""
        if self.count == 1:
            return tensors
        content = torch.frombuffer(bytearray(save(tensors)), dtype=torch.uint8) if self.first and tensors else None
        length = int(self.agree(-1 if content is None else len(content)))
        if length < 0:
            return None
        common = torch.empty(length, dtype=torch.uint8) if content is None else content
        dist.broadcast(common, 0)
        return load(common.numpy().tobytes())

    def gather_rows(self, mine: Tensor, owner: Tensor) -> Tensor:
        """Everyone's rows, (n, ...) on the CPU, put in order by `owner` (n,) at the first process; others get theirs.

        `mine` holds this process's rows in order.
        """
        mine = mine.cpu().contiguous()
        if self.count == 1:
            return mine
        if not self.first:
            if len(mine):
                dist.send(mine, 0)
            return mine
        whole = mine.new_empty(len(owner), *mine.shape[1:])
        whole[owner == 0] = mine
        for rank in range(1, self.count):
            part = whole[owner == rank].contiguous()
            if len(part):
                dist.recv(part, rank)
                whole[owner == rank] = part
        return whole

    @contextmanager
    def one_downloads(self) -> Iterator[None]:
        """Through the block go the first process, then that of each other machine, then the rest.

        Each finds what those before it downloaded, whether or not the machines share the folder it is kept in.
        """
        turn = 0 if self.first else 1 if self.local_rank == 0 else 2
        for _ in range(turn):
            self.wait()
        yield
        for _ in range(2 - turn):
            self.wait()

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            dist.all_reduce(torch.zeros(1))  # unlike dist.barrier, leaves GPUs alone


ALONE = Processes()


def started_together() -> bool:
    """Whether `torchrun`, or something that speaks like it, started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


@contextmanager
def join_processes(device: str = "auto") -> Iterator[Processes]:
    """This process among those that `torchrun` started with it, or `ALONE`; connected inside the block.

    Where one fails, all end: it says why, in the one message that is printed; the others find their connection broken,
    or are ended by torchrun, and leave in silence. `device` as on the command line.
    """
    if not started_together():
        yield ALONE
        return
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    processes = Processes(rank, count, int(os.environ.get("LOCAL_RANK", rank)))
    if not processes.first:
        logging.getLogger("course_lib").setLevel(logging.ERROR)
    store, _, _ = next(dist.rendezvous("env://", rank, count))
    try:
        gpu = device != "cpu" and torch.cuda.is_available()
        if gpu and (name := processes.device(device)) != "cpu":
            torch.cuda.set_device(name)
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", store=store, rank=rank, world_size=count)
        yield processes
        processes.wait()
        dist.destroy_process_group()
    except KeyboardInterrupt:
        if processes.first:
            raise
        raise SystemExit(130) from None
    except Exception as error:
        if not first_to_fail(store):
            raise SystemExit(2 if isinstance(error, ValueError) else 1) from None
        if not processes.first:
            print(file=sys.stderr)  # the first one's progress bar may stand on this line
        if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
            reason = str(error).splitlines()[0]
            raise RuntimeError(
                f"a process is gone, so all end; --resume goes on from the last save ({reason})"
            ) from None
        if isinstance(error, RuntimeError | OSError):
            raise RuntimeError(f"process {rank + 1} of {count}: {error}") from error
        raise


def first_to_fail(store: dist.Store) -> bool:
    """Whether no other process has failed before: then it falls to this one to say why."""
    try:
        return store.add("course_lib/failures", 1) == 1
    except Exception:  # whoever kept the store is gone too
        return True
