"""The LVIS configs are mmdet's recipes with the paper's batch, and NBN as the only difference."""

import pytest
from mmengine.config import Config
from tiny_mask_rcnn import CONFIGS

MMDET = "mmdet::seesaw_loss/mask-rcnn_r50_fpn_seesaw-loss"
LEAVES = sorted(path.stem for path in CONFIGS.glob("*.py"))
BASELINES = {
    "ce_nbn_2x": "ce_2x",
    "eql_nbn_2x": "eql_2x",
    "seesaw_nbn_2x": "seesaw_2x",
    "seesaw_nbn_rfs_2x": "seesaw_rfs_2x",
}
CBN_LEAVES = ("seesaw_cbn_2x", "seesaw_cbn_seeded_2x")


def leaf(name):
    return Config.fromfile(CONFIGS / f"{name}.py")


def host(name):
    return Config.fromstring(f"_base_ = '{MMDET}{name}.py'", ".py")


def entries(cfg, prefix=""):
    """Flatten a config to key -> value, without the host's scope marks."""
    if isinstance(cfg, list | tuple) and any(isinstance(value, dict) for value in cfg):
        cfg = dict(enumerate(cfg))
    if not isinstance(cfg, dict):
        return {prefix[1:]: cfg}
    found = {}
    for key, value in cfg.items():
        if key != "_scope_":
            found |= entries(value, f"{prefix}.{key}")
    return found


def difference(one, other):
    """Return the keys in which two configs differ, with the values of the first."""
    one, other = entries(one.to_dict()), entries(other.to_dict())
    absent = object()
    keys = sorted(one.keys() | other.keys())
    return {k: one.get(k) for k in keys if one.get(k, absent) != other.get(k, absent)}


def test_there_is_a_leaf_for_each_row():
    others = "eqlv2_2x", "seesaw_nbn_mean_2x"
    assert {*LEAVES} == {*BASELINES, *BASELINES.values(), *CBN_LEAVES, *others}


@pytest.mark.parametrize("name", LEAVES)
def test_all_share_the_papers_recipe(name):
    cfg = leaf(name)
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 4
    optimizer = dict(type="SGD", lr=0.005, momentum=0.9, weight_decay=1e-4)
    assert cfg.optim_wrapper.optimizer == optimizer
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (24, 24)
    warm_up, steps = cfg.param_scheduler
    assert (warm_up.start_factor, warm_up.end) == (0.001, 500)
    assert steps.milestones == [16, 22]
    assert cfg.model.test_cfg.rcnn.score_thr == 1e-4
    assert cfg.model.test_cfg.rcnn.max_per_img == 300
    head = cfg.model.roi_head.bbox_head
    assert head.cls_predictor_cfg == dict(type="NormedLinear", tempearture=20)
    assert head.num_classes == cfg.model.roi_head.mask_head.num_classes == 1203
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert evaluator.type == "LTLVISMetric"
        assert evaluator.ann_file == "data/lvis_v1/annotations/lvis_v1_val.json"
    [backbone] = [v for k, v in entries(cfg.model.to_dict()).items() if k.endswith("checkpoint")]
    assert backbone == "torchvision://resnet50"


RUN = {
    "auto_scale_lr.base_batch_size": 4,
    "custom_hooks.0.type": "CheckClassesHook",
    "custom_hooks.1.type": "CheckNormsHook",
    "custom_hooks.2.type": "MagnitudeHook",
    "custom_imports.allow_failed_imports": False,
    "custom_imports.imports": ["mmdet_ltnorm"],
    "default_hooks.checkpoint.max_keep_ckpts": 3,
    "default_hooks.finite.type": "FiniteHook",
    "default_hooks.missing_validation.type": "MissingValidationHook",
    "default_hooks.randomness.type": "RandomnessHook",
    "default_hooks.resume.type": "ResumeHook",
    "env_cfg.dist_cfg.timeout": 7200,
    "model.roi_head.bbox_head.loss_cls.type": "LTSeesawLoss",
    "optim_wrapper.optimizer.lr": 0.005,
    "test_evaluator.type": "LTLVISMetric",
    "train_dataloader.batch_size": 4,
    "train_dataloader.num_workers": 4,
    "val_evaluator.type": "LTLVISMetric",
    "vis_backends.1.type": "TensorboardVisBackend",
    "visualizer.vis_backends.1.type": "TensorboardVisBackend",
}


