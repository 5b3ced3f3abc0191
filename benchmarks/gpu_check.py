"""Check and measure the package on a GPU within six minutes: python benchmarks/gpu_check.py.

It needs no network, and the package need not be installed. It prints a page, and writes it to
work_dirs/gpu_check.md, with each measured figure beside the wanted one. A part that needs what the
machine lacks, or more time than is left, is left out with a line that says so. Each part is a
process of its own, so that a crash ends that part alone.
"""

import argparse
import importlib.util
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import torch  # noqa: E402
from norms import PASSES, described, layer_step  # noqa: E402
from step_ways import Deadline, Maker, comparison  # noqa: E402
from torch import nn  # noqa: E402
from training_steps import (  # noqa: E402
    CBN_EVERYWHERE,
    CLASSIFIERS,
    benchmark_detectors,
    classifier_step,
)

from mmdet_ltnorm.benchmark import machine, ratios, timed  # noqa: E402
from mmdet_ltnorm.engine.compiling import FIXED_SHAPES  # noqa: E402
from mmdet_ltnorm.norms import CBN, NBN  # noqa: E402
from mmdet_ltnorm.predictors import RectifiedLinear  # noqa: E402
from mmdet_ltnorm.processes import exit_on_sigterm  # noqa: E402

MINUTES = 6.0
COUNTS = [int(1000 / (rank + 1)) + 1 for rank in range(1203)]


class Size(NamedTuple):
    """The sizes of what is measured, the number of rounds, and the options of ``torch.compile``."""

    inputs: Sequence[tuple[tuple[int, ...], torch.dtype, torch.memory_format]]
    rois: int
    classifiers: Mapping[str, tuple[dict, int, int]]
    image: int  # height and width of the detector's images
    rounds: int
    compiling: Mapping[str, Any]


FULL = Size(
    inputs=[
        ((64, 64, 32, 32), torch.float32, torch.contiguous_format),
        ((64, 256, 56, 56), torch.float32, torch.contiguous_format),
        ((64, 256, 56, 56), torch.bfloat16, torch.channels_last),
        ((256, 2048, 7, 7), torch.float32, torch.contiguous_format),
    ],
    rois=1024,
    classifiers=CLASSIFIERS,
    image=320,
    rounds=15,
    compiling=FIXED_SHAPES,
)
TOY = Size(
    inputs=[((2, 4, 4, 4), torch.float32, torch.contiguous_format)],
    rois=8,
    classifiers={"ResNet-8": (dict(type="ResNetCIFAR", depth=8), 2, 16)},
    image=64,
    rounds=3,
    compiling=dict(backend="eager"),
)
# The largest wanted times over batch norm, by name and way; for layers on inputs from 16 MB on.
LAYER_TARGETS = {
    ("NBN", "eager"): 1.15,
    ("CBN", "eager"): 1.5,
    **{("NBN", way): 1.05 for way in ("captured", "compiled")},
    **{("CBN", way): 1.3 for way in ("captured", "compiled")},
}
STEP_TARGETS = {("NBN", "captured"): 1.01, ("CBN", "captured"): 1.15}


def layers(size: Size, device: str, deadline: Deadline) -> None:
    """Print a table for each input, and the layers' bytes per second over a copy's."""
    for upstream, makers in _layers_by_input(size, device, deadline, ["eager", "captured"]):
        copy = partial(torch.empty_like(upstream).copy_, upstream)
        copied, *others = timed([copy, *(make(None) for make in makers.values())], size.rounds)
        speeds = [
            f"{name} {ratios([PASSES / 2 * seconds for seconds in copied], taken)}"
            for name, taken in zip(makers, others, strict=True)
        ]
        print(f"\nBytes a second over a copy's, eager: {', '.join(speeds)}", flush=True)


def _layers_by_input(
    size: Size, device: str, deadline: Deadline, ways: Sequence[str]
) -> Iterator[tuple[torch.Tensor, dict[str, Maker]]]:
    """Print a table for each input, and yield the gradient of its output and the makers."""
    builds = {"batch norm": nn.BatchNorm2d, "NBN": NBN, "CBN": partial(CBN, num_components=4)}
    for shape, dtype, memory_format in size.inputs:
        x, upstream = (
            torch.randn(shape, device=device, dtype=dtype).to(memory_format=memory_format)
            for _ in range(2)
        )
        x.requires_grad_()
        makers = {
            name: partial(_layer, build(shape[1]).to(device), x, upstream)
            for name, build in builds.items()
        }
        megabytes = x.numel() * x.element_size() / 2**20
        print(f"\n{described(x)}, {megabytes:.0f} MB\n")
        wanted = LAYER_TARGETS if megabytes >= 16 else {}
        table = comparison(makers, wanted, size.rounds, size.compiling, deadline, ways)
        print(table, flush=True)
        yield upstream, makers


def _layer(
    layer: nn.Module, x: torch.Tensor, upstream: torch.Tensor, compiling: Mapping | None
) -> Callable[[], None]:
    return layer_step(
        layer if compiling is None else torch.compile(layer, **compiling), x, upstream
    )


