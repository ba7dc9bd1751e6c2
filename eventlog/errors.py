"""What can go wrong between a caller and the log. The docstring is the default message."""


class LogError(Exception):
    """The event log refused or failed."""

    def __init__(self, message: str | None = None, **details: object) -> None:
        super().__init__(message or (self.__doc__ or "").strip())
        self.details = details


class Fenced(LogError):
    """Another writer has moved the head of this account; stop, nothing was appended."""


class DuplicateKey(LogError):
    """An inbox key of the batch exists already; nothing was appended."""


class Unstorable(LogError):
    """A value of the batch cannot be stored; nothing was appended."""


class MissingPartition(LogError):
    """No partition holds this trading day; nothing was appended."""


class DatabaseAway(LogError):
    """The database does not answer; nothing is known to be appended."""


class LeaseHeld(LogError):
    """Another live writer owns this account."""


class LogCorrupt(LogError):
    """The stored log contradicts itself."""


class UnknownAccount(LogError):
    """There is no such account in this log."""


class DatabaseNewer(LogError):
    """The database was migrated by a newer program."""


class StartFailed(LogError):
    """The embedded database server did not start."""


class Archived(LogError):
    """The rows that were asked for left the database, and nobody said where their archive is."""


class ArchiveBroken(LogError):
    """A file of the archive is not what was written, or one is missing."""


class ExtraMissing(LogError):
    """The packages that read and write the archive are not installed."""


class NotDetached(LogError):
    """The month was not detached; the log is as it was."""
