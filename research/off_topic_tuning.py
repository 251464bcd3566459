"""Fine-tuning on a collection about something else: what it does, and whether the predicted gain tells beforehand.

    python -m research.off_topic_tuning MODEL --data FOLDER [--domains reporting|choosing] [--prompts N] [--threshold F]

Each domain's first prompts ask the memories of the two domains that follow it in the list, the first following the
last. Settings as in ``benchmarks/quality/learning_at_test_time.py``: SIFT's 50 passages, one step of all weights each.
"""

from __future__ import annotations

import argparse
from statistics import fmean

import torch

from benchmarks.common.datasets import data_folder
from benchmarks.common.domains import CHOOSING, REPORTING, open_domains
from benchmarks.common.embedding import add_data_options
from benchmarks.common.learning import FULL, STEPS, memory_store, tasks_of
from sift_rag.evaluation import Comparison
from sift_rag.evaluation.comparison import compare
from sift_rag.models.local import load_local_model
from sift_rag.opening import open_embedder

FOLLOWING = (1, 2)


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    names = CHOOSING if options.domains == "choosing" else REPORTING
    domains = open_domains(data_folder(options.data), names=names)
    model, embedder = load_local_model(options.model), open_embedder()
    comparison = Comparison(arms=("finetune",), selectors=("sift",), ks=(STEPS,), tuning=FULL)
    found: list[tuple[float, float]] = []
    for place, name in enumerate(domains):
        for step in FOLLOWING:
            other = list(domains)[(place + step) % len(domains)]
            store = memory_store(other, domains[other].memory, options.cache)
            tasks = tasks_of(domains[name])[: options.prompts]
            for outcome in compare(tasks, model=model, embedder=embedder, store=store, comparison=comparison):
                [one] = outcome.measurements
                predicted, realised = one.predicted or 0.0, 100 * (1 - one.bits_per_byte / outcome.base.bits_per_byte)
                found.append((predicted, realised))
                print(
                    f"{outcome.task.id} of {other}: predicted {predicted:.3f}, realised {realised:+.1f} %", flush=True
                )
    below = [realised for predicted, realised in found if predicted < options.threshold]
    print(
        f"{len(found)} prompts: predicted {min(found)[0]:.2f} to {max(found)[0]:.2f}, realised "
        f"{fmean(realised for _, realised in found):+.1f} % on average; {len(below)} are predicted below "
        f"{options.threshold:g}" + (f", which realised {fmean(below):+.1f} %" if below else "")
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of the model")
    parser.add_argument("--domains", choices=["reporting", "choosing"], default="reporting")
    parser.add_argument("--prompts", type=int, default=5, help="of each domain, for each of two memories")
    parser.add_argument("--threshold", type=float, default=0.3)
    parser.add_argument("--threads", type=int, default=1)
    add_data_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
