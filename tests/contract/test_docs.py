"""The documentation is tested: links resolve, commands exist, code compiles (and runs where marked), generated pages are fresh."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from scripts import docs  # noqa: E402 - scripts is beside the tests, not installed

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w+)?[ ]?([^\n]*)\n(.*?)^```", re.M | re.S)
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))


def blocks(kind: str) -> list[pytest.param]:
    """Return the fenced blocks of a kind with where they stand."""
    found = []
    for page in PAGES:
        for number, (language, mark, text) in enumerate(BLOCK.findall(page.read_text("utf-8"))):
            if language == kind:
                found.append(pytest.param(mark, text, id=f"{page.relative_to(ROOT)}:{number}"))
    return found


def typed() -> list[pytest.param]:
    """Return every `tradewind ...` line that a page shows, in blocks and in running text."""
    found = {}
    for page in PAGES:
        text = page.read_text("utf-8")
        lines = [line for _, _, block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
        lines += re.findall(r"`(tradewind [^`]+)`", BLOCK.sub("", text))
        for line in lines:
            for piece in re.split(r"\s(?:\||\|\||&&|>)\s", line):
                if piece.strip().startswith("tradewind "):
                    found.setdefault(piece.strip(), page.relative_to(ROOT))
    return [pytest.param(line, id=f"{page}: {line[:60]}") for line, page in found.items()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    text = BLOCK.sub("", page.read_text("utf-8"))
    broken = []
    for link in LINK.findall(text):
        parts = urlsplit(link)
        if parts.scheme or not parts.path:
            continue
        if not (page.parent / parts.path).exists():
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("line", typed())
def test_every_command_exists_with_those_options(line: str) -> None:
    words = [word for word in shlex.split(line) if word != "..."][1:]
    known = docs.commanded()
    if "WORD" in words or not words or words[0] in ("--help", "--version", "COMMAND"):
        return
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in ("-w", "--workspace") else words[1:]
    depth = 2 if words[0] == "token" else 1
    command = known.get(" ".join(words[:depth]))
    assert command is not None, f"there is no command {' '.join(words[:depth])!r}"
    options = {name: part for part in command.params for name in (*part.opts, *part.secondary_opts)}
    rest, given = iter(words[depth:]), 0
    for word in rest:
        if word.startswith("-") and word != "-":
            name = word.partition("=")[0]
            assert name in options or name in ("--help", "-h"), f"{' '.join(words[:depth])} has no option {name}"
            if name in options and not options[name].is_flag and "=" not in word:
                assert next(rest, None) is not None, f"{name} needs a value"
        else:
            given += 1
    most = sum(part.param_type_name == "argument" for part in command.params)
    assert given <= most, f"{' '.join(words[:depth])} takes {most} arguments, not {given}"


@pytest.mark.parametrize(("mark", "code"), blocks("python"))
def test_python_compiles_and_runs_where_marked(mark: str, code: str, tmp_path: Path) -> None:
    compile(code, "<docs>", "exec")
    if mark == "run":
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert not list(tmp_path.iterdir())


def test_a_block_that_runs_is_there() -> None:
    assert any(param.values[0] == "run" for param in blocks("python"))


@pytest.mark.parametrize("name", sorted(docs.pages()))
def test_generated_pages_are_fresh(name: str) -> None:
    assert (ROOT / "docs" / name).read_text("utf-8") == docs.pages()[name], "run `make docs`"


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name)
def test_decisions_are_short_and_numbered(page: Path) -> None:
    lines = page.read_text("utf-8").splitlines()
    number = int(page.name[:4])
    assert len(lines) <= 40
    assert lines[0].startswith(f"# {number}. ")
    assert "**Decided.**" in page.read_text("utf-8")


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_own_data_page_types_every_data_set_of_the_benchmark() -> None:
    from benchmarks.real import CASES, PAGE, commands

    for name in CASES:
        verbs = [
            next(word for word in shlex.split(line)[1:] if word in docs.commanded()) for line in commands(PAGE.read_text("utf-8"), name)
        ]
        assert {"init", "load", "train", "promote", "predict", "evaluate"} <= set(verbs)


def test_every_dependency_has_its_row() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = list(project["dependencies"]) + [
        name for extra, names in project["optional-dependencies"].items() if extra != "all" for name in names
    ]
    page = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text("utf-8")
    missing = {re.split(r"[\[<>=!~ ]", name)[0] for name in wanted} - set(re.findall(r"[\w-]+", page))
    assert not missing


def test_every_benchmark_is_named_in_the_readme() -> None:
    from benchmarks.__main__ import every

    text = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in every() if f"python -m benchmarks {name}`" not in text] == []


def test_the_security_page_names_tests_that_exist() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)`", (ROOT / "SECURITY.md").read_text("utf-8")))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
