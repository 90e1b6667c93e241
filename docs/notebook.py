"""Converts an executed Jupyter notebook to a page for Sphinx, with its stored outputs."""

import json
from pathlib import Path

__all__ = ["write_page"]


def write_page(notebook: Path, page: Path) -> None:
    """Writes the cells of a notebook as Markdown: texts, code, and the text or picture of each output."""
    parts = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                picture = "".join(data["image/png"]).replace("\n", "")
                parts.append(f"![output](data:image/png;base64,{picture})")
            else:
                text = "".join(output.get("text", data.get("text/plain", "")))
                parts.append(f"```text\n{text.rstrip()}\n```")
    note = f"The notebook itself: {{download}}`{notebook.name}`."
    page.write_text("\n\n".join([parts[0], note, *parts[1:]]) + "\n", encoding="utf-8")
