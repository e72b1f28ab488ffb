"""Settings of the quickstart, and what has to hold before it begins."""

from pydantic import Field

from moalloy_md.config import DType, StrictModel
from moalloy_md.errors import ConfigError
from moalloy_md.potentials.train_config import Optimisation

#: Below so many test cells grouped cross-validation would be needed to know an error.
_MIN_TEST_CELLS = 15


class QuickstartConfig(StrictModel):
    """Settings of ``moalloy quickstart``."""

    seed: int = Field(default=1, ge=0)
    """Seed of the split, of the weights, of the dopants' sites and of the velocities. With 1 there
    are displaced cells, and so forces, in each of the three parts; with some others there are not.
    """
    test_fraction: float = Field(default=0.3, gt=0, lt=1)
    """Part of the cells that tests. More than the usual tenth: below 15 cells an error means
    little."""
    foundation: str = "base-small"
    """What is fine-tuned, and whose network is trained from scratch: ``base-small`` and its kin,
    which come with the package, a ``.model`` file, or a name that mace-torch knows and downloads."""
    fine_tuning: Optimisation = Optimisation(max_epochs=60, learning_rate=5e-3)
    """How it is fine-tuned."""
    scratch: Optimisation = Optimisation(max_epochs=60, learning_rate=2e-2)
    """How random weights are trained: as many epochs, in larger steps than learnt ones bear."""
    dtype: DType = "float32"
    """Precision of training, export and MD."""
    dopant: str = "Re"
    """Dopant in the MD; one of the bundled set's W, Re, Ta, Nb, Ti, V, Zr, Hf."""
    dopant_fraction: float = Field(default=0.02, gt=0, lt=1)
    """Its atomic fraction."""
    repeat: int = Field(default=4, ge=2)
    """Edge of the MD cell in cubic cells of 2 atoms: 4 makes 128 atoms."""
    temperature_k: float = Field(default=300.0, gt=0)
    """Temperature of the MD, K."""
    timestep_ps: float = Field(default=0.002, gt=0, le=0.005)
    """Time step of the MD, ps."""
    md_steps: int = Field(default=3000, ge=500)
    """Steps of the MD: 3000 are 6 ps."""
    threads: int = Field(default=2, ge=1)
    """OpenMP threads of the MD."""


def check(config: QuickstartConfig) -> None:
    """Refuse what could only fail after the training.

    Raises
    ------
    ConfigError
        If the bundled cells do not hold the dopant, or too few of them would test.
    """
    from moalloy_md.datasets.bundled import load_bundled
    from moalloy_md.datasets.split import Iid, split_frames

    frames = load_bundled()
    dopants = sorted({x for frame in frames for x in frame.dopants})
    if config.dopant not in dopants:
        raise ConfigError(
            f"dopant: expected one of the bundled cells' {', '.join(dopants)}, found "
            f"{config.dopant!r}"
        )
    protocol = Iid(seed=config.seed, test_fraction=config.test_fraction)
    n_test = len(split_frames(frames, protocol).test)
    if n_test < _MIN_TEST_CELLS:
        raise ConfigError(
            f"test_fraction: expected at least {_MIN_TEST_CELLS} test cells, found {n_test} of "
            f"{len(frames)}: below that an error means little. Give 0.3 or more"
        )
