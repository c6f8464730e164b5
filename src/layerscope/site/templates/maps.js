"use strict";
// Maps over their image: the colour scale, the slider that all of them obey, the marks and the numbers of each.
(() => {
  const { el, svg, name, number, percent, plural, imageAddress } = LAYERSCOPE;
  const LARGE = 1024; // pixels, about: the width of a map that is saved
  const strength = { value: 70 }; // percent, from the image alone to the map alone; lasts as long as the page

  function lay(value) {
    strength.value = value;
    document.documentElement.style.setProperty("--map", value / 100);
  }

  // The image and the map on it, one picture over the other: no canvas, which a page from the disk may not read.
  function overlay(image, map, label) {
    return el(
      "span",
      { class: `overlay${image.width <= 96 ? " coarse" : ""}`, "--shape": image.width / image.height },
      el("img", { class: "base", src: image.url, alt: map ? "" : label, draggable: "false" }),
      map ? el("img", { class: "heat", src: map.url, alt: label, loading: "lazy", draggable: "false" }) : null,
    );
  }

  function slider() {
    const spoken = (value) => (value < 50 ? "mostly the image" : value > 80 ? "mostly the map" : "map over image");
    const input = el("input", {
      type: "range",
      id: "opacity",
      min: 0,
      max: 100,
      step: 5,
      value: strength.value,
      "aria-label": "How much of the map lies over the image",
      "aria-valuetext": spoken(strength.value),
      oninput: () => {
        lay(Number(input.value));
        input.setAttribute("aria-valuetext", spoken(strength.value));
      },
    });
    return el("label", { class: "slider" }, el("span", {}, "image"), input, el("span", {}, "map"));
  }

  // What the two questions ask, in words; a target may be a unit, which has no label.
  const asked = (data) => name(data.target.label ?? data.target.text, 40);
  const rival = (data) => name(data.versus.label, 40);
  const why = (data) => (data.target.index === null ? "what speaks for " : "why "); // a unit is no answer to "why"
  const question = (data, which) =>
    which === "versus" ? ["why ", asked(data), " and not ", rival(data)] : [why(data), asked(data)];

  function colourScale(data, which) {
    const against = which === "versus" ? ["for ", rival(data)] : ["against ", asked(data)];
    const ticks = ["−1", "−½", "0", "½", "1"];
    return el(
      "div",
      { class: "scale", role: "img", "aria-label": "Colour scale: blue speaks against, orange speaks for" },
      el("span", { class: "sides" }, el("span", {}, "← ", against), el("span", {}, "for ", asked(data), " →")),
      el("i", { class: "ramp" }),
      el(
        "span",
        { class: "ticks" },
        ticks.map((tick) => el("span", {}, tick)),
      ),
    );
  }

  const MARKS = {
    good: "M1.8 5.6l2.3 2.4 4.2-5.6",
    poor: "M5 1.2v4.9M5 8v1.1",
    open: "M3.1 3.4a2 2 0 1 1 2.7 1.9c-.6.3-.8.6-.8 1.1M5 8.2v.9",
  };

  const mark = (word) =>
    svg(
      "svg",
      { class: `verdict is-${word}`, viewBox: "0 0 10 10", width: 12, height: 12, "aria-hidden": "true" },
      svg("path", { d: MARKS[word] || MARKS.open }),
    );

  // How many checks came out how: a symbol, a number and a word each.
  function tally(verdicts) {
    const count = (word) => verdicts.filter((one) => one.mark === word).length;
    return el(
      "p",
      { class: "tally" },
      ["good", "poor", "open"]
        .filter(count)
        .map((word) => el("span", { class: `of-${word}` }, mark(word), `${count(word)} ${word}`)),
    );
  }

  const verdicts = (method) =>
    el(
      "ul",
      { class: "verdicts" },
      method.verdicts.map((one) =>
        el(
          "li",
          { class: `of-${one.mark}` },
          mark(one.mark),
          el("span", {}, el("span", { class: "unseen" }, `${one.mark}: `), name(one.words, 300)),
        ),
      ),
    );

  const SCALE = "0 is the score of the image blurred, 1 that of the image";

  // Every number of a map: its key, which way is better, how it is written, and what it says.
  const NUMBERS = [
    ["gap", "↓", (one) => percent(one.checks.gap), "How far the map is from adding up to what it has to explain"],
    [
      "re-drawn",
      "→ 0",
      (one) => number(one.checks.redrawn),
      "Rank correlation with the map of the same network after its top layers were drawn anew: near 1 or −1, the map does not notice what was learned there",
    ],
    [
      "noise",
      "↑",
      (one) => number(one.checks.noise),
      "Rank correlation with the map of the same image under slight noise",
    ],
    [
      "deletion",
      "↓",
      (one) => number(one.deletion),
      `Area under the curve while the pixels it names first are taken away; ${SCALE}`,
    ],
    [
      "insertion",
      "↑",
      (one) => number(one.insertion),
      `Area under the curve while the pixels it names first are put in; ${SCALE}`,
    ],
    [
      "part rank",
      "↑",
      (one) => number(one.part_rank),
      "Rank correlation with the true effects of the parts of the scene",
    ],
  ];

  // Which sides a map has: a method without a sign, one whose map has no negative value on this image, or both.
  const sides = (method) => (!method.signed ? "none" : method.checks.negative > 0 ? "both" : "positive");
  const SIDES = {
    none: "no sign; full colour at ",
    positive: "all positive on this image; full colour at ",
    both: "full colour at ±",
  };
  const hasTruth = (data) => data.methods.some((one) => typeof one.part_rank === "number");

  const measured = (data, method) =>
    el(
      "dl",
      { class: "measured" },
      NUMBERS.filter(([key]) => key !== "part rank" || hasTruth(data)).map(([key, way, write, words]) =>
        el("div", { title: words }, el("dt", {}, `${key} ${way}`), el("dd", {}, write(method))),
      ),
    );

  // The sentence for people who hear the page.
  function described(data, method) {
    const { positive, negative } = method.checks;
    const whose = `${method.title} map of ${LAYERSCOPE.short(data.image.name, 60)}`;
    return method.empty
      ? `${whose}: no evidence`
      : `${whose}: ${percent(positive)} of its evidence speaks for, ${percent(negative)} against`;
  }

  const nothing = () =>
    el("span", { class: "nothing" }, el("b", {}, "No evidence"), "This map is zero everywhere.");

  const figure = (data, method) => [
    overlay(data.image, method.empty ? null : method, described(data, method)),
    method.empty ? nothing() : null,
  ];

  function card(image, data, method) {
    return el(
      "li",
      { class: `map${method.empty ? " empty" : ""}`, "data-method": method.method },
      el(
        "a",
        { href: imageAddress(image, method.question, method.method) },
        el("h3", {}, name(method.title, 60)),
        el("span", { class: "frame" }, figure(data, method)),
      ),
      el(
        "p",
        { class: "full" },
        method.empty ? "nothing to draw" : [SIDES[sides(method)], number(method.scale)],
      ),
      el("div", {}, tally(method.verdicts), verdicts(method)),
      measured(data, method),
    );
  }

  // All maps of one question as small multiples, and after them the methods that refused.
  function grid(image, data, which) {
    const methods = data.methods.filter((one) => one.question === which);
    const refused = methods.filter((one) => one.error !== null);
    return [
      el(
        "ul",
        { class: "maps" },
        methods.filter((one) => one.error === null).map((one) => card(image, data, one)),
      ),
      refused.length
        ? el(
            "div",
            { class: "refused" },
            el("h3", {}, `${plural(refused.length, "method")} refused`),
            el(
              "dl",
              {},
              refused.map((one) => [el("dt", {}, name(one.title, 60)), el("dd", {}, name(one.error, 400))]),
            ),
          )
        : null,
    ];
  }

  // The map over its image as one picture, as the slider has it; only where pages may read pictures.
  async function pictureOf(data, method) {
    const shown = [data.image, method].filter((one) => one.url);
    const layers = await Promise.all(shown.map((one) => LAYERSCOPE.sheet(one.url)));
    const scale = Math.max(1, Math.round(LARGE / data.image.width));
    const canvas = el("canvas", { width: data.image.width * scale, height: data.image.height * scale });
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = data.image.width > 96;
    const share = strength.value / 100;
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    layers.forEach((layer, turn) => {
      context.globalAlpha = Math.min(1, turn ? 2 * share : 2 - 2 * share);
      context.filter = turn ? "none" : `grayscale(${Math.min(1, 2 * share)})`;
      context.drawImage(layer, 0, 0, canvas.width, canvas.height);
    });
    return canvas;
  }

  // All maps of an image with every number and every check, those that refused too.
  function rows(data) {
    const checks = ["score", "total", "expected", "gap", "positive", "negative", "redrawn", "noise", "seconds"];
    const own = ["method", "title", "question", "error", "signed", "scale", "deletion", "insertion"];
    const verdictNames = [...new Set(data.methods.flatMap((one) => one.verdicts ?? []).map((one) => one.check))];
    const keys = [...own, "part_rank", "part_cosine", ...checks, ...verdictNames.map((check) => `check ${check}`)];
    const objects = data.methods.map((one) => ({
      ...one,
      ...one.checks,
      ...Object.fromEntries(
        (one.verdicts ?? []).map(({ check, mark: found, words }) => [`check ${check}`, `${found}: ${words}`]),
      ),
    }));
    return LAYERSCOPE.rowsOf(objects, keys);
  }

  lay(strength.value);
  Object.assign(LAYERSCOPE, { overlay, slider, colourScale, question, asked, rival, mark, tally, verdicts });
  Object.assign(LAYERSCOPE, { mapGrid: grid, mapFigure: figure, mapNumbers: NUMBERS, hasTruth, mapSides: sides, mapRows: rows, mapPicture: pictureOf });
})();
