"""Collections on a Qdrant server or cluster; decided in ``docs/decisions/0006-qdrant-server.md``.

    place.py        the server as a ``Database``: list, open, create, drop, replace
    address.py      how a server is named
    options.py      what is chosen when a collection is made
    connection.py   one client: its protocol, its retries, its errors (``faults.py``)
    collections.py  what a collection is called there and says of itself
    transport.py         points to and from arrays; over gRPC (``grpc_transport.py``) or REST (``rest_transport.py``)
    reader.py       points as candidates, searched as ``search.py`` does
    store.py        a collection of ours
    records.py      its documents' records
    check.py        what is wrong with it
    foreign.py      a collection of another tool, read as ``layout.py`` finds out

Only this folder imports qdrant-client. Nothing is imported here.
"""
