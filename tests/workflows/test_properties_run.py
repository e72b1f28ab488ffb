"""``moalloy properties`` on the base model in a bundle, resumed, and on what it must refuse."""

import json
import re
import shutil

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.optimize import FIRE
from support.bundles import base_bundle, fake_bundle
from typer.testing import CliRunner

from moalloy_md.cli.app import app
from moalloy_md.config import load_config
from moalloy_md.errors import ConfigError, MoAlloyError, ModelError, RunDirectoryError
from moalloy_md.potentials.native import NativeCalculator
from moalloy_md.report.properties_plots import phonon_plot
from moalloy_md.workflows.properties import workflow as properties_run
from moalloy_md.workflows.properties.config import PropertiesConfig
from moalloy_md.workflows.properties.crystal import bcc_crystal, static_properties
from moalloy_md.workflows.properties.reference import LABELS, Reference, reference_values
from moalloy_md.workflows.properties.vacancy import vacancy_migration
from moalloy_md.workflows.properties.workflow import run_properties


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return base_bundle(tmp_path_factory.mktemp("base") / "bundle")


@pytest.fixture(scope="module")
def settings(bundle):
    return PropertiesConfig(
        bundle=bundle, vacancy_repeat=3, migration=False, phonon_repeat=4, threads=1
    )


@pytest.fixture(scope="module")
def done(settings, tmp_path_factory):
    out, seen = tmp_path_factory.mktemp("run") / "out", []
    results = run_properties(settings, out=out, watch=lambda *step: seen.append(step))
    return out, results, seen


def test_it_agrees_with_the_one_call(done, bundle):
    _, results, _ = done
    calculator = NativeCalculator(bundle, precision="float64", threads=1)
    expected = static_properties(calculator, vacancy_repeat=3)
    found = {key: entry["value"] for key, entry in results["properties"].items()}
    assert found["lattice_parameter"] == pytest.approx(expected.lattice_parameter_angstrom)
    assert found["c11"] == pytest.approx(expected.c11_gpa, rel=1e-6)
    assert found["vacancy_formation"] == pytest.approx(expected.vacancy_formation_ev, abs=1e-4)
    assert found["surface_110"] == pytest.approx(expected.surface_energies_j_per_m2["110"])
    assert found["fcc_minus_bcc"] == pytest.approx(expected.fcc_minus_bcc_ev_per_atom)
    # the curvature of E(V) against stresses under strain: two ways to one number
    assert found["bulk_modulus"] == pytest.approx(expected.bulk_modulus_gpa, rel=0.02)


