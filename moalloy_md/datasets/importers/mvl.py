"""JSON lists of the Materials Virtual Lab (pymatgen structures with VASP results).

An entry has ``structure``, ``outputs`` (``energy`` in eV, ``forces`` in eV/Å, ``stress`` in kbar
in VASP's order xx yy zz xy yz zx and with VASP's sign) and ``tags`` that say what it is. Which of
VASP's energies ``energy`` is, the files do not say: each frame is flagged with
``energy_kind=unstated``.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from moalloy_md.datasets.importers.runs import Importing, Role, Run, Step, voigt_from_vasp
from moalloy_md.errors import DataError

_STRAIN = re.compile(r"^(\d+)--(-?[0-9.]+)$")
_SNAPSHOT = re.compile(r"^-?(\d+)-(\d+)$")


@dataclass(frozen=True)
class _Entry:
    """What an entry says of itself."""

    atoms: Atoms
    place: str
    tag: str
    note: str


def is_mvl(head: str) -> bool:
    """Whether a JSON file that starts with `head` (some 100 kB) is such a list."""
    return head.lstrip().startswith("[") and '"structure"' in head and '"outputs"' in head


def read_mvl(path: Path, name: str, importing: Importing) -> Iterator[Run]:
    """Read a list of the Materials Virtual Lab.

    Trajectories (``Md…``) come as one run each, ordered by the number in ``notes``; strained cells
    of one crystal (``Strain…``) as one group; solid solutions (``relax`` and ``unrelax``), surfaces
    and everything else as separate cells.

    Parameters
    ----------
    path
        The file.
    name
        Of the file; names of runs and groups start with it.
    importing
        Settings; takes remarks.

    Yields
    ------
    Run
        With stress in ASE's convention.

    Raises
    ------
    DataError
        If the file is no such list, or an entry lacks something.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: expected a JSON list, found: {error}") from error
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a JSON list of cells, found a {type(content).__name__}")
    entries = []
    for index, item in enumerate(content):
        try:
            entries.append(_entry(item, f"{path}: entry {index} (the first is 0)"))
        except DataError as error:
            importing.refuse(error)
    snapshots = [entry for entry in entries if entry.tag.startswith("Md")]
    others = [entry for entry in entries if not entry.tag.startswith("Md")]
    yield from _trajectories(snapshots, name)
    if others:
        yield Run(name, "cells", _cells(others, name))


def _trajectories(entries: list[_Entry], name: str) -> Iterator[Run]:
    runs: dict[str, list[tuple[int, _Entry]]] = {}
    for entry in entries:
        found = _SNAPSHOT.match(entry.note)
        if found is None:
            raise DataError(
                f"{entry.place}: expected notes such as 300-17 (temperature and number), found "
                f"{entry.note!r}"
            )
        run = f"{name}-{entry.tag}-{found.group(1)}K"
        runs.setdefault(run, []).append((int(found.group(2)), entry))
    for run, members in runs.items():
        members.sort(key=lambda member: member[0])
        steps = [Step(entry.atoms, entry.place, number) for number, entry in members]
        yield Run(run, "md", iter(steps))


def _cells(entries: list[_Entry], name: str) -> Iterator[Step]:
    roles: dict[str, Role] = {"relax": "end", "unrelax": "start"}
    for index, entry in enumerate(entries):
        own = f"{name}-{entry.note or index}"
        entry.atoms.info["name"] = f"{own}-{entry.tag}"
        if entry.tag.startswith("Strain"):
            _name_strain(entry, name)
        yield Step(entry.atoms, entry.place, index, role=roles.get(entry.tag), own_group=own)


def _name_strain(entry: _Entry, name: str) -> None:
    """Strains of one crystal are one group: x, y and z are the same cells turned, and steps small."""
    found = _STRAIN.match(entry.note)
    if found is None:
        raise DataError(
            f"{entry.place}: expected notes such as 1--0.0100 (mode and strain), found "
            f"{entry.note!r}"
        )
    mode, strain = int(found.group(1)), float(found.group(2))
    entry.atoms.info["name"] = f"{name}-mode{mode}-strain{strain:+.3f}"
    entry.atoms.info["group"] = f"{name}-strain"
    entry.atoms.info["state"] = "ideal" if strain == 0 else "noneq"


def _entry(item: Any, place: str) -> _Entry:
    try:
        atoms = _atoms(item)
        tags = item["tags"]
        tag = str(tags[0] if isinstance(tags, list) else tags)
        note = str((item.get("notes") or {}).get(tag, ""))
        parameters = item.get("params") or {}
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(
            f"{place}: expected structure, outputs (energy, forces, stress) and tags as the "
            f"Materials Virtual Lab writes them, found {type(error).__name__}: {error}"
        ) from error
    info = atoms.info
    info.update({"dft_code": "VASP", "functional": "PBE", "energy_kind": "unstated"})
    if isinstance(parameters.get("e_cut"), int | float):
        info["cutoff_ev"] = float(parameters["e_cut"])
    if isinstance(parameters.get("k_prod"), int | float):
        info["k_prod_angstrom"] = float(parameters["k_prod"])
    if isinstance(parameters.get("pp"), dict):
        used = [parameters["pp"].get(symbol, symbol) for symbol in sorted(set(atoms.symbols))]
        info["pseudopotentials"] = " ".join(used)
    info["mvl_id"] = str(item.get("_id", ""))
    return _Entry(atoms, place, tag, note)


def _atoms(item: dict[str, Any]) -> Atoms:
    structure, outputs = item["structure"], item["outputs"]
    sites = structure["sites"]
    for site in sites:
        if len(site["species"]) != 1 or site["species"][0].get("occu", 1) != 1:
            raise ValueError("a site with several or partial species")
    atoms = Atoms(
        [site["species"][0]["element"] for site in sites],
        scaled_positions=[site["abc"] for site in sites],
        cell=structure["lattice"]["matrix"],
        pbc=True,
    )
    atoms.info["REF_energy"] = float(outputs["energy"])
    atoms.set_array("REF_forces", np.array(outputs["forces"], dtype=float), shape=(3,))
    if outputs.get("stress") is not None:
        kbar = np.array(outputs["stress"], dtype=float)
        if kbar.shape != (6,):
            raise ValueError(f"a stress of shape {kbar.shape}")
        atoms.info["REF_stress"] = voigt_from_vasp(kbar)
    return atoms
