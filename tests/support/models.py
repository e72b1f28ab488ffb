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
    model_class="ScaleShiftMACE",
    built_in="float64",
    scaled=True,
    **mace_options,
):
    """Return a model of the given shape; different elements differ strongly in it.

    `first` and `later` are keys of `BLOCKS` or class names. `built_in` is the precision in which
    mace-torch makes its constants, `dtype` that of the result. `scaled` brings the forces to the
    size of 1 eV/Å. Further options are those of mace-torch's class, and go before ours.
    """
    from ase.data import atomic_numbers

    n, n_heads = len(elements), len(heads or ["one"])
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, built_in))
    options = {
        "r_max": r_max,
        "num_bessel": 8,
        "num_polynomial_cutoff": 5,
        "max_ell": max_ell,
        "interaction_cls": getattr(mace.modules.blocks, BLOCKS.get(later, later)),
        "interaction_cls_first": getattr(mace.modules.blocks, BLOCKS.get(first, first)),
        "num_interactions": n_layers,
        "num_elements": n,
        "hidden_irreps": o3.Irreps(hidden),
        "MLP_irreps": o3.Irreps("16x0e"),
        "gate": torch.nn.functional.silu,
        "atomic_energies": -10.0 + rng.normal(size=(n_heads, n)),
        "avg_num_neighbors": 20.0,
        "atomic_numbers": [atomic_numbers[symbol] for symbol in elements],
        "correlation": correlation,
        "radial_type": "bessel",
        "distance_transform": distance_transform,
        "pair_repulsion": zbl,
        "heads": heads,
    }
    if model_class == "ScaleShiftMACE":
        options["atomic_inter_scale"] = [1.0] * n_heads
        options["atomic_inter_shift"] = list(rng.normal(size=n_heads))
    try:
        with quiet_mace():
            model = getattr(mace.modules, model_class)(**{**options, **mace_options})
    finally:
        torch.set_default_dtype(before)
    _drop_empty_parameters(model)
    if scaled:
        _scale_forces(model, elements, heads)
    return model.to(getattr(torch, dtype))


def _drop_empty_parameters(model):
    """Make the zeros that stand for vanishing couplings ordinary, as loading from a file does.

    mace-torch's `EmptyParam` cannot be copied.
    """
    for product in model.products:
        for part in product.symmetric_contractions.contractions:
            part.weights_max = torch.nn.Parameter(part.weights_max.data)
            part.weights = torch.nn.ParameterList(
                [torch.nn.Parameter(weight.data) for weight in part.weights]
            )


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


class LAMMPS_MLIAP_MACE:  # noqa: N801  the class that mace-torch's exporter for ML-IAP pickles
    """Stands for mace-torch's, whose import needs a shared libpython."""

    def __init__(self, model):
        self.state = model.state_dict()


def save_ml_iap(path, model):
    """Write a file as ``mace_create_lammps_model --format=mliap`` does."""
    torch.save(LAMMPS_MLIAP_MACE(model), path)


def copy_of(model):
    """Return a deep copy; e3nn's compiled parts go through TorchScript, which warns."""
    import copy

    with quiet_mace():
        return copy.deepcopy(model)


def reduce_contractions(model):
    """Put symmetric, independent couplings into the contractions, with random weights for them.

    That is what cuequivariance's basis is (``use_reduced_cg``), made here by singular values.
    """
    import itertools

    generator = torch.Generator().manual_seed(5)
    for product in model.products:
        for part in product.symmetric_contractions.contractions:
            weights = []
            for order in range(1, part.correlation + 1):
                basis = part.U_tensors(order)
                first = basis.ndim - 1 - order  # an axis of components goes before, for L > 0
                axes = [
                    (*range(first), *(first + k for k in which), basis.ndim - 1)
                    for which in itertools.permutations(range(order))
                ]
                flat = sum(basis.permute(axis) for axis in axes).reshape(-1, basis.shape[-1])
                left, values, _ = torch.linalg.svd(flat, full_matrices=False)
                rank = int((values > 1e-10 * values[0]).sum())
                part._buffers[f"U_matrix_{order}"] = left[:, :rank].reshape(*basis.shape[:-1], rank)
                old = part.weights_max
                new = torch.randn(
                    (old.shape[0], rank, old.shape[2]), generator=generator, dtype=old.dtype
                )
                weights.append(torch.nn.Parameter(new))
            part.weights_max = weights[-1]
            part.weights = torch.nn.ParameterList(weights[-2::-1])
