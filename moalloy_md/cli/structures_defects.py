"""``moalloy structures gb|gb-search|polycrystal|slab|void``: cells to simulate."""

import json
import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moalloy_md.cli.common import ConfigOption, JsonOption, settings_from
from moalloy_md.cli.structures_common import (
    EdgeOption,
    HostOption,
    LatticeNameOption,
    RepeatOption,
    host_cell,
    host_crystal,
    numbers,
    words,
)

if TYPE_CHECKING:
    from ase import Atoms


class CellOption(StrEnum):
    """Kinds of cells with a boundary."""

    PERIODIC = "periodic"
    VACUUM = "vacuum"


OutOption = Annotated[Path, typer.Option(help="File to write: extended XYZ.")]
DataOption = Annotated[Path | None, typer.Option(help="LAMMPS data file to write as well.")]
ElementsOption = Annotated[
    str | None,
    typer.Option(help="Atom types of the data file: Mo,W,Re. (default: the host alone)"),
]
BoundaryOption = Annotated[
    str | None,
    typer.Option(
        help="Name instead of axis, sigma and plane: sigma3-112, sigma3-111, sigma3-110-twist, "
        "sigma5-210, sigma5-310, sigma5-100-twist, sigma9-221, sigma9-114, sigma11-113, sigma11-332."
    ),
]
AxisOption = Annotated[
    str | None, typer.Option(help="Axis of the rotation between the grains. (default 0,0,1)")
]
SigmaOption = Annotated[int | None, typer.Option(help="Σ of the rotation. (default 5)")]
PlaneOption = Annotated[
    str | None, typer.Option(help="Boundary plane in the lower grain's axes. (default 3,1,0)")
]
AngleOption = Annotated[
    float | None,
    typer.Option(help="Angle of the rotation, degrees, where several have this Σ."),
]
ThicknessOption = Annotated[
    float | None, typer.Option(help="Smallest thickness of each grain, Å. (default 16)")
]
WidthOption = Annotated[
    float | None, typer.Option(help="Smallest width of the cell in the boundary, Å. (default 8)")
]
VacuumOption = Annotated[float | None, typer.Option(help="Vacuum, Å. (default 16)")]


def gb_command(
    *,
    out: OutOption,
    data: DataOption = None,
    elements: ElementsOption = None,
    boundary: BoundaryOption = None,
    axis: AxisOption = None,
    sigma: SigmaOption = None,
    plane: PlaneOption = None,
    angle_deg: AngleOption = None,
    cell: Annotated[
        CellOption | None,
        typer.Option(help="Two equal boundaries, or one and two surfaces. (default periodic)"),
    ] = None,
    vacuum_angstrom: VacuumOption = None,
    min_thickness_angstrom: ThicknessOption = None,
    min_width_angstrom: WidthOption = None,
    shift_angstrom: Annotated[
        str | None, typer.Option(help="Displacement of the upper grain, Å: x,y. (default 0,0)")
    ] = None,
    expansion_angstrom: Annotated[
        float | None, typer.Option(help="Gap at each boundary, Å. (default 0)")
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            help="Atoms closer than this across a boundary, in nearest-neighbour distances, are "
            "removed. (default 0.65)"
        ),
    ] = None,
    host: HostOption = None,
    lattice: LatticeNameOption = None,
    lattice_parameter_angstrom: EdgeOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build a grain boundary of coincidence sites: its normal along z, not relaxed.

    `gb-search` finds the structure of lowest energy.
    """
    from moalloy_md.structures.grain_boundaries import GrainBoundaryConfig, grain_boundary

    options = locals()
    given = {
        **_boundary(options),
        **_as_given(options, "cell", "vacuum_angstrom", "expansion_angstrom", "overlap"),
        "shift_angstrom": numbers("shift-angstrom", shift_angstrom) or None,
    }
    settings = settings_from(given, config, GrainBoundaryConfig, source="moalloy structures gb")
    found = grain_boundary(settings)
    info = found.atoms.info
    common = found.coincidence
    said = (
        f"Σ{common.sigma} {_miller('[]', common.axis)} {_miller('()', common.lower.plane)} "
        f"{common.kind}, misorientation {found.misorientation_deg:.2f}°, "
        f"{found.n_boundaries} x {found.area_angstrom2:.2f} Å² at z = "
        f"{', '.join(f'{z:.2f}' for z in found.boundary_z_angstrom)} Å, {found.n_removed} atoms removed"
    )
    keys = ("sigma", "axis", "plane", "upper_plane", "kind", "misorientation_deg", "area_angstrom2",
            "n_boundaries", "boundary_z", "n_removed")  # fmt: skip
    facts = {key: info[key] for key in keys}
    _write(found.atoms, out, data, elements, as_json=as_json, facts=facts, said=said)


def gb_search_command(
    *,
    bundle: Annotated[Path | None, typer.Option(help="Folder that 'moalloy export' wrote.")] = None,
    out: Annotated[Path, typer.Option(help="Run directory to make, or to go on with.")],
    boundary: BoundaryOption = None,
    axis: AxisOption = None,
    sigma: SigmaOption = None,
    plane: PlaneOption = None,
    angle_deg: AngleOption = None,
    min_thickness_angstrom: ThicknessOption = None,
    min_width_angstrom: WidthOption = None,
    shift_step_angstrom: Annotated[
        float | None, typer.Option(help="Distance of the shifts tried, Å. (default 0.9)")
    ] = None,
    keep: Annotated[int | None, typer.Option(help="Candidates to refine. (default 4)")] = None,
    host: HostOption = None,
    lattice: LatticeNameOption = None,
    lattice_parameter_angstrom: EdgeOption = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Cells relaxed at once. (default: one a core)")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search the structure of lowest energy of a grain boundary: shifts, gaps, removed atoms.

    Leaves the best as extended XYZ and LAMMPS data file, and the energies of all. Killed anywhere, the
    same command goes on.
    """
    from moalloy_md.workflows.boundary_search.config import BoundarySearchConfig
    from moalloy_md.workflows.boundary_search.shown import search_shown

    options = locals()
    given = {
        "bundle": bundle,
        **_boundary(options),
        **_as_given(options, "shift_step_angstrom", "keep"),
    }
    settings = settings_from(
        given, config, BoundarySearchConfig, source="moalloy structures gb-search"
    )
    search_shown(settings, out=out, processes=processes, as_json=as_json)


