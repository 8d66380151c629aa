"""`make mutants`: changes one place of the decisions and stores at a time, and sees whether `make check` notices.

mutmut makes the changes and runs the quick tests that reach them; strict mypy, which `make check` runs as well, takes
those that no longer fit the types. What neither notices has survived. A survivor is killed by a test, or it changes
nothing that anybody could notice, and `tests/survivors/*.toml` says why:

    [[survivor]]
    in = "prikkfri.door.waiting_room.Line.step"     # module and function
    changes = [["if a < b:", "if a <= b:"]]         # lines before, lines after, without indentation
    why = "a == b gives the same front either way"

A survivor whose change lies in the letter case of words with a space between them (SQL's keywords, prose; not what SQL
has in quotes) or puts marks round prose needs no entry: neither changes a decision, and a person proof-reads prose.

    python tests/mutants.py run [FILE ...]      resumable: only what was not noticed is tried again
    python tests/mutants.py report [FILE ...]   the table, the survivors without a reason, stale entries
    python tests/mutants.py draft [FILE ...]    entries for the survivors without a reason, to be judged
    python tests/mutants.py mypy                mypy over what mutmut made, for mutmut

FILE is a file or folder under src/prikkfri ("door", "sms/routing.py"); without one it is all that [tool.mutmut] in
pyproject.toml names. A shell that is left out there is changed when it is named itself.
`--tests tests/door --` takes some tests only, and is quicker; `--children 1`: one at a time.
It works in .mutants/, and needs what `make setup-tests` installs.
Exit code 1: one survived without a reason, an entry is stale, or less than 95 % of what changes something is noticed.
"""

import argparse
import ast
import difflib
import json
import re
import resource
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = "src/prikkfri"
REGISTER = ROOT / "tests" / "survivors"
NOTICED_SHARE_MIN = 0.95
MEMORY_BYTES_MAX = 6 << 30
"""Of one process."""

KILLED, BY_TYPES, SURVIVED, NOT_TRIED = "killed", "by types", "survived", "not tried"
VERDICTS = {0: SURVIVED, 5: SURVIVED, 33: SURVIVED, 37: BY_TYPES, 2: NOT_TRIED, None: NOT_TRIED}
"""What mutmut's exit codes mean; any other is a test that failed, a crash or a run without end: noticed.
5 and 33: no quick test reaches the place."""

IN_VAIN = ("unused-ignore", "no-redef")
"""Errors that come of how mutmut writes its changes side by side, not of the change."""


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    verdict: str
    function: str
    before: str
    after: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.function, self.before, self.after


def workshop(files: list[str]) -> Path:
    """Where the mutants of these files are made and tried."""
    return ROOT / ".mutants" / ("-".join(files).replace("/", ".") or "all")


def verdicts(files: list[str]) -> Iterator[tuple[Path, dict[str, str]]]:
    """Each mutated file with what became of its mutants, by name."""
    for meta in sorted(workshop(files).glob(f"mutants/{SOURCES}/**/*.py.meta")):
        codes = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
        if codes:
            yield meta.with_suffix(""), {name: VERDICTS.get(code, KILLED) for name, code in codes.items()}


def survivors(path: Path, found: dict[str, str]) -> list[Mutant]:
    """Those of a file that survived, with the lines that they change."""
    wanted = [name for name, verdict in found.items() if verdict == SURVIVED]
    if not wanted:
        return []
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    bodies: dict[str, list[str]] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "__mutmut_" in node.name:
            bodies[node.name] = [line.strip() for line in lines[node.lineno : node.end_lineno]]
    return [mutant(name, bodies) for name in wanted]


def mutant(name: str, bodies: dict[str, list[str]]) -> Mutant:
    module, _, mangled = name.rpartition(".")
    plain = mangled.partition("__mutmut_")[0]
    function = plain[2:] if plain.startswith("x_") else plain[2:].replace("ǁ", ".")
    original, changed = bodies[f"{plain}__mutmut_orig"], bodies[mangled]
    before: list[str] = []
    after: list[str] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, original, changed, autojunk=False).get_opcodes():
        if kind != "equal":
            before += original[a:b]
            after += changed[c:d]
    return Mutant(name, SURVIVED, f"{module}.{function}", "\n".join(before), "\n".join(after))


