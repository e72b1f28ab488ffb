"""Start a wider network from a base model that is there: the same energies, twice the channels.

    python widen.py small 128x0e OUT.model

Every channel is copied, and the weights that it is multiplied by are divided among the copies
unequally, so that the copies learn different things (Net2Net: Chen, Goodfellow and Shlens 2016,
arXiv:1511.05641). `train.py --start OUT.model` goes on from there, at a fraction of what a new
training would cost.
"""

import argparse
from pathlib import Path

import torch

from moalloy_md.potentials.base import load_base
from moalloy_md.potentials.quiet import quiet_mace

with quiet_mace():
    from e3nn import o3
    from mace.tools.scripts_utils import extract_config_mace_model

#: Standard deviation of what one copy gets and the other loses, in that of the weights themselves.
UNEQUAL = 0.5

_SEED = 1


def widened(model: torch.nn.Module, hidden: o3.Irreps) -> torch.nn.Module:
    """Return a model of scalar features with more channels, whose energies are the given one's.

    Parameters
    ----------
    model
        A `mace.modules.ScaleShiftMACE` with hidden irreps ``K x 0e``.
    hidden
        ``n K x 0e``.

    Raises
    ------
    ValueError
        If the channels are no multiple of the model's.
    """
    config = extract_config_mace_model(model)
    before, after = config["hidden_irreps"].dim, hidden.dim
    if hidden.lmax > 0 or config["hidden_irreps"].lmax > 0 or after % before:
        raise ValueError(f"expected scalars, a multiple of {before}, found {hidden}")
    with quiet_mace():
        wider: torch.nn.Module = type(model)(**{**config, "hidden_irreps": hidden}).float()
    own = wider.state_dict()
    wider.load_state_dict(
        {
            name: _copied(name, value, own[name], before)
            for name, value in model.state_dict().items()
        }
    )
    generator = torch.Generator().manual_seed(_SEED)
    for (_, old), (_, new) in zip(model.named_modules(), wider.named_modules(), strict=True):
        if isinstance(old, o3.Linear | o3.FullyConnectedTensorProduct) and old.weight_numel:
            for weights, place in zip(old.weight_views(), new.weight_views(), strict=True):
                place.data.copy_(_divided(weights.detach(), place.shape, generator))
    return wider


def _copied(name: str, value: torch.Tensor, own: torch.Tensor, channels: int) -> torch.Tensor:
    """Copy what is multiplied channel by channel; what mixes channels stays as it is until later."""
    if value.shape == own.shape:
        return value
    if "symmetric_contractions" not in name and "conv_tp_weights" not in name:
        return own
    copies = own.shape[-1] // value.shape[-1]
    return (
        value.unflatten(-1, (-1, 1, channels))
        .expand(*[-1] * value.dim(), copies, -1)
        .flatten(value.dim() - 1)
    )


def _divided(weights: torch.Tensor, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Divide weights ``(inputs, ..., outputs)`` among the copies of their inputs.

    e3nn divides a sum over n inputs by √n, which is why m copies get 1/√m each, and not 1/m.
    """
    inputs, outputs = shape[0] // weights.shape[0], shape[-1] // weights.shape[-1]
    wide = weights.repeat(*[1] * (weights.dim() - 1), outputs) / inputs**0.5
    if inputs == 1:
        return wide
    pieces = torch.randn((inputs, *wide.shape), generator=generator) * UNEQUAL * wide.std()
    return (wide + pieces - pieces.mean(dim=0)).reshape(shape)


def main() -> None:
    """Widen; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", help="a base model of the package")
    parser.add_argument("hidden", type=o3.Irreps, help="such as 128x0e")
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    torch.save(widened(load_base(given.size), given.hidden), given.out)


if __name__ == "__main__":
    main()
