"use strict";
// The outcome card of a unit's picture: four numbers with their words, and the path of the picture through the layers
// before the unit, beside that of natural images.
(() => {
  const { el, name, number, ratio, percent, status } = LAYERSCOPE;
  const [FROM, TO] = [-0.5, 1.5]; // of the scale: 0 and 1 are the baselines
  const VERDICTS = {
    same: "same path",
    part: "part of the way",
    another: "another path",
    untold: "cannot tell",
  };

  const at = (value) => `${((100 * (Math.min(TO, Math.max(FROM, value)) - FROM)) / (TO - FROM)).toFixed(1)}%`;

  function outcomeCard(shown) {
    const { card } = shown;
    if (!card) return null; // a record from before there were cards
    return el(
      "section",
      { class: "outcome" },
      el("h2", {}, "How far to trust it"),
      el(
        "dl",
        { class: "outcome-numbers" },
        fact("Of the strongest natural activation", ratio(shown.ratio)),
        fact("Agreement of seeds", card.agreement.value === null ? "–" : number(card.agreement.value), agreed(card)),
        fact("Saturated", percent(shown.saturated)),
        fact("Ascent", status(shown.status)),
      ),
      path(card.path),
    );
  }

  const fact = (words, value, more) =>
    el("div", {}, el("dt", {}, words), el("dd", {}, el("b", {}, value), more ? el("span", { class: "small" }, more) : null));

  const agreed = ({ agreement }) =>
    agreement.value === null ? agreement.words : `${agreement.seeds} seeds; 0: as other units, 1: as itself, moved`;

  function path(found) {
    return [
      el("h3", {}, "Is it processed as natural images are?"),
      el("p", { class: "outcome-words" }, sentence(found.words), whole(found.whole)),
      found.layers.length
        ? el(
            "ol",
            { class: "paths", role: "list" },
            el(
              "li",
              { class: "paths-axis", "aria-hidden": "true" },
              el("span", {}, "layer"),
              el(
                "span",
                { class: "path-axis" },
                el("i", { "--at": at(0) }, "other units"),
                el("i", { "--at": at(1) }, "natural"),
              ),
              el("span", {}),
            ),
            found.layers.map(row),
          )
        : null,
      found.layers.length
        ? el(
            "p",
            { class: "small" },
            `Rank similarity of activations in each layer before the unit: 0 as natural images that excite other units, `,
            `1 as ${found.natural} natural images of this unit are to each other; bars are 95 % intervals, the tick is the `,
            `least typical of these images.`,
          )
        : null,
    ];
  }

  const sentence = (words) => (words ? `${words[0].toUpperCase()}${words.slice(1)}.` : "");

  const whole = (all) =>
    all && all.verdict !== "untold"
      ? [" Over all that tell: ", el("b", {}, number(all.value)), ` (${number(all.low)} to ${number(all.high)}).`]
      : null;

  function row(one) {
    const told = one.verdict !== "untold";
    const spoken = told ? `: ${number(one.value)}, ${number(one.low)} to ${number(one.high)}` : "";
    return el(
      "li",
      { class: `is-${one.verdict}` },
      el("span", { class: "path-layer" }, name(one.layer, 40)),
      el(
        "span",
        { class: "path", role: "img", "aria-label": `${VERDICTS[one.verdict]}${spoken}` },
        el("i", { class: "base", "--at": at(0) }),
        el("i", { class: "base", "--at": at(1) }),
        told
          ? [
              el("i", { class: "least", "--at": at(one.least) }),
              el("i", { class: "reach", "--from": at(one.low), "--to": at(one.high) }),
              el("i", { class: "dot", "--at": at(one.value) }),
            ]
          : null,
      ),
      el(
        "span",
        { class: "path-words", "aria-hidden": "true" },
        told ? el("b", {}, number(one.value)) : null,
        el("span", {}, VERDICTS[one.verdict]),
      ),
    );
  }

  LAYERSCOPE.outcomeCard = outcomeCard;
})();
