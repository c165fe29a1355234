"""The inspection as text and as plain data."""

import json

from paddlex_maskrcnn.data.check.findings import LEVELS
from paddlex_maskrcnn.report.check_page.text import as_plain, as_text, table


def test_the_text_has_findings_first_and_aligned_tables(found):
    lines = as_text(found).splitlines()
    assert lines[0].startswith(f"{found.count('error')} errors, ")
    assert lines[4].startswith("ERROR ")
    assert table([["", "a"], ["name", "12"]]) == "         a\n  name  12"
    classes = lines[lines.index("Classes") + 1 :]
    assert len({len(line) for line in classes[: 1 + len(found.classes)]}) == 1


def test_plain_data_is_json_with_every_location(found):
    plain = json.loads(json.dumps(as_plain(found)))
    assert plain["format"] == 1
    assert plain["counts"] == {level: found.count(level) for level in LEVELS}
    assert [one["places"] for one in plain["findings"]] == [
        [location.text for location in one.locations] for one in found.findings
    ]
    assert plain["anchors"]["used"]["sizes"] == [8, 16, 32, 64, 128]
    for drawn in plain["histograms"]:
        assert all(len(drawn["edges"]) == len(part) + 1 for part in drawn["parts"].values())
