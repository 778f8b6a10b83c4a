"""mkdocs' hook: what the reference says of commands, settings, errors and Python names comes from the code itself."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from command_pages import fill_in_commands
from configuration_page import configuration_page
from error_page import fill_in_errors
from python_pages import python_pages
from recipes_page import recipes_page

ROOT = Path(__file__).parents[2]
_DRAWING = re.compile(r'<img [^>]*src="[^"]*images/([\w-]+\.svg)"[^>]*>')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made as a whole."""
    pages = {
        "reference/configuration.md": configuration_page(),
        "reference/recipes.md": recipes_page(),
        "changelog.md": changelog_page(),
        **python_pages(),
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Fill in what stands between written text: `<!-- command: amiss extract -->`, `<!-- errors -->`."""
    if page.file.src_uri == "reference/commands.md":
        return fill_in_commands(markdown)
    if page.file.src_uri == "reference/errors.md":
        return fill_in_errors(markdown)
    return markdown


def on_page_content(html: str, **_: object) -> str:
    """Put drawings into the page itself, whose colours they take on."""
    return _DRAWING.sub(lambda image: drawing(image[1]), html)


def drawing(name: str) -> str:
    """A drawing without the colours that it has as a picture of its own."""
    text = (ROOT / "docs" / "images" / name).read_text(encoding="utf-8")
    return re.sub(r"^ *(svg\.diagram|@media).*\n", "", text, flags=re.MULTILINE)


def changelog_page() -> str:
    """CHANGELOG.md, which lies beside README.md; its links into docs/ become links within the site."""
    return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/", "](")
