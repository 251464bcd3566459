"""Makes ``picks.json``: what activeft, the reference implementation of SIFT, chooses from 100 pools.

    pip install activeft==0.1.1
    python -m tests.data.activeft.make

Each pool is ``tests.oracles.pool_with_copies(seed)``; the choice is that of activeft's exact VTL, with repeats. Pools
are smaller than the 1,000 rows beyond which it goes chunk by chunk and its choice is no longer the greedy one.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.oracles import pool_with_copies

POOLS, CHOICES, NOISE_VARIANCE = 100, 20, 0.1


class Rows(torch.utils.data.Dataset):
    def __init__(self, rows: np.ndarray) -> None:
        self.rows = torch.from_numpy(rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)


def picks(targets: np.ndarray, candidates: np.ndarray) -> list[int]:
    """Rows of the candidates in the order chosen."""
    from activeft import ActiveDataLoader
    from activeft.acquisition_functions.vtl import VTL

    chooser = VTL(
        target=torch.from_numpy(targets),
        num_workers=0,
        subsample=False,
        force_nonsequential=False,
        noise_std=NOISE_VARIANCE**0.5,
    )
    loader = ActiveDataLoader(
        dataset=Rows(candidates), batch_size=CHOICES, acquisition_function=chooser, device=torch.device("cpu")
    )
    return [int(index) for index in loader.next()[0]]


def main() -> None:
    """Write the file beside this one."""
    pools = {}
    for seed in range(POOLS):
        targets, candidates = pool_with_copies(seed)
        pools[str(seed)] = {
            "shape": [len(targets), *candidates.shape],
            "sum": round(float(candidates.sum(dtype=np.float64)), 4),
            "picks": picks(targets, candidates),
        }
    lines = ",\n".join(f'  "{seed}": {json.dumps(pool)}' for seed, pool in pools.items())
    head = {"activeft": version("activeft"), "torch": version("torch"), "noise_variance": NOISE_VARIANCE}
    text = "{\n" + "".join(f' "{key}": {json.dumps(value)},\n' for key, value in head.items())
    Path(__file__).with_name("picks.json").write_text(f'{text} "pools": {{\n{lines}\n }}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
