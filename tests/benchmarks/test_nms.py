"""benchmarks/nms.py: the exit status says whether the Libra sampler is fast enough."""

import nms
import pytest


@pytest.mark.parametrize(("ratio", "status"), [(1.4, 0), (1.6, 1)])
def test_the_libra_sampler_has_a_limit(monkeypatch, capsys, ratio, status):
    monkeypatch.setattr(nms, "NUM_IMAGES", 2)
    monkeypatch.setattr(
        nms,
        "take_turns",
        lambda work, *_, **__: {name: [ratio if "libra" in name else 1.0] for name in work},
    )
    assert nms.main(["--only", "samplers"]) == status
    assert f"at most {ratio:.2f}x random sampling" in capsys.readouterr().out


@pytest.mark.long
def test_samplers_run(monkeypatch):
    monkeypatch.setattr(nms, "NUM_IMAGES", 2)
    assert nms.compare_samplers("cpu", 1) > 0
