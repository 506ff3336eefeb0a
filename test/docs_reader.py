"""What the Markdown pages say: links, headings, code, and the command lines in it."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
DOCS = PROJECT / "docs"
PAGES = sorted(DOCS.rglob("*.md")) + [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^|\n)\n((?: {4}.*\n?)+)")
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"(!?)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+(?:\([^()]*\))?[^()\s]*)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
PLACEHOLDERS = re.compile(r"\.\.\.|^[A-Z][A-Z_]+$|^<.*>$")
_SEPARATORS = re.compile(r"&&|\|\||[|;]")
_STARTERS = ("sudo", "exec", "python3", "python", "bash")


@dataclass(frozen=True)
class Code:
    """A block of code in a page: its language ("" where none is said) and text."""

    language: str
    text: str


def name_of(page: Path) -> str:
    """Return a page's path in the project, for messages."""
    return page.relative_to(PROJECT).as_posix()


def code_blocks(text: str) -> list[Code]:
    """Return fenced blocks, and those that are indented by four spaces after an empty line."""
    fenced = [Code(found["language"], found["text"]) for found in _FENCE.finditer(text)]
    rest = _FENCE.sub("", text)
    return fenced + [Code("", found) for found in _INDENTED.findall(rest)]


def inline_code(text: str) -> list[str]:
    """Return what stands between single backticks, outside of blocks."""
    return [found.replace("\\|", "|") for found in _INLINE.findall(_FENCE.sub("", text))]


def links(text: str) -> list[str]:
    """Return the targets of links and pictures, outside of code."""
    prose = _INLINE.sub("", _FENCE.sub("", text))
    return [target for _, target in _LINK.findall(prose)]


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as Python-Markdown and as GitHub make them."""
    found = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode("ascii")
        plain = re.sub(r"[^\w\s-]", "", plain).strip().lower()
        found |= {re.sub(r"[-\s]+", "-", plain), re.sub(r"\s", "-", plain)}
    return found


def command_lines(text: str) -> Iterator[list[str]]:
    """Yield the words of each command in a shell block or an inline code, without comments and what starts others."""
    for line in text.replace("\\\n", " ").splitlines():
        try:
            words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        except ValueError:  # prose with an apostrophe, not a command
            continue
        command: list[str] = []
        for word in [*words, ";"]:
            if not _SEPARATORS.fullmatch(word):
                command.append(word)
                continue
            if started := _without_starters(command):
                yield started
            command = []


def _without_starters(words: list[str]) -> list[str]:
    if "-m" in words[:-1]:  # python -m PROGRAM, torchrun ... -m PROGRAM
        words = words[words.index("-m") + 1 :]
    while words and ("=" in words[0] and words[0].split("=")[0].isidentifier() or words[0] in _STARTERS):
        words = words[1:]
    program = words[0].rsplit("/", 1)[-1] if words else ""
    return [program, *words[1:]] if program else []


def commands(page: Path) -> Iterator[tuple[list[str], bool]]:
    """Yield (words, whether all of them are meant literally) of each command line in a page."""
    text = page.read_text(encoding="utf-8")
    for block in code_blocks(text):
        if block.language in ("", "bash"):
            yield from (
                (words, not any(PLACEHOLDERS.search(word) for word in words)) for words in command_lines(block.text)
            )
    for code in inline_code(text):
        yield from ((words, False) for words in command_lines(code))
