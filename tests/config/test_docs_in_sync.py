"""The generated page of hyperparameters is current."""

from pathlib import Path

from paddlex_maskrcnn.config.show import reference_page

PAGE = Path(__file__).parents[2] / "docs" / "hyperparameters.md"


def test_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == reference_page(), "run: make docs"
