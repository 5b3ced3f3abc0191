"""All files of tests and their processes are in pytest's folder, which pytest removes."""

import os
import tempfile
from pathlib import Path


def test_temporary_files_of_this_process_and_of_others_are_in_pytests_folder(tmp_path_factory):
    assert tempfile.gettempdir() == os.environ["TMPDIR"]
    assert Path(os.environ["TMPDIR"]).parent == tmp_path_factory.getbasetemp()
