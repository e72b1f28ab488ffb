"""The TorchScript file of a bundle as an ASE calculator: what ``pair_style mace`` evaluates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from moalloy_md.bundle import open_bundle
from moalloy_md.elements import symbol
from moalloy_md.errors import ModelError
from moalloy_md.potentials.pairs import NeighbourPairs
from moalloy_md.potentials.predict import refuse_nonfinite
from moalloy_md.potentials.quiet import known_warnings_ignored


class TorchScriptCalculator(Calculator):
    """Energies, forces and stresses of a bundle's TorchScript file, in the dtype of the file.

    Parameters
    ----------
    bundle
        A folder that ``moalloy export`` wrote. Its TorchScript file is a program, which is run: its
        hash is checked first, but trust the bundle's maker.

    Raises
    ------
    ModelError
        If the folder is no bundle, its file cannot be loaded, or (at a calculation) an element of
        the atoms is unknown to the model.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, bundle: Path | str) -> None:
        super().__init__()
        self.file = open_bundle(Path(bundle)).torchscript
        """The file that was read."""
        try:
            with known_warnings_ignored():
                self._network: Any = torch.jit.load(str(self.file), map_location="cpu")
        except RuntimeError as error:
            raise ModelError(
                f"{self.file}: expected TorchScript, found a file that torch cannot load "
                f"({str(error).splitlines()[0]}). Export the model again"
            ) from error
        self._numbers = [int(z) for z in self._network.atomic_numbers]
        self.elements = [symbol(z) for z in self._numbers]
        """Chemical symbols that the model knows."""
        self._dtype = next(iter(self._network.parameters())).dtype
        self._pairs = NeighbourPairs(float(self._network.r_max))

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Evaluate `atoms`; all properties come together."""
        super().calculate(atoms, list(properties), list(system_changes))
        atoms = self.atoms
        out = self._network(self._inputs(atoms), torch.ones(len(atoms)), True)
        energy = float(out["total_energy_local"][0])
        forces = out["forces"].double().numpy()
        refuse_nonfinite(energy, forces, where=str(self.file))
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
        if atoms.cell.rank == 3:
            virial = -out["virials"][0].double().numpy()
            self.results["stress"] = full_3x3_to_voigt_6_stress(
                0.5 * (virial + virial.T) / atoms.get_volume()
            )

    def _inputs(self, atoms: Atoms) -> dict[str, torch.Tensor]:
        unknown = sorted(set(atoms.symbols) - set(self.elements))
        if unknown:
            raise ModelError(
                f"{self.file}: expected atoms of the model's elements {', '.join(self.elements)}, "
                f"found {', '.join(unknown)}"
            )
        edges = self._pairs.edges(atoms)
        n_atoms, n_edges = len(atoms), len(edges.senders)
        kinds = torch.tensor([self._numbers.index(z) for z in atoms.numbers])
        return {
            # vectors are all that the model takes from positions: see LammpsMACE
            "positions": torch.zeros(n_atoms, 3, dtype=self._dtype),
            "shifts": torch.as_tensor(edges.vectors).to(self._dtype),
            "unit_shifts": torch.zeros(n_edges, 3, dtype=self._dtype),
            "cell": torch.as_tensor(atoms.cell.array).to(self._dtype),
            "edge_index": torch.as_tensor(np.stack([edges.senders, edges.receivers])).long(),
            "node_attrs": torch.nn.functional.one_hot(kinds, len(self._numbers)).to(self._dtype),
            "batch": torch.zeros(n_atoms, dtype=torch.long),
            "ptr": torch.tensor([0, n_atoms]),
        }
