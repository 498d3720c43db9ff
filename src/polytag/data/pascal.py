"""PASCAL VOC 2007, in fastai's layout (a CSV) or in the VOCdevkit's (XML annotations), and data sets laid out alike."""

import logging
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from polytag.data.csv import Marks, add_suffixes, merge_duplicates, read_csv
from polytag.data.download import fetch
from polytag.data.files import require_path
from polytag.data.label_table import TEST, TRAIN, UNASSIGNED, VAL, LabelTable, make_table
from polytag.errors import UserError, did_you_mean, first_few

log = logging.getLogger(__name__)

# fastai's data/checks.txt states the size and an MD5, and fastai takes that MD5 over the first MiB only:
# https://github.com/fastai/fastai/blob/master/fastai/data/checks.txt. The address was not tried here.
URL = "https://s3.amazonaws.com/fast-ai-imagelocal/pascal_2007.tgz"
SIZE = 1_637_796_771
MD5_OF_FIRST_MIB = "433b4706eb7c42bd74e7f784e3fdf244"
FASTAI_HINT = (
    "Get it with data.download=true (1.6 GB) into a new or empty data.root, "
    f"or unpack {URL} so that data.root holds train/ and train.csv."
)
VOC_HINT = (
    "data.root must be the folder that holds Annotations/, ImageSets/ and JPEGImages/, or one with it in VOC2007/ or "
    "VOCdevkit/VOC2007/. PASCAL's own archives are at http://host.robots.ox.ac.uk/pascal/VOC/voc2007/; "
    "data.layout=fastai has a download."
)
LAYOUTS = ("fastai", "voc")
DIFFICULT = ("unknown", "ignore", "count", "drop")


def read_pascal(
    root: str,
    layout: str = "fastai",
    difficult: str = "unknown",
    classes: Sequence[str] | None = None,
    split_column: str | None = "is_valid",
    download: bool = False,
) -> LabelTable:
    """Read PASCAL's labels. `conf/data/pascal.yaml` says what each argument means.

    Raises:
        UserError: A file is missing or cannot be read, an image is in two splits, or an argument is unknown.
    """
    for option, value, known in (("layout", layout, LAYOUTS), ("difficult", difficult, DIFFICULT)):
        if value not in known:
            hint = did_you_mean(str(value), known)
            raise UserError(f"data.{option}={value} is not known: {', '.join(known[:-1])} or {known[-1]}.{hint}")
    base = Path(root).expanduser()
    if layout == "voc":
        if download:
            raise UserError(f"data.download=true has nothing to fetch for data.layout=voc. {VOC_HINT}")
        return _read_voc(_find_voc(base), difficult, classes)
    if download:
        fetch(URL, base, wanted="train.csv", size=SIZE, md5=MD5_OF_FIRST_MIB, md5_bytes=2**20)
    require_path(base, "folder", FASTAI_HINT)
    require_path(base / "train.csv", "label file", FASTAI_HINT)
    table = read_csv(str(base), file="train.csv", images="train", classes=classes, split_column=split_column)
    return replace(table, hint=FASTAI_HINT)


def _find_voc(root: Path) -> Path:
    candidates = (root, root / "VOC2007", root / "VOCdevkit" / "VOC2007")
    found = next((folder for folder in candidates if (folder / "Annotations").is_dir()), root)
    require_path(found, "folder", VOC_HINT)
    require_path(found / "Annotations", "folder", VOC_HINT)
    return found


def _read_voc(root: Path, difficult: str, classes: Sequence[str] | None) -> LabelTable:
    listed = _read_image_sets(root)
    objects = [_read_objects(root / "Annotations" / f"{image}.xml") for image, _ in listed]
    # Of an image: the labels that at least one object gives which is easy to see, and those that only others give.
    easy = [{name for name, is_difficult in found if not is_difficult} for found in objects]
    hard = [{name for name, _ in found} - plain for found, plain in zip(objects, easy, strict=True)]
    marks = [
        Marks(sorted(one | two if difficult == "count" else one), sorted(two if difficult == "unknown" else ()))
        for one, two in zip(easy, hard, strict=True)
    ]
    kept = [row for row in range(len(listed)) if difficult != "drop" or not hard[row]]
    images = [listed[row][0] for row in kept]
    # First by what lies in the folder, then .jpg for those that are not there, so that a message names a file.
    files = add_suffixes(root / "JPEGImages", add_suffixes(root / "JPEGImages", images), ".jpg")
    kept_marks, kept_parts = [marks[row] for row in kept], [listed[row][1] for row in kept]
    files, kept_marks, split = merge_duplicates(files, kept_marks, kept_parts, str(root / "ImageSets" / "Main"))
    return make_table(
        root / "JPEGImages",
        files,
        [row.labels for row in kept_marks],
        unknown=[row.unknown for row in kept_marks],
        classes=classes,
        split=split,
        hint=VOC_HINT,
        origin=str(root / "Annotations"),
    )


def _read_image_sets(root: Path) -> list[tuple[str, str]]:
    """Return the images and their splits: train, val, test, and what only trainval lists without a split."""
    main = root / "ImageSets" / "Main"
    lists = {path.stem: path.read_text("utf-8").split("\n") for path in sorted(main.glob("*.txt"))}
    names = {stem: [line.strip() for line in lines if line.strip()] for stem, lines in lists.items()}
    placed = [(name, part) for part in (TRAIN, VAL) for name in names.get(part, [])]
    placed += [(name, TEST) for name in _annotated(root, names.get(TEST, []))]
    in_train_or_val = {name for name, part in placed if part != TEST}
    placed += [(name, UNASSIGNED) for name in names.get("trainval", []) if name not in in_train_or_val]
    if not placed:
        raise UserError(f"{main} lists no image in train.txt, val.txt, trainval.txt or test.txt. {VOC_HINT}")
    return placed


def _annotated(root: Path, test: list[str]) -> list[str]:
    """Return the test images that have an annotation: PASCAL kept those of later years for itself."""
    with_labels = [name for name in test if (root / "Annotations" / f"{name}.xml").exists()]
    if len(with_labels) < len(test):
        log.info("%d of %d test images have no annotation and are left out.", len(test) - len(with_labels), len(test))
    return with_labels


def _read_objects(path: Path) -> list[tuple[str, bool]]:
    """Return name and difficulty of the objects of an image, without their parts (a person's head)."""
    try:
        found = ElementTree.parse(path).getroot().findall("object")
    except FileNotFoundError as error:
        raise UserError(f"ImageSets/Main lists {path.stem}, but there is no {path}. {VOC_HINT}") from error
    except ElementTree.ParseError as error:
        raise UserError(f"{path} is not valid XML ({error}). Replace it.") from error
    objects = [((item.findtext("name") or "").strip(), item.findtext("difficult") or "0") for item in found]
    if nameless := [str(number) for number, (name, _) in enumerate(objects, 1) if not name]:
        raise UserError(f"{path} has an object without a name (number {first_few(nameless)}). Correct it.")
    return [(name, flag.strip() == "1") for name, flag in objects]
