"""Policies from the training to `evaluate` and `predict`: where thresholds are searched, kept, used and replaced."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from conftest import TINY
from fake.csv import make_csv

from polytag import load_run
from polytag.run_folder import read_predictions

SEARCH = ("policy=per_class", "policy.min_support=1", "policy.beta=2")


@pytest.fixture(scope="module")
def searched_run(tmp_path_factory):
    """Return the folder of a finished run with searched thresholds, 16 validation and 12 test images."""
    from conftest import _warnings_as_for_a_user
    from hydra import compose, initialize_config_dir

    from polytag.commands import conf_dir
    from polytag.run_folder import RunFolder
    from polytag.train import train

    data, folder = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("run")
    make_csv(data, rows=60)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"), _warnings_as_for_a_user():
        own = ["data=csv", f"data.root={data}", "data.test_fraction=0.2", "data.val_fraction=0.27", "tta=dihedral"]
        recipe = ["recipe=one_stage", "recipe.image_size=32", "recipe.epochs=2", "callbacks=none"]
        train(
            compose("train", [*TINY, "report=true", *own, *SEARCH, *recipe, f"paths.output={folder}"]),
            RunFolder(folder),
        )
    return folder


def read(path):
    return json.loads(path.read_text())


def evaluated(call, run, out, *arguments):
    done = call("evaluate", f"run={run}", f"out={out}", "overwrite=true", "device=cpu", *arguments)
    assert done.code == 0, done.err
    return read(out / "summary.json"), done.out


def test_thresholds_are_found_on_validation_images_and_kept_in_three_places(searched_run):
    policy = read(searched_run / "policy.json")
    classes = load_run(searched_run).classes
    assert policy["kind"] == "per_class" and list(policy["thresholds"]) == list(classes)
    search = policy["search"]
    assert (search["score"], search["images"], search["folds"], search["method"]) == ("F2 (macro)", 16, 5, "exact")
    assert search["honest"] <= search["optimistic"]
    stored = torch.load(searched_run / "checkpoints/best.ckpt", weights_only=True)["polytag"]
    assert stored["policy"] == {name: policy[name] for name in ("kind", "thresholds")}
    assert load_run(searched_run).policy.to_dict(classes)["thresholds"] == policy["thresholds"]


def test_the_scores_of_a_run_are_the_honest_ones(searched_run):
    summary = read(searched_run / "summary.json")
    assert set(summary["optimistic"]) == {"val"}  # the test images had no part in the search
    assert summary["optimistic"]["val"]["val/map"] == summary["val"]["val/map"]  # no threshold, no flattery
    labels = load_run(searched_run).policy
    stored = read_predictions(searched_run / "predictions/test.csv")
    right = (labels.decide(stored.probabilities) == (stored.targets == 1)).mean()
    assert summary["test"]["test/accuracy_policy"] == pytest.approx(right)
    page = (searched_run / "report.html").read_text()
    assert "optimistic" in page


def test_evaluate_scores_as_the_training_did_by_the_network_and_from_stored_predictions(call, searched_run, tmp_path):
    summary = read(searched_run / "summary.json")
    for split in ("val", "test"):
        for predictions in ("computed", "stored"):
            found, shown = evaluated(
                call, searched_run, tmp_path, f"split={split}", f"predictions={predictions}", "tta=none"
            )
            assert {f"{split}/{name}": value for name, value in found["scores"].items()} == pytest.approx(
                summary[split]
            )
            assert found["predictions"] == predictions and found["undefined_classes"] == []
            assert ("honest" in shown) == (split == "val")
            assert found["policy"]["thresholds"] == read(searched_run / "policy.json")["thresholds"]


def test_other_scores_of_stored_predictions_need_neither_network_nor_images(call, searched_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(searched_run, run)
    shutil.rmtree(run / "checkpoints")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("data0", "gone0"))
    found, shown = evaluated(call, run, tmp_path / "o", "metrics=all", "bootstrap=50", "thresholds=[0.99,0.1]")
    assert found["predictions"] == "stored" and "as the run has stored them" in shown
    assert {"cf1", "map_voc07", "lrap"} < set(found["scores"]) == set(found["intervals"])
    low, high = found["intervals"]["accuracy"]
    assert low <= found["scores"]["accuracy"] <= high
    with open(tmp_path / "o/thresholds.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    run_rows = [row for row in rows if row["predictor"] == "this run"]
    assert [run_rows[0]["threshold"], run_rows[-1]["threshold"]] == ["0", "1"]
    assert "map" not in rows[0]  # no threshold changes it
    given = read_predictions(run / "predictions/val.csv")
    at_99 = next(row for row in run_rows if row["threshold"] == "0.99")
    right = ((given.probabilities >= 0.99) == (given.targets == 1)).mean()
    assert float(at_99["accuracy_policy"]) == pytest.approx(right)
    assert (tmp_path / "o/thresholds.png").stat().st_size > 10_000
    with open(tmp_path / "o/per_class.csv", newline="") as file:
        classes = list(csv.DictReader(file))
    assert [sum(int(row[cell]) for cell in ("tp", "fp", "fn", "tn")) for row in classes] == [16] * len(classes)
    assert float(classes[0]["threshold"]) == found["policy"]["thresholds"][classes[0]["name"]]


def test_a_policy_is_swapped_or_searched_anew_without_training(call, searched_run, tmp_path):
    swapped, shown = evaluated(call, searched_run, tmp_path, "policy=top_k", "policy.k=1")
    assert swapped["policy"]["kind"] == "top_k" and "honest" not in shown and swapped["optimistic"] is None
    fixed, _ = evaluated(call, searched_run, tmp_path, "policy=fixed", "policy.threshold=0.2")
    assert fixed["policy"]["threshold"] == 0.2
    anew, shown = evaluated(call, searched_run, tmp_path, "policy=global", "policy.average=images")
    assert anew["policy"]["search"]["score"] == "F1 (images)" and "honest" in shown
    # On other images, the thresholds found on the validation images are applied; nothing is searched there.
    test, shown = evaluated(call, searched_run, tmp_path, "policy=global", "policy.average=images", "split=test")
    assert test["policy"]["thresholds"] == anew["policy"]["thresholds"] and test["optimistic"] is None
    groups, _ = evaluated(call, searched_run, tmp_path, "policy=exclusive_groups", "policy.groups=[[apple,bread]]")
    stored = read_predictions(tmp_path / "predictions.csv")
    assert groups["policy"]["groups"] == [["apple", "bread"]] and set(groups["policy"]["thresholds"]) == {"cheese"}
    assert stored.classes == ("apple", "bread", "cheese")


def test_predict_uses_the_found_thresholds_or_others(call, searched_run, tmp_path):
    data = load_run(searched_run).config.data.root

    def tags(*arguments):
        out = tmp_path / "p.csv"
        done = call("predict", f"run={searched_run}", f"source={data}", f"out={out}", "overwrite=true", *arguments)
        assert done.code == 0, done.err
        assert ("Thresholds searched on 16 validation images" in done.out) == ("policy=global" in arguments)
        with open(out, newline="") as file:
            return list(csv.DictReader(file))

    thresholds = read(searched_run / "policy.json")["thresholds"]
    for row in tags():
        chosen = [name for name, threshold in thresholds.items() if np.float32(row[name]) >= threshold]
        assert row["tags"].split() == chosen
    assert all(len(row["tags"].split()) == 2 for row in tags("policy=top_k", "policy.k=2"))
    anew, _ = evaluated(call, searched_run, tmp_path / "o", "policy=global")
    for row in tags("policy=global"):
        found = anew["policy"]["thresholds"].items()
        assert row["tags"].split() == [name for name, threshold in found if np.float32(row[name]) >= threshold]


def test_another_checkpoint_takes_the_thresholds_of_the_best(searched_run):
    run = load_run(searched_run, "last")
    assert run.policy.to_dict(run.classes)["thresholds"] == read(searched_run / "policy.json")["thresholds"]


def test_a_run_that_was_stopped_before_the_search_says_that_one_half_stands_in(searched_run, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(searched_run, run)
    for name in ("policy.json", "summary.json"):
        (run / name).unlink()
    file = run / "checkpoints/best.ckpt"
    content = torch.load(file, weights_only=True)
    del content["polytag"]["policy_was_found"]
    torch.save(content, file)
    loaded = load_run(run)
    assert loaded.policy.to_dict(loaded.classes)["kind"] == "fixed"
    assert "searches thresholds when the training ends, and it has not: 0.5 stands in" in caplog.text


def test_a_search_without_validation_images_is_refused_before_the_training(call, csv_data, tmp_path):
    done = call("train", *TINY, "data=csv", f"data.root={csv_data}", "data.val_fraction=0", "policy=global")
    assert done.code == 2
    assert "policy=global searches thresholds on the validation images" in done.err


def test_a_loss_that_only_ranks_and_a_threshold_that_nobody_searched_are_reported(call, csv_data, tmp_path):
    quick = ("data=csv", f"data.root={csv_data}", "train=false", f"hydra.run.dir={tmp_path}")
    with_half = call("train", *TINY, *quick, "criterion=two_way")
    assert (
        "criterion=TwoWay only ranks: 0.5 means nothing to it. Choose policy=per_class" in with_half.out + with_half.err
    )
    searched = call("train", *TINY, *quick, "criterion=two_way", "policy=global", f"hydra.run.dir={tmp_path / 'b'}")
    assert "only ranks" not in searched.out + searched.err
    assert "policy=global will search on 5 images" in searched.out + searched.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("thresholds=[0.1,2]",), "thresholds=[0.1, 2]: 2 is no probability"),
        (("bootstrap=-3",), "bootstrap=-3 has to be a number of resamples, 20 or more"),
        (("predictions=stores",), "predictions=stores is none of auto, stored, computed"),
        (("predictions=stored", "checkpoint=last"), "predictions=stored: the run has stored only those of its best"),
        (("policy=per_class", "policy.shrinkage=-1"), "policy.shrinkage=-1 has to be a number from 0 on"),
        (("policy=exclusive_groups",), "data.exclusive_groups is empty"),
        (("policy=exclusive_groups", "policy.groups=[[apple,bred]]"), "Did you mean 'bread'?"),
        (("metrics=most",), "There is no metrics=most. Known: all, default"),
        (("metrics.f2.average=rows",), "metrics.f2: average=rows of an F-beta score is none of images, macro, micro"),
        (("metrics.f2.beta=0",), "metrics.f2: beta=0 of an F-beta score has to be above 0"),
    ],
)
def test_mistakes_are_one_line(call, searched_run, tmp_path, arguments, message):
    done = call("evaluate", f"run={searched_run}", f"out={tmp_path / 'o'}", *arguments)
    assert done.code == 2, done.out
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_damaged_predictions_are_named(call, searched_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(searched_run, run)
    (run / "predictions/val.csv").write_text("image,cat\n1.png,0.5\n")
    done = call("evaluate", f"run={run}", "predictions=stored")
    assert done.code == 2 and "val.csv holds no predictions of a run" in done.err


def test_unknown_labels_from_a_csv_to_the_scores(call, tmp_path):
    """Blank cells count neither in the training nor in the scores, and arrive in predictions/val.csv as -1."""
    make_csv(tmp_path / "data", rows=24)
    file = tmp_path / "data/labels.csv"
    with open(file, newline="") as opened:
        names = [row[0] for row in csv.reader(opened)][1:]
    flags = [[name, str(i % 2), "" if i % 3 == 0 else str(i % 2)] for i, name in enumerate(names)]
    file.write_text("\n".join(",".join(row) for row in [["image", "odd", "sometimes"], *flags]) + "\n")
    run = tmp_path / "run"
    arguments = ("data=csv", f"data.root={tmp_path / 'data'}", "recipe=one_stage", "recipe.image_size=32")
    done = call("train", *TINY, *arguments, "recipe.epochs=1", f"hydra.run.dir={run}")
    assert done.code == 0, done.err
    assert "8 labels of 48 unknown" in done.out
    stored = read_predictions(run / "predictions/val.csv")
    assert (stored.targets[:, 1] == -1).any() and (stored.targets[:, 0] >= 0).all()
    known = stored.targets >= 0
    right = ((stored.probabilities >= 0.5) == (stored.targets == 1))[known].mean()
    assert read(run / "summary.json")["val"]["val/accuracy"] == pytest.approx(right)


def test_one_threshold_need_not_be_a_list_and_every_score_of_decisions_is_shown(call, searched_run, tmp_path):
    found, _ = evaluated(call, searched_run, tmp_path, "thresholds=0.5")
    with open(tmp_path / "thresholds.csv", newline="") as file:
        shown = list(next(csv.DictReader(file)))
    assert shown == ["predictor", "threshold", "f2", "f1_micro", "f1_macro", "accuracy_policy", "exact_match"]
    assert found["predictions"] == "stored"


def test_groups_that_do_not_fit_the_labels_are_reported(call, searched_run, tmp_path):
    arguments = ("policy=exclusive_groups", "policy.groups=[[apple,bread]]")
    done = call("evaluate", f"run={searched_run}", f"out={tmp_path}", *arguments)
    targets = read_predictions(tmp_path / "predictions.csv").targets
    counts = (targets[:, :2] == 1).sum(1)
    none, several = (counts == 0).sum(), (counts == 2).sum()
    assert none and several
    assert f"of 16 images {none} have none and {several} have several" in done.out
    search = read(tmp_path / "summary.json")["policy"]["search"]
    stored = read_predictions(tmp_path / "predictions.csv")
    from sklearn.metrics import f1_score

    plain = f1_score(stored.targets == 1, stored.probabilities >= 0.5, average="macro", zero_division=0)
    assert search["at_0.5"] == pytest.approx(plain)  # without the groups: what one would have had anyway
