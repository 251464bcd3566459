"""``/page/comparisons``: one at a time, cancelled at a step, and the model as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.http.models import ScriptedModel, tiny_model
from tests.http.serving import Served, serving

TEXTS = [{"name": "lamp.txt", "text": "You can return the lamp within thirty days, with the receipt."}]


def token(served: Served) -> dict[str, str]:
    return {"x-sift-rag-token": served.client.get("/page/session").json()["token"]}


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.network.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def watched(served: Served) -> Any:
    """Wait until the comparison has ended."""
    assert served.client.post("/page/comparisons/events", json={}).text.startswith("event: state")
    return served.client.get("/page/comparisons/current").json()


@pytest.mark.slow
def test_a_comparison_is_measured_and_the_model_is_as_it_was(store: Path) -> None:
    model = tiny_model()
    before = weights(model)
    with serving(store=store, idle_seconds=0, language_model=model) as served:
        begun = served.client.post("/page/comparisons", json={"texts": TEXTS, "k": 2}, headers=token(served))
        ended = watched(served)
    assert begun.status_code == 202
    assert (ended["state"], ended["error"]) == ("done", None)
    arms = {(one["arm"], one["selector"]) for one in ended["texts"][0]["measured"]}
    assert arms == {
        ("base", ""),
        *((arm, by) for arm in ("context", "finetune", "both") for by in ("nearest", "sift")),
    }
    assert len(ended["result"]["rows"]) == 7
    for row in ended["result"]["rows"]:
        assert row["difference_low"] <= row["percent_of_base"] - 100 <= row["difference_high"]
    assert sum(row["recommended"] for row in ended["result"]["rows"]) == 1
    assert same(before, weights(model))


@pytest.mark.slow
def test_a_cancelled_comparison_leaves_the_model_as_it_was_and_free(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sift_rag_server.page import comparisons

    model = tiny_model()
    before = weights(model)
    note, second = comparisons.Running._note, []

    def cancels_while_learning(running: Any, until: float, progress: Any) -> None:
        if progress.step == 1:
            assert not same(before, weights(model))
            second.append(served.client.post("/page/comparisons", json={"texts": TEXTS}, headers=held).status_code)
            second.append(served.client.post("/v1/ask", json={"query": "A lamp?"}).status_code)
            served.client.post("/page/comparisons/cancel", json={}, headers=held)
        note(running, until, progress)

    monkeypatch.setattr(comparisons.Running, "_note", cancels_while_learning)
    with serving(store=store, idle_seconds=0, language_model=model) as served:
        held = token(served)
        served.client.post("/page/comparisons", json={"texts": TEXTS, "k": 3}, headers=held)
        ended = watched(served)
        assert (ended["state"], ended["result"]) == ("cancelled", None)
        assert second == [409, 429]  # one at a time, and the model is taken
        assert same(before, weights(model))
        assert served.client.post("/v1/ask", json={"query": "A lamp?", "stream": False}).status_code == 200


def test_without_the_token_nothing_starts(store: Path) -> None:
    with serving(store=store, idle_seconds=0, language_model=ScriptedModel("A.")) as served:
        assert served.client.post("/page/comparisons", json={"texts": TEXTS}).status_code == 403
        assert served.client.post("/page/comparisons/cancel", json={}).status_code == 403
        remote = served.client.post("/page/comparisons", json={"texts": TEXTS}, headers=token(served))
        assert remote.status_code == 501
        state = served.client.get("/page/comparisons/current").json()
    assert (state["state"], state["possible"], state["model"]) == ("none", False, "scripted")


@pytest.mark.parametrize("texts", [[], [{"name": "a", "text": " "}], [{"name": "a", "text": "b" * 10_001}], TEXTS * 4])
def test_texts_beyond_the_limits_are_refused(server: Served, texts: list[object]) -> None:
    reply = server.client.post("/page/comparisons", json={"texts": texts}, headers=token(server))
    assert reply.status_code == 400
