"""Errors that a user can act on: what was expected, what was found, what to do."""


class MoAlloyError(Exception):
    """Base of every error that moalloy_md raises on purpose.

    The command line prints its text alone, without a traceback, and exits with status 1.
    """


class ConfigError(MoAlloyError):
    """A configuration file or option is wrong."""


class DataError(MoAlloyError):
    """A dataset is missing, incomplete or inconsistent; the text names file, frame and atom."""


class ModelError(MoAlloyError):
    """A model file is missing, of the wrong kind, or cannot do what was asked."""


class UnsupportedModelError(ModelError):
    """A sound model that the native engine cannot evaluate; the TorchScript route may still."""


class ExportError(ModelError):
    """An exported model failed its parity check or could not be written."""


class PluginError(MoAlloyError):
    """A LAMMPS plugin could not be built, found or loaded."""


class LammpsError(MoAlloyError):
    """LAMMPS failed; the text carries the tail of its log and the likely cause."""


class TrainingError(MoAlloyError):
    """mace-torch's trainer failed; the text carries the tail of its log."""


class RunDirectoryError(MoAlloyError):
    """A run directory belongs to somebody else, or to another configuration."""


class RunDirectoryBusyError(RunDirectoryError):
    """Another process is at work in a run directory."""


class RunFailedError(MoAlloyError):
    """A run of many failed; its folder says why."""
