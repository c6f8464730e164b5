"use strict";
// What the parts of a rendered scene really do to the score, and the smallest change of parts that flips the label.
(() => {
  const { el, svg, name, prose, number, percent, plural, picture } = LAYERSCOPE;

  function causes(data) {
    const { causes: found, scenes } = data;
    if (!found) return null;
    const values = found.parts
      .flatMap((part) => [part.effect, part.shapley])
      .concat(found.background, found.distractors);
    const known = values.filter((value) => value !== null);
    const scale = { low: Math.min(0, ...known), high: Math.max(0, ...known, 1e-9) };
    const parts = [...found.parts].sort((a, b) => b.effect - a.effect);
    const hasShapley = parts.some((part) => part.shapley !== null);
    return el(
      "section",
      { class: "causes" },
      el("h2", {}, "What its parts really do"),
      prose(found.note, { class: "quiet lines" }),
      el(
        "ul",
        { class: "storykey" },
        el("li", {}, el("i", { class: "swatch true" }), "effect: by how much the score falls without the part"),
        hasShapley
          ? el("li", {}, el("i", { class: "swatch predicted" }), "Shapley value: its share over all sets of parts")
          : null,
      ),
      el(
        "ul",
        { class: "effects" },
        parts.map((part) =>
          row(
            part.picture === null
              ? null
              : picture(scenes, part.picture, `The scene without ${LAYERSCOPE.short(part.part, 40)}`),
            [name(part.part, 40), el("span", { class: "small" }, `${plural(part.pixels, "pixel")}`)],
            part.effect,
            part.shapley,
            scale,
          ),
        ),
        row(null, ["another background"], found.background, null, scale, "other"),
        row(null, ["distractors moved"], found.distractors, null, scale, "other"),
      ),
    );
  }

  function row(shown, words, effect, shapley, scale, kind = "") {
    const at = (value) => (value - scale.low) / (scale.high - scale.low);
    const bar = (value, key) =>
      value === null
        ? null
        : el(
            "span",
            { class: `effect ${key} ${LAYERSCOPE.sideOf(-value)}` },
            el("i", { "--from": at(Math.min(0, value)), "--to": at(Math.max(0, value)) }),
            el("b", { "--at": at(Math.max(0, value)) }, el("span", { class: "unseen" }, `${key} `), number(value)),
          );
    return el(
      "li",
      { class: kind },
      el("span", { class: "without" }, shown),
      el("span", { class: "part" }, words),
      el("span", { class: "track-of", "--zero": at(0) }, bar(effect, "true"), bar(shapley, "predicted")),
    );
  }

  const arrow = () =>
    svg(
      "svg",
      { viewBox: "0 0 120 14", preserveAspectRatio: "xMaxYMid meet", "aria-hidden": "true" },
      svg("path", { d: "M0 7H119M112 1l7 6-7 6" }),
    );

  function flip(data) {
    const { flip: found, scenes, labels } = data;
    if (!found) return null;
    const whole = found.found && !found.complete ? ", not all of its size: another one may flip it more surely" : "";
    const tried = `${plural(found.tried, "change")} tried, from the smallest on${whole}`;
    if (!found.found || found.picture === null) {
      return el(
        "section",
        { class: "flip" },
        el("h2", {}, "The smallest change that flips the label"),
        el(
          "p",
          { class: "quiet" },
          found.found ? name(found.words, 200) : "None was found: ",
          found.found ? "; " : null,
          tried,
          ".",
        ),
      );
    }
    const side = (shown, words, label, probability) =>
      el(
        "figure",
        {},
        shown,
        el(
          "figcaption",
          {},
          el("span", { class: "small" }, words),
          el("b", { class: "answer" }, name(label, 40)),
          el("span", { class: "quiet" }, percent(probability)),
        ),
      );
    const [before] = labels;
    return el(
      "section",
      { class: "flip" },
      el("h2", {}, "The smallest change that flips the label"),
      el(
        "div",
        { class: "sides-of" },
        side(
          LAYERSCOPE.overlay(data.image, null, `The scene as it is: ${LAYERSCOPE.short(before.class, 40)}`),
          "as it is",
          before.class,
          before.probability,
        ),
        el("p", { class: "arrow" }, name(found.words, 120), arrow()),
        side(
          picture(
            scenes,
            found.picture,
            `The scene ${LAYERSCOPE.short(found.words, 80)}: ${LAYERSCOPE.short(found.label, 40)}`,
          ),
          name(found.words, 120),
          found.label,
          found.probability,
        ),
      ),
      el("p", { class: "small" }, tried, "."),
    );
  }

  Object.assign(LAYERSCOPE, { causes, flip });
})();
