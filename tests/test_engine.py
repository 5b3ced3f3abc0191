"""What a run checks before it starts, what it logs, and what the tools make of a command line."""

import argparse
import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmcv.ops import RoIAlign, nms
from mmdet.registry import DATASETS
from mmengine.config import Config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from toy_runner import ToyModel, toy_runner

from mmdet_ltnorm.engine.checks import (
    asks_for,
    check_classes,
    check_data_files,
    check_magnitudes,
    check_nbn_layers,
    check_sync_bn,
    magnitudes,
)
from mmdet_ltnorm.engine.launch import build_runner, config_for_testing, config_for_training
from mmdet_ltnorm.engine.mixed_precision import BFloat16OptimWrapper
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


def sharing_model():
    norms = [NBN(4), NBN(4)]
    share_magnitude(norms)
    return nn.Sequential(*norms)


def sgd(parameters):
    return torch.optim.SGD(list(parameters), lr=0.1)


def test_nbn_is_found_anywhere_in_a_model_config():
    assert asks_for(Config.fromfile(SEESAW_NBN).model)
    assert asks_for({"neck": [dict(norm_cfg=dict(type="NBN"))]})
    assert not asks_for({"norm_cfg": dict(type="BN")})
    assert not asks_for(None)


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


# Classes


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


def test_names_that_do_not_belong_to_the_categories_are_refused():
    with pytest.raises(ValueError, match=r"has 3 categories, and metainfo names 1203 classes"):
        check_classes(Heads(), Categories(3, names=1203), "train_dataloader")


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


# The curve of g


def logged(work_dir):
    [path] = work_dir.glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def run_with_magnitudes(work_dir, norm):
    runner = toy_runner(
        work_dir,
        ToyModel(norm),
        custom_hooks=[dict(type="CheckNormsHook"), dict(type="MagnitudeHook")],
        visualizer=dict(
            type="Visualizer",
            vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")],
        ),
    )
    runner.train()
    return runner


def test_the_shared_magnitude_is_logged_as_a_curve(tmp_path):
    model = sharing_model()
    run_with_magnitudes(tmp_path, model)
    curve = [line["magnitude"] for line in logged(tmp_path)]
    assert len(curve) == len(set(curve)) == 8
    assert curve[-1] == pytest.approx(model[1].magnitude.item(), rel=1e-6)
    [log] = tmp_path.glob("*/*.log")
    assert f"magnitude: {curve[0]:.4f}" in log.read_text()
    events = EventAccumulator(str(next(tmp_path.glob("*/vis_data")))).Reload()
    [tag] = [tag for tag in events.Tags()["scalars"] if "magnitude" in tag]
    values = [event.value for event in events.Scalars(tag)]
    assert values == pytest.approx(curve, rel=1e-6)


def test_several_magnitudes_have_a_curve_each(tmp_path):
    run_with_magnitudes(tmp_path, nn.Sequential(NBN(4), NBN(4)))
    assert {"norm.0.magnitude", "norm.1.magnitude"} <= logged(tmp_path)[0].keys()


def test_without_nbn_the_hooks_do_nothing(tmp_path):
    run_with_magnitudes(tmp_path, nn.BatchNorm2d(4))
    assert not any("magnitude" in key for key in logged(tmp_path)[0])


# Mixed precision on the CPU


def test_a_cpu_run_in_bfloat16_keeps_float32_parameters(tmp_path):
    class Probe(nn.Module):
        seen = None

        def forward(self, x):
            Probe.seen = nn.functional.conv2d(x, torch.ones(4, 4, 1, 1)).dtype
            return x

    model = ToyModel(nn.Sequential(NBN(4), Probe()))
    wrapper = dict(type="BFloat16OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9))
    toy_runner(tmp_path, model, optim_wrapper=wrapper, val_cfg=None, val_evaluator=None,
               val_dataloader=None, default_hooks=None).train()  # fmt: skip
    assert Probe.seen == torch.bfloat16
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())


def test_the_hosts_operators_take_bfloat16_as_float32():
    BFloat16OptimWrapper(optimizer=sgd(nn.Linear(1, 1).parameters()))
    features = torch.randn(1, 2, 8, 8).bfloat16().requires_grad_()
    boxes = torch.tensor([[0.0, 1, 1, 6, 6]])
    pooled = RoIAlign(2, 1.0)(features, boxes)
    expected = RoIAlign(2, 1.0)(features.detach().float(), boxes)
    assert pooled.dtype == torch.bfloat16
    torch.testing.assert_close(pooled, expected.bfloat16())
    pooled.sum().backward()
    assert features.grad.dtype == torch.bfloat16 and features.grad.abs().sum() > 0
    kept, indices = nms(torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4]]), torch.ones(2).bfloat16(), 0.5)
    assert indices.tolist() == [0]


# Command lines


def arguments(config=SEESAW_NBN, **options):
    given = dict(config=str(config), work_dir=None, cfg_options={}, launcher="none", local_rank=0)
    train = dict(resume=None, amp=False, auto_scale_lr=False)
    test = dict(out=None, show_dir=None, post=None, post_strength=None)
    return argparse.Namespace(**{**given, **train, **test, **options})


@pytest.fixture
def config(mini_lvis, tmp_path):
    cfg = Config.fromfile(SEESAW_NBN)
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        cfg[loader].dataset.data_root = f"{mini_lvis}/"
    cfg.dump(tmp_path / "seesaw.py")
    return tmp_path / "seesaw.py"


