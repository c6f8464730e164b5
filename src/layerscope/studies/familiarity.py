"""Whether an image is like those that a network knows, and other findings in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layerscope.capture.layers import Layer
from layerscope.models.model import VisionModel
from layerscope.studies.reference import LEAST, Reference
from layerscope.studies.story import Chapter
from layerscope.types import Images

STRANGE_LAYERS = 2
"""An image is unlike what the network knows where so many layers lie beyond their limits: for the bundled networks that
holds for about 1 % of unseen scenes, and for some 70 % of photographs (those of low contrast pass)."""


def familiar_facts(model: VisionModel, image: Images, reference: Reference | None) -> dict[str, Any]:
    """Whether activation statistics of an image lie outside those of the probe set, layer by layer."""
    if reference is None:
        words = "Not checked: no images that the network knows were at hand (give a folder of them as probe)."
        return {"checked": False, "unlike": False, "words": words, "probe": None, "layers": []}
    found = reference.strangeness(model, image)
    if not found:
        words = f"Not checked: {reference.images} images of {reference.probe} are too few, {LEAST} are needed."
        return {"checked": False, "unlike": False, "words": words, "probe": reference.probe, "layers": []}
    beyond = [one for one in found if one.distance > one.limit]
    unlike = len(beyond) >= min(STRANGE_LAYERS, len(found))
    return {
        "checked": True,
        "unlike": unlike,
        "words": _familiar_words(len(beyond), len(found), reference, unlike),
        "probe": reference.probe,
        "layers": [{"layer": one.layer, "distance": one.distance, "limit": one.limit} for one in found],
    }


def _familiar_words(beyond: int, layers: int, reference: Reference, unlike: bool) -> str:
    known = f"{reference.images} images of {reference.probe}"
    if unlike:
        return (
            f"This image is unlike anything that the network knows: in {beyond} of {layers} layers its activations lie "
            f"outside those of {known}. Whatever label it gets is a guess, and so is every explanation of it."
        )
    everywhere = f"In all {layers} layers" if layers > 1 else "In the one layer that was compared"
    within = f"{everywhere} the activations lie within those of {known}."
    if beyond:
        within = f"In {beyond} of {layers} layers the activations lie outside those of {known}; in the others within."
    return f"{within} {_weak(reference)}"


def _weak(reference: Reference) -> str:
    """What passing the test is worth; measured where the images are the menagerie's."""
    if reference.probe == "menagerie":
        return "That is no proof: about 30 % of photographs, which it does not know, pass this test too."
    return "That is no proof: images that it does not know may pass this test too."


def calibration_words(reference: Reference | None, unlike: bool) -> str:
    """Where probabilities were calibrated, or why they were not; `unlike` those images calibration does not hold."""
    if reference is None:
        return "Not calibrated: no labelled images of the network's classes were at hand."
    if reference.temperature is None:
        return f"Not calibrated: the classes of {reference.probe} are not the network's."
    known = f"{reference.images} images of {reference.probe}"
    if unlike:
        return f"Calibrated on {known}, which this image is unlike: calibration does not hold here."
    return f"Calibrated on {known}: logits divided by {reference.temperature:.2f}."


def reach_words(layer: Layer) -> str:
    """How much of the image one position sees."""
    if layer.receptive_field is None:
        return "unknown" if layer.status == "unknown" else "whole image"
    return f"{'at most ' if layer.status == 'upper bound' else ''}{layer.receptive_field} px"


def story_words(chapters: Sequence[Chapter], reference: Reference | None, what: str) -> str:
    """What the numbers of the story mean; `what` is explained."""
    level = "over the probe images" if reference is not None else "over this image blurred"
    shown, changing, foretold = (
        sum(counts) for counts in zip(*((len(one.shown), one.changing, one.foretold) for one in chapters), strict=True)
    )
    outcome = f"the sign was as predicted for {foretold} of {changing} units" if changing else "it changed for none"
    rest = f" ({shown - changing} changed nothing)" if 0 < changing < shown else ""
    return (
        f"In each layer, the units whose activation speaks most for or against {what}: gradient times (activation - "
        f"mean). Each was then set to its mean {level}, and the score measured again: {outcome}{rest}."
    )
