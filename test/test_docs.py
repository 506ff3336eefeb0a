"""The documentation against the code: links, files, commands and options that it names."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
import yaml
from docs_reader import (
    DOCS,
    PAGES,
    PLACEHOLDERS,
    PROJECT,
    anchors,
    code_blocks,
    command_lines,
    commands,
    inline_code,
    links,
    name_of,
)
from test_layering import CORE, EDGE

from depth_pro_ros.cli.main import COMMANDS
from depth_pro_ros.errors import ConfigurationError

FILES = re.compile(
    r"(?:config|launch|test|docs|requirements|depth_pro_ros|\.ci)/[\w./-]+\.(?:py|yaml|json|xml|rviz|txt|md|toml)"
)

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@every_page
def test_internal_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in links(text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{name_of(page)} links to {target}, which is not there"
        assert path.is_relative_to(DOCS) or not page.is_relative_to(DOCS), f"{target} is not part of the site"
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{name_of(page)}: no heading for #{anchor}"


def test_external_links_are_well_formed_and_listed():
    """They are not looked up here, for want of a network; CONTRIBUTING.md says how to."""
    found = sorted({link for page in PAGES for link in links(page.read_text(encoding="utf-8")) if "://" in link})
    print(f"{len(found)} external links, not looked up:", *found, sep="\n  ")
    assert found
    for link in found:
        parts = urlsplit(link)
        assert parts.scheme == "https" and re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), link
        assert link.isascii() and not link.endswith((".", ",", ";", ":")), link


def test_every_page_is_in_the_navigation_once():
    config = yaml.safe_load((PROJECT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = _leaves(config["nav"])
    assert len(listed) == len(set(listed))
    assert set(listed) == {page.relative_to(DOCS).as_posix() for page in PAGES if page.is_relative_to(DOCS)}


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("properdocs", reason="requirements/docs.txt is not installed")
    command = [
        sys.executable,
        "-m",
        "properdocs",
        "build",
        "--strict",
        "--config-file",
        "mkdocs.yml",
        "-d",
        str(tmp_path),
    ]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "Predictor" in (tmp_path / "api" / "inference.html").read_text(encoding="utf-8")


def _leaves(entry) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    values = entry if isinstance(entry, list) else list(entry.values())
    return [leaf for value in values for leaf in _leaves(value)]


@every_page
def test_files_that_are_named_exist(page):
    for name in inline_code(page.read_text(encoding="utf-8")):
        if FILES.fullmatch(name) and not re.search(r"[A-Z]{3,}", name):
            assert (PROJECT / name).exists(), f"{name_of(page)} names {name}, which is not there"


@every_page
def test_tests_that_are_named_exist(page):
    for words, _ in commands(page):
        if words[0] == "pytest":
            missing = [word for word in words if word.startswith("test/") and not (PROJECT / word).exists()]
            assert not missing, f"{name_of(page)} names {missing}"


@every_page
def test_commands_and_options_exist(page):
    for words, whole in commands(page):
        if words[0] == "depth_pro_ros" and len(words) > 1 and not PLACEHOLDERS.search(words[1]):
            _check_command(words[1], words[2:], whole, name_of(page))


def _check_command(name: str, words: list[str], whole: bool, where: str) -> None:
    assert name in COMMANDS, f"{where}: there is no command depth_pro_ros {name}"
    module = importlib.import_module(COMMANDS[name][0])
    parser = argparse.ArgumentParser(prog=f"depth_pro_ros {name}", exit_on_error=False)
    module.add_arguments(parser)
    for word in words:
        if re.match(r"--?[a-z]", word):
            assert word.split("=")[0] in parser._option_string_actions, f"{where}: {name} has no option {word}"
    if not whole or "--help" in words:
        return
    try:
        args, rest = parser.parse_known_args(words)
    except (argparse.ArgumentError, SystemExit) as error:
        pytest.fail(f"{where}: depth_pro_ros {name} {' '.join(words)}: {error}")
    assert not rest, f"{where}: depth_pro_ros {name} does not take {rest}"
    if name == "train":
        from depth_pro_ros.training import recipes

        try:
            recipe = module.changed(recipes.find(args.recipe), args)
        except ConfigurationError as error:
            pytest.fail(f"{where}: {error}")
        assert {data for data, _ in args.data} <= {data.name for data in recipe.data}, where


@every_page
def test_make_targets_exist(page):
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*  ## ", makefile, re.MULTILINE))
    for words, _ in commands(page):
        if words[0] != "make":
            continue
        for word in words[1:]:
            name, equals, _ = word.partition("=")
            known = re.search(rf"^{re.escape(name)} \??=", makefile, re.MULTILINE) if equals else name in targets
            assert known, f"{name_of(page)}: make knows no {word}"


@every_page
def test_python_in_the_pages_imports_what_there_is(page):
    for block in code_blocks(page.read_text(encoding="utf-8")):
        if block.language != "python":
            continue
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("depth_pro_ros"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")


PAGE = """# A page

See [that](other.md#part), ![it](images/a.png) and `[no](link.md)`.

```bash
sudo FOO=1 depth_pro_ros predict photo.jpg \\
  --focal 12   # Bob's camera
torchrun --nproc-per-node 4 -m depth_pro_ros train && make demo
```

## Part of `it`

    python3 -m depth_pro_ros web
"""


def test_pages_are_read_as_people_read_them():
    assert links(PAGE) == ["other.md#part", "images/a.png"]
    assert {"a-page", "part-of-it"} == anchors(PAGE)
    assert inline_code(PAGE) == ["[no](link.md)", "it"]
    blocks = code_blocks(PAGE)
    assert [block.language for block in blocks] == ["bash", ""]
    assert [words for block in blocks for words in command_lines(block.text)] == [
        ["depth_pro_ros", "predict", "photo.jpg", "--focal", "12"],
        ["depth_pro_ros", "train"],
        ["make", "demo"],
        ["depth_pro_ros", "web"],
    ]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("foresee", ["photo.jpg"]),
        ("predict", ["photo.jpg", "--focus", "12"]),
        ("predict", ["photo.jpg", "--focal", "wide"]),
        ("predict", []),
        ("evaluate", ["scenes:robot", "--count", "0"]),
        ("train", ["-o", "run", "--recipe", "tiny_robot", "--stage-steps", "zero=1"]),
        ("train", ["-o", "run", "--recipe", "tiny_robot", "--data", "moon=folder"]),
    ],
)
def test_a_command_that_does_not_exist_is_found(command, words):
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        _check_command(command, words, True, "here")


def test_the_table_of_folders_is_the_one_that_is_kept():
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)/` \| [^|]+ \| ([^|]*)\|$", text, re.MULTILINE)
    told = {}
    for folder, cell in rows:
        named = set(re.findall(r"`(\w+)/`", cell))
        if cell.startswith("all of the core but"):
            told[folder] = set(CORE) - named
        else:
            told[folder] = named | (set(CORE) if cell.startswith("all of the core") else set())
    assert told == CORE | EDGE
