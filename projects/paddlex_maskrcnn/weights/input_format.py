"""What weights demand of the images and of the network; it belongs to them and travels with the model."""

from __future__ import annotations

from dataclasses import dataclass, replace

# Whose definition of anchors, region pooling and the like a detector's weights were trained with.
CONVENTIONS = ("detectron2", "torchvision", "paddlex")


@dataclass(frozen=True)
class InputFormat:
    """Pixel order and statistics that weights were trained with, and the details their network had.

    Attributes:
        channel_order: RGB or BGR; the order of `pixel_mean` and `pixel_std` too.
        pixel_mean, pixel_std: per channel, in pixel values (0 to 255 for 8-bit images).
        stride_in_1x1: whether a bottleneck's stride is in its first 1x1 convolution.
        conventions: one of CONVENTIONS. Weights of a bare backbone fit all of them and say
            detectron2.
    """

    channel_order: str
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    stride_in_1x1: bool = False
    conventions: str = "detectron2"

    @property
    def scaled(self) -> bool:
        """Whether pixels are divided by their deviation (Caffe-style weights only subtract)."""
        return any(std != 1 for std in self.pixel_std)


# torchvision, timm, PaddleX: ImageNet statistics of RGB images.
IMAGENET_RGB = InputFormat("RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
# the same images, and detectors as torchvision and PaddleX define them
TORCHVISION_RGB = replace(IMAGENET_RGB, conventions="torchvision")
PADDLEX_RGB = replace(IMAGENET_RGB, conventions="paddlex")
# MSRA / Caffe weights, as Detectron2's ImageNetPretrained/MSRA: BGR, mean only.
CAFFE_BGR = InputFormat("BGR", (103.53, 116.28, 123.675), (1.0, 1.0, 1.0), stride_in_1x1=True)
