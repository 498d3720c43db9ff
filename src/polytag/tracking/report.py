"""`report.html`: a run on one page that needs no other file and no script."""

import base64
import math
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from jinja2 import Environment, StrictUndefined
from omegaconf import DictConfig, OmegaConf

from polytag.data.label_table import UNKNOWN, VAL
from polytag.inference.scoring import Result
from polytag.metrics.per_class import class_scores
from polytag.policy.cross_fit import Found
from polytag.run_folder import RunFolder, write_atomically
from polytag.tracking.console import duration
from polytag.tracking.marked_names import marked_names, sample_rows
from polytag.tracking.picture_grid import resize_to

PICTURES, PICTURE_SIDE = 24, 224


def write_report(
    config: DictConfig, folder: RunFolder, results: Mapping[str, Result], found: Found, summary: Mapping[str, Any]
) -> Path:
    """Write the page of a run and return its file.

    Args:
        config: The run's config.
        folder: The run, with its history and its plots written.
        results: The results of each scored split.
        found: How probabilities become labels.
        summary: What summary.json will hold.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": _number, "percent": _percent}
    template = environment.from_string(files("polytag.tracking").joinpath("report.html.jinja").read_text("utf-8"))
    classes = next((result.table.classes for result in results.values()), ())
    history = folder.plots / "history.png"
    page = template.render(
        title="/".join(folder.path.absolute().parts[-2:]),  # by default the date and the time
        subtitle=f"{config.model.get('backbone', 'a network of your own')} on {config.data.get('root', 'your data')}",
        notes=config.notes,
        tags=list(config.tags),
        monitor=config.monitor.metric,
        splits=[_split(name, result, summary) for name, result in results.items()],
        verdict=(found.search or {}).get("verdict", ""),
        thresholds=found.policy.to_dict(classes)["thresholds"],
        history=_data_url(history.read_bytes(), "png") if history.exists() else None,
        pictures=_pictures(results[VAL]) if VAL in results else [],
        has_unknown=VAL in results and bool((results[VAL].table.targets == UNKNOWN).any()),
        facts=_facts(folder, summary),
        config=OmegaConf.to_yaml(config, resolve=True),
    )
    path = folder.path / "report.html"
    write_atomically(path, page)
    return path


def _split(name: str, result: Result, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page says about one split; classes in the order of their scores, undefined ones last."""
    scores = class_scores(result.evaluation, result.table.classes)
    _, *beside = result.columns().items()
    columns = dict(beside)
    with_tta = {full.split("/", 1)[1]: value for full, value in summary.get(f"{name}_tta", {}).items()}
    return {
        "name": name,
        "images": len(result.table),
        "scores": result.scores,
        "beside": {"with TTA": with_tta} | columns if with_tta else columns,
        "notes": result.notes(),
        "unknown": int((result.table.targets == UNKNOWN).sum()),
        "classes": sorted(scores, key=lambda s: -s.average_precision if s.support else math.inf),
    }


def _pictures(result: Result) -> list[dict[str, Any]]:
    """Return a seeded choice of images as small JPEGs with their marked names."""
    table, decisions = result.table, result.decisions
    return [
        {
            "image": _data_url(_thumbnail(table.read(i)), "jpeg"),
            "names": marked_names(table.targets[i], decisions[i], table.classes),
            "file": str(table.names[i]),
        }
        for i in sample_rows(len(table), PICTURES, seed=0)
    ]


def _thumbnail(pixels: npt.NDArray[np.uint8]) -> bytes:
    small = resize_to(pixels, min(PICTURE_SIDE, max(pixels.shape[:2])))
    done, content = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done
    return content.tobytes()


def _data_url(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _facts(folder: RunFolder, summary: Mapping[str, Any]) -> dict[str, str]:
    """Return best epoch, where the time went, and what the run was made with."""
    rows, best = folder.read_history(), summary["monitor"]["epoch"]
    facts = {} if best is None else {"best epoch": f"{best + 1} of {int(rows[-1]['epoch']) + 1}"}
    seconds = dict(summary["seconds"])
    facts["time in all"] = duration(seconds.pop("total"))
    facts |= {name.replace("_", " "): duration(value) for name, value in seconds.items()}
    if summary["images_per_second"]:
        facts["training speed"] = f"{summary['images_per_second']:,.0f} images/s"
    facts["versions"] = ", ".join(f"{name} {number}" for name, number in summary["versions"].items())
    facts["git commit"] = summary["git_commit"] or "-"
    return facts


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _percent(value: float) -> str:
    return "0" if math.isnan(value) else f"{100 * value:.1f}"
