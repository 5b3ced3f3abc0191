"""Every classification config builds, takes two steps and is evaluated, on data in the real format.

Networks are narrow and images small; nothing else of a config is changed but its paths and length.
"""

import itertools
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from cifar_files import write_cifar10, write_cifar100
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from torch import nn

from mmdet_ltnorm.data import image_list, make_shapes_lt
from mmdet_ltnorm.engine.checks import magnitudes
from mmdet_ltnorm.norms import CBN, NBN, FeatureNorm
from mmdet_ltnorm.surgery import norm_positions

CONFIGS = Path(__file__).parents[1] / "configs"
FOLDERS = ("cifar_lt", "imagenet_lt", "inat18", "places_lt")
LEAVES = sorted(
    [path for folder in FOLDERS for path in (CONFIGS / folder).glob("*.py")]
    + list((CONFIGS / "demo").glob("cls_*.py"))
)
by_name = pytest.mark.parametrize("path", LEAVES, ids=lambda path: path.stem)
_runs = itertools.count()

LISTS = {  # list files of the published splits, an image of each, and the number of classes
    "ImageNetLT": ("ImageNet_LT_{}.txt", "train/n01440764/n01440764_{}.JPEG", 1000),
    "PlacesLT": ("Places_LT_{}.txt", "data_256/a/airfield/{:08}.jpg", 365),
    "INaturalist18": ("iNaturalist18_{}.txt", "train_val2018/Plantae/7477/{}.jpg", 8142),
}


@pytest.fixture(scope="session")
def data_roots(tmp_path_factory):
    """Data roots by the type of the data set."""
    roots = {kind: tmp_path_factory.mktemp(kind) for kind in LISTS}
    for kind, (name, image, classes) in LISTS.items():
        for split in "train", "val", "test":
            labels = np.linspace(0, classes - 1, 8).astype(int)
            lines = [f"{image.format(i)} {label}\n" for i, label in enumerate(labels)]
            (roots[kind] / name.format(split)).write_text("".join(lines))
        for number in range(8):
            file = roots[kind] / image.format(number)
            file.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).integers(0, 255, (50, 60 + number, 3))
            cv2.imwrite(str(file), noise.astype(np.uint8))
    roots["ImageFolder"] = tmp_path_factory.mktemp("ImageFolder")
    for number in range(1000):
        folder = roots["ImageFolder"] / f"n{number:08}"
        folder.mkdir()
        if number % 125 == 0:
            cv2.imwrite(str(folder / "1.JPEG"), noise.astype(np.uint8))
    for kind, write, classes in (
        ("CIFAR10LT", write_cifar10, 10),
        ("CIFAR100LT", write_cifar100, 100),
    ):
        roots[kind] = tmp_path_factory.mktemp(kind)
        write(roots[kind], np.arange(20 * classes) % classes, np.arange(classes))
    roots["ShapesLT"] = tmp_path_factory.mktemp("ShapesLT")
    make_shapes_lt(roots["ShapesLT"], train_per_class=60, test_per_class=1)
    return roots


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch):
    # mmengine formats the config as pretty Python five times a run, which takes half of the time.
    monkeypatch.setattr(Config, "pretty_text", property(lambda cfg: repr(cfg)))
    for kind in LISTS:
        monkeypatch.setattr(
            getattr(image_list, kind), "totals", dict.fromkeys(("train", "val", "test"), 8)
        )


def host(model):
    """Return the config of the backbone within those that wrap it."""
    backbone = model.backbone
    while "backbone" in backbone:
        backbone = backbone.backbone
    return backbone


