"""``moalloy properties``: the static properties of a bundle in a run directory, step by step."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator

from moalloy_md.analysis.elasticity import CubicElasticity
from moalloy_md.analysis.equation_of_state import fit_birch_murnaghan
from moalloy_md.bundle import Bundle, open_bundle
from moalloy_md.errors import MoAlloyError, ModelError
from moalloy_md.rundir import RunDirectory, now, open_run, write_json
from moalloy_md.workflows.bundle_calculator import bundle_calculator, model_sha256
from moalloy_md.workflows.properties.config import PropertiesConfig
from moalloy_md.workflows.properties.crystal import (
    SLABS,
    bcc_crystal,
    cubic_elastic_constants,
    fcc_crystal,
    relaxed_energy,
    surface_energy,
)
from moalloy_md.workflows.properties.phonons import IMAGINARY_BELOW_THZ, phonons
from moalloy_md.workflows.properties.reference import (
    LABELS,
    NOTABLE_PERCENT,
    Reference,
    reference_values,
)
from moalloy_md.workflows.properties.vacancy import vacancy_migration

RESULTS = "properties.json"
KIND = "properties"

#: Volumes of the equation of state, over that of the minimum.
_VOLUME_RATIOS = np.linspace(0.92, 1.08, 17)

#: Properties of a crystal that holds together are positive.
_POSITIVE = (
    "fcc_minus_bcc",
    "vacancy_formation",
    "vacancy_migration",
    *(f"surface_{face}" for face in SLABS),
)

#: Called with the number of steps that are done, that of all, and what comes next.
Watch = Callable[[int, int, str], None]


def run_properties(
    config: PropertiesConfig,
    *,
    out: Path,
    watch: Watch = lambda _done, _total, _title: None,
) -> dict[str, Any]:
    """Compute the properties of a bundle's crystal; the same call goes on with one that was killed.

    Parameters
    ----------
    config
        Settings.
    out
        Run directory. Left there: ``properties.json``, ``properties.html`` and its plots as PNG.
    watch
        Told of each step.

    Returns
    -------
    dict
        The content of ``properties.json``: ``properties`` (value, unit and reference by the keys
        of `moalloy_md.workflows.properties.reference.LABELS`), ``equation_of_state``, ``phonons``,
        ``cautions``, ``failed`` (what could not be computed, and why) and what it was made with.

    Raises
    ------
    ModelError
        If the bundle is none, or does not know the element.
    MoAlloyError
        If the model holds no bcc crystal. Other failures are written down and the rest goes on.
    """
    from moalloy_md.report.properties import write_properties_report

    bundle = open_bundle(config.bundle)
    _check_element(bundle, config.element)
    model = {"sha256": model_sha256(bundle, config.engine)}
    settings = {**config.model_dump(mode="json", exclude={"bundle", "threads"}), "model": model}
    calculator = bundle_calculator(  # refuses before anything is made
        config.bundle, engine=config.engine, threads=config.threads
    )
    run = open_run(
        out, kind=KIND, config=settings, packages=("ase", "phonopy", "numpy", "scipy", "torch")
    )
    found = _all_steps(config, calculator, run, watch)
    results = _results(config, bundle, found)
    write_json(out / RESULTS, results)
    write_properties_report(out, results, versions=run.manifest["versions"])
    run.update_manifest(finished=now())
    return results


def _check_element(bundle: Bundle, element: str) -> None:
    if element not in bundle.elements:
        raise ModelError(
            f"{bundle.path}: expected a model that knows {element}, found one of "
            f"{', '.join(bundle.elements)}: give --element, or export with --elements {element},..."
        )


def _all_steps(
    config: PropertiesConfig, calculator: Calculator, run: RunDirectory, watch: Watch
) -> dict[str, dict[str, Any]]:
    """Do what is not done yet; the results by step.

    What fails but the crystal is told and no result: the next call tries it again.
    """
    steps = dict(_steps(config, calculator, run))
    found: dict[str, dict[str, Any]] = {}
    for number, (name, (title, compute)) in enumerate(steps.items()):
        watch(number, len(steps), title)
        result = run.result(name)
        if result is None or "failed" in result:  # written by versions that kept failures
            try:
                result = compute()
            except MoAlloyError as error:
                if name == "crystal":
                    raise
                result = {"failed": str(error)}
            else:
                run.finish_step(name, result)
        found[name] = result
    watch(len(steps), len(steps), "done")
    return found


def _steps(
    config: PropertiesConfig, calculator: Calculator, run: RunDirectory
) -> Iterator[tuple[str, tuple[str, Callable[[], dict[str, Any]]]]]:
    """Name, title and function of each step; all but the first stand on its result."""
    element = config.element

    def edge() -> float:
        return float((run.result("crystal") or {})["lattice_parameter_angstrom"])

    def energy() -> float:
        return float((run.result("crystal") or {})["energy_ev_per_atom"])

    def cell() -> Atoms:
        atoms = bulk(element, "bcc", a=edge(), cubic=True)
        atoms.calc = calculator
        return atoms

    def surface(face: str) -> dict[str, Any]:
        slab = SLABS[face](element, edge())
        return {"j_per_m2": surface_energy(slab, calculator, energy()), "n_atoms": len(slab)}

    yield "crystal", ("bcc crystal", lambda: _crystal(element, calculator))
    yield "fcc", ("fcc crystal", lambda: _fcc(element, calculator, energy()))
    yield "eos", ("equation of state", lambda: _equation_of_state(cell(), calculator))
    yield "elastic", ("elastic constants", lambda: _elastic(cell(), calculator))
    repeat = config.vacancy_repeat
    yield "vacancy", ("vacancy", lambda: _vacancy(cell(), calculator, energy(), repeat))
    if config.migration:
        yield (
            "migration",
            (
                "vacancy migration",
                lambda: vacancy_migration(cell(), calculator, repeat=repeat).as_dict(),
            ),
        )
    for face in SLABS:
        yield f"surface_{face}", (f"surface ({face})", partial(surface, face))
    if config.phonons:
        yield "phonons", ("phonons", lambda: _phonons(config, calculator, edge()))


def _crystal(element: str, calculator: Calculator) -> dict[str, Any]:
    bcc = bcc_crystal(element, calculator)
    return {
        "lattice_parameter_angstrom": float(bcc.cell.lengths()[0]),
        "energy_ev_per_atom": float(bcc.get_potential_energy() / len(bcc)),
    }


def _fcc(element: str, calculator: Calculator, energy: float) -> dict[str, Any]:
    fcc = fcc_crystal(element, calculator)
    return {
        "lattice_parameter_angstrom": float(fcc.cell.lengths()[0]),
        "fcc_minus_bcc_ev_per_atom": float(fcc.get_potential_energy() / len(fcc) - energy),
    }


def _equation_of_state(cell: Atoms, calculator: Calculator) -> dict[str, Any]:
    volume = cell.get_volume() / len(cell)
    energies = []
    for ratio in _VOLUME_RATIOS:
        scaled = cell.copy()
        scaled.set_cell(cell.cell.array * ratio ** (1 / 3), scale_atoms=True)
        scaled.calc = calculator
        energies.append(float(scaled.get_potential_energy() / len(cell)))
    volumes = _VOLUME_RATIOS * volume
    fit = fit_birch_murnaghan(volumes, energies)
    return {
        "volumes_angstrom3_per_atom": volumes.tolist(),
        "energies_ev_per_atom": energies,
        "volume_angstrom3_per_atom": fit.volume_angstrom3,
        "energy_ev_per_atom": fit.energy_ev,
        "bulk_modulus_gpa": fit.bulk_modulus_gpa,
        "bulk_modulus_derivative": fit.bulk_modulus_derivative,
        "rms_residual_mev_per_atom": 1000 * fit.rms_residual_ev,
    }


def _elastic(cell: Atoms, calculator: Calculator) -> dict[str, Any]:
    found = CubicElasticity(*cubic_elastic_constants(cell, calculator))
    return {
        "c11": found.c11,
        "c12": found.c12,
        "c44": found.c44,
        "c_prime": found.c_prime,
        "zener_anisotropy": found.zener_anisotropy,
        "bulk_modulus": found.bulk_modulus,
        "instabilities": list(found.instabilities),
    }


def _vacancy(cell: Atoms, calculator: Calculator, energy: float, repeat: int) -> dict[str, Any]:
    vacancy = cell.repeat(repeat)[1:]
    n_atoms = len(vacancy)
    return {
        "formation_ev": relaxed_energy(vacancy, calculator) - n_atoms * energy,
        "n_atoms": n_atoms,
    }


def _phonons(config: PropertiesConfig, calculator: Calculator, edge: float) -> dict[str, Any]:
    return phonons(
        bulk(config.element, "bcc", a=edge),
        calculator,
        repeat=config.phonon_repeat,
        displacement_angstrom=config.displacement_angstrom,
    ).as_dict()


def _results(
    config: PropertiesConfig, bundle: Bundle, found: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    failed = {step: result["failed"] for step, result in found.items() if "failed" in result}
    good = {step: result for step, result in found.items() if step not in failed}
    references = reference_values(config.element)
    values = _values(good)
    return {
        "element": config.element,
        "bundle": str(config.bundle),
        "engine": config.engine,
        "precision": "float64" if config.engine == "native" else bundle.manifest["dtype"],
        "energy_ev_per_atom": good["crystal"]["energy_ev_per_atom"],
        "vacancy_cell_atoms": good.get("vacancy", {}).get("n_atoms"),
        "properties": {
            key: _entry(key, values[key], references.get(key)) for key in LABELS if key in values
        },
        "cautions": _cautions(good, values, references),
        "failed": failed,
        "equation_of_state": good.get("eos"),
        "migration_path_ev": good.get("migration", {}).get("path_ev"),
        "phonons": good.get("phonons"),
    }


def _values(good: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Values by the keys of `LABELS`, as far as they could be computed."""
    values = {"lattice_parameter": good["crystal"]["lattice_parameter_angstrom"]}
    if "fcc" in good:
        values["fcc_minus_bcc"] = good["fcc"]["fcc_minus_bcc_ev_per_atom"]
    if "eos" in good:
        values["bulk_modulus"] = good["eos"]["bulk_modulus_gpa"]
        values["bulk_modulus_derivative"] = good["eos"]["bulk_modulus_derivative"]
    if "elastic" in good:
        elastic = {k: v for k, v in good["elastic"].items() if k != "instabilities"}
        values = {**elastic, **values}  # the bulk modulus is that of the equation of state
    if "vacancy" in good:
        values["vacancy_formation"] = good["vacancy"]["formation_ev"]
    if "migration" in good:
        values["vacancy_migration"] = good["migration"]["barrier_ev"]
    values |= {
        f"surface_{f}": good[f"surface_{f}"]["j_per_m2"] for f in SLABS if f"surface_{f}" in good
    }
    if "phonons" in good:
        points = good["phonons"]["special_points_thz"]
        values["phonon_h"] = points["H"][0]
        values["phonon_n_low"], values["phonon_n_high"] = points["N"][0], points["N"][-1]
        values["imaginary_modes"] = 100 * good["phonons"]["imaginary_fraction"]
    return values


