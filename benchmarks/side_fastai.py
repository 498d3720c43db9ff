"""A side: fastai's Learner on the same images, one epoch a turn, without validation and without its progress bar.

Its best setting on two cores: channels_last, no workers, 32 bits.
"""

import argparse
from pathlib import Path

import torch
from fastai.vision.all import (
    BCEWithLogitsLossFlat,
    Callback,
    CancelValidException,
    ChannelsLast,
    DataBlock,
    ImageBlock,
    IndexSplitter,
    Normalize,
    ProgressCallback,
    Recorder,
    RegressionBlock,
    Resize,
    ResizeMethod,
    aug_transforms,
    vision_learner,
)
from sides import seconds, serve


class NoValidation(Callback):
    order = -99

    def before_validate(self):
        raise CancelValidException


def loaders(files, size, batch, workers=0):
    """Return fastai's loaders: squished images, its usual augmentation on the batch, random labels."""
    labels = (torch.rand(len(files), 5) > 0.8).float()
    block = DataBlock(
        blocks=(ImageBlock, RegressionBlock(n_out=5)),
        get_x=lambda i: files[i],
        get_y=lambda i: labels[i],
        splitter=IndexSplitter([0]),
        item_tfms=Resize(size, method=ResizeMethod.Squish),
        batch_tfms=[
            *aug_transforms(flip_vert=False, max_zoom=1.0, max_warp=0.0),
            Normalize.from_stats([0.5] * 3, [0.5] * 3),
        ],
    )
    return block.dataloaders(list(range(len(files))), bs=batch, num_workers=workers)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", required=True)
    parser.add_argument("--count", type=int, default=513)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--frozen", action="store_true")
    parser.add_argument("--only-load", action="store_true")
    given = parser.parse_args()
    files = sorted(Path(given.images).glob("*.jpg"), key=lambda path: int(path.stem))[: given.count]
    dls = loaders(files, given.size, given.batch)
    images = len(dls.train) * given.batch
    if given.only_load:
        serve(lambda: images / seconds(lambda: [None for _ in dls.train]))
        return
    learn = vision_learner(
        dls,
        "tf_efficientnet_lite0",
        n_out=5,
        pretrained=False,
        loss_func=BCEWithLogitsLossFlat(),
        cbs=[NoValidation(), ChannelsLast()],
    )
    learn.remove_cbs([ProgressCallback, Recorder])
    (learn.freeze if given.frozen else learn.unfreeze)()
    learn.create_opt()

    def epoch():
        with learn.no_logging():
            learn.fit(1, 1e-3)

    serve(lambda: images / seconds(epoch))


if __name__ == "__main__":
    main()
