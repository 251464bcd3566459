"""Names and numbers that are the same at every entry point. Imports nothing, so that parsing a command line stays fast.

Each number has its reason beside it; where it was measured, ``docs/log.md`` has the measurement.
"""

COLLECTION = "documents"
READ_WAIT_SECONDS = 10.0
"""Time to wait for a process that writes to a collection in a folder: most ingests of a few changed files take less."""
WRITE_WAIT_SECONDS = 60.0
"""Time to wait for readers and writers before writing. Longer: readers come and go, a server closes a collection when
nobody has asked for five seconds, and a job at night should not fail because of a search."""
EMBEDDER = "all-MiniLM-L6-v2"
RUNTIME = "auto"
RUNTIMES = ("auto", "onnx", "openvino", "torch")
"""Runtimes that can compute the vectors of an embedder on this machine; ``auto`` chooses."""

K = 5
CANDIDATE_LIMIT = 100
"""Number of distinct candidates to select from, per target."""
EXACT_SEARCH_PASSAGES = 50_000
"""Largest number of passages that are all compared with a question; beyond, a graph of neighbours is searched, if the
collection has one. Measured: docs/log.md, "A million passages"."""
UNOPTIMIZED_PASSAGES = 20_000
"""Number of passages written since the last ``optimize`` from which it is due, if they are a tenth of the collection:
each takes 24 to 40 µs whenever a folder is opened. Measured: docs/log.md, "A million passages, optimised"."""
GRAPH_EFFORT = 256
"""Passages that a search by the graph keeps in view (HNSW's ef), at least: twice those asked for if that is more."""
WORD_CANDIDATES = 30
"""Lexical candidates to add to them. Measured, like the defaults of words and following below: docs/log.md, "Words in
the kernel, and following the evidence"."""

KERNEL = "rbf"
KERNELS = ("rbf", "linear")
LENGTHSCALE = 0.5
"""Measured on context windows: docs/log.md, "The default for a context window"."""
NOISE_VARIANCE = 5.0
"""Large enough for a context window. The paper's linear kernel, for fine-tuning, needs 0.01 to 1."""
CENTRING = 0.5
"""Measured: docs/log.md, "The default for a context window"."""

WORDS = 0.5
"""Weight of words in the similarity of two texts."""
IDENTIFIER_WORDS = 0.8
"""The same, if a question contains a rare identifier that a passage contains too."""
LANGUAGE = "english"
FOLLOW = 1.0
"""Weight of the follow-up target: question and first passage together."""
FOLLOW_AFTER = 3
"""Picks per target of the question before the first passage is followed."""
FOLLOW_CANDIDATES = 100
"""Nearest passages that the second search looks at."""

RELEVANCE_SCALE = 0.5
"""Scale of reranker scores: a score s becomes the covariance exp((s - 1) / scale) with the target."""

PLACES = 8
"""Nearest passages that are searched for copies when a collection's repetition is measured."""
PROBES = 100
"""Passages that are asked as questions for it."""

MMR_RELEVANCE = 0.9
DPP_QUALITY_SCALE = 12.0
RRF_CONSTANT = 60.0

SELECTOR = "sift"
SELECTORS = {
    "sift": "Sift",
    "nearest": "Nearest",
    "mmr": "Mmr",
    "dpp": "Dpp",
    "facility-location": "FacilityLocation",
    "hull": "Hull",
    "hybrid": "Hybrid",
    "uncertainty": "Uncertainty",
    "random": "Random",
}
"""Every selector by name, with its class in ``sift_rag.selection``."""

MODES = ("context", "finetune", "both")
"""Ways to answer: passages in the prompt, a model fine-tuned on passages, or both."""
MAX_NEW_TOKENS = 512
TRAINING_CANDIDATES = 200
"""Number of distinct candidates to select training passages from (the paper's K)."""
STEPS = 50
"""Number of fine-tuning steps (the paper's N)."""
MIN_GAIN = 0.3
"""Measured: docs/log.md, "When there is nothing to learn"."""
COMPARED_ARMS = ("context", "finetune")
"""Modes that a comparison of context and fine-tuning measures."""
COMPARED_KS = (5, 20, 50)
COMPARED_SELECTORS = ("nearest", "sift")
EVALUATED_SELECTORS = ("sift", "nearest", "hybrid", "mmr", "dpp")
EVALUATED_KS = (4, 8)
CALIBRATED_WORDS = (0.0, 0.25, 0.5, 0.75, 0.9)
CALIBRATED_NOISE_VARIANCES = (2.0, 5.0, 20.0)
CALIBRATED_FOLLOWS = (0.0, 1.0)
"""Values that a calibration compares with the current ones."""
ANSWERED_SHARE = 0.95
"""Share of answerable questions that pass a proposed threshold."""
GENERATED_QUESTIONS = 100
PRESETS = ("gpt2", "gpt2-large", "phi-3", "qwen3-0.6b")

MAX_BYTES = 64 * 2**20
"""Maximum size of a file, in bytes; larger ones are skipped."""
FILE_TIMEOUT = 60.0
"""Seconds that the conversion of one file may take; each page that is read by OCR adds half as many."""
OCR = "auto"
OCR_MODES = ("auto", "off")
