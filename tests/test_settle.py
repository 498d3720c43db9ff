"""`auto`: settled once, by measuring, and the same for a run that goes on, its processes and the jobs of its sweep."""

import pytest
import torch
import yaml
from conftest import TINY
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from polytag import build, settle
from polytag.commands import conf_dir
from polytag.phase_costs import Cost
from polytag.run_folder import RunFolder

SHORT = ("recipe.image_sizes=[32]", "recipe.epochs=[1,1]")


def data(root):
    return ("data=csv", f"data.root={root}")


def composed(*overrides):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", [*TINY, *overrides, "paths.output=x"])


def costs_of(monkeypatch, seconds):
    """Let measuring a choice give these seconds for the phases; returns what was asked for."""
    asked = []

    def costs(config, table, folder, only):
        asked.append((config.trainer.precision, config.compile, only))
        phases = seconds(config)
        return phases if only is None else [phases[only]]

    monkeypatch.setattr(settle, "_costs", costs)
    return asked


@pytest.mark.parametrize(("fast", "expected"), [(1.0, "bf16-mixed"), (9.0, "32-true")])
def test_the_faster_precision_is_taken(csv_data, tmp_path, monkeypatch, fast, expected):
    config = composed(*data(csv_data), *SHORT, "trainer.precision=auto", "compile=auto")
    asked = costs_of(
        monkeypatch, lambda c: [Cost(1, fast if c.trainer.precision == "bf16-mixed" else 3.0), Cost(1, 1.0)]
    )
    assert settle.fastest_precision(config, None, tmp_path) == expected
    assert asked == [("32-true", False, None), ("bf16-mixed", False, None)] * 2  # in turn, and compile left alone


@pytest.mark.parametrize(
    ("start", "expected"),
    # Two phases, 10 s and 30 s; compiled the second takes 15 s, so both together gain 20 s and cost four starts.
    [(4.9, True), (5.1, False)],
)
def test_compiling_must_earn_its_starts(csv_data, tmp_path, monkeypatch, start, expected):
    config = composed(*data(csv_data), *SHORT, "compile=auto")
    costs_of(monkeypatch, lambda c: [Cost(1, 10.0), Cost(1, 15.0, start) if c.compile else Cost(1, 30.0)])
    assert settle.whether_to_compile(config, None, tmp_path) is expected