def polycrystal_command(
    *,
    out: OutOption,
    data: DataOption = None,
    elements: ElementsOption = None,
    size_angstrom: Annotated[
        str | None, typer.Option(help="Edges of the box, Å: 100 or 100,100,200.")
    ] = None,
    n_grains: Annotated[int | None, typer.Option(help="Grains. (default 8)")] = None,
    random_seed: Annotated[
        int | None, typer.Option(help="Draws seeds and orientations. (default 0)")
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            help="Of atoms closer than this, in nearest-neighbour distances, one is removed. "
            "(default 0.7)"
        ),
    ] = None,
    host: HostOption = None,
    lattice: LatticeNameOption = None,
    lattice_parameter_angstrom: EdgeOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build a Voronoi polycrystal of any size: a million atoms take ten seconds.

    Seeds and orientations of one's own stand in the YAML file (`--config`).
    """
    from moalloy_md.structures.polycrystal import PolycrystalConfig, polycrystal

    options = locals()
    edges = numbers("size-angstrom", size_angstrom)
    given = {
        "size_angstrom": (edges * 3 if len(edges) == 1 else edges) or None,
        **_as_given(options, "n_grains", "random_seed", "overlap"),
        **host_crystal(options),
    }
    settings = settings_from(
        given, config, PolycrystalConfig, source="moalloy structures polycrystal"
    )
    found = polycrystal(settings)
    volumes = found.volumes_angstrom3
    diameters = (6 * volumes / math.pi) ** (1 / 3)
    said = (
        f"{len(volumes)} grains, diameters {diameters.min():.1f} to {diameters.max():.1f} Å, "
        f"{found.n_removed} atoms removed"
    )
    facts = {
        "n_grains": len(volumes),
        "volumes_angstrom3": volumes.tolist(),
        "n_removed": found.n_removed,
    }
    _write(found.atoms, out, data, elements, as_json=as_json, facts=facts, said=said)


def slab_command(
    *,
    out: OutOption,
    data: DataOption = None,
    elements: ElementsOption = None,
    plane: Annotated[str | None, typer.Option(help="Surface: 1,1,0 and so on. (default)")] = None,
    n_layers: Annotated[int | None, typer.Option(help="Lattice planes. (default 12)")] = None,
    vacuum_angstrom: VacuumOption = None,
    min_width_angstrom: Annotated[
        float | None, typer.Option(help="Smallest width of the cell, Å. (default: smallest cell)")
    ] = None,
    host: HostOption = None,
    lattice: LatticeNameOption = None,
    lattice_parameter_angstrom: EdgeOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build a slab with two equal surfaces, their normal along z."""
    from moalloy_md.structures.slabs import SlabConfig, slab

    options = locals()
    given = {
        "plane": words(plane),
        **_as_given(options, "n_layers", "vacuum_angstrom", "min_width_angstrom"),
        **host_crystal(options),
    }
    settings = settings_from(given, config, SlabConfig, source="moalloy structures slab")
    atoms = slab(settings)
    info = atoms.info
    said = (
        f"{info['n_layers']} layers of {_miller('()', info['plane'])}, "
        f"{info['layer_spacing_angstrom']:.3f} Å apart, surface 2 x {info['area_angstrom2']:.2f} Å²"
    )
    facts = {k: info[k] for k in ("plane", "n_layers", "layer_spacing_angstrom", "area_angstrom2")}
    _write(atoms, out, data, elements, as_json=as_json, facts=facts, said=said)


