"""tools/predict.py on image files, and mmdet's DetInferencer on our configs."""

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pycocotools.mask as mask_api
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image
from torch import nn

from mmdet_ltnorm import deployment, load
from mmdet_ltnorm.data import make_shapes_lt
from mmdet_ltnorm.deployment import Predictor, predict_files
from mmdet_ltnorm.results.groups import group_colours

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "predict.py"
SIZE = 96


def predict(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name="__main__")


def write_image(file, shape, seed=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*shape, 3))
    cv2.imwrite(str(file), noise.astype(np.uint8))
    return file


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """The demo's config with NBN and LR on made data, and a checkpoint without class names."""
    root = tmp_path_factory.mktemp("classifier")
    make_shapes_lt(root, train_per_class=120, test_per_class=1)
    init_default_scope("mmdet")
    cfg = Config.fromfile(ROOT / "configs/demo/cls_shapes_bs_nbn_lr.py")
    for loader in cfg.train_dataloader, cfg.test_dataloader:
        loader.dataset.data_root = str(root)
    cfg.train_dataloader.dataset.imbalance_factor = 100
    cfg.dump(root / "config.py")
    torch.save({"state_dict": MODELS.build(cfg.model).state_dict()}, root / "trained.pth")
    return root / "config.py", root / "trained.pth"


def test_a_classifiers_five_best_classes_go_into_pictures_and_a_file(
    classifier, tmp_path, monkeypatch, capsys
):
    file = write_image(tmp_path / "a" / "same.png", (32, 32), 1)
    write_image(tmp_path / "b" / "same.jpg", (40, 32), 2)
    (tmp_path / "b" / "notes.txt").write_text("no image")
    out = tmp_path / "out"
    predict(monkeypatch, *classifier, file, tmp_path / "b", "--out", out)
    assert "wrote 2 pictures" in capsys.readouterr().out
    records = json.loads((out / "predictions.json").read_text())
    assert [record["picture"] for record in records] == ["same_0.png", "same_1.png"]
    assert sorted(p.name for p in out.iterdir()) == ["predictions.json", "same_0.png", "same_1.png"]
    model = Predictor(*classifier).model
    with torch.no_grad():
        image = torch.from_numpy(cv2.imread(str(file)).transpose(2, 0, 1)).float()
        scores = model((image[None] - 128) / 64)[0].softmax(0).numpy()
    best = records[0]["predictions"]
    assert [entry["label"] for entry in best] == np.argsort(-scores)[:5].tolist()
    np.testing.assert_allclose(
        [entry["score"] for entry in best], np.sort(scores)[:-6:-1], atol=1e-4
    )
    assert {entry["group"] for entry in best} <= {"many", "medium", "few"}
    picture = cv2.imread(str(out / "same_0.png"))[..., ::-1]
    for group in {entry["group"] for entry in best}:  # a bar of this colour
        colour = tuple(bytes.fromhex(group_colours(["many", "medium", "few"])[group][1:]))
        assert (picture == colour).all(-1).sum() > 100


def test_without_the_data_classes_are_numbers_and_groups_unknown(classifier, tmp_path):
    cfg = Config.fromfile(classifier[0])
    cfg.train_dataloader.dataset.data_root = cfg.test_dataloader.dataset.data_root = "nowhere"
    cfg.dump(tmp_path / "config.py")
    predictor = Predictor(tmp_path / "config.py", classifier[1])
    image = write_image(tmp_path / "image.png", (32, 32))
    (record,) = predict_files(predictor, [image], tmp_path / "out")
    assert all(entry["class"] == str(entry["label"]) for entry in record["predictions"])
    assert not any("group" in entry for entry in record["predictions"])


def test_what_cannot_be_read_is_named(classifier, tmp_path, monkeypatch):
    config, checkpoint = classifier
    write_image(tmp_path / "image.png", (32, 32))
    (tmp_path / "broken.png").write_bytes((tmp_path / "image.png").read_bytes()[:40])
    (tmp_path / "empty").mkdir()
    for files, message in [
        ((config, checkpoint, tmp_path / "no.png"), "no.png does not exist"),
        ((config, checkpoint, tmp_path / "empty"), "no image is in .*empty"),
        (
            (config, checkpoint, tmp_path / "broken.png"),
            "1 of 1 .*\n.*broken.png is not an image",
        ),
        ((config, checkpoint, "--score-thr", "0.5", tmp_path / "image.png"), "2"),
        ((config, tmp_path / "no.pth", tmp_path / "image.png"), "no.pth can not be found"),
        ((tmp_path / "no.py", checkpoint, tmp_path / "image.png"), "no.py does not exist"),
    ]:
        with pytest.raises(SystemExit, match=message):
            predict(monkeypatch, *files, "--out", tmp_path / "out")


