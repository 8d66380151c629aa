"""Network namespaces of our own (Linux, namespaces(7)): each has its addresses, its ports, and no way to another.

A namespace has no name and lies in no folder: it is there for as long as this process holds it, or another runs in it.
A child of ours ends with its standard input, so that nothing is left of a process that was killed.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prikkfri.errors import UsageError

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
OURS = Path("/proc/thread-self/ns/net")
NEEDED = ("ip", "nsenter")
"""Programs (iproute2, util-linux)."""
DEVICE = "lan"


@dataclass(frozen=True)
class Namespace:
    descriptor: int

    @classmethod
    def make(cls) -> "Namespace":
        """A new one, whose loopback is up. Raises `UsageError` where this process may make none."""
        if missing := [program for program in NEEDED if shutil.which(program) is None]:
            raise UsageError(f"no network namespaces: {' and '.join(missing)} missing (iproute2, util-linux)")
        try:
            with _staying():
                _call("unshare", CLONE_NEWNET)
                made = cls(os.open(OURS, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            raise UsageError(f"no network namespaces: {error.strerror}; it takes root, or CAP_SYS_ADMIN") from None
        made.run("ip", "link", "set", "lo", "up")
        return made

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """This thread is in it meanwhile: a socket that is made here stays here. Nothing may be awaited."""
        with _staying():
            _call("setns", self.descriptor, CLONE_NEWNET)
            yield

    @property
    def launcher(self) -> tuple[str, ...]:
        """What stands before the command line of a process that is to run in it."""
        return ("nsenter", f"--net=/proc/{os.getpid()}/fd/{self.descriptor}", "--")

    def run(self, *command: str) -> None:
        """Raises `UsageError` with what the command said."""
        done = self._done(command)
        if done.returncode:
            raise UsageError(f"{' '.join(command)}: {done.stderr.strip()}")

    def tunnel(self, address: str) -> int:
        """A device by which packets of IPv4 leave and come, at an address with the length of its network's prefix.

        Returns the descriptor where this process reads and writes them, one at a time, without waiting.
        """
        try:
            with self.inside():
                descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
                fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
        except OSError as error:
            raise UsageError(f"no network of our own between namespaces: /dev/net/tun: {error.strerror}") from None
        self.run("ip", "address", "add", address, "dev", DEVICE)
        self.run("ip", "link", "set", DEVICE, "up")
        return descriptor

    def socket(self, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
        """One that is in it, for a stream."""
        with self.inside():
            return socket.socket(family, socket.SOCK_STREAM)

    def knows_netem(self) -> bool:
        """Whether the kernel itself can delay and lose packets (tc-netem(8))."""
        if shutil.which("tc") is None:
            return False
        netem = self._done(["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"])
        if netem.returncode == 0:
            self.run("tc", "qdisc", "delete", "dev", "lo", "root")
        return netem.returncode == 0

    def _done(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*self.launcher, *command], capture_output=True, text=True, check=False)  # noqa: S603

    def close(self) -> None:
        os.close(self.descriptor)


@contextlib.contextmanager
def _staying() -> Iterator[None]:
    """In the end this thread is where it was."""
    own = os.open(OURS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        try:
            _call("setns", own, CLONE_NEWNET)
        finally:
            os.close(own)


def _call(name: str, *arguments: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
