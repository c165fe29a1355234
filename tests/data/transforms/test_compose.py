import copy
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from detectron2.data import transforms as d2

from paddlex_maskrcnn.config.load import load_experiment
from paddlex_maskrcnn.data.transforms import (
    TRANSFORMS,
    Compose,
    ComposedRCNNTransforms,
    CopyPaste,
    Normalize,
    Padding,
    RandomHorizontalFlip,
    ResizeByShort,
)

FULL = [
    {"RandomHorizontalFlip": {"prob": 0.25, "swap_labels": None}},
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
        {"RandomHorizontalFlip": {"prob": 0.5, "swap_labels": None}},
        {"Padding": {"coarsest_stride": 1, "target_size": None}},
    ]


NOT_DEFAULT = [
    {"RandomHorizontalFlip": {"prob": 0.3, "swap_labels": [["a", "b"], ["c", "d"]]}},
    {"RandomVerticalFlip": {"prob": 0.3, "swap_labels": None}},
    {"Resize": {"target_size": [300, 200], "interp": "RANDOM"}},
    {"RandomExpand": {"ratio": 3.0, "prob": 0.25, "fill_value": [1.0, 2.0, 3.0]}},
    {
        "RandomCrop": {
            "aspect_ratio": [0.75, 1.5],
            "thresholds": [0.2],
            "scaling": [0.5, 0.9],
            "num_attempts": 7,
            "allow_no_crop": False,
            "cover_all_box": True,
        }
    },
    {"CLAHE": {"clip_limit": 3.0, "tile_grid_size": [4, 2]}},
    {
        "LargeScaleJitter": {
            "target_size": [640, 480],
            "min_scale": 0.5,
            "max_scale": 1.5,
            "fill_value": [0.0, 0.0, 0.0],
        }
    },
    {"CopyPaste": {"prob": 0.7, "max_objects": 9, "min_visible": 0.25}},
    {"RandomRotate90": {"prob": 1.0, "turns": [2]}},
    {"RandomRotation": {"angle": [-5.0, 30.0], "prob": 1.0, "expand": True, "fill_value": None}},
    {
        "ColorJitter": {
            "brightness": 0.1,
            "contrast": 0.2,
            "saturation": 0.3,
            "hue": 0.05,
            "prob": 0.9,
        }
    },
    {"RandomBlur": {"prob": 0.2, "sigma": [0.5, 3.0]}},
    {"RandomNoise": {"prob": 0.2, "std": [0.0, 0.1]}},
]


def test_every_argument_survives_a_file():
    """As in model.yml: plain values only, written and read as YAML."""
    config = Compose.from_config(NOT_DEFAULT).to_config()
    assert config == NOT_DEFAULT
    assert yaml.safe_load(yaml.safe_dump(config)) == NOT_DEFAULT
    again = Compose.from_config(yaml.safe_load(yaml.safe_dump(config)))
    assert again.to_config() == NOT_DEFAULT


def test_prediction_keeps_what_is_not_random():
    left = Compose.from_config(NOT_DEFAULT).deterministic().to_config()
    assert left == [
        {"Resize": {"target_size": [300, 200], "interp": "LINEAR"}},
        {"CLAHE": {"clip_limit": 3.0, "tile_grid_size": [4, 2]}},
        {"ResizeByShort": {"short_size": 480, "max_size": 640}},
    ]


def test_what_operators_know_of_a_run():
    normalize = Normalize([0.5, 0.25], [0.1, 0.1], [0, 100], [200, 500])
    context = Compose([normalize]).context("BGR", 2, ["a"])
    assert context.mean == (100, 200)
    assert context.span == (200, 400)
    assert context.labels == ("a",)
    rgb = Compose([Normalize()]).context("BGR", 3)
    assert rgb.fill(None) == pytest.approx([103.53, 116.28, 123.675])
    assert rgb.fill([1, 2, 3]) == [3, 2, 1]
    assert rgb.in_image_order([1, 2, 3, 4]) == [3, 2, 1, 4]
    assert Compose([CopyPaste()]).context("RGB", 5).fill(None) == [0] * 5


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
    with pytest.raises(ValueError, match=r"augmenters is .*; a list of operators is needed"):
        pipeline.add_augmenters(RandomHorizontalFlip())


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (
            lambda: Compose([]),
            r"Compose\.transforms is \[\]; a list of operators is needed, not empty",
        ),
        (lambda: Compose(None), "transforms is None; a list of operators is needed"),
        (lambda: Compose(["Flip"]), "Compose.transforms has 'Flip'; operators are needed"),
        (lambda: Compose([RandomHorizontalFlip]), r"write it with parentheses"),
        (lambda: Compose([Normalize(), Normalize()]), "Normalize is given twice"),
        (lambda: Compose([Padding(), Padding()]), "Padding is given twice"),
        (
            lambda: Compose.from_config("Padding"),
            "transforms is 'Padding'; a list of operators is needed",
        ),
        (
            lambda: Compose.from_config([3]),
            r"transforms\[0\] is 3; a name is needed, or one name with",
        ),
        (lambda: Compose.from_config([{"Padding": 32}]), "a name is needed, or one name with"),
        (
            lambda: Compose.from_config(["ResizeByShrot"]),
            r"transforms\[0\] is 'ResizeByShrot'; operators are .*; did you mean 'ResizeByShort'",
        ),
        (lambda: Compose.from_config(["MixupImage"]), "CopyPaste mixes images object by object"),
        (lambda: Compose.from_config([{"MixupImage": {"alpha": 2}}]), "not for Mask R-CNN"),
        (
            lambda: Compose.from_config([{"ResizeByShort": {"sizes": 3}}]),
            r"ResizeByShort\.sizes is not a known key",
        ),
        (lambda: Compose.from_config(["ComposedRCNNTransforms"]), r"Transforms\.mode is missing"),
        (
            lambda: ComposedRCNNTransforms("predict"),
            "mode is 'predict'; choose one of train, eval, test",
        ),
        (
            lambda: ComposedRCNNTransforms("train", [800]),
            r"min_max_size is \[800\]; allowed: \[short_size, max_size\]",
        ),
        (
            lambda: ComposedRCNNTransforms("train", [0, 5]),
            r"min_max_size is \[0, 5\]; allowed: a short_size >= 1",
        ),
        (
            lambda: ComposedRCNNTransforms("train", random_horizontal_flip=1),
            "random_horizontal_flip is 1; allowed: true or false",
        ),
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


def test_operators_of_a_checked_file_are_those_of_its_text(tmp_path):
    lists = {"train": NOT_DEFAULT, "eval": [{"ComposedRCNNTransforms": {"mode": "eval"}}, "CLAHE"]}
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump({"model": {}, "data": {"transforms": lists}}))
    transforms = load_experiment(path).experiment.data.transforms
    for part, entries in lists.items():
        built = Compose.from_choices(getattr(transforms, part))
        assert built.to_config() == Compose.from_config(entries).to_config()
    crop = Compose.from_choices(transforms.train).transforms[4]
    assert crop.thresholds is transforms.train[4].arguments.thresholds, "neither copied nor checked"


PAGE = Path(__file__).parents[3] / "docs" / "transforms.md"


def test_the_page_names_every_operator_and_its_recipe_works():
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in TRANSFORMS if f"`{name}`" not in text] == []
    recipes = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    assert len(recipes) == 1
    for entries in yaml.safe_load(recipes[0])["data"]["transforms"].values():
        assert Compose.from_config(entries).transforms
