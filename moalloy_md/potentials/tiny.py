"""A MACE model with random weights, small enough to make in a moment: for trying, not for physics."""

import torch

from moalloy_md.elements import atomic_number
from moalloy_md.potentials.quiet import quiet_mace

with quiet_mace():
    import mace.modules
    from e3nn import o3
    from mace.tools.torch_tools import default_dtype


def tiny_model(
    elements: tuple[str, ...] = ("Mo", "W"),
    *,
    n_channels: int = 4,
    r_max_angstrom: float = 4.0,
    seed: int = 0,
) -> torch.nn.Module:
    """Make a two-layer MACE model whose weights are random: an installation can be tried with it.

    Parameters
    ----------
    elements
        Symbols that it knows, by increasing atomic number as mace-torch orders them.
    n_channels
        Number of scalar channels: the hidden irreps are ``n_channels x 0e``.
    r_max_angstrom
        Cutoff of one layer, Å.
    seed
        Chooses the weights. The state of torch's own random numbers is left as it was.

    Returns
    -------
    torch.nn.Module
        A `mace.modules.ScaleShiftMACE` in double precision, on the CPU, with one head.
    """
    numbers = [atomic_number(symbol) for symbol in elements]
    residual = mace.modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    with torch.random.fork_rng(devices=[]), quiet_mace(), default_dtype(torch.float64):
        torch.manual_seed(seed)
        model: torch.nn.Module = mace.modules.ScaleShiftMACE(
            r_max=r_max_angstrom,
            num_bessel=8,
            num_polynomial_cutoff=5,
            max_ell=3,
            interaction_cls=residual,
            interaction_cls_first=residual,
            num_interactions=2,
            num_elements=len(numbers),
            hidden_irreps=o3.Irreps(f"{n_channels}x0e"),
            MLP_irreps=o3.Irreps("16x0e"),
            gate=torch.nn.functional.silu,
            # unlike one another, so that swapped elements would show in the energy
            atomic_energies=torch.linspace(-10.0, -12.0, len(numbers)),
            avg_num_neighbors=20.0,
            atomic_numbers=numbers,
            correlation=3,
            radial_type="bessel",
            atomic_inter_scale=1.0,
            atomic_inter_shift=0.0,
            heads=["Default"],
        )
    return model
