"""Settings of simulations that put alloys of a host side by side: compositions and temperatures."""

from pydantic import Field, field_validator, model_validator

from moalloy_md.config import TemperaturesK
from moalloy_md.elements import ChemicalSymbol
from moalloy_md.structures.host import HostCell
from moalloy_md.workflows.simulate.config import SimulationConfig


class AlloyConfig(HostCell, SimulationConfig):
    """Settings of topics that simulate several compositions at several temperatures."""

    compositions: dict[str, dict[ChemicalSymbol, float]] = Field(min_length=1)
    """What is simulated side by side: a name, and the atomic fraction of each dopant:
    ``{W2: {W: 0.02}}``."""
    temperatures_k: TemperaturesK
    """Temperatures, K."""
    pressure_bar: float = 0.0
    """Pressure, bar."""

    @field_validator("compositions")
    @classmethod
    def _names_are_folders(cls, value: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        for name, dopants in value.items():
            if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
                raise ValueError(
                    f"expected names of letters, digits, - _ and ., found {name!r}: they become folders"
                )
            for symbol, fraction in dopants.items():
                if not 0 < fraction < 1:
                    raise ValueError(
                        f"expected atomic fractions between 0 and 1, found {fraction:g} for {symbol} "
                        f"in {name}"
                    )
        return value

    @model_validator(mode="after")
    def _compositions_fit(self) -> "AlloyConfig":
        for name, dopants in self.compositions.items():
            if self.host in dopants:
                raise ValueError(
                    f"compositions.{name}: expected dopants other than the host, found {self.host}"
                )
            for symbol, fraction in dopants.items():
                if round(fraction * self.n_sites) == 0:
                    raise ValueError(
                        f"compositions.{name}.{symbol}: expected a fraction that gives an atom, found "
                        f"{fraction:g} of {self.n_sites} sites. Give at least {1 / self.n_sites:.2g}, "
                        "or a larger repeat"
                    )
        return self

    @property
    def symbols(self) -> set[str]:
        """Chemical symbols of host and dopants."""
        return {self.host, *(x for dopants in self.compositions.values() for x in dopants)}
