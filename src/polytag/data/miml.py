"""The MIML image collection (Zhou and Zhang): 2,000 natural scenes with one to three of five labels."""

from dataclasses import replace
from pathlib import Path

from polytag.data.csv import read_csv
from polytag.data.download import fetch
from polytag.data.files import require_path
from polytag.data.label_table import LabelTable

CLASSES = ("desert", "mountains", "sea", "sunset", "trees")
# The copy that the Keras tutorial on this data set names; `dl=1` asks for the file instead of its page. No checksum
# is stated for it, so the number of images is checked. The address was not tried here.
URL = "https://www.dropbox.com/s/0htmeoie69q650p/miml_dataset.zip?dl=1"
IMAGES = 2000
HINT = (
    "Get it with data.download=true (for academic use only, say its authors) into a new or empty data.root, "
    f"or unpack {URL} so that data.root holds images/ and miml_labels_1.csv."
)


def read_miml(
    root: str, labels: str = "miml_labels_1.csv", images: str = "images", download: bool = False
) -> LabelTable:
    """Read either label file of MIML; `miml_labels_1.csv` has 0/1 columns, `miml_labels_2.csv` names.

    Raises:
        UserError: A file is missing, cannot be read or fetched, or has a label that is none of the five.
    """
    base = Path(root).expanduser()
    if download:
        fetch(URL, base, wanted=labels, expected_files=IMAGES)
    require_path(base, "folder", HINT)
    require_path(base / labels, "label file", HINT)
    table = read_csv(str(base), file=labels, images=images, separator=",", classes=CLASSES)
    return replace(table, hint=HINT)
