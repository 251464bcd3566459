"""Compare context with fine-tuning, and ways of searching with each other, on your own data.

``tasks`` reads the tasks, ``comparison`` measures each of them in every arm, ``summary`` turns the measurements into
rows and a verdict, ``report`` into a page. ``journal`` keeps the measurements, so that a killed run can go on.

``judged_questions`` reads questions with what is relevant to them, ``judge`` decides what a hit finds, ``found`` sums
up how much each search finds, ``found_report`` makes a page of it. ``trials`` searches for them with several values of
SIFT's settings, ``calibration`` proposes values and thresholds, ``calibration_report`` makes a page of it;
``generated_questions`` makes questions where nobody has judged any.
"""

from sift_rag.evaluation.calibration import Calibration, calibrate
from sift_rag.evaluation.comparison import compare
from sift_rag.evaluation.found import Evaluation, FoundRow, evaluate, searches_with
from sift_rag.evaluation.generated_questions import sentence_questions, written_questions
from sift_rag.evaluation.judged_questions import JudgedQuestion, Relevant, read_foreign_questions, read_judged_questions
from sift_rag.evaluation.outcomes import Comparison, Outcome
from sift_rag.evaluation.selectors import COMPARED_SELECTORS
from sift_rag.evaluation.summary import Row, Summary, summarise
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
