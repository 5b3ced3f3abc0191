"""Time and peak memory of LVIS evaluation: lvis-api as its users call it, and LTLVISMetric.

    python benchmarks/lvis_eval.py                  # boxes, about a minute
    python benchmarks/lvis_eval.py --images 200     # seconds
    python benchmarks/lvis_eval.py --kind segm      # masks
    python benchmarks/lvis_eval.py --val            # LVIS val's size, without lvis-api

Each runs in a process of its own on the same random ground truth and detections, and may use all
cores (`taskset -c 0` gives it one). "read" is the time for the annotation file, "score" the time
from results to scores: lvis-api's starts with its list of results, and the metric's includes
process() for every image. Masks are given as run lengths, as lvis-api takes them. The memory is the
process's peak, libraries included.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pycocotools.mask as mask_utils
from mmengine.logging import MMLogger

from mmdet_ltnorm.evaluation import LTLVISMetric
from mmdet_ltnorm.results.tables import markdown_table

HEIGHT, WIDTH = 480, 640
VAL_IMAGES = 19809


def objects(images: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return twelve boxes for each image, (I, 12, 4), and fourteen categories, (I, 14).

    The first six categories have two objects each; the others are the image's negative categories,
    about as many as in LVIS.
    """
    rng = np.random.default_rng(0)
    categories = np.stack([rng.permutation(classes)[:14] + 1 for _ in range(images)])
    return rng.uniform(5, 240, size=(images, 12, 4)).round(2), categories


def ground_truth(images: int, classes: int) -> dict:
    """Return the objects in LVIS's format, with polygons of forty corners."""
    content = dict(images=[], annotations=[])
    content["categories"] = [
        dict(id=i, name=f"class {i}", frequency="rcf"[i % 3]) for i in range(1, classes + 1)
    ]
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ellipse = 1 + np.stack([np.cos(angle), np.sin(angle)], axis=1)
    boxes, categories = objects(images, classes)
    for image_id, (own, chosen) in enumerate(zip(boxes, categories.tolist(), strict=True), 1):
        image = dict(id=image_id, height=HEIGHT, width=WIDTH, neg_category_ids=chosen[6:])
        content["images"].append(image | dict(not_exhaustive_category_ids=chosen[:1]))
        for category_id, box in zip(chosen[:6] * 2, own, strict=True):
            outline = box[:2] + box[2:] / 2 * ellipse
            content["annotations"].append(
                dict(id=len(content["annotations"]) + 1, image_id=image_id, bbox=box.tolist())
                | dict(category_id=category_id, area=box[2] * box[3] * np.pi / 4)
                | dict(segmentation=[outline.round(2).ravel().tolist()])
            )
    return content


def predictions(images: int, classes: int, detections: int, kind: str) -> Iterator[dict]:
    """Yield predictions as mmdet's data samples; a third of the detections are near an object."""
    rng = np.random.default_rng(1)
    for image_id, (boxes, categories) in enumerate(
        zip(*objects(images, classes), strict=True), start=1
    ):
        near = rng.integers(12, size=detections // 3)
        far = detections - len(near)
        box = np.concatenate([boxes[near], rng.uniform(5, 240, size=(far, 4))])
        box = np.abs(box + rng.normal(0, 4, size=box.shape)).astype(np.float32)
        label = np.concatenate([categories[near % 6] - 1, rng.integers(classes, size=far)])
        prediction = dict(bboxes=np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1))
        prediction |= dict(scores=rng.random(detections, dtype=np.float32), labels=label)
        if kind == "segm":
            prediction["masks"] = mask_utils.frPyObjects(box.astype(float), HEIGHT, WIDTH)
        yield dict(img_id=image_id, pred_instances=prediction)


def run_metric(ann_file: str, samples: Iterator[dict], kind: str) -> dict[str, float]:
    MMLogger.get_current_instance().setLevel("ERROR")
    read, score = Clock(), Clock()
    with read:
        metric = LTLVISMetric(ann_file, metric=kind)
    for sample in samples:
        with score:
            metric.process(None, [sample])
    with score:
        scores = metric.evaluate(0)
    return measured(read, score, scores[f"lvis/{kind}_AP"])


