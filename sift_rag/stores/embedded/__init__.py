"""The embedded store: Qdrant in this process, in a folder."""
