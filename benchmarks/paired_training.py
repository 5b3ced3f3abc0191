"""Several runs trained side by side on the same batches; benchmarks/cifar_lt.py's engine.

mmengine's Runner builds, resumes, saves and validates each run. Only the steps are taken here: all
runs take their steps on a batch before the next batch comes. On a GPU each run has its own stream;
its first steps are ordinary ones, then it replays its step as a CUDA graph. A step that cannot be
captured stays as it is, and the run says why.
"""

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, ParamSchedulerHook
from mmengine.runner import BaseLoop, Runner
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from mmdet_ltnorm.data.cls_data_sample import ClsDataSample
from mmdet_ltnorm.engine.launch import build_runner

EAGER_STEPS = 3  # before a capture: cuDNN chooses its algorithms, momentum gets its memory


class WaitingLoop(BaseLoop):
    """A training loop that prepares its run and returns; :func:`train` takes the steps."""

    def __init__(self, runner: Runner, dataloader: Any, max_iters: int) -> None:
        super().__init__(runner, dataloader)
        self.max_iters, self.max_epochs = max_iters, 1
        self._iter = self._epoch = 0  # where a Runner that resumes writes

    @property
    def iter(self) -> int:
        """The number of steps taken."""
        return self._iter

    @property
    def epoch(self) -> int:
        """The epoch, always 0: as in mmengine's ``IterBasedTrainLoop`` the run is one epoch."""
        return self._epoch

    def run(self) -> nn.Module:
        """Call the hooks that come before the first step."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        return self.runner.model.train()


class Batches:
    """A loader's batches, one at a time, in tensors that keep their place for CUDA graphs."""

    def __init__(
        self, loader: DataLoader, preprocessor: nn.Module, memory_format: torch.memory_format
    ) -> None:
        self.loader, self._preprocessor = loader, preprocessor
        self._memory_format = memory_format
        self._following = _endless(loader)
        self._tensors: list[Tensor] = []
        self._read = 0
        self.data: dict[str, Any] = {}  # the current batch, as a model's arguments

    def go_to(self, step: int) -> None:
        """Put the batch of a step into ``data``; batches before it are drawn and thrown away."""
        while self._read <= step:
            batch = next(self._following)
            self._read += 1
        inputs = self._preprocessor({"inputs": batch["inputs"]}, True)["inputs"]
        views = [inputs] if isinstance(inputs, Tensor) else inputs
        fresh = [*views, torch.cat([sample.gt_label for sample in batch["data_samples"]])]
        if not self._tensors:
            self._keep(fresh, several=views is inputs)
        for kept, new in zip(self._tensors, fresh, strict=True):
            kept.copy_(new, non_blocking=True)

    def _keep(self, like: list[Tensor], several: bool) -> None:
        *views, labels = like
        views = [torch.empty_like(view, memory_format=self._memory_format) for view in views]
        labels = torch.empty_like(labels, device=views[0].device)
        self._tensors = [*views, labels]
        samples = [ClsDataSample(gt_label=label) for label in labels.split(1)]
        self.data = {"inputs": views if several else views[0], "data_samples": samples}


def _endless(loader: DataLoader) -> Iterator[Any]:
    epoch = 0
    while True:
        if hasattr(loader.sampler, "set_epoch"):
            loader.sampler.set_epoch(epoch)
        yield from loader
        epoch += 1


