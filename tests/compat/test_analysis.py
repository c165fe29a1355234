"""`pdx.datasets.analysis`: a front of `check`."""

import paddlex_maskrcnn as pdx


def test_what_is_in_a_data_set(tiny_coco, tmp_path, capsys):
    found = pdx.datasets.analysis.Det(tiny_coco.open()).analysis(tmp_path / "page")
    printed = capsys.readouterr().out
    assert "bolt" in printed
    assert "nut" in printed
    assert found.scans[0].name == "data"
    assert (tmp_path / "page" / "check.html").is_file()


def test_two_parts_are_compared(tiny_coco):
    data = tiny_coco.open()
    found = pdx.datasets.analysis.Det(data, tiny_coco.open()).analysis()
    assert any(finding.kind == "leak" for finding in found.findings)
