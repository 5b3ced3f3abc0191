"""What all classification runs share: hooks, evaluation, logs."""

default_scope = "mmdet"
custom_imports = dict(imports=["mmdet_ltnorm"], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50),
    param_scheduler=dict(type="ParamSchedulerHook"),
    # Three, because a save that a kill cuts short must leave a complete one to resume from.
    checkpoint=dict(type="CheckpointHook", interval=1, max_keep_ckpts=3),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    resume=dict(type="ResumeHook"),
    missing_validation=dict(type="MissingValidationHook"),
    randomness=dict(type="RandomnessHook"),
    finite=dict(type="FiniteHook"),
)
custom_hooks = [
    dict(type="ClassCountsHook"),
    dict(type="LossEpochHook"),
    dict(type="CheckNormsHook"),
    dict(type="MagnitudeHook"),
]

val_cfg = dict()
test_cfg = dict()
val_evaluator = dict(type="GroupAccuracy")
test_evaluator = val_evaluator

randomness = dict(seed=0)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
vis_backends = [dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]
visualizer = dict(type="Visualizer", vis_backends=vis_backends)
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=True)
log_level = "INFO"
load_from = None
resume = False
