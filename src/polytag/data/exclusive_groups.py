"""Exclusive groups: classes of which an image has exactly one, such as Planet's four kinds of weather."""

from collections.abc import Sequence

from polytag.errors import UserError, did_you_mean, first_few


def group_columns(groups: Sequence[Sequence[str]], classes: Sequence[str], node: str) -> tuple[tuple[int, ...], ...]:
    """Return the columns of each group's classes.

    Args:
        groups: The names of each group's classes; those of `data.exclusive_groups` unless `<node>.groups` has others.
        classes: All L names.
        node: Of the config that they are read from, for whoever has made a mistake.

    Raises:
        UserError: There is no group, one has fewer than two classes, a class is unknown or stands in two places.
    """
    if not groups:
        raise UserError(
            "data.exclusive_groups is empty: which classes exclude one another? "
            f"data.exclusive_groups=[[{','.join(map(str, classes[:2]))}]] (or {node}.groups=...)"
        )
    place = f"data.exclusive_groups, or {node}.groups,"
    column = {name: number for number, name in enumerate(classes)}
    taken: set[str] = set()
    for group in groups:
        if isinstance(group, str) or len(group) < 2:
            raise UserError(f"{place} has the group {group!r}: each must list two classes or more: [[a, b], [c, d]].")
        for name in map(str, group):  # YAML reads 1 as a number
            if name not in column:
                raise UserError(
                    f"{place} names {name!r}, which is no class.{did_you_mean(name, classes)} "
                    f"Known: {first_few(classes, 20)}."
                )
            if name in taken:
                raise UserError(f"{place} names {name!r} twice: a class belongs to one group.")
            taken.add(name)
    return tuple(tuple(column[str(name)] for name in group) for group in groups)
