import pytest
from detectron2.config import CfgNode, get_cfg


@pytest.fixture
def make_cfg():
    """A function depth, variant, settings -> cfg; settings are keys below MODEL."""

    def make(depth=18, variant="b", **settings):
        cfg = get_cfg()
        cfg.MODEL.BACKBONE.GRADIENT_CHECKPOINTING = False
        cfg.MODEL.BACKBONE.FREEZE_AT = 0
        cfg.MODEL.RESNETS.DEPTH = depth
        cfg.MODEL.RESNETS.VARIANT = variant
        cfg.MODEL.RESNETS.STRIDE_IN_1X1 = False
        cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 64 if depth < 50 else 256
        cfg.MODEL.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
        cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
        cfg.MODEL.FPN.OUT_CHANNELS = 16
        cfg.MODEL.HRNET = CfgNode({"NORM": "FrozenBN"})
        for key, value in settings.items():
            section, _, name = key.partition("__")
            setattr(cfg.MODEL[section], name, value)
        return cfg

    return make
