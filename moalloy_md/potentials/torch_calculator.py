"""A MACE model in mace-torch as an ASE calculator."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from moalloy_md.config import Device, DType
from moalloy_md.errors import ModelError
from moalloy_md.potentials.loading import load_model, model_dtype, model_elements
from moalloy_md.potentials.predict import check_elements, known_symbols, model_heads
from moalloy_md.potentials.quiet import quiet_mace

with quiet_mace():
    from mace.data import AtomicData, KeySpecification, config_from_atoms
    from mace.tools import AtomicNumberTable
    from mace.tools.torch_geometric.batch import Batch
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
        self._heads = model_heads(network)
        if (head is None and len(self._heads) > 1) or (
            head is not None and head not in self._heads
        ):
            raise ModelError(
                f"{model}: expected head to be one of {', '.join(self._heads)}, found "
                f"{head or 'none given'}"
            )
        self._head = head or self._heads[0]

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
        with default_dtype(model_dtype(self._network)):
            graph = AtomicData.from_config(
                config_from_atoms(
                    Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc),
                    KeySpecification(),
                    head_name=self._head,
                ),
                z_table=AtomicNumberTable(model_elements(self._network)),
                cutoff=float(self._network.r_max),
                heads=self._heads,
            )
            device = next(self._network.parameters()).device
            batch = Batch.from_data_list([graph]).to(device)
            out = self._network(batch.to_dict(), compute_force=True, compute_stress=has_volume)
        energy = float(out["energy"].detach().double().cpu()[0])
        forces = out["forces"].detach().double().cpu().numpy()
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            raise ModelError(
                f"{self._source}: expected finite energies and forces, found nan or inf. Two atoms "
                "on one place? Otherwise the model is broken"
            )
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
        if has_volume:
            stress = out["stress"].detach().double().cpu().numpy().reshape(3, 3)
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)
