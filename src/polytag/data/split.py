"""Which rows train, validate and test: label-aware, seeded, and never touching a split that the source gives."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from polytag.data.label_table import TEST, TRAIN, UNASSIGNED, VAL, LabelTable
from polytag.errors import UserError, first_few

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def stratify(targets: npt.NDArray[np.uint8], fractions: Sequence[float], seed: int) -> Integers:
    """Deal rows out to parts so that each part has its share of every label.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-label Data", 2011), with
    all rows of the rarest remaining label dealt at once instead of one by one. Rows without a label come last.

    Args:
        targets: ``(N, L)`` multi-hot matrix.
        fractions: The share of each part; they sum to 1.
        seed: The same seed gives the same parts.

    Returns:
        ``(N,)`` part of each row. Sizes are the shares of N rounded, and no part with a share is empty if there are
        enough rows.
    """
    shares = np.asarray(fractions, np.float64)
    assert shares.min() >= 0 and abs(shares.sum() - 1) < 1e-6, fractions
    rng = np.random.default_rng(seed)
    counts = targets.sum(0, dtype=np.int64)
    order = _by_label_set(targets[:, np.argsort(counts, kind="stable")], rng)
    ordered = targets[order]
    parts = _deal_all(ordered, shares, rng)
    # A row's rarest label says how little its part misses it when a few rows have to move to make the sizes right.
    rarest = np.where(ordered > 0, counts, len(targets) + 1).min(axis=1, initial=len(targets) + 1)
    _settle_sizes(parts, _sizes(len(targets), shares, rng), rarest, rng)
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


def _sizes(count: int, weights: Floats, rng: np.random.Generator) -> Integers:
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


def take_subset(table: LabelTable, limit: int | None, seed: int) -> LabelTable:
    """Return a seeded subset of `limit` rows in the table's order, with the proportions of labels and given splits.

    Raises:
        UserError: A limit below 1.
    """
    if limit is None:
        return table
    if limit < 1:
        raise UserError(f"data.limit={limit} keeps no image. Set it to 1 or more, or to null for all.")
    if limit >= len(table):
        return table
    values, sizes = np.unique(table.split, return_counts=True)
    kept = np.zeros(len(table), bool)
    amounts = _sizes(limit, sizes.astype(np.float64), np.random.default_rng(seed))
    for value, amount in zip(values, amounts, strict=True):
        among = table.split == value
        kept[_sample(table, among, float(amount / among.sum()), seed)] = True
    assert kept.sum() == limit, (int(kept.sum()), limit)
    return table.rows(kept)


def assign_splits(
    table: LabelTable,
    *,
    val_fraction: float = 0.2,
    test_fraction: float = 0.0,
    num_folds: int | None = None,
    fold: int = 0,
    val_indexes: Sequence[int] | None = None,
    seed: int = 0,
) -> LabelTable:
    """Give each row without a split one of train, val and test.

    Splits that the source gives stay, and where it gives validation rows the others train. Two settings are stronger
    than a given train or val: `num_folds` pools and folds these rows, `val_indexes` names the validation rows.
    Test rows are chosen first and by the seed alone, so they are the same for every fold and `val_fraction`.

    Raises:
        UserError: A value outside its range, two settings that contradict each other, or no training row left.
    """
    _check_fractions(val_fraction, test_fraction)
    _check_folds(num_folds, fold, val_indexes)
    named = checked_indexes(table, val_indexes) if val_indexes is not None else None
    split = table.split.copy()
    if test_fraction > 0:
        split[_choose_test(table, test_fraction, named, seed)] = TEST
    if named is not None:
        split[split != TEST] = TRAIN
        split[named] = VAL
    elif num_folds is not None:
        pool = np.flatnonzero(split != TEST)
        if len(pool) < num_folds:
            raise UserError(f"data.num_folds={num_folds} is more than the {len(pool)} rows. Choose fewer folds.")
        split[pool] = TRAIN
        split[pool[stratify(table.targets[pool], [1 / num_folds] * num_folds, seed) == fold]] = VAL
    elif not (split == VAL).any() and val_fraction > 0:
        split[_choose_val(table, split, val_fraction, test_fraction, seed)] = VAL
    split[split == UNASSIGNED] = TRAIN
    if not (split == TRAIN).any():
        raise UserError(
            f"No training row is left of {len(split):,}: {np.sum(split == VAL):,} are val and "
            f"{np.sum(split == TEST):,} test. Give fewer rows to val and test, or more images."
        )
    return replace(table, split=split)


def _choose_test(table: LabelTable, fraction: float, named: Integers | None, seed: int) -> Integers:
    if given := int((table.split == TEST).sum()):
        raise UserError(
            f"data.test_fraction={fraction} asks for test rows, but the source gives {given:,} itself. Set it to 0."
        )
    free = table.split == UNASSIGNED
    if named is not None:
        free[named] = False
    if not free.any():
        raise UserError(f"data.test_fraction={fraction} has no row to choose from: all have a split. Set it to 0.")
    return _sample(table, free, fraction, seed)


def _choose_val(
    table: LabelTable, split: npt.NDArray[np.str_], val_fraction: float, test_fraction: float, seed: int
) -> Integers:
    free = split == UNASSIGNED
    if not free.any():
        raise UserError(
            f"data.val_fraction={val_fraction} has no row to choose from: all have a split from the source, none val. "
            "Leave splits empty, set data.num_folds or data.val_indexes, or set data.val_fraction=0."
        )
    # Both fractions are shares of all free rows, and the test rows are gone.
    return _sample(table, free, val_fraction / (1 - test_fraction), seed)


def _sample(table: LabelTable, among: npt.NDArray[np.bool_], fraction: float, seed: int) -> Integers:
    """Return a stratified share of some rows, as row indexes."""
    rows = np.flatnonzero(among)
    chosen: Integers = rows[stratify(table.targets[rows], [fraction, 1 - fraction], seed) == 0]
    return chosen


def _check_fractions(val_fraction: float, test_fraction: float) -> None:
    for name, value in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 <= value < 1:
            raise UserError(f"data.{name}={value} is no share of the rows. Choose one from 0 to below 1, such as 0.2.")
    if val_fraction + test_fraction >= 1:
        raise UserError(
            f"data.val_fraction={val_fraction} and data.test_fraction={test_fraction} leave nothing to train on. "
            "Their sum has to be below 1."
        )


def _check_folds(num_folds: int | None, fold: int, val_indexes: Sequence[int] | None) -> None:
    if num_folds is None:
        if fold != 0:
            raise UserError(f"data.fold={fold} means nothing without folds. Set data.num_folds too.")
        return
    if num_folds < 2:
        raise UserError(f"data.num_folds={num_folds} is too few: use 2 or more, or null and data.val_fraction.")
    if not 0 <= fold < num_folds:
        raise UserError(f"data.fold={fold} is outside 0 to {num_folds - 1} (data.num_folds={num_folds}).")
    if val_indexes is not None:
        raise UserError(f"data.num_folds={num_folds} and data.val_indexes exclude each other. Set one of them to null.")


def checked_indexes(table: LabelTable, indexes: Sequence[int]) -> Integers:
    """Return the indexes as an array once they are known to be whole, in range, unique and no test row."""
    listed = list(indexes)
    if wrong := [i for i in listed if isinstance(i, bool) or not isinstance(i, int) or not 0 <= i < len(table)]:
        raise UserError(f"data.val_indexes has {first_few(wrong)}, but the rows are 0 to {len(table) - 1}.")
    rows, times = np.unique(np.array(listed, np.int64), return_counts=True)
    if (times > 1).any():
        raise UserError(f"data.val_indexes names {first_few(rows[times > 1])} more than once. Name each row once.")
    if len(tests := rows[table.split[rows] == TEST]):
        raise UserError(f"data.val_indexes names {first_few(tests)}, which the source gives to test. Leave them out.")
    return rows


def label_shift(table: LabelTable) -> Floats:
    """Return for each label ``|frequency in val - frequency in train and val together|``; 0 without val rows."""
    val = table.targets[table.split == VAL]
    both = table.targets[(table.split == VAL) | (table.split == TRAIN)]
    if not len(val):
        return np.zeros(len(table.classes))
    return np.asarray(np.abs(val.mean(0) - both.mean(0)), np.float64)