def losses(size: Size, device: str, deadline: Deadline) -> None:
    """Print tables of losses over cross entropy, and of rectified logits over a linear layer."""
    from mmengine.registry import MODELS

    classes = len(COUNTS)
    kinds = {
        "cross entropy": dict(type="mmdet.CrossEntropyLoss"),
        "Balanced Softmax": dict(type="BalancedSoftmaxLoss", num_classes=classes),
        "LDAM": dict(type="LDAMLoss", num_classes=classes),
        "focal": dict(type="SoftmaxFocalLoss"),
    }
    logits = torch.rand(size.rois, classes, device=device, requires_grad=True)
    labels = torch.randint(classes, (size.rois,), device=device)
    makers = {}
    for name, cfg in kinds.items():
        loss = MODELS.build(cfg).to(device)
        if hasattr(loss, "set_class_counts"):
            loss.set_class_counts(COUNTS)
        makers[name] = partial(_loss, loss, logits, labels)
    print(comparison(makers, {}, size.rounds, size.compiling, deadline))
    x = torch.randn(size.rois, 1024, device=device, requires_grad=True)
    upstream = torch.randn(size.rois, classes, device=device)
    predictors = {"linear": nn.Linear, "LR": RectifiedLinear}
    makers = {
        name: partial(_layer, build(1024, classes, bias=False).to(device), x, upstream)
        for name, build in predictors.items()
    }
    print(f"\nLogits of {size.rois} RoIs\n")
    print(comparison(makers, {}, size.rounds, size.compiling, deadline), flush=True)


def _loss(
    loss: nn.Module, logits: torch.Tensor, labels: torch.Tensor, compiling: Mapping | None
) -> Callable[[], None]:
    called = loss if compiling is None else torch.compile(loss, **compiling)

    def step() -> None:
        called(logits, labels).backward()
        logits.grad = None

    return step


NORMS = {"batch norm": dict(type="BN"), "NBN": dict(type="NBN"), "CBN": CBN_EVERYWHERE}


def steps(size: Size, device: str, deadline: Deadline) -> None:
    """Print a table of training steps for each classifier, and a line on mixed precision."""
    for title, case in size.classifiers.items():
        _compare_steps(title, case, size, device, deadline, ["eager", "captured"])
    title, case = next(iter(size.classifiers.items()))
    for narrow in (torch.bfloat16, torch.float16):
        made = {name: classifier_step(*case, cfg, device, narrow) for name, cfg in NORMS.items()}
        values = {name: [float(step()) for _ in range(5)] for name, step in made.items()}
        theirs, *ours = timed(list(made.values()), size.rounds)
        found = [
            f"{name} {ratios(taken, theirs)}"
            for name, taken in zip(list(made)[1:], ours, strict=True)
        ]
        odd = [name for name, each in values.items() if not all(map(math.isfinite, each))]
        print(
            f"\n{title} under autocast to {str(narrow).removeprefix('torch.')}: batch norm "
            f"{1e3 * median(theirs):.2f} ms, over it {', '.join(found)}; "
            + (f"**not finite: losses of {', '.join(odd)}**" if odd else "all losses are finite"),
            flush=True,
        )


def compiled(size: Size, device: str, deadline: Deadline) -> None:
    """Print a table of the first classifier's compiled training steps, and one for each input."""
    ways = ["eager", "compiled"]
    title, case = next(iter(size.classifiers.items()))
    _compare_steps(title, case, size, device, deadline, ways)
    for _ in _layers_by_input(size, device, deadline, ways):
        pass


def _compare_steps(
    title: str,
    case: tuple[dict, int, int],
    size: Size,
    device: str,
    deadline: Deadline,
    ways: Sequence[str],
) -> None:
    def maker(norm_cfg: dict) -> Maker:
        return lambda compiling: classifier_step(*case, norm_cfg, device, compiling=compiling)

    makers = {name: maker(cfg) for name, cfg in NORMS.items()}
    wanted = STEP_TARGETS if "ResNet-50" in title else {}
    print(f"\n{title}\n")
    table = comparison(makers, wanted, size.rounds, size.compiling, deadline, ways)
    print(table, flush=True)


