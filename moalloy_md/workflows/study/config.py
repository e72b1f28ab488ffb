"""Settings of ``moalloy study``: paradigms × sizes × protocols × folds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from moalloy_md.config import Device, DType, StrictModel, validate
from moalloy_md.datasets.split import Iid, LodoRelaxed, LodoStrict
from moalloy_md.errors import ConfigError
from moalloy_md.potentials.train_config import MaceArchitecture, Proxies, TrainConfig
from moalloy_md.potentials.train_presets import PresetName
from moalloy_md.workflows.job_queue import Slurm

Kind = Literal["zero-shot", "scratch", "fine-tune", "refine"]


class Paradigm(StrictModel):
    """A way to a model."""

    kind: Kind
    """``zero-shot``: the foundation as it is; ``scratch``; ``fine-tune``; ``refine``: a fine-tuned
    model trained on with cells of new elements, under a ``new-elements`` protocol only."""
    preset: PresetName | None = None
    """As in a training's configuration."""
    start: dict[str, Any] = Field(default={})
    """Settings of ``start`` of a training beside kind and foundation, such as ``{e0s: average}``."""
    optimisation: dict[str, Any] = Field(default={})
    """Settings of ``optimisation`` of a training."""
    dtype: DType = "float32"
    """Floating-point type of the training."""
    refines: str | None = None
    """For ``refine``: the name of the fine-tuning paradigm whose models are refined; the first one
    where null."""
    committee: int | None = Field(default=None, ge=1)
    """Models of each run, which differ in their seed: their mean is evaluated, and how well their
    disagreement predicts its error; one model where null. Each of a refining committee refines a
    model of its own of the fine-tuned one, as far as there are so many."""

    @property
    def n_models(self) -> int:
        """Models of each run."""
        return self.committee or 1


class Size(StrictModel):
    """A size of the network."""

    foundation: str | None = None
    """What zero-shot and fine-tuning use, as in a training's configuration."""
    model: MaceArchitecture | None = None
    """The network of scratch; that of the foundation where null."""


class IidFolds(StrictModel):
    """Random groups test."""

    protocol: Literal["iid"] = "iid"
    """Tag: this protocol."""
    repeats: int = Field(default=3, ge=1)
    """Folds, with the seeds seed, seed + 1 and so on. The paper has 10 (5 for its large set)."""
    seed: int = Field(default=0, ge=0)
    """Seed of the first."""
    test_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Part of the cells that tests."""
    valid_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Part of the others that validates."""
    frame_wise: bool = False
    """Draw single frames instead of whole groups, as the paper does."""
    train_fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (1.0,)
    """Parts of the training groups that are used, for a learning curve; each is contained in the
    larger ones."""


