"""The same selection from a whole collection, proven. Only queries with ``exact`` use it."""

from sift_rag.exact.selection import check_exact, choose_from_all, measured

__all__ = ["check_exact", "choose_from_all", "measured"]
