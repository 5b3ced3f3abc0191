"""Time and peak memory of LVIS evaluation: lvis-api as its users call it, and LTLVISMetric.

    python benchmarks/lvis_eval.py                  # boxes, about a minute
    python benchmarks/lvis_eval.py --images 200     # a look
    python benchmarks/lvis_eval.py --kind segm      # masks

Each runs in a process of its own on the same random ground truth and detections. The time is that
of scoring: lvis-api's from its list of results on, the metric's with process() of every image. The
memory is the process's peak over what it held before, so it has lvis-api's list of results in it.

Measured on two busy cores, boxes: lvis-api 39.1 s of CPU and 2.18 GB, the metric 1.0 s and 0.32 GB;
masks, where most of the time goes into overlaps: 39.1 s and 2.59 GB, 2.9 s and 0.47 GB.
"""

import argparse
import json
import resource
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

HEIGHT, WIDTH = 480, 640


def ground_truth(images: int, classes: int) -> dict:
    """Six classes of two objects and eight absent classes an image, about as in LVIS."""
    rng = np.random.default_rng(0)
    content = dict(images=[], annotations=[])
    content["categories"] = [
        dict(id=i, name=f"class {i}", frequency="rcf"[i % 3]) for i in range(1, classes + 1)
    ]
    for image_id in range(1, images + 1):
        chosen = (rng.permutation(classes)[:14] + 1).tolist()
        image = dict(id=image_id, height=HEIGHT, width=WIDTH, neg_category_ids=chosen[6:])
        content["images"].append(image | dict(not_exhaustive_category_ids=chosen[:1]))
        for category_id in chosen[:6] * 2:
            x, y, w, h = box = rng.uniform(5, 240, size=4).round(2).tolist()
            angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
            outline = np.stack([x + w / 2 * (1 + np.cos(angle)), y + h / 2 * (1 + np.sin(angle))])
            content["annotations"].append(
                dict(id=len(content["annotations"]) + 1, image_id=image_id, bbox=box)
                | dict(category_id=category_id, area=w * h * np.pi / 4)
                | dict(segmentation=[outline.T.round(2).ravel().tolist()])
            )
    return content


def predictions(content: dict, detections: int, kind: str) -> Iterator[dict]:
    """Yield mmdet's data samples; a third of the detections are near an object."""
    rng = np.random.default_rng(1)
    objects = np.array([ann["bbox"] for ann in content["annotations"]]).reshape(-1, 12, 4)
    labels = np.array([ann["category_id"] - 1 for ann in content["annotations"]]).reshape(-1, 12)
    for image, boxes, own in zip(content["images"], objects, labels, strict=True):
        near = rng.integers(12, size=detections // 3)
        far = detections - len(near)
        box = np.concatenate([boxes[near], rng.uniform(5, 240, size=(far, 4))])
        box = np.abs(box + rng.normal(0, 4, size=box.shape)).astype(np.float32)
        label = np.concatenate([own[near], rng.integers(len(content["categories"]), size=far)])
        prediction = dict(bboxes=np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1))
        prediction |= dict(scores=rng.random(detections, dtype=np.float32), labels=label)
        if kind == "segm":
            prediction["masks"] = mask_utils.frPyObjects(box.astype(float), HEIGHT, WIDTH)
        yield dict(img_id=image["id"], pred_instances=prediction)


def run_metric(ann_file: str, detections: int, kind: str) -> dict[str, float]:
    MMLogger.get_current_instance().setLevel("ERROR")
    content = json.loads(Path(ann_file).read_text())
    clock, before = Clock(), peak()
    with clock:
        metric = LTLVISMetric(ann_file, metric=kind)
    for sample in predictions(content, detections, kind):
        with clock:
            metric.process(None, [sample])
    with clock:
        scores = metric.evaluate(len(content["images"]))
    return clock.times() | dict(gigabytes=peak() - before, AP=scores[f"lvis/{kind}_AP"])


def run_lvis_api(ann_file: str, detections: int, kind: str) -> dict[str, float]:
    np.float = float  # Removed in NumPy 1.24.
    from lvis import LVIS, LVISEval, LVISResults

    content = json.loads(Path(ann_file).read_text())
    clock, before = Clock(), peak()
    results = [
        result
        for sample in predictions(content, detections, kind)
        for result in lvis_results(sample, kind)
    ]
    with clock:
        truth = LVIS(ann_file)
        evaluation = LVISEval(truth, LVISResults(truth, results), kind)
        evaluation.run()
    return clock.times() | dict(gigabytes=peak() - before, AP=float(evaluation.results["AP"]))


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
    """Sum of the wall and CPU times of its ``with`` blocks; CPU time is right on a busy machine."""

    def __init__(self) -> None:
        self.seconds = np.zeros(2)

    def __enter__(self) -> None:
        self.seconds -= time.perf_counter(), time.process_time()

    def __exit__(self, *error: object) -> None:
        self.seconds += time.perf_counter(), time.process_time()

    def times(self) -> dict[str, float]:
        return dict(zip(("wall", "cpu"), self.seconds.tolist(), strict=True))


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


ROW = "{wall:8.2f} s wall {cpu:8.2f} s CPU {gigabytes:7.3f} GB   AP {AP!r}"
RUNS = {"lvis-api": run_lvis_api, "LTLVISMetric": run_metric}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--classes", type=int, default=1203)
    parser.add_argument("--detections", type=int, default=300, help="in an image")
    parser.add_argument("--kind", choices=["bbox", "segm"], default="bbox")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)  # Name and annotation file.
    args = parser.parse_args()
    if args.run:
        name, ann_file = args.run
        print(json.dumps(RUNS[name](ann_file, args.detections, args.kind)))
        return
    print(f"{args.images} images, {args.classes} classes, {args.detections} detections an image")
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "val.json")
        path.write_text(json.dumps(ground_truth(args.images, args.classes)))
        for name in RUNS:
            command = [sys.executable, __file__, *sys.argv[1:], "--run", name, str(path)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            measured[name] = json.loads(output.splitlines()[-1])
            print(f"{name:13}" + ROW.format(**measured[name]))
    slow, fast = measured.values()
    times = {key: f"{slow[key] / fast[key]:.0f}" for key in ("wall", "cpu")}
    share = fast["gigabytes"] / slow["gigabytes"]
    print(f"{times['wall']} times as fast ({times['cpu']} in CPU time), {share:.0%} of the memory")


if __name__ == "__main__":
    main()
