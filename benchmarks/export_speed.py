"""How long an exported network takes, against PyTorch, image by image in turn.

    python benchmarks/export_speed.py MODEL_DIR IMAGE [--short-size 800] [--runs 5]

Prints ratios of times: below 1 the file is faster. Both use OMP_NUM_THREADS threads.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from side_by_side.arguments import positive

import paddlex_maskrcnn as pdx
from paddlex_maskrcnn.det import transforms
from paddlex_maskrcnn.export.exporting import export_network
from paddlex_maskrcnn.export.files import OnnxRunner, TorchScriptRunner
from paddlex_maskrcnn.export.verification import inputs_of


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("image", type=Path)
    parser.add_argument("--short-size", type=positive, default=800)
    parser.add_argument("--runs", type=positive, default=5)
    arguments = parser.parse_args()
    network = pdx.load_model(arguments.model, "cpu").network
    pipeline = transforms.Compose([transforms.ResizeByShort(arguments.short_size, 1333)])
    [(_, one)] = inputs_of(network.card, pipeline, [arguments.image])
    image, threshold = one["image"].float(), network.card.params.score_threshold
    print(
        f"{network.card.params.backbone}, {tuple(image.shape)}, {torch.get_num_threads()} threads"
    )
    with tempfile.TemporaryDirectory() as folder:
        for to, kind in (("onnx", OnnxRunner), ("torchscript", TorchScriptRunner)):
            path = Path(folder) / to
            print(export_network(network, path, to, images=[arguments.image], transforms=pipeline))
            runner = kind(path)
            for _ in range(2):  # TorchScript compiles in its first two runs
                runner(image, threshold)
            ratios = []
            for _ in range(arguments.runs):
                own = seconds(lambda: network.module.inference([one], do_postprocess=False))
                ratios.append(seconds(lambda runner=runner: runner(image, threshold)) / own)
            shown = ", ".join(f"{ratio:.2f}" for ratio in sorted(ratios))
            print(f"{runner.name} / PyTorch: {statistics.median(ratios):.2f} (runs: {shown})")


if __name__ == "__main__":
    main()
