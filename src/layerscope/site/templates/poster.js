"use strict";
// The head of an image's page: the image and what was done to it, its labels, and by how much the first one leads.
(() => {
  const { el, name, prose, number, percent, imageAddress, images, overlay, mark } = LAYERSCOPE;

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
    const { target } = data;
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
        el("h1", {}, target.predicted ? "Why " : "What speaks for ", name(target.label ?? target.text, 80), "?"),
        el(
          "p",
          { class: "lead" },
          name(data.network.name, 40),
          " calls this image ",
          el("b", {}, name(top.class, 40)),
          ` with ${percent(top.probability)}.`,
          target.predicted
            ? null
            : [" You asked about ", name(target.label ?? target.text, 40), `, whose score is ${number(target.score)}.`],
        ),
        standing(data, top),
        labels(data),
        margin(data),
      ),
    );
  }

  function steps(place) {
    const step = (other, key, words) =>
      other
        ? el(
            "a",
            {
              class: "step",
              href: imageAddress(other),
              rel: key,
              "aria-keyshortcuts": key === "prev" ? "ArrowLeft" : "ArrowRight",
            },
            words,
          )
        : null;
    return images.length > 1
      ? el(
          "nav",
          { class: "steps", "aria-label": "Neighbouring images" },
          step(images[place - 1], "prev", ["← ", name(images[place - 1]?.title ?? "", 20)]),
          step(images[place + 1], "next", [name(images[place + 1]?.title ?? "", 20), " →"]),
        )
      : null;
  }

  // Whether the label is right, where that is known, and whether the image is of a kind that the network knows.
  function standing(data, top) {
    const { truth, familiar } = data;
    const known = truth !== null && truth !== undefined;
    const right = truth === top.class;
    const line = (word, ...content) => el("li", { class: `of-${word}` }, mark(word), el("span", {}, content));
    return el(
      "ul",
      { class: "standing" },
      known ? line(right ? "good" : "poor", right ? "right: " : "wrong: ", "the scene shows ", name(truth, 40)) : null,
      familiar.unlike || !familiar.words ? null : line(familiar.checked ? "good" : "open", name(familiar.words, 300)),
    );
  }

  // What was done to the image before the network saw it.
  function caption(data) {
    const { image: shown } = data;
    const [width, height] = shown.original;
    const side = (low, high) => Math.round(shown.crop[high] - shown.crop[low]);
    const crop = shown.crop && `cut to ${side(0, 2)} × ${side(1, 3)} px`;
    const done = [
      `${width} × ${height} px`,
      crop,
      `seen at ${shown.width} × ${shown.height} px`,
      ...shown.notes,
    ].filter(Boolean);
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

  function labels(data) {
    const calibrated = data.labels.some((one) => one.calibrated !== null);
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
          el("td", {}),
          el("th", { scope: "col" }, "probability"),
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
            { class: one.class === data.target.label ? "asked" : null },
            el("th", { scope: "row" }, name(one.class, 40)),
            el(
              "td",
              { class: "share", "aria-hidden": "true" },
              el(
                "span",
                { class: "track" },
                el("i", { "--share": one.probability }),
                one.calibrated === null ? null : el("u", { "--share": one.calibrated }),
              ),
            ),
            el("td", { class: "value" }, percent(one.probability)),
            calibrated ? el("td", {}, percent(one.calibrated)) : null,
            el("td", {}, number(one.logit)),
          ),
        ),
      ),
    );
  }

  function margin(data) {
    const { versus } = data;
    return el(
      "div",
      { class: "margins" },
      versus ? lead(data, versus) : null,
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
    const words = share < 0.25 ? "a close call" : share > 0.75 ? "a clear case" : "an ordinary case";
    return el(
      "div",
      {},
      el("p", { class: "small" }, words),
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
