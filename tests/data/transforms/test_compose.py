import copy

import numpy as np
import pytest
from detectron2.data import transforms as d2

from paddlex_maskrcnn.data.transforms import (
    TRANSFORMS,
    Compose,
    ComposedRCNNTransforms,
    Normalize,
    Padding,
    RandomHorizontalFlip,
    ResizeByShort,
)

FULL = [
    {"RandomHorizontalFlip": {"prob": 0.25}},
    {
        "Normalize": {
            "mean": [0.1, 0.2, 0.3],
            "std": [0.4, 0.5, 0.6],
            "min_val": [0.0, 1.0, 2.0],
            "max_val": [10.0, 20.0, 30.0],
        }
    },
    {"ResizeByShort": {"short_size": [32, 48], "max_size": 100}},
    {"Padding": {"coarsest_stride": 32, "target_size": [64, 96]}},
]


def test_config_is_rebuilt_exactly():
    assert Compose.from_config(FULL).to_config() == FULL
    assert Compose.from_config(Compose.from_config(FULL).to_config()).to_config() == FULL


def test_bare_names_take_the_defaults():
    pipeline = Compose.from_config(["RandomHorizontalFlip", {"Padding": None}])
    assert pipeline.to_config() == [
        {"RandomHorizontalFlip": {"prob": 0.5}},
        {"Padding": {"coarsest_stride": 1, "target_size": None}},
    ]


def test_every_operator_of_the_table_round_trips_with_its_defaults():
    for name, operator in TRANSFORMS.items():
        if name != "ComposedRCNNTransforms":
            config = operator().to_config()
            assert operator(**config).to_config() == config, name


def test_declarations_are_found_and_not_among_the_augmentations():
    pipeline = Compose.from_config(FULL)
    kinds = [type(a) for a in pipeline.augmentations.augs]
    assert kinds == [RandomHorizontalFlip, ResizeByShort]
    assert pipeline.normalize is pipeline.transforms[1]
    assert pipeline.padding is pipeline.transforms[3]
    without = Compose([RandomHorizontalFlip()])
    assert without.normalize is None
    assert without.padding is None


def test_deterministic_drops_the_flip_and_keeps_the_largest_size():
    pipeline = Compose.from_config(FULL)
    config = pipeline.deterministic().to_config()
    assert [next(iter(entry)) for entry in config] == ["Normalize", "ResizeByShort", "Padding"]
    assert config[1]["ResizeByShort"]["short_size"] == 48
    assert pipeline.to_config() == FULL  # untouched


def test_a_pipeline_of_a_flip_alone_predicts_with_nothing_and_reloads():
    empty = Compose([RandomHorizontalFlip()]).deterministic()
    assert empty.to_config() == []
    assert Compose.from_config([]).to_config() == []


def test_augmentations_can_be_applied_together():
    image = np.zeros((20, 30, 3), np.uint8)
    carrier = d2.AugInput(image)
    Compose([ResizeByShort(10, 100), RandomHorizontalFlip(1)]).augmentations(carrier)
    assert carrier.image.shape == (10, 15, 3)


def test_using_a_pipeline_does_not_change_it():
    pipeline = Compose.from_config(FULL)
    before = copy.deepcopy(pipeline.to_config())
    pipeline.augmentations(d2.AugInput(np.zeros((20, 30, 3), np.uint8)))
    assert pipeline.to_config() == before


def test_add_augmenters_goes_in_front_and_refuses_a_second_of_its_kind():
    pipeline = Compose([Normalize()])
    assert pipeline.add_augmenters([RandomHorizontalFlip()]) is None
    assert isinstance(pipeline.transforms[0], RandomHorizontalFlip)
    with pytest.raises(ValueError, match="already in the pipeline: RandomHorizontalFlip"):
        pipeline.add_augmenters([RandomHorizontalFlip()])
    with pytest.raises(ValueError, match="must be a list"):
        pipeline.add_augmenters(RandomHorizontalFlip())


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (lambda: Compose([]), r"non-empty list of operators, got \[\]"),
        (lambda: Compose(None), "non-empty list of operators, got None"),
        (lambda: Compose(["Flip"]), "'Flip' is not an operator"),
        (lambda: Compose([RandomHorizontalFlip]), r"write it with parentheses"),
        (lambda: Compose([Normalize(), Normalize()]), "Normalize is given twice"),
        (lambda: Compose([Padding(), Padding()]), "Padding is given twice"),
        (lambda: Compose.from_config("Padding"), "must be a list of operators"),
        (lambda: Compose.from_config([3]), "each entry must be a name"),
        (lambda: Compose.from_config([{"Padding": 32}]), "each entry must be a name"),
        (
            lambda: Compose.from_config(["ResizeByShrot"]),
            "unknown operator 'ResizeByShrot', did you mean 'ResizeByShort'",
        ),
        (
            lambda: Compose.from_config([{"ResizeByShort": {"size": 3}}]),
            "ResizeByShort: unknown argument 'size'; it takes short_size, max_size",
        ),
        (lambda: Compose.from_config(["ComposedRCNNTransforms"]), "'mode'"),
        (lambda: ComposedRCNNTransforms("predict"), "mode must be one of 'train', 'eval', 'test'"),
        (lambda: ComposedRCNNTransforms("train", [800]), "min_max_size must be"),
        (lambda: ComposedRCNNTransforms("train", [0, 5]), "short_size must be an integer >= 1"),
        (lambda: ComposedRCNNTransforms("train", random_horizontal_flip=1), "True or False"),
    ],
)
def test_mistakes(make, fragment):
    with pytest.raises(ValueError, match=fragment):
        make()


def test_the_recipe_is_the_documented_one():
    names = [next(iter(entry)) for entry in ComposedRCNNTransforms("train").to_config()]
    assert names == ["RandomHorizontalFlip", "Normalize", "ResizeByShort", "Padding"]
    evaluation = ComposedRCNNTransforms("eval", [32, 64]).to_config()
    assert evaluation[1:] == [
        {"ResizeByShort": {"short_size": 32, "max_size": 64}},
        {"Padding": {"coarsest_stride": 32, "target_size": None}},
    ]
    plain = ComposedRCNNTransforms("train", random_horizontal_flip=False)
    assert plain.to_config() == ComposedRCNNTransforms("test").to_config()


def test_the_recipe_can_stand_in_a_config():
    pipeline = Compose.from_config([{"ComposedRCNNTransforms": {"mode": "train"}}])
    assert pipeline.to_config() == ComposedRCNNTransforms("train").to_config()
