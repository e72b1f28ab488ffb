"""Every kind of bad dataset is refused in a sentence with file, frame and atom."""

import re

import numpy as np
import pytest

from moalloy_md.datasets.frames import read_dataset
from moalloy_md.errors import DataError

COMMENT = (
    'Lattice="3 0 0 0.2 3.5 0 0.25 0 4" Properties=species:S:1:pos:R:3:REF_forces:R:3 '
    "REF_energy=-31.5 host=Mo group=g state=noneq"
)
GOOD = [
    "3",
    COMMENT,
    "Mo 0.1 0 0 0.1 0.2 0.3",
    "Ti 1.5 1.75 2 -0.1 -0.2 -0.3",
    "Mo 0.5 2.75 3 -0.1 -0.2 -0.3",
]


def with_bad_frame(tmp_path, change):
    """A file of four frames of which the third (number 2) was changed."""
    bad = change(list(GOOD))
    path = tmp_path / "data.extxyz"
    path.write_text("\n".join([*GOOD, *GOOD, *bad, *GOOD]) + "\n")
    return path


def swap(line, old, new):
    def change(lines):
        assert lines[line].count(old) == 1
        lines[line] = lines[line].replace(old, new)
        return lines

    return change


CASES = {
    "no energy": (swap(1, "REF_energy=-31.5", ""), ": expected REF_energy .* label the cell"),
    "another energy": (
        swap(1, "REF_energy", "energy"),
        ": expected REF_energy .* found energy instead: rename it if it is the force-consistent",
    ),
    "energy a word": (swap(1, "-31.5", "high"), ": expected REF_energy to be one number .*'high'"),
    "energy true": (swap(1, "-31.5", "T"), ": expected REF_energy to be one number .*True"),
    "energy a list": (swap(1, "-31.5", '"1 2"'), ": expected REF_energy to be one number"),
    "energy nan": (swap(1, "-31.5", "nan"), ": expected a finite REF_energy, found nan"),
    "energy inf": (swap(1, "-31.5", "-inf"), ": expected a finite REF_energy, found -inf"),
    "no forces": (swap(1, "REF_forces", "myforces"), r": expected the columns REF_forces:R:3"),
    "other forces": (
        swap(1, "REF_forces", "forces"),
        ": expected the columns REF_forces.*found a column forces instead: rename it",
    ),
    "forces of 2": (swap(1, "REF_forces:R:3", "REF_forces:R:2:x:R:1"), r"found shape \(3, 2\)"),
    "forces of words": (swap(1, "REF_forces:R:3", "REF_forces:S:3"), "found shape .* object"),
    "force nan": (swap(4, "-0.3", "nan"), r", atom 2: expected a finite REF_forces, found .*nan"),
    "force inf": (swap(3, "-0.2", "inf"), r", atom 1: expected a finite REF_forces, found .*inf"),
    "position nan": (swap(3, "1.75", "nan"), ", atom 1: expected a finite position"),
    "cell nan": (swap(1, "3.5", "nan"), ": expected a finite cell"),
    "flat cell": (
        swap(1, "0.25 0 4", "0 0 0"),
        ": expected a cell vector along each periodic direction",
    ),
    "host absent": (
        swap(1, "host=Mo", "host=W"),
        r": expected atoms of the host \(host=W\), found only Mo, Ti",
    ),
    "unknown state": (
        swap(1, "noneq", "warm"),
        ": expected state to be one of relaxed, ideal, noneq, found warm",
    ),
    "stress of 5": (
        swap(1, "group", 'REF_stress="1 2 3 4 5" group'),
        ": expected REF_stress as 6 numbers",
    ),
    "stress nan": (
        swap(1, "group", 'REF_stress="1 2 nan 4 5 6" group'),
        ": expected a finite REF_stress",
    ),
    "stress asymmetric": (
        swap(1, "group", 'REF_stress="1 2 3 4 5 6 7 8 9" group'),
        ": expected a symmetric REF_stress",
    ),
    "a word": (swap(4, "2.75", "2.7x5"), ", atom 2: expected a number, found '2.7x5'"),
    "a short row": (swap(3, " -0.3", ""), ", atom 1: expected 7 columns, found 6"),
    "a long row": (swap(3, "-0.3", "-0.3 1"), ", atom 1: expected 7 columns, found 8"),
    "no element": (swap(2, "Mo", "Qq"), ", atom 0: expected a chemical symbol, found 'Qq'"),
    "a dummy": (swap(2, "Mo", "X"), ", atom 0: expected a chemical element, found a dummy"),
    "no lattice": (swap(1, "3 0 0 0.2", "3 0 0.2"), ": expected extended XYZ, found "),
    "odd properties": (
        swap(1, "REF_forces:R:3", "REF_forces:R:three"),
        ": expected Properties=name:type:columns",
    ),
    "a count too many": (swap(0, "3", "4"), ": expected extended XYZ|, atom 3: expected 7 columns"),
    "no atoms": (lambda _: ["0", "empty"], ": expected at least 1 atom, found 0"),
    "another format": (swap(0, "3", "Mo Ti"), "expected its first line to be the number of atoms"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_frames_are_named(tmp_path, case):
    change, sentence = CASES[case]
    path = with_bad_frame(tmp_path, change)
    where = re.escape(f"{path}: frame 2 (the first is 0)")
    with pytest.raises(DataError, match=f"^{where}.*({sentence})"):
        read_dataset(path)


def test_the_unchanged_file_is_fine(tmp_path):
    frames = read_dataset(with_bad_frame(tmp_path, lambda lines: lines))
    assert len(frames) == 4
    assert np.allclose(frames[2].atoms.positions[1], [1.5, 1.75, 2])


def test_a_count_too_few_is_seen_in_the_next_frame(tmp_path):
    path = with_bad_frame(tmp_path, swap(0, "3", "2"))
    with pytest.raises(DataError, match=r"frame 3 .*number of atoms.*found 'Mo 0.5 2.75"):
        read_dataset(path)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"no\.extxyz: cannot be read \(No such file"):
        read_dataset(tmp_path / "no.extxyz")


def test_a_folder(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("text", ["", "\n", "  \n\n"])
def test_empty_file(tmp_path, text):
    path = tmp_path / "empty.extxyz"
    path.write_text(text)
    with pytest.raises(DataError, match="at least one frame, found an empty file"):
        read_dataset(path)


def test_binary_file(tmp_path):
    path = tmp_path / "x.extxyz"
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(DataError, match="which is text, found bytes"):
        read_dataset(path)


def test_another_text_format(tmp_path):
    path = tmp_path / "POSCAR"
    path.write_text("bcc Mo\n1.0\n3.16 0 0\n0 3.16 0\n0 0 3.16\nMo\n2\nDirect\n0 0 0\n.5 .5 .5\n")
    with pytest.raises(DataError, match=r"frame 0 .*found 'bcc Mo'. The file is in another format"):
        read_dataset(path)


def test_plain_xyz_has_no_labels(tmp_path):
    path = tmp_path / "x.xyz"
    path.write_text("2\n\nMo 0 0 0\nMo 1 2 3\n")
    with pytest.raises(DataError, match=r"frame 0 .*expected REF_energy"):
        read_dataset(path)


@pytest.mark.parametrize("lines_kept", [6, 7, 8])
def test_a_file_cut_short(tmp_path, lines_kept):
    path = tmp_path / "x.extxyz"
    path.write_text("\n".join([*GOOD, *GOOD][:lines_kept]) + "\n")
    with pytest.raises(DataError, match=r"frame 1 .*expected 3 atoms, found the end of the file"):
        read_dataset(path)


def test_a_blank_line_between_frames_would_lose_the_rest(tmp_path):
    path = tmp_path / "x.extxyz"
    path.write_text("\n".join([*GOOD, "", *GOOD]) + "\n")
    with pytest.raises(DataError, match=r"frame 1 .*found a blank line with more text after it"):
        read_dataset(path)


def test_blank_lines_at_the_end_are_fine(tmp_path):
    path = tmp_path / "x.extxyz"
    path.write_text("\n".join([*GOOD, *GOOD]) + "\n\n  \n")
    assert len(read_dataset(path)) == 2
