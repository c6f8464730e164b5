"use strict";
// What can be read from whole layers by a linear reader.
(() => {
  const { el, svg, name, percent, fitted, everyNth, room, saved, sourceOf, keyOf } = LAYERSCOPE;
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

  function panel(data, task, large, width) {
    const height = large ? (room() < 600 ? 250 : room() < 936 ? 320 : 470) : 190;
    const [left, right, top, bottom] = [40, 6, 18, 24];
    const nth = everyNth((width - left - right) / data.layers.length, 44);
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
      layerTicks(data.layers, slot).map((words, place) =>
        words ? text(x(place), height - 7, "middle", words, "tiny") : null,
      ),
      curve("chance", (one) => one.chance),
      curve("shuffled", (one) => one.shuffled.value),
      Array.from({ length: twins }, (_, turn) => curve("twin", (one) => one.twins[turn])),
      twins ? curve("twins", (one) => mean(one.twins)) : null,
      curve("network", (one) => one.accuracy.value),
      read.map(([one, place]) => [
        line(x(place), y(one.accuracy.low), x(place), y(one.accuracy.high), "interval"),
        svg(
          "circle",
          {
            cx: x(place),
            cy: y(one.accuracy.value),
            r: Math.max(1.2, Math.min(large ? 4.5 : 3.5, 0.4 * slot)),
            class: "point",
          },
          svg("title", {}, `${LAYERSCOPE.short(data.layers[place].name, 60)}: ${told(one)}`),
        ),
        large && place % nth === 0
          ? text(
              x(place),
              Math.max(10, y(one.accuracy.high) - 7),
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

  // The layer that is furthest beyond its twins, and the one of the network that is read best where that is another.
  function furthest(data, task) {
    const there = data.layers.filter((layer) => layer.decodability[task]?.beyond_twins);
    const gain = (layer) => layer.decodability[task].beyond_twins;
    const beyond = there.filter((layer) => gain(layer).low > 0);
    const among = beyond.length ? beyond : there;
    if (!among.length) return null;
    const read = (layer) => layer.decodability[task].accuracy.value;
    const layer = among.reduce((a, b) => (gain(b).value > gain(a).value ? b : a));
    const top = there.reduce((a, b) => (read(b) > read(a) ? b : a));
    return { there, beyond, layer, top: read(top) > read(layer) ? top : null };
  }

  // Both sides of what is beyond the twins, so that no gain is taken for a height.
  const bothSides = (one) => [
    `${percent(one.accuracy.value)} against ${percent(mean(one.twins))} of the twins, `,
    el("b", {}, signed(one.beyond_twins.value)),
    ` (${between(one.beyond_twins)})`,
  ];

  const bestRead = (layer, task, link = (one) => name(one.name, 24)) =>
    layer ? ["; read best from ", link(layer), `: ${percent(layer.decodability[task].accuracy.value)}`] : null;

  function best(data, task) {
    const found = furthest(data, task);
    if (!found) return "not compared with twins";
    const { there, beyond, layer, top } = found;
    return [
      beyond.length
        ? `Beyond the twins in ${beyond.length} of ${there.length} layers, furthest in `
        : "In no layer beyond the twins; furthest in ",
      name(layer.name, 24),
      ": ",
      bothSides(layer.decodability[task]),
      bestRead(top, task),
    ];
  }

  // How many like it would stand side by side.
  function columnsFor(task) {
    const large = task === "configuration";
    if (innerWidth > 1000) return large ? 2 : 4;
    return innerWidth > 600 && !large ? 2 : 1;
  }

  const rowsFor = (data, task) => [
    ["layer", "accuracy", "low", "high", "beyond twins", "low", "high", "shuffled", "chance", "twins"],
    ...data.layers
      .filter((layer) => layer.decodability[task])
      .map((layer) => {
        const one = layer.decodability[task];
        const three = (interval) => ["value", "low", "high"].map((key) => interval?.[key]);
        return [layer.name, ...three(one.accuracy), ...three(one.beyond_twins), one.shuffled.value, one.chance, one.twins];
      }),
  ];

  const figure = (data, task) =>
    saved(drawn(data, task), sourceOf(data, "hierarchy", data.title), `reading ${task}`, {
      key: () => keyOf([legend()]),
      rows: () => rowsFor(data, task),
      python: data.python.readers,
    });

  const drawn = (data, task) =>
    el(
      "figure",
      { class: `reads${task === "configuration" ? " is-large" : ""}` },
      el("h3", {}, name(TITLES[task] ?? task, 40)),
      el("p", { class: "small" }, name(data.tasks[task] ?? "", 160)),
      fitted((width) => panel(data, task, task === "configuration", width), columnsFor(task), 28),
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

  const legend = () =>
    el(
      "ul",
      { class: "storykey" },
      sample("network", "network, with interval"),
      sample("twin", "a random twin"),
      sample("twins", "mean of the twins"),
      sample("shuffled", "shuffled labels"),
      sample("chance", "chance"),
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
        "apart is the task that carries the claim. The intervals beyond the twins hold together over all layers and tasks, those ",
        "of the accuracies drawn here each for itself.",
      ),
      legend(),
      el(
        "div",
        { class: "readers" },
        tasksOf(data).map((task) => figure(data, task)),
      ),
    );

  Object.assign(LAYERSCOPE, { decodingSection, tasksOf, meanOf: mean, furthest, bothSides, bestRead });
})();
