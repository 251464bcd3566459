"""Embedders turn text into unit vectors. ``sentence_transformer.py`` loads any such model by name or folder."""
