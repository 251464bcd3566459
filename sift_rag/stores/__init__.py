"""Stores of passages, their vectors and the records of their documents.

    registry.py     databases by URL scheme: ``open_database``, ``register_database``
    memory.py       in this process only: the contract's reference
    embedded/       in a folder, searched in process, durable
    qdrant/         on a Qdrant server or cluster; collections of other tools, read only
    migration.py    copy a collection from any store to any other
    listing.py      pages of a list of documents, by the store itself where it can
    filters.py, payloads.py, validation.py, consistency.py    shared by the stores

A new store brings a ``Database`` with its ``PassageStore`` and ``DocumentRecords`` (``sift_rag/protocols.py``), and one
call of ``register_database``. The tests in ``tests/contracts/`` check that it keeps its promises.

Nothing is imported here: listing collections must not load a search engine.
"""