def run_lvis_api(ann_file: str, samples: Iterator[dict], kind: str) -> dict[str, float]:
    np.float = float  # Removed in NumPy 1.24.
    from lvis import LVIS, LVISEval, LVISResults

    results = [result for sample in samples for result in lvis_results(sample, kind)]
    read, score = Clock(), Clock()
    with read:
        truth = LVIS(ann_file)
    with score:
        evaluation = LVISEval(truth, LVISResults(truth, results), kind)
        evaluation.run()
    return measured(read, score, float(evaluation.results["AP"]))


def lvis_results(sample: dict, kind: str) -> Iterator[dict]:
    prediction = sample["pred_instances"]
    rows = zip(*(prediction[key].tolist() for key in ("bboxes", "scores", "labels")), strict=True)
    for row, ((x1, y1, x2, y2), score, label) in enumerate(rows):
        result = dict(image_id=sample["img_id"], category_id=label + 1, score=score)
        if kind == "bbox":
            yield result | dict(bbox=[x1, y1, x2 - x1, y2 - y1])
        else:
            yield result | dict(segmentation=dict(prediction["masks"][row]))


class Clock:
    """Adds up wall and CPU times of its ``with`` blocks; a busy machine changes only the first."""

    def __init__(self) -> None:
        self.seconds = np.zeros(2)

    def __enter__(self) -> None:
        self.seconds -= time.perf_counter(), time.process_time()

    def __exit__(self, *error: object) -> None:
        self.seconds += time.perf_counter(), time.process_time()


def measured(read: Clock, score: Clock, precision: float) -> dict[str, float]:
    times = dict(zip(("score", "cpu"), score.seconds.tolist(), strict=True))
    return times | dict(read=float(read.seconds[0]), gigabytes=peak_gigabytes(), AP=precision)


def peak_gigabytes() -> float:
    """Return the peak memory of this process; getrusage would count its parent's, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e6 for line in lines if line.startswith("VmHWM"))


RUNS = {"lvis-api": run_lvis_api, "LTLVISMetric": run_metric}
COLUMNS = {"read": "read s", "score": "score s", "cpu": "score, CPU s", "gigabytes": "peak GB"}


def table(runs: dict[str, dict[str, float]]) -> str:
    """Return a table with a row for each run and, for two runs, their ratio."""
    rows = [[name, *(f"{run[key]:.2f}" for key in COLUMNS)] for name, run in runs.items()]
    if len(runs) == 2:
        theirs, ours = runs.values()
        rows.append(["ratio", *(f"{theirs[key] / ours[key]:.1f}" for key in COLUMNS)])
    return markdown_table(["", *COLUMNS.values()], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--classes", type=int, default=1203)
    parser.add_argument("--detections", type=int, default=300, help="in an image")
    parser.add_argument("--kind", choices=["bbox", "segm"], default="bbox")
    parser.add_argument(
        "--val", action="store_true", help=f"{VAL_IMAGES} images, without lvis-api: it takes long"
    )
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)  # Name and annotation file.
    args = parser.parse_args()
    images = VAL_IMAGES if args.val else args.images
    if args.run:
        name, ann_file = args.run
        samples = predictions(images, args.classes, args.detections, args.kind)
        print(json.dumps(RUNS[name](ann_file, samples, args.kind)))
        return
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "val.json")
        path.write_text(json.dumps(ground_truth(images, args.classes)))
        for name in ["LTLVISMetric"] if args.val else RUNS:
            command = [sys.executable, __file__, *sys.argv[1:], "--run", name, str(path)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[name] = json.loads(output.splitlines()[-1])
    kind = {"bbox": "boxes", "segm": "masks"}[args.kind]
    size = f"{images} images, {args.classes} classes, {args.detections} detections an image"
    print(f"{size}, {kind}\n\n{table(found)}")
    if len(found) == 2:
        theirs, ours = (run["AP"] for run in found.values())
        print(f"\nThe difference in AP is {abs(theirs - ours):.0e}.")


if __name__ == "__main__":
    main()
