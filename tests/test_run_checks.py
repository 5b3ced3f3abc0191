"""What a run checks before it starts: its data and its norms."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from torch import nn
from toy_runner import ToyModel, sharing_model, toy_runner

from mmdet_ltnorm.engine.checks import (
    asks_for_magnitudes,
    check_data_files,
    check_magnitudes,
    check_nbn_layers,
    check_sync_bn,
    magnitudes,
)
from mmdet_ltnorm.norms import NBN, share_magnitude

TOOLS = Path(__file__).parents[1] / "tools"
SEESAW_NBN = TOOLS.parent / "configs" / "lvis" / "seesaw_nbn_2x.py"


# Data files


def lvis_loader(root, split="train"):
    return dict(
        dataset=dict(
            type="LVISV1Dataset",
            data_root=f"{root}/",
            ann_file=f"annotations/lvis_v1_{split}.json",
            data_prefix=dict(img=""),
        )
    )


def test_a_missing_annotation_file_is_named_with_the_way_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        check_data_files({"train_dataloader": lvis_loader(tmp_path)}, "train_dataloader")
    message = str(caught.value)
    assert f"{tmp_path}/annotations/lvis_v1_train.json does not exist" in message
    assert "lvisdataset.org" in message and "train2017.zip" in message and "make demo" in message


@pytest.mark.parametrize(
    ("config", "file", "hints"),
    [
        (
            "imagenet_lt/imagenet_r50_ce.py",
            "ImageNet_LT_train.txt",
            ["image-net.org", "classifier-balancing/tree/main/data/ImageNet_LT", "make demo-cls"],
        ),
        (
            "places_lt/places_r152_ce.py",
            "Places_LT_train.txt",
            ["places2.csail.mit.edu", "data/Places_LT", "make demo-cls"],
        ),
        (
            "inat18/inat18_r50_ce.py",
            "iNaturalist18_train.txt",
            ["visipedia/inat_comp", "python tools/make_inat_lists.py", "make demo-cls"],
        ),
        ("cifar_lt/cifar100_ce.py", "cifar-100-python/meta", ["~kriz/cifar-100-python.tar.gz"]),
        ("cifar_lt/cifar10_ce.py", "batches.meta", ["~kriz/cifar-10-python.tar.gz"]),
        ("demo/cls_shapes_ce.py", "shapes-python/meta", ["python tools/make_shapes_lt.py"]),
    ],
)
def test_a_missing_published_set_is_named_with_the_way_to_get_it(
    tmp_path, monkeypatch, config, file, hints
):
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(TOOLS.parent / "configs" / config)
    inner = cfg.train_dataloader.dataset
    wrapped = dict(type="RepeatDataset", times=2, dataset=inner)
    for dataset in inner, wrapped:
        cfg.train_dataloader.dataset = dataset
        with pytest.raises(FileNotFoundError) as caught:
            check_data_files(cfg, "train_dataloader")
        message = str(caught.value)
        assert message.startswith(f"train_dataloader: {tmp_path}") and f"{file} does not" in message
        assert all(hint in message for hint in hints) and "{" not in message
    with pytest.raises(FileNotFoundError, match=hints[0]):  # without a tool, too
        DATASETS.build(inner)


@pytest.mark.parametrize(("split", "folder"), [("train", "train2017"), ("val", "val2017")])
def test_a_missing_image_folder_is_named(split, folder, tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / f"lvis_v1_{split}.json").touch()
    with pytest.raises(FileNotFoundError, match=f"{folder} does not exist"):
        check_data_files({"loader": lvis_loader(tmp_path, split)}, "loader")


def test_a_wrapped_data_set_is_looked_into(tmp_path):
    wrapped = dict(dataset=dict(type="ClassBalancedDataset", **lvis_loader(tmp_path)))
    both = dict(dataset=dict(type="ConcatDataset", datasets=[lvis_loader(tmp_path)["dataset"]]))
    for loader in (wrapped, both):
        with pytest.raises(FileNotFoundError, match=r"lvis_v1_train\.json"):
            check_data_files({"loader": loader}, "loader")


def test_other_data_sets_are_not_told_about_lvis(tmp_path):
    dataset = dict(type="CocoDataset", data_root=str(tmp_path), ann_file="coco.json")
    with pytest.raises(FileNotFoundError, match=r"coco\.json does not exist$"):
        check_data_files({"loader": dict(dataset=dataset)}, "loader")


def test_a_missing_folder_of_images_is_named(tmp_path):
    dataset = dict(type="ImageFolder", data_root=str(tmp_path / "train"))
    with pytest.raises(FileNotFoundError, match=f"loader: {tmp_path}/train does not exist"):
        check_data_files({"loader": dict(dataset=dataset)}, "loader")


def test_present_remote_generated_and_absent_data_pass(mini_lvis, tmp_path):
    remote = lvis_loader(tmp_path)
    remote["dataset"]["backend_args"] = dict(backend="petrel")
    generated = dict(dataset=dict(type="Digits", data_root=str(tmp_path / "made_when_first_used")))
    cfg = {"a": lvis_loader(mini_lvis), "b": remote, "c": None, "d": generated}
    check_data_files(cfg, "a", "b", "c", "d", "e")


def test_an_image_folder_may_be_given_as_text(tmp_path):
    (tmp_path / "list.txt").touch()
    dataset = dict(data_root=str(tmp_path), ann_file="list.txt", data_prefix="images")
    with pytest.raises(FileNotFoundError, match="images does not exist$"):
        check_data_files({"loader": dict(dataset=dataset)}, "loader")


# Norms


def sgd(parameters):
    return torch.optim.SGD(list(parameters), lr=0.1)


def test_nbn_is_found_anywhere_in_a_model_config():
    assert asks_for_magnitudes(Config.fromfile(SEESAW_NBN).model)
    assert asks_for_magnitudes({"neck": [dict(norm_cfg=dict(type="NBN"))]})
    assert not asks_for_magnitudes({"norm_cfg": dict(type="BN")})
    assert not asks_for_magnitudes(None)


def test_sync_bn_is_refused_with_nbn_and_left_alone_without():
    for norm in "NBN", "CBN", "NCBN", "BNThen":
        model = dict(backbone=dict(norm_cfg=dict(type=norm)))
        with pytest.raises(ValueError, match="sync_bn='torch' would replace this package's norms"):
            check_sync_bn(dict(sync_bn="torch", model=model))
    check_sync_bn(dict(sync_bn="torch", model=dict(norm_cfg=dict(type="BN"))))
    check_sync_bn(dict(model=model))


def test_a_model_that_lost_all_nbn_layers_is_refused():
    with pytest.raises(ValueError, match="the model has 0 NBN layers, and all that were built"):
        check_nbn_layers(nn.Sequential(nn.BatchNorm2d(4)), dict(norm_cfg=dict(type="NBN")))
    check_nbn_layers(nn.Sequential(nn.BatchNorm2d(4)), dict(norm_cfg=dict(type="BN")))


def test_a_model_that_lost_one_of_the_sharing_layers_is_refused():
    model = sharing_model()
    check_nbn_layers(model, None)
    model[0] = nn.BatchNorm2d(4)
    with pytest.raises(ValueError, match="the model has 1 NBN layers, and 1 that were built"):
        check_nbn_layers(model, None)


def test_a_magnitude_that_is_not_optimized_is_refused():
    model = sharing_model()
    others = [p for name, p in model.named_parameters() if "magnitude" not in name]
    with pytest.raises(ValueError, match=r"the NBN magnitude 1\.magnitude 0 times instead of once"):
        check_magnitudes(model, sgd(others))
    model[1].magnitude.requires_grad_(False)
    check_magnitudes(model, sgd(others))


def test_a_magnitude_that_is_optimized_twice_is_refused():
    model = sharing_model()
    optimizer = sgd(model.parameters())
    check_magnitudes(model, optimizer)
    optimizer.param_groups.append(dict(optimizer.param_groups[0], params=[model[0].magnitude]))
    with pytest.raises(ValueError, match=r"1\.magnitude 2 times instead of once"):
        check_magnitudes(model, optimizer)


def test_magnitudes_come_once_each_under_their_owners():
    model = nn.Sequential(sharing_model(), NBN(4, separate_magnitudes=True))
    assert [name for name, _ in magnitudes(model)] == [
        "0.1.magnitude",
        "1.magnitude",
        "1.bias_magnitude",
    ]
    wrapped = nn.ModuleDict({"module": model})  # as DistributedDataParallel names its model
    assert [name for name, _ in magnitudes(wrapped)] == [name for name, _ in magnitudes(model)]


def test_a_run_whose_norms_were_converted_stops_before_its_first_step(tmp_path):
    norms = [NBN(4), NBN(4)]
    share_magnitude(norms)
    model = ToyModel(nn.Sequential(nn.BatchNorm2d(4), norms[1]))
    runner = toy_runner(tmp_path, model, custom_hooks=[dict(type="CheckNormsHook")])
    with pytest.raises(ValueError, match="something converted them"):
        runner.train()
    assert runner.iter == 0
