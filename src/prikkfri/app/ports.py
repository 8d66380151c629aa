"""Who listens on a port of this machine, as far as this user may see."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_LISTENS = "0A"
_SOCKET = re.compile(r"socket:\[(\d+)\]")


@dataclass(frozen=True)
class Listener:
    pid: int
    arguments: tuple[str, ...]
    folder: Path
    """Where it stands."""

    @property
    def role(self) -> str:
        """The role that it is; empty when it is none of ours."""
        return self._after("prikkfri.app")

    @property
    def home(self) -> Path | None:
        """The home that it runs on."""
        home = self._after("--home") if self.role else ""
        return (self.folder / home).resolve() if home else None

    @property
    def program(self) -> str:
        return Path(self.arguments[0]).name if self.arguments else "?"

    def _after(self, word: str) -> str:
        """What stands after a word of the command line."""
        following = dict(zip(self.arguments, self.arguments[1:], strict=False))
        return following.get(word, "")


def listener(port: int, proc: Path = PROC) -> Listener | None:
    """None when nobody listens, or somebody whose processes this user may not look into."""
    sockets = _sockets(port, proc)
    for folder in proc.glob("[0-9]*") if sockets else ():
        try:
            if any(_socket_of(descriptor) in sockets for descriptor in (folder / "fd").iterdir()):
                arguments = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                return Listener(int(folder.name), tuple(arguments[:-1]), Path(os.readlink(folder / "cwd")))
        except OSError:  # it has ended, or is another user's
            continue
    return None


def _sockets(port: int, proc: Path) -> set[str]:
    """The numbers of the sockets that listen on a port."""
    found = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found


def _socket_of(descriptor: Path) -> str:
    try:
        named = _SOCKET.fullmatch(os.readlink(descriptor))
    except OSError:
        return ""
    return named[1] if named else ""
