"""sift-rag in Haystack: a retriever, a ranker, a component that answers, and a document store to write to.

    from sift_rag_haystack import SiftAssistant, SiftRanker, SiftRetriever
    documents = SiftRetriever("store", top_k=4).run("How do generators relate to coroutines?")["documents"]

A saved pipeline is loaded with ``Pipeline.loads(text, allowed_modules=["sift_rag_haystack.*"])``.
"""

from sift_rag import MissingExtra

try:
    from sift_rag_haystack.assistant import SiftAssistant
    from sift_rag_haystack.document_store import SiftDocumentStore
    from sift_rag_haystack.ranker import SiftRanker
    from sift_rag_haystack.retriever import SiftRetriever
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "haystack":
        raise
    raise MissingExtra("haystack-ai", "haystack") from error

__all__ = ["SiftAssistant", "SiftDocumentStore", "SiftRanker", "SiftRetriever"]
