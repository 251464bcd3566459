"""Loading a model writes nothing of its own to the terminal."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from sift_rag.devices import quiet_transformers

LOAD = "from sift_rag.opening import open_embedder; open_embedder(runtime='torch').embed_queries(['Who?'])"


@pytest.mark.slow
def test_the_imports_of_an_embedder_say_nothing_in_a_program_that_uses_the_library() -> None:
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_logger_of_another_package_has_its_level_again_after_a_failure() -> None:
    logger = logging.getLogger("bitsandbytes")
    before, levels = logger.level, []

    @quiet_transformers()
    def fail() -> None:
        levels.append(logger.getEffectiveLevel())
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        fail()
    assert (levels, logger.level) == ([logging.ERROR], before)
