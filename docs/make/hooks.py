"""What MkDocs is told besides mkdocs.yml: pages of the repository come along with those of docs/.

A page of docs/ may link to any file of the repository, as a git host shows it. Such a file becomes
part of the site: what is Markdown a page, anything else as it is. A link to a folder goes to its
README. The reference of the API is written from docs/openapi.json.
"""

import posixpath
import re
from html import escape
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from reference import reference

ROOT: Final = Path(__file__).parents[2]
#: Pages from outside docs/ that the navigation names.
BESIDE: Final = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("models/*/MODEL_CARD.md"))),
)
#: Folders that the navigation names, and what it shows below each.
FOLDERS: Final = {
    "models/": [{Path(card).parent.name: card} for card in BESIDE if card.startswith("models/")],
    "decisions/": [
        f"decisions/{path.name}"
        for path in sorted(
            (ROOT / "docs/decisions").glob("*.md"), key=lambda p: (p.name != "README.md", p.name)
        )
    ],
}
BAR: Final = "\\|"
_BARS: Final = re.compile(r"`([^`\n]*\\\|[^`\n]*)`")
_LINK: Final = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put each page of a folder into the navigation, so that a new one needs no line there."""
    for section in config.nav or ():
        for title, pages in section.items():
            if isinstance(pages, list):
                section[title] = [_expanded(entry) for entry in pages]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to outside docs/, and what is written here."""
    for asset in sorted((ROOT / "docs/make/assets").iterdir()):
        files.append(File.generated(config, f"assets/{asset.name}", content=asset.read_text()))
    text = reference(ROOT / "docs/openapi.json")
    files.append(File.generated(config, "api-reference.md", content=text))
    waiting = [*BESIDE, *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if not path.startswith("docs/"):
            files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
        if path.endswith(".md") and (ROOT / path).is_file():
            for _, target, _ in _LINK.findall((ROOT / path).read_text()):
                linked = _in_repository(path, target)
                if linked is not None and not linked.startswith("docs/"):
                    waiting.append(linked)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Point links that leave docs/ to where their files are on the site; bars in code stay bars."""
    if "\n## " not in markdown:
        page.meta.setdefault("hide", ["toc"])  # room for wide tables instead of an empty column
    own = page.file.src_uri
    path = own if own in BESIDE else f"docs/{own}"

    def moved(link: re.Match[str]) -> str:
        linked = _in_repository(path, link[2])
        if linked is None:
            return link[0]
        uri = posixpath.relpath(linked.removeprefix("docs/"), posixpath.dirname(own) or ".")
        return f"{link[1]}{uri}{link[3] or ''})"

    return _BARS.sub(_with_bars, _LINK.sub(moved, markdown))


def _with_bars(code: re.Match[str]) -> str:
    """Code of a table with bars in it, which Python-Markdown would show with their backslashes."""
    return f"<code>{escape(code[1].replace(BAR, '|')).replace('|', '&#124;')}</code>"


def _expanded(entry: dict[str, Any]) -> dict[str, Any]:
    ((title, target),) = entry.items()
    return {title: FOLDERS.get(target, target)}


def _in_repository(page: str, target: str) -> str | None:
    """The file of the repository that a link of a page goes to, None for one that is none."""
    if re.match(r"[a-z]+:", target):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
    if (ROOT / path).is_dir():
        path += "/README.md"
    return path if (ROOT / path).is_file() else None
