"""Pages of the site that are generated when it is built: from files beside ``docs/``, and from the code itself."""

from __future__ import annotations

import json
import os
import posixpath
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "measurements/index.md",
    "benchmarks/speed/README.md": "measurements/speed.md",
    "benchmarks/quality/README.md": "measurements/quality.md",
    "research/README.md": "measurements/research.md",
    "plugins/README.md": "adapters.md",
    "plugins/sift_rag_server/README.md": "server.md",
}
"""Files of the repository that are pages of the site too."""

SECTIONS = {
    "opening": ("Opening", ("opening",)),
    "ingestion": ("Ingestion", ("ingestion", "corpus", "clusters")),
    "retrieval": ("Retrieval", ("retrieval", "filters", "comparisons", "types", "exact", "repetition")),
    "selection": ("Selection", ("selection",)),
    "answering": ("Answering", ("answering",)),
    "finetuning": ("Fine-tuning and comparing", ("finetuning", "evaluation")),
    "parts": (
        "Stores, embedders, models",
        ("protocols", "stores", "embedders", "relevance", "models", "hub", "devices", "vectors"),
    ),
    "errors": ("Errors", ("errors",)),
}
"""Pages of the Python reference: title, and the modules whose public names they hold."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for path in ("cli", "plugins", "."):
        sys.path.insert(0, str(ROOT / path))
    for origin, page in PAGES.items():
        add(files, config, page, (ROOT / origin).read_text(encoding="utf-8"))
    add(files, config, "decisions/index.md", "\n".join(decisions()))
    add(files, config, "reference/cli.md", "\n".join(command_line()))
    document = openapi()
    add(files, config, "reference/http.md", "\n".join(http_api(document)))
    add(files, config, "reference/openapi.json", json.dumps(document, indent=1))
    for page, text in python_reference():
        add(files, config, f"reference/python/{page}.md", text)
    return files


def add(files: Files, config: MkDocsConfig, path: str, content: str) -> None:
    """Add a generated file to the site."""
    files.append(File.generated(config, path, content=content))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs calls it by name
    """Point links between files of the repository to the pages of the site; leave names of other files as text."""
    path = page.file.src_uri
    origin = {page: file for file, page in PAGES.items()}.get(path, f"docs/{path}")

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        file = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        uri = PAGES.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
        if uri is None or files.get_file_from_path(uri) is None:
            return f"`{file}`" if (ROOT / file).exists() else match[0]
        return f"[{text}]({os.path.relpath(uri, posixpath.dirname(path) or '.')}{anchor})"

    if path.startswith("reference/"):
        return markdown
    return re.sub(r"\[([^\]]+)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)]*)?\)", link, lists_after_paragraphs(markdown))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Let names in tables break after an underscore or a dot, and give the widest table the whole width."""
    if page.file.src_uri == "entry-points.md":
        page.meta["hide"] = ["toc"]

    def breakable(match: re.Match[str]) -> str:
        return re.sub(r"([_.])(?=\w)", r"\1<wbr>", match[0])

    return re.sub(
        r"<td[^>]*>.*?</td>",
        lambda found: re.sub(r"<code>[^<]*</code>", breakable, found[0]),
        html,
        flags=re.DOTALL,
    )


def lists_after_paragraphs(markdown: str) -> str:
    """Insert the blank line that Python-Markdown, unlike GitHub, wants between a paragraph and a list."""
    lines: list[str] = []
    fenced = False
    for line in markdown.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        item = re.match(r"([-*]|\d+\.) ", line) is not None
        if item and not fenced and lines and re.match(r"[^\s\-*>|#]", lines[-1]) and not re.match(r"\d+\. ", lines[-1]):
            lines.append("")
        lines.append(line)
    return "\n".join(lines)


def decisions() -> Iterator[str]:
    """Yield the list of the decisions."""
    yield "# Decisions\n\nHalf a page for each choice that somebody may want to reopen.\n"
    for path in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        number, _, rest = title.partition(". ")
        yield f"- {number}. [{rest}]({path.name})"


# --- command line


def command_line() -> Iterator[str]:
    """Yield the reference of the command line: every command with its options, as ``--help`` has them."""
    import typer

    from sift_rag_cli.app import app

    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="sift-rag")
    yield f"# Command line\n\n{prose(group.help)}\n"
    yield from options(group, context)
    for name, command in group.commands.items():
        yield f"\n## sift-rag {name}\n\n{prose(command.help)}\n"
        inner = typer.Context(command, info_name=f"sift-rag {name}", parent=context)
        pieces = " ".join(command.collect_usage_pieces(inner))
        yield f"```text\nsift-rag {name} {pieces}\n```\n"
        yield from options(command, inner)
        yield from examples(command, inner)


