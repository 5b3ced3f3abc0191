"""The image files of a folder, by their names."""

import os
import warnings
from pathlib import Path
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

# What OpenCV reads and people train with; mmdet's own list.
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# What macOS, Windows, and network drives put beside images without being asked.
_SYSTEM_FILES = ("desktop.ini", "ehthumbs.db", "icon\r", "thumbs.db")
_SYSTEM_FOLDERS = ("$recycle.bin", "@eadir", "__macosx", "lost+found", "system volume information")


class ImageError(ValueError):
    """An image that cannot be used, in one line.

    A loader's worker sends its trace as the message of an error of the same class; only the last
    line, which has the reason, is kept.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition("ImageError: ")[2].rstrip())


class FolderContent(NamedTuple):
    """The sorted names in a folder, without hidden and system files."""

    images: list[str]
    other_files: list[str]
    folders: list[str]


def folder_content(folder: str | Path) -> FolderContent:
    """Return the content of a folder; links count as their targets."""
    content = FolderContent([], [], [])
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name.lower()
            if name.startswith("."):  # also macOS's "._photo.jpg", which is no image
                continue
            if entry.is_dir():
                if name not in _SYSTEM_FOLDERS:
                    content.folders.append(entry.name)
            elif name.endswith(SUFFIXES):
                content.images.append(entry.name)
            elif name not in _SYSTEM_FILES:
                content.other_files.append(entry.name)
    return FolderContent(*map(sorted, content))


def has_images(folder: str | Path) -> bool:
    """Tell whether an image is in a folder, or in a folder in it, however deep."""
    content = folder_content(folder)
    return bool(content.images) or any(has_images(Path(folder, each)) for each in content.folders)


def check_whole(file: str | Path) -> None:
    """Refuse a truncated image file; OpenCV fills missing parts of some formats with grey.

    Raises:
        OSError: there is no such file.
        ValueError: it is empty or damaged.
    """
    if not os.stat(file).st_size:
        raise ValueError(f"{file} is damaged: it is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                image.load()
    except (UnidentifiedImageError, Image.DecompressionBombError):
        pass  # OpenCV may know the format, and has a limit of its own
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{file} is damaged: {error}") from None
