"use strict";
// The layers from early to late: what share of their units codes what, beside the mean of the random twins, and how deep
// that stands.
(() => {
  const { el, svg, number, percent, plural, fitted, everyNth, saved, sourceOf, keyOf } = LAYERSCOPE;
  const { CODED, CATEGORIES, stack, largestOf } = LAYERSCOPE;
  const FLOORS = ["edges and colours", "textures", "parts", "objects"];

  const text = (x, y, anchor, words, kind) => svg("text", { x, y, "text-anchor": anchor, class: kind }, words);
  const line = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });

  // The names of the layers where there is room for them, else their numbers, else some of these; null is no word.
  function namesOf(layers, room) {
    const names = layers.map((layer) => LAYERSCOPE.short(layer.name, 60) || "unnamed");
    if (names.every((one) => 6.8 * one.length < room)) return names;
    const nth = everyNth(room, 8 + 7 * String(names.length).length);
    return names.map((_, place) => (place % nth ? null : String(place + 1)));
  }

  const sides = (layer) => [
    Object.fromEntries(CATEGORIES.map((one) => [one, layer.shares[one]?.share ?? 0])),
    Object.fromEntries(CATEGORIES.map((one) => [one, layer.shares[one]?.twins ?? 0])),
  ];

  // Percentages on the parts of a stack that have room for one; where it is thin, the largest of what is coded.
  function written(shares, { x, y, width, height }, isThin) {
    let at = y + height;
    const only = isThin ? largestOf(shares) : null;
    return CATEGORIES.map((one) => {
      const size = height * shares[one];
      at -= size;
      const fits = isThin ? one === only && size >= 12 && width >= 22 : size >= 15 && width >= 30 && one !== "dead";
      const words = `${Math.round(100 * shares[one])}%`;
      return fits ? text(x + width / 2, at + size / 2 + 4, "middle", words, `on-${one}${isThin ? " thin" : ""}`) : null;
    });
  }

  // Where everything stands, at this width of the page in pixels.
  function layout(count, width) {
    const narrow = width < 600;
    const [left, right, tall] = narrow ? [44, 4, 250] : [132, 4, 300];
    const slot = (width - left - right) / count;
    const own = Math.min(68, (narrow ? 0.62 : 0.52) * slot);
    const [twins, gap] = [Math.min(34, (narrow ? 0.2 : 0.25) * slot), Math.min(5, 0.05 * slot)];
    const [top, bottom] = [8, 8 + tall];
    const below = bottom + (narrow || slot < 96 ? 18 : 34);
    const [high, low] = [below + 26, below + (narrow ? 138 : 164)];
    return { width, narrow, left, right: width - right, slot, own, twins, gap, top, bottom, tall, below, high, low };
  }

  function graph(data, width) {
    const at = layout(data.layers.length, width);
    const y = (share) => at.bottom - at.tall * share;
    return svg(
      "svg",
      {
        class: `plot graph${at.slot < 32 ? " is-fine" : ""}`,
        viewBox: `0 0 ${width} ${at.low + 12}`,
        role: "img",
        "aria-label": spoken(data),
      },
      [0, 0.25, 0.5, 0.75, 1].map((share) => [
        line(at.left, y(share), at.right, y(share), "grid"),
        text(at.left - 7, y(share) + 4, "end", `${100 * share}%`),
      ]),
      data.layers.map((layer, place) => column(layer, place, at)),
      namesOf(data.layers, at.slot).map((words, place) =>
        words ? text(at.left + (place + 0.5) * at.slot, at.below, "middle", words, "layer-name") : null,
      ),
      depths(data, at),
    );
  }

  function column(layer, place, at) {
    const [network, mean] = sides(layer);
    const x = at.left + place * at.slot + (at.slot - at.own - at.gap - at.twins) / 2;
    const box = { x, y: at.top, width: at.own, height: at.tall };
    const beside = { ...box, x: x + at.own + at.gap, width: at.twins };
    return [
      stack(network, box, layer.name),
      written(network, box, at.own < 30),
      svg(
        "g",
        { class: "beside" },
        stack(mean, beside, `${LAYERSCOPE.short(layer.name, 36)}, mean of the twins`),
        at.own < 30 ? null : written(mean, beside),
      ),
      at.below - at.bottom < 30
        ? null
        : [
            text(box.x + at.own / 2, at.bottom + 15, "middle", "network", "tiny"),
            text(beside.x + at.twins / 2, at.bottom + 15, "middle", "twins", "tiny"),
          ],
    ];
  }

  function spoken(data) {
    const layers = data.layers.map((layer) => {
      const told = CODED.filter((one) => layer.shares[one]?.units).map(
        (one) => `${one} ${percent(layer.shares[one].share)}, twins ${percent(layer.shares[one].twins)}`,
      );
      const depth = layer.depth ? `; depth ${number(layer.depth.value)}` : "";
      return `${LAYERSCOPE.short(layer.name, 40)}: ${told.join("; ") || "nothing coded"}${depth}`;
    });
    return `Shares of the units of each layer, network and twins. ${layers.join(". ")}`;
  }

  // The depth index of each layer under its stack: 0 edges and colours, 3 objects.
  function depths(data, { left, right, slot, narrow, high, low }) {
    const x = (place) => left + (place + 0.5) * slot;
    const y = (depth) => low - ((low - high) * depth) / 3;
    const there = data.layers.map((layer, place) => [layer.depth, place]).filter(([depth]) => depth);
    const path = there.map(([depth, place], turn) => `${turn ? "L" : "M"}${x(place)} ${y(depth.value)}`).join("");
    const nth = everyNth(slot, narrow ? 30 : 40);
    return svg(
      "g",
      { class: "depths" },
      FLOORS.map((words, floor) => [
        line(left, y(floor), right, y(floor), "grid"),
        text(left - 7, y(floor) + 4, "end", narrow ? String(floor) : `${words} ${floor}`),
      ]),
      svg("path", { d: path, class: "way" }),
      there.map(([depth, place]) => [
        line(x(place), y(depth.low ?? depth.value), x(place), y(depth.high ?? depth.value), "interval"),
        svg(
          "circle",
          { cx: x(place), cy: y(depth.value), r: slot < 30 ? 3 : 4.5, class: "point" },
          svg("title", {}, `depth ${number(depth.value)}, ${number(depth.low)} to ${number(depth.high)}`),
        ),
        place % nth ? null : valueOf(depth, x(place), y, { slot, right, narrow }),
      ]),
      data.layers.map((layer, place) =>
        layer.depth || place % everyNth(slot, 84)
          ? null
          : text(x(place), y(0) - 6, "middle", slot < 84 ? "–" : "nothing coded", "tiny"),
      ),
    );
  }

  // The number beside a point, to the right of it but within the plot; where layers stand close, beyond its interval.
  function valueOf(depth, x, y, { slot, right, narrow }) {
    const words = depth.value.toFixed(narrow ? 1 : 2);
    const [away, size] = narrow ? [5, 18] : [10, 28];
    const below = depth.value > 2.7;
    const ends = x + away + size > right;
    if (slot < 34)
      return text(
        ends ? right : x,
        below ? y(depth.low ?? depth.value) + 13 : y(depth.high ?? depth.value) - 5,
        ends ? "end" : "middle",
        words,
        "note",
      );
    return text(ends ? right : x + away, y(depth.value) + (below ? 15 : -7), ends ? "end" : "start", words, "note");
  }

  const rowsFor = (data) => [
    ["layer", ...CATEGORIES.flatMap((one) => [one, `${one} of twins`]), "depth", "depth low", "depth high"],
    ...data.layers.map((layer) => [
      layer.name,
      ...CATEGORIES.flatMap((one) => sides(layer).map((shares) => shares[one])),
      ...["value", "low", "high"].map((key) => layer.depth?.[key]),
    ]),
  ];

  const graphOf = (data) => {
    const legend = LAYERSCOPE.legendOf();
    const figure = el("figure", { class: "graph-of" }, legend, fitted((width) => graph(data, width)));
    return saved(figure, sourceOf(data, "hierarchy", data.title), "what the layers code, beside random twins", {
      key: () => keyOf([legend]),
      rows: () => rowsFor(data),
      python: data.python.shares,
    });
  };

  const layersSection = (data) =>
    el(
      "section",
      { class: "chapter" },
      el("h2", {}, "From early to late"),
      el(
        "p",
        { class: "quiet lines" },
        "What share of the units of each layer has which label: wide the network, narrow beside it the mean of ",
        `its ${plural(data.twins, "random-weight twin")}, each judged by the others. Below, the depth index of what is beyond `,
        "the twins, with its interval: 0 edges and colours, 1 textures, 2 parts, 3 objects.",
      ),
      graphOf(data),
    );

  Object.assign(LAYERSCOPE, { layersSection, layerTicks: namesOf });
})();