def small(path, data_roots, work_dir):
    """Load a config for a run of two steps of a narrow network."""
    cfg = Config.fromfile(path)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f"{path.stem}-{next(_runs)}"
    cfg.visualizer.vis_backends = [dict(type="LocalVisBackend")]
    backbone = host(cfg.model)
    if backbone.type != "ResNetCIFAR":
        backbone.update(base_channels=8, init_cfg=None)
    else:
        backbone.depth = 8
    side = 64 if "'IN'" in str(cfg.model) else 32  # instance norm takes more than one pixel
    for loader in cfg.train_dataloader, cfg.val_dataloader:
        loader.update(num_workers=0, persistent_workers=False, batch_size=4)
        if loader.dataset.type in data_roots:
            loader.dataset.data_root = str(data_roots[loader.dataset.type])
        for step in steps(loader.dataset.pipeline):
            if step.type in ("RandomResizedCrop", "ResizeShortestEdge", "CenterCrop"):
                name = {"RandomResizedCrop": "size", "CenterCrop": "crop_size"}
                step[name.get(step.type, "scale")] = side + 8 if "Shortest" in step.type else side
    if "contrastive_head" in cfg.model:
        cfg.model.contrastive_head.update(hidden_channels=16, out_channels=8)
    if cfg.train_dataloader.dataset.get("imbalance_factor", 1) > 20:
        cfg.train_dataloader.dataset.imbalance_factor = 20
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=2, val_interval=2)
    if "ClassBalancedLoss" in str(cfg.model) or "epoch" in str(cfg.train_dataloader.sampler):
        cfg.train_cfg = dict(by_epoch=True, max_epochs=1)
        cfg.train_dataloader.dataset.indices = 8
    cfg.param_scheduler = None
    if "auto_scale_lr" in cfg:  # the lr of 512 images would make a step of 4 diverge
        cfg.auto_scale_lr.enable = True
    if "first_stage" in cfg.model:
        cfg.model.first_stage = str(save_first_stage(cfg, Path(work_dir) / "first.pth"))
    return cfg


def steps(pipeline):
    """Yield the transforms of a pipeline, those of its views too."""
    for step in pipeline:
        yield step
        for view in step.get("views", ()):
            yield from view


def save_first_stage(cfg, file):
    DefaultScope.get_instance("first", scope_name="mmdet")
    model = cfg.model.to_dict()
    for key in ("first_stage", "kept", "trainable", "backbone_eval"):
        model.pop(key, None)
    model.update(type="ImageClassifier")
    if not model["head"]["type"].startswith("Expert"):
        model["head"]["predictor"] = dict(type="Linear")
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": MODELS.build(model).state_dict()}, file)
    return file


@by_name
def test_a_config_trains_and_is_evaluated(path, data_roots, tmp_path):
    cfg = small(path, data_roots, tmp_path)
    runner = Runner.from_cfg(cfg)
    before = {name: p.detach().clone() for name, p in runner.model.named_parameters()}
    runner.train()
    learned = {n for n, p in runner.model.named_parameters() if p.requires_grad}
    moved = {n for n, p in runner.model.named_parameters() if not torch.equal(p, before[n])}
    assert runner.iter == 2
    assert moved <= learned
    assert "head.predictor.scale" in learned or any(name.startswith("head.") for name in moved)
    loss = runner.message_hub.get_scalar("train/loss").current()
    assert math.isfinite(loss)
    assert ("train/loss_variance" in runner.message_hub.log_scalars) == ("variance" in path.stem)
    scores = {
        key.removeprefix("val/accuracy/"): history.current()
        for key, history in runner.message_hub.log_scalars.items()
        if key.startswith("val/accuracy/")
    }
    assert set(scores) == {"all", "many", "medium", "few", "top5", "ece"}
    assert 0 <= scores["all"] <= 100


def code_lines(path):
    return sum(bool(line.strip()) for line in path.read_text().split('"""')[2].splitlines())


@by_name
def test_a_leaf_is_short(path):
    assert code_lines(path) <= 25


def test_no_two_configs_share_a_name():
    # work_dirs/NAME is where a run goes unless it is told otherwise.
    names = [path.stem for path in CONFIGS.glob("*/*.py")]
    assert len(set(names)) == len(names)