QUOTED = re.compile(r"'[^']*'")
"""A value in SQL: its case does matter."""
TEXT = re.compile(r'"[^"\n]*"|\'[^\'\n]*\'')


def only_wording(mutant: Mutant) -> bool:
    """Whether it changes nothing but letter case of, or marks round, words with a space between them."""
    before, after = TEXT.findall(mutant.before), TEXT.findall(mutant.after)
    if len(before) != len(after) or TEXT.sub("", mutant.before) != TEXT.sub("", mutant.after):
        return False
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    return all(
        " " in a[1:-1].strip()
        and (a.lower() == b.lower() or b[1:-1] == f"XX{a[1:-1]}XX")
        and QUOTED.findall(a[1:-1]) == QUOTED.findall(b[1:-1])
        for a, b in changed
    )


def register() -> dict[tuple[str, str, str], str]:
    """Why a survivor changes nothing, by function and lines before and after."""
    reasons: dict[tuple[str, str, str], str] = {}
    for file in sorted(REGISTER.glob("*.toml")):
        for entry in tomllib.loads(file.read_text(encoding="utf-8")).get("survivor", []):
            assert entry["why"].strip(), f"{file.name}: {entry['in']} has no reason"
            for before, after in entry["changes"]:
                reasons[(entry["in"], before, after)] = entry["why"]
    return reasons


def prepare(files: list[str], tests: list[str]) -> Path:
    """A workshop with everything in it as links, and a configuration of its own."""
    folder = workshop(files)
    folder.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    if files:
        named = [f"{SOURCES}/{name}" + "/*" * (not name.endswith(".py")) for name in files]
        text = setting(text, "only_mutate", named)
        left_out = tomllib.loads(text)["tool"]["mutmut"]["do_not_mutate"]
        text = setting(
            text, "do_not_mutate", [each for each in left_out if not any(fnmatch(name, each) for name in named)]
        )
    if tests:
        text = setting(text, "pytest_add_cli_args_test_selection", tests)
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    for name in (*tomllib.loads(text)["tool"]["mutmut"]["also_copy"], "src", "tests"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(ROOT / name)
    shutil.rmtree(folder / "mutants" / "tests", ignore_errors=True)  # a test that was renamed would be found twice
    for meta in folder.glob("mutants/**/*.py.meta"):  # tests are better by now: who survived is tried again
        document = json.loads(meta.read_text(encoding="utf-8"))
        codes = document["exit_code_by_key"]
        document["exit_code_by_key"] = {k: None if VERDICTS.get(c) == SURVIVED else c for k, c in codes.items()}
        meta.write_text(json.dumps(document, indent=4), encoding="utf-8")
    (folder / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)  # and other tests reach a place
    return folder


def setting(text: str, name: str, values: list[str]) -> str:
    changed, count = re.subn(rf"^{name} = \[.*?\]$", f"{name} = {json.dumps(values)}", text, flags=re.M | re.S)
    assert count == 1, name
    return changed


def run(files: list[str], tests: list[str], children: int) -> None:
    folder = prepare(files, tests)
    programs = Path(sys.executable).parent
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(Path.home()), "LANG": "C.UTF-8"}
    command = [str(programs / "mutmut"), "run", f"--max-children={children}"]
    done = subprocess.run(command, cwd=folder, env=environment, preexec_fn=bounded)
    if done.returncode:
        sys.exit(f"mutmut ended with {done.returncode}; its last lines say why")


