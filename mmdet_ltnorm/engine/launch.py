"""Training and testing: from a command line to a config, from a config to a runner."""

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

from mmdet_ltnorm.data.wrapped import dataset_configs
from mmdet_ltnorm.engine.checks import (
    asks_for,
    check_class_config,
    check_data_files,
    check_norm_types,
    check_sync_bn,
)
from mmdet_ltnorm.engine.compiling import check_compiler
from mmdet_ltnorm.engine.hooks import BroadcastBuffersHook, ClassCountsLineHook
from mmdet_ltnorm.engine.loading import CheckCheckpointHook
from mmdet_ltnorm.engine.options import merge_options
from mmdet_ltnorm.engine.resume import latest_complete_checkpoint
from mmdet_ltnorm.engine.terminal import MEANS, ProgressHook, RefusedRun, quiet_runner
from mmdet_ltnorm.engine.trackers import tracker_errors_in_words
from mmdet_ltnorm.processes import (
    claim_folder,
    end_forks_too,
    end_with_parent,
    leave_process_group,
)
from mmdet_ltnorm.reading import read_model_config
from mmdet_ltnorm.results.trained import is_detector
from mmdet_ltnorm.writing import check_outputs

POST_HOC = {  # names on the command line, of hooks in the room calibration
    "logn": "LogNHook",
    "logit_adjustment": "LogitAdjustmentHook",
    "tau_norm": "TauNormHook",
    "norcal": "NorCalHook",
}

# Losses that correct for the class frequencies in training.
ADJUSTING = (
    *("BalancedContrastiveLoss", "BalancedSoftmaxLoss", "ClassBalancedLoss", "LDAMLoss"),
    *("LTSeesawLoss", "RIDELoss", "SeesawLoss"),
)
# Samplers and wrappers that show rare classes more often than they are.
RESAMPLING = ("ClassAwareSampler", "ClassBalancedDataset", "ClassPowerSampler", "DeferredSampler")
RESAMPLING += ("EffectiveNumberSampler",)

RESULT_WRITERS = ("GroupAccuracy", "LTLVISMetric")

# Our bases have these hooks; other configs get them, too.
RUN_HOOKS = {
    "resume": "ResumeHook",
    "missing_validation": "MissingValidationHook",
    "randomness": "RandomnessHook",
    "finite": "FiniteHook",
}


def config_for_training(args: argparse.Namespace) -> Config:
    """Turn the arguments of a training into a config, and check files and options.

    Raises:
        FileNotFoundError: annotations, images or the checkpoint to resume from are missing.
        ValueError: the config cannot do what an option asks for, or would lose the NBN layers.
    """
    cfg = _config(args)
    check_data_files(cfg, "train_dataloader", "val_dataloader")
    check_class_config(cfg, "train_dataloader", "val_dataloader")
    _add_run_hooks(cfg)
    if args.amp:
        _use_mixed_precision(cfg)
    if args.compile:
        check_compiler()
        cfg.custom_hooks = [*cfg.get("custom_hooks", []), dict(type="CompileHook")]
    if args.auto_scale_lr:
        if "base_batch_size" not in cfg.get("auto_scale_lr", {}):
            raise ValueError(
                "--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config: "
                "the total batch size that its lr is for"
            )
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        auto = args.resume == "auto"
        checkpoint = latest_complete_checkpoint(cfg.work_dir) if auto else _existing(args.resume)
        if checkpoint:  # none at the first start, if a cluster always starts jobs with --resume
            cfg.update(load_from=checkpoint, resume=True)
            _take_seed(cfg, checkpoint)
    _find_best(cfg)
    _check_written(cfg, args.config, "val")
    return cfg


def config_for_testing(args: argparse.Namespace) -> Config:
    """Turn the arguments of a test into a config, and check files and options.

    Raises:
        FileNotFoundError: annotations, images or the checkpoint are missing.
        ValueError: the config cannot do what an option asks for.
    """
    cfg = _config(args)
    check_data_files(cfg, "test_dataloader")
    check_class_config(cfg, "test_dataloader")
    _calibrate(cfg, args.post, args.post_strength)
    cfg.load_from = _existing(args.checkpoint)
    if args.show_dir:
        _check_kind(cfg, "--show-dir", "tools/predict.py draws a classifier's answers")
        drawing = dict(type="DetVisualizationHook", draw=True, test_out_dir=args.show_dir)
        cfg.merge_from_dict({"default_hooks.visualization": drawing})
    if args.out:
        _write_predictions(cfg, args.out)
    _check_written(cfg, args.config, "test")
    return cfg


