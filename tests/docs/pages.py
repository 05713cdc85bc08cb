"""Pages of Markdown as a git host reads them: their links, headings and fenced blocks."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^( *)(```+)(\w*)\n(.*?)^\1\2 *$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: from the root of the repository.
        line: of its first fence.
    """

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def pages() -> tuple[str, ...]:
    """Every page of the project, from its root."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/*/*.md")]
    return tuple(sorted(str(path.relative_to(ROOT)) for path in found))


@cache
def text_of(page: str) -> str:
    """What is in a page."""
    return (ROOT / page).read_text()


def blocks(page: str, *languages: str) -> list[Block]:
    """The fenced blocks of a page, in order, of these languages."""
    text = text_of(page)
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[3], _dedented(found[4], found[1]))
        for found in _FENCE.finditer(text)
        if found[3] in languages
    ]


def all_blocks(*languages: str) -> list[Block]:
    """The fenced blocks of every page, of these languages."""
    return [block for page in pages() for block in blocks(page, *languages)]


def prose(page: str) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", text_of(page))


def links(page: str) -> list[str]:
    """Where a page's links and pictures go, other hosts left out."""
    found = _LINK.findall(re.sub(r"`[^`]*`", "", prose(page)))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


@cache
def anchors(page: str) -> frozenset[str]:
    """What a git host calls the headings of a page."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose(page)):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return frozenset(found)


def commands(text: str) -> Iterator[list[str]]:
    """The simple commands of some shell, each as its words, redirections and variables left out."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for substituted in re.findall(r"\$\(([^()]*)\)", joined):
        yield from commands(substituted)
    for line in re.sub(r"\$\([^()]*\)", "X", joined).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        yield from _simple(list(lexer))


def _simple(words: list[str]) -> Iterator[list[str]]:
    command: list[str] = []
    skip = False
    for word in [*words, ";"]:
        if skip:
            skip = False
        elif set(word) <= set("<>&") and set(word) & set("<>"):
            skip = True
            if command and command[-1].isdigit():
                command.pop()
        elif set(word) <= set("|&;()"):
            if command:
                yield command
            command = []
        elif command or not re.fullmatch(r"\w+=.*|until|do|done|export|\w+\(\)|[{}]", word):
            command.append(word)


def _dedented(text: str, indent: str) -> str:
    return re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) if indent else text
