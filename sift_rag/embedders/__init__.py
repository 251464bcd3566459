"""Text to unit vectors. ``sentence_transformer.py`` loads any sentence-transformers model by name or folder."""
