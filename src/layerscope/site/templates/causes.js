"use strict";
// What the parts of a rendered scene really do to the score, and the smallest change of parts that flips the label.
(() => {
  const { el, svg, name, prose, number, percent, plural, picture, saved, sourceOf } = LAYERSCOPE;

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
    const section = el(
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
    const others = [
      { part: "another background", effect: found.background },
      { part: "distractors moved", effect: found.distractors },
    ];
    const rows = [...parts, ...others];
    return saved(section, sourceOf(data, data.title, data.network.name), "true effects of the parts", {
      plots: () => [bars(rows, scale)],
      rows: () => LAYERSCOPE.rowsOf(rows, ["part", "pixels", "effect", "shapley"]),
      python: data.python.causes,
    });
  }

  // The same bars as a drawing for a file: thick the effect, thin the Shapley value.
  function bars(rows, scale) {
    const [left, width, tall] = [170, 320, 30];
    const x = (value) => left + (width * (value - scale.low)) / (scale.high - scale.low);
    const words = (at, y, anchor, text) => svg("text", { x: at, y, "text-anchor": anchor }, text);
    const bar = (value, y, height, fill) =>
      svg("rect", { x: Math.min(x(0), x(value)), y, width: Math.abs(x(value) - x(0)), height, fill });
    return svg(
      "svg",
      { class: "plot", viewBox: `0 0 ${left + width + 130} ${rows.length * tall + 6}` },
      rows.map((one, place) => [
        words(left - 10, place * tall + 18, "end", LAYERSCOPE.short(one.part, 24)),
        bar(one.effect ?? 0, place * tall + 6, 10, one.effect < 0 ? "#2166ac" : "#c2570c"),
        typeof one.shapley === "number" ? bar(one.shapley, place * tall + 18, 4, "#5b5e63") : null,
        words(
          Math.max(x(0), x(one.effect ?? 0), x(one.shapley ?? 0)) + 8,
          place * tall + 17,
          "start",
          number(one.effect) + (typeof one.shapley === "number" ? `, Shapley ${number(one.shapley)}` : ""),
        ),
      ]),
      svg("line", { x1: x(0), x2: x(0), y1: 0, y2: rows.length * tall + 4, class: "axis" }),
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
