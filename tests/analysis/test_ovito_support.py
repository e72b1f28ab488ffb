"""What OVITO reads after it has drawn a picture in the same process."""

from functools import partial

import numpy as np
from ase.build import bulk
from ase.io import write
from support.frames import write_dump

from moalloy_md.analysis.crystal import crystal_series
from moalloy_md.analysis.pictures import draw_dopants
from moalloy_md.analysis.trajectory import Trajectory

#: OVITO alone took a wrong frame in one file of ten: so many files pass by chance once in 10⁴.
_FILES = 90


def test_the_right_frames_after_a_picture(tmp_path):
    cells = [bulk("Mo", "bcc", a=3.15, cubic=True) * (2, 2, 2 + k) for k in range(4)]
    dumps = [write_dump(atoms, tmp_path / f"{k}", step=k) for k, atoms in enumerate(cells)]
    text = "".join(file.read_text() for file in dumps)
    write(tmp_path / "one.extxyz", cells, format="extxyz")
    in_xyz = (tmp_path / "one.extxyz").read_text()
    expected = [len(atoms) for atoms in cells]
    draw = partial(draw_dopants, dumps[0], host="Mo", size=(60, 50))
    for k in range(_FILES // 2):
        if k % 15 == 0:
            draw()
        dump, xyz = tmp_path / f"{k}.dump", tmp_path / f"{k}.extxyz"
        dump.write_text(text)
        xyz.write_text(in_xyz)
        for file in (dump, xyz):
            assert [frame.n_atoms for frame in Trajectory([file]).frames()] == expected
        np.testing.assert_array_equal(crystal_series([dump]).steps, range(4))


def test_a_frame_that_ovito_does_not_find_is_no_copy_of_another(tmp_path):
    """OVITO counts one frame where blank lines follow the second: asked for it, it gives the first."""
    cells = [bulk("Mo", "bcc", a=3.15, cubic=True) * (2, 2, 2 + k) for k in range(2)]
    texts = [
        write_dump(atoms, tmp_path / "one", step=k).read_text() for k, atoms in enumerate(cells)
    ]
    (tmp_path / "two.dump").write_text("".join(texts) + "\n")
    trajectory = Trajectory([tmp_path / "two.dump"])
    assert [frame.step for frame in trajectory.frames()] == [0]
    assert "its last frame is not whole and was left out" in trajectory.left_out[0]
