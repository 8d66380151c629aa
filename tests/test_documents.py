"""What exists is documented, and what is documented works."""

import dataclasses
import re
import tomllib
import typing
from pathlib import Path

import pytest

from prikkfri.config import Config, load

ROOT = Path(__file__).parents[1]
CONFIGURATION = ROOT / "docs" / "configuration.md"


def settings(kind: type) -> set[str]:
    """The names of all settings, those of lists' items too."""
    names: set[str] = set()
    for name, hint in typing.get_type_hints(kind).items():
        item = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else hint
        if dataclasses.is_dataclass(item):
            names |= settings(typing.cast(type, item))
        names.add(name)
    return names - {"home", "demo"}


@pytest.mark.parametrize("name", sorted(settings(Config)))
def test_every_setting_is_documented(name: str) -> None:
    assert re.search(rf"\b{name}\b", CONFIGURATION.read_text(encoding="utf-8"))


def test_every_example_is_a_configuration(tmp_path: Path) -> None:
    for document in (ROOT / "docs").glob("*.md"):
        for block in re.findall(r"^```toml\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            tomllib.loads(block)
            (tmp_path / "prikkfri.toml").write_text(block, encoding="utf-8")
            load(tmp_path, file=None, environment={})


def test_links_between_documents_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.relative_to(ROOT)} leads to {target}"
