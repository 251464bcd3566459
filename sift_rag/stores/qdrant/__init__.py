"""Collections on a Qdrant server or cluster; decided in ``docs/decisions/0006-qdrant-server.md``.

    database.py     the server as a ``Database``: list, open, create, drop, replace
    address.py      the URL of a server
    options.py      options of a new collection
    connection.py   one client: its protocol, its retries, its errors (``errors.py``)
    collections.py  names and metadata of collections; create, replace, drop
    transport.py    the interface to points, over gRPC (``grpc_transport.py``) or REST (``rest_transport.py``)
    transports.py   the choice between the two; scroll and count
    search.py       points as candidates: search, fetch, scan
    store.py        a collection of ours
    documents.py    its documents' records
    check.py        its problems, in words
    foreign.py      a collection of another tool (``foreign_documents.py``, ``foreign_filters.py``, ``layout.py``)

Only this folder imports qdrant-client. Nothing is imported here.
"""
