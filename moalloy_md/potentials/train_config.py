"""Settings of ``moalloy train``: what training starts from, how the weights are fitted.

No torch here: the command line reads this to explain itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from moalloy_md.config import Device, DType, StrictModel
from moalloy_md.elements import atomic_number
from moalloy_md.errors import ConfigError
from moalloy_md.potentials.train_presets import PresetName, with_preset
from moalloy_md.structures.lattice import LatticeName


def _known_symbols(symbols: Any) -> Any:
    for name in [] if isinstance(symbols, str) else symbols:
        try:
            atomic_number(name)
        except ConfigError as error:
            raise ValueError(str(error)) from error
    return symbols


def _known_pairs(proxies: dict[str, str]) -> dict[str, str]:
    _known_symbols(proxies.keys())
    _known_symbols(proxies.values())
    return proxies


#: Energies by chemical symbol, eV.
Energies = dict[str, float]
Symbols = Annotated[tuple[str, ...], AfterValidator(_known_symbols)]
#: Element whose weights stand in, by the element that a model lacks.
Proxies = Annotated[dict[str, str], AfterValidator(_known_pairs)]


class MaceArchitecture(StrictModel):
    """The size of a MACE network. The defaults make a small, quick one for a single alloy."""

    channels: int = Field(default=16, ge=1)
    """Number of embedding channels; MACE-MP-0 has 128."""
    max_l: int = Field(default=0, ge=0, le=2)
    """Highest order of the messages: 0 gives ``16x0e``, 1 gives ``16x0e+16x1o``."""
    r_max_angstrom: float = Field(default=5.0, gt=1.0, le=12.0)
    """Cutoff radius in Å. Two layers see twice as far."""
    num_radial_basis: int = Field(default=8, ge=2)
    """Number of Bessel functions."""
    num_cutoff_basis: int = Field(default=5, ge=2)
    """Order p of the polynomial envelope that takes the radial functions to zero at the cutoff."""
    max_ell: int = Field(default=3, ge=0, le=6)
    """Highest order of the spherical harmonics."""
    correlation: int = Field(default=2, ge=1, le=4)
    """Correlation order of a layer: body order minus one. MACE-MP-0 has 3."""
    num_interactions: int = Field(default=2, ge=1, le=4)
    """Number of message-passing layers."""
    radial_mlp: tuple[int, ...] = (64, 64, 64)
    """Widths of the hidden layers of the radial network."""
    readout_channels: int = Field(default=16, ge=1)
    """Width of the hidden layer of the last readout."""
    pair_repulsion: bool = True
    """Add the Ziegler-Biersack-Littmark repulsion at short distances: atoms that come closer
    than in any training cell are pushed apart."""


class Scratch(StrictModel):
    """Train from random weights."""

    kind: Literal["scratch"] = "scratch"
    """Tag: this way of starting."""
    model: MaceArchitecture = MaceArchitecture()
    """The network to build."""
    like: str | None = None
    """A foundation (see FineTune) whose network is built instead of ``model``, with random weights:
    the paper's scratch models."""
    e0s: Annotated[Literal["average"] | Energies, AfterValidator(_known_symbols)] = "average"
    """Energy of each element that the network's own energy is counted from, eV. ``average``
    fits them to the training set's total energies by least squares over the compositions; a
    mapping such as ``{Mo: -11.2, W: -11.6}`` gives them."""
    unseen_e0s: Annotated[Literal["mean"] | Energies, AfterValidator(_known_symbols)] = "mean"
    """E0 of elements in the table of which no training frame has an atom (a strictly held-out
    dopant): ``mean`` of the E0s of the others, or given, eV."""


class Naive(StrictModel):
    """Go on training with the new cells alone, as in the paper."""

    kind: Literal["naive"] = "naive"
    """Tag: this method."""


class Frozen(StrictModel):
    """Go on training with some of the weights kept as they are (mace-torch's ``--freeze``)."""

    kind: Literal["frozen"] = "frozen"
    """Tag: this method."""
    layers: Literal["embedding", "interactions", "products"] = "embedding"
    """What is kept: the ``embedding`` of the elements; that and the ``interactions``; these and
    the ``products``, so that the readouts alone are trained."""


class MultiheadReplay(StrictModel):
    """Train a second head on old cells beside the new ones, so that less is forgotten.

    Needs ``optimisation.loss: universal``: mace-torch knows no other for this.
    """

    kind: Literal["multihead"] = "multihead"
    """Tag: this method."""
    replay: Literal["mp"] | Path
    """Old cells, in the form of a dataset; ``mp`` lets mace-torch download cells of the Materials
    Project and select those with the elements of the data."""
    replay_valid: Path | None = None
    """Their validation set; a tenth of ``replay`` if null."""
    replay_weight: float = Field(default=1.0, gt=0.0)
    """Weight of the old cells in the loss."""
    n_samples: int = Field(default=1000, ge=1)
    """How many cells to select of ``mp``."""
    pseudolabels: bool = False
    """Label the old cells with the foundation itself instead of with what their file says."""


