"""Draws the causal graph as an SVG picture, for the page and the explorer.

Causes stand left of their effects, the image on the right. Each variable has an arrow from its exogenous noise. The
class `into-<variable>` marks the arrows that an intervention on a variable removes, and `node-<variable>` its name.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from markupsafe import Markup, escape

from ..data.variable import Variable

__all__ = ["Graph", "causal_graph"]

WIDTH, HEIGHT, GAP = 120, 34, 62
IMAGE = "image"


class Graph(Protocol):
    """A data set, or its declaration: variables and causal edges."""

    @property
    def variables(self) -> Sequence[Variable]:
        """The variables."""

    @property
    def edges(self) -> Sequence[tuple[str, str]]:
        """The causal edges (cause, effect)."""


def causal_graph(dataset: Graph, acted: Collection[str] = (), name: str = "graph") -> Markup:
    """Returns the graph as an SVG element.

    Arguments:
        dataset: The data set, or its declaration.
        acted: The variables that an intervention sets; the arrows into them are drawn as cut.
        name: A name for the markers of this picture, which must differ between pictures of one page.
    """
    names = [variable.name for variable in dataset.variables]
    columns = _columns(names, dataset.edges)
    places: dict[str, tuple[float, float]] = {}
    height = len(names) * GAP + 20
    # Each variable has a row of its own, so that few arrows to the image pass through another node.
    rows = {name: row for row, name in enumerate(names)}
    for k, column in enumerate(columns):
        for node in column:
            y = height / 2 if node == IMAGE else (rows[node] + 0.5) * height / len(names)
            places[node] = (WIDTH / 2 + 8 + k * (WIDTH + 56), y + 6)
    width = WIDTH + 16 + (len(columns) - 1) * (WIDTH + 56)
    edges = [*dataset.edges, *((variable, IMAGE) for variable in names)]
    parts = [
        f'<svg class="causal" viewBox="0 0 {width} {height + 12}" role="img" '
        f'aria-label="{escape(_words(names, dataset.edges, acted))}" xmlns="http://www.w3.org/2000/svg">',
        f'<defs><marker id="{name}-tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" class="tip"/></marker></defs>',
    ]
    for cause, effect in edges:
        (x0, y0), (x1, y1) = places[cause], places[effect]
        cut = " cut" if effect in acted else ""
        parts.append(
            f'<path class="arrow into-{escape(effect)}{cut}" marker-end="url(#{name}-tip)" '
            f'd="{_curve(x0 + WIDTH / 2, y0, x1 - WIDTH / 2, y1)}"/>'
        )
    for variable in names:
        x, y = places[variable]
        cut = " cut" if variable in acted else ""
        parts.append(
            f'<path class="arrow noise into-{escape(variable)}{cut}" marker-end="url(#{name}-tip)" '
            f'd="M{x:.0f} {y - HEIGHT / 2 - 15:.0f}V{y - HEIGHT / 2:.0f}"/>'
            f'<text class="noise" x="{x + 6:.0f}" y="{y - HEIGHT / 2 - 6:.0f}">u</text>'
        )
    for node, (x, y) in places.items():
        done = " acted" if node in acted else ""
        label = f"do({node})" if node in acted else node
        parts.append(
            f'<g class="node node-{escape(node)}{done}"><rect x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}" '
            f'width="{WIDTH}" height="{HEIGHT}" rx="9"/><text x="{x:.0f}" y="{y + 4.5:.0f}" '
            f'text-anchor="middle">{escape(label)}</text></g>'
        )
    return Markup("".join([*parts, "</svg>"]))


def _columns(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Returns the nodes by their depth: roots, their effects, ..., the image alone."""
    depth = dict.fromkeys(names, 0)
    for _ in names:
        for cause, effect in edges:
            depth[effect] = max(depth[effect], depth[cause] + 1)
    last = max(depth.values(), default=0)
    columns = [[name for name in names if depth[name] == k] for k in range(last + 1)]
    return [*columns, [IMAGE]]


def _curve(x0: float, y0: float, x1: float, y1: float) -> str:
    """Returns a path that stays in the row of its start, past other nodes, until it is near its end."""
    near = max(x0 + 8, x1 - 40)
    return f"M{x0:.0f} {y0:.0f}H{near:.0f}C{near + 26:.0f} {y0:.0f} {near + 8:.0f} {y1:.0f} {x1:.0f} {y1:.0f}"


def _words(names: Sequence[str], edges: Sequence[tuple[str, str]], acted: Collection[str]) -> str:
    effects = [f"{cause} affects {effect}" for cause, effect in edges]
    every = f"{', '.join(names)} affect the image"
    cut = [f"the causes of {name} are cut" for name in acted]
    return f"Causal graph: {'; '.join([*effects, every, *cut])}."
