"""The page of a dataset: complete, self-contained, and safe against odd names."""

import re

import numpy as np
import pytest
from ase.build import bulk

from moalloy_md.datasets.bundled import load_bundled
from moalloy_md.datasets.describe import describe
from moalloy_md.datasets.frames import frame_from_atoms
from moalloy_md.report.dataset import write_dataset_page


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "page.html"
    write_dataset_page(out, describe(load_bundled()), title="mo_dopants_pbe.extxyz")
    return out.read_text()


def cells_of_row(page, name):
    """Text of the cells after the heading `name` of a table row."""
    (row,) = re.findall(rf"<tr><th>{re.escape(name)}</th>(.*?)</tr>", page, re.DOTALL)
    return [re.sub(r"<[^>]+>|\s+", "", cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]


def test_nothing_is_loaded_from_elsewhere(page):
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in page
    assert "url(" not in page


def test_numbers_are_those_of_the_data(page):
    frames = load_bundled()
    with_w = [f for f in frames if "W" in f.dopants]
    n_dopants = [sum(x != "Mo" for x in f.atoms.symbols) for f in with_w]
    row = cells_of_row(page, "W")[:5]
    groups = len({f.group for f in with_w})
    assert row == [str(n) for n in (8, groups, n_dopants.count(1), n_dopants.count(2), 0)]
    assert cells_of_row(page, "Re–W") == ["1", "·", "·"]
    assert cells_of_row(page, "ideal") == ["33"]
    mean = 1000 * np.mean(np.abs(np.concatenate([f.forces for f in frames])))
    assert f"<strong>{mean:.0f} meV/Å</strong>" in page
    assert "10 cells with 2 in shell 2" in page
    assert "10 cells with 4 in shell 3" in page
    assert "in shell 1" not in page  # there every pair stands alone


def test_three_pictures(page):
    assert page.count("<img ") == page.count("<figcaption>") == 3


def test_one_bare_cell_makes_a_page_too(tmp_path):
    atoms = bulk("Mo", "bcc", a=3.16, cubic=True)
    atoms.info["REF_energy"] = -22.0
    atoms.info["group"] = "<script>alert(1)</script>"
    atoms.arrays["REF_forces"] = np.zeros((2, 3))
    write_dataset_page(
        tmp_path / "p.html", describe([frame_from_atoms(atoms, source="x")]), title="a & b"
    )
    page = (tmp_path / "p.html").read_text()
    assert "<script>" not in page
    assert "a &amp; b" in page
    assert "<h2>Dopants</h2>" not in page
    assert page.count("<img ") == 2
