"""SIFT in Haystack: a retriever, a ranker and a prompt in a pipeline that is saved and loaded again.

It writes only to a temporary folder. Connect the prompt to your generator.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from haystack import Pipeline
from haystack.components.builders import PromptBuilder

from sift_rag import ingest_paths
from sift_rag_haystack import SiftRanker, SiftRetriever

HANDBOOK = {
    "booking.md": "Flights are booked by the travel desk, at least two weeks ahead.",
    "booking-2024.md": "Flights are booked by the travel desk,\nat least two weeks ahead.",  # a copy: it counts once
    "hotels.md": "Hotels are paid up to 120 a night; ask before you book a dearer one.",
    "trains.md": "Train journeys of less than four hours take the place of flights.",
    "canteen.md": "The canteen serves lunch from half past eleven.",
}
QUESTION = "What must I know before I book a trip?"
TEMPLATE = """Answer from these passages:
{% for document in documents %}[{{ document.meta.source }}] {{ document.content }}
{% endfor %}
Question: {{ question }}"""


def main() -> None:
    with TemporaryDirectory() as folder:
        for name, text in HANDBOOK.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        ingest_paths([folder], store=Path(folder, "store"))
        saved = build(str(Path(folder, "store"))).dumps()
        pipeline = Pipeline.loads(saved, allowed_modules=["sift_rag_haystack.*"])
        try:
            told = {"retriever": {"query": QUESTION}, "ranker": {"query": QUESTION}, "prompt": {"question": QUESTION}}
            print(pipeline.run(told)["prompt"]["prompt"])
        finally:
            pipeline.get_component("retriever").close()


def build(store: str) -> Pipeline:
    """Build the pipeline; any other Haystack retriever could take the place of ours."""
    pipeline = Pipeline()
    pipeline.add_component("retriever", SiftRetriever(store, top_k=5))
    pipeline.add_component("ranker", SiftRanker(top_k=3))
    pipeline.add_component("prompt", PromptBuilder(TEMPLATE, required_variables=["documents", "question"]))
    pipeline.connect("retriever.documents", "ranker.documents")
    pipeline.connect("ranker.documents", "prompt.documents")
    return pipeline


if __name__ == "__main__":
    main()
