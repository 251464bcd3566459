"""The mathematics of joint selection: arrays in, indices out. Knows numpy and torch, and nothing else of sift-rag.

Read ``posterior.py`` for the definition, ``sift.py`` for the same choice made fast, ``conditioning.py`` for how.
"""

from sift_rag.selection import selectors
from sift_rag.selection.arrays import Array
from sift_rag.selection.batch import BatchSelection, select_sift_batch
from sift_rag.selection.features import Features
from sift_rag.selection.kernels import Kernel, Linear, Rbf
from sift_rag.selection.pool import ArrayPool, Pool, Target, Texts
from sift_rag.selection.posterior import posterior_variance
from sift_rag.selection.process import GaussianProcess
from sift_rag.selection.redundancy import Redundancy
from sift_rag.selection.result import Choice, GreedySelection, StopReason
from sift_rag.selection.selectors import *  # noqa: F403 - every selector, so that a new one is named in one place
from sift_rag.selection.settings import (
    Setting,
    fine_tuning_selector,
    selector_from,
    selector_settings,
    settings_of,
)
from sift_rag.selection.sift import Sift, select_sift
from sift_rag.selection.stopping import Stopping

__all__ = [  # noqa: PLE0604 - every element is a string
    *selectors.__all__,
    "Array",
    "ArrayPool",
    "BatchSelection",
    "Choice",
    "Features",
    "GaussianProcess",
    "GreedySelection",
    "Kernel",
    "Linear",
    "Pool",
    "Rbf",
    "Redundancy",
    "Setting",
    "Sift",
    "StopReason",
    "Stopping",
    "Target",
    "Texts",
    "fine_tuning_selector",
    "posterior_variance",
    "select_sift",
    "select_sift_batch",
    "selector_from",
    "selector_settings",
    "settings_of",
]
