"""The repulsion of close nuclei in moalloy-base: mace-torch's ZBL term with the published screening.

mace-torch 0.3.16 takes a = 0.4543 a0 / (Z1^0.30 + Z2^0.30) for the screening length, which makes two Mo at 0.8 Å repel
by 15 eV, where Ziegler, Biersack and Littmark (The Stopping and Range of Ions in Solids, 1985), with
a = 0.8854 a0 / (Z1^0.23 + Z2^0.23), and LAMMPS's pair_style zbl give 400 eV. Both numbers are buffers of the module, so
the right ones travel with the model, and everything that evaluates it takes them from there.
"""

import torch
from mace.modules.radial import ZBLBasis

#: Order of the envelope that ends ZBL at the sum of the covalent radii. mace-torch gives it that of
#: the radial functions' envelope.
ENVELOPE = 5

_EXPONENT, _PREFACTOR = 0.23, 0.8854


def set_published_screening(module: ZBLBasis) -> None:
    """Give mace-torch's ZBL term the screening length of the publication."""
    module.a_exp.fill_(_EXPONENT)
    module.a_prefactor.fill_(_PREFACTOR)


def repulsion(dtype: torch.dtype) -> ZBLBasis:
    """Make the ZBL term as it is in the model."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        module = ZBLBasis(p=ENVELOPE).to(dtype)
    finally:
        torch.set_default_dtype(before)
    set_published_screening(module)
    return module
