"""Files and texts -> documents -> sections -> passages -> an incremental ingest into a store."""
