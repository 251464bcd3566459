"""Compare context with fine-tuning, and searches with each other, on your own data.

``tasks`` reads the tasks, ``comparison`` measures each of them in every arm, ``summary`` turns the measurements into
rows and a verdict, ``report`` into a page. ``journal`` keeps the measurements, so that a killed run can go on.

``judged_questions`` reads questions with relevance judgements, ``judge`` matches hits against them, ``found`` compares
searches, ``found_report`` renders the result. ``trials`` searches with several values of SIFT's settings,
``calibration`` proposes values and thresholds, ``calibration_report`` renders them; ``generated_questions`` generates
questions if there are no judged ones.
"""

from sift_rag.evaluation.calibration import Calibration, calibrate
from sift_rag.evaluation.comparison import compare
from sift_rag.evaluation.found import Evaluation, FoundRow, evaluate, searches_with
from sift_rag.evaluation.generated_questions import sentence_questions, written_questions
from sift_rag.evaluation.judged_questions import JudgedQuestion, Relevant, read_foreign_questions, read_judged_questions
from sift_rag.evaluation.outcomes import Comparison, Outcome
from sift_rag.evaluation.rows import Row
from sift_rag.evaluation.selectors import COMPARED_SELECTORS
from sift_rag.evaluation.summary import Summary, summarise
from sift_rag.evaluation.tasks import Task, read_questions, read_texts
from sift_rag.evaluation.trials import Plan

__all__ = [
    "COMPARED_SELECTORS",
    "Calibration",
    "Comparison",
    "Evaluation",
    "FoundRow",
    "JudgedQuestion",
    "Outcome",
    "Plan",
    "Relevant",
    "Row",
    "Summary",
    "Task",
    "calibrate",
    "compare",
    "evaluate",
    "read_foreign_questions",
    "read_judged_questions",
    "read_questions",
    "read_texts",
    "searches_with",
    "sentence_questions",
    "summarise",
    "written_questions",
]
