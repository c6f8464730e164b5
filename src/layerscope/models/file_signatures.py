"""What a file is, told from its first bytes: the picture formats that are read, and words for those that are not."""

from __future__ import annotations

import codecs
import re

from layerscope.errors import InputError

HEAD = 1024
"""Bytes that `picture_format` wants to see."""

_READ = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "WEBP": rb"RIFF.{4}WEBP",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "BMP": rb"BM",  # so short that text may begin with it: last
}
READ_IN_WORDS = "JPEG, PNG, WebP, GIF, TIFF or BMP"

_CONVERT, _EXPORT = "save it as JPEG or PNG", "export it as PNG"
_NOT_READ = (
    (rb".{4}ftyp.{0,28}avi[fs]", "AVIF", _CONVERT),
    (rb".{4}ftyp(hei|hev|mif1|msf1)", "HEIC", _CONVERT),
    (rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI ", "a film", "give one of its frames, saved as PNG"),
    (rb"II\*\0.{4}CR|FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\0", "a raw camera file", _CONVERT),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL", _CONVERT),
    (rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ", "JPEG 2000", _CONVERT),
    (rb"8BPS", "a Photoshop file", _CONVERT),
    (rb"\0\0[\x01\x02]\0", "an icon", _CONVERT),
    (rb"P[1-7]\s+[\d#]", "a Netpbm picture", _CONVERT),
    (rb".{128}DICM", "DICOM", _CONVERT),
    (rb"\s*%PDF", "PDF", _EXPORT),
    (rb"\s*%!PS|\xc5\xd0\xd3\xc6", "PostScript", _EXPORT),
    (rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype )?html", "a web page", "download the picture itself"),
    (rb"(\xef\xbb\xbf)?\s*<(.{0,900}?<)?svg[\s>]", "SVG", _EXPORT),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!", "a compressed archive", "unpack it and give the folder"),
    (rb"version https://git-lfs", "a Git LFS pointer to a picture", "fetch the picture with: git lfs pull"),
)


def picture_format(head: bytes) -> str:
    """The format of a file that begins with `head`, as Pillow calls it: "JPEG", "PNG", "GIF", "WEBP", "TIFF" or "BMP".

    Raises InputError, worded to stand behind "cannot read 'name' as a picture", for anything else.
    """
    for pattern, kind, advice in _NOT_READ:
        if re.match(pattern, head, re.DOTALL):
            raise InputError(f"(it seems to be {kind}, which is not read); {advice}")
    if _is_text(head):
        raise InputError(f"(it seems to be text); give a {READ_IN_WORDS} file")
    for name, pattern in _READ.items():
        if re.match(pattern, head, re.DOTALL):
            return name
    raise InputError(f"(its first bytes are those of no known picture format); give a {READ_IN_WORDS} file")


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # a letter may be cut in two at the end
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter.isspace() for letter in text)
