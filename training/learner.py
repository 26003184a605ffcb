"""The model during training: its loss, its optimizer, and one step on one batch."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from manifests.storage import Location
from training import checkpoint
from training.choices import Precision, Variant
from training.loading.batches import Batch
from training.loading.colours import recoloured
from training.log import Step
from training.matte.metrics import Errors
from training.net.losses import Losses, MattingLoss
from training.net.model import MattingModel
from training.processes import Processes
from training.settings import TrainSettings


class _Forward(nn.Module):
    """A batch -> its losses. One module holds all parameters, so that processes share gradients."""

    def __init__(self, model: MattingModel, criterion: MattingLoss, bf16: bool) -> None:
        super().__init__()
        self.model, self.criterion, self.bf16 = model, criterion, bf16

    def forward(
        self, image: Tensor, given: Tensor, alpha: Tensor, trimap: Tensor, contrast: Tensor | None
    ) -> Losses:
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.bf16):
            prediction = self.model(image, given)
        losses: Losses = self.criterion(prediction, given, alpha, trimap, contrast)
        return losses


class Learner:
    """All state of a run. On a CPU the same settings and batches give the same bits."""

    def __init__(
        self, settings: TrainSettings, processes: Processes, seen: int | None = None
    ) -> None:
        """seen: height and width of the samples, which the model then knows."""
        self._settings, self._device, self._processes = settings, processes.device, processes
        torch.backends.cudnn.benchmark = True  # all crops have the same size
        torch.manual_seed(settings.seed)  # the initial weights are all that it draws
        model = MattingModel(trimap_decoder=settings.variant is not Variant.BASE)
        model.seen = seen
        self.model = model.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        criterion = MattingLoss(settings.area, settings.variant is Variant.AN_TW)
        self._criterion = criterion.to(self._device)
        parameters = [*self.model.parameters(), *criterion.parameters()]
        self._optimizer = torch.optim.Adam(parameters, fused=True)
        forward = _Forward(self.model, criterion, settings.precision is Precision.BF16)
        self._forward = forward if processes.world == 1 else DistributedDataParallel(forward)
        # What is validated and saved as the model: with --ema, the running mean of its weights
        self.averaged = copy.deepcopy(self.model) if settings.ema else self.model
        self.best = math.inf  # lowest validation error (SAD of the whole image) so far
        self.saved = 0  # iterations that were done at the last checkpoint
        self.owes_validation = False  # whether that was saved before a validation
        self.is_whole = True  # False after a step that failed halfway

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take these weights instead of random ones; those that are not among them stay random."""
        for model in (self.model, self.averaged):
            model.load_state_dict(weights, strict=False)

    def restore(self, run: Location) -> int:
        """Load the last checkpoint of a run; returns how many iterations it had done (0: none).

        The first process reads it, the others have it from there.

        Raises ValueError if it was trained by another number of processes.
        """
        share, is_first = self._processes.share, self._processes.first
        saved = checkpoint.checkpoints(run)[-1:] if is_first else []
        called = share(str(saved[0]).encode() if saved else b"").decode()
        if not called:
            return 0
        read = checkpoint.read(saved[0]) if is_first else {}
        files = {name: share(read.get(name, b"")) for name in checkpoint.FILES}
        state = checkpoint.load(files, called, self.averaged, self._optimizer, self._beside())
        if state["world"] != self._processes.world:
            raise ValueError(
                f"{run}: was trained by {state['world']} processes, these are "
                f"{self._processes.world}; resume with the same number, since the batches depend "
                "on it"
            )
        self.best = math.inf if state["best"] is None else state["best"]
        self.saved = int(state["iteration"])
        self.owes_validation = bool(state.get("owes_validation"))
        return self.saved

    def is_best(self, errors: Errors | None) -> bool:
        """Whether a validation was better than all before; if so, that is remembered."""
        if errors is None or errors.sad_whole >= self.best:
            return False
        self.best = errors.sad_whole
        return True

    def save(
        self, run: Location, done: int, is_best: bool = False, owes_validation: bool = False
    ) -> None:
        """Write a checkpoint after `done` iterations; it takes the place of one that is there.

        owes_validation: whether a run that goes on from here has to begin with a validation.

        Raises FloatingPointError, and writes nothing, if a weight is not finite: the loss of
        another process may have been infinite, or the gradient of a finite loss.
        """
        beside = self._beside()
        weights = [*self.averaged.state_dict().values(), *beside.values()]
        if not all(bool(values.isfinite().all()) for values in weights):
            raise FloatingPointError(
                f"iteration {done - 1}: a weight is not finite; the last checkpoint is good"
            )
        best = None if math.isinf(self.best) else self.best  # JSON has no infinity
        state = {"iteration": done, "best": best, "world": self._processes.world}
        if owes_validation:
            state["owes_validation"] = True
        variant = self._settings.variant
        checkpoint.save(run, self.averaged, variant, self._optimizer, beside, state, is_best)
        checkpoint.prune(run, self._settings.keep)
        self.saved, self.owes_validation = done, owes_validation

    def _beside(self) -> dict[str, Tensor]:
        beside: dict[str, Tensor] = {"log_sigmas": self._criterion.log_sigmas}
        if self.averaged is not self.model:
            beside |= {f"trained.{n}": value for n, value in self.model.state_dict().items()}
        return beside

    def step(self, iteration: int, batch: Batch) -> Step:
        """One step of Adam. If it fails, all is as before it, or `is_whole` becomes False."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._settings.learning_rate(iteration)
        self.model.train()
        with _buffers_kept(self.model):
            losses: Losses = self._forward(*on_device(batch, self._device))
            self._optimizer.zero_grad()
            losses.total.backward()  # type: ignore[no-untyped-call]
            if iteration < self._settings.weights_from * self._settings.iterations:
                self._criterion.log_sigmas.grad = None
            gradients = [p.grad for p in self._forward.parameters() if p.grad is not None]
            norm = torch.nn.utils.get_total_norm(gradients)
        self.is_whole = False
        self._optimizer.step()
        if self.averaged is not self.model:
            average(self.averaged, self.model, self._settings.averaging(iteration))
        self.is_whole = True
        return Step(iteration, batch.keys, losses.detached(), self._criterion.sigmas(), norm)


@torch.no_grad()
def average(mean: nn.Module, model: nn.Module, share: float) -> None:
    """Move the weights and statistics of `mean` by a share of their way to those of `model`.

    Both are modules of the same layout. Counts, which have no mean, are copied.
    """
    of_mean, of_model = mean.state_dict(), model.state_dict()
    for old, new in zip(of_mean.values(), of_model.values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, share)
        else:
            old.copy_(new)


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    """If the body fails, the model's means and variances, which each batch moves, are put back."""
    buffers = list(model.buffers())
    before = [values.clone() for values in buffers]
    try:
        yield
    except Exception:
        for values, old in zip(buffers, before, strict=True):
            values.copy_(old)
        raise


def on_device(
    batch: Batch, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """A batch as the loss takes it, on the device and with its new colours.

    Returns image (N x 3 x S x S in 0..1, clipped as a camera clips), given trimap (N x 1 x S x S,
    codes as floats), alpha (in 0..1), exact trimap (codes) and |F - B| (N x 3 x S x S in 0..1, None
    without layers).
    """

    def moved(pixels: Tensor) -> Tensor:
        return pixels.to(device, non_blocking=True)

    colours = moved(batch.colours)
    contrast = None
    if batch.foreground is not None and batch.background is not None:
        difference = moved(batch.foreground).float() - moved(batch.background).float()
        linear = torch.cat([colours[..., :3], torch.zeros_like(colours[..., 3:])], dim=2)
        contrast = recoloured(difference.div_(255), linear).abs_().clamp_(max=1)
    image = recoloured(moved(batch.image).float().div_(255), colours).clamp_(0, 1)
    given, trimap = moved(batch.given_trimap).float(), moved(batch.trimap)
    return image, given, moved(batch.alpha).float().div_(255), trimap, contrast