def options(command: Any, context: Any) -> Iterator[str]:
    """Yield a table of options for each group of them."""
    groups: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        record = None if getattr(parameter, "hidden", False) else parameter.get_help_record(context)
        if record is None:
            continue
        names, text = record[0].partition(" <")[0], record[1]
        title = "Arguments" if parameter.param_type_name == "argument" else parameter.rich_help_panel or "Options"
        groups.setdefault(title, []).append(f"| <code>{cell(names)}</code> | {cell(text)} |")
    for title, rows in groups.items():
        yield f"\n| {title} | |\n|---|---|"
        yield from rows


def prose(text: str | None) -> str:
    """Return help text as Markdown: no form feeds, and literal asterisks."""
    return (text or "").replace("\f", "").replace("\b", "").replace("*", "\\*").strip()


def examples(command: Any, context: Any) -> Iterator[str]:
    """Yield the examples under a command's help as a block of code."""
    formatter = context.make_formatter()
    command.format_epilog(context, formatter)
    lines = [line.strip() for line in formatter.getvalue().strip().splitlines()]
    if lines:
        yield "\n```bash\n" + "\n".join(lines[1:] if lines[0].endswith(":") else lines) + "\n```"


def cell(text: str) -> str:
    """Return text that can stand in a cell of a table."""
    text = re.sub(r"\s+", " ", text).strip()
    return text.replace("<", "&lt;").replace("|", "&#124;").replace("*", "\\*")


# --- HTTP


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document of a server with a key."""
    from sift_rag_server import create_app  # the package that `sift-rag serve` runs
    from sift_rag_server.service import Service
    from sift_rag_server.settings import ServerSettings

    return create_app(Service(ServerSettings(api_key="key"))).openapi()


def http_api(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the reference of the HTTP API: every route with the fields of its body and its replies."""
    yield "# HTTP API\n\nGenerated from the server's own document ([openapi.json](openapi.json)), which it serves at"
    yield "`/openapi.json`. How to run it: [HTTP server](../server.md).\n"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"\n## {method.upper()} {path}\n"
            yield f"{operation.get('description') or operation.get('summary', '')}\n"
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            for schema in bodies(body, document):
                yield from fields(schema)
            yield "\n| status | |\n|---|---|"
            for status, reply in operation.get("responses", {}).items():
                yield f"| {status} | {cell(reply.get('description', ''))} |"
    yield "\n## Schemas\n"
    for name, schema in document["components"]["schemas"].items():
        if "properties" in schema:
            yield f"\n### {name}\n\n{schema.get('description', '')}\n"
            yield from fields(schema, title=False)


def bodies(schema: Mapping[str, Any] | None, document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects that a body may be."""
    if schema is None:
        return
    if "$ref" in schema:
        yield from bodies(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
        for alternative in alternatives:
            yield from bodies(alternative, document)
    else:
        yield schema


def fields(schema: Mapping[str, Any], *, title: bool = True) -> Iterator[str]:
    """Yield a table of an object's fields."""
    required = schema.get("required", ())
    if title:
        yield f"\n**{schema.get('title', 'Body')}**"
    yield "\n| field | type | |\n|---|---|---|"
    for name, field in schema.get("properties", {}).items():
        notes = [field.get("description", "")]
        if name in required:
            notes.append("Required.")
        elif field.get("default") is not None:
            notes.append(f"Default: `{json.dumps(field['default'])}`.")
        yield f"| `{name}` | {cell(type_name(field))} | {cell(' '.join(notes))} |"


def type_name(field: Mapping[str, Any]) -> str:
    """Return the type of a field in a word or two."""
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if alternatives := field.get("anyOf") or field.get("oneOf"):
        return " or ".join(dict.fromkeys(type_name(alternative) for alternative in alternatives))
    if "enum" in field:
        return " or ".join(json.dumps(value) for value in field["enum"])
    if "const" in field:
        return json.dumps(field["const"])
    if field.get("type") == "array":
        return f"list of {type_name(field.get('items', {}))}"
    return str(field.get("type", "any"))


# --- Python


def python_reference() -> Iterator[tuple[str, str]]:
    """Yield the pages of the Python reference: every public name, grouped by the module that defines it."""
    homes = public_names()
    index = ["# Python", "", "Everything below can be imported from `sift_rag`.", ""]
    for page, (title, modules) in SECTIONS.items():
        names = [name for name, module in homes.items() if module.split(".")[0] in modules]
        text = [f"# {title}", "", *(f"::: sift_rag.{homes[name]}.{name}" for name in names)]
        links = [f"[`{name}`][sift_rag.{homes[name]}.{name}]" for name in names]
        index += [f"## [{title}]({page}.md)", "", ", ".join(links), ""]
        yield page, "\n".join(text) + "\n"
        for name in names:
            del homes[name]
    if homes:
        raise ValueError(f"docs/hooks.py, SECTIONS: no page for {homes}")
    yield "index", "\n".join(index)


def public_names() -> dict[str, str]:
    """Return the public names of ``sift_rag``, each with the module below ``sift_rag`` that it is imported from."""
    import sift_rag

    return dict(sorted(sift_rag._HOME.items()))  # noqa: SLF001 - the table behind its lazy imports