def void_command(
    *,
    out: OutOption,
    data: DataOption = None,
    elements: ElementsOption = None,
    radius_angstrom: Annotated[float | None, typer.Option(help="Radius of the void, Å.")] = None,
    centre: Annotated[
        str | None, typer.Option(help="Of the void, fractions of the cell. (default 0.5,0.5,0.5)")
    ] = None,
    host: HostOption = None,
    lattice: LatticeNameOption = None,
    repeat: RepeatOption = None,
    lattice_parameter_angstrom: EdgeOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build a supercell with a spherical void."""
    from moalloy_md.structures.voids import VoidConfig, void

    options = locals()
    given = {
        "radius_angstrom": radius_angstrom,
        "centre": numbers("centre", centre) or None,
        **host_cell(options),
    }
    settings = settings_from(given, config, VoidConfig, source="moalloy structures void")
    atoms = void(settings)
    said = f"void of {settings.radius_angstrom:g} Å, {atoms.info['n_removed']} atoms removed"
    facts = {k: atoms.info[k] for k in ("radius_angstrom", "centre_angstrom", "n_removed")}
    _write(atoms, out, data, elements, as_json=as_json, facts=facts, said=said)


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this file to ``moalloy structures``."""
    app.command("gb")(gb_command)
    app.command("gb-search")(gb_search_command)
    app.command("polycrystal")(polycrystal_command)
    app.command("slab")(slab_command)
    app.command("void")(void_command)


def _boundary(options: dict[str, Any]) -> dict[str, Any]:
    """Fields of `BoundaryCell` from the options that its commands have."""
    return {
        **{key: words(options[key]) for key in ("axis", "plane")},
        **_as_given(
            options,
            "boundary",
            "sigma",
            "angle_deg",
            "min_thickness_angstrom",
            "min_width_angstrom",
        ),
        **host_crystal(options),
    }


def _as_given(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names}


def _miller(brackets: str, indices: Any) -> str:
    return f"{brackets[0]}{' '.join(map(str, indices))}{brackets[1]}"


def _write(
    atoms: "Atoms",
    out: Path,
    data: Path | None,
    elements: str | None,
    *,
    as_json: bool,
    facts: dict[str, Any],
    said: str,
) -> None:
    """Write the cell, and say what it is: `facts` in JSON, `said` to people."""
    from moalloy_md.errors import ConfigError
    from moalloy_md.structures.files import write_cells, write_lammps_structure
    from moalloy_md.units import G_PER_CM3_PER_DALTON_A3

    if elements is not None and data is None:
        raise ConfigError("--elements: expected --data beside it, whose atom types they are")
    write_cells(out, [atoms])
    if data is not None:
        types = words(elements) or [str(atoms.info["host"])]
        write_lammps_structure(data, atoms, elements=types)
    volume = float(atoms.get_volume())
    grams = float(atoms.get_masses().sum()) / volume * G_PER_CM3_PER_DALTON_A3
    if as_json:
        sizes = {"n_atoms": len(atoms), "cell_angstrom": atoms.cell.array.tolist()}
        written = {"out": str(out), "data": None if data is None else str(data)}
        facts = {
            "name": atoms.info["name"],
            **sizes,
            "density_g_per_cm3": grams,
            **facts,
            **written,
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    edges = " x ".join(f"{x:.2f}" for x in atoms.cell.lengths())
    typer.echo(said)
    typer.echo(f"{len(atoms)} atoms, cell {edges} Å, {grams:.2f} g/cm³")
    typer.echo(f"written to {out}" + (f" and {data}" if data else ""))
