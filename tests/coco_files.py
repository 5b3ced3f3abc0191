"""Small annotation files in COCO's format, valid and faulty ones."""

import json
from pathlib import Path

NAMES = ("car", "bicycle", "bus")


def coco(images: int = 4, names: tuple[str, ...] = NAMES, size: tuple[int, int] = (64, 64)) -> dict:
    """Return a file's content: an object of each category in every image, outlined by polygons."""
    height, width = size
    categories = [{"id": i, "name": name} for i, name in enumerate(names, 1)]
    pictures = [
        {"id": i, "file_name": f"{i}.png", "width": width, "height": height}
        for i in range(1, images + 1)
    ]
    notes = []
    for picture in pictures:
        for category in categories:
            x = 2 + 20 * (category["id"] - 1)
            note = {"id": len(notes) + 1, "image_id": picture["id"], "iscrowd": 0, "area": 256}
            corners = [x, 4, x + 16, 4, x + 16, 20, x, 20]
            note |= {"category_id": category["id"], "bbox": [x, 4, 16, 16]}
            notes.append(note | {"segmentation": [corners]})
    return {"images": pictures, "annotations": notes, "categories": categories}


def lvis(**options) -> dict:
    """Return the same content with the fields of LVIS's format."""
    content = coco(**options)
    for image in content["images"]:
        image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    for category in content["categories"]:
        category["frequency"] = "f"
    return content


def write(file: Path, content: dict) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return str(file)