class Replay(StrictModel):
    """Train on the new cells and on others that the model to start from labels itself, in one head.

    Keeps what it knows of vacancies and surfaces where the new cells have none. The validation set stays as it is.
    """

    kind: Literal["replay"] = "replay"
    """Tag: this method."""
    cells: Path | None = None
    """Cells to label (extended XYZ; labels in it are not looked at). Where null, vacancies and the three
    densest surfaces of the host, pure and with each dopant of the training set, on the crystal's sites."""
    lattice: LatticeName = "bcc"
    """Crystal structure of the host, where `cells` is null."""
    lattice_parameter_angstrom: float | None = Field(default=None, gt=1.0, le=10.0)
    """Edge of its cubic cell, Å; that of the training set. 3.1625 for Mo unless said."""


Method = Annotated[Naive | Frozen | MultiheadReplay | Replay, Field(discriminator="kind")]


class FineTune(StrictModel):
    """Train on from the weights of a model that knows the elements of the data."""

    kind: Literal["fine-tune"] = "fine-tune"
    """Tag: this way of starting."""
    foundation: str
    """``base-small`` and its kin, which come with the package; a path to a ``.model`` file; or a
    name that mace-torch knows (``small``, ``medium``, ``large`` of MACE-MP-0 and the newer ones),
    which it downloads into its cache."""
    head: str | None = None
    """Head of the foundation to start from, where it has several."""
    method: Method = Naive()
    """How what it knew is treated."""
    e0s: Annotated[
        Literal["average", "foundation", "estimated"] | Energies, AfterValidator(_known_symbols)
    ] = "estimated"
    """Energy of each element that the network's own energy is counted from, eV. ``estimated``: the
    foundation's, corrected by least squares over the compositions of the training set so that its
    errors have no composition-linear part (smallest change where that is not determined).
    ``foundation``: as they are. ``average``: fitted to the total energies, as in the paper: the
    network then has to forget the cohesive energy that it knew. Or a mapping, eV."""
    unseen_e0s: Annotated[
        Literal["foundation", "mean-correction", "mean"] | Energies,
        AfterValidator(_known_symbols),
    ] = "foundation"
    """E0 of elements in the table of which no training frame has an atom (a strictly held-out
    dopant): the ``foundation``'s; that plus the ``mean-correction`` of the training set's dopants;
    the ``mean`` E0 of the training set's elements; or given, eV."""


class Refine(StrictModel):
    """Train on from a fine-tuned model with cells of elements that it lacks.

    Its element table is extended; elements that the new cells lack stay in it. The weights of the elements that it knows start unchanged,
    those of a new one as a copy of its proxy's.
    """

    kind: Literal["refine"] = "refine"
    """Tag: this way of starting."""
    model: Path
    """The ``.model`` file. Loading it runs code in it: trust its maker."""
    head: str | None = None
    """Head to start from, where it has several."""
    proxies: Proxies = Field(default={})
    """The known element whose weights a new one starts from, such as ``{Al: V}``; for the others
    the nearest known one in the periodic table."""
    method: Method = Naive()
    """How what it knew is treated."""
    e0s: Annotated[
        Literal["keep", "estimated", "average"] | Energies, AfterValidator(_known_symbols)
    ] = "keep"
    """Energy of each element that the network's own energy is counted from, eV. ``keep``: known
    elements keep theirs, those of new ones are fitted to the training set. ``estimated`` and
    ``average`` as in FineTune, for all elements."""
    unseen_e0s: Annotated[
        Literal["foundation", "mean-correction", "mean"] | Energies,
        AfterValidator(_known_symbols),
    ] = "foundation"
    """As in FineTune; ``foundation`` is the model itself, or for a new element its proxy."""


def _start_kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("kind", "scratch"))
    return str(getattr(value, "kind", "scratch"))


#: How training starts; scratch where ``kind`` is not said.
Start = Annotated[
    Annotated[Scratch, Tag("scratch")]
    | Annotated[FineTune, Tag("fine-tune")]
    | Annotated[Refine, Tag("refine")],
    Discriminator(_start_kind),
]


class ExponentialDecay(StrictModel):
    """Multiply the learning rate by the same factor after every epoch."""

    kind: Literal["exponential"] = "exponential"
    """Tag: this schedule."""
    final_fraction: float = Field(default=0.02, gt=0.0, le=1.0)
    """The learning rate of the last epoch as a fraction of the first one's."""


