"""SIFT in LangChain: as the retriever of a chain, and as the reranker behind any other retriever.

It writes only to a temporary folder. Where the prompt ends, put your model: ``... | prompt | ChatOpenAI()``.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from sift_rag import ingest_paths
from sift_rag_langchain import SiftRerank, SiftRetriever

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
        retriever = SiftRetriever(store=Path(folder, "store"), k=3)
        with closing(retriever):
            print(in_a_chain(retriever))
            for document in behind_another_retriever(SiftRetriever(store=retriever.retriever.store, k=5)):
                print(f"{document.metadata['relevance_score']:.3f}  {document.page_content}")


def in_a_chain(retriever: SiftRetriever) -> str:
    """Return the prompt that a model would answer."""
    prompt = ChatPromptTemplate.from_template("Answer from these passages:\n{context}\n\nQuestion: {question}")
    chain = {"context": retriever | joined, "question": RunnablePassthrough()} | prompt
    return chain.invoke(QUESTION).to_string()


def joined(documents: list[Document]) -> str:
    return "\n".join(f"[{document.metadata['source']}] {document.page_content}" for document in documents)


def behind_another_retriever(found_by: SiftRetriever) -> list[Document]:
    """Rerank what ``found_by`` finds, in place of any other LangChain retriever."""
    compressing = ContextualCompressionRetriever(base_retriever=found_by, base_compressor=SiftRerank(top_n=2))
    return compressing.invoke(QUESTION)


if __name__ == "__main__":
    main()
