"""The house rules that no linter knows."""

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "prikkfri"
DOMAINS = ("assurance", "door", "signin", "sms", "streaming", "subscribers")
SHELL = {"service.py", "store.py", "http.py", "server.py", "__init__.py"}
IMPURE = {"asyncio", "httpx", "os", "random", "secrets", "shutil", "socket", "ssl", "subprocess", "tempfile",
          "threading", "time", "urllib.request"}  # fmt: skip


def decision_files() -> list[Path]:
    return sorted(
        path for domain in DOMAINS for path in (SOURCE / domain).rglob("*.py") if path.name not in SHELL | SHELLS
    )


SHELLS: set[str] = {"hash_pool.py", "playout.py"}
"""Further files that do I/O, each with its reason in docs/architecture.md."""


@pytest.mark.parametrize("path", decision_files(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_decision_file_is_pure(path: Path) -> None:
    """Only service.py, store.py, http.py and server.py wait, look at a clock, draw lots or touch the outside.

    Move the effect there and hand its result to the decision as an argument: then the same decision runs under the
    simulation's clock, network and disk.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            found.append(f"line {node.lineno}: async")
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        found += [f"line {node.lineno}: imports {name}" for name in names if name in IMPURE or name == "prikkfri.clock"]
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("open", "print", "input")
        ):
            found.append(f"line {node.lineno}: {node.func.id}()")
        if (
            isinstance(node, ast.Attribute)
            and node.attr in ("now", "today", "utcnow")
            and (isinstance(node.value, ast.Name) and node.value.id in ("datetime", "date"))
        ):
            found.append(f"line {node.lineno}: looks at the clock")
    assert not found, f"{path.relative_to(SOURCE)} decides, so it must be pure: {'; '.join(found)}"


WAITS = re.compile(
    r"asyncio\.(sleep\((?!0\))|timeout\(|timeout_at\(|wait_for\()|\.call_(later|at)\((?<!clock\.call_later\()|loop\.time\("
    r"|\btime\.(time|monotonic|sleep|perf_counter)\("
)
CHANCE = re.compile(r"\bos\.urandom\(|\bsecrets\.|\brandom\.")
KEYS_ON_DISK = {"storage/keys.py", "storage/sealing_keys.py"}
"""Keys are made, and their files written over, by the system's chance and no other."""


@pytest.mark.parametrize("package", ["sms", "journal", "storage"])
def test_what_is_simulated_waits_by_its_clock_and_draws_from_its_entropy(package: str) -> None:
    found = []
    for path in sorted((SOURCE / package).rglob("*.py")):
        name, text = str(path.relative_to(SOURCE)), path.read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), 1):
            if WAITS.search(line) or (name not in KEYS_ON_DISK and CHANCE.search(line)):
                found.append(f"{name}:{number}: {line.strip()}")
    assert not found


def test_no_registry_and_no_address_of_one_is_named() -> None:
    root = SOURCE.parents[1]
    for name in ("constraints.txt", "package-lock.json", ".npmrc", "pyproject.toml", "Makefile"):
        text = (root / name).read_text(encoding="utf-8")
        assert "resolved" not in text.replace("omit-lockfile-registry-resolved", ""), name
        assert not re.search(r"(index-url|find-links|registry\s*=)", text), name


NEVER_LOOKED_FOR = {"password", "admission"}
"""Read by a hash or a signature, and by no database."""


def test_what_is_asked_in_words_holds_no_nul() -> None:
    """PostgreSQL cannot be asked for NUL, and says so: a stranger must not make it look as if it were away."""
    found = []
    for path in sorted(SOURCE.rglob("http.py")):
        for name, meta in re.findall(
            r"(\w+)(?:: | = )Annotated\[str, msgspec\.Meta\((.*)\)\]", path.read_text("utf-8")
        ):
            asked = "max_length" in meta and "pattern=" not in meta and name not in NEVER_LOOKED_FOR
            if asked and path.parent.name != "door":  # it has no database
                found.append(f"{path.relative_to(SOURCE)}: {name} needs a pattern, such as protocols.asgi.PLAIN")
    assert not found
