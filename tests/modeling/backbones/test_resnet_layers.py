import torch

from paddlex_maskrcnn.modeling.backbones.resnet_layers import DeepStem, PooledConv2d


def test_pooled_shortcut_averages_what_is_there():
    """A 3x3 map becomes 2x2: full windows, and at the border the pixels that exist."""
    shortcut = PooledConv2d(1, 1, kernel_size=1, bias=False, pool=2)
    torch.nn.init.ones_(shortcut.weight)
    x = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]).view(1, 1, 3, 3)
    expected = torch.tensor([[3.0, 4.5], [7.5, 9.0]])
    torch.testing.assert_close(shortcut(x)[0, 0], expected)


def test_deep_stem_widths_and_stride():
    stem = DeepStem(3, 64, norm="BN")
    assert [layer.out_channels for layer in (stem.conv1, stem.conv2, stem.conv3)] == [32, 32, 64]
    assert stem(torch.randn(1, 3, 32, 64)).shape == (1, 64, 8, 16)
    assert stem.stride == 4
