"""From a data config to a table: files, subset, splits, in this order."""

import shutil

import pytest
from hydra import compose, initialize_config_dir

from polytag import build
from polytag.commands import conf_dir
from polytag.errors import UserError


def table_of(*overrides):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return build.build_table(compose("train", [*overrides, "paths.output=x"]).data)


def test_val_indexes_count_the_rows_of_the_source(csv_data, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(csv_data, root)
    options = ("data=csv", f"data.root={root}")
    whole = table_of(*options, "data.val_indexes=[3,5]")
    validating = whole.names[whole.split == "val"].tolist()
    assert validating == [whole.names[3], whole.names[5]]
    (root / str(whole.names[0])).unlink()
    fewer = table_of(*options, "data.val_indexes=[3,5]", "data.on_missing=drop")
    assert len(fewer) == len(whole) - 1
    assert fewer.names[fewer.split == "val"].tolist() == validating
    with pytest.raises(UserError, match="has 24, but the rows are 0 to 23"):
        table_of(*options, "data.val_indexes=[24]", "data.on_missing=drop")


def test_folds_cover_every_row_once(csv_data):
    options = ("data=csv", f"data.root={csv_data}", "data.num_folds=3")
    folds = [table_of(*options, f"data.fold={fold}") for fold in range(3)]
    validating = sorted(name for table in folds for name in table.names[table.split == "val"])
    assert validating == sorted(folds[0].names.tolist())


def test_a_subset_is_taken_before_the_split(csv_data):
    table = table_of("data=csv", f"data.root={csv_data}", "data.limit=10", "data.val_fraction=0.2")
    assert len(table) == 10
    assert (table.split == "val").sum() == 2


def test_overfit_trains_and_validates_on_the_same_rows(csv_data):
    table = table_of("data=csv", f"data.root={csv_data}", "data.overfit=4")
    assert table.part("train").names.tolist() == table.part("val").names.tolist()
    assert len(table) == 8


def test_a_root_that_is_not_set_says_how_to_set_it():
    with pytest.raises(UserError, match=r"data\.root=FOLDER"):
        table_of("data=csv")


@pytest.mark.parametrize(
    ("change", "works"), [("seed=0", False), ("optimizer.fused=false", True), ("optimizer=timm", True)]
)
def test_a_fused_optimizer_cannot_clip_in_half_precision(change, works):
    clipping = ("trainer.precision=16-mixed", "trainer.gradient_clip_val=1.0")
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", [*clipping, change, "paths.output=x"])
    if works:
        build.check_optimizer(config)
        return
    with pytest.raises(UserError, match=r"needs optimizer\.fused=false"):
        build.check_optimizer(config)


def test_a_cache_is_on_off_or_auto():
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", ["data.cache=maybe", "paths.output=x"])
    with pytest.raises(UserError, match=r"data\.cache=maybe is none of true, false, auto"):
        build.build_cache(config)
