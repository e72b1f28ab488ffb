"""Named settings of ``moalloy train``: the paper's, and a comparison that is fair to scratch."""

from collections.abc import Mapping
from typing import Any, Literal

PresetName = Literal["paper", "paper-noneq", "matched"]

_PLATEAU = {"kind": "plateau", "factor": 0.8, "patience_epochs": 50}

#: What the paper's scripts and text say (REFERENCE.md; its Section 2.2). The schedule and the
#: clipping, of which it is silent, are mace-torch's defaults.
_PAPER: dict[str, Any] = {
    "batch_size": 8,
    "max_epochs": 200,
    "learning_rate": 3e-4,
    "schedule": _PLATEAU,
    "weight_decay": 1e-6,
    "amsgrad": True,
    "ema_decay": 0.99,
    "loss": "lengths",
    "energy_weight": 30.0,
    "forces_weight": 30.0,
}
_PAPER_E0S = {"e0s": "average", "unseen_e0s": "mean"}

#: Both trainings run until they no longer improve, each at a learning rate of its own.
_MATCHED: dict[str, Any] = {
    "batch_size": 8,
    "max_epochs": 1000,
    "schedule": {"kind": "plateau", "factor": 0.5, "patience_epochs": 25},
    "weight_decay": 1e-6,
    "amsgrad": True,
    "ema_decay": 0.99,
    "loss": "squares",
    "energy_weight": 40.0,
    "forces_weight": 10.0,
    "patience_epochs": 100,
}

_PRESETS: dict[str, dict[str, dict[str, dict[str, Any]]]] = {
    "paper": {
        "fine-tune": {"start": _PAPER_E0S, "optimisation": _PAPER},
        "refine": {"start": {"e0s": "average"}, "optimisation": _PAPER},
        # its scratch runs stop after 50 epochs, at the learning rate of fine-tuning
        "scratch": {"start": _PAPER_E0S, "optimisation": {**_PAPER, "max_epochs": 50}},
    },
    "paper-noneq": {
        kind: {
            "start": start,
            "optimisation": {**_PAPER, "batch_size": 16, "max_epochs": epochs},
        }
        for kind, start, epochs in (
            ("fine-tune", _PAPER_E0S, 100),
            ("refine", {"e0s": "average"}, 100),
            ("scratch", _PAPER_E0S, 50),
        )
    },
    "matched": {
        "fine-tune": {"start": {}, "optimisation": {**_MATCHED, "learning_rate": 1e-3}},
        "refine": {"start": {}, "optimisation": {**_MATCHED, "learning_rate": 1e-3}},
        "scratch": {"start": {}, "optimisation": {**_MATCHED, "learning_rate": 1e-2}},
    },
}


def with_preset(content: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Fill in what a preset says; every key that `content` has goes before it.

    Parameters
    ----------
    content
        A training configuration as a mapping, with ``preset`` among its keys or without.
    kind
        How the training starts: ``scratch``, ``fine-tune`` or ``refine``.
    """
    preset = _PRESETS.get(str(content.get("preset")), {}).get(kind)
    if preset is None:
        return dict(content)
    filled = dict(content)
    for section, settings in preset.items():
        given = content.get(section, {})
        if isinstance(given, Mapping):
            filled[section] = {**settings, **given}
    return filled
