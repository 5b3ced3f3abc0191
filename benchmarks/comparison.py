"""Time and peak memory of tools/compare.py, by default at the size of LVIS's validation set.

    python benchmarks/comparison.py                                   # a few minutes
    python benchmarks/comparison.py --images 500 --resamples 100      # seconds

Random ground truth and detections, 300 an image, as in benchmarks/lvis_eval.py; the second model
has the first one's detections with other scores.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from lvis_eval import ground_truth, predictions
from mmengine.logging import MMLogger

from mmdet_ltnorm.comparison import compare_files, differences_table
from mmdet_ltnorm.evaluation import LTLVISMetric


def write_results(folder: Path, images: int, classes: int) -> None:
    """Write val.json and both models' a.json and b.json."""
    (folder / "val.json").write_text(json.dumps(ground_truth(images, classes)))
    metric = LTLVISMetric(
        str(folder / "val.json"), metric="bbox", results_file=str(folder / "a.json")
    )
    for sample in predictions(images, classes, 300, "bbox"):
        metric.process(None, [sample])
    metric.evaluate(images)
    results = json.loads((folder / "a.json").read_text())
    noise = np.random.default_rng(2).normal(0, 0.02, size=len(results))
    for result, change in zip(results, noise.tolist(), strict=True):
        result["score"] += change
    (folder / "b.json").write_text(json.dumps(results))
    print(f"{images} images, {classes} classes, {len(results)} detections count\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=19809)
    parser.add_argument("--classes", type=int, default=1203)
    parser.add_argument("--resamples", type=int, default=1000)
    args = parser.parse_args()
    MMLogger.get_current_instance().setLevel("ERROR")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_results(folder, args.images, args.classes)
        wall, cpu = time.perf_counter(), time.process_time()
        names = [str(folder / name) for name in ("a.json", "b.json", "val.json")]
        found = compare_files(*names, args.resamples)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(differences_table(found))
    size = f"{args.resamples} resamples"
    print(f"\n{size}: {wall:.0f} s, {cpu:.0f} s of CPU, peak of the process {peak:.1f} GB")


if __name__ == "__main__":
    main()
