"""Templates that loop or want gigabytes are refused; all others are left to transformers."""

from __future__ import annotations

import pytest

from sift_rag.errors import ModelUnsuitable
from sift_rag.models.template_probe import require_bounded_template
from tests.models.test_chat import CHATML, HEADERS, NO_SYSTEM

LOOPS = f"{'{% for x in range(99999) %}' * 3}{'{% endfor %}' * 3}"
GIGABYTES = "{{ 'a' * 9000000000 }}"
DOUBLING = "{% set t = namespace(x='a') %}{% for i in range(40) %}{% set t.x = t.x ~ t.x %}{% endfor %}{{ t.x }}"
WITH_EACH_TURN = "{% set t = namespace(x='a') %}{% for m in messages %}{% set t.x = t.x ~ t.x %}{% endfor %}{{ t.x }}"
HIDDEN = "{% generation %}" + GIGABYTES + "{% endgeneration %}"
TAGGED = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"


@pytest.mark.slow
@pytest.mark.parametrize("template", [LOOPS, GIGABYTES, DOUBLING, WITH_EACH_TURN, HIDDEN])
def test_templates_without_bounds_are_refused(template: str) -> None:
    with pytest.raises(ModelUnsuitable, match="for a short chat"):
        require_bounded_template(template, "m")


@pytest.mark.slow
@pytest.mark.parametrize("template", [CHATML, HEADERS, NO_SYSTEM, TAGGED, "{% broken", "{{ unknown() }}", ""])
def test_other_templates_are_left_to_transformers(template: str) -> None:
    require_bounded_template(template, "m")
