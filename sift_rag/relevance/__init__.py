"""Rerankers that score relevance: ``cross_encoder.py`` in this process, ``endpoint.py`` over HTTP."""
