"""Configuration: what a user can set, with units, defaults and documentation in one place.

Every model refuses unknown keys and names the nearest known one. The docstring under a field is
its reference documentation.
"""

import difflib
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from moalloy_md.elements import atomic_number
from moalloy_md.errors import ConfigError


class StrictModel(BaseModel):
    """Base of all configuration: frozen, unknown keys refused, docstrings as descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


Config = TypeVar("Config", bound=StrictModel)


def load_config(path: Path, model: type[Config]) -> Config:
    """Read a YAML file into a configuration.

    Parameters
    ----------
    path
        YAML file with one mapping at its top level. Relative paths in it are taken from the
        folder in which the command runs.
    model
        The configuration class.

    Raises
    ------
    ConfigError
        If the file is missing or is no YAML mapping, a key is unknown (the nearest known key is
        named), or a value is out of range.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected YAML, found: {error}") from error
    if not isinstance(content, dict):
        found = "an empty file" if content is None else f"a {type(content).__name__}"
        raise ConfigError(f"{path}: expected 'key: value' lines, found {found}")
    return validate(content, model, source=str(path))


def validate(content: dict[str, Any], model: type[Config], *, source: str) -> Config:
    """Make a configuration from a mapping; `source` says where it came from in errors."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [_explain(problem, model) for problem in error.errors()]
        raise ConfigError(f"{source}: " + "\n".join(lines)) from error


def _explain(problem: Any, model: type[BaseModel]) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        message = problem["msg"].removeprefix("Value error, ")
        return f"{path}: {message}, found {problem['input']!r}"
    known = _known_keys(model, problem["loc"][:-1])
    near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
    return f"unknown key {path!r}: {hint}"


def _known_keys(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Keys that are allowed at `path`, into which pydantic also puts the tags of unions."""
    candidates = [model]
    for part in path:
        inner = [
            found
            for candidate in candidates
            if part in candidate.model_fields
            for found in _models_in(candidate.model_fields[part].annotation)
        ]
        tagged = [m for m in candidates if "kind" in m.model_fields and _kind(m) == part]
        candidates = inner or tagged or candidates
    return [key for candidate in candidates for key in candidate.model_fields]


def _kind(model: type[BaseModel]) -> Any:
    return model.model_fields["kind"].default


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    containers = (typing.Union, types.UnionType, typing.Annotated, tuple, list)
    if typing.get_origin(annotation) in containers:
        return [m for part in typing.get_args(annotation) for m in _models_in(part)]
    return []


Device = Literal["auto", "cpu", "cuda"]
DType = Literal["float32", "float64"]
NativeFile = Literal["auto", "required", "off"]
#: Who evaluates a model: mace-torch, or the native engine of this package.
Engine = Literal["mace", "native"]


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
    e0s: Literal["average"] | dict[str, float] = "average"
    """Energy of each element that the network's own energy is counted from, eV. ``average``
    fits them to the training set's total energies by least squares over the compositions; a
    mapping such as ``{Mo: -11.2, W: -11.6}`` gives them."""

    @field_validator("e0s")
    @classmethod
    def _symbols_exist(
        cls, e0s: Literal["average"] | dict[str, float]
    ) -> Literal["average"] | dict[str, float]:
        for name in [] if isinstance(e0s, str) else e0s:
            try:
                atomic_number(name)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        return e0s


#: How training starts. A second way makes this
#: ``Annotated[Scratch | FineTune, Field(discriminator="kind")]``.
Start = Scratch


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
    loss: Literal["squares", "lengths"] = "squares"
    """``squares``: mean squared errors of the energy per atom and of the force components.
    ``lengths``: mean absolute energy error per atom and mean length of the force error, as in
    the paper's Section 2.2 (3)."""
    energy_weight: float = Field(default=40.0, ge=0.0)
    """Weight of the energy term: (eV/atom)⁻² for ``squares``, (eV/atom)⁻¹ for ``lengths``."""
    forces_weight: float = Field(default=10.0, ge=0.0)
    """Weight of the force term: (eV/Å)⁻² for ``squares``, (eV/Å)⁻¹ for ``lengths``."""
    patience_epochs: int | None = Field(default=None, ge=1)
    """Stop after so many epochs in which the validation loss did not fall; null never stops."""
    validate_every_epochs: int = Field(default=1, ge=1)
    """Validate, and save the state that a killed run goes on from, every so many epochs.
    Training ends with the last epoch that is validated."""
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
    dtype: DType = "float32"
    """Floating-point type in which the model is trained and written."""
    device: Device = "auto"
    """Where to train; ``auto`` takes a CUDA device if there is one."""
