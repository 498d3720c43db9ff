"""Which rows train, validate and test: label-aware, seeded, and never touching a split that the source gives."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from polytag.data.label_table import TEST, TRAIN, UNASSIGNED, VAL, LabelTable
from polytag.data.stratify import part_sizes, stratify
from polytag.errors import UserError, first_few

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


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
    amounts = part_sizes(limit, sizes.astype(np.float64), np.random.default_rng(seed))
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
        split[pool[stratify(table.positives[pool], [1 / num_folds] * num_folds, seed) == fold]] = VAL
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
    chosen: Integers = rows[stratify(table.positives[rows], [fraction, 1 - fraction], seed) == 0]
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
    val = table.positives[table.split == VAL]
    both = table.positives[(table.split == VAL) | (table.split == TRAIN)]
    if not len(val):
        return np.zeros(len(table.classes))
    return np.asarray(np.abs(val.mean(0) - both.mean(0)), np.float64)
