"""A conversion says how its result is read, what was written, and what was lost."""

import pytest

from paddlex_maskrcnn import datasets
from paddlex_maskrcnn.data.convert.convert import FORMATS, convert

SQUARE = [[2, 2, 12, 2, 12, 12, 2, 12]]


@pytest.mark.parametrize("form", FORMATS)
def test_the_reader_that_is_named_reads_the_result(written, tmp_path, form):
    image = written.add_image()
    written.add(image, SQUARE, [2, 2, 10, 10])
    written.add(image, SQUARE, [2, 2, 10, 10], iscrowd=1)
    out = tmp_path / ("out.json" if form == "coco" else "out")
    done = convert(written.open(), form, out, split="val")
    names = {name: getattr(datasets, name) for name in datasets.__all__}
    again = eval(done.reader, names)
    lost = form in ("yolo", "easydata")
    assert (done.images, done.objects, bool(done.lost)) == (1, 1 if lost else 2, lost)
    assert [len(record["annotations"]) for record in again.records] == [done.objects]
    assert again.labels == ["dog"]
