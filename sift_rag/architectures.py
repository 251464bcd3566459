"""Tell causal language models from other models."""

from __future__ import annotations

from collections.abc import Iterable


def is_causal_class(names: Iterable[str]) -> bool:
    """Return True if any of these class names is that of a causal language model in transformers."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    known = {cls for classes in CAUSAL.values() for cls in ((classes,) if isinstance(classes, str) else classes)}
    return not known.isdisjoint(names)


def is_causal_type(model_type: str) -> bool:
    """Return True if transformers has a causal language model of this ``model_type``."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    return model_type in CAUSAL
