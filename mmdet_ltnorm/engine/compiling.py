"""Training with ``torch.compile``: the compiled part of a model, and the compiler."""

import os
import shutil
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

# All batches of a classifier have one size, but for an epoch's last: a graph for each.
FIXED_SHAPES: dict[str, Any] = dict(mode="reduce-overhead", dynamic=False)
ANY_SHAPES: dict[str, Any] = {}


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile what a training step computes; ``tools/train.py --compile`` adds this hook.

    Of a classifier, and any other model with images of one size, that is ``model.loss``, whose
    steps a GPU then repeats as CUDA graphs (``reduce-overhead``). Of mmdet's detectors, whose
    images differ in size, it is the backbone and the neck, without graphs.

    mmengine's own entry, ``compile=dict(...)``, compiles the whole step with the optimizer, and
    that anew for each learning rate: it serves where the rate changes a few times.
    """

    def before_train(self, runner: Runner) -> None:
        """Compile; the first steps will wait for the compiler."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._parts: list[nn.Module] = []
        if hasattr(model, "with_neck"):  # as mmdet's detectors know
            self._parts = [model.backbone, *([model.neck] if model.with_neck else [])]
            for part in self._parts:
                part.compile(**ANY_SHAPES)
        else:
            model.loss = torch.compile(model.loss, **FIXED_SHAPES)
        self._model = model

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Allow graphs to write over the outputs of the last step."""
        torch.compiler.cudagraph_mark_step_begin()

    def after_train(self, runner: Runner) -> None:
        """Leave the model as it was."""
        for part in self._parts:
            part._compiled_call_impl = None
        vars(self._model).pop("loss", None)


def check_compiler() -> None:
    """Check that there is a compiler for ``torch.compile``.

    Raises:
        ValueError: Triton is missing, on a GPU, or a compiler of C++.
    """
    on_gpu = torch.cuda.is_available()
    if on_gpu and not torch.utils._triton.has_triton_package():
        raise ValueError(
            "--compile needs Triton on a GPU, which torch's own CUDA packages bring: "
            "pip install triton, or train without --compile"
        )
    compilers = [os.environ.get("CC" if on_gpu else "CXX"), "g++", "clang++"]
    compilers += ["gcc", "clang"] if on_gpu else []
    if not any(shutil.which(compiler) for compiler in compilers if compiler):
        raise ValueError(
            f"--compile needs a compiler, looked for {', '.join(filter(None, compilers))}: install "
            f"one (apt install g++), name it in {'CC' if on_gpu else 'CXX'}, or train without "
            "--compile"
        )
