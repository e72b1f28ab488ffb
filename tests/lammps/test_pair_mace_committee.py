"""A committee of models: means of energies and forces, and how much the models disagree.

All is compared with NumPy over runs of the single models; these are compared with mace-torch
elsewhere.
"""

import numpy as np
import pytest
from support import lmp
from support.cells import doped_cell

ELEMENTS = ("V", "Mo", "Ta", "W")
TYPES = ("W", "Mo", "V", "Ta")

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread", "style"),
    pytest.mark.parametrize("style", ["mace/native"], indirect=True),
]

#: Other sizes of messages, cutoffs and numbers of layers: nothing may be mixed up.
MODELS = (
    {"hidden": "8x0e", "seed": 1, "r_max": 4.0},
    {"hidden": "8x0e + 8x1o"},
    {"hidden": "8x0e + 8x1o", "seed": 2, "n_layers": 1},
)
COLUMNS = ["step", *(f"{kind}_devi_{of}" for of in "vf" for kind in ("max", "min", "avg"))]


@pytest.fixture(scope="module")
def models(random_potentials):
    return [random_potentials("mace/native", elements=ELEMENTS, **options) for options in MODELS]


@pytest.fixture
def lines(models):
    """Return a function from keywords to the input lines of the committee."""

    def make(keywords="", *, members=models):
        first, *others = members
        return first.lines(TYPES, keywords, others=[model.file for model in others])

    return make


@pytest.fixture(scope="module")
def atoms():
    return doped_cell(ELEMENTS, n=3, seed=83)


@pytest.fixture(scope="module")
def singles(models, atoms, tmp_path_factory):
    """What each model finds by itself."""
    folder = tmp_path_factory.mktemp("singles")
    return [model.compute(atoms, folder / str(k), TYPES) for k, model in enumerate(models)]


def deviations(singles, atoms):
    """What stands in a row behind the step, and the deviation of each atom's force."""
    forces = np.array([found.forces for found in singles])
    of_atom = np.sqrt(np.mean(np.sum((forces - forces.mean(axis=0)) ** 2, axis=2), axis=0))
    stress = np.array([found.stress[[0, 5, 4, 5, 1, 3, 4, 3, 2]] for found in singles])
    of_virial = np.std(stress, axis=0) * atoms.get_volume() / len(atoms)
    mean = np.sqrt(np.mean(of_virial**2))
    row = [of_virial.max(), of_virial.min(), mean, of_atom.max(), of_atom.min(), of_atom.mean()]
    return row, of_atom


def read_rows(path):
    header, *rows = path.read_text().splitlines()
    assert header.removeprefix("#").split() == COLUMNS
    return np.array([[float(word) for word in row.split()] for row in rows])


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("n", [2, 3])
def test_means_of_the_models(lines, models, singles, atoms, tmp_path, n, ranks):
    found = lmp.compute(
        atoms, tmp_path, symbols=TYPES, pair_lines=lines(members=models[:n]), ranks=ranks
    )
    for name in ("energy", "forces", "stress", "energies", "virials"):
        mean = np.mean([getattr(one, name) for one in singles[:n]], axis=0)
        np.testing.assert_allclose(getattr(found, name), mean, atol=1e-10, rtol=1e-13)
    assert not (tmp_path / "model_devi.out").exists()


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_means_and_deviations_beside_another_style(models, singles, atoms, tmp_path, ranks):
    """Hybrid styles hand the messages of several sizes through."""
    files = " ".join(str(model.file) for model in models)
    found = lmp.compute(
        atoms,
        tmp_path,
        symbols=TYPES,
        pair_lines="pair_style hybrid/overlay mace/native out_freq 1 zero 4.5\n"
        f"pair_coeff * * mace/native {files} {' '.join(TYPES)}\npair_coeff * * zero\n",
        ranks=ranks,
    )
    mean = np.mean([one.forces for one in singles], axis=0)
    np.testing.assert_allclose(found.forces, mean, atol=1e-10)
    (row,) = read_rows(tmp_path / "model_devi.out")
    np.testing.assert_allclose(row[1:], deviations(singles, atoms)[0], rtol=1e-6)


@pytest.mark.parametrize(("ranks", "threads"), [(1, 1), (2, 1), (1, 2)])
def test_deviations_in_a_file(lines, singles, atoms, tmp_path, ranks, threads):
    lmp.compute(
        atoms,
        tmp_path,
        symbols=TYPES,
        pair_lines=lines("out_freq 1"),
        ranks=ranks,
        threads=threads,
    )
    (row,) = read_rows(tmp_path / "model_devi.out")
    expected, _ = deviations(singles, atoms)
    assert row[0] == 0
    np.testing.assert_allclose(row[1:], expected, rtol=1e-6)  # seven digits are written


def test_equal_models_do_not_deviate(models, lines, atoms, tmp_path):
    twice = lines("out_freq 1 out_file equal.out", members=[models[0], models[0]])
    lmp.compute(atoms, tmp_path, symbols=TYPES, pair_lines=twice)
    np.testing.assert_array_equal(read_rows(tmp_path / "equal.out"), np.zeros((1, 7)))


