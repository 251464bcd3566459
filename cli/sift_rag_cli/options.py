"""The options that commands share, each named once: flag, environment variable, help."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from sift_rag_cli.configuration import KernelName, SelectorName
from sift_rag_cli.stores import without_key_if_from_working_directory

# Equal to what the library uses; written here so that parsing the command line loads no library part.
DEFAULT_COLLECTION = "documents"
DEFAULT_EMBEDDER = "all-MiniLM-L6-v2"
DEFAULT_K = 5
DEFAULT_CANDIDATES = 100
DEFAULT_LENGTHSCALE = 0.5
DEFAULT_NOISE_VARIANCE = 5.0
DEFAULT_CENTRING = 0.5
DEFAULT_MAX_NEW_TOKENS = 512
DEFAULT_STEPS = 50
DEFAULT_MIN_GAIN = 0.3  # docs/log.md, "When there is nothing to learn"

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PATH|URL",
        envvar="SIFT_RAG_STORE",
        callback=without_key_if_from_working_directory,
        help="Where the collections are: a folder, or a Qdrant server such as http://localhost:6333, whose key comes "
        "from SIFT_RAG_QDRANT_API_KEY. Default: the user's data folder.",
    ),
]
Collection = Annotated[
    str,
    typer.Option("--collection", metavar="NAME", envvar="SIFT_RAG_COLLECTION", help="Which collection."),
]
Embedder = Annotated[
    str | None,
    typer.Option(
        "--embedder",
        metavar="NAME",
        envvar="SIFT_RAG_EMBEDDER",
        help=f"Embedding model. Default: the collection's own; {DEFAULT_EMBEDDER} for a new one.",
    ),
]
VectorName = Annotated[
    str | None,
    typer.Option(
        "--vector-name",
        metavar="NAME",
        envvar="SIFT_RAG_VECTOR_NAME",
        help="For a server's collection that another tool made: the vector to search by. Default: the only one.",
    ),
]
TextKey = Annotated[
    str | None,
    typer.Option(
        "--text-key",
        metavar="KEY",
        envvar="SIFT_RAG_TEXT_KEY",
        help="Likewise: the payload field that is the text, with dots into objects. Default: found out.",
    ),
]
SourceKey = Annotated[
    str | None,
    typer.Option(
        "--source-key",
        metavar="KEY",
        envvar="SIFT_RAG_SOURCE_KEY",
        help="Likewise: the payload field that names the document. Default: found out.",
    ),
]
ShardNumber = Annotated[
    int | None,
    typer.Option(
        "--shard-number", metavar="N", min=1, help="For a new collection on a server: shards that a cluster spreads."
    ),
]
ReplicationFactor = Annotated[
    int | None, typer.Option("--replication-factor", metavar="N", min=1, help="Likewise: copies of each shard.")
]
WriteConsistencyFactor = Annotated[
    int | None,
    typer.Option(
        "--write-consistency-factor",
        metavar="N",
        min=1,
        help="Likewise: copies that must have a write before it counts.",
    ),
]
OnDisk = Annotated[bool, typer.Option("--on-disk", help="Likewise: vectors stay on disk. Less memory, slower.")]
Float16 = Annotated[
    bool, typer.Option("--float16", help="Likewise: vectors of half the size, rounded to 11 bits a number.")
]
Quantize = Annotated[
    bool,
    typer.Option(
        "--quantize",
        help="Likewise: int8 copies of the vectors in memory, for other tools' approximate searches. Passages are "
        "always chosen by the true vectors.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else.")]

K = Annotated[int, typer.Option("-k", metavar="N", min=1, envvar="SIFT_RAG_K", help="How many passages to choose.")]
Selector = Annotated[
    SelectorName,
    typer.Option(
        "--selector", envvar="SIFT_RAG_SELECTOR", help="How to choose: jointly (sift), or a baseline to compare with."
    ),
]
Kernel = Annotated[
    KernelName, typer.Option("--kernel", envvar="SIFT_RAG_KERNEL", help="How similarity of passages is measured.")
]
Lengthscale = Annotated[
    float,
    typer.Option("--lengthscale", metavar="F", envvar="SIFT_RAG_LENGTHSCALE", help="Reach of the rbf kernel."),
]
NoiseVariance = Annotated[
    float,
    typer.Option(
        "--noise-variance",
        metavar="F",
        envvar="SIFT_RAG_NOISE_VARIANCE",
        help="How little one passage settles: smaller avoids repetition more, larger is closer to nearest neighbour.",
    ),
]
Centring = Annotated[
    float,
    typer.Option(
        "--centring",
        metavar="F",
        envvar="SIFT_RAG_CENTRING",
        help="Shard of what all candidates have in common that the rbf kernel does not see, 0 to 1.",
    ),
]
Candidates = Annotated[
    int,
    typer.Option(
        "--candidates",
        metavar="N",
        min=1,
        envvar="SIFT_RAG_CANDIDATES",
        help="How many distinct nearest passages to choose from.",
    ),
]
Given = Annotated[
    list[str] | None,
    typer.Option(
        "--given",
        metavar="FILE|ID",
        help="Already known: a file, a passage's id, or a source in the collection. Choose what it does not say. "
        "Repeatable.",
    ),
]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="KEY=VALUE",
        help="Choose only from sources that match a glob (source='docs/*', all below docs) or from what has this "
        "metadata (tag=x: front matter, fields, columns). Repeatable: any value of a key, and all keys.",
    ),
]

StopExplained = Annotated[
    float | None,
    typer.Option(
        "--stop-explained",
        metavar="F",
        envvar="SIFT_RAG_STOP_EXPLAINED",
        help="Choose no more once this share of what all candidates could tell is told, 0 to 1.",
    ),
]
StopVariance = Annotated[
    float | None,
    typer.Option(
        "--stop-variance",
        metavar="F",
        envvar="SIFT_RAG_STOP_VARIANCE",
        help="Choose no more once the variance is at most this.",
    ),
]
Alpha = Annotated[
    float | None,
    typer.Option(
        "--alpha",
        metavar="F",
        envvar="SIFT_RAG_ALPHA",
        help="Choose no more once the variance falls too slowly: passage n is kept while F * n * sqrt(variance) <= 1.",
    ),
]
TokenBudget = Annotated[
    int | None,
    typer.Option(
        "--token-budget",
        metavar="N",
        min=1,
        envvar="SIFT_RAG_TOKEN_BUDGET",
        help="Choose passages of at most so many tokens in all; what no longer fits is passed over.",
    ),
]
Exhaustive = Annotated[
    bool,
    typer.Option(
        "--exhaustive",
        envvar="SIFT_RAG_EXHAUSTIVE",
        help="Choose from the whole collection, not from the nearest; say whether the choice is proven.",
    ),
]
MaxVariance = Annotated[
    float | None,
    typer.Option(
        "--max-variance",
        metavar="F",
        envvar="SIFT_RAG_MAX_VARIANCE",
        help="End with exit code 3 if all candidates together would leave more variance than this for a question.",
    ),
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME|PATH",
        envvar="SIFT_RAG_MODEL",
        help="Language model: a name or folder for transformers, or the endpoint's name for it.",
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        envvar="SIFT_RAG_BASE_URL",
        help="An OpenAI-compatible endpoint. Its key comes from SIFT_RAG_API_KEY or OPENAI_API_KEY.",
    ),
]
System = Annotated[
    str | None,
    typer.Option("--system", metavar="TEXT", envvar="SIFT_RAG_SYSTEM", help="Instructions in place of the usual ones."),
]
MaxNewTokens = Annotated[
    int,
    typer.Option(
        "--max-new-tokens",
        metavar="N",
        min=1,
        envvar="SIFT_RAG_MAX_NEW_TOKENS",
        help="Longest answer; the prompt gets the rest of the model's context.",
    ),
]

PresetName: TypeAlias = Literal["gpt2", "gpt2-large", "phi-3", "qwen3-0.6b"]
Preset = Annotated[
    PresetName | None,
    typer.Option(
        "--preset",
        envvar="SIFT_RAG_PRESET",
        help="A model with its settings of fine-tuning. --model, --learning-rate, --rank and --full overrule it.",
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        "--learning-rate",
        metavar="F",
        envvar="SIFT_RAG_LEARNING_RATE",
        help="Of fine-tuning. Default: by the method and the size of the model.",
    ),
]
Rank = Annotated[
    int | None,
    typer.Option("--rank", metavar="N", min=1, envvar="SIFT_RAG_RANK", help="Of LoRA's addition. Default: 16."),
]
Full = Annotated[bool, typer.Option("--full", help="Fine-tune all weights, not a low-rank addition (LoRA).")]

Mode = Annotated[
    Literal["context", "finetune", "both"],
    typer.Option(
        "--mode",
        envvar="SIFT_RAG_MODE",
        help="Answer with passages in the prompt, from a model fine-tuned on passages for this question, or with both.",
    ),
]
Steps = Annotated[
    int, typer.Option("--steps", metavar="N", min=1, envvar="SIFT_RAG_STEPS", help="Most steps of fine-tuning.")
]
TimeBudget = Annotated[
    float | None,
    typer.Option("--time-budget", metavar="SECONDS", envvar="SIFT_RAG_TIME_BUDGET", help="For the steps."),
]
MinGain = Annotated[
    float,
    typer.Option(
        "--min-gain",
        metavar="F",
        envvar="SIFT_RAG_MIN_GAIN",
        help="Do not fine-tune if the passages would explain less of the variance than this share: then the collection "
        "is about something else.",
    ),
]
SaveAdapter = Annotated[
    Path | None,
    typer.Option("--save-adapter", metavar="DIR", help="Keep what was learnt, as a PEFT adapter in a new folder."),
]
