"""The errors of Prikkfri, drawn once.

An expected refusal (queue full, no entitlement, wrong password) is a value that is returned and journalled, never an
exception. What is raised is one of these::

    PrikkfriError
    ├── UsageError            the person who typed is wrong; one line says what and how to mend it
    │   └── ConfigError       ... in the configuration file, with its line
    ├── StorageError          the database said no
    │   ├── StorageUnavailable    not reachable just now: try again later
    │   │   ├── StorageUnmade         it has no tables yet: whoever writes it has not started
    │   │   └── StorageUnwritable     the file may not be written, or the disk is full: a person makes room
    │   └── StorageDamaged        the file is no database any more: restore it
    ├── FatalError            nothing more may be said or done: the role ends, and finds out when it starts again
    │   ├── InDoubt               the connection was lost at the commit: kept or not, nobody can tell yet
    │   └── FencedOut             another writer has taken over this stream: stop
    └── ProtocolError         bytes that break a protocol
        ├── LocalProtocolError    ours: we were asked to send what may not be sent
        └── RemoteProtocolError   theirs: the peer sent what may not be received
"""


class PrikkfriError(Exception):
    """Anything that Prikkfri raises on purpose."""


class UsageError(PrikkfriError):
    """Bad usage or bad input; the text is one line for the person who typed it."""


class ConfigError(UsageError):
    """A wrong setting. `str()` gives file, line, what is wrong and how to mend it."""


class StorageError(PrikkfriError):
    """The database refused; nothing of the transaction was kept."""


class StorageUnavailable(StorageError):
    """The database cannot be reached or cannot write (a full disk); nothing was kept."""


class StorageUnmade(StorageUnavailable):
    """The database has no such table: whoever writes it has not started yet."""


class StorageUnwritable(StorageUnavailable):
    """The database's file cannot be made or written until a person makes room for it."""


class StorageDamaged(StorageError):
    """The database's file does not hold what it should."""


class FatalError(PrikkfriError):
    """The role may not go on: whatever it answered or did now would be a guess.

    No kind of `StorageError`, so that whoever tries again later lets it pass. Where a doubt does no harm, since what is
    done twice is done once, or since it can be told as it is, `InDoubt` is caught by its name. `FencedOut` always
    ends the role; who asked may be told before.
    """


class InDoubt(FatalError):
    """The database was lost while it committed; the transaction was kept as a whole or not at all."""


class FencedOut(FatalError):
    """Another incarnation writes this stream now; this one must stop. Nothing of the transaction was kept."""


class ProtocolError(PrikkfriError):
    """Bytes that break a protocol."""


class LocalProtocolError(ProtocolError):
    """We were asked to send what the protocol does not allow here."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol does not allow here."""
