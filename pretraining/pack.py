"""Put a trained base model into the package, with its model card.

    python pack.py SIZE VALIDATION_FOLDER RUN_FOLDER... [--widened-from SIZE]

VALIDATION_FOLDER holds what validate.py wrote, as far as it was run. The RUN_FOLDERs are train.py's, in the order in which one
started from the other; the last one's model is packed. With --widened-from the first of them began with what widen.py
made of that base model of the package.
"""

import argparse
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk

import moalloy_md
from moalloy_md.potentials.base import base_card, save_weights
from moalloy_md.potentials.loading import load_model
from moalloy_md.potentials.predict import predict

FOLDER = Path(moalloy_md.__file__).parent / "data" / "base"

#: What does not change from size to size.
CARD: dict[str, Any] = {
    "teacher": (
        "mean of SevenNet-l3i5 and of SevenNet-MF-0 (PBE channel), of the package sevenn 0.13.0 "
        "(MIT licence); both were trained on relaxations of the Materials Project (PBE, PBE+U)"
    ),
    "domain": (
        "crystals of Mo and Cr, Fe, Mn, Nb, Re, Ta, Ti, V, W, Y, Zr, Al, Zn, Cu, Ag, Au, Hg, Co, Ni, "
        "Hf: elements, binaries, some ternaries, above all Mo with one or two dopants; strained, hot, "
        "with vacancies and surfaces"
    ),
    "weaknesses": [
        "learnt from other potentials, not from DFT: it can be no better than they are",
        "soft, as its teachers are: DFT forces in hot Mo are about 1.3 times its own",
        "no magnetism, no charges, no molecules, no oxides",
        "pairs in vacuum beyond the sum of their covalent radii were never seen",
        "raw energies are not those of your DFT: fine-tune, or compare differences only",
    ],
    "use": "a foundation to fine-tune on your own DFT cells; by itself for trying, not for publishing",
    "licence": "GPL-2.0-or-later, as the package",
}

_EDGE, _FIRST, _RATTLE, _SEED = 3.2, ["W", "Re", "Zr"], 0.1, 3


def check(model: Any) -> dict[str, Any]:
    """Energy and largest force of a cell, by which an installation can tell that it is the same."""
    atoms = bulk("Mo", "bcc", a=_EDGE, cubic=True).repeat(2)
    atoms.symbols[: len(_FIRST)] = _FIRST
    atoms.rattle(_RATTLE, seed=_SEED)
    found = predict(model, [atoms], batch_size=1)
    return {
        "lattice_parameter_angstrom": _EDGE,
        "first_atoms": _FIRST,
        "rattle_angstrom": _RATTLE,
        "rattle_seed": _SEED,
        "energy_ev": float(found.energies_ev[0]),
        "largest_force": float(np.abs(found.forces[0]).max()),
    }


def stage(run: Path) -> dict[str, Any]:
    """Return what a training was told, and how many epochs it took."""
    given = dict(
        option.removeprefix("--").split("=", 1)
        for option in json.loads((run / "options.json").read_text())
        if "=" in option
    )
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    numbers = {name: float(given[name]) for name in ("batch_size", "lr", "energy_weight")}
    return {"epochs": int(history[-1]["epoch"]) + 1, **numbers}


def training(model: Any, runs: list[Path], widened_from: str | None) -> dict[str, Any]:
    """Return how the weights came about."""
    stages = [stage(run) for run in runs]
    if widened_from is not None:
        stages[0]["widened_from"] = widened_from
        stages = [*base_card(widened_from)["training"]["stages"], *stages]
    return {
        "stages": stages,
        "parameters": sum(p.numel() for p in model.parameters()),
        "packages": {name: version(name) for name in ("mace-torch", "torch", "e3nn")},
    }


def main() -> None:
    """Write weights and description."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size")
    parser.add_argument("validation", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--widened-from", metavar="SIZE")
    given = parser.parse_args()
    model = load_model(given.runs[-1] / "model.model")
    card = {
        **CARD,
        "training": training(model, given.runs, given.widened_from),
        "check": check(model),
        "validation": {
            f.stem: json.loads(f.read_text()) for f in sorted(given.validation.glob("*.json"))
        },
    }
    files = save_weights(model, FOLDER, given.size, card)
    print(f"{files.weights}: {files.weights.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
