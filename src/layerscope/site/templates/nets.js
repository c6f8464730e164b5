"use strict";
// By category what the layers have beyond their random twins.
(() => {
  const { el, svg, name, percent, ticks, fitted, layerTicks, saved, sourceOf } = LAYERSCOPE;
  const { CODED, tag, signed, between } = LAYERSCOPE;

  const text = (x, y, anchor, words, kind) => svg("text", { x, y, "text-anchor": anchor, class: kind }, words);
  const line = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });

  const rangeOf = (data) => {
    const all = data.layers.flatMap((layer) =>
      Object.values(layer.net).flatMap((one) => [one.low ?? 0, one.high ?? 0]),
    );
    return [Math.min(0, ...all) - 0.02, Math.max(0.1, ...all) + 0.02];
  };

  const titleOf = (category) => (category === "any" ? "any of them" : tag(category));
  const twinsOf = (layer, category) =>
    (category === "any" ? CODED : [category]).reduce((sum, one) => sum + (layer.shares[one]?.twins ?? 0), 0);

  // One category: a dot with its interval in each layer for what is beyond the twins, a ring for the twins' own share.
  function netPlot(data, category, [low, high], width) {
    const [height, left, top, bottom] = [190, 44, 8, 24];
    const slot = (width - left - 4) / data.layers.length;
    const x = (place) => left + (place + 0.5) * slot;
    const y = (share) => height - bottom - ((height - top - bottom) * (share - low)) / (high - low);
    const there = data.layers.map((layer, place) => [layer, place]).filter(([layer]) => layer.net[category]);
    const words = there.map(
      ([layer]) =>
        `${LAYERSCOPE.short(layer.name, 40)} ${signed(layer.net[category].value)}, ${between(layer.net[category])}`,
    );
    return svg(
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
      layerTicks(data.layers, slot).map((named, place) =>
        named ? text(x(place), height - 7, "middle", named, "tiny") : null,
      ),
      there.map(([layer, place]) => mark(layer, category, x(place), y, slot)),
    );
  }

  function mark(layer, category, x, y, slot) {
    const net = layer.net[category];
    const twins = twinsOf(layer, category);
    const told = `${signed(net.value)}, ${between(net)}; twins ${percent(twins)}`;
    return svg(
      "g",
      { class: net.low > 0 ? "is-beyond" : "is-within" },
      svg("title", {}, `${LAYERSCOPE.short(layer.name, 60)}: ${told}`),
      svg("circle", { cx: x + Math.min(6, slot / 2), cy: y(twins), r: slot < 12 ? 1.5 : 2.5, class: "ring" }),
      line(x, y(net.low), x, y(net.high), "interval"),
      svg("circle", { cx: x, cy: y(net.value), r: slot < 12 ? 2 : 4, class: "point" }),
    );
  }

  function most(data, category) {
    const there = data.layers.filter((layer) => layer.net[category]);
    const beyond = there.filter((layer) => layer.net[category].low > 0);
    const among = beyond.length ? beyond : there;
    if (!among.length) return "not measured";
    const layer = among.reduce((a, b) => (b.net[category].value > a.net[category].value ? b : a));
    const net = layer.net[category];
    const where = beyond.length
      ? `${beyond.length} of ${there.length} layers are beyond the twins, most `
      : "No layer is beyond the twins; most ";
    return [where, "in ", name(layer.name, 24), " ", el("b", {}, signed(net.value)), ` (${between(net)})`];
  }

  const panel = (data, category, range) => {
    const columns = innerWidth > 1000 ? 4 : innerWidth > 600 ? 2 : 1;
    const figure = el(
      "figure",
      { class: `net-of is-${category}` },
      el("h3", {}, titleOf(category)),
      fitted((width) => netPlot(data, category, range, width), columns, 28),
      el("figcaption", { class: "small" }, most(data, category)),
    );
    return saved(figure, sourceOf(data, "hierarchy", data.title), `${category} beyond the twins`, {
      rows: () => [
        ["layer", "beyond twins", "low", "high", "share of twins"],
        ...data.layers.map((layer) => [
          layer.name,
          ...["value", "low", "high"].map((key) => layer.net[category]?.[key]),
          twinsOf(layer, category),
        ]),
      ],
      python: data.python.beyond_twins,
    });
  };

  function netSection(data) {
    const range = rangeOf(data);
    return el(
      "section",
      { class: "chapter" },
      el("h2", {}, "Beyond the twins"),
      el(
        "p",
        { class: "quiet lines" },
        "Net shares: what the network has beyond its twins, (share − twins) / (1 − twins). ",
        `The intervals of all layers, labels and “any of them” hold together with ${percent(data.together)}. `,
        "A full dot is above 0 for sure; a hollow one is not; the small ring beside it is the twins’ own share.",
      ),
      el(
        "div",
        { class: "nets" },
        [...CODED, "any"].map((category) => panel(data, category, range)),
      ),
    );
  }

  LAYERSCOPE.netSection = netSection;
})();
