"""A side: litdata's own loader, or webdataset's, over real images in one process, images a second a turn.

As quick as their users can have it: libjpeg-turbo decodes at the smallest scale that is enough, OpenCV shrinks, and
albumentations does to each image what our `side_on` does.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("LITDATA_DISABLE_VERSION_CHECK", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import litdata
import simplejpeg
import webdataset
from litdata.streaming import Cache
from sides import seconds, serve
from torch.utils.data import DataLoader

SHARD = 4_000_000  # bytes, as for ours


def prepared(size):
    """Return a function from the bytes of a JPEG file to an augmented image."""
    augment = A.Compose(
        [
            A.RandomResizedCrop((size, size), scale=(0.35, 1.0), ratio=(0.75, 1.3333), area_for_downscale="image"),
            A.HorizontalFlip(p=0.5),
            A.ColorJitter((0.8, 1.2), (0.8, 1.2), (0.8, 1.2), (-0.02, 0.02), p=0.75),
        ]
    )
    side = int(1.3 * size)

    def prepare(content):
        decoded = simplejpeg.decode_jpeg(bytes(content), "RGB", min_height=side, min_width=side, min_factor=1)
        return augment(image=cv2.resize(decoded, (side, side), interpolation=cv2.INTER_AREA))["image"]

    return prepare


def litdata_loader(files, size, batch, place):
    """Write shards, and return litdata's loader of them."""
    prepare = prepared(size)

    class Images(litdata.StreamingDataset):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            return prepare(sample["image"]), sample["label"]

    folder = Path(place) / "litdata"
    folder.mkdir()
    cache = Cache(str(folder), chunk_bytes=SHARD)
    for number, file in enumerate(files):
        cache[number] = {"image": file.read_bytes(), "label": number % 5}
    cache.done()
    cache.merge()
    return litdata.StreamingDataLoader(Images(str(folder), shuffle=True), batch_size=batch, num_workers=0)


def webdataset_loader(files, size, batch, place):
    """Write a tar file, and return a loader of it that shuffles in a buffer."""
    prepare = prepared(size)
    tar = f"{place}/images.tar"
    with webdataset.TarWriter(tar) as writer:
        for number, file in enumerate(files):
            writer.write({"__key__": file.stem, "jpg": file.read_bytes(), "cls": number % 5})
    data = webdataset.WebDataset(tar, shardshuffle=False, empty_check=False).shuffle(1000)
    return DataLoader(data.map(lambda sample: (prepare(sample["jpg"]), int(sample["cls"]))), batch_size=batch)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("litdata", "webdataset"))
    parser.add_argument("--images", required=True)
    parser.add_argument("--count", type=int, default=513)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    given = parser.parse_args()
    cv2.setNumThreads(0)
    files = sorted(Path(given.images).glob("*.jpg"), key=lambda path: int(path.stem))[: given.count]
    build = {"litdata": litdata_loader, "webdataset": webdataset_loader}[given.kind]
    with tempfile.TemporaryDirectory() as place:
        loader = build(files, given.size, given.batch, place)
        images = sum(len(batch[0]) for batch in loader)
        serve(lambda: images / seconds(lambda: [None for _ in loader]))


if __name__ == "__main__":
    main()