class Answers:
    """A stand-in for a Predictor that answers at once, for tests of files and pictures."""

    def __init__(self, note="first"):
        self.note = note

    def __call__(self, image):
        if cv2.imread(str(image)) is None:
            raise ValueError("no image")
        return self.note

    def record(self, sample, score_thr):
        return [{"class": sample, "score": 0.5}]

    def draw(self, image, sample, out, score_thr):
        out.write_text(f"{sample} {image}")


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_pictures_never_lie_among_the_images_or_over_them(tmp_path):
    image = write_image(tmp_path / "photos" / "photo.png", (8, 8))
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "far.png").symlink_to(image)
    before = content(tmp_path)
    for images, out in [
        ([tmp_path / "photos"], tmp_path / "photos"),
        ([image], tmp_path / "link"),
        ([tmp_path / "link"], tmp_path / "photos" / ".." / "photos"),
        ([tmp_path / "other" / "far.png"], tmp_path / "other"),
    ]:
        with pytest.raises(ValueError, match="is the folder of the image .*another folder"):
            predict_files(Answers(), images, out)
    with pytest.raises(ValueError, match="photo.png is a file, and pictures go to a folder"):
        predict_files(Answers(), [image], image)
    assert content(tmp_path) == before


def test_every_image_has_a_picture_of_its_own(tmp_path):
    names = "a.jpg", "a.png", "a_0.png", "a_1.png", "A_2.png", "b.png"
    images = [write_image(tmp_path / "in" / name, (8, 8)) for name in names]
    images.append(write_image(tmp_path / "in2" / "b.png", (8, 8)))
    twice = [tmp_path / "in", tmp_path / "in2" / ".." / "in2", images[0], tmp_path / "in2"]
    records = predict_files(Answers(), twice, tmp_path / "out")
    assert sorted(record["image"] for record in records) == sorted(map(str, images))
    pictures = {record["picture"] for record in records}
    assert len({picture.lower() for picture in pictures}) == 7
    assert {"a_0.png", "a_1.png", "A_2.png"} < pictures
    for record in records:
        assert (tmp_path / "out" / record["picture"]).read_text() == f"first {record['image']}"
    assert json.loads((tmp_path / "out" / "predictions.json").read_text()) == records


def test_a_second_run_replaces_what_the_first_wrote_for_the_same_images(tmp_path, monkeypatch):
    one = write_image(tmp_path / "in" / "one.png", (8, 8))
    out = tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    predict_files(Answers(), ["in"], "out")
    other = write_image(tmp_path / "in" / "one.jpg", (8, 8))  # both get new names
    predict_files(Answers("second"), [tmp_path / "in"], out)
    assert sorted(content(out)) == ["one_0.png", "one_1.png", "predictions.json"]
    assert (out / "one_0.png").read_text() == f"second {other}"
    assert (out / "one_1.png").read_text() == f"second {one}"


@pytest.mark.parametrize(
    ("there", "text", "message"),
    [
        ("one.png", "mine", "one.png is there already, and no picture of .*in/one.png by an"),
        ("predictions.json", "[1]", "predictions.json is there already, and no earlier run wrote"),
        ("predictions.json", "mine", "predictions.json is there already, and no earlier run wrote"),
        (
            "predictions.json",
            '[{"image": "/x/one.png", "picture": "one.png"}]',
            "predictions.json has predictions for other images, /x/one.png: write to another",
        ),
        (
            "predictions.json",
            '[{"image": "IMAGE", "picture": "../in/one.png"}]',
            "predictions.json is there already, and no earlier run wrote",
        ),
    ],
)
def test_what_others_wrote_is_never_replaced(tmp_path, there, text, message):
    image = write_image(tmp_path / "in" / "one.png", (8, 8))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / there).write_text(text.replace("IMAGE", str(image)))
    before = content(tmp_path)
    with pytest.raises(ValueError, match=message):
        predict_files(Answers(), [image], tmp_path / "out")
    assert content(tmp_path) == before


def test_a_link_in_the_place_of_a_picture_is_not_followed(tmp_path):
    image = write_image(tmp_path / "in" / "one.png", (8, 8))
    predict_files(Answers(), [image], tmp_path / "out")
    (tmp_path / "out" / "one.png").unlink()
    (tmp_path / "out" / "one.png").symlink_to(image)
    before = image.read_bytes()
    with pytest.raises(ValueError, match="one.png is there already"):
        predict_files(Answers(), [image], tmp_path / "out")
    assert image.read_bytes() == before


def test_a_killed_run_can_be_started_again_and_its_file_claims_nothing(tmp_path):
    image = write_image(tmp_path / "in" / "one.png", (8, 8))

    class Killed(Answers):
        def record(self, sample, score_thr):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_files(Killed(), [image], tmp_path / "out")
    (record,) = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert record["predictions"] is None
    (record,) = predict_files(Answers(), [image], tmp_path / "out")
    assert record["predictions"]


