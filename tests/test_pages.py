"""The pages for readers: links, commands that they name, and how long the first one is."""

import ast
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmdet_ltnorm.norms import NBN
from mmdet_ltnorm.predictors import RectifiedLinear

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FOLDERS = (".", "docs", "tools", "benchmarks", "configs", "configs/*")
PAGES = sorted({page for folder in FOLDERS for page in ROOT.glob(f"{folder}/*.md")})
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"((?:tools|benchmarks)/\w+\.(?:py|sh))([^\n`|#]*)")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page):
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def summary(tool):
    """Return what a tool does: the first line of its help or its first comment, up to a command."""
    text = tool.read_text(encoding="utf-8")
    first = ast.get_docstring(ast.parse(text)) if tool.suffix == ".py" else text.split("\n# ")[1]
    return re.split(r": python |[.:]?\n|[.:]$|; ", first)[0]


@pages
def test_the_links_of_a_page_lead_to_files_and_headings(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"


@pages
def test_the_commands_of_a_page_exist_with_their_options(page):
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    common = (ROOT / "ltnorm/run_arguments.py").read_text(encoding="utf-8")
    for name, arguments in COMMAND.findall(text):
        source = common + (ROOT / name).read_text(encoding="utf-8")
        command = re.search(r'^main\("(.+)"\)$|(train)\.py', source, re.MULTILINE)
        if command:
            file = (command[1] or command[2]).replace("-", "_")
            source += (ROOT / f"ltnorm/{file}.py").read_text(encoding="utf-8")
        for option in re.findall(r"(?<=\s)--([a-z][a-z-]*)", arguments):
            known = option == "help" or re.search(rf'"(--)?{option}"', source)
            assert known, f"{page.name}: {name} has no --{option}"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"
    for config in re.findall(r"configs/[a-z]\w*/\w+\.py", text):
        assert (ROOT / config).exists(), f"{page.name} names {config}"


def test_the_site_includes_what_stands_in_these_pages():
    for page in ROOT.glob("docs/*.md"):
        for block in re.findall(r"^```{include} (.+?)^```$", page.read_text("utf-8"), re.M | re.S):
            name, *options = block.splitlines()
            text = (page.parent / name).read_text(encoding="utf-8")
            for marker in re.findall(r': "(.+)"$', "\n".join(options), re.M):
                assert marker in text, f"{page.name} needs {marker!r} in {name}"


def test_a_number_of_the_methods_is_one_of_the_experiments():
    known = [ROOT / "docs" / "experiments.md", *ROOT.glob("configs/demo/*.py")]
    measured = " ".join(file.read_text(encoding="utf-8") for file in known)
    methods = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    numbers = re.findall(r"[+-]?[\d.]+\s±\s\d\.\d", methods)
    assert len(numbers) > 20
    missing = [number for number in numbers if " ".join(number.split()) not in measured]
    assert not missing, f"docs/experiments.md has none of {missing}"


def test_the_readme_is_short():
    assert README.stat().st_size <= 8 * 1024


def test_the_readmes_config_builds_what_it_says(tmp_path):
    (code,) = re.findall(r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.M | re.S)
    (tmp_path / "own.py").write_text(code, encoding="utf-8")
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(Config.fromfile(tmp_path / "own.py").model)
    assert isinstance(model.backbone.layer4[2].bn3, NBN)
    assert isinstance(model.roi_head.bbox_head.fc_cls, RectifiedLinear)


def test_the_page_of_the_tools_says_what_their_help_says():
    tools = sorted(path for path in (ROOT / "tools").iterdir() if path.suffix in (".py", ".sh"))
    rows = [f"| [{tool.name}]({tool.name}) | {summary(tool)} |" for tool in tools]
    page = (ROOT / "tools" / "README.md").read_text(encoding="utf-8")
    missing = [row for row in rows if row not in page.splitlines()]
    assert not missing, "tools/README.md needs these rows:\n" + "\n".join(missing)
    assert len(re.findall(r"^\| \[", page, re.MULTILINE)) == len(tools)
