"""Rerankers that score how relevant a text is: ``cross_encoder.py`` in this process, ``endpoint.py`` at an address."""
