"""What MkDocs does beyond its own: see `mkdocs.yml`. The pages stay Markdown that reads well in the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import reference
import repository_files
from flowchart import svg
from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
ORIGIN: dict[str, str] = {}
"""Page among the site's sources -> the file of the repository that it shows."""
MERMAID = re.compile(r"^```mermaid\n(.*?)^```$", re.M | re.S)
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def on_config(config: Any) -> Any:
    """Name the reference's pages in the navigation."""
    config.nav = reference.in_navigation(config.nav, ROOT / "src" / "pixelq")
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the reference's pages, and what the pages name outside `docs/`."""
    ORIGIN.clear()
    for name, text in reference.pages(ROOT / "src" / "pixelq").items():
        files.append(File.generated(config, f"api/{name}", content=text))
    pages = [f"docs/{file.src_uri}" for file in files.documentation_pages() if not file.src_uri.startswith("api/")]
    ORIGIN.update({page.removeprefix("docs/"): page for page in pages})
    for piece in repository_files.pieces(ROOT, pages):
        ORIGIN[piece.uri] = piece.path
        if piece.text is None:
            file = File.generated(config, piece.uri, abs_src_path=str(ROOT / piece.path))
        else:
            level = InclusionLevel.NOT_IN_NAV
            file = File.generated(config, piece.uri, content=piece.text, inclusion=level)
        if files.get_file_from_path(piece.uri) is None:
            files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Links as the site needs them, folded parts as Markdown, diagrams as drawings."""
    uri = page.file.src_uri
    heading = re.search(r"^# (.+)$", repository_files.FENCED.sub("", markdown), re.M)
    if heading:
        page.meta.setdefault("title", heading[1].replace("`", ""))  # also where a comment stands above it
    if uri in ORIGIN:
        markdown = repository_files.rewritten(markdown, ORIGIN[uri], uri, ROOT)
    markdown = MERMAID.sub(lambda match: f"<figure>{svg(match[1])}</figure>", markdown)
    return re.sub(r"^<details>$", '<details markdown="1">', markdown, flags=re.M)


def on_page_content(html: str, page: Page, config: Any, files: Files) -> str:
    """Formulas as MathML, which browsers draw themselves."""

    def drawn(match: re.Match[str]) -> str:
        text = match[3].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
        return convert(text, display="block" if match[2] == "[" else "inline")

    return FORMULA.sub(drawn, html)
