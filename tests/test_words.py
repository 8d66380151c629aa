"""The glossary holds: what it names is there, and names say what it says that they say."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "prikkfri"
WORDS = (ROOT / "docs" / "words.md").read_text(encoding="utf-8")
MEANT, _, AMBIGUOUS = WORDS.partition("\n## Words that have meant several things\n")
AMBIGUOUS, _, GONE = AMBIGUOUS.partition("\n## Names that have gone\n")
TEXTS = ("web/viewer/page/words.js", "web/status_page/words.py", "web/wrong_number/words.py", "assurance/status.py",
         "assurance/telling.py")  # fmt: skip
"""Where people read us in three languages."""

HEADINGS = {"meaning", "in names it means"}
NOT_YET = {
    "door/service.py": {"Admitted", "Issued", "Refused", "Waiting"},
    "signin/service.py": {"Refused", "SignedIn"},
}
"""Participles that are left; nothing is added here."""
NOUNS_IN_ED = {"Feed"}
NOUNS_IN_ING = {
    "Binding", "Coding", "Ending", "Encoding", "Evening", "Finding", "Holding", "Housekeeping", "Listing", "Noticing",
    "Numbering", "Pairing", "Placing", "Reading", "Staging", "Steering", "Streaming", "Timing",
}  # fmt: skip
NO_NOUNS = {
    "Away", "Befallen", "Came", "Given", "Gone", "Heard", "Held", "Inside", "Known", "Left", "Live", "Lost", "Met",
    "Nothing", "Outgoing", "Said", "Seen", "Sent", "Shown", "Since", "Something", "Sought", "Spoken", "Sure", "Taken",
    "Theirs", "Then", "Thing", "Things", "Told", "Took", "Unbound", "Written",
}  # fmt: skip
PARTICLES = {"By", "In", "Off", "On", "Out", "To", "Up"}
PROTOCOL = {"Nothing"}
"""`protocols/smpp/pdu.py`: the body of a PDU that has none."""


class Row(NamedTuple):
    word: str
    meaning: str
    source: str
    languages: str
    place: str


def rows(text: str, columns: int) -> Iterator[list[str]]:
    """Of its tables, without their headings."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")]
        if line.startswith("|") and not set(line) <= set("|-") and cells[1] not in HEADINGS:
            assert len(cells) == columns, line
            yield cells


GLOSSARY = [Row(*row) for row in rows(MEANT, 5)]
MEANINGS = {row[0]: row for row in rows(AMBIGUOUS, 4)}


