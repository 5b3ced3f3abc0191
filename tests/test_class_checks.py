"""A run whose classes are not those of its annotations, in their order, does not start."""

import json
from types import SimpleNamespace

import pytest
from coco_files import coco, lvis, write
from mmdet.datasets import LVISV1Dataset
from mmdet.registry import DATASETS
from mmengine.config import Config
from torch import nn

from mmdet_ltnorm.deployment.classes import class_names
from mmdet_ltnorm.engine.checks import check_class_config, check_classes
from mmdet_ltnorm.evaluation import LTLVISMetric


class Categories:
    ann_file = "annotations.json"

    def __init__(self, count, names=None):
        self.cat_ids = list(range(1, count + 1))
        self.metainfo = {"classes": ["a"] * (count if names is None else names)}


class Heads(nn.Module):
    def __init__(self, box=3, mask=3, loss=3, class_agnostic=False):
        super().__init__()
        self.rpn_head = nn.Identity()
        self.rpn_head.num_classes = 1
        self.bbox_head = nn.Identity()
        self.bbox_head.num_classes = box
        self.bbox_head.loss_cls = nn.Identity()
        self.bbox_head.loss_cls.num_classes = loss
        self.mask_head = nn.Identity()
        self.mask_head.num_classes = mask
        self.mask_head.class_agnostic = class_agnostic


def test_equal_numbers_of_categories_and_classes_pass():
    check_classes(Heads(), Categories(3), "train_dataloader")
    check_classes(Heads(mask=80, class_agnostic=True), Categories(3), "train_dataloader")


@pytest.mark.parametrize("count", [2, 4])
def test_more_or_fewer_categories_than_classes_are_refused_with_the_keys_to_change(count):
    with pytest.raises(ValueError) as caught:
        check_classes(Heads(), Categories(count), "val_dataloader")
    message = str(caught.value)
    assert f"val_dataloader: annotations.json has {count} categories" in message
    for key in ("bbox_head", "bbox_head.loss_cls", "mask_head"):
        assert f"model.{key}.num_classes=3" in message
    assert "rpn_head" not in message and f"set them to {count}" in message


@pytest.mark.parametrize("head", ["box", "mask", "loss"])
def test_one_wrong_head_is_enough(head):
    key = {"box": "bbox_head", "mask": "mask_head", "loss": r"bbox_head\.loss_cls"}[head]
    with pytest.raises(ValueError, match=rf"has model\.{key}\.num_classes=80: set"):
        check_classes(Heads(**{head: 80}), Categories(3), "train_dataloader")


@pytest.fixture
def files(tmp_path):
    """A file with the categories bus, car and bicycle, and ids 3, 1, 2."""
    content = coco()
    content["categories"] = [content["categories"][i] for i in (2, 0, 1)]
    return write(tmp_path / "a.json", content)


def plain(file, classes, **options):
    dataset = dict(type="CocoDataset", ann_file=file, data_prefix=dict(img=""))
    return dataset | dict(metainfo=dict(classes=classes)) | options


WRONG_NAMES = [
    (
        ["car", "bicycle", "bus"],
        r"in another order: label 0 is 'bus' .*\['bus', 'car', 'bicycle'\]",
    ),
    (["bus", "car", "bicycel"], "names 'bicycel', .*has none so called .is 'bicycle' meant"),
    (["Bus", "Car", "Bicycle"], "no category of .*a.json .is 'bus', 'car', 'bicycle' meant"),
    (["bus", "car", "car"], "names 'car' more than once"),
    ("car", r"must be a list of names, got 'car': one class is written as \['car'\]"),
    ([3, 1, 2], "must be a list of names"),
    (None, "must be a list of names, got None"),
    ({"bus": 1, "car": 2, "bicycle": 3}, "must be a list of names"),
    ([], "must be a list of names"),
]


@pytest.mark.parametrize(("classes", "message"), WRONG_NAMES)
@pytest.mark.parametrize("wrapped", [False, True])
def test_names_that_are_not_the_files_in_its_order_are_refused_in_a_config(
    classes, message, wrapped, files
):
    dataset = plain(files, classes)
    if wrapped:
        dataset = dict(type="RepeatDataset", times=2, dataset=dict(datasets=[dataset]))
    with pytest.raises(ValueError, match=f"^val_dataloader: .*{message}"):
        check_class_config(dict(val_dataloader=dict(dataset=dataset)), "val_dataloader")


def test_what_mmdets_data_set_cannot_read_is_refused_before(tmp_path):
    file, names = tmp_path / "a.json", ["car", "bicycle", "bus"]
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(coco()).encode())
    with pytest.raises(ValueError, match=r"a\.json has a byte-order mark"):
        check_class_config(dict(train=dict(dataset=plain(str(file), names))), "train")
    cfg = dict(train=dict(dataset=plain(write(file, lvis()), names, type="LVISV1Dataset")))
    with pytest.raises(ValueError, match="image 1 needs a coco_url.*CocoDataset by file_name"):
        check_class_config(cfg, "train")
    content = coco()
    del content["images"][1]["file_name"]
    with pytest.raises(ValueError, match="image 2 needs a file_name, got None"):
        check_class_config(dict(train=dict(dataset=plain(write(file, content), names))), "train")


def test_names_in_another_order_are_refused_of_a_built_data_set(files):
    build = DATASETS.build
    check_classes(Heads(), build(plain(files, ["bus", "car", "bicycle"])), "train_dataloader")
    check_classes(Heads(2, 2, 2), build(plain(files, ["bus", "bicycle"])), "train_dataloader")
    with pytest.raises(ValueError, match="test_dataloader: .*in another order"):
        check_classes(Heads(), build(plain(files, ["car", "bicycle", "bus"])), "test_dataloader")


