import glob
from types import SimpleNamespace

import pytest
import yaml
from omegaconf import OmegaConf
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from polytag.tracking.loggers import announce, close, recorded

CONFIG = OmegaConf.create(
    {"seed": 3, "tags": ["planet"], "notes": "why", "recipe": {"lr": "${seed}", "sizes": [64, 96]}}
)
CLASSIFIER = SimpleNamespace(metrics={})


class Memory(Logger):
    """A logger that remembers its calls."""

    name, version = "memory", "0"

    def __init__(self):
        self.calls = []

    def log_hyperparams(self, params):
        self.calls.append(params)

    def log_metrics(self, metrics, step=None):
        pass

    def finalize(self, status):
        self.calls.append(status)


def read_events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_loggers_get_the_resolved_config_as_plain_values():
    logger = Memory()
    announce([logger], CONFIG, CLASSIFIER)

    (values,) = logger.calls
    assert len(values.pop("git_commit")) == 40
    assert values == {"seed": 3, "tags": ["planet"], "notes": "why", "recipe": {"lr": 3, "sizes": [64, 96]}}
    assert type(values["recipe"]) is dict


def test_loggers_are_closed_after_success_and_after_failure():
    good, bad = Memory(), Memory()
    with recorded([good], CONFIG, CLASSIFIER):
        pass
    with pytest.raises(KeyboardInterrupt), recorded([bad], CONFIG, CLASSIFIER):
        raise KeyboardInterrupt

    assert good.calls[-1] == "success"
    assert bad.calls[-1] == "failed"


def test_tensorboard_files_hold_metrics_and_config(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="tensorboard", version="", default_hp_metric=False)
    announce([logger], CONFIG, CLASSIFIER)
    logger.log_metrics({"val/map": 0.25}, step=1)
    logger.log_metrics({"val/map": 0.5}, step=2)
    close([logger])

    assert len(glob.glob(str(tmp_path / "tensorboard" / "events.out.tfevents.*"))) == 1
    events = read_events(tmp_path / "tensorboard")
    assert events.Tags()["scalars"] == ["val/map"]
    assert [(event.step, event.value) for event in events.Scalars("val/map")] == [(1, 0.25), (2, 0.5)]
    text = events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    written = "\n".join(line.removeprefix("    ") for line in text.splitlines())
    assert yaml.safe_load(written)["recipe"] == {"lr": 3, "sizes": [64, 96]}


def test_two_tensorboard_runs_of_one_process_stay_apart(tmp_path):
    for job in (0, 1):
        logger = TensorBoardLogger(tmp_path / str(job), name="tensorboard", version="", default_hp_metric=False)
        with recorded([logger], CONFIG, CLASSIFIER):
            logger.log_metrics({"val/map": float(job)}, step=0)

    for job in (0, 1):
        assert [event.value for event in read_events(tmp_path / str(job) / "tensorboard").Scalars("val/map")] == [job]
