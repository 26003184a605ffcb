"""The body of a stylised person: pose, clothes, head and face, all from closed curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datagen.synth.curves import Points, ellipse, ribbon, smooth_closed, smooth_open
from datagen.synth.paint import Array, Colour, fill, rounded

SKINS: tuple[Colour, ...] = (
    (0.96, 0.80, 0.70),
    (0.90, 0.70, 0.56),
    (0.78, 0.56, 0.42),
    (0.62, 0.42, 0.30),
    (0.45, 0.29, 0.21),
    (0.34, 0.21, 0.15),
)
HAIRS: tuple[Colour, ...] = (
    (0.10, 0.08, 0.08),
    (0.22, 0.14, 0.09),
    (0.38, 0.24, 0.13),
    (0.56, 0.38, 0.18),
    (0.80, 0.64, 0.36),
    (0.60, 0.24, 0.10),
    (0.68, 0.67, 0.66),
)
CLOTHES: tuple[Colour, ...] = (
    (0.16, 0.30, 0.48),
    (0.70, 0.22, 0.20),
    (0.90, 0.86, 0.78),
    (0.20, 0.42, 0.34),
    (0.86, 0.62, 0.22),
    (0.25, 0.24, 0.28),
    (0.52, 0.34, 0.52),
    (0.36, 0.55, 0.66),
)


@dataclass(frozen=True)
class Figure:
    """Where a person stands on the canvas and what they look like; lengths in px."""

    height: int
    width: int
    head_x: float
    head_y: float
    unit: float  # half the height of the head
    tilt: float  # of the head, radians
    yaw: float  # -1..1: the sideways direction of the face
    shoulder: float  # half width
    slope: float  # how far shoulders drop
    arms: str
    skin: Colour
    hair: Colour
    cloth: Colour
    collar: str
    from_behind: bool

    @property
    def neck_y(self) -> float:
        return self.head_y + 1.24 * self.unit

    def head(self, points: Points) -> Points:
        """Head coordinates (half heights of the head, from its centre) -> pixels."""
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        turn = np.array([[c, s], [-s, c]])
        return np.asarray(points * self.unit @ turn + (self.head_x, self.head_y))


def pick(rng: np.random.Generator, choices: tuple[Colour, ...]) -> Colour:
    red, green, blue = choices[rng.integers(len(choices))]
    light = rng.uniform(0.88, 1.08)
    return min(red * light, 1.0), min(green * light, 1.0), min(blue * light, 1.0)


def dim(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(max(c * factor, 0.0), 1.0) for c in colour)
    return red, green, blue


def draw_figure(rng: np.random.Generator, height: int, width: int, room: float = 1.0) -> Figure:
    """A random person; `room` > 1 leaves more space around them for hair and veils."""
    arms = str(rng.choice(["down", "hip", "wave", "folded", "down"]))
    share = 0.24 if arms == "down" else 0.178  # hanging arms may leave the frame at its sides
    unit = min(height * rng.uniform(0.165, 0.215), width * share) / room
    return Figure(
        height=height,
        width=width,
        head_x=width * rng.uniform(0.45, 0.55),
        head_y=height * 0.10 + unit * rng.uniform(1.45, 1.7),
        unit=unit,
        tilt=rng.uniform(-0.16, 0.16),
        yaw=rng.uniform(-0.8, 0.8),
        shoulder=unit * rng.uniform(1.75, 2.15),
        slope=unit * rng.uniform(0.35, 0.6),
        arms=arms,
        skin=pick(rng, SKINS),
        hair=pick(rng, HAIRS),
        cloth=pick(rng, CLOTHES),
        collar=str(rng.choice(["round", "shirt", "vee", "scarf"])),
        from_behind=False,
    )


# ---- the body -----------------------------------------------------------------------------------


def mirrored(half: list[tuple[float, float]]) -> Points:
    """Control points of the right side (top to bottom), and their mirror images."""
    right = np.array(half)
    return np.concatenate([right, right[::-1] * (-1, 1)])


def paint_arm(canvas: Array, f: Figure, side: int, rng: np.random.Generator) -> None:
    """One arm: sleeve, forearm and hand; side -1 is at the left of the picture."""
    u = f.unit
    top = np.array([f.head_x + side * (f.shoulder - 0.30 * u), f.neck_y + f.slope + 0.32 * u])
    out = np.array([side, 1.0])
    poses = {
        "down": [(0.16, 1.3), (0.2, 2.7)],
        "hip": [(0.95, 1.35), (-0.25, 2.3)],
        "wave": [(0.85, 0.75), (0.75, -1.15)],
        "folded": [(0.2, 1.45), (-1.55, 1.25)],
    }
    pose = f.arms if side > 0 or f.arms == "folded" else "down"
    elbow, wrist = (np.array(p) * u * out for p in poses[pose])
    wrist = wrist + rng.uniform(-0.12, 0.12, 2) * u
    bend = smooth_open(np.array([top, top + elbow * 0.55, top + elbow, top + wrist]), 14)
    widths = np.interp(np.arange(len(bend)), [0, 14, 28, len(bend) - 1], [0.78, 0.7, 0.58, 0.42])
    cut = int(len(bend) * (0.98 if pose == "folded" else 0.93))
    hand, before = bend[-1], bend[-8]
    turn = float(np.arctan2(*(hand - before)[::-1]))
    reach = np.array([np.cos(turn), np.sin(turn)])
    middle = hand + reach * 0.12 * u
    palm = ellipse(middle[0], middle[1], 0.30 * u, 0.22 * u, turn)
    fill(canvas, ribbon(bend[20:], widths[20:] * u * 0.72), rounded(f.skin, 0.2 * u))
    if pose == "wave":
        across = np.array([-reach[1], reach[0]])
        for k in range(5):
            spread = (k - 2.0) * 0.19
            point = reach * np.cos(spread * 1.6) + across * np.sin(spread * 1.6)
            root = hand + reach * 0.18 * u + across * (k - 2) * 0.075 * u
            length = (0.40, 0.46, 0.48, 0.44, 0.36)[k] * u
            finger = np.linspace(root, root + point * length, 6)
            fill(canvas, ribbon(finger, 0.115 * u), rounded(f.skin, 0.08 * u))
    fill(canvas, palm, rounded(f.skin, 0.2 * u))
    sleeve = ribbon(bend[:cut], widths[:cut] * u, rounded_ends=True)
    fill(canvas, sleeve, rounded(dim(f.cloth, 0.97), 0.33 * u, contrast=0.6))


def paint_torso(canvas: Array, f: Figure) -> None:
    u, x, y = f.unit, f.head_x, f.neck_y
    bottom = (f.height - y) / u + 1.0
    s, d = f.shoulder / u, f.slope / u
    outline = mirrored(
        [
            (0.36, -0.12),
            (0.62, 0.10),
            (s * 0.72, d * 0.62),
            (s * 0.94, d + 0.02),
            (s, d + 0.45),
            (s * 0.92, d + 1.2),
            (s * 0.82, d + 1.9),
            (s * 0.86, bottom),
        ]
    )
    neck = smooth_closed(
        mirrored([(0.37, -0.9), (0.36, -0.3), (0.40, 0.0), (0.2, 0.2)]) * u + (x, y)
    )
    fill(canvas, smooth_closed(outline * u + (x, y)), rounded(f.cloth, 0.75 * u, contrast=0.6))
    paint_collar(canvas, f)
    if not f.from_behind:
        depth = {"round": 0.34, "shirt": 0.5, "vee": 0.95, "scarf": 0.3}[f.collar]
        width = 0.56 if f.collar != "vee" else 0.52
        opening = smooth_closed(
            mirrored([(0.30, -0.3), (width, 0.06), (width * 0.62, depth * 0.7), (0.06, depth)]) * u
            + (x, y)
        )
        edge = smooth_closed(
            mirrored(
                [
                    (0.36, -0.3),
                    (width + 0.1, 0.08),
                    (width * 0.7, depth * 0.85),
                    (0.06, depth + 0.1),
                ]
            )
            * u
            + (x, y)
        )
        if f.collar != "shirt":
            fill(canvas, edge, dim(f.cloth, 0.78), inside=True)
        fill(canvas, opening, dim(f.skin, 0.97), inside=True)
    fill(canvas, neck, dim(f.skin, 0.97))
    shadow = ellipse(x + 0.05 * u, y - 0.36 * u, 0.44 * u, 0.36 * u)
    fill(canvas, shadow, dim(f.skin, 0.6), opacity=0.6, inside=True, blur=0.1 * u)
    if f.collar == "shirt" and not f.from_behind:
        paint_shirt_collar(canvas, f)
    if f.collar == "scarf":
        paint_scarf(canvas, f)


def paint_collar(canvas: Array, f: Figure) -> None:
    """Folds that run down from the shoulders: soft dark lines on the cloth."""
    u = f.unit
    for side, start, sway in ((-1, 0.9, 0.3), (1, 0.8, 0.35), (-1, 0.3, 0.15), (1, 0.4, -0.1)):
        path = smooth_open(
            [
                (f.head_x + side * start * u * 1.35, f.neck_y + 1.0 * u),
                (f.head_x + side * (start + sway) * u, f.neck_y + 2.0 * u),
                (f.head_x + side * (start + sway * 0.4) * u, f.neck_y + 3.6 * u),
            ]
        )
        crease = ribbon(path, np.linspace(0.04, 0.22, len(path)) * u)
        fill(canvas, crease, dim(f.cloth, 0.6), opacity=0.5, inside=True, blur=0.08 * u)


def paint_shirt_collar(canvas: Array, f: Figure) -> None:
    u, x, y = f.unit, f.head_x, f.neck_y
    light = dim(f.cloth, 1.18)
    for side in (-1, 1):
        flap = np.array([(0.34, -0.34), (0.74, 0.10), (0.52, 0.62), (0.05, 0.44), (0.2, 0.1)])
        fill(canvas, flap * (side * u, u) + (x, y), rounded(light, 0.2 * u, contrast=0.5))
    placket = np.array([[x, y + 0.46 * u], [x, f.height + u]])
    fill(canvas, ribbon(placket, 0.03 * u), dim(f.cloth, 0.6), inside=True)
    for k in range(6):
        dot = ellipse(x, y + (0.85 + 0.62 * k) * u, 0.055 * u, 0.055 * u)
        fill(canvas, dot, dim(f.cloth, 1.6 if sum(f.cloth) < 1.2 else 0.5), inside=True)


def paint_scarf(canvas: Array, f: Figure) -> None:
    u, x, y = f.unit, f.head_x, f.neck_y
    wool: Colour = (1 - 0.55 * f.cloth[0], 1 - 0.75 * f.cloth[1], 0.75 - 0.55 * f.cloth[2])
    tail = smooth_open(
        [(x + 0.3 * u, y + 0.1 * u), (x + 0.52 * u, y + u), (x + 0.42 * u, y + 2 * u)]
    )
    fill(canvas, ribbon(tail, 0.5 * u, rounded_ends=False), rounded(wool, 0.2 * u, contrast=0.7))
    for k, lift in enumerate((0.16, -0.16)):
        loop = smooth_open(
            [(x - 0.62 * u, y + (lift - 0.1) * u), (x, y + (lift + 0.22) * u),
             (x + 0.62 * u, y + (lift - 0.1) * u)]
        )  # fmt: skip
        fill(canvas, ribbon(loop, 0.42 * u), rounded(dim(wool, 0.92 + 0.1 * k), 0.2 * u))


# ---- the head -----------------------------------------------------------------------------------