def half(file, part=0.5):
    raw = file.read_bytes()
    file.write_bytes(raw[: int(len(raw) * part)])


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif", "ppm"])
@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.95])
def test_a_damaged_image_costs_no_others_and_is_named_at_the_end(tmp_path, suffix, part):
    for name in "a.png", f"b.{suffix}", "c.png":
        write_image(tmp_path / "in" / name, (64, 64))
    half(tmp_path / "in" / f"b.{suffix}", part)
    told = rf"in/b.{suffix}(: no image| is damaged)"
    message = rf"1 of 3 images have no prediction, the other 2 are in .*\n.*{told}"
    with pytest.raises(ValueError, match=message):
        predict_files(Answers(), [tmp_path / "in"], tmp_path / "out")
    assert sorted(content(tmp_path / "out")) == ["a.png", "c.png", "predictions.json"]
    records = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [record["picture"] for record in records] == ["a.png", "c.png"]


def save(file, pillow, **options):
    file.parent.mkdir(parents=True, exist_ok=True)
    pillow.save(file, **options)
    return file


def unusual_images(folder):
    """Write red images of 40 x 20 pixels in the formats that cameras, scanners and tools save."""
    red = Image.new("RGB", (40, 20), (254, 0, 0))
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees
    deep = np.zeros((20, 40, 3), np.uint16)
    deep[..., 2] = 254 * 257
    folder.mkdir()
    cv2.imwrite(str(folder / "deep.png"), deep)
    cv2.imwrite(str(folder / "deep.tif"), deep)
    save(folder / "alpha.png", red.convert("RGBA"))
    save(folder / "palette.png", red.quantize(4))
    save(folder / "cmyk.jpg", red.convert("CMYK"), quality=95)
    save(folder / "turned.jpg", red.transpose(Image.Transpose.ROTATE_90), exif=turned, quality=95)
    save(folder / "progressive.jpg", red, progressive=True, quality=95)
    save(folder / "pages.tif", red, save_all=True, append_images=[Image.new("RGB", (9, 9))])
    save(folder / "moving.webp", red, save_all=True, append_images=[red], lossless=True)
    return folder


def test_images_of_every_form_are_seen_as_they_look(classifier, tmp_path, monkeypatch):
    predictor = Predictor(*classifier)
    seen = []
    monkeypatch.setattr(
        deployment.predictor, "draw_classes", lambda image, *_: seen.append(image.copy())
    )
    folder = unusual_images(tmp_path / "in")
    predict_files(predictor, [folder], tmp_path / "out")
    assert len(seen) == 9
    for image in seen:
        assert image.shape == (20, 40, 3)
        np.testing.assert_allclose(image.reshape(-1, 3).mean(0), (254, 0, 0), atol=6)
    save(tmp_path / "grey.png", Image.new("L", (40, 20), 77))
    save(tmp_path / "moving.gif", Image.new("RGB", (40, 20), (254, 0, 0)))
    for file in "grey.png", "moving.gif":  # a GIF is read where it is named
        predict_files(predictor, [tmp_path / file], tmp_path / "out2" / file)
    assert (seen[-2] == 77).all()


def test_scores_that_are_no_numbers_never_become_predictions(classifier, tmp_path, monkeypatch):
    config, checkpoint = classifier
    image = write_image(tmp_path / "image.png", (32, 32))
    saved = torch.load(checkpoint)
    predictor = Predictor(config, checkpoint)
    nn.init.constant_(predictor.model.head.predictor.weight, float("nan"))
    with pytest.raises(ValueError, match="1 of 1 .*\n.*image.png: the model's scores are NaN"):
        predict_files(predictor, [image], tmp_path / "out")
    assert json.loads((tmp_path / "out" / "predictions.json").read_text()) == []
    saved["state_dict"]["head.predictor.weight"][0, 0] = float("inf")
    torch.save(saved, tmp_path / "diverged.pth")
    with pytest.raises(SystemExit, match="diverged.pth has NaN or infinite values in head"):
        predict(monkeypatch, config, tmp_path / "diverged.pth", image, "--out", tmp_path / "out")