def test_the_folder_tells_its_story(done):
    out, results, seen = done
    assert json.loads((out / "properties.json").read_text()) == json.loads(json.dumps(results))
    assert list(results["properties"]) == [key for key in LABELS if key in results["properties"]]
    assert set(LABELS) - set(results["properties"]) == {"vacancy_migration"}
    page = (out / "properties.html").read_text()
    for entry in results["properties"].values():
        assert entry["label"].replace("'", "&#39;") in page
    assert page.count("data:image/png") == 3
    assert "Materials Virtual Lab" in page
    for name in ("deviations", "equation_of_state", "phonons"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert seen[0] == (0, 9, "bcc crystal")
    assert seen[-1] == (9, 9, "done")


def test_the_same_call_goes_on(done, settings, tmp_path, monkeypatch):
    """A run killed before the phonons does nothing else again."""
    out, results, _ = done
    copy = tmp_path / "killed"
    shutil.copytree(out, copy, ignore=shutil.ignore_patterns("properties*", ".lock"))
    state = json.loads((copy / "state.json").read_text())
    del state["steps"]["phonons"]
    (copy / "state.json").write_text(json.dumps(state))
    monkeypatch.setattr(properties_run, "_crystal", None)
    monkeypatch.setattr(properties_run, "surface_energy", None)
    again = run_properties(settings, out=copy)
    assert again["properties"]["phonon_h"]["value"] == pytest.approx(
        results["properties"]["phonon_h"]["value"], rel=1e-6
    )
    assert again["properties"]["c11"] == results["properties"]["c11"]


def test_other_settings_are_refused_in_the_same_folder(done, settings):
    other = settings.model_copy(update={"vacancy_repeat": 2})
    with pytest.raises(RunDirectoryError, match=r"vacancy_repeat = 3, now .* 2"):
        run_properties(other, out=done[0])


def test_the_barrier_is_the_energy_of_the_symmetric_saddle(bundle):
    """Halfway between two vacancies an atom feels no force along its jump, by symmetry."""
    calculator = NativeCalculator(bundle, precision="float64", threads=1)
    cell = bcc_crystal("Mo", calculator)
    found = vacancy_migration(cell, calculator, repeat=2)
    ends, saddle = (cell.repeat(2)[1:] for _ in range(2))
    saddle.positions[0] *= 0.5
    for atoms in (ends, saddle):
        atoms.calc = calculator
        FIRE(atoms, logfile=None).run(fmax=0.01)
    assert saddle.positions[0] == pytest.approx(cell.positions[1] / 2, abs=0.02)
    expected = saddle.get_potential_energy() - ends.get_potential_energy()
    assert found.barrier_ev == pytest.approx(expected, abs=0.01)
    assert found.barrier_ev > 0.1
    assert found.path_ev == pytest.approx(found.path_ev[::-1], abs=0.01)


def fake_model(monkeypatch, calculator):
    """Let a bundle be evaluated by an ASE calculator of another kind."""
    monkeypatch.setattr(properties_run, "bundle_calculator", lambda *_, **__: calculator)


def test_a_model_without_a_bcc_minimum_is_refused(tmp_path, monkeypatch):
    fake_model(monkeypatch, LennardJones(epsilon=-0.1, sigma=2.5, rc=6.0))
    config = PropertiesConfig(bundle=fake_bundle(tmp_path / "b"))
    with pytest.raises(MoAlloyError, match="expected an energy minimum of Mo"):
        run_properties(config, out=tmp_path / "out")
    assert not (tmp_path / "out" / "properties.json").exists()


def test_what_is_unstable_is_said_aloud(tmp_path, monkeypatch):
    """bcc Cu in EMT: imaginary phonons, C11 < C12, fcc below bcc; and no reference values."""
    fake_model(monkeypatch, EMT())
    bundle = fake_bundle(tmp_path / "b", ["Cu"])
    config = PropertiesConfig(
        bundle=bundle, element="Cu", vacancy_repeat=2, migration=False, phonon_repeat=4
    )
    results = run_properties(config, out=tmp_path / "out")
    said = "\n".join(results["cautions"])
    assert re.search(r"imaginary phonons, down to 0\.\d+i THz|imaginary phonons, down to \d", said)
    assert "C11 - C12 > 0 fails" in said
    assert "fcc − bcc costs no energy: -0.0" in said
    assert results["properties"]["imaginary_modes"]["value"] > 0.0
    assert results["properties"]["c11"]["reference"] is None
    page = (tmp_path / "out" / "properties.html").read_text()
    assert "imaginary phonons" in page
    assert phonon_plot(results["phonons"]).startswith(b"\x89PNG")


def test_one_failure_does_not_cost_the_rest(tmp_path, monkeypatch):
    def fails(*arguments):
        raise MoAlloyError("expected a relaxation, found none")

    fake_model(monkeypatch, EMT())
    computed = properties_run.surface_energy
    monkeypatch.setattr(properties_run, "surface_energy", fails)
    config = PropertiesConfig(
        bundle=fake_bundle(tmp_path / "b", ["Cu"]),
        element="Cu",
        vacancy_repeat=2,
        migration=False,
        phonons=False,
    )
    results = run_properties(config, out=tmp_path / "out")
    assert results["failed"]["surface_111"] == "expected a relaxation, found none"
    assert "surface_110" not in results["properties"]
    assert "c11" in results["properties"]
    assert "surface_111 could not be computed" in (tmp_path / "out/properties.html").read_text()
    monkeypatch.setattr(properties_run, "surface_energy", computed)  # what failed is mended
    monkeypatch.setattr(properties_run, "_crystal", None)
    results = run_properties(config, out=tmp_path / "out")
    assert results["failed"] == {}
    assert results["properties"]["surface_111"]["value"] > 0.0
    assert "could not be computed" not in (tmp_path / "out/properties.html").read_text()


def test_a_bundle_without_the_element_is_refused(tmp_path):
    config = PropertiesConfig(bundle=fake_bundle(tmp_path / "b", ["Nb", "W"]))
    with pytest.raises(ModelError, match=r"a model that knows Mo, found one of Nb, W: give --elem"):
        run_properties(config, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(ModelError, match="expected a bundle, found no manifest"):
        run_properties(PropertiesConfig(bundle=tmp_path), out=tmp_path / "out")


def test_files_that_no_engine_can_read_are_refused(tmp_path):
    bundle = fake_bundle(tmp_path / "b", native=b"no model", torchscript=b"no program")
    for engine, message in (("native", "b/model.safetensors"), ("torch", "expected TorchScript")):
        with pytest.raises(ModelError, match=message):
            run_properties(PropertiesConfig(bundle=bundle, engine=engine), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command(done, bundle):
    out = done[0]
    options = ["properties", "--bundle", str(bundle), "--out", str(out), "--threads", "1"]
    refused = CliRunner().invoke(app, [*options, "--no-migration"])
    assert isinstance(refused.exception, RunDirectoryError)  # vacancy_repeat is another
    assert "phonon_repeat" in str(refused.exception)
    wrong = CliRunner().invoke(app, ["properties", "--engine", "fast", "--bundle", str(bundle)])
    assert isinstance(wrong.exception, ConfigError)
    assert "native" in str(wrong.exception)


def test_the_command_with_a_file(done, bundle, tmp_path):
    out, results, _ = done
    config = tmp_path / "properties.yaml"
    config.write_text(
        f"bundle: {bundle}\nvacancy_repeat: 3\nmigration: false\nphonon_repeat: 4\nthreads: 1\n"
    )
    assert load_config(config, PropertiesConfig).phonons
    common = ["properties", "--config", str(config), "--out", str(out)]
    answer = CliRunner().invoke(app, [*common, "--json"])
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["properties"] == json.loads(json.dumps(results["properties"]))
    table = CliRunner().invoke(app, common)
    assert "vacancy formation" in table.stdout
    assert "2.7 to 3.0" in table.stdout


def test_reference_values_are_those_of_the_published_cells(shared):
    """C11 and C12 from the stresses at ±1 % strain, surfaces from the slabs, by arithmetic."""
    known = reference_values("Mo")
    cells = json.loads((shared / "data/mvl_monbtaw/Mo_Elastic.json").read_text())
    stress = {
        cell["notes"]["Strain_new"]: np.array(cell["outputs"]["stress"]) / 10 for cell in cells
    }  # GPa, VASP's sign: pressure positive
    slope = -(stress["1--0.0100"] - stress["1---0.0100"]) / 0.02
    assert slope[0] == pytest.approx(known["c11"].low, rel=0.01)
    assert slope[1] == pytest.approx(known["c12"].low, rel=0.01)
    bulk_energy = max(-cell["outputs"]["energy"] / cell["num_atoms"] for cell in cells)
    slabs = json.loads((shared / "data/mvl_monbtaw/Mo_Surface.json").read_text())
    for face, n_atoms in (("110", 6), ("100", 8), ("111", 12)):
        (slab,) = [s for s in slabs if s["num_atoms"] == n_atoms]
        a, b = np.array(slab["structure"]["lattice"]["matrix"])[:2]
        excess = slab["outputs"]["energy"] + n_atoms * bulk_energy
        energy = excess / (2 * np.linalg.norm(np.cross(a, b))) * 16.02176634
        assert energy == pytest.approx(known[f"surface_{face}"].low, rel=0.01), face


def test_references_are_named_and_used_for_known_properties_alone():
    known = reference_values("Mo")
    assert known.keys() <= LABELS.keys()
    assert all(value.source and value.kind and value.low <= value.high for value in known.values())
    assert reference_values("Cu") == {}


def test_deviation_from_a_range():
    known = Reference(2.7, 3.0, "", "")
    assert known.text == "2.7 to 3.0"
    assert known.deviation_percent(2.8) == 0.0
    assert known.deviation_percent(3.3) == pytest.approx(10.0)
    assert known.deviation_percent(2.43) == pytest.approx(-10.0)
    assert Reference(264.0, 264.0, "", "").text == "264"
