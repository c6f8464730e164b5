"""The page of the command line, made from the commands themselves."""

from __future__ import annotations

import inspect
from typing import Any

import typer.main

from layerscope.cli.commands import app


def page() -> str:
    """All commands with their arguments and options."""
    group: Any = typer.main.get_command(app)
    parts = [
        "# Command line",
        "Exit codes: 0 done; 2 the input is at fault, in one line that says what to do; 130 interrupted, and the same "
        "command goes on from there; 1 a defect of Layerscope. Progress goes to standard error, results to standard "
        "output.",
    ]
    for name, command in group.commands.items():
        if not command.hidden:
            parts += [f"## layerscope {name}", *_command(name, command)]
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: Any) -> list[str]:
    arguments = [_argument(one) for one in command.params if one.param_type_name == "argument"]
    usage = " ".join(["layerscope", name, "[OPTIONS]", *arguments])
    parts = [f"```text\n{usage}\n```"]
    for words in (command.help, command.epilog):
        if words:
            parts += _paragraphs(words)
    rows = [_row(one) for one in command.params if not getattr(one, "hidden", False)]
    if rows:
        parts.append("\n".join(["| | | default |", "|---|---|---|", *rows]))
    return parts


def _paragraphs(words: str) -> list[str]:
    """Help text as Markdown: what holds a command, or is kept as it stands (after \\b), is code."""
    found = []
    for paragraph in inspect.cleandoc(words).replace("\f", "").split("\n\n"):
        kept = paragraph.startswith("\b")
        paragraph = paragraph.removeprefix("\b").strip("\n")
        code = kept or any(line.lstrip(" $").startswith("layerscope ") for line in paragraph.splitlines())
        found.append(f"```text\n{inspect.cleandoc(paragraph)}\n```" if code else _escaped(" ".join(paragraph.split())))
    return found


def _argument(one: Any) -> str:
    said = f"{one.metavar or one.name.upper()}{'...' if one.nargs == -1 else ''}"
    return said if one.required else f"[{said}]"


def _row(one: Any) -> str:
    option = one.param_type_name == "option"
    name = ", ".join([*one.opts, *one.secondary_opts]) if option else _argument(one)
    default = "" if callable(one.default) or one.default in (None, False, [], ()) else f"`{one.default}`"
    return f"| `{name}` | {_escaped(one.help or '')} | {default} |"


def _escaped(words: str) -> str:
    for sign in "\\|*_<":
        words = words.replace(sign, f"\\{sign}")
    return words
