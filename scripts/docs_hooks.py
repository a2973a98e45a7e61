"""What `mkdocs build` puts into pages from elsewhere in the repository.

Two markers stand alone on a line of a page:

``<!-- include: PATH -->``
    The text of a Markdown file of the repository, such as a model card. Links from it to other
    files that have a page are turned into links to these pages.
``<!-- command line -->``
    Every command with its arguments and options, read from the commands themselves.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
INCLUDE = re.compile(r"^<!-- include: (?P<path>\S+) -->$", re.MULTILINE)
COMMAND_LINE = "<!-- command line -->"
LINK = re.compile(r"\]\((?P<target>[^)\s#:]+\.md)(?P<anchor>#[^)\s]*)?\)")
EXTRA = re.compile(r"\s\s\[(?P<told>[^\[\]]*)\]$")  # what typer appends to a help text
ARGUMENT = re.compile(r"^([A-Z_]+)\s<.*>$")  # the name of an argument and its Python type
BRACES = str.maketrans("", "", "{}")
ROLE = re.compile(r":(?:class|func|meth|attr|data|mod):<code>~?(?:[\w.]*\.)?(\w+)</code>")
SPECIAL = re.compile(r"([\\`*_{}\[\]<>|])")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Rebuild a page, under `mkdocs serve`, when a file that it includes changes."""
    watched = ("src", "benchmarks/results", "CHANGELOG.md")
    config.watch.extend(str(ROOT / name) for name in watched)
    return config


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page's text with its markers replaced."""
    del config
    if COMMAND_LINE in markdown:
        markdown = markdown.replace(COMMAND_LINE, "\n".join(command_line()))
    if INCLUDE.search(markdown):
        pages = included_by(files)
        markdown = INCLUDE.sub(
            lambda found: include(found["path"], page.file.src_uri, pages), markdown
        )
    return markdown


def on_page_content(html: str, **_: Any) -> str:
    """Return the page with the cross-references of docstrings shown as plain code."""
    return ROLE.sub(r"<code>\1</code>", html)


def included_by(files: Files) -> dict[str, str]:
    """Return which page shows each included file, both by path."""
    pages = {}
    for file in files.documentation_pages():
        for found in INCLUDE.finditer(file.content_string):
            pages[found["path"]] = file.src_uri
    return pages


def include(path: str, page: str, pages: dict[str, str]) -> str:
    """Return the text of a file of the repository, with links that work on the page."""

    def relinked(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link["target"]))
        if target not in pages:
            return link[0]
        place = posixpath.relpath(pages[target], posixpath.dirname(page))
        return f"]({place}{link['anchor'] or ''})"

    return LINK.sub(relinked, (ROOT / path).read_text(encoding="utf-8"))


def command_line() -> Iterator[str]:
    """Yield the Markdown lines of all commands."""
    import typer

    from napari_hemacells.cli.app import app

    yield from sections(typer.main.get_command(app), "hemacells")


def sections(command: Any, name: str, parent: Any = None) -> Iterator[str]:
    """Yield a section for each command below this one, which is a group, and for its options."""
    context = command.context_class(command, info_name=name.rpartition(" ")[2], parent=parent)
    children = {
        child: command.get_command(context, child) for child in command.list_commands(context)
    }
    for child, inner in children.items():
        whole = f"{name} {child}"
        if hasattr(inner, "list_commands"):
            yield from (f"## {whole}", "", plain(inner.help), "")
            yield from sections(inner, whole, context)
        else:
            yield from section(inner, whole, context)


def section(command: Any, name: str, parent: Any) -> Iterator[str]:
    """Yield usage, help, arguments and options of a command."""
    level = "#" * len(name.split())
    context = command.context_class(command, info_name=name.rpartition(" ")[2], parent=parent)
    usage = " ".join([name, *command.collect_usage_pieces(context)]).translate(BRACES)
    yield from (f"{level} {name}", "", plain(command.help), "", "```text", usage, "```", "")
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or parameter.name == "help":
            continue
        heading = "Arguments" if parameter.param_type_name == "argument" else "Options"
        heading = getattr(parameter, "rich_help_panel", None) or heading
        groups.setdefault(heading, []).append(row(*record))
    for heading in sorted(groups, key=lambda one: (one != "Arguments", one != "Options")):
        yield from (f"| {heading} | Meaning | Default |", "| --- | --- | --- |")
        yield from (f"| {' | '.join(cells)} |" for cells in groups[heading])
        yield ""


def row(name: str, text: str) -> tuple[str, str, str]:
    """Return how a parameter is written, what it means, and its default or that it is required.

    Examples
    --------
    >>> row("--seed INTEGER", "Seed of the draws.  [default: 0]")
    ('`--seed INTEGER`', 'Seed of the draws.', '`0`')
    """
    extra = EXTRA.search(text)
    meaning = escaped(text[: extra.start()] if extra else text)
    told = extra["told"] if extra else ""
    required = "required" in told
    found = re.search(r"default: (?P<value>[^;]*)", told)
    shown = "*required*" if required else f"`{found['value']}`" if found else ""
    bare = ARGUMENT.sub(r"\1", name)
    return f"`{bare}`", meaning, shown


def escaped(text: str) -> str:
    """Return the text on one line, with nothing in it that Markdown would read."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def plain(text: str | None) -> str:
    """Return the paragraphs of a help text, each on one line; `code` in it stays code."""
    paragraphs = (text or "").split("\n\n")
    return "\n\n".join(" ".join(one.split()) for one in paragraphs)
