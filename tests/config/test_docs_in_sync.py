"""What is generated from the parameters is current: the page of hyperparameters and the signatures."""

from pathlib import Path

import pytest

from paddlex_maskrcnn.config import signatures
from paddlex_maskrcnn.config.show import reference_page
from paddlex_maskrcnn.config.signature import render_signatures

PAGE = Path(__file__).parents[2] / "docs" / "hyperparameters.md"


@pytest.mark.parametrize(
    ("path", "render"),
    [(PAGE, reference_page), (Path(signatures.__file__), render_signatures)],
    ids=["page", "signatures"],
)
def test_what_is_generated_is_current(path, render):
    assert path.read_text(encoding="utf-8") == render(), "run: make docs"
