"""RandomDistort of the spec on float images, pixel values RGB, one step after the other."""

import math
from typing import Any

import numpy as np


def distort(image: np.ndarray, arguments: dict[str, Any]) -> np.ndarray:
    """The distorted (H, W, 3) image, not rounded and not cut; draws the numbers of the operator."""
    image = image.astype(np.float64)
    names = ["brightness", "contrast", "saturation", "hue"]
    for place in np.random.permutation(4):
        name = names[place]
        if np.random.uniform() < arguments[f"{name}_prob"]:
            reach = arguments[f"{name}_range"]
            image = STEPS[name](image, np.random.uniform(-reach, reach))
    return image


def _brightness(image: np.ndarray, change: float) -> np.ndarray:
    return image * (1 + change)


def _contrast(image: np.ndarray, change: float) -> np.ndarray:
    delta = 1 + change
    return image * delta + image.mean() * (1 - delta)


def _saturation(image: np.ndarray, change: float) -> np.ndarray:
    delta = 1 + change
    grey = (image * [0.299, 0.587, 0.114]).sum(axis=2, keepdims=True)
    return image * delta + grey * (1 - delta)


def _hue(image: np.ndarray, degrees: float) -> np.ndarray:
    """Chroma turned in the plane of I and Q."""
    result = np.empty_like(image)
    angle = math.radians(degrees)
    to_yiq = [[0.299, 0.587, 0.114], [0.596, -0.274, -0.321], [0.211, -0.523, 0.311]]
    from_yiq = np.linalg.inv(to_yiq)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            luma, i, q = np.array(to_yiq) @ image[y, x]
            turned_i = i * math.cos(angle) - q * math.sin(angle)
            turned_q = i * math.sin(angle) + q * math.cos(angle)
            result[y, x] = from_yiq @ [luma, turned_i, turned_q]
    return result


STEPS = {"brightness": _brightness, "contrast": _contrast, "saturation": _saturation, "hue": _hue}