@cache
def named(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The public classes and functions of a module, exceptions and methods aside."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    public = [node for node in tree.body if not getattr(node, "name", "_").startswith("_")]
    classes = [node for node in public if isinstance(node, ast.ClassDef)]
    functions = [node for node in public if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return frozenset(node.name for node in classes if not is_exception(node)), frozenset(f.name for f in functions)


def is_exception(node: ast.ClassDef) -> bool:
    return any(
        ast.unparse(base).endswith(("Exception", "Error", "SealBroken", "StorageUnavailable")) for base in node.bases
    )


MODULES = {path.relative_to(SOURCE).as_posix(): named(path) for path in sorted(SOURCE.rglob("*.py"))}
TABLES = set(
    re.findall(
        r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)",
        "\n".join(path.read_text(encoding="utf-8") for path in (SOURCE / "storage" / "migrations").glob("*.sql")),
    )
)


def parts(name: str) -> list[str]:
    return [part.lower() for part in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]


@pytest.mark.parametrize("row", GLOSSARY, ids=lambda row: row.word)
def test_what_bears_a_word_is_there(row: Row) -> None:
    """Each class and function stands in the file that is named before it."""
    assert row.meaning and not re.search(r"TODO|\?\?", row.meaning)
    file = ""
    for before, name in re.findall(r"(table )?`([\w./]+)`", row.place):
        if before:
            assert name in TABLES, f"{row.word}: there is no table {name}"
        elif name.endswith(".py"):
            file = name
            assert file in MODULES, f"{row.word}: there is no {name}"
        else:
            assert re.search(
                rf"^(?:class|def|async def) {name}\b", (SOURCE / file).read_text(encoding="utf-8"), re.MULTILINE
            ), f"{row.word}: {file} has no {name}"
    assert file, f"{row.word}: nothing bears it"


def test_a_word_is_said_once_and_means_one_thing() -> None:
    words = [word.strip() for row in GLOSSARY for word in row.word.split(",")]
    assert len(GLOSSARY) >= 60 and sorted(words) == sorted(set(words))
    assert len(MEANINGS) == 10


def test_what_people_read_is_what_they_read() -> None:
    texts = "\n".join((SOURCE / name).read_text(encoding="utf-8") for name in TEXTS).lower()
    found = [word.strip() for row in GLOSSARY for word in row.languages.split(",") if word.strip()]
    assert len(found) >= 30 and all(len(row.languages.split(",")) in (1, 2) for row in GLOSSARY)
    missing = [word for word in found if word not in texts]
    assert not missing, f"no text of ours says {missing}"


def bearing(word: str) -> set[str]:
    """The public names of modules, classes and functions in which a word stands, in one of its forms.

    What stands outside the product, `simulation`, may speak as people do.
    """
    forms = {word, f"{word}s", f"{word}ed", f"{word}ing"}
    found = set()
    for module, (classes, functions) in MODULES.items():
        if module.startswith("simulation/"):
            continue
        found |= {name for name in classes | functions if forms & set(parts(name))}
        path = module.removesuffix("/__init__.py")
        *_, last = path.removesuffix(".py").split("/")
        if forms & set(parts(last)):
            found.add(path)
    return found


@pytest.mark.parametrize("word", MEANINGS)
def test_a_word_that_meant_several_things_means_one(word: str) -> None:
    """A new name with such a word goes into docs/words.md if it means that; else another word is what it needs."""
    listed, found = re.findall(r"`([\w./*]+)`", MEANINGS[word][3]), bearing(word)
    assert not [name for name in found if not any(fnmatchcase(name, each) for each in listed)]
    assert not [each for each in listed if not any(fnmatchcase(name, each) for name in found)]


def verbs_among(classes: frozenset[str]) -> set[str]:
    """Those whose last word is no noun."""
    found = set()
    for name in classes:
        *others, last = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)
        if others and last in PARTICLES:
            last = others[-1]
        by_form = (last.endswith("ed") and last not in NOUNS_IN_ED) or (
            last.endswith("ing") and last not in NOUNS_IN_ING
        )
        if (by_form or last in NO_NOUNS) and name not in PROTOCOL:
            found.add(name)
    return found


def test_a_class_is_named_by_a_noun() -> None:
    """What is *told*, *given* or *seen* is a report, a record, a view."""
    found = {module: verbs for module, (classes, _) in MODULES.items() if (verbs := verbs_among(classes))}
    assert found == NOT_YET


@pytest.mark.parametrize("name", ["Told", "SignedIn", "Listening", "MessageSeen", "Refused", "OnAirLive", "HitThing"])
def test_a_class_that_is_no_noun_is_noticed(name: str) -> None:
    assert verbs_among(frozenset({name, "RouteOutage", "Binding", "SourceFeed"})) == {name}


SAY_LITTLE = {
    "beside",
    "gone",
    "heard",
    "held",
    "left",
    "over",
    "said",
    "seen",
    "sent",
    "shown",
    "taken",
    "told",
    "within",
}
IMPORTED_YET = {"compressed", "expected", "opened", "refused", "sealed", "timed", "unanswered", "within"}
"""Of the door, of the edge (`protocols/asgi.py`), of the tally and of the simulation; nothing is added here."""


def imported_bare(module: str) -> set[str]:
    """Functions of ours that a module imports without their module, and whose name is a participle alone."""
    found = set()
    for node in ast.walk(ast.parse((SOURCE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("prikkfri."):
            path = (node.module or "").removeprefix("prikkfri.").replace(".", "/")
            _, functions = MODULES.get(f"{path}.py") or MODULES.get(f"{path}/__init__.py") or (None, frozenset())
            found |= {alias.name for alias in node.names if alias.name in functions}
    return {name for name in found if name in SAY_LITTLE or (name.endswith("ed") and "_" not in name)}


def test_a_participle_is_imported_with_its_module() -> None:
    """`incidents.placed` says something, `placed` does not: import the module, or find a verb."""
    assert set[str]().union(*map(imported_bare, MODULES)) == IMPORTED_YET


def test_names_that_have_gone_stay_away() -> None:
    gone = set(re.findall(r"`(\w+)`", GONE))
    assert len(gone) >= 60
    here = {
        module: again for module, (classes, functions) in MODULES.items() if (again := gone & (classes | functions))
    }
    assert not here


def test_the_readme_leads_to_the_words() -> None:
    assert "docs/words.md" in (ROOT / "README.md").read_text(encoding="utf-8")
