"""SplitSeedingHook: which group an image of a detector belongs to, and for how long."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from tiny_mask_rcnn import CONFIGS, tiny_data, tiny_model
from torch import nn

from mmdet_ltnorm.data.wrapped import class_counts
from mmdet_ltnorm.engine.split_seeding import SplitSeedingHook
from mmdet_ltnorm.norms import CBN
from mmdet_ltnorm.split import active_groups


class Annotated:
    cat_ids = [3, 5, 8, 9]
    cat_img_map = {3: [1], 5: [1, 2, 4], 8: [2, 4], 9: [1, 2, 4, 7]}


def runner(model=None, iteration=0):
    return SimpleNamespace(
        model=model or nn.Sequential(CBN(3, num_components=2)),
        train_dataloader=SimpleNamespace(dataset=Annotated()),
        iter=iteration,
    )


def batch(*labels):
    """Return a batch of images with instances of these classes."""
    instances = [InstanceData(labels=torch.tensor(each, dtype=torch.long)) for each in labels]
    return {"data_samples": [SimpleNamespace(gt_instances=each) for each in instances]}


def test_an_image_belongs_to_the_group_of_its_most_frequent_class():
    hook, run = SplitSeedingHook(iterations=5), runner()
    hook.before_train(run)
    # By frequency the classes are 3, 1 (group 0) and 2, 0 (group 1).
    hook.before_train_iter(run, 0, batch([3, 0, 0], [1], [2, 2, 3]))
    assert active_groups(3, 2).tolist() == [1, 0, 1]
    hook.after_train_iter(run, 0)
    assert active_groups(3, 2) is None


def test_the_groups_go_to_the_models_device_once():
    hook, run = SplitSeedingHook(iterations=5), runner()
    run.model.to("meta")
    hook.before_train(run)
    hook.before_train_iter(run, 0, batch([3, 0, 0], [1]))
    assert active_groups(2, 2).is_meta
    hook.after_train_iter(run, 0)


def test_the_components_follow_their_groups_in_the_first_iterations_alone():
    run = runner()
    layer = run.model[0]
    layer(torch.randn(8, 3, 4, 4))
    hook = SplitSeedingHook(iterations=1)
    hook.before_train(run)
    prior = layer.prior.clone()
    for run.iter in (0, 1):
        hook.before_train_iter(run, run.iter, batch([3], [0]))
        images = torch.randn(2, 3, 4, 4) + torch.tensor([5.0, -5.0]).view(2, 1, 1, 1)
        run.model(images)
        hook.after_train_iter(run, run.iter)
        assert torch.equal(layer.prior, prior) == (run.iter == 0)
    assert (layer.running_mean[0] > layer.running_mean[1]).all()


def test_a_batch_with_an_image_without_instances_is_left_whole():
    hook, run = SplitSeedingHook(iterations=5), runner()
    hook.before_train(run)
    hook.before_train_iter(run, 0, batch([3], []))
    assert active_groups(2, 2) is None


def test_an_iteration_that_failed_leaves_no_split_behind():
    hook, run = SplitSeedingHook(iterations=1), runner()
    hook.before_train(run)
    hook.before_train_iter(run, 0, batch([3], [0]))
    run.iter = 1
    hook.before_train_iter(run, 1, batch([3], [0]))
    assert active_groups(2, 2) is None


def test_images_are_counted_in_wrapped_data_sets(mini_lvis):
    cfg = dict(
        type="LVISV1Dataset",
        data_root=f"{mini_lvis}/",
        ann_file="annotations/lvis_v1_train.json",
        data_prefix=dict(img=""),
        pipeline=[],
    )
    with DATASETS.switch_scope_and_registry("mmdet") as registry:
        dataset = registry.build(dict(type="RepeatDataset", times=2, dataset=cfg))
    annotations = json.loads((mini_lvis / "annotations" / "lvis_v1_train.json").read_text())
    categories = sorted(annotations["categories"], key=lambda category: category["id"])
    assert class_counts(dataset) == [category["image_count"] for category in categories]


def test_a_model_without_cbn_is_refused():
    with pytest.raises(ValueError, match="Conv2d has no CBN layers"):
        SplitSeedingHook(iterations=1).before_train(runner(nn.Conv2d(3, 3, 1)))


def test_the_lvis_config_trains_split_and_then_whole(mini_lvis, tmp_path):
    cfg = Config.fromfile(CONFIGS / "seesaw_cbn_seeded_2x.py")
    cfg.merge_from_dict({**tiny_model(8), **tiny_data(mini_lvis, image_size=64)})
    annotations = json.loads((mini_lvis / "annotations" / "lvis_v1_train.json").read_text())
    names = [category["name"] for category in annotations["categories"]]
    cfg.train_dataloader.dataset.metainfo = dict(classes=names)
    cfg.train_dataloader.batch_size = 2
    cfg.custom_hooks[-1].iterations = 1
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=2)
    for part in ("dataloader", "cfg", "evaluator"):
        cfg[f"val_{part}"] = cfg[f"test_{part}"] = None
    cfg.param_scheduler = None
    cfg.work_dir, cfg.experiment_name = str(tmp_path), "seeded"
    run = Runner.from_cfg(cfg)
    layer = run.model.backbone.layer4[1].bn2
    priors = []
    layer.register_forward_hook(lambda *_: priors.append(layer.prior.clone()))
    run.train()
    assert layer.num_batches_tracked == 2
    uniform = torch.full((4,), 0.25)
    assert torch.equal(priors[0], uniform) and not torch.equal(priors[1], uniform)
    assert math.isfinite(run.message_hub.log_scalars["train/loss"].current())
