"""What every source's config has beside the source's own keys."""

from collections.abc import Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class DataOptions:
    """The keys of conf/data/common.yaml: what every source understands and no source gets to see."""

    limit: int | None = None
    val_fraction: float = 0.2
    test_fraction: float = 0.0
    num_folds: int | None = None
    fold: int = 0
    val_indexes: Sequence[int] | None = None
    split_seed: int = 0
    on_missing: str = "error"
    on_broken: str = "error"
    cache: bool | str = False
    cache_gb: float = 20.0
    cache_key: str = "stat"
    sampling: str = "shuffled"
    batch_size: int = 32
    num_workers: int | None = None
    mirror: bool = True
    min_area: float = 0.35
    exclusive_groups: Sequence[Sequence[str]] = ()
    image_sizes: Sequence[int] = ()
    group_lr_div: Sequence[float] = ()
    stage_lr_div: Sequence[float] = ()
    batch_norm: str = "eval"
    overfit: int | None = None


COMMON_DATA_KEYS = {field.name for field in fields(DataOptions)}