@by_name
def test_a_second_stage_starts_from_the_last_epoch_of_a_config_there_is(path):
    cfg = Config.fromfile(path)
    if "first_stage" not in cfg.model:
        return
    file = Path(cfg.model.first_stage)
    (first,) = [other for other in LEAVES if other.stem == file.parent.name]
    first = Config.fromfile(first)
    kind, number = file.stem.split("_")
    key, total = {
        "epoch": ("max_epochs", "max_epochs"),
        "iter": ("max_iters", "max_iters"),
    }[kind]
    length = first.train_cfg[key]
    if "_decoupled_" in path.stem:  # 80 % of the epochs
        assert int(number) == 0.8 * length
        assert int(number) % first.default_hooks.checkpoint.interval == 0
        kept = first.default_hooks.checkpoint.max_keep_ckpts
        assert length - kept * first.default_hooks.checkpoint.interval < int(number)
    else:
        assert int(number) == length
    for part in "train_dataloader", "val_dataloader":
        for name in "type", "data_root", "imbalance_factor":
            assert cfg[part].dataset.get(name) == first[part].dataset.get(name)


# --- the numbers that the docstrings promise


def network(name):
    (path,) = [path for path in LEAVES if path.stem == name]
    cfg = Config.fromfile(path)
    DefaultScope.get_instance("network", scope_name="mmdet")
    if host(cfg.model).type != "ResNetCIFAR":
        host(cfg.model).base_channels = 8
    return MODELS.build(cfg.model)


@pytest.mark.parametrize(
    ("name", "layers", "learned"),
    [
        ("imagenet_r50_ce", 0, 0),
        ("imagenet_r50_ce_nbn", 4, 1),
        ("imagenet_r50_nbn_type_a", 10, 1),
        ("imagenet_r50_nbn_type_b", 6, 1),
        ("imagenet_r50_nbn_type_c", 53, 1),
        ("imagenet_r50_nbn_share_block", 4, 3),
        ("imagenet_r50_nbn_share_none", 4, 4),
        ("imagenet_r50_nbn_fixed_g", 4, 0),
        ("imagenet_r50_nbn_unnormalized", 4, 1),
        ("imagenet_r50_crt_nbn", 4, 0),
        ("imagenet_r50_crt_nbn_star", 4, 1),
        ("cifar100_ride_nbn", 15, 3),
        ("imagenet_rx50_ride_nbn", 16, 4),
        ("inat18_r50_ride_nbn", 12, 3),
    ],
)
def test_norms_sit_where_the_row_says_and_share_what_it_says(name, layers, learned):
    model = network(name)
    norms = [module for module in model.modules() if isinstance(module, NBN)]
    found = [g for _, g in magnitudes(model) if g is not None and g.requires_grad]
    assert (len(norms), len(found)) == (layers, learned)
    if name.endswith("fixed_g"):
        assert all(norm.magnitude == 1 for norm in norms)


@pytest.mark.parametrize(
    ("name", "kind", "after_batch_norm"),
    [
        ("imagenet_r50_ce_ln", nn.GroupNorm, False),
        ("imagenet_r50_ce_in", nn.InstanceNorm2d, False),
        ("imagenet_r50_ce_bn_ln", nn.GroupNorm, True),
        ("imagenet_r50_ce_bn_in", nn.InstanceNorm2d, True),
        ("imagenet_r50_ce_feature_c", FeatureNorm, True),
        ("imagenet_r50_ce_feature_chw", FeatureNorm, True),
    ],
)
def test_other_norms_replace_or_follow_batch_norm_where_nbn_would_sit(name, kind, after_batch_norm):
    model = network(name)
    suffix = ".then" if after_batch_norm else ""
    expected = [
        f"backbone.{norm}{suffix}" for norm in norm_positions(network("imagenet_r50_ce").backbone)
    ]
    assert [n for n, module in model.named_modules() if isinstance(module, kind)] == expected
    batch_norms = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert batch_norms == (53 if after_batch_norm else 49)


@pytest.mark.parametrize("name", ["imagenet_r50_ce_variance_01", "imagenet_r50_ce_variance_1"])
def test_variance_regularization_joins_the_hooks_that_there_are(name):
    (path,) = [path for path in LEAVES if path.stem == name]
    *others, hook = Config.fromfile(path).custom_hooks
    assert others == Config.fromfile(CONFIGS / "imagenet_lt" / "imagenet_r50_ce.py").custom_hooks
    assert hook == dict(type="VarianceRegularizationHook", alpha=0.1 if name[-2] == "0" else 1)


