"""Our configuration in the words of mace-torch's own trainer, ``mace_run_train``."""

from pathlib import Path
from typing import Any

from moalloy_md.elements import atomic_number
from moalloy_md.potentials.train_config import (
    Frozen,
    MaceArchitecture,
    MultiheadReplay,
    Naive,
    Optimisation,
    Replay,
    Scratch,
    TrainConfig,
)
from moalloy_md.potentials.training_set import TrainingSet

#: What mace-torch's files are called.
NAME = "model"

#: The model that training goes on from, in the trainer's folder.
START = "start.model"

#: Training set and replayed cells in one file, in the trainer's folder.
TRAIN_WITH_REPLAY = "train_with_replay.extxyz"

#: The block of the MACE-MP-0 models, which they use in every layer.
_BLOCK = "RealAgnosticResidualInteractionBlock"


def mace_arguments(
    config: TrainConfig, data: TrainingSet, *, device: str, folder: Path
) -> list[str]:
    """Return the options of mace-torch's trainer that do what `config` says.

    Parameters
    ----------
    config, data
        The run.
    device
        ``"cpu"`` or ``"cuda"``.
    folder
        Where mace-torch puts its files.
    """
    fit = config.optimisation
    options: dict[str, Any] = {
        "name": NAME,
        "work_dir": folder,
        "seed": fit.seed,
        "device": device,
        "default_dtype": config.dtype,
        "train_file": folder / TRAIN_WITH_REPLAY if data.n_replay else config.train.absolute(),
        "valid_file": config.valid.absolute(),
        "energy_key": "REF_energy",
        "forces_key": "REF_forces",
        "atomic_numbers": [atomic_number(name) for name in data.elements],
        "E0s": {atomic_number(name): energy for name, energy in data.e0s_ev.items()},
        "valid_batch_size": min(fit.batch_size, data.n_valid),
        "max_num_epochs": fit.max_epochs,
        "num_workers": 0,
        "pin_memory": device == "cuda",
        "plot": False,
        # with its loss for stresses too mace-torch fails to write the table of absolute errors
        "error_table": "PerAtomRMSE" if fit.loss == "universal" else "PerAtomMAE",
        **_optimisation(fit),
    }
    flags = {"amsgrad": fit.amsgrad, "ema": fit.ema_decay is not None, "save_cpu": True}
    if data.network is not None:
        options |= _network(data.network)
        flags["pair_repulsion"] = data.network.pair_repulsion
    if not isinstance(config.start, Scratch):
        options |= {"model": "ScaleShiftMACE", "foundation_model": folder / START}
        options |= _method(config.start.method)
    return [
        *(f"--{name}={value}" for name, value in options.items()),
        *(f"--{name}" for name, wanted in flags.items() if wanted),
    ]


#: mace-torch's ``--freeze`` keeps these parts and all before them.
_FREEZE = {"embedding": 1, "interactions": 5, "products": 6}


def _method(method: Naive | Frozen | MultiheadReplay | Replay) -> dict[str, Any]:
    if isinstance(method, Naive | Replay):
        return {"multiheads_finetuning": False}
    if isinstance(method, Frozen):
        return {"multiheads_finetuning": False, "freeze": _FREEZE[method.layers]}
    options: dict[str, Any] = {
        "multiheads_finetuning": True,
        "force_mh_ft_lr": True,  # or it would set the learning rate and the average on its own
        "weight_pt_head": method.replay_weight,
        "num_samples_pt": method.n_samples,
        "filter_type_pt": "combinations",  # cells of the data's elements only
        "pseudolabel_replay": method.pseudolabels,
        "stress_weight": 0.0,
    }
    if method.replay == "mp":
        return options | {"pt_train_file": "mp"}
    options["pt_train_file"] = Path(method.replay).absolute()
    if method.replay_valid is not None:
        options["pt_valid_file"] = method.replay_valid.absolute()
    return options


def _network(model: MaceArchitecture) -> dict[str, Any]:
    orders = range(model.max_l + 1)
    return {
        "model": "ScaleShiftMACE",
        "interaction_first": _BLOCK,
        "interaction": _BLOCK,
        "scaling": "rms_forces_scaling",
        "hidden_irreps": "+".join(f"{model.channels}x{ell}{'eo'[ell % 2]}" for ell in orders),
        "MLP_irreps": f"{model.readout_channels}x0e",
        "radial_MLP": list(model.radial_mlp),
        "r_max": model.r_max_angstrom,
        "num_radial_basis": model.num_radial_basis,
        "num_cutoff_basis": model.num_cutoff_basis,
        "max_ell": model.max_ell,
        "correlation": model.correlation,
        "num_interactions": model.num_interactions,
    }


#: mace-torch's names of the losses.
_LOSSES = {"squares": "weighted", "lengths": "l1l2energyforces", "universal": "universal"}


def _optimisation(fit: Optimisation) -> dict[str, Any]:
    options: dict[str, Any] = {
        "loss": _LOSSES[fit.loss],
        "energy_weight": fit.energy_weight,
        "forces_weight": fit.forces_weight,
        "batch_size": fit.batch_size,
        "eval_interval": fit.validate_every_epochs,
        "lr": fit.learning_rate,
        "weight_decay": fit.weight_decay,
        "clip_grad": fit.clip_gradient,
    }
    if fit.schedule.kind == "exponential":
        options["scheduler"] = "ExponentialLR"
        options["lr_scheduler_gamma"] = fit.schedule.final_fraction ** (1 / fit.max_epochs)
    else:
        options["scheduler"] = "ReduceLROnPlateau"
        options["lr_factor"] = fit.schedule.factor
        options["scheduler_patience"] = fit.schedule.patience_epochs
    if fit.ema_decay is not None:
        options["ema_decay"] = fit.ema_decay
    return options
