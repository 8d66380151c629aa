"""What a text says that there is: files, settings, commands, addresses. `test_documents.py` holds them against what is.

Each function takes a text, so that a name that is not there can be planted in one to see whether it is noticed.
"""

import re
from collections.abc import Iterator

FILE = re.compile(r"`([\w./-]*[\w-]\.(?:py|md|sql|js|mjs|css|html|toml|json|csv|txt|yml|conf|service))`(?!:)")
DOCUMENT = re.compile(r"\bdocs/[\w/-]+(?:\.\w+)?")
SETTING = re.compile(r"`([a-z]+(?:\.[a-z_]+)+)(?: = [^`]*)?`")
COMMAND = re.compile(r"(?:^|[`\s(/])(?<!-u )prikkfri ((?:-{0,2}[a-z][\w-]*)[^`\n]*)", re.MULTILINE)
QUOTED = re.compile(r"`[^`]+`")
BLOCK = re.compile(r"^```\w*\n(.*?)^```|((?:^ {4}\S[^\n]*\n)+)", re.MULTILINE | re.DOTALL)
ASKED = re.compile(r"\b(GET|POST|PUT|DELETE) (?:(\w+):)?(/[\w./-]*)")
ADDRESS = re.compile(r"`(/[a-z][\w./-]*)(?:\?[^`]*)?`")
ROW = re.compile(r"^\| ([\w, ]+) \| (`(?:GET|POST|PUT|DELETE) .*?) \|", re.MULTILINE)
ON_DISK = ("/dev/", "/etc/", "/opt/", "/proc/", "/run/", "/srv/", "/sys/", "/tmp/", "/usr/", "/var/")


def files(text: str) -> Iterator[str]:
    """By their name or their path, between backticks."""
    yield from FILE.findall(text)


def documents(text: str) -> Iterator[str]:
    """Of ours, wherever they are named: in a docstring, in a comment."""
    yield from DOCUMENT.findall(text)


def settings(text: str, sections: frozenset[str]) -> Iterator[str]:
    """Those of `sections`, by their path."""
    for name in SETTING.findall(text):
        if name.partition(".")[0] in sections and not FILE.fullmatch(f"`{name}`"):
            yield name


def commands(text: str) -> Iterator[str]:
    """What is typed behind `prikkfri`: between backticks, and in blocks."""
    for block in BLOCK.finditer(text):
        yield from COMMAND.findall(block[1] or block[2])
    for quoted in QUOTED.findall(BLOCK.sub("\n", text)):
        yield from COMMAND.findall(quoted)


def addresses(text: str) -> Iterator[tuple[str, str, str]]:
    """Role, method and path; the first two are empty where they are not said.

    The first column of a table's row says whose they are, as does `role:/path`.
    """
    rest = text = BLOCK.sub("\n", text)
    for row in ROW.finditer(text):
        for method, callee, path in ASKED.findall(row[2]):
            for role in [callee] if callee else row[1].split(", "):
                yield role, method, path
        rest = rest.replace(row[0], "")
    for method, callee, path in ASKED.findall(" ".join(QUOTED.findall(rest))):
        yield callee, method, path
    for path in ADDRESS.findall(rest):
        if not f"{path}/".startswith(ON_DISK):
            yield "", "", path
