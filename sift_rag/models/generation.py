"""Decode greedily, as an iterator: tokens as the model makes them, text as its characters become complete."""

from __future__ import annotations

import threading
from collections.abc import Collection, Generator, Iterator, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from sift_rag.errors import ModelUnsuitable
from sift_rag.generators import Ending
from sift_rag.protocols import FinishReason

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the end-of-text tokens of the model and of the tokenizer: for many chat models they differ."""
    stated = getattr(model.generation_config, "eos_token_id", None)
    tokens = stated if isinstance(stated, list) else [stated]
    return sorted({token for token in (*tokens, tokenizer.eos_token_id) if isinstance(token, int)})


def generate_tokens(
    model: PreTrainedModel, prompt: Sequence[int], stops: Sequence[int], max_new_tokens: int
) -> Generator[int, None, FinishReason]:
    """Yield at most ``max_new_tokens`` ids, up to the first of ``stops``, which is left out; return why they ended.

    transformers can only push tokens, so the model runs in a thread. It starts with the first ``next`` and ends with
    the iterator: after the last token, by an error, which is raised here, or by ``close``, which waits for the token
    in progress.

    Raises:
        ModelUnsuitable: the device's memory is too small for this prompt, or what the model computes is no number.
    """
    import torch
    from transformers import GenerationConfig, LogitsProcessorList

    ids = torch.tensor([list(prompt)], device=model.device)
    relay = _Relay()
    make_settings: Any = GenerationConfig  # both are unannotated in transformers
    generate: Any = model.generate
    settings = make_settings(
        max_new_tokens=max_new_tokens, do_sample=False, eos_token_id=list(stops) or None, pad_token_id=[*stops, 0][0]
    )

    def work() -> None:
        try:
            generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                generation_config=settings,
                logits_processor=LogitsProcessorList([_require_numbers]),
                streamer=relay,
            )
        except BaseException as error:  # noqa: BLE001 - raised in the reading thread
            relay.finish(error)
        else:
            relay.finish(None)

    thread = threading.Thread(target=work, name="sift-rag-generation", daemon=True)
    thread.start()
    ended: FinishReason = "length"
    try:
        for token in relay.tokens():
            if token in stops:
                ended = "stop"
            else:
                yield token
    except torch.OutOfMemoryError as error:
        raise ModelUnsuitable(
            f"A prompt of {len(prompt)} tokens does not fit the memory of {str(model.device)!r}: "
            "ask for fewer passages, or choose a smaller model."
        ) from error
    finally:
        relay.cancel()
        thread.join()
    return ended


def _require_numbers(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Return the scores of the next token unchanged; the greatest of no numbers would be a token all the same."""
    if scores.isnan().any():
        raise ModelUnsuitable("The model's output is not a number (NaN): check its weights.")
    return scores


def decode_stream(
    tokenizer: PreTrainedTokenizerBase, tokens: Iterator[int]
) -> Generator[str, None, FinishReason | None]:
    """Yield pieces of whole characters, which together are exactly the decoding of all tokens; return what they do.

    O(n^2) in the number of tokens, but negligible beside the model.
    """
    ids: list[int] = []
    text = ""
    sent = 0
    read: Ending[int, FinishReason | None] = Ending(tokens, None)
    for token in read:
        ids.append(token)
        text = cast("str", tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
        if len(text) > sent and not text.endswith("\N{REPLACEMENT CHARACTER}"):  # the mark of half a character
            yield text[sent:]
            sent = len(text)
    if len(text) > sent:
        yield text[sent:]
    return read.value


def until_stop(stops: Collection[str], pieces: Iterator[str]) -> Generator[str, None, FinishReason | None]:
    """Yield the pieces up to the first of ``stops``, which is left out. Text that may turn into a stop is held back.

    Returns:
        ``stop`` if there is one, else what ``pieces`` returns.
    """
    held = ""
    stopped = False
    read: Ending[str, FinishReason | None] = Ending(pieces, None)
    for piece in read:
        held += piece
        found = [at for stop in stops if (at := held.find(stop)) >= 0]
        if found:
            held = held[: min(found)]
            stopped = True
            break
        beginnings = [size for stop in stops for size in range(1, len(stop)) if held.endswith(stop[:size])]
        ready = len(held) - max(beginnings, default=0)
        if ready:
            yield held[:ready]
        held = held[ready:]
    if held:
        yield held
    return "stop" if stopped else read.value


class _Cancelled(Exception):
    """Raised within generation to end it: nobody reads the tokens any more."""


class _Relay:
    """A queue of tokens from the generating thread to the reading one, under transformers' streamer protocol."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[int | BaseException | None] = SimpleQueue()
        self._cancelled = threading.Event()
        self._prompt_is_next = True

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt, then each new token."""
        if self._cancelled.is_set():
            raise _Cancelled
        if self._prompt_is_next:
            self._prompt_is_next = False
            return
        for token in value.flatten().tolist():
            self._queue.put(token)

    def end(self) -> None:
        """Do nothing: ``finish`` marks the end, also after errors."""

    def finish(self, error: BaseException | None) -> None:
        self._queue.put(error)

    def cancel(self) -> None:
        self._cancelled.set()

    def tokens(self) -> Iterator[int]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