def train(cfg: Config) -> None:
    """Train; on every rank of a distributed run.

    Raises:
        BlockingIOError: another process uses the work directory.
        ConnectionError: a tracker, such as Weights & Biases, failed.
        FloatingPointError: the loss or the weights are not finite any more.
    """
    end_with_parent()
    end_forks_too()
    if _rank(cfg) == 0:
        claim_folder(cfg.work_dir)
    with unknown_types_in_words(), tracker_errors_in_words():
        build_runner(cfg).train()
    leave_process_group()


def test(cfg: Config) -> None:
    """Test; on every rank of a distributed run."""
    end_with_parent()
    end_forks_too()
    with unknown_types_in_words(), tracker_errors_in_words():
        build_test_runner(cfg).test()
    leave_process_group()


@contextmanager
def unknown_types_in_words() -> Iterator[None]:
    """Refuse a run whose config has a `type` that no registry has, as mmengine says it."""
    try:
        yield
    except KeyError as error:
        told = str(error.args[0]) if error.args else ""
        if "is not in the" not in told or "registry" not in told:
            raise
        raise RefusedRun(told) from error


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config, which checks the checkpoint that it loads.

    Without CUDA, a distributed run goes over gloo.
    """
    if cfg.launcher != "none" and not torch.cuda.is_available():
        _open_gloo(cfg)
    return _checked(quiet_runner(cfg).from_cfg(cfg))


def build_test_runner(cfg: Config) -> Runner:
    """Build a runner that leaves the training's config in the work directory alone.

    mmengine's runner would replace it by the test's, which is written beside the test's log anyway.
    """
    if cfg.launcher != "none" and not torch.cuda.is_available():
        _open_gloo(cfg)
    return _checked(quiet_runner(cfg, dump_config=lambda runner: None).from_cfg(cfg))


def _checked(runner: Runner) -> Runner:
    runner.register_hook(CheckCheckpointHook(runner.cfg.get("may_differ", ())))
    runner.register_hook(BroadcastBuffersHook())
    runner.register_hook(ClassCountsLineHook())
    runner.register_hook(ProgressHook())
    return runner


def _config(args: argparse.Namespace) -> Config:
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg = read_model_config(args.config)
    merge_options(cfg, args.cfg_options)
    cfg.launcher = args.launcher
    default = cfg.get("work_dir") or str(Path("work_dirs", Path(args.config).stem))
    cfg.work_dir = args.work_dir or default
    check_sync_bn(cfg)
    check_norm_types(cfg)
    return cfg


def _add_run_hooks(cfg: Config) -> None:
    hooks = cfg.setdefault("default_hooks", {})
    for name, kind in RUN_HOOKS.items():
        hooks.setdefault(name, dict(type=kind))
    cfg.setdefault("log_processor", dict(type="LogProcessor")).setdefault("mean_pattern", MEANS)
    if "max_iters" in (cfg.get("train_cfg") or {}):  # or all validations would be of "epoch 0"
        hooks.setdefault("logger", dict(type="LoggerHook")).log_metric_by_epoch = False


def _take_seed(cfg: Config, checkpoint: str) -> None:
    """Set a missing seed to the checkpoint's; mmengine would not seed samplers and workers."""
    if cfg.get("randomness", {}).get("seed") is None:
        saved = CheckpointLoader.load_checkpoint(checkpoint, map_location="cpu")
        seed = (saved.get("meta") or {}).get("seed")
        cfg.merge_from_dict({"randomness.seed": seed})


def _rank(cfg: Config) -> int:
    """Return the rank of this process before the process group exists."""
    ranks = {"pytorch": "RANK", "slurm": "SLURM_PROCID", "mpi": "OMPI_COMM_WORLD_RANK"}
    return int(os.environ.get(ranks.get(cfg.launcher, ""), 0))


def _existing(path: str) -> str:
    if "://" not in path and not Path(path).is_file():
        raise FileNotFoundError(f"{Path(path).absolute()} does not exist, or is no file")
    return path


def _calibrate(cfg: Config, method: str | None, strength: float | None) -> None:
    if strength is not None and method in (None, "logn"):
        raise ValueError(
            "--post-strength is an option of --post logit_adjustment, tau_norm and norcal, got "
            + ("no --post" if method is None else f"--post {method}, which has no strength")
        )
    if method is None:
        return
    if method == "logn":
        check_data_files(cfg, "train_dataloader")
    elif method == "norcal":
        _check_kind(cfg, "--post norcal", "classifiers have logit_adjustment, tau_norm and logn")
    else:
        remedy = "detectors have norcal and logn"
        _check_kind(cfg, f"--post {method}", remedy, detectors=False)
    if method in ("logit_adjustment", "tau_norm") and strength != 0:
        _check_not_adjusted(cfg, method)
    hook = dict(type=POST_HOC[method]) | ({} if strength is None else dict(strength=strength))
    cfg.custom_hooks = [*cfg.get("custom_hooks", []), hook]


