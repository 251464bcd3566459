"""SIFT in LlamaIndex: as the retriever of a query engine, and as the postprocessor of any other retriever's nodes.

It writes only to a temporary folder. LlamaIndex's ``MockLLM`` repeats its prompt: put your model in its place.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine

from sift_rag import ingest_paths
from sift_rag_llama_index import SiftRerank, SiftRetriever

HANDBOOK = {
    "booking.md": "Flights are booked by the travel desk, at least two weeks ahead.",
    "booking-2024.md": "Flights are booked by the travel desk,\nat least two weeks ahead.",  # a copy: it counts once
    "hotels.md": "Hotels are paid up to 120 a night; ask before you book a dearer one.",
    "trains.md": "Train journeys of less than four hours take the place of flights.",
    "canteen.md": "The canteen serves lunch from half past eleven.",
}
QUESTION = "What must I know before I book a trip?"


def main() -> None:
    with TemporaryDirectory() as folder:
        for name, text in HANDBOOK.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        ingest_paths([folder], store=Path(folder, "store"))
        retriever = SiftRetriever(Path(folder, "store"), similarity_top_k=5)  # stands for any retriever
        with closing(retriever):
            engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM(), node_postprocessors=[SiftRerank(top_n=3)])
            response = engine.query(QUESTION)
            print(response)
            for node in response.source_nodes:
                print(f"{node.score:.3f}  {node.node.metadata['source']}")


if __name__ == "__main__":
    main()
