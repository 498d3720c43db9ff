"""What TensorBoard gets beside the rows of numbers: the config, pictures, and what its HParams tab compares."""

from collections.abc import Mapping
from typing import Any

import cv2
import yaml

from polytag.tracking.media import Media


def send_config(writer: Any, config: Mapping[str, Any]) -> None:
    """Send the config as a text."""
    lines = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True).splitlines()
    writer.add_text("config", "\n".join(f"    {line}" for line in lines))


def send_media(writer: Any, media: Media, step: int) -> None:
    """Send the pictures."""
    for name, path in media.pictures.items():
        pixels = cv2.imread(str(path))
        assert pixels is not None, path
        writer.add_image(f"plots/{name}", pixels[:, :, ::-1], step, dataformats="HWC")


def send_hparams(writer: Any, values: Mapping[str, Any], scores: Mapping[str, float], step: int) -> None:
    """Fill the run's row of the HParams tab.

    Neither Lightning's `log_hyperparams` nor torch's `add_hparams` will do: both describe the experiment by this one
    run, and TensorBoard then knows the columns of the first run only; without a description it joins those of all.
    Torch's also makes a second run of it, in a folder below.

    Args:
        writer: Of the run.
        values: The settings: plain values by name.
        scores: By name.
        step: At which the scores are drawn.
    """
    from torch.utils.tensorboard.summary import hparams

    known = {name: _plain(value) for name, value in values.items() if value is not None}
    _, start, end = hparams(known, dict(scores))  # type: ignore[no-untyped-call]
    for summary in (start, end):
        writer.file_writer.add_summary(summary)
    for name, value in scores.items():
        writer.add_scalar(name, value, step)


def _plain(value: Any) -> float | str:
    """Return a number as it is; torch takes a boolean for one, and refuses lists."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
