import pytest
from omegaconf import OmegaConf

from polytag.tracking.public_config import HIDDEN, public_override, public_values


@pytest.mark.parametrize(
    "name", ["api_key", "AWS_SECRET_ACCESS_KEY", "token", "hf_token", "password", "client_secret", "credentials"]
)
def test_secrets_are_hidden_wherever_they_are(name):
    config = OmegaConf.create({"data": {"storage_options": [{name: "s3cret"}]}})

    assert public_values(config) == {"data": {"storage_options": [{name: HIDDEN}]}}


def test_what_shapes_a_training_is_not_secret():
    values = {"data": {"cache_key": "stat"}, "recipe": {"lr": 0.1, "sizes": [64, 96]}, "tags": [], "resume": None}

    assert public_values(OmegaConf.create(values)) == values


def test_texts_from_the_environment_are_hidden_and_numbers_are_not(monkeypatch):
    monkeypatch.setenv("MINE", "s3cret")
    monkeypatch.setenv("DEVICES", "2")
    config = OmegaConf.create({"a": ["${oc.env:MINE}"], "b": "${oc.decode:${oc.env:DEVICES}}", "c": "x/${oc.env:MINE}"})

    assert public_values(config) == {"a": [HIDDEN], "b": 2, "c": HIDDEN}


def test_passwords_in_addresses_are_hidden():
    config = OmegaConf.create({"data": {"root": "https://me:s3cret@data.example/birds"}})

    assert public_values(config)["data"]["root"] == f"https://{HIDDEN}@data.example/birds"


@pytest.mark.parametrize(
    ("override", "shown"),
    [
        ("recipe.lr=1e-3", "recipe.lr=1e-3"),
        ("~callbacks.ema", "~callbacks.ema"),
        ("+data.storage_options.secret=abc", f"+data.storage_options.secret={HIDDEN}"),
        ("data.root=https://me:abc@host/x", f"data.root=https://{HIDDEN}@host/x"),
    ],
)
def test_a_command_line_is_shown_without_secrets(override, shown):
    assert public_override(override) == shown
