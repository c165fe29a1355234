"""Names of PaddleX that are not here say so, wherever they are asked for; others are as unknown as ever."""

import importlib
import subprocess
import sys

import pytest

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.compat.refused import REFUSED, sentence_for


@pytest.mark.parametrize("name", REFUSED)
def test_asking_for_it_says_why_and_what_instead(name):
    *homes, last = name.split(".")
    home = pdx
    for part in homes:
        home = getattr(home, part)
    assert not hasattr(home, last)
    with pytest.raises(AttributeError) as raised:
        getattr(home, last)
    sentence = str(raised.value)
    assert sentence.startswith(f"paddlex_maskrcnn.{name} is not available: PaddleX's ")
    assert "; " in sentence or ". " in sentence, "why, and what instead"


@pytest.mark.parametrize("name", [name for name in REFUSED if name.count(".") < 2])
def test_importing_it_shows_the_sentence(name):
    home, _, last = f"paddlex_maskrcnn.{name}".rpartition(".")
    for statement in (f"from {home} import {last}", f"import {home}.{last}"):
        with pytest.raises(ImportError) as raised:
            exec(statement)
        assert str(raised.value) == sentence_for(name)


def test_names_that_paddlex_does_not_have():
    assert sentence_for("nonsense") is None
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = pdx.nonsense
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = pdx.det.nonsense
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = pdx.datasets.nonsense
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'paddlex_maskrcnn\.nonsense'"):
        importlib.import_module("paddlex_maskrcnn.nonsense")


@pytest.mark.parametrize(
    ("module", "same"),
    [("cv.datasets", "datasets"), ("cv.transforms", "transforms"), ("utils", "compat.utils"),
     ("transforms", "compat.transforms"), ("deploy", "compat.deploy"), ("cv", "compat.cv")],
)  # fmt: skip
def test_modules_by_paddlexs_names(module, same):
    """As `import paddlex.deploy` and the like; one module whatever the name."""
    found = importlib.import_module(f"paddlex_maskrcnn.{module}")
    assert found is importlib.import_module(f"paddlex_maskrcnn.{same}")
    home = pdx
    for part in module.split("."):
        home = getattr(home, part)
    assert home is found


def test_the_package_stays_light():
    """Names load when they are asked for."""
    code = (
        "import sys, paddlex_maskrcnn as pdx; before = set(sys.modules); hasattr(pdx, 'slim'); "
        "print([n for n in sys.modules if n.startswith('paddlex_maskrcnn.')], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("] ") == [
        "['paddlex_maskrcnn.compat', 'paddlex_maskrcnn.compat.refused'", "False\n",
    ]  # fmt: skip
