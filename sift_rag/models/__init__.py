"""Language models: ``local.py`` runs one in this process, ``remote.py`` asks an OpenAI-compatible endpoint."""
