"""benchmarks/trained_model.py: it runs, and its variants are what they say."""

import logging

import pytest
import trained_model


@pytest.fixture
def model(tiny_run, tiny_data, monkeypatch, tmp_path):
    """A trained model and an experiment file that stands for its data."""
    which = {"train": 0, "eval": 1}
    monkeypatch.setattr(trained_model, "open_dataset", lambda _, part: tiny_data[which[part]])
    config = tmp_path / "config.yaml"
    config.write_text("model: {backbone: ResNet18}\n")
    yield str(tiny_run[1] / "best_model"), str(config)
    logging.disable(logging.NOTSET)


def test_tells_how_much_faster_a_variant_is(model, capsys):
    variant = "few:model.rcnn_batch_size_per_im=4,model.test_post_nms_top_n=2"
    options = ["--variant", variant, "--images", "1", "--rounds", "1", "--threads", "1"]
    assert trained_model.main([*model, *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["training"] * 2 + ["prediction,"] * 2
    assert "as trained   1.00 times as fast (1.00 to 1.00)" in lines[0]
    assert all("few" in line for line in lines[1::2])


def test_compares_with_a_variant(model, capsys):
    options = ["--parts", "predict", "--images", "1", "--rounds", "1", "--threads", "1"]
    variant = ["--variant", "few:model.test_post_nms_top_n=2", "--against", "few"]
    assert trained_model.main([*model, *options, *variant]) == 0
    assert "few   1.00 times as fast (1.00 to 1.00)" in capsys.readouterr().out.splitlines()[1]


def test_a_name_that_no_variant_has(model, capsys):
    with pytest.raises(SystemExit):
        trained_model.main([*model, "--against", "few"])
    assert "--against is 'few', but no --variant has this name" in capsys.readouterr().err


def test_variants_have_their_rows(model):
    variants = [trained_model.Variant("few", model={"test_post_nms_top_n": 2})]
    work = trained_model.predictions(trained_model.Path(model[0]), None, variants, 1)
    [predict] = work.values()
    network = predict.__defaults__[0].network
    assert network.card.params.test_post_nms_top_n == 2
    assert network.module.proposal_generator.post_nms_topk[False] == 2
