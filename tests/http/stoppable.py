"""A server as a process of its own that is at work when it is told to stop: ``python -m tests.http.stoppable KIND``.

KIND: ``answer`` and ``fine-tune`` (a language model that takes minutes), ``embed``, ``ingest`` and ``load`` (an
embedder that does not return, from passages or ever). With ``ingest``, agents may ingest from FOLDER/new.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sift_rag import ingest_paths
from sift_rag.protocols import LanguageModel
from sift_rag_server import Limits, ServerSettings, serve
from tests.doubles import HashingEmbedder
from tests.http.gates import GatedEmbedder, SlowToLoad
from tests.http.models import ScriptedModel, tiny_model


def main(kind: str, folder: Path) -> None:
    (folder / "fox.md").write_text("# Fox\n\nThe red fox hunts at dusk and eats mice.\n", encoding="utf-8")
    ingest_paths([folder / "fox.md"], store=folder / "store", embedder=HashingEmbedder())
    model: LanguageModel | None = None
    if kind == "answer":
        model = ScriptedModel("a ", "b")
        model.go.clear()  # type: ignore[attr-defined]
    elif kind == "fine-tune":
        model = tiny_model()
    writing: dict[str, Any] = {}
    if kind == "ingest":
        (folder / "new").mkdir()
        (folder / "new" / "owl.md").write_text("# Owl\n\nOwls nest in hollow trees.\n", encoding="utf-8")
        writing = {"uploads": folder / "uploads", "roots": (folder / "new",)}
    settings = ServerSettings(
        port=0,
        store=folder / "store",
        language_model=model,
        workers=1,
        processes=1,
        limits=Limits(stopping_seconds=1.0),
        **writing,
    )
    embedders = {"embed": GatedEmbedder, "ingest": GatedEmbedder, "load": SlowToLoad}
    serve(settings, embedder=embedders.get(kind, HashingEmbedder)())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
