"""Small random predictions with all that makes a search stumble: ties, unknown labels, empty rows and classes."""

import numpy as np

GRID = np.array([0, 0.1, 0.25, 0.3, 0.5, 0.7, 0.9, 1], np.float32)


def neighbours(start=0.3, count=5, kind=np.float32):
    """Return floats with nothing between them."""
    values = [kind(start)]
    while len(values) < count:
        values.append(np.nextafter(values[-1], kind(1)))
    return np.array(values)


def predictions(seed, grid=GRID, positives=True):
    """Return ``(N, L)`` probabilities from a grid and int8 targets; with positives at least one."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 9), rng.integers(1, 5)
    probabilities = rng.choice(grid, shape)
    targets = rng.choice(np.array([-1, 0, 1], np.int8), shape, p=[0.15, 0.5, 0.35])
    targets[:, rng.random(shape[1]) < 0.15] = 0
    targets[rng.random(shape[0]) < 0.15] = 0
    if positives:
        targets[rng.integers(shape[0]), rng.integers(shape[1])] = 1
    return probabilities, targets


def cuts(probabilities):
    """Return a threshold for every set of labels that one can give: each probability, and infinity."""
    return [float("inf"), *np.unique(probabilities)[::-1].astype(np.float64).tolist()]
