"""The choice from a whole collection, proven."""
