"""The command line. Heavy imports stay inside the commands, so that `layerscope --help` is quick.

Exit codes: 0 done; 2 the input is at fault (one line on standard error); 130 interrupted; 1 a defect of ours.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Any

import typer

from layerscope.cli import bash_words, output
from layerscope.cli.commands import app
from layerscope.engine.heap import keep_freed_memory
from layerscope.errors import LayerscopeError, UnknownNameError

# Typer exports only the most special of its usage errors; their common base says all of them in one line.
_Usage = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    output.begin()
    keep_freed_memory()
    try:
        with bash_words.answered():
            given = arguments or sys.argv[1:] or ["--help"]
            code = int(app(args=given, prog_name="layerscope", standalone_mode=False) or 0)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except typer.Exit as leaving:
        code = leaving.exit_code
    except LayerscopeError as wrong:
        return _say(f"error: {wrong}", 2)
    except BrokenPipeError:
        return _unread()
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):  # Typer turns it into this
            return _unread()
        raise
    except Exception as other:
        return _failed(other)
    if code == _INTERRUPTED:
        return _say("interrupted; what was made is kept, and the same command goes on from there", code)
    return code


def _failed(error: Exception) -> int:
    """Say what no class of Layerscope's own errors is for: a wrong command line, a full disk, or a defect."""
    if isinstance(error, _Usage):
        return _say(f"error: {_misused(error)}", 2)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        _unread()  # results in files say so for themselves, by StorageError
        return _say("error: cannot write the result: the disk or its quota is full; send it elsewhere", 2)
    traceback.print_exc()
    return _say("error: a defect of Layerscope; please report the lines above", 1)


def _misused(error: Any) -> str:
    """What Typer says of a command line, with the nearest name and the help that says more."""
    context = getattr(error, "ctx", None)
    help_ = f"see {context.command_path if context else 'layerscope'} --help"
    if context is not None and (given := getattr(error, "option_name", None)) and hasattr(error, "possibilities"):
        known = [name for option in context.command.params for name in option.opts if name.startswith("-")]
        return str(UnknownNameError.among("option", given, known, help_))
    return f"{error.format_message().rstrip('.')}; {help_}"


def _unread() -> int:
    """Nobody reads standard output any more; that is no error, nor is what Python still has to write there."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _say(line: str, code: int) -> int:
    print(" ".join(line.split()), file=sys.stderr)
    return code
