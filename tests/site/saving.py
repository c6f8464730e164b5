"""What tests of downloads share: open a menu, press, and read what comes."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SVG = "{http://www.w3.org/2000/svg}"


def offered(page: Any, what: str) -> Any:
    """The open menu of what is called so."""
    page.click(f'details.save:not([open]) > summary[aria-label="Save: {what}"]')
    page.wait_for_selector("details.save[open] li")
    return page.locator("details.save[open]")


def downloaded(page: Any, what: str, kind: str) -> tuple[str, bytes]:
    """The name and the bytes of the file that the menu of `what` gives as `kind`."""
    menu = offered(page, what)
    with page.expect_download() as coming:
        menu.locator("button", has_text=kind).click()
    download = coming.value
    data = Path(download.path()).read_bytes()
    page.keyboard.press("Escape")
    return download.suggested_filename, data


def table(page: Any, what: str) -> list[list[str]]:
    data = downloaded(page, what, "CSV")[1]
    assert data.endswith(b"\r\n")
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


def records(page: Any, what: str) -> list[dict[str, str]]:
    heads, *rows = table(page, what)
    return [dict(zip(heads, row, strict=True)) for row in rows]


def drawing(page: Any, what: str) -> ET.Element:
    return ET.fromstring(downloaded(page, what, "SVG")[1])


def pixels(page: Any, what: str) -> np.ndarray:
    data = downloaded(page, what, "PNG")[1]
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