def test_where_nothing_can_be_compiled_the_network_runs_as_it_is(csv_data, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")

    def seconds(config):
        if config.compile:
            raise RuntimeError("no C++ compiler\nand many lines more")
        return [Cost(1, 100.0)]

    costs_of(monkeypatch, seconds)
    assert settle.whether_to_compile(composed(*data(csv_data), "compile=auto"), None, tmp_path) is False
    assert "compile=false: compiling fails here (no C++ compiler)." in caplog.text


@pytest.mark.parametrize(("with_it", "expected"), [(10.0, True), (50.0, False)])
def test_a_cache_must_earn_its_filling(csv_data, tmp_path, monkeypatch, caplog, with_it, expected):
    caplog.set_level("INFO")
    config = composed(*data(csv_data), *SHORT, "data.cache=auto", f"paths.cache={tmp_path / 'cache'}")
    costs_of(monkeypatch, lambda c: [Cost(1, with_it if c.data.cache else 40.0)])
    table = build.build_table(config.data)
    assert settle.whether_to_cache(config, table, tmp_path) is expected
    assert f"data.cache={str(expected).lower()}: about 56.5 s without" in caplog.text  # 17 of 24 images were measured
    assert not list((tmp_path / "cache").glob("trial_*"))


def test_a_full_cache_pays_and_one_without_room_does_not(csv_data, tmp_path, caplog):
    caplog.set_level("INFO")
    config = composed(*data(csv_data), *SHORT, "data.cache=auto", f"paths.cache={tmp_path / 'cache'}")
    table = build.build_table(config.data)
    tight = OmegaConf.merge(config, {"data": {"cache_gb": 1e-6}})
    assert settle.whether_to_cache(tight, table, tmp_path) is False
    assert "more than data.cache_gb=1e-06" in caplog.text
    whole = OmegaConf.merge(config, {"transforms": {"presize": None}})
    assert settle.whether_to_cache(whole, table, tmp_path) is False
    presizes = [build.build(config.transforms).presized(32)]
    build.build_cache(config).fill(table, presizes)
    assert settle.whether_to_cache(config, table, tmp_path) is True
    assert "all images are stored" in caplog.text


def test_everything_is_measured_for_real_and_the_training_is_that_of_fixed_values(call, csv_data, tmp_path):
    auto = ("trainer.precision=auto", "data.cache=auto")
    arguments = (*TINY, *data(csv_data), *SHORT)
    state = torch.random.get_rng_state()
    done = call("train", *arguments, *auto, f"hydra.run.dir={tmp_path / 'auto'}")
    assert done.code == 0, done.err
    config = RunFolder(tmp_path / "auto").read_config()
    assert config.trainer.precision in ("32-true", "bf16-mixed")
    assert config.data.cache in (True, False)
    assert "trainer.precision=" in done.out and "in bf16-mixed" in done.out and "data.cache=" in done.out
    torch.random.set_rng_state(state)
    fixed = (f"trainer.precision={config.trainer.precision}", f"data.cache={config.data.cache}")
    assert call("train", *arguments, *fixed, f"hydra.run.dir={tmp_path / 'fixed'}").code == 0
    assert (tmp_path / "auto/metrics.csv").read_text() == (tmp_path / "fixed/metrics.csv").read_text()
    assert "is finished" in call("train", *arguments, *auto, f"hydra.run.dir={tmp_path / 'auto'}").out


def test_a_run_that_goes_on_keeps_what_was_settled(csv_data, tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    stored = composed(*data(csv_data), "trainer.precision=bf16-mixed", "compile=true", "recipe.lr=0.123")
    folder.write_config(stored)
    costs_of(monkeypatch, lambda c: pytest.fail("measured again"))
    config = composed(*data(csv_data), "trainer.precision=auto", "compile=auto", "recipe.lr=auto")
    settle.settle(config, None, folder)
    assert (config.trainer.precision, config.compile, config.recipe.lr) == ("bf16-mixed", True, 0.123)


def test_a_sweep_decides_once_for_all_its_jobs(call, csv_data, tmp_path):
    options = (*TINY, *data(csv_data), *SHORT, "callbacks=none", "sweep.name=once", "auto_lr.steps=20")
    done = call("train", "-m", *options, "seed=1,2", "trainer.precision=auto", "recipe.lr=auto")
    assert done.code == 0, done.err
    configs = [RunFolder(tmp_path / f"logs/sweep/once/{job}").read_config() for job in (0, 1)]
    assert configs[0].recipe.lr == configs[1].recipe.lr
    assert configs[0].trainer.precision == configs[1].trainer.precision
    settled = yaml.safe_load((tmp_path / "logs/sweep/once/settled.yaml").read_text())
    assert settled == {"recipe.lr": configs[0].recipe.lr, "trainer.precision": configs[0].trainer.precision}
    assert "as the first job of the sweep has found" in done.out
    assert not (tmp_path / "logs/sweep/once/1/lr_finder.png").exists()


def test_a_recipe_shorter_than_any_compiling_is_not_compiled_to_see(csv_data, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    config = composed(*data(csv_data), *SHORT, "compile=auto")
    asked = costs_of(monkeypatch, lambda config: [Cost(1, 9.0), Cost(1, 9.0)])
    assert settle.whether_to_compile(config, None, tmp_path) is False
    assert not any(compile for _, compile, _ in asked)
    assert "compile=false: about 18 s as it is, too little for compiling to pay." in caplog.text


@pytest.mark.slow
def test_compiling_is_measured_for_real(csv_data, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(settle, "LEAST", 0.0)
    caplog.set_level("INFO")
    config = composed(*data(csv_data), *SHORT, "compile=auto")
    assert settle.whether_to_compile(config, build.build_table(config.data), tmp_path) is False  # for 48 images, never
    assert "s with compiling 2 phases" in caplog.text
