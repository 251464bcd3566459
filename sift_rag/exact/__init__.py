"""The same choice from a whole collection, proven. Only a query with ``exact`` comes here."""

from sift_rag.exact.selection import check_exact, choose_from_all, measured

__all__ = ["check_exact", "choose_from_all", "measured"]
