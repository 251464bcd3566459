"""Fine-tuning for one prompt: learn from the selected passages, answer, and restore the model.

    with fine_tuned(model, [hit.passage.text for hit in hits]) as tuning:
        answer = "".join(model.stream(messages, max_new_tokens=200))

``model`` comes from ``load_local_model``, or is ``LocalModel(name, model, tokenizer)`` around what transformers loaded.
Read ``tuner.py`` first: it is the whole process. Nothing here loads torch before it is called.
"""

from sift_rag.finetuning.result import TuningResult, TuningStep
from sift_rag.finetuning.scoring import TextScore, bits_per_byte, score_text
from sift_rag.finetuning.settings import PRESETS, FineTuning, Preset
from sift_rag.finetuning.tuner import Tuner, fine_tuned

__all__ = [
    "PRESETS",
    "FineTuning",
    "Preset",
    "TextScore",
    "Tuner",
    "TuningResult",
    "TuningStep",
    "bits_per_byte",
    "fine_tuned",
    "score_text",
]
