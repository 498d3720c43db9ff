"""The Keras lesson's experiment: any activation of the last layer with any cross-entropy, sensible or not."""

import logging
import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from polytag.data.label_table import PRESENT
from polytag.errors import UserError, did_you_mean
from polytag.losses.known import log_softmax_of_known, mean_of_known, split_known
from polytag.models.activations import KINDS, Activation

log = logging.getLogger(__name__)

LOSSES = ("bce", "ce", "sparse_ce")
EPSILON = 1e-7  # Keras's: outputs lie at least this far from 0 and 1
ONE_LABEL = "a softmax shares a probability of 1 among the labels, so at most one can reach more than 0.5"
RELATIVE = "this loss compares the outputs of an image with one another only, so nothing tells what a high output is"
LOGITS = "the outputs are logits, not probabilities: a threshold of 0.5 on a logit is one of 0.62 on its probability"
WARNINGS = {
    ("softmax", "bce"): f"{ONE_LABEL}. For images with several labels take activation=sigmoid.",
    ("softmax", "ce"): f"{ONE_LABEL}. For images with several labels take criterion=bce.",
    ("sigmoid", "ce"): f"{RELATIVE}. For images with several labels take loss=bce.",
    ("none", "ce"): f"{RELATIVE}, and {LOGITS}. For images with several labels take criterion=bce.",
    ("none", "bce"): f"{LOGITS}. Take activation=sigmoid: it is the same loss.",
    ("sigmoid", "sparse_ce"): f"{RELATIVE}. Take activation=softmax.",
    ("none", "sparse_ce"): f"{LOGITS}. Take activation=softmax: it is the same loss.",
}


class ActivationLoss(nn.Module):
    """A cross-entropy on the outputs of an activation, with Keras's meaning.

    `bce` is the mean over labels. `ce` divides the outputs of an image by their sum and adds up -log of those of its
    labels, which are not normalised; the mean is over images, also those without a label, which add 0. `sparse_ce` is
    the same for exactly one label an image. Without an activation the loss takes logits (`from_logits=True`): `bce`
    applies a sigmoid to them, the others a softmax. Outputs are cut off 1e-7 from 0 and 1 as in Keras, except where an
    activation goes with its own loss (sigmoid with bce, softmax with ce and sparse_ce): these are computed from logits.

    Keras on TensorFlow does other than it documents. Behind a sigmoid or softmax it takes the logits whatever the loss
    (https://github.com/keras-team/keras/issues/15271), so that softmax x bce trains as none x bce does and sigmoid x ce
    as none x ce; and the gradient of its softmax cross-entropy is right only where the targets of an image add up to 1
    (https://www.tensorflow.org/api_docs/python/tf/nn/softmax_cross_entropy_with_logits). Neither is copied.

    What is unknown takes no part, in a softmax and a sum of outputs neither. All are linear in the targets: a share of
    MixUp counts as that share of an image that has the label. Source: https://keras.io/api/losses/probabilistic_losses.

    Args:
        activation: `sigmoid` | `softmax` | `none`: of the last layer, in training and prediction.
        loss: `bce` | `ce` | `sparse_ce`.
        train_targets: ``(M, L)`` int8 targets of the training rows; None: they are not looked at.

    Attributes:
        activation: How logits become probabilities.

    Raises:
        UserError: One of the two is unknown, or `sparse_ce` is to learn from images without exactly one label.
    """

    def __init__(
        self,
        activation: str = "sigmoid",
        loss: str = "bce",
        train_targets: npt.NDArray[np.int8] | None = None,
    ) -> None:
        super().__init__()
        _refuse_unknown("activation", activation, KINDS)
        _refuse_unknown("loss", loss, LOSSES)
        if loss == "sparse_ce" and train_targets is not None:
            _refuse_multi_hot(train_targets)
        if (activation, loss) in WARNINGS:
            log.warning(f"criterion {activation} x {loss}: {WARNINGS[activation, loss]}")
        self.activation, self.loss = Activation(activation), loss

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of ``(N, L)`` logits for targets in 0 to 1, NaN or -1 where unknown; in 32 bits."""
        assert logits.shape == targets.shape, (logits.shape, targets.shape)
        certain, known = split_known(targets)
        logits, kind = logits.float(), self.activation.kind
        if self.loss != "bce":
            return mean_of_known(-(certain * _log_shares(kind, logits, known)).sum(1), known.any(1))
        if kind != "softmax":
            return mean_of_known(binary_cross_entropy_with_logits(logits, certain, reduction="none"), known)
        outputs = log_softmax_of_known(logits, known).exp().clamp(EPSILON, 1 - EPSILON)
        return mean_of_known(-(certain * outputs.log() + (1 - certain) * (1 - outputs).log()), known)


def _log_shares(kind: str, logits: Tensor, known: Tensor) -> Tensor:
    """Return the log of ``(B, L)`` outputs, divided by their sum where they do not add up to 1 anyway."""
    if kind != "sigmoid":
        return log_softmax_of_known(logits, known)
    # exp(log s_i) / sum exp(log s_j): Keras's division, without its 0 / 0
    return log_softmax_of_known(logsigmoid(logits), known).clamp(math.log(EPSILON), math.log1p(-EPSILON))


def _refuse_unknown(key: str, value: str, there: Iterable[str]) -> None:
    if value not in there:
        raise UserError(f"criterion.{key}={value} is none of {', '.join(there)}.{did_you_mean(str(value), there)}")


def _refuse_multi_hot(targets: npt.NDArray[np.int8]) -> None:
    other = int(((targets == PRESENT).sum(1) != 1).sum())
    if other:
        raise UserError(
            f"criterion.loss=sparse_ce takes one integer an image, the number of its class, which cannot hold several "
            f"labels or none: {other:,} of {len(targets):,} training images have not exactly one. "
            "Take criterion.loss=bce."
        )
