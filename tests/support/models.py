"""MACE models with random weights, scaled so that their forces are of the size of 1 eV/Å."""

import numpy as np
import torch

from moalloy_md.potentials.quiet import quiet_mace

with quiet_mace():
    import mace.modules
    from e3nn import o3
    from mace.calculators import MACECalculator

BLOCKS = {
    "residual": "RealAgnosticResidualInteractionBlock",
    "plain": "RealAgnosticInteractionBlock",
    "density": "RealAgnosticDensityInteractionBlock",
    "density-residual": "RealAgnosticDensityResidualInteractionBlock",
}


def random_model(
    *,
    elements=("V", "Mo", "Ta", "W"),
    hidden="8x0e + 8x1o",
    n_layers=2,
    r_max=4.5,
    dtype="float64",
    first="residual",
    later="residual",
    correlation=3,
    max_ell=3,
    zbl=False,
    distance_transform="None",
    heads=None,
    seed=0,
):
    """Return a `ScaleShiftMACE` of the given shape; different elements differ strongly in it."""
    from ase.data import atomic_numbers

    n, n_heads = len(elements), len(heads or ["one"])
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with quiet_mace():
            model = mace.modules.ScaleShiftMACE(
                r_max=r_max,
                num_bessel=8,
                num_polynomial_cutoff=5,
                max_ell=max_ell,
                interaction_cls=getattr(mace.modules.blocks, BLOCKS[later]),
                interaction_cls_first=getattr(mace.modules.blocks, BLOCKS[first]),
                num_interactions=n_layers,
                num_elements=n,
                hidden_irreps=o3.Irreps(hidden),
                MLP_irreps=o3.Irreps("16x0e"),
                gate=torch.nn.functional.silu,
                atomic_energies=-10.0 + rng.normal(size=(n_heads, n)),
                avg_num_neighbors=20.0,
                atomic_numbers=[atomic_numbers[symbol] for symbol in elements],
                correlation=correlation,
                radial_type="bessel",
                distance_transform=distance_transform,
                pair_repulsion=zbl,
                atomic_inter_scale=[1.0] * n_heads,
                atomic_inter_shift=list(rng.normal(size=n_heads)),
                heads=heads,
            )
    finally:
        torch.set_default_dtype(before)
    _scale_forces(model, elements, heads)
    return model.to(getattr(torch, dtype))


def _scale_forces(model, elements, heads):
    from support.cells import doped_cell

    atoms = doped_cell(elements, n=2, seed=99)
    for k, head in enumerate(heads or ["Default"]):
        rms = np.sqrt(np.mean(calculator(model, head=head).get_forces(atoms) ** 2))
        model.scale_shift.scale[k] /= rms


def calculator(model, *, head=None):
    """mace-torch's own ASE calculator in double precision: the oracle. Copies the model."""
    import copy

    before = torch.get_default_dtype()
    try:
        with quiet_mace():
            return MACECalculator(
                models=[copy.deepcopy(model).double()],
                device="cpu",
                default_dtype="float64",
                **({} if head is None else {"head": head}),
            )
    finally:
        torch.set_default_dtype(before)


def save_model(model, path):
    """Write a .model file as mace-torch does: a pickle of the whole module."""
    with quiet_mace():
        torch.save(model, path)


def copy_of(model):
    """Return a deep copy; e3nn's compiled parts go through TorchScript, which warns."""
    import copy

    with quiet_mace():
        return copy.deepcopy(model)
