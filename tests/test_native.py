"""The C++ library is built where it can be, and used only if its sources have not changed."""

import shutil

import pytest

from mmdet_ltnorm.norms.backends.cpu import native


@pytest.fixture
def forgotten():
    """Load the library anew, in the test and after it."""
    native.library.cache_clear()
    yield
    native.library.cache_clear()


@pytest.mark.skipif(not shutil.which("g++"), reason="needs the compiler that builds it")
def test_it_is_built_where_there_is_a_compiler():
    assert native.library(), "pip install --no-build-isolation -e . builds it"


@pytest.mark.skipif(not native.library(), reason="needs the C++ code")
def test_a_library_from_before_an_update_is_not_used_and_warned_of(monkeypatch, forgotten):
    monkeypatch.setattr(native, "sources_crc32", lambda: 1)
    with pytest.warns(UserWarning, match="from other C.. sources.*pip install -e"):
        assert native.library() is None


@pytest.mark.skipif(not native.library(), reason="needs the C++ code")
def test_it_is_used_where_only_packages_are_installed_and_no_sources(monkeypatch, forgotten):
    monkeypatch.setattr(native, "sources_crc32", lambda: None)
    assert native.library()


def test_none_is_used_where_none_can_be_loaded(monkeypatch, forgotten, tmp_path):
    (tmp_path / f"{native.NAMES[-1]}{native.ENDINGS[0]}").write_bytes(b"no library")
    monkeypatch.setattr(native, "FOLDER", tmp_path)
    assert native.library() is None
