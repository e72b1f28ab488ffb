"""MACE as TorchScript for LAMMPS.

The exporter is ours to own: TorchScript is deprecated upstream, and mace-torch plans to drop its
LAMMPS export. Only public modules of mace-torch and ``e3nn.util.jit`` are used.
"""

from typing import Dict, Optional  # noqa: UP035  TorchScript reads these, not dict and |

import torch

from moalloy_md.potentials.quiet import quiet_mace

with quiet_mace():
    import mace  # noqa: F401  sets what e3nn's import needs
    from e3nn.util.jit import compile_mode


@compile_mode("script")
class LammpsMACE(torch.nn.Module):
    """A MACE model in the form that ``pair_style mace`` evaluates.

    It answers the call of ML-MACE, and adds ``edge_gradient``, from which our pair style makes
    forces, the virial and the per-atom virial.

    The model is evaluated at its edge vectors alone. mace-torch computes them as
    ``positions[receiver] - positions[sender] + shifts``; with all positions at the origin and the
    vectors as shifts the gradient with respect to the shifts is ∂E/∂r_ij, whatever the layers do.

    Reference energies are added here, in double precision: in single precision 10 eV an atom
    would cost 1e-6 eV.

    Parameters
    ----------
    model
        `mace.modules.MACE` or `ScaleShiftMACE`; its reference energies are set to zero.
    head
        Index of the head to evaluate.
    reference_energies
        E0 of each element for that head, ``(n_elements,)``, eV, in double precision: those in a
        model of single precision are rounded.
    """

    moalloy_edge_gradient: int

    def __init__(
        self, model: torch.nn.Module, *, head: int, reference_energies: torch.Tensor
    ) -> None:
        super().__init__()
        self.register_buffer("reference_energies", reference_energies)
        model.atomic_energies_fn.atomic_energies.zero_()
        self.model = model
        self.register_buffer("atomic_numbers", model.atomic_numbers)
        self.register_buffer("r_max", model.r_max)
        self.register_buffer("num_interactions", model.num_interactions)
        self.register_buffer("head", torch.tensor([head]))
        # what the plugin looks for: this file returns gradients of edges
        self.moalloy_edge_gradient = 1
        for parameter in self.parameters():
            parameter.requires_grad = False

    def forward(
        self,
        data: Dict[str, torch.Tensor],  # noqa: UP006
        local_or_ghost: torch.Tensor,
        compute_virials: bool = False,  # noqa: FBT001, FBT002  the call of ML-MACE
    ) -> Dict[str, Optional[torch.Tensor]]:  # noqa: UP006, UP045
        """Energies and their gradients.

        Parameters
        ----------
        data
            ``positions`` (n_nodes, 3) and ``shifts`` (n_edges, 3) in Å, ``edge_index``
            (2, n_edges) senders and receivers, ``node_attrs`` (n_nodes, n_elements) one-hot,
            ``batch`` (n_nodes), ``ptr`` (2), ``cell`` (3, 3), ``unit_shifts`` (n_edges, 3).
        local_or_ghost
            (n_nodes), 1 for the nodes whose energies count, else 0.
        compute_virials
            Whether to return ``virials``.

        Returns
        -------
        dict
            ``total_energy_local`` (1) and ``node_energy`` (n_nodes) in eV, double;
            ``forces`` (n_nodes, 3) in eV/Å; ``virials`` (1, 3, 3) in eV, minus the derivative
            with respect to strain; ``edge_gradient`` (n_edges, 3) in eV/Å.
        """
        sender, receiver = data["edge_index"][0], data["edge_index"][1]
        positions = data["positions"].detach()
        vectors = (positions[receiver] - positions[sender] + data["shifts"]).detach()
        vectors.requires_grad_(True)
        inputs: Dict[str, torch.Tensor] = {  # noqa: UP006
            "positions": torch.zeros_like(positions),
            "shifts": vectors,
            "unit_shifts": data["unit_shifts"],
            "cell": data["cell"],
            "edge_index": data["edge_index"],
            "node_attrs": data["node_attrs"],
            "batch": data["batch"],
            "ptr": data["ptr"],
            "head": self.head,
        }
        out = self.model(
            inputs,
            training=False,
            compute_force=False,
            compute_virials=False,
            compute_stress=False,
            compute_displacement=False,
        )
        interaction = out["node_energy"]
        assert interaction is not None  # noqa: S101  tells TorchScript its type
        reference = torch.matmul(data["node_attrs"].double(), self.reference_energies)
        node_energy = interaction.double() + reference
        energy = torch.sum(node_energy * local_or_ghost)
        gradient = torch.autograd.grad([energy], [vectors], allow_unused=True)[0]
        if gradient is None:  # no edge reaches an owned atom
            gradient = torch.zeros_like(vectors)
        forces = torch.zeros_like(positions)
        forces.index_add_(0, receiver, gradient, alpha=-1)
        forces.index_add_(0, sender, gradient)
        virials: Optional[torch.Tensor] = None  # noqa: UP045
        if compute_virials:
            virials = -torch.matmul(vectors.detach().t(), gradient).unsqueeze(0)
        return {
            "total_energy_local": energy.detach().unsqueeze(0),
            "node_energy": node_energy.detach(),
            "forces": forces,
            "virials": virials,
            "edge_gradient": gradient,
        }


def script(
    model: torch.nn.Module, *, head: int, reference_energies: torch.Tensor
) -> torch.jit.ScriptModule:
    """Compile a model for LAMMPS. Takes possession of `model` and changes it.

    The parameters are those of `LammpsMACE`.
    """
    from e3nn.util import jit

    with quiet_mace():
        compiled: torch.jit.ScriptModule = jit.compile(
            LammpsMACE(model, head=head, reference_energies=reference_energies).eval()
        )
    return compiled
