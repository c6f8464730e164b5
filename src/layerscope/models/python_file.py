"""A network from a function in a Python file, which is run for it."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from layerscope.errors import InputError, LayerscopeError, UnknownNameError


def run_file(spec: str) -> object:
    """What the function of "path/to/file.py:function" returns. The file is run as Python runs a script.

    Raises InputError for a file that is not there or fails, with its error as the cause, and UnknownNameError for a
    function that it does not have.
    """
    file, _, function = spec.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise InputError(f"no file {file!r}; the form is path/to/file.py:function")
    try:
        return _made_by(path, file, function)
    except LayerscopeError:
        raise
    except (Exception, SystemExit) as error:
        message = textwrap.shorten(f"{type(error).__name__}: {error}", 300, placeholder=" …").removesuffix(":")
        raise InputError(f"{spec!r} failed: {message}; mend the file") from error


def _made_by(path: Path, file: str, function: str) -> object:
    with _executed(path) as code:
        functions = {key: value for key, value in vars(code).items() if callable(value) and not key.startswith("_")}
        if function not in functions:
            raise UnknownNameError.among(f"function in {file!r}", function, functions)
        return functions[function]()


@contextmanager
def _executed(path: Path) -> Iterator[ModuleType]:
    """The namespace of a Python file that was run; imports from its own folder work meanwhile. Nothing is written."""
    code = ModuleType(f"layerscope_file_{path.stem}")
    code.__file__ = str(path)
    folder = str(path.resolve().parent)
    sys.modules[code.__name__] = code  # dataclasses look themselves up there
    sys.path.insert(0, folder)
    try:
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(code))
        yield code
    finally:
        sys.path.remove(folder)
        del sys.modules[code.__name__]
