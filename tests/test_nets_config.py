"""Settings are checked where they are made: kind, range, and names that are known."""

import json
from dataclasses import fields

import pytest
from workflow_fixtures import ROOT

from data.errors import CovarionError
from nets.config import _BOUNDS, TRAINING_BOUNDS, RefinerConfig, TrainConfig, from_metadata
from nets.launch import train_dataset, train_in_processes

SCHEMA = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())["properties"]["train"]
WRONG = [
    ("precision", "bf16", "float32 or bfloat16, got bf16"),
    ("batch", 0, "a whole number, at least 1, got 0"),
    ("batch", 4.0, "a whole number, at least 1, got 4.0"),
    ("batch", True, "a whole number, at least 1, got True"),
    ("save_every", 0, "a whole number, at least 1, got 0"),
    ("steps", "abc", "a whole number, at least 0, got abc"),
    ("crop", 7, "a whole number, at least 8, got 7"),
    ("learning_rate", 0, "a number, above 0, got 0"),
    ("learning_rate", float("inf"), "a number, above 0, got inf"),
    ("learning_rate", float("nan"), "a number, above 0, got nan"),
    ("average", 1, "a number, at least 0, below 1, got 1"),
    ("chain", 20, "a number, at least 0, at most 10, got 20"),
    ("teacher", 5, "empty or trrosetta, got 5"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_a_setting_that_cannot_be_is_named_with_what_is_allowed(name, value, said):
    with pytest.raises(ValueError, match=f"^{name} must be {said}$"):
        from_metadata(TrainConfig, {name: value})


def test_whole_numbers_are_numbers():
    assert from_metadata(TrainConfig, {"learning_rate": 1}).learning_rate == 1


def test_the_bounds_of_training_are_those_of_the_schema():
    assert SCHEMA["properties"]["settings"]["properties"] == TRAINING_BOUNDS


def test_every_setting_of_training_has_bounds():
    assert {field.name for field in fields(TrainConfig)} == set(TRAINING_BOUNDS)


def test_the_bounds_of_the_network_are_those_of_the_schema():
    told = SCHEMA["properties"]["model"]["properties"]
    assert {name: (told[name]["minimum"], told[name]["maximum"]) for name, *_ in _BOUNDS} == {
        name: (low, high) for name, low, high in _BOUNDS
    }


def test_a_field_of_the_network_among_those_of_training_is_told_where_it_belongs():
    with pytest.raises(ValueError, match=r"does not know channels: .* RefinerConfig, --set model.channels="):
        from_metadata(TrainConfig, {"channels": 8})
    with pytest.raises(ValueError, match=r"does not know batch: .* TrainConfig, --set batch="):
        from_metadata(RefinerConfig, {"batch": 8})


def test_a_field_that_nothing_has_is_misspelt_or_of_another_version():
    with pytest.raises(ValueError, match="does not know stepps: misspelt, or written by another version"):
        from_metadata(TrainConfig, {"stepps": 8})


@pytest.mark.parametrize("processes", [1, 2])
def test_wrong_settings_are_told_before_the_data_set_is_read(tmp_path, processes):
    lost, out = str(tmp_path / "lost.json"), str(tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="chain must be"):
        train_in_processes(processes, lost, out, model={}, settings={"chain": 20})


def test_pair_maps_that_are_no_list_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("nets.launch.training_files", lambda *asked: ([], ["ridge", "mi"]))
    with pytest.raises(CovarionError, match="to read the pair maps 5; found: ridge, mi"):
        train_dataset("m.json", str(tmp_path / "weights.safetensors"), {"pair_maps": 5}, {})
