"""All columns of the matrix."""

from __future__ import annotations

from functools import partial
from operator import attrgetter

from torch import Tensor

from layerscope.benchmarks.attribution import captum_runs, hooked, perturbed, propagated, sampled
from layerscope.benchmarks.attribution.case import Case
from layerscope.benchmarks.attribution.columns import Column, complete, conserved, equal


def _linear_parts(case: Case) -> Tensor | None:
    """What LRP-0 is on networks of linear operations, ReLUs and maxima (Ancona et al. 2018, proposition 1)."""
    return sampled.input_x_gradient(case) if propagated.piecewise_linear(case) else None


def _lrp(composite: str, captum: bool = False) -> Column:
    """Does it hand on what it gets? Without biases all has to arrive."""
    return Column(
        "relevance",
        "lrp",
        conserved,
        captum_runs.plain("LRP") if captum else None,
        {"composite": composite},
        tolerance=1e-3,
        case="unbiased",
        title=f"lrp {composite}, conserved",
    )


STEPS = 4
"""Of integrals, where not completeness is at stake but whether the sum is the one that was meant."""

SAMPLES, NOISE = 4, 0.1

_FIXED = {"steps": STEPS, "most_steps": STEPS, "tolerance": 0.0}

_GRADIENTS = (
    Column("gradients", "saliency", equal(sampled.gradient), captum_runs.plain("Saliency", abs=False)),
    Column("gradients", "input_x_gradient", equal(sampled.input_x_gradient), captum_runs.plain("InputXGradient")),
    Column(
        "gradients",
        "integrated_gradients",
        equal(partial(sampled.integrated_gradients, steps=STEPS)),
        captum_runs.plain("IntegratedGradients", baseline=True, n_steps=STEPS),
        _FIXED,
        case="single",
    ),
    Column(
        "means of gradients",
        "smoothgrad",
        partial(sampled.smoothgrad, samples=SAMPLES, noise=NOISE),
        captum_runs.tunnel("smoothgrad", nt_samples=SAMPLES, stdevs=NOISE),
        {"samples": SAMPLES, "noise": NOISE},
        case="single",
        drawn=True,
    ),
    Column(
        "means of gradients",
        "vargrad",
        partial(sampled.vargrad, samples=SAMPLES, noise=NOISE),
        captum_runs.tunnel("vargrad", nt_samples=SAMPLES, stdevs=NOISE),
        {"samples": SAMPLES, "noise": NOISE},
        case="single",
        drawn=True,
    ),
    Column(
        "means of gradients",
        "gradient_shap",
        partial(sampled.gradient_shap, samples=SAMPLES),
        captum_runs.plain("GradientShap", baseline=True, n_samples=SAMPLES),
        {"samples": SAMPLES, "noise": 0.0},
        case="single",
        drawn=True,
    ),
)

