"use strict";
// What can be read from whole layers by a linear reader, and how alike layers are.
(() => {
  const { el, svg, name, number, percent, plural } = LAYERSCOPE;
  const { signed, between, layerTicks } = LAYERSCOPE;
  const ORDER = ["configuration", "edge", "texture", "shape", "object"]; // first the one that carries the claim
  const TITLES = { edge: "edges", texture: "textures", shape: "shapes", object: "objects" };

  const text = (x, y, anchor, words, kind) => svg("text", { x, y, "text-anchor": anchor, class: kind }, words);
  const line = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  function tasksOf(data) {
    const there = [...new Set(data.layers.flatMap((layer) => Object.keys(layer.decodability)))];
    const place = (task) => (ORDER.includes(task) ? ORDER.indexOf(task) : ORDER.length);
    return there.sort((a, b) => place(a) - place(b));
  }

  function panel(data, task, large) {
    const narrow = innerWidth < 600;
    const [width, height] = narrow ? [358, large ? 250 : 190] : large ? [580, 470] : [286, 190];
    const [left, right, top, bottom] = [34, 6, 8, 24];
    const slot = (width - left - right) / data.layers.length;
    const x = (place) => left + (place + 0.5) * slot;
    // Intervals of few images reach beyond what an accuracy can be.
    const y = (share) => height - bottom - (height - top - bottom) * Math.min(1, Math.max(0, share));
    const read = data.layers.map((layer, place) => [layer.decodability[task], place]).filter(([one]) => one);
    const path = (value) =>
      read
        .map(([one, place], turn) => `${turn ? "L" : "M"}${x(place).toFixed(1)} ${y(value(one)).toFixed(1)}`)
        .join("");
    const twins = Math.min(...read.map(([one]) => one.twins.length));
    const curve = (kind, value) => svg("path", { d: path(value), class: `reader of-${kind}` });
    return svg(
      "svg",
      {
        class: `plot decoding of-${LAYERSCOPE.short(task, 20)}`,
        viewBox: `0 0 ${width} ${height}`,
        role: "img",
        "aria-label": spoken(data, task),
      },
      [0, 0.25, 0.5, 0.75, 1].map((share) => [
        line(left, y(share), width - right, y(share), "grid"),
        text(left - 6, y(share) + 4, "end", `${100 * share}%`),
      ]),
      layerTicks(data.layers, slot).map((words, place) => text(x(place), height - 7, "middle", words, "tiny")),
      curve("chance", (one) => one.chance),
      curve("shuffled", (one) => one.shuffled.value),
      Array.from({ length: twins }, (_, turn) => curve("twin", (one) => one.twins[turn])),
      twins ? curve("twins", (one) => mean(one.twins)) : null,
      curve("network", (one) => one.accuracy.value),
      read.map(([one, place]) => [
        line(x(place), y(one.accuracy.low), x(place), y(one.accuracy.high), "interval"),
        svg(
          "circle",
          { cx: x(place), cy: y(one.accuracy.value), r: large ? 4.5 : 3.5, class: "point" },
          svg("title", {}, `${data.layers[place].name}: ${told(one)}`),
        ),
        large
          ? text(
              x(place),
              y(one.accuracy.high) - 7,
              "middle",
              percent(one.accuracy.value).replace(/\.\d+%/, "%"),
              "note",
            )
          : null,
      ]),
    );
  }

  const told = (one) =>
    `${percent(one.accuracy.value)} (${between(one.accuracy)}), twins ${one.twins.length ? percent(mean(one.twins)) : "–"}, ` +
    `shuffled ${percent(one.shuffled.value)}, chance ${percent(one.chance)}`;

  const spoken = (data, task) => {
    const layers = data.layers.filter((layer) => layer.decodability[task]);
    const words = layers.map((layer) => `${LAYERSCOPE.short(layer.name, 40)} ${told(layer.decodability[task])}`);
    return `${LAYERSCOPE.short(task, 40)}, accuracy by layer: ${words.join("; ")}`;
  };

  function best(data, task) {
    const there = data.layers.filter((layer) => layer.decodability[task]?.beyond_twins);
    if (!there.length) return "not compared with twins";
    const gain = (layer) => layer.decodability[task].beyond_twins;
    const beyond = there.filter((layer) => gain(layer).low > 0);
    const layer = (beyond.length ? beyond : there).reduce((a, b) => (gain(b).value > gain(a).value ? b : a));
    return [
      beyond.length
        ? `Beyond the twins in ${beyond.length} of ${there.length} layers, most in `
        : "In no layer beyond the twins; most in ",
      name(layer.name, 24),
      " ",
      el("b", {}, signed(gain(layer).value)),
      ` (${between(gain(layer))})`,
    ];
  }

  const figure = (data, task) =>
    el(
      "figure",
      { class: `reads${task === "configuration" ? " is-large" : ""}` },
      el("h3", {}, name(TITLES[task] ?? task, 40)),
      el("p", { class: "small" }, name(data.tasks[task] ?? "", 160)),
      panel(data, task, task === "configuration"),
      el("figcaption", { class: "small" }, best(data, task)),
    );

  const sample = (kind, words) =>
    el(
      "li",
      {},
      svg(
        "svg",
        { class: "plot sample", viewBox: "0 0 30 10", width: 30, height: 10, "aria-hidden": "true" },
        svg("path", { d: "M0 5H30", class: `reader of-${kind}` }),
        kind === "network" ? svg("circle", { cx: 15, cy: 5, r: 3.5, class: "point" }) : null,
      ),
      words,
    );

  const decodingSection = (data) =>
    el(
      "section",
      { class: "chapter" },
      el("h2", {}, "What can be read from each layer"),
      el(
        "p",
        { class: "quiet lines" },
        "Accuracy of a linear reader on held-out images. Edges, textures and classes can be read from random layers too, so ",
        "the height of a curve says little; its distance from the twins is what was learned. Whole pictures against the same parts ",
        "apart is the task that carries the claim.",
      ),
      el(
        "ul",
        { class: "storykey" },
        sample("network", "network, with interval"),
        sample("twin", "a random twin"),
        sample("twins", "mean of the twins"),
        sample("shuffled", "shuffled labels"),
        sample("chance", "chance"),
      ),
      el(
        "div",
        { class: "readers" },
        tasksOf(data).map((task) => figure(data, task)),
      ),
    );

  const below = (value) => value !== null && value <= -0.005;
  const hundredths = (value) =>
    value === null ? "–" : (below(value) ? "−" : "") + Math.abs(value).toFixed(2).replace(/^0/, "");

  function heat(data, matrix, title, words) {
    const names = data.layers.map((layer) => layer.name);
    const cell = (value, row, column) =>
      el(
        "td",
        {
          class: below(value) ? "below" : null,
          "--size": value === null ? 0 : Math.min(1, Math.abs(value)),
          title: `${names[row]} and ${names[column]}: ${number(value)}`,
        },
        hundredths(value),
      );
    const short = layerTicks(data.layers, innerWidth < 600 ? 30 : 60); // their numbers where there is no room
    const head = (words) => el("th", { scope: "col" }, el("span", {}, words));
    return el(
      "figure",
      { class: "agreement alike" },
      el("h3", {}, title),
      el("p", { class: "small" }, words),
      el(
        "div",
        { class: "scroller", tabindex: "0", role: "region", "aria-label": title },
        el(
          "table",
          { "--count": names.length },
          el("thead", {}, el("tr", {}, el("td", {}), short.map(head))),
          el(
            "tbody",
            {},
            matrix.map((values, row) =>
              el(
                "tr",
                {},
                el("th", { scope: "row" }, `${row + 1} `, name(names[row], 18)),
                values.map((value, column) => cell(value, row, column)),
              ),
            ),
          ),
        ),
      ),
    );
  }

  const alikeSection = (data) =>
    el(
      "section",
      { class: "chapter" },
      el("h2", {}, "How alike the layers are"),
      el(
        "p",
        { class: "quiet lines" },
        "Debiased linear CKA of what the layers answer to the same images: 1 alike up to a rotation, 0 unrelated.",
      ),
      el(
        "div",
        { class: "two-of" },
        heat(data, data.cka, "Among the layers of the network", "Rows and columns from early to late."),
        heat(
          data,
          data.cka_twins,
          "With the layers of the twins",
          `Rows: the network; columns: its twins, mean over ${plural(data.twins, "twin")}.`,
        ),
      ),
      el("p", { class: "shades small" }, "0", el("i"), "1", el("i", { class: "striped" }), "below 0"),
    );

  Object.assign(LAYERSCOPE, { decodingSection, alikeSection, tasksOf });
})();
