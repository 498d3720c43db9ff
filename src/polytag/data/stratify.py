"""Multi-label stratification: parts that each have their share of every label."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def stratify(positives: npt.NDArray[np.bool_], fractions: Sequence[float], seed: int) -> Integers:
    """Deal rows out to parts so that each part has its share of every label.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-label Data", 2011), with
    all rows of the rarest remaining label dealt at once instead of one by one. Rows without a label come last.

    Args:
        positives: ``(N, L)`` which labels the rows have.
        fractions: The share of each part; they sum to 1.
        seed: The same seed gives the same parts.

    Returns:
        ``(N,)`` part of each row. Sizes are the shares of N rounded, and no part with a share is empty if there are
        enough rows.
    """
    shares = np.asarray(fractions, np.float64)
    assert shares.min() >= 0 and abs(shares.sum() - 1) < 1e-6, fractions
    rng = np.random.default_rng(seed)
    targets = positives.astype(np.uint8)
    counts = targets.sum(0, dtype=np.int64)
    order = _by_label_set(targets[:, np.argsort(counts, kind="stable")], rng)
    ordered = targets[order]
    parts = _deal_all(ordered, shares, rng)
    # A row's rarest label says how little its part misses it when a few rows have to move to make the sizes right.
    rarest = np.where(ordered > 0, counts, len(targets) + 1).min(axis=1, initial=len(targets) + 1)
    _settle_sizes(parts, part_sizes(len(targets), shares, rng), rarest, rng)
    result = np.empty(len(targets), np.int64)
    result[order] = parts
    return result


def _by_label_set(targets: npt.NDArray[np.uint8], rng: np.random.Generator) -> Integers:
    """Return a row order in which equal label sets are neighbours, shuffled inside each set."""
    packed = np.packbits(targets, axis=1)
    order: Integers = np.lexsort((rng.random(len(targets)), *packed.T[::-1]))
    return order


def _deal_all(targets: npt.NDArray[np.uint8], shares: Floats, rng: np.random.Generator) -> Integers:
    """Deal the rows label by label, the rarest remaining label first."""
    parts = np.full(len(targets), -1, np.int64)
    counts = targets.sum(0, dtype=np.int64)
    wishes = np.outer(shares, counts)
    slack = max(1.0, 0.005 * len(targets))
    while counts.any():
        label = int(np.argmin(np.where(counts > 0, counts, len(targets) + 1)))
        rows = np.flatnonzero((parts < 0) & (targets[:, label] > 0))
        # Rounding many small labels the same way would make a part far too large: beyond a slack, its size counts too.
        # Inside the slack the label alone decides, so that a label's only row goes to the largest part.
        dealt = np.bincount(parts[parts >= 0], minlength=len(shares))
        debts = shares * dealt.sum() - dealt
        parts[rows] = _deal(len(rows), wishes[:, label], rng, debts - np.clip(debts, -slack, slack))
        for part in range(len(shares)):
            given = targets[rows[parts[rows] == part]].sum(0, dtype=np.int64)
            wishes[part] -= given
            counts -= given
    rows = np.flatnonzero(parts < 0)
    dealt = np.bincount(parts[parts >= 0], minlength=len(shares))
    parts[rows] = _deal(len(rows), shares * len(targets) - dealt, rng)
    return parts


def _deal(count: int, wishes: Floats, rng: np.random.Generator, debts: Floats | float = 0.0) -> Integers:
    """Return the part of each of `count` neighbouring rows, every part evenly spaced among them."""
    amounts = _apportion(count, wishes, rng, debts)
    places = [(np.arange(amount) + rng.random()) / max(amount, 1) for amount in amounts]
    parts = np.repeat(np.arange(len(amounts)), amounts)
    spread: Integers = parts[np.argsort(np.concatenate(places), kind="stable")]
    return spread


def _apportion(count: int, wishes: Floats, rng: np.random.Generator, debts: Floats | float = 0.0) -> Integers:
    """Share out `count` things in proportion to the wishes, by largest remainder with random tie-breaking."""
    wanted = np.clip(wishes, 0, None)
    quotas = count * wanted / max(wanted.sum(), 1e-12)
    amounts: Integers = np.floor(quotas + 1e-9).astype(np.int64)
    remainders = quotas - amounts
    claims = np.where(remainders > 1e-9, np.round(remainders + debts, 9), -np.inf)
    ranking = np.lexsort((rng.random(len(amounts)), -claims))
    amounts[ranking[: count - amounts.sum()]] += 1
    return amounts


def part_sizes(count: int, weights: Floats, rng: np.random.Generator) -> Integers:
    """Share out `count` rows by weight, at least one for each part that has a weight if there are enough."""
    sizes = _apportion(count, weights, rng)
    if count >= np.count_nonzero(weights):
        for part in np.flatnonzero((weights > 0) & (sizes == 0)):
            sizes[np.argmax(sizes)] -= 1
            sizes[part] = 1
    return sizes


def _settle_sizes(parts: Integers, sizes: Integers, commonness: Integers, rng: np.random.Generator) -> None:
    """Move the few rows, those with common labels only, that make every part exactly as large as it should be."""
    surplus = np.bincount(parts, minlength=len(sizes)) - sizes
    ranking = np.lexsort((rng.random(len(parts)), -commonness))
    moved = [ranking[parts[ranking] == part][: surplus[part]] for part in np.flatnonzero(surplus > 0)]
    places = np.repeat(np.arange(len(sizes)), np.clip(-surplus, 0, None))
    if moved:
        parts[np.concatenate(moved)] = rng.permutation(places)
