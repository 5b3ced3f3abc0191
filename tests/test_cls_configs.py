"""Classification configs are short, and build the networks that their docstrings promise."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from small_cls_configs import CONFIGS, LEAVES, by_name, host
from torch import nn

from mmdet_ltnorm.engine.checks import magnitudes
from mmdet_ltnorm.norms import CBN, NBN, FeatureNorm
from mmdet_ltnorm.surgery import norm_positions


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
        ("cifar10_ride_nbn", 30, 3),
        ("cifar100_ride_nbn", 30, 3),
        ("cifar100_ride_bs_nbn", 30, 3),
        ("imagenet_rx50_ride_nbn", 40, 4),
        ("imagenet_rx50_ride_bs_nbn", 40, 4),
        ("inat18_r50_ride_nbn", 30, 3),
        ("cifar100_ride_nbn_cosine", 15, 3),
        ("imagenet_rx50_ride_nbn_cosine", 16, 4),
        ("inat18_r50_ride_nbn_cosine", 12, 3),
    ],
)
def test_norms_sit_where_the_row_says_and_share_what_it_says(name, layers, learned):
    model = network(name)
    norms = [module for module in model.modules() if isinstance(module, NBN)]
    found = [g for _, g in magnitudes(model) if g is not None and g.requires_grad]
    assert (len(norms), len(found)) == (layers, learned)


def leaf_config(name):
    (path,) = [path for path in LEAVES if path.stem == name]
    return Config.fromfile(path)


@pytest.mark.parametrize("ride", [path.stem for path in LEAVES if "_ride_" in path.stem])
def test_ride_with_nbn_is_the_authors_form_and_the_cosine_form_is_a_leaf(ride):
    cfg = leaf_config(ride).model
    sits, predictor = cfg.backbone.backbone, cfg.head.predictor.type
    if ride.endswith("_cosine"):
        assert (sits.get("positions", "residual"), predictor) == ("residual", "NormedLinear")
    elif ride.endswith("_nbn"):
        assert (sits.positions, predictor) == ("last_stage", "RectifiedLinear")
        assert "tempearture" not in cfg.head.predictor
    elif ride.endswith("_bs"):
        assert predictor == "Linear"
    if "_bs" in ride:
        assert cfg.head.loss.loss.type == "BalancedSoftmaxLoss"
        assert (cfg.head.loss.temperature_strength, cfg.head.loss.get("defer_until", 0)) == (0, 0)
    experts = 4 if ride.startswith("imagenet") else 3
    assert cfg.head.num_experts == cfg.backbone.num_experts == experts


@pytest.mark.parametrize("start", [None, 1])
def test_rows_of_table_ix_differ_in_one_option_and_start_from_one_g_and_raw_bias(start):
    rows = {"ce_nbn": {}, "nbn_fixed_g": dict(learn_magnitude=False)}
    rows["nbn_unnormalized"] = dict(normalize=False)
    started = []
    for row, option in rows.items():
        cfg = leaf_config(f"imagenet_r50_{row}").model.backbone
        assert cfg.norm_cfg == dict(type="NBN", **option)
        cfg.backbone.base_channels = 8
        if start:
            cfg.norm_cfg.initial_magnitude = start
        DefaultScope.get_instance("table ix", scope_name="mmdet")
        torch.manual_seed(0)
        state = MODELS.build(cfg).state_dict()
        started.append({k: v for k, v in state.items() if k.startswith("layer4")})
    g = start or 16  # the square root of 4 * 8 * 8 channels
    assert all(state["layer4.2.bn3.magnitude"] == g for state in started)
    for state in started[1:]:
        for name, tensor in started[0].items():
            assert torch.equal(state[name], tensor), name


def test_focal_and_ldam_rows_of_table_i_share_its_recipe():
    for data in "cifar10", "cifar100":
        common = leaf_config(f"{data}_ce")
        focal, ldam = leaf_config(f"{data}_focal"), leaf_config(f"{data}_ldam")
        assert focal.model.head.loss == dict(type="SoftmaxFocalLoss", gamma=2.0)
        assert ldam.model.head.loss.type == "LDAMLoss"
        assert ldam.model.head.predictor.type == "NormedLinear"
        for row in focal, ldam:
            for part in "train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler":
                assert row[part] == common[part]


def test_inaturalist_follows_imagenet_lts_recipe_but_for_its_length_and_images():
    ours, imagenet = leaf_config("inat18_r50_ce"), leaf_config("imagenet_r50_ce")
    assert ours.optim_wrapper == imagenet.optim_wrapper
    assert ours.optim_wrapper.optimizer.weight_decay == 5e-4
    assert ours.train_cfg.max_epochs == ours.param_scheduler.T_max == 200
    decays = {"bcl": 1e-4, "ride": 2e-4}
    for name, decay in decays.items():
        assert leaf_config(f"inat18_r50_{name}").optim_wrapper.optimizer.weight_decay == decay


@pytest.mark.parametrize("norm", ["", "_nbn"])
def test_table_viiis_first_stage_on_inaturalist_has_90_epochs(norm):
    first = leaf_config(f"inat18_r50_ce{norm}_90e")
    assert first.train_cfg.max_epochs == first.param_scheduler.T_max == 90
    second = leaf_config(f"inat18_r50_crt{norm or '_90e'}")
    assert second.model.first_stage == f"work_dirs/inat18_r50_ce{norm}_90e/epoch_90.pth"


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


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*/*_all.py")), ids=lambda path: path.stem)
def test_cbn_in_all_norms_replaces_each_with_t_and_k_of_1_and_changes_nothing_else(path):
    model = network(path.stem)
    layers = [module for module in model.modules() if isinstance(module, CBN)]
    assert all((each.temperature, each.shrinkage) == (1, 1) for each in layers)
    assert {each.num_components for each in layers} == {4}
    assert len(layers) == sum(
        isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules()
    )
    everywhere = Config.fromfile(path)
    last = Config.fromfile(path.with_stem(path.stem.removesuffix("_all")))
    assert everywhere.model.backbone.pop("positions") == "all"
    assert everywhere.model.backbone.norm_cfg.pop("shrinkage") == 1
    for key in ("model", "train_dataloader", "optim_wrapper", "param_scheduler", "train_cfg"):
        assert everywhere[key] == last[key], key


WIDE = [path for path in LEAVES if "width=4." in path.read_text()]


@pytest.mark.parametrize("path", WIDE, ids=lambda path: path.stem)
def test_the_papers_width_is_the_option_that_a_leaf_names(path):
    (option,) = re.findall(r"(\S+)=4\.", path.read_text())
    cfg = Config.fromfile(path)
    host(cfg.model).depth = 8
    DefaultScope.get_instance("widths", scope_name="mmdet")
    narrow = MODELS.build(cfg.model.backbone).feat_dim
    cfg.merge_from_dict({option: 4})
    assert MODELS.build(cfg.model.backbone).feat_dim == 4 * narrow
    assert len(WIDE) == 11
