"""Thermal simulations with the EAM potentials that LAMMPS brings: no model, no plugin, seconds."""

from moalloy_md.config import validate
from moalloy_md.workflows.thermal.config import ThermalConfig

#: bcc V with Fe: the only bcc alloy among them.
VANADIUM = {
    "potential": {
        "kind": "lammps",
        "style": "eam/fs",
        "files": ["VFe_mm.eam.fs"],
        "elements": ["V", "Fe"],
    },
    "host": "V",
    "repeat": 3,
    "lattice_parameter_angstrom": 3.03,
    "compositions": {"pure": {}, "Fe4": {"Fe": 0.04}},
    "temperatures_k": [300, 100],
    "steps": 8000,
    "dump_interval": 40,
    "restart_interval": 1000,
    "ramp": {"start_k": 300, "end_k": 1500, "steps": 3000, "n_windows": 5},
}

TUNGSTEN = {
    "potential": {
        "kind": "lammps",
        "style": "eam/alloy",
        "files": ["W_zhou.eam.alloy"],
        "elements": ["W"],
    },
    "host": "W",
    "repeat": 3,
    "lattice_parameter_angstrom": 3.17,
    "temperatures_k": [100, 400],
    "steps": 12000,
    "dump_interval": 100,
    "restart_interval": 6000,
    "ramp": None,
}


def settings(base=VANADIUM, **changes):
    return validate({**base, **changes}, ThermalConfig, source="thermal.yaml")
