"""The model card of a base model: how the weights came about."""

import json

import pytest

from moalloy_md.potentials.base import base_card
from moalloy_md.potentials.tiny import tiny_model

STAGE = {"epochs": 3, "batch_size": 16.0, "lr": 0.005, "energy_weight": 25.0}


@pytest.fixture
def pack(scripts):
    import pack

    return pack


@pytest.fixture
def run(tmp_path):
    """What train.py leaves of a training of three epochs."""
    options = ["--batch_size=16", "--lr=0.005", "--energy_weight=25.0", "--ema"]
    (tmp_path / "options.json").write_text(json.dumps(options))
    epochs = [{"epoch": k, "loss": 1.0} for k in (0, 2)]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(e) + "\n" for e in epochs))
    return tmp_path


def test_stages_in_the_order_in_which_one_started_from_the_other(pack, run):
    found = pack.training(tiny_model(), [run, run], None)
    assert found["stages"] == [STAGE, STAGE]
    assert found["parameters"] == sum(p.numel() for p in tiny_model().parameters())


def test_a_widened_network_has_the_stages_of_the_one_before(pack, run):
    found = pack.training(tiny_model(), [run, run], "small")
    before = base_card("small")["training"]["stages"]
    assert found["stages"] == [*before, {**STAGE, "widened_from": "small"}, STAGE]
