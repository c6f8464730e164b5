"use strict";
// The layers from early to late: what share of their units codes what, beside the mean of the random twins, how deep
// that stands, and by category what is beyond the twins.
(() => {
  const { el, svg, name, number, percent, plural, ticks } = LAYERSCOPE;
  const { CODED, CATEGORIES, tag, signed, between, stack } = LAYERSCOPE;
  const FLOORS = ["edges and colours", "textures", "parts", "objects"];

  const text = (x, y, anchor, words, kind) => svg("text", { x, y, "text-anchor": anchor, class: kind }, words);
  const line = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });
  const isNarrow = () => innerWidth < 600;

  // The names of the layers where there is room for them, and else their numbers.
  function namesOf(layers, room) {
    const names = layers.map((layer) => LAYERSCOPE.short(layer.name, 60) || "unnamed");
    return names.every((one) => 6.8 * one.length < room) ? names : names.map((_, place) => String(place + 1));
  }

  const sides = (layer) => [
    Object.fromEntries(CATEGORIES.map((one) => [one, layer.shares[one]?.share ?? 0])),
    Object.fromEntries(CATEGORIES.map((one) => [one, layer.shares[one]?.twins ?? 0])),
  ];

  // Percentages on the parts of a stack that have room for one.
  function written(shares, { x, y, width, height }) {
    let at = y + height;
    return CATEGORIES.map((one) => {
      const size = height * shares[one];
      at -= size;
      return size < 15 || width < 30 || one === "dead"
        ? null
        : text(x + width / 2, at + size / 2 + 4, "middle", `${Math.round(100 * shares[one])}%`, `on-${one}`);
    });
  }

  function graph(data) {
    const narrow = isNarrow();
    const [width, left, right, tall] = narrow ? [358, 34, 2, 250] : [1216, 124, 4, 300];
    const slot = (width - left - right) / data.layers.length;
    const [own, twins, gap] = [Math.min(68, 0.52 * slot), Math.min(34, 0.25 * slot), Math.min(5, 0.05 * slot)];
    const frame = { left, right: width - right, top: 8, bottom: 8 + tall, slot, narrow };
    const x = (place) => left + place * slot + (slot - own - gap - twins) / 2;
    const y = (share) => frame.bottom - tall * share;
    const columns = data.layers.map((layer, place) => {
      const [network, mean] = sides(layer);
      const box = { x: x(place), y: frame.top, width: own, height: tall };
      const beside = { ...box, x: box.x + own + gap, width: twins };
      return [
        stack(network, box, layer.name),
        written(network, box),
        svg("g", { class: "beside" }, stack(mean, beside, `${layer.name}, mean of the twins`), written(mean, beside)),
        narrow || slot < 110
          ? null
          : [
              text(box.x + own / 2, frame.bottom + 15, "middle", "network", "tiny"),
              text(beside.x + twins / 2, frame.bottom + 15, "middle", "twins", "tiny"),
            ],
      ];
    });
    const below = frame.bottom + (narrow ? 18 : 34);
    const names = namesOf(data.layers, slot).map((words, place) =>
      text(left + (place + 0.5) * slot, below, "middle", words, "layer-name"),
    );
    return svg(
      "svg",
      {
        class: "plot graph",
        viewBox: `0 0 ${width} ${below + (narrow ? 150 : 176)}`,
        role: "img",
        "aria-label": spoken(data),
      },
      [0, 0.25, 0.5, 0.75, 1].map((share) => [
        line(left, y(share), width - right, y(share), "grid"),
        text(left - 7, y(share) + 4, "end", `${100 * share}%`),
      ]),
      columns,
      names,
      depths(data, { ...frame, top: below + 26, bottom: below + (narrow ? 138 : 164) }),
    );
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
  function depths(data, { left, right, top, bottom, slot, narrow }) {
    const x = (place) => left + (place + 0.5) * slot;
    const y = (depth) => bottom - ((bottom - top) * depth) / 3;
    const there = data.layers.map((layer, place) => [layer.depth, place]).filter(([depth]) => depth);
    const path = there.map(([depth, place], turn) => `${turn ? "L" : "M"}${x(place)} ${y(depth.value)}`).join("");
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
          { cx: x(place), cy: y(depth.value), r: 4.5, class: "point" },
          svg("title", {}, `depth ${number(depth.value)}, ${number(depth.low)} to ${number(depth.high)}`),
        ),
        text(
          x(place) + (narrow ? 6 : 10),
          y(depth.value) + (depth.value > 2.7 ? 15 : -7),
          "start",
          depth.value.toFixed(narrow ? 1 : 2),
          "note",
        ),
      ]),
      data.layers.map((layer, place) =>
        layer.depth ? null : text(x(place), y(0) - 6, "middle", narrow ? "–" : "nothing coded", "tiny"),
      ),
    );
  }

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
      LAYERSCOPE.legendOf(),
      graph(data),
    );

  const rangeOf = (data) => {
    const all = data.layers.flatMap((layer) =>
      Object.values(layer.net).flatMap((one) => [one.low ?? 0, one.high ?? 0]),
    );
    return [Math.min(0, ...all) - 0.02, Math.max(0.1, ...all) + 0.02];
  };

  // One category: a dot with its interval in each layer for what is beyond the twins, a ring for the twins' own share.
  function netPanel(data, category, [low, high]) {
    const [width, height, left, top, bottom] = isNarrow() ? [358, 168, 40, 8, 24] : [288, 190, 40, 8, 24];
    const slot = (width - left - 4) / data.layers.length;
    const x = (place) => left + (place + 0.5) * slot;
    const y = (share) => height - bottom - ((height - top - bottom) * (share - low)) / (high - low);
    const there = data.layers.map((layer, place) => [layer, place]).filter(([layer]) => layer.net[category]);
    const twins = (layer) =>
      category === "any"
        ? CODED.reduce((sum, one) => sum + (layer.shares[one]?.twins ?? 0), 0)
        : (layer.shares[category]?.twins ?? 0);
    const words = there.map(
      ([layer]) =>
        `${LAYERSCOPE.short(layer.name, 40)} ${signed(layer.net[category].value)}, ${between(layer.net[category])}`,
    );
    return el(
      "figure",
      { class: `net-of is-${category}` },
      el("h3", {}, category === "any" ? "any of them" : tag(category)),
      svg(
        "svg",
        {
          class: "plot net",
          viewBox: `0 0 ${width} ${height}`,
          role: "img",
          "aria-label": `${category}, beyond the twins: ${words.join("; ")}`,
        },
        ticks(low, high, 4).map((share) => [
          line(left, y(share), width - 4, y(share), share === 0 ? "axis" : "grid"),
          text(left - 6, y(share) + 4, "end", `${Math.round(100 * share)}%`.replace("-", "−")),
        ]),
        namesOf(data.layers, slot).map((named, place) => text(x(place), height - 7, "middle", named, "tiny")),
        there.map(([layer, place]) => {
          const net = layer.net[category];
          return svg(
            "g",
            { class: net.low > 0 ? "is-beyond" : "is-within" },
            svg("title", {}, `${layer.name}: ${signed(net.value)}, ${between(net)}; twins ${percent(twins(layer))}`),
            svg("circle", { cx: x(place) + 6, cy: y(twins(layer)), r: 2.5, class: "ring" }),
            line(x(place), y(net.low), x(place), y(net.high), "interval"),
            svg("circle", { cx: x(place), cy: y(net.value), r: 4, class: "point" }),
          );
        }),
      ),
      el("figcaption", { class: "small" }, most(there, category)),
    );
  }

  function most(there, category) {
    const beyond = there.filter(([layer]) => layer.net[category].low > 0);
    const among = beyond.length ? beyond : there;
    if (!among.length) return "not measured";
    const [layer] = among.reduce((a, b) => (b[0].net[category].value > a[0].net[category].value ? b : a));
    const net = layer.net[category];
    const where = beyond.length
      ? `${beyond.length} of ${there.length} layers are beyond the twins, most `
      : "No layer is beyond the twins; most ";
    return [where, "in ", name(layer.name, 24), " ", el("b", {}, signed(net.value)), ` (${between(net)})`];
  }

  function netSection(data) {
    const range = rangeOf(data);
    return el(
      "section",
      { class: "chapter" },
      el("h2", {}, "Beyond the twins"),
      el(
        "p",
        { class: "quiet lines" },
        "Net shares: what the network has beyond its twins, (share − twins) / (1 − twins). The intervals of all layers and ",
        `categories hold together with ${percent(data.together)}. A full dot is above 0 for sure; a hollow one is not; `,
        "the small ring beside it is the twins’ own share.",
      ),
      el(
        "div",
        { class: "nets" },
        [...CODED, "any"].map((category) => netPanel(data, category, range)),
      ),
    );
  }

  Object.assign(LAYERSCOPE, { layersSection, netSection, layerTicks: namesOf });
})();
