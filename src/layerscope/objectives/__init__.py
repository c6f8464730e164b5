"""What to look for: an objective maps the activations of a network to one score per image.

Objectives add up: `channel("conv3:5") - 0.5 * diversity("conv3")`. No operation changes its operands. Two objectives
with the same text are the same objective. `bind(model)` resolves class names and unit axes; only a bound one can be
called.
"""

from layerscope.objectives.algebra import OUTPUT, Activations, Objective, Scores
from layerscope.objectives.classes import any_class, logit, margin
from layerscope.objectives.directions import direction
from layerscope.objectives.penalised import penalised
from layerscope.objectives.references import activations_of, distance, likeness
from layerscope.objectives.rows import alignment, interpolation
from layerscope.objectives.units import channel, diversity, excitation, inhibition, layer_energy, neuron

__all__ = [
    "OUTPUT",
    "Activations",
    "Objective",
    "Scores",
    "activations_of",
    "alignment",
    "any_class",
    "channel",
    "direction",
    "distance",
    "diversity",
    "excitation",
    "inhibition",
    "interpolation",
    "layer_energy",
    "likeness",
    "logit",
    "margin",
    "neuron",
    "penalised",
]
