"""Every broken rule in a shard is found by the check for that rule.

Each corruption is written as a shard of its own whose index and checksums agree with it, so that
only the check under test can notice.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from datagen.inspect.verify import Finding, promises_of, verify, verify_shard
from datagen.sample.sampling import soft_blocks
from datagen.settings import LOWEST_JPEG_QUALITY
from manifests import open_shards
from manifests.dataset import (
    CONTRACT,
    Manifest,
    read_manifest,
    read_sources,
    sources_sha256,
    write_manifest,
    write_sources,
)
from manifests.pixels import (
    ImageCodec,
    Pixels,
    decode_colour,
    encode_alpha,
    encode_colour,
    encode_trimap,
    kept_blocks,
    trimap_of,
)
from manifests.samples import (
    Colour,
    Crop,
    CrudeRecipe,
    EncodedSample,
    Piece,
    Placement,
    Recipe,
    Sample,
)
from manifests.shards import (
    Shard,
    ShardFormat,
    ShardWriter,
    data_path,
    index_path,
    read_shard_record,
)
from manifests.sources import Background, Box, Foreground, Split, Subject, Transparency
from manifests.storage import sha256_of
from tests.datagen.in_process import InProcess

Source = TypeVar("Source", Foreground, Background)

REMEDY = "repeat the datagen compose that made the set, it makes only this shard again"

NAME, SIZE = "train-00000", 16
BAD = "train-00000001"  # the second of three samples
SUBJECT = (Subject.HUMAN, Transparency.LITTLE)

_PLACED = Placement("a.png", False, 1.0, 1.0, 0.0, 8.0, 8.0)
_PLAIN = Colour(1.0, 1.0, 1.0, 0.0)
_PIECE = Piece(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_CRUDE = CrudeRecipe(4.0, 0.5, 1.0, (0.0, 0.0), 0, 0, 0, 1, 0, _PIECE, _PIECE, 0.1, 0.1)
RECIPE = Recipe(
    foreground=_PLACED,
    second=replace(_PLACED, foreground_id=""),
    foreground_colour=_PLAIN,
    background=Crop(1.0, 0, 0, False),
    background_colour=_PLAIN,
    crude=_CRUDE,
)


def picture(seed: int) -> Pixels:
    """H x W x 3 of one colour: what JPEG keeps."""
    colour = np.random.default_rng(seed).integers(0, 256, 3, np.uint8)
    return np.broadcast_to(colour, (SIZE, SIZE, 3)).copy()


def soft_alpha() -> Pixels:
    return (np.arange(SIZE * SIZE).reshape(SIZE, SIZE) * 3 - 200).clip(0, 255).astype(np.uint8)


def sample(number: int, codec: ImageCodec, alpha: Pixels | None = None) -> EncodedSample:
    """A sample that keeps every rule."""
    alpha = soft_alpha() if alpha is None else alpha
    front, behind = picture(2 * number), picture(2 * number + 1)
    weight = alpha[..., None] / 255
    image = np.rint(weight * front + (1 - weight) * behind)
    crude = trimap_of(alpha)
    crude[7, 3:9], crude[8, 3:6] = 2, 0
    is_wrong = ((crude == 2) & (alpha < 255)) | ((crude == 0) & (alpha > 0))
    streams = {
        "image": encode_colour(image.astype(np.uint8), codec),
        "alpha": encode_alpha(alpha),
        "trimap": encode_trimap(trimap_of(alpha)),
        "crude_trimap": encode_trimap(crude),
        "foreground": encode_colour(kept_blocks(front, soft_blocks(alpha)), codec),
        "background": encode_colour(kept_blocks(behind, soft_blocks(alpha)), codec),
    }
    row = Sample(
        key=f"train-{number:08d}",
        split=Split.TRAIN,
        shard=NAME,
        foreground_id="a.png",
        background_id="b.jpg",
        foreground_sha256="file of a",
        background_sha256="file of b",
        subject=SUBJECT[0],
        transparency=SUBJECT[1],
        seed=0,
        height=SIZE,
        width=SIZE,
        unknown_share=float(((alpha > 0) & (alpha < 255)).mean()),
        crude_iou=0.9,
        crude_missed_share=0.0,
        crude_false_share=0.0,
        crude_edge_p95=0.0,
        crude_wrong_known_share=float(is_wrong.mean()),
        recipe=RECIPE,
    )
    return EncodedSample(row, streams)


@dataclass(frozen=True)
class OneShard:
    """A folder with one shard, and its record in dataset.json."""

    root: Path
    form: ShardFormat = ShardFormat.WEBDATASET
    codec: ImageCodec = ImageCodec.PNG
    quality: int = 95

    def write(self, samples: Sequence[EncodedSample], alphas: Sequence[Pixels] = ()) -> Shard:
        """The shard, its index and its record; `alphas` are those that the index counts."""
        alphas = alphas or [soft_alpha()] * len(samples)
        with ShardWriter(self.root, NAME, self.form, self.codec) as writer:
            for each, alpha in zip(samples, alphas, strict=True):
                writer.add(each, np.bincount(alpha.ravel(), minlength=256))
        record = read_shard_record(self.root, NAME, Split.TRAIN)
        assert record is not None
        return record

    def findings(self, shard: Shard) -> list[Finding]:
        settings = {"format": self.form, "image_codec": self.codec, "layers": True, "size": SIZE}
        settings |= {"jpeg_quality": self.quality, "shard_size": 1000, "seed": 0}
        tables = {
            "foregrounds": sources_sha256(read_sources(self.root, Foreground)),
            "backgrounds": sources_sha256(read_sources(self.root, Background)),
        }
        write_manifest(self.root, Manifest(CONTRACT, settings, {}, (shard,), (), tables))
        return verify_shard(promises_of(open_shards(self.root)), shard)

    @property
    def data(self) -> Path:
        return data_path(self.root, NAME, self.form)


def good(codec: ImageCodec = ImageCodec.PNG) -> list[EncodedSample]:
    return [sample(number, codec) for number in range(3)]


def held_out(source: Source, id_: str) -> Source:
    file, pixels = f"file of {id_[0]}", f"pixels of {id_[0]}"
    return replace(source, id=id_, sha256=file, pixels_sha256=pixels, split=Split.VAL)


@pytest.fixture(params=ShardFormat)
def made(tmp_path: Path, request: pytest.FixtureRequest) -> OneShard:
    box, size = Box(0, 0, SIZE, SIZE), (SIZE, SIZE)
    front = Foreground(
        *("a.png", "file of a", "pixels of a"), *size, box, *SUBJECT, False, 0.5, Split.TRAIN, "{}"
    )
    behind = Background("b.jpg", "file of b", "pixels of b", *size, Split.TRAIN, "{}")
    fgs = [front, held_out(front, "v.png")]
    bgs = [behind, held_out(behind, "w.jpg")]
    write_sources(tmp_path, Foreground, fgs)
    write_sources(tmp_path, Background, bgs)
    return OneShard(tmp_path, request.param)


@pytest.mark.parametrize("codec", ImageCodec)
def test_a_clean_shard_has_no_findings(made: OneShard, codec: ImageCodec) -> None:
    made = replace(made, codec=codec)
    assert made.findings(made.write(good(codec))) == []


def changed(codec: ImageCodec = ImageCodec.PNG, /, **streams: bytes) -> list[EncodedSample]:
    """Good samples, except for these streams of the second."""
    first, bad, last = good(codec)
    return [first, replace(bad, streams={**bad.streams, **streams}), last]


def with_row(**fields: Any) -> list[EncodedSample]:
    first, bad, last = good()
    return [first, replace(bad, row=replace(bad.row, **fields)), last]


def only(reason: str) -> list[tuple[str, str, str]]:
    return [(NAME, BAD, reason)]


def found(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.shard, finding.sample, finding.reason) for finding in findings]


def of_samples(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    return [each for each in found(findings) if each[1]]


OTHER_TRIMAP = trimap_of(soft_alpha())
OTHER_TRIMAP[4, 12], OTHER_TRIMAP[0, 0] = 0, 1  # as many unknown pixels as before
OTHER_ALPHA = soft_alpha()
OTHER_ALPHA[OTHER_ALPHA == 100] = 101  # within the soft region, within a level of the blend

STREAMS = {
    "trimap": (
        changed(trimap=encode_trimap(OTHER_TRIMAP)),
        "trimap does not follow from alpha (Eq. 2)",
    ),
    "garbage": (changed(alpha=b"?"), "alpha: not an 8-bit grey PNG (1 bytes)"),
    "kind": (changed(alpha=encode_trimap(OTHER_TRIMAP)), "alpha: not an 8-bit grey PNG"),
    "crude kind": (changed(crude_trimap=encode_alpha(OTHER_ALPHA)), "crude_trimap: a trimap is a"),
    "size": (
        changed(background=encode_colour(picture(3)[1:], ImageCodec.PNG)),
        "background: (15, 16), expected (16, 16)",
    ),
    "layer": (
        changed(foreground=encode_colour(picture(3), ImageCodec.PNG)),
        "image differs from the blend of its layers by ",
    ),
    "two levels": (
        changed(background=encode_colour(picture(3) ^ np.uint8(2), ImageCodec.PNG)),
        "image differs from the blend of its layers by 2 levels",
    ),
}


def recipe_of(foreground_id: str) -> Recipe:
    return replace(RECIPE, foreground=replace(RECIPE.foreground, foreground_id=foreground_id))


ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown share": ({"unknown_share": 0.25}, "unknown_share is 0.3"),
    "crude": (
        {"crude_wrong_known_share": 0.03},
        "crude_wrong_known_share is 0.035156, its row says 0.030000",
    ),
    "shard": ({"shard": "train-00001"}, "its row says that it is in train-00001 (train)"),
    "no foreground": (
        {"foreground_id": "c.png", "recipe": recipe_of("c.png")},
        "foreground c.png is not in sources/",
    ),
    "recipe of another": ({"recipe": recipe_of("v.png")}, "its recipe is for v.png"),
    "labels": ({"subject": Subject.UNLABELLED}, "unlabelled, "),
    "no background": ({"background_id": "a.png"}, "background a.png is not in sources/"),
    "other foreground": ({"foreground_sha256": "?"}, "foreground a.png is not in sources/"),
    "other background": ({"background_sha256": "?"}, "background b.jpg is not in sources/"),
    "foreground leak": (
        {
            "foreground_id": "v.png",
            "foreground_sha256": "file of v",
            "recipe": recipe_of("v.png"),
        },
        "the splits leak: foreground v.png is a source of val",
    ),
    "background leak": (
        {"background_id": "w.jpg", "background_sha256": "file of w"},
        "the splits leak: background w.jpg is a source of val",
    ),
}
SAMPLES = {**STREAMS, **{name: (with_row(**row), reason) for name, (row, reason) in ROWS.items()}}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_broken_sample_is_named(made: OneShard, name: str) -> None:
    samples, reason = SAMPLES[name]
    ((shard, key, found_reason),) = of_samples(made.findings(made.write(samples)))
    assert (shard, key) == (NAME, BAD)
    assert found_reason.startswith(reason)


@pytest.mark.parametrize("name", ["garbage", "other background", "size"])
def test_the_index_is_not_blamed_for_a_broken_sample(made: OneShard, name: str) -> None:
    findings = made.findings(made.write(SAMPLES[name][0]))
    assert [finding.sample for finding in findings] == [BAD]


def test_another_split_is_named(made: OneShard) -> None:
    findings = of_samples(made.findings(made.write(with_row(split=Split.VAL))))
    assert findings == [
        *only(f"its row says that it is in {NAME} (val)"),
        *only("the splits leak: foreground a.png is a source of train"),
        *only("the splits leak: background b.jpg is a source of train"),
    ]


def test_a_leak_through_the_second_foreground_is_named(made: OneShard) -> None:
    merged = replace(RECIPE, second=replace(_PLACED, foreground_id="v.png"))
    ((_, key, reason),) = of_samples(made.findings(made.write(with_row(recipe=merged))))
    assert key == BAD
    assert "v.png" in reason


def test_a_missing_stream_is_named(made: OneShard) -> None:
    if made.form is ShardFormat.PARQUET:
        pytest.skip("a table has every column in every row: this cannot be written")
    first, bad, last = good()
    names = [name for name in bad.streams if name != "trimap"]
    bad = replace(bad, streams={name: bad.streams[name] for name in names})
    findings = made.findings(made.write([first, bad, last]))
    assert findings[0].sample == BAD
    assert findings[0].reason.startswith(f"streams {names}, expected ['image', 'alpha', 'trimap'")


@pytest.mark.parametrize("quality", [LOWEST_JPEG_QUALITY, 80, 95, 100])
def test_what_jpeg_does_to_noise_is_no_finding(made: OneShard, quality: int) -> None:
    noise = np.random.default_rng(quality).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    weight = soft_alpha()[..., None] / 255
    image = np.rint(weight * noise[0] + (1 - weight) * noise[1])
    pictures = {"image": image.astype(np.uint8), "foreground": noise[0], "background": noise[1]}
    made = replace(made, codec=ImageCodec.JPEG, quality=quality)
    streams = {n: encode_colour(p, ImageCodec.JPEG, quality) for n, p in pictures.items()}
    assert made.findings(made.write(changed(ImageCodec.JPEG, **streams))) == []


@pytest.mark.parametrize("codec", ImageCodec)
def test_a_replaced_layer_is_named(made: OneShard, codec: ImageCodec) -> None:
    made = replace(made, codec=codec)
    samples = changed(codec, foreground=encode_colour(picture(8), codec))
    ((shard, key, reason),) = found(made.findings(made.write(samples)))
    assert (shard, key) == (NAME, BAD)
    assert reason.startswith("image differs from the blend of its layers by ")
    assert reason.endswith("(mean)") == (codec is ImageCodec.JPEG)


def test_hard_pixels_beside_soft_ones_are_compared_too(made: OneShard) -> None:
    image = decode_colour(good()[1].streams["image"]).copy()
    row, column = np.argwhere((soft_alpha() == 0) & kept())[0]
    image[row, column] ^= 0x40
    (finding,) = made.findings(made.write(changed(image=encode_colour(image, ImageCodec.PNG))))
    assert finding.reason == "image differs from the blend of its layers by 64 levels"


@pytest.mark.parametrize("codec", ImageCodec)
def test_a_layer_that_is_not_grey_where_it_says_nothing(made: OneShard, codec: ImageCodec) -> None:
    made = replace(made, codec=codec)
    alpha = np.where(np.arange(SIZE) < 8, soft_alpha(), 0).astype(np.uint8)  # one block of two
    one = sample(0, codec, alpha)
    assert made.findings(made.write([one], [alpha])) == []
    layer = decode_colour(one.streams["background"]).copy()
    layer[0, 9:] = 90
    bad = replace(one, streams={**one.streams, "background": encode_colour(layer, codec)})
    (finding,) = made.findings(made.write([bad], [alpha]))
    assert finding.reason == "background is not grey in blocks without soft alpha"


def kept() -> NDArray[np.bool_]:
    return soft_blocks(soft_alpha()).repeat(8, 0).repeat(8, 1)[:SIZE, :SIZE]


def test_a_changed_alpha_is_noticed(made: OneShard) -> None:
    """In the soft region no stream contradicts it; only the counts in the index do."""
    shard = made.write(changed(alpha=encode_alpha(OTHER_ALPHA)))
    assert found(made.findings(shard)) == [(NAME, "", "the alpha histogram in the index is wrong")]
    opaque = np.where(soft_alpha() > 250, 255, soft_alpha()).astype(np.uint8)
    shard = made.write(changed(alpha=encode_alpha(opaque)))
    assert only("trimap does not follow from alpha (Eq. 2)")[0] in found(made.findings(shard))


def test_nothing_left_of_the_subject(made: OneShard) -> None:
    first, _, last = good()
    empty = np.zeros((SIZE, SIZE), np.uint8)
    shard = made.write(
        [first, sample(1, made.codec, empty), last], [soft_alpha(), empty, soft_alpha()]
    )
    assert found(made.findings(shard)) == only(
        "alpha is 0 everywhere, so the subject is not visible"
    )


def test_a_row_that_is_not_the_index_s(made: OneShard, tmp_path: Path) -> None:
    other = replace(made, root=tmp_path / "other")
    other.write(with_row(seed=7))
    shard = made.write(good())
    index = index_path(made.root, NAME)
    index.write_bytes(index_path(other.root, NAME).read_bytes())
    shard = replace(shard, index_sha256=sha256_of(index))
    assert of_samples(made.findings(shard)) == only("its row differs from the one in the index")


@pytest.mark.parametrize("which", ["data", "index"])
def test_a_flipped_byte_and_a_missing_file(made: OneShard, which: str) -> None:
    shard = made.write(good())
    path = made.data if which == "data" else index_path(made.root, NAME)
    reason = f"{path}: its sha256 is not the one in dataset.json; {REMEDY}"
    none = "0" * 64
    wrong = replace(shard, sha256=none) if which == "data" else replace(shard, index_sha256=none)
    assert found(made.findings(wrong)) == [(NAME, "", reason)], "by the checksum only"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert Finding(NAME, "", reason) in made.findings(shard)
    path.unlink()
    ((_, _, missing),) = found(made.findings(shard))
    assert missing == f"{path}: missing; {REMEDY}"


def test_a_missing_sample(made: OneShard) -> None:
    shard = replace(made.write(good()[:2]), samples=3)
    assert found(made.findings(shard)) == [(NAME, "", "2 samples, 2 rows, dataset.json says 3")]


def test_a_sample_that_the_data_lack(made: OneShard, tmp_path: Path) -> None:
    short = replace(made, root=tmp_path / "short")
    shard = short.write(good()[:2])
    whole = made.write(good())
    made.data.write_bytes(short.data.read_bytes())
    shard = replace(whole, sha256=shard.sha256)
    assert found(made.findings(shard)) == [(NAME, "", "2 samples, 3 rows, dataset.json says 3")]


def test_a_sample_that_the_index_lacks(made: OneShard, tmp_path: Path) -> None:
    short = replace(made, root=tmp_path / "short").write(good()[:2])
    shard = made.write(good())
    index_path(made.root, NAME).write_bytes(index_path(tmp_path / "short", NAME).read_bytes())
    shard = replace(shard, index_sha256=short.index_sha256)
    assert found(made.findings(shard)) == [
        (NAME, "", "3 samples, 2 rows, dataset.json says 3"),
        (NAME, "train-00000002", "its row differs from the one in the index"),
    ]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_a_truncated_shard(made: OneShard, share: float) -> None:
    shard = made.write(good())
    data = made.data.read_bytes()
    made.data.write_bytes(data[: int(share * len(data)) // 512 * 512 + 100 * (share > 0)])
    shard = replace(shard, sha256=sha256_of(made.data))
    findings = made.findings(shard)
    assert len(findings) == 1
    assert str(made.data) in findings[0].reason


class Recorder(InProcess):
    """Keeps what a worker would be sent for each task."""

    def run(self, function: Any, items: Iterable[Any], on_progress: Any = None) -> Iterator[Any]:
        self.sent = [len(pickle.dumps((function, item))) for item in items]
        yield from ()


def test_what_a_task_is_sent_does_not_grow_with_the_set(made: OneShard) -> None:
    """Of 20,000 shards the whole dataset.json with each task would be 73 GB."""
    shard = made.write(good())
    made.findings(shard)
    manifest, _ = read_manifest(made.root)
    many = tuple(replace(shard, name=f"train-{number:05d}") for number in range(2000))
    sent = []
    for shards in ((shard,), many):
        write_manifest(made.root, replace(manifest, shards=shards))
        recorder = Recorder()
        assert list(verify(recorder, open_shards(made.root))) == []
        sent.append(recorder.sent)
    assert len(sent[1]) == 2000
    assert set(sent[1]) == set(sent[0])
    assert max(sent[1]) < 2000


def test_the_workers_read_the_sources_themselves(made: OneShard) -> None:
    shard = made.write(good())
    made.findings(shard)
    promises = promises_of(open_shards(made.root))
    assert verify_shard(pickle.loads(pickle.dumps(promises)), shard) == []