@pytest.mark.parametrize("path", CONFIGS.glob("*/*_balanced.py"), ids=lambda path: path.stem)
def test_balanced_rows_differ_from_the_long_tailed_ones_in_the_data_alone(path):
    cfg = Config.fromfile(path)
    long_tailed = Config.fromfile(path.with_stem(path.stem.removesuffix("_balanced")))
    assert cfg.train_dataloader.dataset.get("imbalance_factor", 1) == 1
    for part in "model", "optim_wrapper", "param_scheduler", "train_cfg":
        assert cfg[part] == long_tailed[part]


@pytest.mark.parametrize(
    ("name", "millions"),
    # torchvision's counts with 1000 classes, and for Places-LT with the classifier exchanged.
    # Those of RIDE are of its authors' networks.
    [
        ("imagenet_r50_ce", 25.557),
        ("imagenet_rx50_ce", 25.029),
        ("places_r152_ce", 58.892),
        ("cifar100_ride", 0.784),
        ("imagenet_rx50_ride", 56.715),
        ("inat18_r50_ride", 76.588),
    ],
)
def test_networks_have_the_published_number_of_parameters(name, millions):
    (path,) = [path for path in LEAVES if path.stem == name]
    DefaultScope.get_instance("sizes", scope_name="mmdet")
    with torch.device("meta"):
        model = MODELS.build(Config.fromfile(path).model)
    total = sum(parameter.numel() for parameter in model.parameters())
    assert total / 1e6 == pytest.approx(millions, abs=1e-3)
    assert not any(m.training for m in model.eval().modules())
    assert all(m.training for m in model.train().modules() if isinstance(m, nn.BatchNorm2d))


def test_cifar_rows_follow_the_published_schedule():
    cfg = Config.fromfile(CONFIGS / "cifar_lt" / "cifar10_bs_nbn_lr.py")
    optimizer = torch.optim.SGD(
        [torch.nn.Parameter(torch.ones(1))], lr=cfg.optim_wrapper.optimizer.lr
    )
    DefaultScope.get_instance("schedule", scope_name="mmdet")
    from mmengine.registry import PARAM_SCHEDULERS

    schedulers = [
        PARAM_SCHEDULERS.build(dict(item, optimizer=optimizer)) for item in cfg.param_scheduler
    ]
    rates = []
    for _ in range(cfg.train_cfg.max_iters):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert len(rates) == 13_000
    assert rates[0] == pytest.approx(0.05)
    assert rates[400] == pytest.approx(0.075, abs=1e-4)
    assert max(rates) == pytest.approx(0.1)
    assert rates.index(max(rates)) in range(798, 802)
    assert rates[800 + 6100] == pytest.approx(0.05, abs=1e-3)
    assert rates[-1] < 1e-6


OPTIONS = {
    "train_dataloader.dataset.imbalance_factor": 5,
    "model.backbone.width": 4,
    "randomness.seed": 7,
}


@pytest.mark.parametrize("components", [1, 8])
@pytest.mark.parametrize("depth", [20, 110])
def test_components_and_depth_of_cbn_are_options(components, depth):
    cfg = Config.fromfile(CONFIGS / "cifar_lt" / "cifar10_cbn_dpl.py")
    cfg.merge_from_dict(
        {
            "model.backbone.norm_cfg.num_components": components,
            "model.backbone.backbone.depth": depth,
        }
    )
    DefaultScope.get_instance("options", scope_name="mmdet")
    model = MODELS.build(cfg.model)
    layers = [module for module in model.modules() if isinstance(module, CBN)]
    assert len(layers) == (depth - 2) // 6
    assert {layer.weight.shape for layer in layers} == {(components, 64)}
    assert model.num_groups == components


def test_imbalance_width_and_seed_are_options(data_roots, tmp_path):
    cfg = small(CONFIGS / "cifar_lt" / "cifar10_ce.py", data_roots, tmp_path)
    cfg.merge_from_dict(OPTIONS)
    runner = Runner.from_cfg(cfg)
    runner.train()
    counts = runner.train_dataloader.dataset.class_counts
    assert (counts[0], counts[-1]) == (20, 4)
    assert runner.model.head.predictor.in_features == 256
    assert runner.seed == 7


