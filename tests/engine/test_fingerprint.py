"""What a checkpoint remembers of its run's settings."""

from paddlex_maskrcnn.config.operator_params import RandomHorizontalFlipParams
from paddlex_maskrcnn.config.schema import RETIRED, ModelParams, TrainParams
from paddlex_maskrcnn.det import transforms
from paddlex_maskrcnn.engine.fingerprint import differences, name_of_optimizer, settings_of


def settings(dataset, model=None, **train):
    params = TrainParams(num_epochs=2, train_dataset=None, **train)
    return settings_of(ModelParams(**(model or {})), params, dataset, None)


def test_what_decides_the_course_is_noticed(tiny_coco):
    before = settings(tiny_coco.open())
    assert differences(before, settings(tiny_coco.open())) == []
    assert differences(before, settings(tiny_coco.open(), train_batch_size=2)) == [
        "train.train_batch_size was 1 and is 2"
    ]
    assert differences(before, settings(tiny_coco.open(), {"with_dcn": True})) == [
        "model.with_dcn was False and is True"
    ]


def test_what_has_no_influence_is_not(tiny_coco):
    free = {"save_dir": "x", "keep_last": 1, "use_vdl": True, "log_interval_steps": 1}
    before, now = settings(tiny_coco.open()), settings(tiny_coco.open(), {"device": "cpu"}, **free)
    assert differences(before, now) == []


def test_a_moved_object_is_other_data(tiny_coco):
    before = settings(tiny_coco.open())
    tiny_coco.annotation(11)["segmentation"] = [[5, 4, 24, 4, 24, 30, 5, 30]]
    tiny_coco.save()
    (line,) = differences(before, settings(tiny_coco.open()))
    assert line.startswith("data.train.content was ")


def test_a_moved_folder_is_the_same_data(tiny_coco, tmp_path):
    before = settings(tiny_coco.open())
    tiny_coco.data_dir = tiny_coco.data_dir.rename(tmp_path / "elsewhere")
    assert differences(before, settings(tiny_coco.open())) == []


def test_a_function_is_known_by_its_name():
    """Its address would be another one after every start."""
    assert name_of_optimizer(settings) == f"{__name__}.settings"
    assert name_of_optimizer({"name": "AdamW"}) == {"name": "AdamW"}


def test_many_differences_are_counted():
    lines = differences({str(k): 0 for k in range(20)}, {str(k): 1 for k in range(20)})
    assert len(lines) == 13
    assert lines[-1] == "and 8 more"


def test_a_row_that_came_later_counts_as_its_default(tiny_coco):
    now = settings(tiny_coco.open())
    missing = ("model.gradient_checkpointing", "train.repeat_threshold")
    before = {key: value for key, value in now.items() if key not in missing}
    assert differences(before, now) == []
    now = settings(tiny_coco.open(), repeat_threshold=0.1)
    assert differences(before, now) == ["train.repeat_threshold was None and is 0.1"]


def test_a_retired_row_and_one_that_is_free_by_now_do_not_count(tiny_coco, monkeypatch):
    now = settings(tiny_coco.open())
    before = {**now, "train.gears": 3, "train.keep_last": 2}
    assert differences(before, now) == ["train.gears was 3 and is None"]
    monkeypatch.setitem(RETIRED, TrainParams, {"gears": "there are none"})
    assert differences(before, now) == []


def test_an_operators_arguments_of_then(tiny_coco, monkeypatch):
    def with_flip(prob):
        return settings(
            tiny_coco.open(transforms=transforms.Compose([transforms.RandomHorizontalFlip(prob)]))
        )

    def before(**arguments):
        return {**with_flip(0.5), "data.train.transforms": [{"RandomHorizontalFlip": arguments}]}

    assert differences(before(prob=0.5), with_flip(0.5)) == [], "swap_labels came later"
    assert differences(before(), with_flip(0.5)) == []
    assert len(differences(before(), with_flip(0.25))) == 1
    assert len(differences(before(gears=3), with_flip(0.5))) == 1
    monkeypatch.setitem(RETIRED, RandomHorizontalFlipParams, {"gears": "there are none"})
    assert differences(before(gears=3), with_flip(0.5)) == []
