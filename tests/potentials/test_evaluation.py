"""Every number of an evaluation again from the files that it wrote, by other means."""

import csv
import io
import json
from collections import Counter

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write
from rich.console import Console
from scipy.stats import spearmanr
from support.models import calculator, random_model, save_model

from moalloy_md.cli.evaluate import _proxies
from moalloy_md.config import validate
from moalloy_md.datasets.bundled import load_bundled
from moalloy_md.datasets.frames import frame_from_atoms, write_dataset
from moalloy_md.datasets.split import Iid, LodoStrict, split_frames
from moalloy_md.datasets.split_folder import write_split
from moalloy_md.errors import ConfigError, ModelError
from moalloy_md.potentials.dilute import dilute_errors
from moalloy_md.potentials.evaluate import evaluate
from moalloy_md.potentials.evaluate_config import EvaluateConfig
from moalloy_md.potentials.metrics import error_metrics
from moalloy_md.potentials.parity_plot import ParityData, parity_figure
from moalloy_md.workflows.fit import _members, show_evaluation

ELEMENTS = ("Ti", "V", "Zr", "Nb", "Mo", "Hf", "Ta", "W", "Re")
SMALL = {"hidden": "4x0e", "max_ell": 1, "correlation": 2, "r_max": 3.5}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for k in range(3):
        save_model(random_model(elements=ELEMENTS, seed=k, **SMALL), folder / f"{k}.model")
    return [folder / f"{k}.model" for k in range(3)]


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """The bundled cells, a third of them for the test."""
    frames = load_bundled()
    out = tmp_path_factory.mktemp("data") / "split"
    write_split(out, frames, split_frames(frames, Iid(seed=1, test_fraction=0.3)))
    return out


