"""Numbers about a label table: what is in it, and what a training should be told about it at the start."""

import numpy as np
import numpy.typing as npt

from polytag.data.label_table import TEST, TRAIN, UNASSIGNED, UNKNOWN, VAL, LabelTable
from polytag.errors import first_few


def label_counts(table: LabelTable) -> npt.NDArray[np.int64]:
    """Return ``(L,)`` how many images have each label."""
    return np.asarray(table.positives.sum(0, dtype=np.int64))


def labels_per_image(table: LabelTable) -> npt.NDArray[np.int64]:
    """Return how many images have 0, 1, 2, ... labels, up to the largest number that occurs."""
    return np.bincount(table.positives.sum(1, dtype=np.int64)).astype(np.int64)


def unlabelled_rows(table: LabelTable) -> npt.NDArray[np.int64]:
    """Return the indexes of the images without any label."""
    return np.flatnonzero(table.positives.sum(1, dtype=np.int64) == 0)


def known_counts(table: LabelTable) -> npt.NDArray[np.int64]:
    """Return ``(L,)`` of how many images it is known whether they have each label."""
    return np.asarray((table.targets != UNKNOWN).sum(0, dtype=np.int64))


def shares(table: LabelTable) -> npt.NDArray[np.float64]:
    """Return ``(L,)`` the share of the images with each label among those of which it is known; NaN where none is."""
    known = known_counts(table)
    return np.where(known > 0, label_counts(table) / np.maximum(known, 1), np.nan)


def imbalance(table: LabelTable) -> str:
    """Return a line on how uneven the known labels of a table are; classes that no image has are left aside.

    Labels an image (cardinality), and that over the number of classes (density): Tsoumakas and Katakis 2007,
    "Multi-Label Classification: An Overview", https://doi.org/10.4018/jdwm.2007070101.
    """
    counts = label_counts(table)
    known = int(known_counts(table).sum())
    word = "labels" if known == table.targets.size else "known labels"
    density = counts.sum() / max(1, known)
    line = f"{counts.sum() / max(1, len(table)):.2f} {word} an image, density {density:.3g}"
    if not counts.any():
        return line
    ratio = counts.max() / counts[counts > 0].min()
    return f"{line}; largest over smallest count {ratio:,.{0 if ratio >= 10 else 1}f}"


def classes_without_positive(table: LabelTable) -> tuple[str, ...]:
    """Return the classes that no image of the table has."""
    return tuple(name for name, count in zip(table.classes, label_counts(table), strict=True) if not count)


def classes_of_every_image(table: LabelTable) -> tuple[str, ...]:
    """Return the classes that all images of the table have."""
    return tuple(name for name, count in zip(table.classes, label_counts(table), strict=True) if count == len(table))


def describe(table: LabelTable) -> list[str]:
    """Return the lines that a training prints about its data, warnings included."""
    sizes = {name: int((table.split == name).sum()) for name in (TRAIN, VAL, TEST)}
    parts = [f"{size:,} {name}" for name, size in sizes.items() if size]
    if unassigned := int((table.split == UNASSIGNED).sum()):
        parts.append(f"{unassigned:,} without a split")
    mean = float(table.positives.sum(1, dtype=np.int64).mean()) if len(table) else 0.0
    unknown = int((table.targets == UNKNOWN).sum())
    known = "known " if unknown else ""
    without = "with no label that is known to be there" if unknown else "without a label"
    lines = [
        f"{_count(len(table), 'image')}: {', '.join(parts) or 'none'}",
        (
            f"{_count(len(table.classes), 'class', 'classes')}, {mean:.2f} {known}labels an image, "
            f"{_count(len(unlabelled_rows(table)), 'image')} {without}"
        ),
    ]
    if unknown:
        lines.append(
            f"{_count(unknown, 'label')} of {table.targets.size:,} unknown: left out of the loss and the scores"
        )
    if sizes[TRAIN] and (everywhere := classes_of_every_image(table.part(TRAIN))):
        lines.append(
            f"every training image has {first_few(everywhere)}: nothing to learn there; is it the right folder?"
        )
    elif table.is_single_label:
        lines.append("every image has exactly one label: trained as multi-label all the same")
    for name in (TRAIN, VAL):
        absent = classes_without_positive(table.part(name)) if sizes[name] else ()
        if absent:
            lines.append(f"{_count(len(absent), 'class', 'classes')} without a positive in {name}: {first_few(absent)}")
    return lines


def _count(number: int, word: str, plural: str | None = None) -> str:
    return f"{number:,} {word if number == 1 else plural or word + 's'}"
