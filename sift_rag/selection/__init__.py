"""The mathematics of joint selection: arrays in, indices out. Knows numpy and torch, and nothing else of sift-rag.

Read ``posterior.py`` for the definition, ``sift.py`` for the same choice made fast.
"""

from sift_rag.selection.baselines import select_dpp, select_mmr, select_nearest
from sift_rag.selection.posterior import posterior_variance
from sift_rag.selection.settings import SELECTORS, SelectorSettings
from sift_rag.selection.sift import GreedySelection, select_sift

__all__ = [
    "SELECTORS",
    "GreedySelection",
    "SelectorSettings",
    "posterior_variance",
    "select_dpp",
    "select_mmr",
    "select_nearest",
    "select_sift",
]