@pytest.fixture(scope="module")
def evaluated(models, split, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluation") / "out"
    evaluation = evaluate(
        model=models, data=split / "test.extxyz", train=split / "train.extxyz", out=out
    )
    return out, evaluation


def columns(images, name="pred_energy"):
    n = np.array([len(atoms) for atoms in images])
    energy = np.array([atoms.info["REF_energy"] for atoms in images])
    return n, 1000 * (np.array([atoms.info[name] for atoms in images]) - energy) / n


def test_errors_again_from_the_predictions(evaluated):
    out, _ = evaluated
    found = json.loads((out / "metrics.json").read_text())
    images = read(out / "predictions.extxyz", ":")
    _, error = columns(images)
    reference = 1000 * np.concatenate([atoms.arrays["REF_forces"] for atoms in images])
    predicted = 1000 * np.concatenate([atoms.arrays["pred_forces"] for atoms in images])
    delta = predicted - reference
    length = np.linalg.norm(delta, axis=1)
    for name, value in {
        "energy_mae_mev_per_atom": np.abs(error).mean(),
        "energy_rmse_mev_per_atom": np.sqrt(np.mean(error**2)),
        "energy_mean_error_mev_per_atom": error.mean(),
        "force_mae_mev_per_angstrom": np.abs(delta).mean(),
        "force_rmse_mev_per_angstrom": np.sqrt(np.mean(delta**2)),
        "force_vector_mae_mev_per_angstrom": length.mean(),
        "force_vector_rmse_mev_per_angstrom": np.sqrt(np.mean(length**2)),
        "mean_abs_force_mev_per_angstrom": np.abs(reference).mean(),
        "force_slope": np.polyfit(
            np.r_[reference.ravel(), -reference.ravel()],
            np.r_[predicted.ravel(), -predicted.ravel()],
            1,
        )[0],  # fmt: skip  the mirror image takes the line through the origin
        "force_r2": 1 - np.sum(delta**2) / np.sum(reference**2),
    }.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name


@pytest.mark.parametrize(
    ("section", "keys"),
    [
        ("by_dopant", lambda a: set(a.symbols) - {"Mo"} or {"Mo"}),
        ("by_state", lambda a: {a.info["state"]}),
        ("by_group", lambda a: {a.info["group"]}),
    ],
)
def test_errors_of_each_kind_of_cell_again(evaluated, section, keys):
    out, _ = evaluated
    found = json.loads((out / "metrics.json").read_text())[section]
    images = read(out / "predictions.extxyz", ":")
    names = {key for atoms in images for key in keys(atoms)}
    assert found.keys() == names
    for name in names:
        chosen = [atoms for atoms in images if name in keys(atoms)]
        _, error = columns(chosen)
        assert found[name]["n_cells"] == len(chosen)
        assert found[name]["energy_mae_mev_per_atom"] == pytest.approx(np.abs(error).mean())


def test_shift_again(evaluated):
    """With the normal equations: what is left has no composition-linear part."""
    out, _ = evaluated
    found = json.loads((out / "metrics.json").read_text())["shifted"]
    train = read(out / "train_predictions.extxyz", ":")
    names = sorted(found["shift_ev"])
    assert set(names) == {x for atoms in train for x in atoms.symbols}

    def counts(images):
        return np.array([[Counter(atoms.symbols)[x] for x in names] for atoms in images])

    shift = np.array([found["shift_ev"][x] for x in names])
    missing = [atoms.info["REF_energy"] - atoms.info["pred_energy"] for atoms in train]
    left = np.array(missing) - counts(train) @ shift
    assert np.abs(counts(train).T @ left).max() < 1e-6
    images = read(out / "predictions.extxyz", ":")
    again = np.array([a.info["pred_energy"] for a in images]) + counts(images) @ shift
    np.testing.assert_allclose(again, [a.info["pred_energy_shifted"] for a in images])
    _, error = columns(images, "pred_energy_shifted")
    assert found["energy_mae_mev_per_atom"] == pytest.approx(np.abs(error).mean())
    assert found["energy_mae_mev_per_atom"] < 50  # the raw one is thousands: no model of Mo
    assert found["unseen"] == []
    assert json.loads((out / "metrics.json").read_text())["oracle"] is None


def test_strictly_held_out_element_is_shifted_by_the_oracle_alone(models, tmp_path):
    frames = load_bundled()
    write_split(tmp_path / "split", frames, split_frames(frames, LodoStrict(held_out="W")))
    found = evaluate(
        model=models[0], data=tmp_path / "split" / "test.extxyz",
        train=tmp_path / "split" / "train.extxyz", out=tmp_path / "out",
    ).content  # fmt: skip
    assert found["shifted"]["unseen"] == ["W"]
    assert "W" not in found["shifted"]["shift_ev"]
    assert "for W the test's own labels" in found["oracle"]["fitted_on"]
    images = read(tmp_path / "out" / "predictions.extxyz", ":")
    n_w = np.array([atoms.symbols.count("W") for atoms in images])
    extra = np.array(
        [atoms.info["pred_energy_oracle"] - atoms.info["pred_energy_shifted"] for atoms in images]
    )
    np.testing.assert_allclose(extra, n_w * found["oracle"]["shift_ev"]["W"])
    n, error = columns(images, "pred_energy_oracle")
    assert abs(n_w @ (error * n)) < 1e-3  # least squares
    assert found["oracle"]["energy_mae_mev_per_atom"] < found["shifted"]["energy_mae_mev_per_atom"]


def test_binding_energies_again(evaluated):
    """By name: the bundled cells say what they are."""
    out, _ = evaluated
    found = json.loads((out / "metrics.json").read_text())["dilute"]["binding"]
    test = read(out / "predictions.extxyz", ":")
    known = {a.info["name"]: a for a in [*read(out / "train_predictions.extxyz", ":"), *test]}
    host = known["Mo16-vol0"]

    def energy(key, *names):
        pair, *ones = (known[name].info[key] for name in names)
        return 1000 * (pair + host.info[key] - sum(ones))

    pairs = [atoms.info["name"] for atoms in test if "2-shell" in atoms.info["name"]]
    assert len(pairs) == found["n"] >= 5
    reference, predicted = [], []
    for name in pairs:
        one = f"{name.split('2-')[0]}1-ideal"
        reference.append(energy("REF_energy", name, one, one))
        predicted.append(energy("pred_energy", name, one, one))
    error = np.abs(np.subtract(predicted, reference))
    assert found["mae_mev"] == pytest.approx(error.mean(), rel=1e-6)
    assert found["mean_abs_mev"] == pytest.approx(np.abs(reference).mean())
    assert found["sign_agreement"] == np.mean(np.sign(reference) == np.sign(predicted))
    assert found["rank_correlation"] == pytest.approx(spearmanr(reference, predicted).statistic)
    shells = {e["name"].split()[0]: e["name"] for e in found["energies"]}
    assert all("shell" in name and "ideal" in name for name in shells.values())


def test_our_dft_is_what_was_published_with_it():
    """First neighbours, unrelaxed, eV: the numbers of REFERENCE.md."""
    frames = load_bundled()
    energies = np.array([frame.energy_ev for frame in frames])
    found = dilute_errors(frames, energies)
    by_name = {e.name: e.reference_mev / 1000 for e in found["binding"].energies}
    published = {
        "W": 0.01, "Re": 0.05, "V": 0.16, "Nb": 0.17, "Ta": 0.20, "Ti": 0.32, "Zr": 0.34, "Hf": 0.42,
    }  # fmt: skip
    for x, energy in published.items():
        assert by_name[f"{x}-{x} shell 1, ideal"] == pytest.approx(energy, abs=0.006)
    assert found["binding"].mae_mev == 0
    assert found["substitution"].n == 8
    assert found["substitution"].sign_agreement is None
    assert found["relaxation"].n == 0


def relaxation_cells():
    """A single dopant and the host, each on its sites and relaxed, and a pair; energies by hand."""
    cells = []
    for dopants, state, energy in (
        ((), "ideal", -160.0), ((), "relaxed", -160.0), (("W",), "ideal", -162.0),
        (("W",), "relaxed", -162.3), (("W", "Ti"), "relaxed", -160.1), (("Ti",), "relaxed", -158.0),
        (("Ti",), "noneq", -150.0),
    ):  # fmt: skip
        atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(2)
        for k, x in enumerate(dopants):
            atoms.symbols[k] = x
        if state != "ideal":
            atoms.rattle(0.01, seed=len(cells))
        group = "-".join(dopants) or "host"
        atoms.info |= {"REF_energy": energy, "state": state, "group": group}
        atoms.arrays["REF_forces"] = np.zeros((16, 3))
        cells.append(frame_from_atoms(atoms))
    return cells


def test_dilute_energies_of_relaxed_cells_by_hand():
    frames = relaxation_cells()
    predicted = np.array([-160.0, -160.0, -162.0, -162.2, -160.0, -158.1, -150.0])
    found = dilute_errors(frames, predicted)
    binding = found["binding"].energies
    assert [e.name for e in binding] == ["Ti-W shell 1, relaxed"]
    # E(Ti W) + E(host) − E(Ti) − E(W), all relaxed: -160.1 - 160 + 158 + 162.3 = 0.2
    assert binding[0].reference_mev == pytest.approx(200)
    assert binding[0].predicted_mev == pytest.approx(300)
    relaxation = {e.name: e for e in found["relaxation"].energies}
    assert relaxation["W W"].reference_mev == pytest.approx(300)
    assert relaxation["W W"].predicted_mev == pytest.approx(200)
    assert relaxation["Mo host"].reference_mev == 0
    names = {e.name for e in found["substitution"].energies}
    assert names == {"W, ideal", "W, relaxed", "Ti, relaxed"}


def test_cells_of_other_shape_are_no_partners():
    frames = relaxation_cells()
    strained = frames[1].atoms.copy()
    strained.set_cell(strained.cell * 1.01, scale_atoms=True)
    others = [frame_from_atoms(strained), *frames[2:]]
    found = dilute_errors(others, np.zeros(len(others)))
    assert found["binding"].n == found["substitution"].n == 0


def test_partners_from_the_training_set_do_not_count_as_test():
    frames = relaxation_cells()
    test, train = [frames[4]], [frames[k] for k in (0, 1, 2, 3, 5)]
    found = dilute_errors(
        test, np.array([-160.0]), train, np.array([-160.0, -160.0, -162.0, -162.2, -158.1])
    )
    assert found["binding"].energies[0].error_mev == pytest.approx(100)
    assert found["binding"].energies[0].cells == (0, -2, -5, -4)
    assert found["substitution"].n == found["relaxation"].n == 0


def test_committee_is_its_mean_and_its_spread(evaluated, models):
    out, _ = evaluated
    found = json.loads((out / "metrics.json").read_text())["committee"]
    images = read(out / "predictions.extxyz", ":")
    atoms = images[0]
    one = [calculator_of(model).get_potential_energy(atoms) for model in models]
    assert atoms.info["pred_energy"] == pytest.approx(np.mean(one))
    assert atoms.info["pred_energy_std"] == pytest.approx(np.std(one, ddof=1))
    n, error = columns(images)
    spread = 1000 * np.array([a.info["pred_energy_std"] for a in images]) / n
    assert found["n_models"] == 3
    assert found["energy_mev_per_atom"] == pytest.approx(np.sqrt(np.mean(spread**2)))
    assert found["energy_error_over_spread"] == pytest.approx(
        np.sqrt(np.mean(error**2) / np.mean(spread**2))
    )
    assert found["energy_rank_correlation"] == pytest.approx(
        spearmanr(spread, np.abs(error)).statistic
    )


def calculator_of(path):
    from moalloy_md.potentials.loading import load_model

    return calculator(load_model(path))


def test_folder_of_a_committee_stands_for_its_models(tmp_path):
    (tmp_path / "committee.json").write_text('{"models": ["00/model.model", "01/model.model"]}')
    assert _members([str(tmp_path), "base-small"]) == [
        tmp_path / "00" / "model.model", tmp_path / "01" / "model.model", "base-small",
    ]  # fmt: skip


def test_proxies_stand_in_and_are_said(models, tmp_path):
    atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(2)
    atoms.rattle(0.05, seed=1)
    atoms.symbols[3] = "Al"
    atoms.info["REF_energy"] = -170.0
    atoms.arrays["REF_forces"] = np.zeros((16, 3))
    write(tmp_path / "new.extxyz", atoms)
    arguments = {"model": models[0], "data": tmp_path / "new.extxyz"}
    with pytest.raises(ModelError, match=r"found Al\. .*proxy"):
        evaluate(**arguments, out=tmp_path / "no")
    found = evaluate(**arguments, out=tmp_path / "out", proxies={"Al": "V"})
    assert found.content["proxies"] == {"Al": "V"}
    as_v = atoms.copy()
    as_v.symbols[3] = "V"
    expected = calculator_of(models[0]).get_potential_energy(as_v)
    written = read(tmp_path / "out" / "predictions.extxyz")
    assert written.info["pred_energy"] == pytest.approx(expected)
    automatic = evaluate(**arguments, out=tmp_path / "auto", proxies={})
    assert automatic.content["proxies"] == {"Al": "Re"}  # the nearest of these
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["config"]["proxies"] == {"Al": "V"}


def test_every_number_of_a_proxy_says_so(models, tmp_path):
    """Cells with Al, for which V stands in, and cells without: table, JSON, CSV and predictions."""
    test, train = [], []
    for k, symbols in enumerate([{3: "Al"}, {3: "Al", 9: "W"}, {5: "W"}, {}, {2: "Ti"}]):
        atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(2)
        for site, symbol in symbols.items():
            atoms.symbols[site] = symbol
        atoms.info |= {"REF_energy": -170.0 - 0.1 * k, "group": f"g{k}", "state": "ideal"}
        atoms.arrays["REF_forces"] = np.full((16, 3), 0.01) * (-1) ** np.arange(16)[:, None]
        (test if k != 3 else train).append(atoms)
    write(tmp_path / "test.extxyz", test)
    write(tmp_path / "train.extxyz", train)
    found = evaluate(
        model=models[:2], data=tmp_path / "test.extxyz", train=tmp_path / "train.extxyz",
        out=tmp_path / "out", proxies={"Al": "V"},
    )  # fmt: skip
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    said = {x: entry["proxies"] for x, entry in content["by_dopant"].items()}
    assert said == {"Al": {"Al": "V"}, "W": {"Al": "V"}, "Ti": {}}
    assert content["by_group"]["g2"]["proxies"] == {}
    assert content["by_group"]["g1"]["proxies"] == {"Al": "V"}
    for section in ("shifted", "oracle", "committee"):
        assert content[section]["proxies"] == {"Al": "V"}
    screen = Console(file=io.StringIO(), width=80)
    show_evaluation(found, screen)
    text = screen.file.getvalue()
    for row in ("Al (proxy V)", "W (proxy)", "Ti ", "all (proxy)"):
        assert any(line.lstrip().startswith(row) for line in text.splitlines()), row
    for words in (
        "proxy (Al=V): the model lacks", "Energy (proxy) with the references aligned",
        "Energy (proxy) with the oracle", "Substitution energy (proxy)", "Binding energy (proxy)",
        "Committee of 2 (proxy)", "the paper writes them (proxy)",
    ):  # fmt: skip
        assert words in text.replace("\n", " "), words
    table = list(csv.DictReader((tmp_path / "out" / "dilute.csv").read_text().splitlines()))
    assert {(row["kind"], row["dopants"]): row["proxy"] for row in table} == {
        ("substitution", "Al"): "Al=V", ("substitution", "W"): "",
        ("substitution", "Ti"): "", ("binding", "Al W"): "Al=V",
    }  # fmt: skip
    images = read(tmp_path / "out" / "predictions.extxyz", ":")
    assert [atoms.info.get("proxy") for atoms in images] == ["Al=V", "Al=V", None, None]


def test_proxies_are_written_into_the_panels():
    rng = np.random.default_rng(0)
    energies, forces = rng.normal(size=(2, 4)), rng.normal(size=(2, 8, 3))
    data = ParityData(*energies, np.ones(4, bool), *forces, np.arange(8) % 2 == 0)
    metrics = error_metrics(
        reference_energies_ev=energies[0], predicted_energies_ev=energies[1],
        reference_forces=forces[0], predicted_forces=forces[1],
        n_atoms=np.full(4, 2), groups=list("abcd"), n_resamples=0,
    )  # fmt: skip

    def texts(proxies):
        return [axes.texts[0].get_text() for axes in parity_figure(data, metrics, proxies).axes]

    assert all("proxy Al=V Zn=Fe" in text for text in texts({"Al": "V", "Zn": "Fe"}))
    assert not any("proxy" in text for text in texts({}))


def test_dilute_energies_one_by_one(evaluated):
    """Each line of the table again from the cells that it names."""
    out, evaluation = evaluated
    test = read(out / "predictions.extxyz", ":")
    train = read(out / "train_predictions.extxyz", ":")
    rows = list(csv.DictReader((out / "dilute.csv").read_text().splitlines()))
    counts = Counter(row["kind"] for row in rows)
    assert counts == {kind: e["n"] for kind, e in evaluation.content["dilute"].items() if e["n"]}
    signs = {"substitution": (1, -1), "binding": (1, 1, -1, -1), "relaxation": (-1, 1)}
    for row in rows:
        cells = [test[int(k)] for k in row["test_frames"].split()]
        cells += [train[int(k)] for k in row["train_frames"].split()]
        # first the cell itself, then those with fewer dopants; single ones may change places
        cells[1:] = sorted(cells[1:], key=lambda atoms: sum(x != "Mo" for x in atoms.symbols))
        if len(cells) < len(signs[row["kind"]]):
            cells.append(cells[-1])  # two equal dopants
        for column, key in (("reference_mev", "REF_energy"), ("predicted_mev", "pred_energy")):
            pairs = zip(signs[row["kind"]], cells, strict=True)
            energy = 1000 * sum(sign * atoms.info[key] for sign, atoms in pairs)
            assert float(row[column]) == pytest.approx(energy, abs=1e-3)
        assert float(row["error_mev"]) == pytest.approx(
            float(row["predicted_mev"]) - float(row["reference_mev"]), abs=2e-4
        )
        dopants = [x for x in cells[0].symbols if x != "Mo"]
        assert sorted(row["dopants"].split()) == sorted(dopants)
        if row["kind"] == "binding":
            assert f"shell{row['shell']}" in cells[0].info["name"]


def test_proxies_on_the_command_line():
    assert _proxies([]) is None
    assert _proxies(["auto"]) == "auto"
    assert _proxies(["auto", "Al=V", "Zn=Fe"]) == {"Al": "V", "Zn": "Fe"}
    with pytest.raises(ConfigError, match=r"a pair such as Al=V, found 'Al:V'"):
        _proxies(["Al:V"])
    with pytest.raises(ConfigError, match="found 'Xx'"):
        validate(
            {"model": "m", "data": "d", "out": "o", "proxies": {"Xx": "V"}},
            EvaluateConfig,
            source="options",
        )


def test_native_engine_takes_no_proxies(split, tmp_path):
    with pytest.raises(ModelError, match="expected no proxies"):
        evaluate(
            model=tmp_path, data=split / "test.extxyz", out=tmp_path / "out", proxies={},
            engine="native",
        )  # fmt: skip


def test_finished_evaluation_is_read_again(evaluated, models, split):
    out, first = evaluated
    again = evaluate(
        model=models, data=split / "test.extxyz", train=split / "train.extxyz", out=out
    )
    assert again.metrics == first.metrics
    assert again.content == json.loads((out / "metrics.json").read_text())


def test_cells_of_the_shift_are_at_most_ten_of_a_composition(models, tmp_path):
    frames = load_bundled()
    many = [f for f in frames if f.state == "noneq"] * 1
    copies = []
    for k in range(30):
        atoms = many[0].atoms.copy()
        atoms.rattle(0.01, seed=k)
        copies.append(frame_from_atoms(atoms))
    write_dataset(tmp_path / "train.extxyz", copies)
    write_dataset(tmp_path / "test.extxyz", frames[3:5])
    found = evaluate(
        model=models[0], data=tmp_path / "test.extxyz", train=tmp_path / "train.extxyz",
        out=tmp_path / "out",
    )  # fmt: skip
    assert found.content["shifted"]["fitted_on"] == "10 cells of the training set"
