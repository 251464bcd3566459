"""Is a model at hand? Asked once and at once, before a loader starts its minute of retries.

The one module that talks to ``huggingface_hub``.
"""

from __future__ import annotations

from pathlib import Path

from sift_rag.errors import ModelUnavailable

HUB_TIMEOUT_SECONDS = 10.0


def require_model(name: str) -> None:
    """Return if ``name`` is a local folder, is in the local cache, or is known to a hub that answers now.

    Raises:
        ModelUnavailable: none of these; the message says which and what to do.
    """
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    if Path(name).is_dir():
        return
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelUnavailable(f"There is no model folder {name!r}.")
    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return
        if constants.HF_HUB_OFFLINE:
            raise ModelUnavailable(
                f"The model {name!r} is not in the local cache, and HF_HUB_OFFLINE forbids to fetch it. "
                "Give a folder that holds it, or unset HF_HUB_OFFLINE."
            )
        HfApi().model_info(name, timeout=HUB_TIMEOUT_SECONDS)
    except HFValidationError as error:
        raise ModelUnavailable(f"{name!r} is neither a folder nor a model's name.") from error
    except GatedRepoError as error:
        raise ModelUnavailable(
            f"The model {name!r} is gated: accept its terms on the hub and set HF_TOKEN, or choose another."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(
            f"There is no folder and no model {name!r} on the hub (or it is private and HF_TOKEN is not set)."
        ) from error
    except ModelUnavailable:
        raise
    except Exception as error:  # the hub's client lets its HTTP library's errors through, whichever it is
        raise ModelUnavailable(
            f"The model {name!r} is not on this machine, and the model hub cannot be reached "
            f"({type(error).__name__}). Check the network, or give a folder that holds the model."
        ) from error
