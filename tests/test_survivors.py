"""The register of what no test notices: an entry that nothing in the code answers to any more excuses nothing."""

import ast
from functools import cache
from pathlib import Path

from mutants import ROOT, SURVIVED, Mutant, only_wording, register


@cache
def functions(path: Path) -> dict[str, frozenset[str]]:
    """The lines of each function and method of a file, without indentation, by its name."""
    text = path.read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines()]
    tree = ast.parse(text)
    places: list[tuple[str, ast.AST]] = [("", tree)]
    places += [(f"{node.name}.", node) for node in tree.body if isinstance(node, ast.ClassDef)]
    return {
        start + node.name: frozenset(lines[node.lineno : node.end_lineno])
        for start, place in places
        for node in ast.iter_child_nodes(place)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def place(name: str) -> frozenset[str]:
    """The lines of `module.function` or `module.Class.function`; none when it is not there."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        path = ROOT / "src" / Path(*parts[:end]).with_suffix(".py")
        if path.is_file():
            return functions(path).get(".".join(parts[end:]), frozenset())
    return frozenset()


def test_every_survivor_stands_in_the_code_of_today() -> None:
    gone = [(name, line) for name, before, _ in register() for line in before.splitlines() if line not in place(name)]
    assert not gone, f"stale entries of tests/survivors: {gone}"


def test_no_survivor_is_excused_that_needs_no_excuse() -> None:
    needless = [key for key in register() if key[1] == key[2] or only_wording(Mutant("", SURVIVED, *key))]
    assert not needless, f"entries of tests/survivors that change nothing but wording: {needless}"


def test_what_is_not_in_the_code_is_found_to_be_stale() -> None:
    assert "return shares" not in place("prikkfri.protocols.networks.NetworkQuota.used_up") != frozenset()
    assert place("prikkfri.protocols.networks.NetworkQuota.nothing") == place("prikkfri.nothing.nothing") == frozenset()