def test_options_of_the_command_line_reach_the_config(config):
    cfg = config_for_training(arguments(config, cfg_options={"train_cfg.max_epochs": 7}))
    assert cfg.train_cfg.max_epochs == 7
    assert cfg.work_dir == "work_dirs/seesaw"
    assert not cfg.resume and cfg.load_from is None
    assert cfg.auto_scale_lr.enable is False
    assert config_for_training(arguments(config, work_dir="there")).work_dir == "there"
    assert config_for_training(arguments(config, auto_scale_lr=True)).auto_scale_lr.enable


def test_scaling_the_lr_needs_to_know_what_it_is_for(config):
    cfg = Config.fromfile(config)
    cfg.pop("auto_scale_lr")
    cfg.dump(config)
    with pytest.raises(ValueError, match="--auto-scale-lr needs auto_scale_lr=dict"):
        config_for_training(arguments(config, auto_scale_lr=True))


@pytest.mark.parametrize(
    ("cuda", "wrapper"), [(True, "AmpOptimWrapper"), (False, "BFloat16OptimWrapper")]
)
def test_mixed_precision_fits_the_device(cuda, wrapper, config, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    cfg = config_for_training(arguments(config, amp=True))
    assert cfg.optim_wrapper.type == wrapper
    assert cfg.optim_wrapper.optimizer.lr == 0.005
    assert ("loss_scale" in cfg.optim_wrapper) == cuda


def test_resuming_takes_the_newest_checkpoint_or_the_named_one(config, tmp_path):
    work_dir = tmp_path / "run"
    cfg = config_for_training(arguments(config, resume="auto", work_dir=str(work_dir)))
    assert not cfg.resume and cfg.load_from is None, "nothing to resume from yet"
    first = dict(resume="auto", work_dir=str(work_dir), cfg_options={"load_from": "start.pth"})
    assert config_for_training(arguments(config, **first)).load_from == "start.pth"
    work_dir.mkdir()
    for name in ("epoch_1.pth", "epoch_2.pth"):
        torch.save({}, work_dir / name)
    cfg = config_for_training(arguments(config, resume="auto", work_dir=str(work_dir)))
    assert cfg.resume and cfg.load_from == str(work_dir / "epoch_2.pth")
    named = str(work_dir / "epoch_1.pth")
    cfg = config_for_training(arguments(config, resume=named, work_dir=str(work_dir)))
    assert cfg.resume and cfg.load_from == named
    with pytest.raises(FileNotFoundError, match=r"epoch_7\.pth does not exist"):
        config_for_training(arguments(config, resume=str(work_dir / "epoch_7.pth")))


def test_sync_bn_is_refused_from_the_command_line(config):
    with pytest.raises(ValueError, match="sync_bn='torch'"):
        config_for_training(arguments(config, cfg_options={"sync_bn": "torch"}))


def test_testing_writes_and_draws_what_it_is_asked_for(config, tmp_path):
    torch.save({}, tmp_path / "a.pth")
    given = arguments(config, checkpoint=str(tmp_path / "a.pth"), out="x.pkl", show_dir="drawn")
    cfg = config_for_testing(given)
    assert cfg.load_from == str(tmp_path / "a.pth")
    assert [metric["type"] for metric in cfg.test_evaluator] == ["LTLVISMetric", "DumpDetResults"]
    assert cfg.default_hooks.visualization.draw
    assert cfg.default_hooks.visualization.test_out_dir == "drawn"
    given.out = "x.json"
    assert config_for_testing(given).test_evaluator[0].results_file == "x.json"
    given.cfg_options = {"test_evaluator.type": "CocoMetric"}
    with pytest.raises(ValueError, match="GroupAccuracy and LTLVISMetric, test_evaluator has Coco"):
        config_for_testing(given)
    given.out = "x.txt"
    with pytest.raises(ValueError, match=r"writes NAME\.json or NAME\.pkl, got x\.txt"):
        config_for_testing(given)
    given.checkpoint = "nowhere.pth"
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth does not exist"):
        config_for_testing(given)


def test_without_cuda_only_torchs_launcher_works(config):
    cfg = config_for_training(arguments(config, launcher="slurm"))
    with pytest.raises(ValueError, match="only --launcher pytorch works, got slurm"):
        build_runner(cfg)


def test_missing_data_ends_a_tool_with_the_guide_and_without_a_stack_trace(tmp_path):
    command = [sys.executable, TOOLS / "train.py", SEESAW_NBN]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert run.returncode == 1
    assert "data/lvis_v1/annotations/lvis_v1_train.json does not exist" in run.stderr
    assert "make demo" in run.stderr and "Traceback" not in run.stderr


@pytest.mark.parametrize("tool", ["train.py", "test.py"])
def test_a_tool_without_the_package_says_how_to_get_it(tool, monkeypatch):
    monkeypatch.setitem(sys.modules, "mmdet_ltnorm.engine.launch", None)
    with pytest.raises(SystemExit, match=r"`make setup`.*`pip install -e \.`"):
        runpy.run_path(str(TOOLS / tool), run_name="__main__")


@pytest.mark.parametrize("script", sorted(TOOLS.glob("*_t*.sh")), ids=lambda path: path.name)
def test_a_launch_script_without_arguments_prints_its_usage(script):
    run = subprocess.run([script], capture_output=True, text=True, timeout=20)
    assert run.returncode != 0
    assert f"usage: tools/{script.name}" in run.stderr
