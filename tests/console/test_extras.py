"""A missing module is named with the extra that installs it."""

from __future__ import annotations

from console.extras import advice, extras_of

REQUIREMENTS = [
    "numpy>=2.0",
    'torch==2.13.0; extra == "training"',
    'label-studio-sdk<3,>=2.1; extra == "annotation"',
    'PyMatting>=1.1.13; extra == "training"',
    "pymatting>=1.1.13; extra == 'annotation'",
    'pytest>=9; python_version > "3" and extra == "test"',
    'ruff>=0.17; extra == "dev"',
]


def test_extras_of_a_module() -> None:
    assert extras_of("torch", REQUIREMENTS) == ["training"]
    assert extras_of("label_studio_sdk", REQUIREMENTS) == ["annotation"]
    assert extras_of("pymatting", REQUIREMENTS) == ["annotation", "training"]
    for module in ("numpy", "pytest", "ruff", "", "torchvision", "os"):
        assert extras_of(module, REQUIREMENTS) == []


def test_advice_is_for_the_packages_of_the_extras() -> None:
    """The requirements of the distribution itself."""
    assert advice(ModuleNotFoundError("", name="torch.nn")) == (
        "this needs the package torch, which is not installed; "
        "pip install 'matting-data[training]' installs it"
    )
    assert advice(ModuleNotFoundError("", name="datagen.no_such_module")) == ""
    assert advice(ModuleNotFoundError("")) == ""
