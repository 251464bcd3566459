"""sift-rag in LangChain: a retriever, a reranker for any retriever's documents, and a runnable that answers.

from sift_rag_langchain import SiftAssistant, SiftRerank, SiftRetriever
documents = SiftRetriever(store="store", k=4).invoke("How do generators relate to coroutines?")
"""

from sift_rag import MissingExtra

try:
    from sift_rag_langchain.assistant import SiftAssistant
    from sift_rag_langchain.rerank import SiftRerank
    from sift_rag_langchain.retriever import SiftRetriever
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "langchain_core":
        raise
    raise MissingExtra("langchain-core", "langchain") from error

__all__ = ["SiftAssistant", "SiftRerank", "SiftRetriever"]
