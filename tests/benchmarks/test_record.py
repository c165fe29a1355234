"""The JSON file and the table made of it."""

import json

import pytest
from side_by_side.record import BEGIN, END, Check, page_part, read_record, write_between


def test_a_record_survives_its_file(record, tmp_path):
    made = record([1.0, 1.1], [2.0, 2.2], [Check("losses", True, "equal bit for bit")])
    path = tmp_path / "new folder" / "bench.json"
    made.save(path)
    assert read_record(path) == made


def test_schema(record, tmp_path):
    """What other programs may rely on."""
    path = tmp_path / "bench.json"
    record([1.0, 1.0], [2.0, 3.0], [Check("losses", True, "equal")]).save(path)
    plain = json.loads(path.read_text(encoding="utf-8"))
    about = {"command", "date", "commit", "uncommitted_changes", "machine", "versions", "settings"}
    assert plain.keys() == {"schema", "rows", "checks"} | about
    assert plain["rows"] == [
        {
            "part": "training step", "work": "one image", "contestant": "ours",
            "against": "Detectron2", "unit": "s", "values": [1.0, 1.0],
            "against_values": [2.0, 3.0], "equal": "",
            "ratio": {"median": 2.5, "q1": 2.25, "q3": 2.75},
            "medians": {"ours": 1.0, "Detectron2": 2.5},
        }
    ]  # fmt: skip
    assert plain["checks"] == [{"name": "losses", "passed": True, "found": "equal"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON file"),
        ("[]", "was not written by benchmarks/run.py"),
        ('{"schema": 99}', r"schema 99, not 1"),
        ('{"schema": 1, "rows": []}', "is not a whole record: 'checks'"),
        ('{"schema": 1, "rows": [{"part": "x"}], "checks": []}', "is not a whole record"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "bench.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_record(path)


def test_a_row_without_the_values_of_both_is_refused(record, tmp_path):
    path = tmp_path / "bench.json"
    record([1.0, 1.0], [2.0]).rows[0].values.pop()
    record([1.0], [2.0]).save(path)
    plain = json.loads(path.read_text(encoding="utf-8"))
    plain["rows"][0]["values"] = [1.0, 2.0]
    path.write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(ValueError, match="has no values of both contestants"):
        read_record(path)


def test_the_table(record):
    checks = [Check("losses", True, "equal bit for bit"), Check("masks", False, "differ")]
    text = page_part(record([0.5, 0.5], [1.5, 2.5], checks))
    assert "`python benchmarks/run.py --quick`, 2 cores of a CPU" in text
    assert "2026-11-22, commit 0123456789ab." in text
    row = "| training step | one image | ours | Detectron2 | **4.00** | 3.50 to 4.50 "
    assert row + "| 500 ms / 2.00 s | - |" in text
    assert "- yes: losses: equal bit for bit" in text
    assert "- NO: masks: differ" in text


def test_only_what_is_between_the_markers_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter {END}\n", encoding="utf-8")
    for text in ("new\n", "newer\n"):
        write_between(page, text)
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\nnewer\n{END}\nafter {END}\n"


@pytest.mark.parametrize("content", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_place_for_it(tmp_path, content):
    page = tmp_path / "page.md"
    page.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"page.md needs one line <!-- begin"):
        write_between(page, "new\n")
    assert page.read_text(encoding="utf-8") == content


def test_no_page(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        write_between(tmp_path / "page.md", "new\n")
