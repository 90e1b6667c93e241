r"""Places labels beside dots so that they overlap nothing and each label is nearest to its own dot.

Each label has a list of possible places right and left of its dot, at its height or above and below it. The cost of a
place is the sum of penalties: labels that overlap, dots under the label, a place that leaves the axes, another dot that
is nearer than its own one, lines and bars under the label, and the distance from the dot. The labels start at their
first places and in turn take the place of the smallest cost, until none changes.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["Place", "label_places"]

Place = tuple[float, float, str]
"""The offset (x, y) of a label from its dot, and its horizontal alignment, `left` or `right`."""

GAP = 5.0  # from the centre of a dot to its label, in points
RADIUS = 3.5  # of a dot, in points
STEPS = (0.0, 6.0, -6.0, 9.0, -9.0, 13.0, -13.0, 18.0, -18.0, 24.0, -24.0)
ROUNDS = 6
_OVERLAP, _OUTSIDE, _NEARER, _DOT, _LINE, _BAR = 100.0, 400.0, 60.0, 40.0, 5.0, 2.0

Box = tuple[float, float, float, float]


def label_places(
    dots: np.ndarray,
    bars: np.ndarray,
    lines: Sequence[float],
    widths: Sequence[float],
    size: tuple[float, float],
    height: float = 8.0,
) -> list[Place]:
    """Returns the place of the label of each dot.

    Arguments:
        dots: The positions (x, y) of N dots in points, from the lower left corner of the axes, with shape (N, 2).
        bars: The lower and the upper end of the bar of each dot, with shape (N, 2).
        lines: The heights of the horizontal lines in points.
        widths: The width of each label in points.
        size: The width and the height of the axes in points.
        height: The height of a label in points.
    """
    places: list[Place] = [(GAP, 0.0, "left") for _ in dots]
    choices: list[Place] = [place for step in STEPS for place in ((GAP, step, "left"), (-GAP, step, "right"))]
    for _ in range(ROUNDS):
        before = list(places)
        for k in range(len(dots)):
            boxes = [_box(dots[i], places[i], widths[i], height) for i in range(len(dots))]
            costs = [
                _cost(k, _box(dots[k], place, widths[k], height), boxes, dots, bars, size)
                + _through(_box(dots[k], place, widths[k], height), lines)
                + _distance(place)
                for place in choices
            ]
            places[k] = choices[int(np.argmin(costs))]
        if places == before:
            break
    return places


def _box(dot: np.ndarray, place: Place, width: float, height: float) -> Box:
    """Returns the left, right, lower and upper end of a label."""
    x, y = dot[0] + place[0], dot[1] + place[1]
    left = x if place[2] == "left" else x - width
    return left, left + width, y - height / 2, y + height / 2


def _distance(place: Place) -> float:
    """Returns the penalty of the distance of a label; the right side is preferred to the left one."""
    return 0.2 * abs(place[1]) + (0.5 if place[2] == "right" else 0.0)


def _through(box: Box, lines: Sequence[float]) -> float:
    """Returns the penalty of horizontal lines under a label."""
    return _LINE * sum(box[2] < y < box[3] for y in lines)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _away(box: Box, dot: np.ndarray) -> float:
    """Returns the distance of a dot from a label."""
    x = max(box[0] - dot[0], dot[0] - box[1], 0.0)
    y = max(box[2] - dot[1], dot[1] - box[3], 0.0)
    return float(np.hypot(x, y))


def _cost(
    k: int, box: Box, boxes: Sequence[Box], dots: np.ndarray, bars: np.ndarray, size: tuple[float, float]
) -> float:
    cost, own = 0.0, _away(box, dots[k])
    if box[0] < 0 or box[1] > size[0] or box[2] < 0 or box[3] > size[1]:
        cost += _OUTSIDE
    # The distances from the middle of the near edge tell which of two dots of equal x a label belongs to.
    edge = np.array([box[0] if dots[k][0] < box[0] else box[1], (box[2] + box[3]) / 2])
    reach = np.hypot(*(edge - dots[k]))
    for i, dot in enumerate(dots):
        if i == k:
            continue
        away = _away(box, dot)
        cost += _OVERLAP * _overlap(box, boxes[i]) + _DOT * (away < RADIUS)
        cost += _NEARER * (away < own - 1e-9 or np.hypot(*(edge - dot)) < reach - 1e-9)
        bar = (dot[0] - 1.5, dot[0] + 1.5, bars[i][0], bars[i][1])
        cost += _BAR * _overlap(box, bar)
    return cost
