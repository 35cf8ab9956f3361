"""Every way a request can fail, as one sentence: what was given, what is accepted, what to do next.

The plain floor's bottom: this module imports nothing of ours and nothing heavy.
"""


class GraftworkError(Exception):
    """A request that cannot be met.

    `message` says what was given and what is accepted; `hint` is the next command or action.
    `exit_code` is what the command line ends with.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(GraftworkError):
    """An option or argument that is not accepted."""


class ConfigError(GraftworkError):
    """The user's configuration file cannot be used."""


class InputMismatch(GraftworkError):
    """What the encoder was pretrained to read and what the data are do not agree."""


class UnknownName(GraftworkError):
    """A backbone, task, head, policy or scheme that nothing installed provides."""


class PluginConflict(GraftworkError):
    """Two distributions claim one name, so neither is used."""


class PluginFault(GraftworkError):
    """A plugin's own code failed while it was asked to do its part.

    factory: the `module:attribute` at fault, by which its plugin is found; empty where the traceback tells it.
    owned: whether the message names the plugin.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "", *, factory: str = "", owned: bool = False) -> None:
        super().__init__(message, hint)
        self.factory = factory
        self.owned = owned


class WeightsUnavailable(GraftworkError):
    """The pretrained weights are neither on this machine nor reachable."""


class WeightsMismatch(GraftworkError):
    """Weights were found, but they are not the ones that were asked for."""


class ContractMismatch(GraftworkError):
    """What an encoder reads, or how it prepares it, is not what a run was made with."""


class DataError(GraftworkError):
    """The data cannot be used as they are."""


class Unreadable(DataError):
    """One example cannot be read; the rest of the data may be fine."""


class Empty(Unreadable):
    """One example holds nothing at all."""


class Unhandled(Unreadable):
    """One example cannot be read since code of a plugin failed on it."""


class RunError(GraftworkError):
    """A run directory that cannot be written, read or used."""


class StoreError(GraftworkError):
    """The feature store cannot be opened or written."""


class Diverged(GraftworkError):
    """Training went wrong: the loss is not a number, or has grown far beyond where it began."""


class OutOfMemory(GraftworkError):
    """A batch does not fit in memory."""
