"""Trainings that are refused, and what is said then."""

import numpy as np
import pytest
from ase.io import read, write
from support.cells import doped_cell
from support.models import copy_of, random_model, save_model
from support.trainings import KNOWN, SHAPE, configuration, fine_tuned, refused

from moalloy_md.config import validate
from moalloy_md.errors import ConfigError, DataError, ModelError, RunDirectoryError, TrainingError
from moalloy_md.potentials.foundations import cached_path, resolve_foundation
from moalloy_md.potentials.predict import predict
from moalloy_md.potentials.start import architecture_of, open_start
from moalloy_md.potentials.train import train
from moalloy_md.potentials.train_config import FineTune, TrainConfig
from moalloy_md.potentials.training_failure import training_failure


def test_replay_needs_the_loss_of_several_heads():
    with pytest.raises(ConfigError, match=r"expected optimisation.loss universal.*found squares"):
        validate(
            {
                "train": "a",
                "valid": "b",
                "start": {
                    "kind": "fine-tune",
                    "foundation": "small",
                    "method": {"kind": "multihead", "replay": "mp"},
                },
            },
            TrainConfig,
            source="test",
        )


def test_foundation_that_lacks_elements(emt_data, two_elements, tmp_path):
    config = fine_tuned(emt_data, two_elements)
    refused(config, ModelError, "it lacks Al .it knows Ni, Cu.*kind: refine", tmp_path / "out")
    one = fine_tuned(emt_data, two_elements, elements=["W", "Hf"])
    refused(one, ModelError, "lacks Al, Hf, W", tmp_path / "out")


def test_unknown_foundations(emt_data, tmp_path):
    out = tmp_path / "out"
    refused(fine_tuned(emt_data, "meduim"), ModelError, "did you mean medium", out)
    refused(fine_tuned(emt_data, "x/none.model"), ModelError, "none.model: cannot be read", out)


def test_download_that_fails_says_how_to_bring_the_file(
    emt_data, foundation, tmp_path, monkeypatch
):
    """And the file that is brought so is found."""
    import urllib.error
    import urllib.request

    def unreachable(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = cached_path("small")
    with pytest.raises(ModelError, match=r"no route to host") as caught:
        train(fine_tuned(emt_data, "small"), tmp_path / "out")
    assert f"put it here as {place}" in str(caught.value)
    assert "https://github.com/ACEsuit/mace-mp/releases/download/mace_mp_0/" in str(caught.value)
    assert not (tmp_path / "out").exists()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(foundation.read_bytes())
    assert resolve_foundation("small").elements == KNOWN


def test_head_has_to_be_chosen(tmp_path):
    network = random_model(elements=KNOWN, heads=["pbe", "scan"], **SHAPE)
    save_model(network, tmp_path / "two.model")
    with pytest.raises(ModelError, match=r"expected one of its heads pbe, scan, found none given"):
        resolve_foundation(tmp_path / "two.model")
    one = resolve_foundation(tmp_path / "two.model", head="scan").network
    atoms = [doped_cell(("Ni", "Al"), n=2, seed=4, host="Ni")]
    expected = predict(copy_of(network), atoms, head="scan").energies_ev
    np.testing.assert_allclose(predict(one, atoms).energies_ev, expected, atol=1e-9)


def test_kinds_that_mace_torch_cannot_train_on(tmp_path):
    save_model(
        random_model(elements=KNOWN, model_class="MACE", scaled=False, **SHAPE),
        tmp_path / "m.model",
    )
    start = FineTune(foundation=str(tmp_path / "m.model"))
    with pytest.raises(ModelError, match=r"expected a ScaleShiftMACE.*found a MACE"):
        open_start(start, ["Ni"], device="cpu")


def test_like_needs_a_network_that_can_be_described(tmp_path):
    options = {**SHAPE, "later": "density-residual"}
    save_model(random_model(elements=KNOWN, **options), tmp_path / "d.model")
    with pytest.raises(ModelError, match=r"found RealAgnosticDensityResidualInteractionBlock"):
        architecture_of(resolve_foundation(tmp_path / "d.model"))


def test_another_foundation_under_the_same_path(emt_data, foundation, tmp_path, monkeypatch):
    path = tmp_path / "base.model"
    path.write_bytes(foundation.read_bytes())

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("moalloy_md.potentials.train._run_trainer", killed)
    config = fine_tuned(emt_data, path)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "out")
    save_model(random_model(elements=KNOWN, seed=4, **SHAPE), path)
    with pytest.raises(RunDirectoryError, match=r"was started from .*the hashes differ"):
        train(config, tmp_path / "out")


def test_cells_that_failed_the_check(emt_data, tmp_path):
    images = read(emt_data / "train.extxyz", ":")
    images[2].arrays["REF_forces"] = images[2].arrays["REF_forces"] + 0.5
    write(tmp_path / "train.extxyz", images)
    config = configuration(emt_data, train=str(tmp_path / "train.extxyz"))
    out = tmp_path / "out"
    refused(config, DataError, "expected cells without errors, found 1: frame 2.*allow_failed", out)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        # as torch 2.7 says it, writing to a path
        ("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534", "disk is full"),
        ("PytorchStreamWriter failed writing file data/3: file write failed", "disk is full"),
        (
            "Foundation model replay data or descriptors cached data not found and download failed",
            "put it as mp_traj_combinedxyz into mace-torch's cache",
        ),
    ],
)
def test_causes_that_the_log_shows(tmp_path, text, cause):
    log = tmp_path / "train.log"
    log.write_text(f"# started\n{text}\n")
    error = training_failure(1, log)
    assert isinstance(error, TrainingError)
    assert cause in str(error)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"kind": "finetune"}, "expected its kind to be one of .*did you mean fine-tune"),
        ({"kind": "fine-tune"}, "start.fine-tune.foundation: expected a value, found none"),
        ({"kind": "fine-tune", "foundaton": "small"}, "did you mean 'foundation'"),
        ({"chanels": 3}, "unknown key 'start.scratch.chanels'"),
        ({"kind": "refine", "model": "m", "proxies": {"Xx": "V"}}, "found 'Xx'"),
        (
            {"kind": "fine-tune", "foundation": "small", "method": {"kind": "frozen", "layer": 1}},
            "did you mean 'layers'",
        ),
    ],
)
def test_typos_are_named(start, message):
    with pytest.raises(ConfigError, match=message):
        validate({"train": "a", "valid": "b", "start": start}, TrainConfig, source="test")
