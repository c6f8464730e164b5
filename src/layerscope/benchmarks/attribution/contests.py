"""What is timed: each method by Layerscope, as users call it, and by other tools, at their defaults and their best."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from layerscope.attribution.methods import METHODS, attribute
from layerscope.benchmarks.attribution import peers
from layerscope.benchmarks.attribution.subject import Contest, Subject, Tool

FAST = "frozen, channels_last"


def _ours(subject: Subject, method: str, cells: int = 0, fast: bool = False, **options: Any) -> peers.Run:
    """As a user calls it, without the checks that ask the method again."""
    if "baseline" in METHODS[method].needs:
        options["baseline"] = subject.baseline
    if cells:
        options["segments"] = subject.plain.pieces(subject.image.shape[-1] // cells)[0, 0]
    model = subject.fast_model if fast else subject.model
    return lambda: attribute(model, subject.image, subject.target, method, checks=False, **options)


def ours(method: str, cells: int = 0, **options: Any) -> tuple[Tool, Tool]:
    """Layerscope, on either network. cells: of pieces along each side, for methods of pieces of the image."""
    run = partial(_ours, method=method, cells=cells, **options)
    fast = _said({**options, FAST: True})
    return Tool("layerscope", _said(options), run), Tool("layerscope", fast, partial(run, fast=True), fast=True)


def _at_defaults(tool: str, package: str, prepare: Callable[[peers.Asked], peers.Run], **more: Any) -> Tool:
    return Tool(tool, "defaults", lambda subject: prepare(subject.plain), package, **more)


def _at_best(prepare: Callable[..., Callable[[peers.Asked], peers.Run]], *batches: dict[str, int]) -> tuple[Tool, ...]:
    """Captum at its defaults, and with frozen weights in channels_last, at several sizes of batches."""

    def best(batch: dict[str, int]) -> Tool:
        settings = _said({**batch, FAST: True})
        return Tool("captum", settings, lambda subject: prepare(**batch)(subject.fast), "captum", fast=True)

    return (_captum(prepare()), *(best(batch) for batch in (batches or ({},))))


def _said(options: dict[str, Any]) -> str:
    words = (name if value is True else f"{name}={value}" for name, value in options.items())
    return ", ".join(words) or "defaults"


_captum = partial(_at_defaults, "captum", "captum")
_torch_cam = partial(_at_defaults, "torch-cam", "torchcam")
_grad_cam = partial(_at_defaults, "pytorch-grad-cam", "pytorch_grad_cam")

SAMPLES, STEPS, WINDOW, CHOICES = 10, 20, 32, 60
_FIXED = {"steps": STEPS, "most_steps": STEPS}

CONTESTS: tuple[Contest, ...] = (
    Contest("saliency", (*ours("saliency"), *_at_best(partial(peers.captum, "Saliency")))),
    Contest(
        "guided_backprop",
        (
            *ours("guided_backprop"),
            *_at_best(partial(peers.captum, "GuidedBackprop")),
            _grad_cam(peers.grad_cam_guided),
        ),
    ),
    Contest(
        "grad_cam",
        (
            *ours("grad_cam", layer="layer4"),
            Tool("layerscope", "layer chosen by itself", partial(_ours, method="grad_cam")),
            _captum(peers.captum_grad_cam),
            Tool("captum", FAST, lambda subject: peers.captum_grad_cam(subject.fast), "captum", fast=True),
            _torch_cam(peers.torch_cam("GradCAM")),
            _grad_cam(peers.grad_cam("GradCAM")),
        ),
    ),
    Contest(
        "layer_cam",
        (
            *ours("layer_cam", layer="layer4"),
            _torch_cam(peers.torch_cam("LayerCAM")),
            _grad_cam(peers.grad_cam("LayerCAM")),
        ),
    ),
    Contest(
        "smoothgrad",
        (
            *ours("smoothgrad", samples=SAMPLES),
            *_at_best(
                partial(peers.captum_noise, nt_samples=SAMPLES),
                {},
                {"nt_samples_batch_size": 5},
                {"nt_samples_batch_size": 2},
            ),
        ),
    ),
    Contest(
        "integrated_gradients",
        (
            *ours("integrated_gradients", **_FIXED),
            *_at_best(
                partial(peers.captum, "IntegratedGradients", baseline=True, n_steps=STEPS),
                {},
                {"internal_batch_size": 10},
                {"internal_batch_size": 4},
            ),
        ),
    ),
    Contest("deeplift", (*ours("deeplift"), *_at_best(partial(peers.captum, "DeepLift", baseline=True)))),
    Contest(
        "lrp",
        (
            *ours("lrp"),
            _captum(peers.captum("LRP"), note="wrong on residual networks", right=False),
            _at_defaults("zennit", "zennit", peers.zennit_lrp),
        ),
    ),
    Contest(
        "occlusion",
        (
            *ours("occlusion", window=WINDOW, stride=WINDOW),
            *_at_best(
                partial(peers.captum_occlusion, WINDOW),
                {"perturbations_per_eval": 4},
                {"perturbations_per_eval": 16},
                {"perturbations_per_eval": 49},
            ),
        ),
    ),
    Contest(
        "feature_ablation",
        (
            *ours("feature_ablation", cells=7),
            *_at_best(
                partial(peers.captum_pieces, "FeatureAblation", 32),
                {"perturbations_per_eval": 4},
                {"perturbations_per_eval": 16},
            ),
        ),
    ),
    Contest(
        "kernel_shap",
        (
            *ours("kernel_shap", cells=4, samples=CHOICES),
            *_at_best(
                partial(peers.captum_pieces, "KernelShap", 56, n_samples=CHOICES),
                {"perturbations_per_eval": 4},
                {"perturbations_per_eval": 16},
            ),
        ),
    ),
    Contest(
        "lime",
        (
            *ours("lime", cells=4, samples=CHOICES),
            *_at_best(
                partial(peers.captum_pieces, "Lime", 56, n_samples=CHOICES),
                {"perturbations_per_eval": 4},
                {"perturbations_per_eval": 16},
            ),
        ),
    ),
    Contest(
        "shapley_sampling",
        (
            *ours("shapley_sampling", cells=4, samples=4),
            *_at_best(
                partial(peers.captum_pieces, "ShapleyValueSampling", 56, n_samples=4),
                {"perturbations_per_eval": 4},
                {"perturbations_per_eval": 16},
            ),
        ),
    ),
    Contest(
        "layer_gradient_x_activation",
        (
            *ours("layer_gradient_x_activation", layer="layer4"),
            *_at_best(partial(peers.captum_layer, "LayerGradientXActivation")),
        ),
    ),
    Contest(
        "layer_integrated_gradients",
        (
            *ours("layer_integrated_gradients", layer="layer4", **_FIXED),
            *_at_best(
                partial(peers.captum_layer, "LayerIntegratedGradients", baseline=True, n_steps=STEPS),
                {},
                {"internal_batch_size": 10},
            ),
        ),
    ),
    Contest(
        "conductance",
        (
            *ours("conductance", layer="layer4", **_FIXED),
            *_at_best(
                partial(peers.captum_layer, "LayerConductance", baseline=True, n_steps=STEPS),
                {},
                {"internal_batch_size": 10},
                {"internal_batch_size": 4},
            ),
        ),
    ),
    Contest(
        "internal_influence",
        (
            *ours("internal_influence", layer="layer4", steps=STEPS),
            *_at_best(
                partial(peers.captum_layer, "InternalInfluence", baseline=True, n_steps=STEPS),
                {},
                {"internal_batch_size": 10},
            ),
        ),
    ),
    Contest(
        "ablation_cam",
        (
            *ours("ablation_cam", layer="layer4"),
            _grad_cam(
                peers.grad_cam("AblationCAM", ratio_channels_to_ablate=1 / 32), note="64 of 2048 units, ours all"
            ),
        ),
    ),
    Contest(
        "score_cam",
        (
            *ours("score_cam", layer="maxpool"),
            _torch_cam(peers.torch_cam("ScoreCAM", early=True), note="64 units"),
            _grad_cam(peers.grad_cam("ScoreCAM", early=True), note="64 units"),
        ),
    ),
)
QUICK = {"saliency", "grad_cam", "deeplift", "occlusion", "layer_integrated_gradients"}
"""The methods of a quick table."""