def detector(size: Size, device: str, deadline: Deadline) -> None:
    """Print the time of a training step of Mask R-CNN with our norms, over batch norm's."""
    benchmark_detectors(max(size.rounds // 3, 2), size.image, device, ["NBN", "CBN in all norms"])


def data(size: Size, device: str, deadline: Deadline) -> None:
    """Make the data that the runs train on, in the folder that this process runs in."""
    from mmdet_ltnorm.data import make_mini_lvis, make_shapes_lt

    make_shapes_lt("data/shapes_lt", train_per_class=60, test_per_class=20)
    make_mini_lvis("data/mini_lvis", num_train=240, num_val=48)  # 30 batches of eight images
    print("Shapes-LT and mini-LVIS are made.")


MEASURED = {
    "layers": layers,
    "losses": losses,
    "steps": steps,
    "compiled": compiled,
    "detector": detector,
    "data": data,
}


A_GPU = "a GPU"
OPS = "mmcv._ext"


class Part(NamedTuple):
    """A process whose output is a section of the page, and how much of it is shown."""

    title: str
    command: list[str]
    seconds: float
    needs: Sequence[str] = ()  # names of modules, and A_GPU
    lines: int = 1000
    wanted: str = ""


def parts(toy: bool) -> list[Part]:
    """Return all parts of the page, the most important first."""
    python = sys.executable
    itself = [python, str(ROOT / "benchmarks/gpu_check.py"), *(["--toy"] if toy else [])]
    measured = {name: [*itself, "--part", name] for name in MEASURED}
    tools, demo = ROOT / "tools", ROOT / "configs/demo"
    train = [python, str(tools / "train.py"), str(demo / "seesaw_nbn.py")]
    once = ["--cfg-options", "train_cfg.max_epochs=1", "train_cfg.val_interval=1"]
    distributed = [str(demo / "cls_shapes_bs_nbn.py"), "1", *once]
    return [
        Part("The environment, and mmcv's ops called", [python, str(tools / "doctor.py")], 60),
        Part(
            "Tests for a GPU",
            [python, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", "tests"],
            90,
            needs=["pytest", "hypothesis", A_GPU],
            lines=15,
            wanted="none failed",
        ),
        Part("Layers", measured["layers"], 50),
        Part("Training steps", measured["steps"], 60),
        Part("Mask R-CNN", measured["detector"], 40, needs=[OPS]),
        Part("Data for the runs", measured["data"], 30),
        Part("30 iterations of mini-LVIS", [*train, *once], 60, needs=["vernier", OPS], lines=1),
        Part("One process of NCCL", [str(tools / "dist_train.sh"), *distributed], 40, lines=1),
        Part("Losses and logits", measured["losses"], 40),
        Part("Compiled training steps and layers", measured["compiled"], 120),
    ]


def page(wanted: Sequence[Part], folder: Path, seconds: float = 60 * MINUTES) -> Iterator[str]:
    """Run the parts one after the other, and yield the sections of the page."""
    deadline = Deadline(seconds)
    yield f"# Checked on a GPU\n\n{machine()}, Python {sys.version.split()[0]}"
    for part in wanted:
        yield section(part, folder, deadline)
    yield f"{seconds - deadline.left():.0f} s in all, of at most {seconds:.0f}.\n"


def section(part: Part, folder: Path, deadline: Deadline) -> str:
    """Run a part in a folder, and return its title with what it printed, or why it did not run."""
    print(f"{part.title}: {' '.join(part.command)}", file=sys.stderr, flush=True)
    missing = [name for name in part.needs if not _has(name)]
    seconds = min(part.seconds, deadline.left())
    if missing or seconds < 5:
        why = f"it needs {' and '.join(missing)}" if missing else "no time is left"
        return f"## {part.title}\n\nLeft out: {why}."
    start = monotonic()
    status, printed = run(part.command, ROOT if "pytest" in part.command else folder, seconds)
    shown = "\n".join(printed.strip().splitlines()[-part.lines :])
    if not shown:
        shown = "It printed nothing."
    elif part.lines < 1000:
        shown = f"```\n{shown}\n```"
    ending = f"{monotonic() - start:.0f} s" + (f"; wanted: {part.wanted}" if part.wanted else "")
    return f"## {part.title}\n\n{status}{shown}\n\n{ending}"


def _has(name: str) -> bool:
    if name == A_GPU:
        return torch.cuda.is_available()
    return importlib.util.find_spec(name) is not None


def run(command: Sequence[str], folder: Path, seconds: float) -> tuple[str, str]:
    """Run a process to its end; return how it failed, empty if it did not, and what it printed."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "GPU_CHECK_SECONDS": f"{0.6 * seconds:.0f}",  # then a part starts no further measurement
        "PYTHONWARNINGS": "ignore",
    }
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=out, stderr=err, start_new_session=True
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:  # its whole group, which holds the processes that it started
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read())
    printed, errors = texts
    if code == 0:
        return "", printed
    last = " ".join(errors.strip().splitlines()[-3:]) or "no message"
    if code is None:
        return f"**Ended after {seconds:.0f} s.**\n\n", printed
    how = f"status {code}" if code > 0 else signal.Signals(-code).name
    return f"**Failed with {how}:** {last}\n\n", printed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("work_dirs/gpu_check.md"))
    parser.add_argument("--toy", action="store_true", help="tiny sizes, which a CPU can take, too")
    parser.add_argument("--part", choices=MEASURED, help="print one part, in this process")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not args.toy:
        sys.exit("torch sees no GPU here: --toy runs the parts at tiny sizes on a CPU")
    if args.part:
        deadline = Deadline(float(os.environ.get("GPU_CHECK_SECONDS", 60 * MINUTES)))
        MEASURED[args.part](TOY if args.toy else FULL, device, deadline)
        return
    exit_on_sigterm()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    text = ""
    with tempfile.TemporaryDirectory() as folder:
        for found in page(parts(args.toy), Path(folder)):
            text += f"{found}\n\n"
            args.out.write_text(text)  # what there is, should this be ended
    print(text)


if __name__ == "__main__":
    main()
