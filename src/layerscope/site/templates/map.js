"use strict";
// One map, large: the slider, every check in words, every number, and what the method is.
(() => {
  const { el, step, name, prose, number, percent, imageAddress, imageData, factList, saved, sourceOf } = LAYERSCOPE;
  const { slider, colourScale, question, tally, verdicts, mapFigure, mapNumbers, hasTruth, mapSides } = LAYERSCOPE;

  const SIDES = {
    none: "This method has no sign: it says where, not whether for or against. ",
    positive: "Nothing in this map speaks against it. ",
    both: "",
  };

  async function map(image, which, wanted, unknown) {
    const data = await imageData(image);
    const shown = data.methods.filter((one) => one.question === which && one.error === null);
    const place = shown.findIndex((one) => one.method === wanted);
    if (place < 0) return unknown([which, wanted].filter(Boolean).join("/"));
    const method = shown[place];
    const to = (other) => (other ? imageAddress(image, which, other.method) : null);
    return {
      title: `${method.title} · ${image.title}`,
      trail: [
        [image.title, back(image, which)],
        [method.title, imageAddress(image, which, method.method)],
      ],
      previous: to(shown[place - 1]),
      next: to(shown[place + 1]),
      content: [head(image, data, shown, place), body(image, data, method, which)],
    };
  }

  const back = (image, which) => imageAddress(image) + (which === "target" ? "" : `?why=${LAYERSCOPE.encoded(which)}`);

  function head(image, data, shown, place) {
    const method = shown[place];
    const stepTo = (to, key, words) => to && step(imageAddress(image, to.question, to.method), key, words(to));
    return el(
      "header",
      { class: "head split" },
      el(
        "div",
        {},
        el("h1", {}, name(method.title, 120)),
        el(
          "p",
          { class: "summary" },
          el("span", {}, el("b", {}, question(data, method.question))),
          el("span", {}, "for ", el("a", { href: back(image, method.question) }, name(image.title, 60))),
        ),
      ),
      el(
        "nav",
        { class: "steps", "aria-label": "Neighbouring maps" },
        stepTo(shown[place - 1], "prev", (to) => ["← ", name(to.title, 28)]),
        stepTo(shown[place + 1], "next", (to) => [name(to.title, 28), " →"]),
      ),
    );
  }

  function body(image, data, method, which) {
    const of = sourceOf(data, data.title, data.network.name);
    return el(
      "section",
      { class: "large" },
      el(
        "div",
        { class: "stage" },
        saved(
          el("div", { class: "on-picture" }, el("span", { class: "frame" }, mapFigure(data, method))),
          of,
          `${method.title} map`,
          {
            picture: () => LAYERSCOPE.mapPicture(data, method),
            sheets: [
              ["the image", data.image.url],
              ["the map alone", method.url],
            ],
            python: method.python,
          },
        ),
        el("div", { class: "controls" }, slider(), colourScale(data, which)),
        el(
          "p",
          { class: "small" },
          SIDES[mapSides(method)],
          method.empty
            ? null
            : `1 on the scale is ${number(method.scale)} per pixel; what lies beyond has full colour.`,
        ),
      ),
      el(
        "div",
        { class: "telling" },
        prose(method.about, { class: "about" }),
        tally(method.verdicts),
        verdicts(method),
        LAYERSCOPE.methodStanding(image, method.method),
        saved(
          el("div", {}, el("h2", {}, "What was measured"), numbers(data, method)),
          of,
          `numbers of the ${method.title} map`,
          { rows: () => LAYERSCOPE.mapRows({ methods: [method] }), python: method.python },
        ),
        el("h2", {}, "The method"),
        factList(facts(method)),
        notes(method),
        method.python ? LAYERSCOPE.command("The line of Python that makes this map again", method.python) : null,
      ),
    );
  }

  function numbers(data, method) {
    const { checks } = method;
    const cosine = [
      "part cosine",
      "↑",
      () => number(method.part_cosine),
      "Cosine with the true effects of the parts, distractors included",
    ];
    const rows = [...mapNumbers, cosine].filter(([key]) => !key.startsWith("part") || hasTruth(data));
    const sum = checks.expected === null ? "nothing is claimed" : `has to be ${number(checks.expected)}`;
    return el(
      "table",
      { class: "numbers" },
      el(
        "tbody",
        {},
        row("score", number(checks.score), "Of the image, in the unit of what was asked"),
        row("sum", number(checks.total), `What the map adds up to; ${sum}`),
        row(
          "for",
          percent(checks.positive),
          `Share of the evidence that speaks for it; ${percent(checks.negative)} speaks against`,
        ),
        rows.map(([key, way, write, words]) => row(`${key} ${way}`, write(method), words)),
        row("seconds", number(checks.seconds), "For the map alone, without its checks"),
      ),
    );
  }

  const row = (key, value, words) =>
    el("tr", {}, el("th", { scope: "row" }, key), el("td", { class: "value" }, value), el("td", {}, words));

  function facts(method) {
    const listed = {
      source: method.source,
      cost: method.cost,
      "operations covered": list(method.checks.covered, (operation, times) => `${operation} × ${times}`),
      "operations approximated": list(method.checks.approximated, (operation, how) => `${operation}: ${how}`),
    };
    return Object.fromEntries(Object.entries(listed).filter(([, fact]) => fact));
  }

  const list = (operations, write) => {
    const found = Object.entries(operations || {}).map(([operation, fact]) => write(operation, fact));
    return found.length ? found : null;
  };

  const notes = (method) =>
    method.checks.notes.length
      ? [
          el("h2", {}, "Notes"),
          el(
            "ul",
            { class: "notes" },
            method.checks.notes.map((note) => el("li", {}, name(note, 400))),
          ),
        ]
      : null;

  LAYERSCOPE.largeMap = map;
})();
