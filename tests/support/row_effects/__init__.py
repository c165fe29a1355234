"""A case for every row of the schema: what changes when its value is not the default.

`CASES` maps (class, row) to a function that takes a `Laboratory` and asserts the effect. The rows are
set on the way a user sets them, and the effect is read off networks, files, logs and results, not
off configurations, so that a row that nobody reads any more fails its case.
"""

from . import model, results, train
from .laboratory import CASES, REPLACEMENTS, Laboratory, Material

__all__ = ["CASES", "REPLACEMENTS", "Laboratory", "Material", "model", "results", "train"]
