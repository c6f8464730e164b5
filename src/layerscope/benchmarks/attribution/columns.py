"""The columns of the matrix: each method with its options, its reference, and the same of Captum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any, Literal

import torch
from torch import Tensor

from layerscope.benchmarks.attribution import captum_runs, hooked, propagated, sampled
from layerscope.benchmarks.attribution.case import Case
from layerscope.benchmarks.attribution.cells import Judge, adds_up_to, same_as

Reference = Callable[[Case], Judge | None]
"""A judge of what tools give for a case; None where there is nothing to compare with."""

EXACT = 1e-6
"""Values come as float32, whatever the network computes in: this is 16 times their rounding."""


@dataclass(frozen=True)
class Column:
    """One method and how it is judged.

    Attributes:
        table: the table that it is printed in.
        method: as `attribute` takes it, with `options`.
        reference: gives the judge.
        captum: Captum's way, on a copy of the network; None where it has none.
        captum_reference: where Captum computes by another formula; None: the same.
        tolerance: largest relative error.
        case: which form of the case: "double" (float64), "single" (of these the first image alone), "float" (float32), or
            "unbiased" (float32, without biases).
        layer: "default", "overwritten", or None for methods that need none.
        title: of the column, where the method alone does not say it.
    """

    table: str
    method: str
    reference: Reference
    captum: Callable[[Case], Tensor] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    captum_reference: Reference | None = None
    tolerance: float = EXACT
    case: Literal["double", "single", "float", "unbiased"] = "double"
    layer: Literal["default", "overwritten"] | None = None
    title: str = ""

    @property
    def name(self) -> str:
        return self.title or self.method

    def of(self, case: Case) -> Case:
        """The case in the form that this column takes."""
        form: Case = {"double": lambda: case.doubled, "single": lambda: case.single, "unbiased": lambda: case.unbiased}.get(self.case, lambda: case)()
        return form


def _equal(values: Callable[[Case], Tensor | None]) -> Reference:
    def judge(case: Case) -> Judge | None:
        reference = values(case)
        return None if reference is None else same_as(reference)

    return judge


def _complete(case: Case) -> Judge:
    return adds_up_to(case.difference)


def _conserved(case: Case) -> Judge:
    with torch.no_grad():
        return adds_up_to(case.scores(case.images))


def _linear_parts(case: Case) -> Tensor | None:
    """What LRP-0 is on networks of linear operations, ReLUs and maxima (Ancona et al. 2018, proposition 1)."""
    return sampled.input_x_gradient(case) if propagated.piecewise_linear(case) else None


def _lrp(composite: str, captum: bool = False) -> Column:
    """Does it hand on what it gets? Without biases all has to arrive."""
    return Column(
        "relevance",
        "lrp",
        _conserved,
        captum_runs.plain("LRP") if captum else None,
        {"composite": composite},
        tolerance=1e-3,
        case="unbiased",
        title=f"lrp {composite}, conserved",
    )


STEPS = 8
"""Of integrals, where not completeness is at stake but whether the sum is the one that was meant."""

SAMPLES, NOISE = 8, 0.1

_FIXED = {"steps": STEPS, "most_steps": STEPS, "tolerance": 0.0}

_GRADIENTS = (
    Column("gradients", "saliency", _equal(sampled.gradient), captum_runs.plain("Saliency", abs=False)),
    Column("gradients", "input_x_gradient", _equal(sampled.input_x_gradient), captum_runs.plain("InputXGradient")),
    Column(
        "gradients",
        "integrated_gradients",
        _equal(partial(sampled.integrated_gradients, steps=STEPS)),
        captum_runs.plain("IntegratedGradients", baseline=True, n_steps=STEPS),
        _FIXED,
    ),
    Column(
        "means of gradients",
        "smoothgrad",
        partial(sampled.smoothgrad, samples=SAMPLES, noise=NOISE),
        captum_runs.tunnel("smoothgrad", nt_samples=SAMPLES, stdevs=NOISE),
        {"samples": SAMPLES, "noise": NOISE},
        case="single",
    ),
    Column(
        "means of gradients",
        "vargrad",
        partial(sampled.vargrad, samples=SAMPLES, noise=NOISE),
        captum_runs.tunnel("vargrad", nt_samples=SAMPLES, stdevs=NOISE),
        {"samples": SAMPLES, "noise": NOISE},
        case="single",
    ),
    Column(
        "means of gradients",
        "gradient_shap",
        partial(sampled.gradient_shap, samples=SAMPLES),
        captum_runs.plain("GradientShap", baseline=True, n_samples=SAMPLES),
        {"samples": SAMPLES, "noise": 0.0},
        case="single",
    ),
)

_PROPAGATED = (
    Column(
        "backward passes",
        "guided_backprop",
        _equal(propagated.guided_backprop),
        captum_runs.plain("GuidedBackprop"),
        captum_reference=_equal(propagated.guided_backprop_of_relu),
    ),
    Column(
        "backward passes",
        "deconvolution",
        _equal(propagated.deconvolution),
        captum_runs.plain("Deconvolution"),
        captum_reference=_equal(propagated.deconvolution_of_relu),
    ),
    Column("deeplift", "deeplift", _equal(propagated.deeplift), captum_runs.plain("DeepLift", baseline=True)),
    Column(
        "deeplift",
        "deeplift",
        _complete,
        captum_runs.plain("DeepLift", baseline=True),
        tolerance=1e-10,
        title="deeplift, complete in float64",
    ),
    Column(
        "deeplift",
        "deeplift",
        _complete,
        captum_runs.plain("DeepLift", baseline=True),
        tolerance=1e-4,
        case="float",
        title="deeplift, complete in float32",
    ),
    Column(
        "relevance",
        "lrp",
        _equal(_linear_parts),
        captum_runs.plain("LRP"),
        {"composite": "epsilon", "epsilon": 0.0},
        tolerance=1e-4,  # it steadies sums that cancel to nothing
        title="lrp epsilon, input x gradient",
    ),
    _lrp("epsilon", captum=True),
    _lrp("epsilon-plus-flat"),
    _lrp("alpha2-beta1"),
    _lrp("gamma"),
)


def _cam(method: str, formula: hooked.Formula) -> Column:
    values = partial(hooked.cam, formula=formula)
    return Column("class activation maps", method, _equal(values), layer="default")


TOP = 16
"""Units of Score-CAM: each costs a forward of the network."""

_CAMS = (
    Column(
        "class activation maps",
        "grad_cam",
        _equal(partial(hooked.cam, formula=hooked.grad_cam)),
        captum_runs.grad_cam,
        layer="default",
    ),
    Column(
        "class activation maps",
        "guided_grad_cam",
        _equal(hooked.guided_grad_cam),
        captum_runs.guided_grad_cam,
        captum_reference=_equal(hooked.guided_grad_cam_of_relu),
        layer="default",
    ),
    _cam("grad_cam_plus_plus", hooked.grad_cam_plus_plus),
    _cam("xgrad_cam", hooked.xgrad_cam),
    _cam("hires_cam", hooked.hires_cam),
    _cam("layer_cam", hooked.layer_cam),
    _cam("eigen_cam", hooked.eigen_cam),
    Column("class activation maps", "ablation_cam", _equal(hooked.ablation_cam), layer="default"),
    Column(
        "class activation maps",
        "score_cam",
        _equal(partial(hooked.score_cam, top=TOP)),
        options={"top": TOP},
        layer="default",
    ),
)

_where = attrgetter("overwritten")

_LAYERS = (
    Column(
        "layers",
        "layer_gradient_x_activation",
        _equal(hooked.layer_gradient_x_activation),
        captum_runs.of_layer("LayerGradientXActivation", _where),
        layer="overwritten",
    ),
    Column(
        "layers",
        "layer_integrated_gradients",
        _equal(partial(hooked.layer_integrated_gradients, steps=STEPS)),
        captum_runs.of_layer("LayerIntegratedGradients", _where, baseline=True, n_steps=STEPS),
        _FIXED,
        layer="overwritten",
    ),
    Column(
        "layers",
        "conductance",
        _equal(partial(hooked.conductance, steps=STEPS)),
        captum_runs.of_layer("LayerConductance", _where, baseline=True, n_steps=STEPS),
        _FIXED,
        _equal(partial(hooked.conductance_of_captum, steps=STEPS)),
        layer="overwritten",
    ),
    Column(
        "layers",
        "internal_influence",
        _equal(partial(hooked.internal_influence, steps=STEPS)),
        captum_runs.of_layer("InternalInfluence", _where, baseline=True, n_steps=STEPS),
        {"steps": STEPS},
        layer="overwritten",
    ),
)

COLUMNS: tuple[Column, ...] = (*_GRADIENTS, *_PROPAGATED, *_CAMS, *_LAYERS)
