"""MACE models: load, train, evaluate, export. The only folder that imports torch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moalloy_md.potentials.base import load_base

__all__ = ["load_base"]


def __getattr__(name: str) -> Any:
    """Import `load_base` when it is asked for: configuration files need no torch."""
    if name == "load_base":
        from moalloy_md.potentials.base import load_base

        return load_base
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
