"""``sift-rag ask``."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from sift_rag.errors import ConfigurationError, NoEvidence
from sift_rag_cli import options
from sift_rag_cli.answers import citations_json, say_dropped, write_sources, write_stream
from sift_rag_cli.inputs import read_questions
from sift_rag_cli.language_model import HOW_TO_GET_AN_ANSWER, open_named_model
from sift_rag_cli.output import one_line, printable, say, write, write_json
from sift_rag_cli.retrievals import retrieval_json, summary
from sift_rag_cli.selecting import SelectionOptions, with_selection_options
from sift_rag_cli.tuning import Tuning, model_for, settings_for, tuning_for, tuning_json, write_training_sources

if TYPE_CHECKING:
    from sift_rag.protocols import LanguageModel


@with_selection_options
def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question. - reads it from stdin.")],
    selecting: SelectionOptions,
    also: Annotated[
        list[str] | None,
        typer.Option("--also", metavar="QUESTION", help="A further part, answered together with it. Repeatable."),
    ] = None,
    decompose: Annotated[
        bool,
        typer.Option(
            "--decompose",
            envvar="SIFT_RAG_DECOMPOSE",
            help="Let the language model write the parts of the question, and show them.",
        ),
    ] = False,
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    system: options.System = None,
    max_new_tokens: options.MaxNewTokens = options.DEFAULT_MAX_NEW_TOKENS,
    mode: options.Mode = "context",
    preset: options.Preset = None,
    steps: options.Steps = options.DEFAULT_STEPS,
    learning_rate: options.LearningRate = None,
    rank: options.Rank = None,
    full: options.Full = False,
    time_budget: options.TimeBudget = None,
    min_gain: options.MinGain = options.DEFAULT_MIN_GAIN,
    save_adapter: options.SaveAdapter = None,
    show_prompt: Annotated[
        bool, typer.Option("--show-prompt", help="Print the finished prompt in place of the answer.")
    ] = False,
    store: options.Store = None,
    collection: options.Collection = options.DEFAULT_COLLECTION,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Answer a question from your documents, with citations.

    Without a language model it prints the finished prompt. With --mode finetune or both, the model, which must be one
    that runs here, first learns from passages chosen for this question, and forgets them afterwards.
    """
    from sift_rag.answering.answer import stream_answer
    from sift_rag.answering.prompt import build_prompt, render

    asked = read_questions((question, *(also or ())))
    model = model_for(preset, model) if base_url is None else model
    has_model = model is not None or base_url is not None
    if decompose and not has_model:
        raise ConfigurationError("--decompose needs a language model to write the parts: name one with --model.")
    tuning = tuning_for(
        mode,
        Tuning(
            steps,
            settings_for(preset, learning_rate=learning_rate, rank=rank, full=full, seconds=time_budget),
            min_gain,
            save_adapter,
        ),
        runs_here=model is not None and base_url is None,
    )
    with selecting.retriever(store, collection, embedder) as retriever:
        language_model = open_named_model(context, model, base_url) if has_model else None
        parts = _parts(asked, language_model) if decompose and language_model is not None else asked
        retrieval = selecting.retrieve(retriever, parts)
        training = None
        if tuning is not None:
            training = tuning.select(retriever, parts, selecting.stopping(), where=selecting.where())
    if mode != "finetune" and not retrieval.hits:
        raise NoEvidence(f"No passage was chosen: {summary(retrieval)}.")
    passages = [hit.passage for hit in retrieval.hits] if mode != "finetune" else None
    prompt = build_prompt(asked, passages, model=language_model, system=system, max_new_tokens=max_new_tokens)
    say_dropped(prompt)
    result = retrieval_json(retrieval, collection=collection, selector=selecting.settings(), where=selecting.where())
    result |= {"mode": mode, "answer": None, "model": None, "prompt_tokens": prompt.tokens, "citations": []}
    if language_model is None or show_prompt:
        if language_model is None:
            say(f"This is the prompt. {HOW_TO_GET_AN_ANSWER}")
        text = render(prompt.messages)
        if json:
            write_json(result | {"prompt": text})
        else:
            write(printable(text))
        return
    with ExitStack() as stack:
        tuned = None
        if tuning is not None and training is not None:
            tuned = stack.enter_context(tuning.applied(language_model, training))
            result |= {"tuning": tuning_json(training, tuned)}
        pieces = stream_answer(language_model, prompt, max_new_tokens=max_new_tokens)
        answer = "".join(pieces) if json else write_stream(pieces)
    if json:
        citations = citations_json(prompt, answer)
        write_json(result | {"answer": answer, "model": language_model.name, "citations": citations})
        return
    if mode != "finetune":
        write_sources(prompt, answer)
    if training is not None and tuned is not None:
        write_training_sources(training)


def _parts(asked: tuple[str, ...], model: "LanguageModel") -> tuple[str, ...]:
    """The questions, and the simpler ones that the model takes them apart into."""
    from sift_rag.answering.questions import decompose

    parts = tuple(dict.fromkeys(part for question in asked for part in decompose(question, model)))
    for part in parts:
        if part not in asked:
            say(f"part: {one_line(part)}")
    return parts
