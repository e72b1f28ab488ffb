"""Models beside DFT: with labels that a model made itself, and with the bundled DFT by hand."""

import csv
import io

import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write
from rich.console import Console
from scipy.stats import spearmanr
from support.bundles import base_bundle

from moalloy_md.config import validate
from moalloy_md.datasets.bundled import load_bundled
from moalloy_md.errors import DataError, ModelError
from moalloy_md.potentials.evaluate import evaluate
from moalloy_md.potentials.native import NativeCalculator
from moalloy_md.report import interaction_plots
from moalloy_md.structures.dilute import DiluteConfig, dilute_cells
from moalloy_md.workflows.interaction.config import InteractionConfig, Validation
from moalloy_md.workflows.interaction.validation import (
    CheckedPair,
    ValidationResults,
    validate_interactions,
)
from moalloy_md.workflows.interaction.workflow import interaction

QUIET = Console(file=io.StringIO())
EIGHT = ("W", "Re", "Ta", "Nb", "Ti", "V", "Zr", "Hf")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return base_bundle(tmp_path_factory.mktemp("base") / "bundle", ("Mo", *EIGHT))


def labelled(bundle, path, *, factor=1.0):
    """Dilute 2×2×2 cells labelled by the model itself, binding energies times `factor`."""
    config = DiluteConfig(repeat=2, dopants=("W", "Ta", "Zr"), shells=(1, 2, 3))
    calculator = NativeCalculator(bundle, precision="float64", threads=1)
    cells, energies = [], {}
    for atoms in dilute_cells(config):
        work = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        work.calc = calculator
        energy = work.get_potential_energy()
        dopants = tuple(sorted(x for x in atoms.symbols if x != "Mo"))
        if len(dopants) < 2:
            energies[dopants] = energy
        else:
            x, y = dopants
            far = energies[(x,)] + energies[(y,)] - energies[()]
            energy = far + factor * (energy - far)
        atoms.info["REF_energy"] = energy
        atoms.arrays["REF_forces"] = work.get_forces()
        cells.append(atoms)
    write(path, cells, format="extxyz")
    return path


def test_a_model_agrees_with_itself_and_disagrees_with_its_opposite(bundle, tmp_path):
    for factor, sign, rank in ((1.0, 1.0, 1.0), (-1.0, 0.0, -1.0)):
        data = labelled(bundle, tmp_path / f"{factor}.extxyz", factor=factor)
        config = Validation(data=data, models={"itself": bundle}, uncertain_mev=1.0)
        found = validate_interactions(config, console=QUIET)
        errors = found.errors("itself")
        assert errors.n == 6 * 3
        assert found.sign_agreement("itself") == sign
        assert errors.rank_correlation == pytest.approx(rank)
        sizes = np.abs([pair.reference_mev for pair in found.pairs])
        assert errors.mae_mev == pytest.approx((1 - factor) * sizes.mean(), abs=0.02)
        assert len(found.certain) == (sizes > 1.0).sum()
        for pair in found.pairs:
            assert pair.n_contacts == {1: 1, 2: 2, 3: 4}[pair.shell], "chains and nets"
            assert pair.seen == {"itself": None}


def test_bundled_cells_by_hand(bundle, tmp_path):
    """The 24 pairs of one element: numbers from the text of the file and from ASE."""
    some = tmp_path / "some.extxyz"
    frames = load_bundled()
    by_name = {frame.atoms.info["name"]: frame.atoms for frame in frames}
    pairs = [n for n, a in by_name.items() if frames_dopants(a) == 2 and a.info["state"] == "ideal"]
    write(some, [by_name[pairs[0]], by_name[pairs[5]]], format="extxyz")
    config = Validation(models={"base": {"bundle": bundle, "trained_on": some}})
    found = validate_interactions(config, console=QUIET)
    calculator = NativeCalculator(bundle, precision="float64", threads=1)

    def energies(atoms):
        work = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        return np.array([atoms.info["REF_energy"], calculator.get_potential_energy(work)])

    ideal = [a for a in by_name.values() if a.info["state"] == "ideal"]
    host = next(a for a in ideal if set(a.symbols) == {"Mo"} and np.isclose(a.cell[0, 0], 6.325))
    alone = {next(s for s in a.symbols if s != "Mo"): a for a in ideal if frames_dopants(a) == 1}
    by_hand = []
    for name in pairs:
        x, y = (s for s in by_name[name].symbols if s != "Mo")
        by_hand.append(
            1000
            * (energies(by_name[name]) + energies(host) - energies(alone[x]) - energies(alone[y]))
        )
    reference, predicted = np.array(by_hand).T
    assert [pair.reference_mev for pair in found.pairs] == pytest.approx(reference, abs=1e-4)
    assert [p.predicted_mev["base"] for p in found.pairs] == pytest.approx(predicted, abs=1e-4)
    errors = found.errors("base")
    assert errors.mae_mev == pytest.approx(np.abs(predicted - reference).mean())
    assert errors.rank_correlation == pytest.approx(spearmanr(reference, predicted).statistic)
    large = np.abs(reference) > 55
    agree = np.sign(reference[large]) == np.sign(predicted[large])
    assert found.sign_agreement("base") == pytest.approx(agree.mean())
    assert [p.seen["base"] for p in found.pairs] == [name in (pairs[0], pairs[5]) for name in pairs]
    assert found.errors("base", unseen=True).n == 22


