"""Pretrain a base model with mace-torch; the same command goes on with a training that was killed.

    python train.py SIZE DATA_FOLDER OUT_FOLDER [--epochs N] [--fraction F] [--start MODEL] ...

DATA_FOLDER holds train.extxyz, valid.extxyz (split of the teacher's cells) and core.extxyz (close
pairs), OUT_FOLDER gets model.model and history.jsonl. The loop is mace-torch's own, run and resumed by
the trainer of `moalloy train`; what differs is the repulsion (repulsion.py) and the loss, which takes stresses in.
With --start it begins with the weights of an earlier training of the same size, and keeps its E0s.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from ase.io import read, write
from repulsion import ENVELOPE, set_published_screening

from moalloy_md.datasets.frames import read_dataset
from moalloy_md.elements import atomic_number
from moalloy_md.potentials import trainer
from moalloy_md.potentials.reference_energies import average_e0s

#: The candidates; README.md says which were chosen and why.
SIZES: dict[str, dict[str, Any]] = {
    "32x0e": {"hidden_irreps": "32x0e", "max_ell": 3},
    "32x0e-ell2": {"hidden_irreps": "32x0e", "max_ell": 2},
    "64x0e": {"hidden_irreps": "64x0e", "max_ell": 3},
    "64x0e-ell2": {"hidden_irreps": "64x0e", "max_ell": 2},
    "128x0e-ell2": {"hidden_irreps": "128x0e", "max_ell": 2},
    "32x0e+32x1o": {"hidden_irreps": "32x0e+32x1o", "max_ell": 3},
}

#: Standard deviation of the teacher's force components, eV/Å: what the network's output is scaled by.
#: Given, because the close pairs would spoil an average over the training set.
SCALE = 1.0

NETWORK = {
    "model": "ScaleShiftMACE",
    "interaction_first": "RealAgnosticResidualInteractionBlock",
    "interaction": "RealAgnosticResidualInteractionBlock",
    "num_interactions": 2,
    "MLP_irreps": "16x0e",
    "radial_MLP": [64, 64, 64],
    "r_max": 5.0,
    "num_radial_basis": 8,
    "num_cutoff_basis": ENVELOPE,
    "correlation": 3,
    "mean": 0.0,
    "std": SCALE,
}

OPTIMISATION = {
    "loss": "universal",
    "energy_weight": 10.0,
    "forces_weight": 10.0,
    "stress_weight": 20.0,
    "huber_delta": 0.02,
    "compute_stress": True,
    "batch_size": 24,
    "valid_batch_size": 64,
    "lr": 0.01,
    "scheduler": "ExponentialLR",
    "weight_decay": 1e-8,
    "clip_grad": 10.0,
    "ema_decay": 0.995,
    "eval_interval": 2,
}

#: The learning rate ends at this fraction of where it began.
FINAL_FRACTION = 0.01


def options(
    size: str, data: Path, work: Path, *, epochs: int, seed: int, changed: dict[str, Any]
) -> list[str]:
    """Return the options of mace_run_train."""
    e0s, _ = average_e0s(read_dataset(data / "train.extxyz"))
    given: dict[str, Any] = {
        "name": "model",
        "work_dir": work,
        "seed": seed,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "default_dtype": "float32",
        "train_file": work / "train.extxyz",
        "valid_file": data / "valid.extxyz",
        "energy_key": "REF_energy",
        "forces_key": "REF_forces",
        "stress_key": "REF_stress",
        "E0s": {atomic_number(symbol): energy for symbol, energy in e0s.items()},
        "max_num_epochs": epochs,
        "lr_scheduler_gamma": FINAL_FRACTION ** (1 / epochs),
        "plot": False,
        "num_workers": 0,
        "error_table": "PerAtomRMSE",
        **NETWORK,
        **SIZES[size],
        **OPTIMISATION,
        **changed,
    }
    flags = ("--pair_repulsion", "--amsgrad", "--ema", "--save_cpu")
    return [*(f"--{name}={value}" for name, value in given.items()), *flags]


def prepared(configure: Any, start: Path | None) -> Any:
    """Wrap the function that builds mace-torch's model: repulsion, and the weights to start with."""

    def build(*arguments: Any, **named: Any) -> Any:
        model, output = configure(*arguments, **named)
        set_published_screening(model.pair_repulsion_fn)
        if start is not None:
            earlier = torch.load(start, map_location="cpu", weights_only=False)  # our own file
            shapes = {name: value.shape for name, value in model.state_dict().items()}
            model.load_state_dict(  # mace-torch trains with scale and shift of shape (1,)
                {name: value.view(shapes[name]) for name, value in earlier.state_dict().items()}
            )
            for block, before in zip(model.interactions, earlier.interactions, strict=True):
                block.avg_num_neighbors = before.avg_num_neighbors  # no part of the state
        return model, output

    return build


def main() -> None:
    """Train; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--fraction", type=float, default=1.0, help="of the training cells")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--start", type=Path, help="model.model of an earlier training")
    parser.add_argument("--batch-size", type=int, default=OPTIMISATION["batch_size"])
    parser.add_argument("--lr", type=float, default=OPTIMISATION["lr"])
    parser.add_argument("--energy-weight", type=float, default=OPTIMISATION["energy_weight"])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    work = given.out.absolute() / "trainer"
    work.mkdir(parents=True, exist_ok=True)
    cells = read(given.data / "train.extxyz", ":") + read(given.data / "core.extxyz", ":")
    write(work / "train.extxyz", cells[:: round(1 / given.fraction)], format="extxyz")
    build = prepared(trainer.run_train.configure_model, given.start)
    trainer.run_train.configure_model = build
    changed = {name: getattr(given, name) for name in ("batch_size", "lr", "energy_weight")}
    chosen = options(
        given.size, given.data, work, epochs=given.epochs, seed=given.seed, changed=changed
    )
    (given.out / "options.json").write_text(json.dumps(chosen, indent=2) + "\n")
    trainer.main([str(work / "state"), "0", *chosen])
    shutil.copy(work / "model.model", given.out / "model.model")
    shutil.copy(work / "state" / trainer.HISTORY, given.out / trainer.HISTORY)


if __name__ == "__main__":
    main()