def small_and_saving(path, data_roots, work_dir):
    cfg = small(path, data_roots, work_dir)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1)
    return cfg


RESUMED = pytest.mark.parametrize(
    "config", ["cifar_lt/cifar10_bs_nbn_lr", "demo/cls_shapes_bcl_nbn"]
)


@RESUMED
def test_a_checkpoint_is_tested_alone_with_the_groups_of_the_training_set(
    config, data_roots, tmp_path
):
    path = CONFIGS / f"{config}.py"
    trained = Runner.from_cfg(small_and_saving(path, data_roots, tmp_path))
    trained.train()
    history = trained.message_hub.log_scalars
    cfg = small_and_saving(path, data_roots, tmp_path)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.load_from = str(tmp_path / "iter_2.pth")
    scores = Runner.from_cfg(cfg).test()
    assert set(scores) == {f"accuracy/{n}" for n in ("all", "many", "medium", "few", "top5", "ece")}
    for name, score in scores.items():
        assert score == pytest.approx(history[f"val/{name}"].current(), nan_ok=True)


@RESUMED
def test_a_killed_run_goes_on_with_its_loss_knowing_the_classes(config, data_roots, tmp_path):
    path = CONFIGS / f"{config}.py"
    Runner.from_cfg(small_and_saving(path, data_roots, tmp_path)).train()
    cfg = small_and_saving(path, data_roots, tmp_path)
    cfg.train_cfg.max_iters = 3
    cfg.load_from, cfg.resume = str(tmp_path / "iter_2.pth"), True
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 3
    counts = runner.train_dataloader.dataset.class_counts
    assert runner.model.head.loss_cls.class_counts.tolist() == counts


@pytest.mark.slow
@by_name
def test_a_config_resumes_from_its_own_checkpoint(path, data_roots, tmp_path):
    cfg = small_and_saving(path, data_roots, tmp_path)
    cfg.default_hooks.checkpoint.max_keep_ckpts = -1
    Runner.from_cfg(cfg).train()
    cfg = small_and_saving(path, data_roots, tmp_path)
    cfg.load_from, cfg.resume = str(tmp_path / "iter_2.pth"), True
    runner = Runner.from_cfg(cfg)
    runner.load_or_resume()
    assert runner.iter == 2
    saved = torch.load(cfg.load_from, weights_only=False)["state_dict"]
    for name, tensor in runner.model.state_dict().items():
        assert torch.equal(tensor, saved[name]), name
    if cfg.train_cfg.get("by_epoch"):
        cfg.train_cfg.max_epochs = 2
    else:
        cfg.train_cfg.max_iters = 3
    cfg.experiment_name += "-on"
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter > 2
    assert math.isfinite(runner.message_hub.get_scalar("train/loss").current())


def test_a_resumed_ride_run_goes_on_with_its_epoch_and_a_curve_for_each_magnitude(
    data_roots, tmp_path
):
    path = CONFIGS / "demo" / "cls_shapes_ride_nbn.py"
    cfg = small(path, data_roots, tmp_path)
    cfg.default_hooks.checkpoint.interval = 1
    first = Runner.from_cfg(cfg)
    first.train()
    cfg = small(path, data_roots, tmp_path)
    cfg.train_cfg.max_epochs = 2
    cfg.load_from, cfg.resume = str(tmp_path / "epoch_1.pth"), True
    runner = Runner.from_cfg(cfg)
    runner.load_or_resume()
    assert [g.item() for _, g in magnitudes(runner.model)] == [
        g.item() for _, g in magnitudes(first.model)
    ]
    runner.train()
    assert (runner.epoch, runner.iter) == (2, 4)
    for expert in range(3):
        curve = f"train/backbone.experts.{expert}.layer3.0.bn2.magnitude"
        assert len(runner.message_hub.get_scalar(curve).data[0]) == 4
