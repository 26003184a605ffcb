"""Curves as arrays of points (x, y): splines, ellipses, and paths with a width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.floating[Any]]


def smooth_closed(points: Sequence[tuple[float, float]] | Points, per_side: int = 12) -> Points:
    """A closed Catmull-Rom curve through control points, as a polygon (N x 2)."""
    p = np.asarray(points, np.float64)
    return _spline(np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0), per_side)


def smooth_open(points: Sequence[tuple[float, float]] | Points, per_side: int = 12) -> Points:
    """An open Catmull-Rom curve through control points (N x 2)."""
    p = np.asarray(points, np.float64)
    padded = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    curve = _spline(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], per_side)
    return np.concatenate([curve, p[-1:]])


def _spline(a: Points, b: Points, c: Points, d: Points, per_side: int) -> Points:
    t = np.linspace(0, 1, per_side, endpoint=False)[None, :, None]
    a, b, c, d = (v[:, None, :] for v in (a, b, c, d))
    curve = (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    ) / 2
    return np.asarray(curve.reshape(-1, 2), np.float64)


def ellipse(
    x: float, y: float, radius_x: float, radius_y: float, turn: float = 0.0, count: int = 96
) -> Points:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    px, py = radius_x * np.cos(angle), radius_y * np.sin(angle)
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([x + c * px - s * py, y + s * px + c * py], axis=1)


def ribbon(path: Points, widths: Points | float, rounded_ends: bool = True) -> Points:
    """The outline of a path (N x 2) with a width per point: limbs, stems, stripes."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    half = np.broadcast_to(np.asarray(widths, np.float64) / 2, (len(path),))[:, None]
    left, right = path + normal * half, path - normal * half
    if not rounded_ends:
        return np.concatenate([left, right[::-1]])
    arc = np.linspace(0, np.pi, 10)[1:-1, None]
    tip = path[-1] + half[-1] * (np.cos(arc) * normal[-1] + np.sin(arc) * tangent[-1])
    butt = path[0] + half[0] * (-np.cos(arc) * normal[0] - np.sin(arc) * tangent[0])
    return np.concatenate([left, tip, right[::-1], butt])
