"""Context or fine-tuning: which of the two brings more, on your own data and with your own model.

``tasks`` are read, ``comparison`` measures each of them under every arm, ``summary`` makes rows and a verdict of the
measurements, ``report`` a page. ``journal`` keeps what is measured, so that a run that was killed goes on.
"""

from sift_rag.evaluation.comparison import ARMS, Comparison, Outcome, compare
from sift_rag.evaluation.selectors import COMPARED_SELECTORS
from sift_rag.evaluation.summary import Row, Summary, summarise
from sift_rag.evaluation.tasks import Task, read_questions, read_texts

__all__ = [
    "ARMS",
    "COMPARED_SELECTORS",
    "Comparison",
    "Outcome",
    "Row",
    "Summary",
    "Task",
    "compare",
    "read_questions",
    "read_texts",
    "summarise",
]
