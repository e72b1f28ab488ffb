"""A MACE model in mace-torch as an ASE calculator."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from moalloy_md.config import Device, DType
from moalloy_md.potentials.loading import load_model, model_dtype, model_heads
from moalloy_md.potentials.predict import (
    check_elements,
    chosen_head,
    known_symbols,
    make_batch,
    refuse_nonfinite,
)
from moalloy_md.potentials.quiet import quiet_mace

with quiet_mace():
    from mace.tools.torch_tools import default_dtype


class TorchCalculator(Calculator):
    """Energies, forces and stresses of a MACE model from mace-torch.

    Unlike mace-torch's own calculator it changes no global setting of torch.

    Parameters
    ----------
    model
        A ``.model`` file. Loading it runs code in it: trust its maker.
    device
        Where to compute; ``"auto"`` takes a CUDA device if there is one.
    dtype
        Floating-point type; the file's own where None.
    head
        Head of the model; needed where it has several.

    Raises
    ------
    ModelError
        If the file is no MACE model or has no such head, or (at the first calculation) an element
        of the atoms is unknown to it.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(
        self,
        model: Path | str,
        *,
        device: Device = "auto",
        dtype: DType | None = None,
        head: str | None = None,
    ) -> None:
        super().__init__()
        network: Any = load_model(Path(model), device=device, dtype=dtype)
        self._network = network.requires_grad_(False)
        self._source = str(model)
        self._head = chosen_head(model_heads(network), head, source=self._source)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Evaluate `atoms`; all properties come together."""
        super().calculate(atoms, list(properties), list(system_changes))
        atoms = self.atoms
        check_elements(known_symbols(self._network), [atoms], source=self._source)
        has_volume = atoms.cell.rank == 3
        batch = make_batch(self._network, [atoms], head=self._head)
        with default_dtype(model_dtype(self._network)):  # mace-torch's ZBL takes its constants so
            out = self._network(batch.to_dict(), compute_force=True, compute_stress=has_volume)
        energy = float(out["energy"].detach().double().cpu()[0])
        forces = out["forces"].detach().double().cpu().numpy()
        refuse_nonfinite(energy, forces, where=self._source)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
        if has_volume:
            stress = out["stress"].detach().double().cpu().numpy().reshape(3, 3)
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)
