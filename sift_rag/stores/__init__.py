"""Where passages, their vectors and the records of their documents are kept: ``PassageStore`` and its neighbours.

    memory.py       in this process only: the contract's reference
    edge.py         embedded, durable, one folder a collection: create, open
    server/         on a Qdrant server or cluster
    examination.py  what is wrong with such a folder, in words
    folders.py      the folders of a root: list, drop, replace, without opening any
    records.py      the documents' records alone, readable while another process writes
    migration.py    a collection carried over from any store to any other
    conditions.py   what a filter asks of a passage
    manifest.py, locking.py, payloads.py, validation.py    what those are made of

Nothing is imported here: listing what is ingested must not load the search engine.
"""
