"""What the elastic constants of a cubic crystal say: moduli, anisotropy, stability."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CubicElasticity:
    """Elastic constants of a cubic crystal, GPa."""

    c11: float
    c12: float
    c44: float

    @property
    def bulk_modulus(self) -> float:
        """``B = (C11 + 2 C12) / 3``, GPa."""
        return (self.c11 + 2 * self.c12) / 3

    @property
    def c_prime(self) -> float:
        """``C' = (C11 - C12) / 2``, GPa: the stiffness against the shear of {110} along <110>."""
        return (self.c11 - self.c12) / 2

    @property
    def zener_anisotropy(self) -> float:
        """``A = C44 / C'`` (C. Zener, 1948); 1 where the crystal is isotropic.

        Not a number where C' is zero.
        """
        return self.c44 / self.c_prime if self.c_prime else float("nan")

    @property
    def instabilities(self) -> tuple[str, ...]:
        """Born's criteria that fail; empty where the crystal is stable at zero stress.

        ``C11 - C12 > 0``, ``C11 + 2 C12 > 0`` and ``C44 > 0`` (M. Born, K. Huang, Dynamical Theory
        of Crystal Lattices, 1954).
        """
        criteria = {
            "C11 - C12 > 0": self.c11 - self.c12,
            "C11 + 2 C12 > 0": self.c11 + 2 * self.c12,
            "C44 > 0": self.c44,
        }
        return tuple(
            f"{name} fails: {value:.1f} GPa" for name, value in criteria.items() if value <= 0
        )
