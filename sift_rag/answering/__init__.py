"""From a question to an answer with citations. Start with ``assistant.py``."""