class ReduceOnPlateau(StrictModel):
    """Lower the learning rate where the validation loss stops falling."""

    kind: Literal["plateau"] = "plateau"
    """Tag: this schedule."""
    factor: float = Field(default=0.8, gt=0.0, lt=1.0)
    """What the learning rate is multiplied by."""
    patience_epochs: int = Field(default=50, ge=1)
    """Epochs without improvement before that happens."""


class Optimisation(StrictModel):
    """How the weights are fitted."""

    batch_size: int = Field(default=4, ge=1)
    """Cells a step. The cells that fill no whole batch wait for the next epoch."""
    max_epochs: int = Field(default=250, ge=1)
    """Passes over the training set."""
    learning_rate: float = Field(default=0.01, gt=0.0)
    """Adam's learning rate at the start."""
    schedule: Annotated[ExponentialDecay | ReduceOnPlateau, Field(discriminator="kind")] = (
        ExponentialDecay()
    )
    """How the learning rate changes."""
    weight_decay: float = Field(default=5e-7, ge=0.0)
    """L2 penalty on the weights of the linear and product layers."""
    amsgrad: bool = True
    """Use Adam's AMSGrad variant."""
    clip_gradient: float = Field(default=10.0, gt=0.0)
    """Largest norm of the gradient in one step."""
    ema_decay: float | None = Field(default=0.99, gt=0.0, lt=1.0)
    """Decay of the moving average of the weights, which is what is validated and kept; null
    uses the bare weights."""
    loss: Literal["squares", "lengths", "universal"] = "squares"
    """``squares``: mean squared errors of the energy per atom and of the force components.
    ``lengths``: mean absolute energy error per atom and mean length of the force error, as in
    the paper's Section 2.2 (3). ``universal``: Huber losses of which large forces count less, as
    MACE-MP-0 was trained with."""
    energy_weight: float = Field(default=40.0, ge=0.0)
    """Weight of the energy term: (eV/atom)⁻² for ``squares``, (eV/atom)⁻¹ for ``lengths``."""
    forces_weight: float = Field(default=10.0, ge=0.0)
    """Weight of the force term: (eV/Å)⁻² for ``squares``, (eV/Å)⁻¹ for ``lengths``."""
    patience_epochs: int | None = Field(default=None, ge=1)
    """Stop after so many epochs in which the validation loss did not fall; null never stops."""
    validate_every_epochs: int = Field(default=1, ge=1)
    """Validate, and save the state that a killed run goes on from, after the first epoch, then
    every so many epochs, and after the last one."""
    seed: int = Field(default=1, ge=0)
    """Seed of the random weights and of the order of the cells."""


class TrainConfig(StrictModel):
    """Settings of ``moalloy train``."""

    train: Path
    """Training set: extended XYZ with ``REF_energy`` (eV) and ``REF_forces`` (eV/Å)."""
    valid: Path
    """Validation set, in the same form: chooses which epoch's weights are kept."""
    test: Path | None = None
    """Test set: the finished model is evaluated on it, once, into the folder ``test`` of the run."""
    out: Path | None = None
    """Run directory; ``--out`` on the command line goes before it."""
    start: Start = Scratch()
    """What training starts from."""
    optimisation: Optimisation = Optimisation()
    """How the weights are fitted."""
    preset: PresetName | None = None
    """Named settings for ``optimisation`` and for the E0s of ``start``; what is given beside it goes
    before it. ``paper``: as the paper's equilibrium models were trained, scratch for 50 epochs;
    ``paper-noneq``: as those on all its cells; ``matched``: scratch and fine-tuning each at a
    learning rate of its own until the validation loss no longer falls."""
    elements: Symbols = ()
    """Elements to keep in the model's table beyond those of the data and of the split."""
    committee: int = Field(default=1, ge=1)
    """Models to train, with the seeds seed, seed + 1 and so on. More than one go into the folders
    00, 01 and so on of the run."""
    allow_failed_checks: bool = False
    """Train on cells in which ``moalloy dataset check`` finds errors."""
    dtype: DType = "float32"
    """Floating-point type in which the model is trained and written."""
    device: Device = "auto"
    """Where to train; ``auto`` takes a CUDA device if there is one."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, content: Any) -> Any:
        if not isinstance(content, Mapping):
            return content
        return with_preset(content, _start_kind(content.get("start")))

    @model_validator(mode="after")
    def _replay_has_its_loss(self) -> "TrainConfig":
        if isinstance(self.start, Scratch):
            return self
        multihead = self.start.method.kind == "multihead"
        if multihead and self.optimisation.loss != "universal":
            raise ValueError(
                "start.method multihead: expected optimisation.loss universal, the only one that "
                f"mace-torch has for several heads, found {self.optimisation.loss}. Say loss: universal"
            )
        return self
