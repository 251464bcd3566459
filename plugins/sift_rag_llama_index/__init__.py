"""sift-rag in LlamaIndex: a retriever, a node postprocessor, a query engine that answers, a store for nodes.

from sift_rag_llama_index import SiftQuery, SiftQueryEngine, SiftRerank, SiftRetriever
nodes = SiftRetriever("store", similarity_top_k=4).retrieve("How do generators relate to coroutines?")
"""

from sift_rag import MissingExtra

try:
    from sift_rag_llama_index.embedding import SiftEmbedding
    from sift_rag_llama_index.query import SiftQuery
    from sift_rag_llama_index.query_engine import SiftQueryEngine
    from sift_rag_llama_index.rerank import SiftRerank
    from sift_rag_llama_index.retriever import SiftRetriever
    from sift_rag_llama_index.vector_store import SiftVectorStore
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "llama_index":
        raise
    raise MissingExtra("llama-index-core", "llama-index") from error

__all__ = ["SiftEmbedding", "SiftQuery", "SiftQueryEngine", "SiftRerank", "SiftRetriever", "SiftVectorStore"]