@pytest.mark.parametrize("ranks", [1, 2])
def test_deviations_of_atoms_in_a_dump(lines, singles, atoms, tmp_path, ranks):
    run = """
fix deviation all pair 1 mace/native deviation 1
dump d all custom 1 deviation.txt id f_deviation
dump_modify d sort id format float %.15g
run 0
"""
    lmp.compute(atoms, tmp_path, symbols=TYPES, pair_lines=lines(), run=run, ranks=ranks, before="")
    _, expected = deviations(singles, atoms)
    of_atom = lmp.last_frame(tmp_path / "deviation.txt")[:, 1]
    np.testing.assert_allclose(of_atom, expected, rtol=1e-9)
    assert not (tmp_path / "model_devi.out").exists()


def test_deviations_of_atoms_after_the_style_was_set_again(lines, singles, atoms, tmp_path):
    """Fix pair keeps an address in the style."""
    run = """
fix deviation all pair 1 mace/native deviation 1
run 0
pair_style mace/native precision double out_freq 1
dump d all custom 1 deviation.txt id f_deviation
dump_modify d sort id format float %.15g
run 0
"""
    lmp.compute(atoms, tmp_path, symbols=TYPES, pair_lines=lines(), run=run)
    _, expected = deviations(singles, atoms)
    of_atom = lmp.last_frame(tmp_path / "deviation.txt")[:, 1]
    np.testing.assert_allclose(of_atom, expected, rtol=1e-9)
    assert len(read_rows(tmp_path / "model_devi.out")) == 1


MOVE = "velocity all create 300.0 17\nfix move all nve\ntimestep 0.001\n"


def test_rows_of_several_runs(lines, atoms, tmp_path):
    run = MOVE + "run 5\nrun 5\nrun 3\n"
    lmp.compute(atoms, tmp_path, symbols=TYPES, pair_lines=lines("out_freq 5"), run=run, ranks=2)
    assert list(read_rows(tmp_path / "model_devi.out")[:, 0]) == [0, 5, 10]


def test_rows_of_a_run_that_goes_on_from_a_restart(lines, atoms, tmp_path):
    """What came before the restart stays, and what a kill had left behind it is done anew."""
    run = MOVE + "run 4\nwrite_restart half\nrun 4\n"
    keywords = "out_freq 2 out_file d.out"
    lmp.compute(atoms, tmp_path, symbols=TYPES, pair_lines=lines(keywords), run=run)
    whole = read_rows(tmp_path / "d.out")
    assert list(whole[:, 0]) == [0, 2, 4, 6, 8]
    text = f"read_restart half\n{lines(keywords)}fix move all nve\ntimestep 0.001\nrun 4\n"
    status, output = lmp.run_script("units metal\natom_style atomic\n" + text, tmp_path)
    assert status == 0, output[-2000:]
    np.testing.assert_allclose(read_rows(tmp_path / "d.out"), whole, rtol=1e-5)
    assert not list(tmp_path.glob("d.out.*"))


def test_rows_of_a_new_run_replace_those_of_an_old_one(lines, atoms, tmp_path):
    for steps in (4, 2):
        run = MOVE + f"run {steps}\n"
        lmp.compute(atoms, tmp_path, symbols=TYPES, pair_lines=lines("out_freq 2"), run=run)
    assert list(read_rows(tmp_path / "model_devi.out")[:, 0]) == [0, 2]


def test_deviation_every_few_steps_between_rows(lines, atoms, tmp_path):
    """Fix pair and rows each have their own steps."""
    run = f"""{MOVE}
fix deviation all pair 2 mace/native deviation 1
dump d all custom 2 deviation.txt id f_deviation
dump_modify d sort id format float %.15g
run 6
"""
    lmp.compute(atoms, tmp_path, symbols=TYPES, pair_lines=lines("out_freq 3"), run=run)
    rows = read_rows(tmp_path / "model_devi.out")
    assert list(rows[:, 0]) == [0, 3, 6]
    of_atom = lmp.last_frame(tmp_path / "deviation.txt")[:, 1]
    last = [of_atom.max(), of_atom.min(), of_atom.mean()]
    np.testing.assert_allclose(rows[-1, 4:], last, rtol=1e-6)


TRIALS = {
    "swap": "fix swap all atom/swap 1 4 4711 9000.0 ke no types 1 2\nrun 3\n",
    "minimize": "minimize 0 1e-9 3 50\n",
}


@pytest.mark.parametrize("trial", TRIALS)
def test_row_is_of_the_last_evaluation_of_a_step(lines, atoms, tmp_path, trial):
    """Swaps that were rejected and steps of a line search have no row."""
    lmp.write_data(atoms, TYPES, tmp_path)
    run = TRIALS[trial] + "write_data after.lmp nocoeff"
    text = lmp.script(atoms, TYPES, lines("out_freq 1"), run=run)
    status, output = lmp.run_script(text, tmp_path)
    assert status == 0, output[-2000:]
    rows = read_rows(tmp_path / "model_devi.out")
    assert list(rows[:, 0]) == [0, 1, 2, 3]
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (tmp_path / "after.lmp").rename(fresh / "data.lmp")
    text = lmp.script(atoms, TYPES, lines("out_freq 1"))
    status, output = lmp.run_script(text, fresh)
    assert status == 0, output[-2000:]
    # write_data keeps 15 digits of each coordinate
    np.testing.assert_allclose(rows[-1, 1:], read_rows(fresh / "model_devi.out")[0, 1:], rtol=1e-5)
