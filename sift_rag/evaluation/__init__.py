"""Compare context with fine-tuning, and ways of searching with each other, on your own data.

``tasks`` reads the tasks, ``comparison`` measures each of them in every arm, ``summary`` turns the measurements into
rows and a verdict, ``report`` into a page. ``journal`` keeps the measurements, so that a killed run can go on.

``judged_questions`` reads questions with what is relevant to them, ``judge`` decides what a hit finds, ``found`` sums
up how much each search finds, ``found_report`` makes a page of it.
"""

from sift_rag.evaluation.comparison import compare
from sift_rag.evaluation.found import Evaluation, FoundRow, evaluate, searches_with
from sift_rag.evaluation.judged_questions import JudgedQuestion, Relevant, read_judged_questions
from sift_rag.evaluation.outcomes import Comparison, Outcome
from sift_rag.evaluation.selectors import COMPARED_SELECTORS
from sift_rag.evaluation.summary import Row, Summary, summarise
from sift_rag.evaluation.tasks import Task, read_questions, read_texts

__all__ = [
    "COMPARED_SELECTORS",
    "Comparison",
    "Evaluation",
    "FoundRow",
    "JudgedQuestion",
    "Outcome",
    "Relevant",
    "Row",
    "Summary",
    "Task",
    "compare",
    "evaluate",
    "read_judged_questions",
    "read_questions",
    "read_texts",
    "searches_with",
    "summarise",
]
