"use strict";
// The head of an image's page: the image and what was done to it, its labels, and by how much the first one leads.
(() => {
  const { el, step, name, prose, number, percent, imageAddress, images, overlay, mark } = LAYERSCOPE;

  const warning = (data) =>
    data.familiar.unlike
      ? el(
          "aside",
          { class: "warning", role: "note" },
          mark("poor"),
          el("div", {}, el("b", {}, "This image is unlike what the network knows."), prose(data.familiar.words)),
        )
      : null;

  function poster(of, data, place) {
    const [top] = data.labels;
    return el(
      "header",
      { class: "poster" },
      el(
        "figure",
        { class: "seen" },
        overlay(data.image, null, `The image ${LAYERSCOPE.short(data.image.name, 80)} as the network saw it`),
        caption(data),
      ),
      el(
        "div",
        { class: "verdict-of" },
        steps(place),
        el("p", { class: "kicker" }, name(of.title, 120)),
        el("h1", {}, isAnswer(data) ? "Why " : "What speaks for ", name(data.target.label, 80), "?"),
        el("p", { class: "lead" }, name(data.network.name, 40), said(top), isAnswer(data) ? null : about(data)),
        standing(data, top),
        data.labels.length ? labelled(data) : null,
        margin(data),
      ),
    );
  }

  // Whether what is explained is what the network answers, of several answers that it could give.
  const isAnswer = (data) => data.target.predicted && isSure(data.labels[0]);
  const isSure = (top) => top !== undefined && top.probability !== null;

  const said = (top) =>
    top === undefined
      ? " puts out no classes."
      : isSure(top)
        ? [" calls this image ", el("b", {}, name(top.class, 40)), ` with ${percent(top.probability)}.`]
        : " puts out one number, which is no probability.";

  const about = ({ target }) => [
    " You asked about ",
    name(target.label, 40),
    `, whose score is ${number(target.score)}.`,
  ];

  function steps(place) {
    const stepTo = (to, key, words) => to && step(imageAddress(to), key, words(to));
    return images.length > 1
      ? el(
          "nav",
          { class: "steps", "aria-label": "Neighbouring images" },
          stepTo(images[place - 1], "prev", (to) => ["← ", name(to.title, 20)]),
          stepTo(images[place + 1], "next", (to) => [name(to.title, 20), " →"]),
        )
      : null;
  }

  // Whether the label is right, where that is known, and whether the image is of a kind that the network knows.
  function standing(data, top) {
    const { truth, familiar } = data;
    const known = truth !== null && truth !== undefined && isSure(top);
    const right = known && truth === top.class;
    const beyond = (familiar.layers ?? []).some((one) => one.distance > one.limit);
    const like = familiar.checked && !beyond ? "good" : "open";
    const line = (word, ...content) => el("li", { class: `of-${word}` }, mark(word), el("span", {}, content));
    return el(
      "ul",
      { class: "standing" },
      known ? line(right ? "good" : "poor", right ? "right: " : "wrong: ", "the scene shows ", name(truth, 40)) : null,
      familiar.unlike || !familiar.words ? null : line(like, name(familiar.words, 400)),
    );
  }

  // What was done to the image before the network saw it.
  function caption(data) {
    const { image: shown } = data;
    const [width, height] = shown.original;
    const side = (low, high) => Math.round(shown.crop[high] - shown.crop[low]);
    const sizes = [
      ["", `${width} × ${height} px`],
      ["cut to ", shown.crop && `${side(0, 2)} × ${side(1, 3)} px`],
      ["seen at ", `${shown.width} × ${shown.height} px`],
    ].filter(([, size]) => size);
    const changed = sizes.filter(([, size], turn) => !turn || size !== sizes[turn - 1][1]);
    const done = [...changed.map((words) => words.join("")), ...shown.notes];
    return el(
      "figcaption",
      {},
      el("b", {}, name(shown.name, 80)),
      shown.source && shown.source !== shown.name ? [" ", el("code", {}, name(shown.source, 120))] : null,
      el(
        "p",
        {},
        done.map((words, turn) => [turn ? ", " : "", name(words, 120)]),
      ),
    );
  }

  const labelled = (data) =>
    LAYERSCOPE.saved(el("div", { class: "above" }, labels(data)), LAYERSCOPE.sourceOf(data, data.title, data.network.name), "labels", {
      rows: () => LAYERSCOPE.rowsOf(data.labels, ["index", "class", "logit", "probability", "calibrated"]),
      python: data.python.labels,
    });

  function labels(data) {
    const calibrated = data.labels.some((one) => one.calibrated !== null);
    const sure = isSure(data.labels[0]);
    return el(
      "table",
      { class: "labels" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, "label"),
          sure ? el("td", {}) : null,
          sure ? el("th", { scope: "col" }, "probability") : null,
          calibrated ? el("th", { scope: "col" }, "calibrated") : null,
          el("th", { scope: "col" }, "logit"),
        ),
      ),
      el(
        "tbody",
        {},
        data.labels.map((one) =>
          el(
            "tr",
            { class: one.index === data.target.index ? "asked" : null },
            el("th", { scope: "row" }, name(one.class, 40)),
            sure ? share(one) : null,
            sure ? el("td", { class: "value" }, percent(one.probability)) : null,
            calibrated ? el("td", {}, percent(one.calibrated)) : null,
            el("td", {}, number(one.logit)),
          ),
        ),
      ),
    );
  }

  const share = (one) =>
    el(
      "td",
      { class: "share", "aria-hidden": "true" },
      el(
        "span",
        { class: "track" },
        el("i", { "--share": one.probability }),
        one.calibrated === null ? null : el("u", { "--share": one.calibrated }),
      ),
    );

  function margin(data) {
    const { versus, versus_note: note } = data;
    if (!isSure(data.labels[0])) return null;
    return el(
      "div",
      { class: "margins" },
      versus ? lead(data, versus) : null,
      note ? el("div", {}, el("p", { class: "small" }, "set against nothing"), prose(note, { class: "quiet" })) : null,
      versus && versus.percentile !== null ? among(data, versus.percentile) : null,
      el(
        "div",
        {},
        el("p", { class: "small" }, "calibration"),
        el("p", { class: "quiet" }, name(data.calibration || "not calibrated", 300)),
      ),
    );
  }

  const lead = (data, versus) =>
    el(
      "div",
      {},
      el("p", { class: "small" }, versus.margin < 0 ? "behind " : "ahead of ", name(versus.label, 40)),
      el("p", { class: "big" }, number(Math.abs(versus.margin))),
      el(
        "p",
        { class: "quiet" },
        versus.calibrated === null ? "logits" : `logits, ${number(Math.abs(versus.calibrated))} calibrated`,
      ),
    );

  function inHundred(share) {
    const count = Math.round(100 * share);
    return count === 0 ? "fewer than 1" : count === 100 ? "more than 99" : count;
  }

  function among(data, share) {
    return el(
      "div",
      {},
      el("p", { class: "small" }, "beside other images"),
      el("span", { class: "rank", "aria-hidden": "true" }, el("i", { "--at": share })),
      el(
        "p",
        { class: "quiet" },
        `The margin is larger than that of ${inHundred(share)} in 100 images`,
        data.familiar.probe ? [" of ", name(data.familiar.probe, 40)] : null,
      ),
    );
  }

  Object.assign(LAYERSCOPE, { warning, poster });
})();