def _entry(key: str, value: float, reference: Reference | None) -> dict[str, Any]:
    label, unit, _ = LABELS[key]
    return {
        "label": label,
        "value": value,
        "unit": unit,
        "reference": reference
        and {**asdict(reference), "deviation_percent": reference.deviation_percent(value)},
    }


def _cautions(
    good: dict[str, dict[str, Any]],
    values: dict[str, float],
    references: dict[str, Reference],
) -> list[str]:
    """Say what a user must know before simulating with this model."""
    cautions = []
    if "phonons" in good and good["phonons"]["lowest_thz"] < IMAGINARY_BELOW_THZ:
        lowest, at = good["phonons"]["lowest_thz"], good["phonons"]["lowest_at"]
        cautions.append(
            f"imaginary phonons, down to {abs(lowest):.2f}i THz at q = "
            f"({', '.join(f'{x:.2f}' for x in at)}): bcc is no minimum of this model, and a cold "
            "crystal leaves it"
        )
    cautions += [
        f"elastically unstable (Born): {sentence}"
        for sentence in good.get("elastic", {}).get("instabilities", ())
    ]
    cautions += [
        f"{LABELS[key][0]} costs no energy: {values[key]:.3f} {LABELS[key][1]}"
        for key in _POSITIVE
        if values.get(key, 1.0) <= 0.0
    ]
    off = [
        f"{LABELS[key][0]} ({deviation:+.0f} %)"
        for key, reference in references.items()
        if key in values
        and abs(deviation := reference.deviation_percent(values[key])) > NOTABLE_PERCENT
    ]
    if off:
        cautions.append(f"more than {NOTABLE_PERCENT:.0f} % from the reference: {', '.join(off)}")
    return cautions