def _check_kind(cfg: Config, option: str, remedy: str, *, detectors: bool = True) -> None:
    """Refuse an option that serves only detectors, or only other models, before anything runs."""
    with MODELS.switch_scope_and_registry(cfg.get("default_scope", "mmdet")) as registry:
        kind = registry.get(cfg.model.type)
    if is_detector(kind) != detectors:
        served = "detectors" if detectors else "classifiers"
        raise ValueError(f"{option} is for {served}, and {cfg.model.type} is none: {remedy}")


def _check_not_adjusted(cfg: Config, method: str) -> None:
    """Refuse to correct scores for class frequencies that training has corrected for."""
    parts = {"loss": (cfg.get("model"), ADJUSTING)}
    parts["data loader"] = (cfg.get("train_dataloader"), RESAMPLING)
    for part, (value, types) in parts.items():
        if found := [name for name in types if asks_for(value, (name,))]:
            raise ValueError(
                f"--post {method} is for models trained with cross entropy on the images as they "
                f"are. This config's {part} has {found[0]}, which corrects for the class "
                "frequencies in training: correcting twice costs the frequent classes most of "
                "their accuracy. Test without --post, or with --post logn"
            )


def _write_predictions(cfg: Config, out: str) -> None:
    metrics = _metrics(cfg, "test")
    if not out.endswith(".json"):
        raise ValueError(f"--out writes NAME.json, got {out}: reading a pickle can run code in it")
    writers = [metric for metric in metrics if metric["type"] in RESULT_WRITERS]
    if len(writers) != 1:
        types = ", ".join(metric["type"] for metric in metrics)
        raise ValueError(
            f"--out is written by one of {' and '.join(RESULT_WRITERS)}, test_evaluator has {types}"
        )
    writers[0]["results_file"] = out
    cfg.test_evaluator = metrics


def _metrics(cfg: Config, mode: str) -> list[Mapping[str, Any]]:
    found = cfg.get(f"{mode}_evaluator") or []
    return [found] if isinstance(found, Mapping) else list(found)


def _find_best(cfg: Config) -> None:
    """Set the rule of ``save_best`` for LVIS's scores: greater is better."""
    hook = cfg.get("default_hooks", {}).get("checkpoint") or {}
    wanted = hook.get("save_best")
    keys = [wanted] if isinstance(wanted, str) else list(wanted or ())
    first = next(iter(_metrics(cfg, "val")), {}).get("type")
    ours = [key.startswith("lvis/") or (key == "auto" and first == "LTLVISMetric") for key in keys]
    if keys and all(ours) and hook.get("rule") is None:
        hook["rule"] = "greater"


def _check_written(cfg: Config, config: str, mode: str) -> None:
    """Refuse two outputs to one file, and an output over an input."""
    metrics = _metrics(cfg, mode)
    loaders = (cfg.get(f"{name}_dataloader") or {} for name in ("train", "val", "test"))
    parts = [part for loader in loaders for part in dataset_configs(loader.get("dataset"))]
    files = [str(part["ann_file"]) for part in (*parts, *metrics) if part.get("ann_file")]
    roots = {str(part.get("data_root") or "") for part in parts} | {""}
    read = [config, cfg.get("load_from") or config, *(Path(r, f) for r in roots for f in files)]
    keys = ("results_file", "per_class_file", "out_file_path")
    check_outputs([metric[key] for metric in metrics for key in keys if metric.get(key)], read)
    # mmengine writes the config without bases there; a file without bases is such a copy.
    copy = Path(cfg.work_dir, Path(config).name)
    if copy.is_file() and copy.samefile(config) and "_base_" in copy.read_text(encoding="utf-8"):
        raise ValueError(
            f"the work directory {cfg.work_dir} is the folder of {config}, which would be written "
            "over: name another by --work-dir"
        )


def _use_mixed_precision(cfg: Config) -> None:
    if torch.cuda.is_available():
        cfg.optim_wrapper.update(type="AmpOptimWrapper", loss_scale="dynamic")
    else:
        cfg.optim_wrapper.update(type="BFloat16OptimWrapper")


def _open_gloo(cfg: Config) -> None:
    # mmengine selects a CUDA device before it opens any group, and hands DDP that device's number.
    if cfg.launcher != "pytorch":
        raise ValueError(f"without CUDA only --launcher pytorch works, got {cfg.launcher}")
    seconds = cfg.get("env_cfg", {}).get("dist_cfg", {}).get("timeout", 1800)
    torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=seconds))
    unused = cfg.get("find_unused_parameters", False)
    wrapper = dict(
        type="MMDistributedDataParallel",
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=unused,
    )
    cfg.model_wrapper_cfg = {**wrapper, **(cfg.get("model_wrapper_cfg") or {})}