def with_the_hosts_backbone(ours):
    """Take a plain config's backbone out of LTNormBackbone, which returns it as it is."""
    assert set(ours.model.backbone) == {"type", "backbone"}
    ours.model.backbone = ours.model.backbone.backbone
    return ours


def without_its_evaluator(theirs):
    """Remove from mmdet's config the options of its metric that LTLVISMetric does not have."""
    for evaluator in (theirs.val_evaluator, theirs.test_evaluator):
        for option in ("backend_args", "format_only"):
            assert not evaluator.pop(option, None)


def test_seesaw_is_the_hosts_config_but_for_the_run():
    theirs = host("_random-ms-2x_lvis-v1")
    without_its_evaluator(theirs)
    assert difference(with_the_hosts_backbone(leaf("seesaw_2x")), theirs) == RUN


def test_repeat_factor_sampling_with_normalized_masks_is_the_hosts_config_but_for_the_run():
    theirs = host("-normed-mask_sample1e-3-ms-2x_lvis-v1")
    without_its_evaluator(theirs)
    assert difference(with_the_hosts_backbone(leaf("seesaw_rfs_2x")), theirs) == RUN


LOSSES = {
    "ce_2x": dict(type="CrossEntropyLoss", use_sigmoid=False),
    "eql_2x": dict(
        type="EqualizationLoss",
        num_classes=1203,
        ann_file="data/lvis_v1/annotations/lvis_v1_train.json",
        threshold=1.1e-3,
    ),
    "eqlv2_2x": dict(type="EqualizationLossV2", num_classes=1203),
}


@pytest.mark.parametrize("name", LOSSES)
def test_another_loss_differs_from_seesaw_in_the_loss_alone(name):
    changed = difference(leaf(name), leaf("seesaw_2x"))
    loss = "model.roi_head.bbox_head.loss_cls"
    assert all(key.startswith(f"{loss}.") for key in changed)
    assert leaf(name).model.roi_head.bbox_head.loss_cls == LOSSES[name]


@pytest.mark.parametrize(("name", "baseline"), BASELINES.items())
def test_an_nbn_leaf_differs_from_its_baseline_in_the_norm_alone(name, baseline):
    changed = difference(leaf(name), leaf(baseline))
    assert changed == {"model.backbone.norm_cfg.type": "NBN"}


def test_eq_2_to_the_letter_differs_from_seesaw_with_nbn_in_one_option():
    changed = difference(leaf("seesaw_nbn_mean_2x"), leaf("seesaw_nbn_2x"))
    assert changed == {"model.backbone.norm_cfg.pretrained": "mean"}


def test_the_cbn_leaves_differ_from_seesaw_in_the_norms_and_say_so():
    for name in CBN_LEAVES:
        ours, theirs = leaf(name), leaf("seesaw_2x")
        hooks = [hook.type for hook in ours.custom_hooks]
        assert ("SplitSeedingHook" in hooks) == (name == "seesaw_cbn_seeded_2x")
        ours.custom_hooks = theirs.custom_hooks
        assert difference(ours, theirs) == {
            "model.backbone.backbone.norm_eval": False,
            "model.backbone.norm_cfg.type": "CBN",
            "model.backbone.norm_cfg.num_components": 4,
        }


def test_the_learning_rate_follows_the_linear_rule_from_the_hosts():
    ours, theirs = leaf("seesaw_2x"), host("_random-ms-2x_lvis-v1")

    def per_image(cfg):
        return cfg.optim_wrapper.optimizer.lr / cfg.auto_scale_lr.base_batch_size

    assert per_image(ours) == per_image(theirs)
