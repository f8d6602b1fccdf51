"""Write README's table of settings from .env.example, so that there is one place to describe a setting.

python docs/settings.py            write it
python docs/settings.py --check    fail if it would change
"""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["main", "table"]

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- settings: written by docs/settings.py from .env.example -->\n"
END = "<!-- end of settings -->\n"


def table(example: str) -> str:
    """The settings of an .env file as Markdown: each is described by the comment above it."""
    rows = ["| Setting | Default | What it is |", "|---|---|---|"]
    comment: list[str] = []
    for line in example.splitlines():
        if line.startswith("# ---"):
            rows.append(f"| **{line.strip('# -').strip()}** | | |")
        elif line.startswith("# "):
            comment.append(line[2:])
        elif "=" in line:
            name, default = line.split("=", 1)
            cells = f"`{name}`", f"`{default}`" if default else "", " ".join(comment) or "As above."
            # Markdown takes it for the end of a cell, in code too.
            rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
            comment = []
        else:
            comment = []
    return "\n".join(rows) + "\n"


def main(arguments: list[str]) -> int:
    """The command line."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    wanted = before + BEGIN + table((ROOT / ".env.example").read_text(encoding="utf-8")) + END + after
    if "--check" in arguments:
        return 0 if wanted == text else 1
    readme.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
