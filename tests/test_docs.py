"""Every command and snippet of the documentation is run, page by page, on miniature data."""

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from tiny_mask_rcnn import tiny_model

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_TESTED = "# not tested here: "
EXPORT = ROOT / "tools" / "export.py"
SHORTER = {"max_epochs = 30": "max_epochs = 1", "epoch_30.pth": "epoch_1.pth"}
SHORTER |= {"max_epochs = 20": "max_epochs = 1", "epoch_20.pth": "epoch_1.pth"}
SHORTER |= {"max_epochs = 36": "max_epochs = 1", "epoch_36.pth": "epoch_1.pth"}
SHORTER |= {"epoch_12.pth": "epoch_1.pth"}
SHORTER |= {'("data/shapes_lt")': '("data/shapes_lt", train_per_class=60)'}


def blocks(page):
    """Return language, first line's number and text of the code blocks, in order."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return [(m[1], text.count("\n", 0, m.start()) + 2, m[2]) for m in BLOCK.finditer(text)]


SLOW = {"classification", "detection", "segmentation"}
PAGES = [
    pytest.param(page, marks=pytest.mark.slow if page in SLOW else ())
    for page in sorted(page.stem for page in DOCS.glob("*.md"))
    if blocks(page)
]


def write_miniature(name, **options):
    """Write a base of ours, made small, where the pages' configs look for it."""
    cfg = Config.fromfile(ROOT / "configs" / "_base_" / f"{name}.py")
    for loader in "train_dataloader", "val_dataloader":
        options |= {f"{loader}.num_workers": 0, f"{loader}.persistent_workers": False}
    cfg.merge_from_dict(options)
    cfg.dump(Path("configs", "_base_", f"{name}.py"))


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that looks like a clone, with small networks from scratch on small images."""
    for name in "tools", "mmdet_ltnorm":
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "configs" / "_base_").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    size = {"train_dataloader.dataset.pipeline.1.size": 32}
    size |= {"val_dataloader.dataset.pipeline.1.scale": 36}
    size |= {"val_dataloader.dataset.pipeline.2.crop_size": 32}
    network = {"model.backbone.backbone.base_channels": 16}
    network |= {"model.backbone.backbone.init_cfg": None}
    write_miniature("cls_image_folder", **size, **network)
    write_miniature("cls_demo_shapes")
    options = {
        key: value
        for key, value in tiny_model(7).items()
        if "mask" not in key and "num_classes" not in key
    }
    options |= {"train_cfg.max_epochs": 1}
    for loader, step in ("train_dataloader", 2), ("val_dataloader", 1):
        options[f"{loader}.dataset.pipeline.{step}.scale"] = (128, 128)
    write_miniature("det_coco_format", **options)
    write_miniature("det_coco_format_masks_small")
    with DefaultScope.overwrite_default_scope("mmdet"):
        yield


def run_command(line, monkeypatch):
    """Run a line as a shell does; our tools in this process, which has imported torch already."""
    words = shlex.split(line)
    if words[0] != "python":
        subprocess.run(line, shell=True, check=True)
        return
    monkeypatch.setattr(sys, "argv", words[1:])
    try:
        runpy.run_path(words[1], run_name="__main__")
    except SystemExit as end:
        assert not end.code, f"{line}: {end.code}"


def run_python(page, number, code, names):
    """Run a snippet, or write the config that it is and build its model."""
    path = code.split("\n", 1)[0].removeprefix("# ")
    if path.startswith("configs/"):
        Path(path).write_text(code, encoding="utf-8")
        MODELS.build(Config.fromfile(path).model)
    else:
        exec(compile("\n" * (number - 1) + code, f"{page}.md", "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_and_snippets_of_a_page_work_in_their_order(page, checkout, monkeypatch):
    names = {}
    for language, number, text in blocks(page):
        for long, short in SHORTER.items():
            text = text.replace(long, short)
        if text.startswith(NOT_TESTED) or ("onnx" in text and not EXPORT.exists()):
            continue
        if language == "python":
            run_python(page, number, text, names)
        else:
            for line in text.replace("\\\n", " ").splitlines():
                run_command(line, monkeypatch)


def test_a_block_that_is_not_run_says_why():
    found = [text for page in DOCS.glob("*.md") for *_, text in blocks(page.stem)]
    reasons = [re.match(r"# not tested here\b(.*)", text) for text in found]
    assert all(match[1].startswith(": ") and len(match[1]) > 10 for match in reasons if match)
    assert sum(map(bool, reasons)) <= 6 < len(found)
    assert len(PAGES) > 4


@pytest.mark.parametrize(
    ("demo", "told"),
    [
        ("demo", r"The demo then takes about (\d+) minutes on 2\s+cores"),
        ("demo_cls", r"make demo-cls.*: about (\d+) minutes on 2 cores"),
    ],
)
def test_a_demo_says_the_time_that_the_readme_says(demo, told):
    (minutes,) = re.findall(told, (ROOT / "README.md").read_text(encoding="utf-8"))
    tool = (ROOT / "tools" / f"{demo}.py").read_text(encoding="utf-8")
    assert f"about {minutes} minutes on 2 cores" in tool


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    sphinx = pytest.importorskip("sphinx.cmd.build")
    for extension in "furo", "myst_parser", "sphinx_copybutton":
        pytest.importorskip(extension)
    assert sphinx.main(["-W", "-q", "-b", "html", str(DOCS), str(tmp_path)]) == 0
    for page in tmp_path.glob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert not re.search(r"<(script|link|img)[^>]* (src|href)=\"(https?:)?//", html)
    assert "<math" in (tmp_path / "nbn.html").read_text(encoding="utf-8")
    assert "NormalizedAffine" in (tmp_path / "api.html").read_text(encoding="utf-8")
