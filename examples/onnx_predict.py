"""Run an exported model on pictures: needs onnxruntime, numpy and OpenCV, nothing else.

    pip install onnxruntime opencv-python-headless
    python onnx_predict.py model.onnx photo.jpg [more.png ...] --output out [--score-threshold 0.5]

Writes out/predictions.json (a COCO result list, masks as compressed RLE) and pictures.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime


class Model:
    def __init__(self, path):
        onnxruntime.set_default_logger_severity(3)  # else it warns of inputs that have a default
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        texts = self.session.get_modelmeta().custom_metadata_map
        self.about = {key: json.loads(text) for key, text in texts.items()}
        assert self.about["format_version"] == 1, "the file is newer than this script"

    def predict(self, image, score_threshold=None):
        """Objects of an (H, W, C) array in OpenCV's order, best first; mask: left, top, (h, w) bool."""
        prepared = prepare(np.atleast_3d(image), self.about["preprocessing"])
        inputs = {"image": np.ascontiguousarray(prepared.transpose(2, 0, 1), np.float32)}
        if score_threshold is not None:  # otherwise the model's own
            inputs["score_threshold"] = np.array(score_threshold, np.float32)
        boxes, scores, labels, masks = self.session.run(None, inputs)
        old, new = np.float32(image.shape[1::-1]), np.float32(prepared.shape[1::-1])
        boxes = np.clip(boxes * np.tile(old / new, 2), 0, np.tile(old, 2))
        least, found = self.about["postprocessing"]["mask_threshold"], []
        for box, score, label, mask in zip(boxes, scores, labels, masks, strict=True):
            if (box[2:] > box[:2]).all():
                one = {"category_id": self.about["category_ids"][label], "score": float(score)}
                one |= {"category": self.about["labels"][label], "mask": paste(mask, box, least)}
                found.append({**one, "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]})
        return found


def prepare(image, about):
    """The steps that the graph does not do itself."""
    if about["channel_order"] == "RGB" and image.shape[2] in (3, 4):
        image = np.ascontiguousarray(image[:, :, [2, 1, 0, 3][: image.shape[2]]])
    for step in about["steps"]:
        assert step["name"] in ("ResizeByShort", "Resize"), f"add {step['name']} to this script"
        new, method = size_after(step, *image.shape[:2]), step.get("interp", "LINEAR")
        shrinks = method == "LINEAR" and min(np.divide(new, image.shape[:2])) < 0.5
        method = "INTER_AREA" if shrinks else f"INTER_{method}"  # linear would skip pixels
        image = cv2.resize(image, new[::-1], interpolation=getattr(cv2, method)).reshape(*new, -1)
    return image


def size_after(step, height, width):
    if step["name"] == "Resize":
        return step["height"], step["width"]
    scale, longest = step["short_size"] / min(height, width), step["max_size"]
    if longest > 0 and round(scale * max(height, width)) > longest:
        scale = longest / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def paste(mask, box, least):
    """Probabilities (M, M) of a box's region as left, top and (h, w) bool of the image's pixels."""
    low, high, sides = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int), []
    for axis in (1, 0):  # rows, columns: what each cell adds to each pixel, bilinear
        centre = np.arange(low[axis], high[axis], dtype=np.float32) + np.float32(0.5)
        place = (centre - box[axis]) / (box[axis + 2] - box[axis]) * len(mask) - 0.5
        sides.append(np.maximum(0, 1 - np.abs(place[:, None] - np.arange(len(mask)))))
    return *low.tolist(), sides[0] @ mask @ sides[1].T >= least


def rle(mask, height, width):
    """COCO's compressed run lengths of a whole image's mask."""
    (left, top, bits), whole = mask, np.zeros((width, height), bool)  # COCO goes down the columns
    whole[left : left + bits.shape[1], top : top + bits.shape[0]] = bits.T
    edges = np.flatnonzero(np.diff(whole.reshape(-1), prepend=False))
    runs, text = np.diff(edges, prepend=0, append=whole.size).tolist(), ""
    for place, run in enumerate(runs):  # five bits a letter, lowest first
        rest, more = run - (runs[place - 2] if place > 2 else 0), True
        while more:
            low, rest = rest & 31, rest >> 5
            more = rest != (-1 if low & 16 else 0)
            text += chr(48 + low + 32 * more)
    return {"size": [height, width], "counts": text}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=Path("predictions"))
    parser.add_argument("--score-threshold", type=float)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    model, results = Model(arguments.model), []
    is_colour = model.about["preprocessing"]["num_channels"] == 3
    for path in arguments.pictures:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR if is_colour else cv2.IMREAD_UNCHANGED)
        assert image is not None, f"{path} cannot be read"
        found = model.predict(image, arguments.score_threshold)
        drawn = cv2.imread(str(path))
        for one in found:
            left, top, bits = mask = one.pop("mask")
            window = drawn[top : top + bits.shape[0], left : left + bits.shape[1]]
            window[bits] = window[bits] // 2 + np.array([0, 127, 0], np.uint8)
            cv2.putText(drawn, one["category"], (left, top + 12), 0, 0.5, (0, 255, 0))
            one["segmentation"] = rle(mask, *image.shape[:2])
            results.append({"image_id": path.name, **one})
        cv2.imwrite(str(arguments.output / f"{path.stem}.png"), drawn)
        print(f"{path}: {len(found)} objects")
    (arguments.output / "predictions.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
