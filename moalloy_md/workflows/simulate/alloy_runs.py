"""What topics that put alloys side by side have in common: their cells, and what identifies them."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ase import Atoms

from moalloy_md.lammps.single_point import write_structure
from moalloy_md.rundir import replacing
from moalloy_md.workflows.simulate.alloy_config import AlloyConfig
from moalloy_md.workflows.simulate.run import SimulationRun, seed_of


def alloy_identity(config: AlloyConfig) -> dict[str, Any]:
    """Return what of an alloy's settings a simulation cannot change."""
    return {
        "host": config.host,
        "lattice": config.lattice,
        "repeat": list(config.cells),
        "lattice_parameter_angstrom": config.edge_angstrom,
        "pressure_bar": config.pressure_bar,
    }


def alloy_run(
    config: AlloyConfig,
    composition: str,
    *,
    label: str,
    build: Callable[..., Atoms],
    input: str,  # noqa: A002  LAMMPS's own word
    steps: int,
    out: Path,
) -> SimulationRun:
    """Write the starting cell of a composition, and describe a run of it without its temperature.

    Parameters
    ----------
    config
        Settings of the simulation.
    composition
        One of its compositions.
    label
        Names the cell and seeds its sites.
    build
        `moalloy_md.structures.solid_solution.solid_solution`, or a builder with its arguments.
    input, steps
        As of `SimulationRun`.
    out
        Folder of the simulation.
    """
    dopants = config.compositions[composition]
    atoms = build(
        dopants=dict(dopants),
        repeat=config.cells,
        lattice_parameter_angstrom=config.edge_angstrom,
        host=config.host,
        lattice=config.lattice,
        seed=seed_of(label, config.seed),
    )
    elements = (config.host, *dopants)
    structure = f"structures/{label}.data"
    with replacing(out / structure) as temporary:
        write_structure(atoms, temporary, elements=list(elements))
    counts = Counter(str(symbol) for symbol in atoms.symbols)
    return SimulationRun(
        name=label,
        input=input,
        steps=steps,
        structure=structure,
        elements=elements,
        n_atoms=len(atoms),
        variables={"pressure_bar": config.pressure_bar},
        about={"host": config.host, "composition": composition, "counts": dict(counts)},
        settings={f"compositions.{composition}": dict(dopants)},
    )
