"""Compare context with fine-tuning, on your own data and with your own model.

``tasks`` reads the tasks, ``comparison`` measures each of them in every arm, ``summary`` turns the measurements into
rows and a verdict, ``report`` into a page. ``journal`` keeps the measurements, so that a killed run can go on.
"""

from sift_rag.evaluation.comparison import compare
from sift_rag.evaluation.outcomes import Comparison, Outcome
from sift_rag.evaluation.selectors import COMPARED_SELECTORS
from sift_rag.evaluation.summary import Row, Summary, summarise
from sift_rag.evaluation.tasks import Task, read_questions, read_texts

__all__ = [
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
