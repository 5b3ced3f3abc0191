"""The feature bias in the logs of a run, read by the backends' own readers."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_mask_rcnn import CONFIGS, tiny_model

from mmdet_ltnorm.analysis.feature_bias_hook import FeatureBiasHook, norm_report
from mmdet_ltnorm.norms import CBN, NBN, share_magnitude

PREFIX = "feature_bias/"


def run(tmp_path, norm_cfg, steps=4, interval=2):
    """Train the digits for a few steps; return the runner and the features of every step."""
    cfg = Config.fromfile("configs/demo/cls_digits_ce.py")
    cfg.model.backbone.backbone.norm_cfg = norm_cfg
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=steps, val_interval=steps)
    cfg.param_scheduler = None
    cfg.val_dataloader.dataset.indices = 10
    cfg.custom_hooks.append(dict(type="FeatureBiasHook", interval=interval))
    cfg.visualizer.vis_backends = [dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]
    cfg.work_dir = str(tmp_path)
    cfg.experiment_name = f"{tmp_path.name}-{norm_cfg['type']}"
    runner = Runner.from_cfg(cfg)
    seen = []

    def keep(predictor, args):
        if predictor.training:
            seen.append(args[0].detach().numpy().astype(np.float64))

    runner.model.head.predictor.register_forward_pre_hook(keep)
    runner.train()
    return runner, seen


def records(tmp_path):
    (file,) = tmp_path.glob("*/vis_data/scalars.json")
    lines = map(json.loads, file.read_text().splitlines())
    return [line for line in lines if any(key.startswith(PREFIX) for key in line)]


def test_statistics_are_those_of_the_training_batches_of_each_interval(tmp_path):
    runner, seen = run(tmp_path, dict(type="NBN"))
    logged = records(tmp_path)
    assert [record["step"] for record in logged] == [2, 4]
    for record, batches in zip(logged, (seen[:2], seen[2:4]), strict=True):
        features = np.concatenate(batches)
        var_mu, var_sigma = (np.var(s, ddof=1) for s in (features.mean(0), features.std(0)))
        assert record[f"{PREFIX}var_mu"] == pytest.approx(var_mu, rel=1e-6)
        assert record[f"{PREFIX}var_sigma"] == pytest.approx(var_sigma, rel=1e-6)
    layer = runner.model.backbone.layer3[0].bn2
    last = {key.removeprefix(PREFIX): value for key, value in logged[-1].items()}
    name = "backbone.layer3.0.bn2"
    assert last[f"{name}/magnitude"] == pytest.approx(layer.magnitude.item())
    raw = layer._parameters["weight"]
    assert last[f"{name}/raw_gamma_norm"] == pytest.approx(raw.norm().item())
    expected = (layer.magnitude * raw / raw.norm()).std().item()
    assert last[f"{name}/gamma_sd"] == pytest.approx(expected, rel=1e-4)
    assert f"{PREFIX}backbone.layer1.0.bn1/gamma_sd" in logged[-1]


def test_tensorboard_gets_the_same_numbers(tmp_path):
    run(tmp_path, dict(type="BN"))
    (folder,) = tmp_path.glob("*/vis_data")
    reader = EventAccumulator(str(folder))
    reader.Reload()
    tags = [tag for tag in reader.Tags()["scalars"] if tag.startswith(PREFIX)]
    logged = records(tmp_path)
    # Of plain batch norm the last layer alone.
    assert sorted(tags) == sorted(k for k in logged[0] if k != "step")
    assert {tag.split("/")[1] for tag in tags if tag.count("/") == 2} == {"backbone.layer3.0.bn2"}
    for tag in tags:
        events = reader.Scalars(tag)
        assert [event.step for event in events] == [2, 4]
        for event, record in zip(events, logged, strict=True):
            assert event.value == pytest.approx(record[tag], rel=1e-5)


def test_cbn_s_components_are_logged(tmp_path):
    runner, _ = run(tmp_path, dict(type="CBN", num_components=3))
    last = records(tmp_path)[-1]
    for name, layer in runner.model.named_modules():
        if isinstance(layer, CBN):
            prior = layer.prior.double()
            entropy = -(prior * prior.log()).sum().item() / np.log(3)
            assert last[f"{PREFIX}{name}/prior_entropy"] == pytest.approx(entropy, rel=1e-5)
            found = layer.diagnostics()
            for key in "distance", "dead", "entropy", "mutual_information":
                assert last[f"{PREFIX}{name}/{key}"] == pytest.approx(found[key].item(), abs=1e-6)


def test_the_hook_lets_go_of_the_model_and_its_run_is_the_same_without_it(tmp_path):
    runner, _ = run(tmp_path / "with", dict(type="BN"))
    assert len(runner.model.head.predictor._forward_pre_hooks) == 1  # the test's own
    other, _ = run(tmp_path / "without", dict(type="BN"), interval=10**6)
    for ours, theirs in zip(runner.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_box_classifier_of_a_detector_is_watched():
    cfg = Config.fromfile(CONFIGS / "seesaw_nbn_2x.py")
    cfg.merge_from_dict(tiny_model(num_classes=8))
    model = MODELS.build(cfg.model)
    hook = FeatureBiasHook()
    hook.before_train(SimpleNamespace(model=model))
    model.roi_head.bbox_head.fc_cls(torch.tensor([[1.0] * 256, [3.0] * 256]))
    assert hook._moments.count.item() == 2 and (hook._moments.mean == 2).all()
    model.roi_head.bbox_head.fc_cls.eval()(torch.ones(1, 256))
    assert hook._moments.count.item() == 2


def test_a_report_on_a_shared_magnitude_is_its_owners():
    layers = [NBN(4), NBN(4)]
    share_magnitude(layers)
    assert ["magnitude" in norm_report(layer) for layer in layers] == [False, True]