_PROPAGATED = (
    Column(
        "backward passes",
        "guided_backprop",
        equal(propagated.guided_backprop),
        captum_runs.plain("GuidedBackprop"),
        captum_reference=equal(propagated.guided_backprop_of_relu),
    ),
    Column(
        "backward passes",
        "deconvolution",
        equal(propagated.deconvolution),
        captum_runs.plain("Deconvolution"),
        captum_reference=equal(propagated.deconvolution_of_relu),
    ),
    Column("deeplift", "deeplift", equal(propagated.deeplift), captum_runs.plain("DeepLift", baseline=True)),
    Column(
        "deeplift",
        "deeplift",
        complete,
        captum_runs.plain("DeepLift", baseline=True),
        tolerance=1e-10,
        title="deeplift, complete in float64",
    ),
    Column(
        "deeplift",
        "deeplift",
        complete,
        captum_runs.plain("DeepLift", baseline=True),
        tolerance=1e-4,
        case="float",
        title="deeplift, complete in float32",
    ),
    Column(
        "relevance",
        "lrp",
        equal(_linear_parts),
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
    return Column("class activation maps", method, equal(values), layer="default")


TOP = 12
"""Units of Score-CAM: each costs a forward of the network."""

_CAMS = (
    Column(
        "class activation maps",
        "grad_cam",
        equal(partial(hooked.cam, formula=hooked.grad_cam)),
        captum_runs.grad_cam,
        layer="default",
    ),
    Column(
        "class activation maps",
        "guided_grad_cam",
        equal(hooked.guided_grad_cam),
        captum_runs.guided_grad_cam,
        captum_reference=equal(hooked.guided_grad_cam_of_relu),
        layer="default",
    ),
    _cam("grad_cam_plus_plus", hooked.grad_cam_plus_plus),
    _cam("xgrad_cam", hooked.xgrad_cam),
    _cam("hires_cam", hooked.hires_cam),
    _cam("layer_cam", hooked.layer_cam),
    _cam("eigen_cam", hooked.eigen_cam),
    Column("class activation maps", "ablation_cam", equal(hooked.ablation_cam), case="single", layer="default"),
    Column(
        "class activation maps",
        "score_cam",
        equal(partial(hooked.score_cam, top=TOP)),
        options={"top": TOP},
        case="single",
        layer="default",
    ),
)

_where = attrgetter("overwritten")

_LAYERS = (
    Column(
        "layers",
        "layer_gradient_x_activation",
        equal(hooked.layer_gradient_x_activation),
        captum_runs.of_layer("LayerGradientXActivation", _where),
        layer="overwritten",
    ),
    Column(
        "layers",
        "layer_integrated_gradients",
        equal(partial(hooked.layer_integrated_gradients, steps=STEPS)),
        captum_runs.of_layer("LayerIntegratedGradients", _where, baseline=True, n_steps=STEPS),
        _FIXED,
        case="single",
        layer="overwritten",
    ),
    Column(
        "layers",
        "layer_deeplift",
        hooked.layer_difference,
        captum_runs.of_layer("LayerDeepLift", _where, baseline=True),
        tolerance=1e-10,
        layer="overwritten",
        title="layer_deeplift, complete",
    ),
    Column(
        "layers",
        "conductance",
        equal(partial(hooked.conductance, steps=STEPS)),
        captum_runs.of_layer("LayerConductance", _where, baseline=True, n_steps=STEPS),
        _FIXED,
        equal(partial(hooked.conductance_of_captum, steps=STEPS)),
        case="single",
        layer="overwritten",
    ),
    Column(
        "layers",
        "internal_influence",
        equal(partial(hooked.internal_influence, steps=STEPS)),
        captum_runs.of_layer("InternalInfluence", _where, baseline=True, n_steps=STEPS),
        {"steps": STEPS},
        case="single",
        layer="overwritten",
    ),
)

WINDOW, STRIDE = 24, 20
CELLS, FEW = 3, 2
CHOICES, WIDTH = 24, 0.25
MASKS, KEEP = 24, 0.5

_PERTURBATIONS = (
    Column(
        "perturbations",
        "occlusion",
        equal(partial(perturbed.occlusion, window=WINDOW, stride=STRIDE)),
        captum_runs.occlusion(WINDOW, STRIDE),
        {"window": WINDOW, "stride": STRIDE},
        case="single",
    ),
    Column(
        "perturbations",
        "feature_ablation",
        equal(partial(perturbed.feature_ablation, cells=CELLS)),
        captum_runs.of_pieces("FeatureAblation", CELLS),
        case="single",
        cells=CELLS,
    ),
    Column(
        "perturbations",
        "shapley_sampling",
        complete,
        captum_runs.of_pieces("ShapleyValueSampling", CELLS, n_samples=2),
        {"samples": 2},
        case="single",
        cells=CELLS,
        title="shapley_sampling, adds up",
    ),
    Column(
        "surrogates",
        "kernel_shap",
        equal(partial(perturbed.shapley, cells=FEW)),
        captum_runs.of_pieces("KernelShap", FEW, n_samples=16),
        {"samples": 16},
        complete,
        captum_tolerance=1e-3,  # a weight of a million holds the sum
        case="single",
        cells=FEW,
    ),
    Column(
        "surrogates",
        "lime",
        partial(perturbed.lime, cells=CELLS, samples=CHOICES, width=WIDTH),
        options={"samples": CHOICES, "width": WIDTH},
        case="single",
        cells=CELLS,
        drawn=True,
    ),
    Column(
        "surrogates",
        "rise",
        partial(perturbed.rise, masks=MASKS, keep=KEEP),
        options={"masks": MASKS, "keep": KEEP},
        case="single",
        drawn=True,
    ),
)

COLUMNS: tuple[Column, ...] = (*_GRADIENTS, *_PROPAGATED, *_CAMS, *_LAYERS, *_PERTURBATIONS)
