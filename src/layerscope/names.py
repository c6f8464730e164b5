"""Names as they come from users are data; each gets a short name that is safe as a file, a folder and an address."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_SAFE = re.compile(r"[a-z0-9]([a-z0-9._-]{0,46}[a-z0-9])?")
_HASHED = re.compile(r".*-[0-9a-f]{10}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # devices on Windows, with any ending


def slug(name: str) -> str:
    """Return a file name for `name`: lower-case ASCII letters, digits, ".", "_" and "-", at most 48 characters.

    A short plain name stays as it is; every other one ends in ten hex digits of its hash, so that two names never share
    a slug, not even on a disk that ignores case.
    """
    if _SAFE.fullmatch(name) and ".." not in name and not _HASHED.fullmatch(name) and not _RESERVED.fullmatch(name):
        return name
    plain = unicodedata.normalize("NFKD", name[:200]).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:37].strip("-")
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{words or 'x'}-{digest}"
