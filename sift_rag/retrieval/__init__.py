"""Retrieval: from a question to the passages that jointly answer it."""
