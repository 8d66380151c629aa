"""What exists is documented, and what is documented exists."""

import dataclasses
import re
import tomllib
import typing
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import documents
import pytest
import typer.main

import prikkfri.cli
from prikkfri.config import ROLES, Config, Roles, load
from prikkfri.errors import ConfigError
from prikkfri.protocols.smpp.pdu import Status

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "prikkfri"
CONFIGURATION = ROOT / "docs" / "configuration.md"
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
WRITTEN = ("src", "tests", "docs", "benchmarks", "deploy")
APPLICATION: Any = typer.main.get_command(prikkfri.cli.application)


@cache
def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def settings(kind: type, path: str = "") -> Iterator[tuple[str, Any, object]]:
    """Every setting outside of a list, by its path: what it takes, and its default."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.name in ("home", "demo") and not path:
            continue  # said on the command line
        if dataclasses.is_dataclass(hints[field.name]):
            yield from settings(typing.cast(type, hints[field.name]), f"{path}{field.name}.")
        else:
            yield path + field.name, hints[field.name], field.default


def settings_of_items(hint: Any) -> Iterator[str]:
    """What the items of a list are made of; nothing when they are plain values."""
    if typing.get_origin(hint) is not tuple or not dataclasses.is_dataclass(item := typing.get_args(hint)[0]):
        return
    for name, inner in typing.get_type_hints(item).items():
        yield name
        yield from settings_of_items(inner)


SETTINGS = {path: (hint, default) for path, hint, default in settings(Config) if not path.startswith("roles.")}
ROWS = {
    row[1]: (row[2], row[3])
    for row in re.finditer(r"^\| `([\w.]+)` \| (.*?) \| (.*)\|$", text_of(CONFIGURATION), re.MULTILINE)
}
"""The table of every setting: the default and what it means, by its path."""


def plain(default: str) -> object:
    """A default as the table writes it, as a value."""
    if default == "empty" or default.startswith("none"):
        return "", (), None
    if default.startswith("`"):
        value = tomllib.loads(f"value = {default.strip('`')}")["value"]
        return (tuple(value) if isinstance(value, list) else value,)
    return (float(default.replace(",", "")),)


@pytest.mark.parametrize("path", sorted(SETTINGS))
def test_every_setting_stands_in_the_table_with_its_default(path: str) -> None:
    hint, default = SETTINGS[path]
    written, meaning = ROWS[path]
    assert default in plain(written), f"{path} is {default!r}, the table says {written}"
    missing = [name for name in settings_of_items(hint) if f"`{name}`" not in meaning]
    assert not missing, f"the row of {path} says nothing of {missing}"


def items(hint: Any) -> Iterator[type]:
    """The kinds of which a list is made."""
    if typing.get_origin(hint) is tuple and dataclasses.is_dataclass(item := typing.get_args(hint)[0]):
        yield typing.cast(type, item)
        for inner in typing.get_type_hints(item).values():
            yield from items(inner)


@pytest.mark.parametrize("path", sorted(path for path, (hint, _) in SETTINGS.items() if any(items(hint))))
def test_what_counts_or_chooses_in_a_list_is_told_with_its_default(path: str) -> None:
    """A number, a switch, and the first of several words: what holds where nobody says anything."""
    hint, _ = SETTINGS[path]
    _, meaning = ROWS[path]
    for kind in items(hint):
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            chosen = typing.get_origin(hints[field.name]) is typing.Literal
            if field.default is dataclasses.MISSING or not (chosen or hints[field.name] in (int, float, bool)):
                continue
            told = f'`"{field.default}"`' if chosen else str(as_written(field.default))
            assert re.search(rf"`{field.name}` \({re.escape(told)}[,)]", meaning), f"{path}: {field.name} is {told}"


def as_written(default: object) -> object:
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else default


def test_the_table_has_no_setting_that_does_not_exist() -> None:
    of_roles = {"roles.ROLE.port", "roles.ROLE.public_url", "roles.ROLE.internal_url", "roles.sms.smpp_port"}
    of_roles.add("roles.ROLE.instances")
    assert ROWS.keys() == SETTINGS.keys() | of_roles
    assert ROWS["roles.ROLE.port"] == ("8080 to 8086", ", ".join(ROLES) + " ")
    assert [Roles().edge(role).port for role in ROLES] == list(range(8080, 8087))
    assert ROWS["roles.ROLE.public_url"][0] == f"`{Roles().viewer.url.replace('8080', 'PORT')}`"
    assert ROWS["roles.sms.smpp_port"][0] == str(Roles().sms.smpp_port)


def test_every_variable_that_is_documented_exists(tmp_path: Path) -> None:
    found = {name for document in DOCUMENTS for name in re.findall(r"\bPRIKKFRI_[A-Z_]+[A-Z]\b", text_of(document))}
    assert "PRIKKFRI_ROLES_DOOR_PORT" in found
    for name in found - {"PRIKKFRI_HOME", "PRIKKFRI_SECTION_NAME"}:
        with pytest.raises(ConfigError) as refusal:
            load(tmp_path, file=None, environment={name: "[not, a, value"})
        assert "unknown variable" not in str(refusal.value), name


def test_every_example_is_a_configuration(tmp_path: Path) -> None:
    for document in DOCUMENTS:
        for block in re.findall(r"^```toml\n(.*?)^```", text_of(document), re.MULTILINE | re.DOTALL):
            (tmp_path / "prikkfri.toml").write_text(block, encoding="utf-8")
            assert load(tmp_path, file=None, environment={}) != load(tmp_path / "none", file=None, environment={})


def test_links_between_documents_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text_of(document)):
            assert (document.parent / target).exists(), f"{document.relative_to(ROOT)} leads to {target}"


def missing_commands(text: str) -> list[str]:
    """What a command is said to be ends with a comment, a quotation mark or what is filled in."""
    return [line for line in documents.commands(text) if not is_a_command(re.split(r' #|["{]', line)[0].rstrip(". "))]


def is_a_command(line: str) -> bool:
    """Whether it is there, with its options."""
    command: Any = APPLICATION
    words = line.split()
    while words and words[0] in getattr(command, "commands", ()):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    if hasattr(command, "commands") and not (words[0].startswith("--") if words else command.invoke_without_command):
        return False
    return {word for word in words if word.startswith("--")} <= known | {"--help"}


FILES = {
    f"/{path.relative_to(ROOT).as_posix()}"
    for place in (*WRITTEN, "")
    for path in ((ROOT / place).rglob("*") if place else ROOT.glob("*"))
    if path.is_file()
}
MADE = {"prikkfri.toml", "prikkfri-home/prikkfri.toml"}
"""In a home, when it is set up."""
SERVED = {"settings.json", "status.json", "components.json", "incidents/unresolved.json"}
"""Not files: the last step of an address."""


def missing_files(text: str) -> list[str]:
    """Those in a home are named by words in capitals, such as HOME."""
    named = [name for name in documents.files(text) if not re.search(r"[A-Z]{4}", name)]
    return [name for name in named if name not in MADE | SERVED and not any(f.endswith(f"/{name}") for f in FILES)]


def missing_documents(text: str) -> list[str]:
    return [name for name in documents.documents(text) if not (ROOT / name).exists()]


def missing_settings(text: str) -> list[str]:
    of_roles = {f"roles.{role}.{name}" for role in ROLES for name in ("port", "public_url")} | {"roles.sms.smpp_port"}
    return [name for name in documents.settings(text, SECTIONS) if name not in SETTINGS.keys() | of_roles]


def missing_addresses(text: str) -> list[str]:
    """Of those of which no role is told. What a role is said to serve, `test_edge_contract.py` asks it for."""
    asked = [(method, path) for role, method, path in documents.addresses(text) if not role]
    return [
        f"{method} {path}".strip()
        for method, path in asked
        if not ((method, path) in ADDRESSES if method else path in {each for _, each in ADDRESSES} | WRITTEN_PATHS)
    ]


SECTIONS = frozenset(path.partition(".")[0] for path in SETTINGS if "." in path) | {"roles"}
ADDRESSES = {
    (method, path)
    for document in DOCUMENTS
    for role, method, path in documents.addresses(text_of(document))
    if role in ROLES
}
WRITTEN_PATHS = {path for file in SOURCE.rglob("*.py") for path in re.findall(r'"(/[a-z][a-z/-]*)"', text_of(file))}
"""Pages have more addresses than the tables name."""
MISSING = {
    "file": (missing_files, "`sms/nowhere.py`"),
    "file by its name": (missing_files, "`nowhere.sql`"),
    "document": (missing_documents, "see docs/decisions/nowhere.md"),
    "folder of documents": (missing_documents, "see docs/nowhere"),
    "setting": (missing_settings, "`sms.nowhere_seconds`"),
    "setting of a role": (missing_settings, "`roles.sms.nowhere`"),
    "setting with a value": (missing_settings, '`assurance.nowhere = "x"`'),
    "command": (missing_commands, "`prikkfri nowhere`"),
    "command of a group": (missing_commands, "`prikkfri incidents nowhere`"),
    "command in a block": (missing_commands, "```sh\n.venv/bin/prikkfri nowhere ID\n```"),
    "command in an indented block": (missing_commands, "\n\n    prikkfri sms nowhere   # what for\n"),
    "option": (missing_commands, "`prikkfri check --nowhere`"),
    "option of none": (missing_commands, "`prikkfri --nowhere`"),
    "address": (missing_addresses, "`POST /nowhere`"),
    "address by another method": (missing_addresses, "`POST /messages/ID`"),
    "address of a page": (missing_addresses, "`/nowhere?x=1`"),
}
"""What finds the names of a kind that are not there, and one that it has to find."""
SOURCES = tuple(
    ROOT / file[1:]
    for file in sorted(FILES)
    if file.endswith((".py", ".js", ".mjs", ".css", ".html", ".j2", ".sql"))
    and not {"vendor", "node_modules"} & set(Path(file).parts)
    and ROOT / file[1:] != Path(__file__)
)


@pytest.mark.parametrize(
    "missing", [missing_files, missing_documents, missing_settings, missing_commands, missing_addresses]
)
def test_what_is_named_exists(missing: Callable[[str], list[str]]) -> None:
    """What the sources say of documents and commands, too."""
    said = missing in (missing_documents, missing_commands)
    for document in (*DOCUMENTS, *SOURCES) if said else DOCUMENTS:
        found = missing(text_of(document))
        assert not found, f"{document.relative_to(ROOT)} names {found}"


@pytest.mark.parametrize("kind", MISSING)
def test_a_name_that_is_not_there_is_noticed_in_every_document(kind: str) -> None:
    missing, planted = MISSING[kind]
    for document in DOCUMENTS:
        found = missing(f"{text_of(document)}\nNobody has made {planted} yet.\n")
        assert len(found) == 1 and found[0] in planted, f"{document.relative_to(ROOT)}: {planted}, {found}"


def test_many_names_of_each_kind_are_found() -> None:
    """What finds nothing misses nothing."""
    texts = "\n\n".join(text_of(document) for document in DOCUMENTS)
    assert len(set(documents.files(texts))) >= 80
    assert len(set(documents.settings(texts, SECTIONS))) >= 40
    assert len(set(documents.commands(texts))) >= 40
    assert len(ADDRESSES) >= 40 and {role for role, _, _ in documents.addresses(texts)} == {"", *ROLES}
    assert list(documents.documents("see docs/a/b.md, or docs/c.")) == ["docs/a/b.md", "docs/c"]


def test_what_is_named_of_deploy_is_there_and_what_is_there_is_named() -> None:
    named = {
        name.rstrip("/.") for document in DOCUMENTS for name in re.findall(r"\bdeploy/[\w./-]*", text_of(document))
    }
    assert not [name for name in named if not (ROOT / name).exists()]
    files = [path.relative_to(ROOT) for path in (ROOT / "deploy").rglob("*") if path.is_file()]
    assert len(files) >= 9
    for path in files:
        if path.name != "rules_test.yml":
            assert any(str(place) in named for place in (path, *path.parents[:-2])), path


def test_every_test_that_is_named_exists() -> None:
    named = [found for document in DOCUMENTS for found in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text_of(document))]
    assert len(named) >= 20
    for path, name in named:
        assert re.search(rf"^(?:async )?def {name}\(", text_of(ROOT / path), re.MULTILINE), f"{path} has no {name}"


def test_what_is_called_supported_names_its_judges() -> None:
    """Each row above what our own tests alone have exercised; and no judge is named in vain."""
    supported, _, ours = text_of(ROOT / "docs" / "sms.md").partition("\n## Exercised by our own tests alone\n")
    tables = [found.splitlines() for found in re.findall(r"(?:^\|.*\n)+", supported, re.MULTILINE)]
    judges_table, *claims = [[line.strip("| ").split(" | ") for line in table] for table in tables]
    judges = {row[0]: row[-1] for row in judges_table[2:]}
    assert not [test for test in judges.values() if test.strip("`") in ours], "a judge is ours"
    named = set()
    for heading, _, *rows in claims:
        assert heading[-1] == "judges"
        for row in rows:
            assert len(row) == len(heading), row
            unknown = set(row[-1].split(", ")) - judges.keys()
            assert not unknown, f"{row[0]} is judged by {unknown}"
            named.update(row[-1].split(", "))
    assert named == judges.keys()


def test_each_status_that_is_sent_or_looked_for_is_documented() -> None:
    documented = text_of(ROOT / "docs" / "sms.md")
    assert [status.name for status in Status if status and not re.search(rf"\b0x{status:02x}\b", documented)] == []


def test_every_make_target_that_is_documented_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    named = {name for document in DOCUMENTS for name in re.findall(r"(?:`|^)make ([\w-]+)", text_of(document), re.M)}
    assert {"run", "test", "check"} <= named and named <= targets