class LodoFolds(StrictModel):
    """One dopant after the other is held out."""

    protocol: Literal["lodo-strict", "lodo-relaxed"]
    """Tag: this protocol."""
    held_out: Literal["all"] | tuple[str, ...] = "all"
    """Dopants to hold out; ``all`` for which there are test cells."""
    seed: int = Field(default=0, ge=0)
    """Chooses the validation set."""
    valid_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Part of the cells left that validates."""
    frame_wise: bool = False
    """Draw single frames instead of whole groups."""


class NewElementFolds(StrictModel):
    """Elements that a fine-tuned model never saw: by proxies, and after refining.

    Fine-tuning sees the cells without them; refining a part of those with them, and the rest of
    these test, as in the paper's Section 3.3.
    """

    protocol: Literal["new-elements"] = "new-elements"
    """Tag: this protocol."""
    elements: tuple[str, ...] = Field(min_length=1)
    """The new elements."""
    proxies: Proxies = Field(default={})
    """The known element that stands in for a new one, such as ``{Hf: Zr}``, where zero-shot and
    fine-tuned models lack it, and whose weights it starts from in refining; for the others the
    nearest known one in the periodic table."""
    repeats: int = Field(default=1, ge=1)
    """Folds, with the seeds seed, seed + 1 and so on."""
    seed: int = Field(default=0, ge=0)
    """Seed of the first."""
    test_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Part of the cells that tests, of those with and of those without the new elements."""
    valid_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Part of the others that validates."""
    frame_wise: bool = False
    """Draw single frames instead of whole groups."""

    @model_validator(mode="after")
    def _proxies_are_of_new_elements(self) -> "NewElementFolds":
        new = ", ".join(self.elements)
        for element, proxy in self.proxies.items():
            if element not in self.elements:
                raise ValueError(
                    f"proxies: expected proxies of the new elements {new}, found one of {element}"
                )
            if proxy in self.elements:
                raise ValueError(
                    f"proxies: expected for {element} an element that is not new, found {proxy}"
                )
        return self


Folds = Annotated[IidFolds | LodoFolds | NewElementFolds, Field(discriminator="protocol")]


class StudyConfig(StrictModel):
    """Settings of ``moalloy study run``."""

    data: Path | Literal["bundled"] = "bundled"
    """Dataset: extended XYZ; ``bundled`` for the cells that come with the package."""
    paradigms: dict[str, Paradigm] = Field(min_length=1)
    """Ways to a model, by a name for the tables."""
    sizes: dict[str, Size] = Field(min_length=1)
    """Sizes of the network, by name."""
    protocols: dict[str, Folds] = Field(min_length=1)
    """How the cells are split, by name."""
    device: Device = "auto"
    """Where to compute."""
    batch_size: int = Field(default=8, ge=1)
    """Cells evaluated together."""
    outlier: str | None = None
    """Dopant that is left out of the second mean of a leave-one-dopant-out table; where null, in
    each protocol the one with the largest energy error of the first fine-tuned model. The paper
    leaves out Cr."""
    slurm: Slurm = Slurm()
    """How runs are submitted to SLURM."""
    allow_failed_checks: bool = False
    """Train on cells in which ``moalloy dataset check`` finds errors."""

    @model_validator(mode="after")
    def _combinations_make_sense(self) -> "StudyConfig":
        for name in (*self.paradigms, *self.sizes, *self.protocols):
            if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
                raise ValueError(
                    f"names of paradigms, sizes and protocols: expected letters, digits, - _ and ., "
                    f"found {name!r}: they become folders"
                )
        self._check_refining()
        for name, paradigm in self.paradigms.items():
            if paradigm.kind == "zero-shot" and paradigm.n_models > 1:
                raise ValueError(
                    f"paradigms.{name}.committee: expected none for zero-shot, which trains nothing, "
                    f"found {paradigm.committee}"
                )
        for size_name, size in self.sizes.items():
            for name, paradigm in self.paradigms.items():
                self._check_pair(name, paradigm, size_name, size)
        return self

    def _check_refining(self) -> None:
        tuned = [name for name, p in self.paradigms.items() if p.kind == "fine-tune"]
        new = any(isinstance(folds, NewElementFolds) for folds in self.protocols.values())
        for name, paradigm in self.paradigms.items():
            if paradigm.kind != "refine":
                continue
            if not new:
                raise ValueError(
                    f"paradigms.{name}: expected a protocol new-elements to refine for, found none"
                )
            if not tuned or paradigm.refines not in {None, *tuned}:
                raise ValueError(
                    f"paradigms.{name}.refines: expected the name of a fine-tuning paradigm, found "
                    f"{paradigm.refines!r} and the fine-tuning paradigms {', '.join(tuned) or 'none'}"
                )

    def _check_pair(self, name: str, paradigm: Paradigm, size_name: str, size: Size) -> None:
        if paradigm.kind in {"zero-shot", "fine-tune"} and size.foundation is None:
            raise ValueError(
                f"sizes.{size_name}: expected a foundation for the paradigm {name}, found none"
            )
        if paradigm.kind == "scratch" and size.foundation is None and size.model is None:
            raise ValueError(
                f"sizes.{size_name}: expected a model or a foundation to build one like it for the "
                f"paradigm {name}, found neither"
            )
        if paradigm.kind == "zero-shot":
            return
        try:
            training(paradigm, size, train=Path("t"), valid=Path("v"), model=Path("m"))
        except ConfigError as error:
            raise ValueError(f"paradigms.{name}: {error}") from error


def training(
    paradigm: Paradigm,
    size: Size,
    *,
    train: Path,
    valid: Path,
    model: Path | None = None,
    proxies: Mapping[str, str] | None = None,
) -> TrainConfig:
    """Make the configuration of a training.

    Parameters
    ----------
    paradigm, size
        What is trained.
    train, valid
        The data.
    model
        The model to refine.
    proxies
        What new elements start from in refining, where the paradigm does not say it.

    Raises
    ------
    ConfigError
        If the settings of the paradigm are wrong.
    """
    start: dict[str, Any] = {"kind": paradigm.kind, **paradigm.start}
    if paradigm.kind == "scratch":
        if size.model is not None:
            start["model"] = size.model.model_dump(mode="json")
        else:
            start["like"] = size.foundation
    elif paradigm.kind == "fine-tune":
        start["foundation"] = size.foundation
    else:
        start["model"] = str(model)
        start["proxies"] = {**(proxies or {}), **start.get("proxies", {})}
    content = {
        "train": str(train),
        "valid": str(valid),
        "start": start,
        "optimisation": paradigm.optimisation,
        "dtype": paradigm.dtype,
        "preset": paradigm.preset,
        "committee": paradigm.n_models,
    }
    return validate(content, TrainConfig, source="a training of the study")


def split_protocol(
    folds: IidFolds | LodoFolds | NewElementFolds, *, repeat: int = 0, held_out: str = ""
) -> Iid | LodoStrict | LodoRelaxed:
    """Return the protocol of one fold; for new elements that of each half of the cells."""
    valid_fraction, frame_wise = folds.valid_fraction, folds.frame_wise
    if isinstance(folds, LodoFolds):
        kind = LodoStrict if folds.protocol == "lodo-strict" else LodoRelaxed
        return kind(
            seed=folds.seed, held_out=held_out, valid_fraction=valid_fraction, frame_wise=frame_wise
        )
    return Iid(
        seed=folds.seed + repeat,
        test_fraction=folds.test_fraction,
        valid_fraction=valid_fraction,
        frame_wise=frame_wise,
    )