def bounded() -> None:
    """Some changes never end and take more memory all the while."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))


def types() -> None:
    """mypy as `make check` runs it, over the changes side by side; only what lies in a change is printed."""
    command = [sys.executable, "-m", "mypy", "--output=json", "--no-warn-unused-ignores", "src"]
    printed = subprocess.run(command, capture_output=True, text=True).stdout
    spans: dict[str, list[tuple[int, int]]] = {}
    for line in printed.splitlines():
        if not line.strip():
            continue
        error = json.loads(line)
        if error["file"] not in spans:
            tree = ast.parse(Path(error["file"]).read_text(encoding="utf-8"))
            spans[error["file"]] = [
                (node.lineno, node.end_lineno or node.lineno)
                for node in ast.walk(tree)
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and re.search(r"__mutmut_\d+$", node.name)
            ]
        inside = any(start <= error["line"] <= end for start, end in spans[error["file"]])
        if inside and error["code"] not in IN_VAIN and error["severity"] == "error":
            print(line)


def report(files: list[str]) -> int:
    sources = workshop(files) / "mutants" / SOURCES
    reasons = register()
    used: set[tuple[str, str, str]] = set()
    alive: list[Mutant] = []
    rows: list[tuple[str, list[int]]] = []
    modules: set[str] = set()
    for path, found in verdicts(files):
        modules.add(path.relative_to(sources.parent).with_suffix("").as_posix().replace("/", "."))
        counts = {verdict: list(found.values()).count(verdict) for verdict in (KILLED, BY_TYPES, SURVIVED, NOT_TRIED)}
        told = wording = 0
        for each in survivors(path, found):
            if each.key in reasons:
                used.add(each.key)
                told += 1
            elif only_wording(each):
                wording += 1
            else:
                alive.append(each)
        unexplained = counts[SURVIVED] - told - wording
        row = [len(found), counts[KILLED], counts[BY_TYPES], told, wording, unexplained, counts[NOT_TRIED]]
        rows.append((path.relative_to(sources).as_posix(), row))
    for each in alive:
        print(f"{each.name}  {each.function}\n" + "".join(f"  - {line}\n" for line in each.before.splitlines()), end="")
        print("".join(f"  + {line}\n" for line in each.after.splitlines()), end="")
    print(f"{'':44}{'all':>7}{'tests':>7}{'types':>7}{'told':>7}{'words':>7}{'alive':>7}{'untried':>8}{'noticed':>9}")
    total = [sum(row[column] for _, row in rows) for column in range(7)]
    for name, row in [*rows, ("together", total)]:
        print(f"{name:44}" + "".join(f"{n:7}" for n in row[:6]) + f"{row[6]:8}{share(row):9.1%}")
    stale = [key for key in reasons if key not in used and any(key[0].startswith(f"{m}.") for m in modules)]
    if not total[6]:
        for key in stale:
            print(f"stale entry (no such survivor): {key}")
    print(f"{len(alive)} survived without a reason; {share(total):.1%} of what changes something is noticed")
    return int(bool(alive or (stale and not total[6]) or total[6] or share(total) < NOTICED_SHARE_MIN))


def share(row: Iterable[int]) -> float:
    """Noticed of what was tried and changes something."""
    everything, killed, by_types, told, wording, _, not_tried = row
    tried = everything - told - wording - not_tried
    return (killed + by_types) / tried if tried else 1.0


def draft(files: list[str]) -> None:
    reasons = register()
    for path, found in verdicts(files):
        for each in survivors(path, found):
            if each.key not in reasons and not only_wording(each):
                pair = json.dumps([each.before, each.after], ensure_ascii=False)
                print(f'[[survivor]]\nin = "{each.function}"\nchanges = [{pair}]\nwhy = ""\n')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "report", "draft", "mypy"))
    parser.add_argument("files", nargs="*")
    parser.add_argument("--tests", nargs="+", default=[], help="folders or files of tests; default: all quick ones")
    parser.add_argument("--children", type=int, default=2, help="how many are tried at the same time")
    arguments = parser.parse_intermixed_args()
    files = [name.removeprefix(f"{SOURCES}/").rstrip("/") for name in arguments.files]
    if arguments.command == "mypy":
        types()
        return 0
    if arguments.command == "draft":
        draft(files)
        return 0
    if arguments.command == "run":
        run(files, arguments.tests, arguments.children)
    return report(files)


if __name__ == "__main__":
    sys.exit(main())