def test_the_names_that_mmdet_gives_lvis_pass_with_the_spelling_of_lvis_files(tmp_path):
    names = list(LVISV1Dataset.METAINFO["classes"])
    place = names.index("speaker_(stereo_equipment)")
    names[place] = "speaker_(stero_equipment)"  # so in lvis_v1_train.json
    content = lvis(images=1, names=tuple(names))
    content["images"][0]["coco_url"] = "http://images.cocodataset.org/train2017/1.jpg"
    dataset = dict(type="LVISV1Dataset", ann_file=write(tmp_path / "a.json", content))
    check_class_config({"test_dataloader": dict(dataset=dataset)}, "test_dataloader")
    metric = LTLVISMetric(dataset["ann_file"], metric="bbox")
    metric.dataset_meta = LVISV1Dataset.METAINFO
    content["categories"][place - 1 : place + 1] = content["categories"][place : place - 2 : -1]
    write(tmp_path / "a.json", content)
    with pytest.raises(ValueError, match="in another order"):
        check_class_config({"test_dataloader": dict(dataset=dataset)}, "test_dataloader")


def test_predictions_are_not_named_in_another_order_than_the_annotations(files, tmp_path):
    names = ["bus", "car", "bicycle"]
    cfg = Config(dict(test_dataloader=dict(dataset=plain(files, names))))
    trained = dict(dataset_meta=dict(classes=("car", "bicycle", "bus")))
    assert class_names(cfg, Heads(), dict(dataset_meta=dict(classes=names))) == names
    with pytest.raises(ValueError, match="named by the checkpoint.* as car, .*a.json has bus, car"):
        class_names(cfg, Heads(), trained)
    cfg.test_dataloader.dataset.ann_file = str(tmp_path / "none.json")  # prediction needs no data
    assert class_names(cfg, Heads(), trained) == ["car", "bicycle", "bus"]


def test_a_number_of_classes_in_one_place_of_the_config_is_named_before_the_model_is_built(files):
    loader = dict(dataset=plain(files, ["bus", "car", "bicycle"]))
    head = dict(type="Shared2FCBBoxHead", num_classes=5, loss_cls=dict(num_classes=3))
    model = dict(rpn_head=dict(num_classes=1), roi_head=dict(bbox_head=[head]))
    with pytest.raises(
        ValueError, match=r"3 categories.*model\.roi_head\.bbox_head\.0\.num_classes=5:"
    ):
        check_class_config(dict(model=model, train_dataloader=loader), "train_dataloader")
    head["num_classes"] = 3
    check_class_config(dict(model=model, train_dataloader=loader), "train_dataloader")


def test_training_and_validation_must_have_the_same_classes(files, tmp_path):
    other = write(tmp_path / "val.json", coco())
    loaders = dict(
        train_dataloader=dict(dataset=plain(files, ["bus", "car", "bicycle"])),
        val_dataloader=dict(dataset=plain(other, ["car", "bicycle", "bus"])),
    )
    with pytest.raises(ValueError, match="val_dataloader: the classes of .*val.json are not those"):
        check_class_config(loaders, *loaders)


def test_masks_are_checked_where_they_are_trained(files, tmp_path):
    content = coco()
    content["annotations"][0]["segmentation"] = []
    file = write(tmp_path / "b.json", content)
    steps = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True)]
    cfg = dict(
        train_dataloader=dict(dataset=plain(file, ["car", "bicycle", "bus"], pipeline=steps))
    )
    check_class_config(cfg, "train_dataloader")
    steps[1]["with_mask"] = True
    with pytest.raises(ValueError, match="b.json: annotation 1 of image 1 has no segmentation"):
        check_class_config(cfg, "train_dataloader")


@pytest.mark.parametrize(
    "wrapper",
    [
        dict(type="ClassBalancedDataset", oversample_thr=1e-3),
        dict(type="RepeatDataset", times=2),
        dict(type="ConcatDataset"),
    ],
    ids=lambda wrapper: wrapper["type"],
)
def test_categories_are_found_inside_wrappers(wrapper, mini_lvis):
    file = mini_lvis / "annotations" / "lvis_v1_val.json"
    names = [category["name"] for category in json.loads(file.read_text())["categories"]]
    plain = dict(type="LVISV1Dataset", ann_file=str(file), data_prefix=dict(img=""))
    plain["metainfo"] = dict(classes=names)
    several = wrapper["type"] == "ConcatDataset"
    inner = {"datasets": [plain, plain]} if several else {"dataset": plain}
    with DATASETS.switch_scope_and_registry("mmdet") as registry:
        dataset = registry.build({**wrapper, **inner})
    check_classes(Heads(8, 8, 8), dataset, "train_dataloader")
    with pytest.raises(ValueError, match="has 8 categories, but the config has"):
        check_classes(Heads(), dataset, "train_dataloader")


def test_validation_categories_are_checked_before_training():
    heads, hook = Heads(), toy_hook("CheckClassesHook")
    runner = SimpleNamespace(
        model=heads,
        train_dataloader=SimpleNamespace(dataset=Categories(3)),
        val_dataloader=SimpleNamespace(dataset=Categories(4)),
        test_dataloader=SimpleNamespace(dataset=Categories(5)),
        val_loop=object(),
    )
    with pytest.raises(ValueError, match="val_dataloader.*4 categories"):
        hook.before_train(runner)
    with pytest.raises(ValueError, match="val_dataloader.*4 categories"):
        hook.before_val(runner)
    with pytest.raises(ValueError, match="test_dataloader.*5 categories"):
        hook.before_test(runner)
    runner.val_loop = None
    hook.before_train(runner)


def toy_hook(name):
    from mmengine.registry import HOOKS

    return HOOKS.build(dict(type=name))
