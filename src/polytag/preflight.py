"""What would let the processes of a job wait for one another for ever: one clear error instead, before they try."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig

from polytag.errors import UserError
from polytag.first_rank import slurm_tasks


def check_ranks(trainer: DictConfig, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a trainer that does not fit the processes which Slurm has started, or which it could not start itself.

    Raises:
        UserError: What to change in the command or in the job.
    """
    devices, nodes = device_count(trainer), int(trainer.num_nodes)
    tasks = slurm_tasks(environment)
    forks = re.search("fork|spawn|notebook", str(trainer.strategy)) is not None
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        _check_sweep(devices * nodes, tasks, forks, environment)
    if tasks > 1:
        if forks:
            raise UserError(
                f"srun has started {tasks} tasks, and trainer.strategy={trainer.strategy} would start processes in "
                "each of them: take trainer=slurm, or leave out srun."
            )
        _check_step(devices, nodes, environment)
        _check_main_address(environment)
    elif devices * nodes > 1:
        _check_alone(devices, nodes, environment)


def device_count(trainer: DictConfig) -> int:
    """Return how many devices a node a trainer asks for; -1 and `auto` are all GPUs that this process sees, or 1."""
    devices = trainer.devices
    if isinstance(devices, ListConfig):
        return len(devices)
    if str(devices) in ("auto", "-1"):
        import torch

        return max(1, torch.cuda.device_count() if trainer.accelerator != "cpu" else 1)
    return int(devices) if str(devices).isdigit() else len(str(devices).split(","))


def _check_sweep(processes: int, tasks: int, forks: bool, environment: Mapping[str, str]) -> None:
    """Refuse what would start the whole sweep once a process: each would then choose its own values."""
    if processes > 1 and not forks and "SUBMITIT_EXECUTOR" not in environment:
        raise UserError(
            "-m with several processes a run: each of them would start the sweep anew. Use launcher=slurm, which "
            "starts the processes of each job, or trainer=ddp_fork on the CPU."
        )
    if tasks > 1 and "SUBMITIT_EXECUTOR" not in environment:
        raise UserError(f"srun has started {tasks} tasks, and each would do the whole sweep: leave out srun.")


def _check_alone(devices: int, nodes: int, environment: Mapping[str, str]) -> None:
    """Check one process that has several devices to serve: it starts the others itself, but only on its own node."""
    asked = int(environment.get("SLURM_NTASKS", 1))
    if asked > 1:
        raise UserError(
            f"This Slurm job has {asked} tasks, but train was started once, without srun, and would wait for the "
            "others for ever. Put srun before it: srun train trainer=slurm ..."
        )
    if nodes > 1:
        raise UserError(
            f"trainer.num_nodes={nodes}, but only this process was started, and it would wait for "
            f"{devices * nodes - 1} others for ever. In a Slurm job of {nodes} nodes: srun train trainer=slurm ..."
        )


def _check_step(devices: int, nodes: int, environment: Mapping[str, str]) -> None:
    there = _tasks_per_node(environment["SLURM_STEP_TASKS_PER_NODE"])
    if there == [devices] * nodes:
        return
    counts = " and ".join(str(count) for count in dict.fromkeys(there))
    listed = f"{counts} task{'s' * (counts != '1')} on {f'each of {len(there)} nodes' if len(there) > 1 else '1 node'}"
    cure = f"trainer.devices={there[0]} trainer.num_nodes={len(there)}"
    if len(set(there)) > 1:
        cure = "the same number on each: srun --ntasks-per-node=N"
    raise UserError(
        f"srun has started {listed}, but trainer.devices={devices} and trainer.num_nodes={nodes} ask for another "
        f"number, and they would wait for one another for ever. Say {cure}; in a job with --nodes and "
        "--ntasks-per-node, trainer=slurm takes the numbers from there."
    )


def _tasks_per_node(text: str) -> list[int]:
    """Return the number of tasks on each node from Slurm's way of writing it, such as `2(x3),1`."""
    counts = []
    for part in text.split(","):
        count, _, times = part.partition("(x")
        counts += [int(count)] * int(times.rstrip(")") or 1)
    return counts


def _check_main_address(environment: Mapping[str, str]) -> None:
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    address = environment.get("MASTER_ADDR")
    address = address or SLURMEnvironment.resolve_root_node_address(environment["SLURM_STEP_NODELIST"])
    try:
        socket.getaddrinfo(address, None)
    except OSError as error:
        raise UserError(
            f"The first task's node {address!r} cannot be found from {socket.gethostname()} ({error}), so the tasks "
            "would wait for one another for ever. Set MASTER_ADDR to an address of that node before srun."
        ) from error


def check_accounting() -> None:
    """Refuse to submit jobs where nobody could be told how they end: submitit would wait for ever for a killed one.

    Raises:
        UserError: What Slurm's `sacct` says.
    """
    if shutil.which("sacct") is None:
        raise UserError("There is no command sacct here: jobs of Slurm are submitted from a machine that has it.")
    done = subprocess.run(["sacct", "--noheader", "--allocations"], capture_output=True, text=True, timeout=60)
    if done.returncode or "disabled" in done.stderr:
        raise UserError(
            f"sacct does not tell how jobs end ({' '.join(done.stderr.split())}), and the launcher would wait for ever "
            "for one that was killed. Ask for Slurm's accounting (slurmdbd), or start each run with sbatch."
        )
