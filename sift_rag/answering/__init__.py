"""Answers with citations, from the question on. Start with ``assistant.py``."""
