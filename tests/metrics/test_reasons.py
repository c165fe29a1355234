from paddlex_maskrcnn.metrics.overlaps import find_overlaps
from paddlex_maskrcnn.metrics.reasons import why_undefined, why_zero
from paddlex_maskrcnn.metrics.results import ResultRows
from paddlex_maskrcnn.metrics.truth import Truth

BOX, SHIFTED, ELSEWHERE = [20, 20, 40, 40], [40, 20, 40, 40], [110, 90, 40, 40]


def zero(scene):
    return why_zero(find_overlaps(Truth(scene.truth), ResultRows(scene.results), "bbox"))


def test_undefined(empty_scene):
    scene = empty_scene(image_ids=(1, 2))
    assert "val.json has no annotated object in its 2 images" in why_undefined(
        Truth(scene.truth), "val.json"
    )
    scene.annotate(1, 1, BOX, crowd=True)
    assert "all 1 annotations of x are crowd" in why_undefined(Truth(scene.truth), "x")
    scene.annotate(1, 1, BOX)
    assert why_undefined(Truth(scene.truth), "x") == ""


def test_zero(empty_scene):
    scene = empty_scene()
    scene.annotate(1, 1, BOX)
    scene.detect(1, 1, SHIFTED, 0.25)
    text = zero(scene)
    assert "none of 1 detections (highest score 0.250)" in text
    assert "the best overlap is 0.33; train longer" in text


def test_zero_because_of_the_order_of_classes(empty_scene):
    scene = empty_scene()
    scene.annotate(1, 1, BOX)
    scene.detect(1, 2, BOX, 0.9)
    assert "1 overlap an object of another class by half: are the classes" in zero(scene)


def test_zero_because_nothing_meets(empty_scene):
    scene = empty_scene()
    scene.annotate(1, 1, BOX)
    scene.detect(1, 1, ELSEWHERE, 0.9)
    assert "None touches any object: do annotations and images belong together?" in zero(scene)