class PairedRun:
    """One run, resumed where it was stopped; ``advance`` takes its next step.

    Args:
        cfg: a config whose training counts iterations. With ``channels_last``, and always on a GPU,
            images and weights are stored channels-last.
        shared: batches by loader and seed, to which the run adds its own. Runs whose loader and
            seed are equal share their batches.
    """

    def __init__(self, cfg: Config, shared: dict[str, Batches]) -> None:
        self.runner = runner = build_runner(cfg)
        loader = cfg.train_dataloader.to_dict()
        key = json.dumps([loader, cfg.randomness.seed], sort_keys=True, default=str)
        same = shared[key].loader if key in shared else loader
        runner._train_loop = WaitingLoop(runner, same, cfg.train_cfg.max_iters)
        runner.train()
        self.model = runner.model
        on_gpu = next(self.model.parameters()).is_cuda
        channels_last = on_gpu or cfg.get("channels_last", False)
        memory_format = torch.channels_last if channels_last else torch.preserve_format
        self.model.to(memory_format=memory_format)
        if key not in shared:
            preprocessor = self.model.data_preprocessor
            shared[key] = Batches(runner.train_dataloader, preprocessor, memory_format)
        self.batches = shared[key]
        kinds = (ParamSchedulerHook, CheckpointHook)
        self._after_step = [hook for hook in runner.hooks if isinstance(hook, kinds)]
        self.stream = torch.cuda.Stream() if on_gpu else None
        self.loss = torch.zeros((), device=next(self.model.parameters()).device)
        self.eager_because = ""
        self._eager_steps = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._rates: list[Tensor] = []

    @property
    def steps(self) -> int:
        """The number of steps taken, including those before a stop."""
        return self.runner.iter

    def advance(self) -> None:
        """Take the next step on the current batch, and do what mmengine does after one."""
        with on_stream(self.stream):
            if self.stream and not self._graph and self._eager_steps == EAGER_STEPS:
                self.eager_because = self._capture()
            if self._graph:
                for rate, group in zip(self._rates, self._optimizer.param_groups, strict=True):
                    rate.fill_(group["lr"])
                self._graph.replay()
            else:
                self._step()
                self._eager_steps += 1
            for hook in self._after_step:
                hook.after_train_iter(self.runner, batch_idx=self.steps)
        self.runner.train_loop._iter += 1

    @property
    def _optimizer(self) -> Optimizer:
        return self.runner.optim_wrapper.optimizer

    def _step(self) -> None:
        """Do what mmengine's ``train_step`` does once the batch is prepared."""
        wrapper = self.runner.optim_wrapper
        with wrapper.optim_context(self.model):
            losses = self.model(**self.batches.data, mode="loss")
        loss, _ = self.model.parse_losses(losses)
        wrapper.update_params(loss)
        self.loss.copy_(loss.detach())

    def _capture(self) -> str:
        """Record a step without taking it; return an empty text, or why it cannot be recorded."""
        graph = torch.cuda.CUDAGraph()
        try:
            with (
                rates_in_tensors(self._optimizer, self.loss.device) as rates,
                # Threads of data loaders may use the GPU meanwhile.
                torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"),
            ):
                self._step()
        except RuntimeError as error:
            torch.cuda.synchronize()
            self._optimizer.zero_grad()
            return f"{root_cause(error)}; {self._host_questions()}"
        self._graph, self._rates = graph, rates
        return ""

    def _host_questions(self) -> str:
        """Run the model forward without gradient, and name the lines that wait for the GPU."""
        before = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught, torch.no_grad():
                warnings.simplefilter("always")
                self.model(**self.batches.data, mode="loss")
        finally:
            torch.cuda.set_sync_debug_mode("default")
        for name, tensor in self.model.state_dict().items():
            tensor.copy_(before[name])
        return waiting_lines(caught)


def root_cause(error: BaseException) -> str:
    """Return the first line of the message of the error that caused all others."""
    while error.__context__:
        error = error.__context__
    return str(error).partition("\n")[0]


def waiting_lines(caught: Sequence[warnings.WarningMessage]) -> str:
    """Return a sentence that names the lines for which torch warned of a synchronization."""
    places = [f"{w.filename}:{w.lineno}" for w in caught if "synchronizing" in str(w.message)]
    if not places:
        return "no line of the forward pass waits for the GPU"
    return "the host waits for the GPU in " + ", ".join(dict.fromkeys(places))


@contextmanager
def on_stream(stream: Any) -> Iterator[None]:
    """Launch on a stream, after all that the current stream has queued; without one, on that."""
    if stream is None:
        yield
        return
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        yield


@contextmanager
def rates_in_tensors(optimizer: Optimizer, device: torch.device) -> Iterator[list[Tensor]]:
    """Let the optimizer read its learning rates from tensors, so that a recorded graph does, too.

    torch's fused optimizers can; schedulers still work with numbers.
    """
    numbers = [group["lr"] for group in optimizer.param_groups]
    rates = [torch.tensor(number, device=device) for number in numbers]
    try:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        yield rates
    finally:
        for group, number in zip(optimizer.param_groups, numbers, strict=True):
            group["lr"] = number


def train(runs: Sequence[PairedRun], steps: int, after_step: Callable[[int], None]) -> None:
    """Train all runs up to a number of steps, on the same batches.

    Args:
        after_step: called after each step with the number of steps that all runs have taken.
    """
    while (step := min(run.steps for run in runs)) < steps:
        behind = [run for run in runs if run.steps == step]
        for batches in {id(run.batches): run.batches for run in behind}.values():
            batches.go_to(step)
        for run in behind:
            run.advance()
        for run in behind:
            if run.stream:
                torch.cuda.current_stream().wait_stream(run.stream)
        after_step(step + 1)
