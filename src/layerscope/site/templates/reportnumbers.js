"use strict";
// All numbers of a hierarchy report by layer: its labels, and what can be read from it; for all layers, and for one.
(() => {
  const { el, name, number, percent, whole, plural, shape, pixels, sees } = LAYERSCOPE;
  const { CODED, CATEGORIES, tag, signed, between, tasksOf, meanOf, reportLayerLink, unstableOf } = LAYERSCOPE;
  const { saved, sourceOf } = LAYERSCOPE;

  const small = (...words) => el("span", { class: "small" }, words);
  const bold = (words) => el("b", {}, words);
  const net = (one) => (one ? [bold(signed(one.value)), small(between(one))] : "–");
  const share = (one) => (one ? [bold(percent(one.share)), small(`twins ${percent(one.twins)}`)] : "–");
  const depth = (one) => (one ? [bold(number(one.value)), small(`${number(one.low)} to ${number(one.high)}`)] : "–");

  // The depth index in the head of a layer, with its interval.
  const depthIn = (layer) =>
    el(
      "span",
      {},
      "depth ",
      bold(layer.depth ? number(layer.depth.value) : "–"),
      layer.depth ? ` (${number(layer.depth.low)} to ${number(layer.depth.high)})` : null,
    );

  // How many labels of a layer are more often another than the same.
  function unstableIn(layer) {
    const count = unstableOf(layer.dots);
    return count
      ? el("span", {}, `${plural(count, "label")} the same in less than half of the redraws of stimuli and images`)
      : null;
  }

  const beyond = (one) =>
    one.beyond_twins
      ? [small("beyond twins ", bold(signed(one.beyond_twins.value))), small(`(${between(one.beyond_twins)})`)]
      : small("not compared with twins");
  const reading = (one) =>
    one
      ? [
          bold(percent(one.accuracy.value)),
          small(between(one.accuracy)),
          one.twins.length ? small(`twins ${percent(meanOf(one.twins))}`) : null,
          beyond(one),
        ]
      : "–";

  const labelColumns = () => [
    ["units", (layer) => whole(layer.units)],
    ...CATEGORIES.map((one) => [tag(one), (layer) => share(layer.shares[one])]),
    ["any, beyond twins", (layer) => net(layer.net.any)],
    ["depth", (layer) => depth(layer.depth)],
    ["false labels", (layer) => percent(layer.false_rate)],
    ["two kinds", (layer) => whole(layer.polysemantic)],
  ];

  const readingColumns = (data) => [
    ["kind", (layer) => name(layer.kind ?? "–", 24)],
    ["shape", (layer) => shape(layer.shape)],
    ["sees", (layer) => sees(layer)],
    ["effective field", (layer) => (layer.effective_field ? pixels(+layer.effective_field.toFixed(1)) : "–")],
    ["stride", (layer) => pixels(layer.stride)],
    ...tasksOf(data).map((task) => [["reading ", name(task, 20)], (layer) => reading(layer.decodability[task])]),
  ];

  function table(of, data, title, columns, words, rows) {
    const heads = el(
      "tr",
      {},
      el("th", { scope: "col" }, "layer"),
      columns.map(([head]) => el("th", { scope: "col" }, head)),
    );
    const row = (layer, place) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, `${place + 1} `, reportLayerLink(of, layer)),
        columns.map(([, value]) => el("td", {}, value(layer))),
      );
    const node = el(
      "div",
      { class: "table-of" },
      el("h3", {}, title),
      el("p", { class: "small" }, words),
      el(
        "div",
        { class: "scroller is-fading", tabindex: "0", role: "region", "aria-label": title },
        el("table", { class: "all-numbers" }, el("thead", {}, heads), el("tbody", {}, data.layers.map(row))),
      ),
    );
    return saved(node, sourceOf(data, "hierarchy", data.title), title, { rows });
  }

  const KEYS = ["name", "kind", "shape", "units", "receptive_field", "effective_field", "stride"];
  const interval = (one) => ["value", "low", "high"].map((key) => one?.[key]);
  const labelRows = ({ layers }) => [
    [
      ...["layer", "units", ...CATEGORIES.flatMap((one) => [one, `${one} of twins`])],
      ...["any beyond twins", "low", "high", "depth", "depth low", "depth high", "false labels", "two kinds"],
    ],
    ...layers.map((layer) => [
      ...[layer.name, layer.units],
      ...CATEGORIES.flatMap((one) => [layer.shares[one]?.share, layer.shares[one]?.twins]),
      ...[interval(layer.net.any), interval(layer.depth), layer.false_rate, layer.polysemantic].flat(),
    ]),
  ];

  function readingRows(data, layers = data.layers) {
    const tasks = tasksOf(data);
    const heads = ["accuracy", "low", "high", "beyond twins", "low", "high", "mean of twins"];
    return [
      [...KEYS, ...tasks.flatMap((task) => heads.map((head) => `${task} ${head}`))],
      ...layers.map((layer) => [
        ...KEYS.map((key) => layer[key]),
        ...tasks.flatMap((task) => {
          const one = layer.decodability[task];
          const twins = one?.twins.length ? meanOf(one.twins) : null;
          return [...interval(one?.accuracy), ...interval(one?.beyond_twins), twins];
        }),
      ]),
    ];
  }

  const numbers = (of, data) =>
    el(
      "section",
      { class: "chapter numbers-of" },
      el("h2", {}, "All numbers by layer"),
      table(
        of,
        data,
        "Labels",
        labelColumns(),
        "Two kinds: units that overlap two kinds of concept about equally, at different places.",
        () => labelRows(data),
      ),
      table(
        of,
        data,
        "Layers and readings",
        readingColumns(data),
        "Accuracies each with its interval; what is beyond the twins holds together over all layers and readings.",
        () => readingRows(data),
      ),
    );

  // --- of one layer

  const line = (head, cells) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, head),
      cells.map((cell) => el("td", {}, cell)),
    );

  const listed = (title, heads, rows) =>
    el(
      "div",
      {},
      el("h2", {}, title),
      el(
        "div",
        { class: "scroller is-fading", tabindex: "0", role: "region", "aria-label": title },
        el(
          "table",
          { class: "claims" },
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              heads.map((head) => el("th", { scope: "col" }, head)),
            ),
          ),
          el("tbody", {}, rows),
        ),
      ),
    );

  const labelled = (layer) =>
    [...CODED, "any"]
      .filter((one) => layer.net[one])
      .map((one) =>
        line(one === "any" ? "any of them" : tag(one), [
          percent(one === "any" ? coded(layer, "share") : layer.shares[one]?.share),
          percent(one === "any" ? coded(layer, "twins") : layer.shares[one]?.twins),
          net(layer.net[one]),
        ]),
      );
  const coded = (layer, side) => CODED.reduce((sum, one) => sum + (layer.shares[one]?.[side] ?? 0), 0);

  const readable = (layer, data) =>
    tasksOf(data)
      .filter((task) => layer.decodability[task])
      .map((task) => {
        const one = layer.decodability[task];
        return line(name(task, 20), [
          [bold(percent(one.accuracy.value)), small(between(one.accuracy))],
          one.twins.length ? percent(meanOf(one.twins)) : "–",
          one.beyond_twins ? net(one.beyond_twins) : "–",
        ]);
      });

  // What the report claims of a layer, where its links lead.
  function claims(layer, data) {
    const of = sourceOf(data, "hierarchy", data.title, layer.name);
    return el(
      "section",
      { class: "two-of claims-of" },
      saved(listed("Labels of its units", ["label", "share", "twins", "beyond twins"], labelled(layer)), of, "labels", {
        rows: () => labelRows({ layers: [layer] }),
      }),
      saved(
        listed("What can be read from it", ["reading", "accuracy", "twins", "beyond twins"], readable(layer, data)),
        of,
        "readings",
        { rows: () => readingRows(data, [layer]) },
      ),
    );
  }

  Object.assign(LAYERSCOPE, { numbersOf: numbers, layerClaims: claims, depthIn, unstableIn });
})();
