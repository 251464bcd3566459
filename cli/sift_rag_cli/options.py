"""The options that commands share, each defined once.

An option with an environment variable can also stand in ``sift-rag.toml``. Rarer settings have no option of their own:
``settings.py``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from sift_rag import defaults
from sift_rag.suggestions import suggestion
from sift_rag_cli.completion import collection_names, source_names
from sift_rag_cli.kinds import CHOICES

PASSAGES = "Passages"
ANSWER = "Answer"
FINE_TUNING = "Fine-tuning"
COLLECTION = "Collection"
OUTPUT = "Output"
SERVER = "Server"
PROCESSES = "Several processes"


def one_of(name: str) -> Callable[[str], str]:
    """Return a check that a value is one of ``CHOICES[name]``."""

    def check(value: str) -> str:
        choices = CHOICES[name]
        if value in choices:
            return value
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(choices)}.{suggestion(value, choices)}")

    return check


Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        "-s",
        metavar="PATH|URL",
        envvar="SIFT_RAG_STORE",
        rich_help_panel=COLLECTION,
        help="Where collections are kept: a folder, or a Qdrant server such as http://localhost:6333 (set its key in "
        "SIFT_RAG_QDRANT_API_KEY). Default: your data folder.",
    ),
]
Collection = Annotated[
    str,
    typer.Option(
        "--collection",
        "-c",
        metavar="NAME",
        envvar="SIFT_RAG_COLLECTION",
        autocompletion=collection_names,
        rich_help_panel=COLLECTION,
        help="Name of the collection.",
    ),
]
Embedder = Annotated[
    str | None,
    typer.Option(
        "--embedder",
        "-e",
        metavar="NAME",
        envvar="SIFT_RAG_EMBEDDER",
        rich_help_panel=COLLECTION,
        help=f"Embedding model. Default: the one the collection was made with, {defaults.EMBEDDER} for a new one.",
    ),
]
Wait = Annotated[
    float | None,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        min=0,
        envvar="SIFT_RAG_WAIT",
        rich_help_panel=COLLECTION,
        help="Wait this long if another process writes to the collection, or reads what is to be written; 0 does not "
        f"wait. Only for a store in a folder. Default: {defaults.READ_WAIT_SECONDS:g} to read, "
        f"{defaults.WRITE_WAIT_SECONDS:g} to write.",
    ),
]
EmbedderUrl = Annotated[
    str | None,
    typer.Option(
        "--embedder-url",
        metavar="URL",
        envvar="SIFT_RAG_EMBEDDER_URL",
        rich_help_panel=COLLECTION,
        help="Embed with the model that --embedder names at an OpenAI-compatible endpoint, such as "
        "http://localhost:11434/v1. Set its API key in SIFT_RAG_EMBEDDER_KEY or OPENAI_API_KEY.",
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        rich_help_panel=PROCESSES,
        help="Do the work on a Ray cluster: local for processes on this machine, auto for the cluster that it is in, "
        "HOST:PORT for another one. Without an address: auto, or local where there is no cluster.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change any other setting; `sift-rag settings` lists them. Repeatable.",
    ),
]
Json = Annotated[bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON object and nothing else.")]
Html = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        rich_help_panel=OUTPUT,
        help="Also write everything to one HTML page to share: it loads nothing and runs nothing.",
    ),
]

K = Annotated[
    int,
    typer.Option("-k", metavar="N", min=1, envvar="SIFT_RAG_K", rich_help_panel=PASSAGES, help="Number of passages."),
]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="KEY=VALUE",
        rich_help_panel=PASSAGES,
        help="Use only matching passages: source='docs/*' matches file names, tag=x matches metadata (front matter, "
        "JSON fields, CSV columns). 'year>=2024' (also >, <=, <) compares numbers and ISO dates, 'tag!=x' leaves "
        "passages out, 'name~=a*' is a glob. Repeatable: all must match, but values of one key, and globs for one key, "
        "are alternatives.",
    ),
]
Known = Annotated[
    list[str] | None,
    typer.Option(
        "--known",
        metavar="FILE|ID",
        autocompletion=source_names,
        rich_help_panel=PASSAGES,
        help="Something you know already: a file, or a source or passage id of the collection. Passages are "
        "selected to add to it. Repeatable.",
    ),
]
TokenBudget = Annotated[
    int | None,
    typer.Option(
        "--token-budget",
        metavar="N",
        min=1,
        envvar="SIFT_RAG_TOKEN_BUDGET",
        rich_help_panel=PASSAGES,
        help="Select passages with at most N tokens in total.",
    ),
]
Context = Annotated[
    int,
    typer.Option(
        "--context",
        metavar="N",
        min=0,
        envvar="SIFT_RAG_CONTEXT",
        rich_help_panel=PASSAGES,
        help="Add the N passages before and after each one from its document. They count in --token-budget.",
    ),
]
Selector = Annotated[
    str,
    typer.Option(
        "--selector",
        metavar="NAME",
        envvar="SIFT_RAG_SELECTOR",
        callback=one_of("selector"),
        autocompletion=lambda: list(CHOICES["selector"]),
        rich_help_panel=PASSAGES,
        help=f"How to select passages: {', '.join(CHOICES['selector'])}.",
    ),
]
Reranker = Annotated[
    str | None,
    typer.Option(
        "--reranker",
        metavar="NAME|PATH",
        envvar="SIFT_RAG_RERANKER",
        rich_help_panel=PASSAGES,
        help="Score candidates' relevance with a cross-encoder, given by Hugging Face name or folder; with "
        "--reranker-url, the name of the endpoint's model.",
    ),
]
RerankerUrl = Annotated[
    str | None,
    typer.Option(
        "--reranker-url",
        metavar="URL",
        envvar="SIFT_RAG_RERANKER_URL",
        rich_help_panel=PASSAGES,
        help="Score candidates' relevance with a Cohere-compatible rerank endpoint, such as http://localhost:8000/v1. "
        "Set its API key in SIFT_RAG_RERANKER_KEY.",
    ),
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        envvar="SIFT_RAG_EXACT",
        rich_help_panel=PASSAGES,
        help="Select from the whole collection instead of the nearest passages, and say whether the selection is "
        "proven to be the best.",
    ),
]
ExactSearch = Annotated[
    bool,
    typer.Option(
        "--exact-search",
        rich_help_panel=PASSAGES,
        help="Compare the question with every passage, in a large collection too.",
    ),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain",
        rich_help_panel=OUTPUT,
        help="Show what each passage adds, and which near neighbours were left out.",
    ),
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|PATH",
        envvar="SIFT_RAG_MODEL",
        rich_help_panel=ANSWER,
        help="Language model: a Hugging Face name, a folder or a GGUF file; with --base-url, the endpoint's name.",
    ),
]
LocalModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|PATH",
        envvar="SIFT_RAG_MODEL",
        help="Language model: a Hugging Face name, a folder or a GGUF file.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        envvar="SIFT_RAG_DEVICE",
        help="Device for the model: cpu, cuda, cuda:1, mps. Default: the GPU if there is one.",
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        envvar="SIFT_RAG_BASE_URL",
        rich_help_panel=ANSWER,
        help="An OpenAI-compatible endpoint. Set its API key in SIFT_RAG_API_KEY or OPENAI_API_KEY.",
    ),
]
System = Annotated[
    str | None,
    typer.Option(
        "--system",
        metavar="TEXT",
        envvar="SIFT_RAG_SYSTEM",
        rich_help_panel=ANSWER,
        help="Instructions for the model, added before the rules on citations.",
    ),
]
Mode = Annotated[
    str,
    typer.Option(
        "--mode",
        metavar="MODE",
        envvar="SIFT_RAG_MODE",
        callback=one_of("mode"),
        autocompletion=lambda: list(CHOICES["mode"]),
        rich_help_panel=ANSWER,
        help="Put the passages into the prompt (context), fine-tune the model on them for this question (finetune), "
        "or both. Fine-tuning needs a model on this machine.",
    ),
]
Steps = Annotated[
    int,
    typer.Option(
        "--steps",
        metavar="N",
        min=1,
        envvar="SIFT_RAG_STEPS",
        rich_help_panel=FINE_TUNING,
        help="Maximum number of fine-tuning steps.",
    ),
]
SaveAdapter = Annotated[
    Path | None,
    typer.Option(
        "--save-adapter",
        metavar="DIR",
        rich_help_panel=FINE_TUNING,
        help="Save the fine-tuned weights as a PEFT adapter in a new folder.",
    ),
]

AllowIngest = Annotated[
    bool,
    typer.Option(
        "--allow-ingest",
        envvar="SIFT_RAG_ALLOW_INGEST",
        rich_help_panel=SERVER,
        help="Let the page at / and agents at /mcp add documents to collections and delete them.",
    ),
]
Roots = Annotated[
    list[Path] | None,
    typer.Option(
        "--root",
        metavar="DIR",
        rich_help_panel=SERVER,
        help="Folder that agents may ingest from. Repeatable; without one they cannot ingest.",
    ),
]
Uploads = Annotated[
    Path | None,
    typer.Option(
        "--uploads",
        metavar="FOLDER",
        envvar="SIFT_RAG_UPLOADS",
        rich_help_panel=SERVER,
        help="Folder that keeps the documents added on the page; implies --allow-ingest. Default: .uploads beside the "
        "collections.",
    ),
]
