from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.strategies import SingleDeviceStrategy

from polytag.callbacks.steps import FLUSH, StepHistory
from polytag.callbacks.timing import Timing
from polytag.run_folder import RunFolder


class Memory:
    """A logger that remembers its rows."""

    def __init__(self):
        self.rows = {}

    def log_metrics(self, metrics, step):
        assert step not in self.rows
        self.rows[step] = metrics


def trainer_of(accumulate=1, every=10):
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)], "name": "head"}], lr=0.5)
    return SimpleNamespace(
        global_step=0,
        current_epoch=0,
        accumulate_grad_batches=accumulate,
        log_every_n_steps=every,
        optimizers=[optimizer],
        loggers=[Memory()],
        is_global_zero=True,
        strategy=SingleDeviceStrategy(torch.device("cpu")),
    )


def take_steps(history, trainer, losses):
    """Let each loss be that of a batch, as Lightning has it: divided by the number of batches in a step."""
    for batch, loss in enumerate(losses):
        trainer.global_step += (batch + 1) % trainer.accumulate_grad_batches == 0
        history.timing.images += 4
        scaled = torch.tensor(float(loss)) / trainer.accumulate_grad_batches
        history.on_train_batch_end(trainer, None, {"loss": scaled}, None, batch)


@pytest.fixture
def history(tmp_path):
    return StepHistory(RunFolder(tmp_path), Timing())


def test_steps_are_written_together_and_the_rest_at_the_end_of_the_epoch(history):
    trainer = trainer_of()
    take_steps(history, trainer, range(FLUSH - 1))
    assert history.folder.read_steps() == []
    take_steps(history, trainer, [0.25, 0.5])
    assert len(history.folder.read_steps()) == FLUSH
    history.on_train_epoch_end(trainer, None)

    rows = history.folder.read_steps()
    assert [int(row["step"]) for row in rows] == [*range(1, FLUSH + 2)]
    assert rows[0] == {"step": "1", "epoch": "0", "images_seen": "4", "train/loss_step": "0", "lr/head": "0.5"}
    assert [row["train/loss_step"] for row in rows[-3:]] == [str(FLUSH - 2), "0.25", "0.5"]


def test_a_step_of_several_batches_has_their_mean_loss(history):
    trainer = trainer_of(accumulate=3)
    take_steps(history, trainer, [1, 2, 6, 0.5, 0.5, 2])
    history.on_save_checkpoint(trainer, None, {})

    rows = history.folder.read_steps()
    assert [(row["step"], row["images_seen"], row["train/loss_step"]) for row in rows] == [
        ("1", "12", "3"),
        ("2", "24", "1"),
    ]


def test_loggers_get_the_first_step_and_each_nth(history):
    trainer = trainer_of(every=4)
    take_steps(history, trainer, range(9))
    history.on_train_epoch_end(trainer, None)

    rows = trainer.loggers[0].rows
    assert list(rows) == [1, 4, 8]
    assert rows[4] == {"epoch": 0, "images_seen": 16, "train/loss_step": 3, "lr/head": 0.5}


def test_only_the_first_process_writes(history):
    trainer = trainer_of()
    trainer.is_global_zero = False
    take_steps(history, trainer, [1])
    history.on_train_epoch_end(trainer, None)

    assert not history.folder.steps_file.exists()
    assert trainer.loggers[0].rows == {}


def test_a_run_that_goes_on_cuts_off_what_comes_behind_its_checkpoint(history):
    trainer = trainer_of()
    take_steps(history, trainer, range(6))
    history.on_train_epoch_end(trainer, None)
    with open(history.folder.steps_file, "a") as file:
        file.write("7,0,2")  # the power failed
    other = StepHistory(history.folder, Timing())
    trainer.global_step = 4
    other.on_train_start(trainer, None)
    trainer.loggers = []
    take_steps(other, trainer, [40, 50])
    other.on_train_epoch_end(trainer, None)

    rows = history.folder.read_steps()
    assert [(row["step"], row["train/loss_step"]) for row in rows] == [
        *((str(step), str(step - 1)) for step in range(1, 5)),
        ("5", "40"),
        ("6", "50"),
    ]
