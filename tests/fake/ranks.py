"""Processes that gather the outputs of a network as the ranks of a training do."""

import warnings
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from polytag.data.dataset import Batch, EvaluationSampler
from polytag.models.classifier import Outputs


def gather_on_ranks(world_size: int, folder: Path, batch_size: int) -> None:
    """Let each rank collect its share of `outputs.pt`; what it then knows of all goes to `rank_<n>.pt`.

    The ranks are forks, as with trainer=ddp_fork: fresh processes would import torch and Lightning first, for many
    seconds. Python warns of forks beside threads; these use no thread of their parent.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.multiprocessing.start_processes(
            _gather, (world_size, folder, batch_size), nprocs=world_size, start_method="fork"
        )


def _gather(rank: int, world_size: int, folder: Path, batch_size: int) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group("gloo", meeting, timedelta(seconds=60), world_size=world_size, rank=rank)
    logits, targets = torch.load(folder / "outputs.pt")
    rows = torch.tensor([key.row for key in EvaluationSampler(len(logits), rank, world_size)])
    outputs = Outputs()
    for epoch in range(2):
        outputs.reset()
        for number, part in enumerate(rows.split(batch_size)):
            batch = Batch(torch.empty(len(part), 0), targets[part], part)
            outputs.update(logits[part] + epoch, batch, number)
    torch.save((outputs.compute(), rows), folder / f"rank_{rank}.pt")
    dist.destroy_process_group()
