"""Which packages are there, in which versions, and what those that are missing would give."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import shutil
from collections.abc import Iterator

from packaging.requirements import Requirement

from layerscope.cli.doctor.finding import Finding
from layerscope.engine import FORMS

_EXTRAS = {
    "timm": ("timm", "networks as timm:NAME"),
    "lrp": ("zennit", "a second opinion on LRP in the benchmarks"),
    "dask": ("distributed", "work on the machines of a Dask cluster"),
    "ray": ("ray", "work on the machines of a Ray cluster"),
}
"""The package of each extra, and what it gives."""
_FITTING = "install builds of torch and torchvision that fit each other"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "firefox", "safari")


def python() -> Iterator[Finding]:
    """The interpreter and Layerscope itself."""
    version, needed = platform.python_version(), importlib.metadata.metadata("layerscope")["Requires-Python"]
    good = not needed or Requirement(f"python{needed}").specifier.contains(version, prereleases=True)
    words = f"{version}, {platform.system()} {platform.machine()}"
    yield Finding("python", "good" if good else "broken", words, "" if good else f"install Python {needed}")
    yield Finding("layerscope", "good", importlib.metadata.version("layerscope"))


def needed() -> Iterator[Finding]:
    """The packages that Layerscope cannot do without, as its own metadata lists them."""
    versions, wrong = dict[str, str](), list[Finding]()
    for requirement in _requirements(extra=None):
        found = _version(requirement.name)
        if found is None:
            wrong.append(Finding(requirement.name, "broken", "not installed", f"pip install '{requirement}'"))
        elif not requirement.specifier.contains(found, prereleases=True):
            words = f"{found}, which is too old"
            wrong.append(Finding(requirement.name, "broken", words, f"pip install '{requirement}'"))
        else:
            versions[requirement.name] = found
    words = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield Finding("packages", "good", words, facts={"versions": versions})
    yield from wrong


def imported() -> Iterator[Finding]:
    """Whether the two packages that are most often broken together can be imported."""
    for name in ("torch", "torchvision"):
        try:
            importlib.import_module(name)
        except Exception as error:  # a build that does not fit fails in many ways
            said = " ".join(str(error).split())[:200]
            yield Finding(f"import {name}", "broken", said, _FITTING)


def extras() -> Iterator[Finding]:
    """What can be added."""
    for extra, (package, gives) in _EXTRAS.items():
        version, used = _version(package), extra in ("timm", "lrp") or any(form.startswith(extra) for form in FORMS)
        what = gives if used else f"{gives}, but this version does not use it"
        facts = {"package": package, "version": version, "used": used}
        if version is not None:
            yield Finding(extra, "good", f"{package} {version}, for {what}", facts=facts)
        else:
            advice = f"pip install 'layerscope[{extra}]'" if used else ""
            yield Finding(extra, "absent", f"{package} is not installed; it is for {what}", advice, facts)


def browsers() -> Iterator[Finding]:
    """What can open pages, and what tests them."""
    there = {name: path for name in _BROWSERS if (path := shutil.which(name))}
    if there:
        yield Finding("browser", "good", ", ".join(there), facts={"paths": there})
    else:
        yield Finding("browser", "absent", "none on this machine's path", "pages open anywhere: copy the whole folder")
    version = _version("playwright")
    words = (
        f"{version}, which runs the tests of the pages" if version else "not installed; it runs the tests of the pages"
    )
    advice = "" if version else "pip install 'layerscope[test]'"
    yield Finding("playwright", "good" if version else "absent", words, advice, {"version": version})


def _requirements(extra: str | None) -> list[Requirement]:
    listed = [Requirement(text) for text in importlib.metadata.requires("layerscope") or ()]
    return [one for one in listed if one.marker is None or one.marker.evaluate({"extra": extra or ""})]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
