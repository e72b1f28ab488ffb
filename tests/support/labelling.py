"""Cells and configurations for the tests of labelling."""

from moalloy_md.config import validate
from moalloy_md.workflows.label.config import LabelConfig
from support.cells import doped_cell


def config(kind="factory", **calculator):
    return validate({"calculator": {"kind": kind, **calculator}}, LabelConfig, source="test")


def cells(n=4, *, elements=("Mo", "W"), start=0):
    """Low-symmetry cells with names and groups."""
    images = []
    for k in range(start, start + n):
        atoms = doped_cell(elements if k % 2 == 0 else ("Mo",), n=2, seed=k, rattle=0.05)
        atoms.info.update(name=f"cell {k}", host="Mo", group=f"g{k // 2}", state="noneq")
        images.append(atoms)
    return images
