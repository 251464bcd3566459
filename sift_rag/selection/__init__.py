"""The mathematics of joint selection: arrays in, indices out. Knows numpy and torch, and nothing else of sift-rag.

Read ``posterior.py`` for the definition, ``sift.py`` for the same choice made fast, ``conditioning.py`` for how.
"""

from sift_rag.selection.baselines import (
    select_dpp,
    select_facility_location,
    select_in_sequence,
    select_mmr,
    select_nearest,
    select_random,
    select_uncertain,
)
from sift_rag.selection.batch import BatchSelection, select_sift_batch
from sift_rag.selection.hull import select_hull
from sift_rag.selection.posterior import posterior_variance
from sift_rag.selection.redundancy import Redundancy, redundancy_by_pick
from sift_rag.selection.result import GreedySelection
from sift_rag.selection.settings import SELECTORS, SelectorName, SelectorSettings
from sift_rag.selection.sift import select_sift
from sift_rag.selection.stopping import Stopping
from sift_rag.selection.surrogate import Choice, Surrogate

__all__ = [
    "SELECTORS",
    "BatchSelection",
    "Choice",
    "GreedySelection",
    "Redundancy",
    "SelectorName",
    "SelectorSettings",
    "Stopping",
    "Surrogate",
    "posterior_variance",
    "redundancy_by_pick",
    "select_dpp",
    "select_facility_location",
    "select_hull",
    "select_in_sequence",
    "select_mmr",
    "select_nearest",
    "select_random",
    "select_sift",
    "select_sift_batch",
    "select_uncertain",
]
