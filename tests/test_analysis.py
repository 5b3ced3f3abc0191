"""Reading a run's logs, and the tables and pictures made of them."""

import json

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.structures import InstanceData

from mmdet_ltnorm.analysis import draw_predictions, plot_curves
from mmdet_ltnorm.results import lvis_table, read_scalars

METRICS = {
    f"lvis/{kind}_{key}": 0.2 for kind in ("bbox", "segm") for key in ("AP", "APr", "APc", "APf")
}


def write_run(work_dir):
    """Write the logs of a run that was killed in the middle of a line and resumed."""
    first = [
        {"iter": 25, "loss": 3.0, "magnitude": 16.0},
        {"iter": 50, "loss": 2.5, "magnitude": 16.1},
    ]
    second = [{"iter": 75, "loss": 2.0, "magnitude": 16.2}, {"step": 1, **METRICS}]
    for stamp, records in ("20260101_0000", first), ("20260101_0100", second):
        folder = work_dir / stamp / "vis_data"
        folder.mkdir(parents=True)
        text = "\n".join(map(json.dumps, records))
        folder.joinpath("scalars.json").write_text(text + '\n{"iter": 60, "lo')
    return work_dir


def test_scalars_of_all_resumptions_are_read_and_a_cut_line_is_left_out(tmp_path):
    records = read_scalars(write_run(tmp_path))
    assert [record.get("iter") for record in records] == [25, 50, 75, None]


def test_table_shows_points_differences_and_missing_groups():
    ours = {**METRICS, "lvis/segm_APr": float("nan"), "lvis/bbox_AP": 0.213}
    lines = lvis_table({"Seesaw": METRICS, "NBN": ours}).splitlines()
    assert [len(line) for line in lines] == [len(lines[0])] * 5
    assert lines[3].split("|")[2:4] == ["   21.3 ", "    20.0 "]
    assert lines[4].count("n/a") == 1 and "+1.3" in lines[4] and "+0.0" in lines[4]


def test_curves_are_drawn_for_runs_with_and_without_a_magnitude(tmp_path):
    runs = {"NBN": write_run(tmp_path / "a"), "empty": tmp_path / "b"}
    plot_curves(runs, tmp_path / "curves.png")
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture.shape[1] > 1000 and picture.std() > 5


@pytest.fixture
def finder(monkeypatch):
    """A model that finds one disc at the top left of every image."""

    class Sample:
        mask = np.zeros((1, 96, 96), bool)
        mask[0, 10:40, 10:40] = True

    def inference_detector(model, path):
        import torch

        instances = InstanceData(
            masks=torch.from_numpy(Sample.mask),
            labels=torch.tensor([1]),
            scores=torch.tensor([0.9]),
        )
        return type("Result", (), {"pred_instances": instances})()

    monkeypatch.setattr("mmdet.apis.inference_detector", inference_detector)
    return object()


def test_predictions_stand_beside_the_ground_truth(tmp_path, mini_lvis, finder):
    annotations = json.loads((mini_lvis / "annotations/lvis_v1_val.json").read_text())
    dataset = DATASETS.build(
        dict(
            type="mmdet.LVISV1Dataset",
            data_root=str(mini_lvis),
            ann_file="annotations/lvis_v1_val.json",
            data_prefix=dict(img=""),
            metainfo=dict(classes=[c["name"] for c in annotations["categories"]]),
            pipeline=[],
        )
    )
    images = [dataset.get_data_info(index) for index in range(2)]
    out = tmp_path / "predictions.png"
    draw_predictions({"model": finder}, images, annotations["categories"], out)
    picture = cv2.imread(str(out)).astype(int)
    left, right = np.array_split(picture, 2, axis=1)
    assert left.std() > 5 and np.abs(left[:, : right.shape[1]] - right).max() > 50
    strict = tmp_path / "strict.png"
    draw_predictions({"model": finder}, images, annotations["categories"], strict, score_thr=0.95)
    assert np.abs(cv2.imread(str(strict)).astype(int) - picture).max() > 50
