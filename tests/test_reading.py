"""Text and JSON of other programs: what is read, and what a refusal names."""

import json

import pytest

from mmdet_ltnorm.reading import (
    CONFIGS,
    read_config,
    read_json,
    read_lines,
    read_model_config,
    read_text,
)

TEXT = "käse 1\nπ 2\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_windows_text_is_read_as_any_other(tmp_path, encoding, end):
    (tmp_path / "a.txt").write_bytes(TEXT.replace("\n", end).encode(encoding))
    assert read_text(tmp_path / "a.txt") == TEXT
    assert read_lines(tmp_path / "a.txt") == ["käse 1", "π 2"]
    content = {"names": ["käse", "π"]}
    raw = json.dumps(content, ensure_ascii=False, indent=1).replace("\n", end).encode(encoding)
    (tmp_path / "a.json").write_bytes(raw)
    assert read_json(tmp_path / "a.json") == content


def test_blank_lines_at_the_end_are_left_out_and_others_kept(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\n two \n \t\n\n")
    assert read_lines(tmp_path / "a.txt") == ["one", "", " two "]
    (tmp_path / "a.txt").write_text("")
    assert read_lines(tmp_path / "a.txt") == []


@pytest.mark.parametrize("read", [read_text, read_lines, read_json])
@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ('"a\nb\nkäse"'.encode("latin1"), "a.txt, line 3: byte 0xe4 is not UTF-8.*save it as UTF"),
        ('"a\nb"'.encode("utf-16-le"), "a.txt, line 1: it has zero bytes"),
        (b"\xff\xfea\0b", "a.txt, line 1: byte 0x62 is not UTF-16"),
    ],
)
def test_what_is_no_unicode_is_refused_with_file_and_line(tmp_path, read, raw, message):
    (tmp_path / "a.txt").write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/b.txt does not exist"):
        read(tmp_path / "b.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.json, line 1, column 1 is not JSON"),
        ('{"images": [\n1, 2', r"a.json, line 2, column 5 is not JSON .*: cut short"),
        ("[" * 100_000, "a.json is not JSON that Python reads: .*recursion"),
        ("1" * 5000, "a.json is not JSON that Python reads: .*digits"),
    ],
)
def test_what_is_no_json_is_refused_with_file_and_line(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = (", "SyntaxError"),
        ("_base_ = 'nowhere.py'", "FileNotFoundError"),
        ("x = 1 / 0", "ZeroDivisionError"),
        ("lr = 0.1", "is no config of a model: it has lr"),
    ],
)
def test_what_is_no_config_is_refused_in_words(tmp_path, text, told):
    (tmp_path / "c.py").write_text(text)
    with pytest.raises(ValueError, match=rf"c\.py .*{told}"):
        read_model_config(tmp_path / "c.py")
    for path in (tmp_path, tmp_path / "nowhere.py"):
        with pytest.raises(FileNotFoundError, match="does not exist, or is no file"):
            read_model_config(path)


def test_a_base_of_this_package_is_named_by_its_path(tmp_path):
    (tmp_path / "c.py").write_text('_base_ = "mmdet_ltnorm::_base_/cls_image_folder.py"')
    with pytest.raises(ValueError, match=f"by its path, which is below {CONFIGS}") as raised:
        read_config(tmp_path / "c.py")
    assert (CONFIGS / "_base_" / "cls_image_folder.py").is_file() and raised.value.__cause__