def frames_dopants(atoms):
    return sum(symbol != "Mo" for symbol in atoms.symbols)


def test_evaluate_says_the_same(bundle, tmp_path):
    data = labelled(bundle, tmp_path / "d.extxyz", factor=0.5)
    config = Validation(data=data, models={"model": bundle})
    found = validate_interactions(config, console=QUIET).errors("model")
    said = evaluate(model=bundle, data=data, out=tmp_path / "e", engine="native")
    binding = said.content["dilute"]["binding"]
    assert found.n == binding["n"]
    assert found.mae_mev == pytest.approx(binding["mae_mev"], abs=0.05)  # single precision there


def test_within_a_run(bundle, tmp_path):
    config = InteractionConfig(
        bundle=bundle, repeat=3, dopants=("W",), shells=(1,), vacancy_shells=(),
        lattice_parameter_angstrom=3.17, validation={"models": {"a": bundle, "b": bundle}},
    )  # fmt: skip
    out = tmp_path / "out"
    results = interaction(config, out=out, console=QUIET)
    assert results.validation.models == ("a", "b")
    with (out / "validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    assert all(row["a_mev"] == row["b_mev"] for row in rows)
    assert (out / "validation.png").stat().st_size > 1000
    models = results.as_dict()["validation"]["models"]
    assert models["a"]["by_shell"].keys() == {1, 2, 3}


@pytest.mark.parametrize("seen", [None, False, True])
def test_plot_says_what_hollow_marks_are(monkeypatch, seen):
    pair = CheckedPair(  # noqa: S604  the neighbour shell
        name="W-W shell 1, ideal", n_sites=16, shell=1, n_contacts=1, reference_mev=8.0,
        predicted_mev={"a": 9.0}, seen={"a": seen},
    )  # fmt: skip
    monkeypatch.setattr(interaction_plots, "png", lambda figure: figure)
    results = ValidationResults(source="", n_left_out=0, uncertainty_mev=5.0, pairs=(pair,))
    (legend,) = interaction_plots.parity_plot(results).legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["shell 1", *(["trained on"] if seen else [])]


def test_elements_that_a_model_lacks_are_left_out_and_counted(bundle, tmp_path):
    small = base_bundle(tmp_path / "small", ("Mo", "W", "Ta"))
    config = Validation(models={"all": bundle, "small": small})
    found = validate_interactions(config, console=QUIET)
    assert len(found.pairs) == 2 * 3
    assert found.n_left_out == 6 * 4


def test_data_that_hold_no_pair(bundle, tmp_path):
    data = tmp_path / "d.extxyz"
    cells = read(labelled(bundle, tmp_path / "all.extxyz"), ":")
    write(data, [a for a in cells if frames_dopants(a) == 2], format="extxyz")
    config = Validation(data=data, models={"a": bundle})
    with pytest.raises(DataError, match="found none that go together among 18 dilute cells"):
        validate_interactions(config, console=QUIET)
    with pytest.raises(ModelError, match="expected a bundle"):
        validate_interactions(Validation(models={"a": tmp_path}), console=QUIET)
    content = {"data": str(tmp_path / "none.extxyz"), "models": {"a": str(bundle)}}
    config = validate(content, Validation, source="validation")
    with pytest.raises(DataError, match=r"none\.extxyz"):
        validate_interactions(config, console=QUIET)