def test_folders_say_what_they_leave_out(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(deployment.predictor, "print_log", lambda text, **_: said.append(text))
    write_image(tmp_path / "in" / "one.png", (8, 8))
    for name in "notes.txt", "deeper/two.png", ".hidden.png", "__MACOSX/._one.png", "Thumbs.db":
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text("x")
    predict_files(Answers(), [tmp_path / "in"], tmp_path / "out")
    assert said == [
        f"left out what is no image by its name in {tmp_path}/in: notes.txt, deeper/, 2 in all"
    ]
    with pytest.raises(FileNotFoundError, match="no image is in .*: it holds in/, out/$"):
        predict_files(Answers(), [tmp_path], tmp_path / "out2")


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_no_score_has_is_refused(tmp_path, threshold):
    image = write_image(tmp_path / "one.png", (8, 8))
    with pytest.raises(ValueError, match="threshold must be between 0 and 1, got"):
        predict_files(Answers(), [image], tmp_path / "out", threshold)


@pytest.fixture(scope="module")
def detector(mini_lvis, tmp_path_factory):
    """The demo's Mask R-CNN with NBN, made to find something, and the names of its classes."""
    root = tmp_path_factory.mktemp("detector")
    ann_file = mini_lvis / "annotations/lvis_v1_val.json"
    names = [entry["name"] for entry in json.loads(ann_file.read_text())["categories"]]
    init_default_scope("mmdet")
    cfg = Config.fromfile(ROOT / "configs/demo/seesaw_nbn.py")
    heads = cfg.model.roi_head
    for part in heads.bbox_head, heads.bbox_head.loss_cls, heads.mask_head:
        part.num_classes = len(names)
    dataset = cfg.test_dataloader.dataset
    dataset.update(data_root=f"{mini_lvis}/", metainfo=dict(classes=names))
    cfg.dump(root / "config.py")
    model = MODELS.build(cfg.model)
    nn.init.normal_(model.roi_head.bbox_head.fc_cls.weight)
    checkpoint = {"state_dict": model.state_dict(), "meta": {"dataset_meta": {"classes": names}}}
    torch.save(checkpoint, root / "trained.pth")
    return root / "config.py", root / "trained.pth", names


def test_a_detectors_boxes_and_masks_go_into_pictures_and_a_file(detector, mini_lvis, tmp_path):
    config, checkpoint, names = detector
    predictor = Predictor(config, checkpoint)
    image = write_image(tmp_path / "image.png", (SIZE, 80))
    (record,) = predict_files(predictor, [image], tmp_path / "out", score_thr=0.05)
    found = predictor(image).pred_instances
    scores = [entry["score"] for entry in record["predictions"]]
    assert len(scores) == (found.scores >= 0.05).sum() > 0
    assert scores == sorted(scores, reverse=True)
    content = json.loads((mini_lvis / "annotations/lvis_v1_val.json").read_text())
    frequency = {entry["name"]: entry["frequency"] for entry in content["categories"]}
    best = found.scores.argmax()
    first = record["predictions"][0]
    assert first["class"] == names[found.labels[best]]
    assert first["group"][0] == frequency[first["class"]]
    np.testing.assert_allclose(first["bbox"], found.bboxes[best], atol=0.01)
    mask = mask_api.decode(first["mask"])
    assert mask.shape == (SIZE, 80)
    np.testing.assert_array_equal(mask, found.masks[best])
    picture = cv2.imread(str(tmp_path / "out" / "image.png"))
    assert picture.shape == (6 * SIZE, 6 * 80, 3)
    plain = cv2.resize(cv2.imread(str(image)), picture.shape[1::-1], interpolation=0)
    assert (picture != plain).any()


def test_a_loaded_model_takes_files_and_arrays_alone_and_in_lists(classifier, detector, tmp_path):
    file = write_image(tmp_path / "image.png", (32, 32))
    array = cv2.imread(str(file))
    for files, field in (classifier, "pred_score"), (detector[:2], "pred_instances"):
        model = load(*files)
        alone = getattr(model(file), field)
        for sample in model([str(file), array]):
            other = getattr(sample, field)
            if field == "pred_instances":
                assert len(alone.scores) > 0
                alone, other = alone.scores, other.scores
            torch.testing.assert_close(other, alone)
            alone = getattr(model(file), field)
        model.draw(array, model(array), tmp_path / "drawn.png")
        with pytest.raises(ValueError, match=r"height, width and three colours, .* \(32, 32\)"):
            model(array[..., 0])


def test_mmdets_inferencer_takes_the_config_and_the_checkpoint(detector, tmp_path):
    from mmdet.apis import DetInferencer

    config, checkpoint, names = detector
    image = write_image(tmp_path / "image.png", (SIZE, 80))
    inferencer = DetInferencer(
        model=str(config), weights=str(checkpoint), device="cpu", show_progress=False
    )
    out = tmp_path / "out"
    result = inferencer(str(image), out_dir=str(out), pred_score_thr=0.05)["predictions"][0]
    ours = Predictor(config, checkpoint)(image).pred_instances
    assert inferencer.model.dataset_meta["classes"] == names
    np.testing.assert_allclose(result["scores"], ours.scores, rtol=1e-5)
    np.testing.assert_allclose(result["bboxes"], ours.bboxes, rtol=1e-4, atol=1e-3)
    assert result["labels"] == ours.labels.tolist()
    assert (out / "vis" / "image.png").is_file()
