"""The formats of files, by suffix. To add a file type, start here."""

from __future__ import annotations

from typing import Literal, TypeAlias

Syntax: TypeAlias = Literal[
    "plain",
    "markdown",
    "rst",
    "latex",
    "c",
    "cpp",
    "go",
    "java",
    "javascript",
    "python",
    "rust",
    "tsx",
    "typescript",
]
"""Language of a text: decides where it may be cut and what its headings are."""

Tabular: TypeAlias = Literal["csv", "tsv", "json", "jsonl", "spreadsheet"]
"""Formats that hold records."""

Office: TypeAlias = Literal["docx", "pptx", "odt", "odp", "rtf"]
"""Formats of word processors and presentations."""

Container: TypeAlias = Tabular | Office | Literal["pdf", "html", "epub", "ipynb", "eml", "mbox", "srt", "vtt"]
"""Formats whose text must be extracted first."""

STREAMED: frozenset[Container] = frozenset(("csv", "tsv", "json", "jsonl"))
"""Formats whose records are read one at a time, as they are used."""

SYNTAXES: dict[str, Syntax] = {
    **dict.fromkeys((".md", ".markdown", ".mdown", ".mdx", ".mkd", ".qmd", ".rmd"), "markdown"),
    **dict.fromkeys((".rst", ".rest"), "rst"),
    **dict.fromkeys((".tex", ".latex"), "latex"),
    **dict.fromkeys((".c", ".h"), "c"),
    **dict.fromkeys((".cc", ".cpp", ".cu", ".cxx", ".hh", ".hpp", ".hxx"), "cpp"),
    ".go": "go",
    ".java": "java",
    **dict.fromkeys((".cjs", ".js", ".jsx", ".mjs"), "javascript"),
    **dict.fromkeys((".py", ".pyi", ".pyw"), "python"),
    ".rs": "rust",
    ".tsx": "tsx",
    **dict.fromkeys((".cts", ".mts", ".ts"), "typescript"),
}
"""Syntax by suffix; a file with any other suffix is plain text, if its bytes are text."""

CONTAINERS: dict[str, Container] = {
    ".pdf": "pdf",
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    ".docx": "docx",
    ".pptx": "pptx",
    ".odt": "odt",
    ".odp": "odp",
    ".rtf": "rtf",
    ".epub": "epub",
    ".ipynb": "ipynb",
    ".eml": "eml",
    ".mbox": "mbox",
    ".srt": "srt",
    ".vtt": "vtt",
    ".json": "json",
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".csv": "csv",
    ".tsv": "tsv",
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), "spreadsheet"),
}

# fmt: off
UNSUPPORTED = frozenset(
    (
        ".7z", ".aac", ".ai", ".avi", ".avif", ".bmp", ".br", ".bz2", ".class", ".db", ".deb", ".dll", ".dmg", ".doc",
        ".docm", ".dylib", ".eot", ".exe", ".flac", ".gif", ".gz", ".heic", ".ico", ".iso", ".jar", ".jpeg", ".jpg",
        ".key", ".lz4", ".m4a", ".mkv", ".mobi", ".mov", ".mp3", ".mp4", ".mpg", ".msi", ".node", ".npy", ".npz",
        ".numbers", ".o", ".ogg", ".onnx", ".otf", ".pages", ".parquet", ".pickle", ".pkl",
        ".png", ".ppt", ".psd", ".pt", ".pth", ".pyc", ".pyd", ".pyo", ".rar", ".rpm", ".safetensors", ".so",
        ".sqlite", ".sqlite3", ".svg", ".tar", ".tgz", ".tif", ".tiff", ".ttf", ".wasm", ".wav", ".webm", ".webp",
        ".whl", ".woff", ".woff2", ".xz", ".zip", ".zst",
    )
)
# fmt: on
"""Suffixes of formats that are not read: such files are not even opened."""
