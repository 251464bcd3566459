"""``sift-rag ask``."""

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, cast

import typer

from sift_rag import defaults
from sift_rag_cli import options
from sift_rag_cli.answers import HOW_TO_GET_AN_ANSWER, say_later_notices, say_notices, show_step, write_answer
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.embedding import embedder_of
from sift_rag_cli.explanation import write_explanation
from sift_rag_cli.fine_tuning import fine_tuning_of
from sift_rag_cli.help import command_line
from sift_rag_cli.hits import HitView, view_of
from sift_rag_cli.inputs import read_questions
from sift_rag_cli.output import check_writable, one_line, printable, say, write, write_json
from sift_rag_cli.searching import about_search, open_answering, search_options, with_known
from sift_rag_cli.shared_page import SharedPage, write_shared

if TYPE_CHECKING:
    from pathlib import Path

    from sift_rag.answering.prepared import PreparedPrompt
    from sift_rag.answering.settings import Mode


def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question; - reads it from stdin.")],
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also",
            metavar="QUESTION",
            rich_help_panel=options.PASSAGES,
            help="A further question, answered together with the first. Repeatable.",
        ),
    ] = None,
    decompose: Annotated[
        bool,
        typer.Option(
            "--decompose",
            envvar="SIFT_RAG_DECOMPOSE",
            rich_help_panel=options.PASSAGES,
            help="Let the language model split the question into simpler ones, and show them.",
        ),
    ] = False,
    k: options.K = defaults.K,
    filters: options.Filter = None,
    known: options.Known = None,
    token_budget: options.TokenBudget = None,
    neighbours: options.Context = 0,
    exact: options.Exact = False,
    exact_search: options.ExactSearch = False,
    selector: options.Selector = defaults.SELECTOR,
    reranker: options.Reranker = None,
    reranker_url: options.RerankerUrl = None,
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    system: options.System = None,
    mode: options.Mode = defaults.MODES[0],
    steps: options.Steps = defaults.STEPS,
    save_adapter: options.SaveAdapter = None,
    show_prompt: Annotated[
        bool,
        typer.Option(
            "--show-prompt", rich_help_panel=options.OUTPUT, help="Print the finished prompt instead of an answer."
        ),
    ] = False,
    explain: options.Explain = False,
    json: options.Json = False,
    html: options.Html = None,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    wait: options.Wait = None,
    embedder: options.Embedder = None,
    embedder_url: options.EmbedderUrl = None,
    assignments: options.Set = None,
) -> None:
    """Answer a question from your documents, with citations.

    Without a language model, this prints the finished prompt. With --mode finetune or both, the model is fine-tuned on
    passages chosen for this question; afterwards its weights are restored.

    Examples:
        sift-rag ask "Who pays for taxis?"
        sift-rag ask "Who pays for taxis?" -m Qwen/Qwen3-0.6B
        sift-rag ask "Who pays?" --base-url http://localhost:11434/v1 -m llama3.2
        sift-rag ask "Who pays for taxis?" -m Qwen/Qwen3-0.6B --mode both --steps 20
        sift-rag ask "Who pays for taxis?" --show-prompt > prompt.txt
    """
    from sift_rag.answering.settings import AnswerSettings

    check_writable(html)
    asked = read_questions((question, *(also or ())))
    values = settings_for(context, assignments, selectors=(selector,))
    wanted = search_options(
        values,
        k=k,
        filters=filters,
        token_budget=token_budget,
        exact=exact,
        exact_search=exact_search,
        selector=selector,
        context=neighbours,
    )
    settings = AnswerSettings(
        system=system, finetuning=fine_tuning_of(values), steps=steps, save_adapter=save_adapter, **values["answer"]
    )
    with open_answering(
        context,
        values,
        wanted,
        settings,
        store=store,
        collection=collection,
        embedder=embedder_of(context, values, embedder, embedder_url),
        reranker=reranker,
        reranker_url=reranker_url,
        model=model,
        base_url=base_url,
        wait=wait,
    ) as assistant:
        query = with_known(wanted.query(asked), known, assistant.retriever)
        if assistant.model is None or show_prompt:
            prepared = assistant.prepare(query, cast("Mode", mode), decompose=decompose)
            stream = None
        else:
            stream = assistant.stream(query, cast("Mode", mode), decompose=decompose, on_step=show_step)
            prepared = stream.prepared
        view = HitView() if html is None else view_of(assistant.retriever, prepared.retrieval, store)
    page = SharedPage(prepared.retrieval, view, command_line(context), collection)
    for part in prepared.parts:
        say(f"part: {one_line(part)}")
    extra = about_search(wanted, collection)
    if stream is None:
        if assistant.model is None:
            say(f"This is the prompt. {HOW_TO_GET_AN_ANSWER}")
        _write_prompt(prepared, extra, explain=explain, json=json)
        write_shared(html, page)
        return
    with stream:
        if json:
            say_notices(stream)
            deque(stream, maxlen=0)
            say_later_notices(stream)
        else:
            write_answer(stream)
    if save_adapter is not None and stream.tuning is not None and stream.tuning.steps:
        say(one_line(about_adapter(save_adapter, settings.push_adapter)))
    if json:
        write_json({**stream.answer.to_dict(explain=explain), **extra})
    elif explain:
        write()
        write_explanation(stream.retrieval)
    write_shared(html, replace(page, answer=stream.answer))


def about_adapter(folder: "Path", server: str | None) -> str:
    """Return the line that says where an adapter was saved, and what its server calls it."""
    if server is None:
        return f"Saved the adapter to {folder}."
    return f"Saved the adapter to {folder}, and loaded it into {server} as the model {folder.absolute().name!r}."


def _write_prompt(prepared: "PreparedPrompt", extra: dict[str, object], *, explain: bool, json: bool) -> None:
    from sift_rag.answering.prompt import render

    for notice in prepared.notices:
        say(one_line(notice))
    if json:
        write_json({**prepared.to_dict(explain=explain), **extra})
        return
    write(printable(render(prepared.prompt.messages)))
    if explain:
        write()
        write_explanation(prepared.retrieval)
