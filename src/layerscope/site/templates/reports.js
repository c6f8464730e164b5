"use strict";
// Hierarchy reports: what their categories are called and in which colours, and each of them at a glance.
(() => {
  const { el, svg, name, number, percent, plural, hierarchies, reportAddress, reportPairs, galleryPairs } = LAYERSCOPE;
  const { reports, missing, making } = hierarchies;

  // From the bottom of a stack to its top: what is coded the deeper the higher, then what codes nothing.
  const CODED = ["edge", "colour-edge", "colour", "texture", "part", "object"];
  const CATEGORIES = [...CODED, "none", "dead"];
  const TESTS = ["object", "part", "texture", "colour", "edge"]; // the most demanding first
  const MEANING = {
    edge: "gratings of one orientation",
    "colour-edge": "gratings of one orientation and hue",
    colour: "one hue, more than light",
    texture: "a texture beyond its spectrum",
    part: "a part of an object, wherever it is",
    object: "a whole object, not its parts apart",
    none: "nothing beyond random twins",
    dead: "never active",
  };

  const known = (category) => (CATEGORIES.includes(category) ? category : "none");
  const hue = (colour) => el("i", { class: "swatch-of is-hue", "--tone": colour, "aria-hidden": "true" });
  const swatch = (category) => el("i", { class: `swatch-of is-${known(category)}`, "aria-hidden": "true" });
  const tag = (category) => el("span", { class: "tag" }, swatch(category), name(category, 20));

  const legend = (meanings = false) =>
    el(
      "ul",
      { class: "categories", "aria-label": "Categories" },
      CATEGORIES.map((one) => el("li", {}, tag(one), meanings ? el("span", { class: "small" }, MEANING[one]) : null)),
    );

  const signed = (value) => (value > 0 ? "+" : "") + percent(value).replace("-", "−");
  const between = ({ low, high }) => `${percent(low)} to ${percent(high)}`.replaceAll("-", "−");

  // One stack of shares as rectangles from the bottom up; a title tells the number of each.
  function stack(shares, { x, y, width, height }, words) {
    const told = LAYERSCOPE.short(words, 60);
    let at = y + height;
    return CATEGORIES.map((category) => {
      const size = height * (shares[category] ?? 0);
      if (!size) return null;
      at -= size;
      return svg(
        "rect",
        {
          x: x + 0.5,
          y: at,
          width: Math.max(0.5, width - 1),
          height: Math.max(0.5, size - 0.75),
          class: `share is-${category}`,
          "data-of": category,
        },
        svg("title", {}, `${told}: ${category} ${percent(shares[category])}`),
      );
    });
  }

  const side = (layer, which) =>
    Object.fromEntries(Object.entries(layer.shares).map(([category, pair]) => [category, pair[which]]));

  const spoken = (layer) =>
    CODED.filter((one) => layer.shares[one]?.[0])
      .map((one) => `${one} ${percent(layer.shares[one][0])}, twins ${percent(layer.shares[one][1])}`)
      .join("; ") || "nothing";

  // The stacks of all layers, small: the network, and beside each the mean of its twins.
  function small(report) {
    const [width, height] = [560, 120];
    const slot = width / report.layers.length;
    const [own, twins] = [Math.min(44, 0.58 * slot), Math.min(18, 0.2 * slot)];
    const label = report.layers.map((layer) => `${LAYERSCOPE.short(layer.name, 40)}: ${spoken(layer)}`).join(". ");
    return svg(
      "svg",
      {
        class: "plot stacks",
        viewBox: `0 0 ${width} ${height}`,
        role: "img",
        "aria-label": `Shares by layer. ${label}`,
      },
      report.layers.map((layer, place) => {
        const x = place * slot + (slot - own - twins - 3) / 2;
        return [
          stack(side(layer, 0), { x, y: 0, width: own, height }, layer.name),
          stack(side(layer, 1), { x: x + own + 3, y: 0, width: twins, height }, `${layer.name}, twins`),
        ];
      }),
    );
  }

  // The label that most units of a layer have, with their share; null where none has any.
  function largest(shares) {
    const there = CODED.filter((one) => shares[one]);
    return there.length ? there.reduce((a, b) => (shares[b] > shares[a] ? b : a)) : null;
  }

  function most(layer, words) {
    const label = largest(side(layer, 0));
    const share = label ? `${Math.round(100 * layer.shares[label][0])}% ${label}` : "nothing";
    return el("span", {}, name(layer.name, 24), " ", el("b", {}, share), ` (${words})`);
  }

  // What the words say without their numbers: these stand beside them, all written in one way.
  const withoutNumbers = (words) => String(words).replace(/ \((rank correlation|trend) [^()]*\)/, "");

  // How sure the trend is, from the numbers of the record.
  const trendOf = ({ trend, trend_p: p }) => `${number(trend.low)} to ${number(trend.high)}, p = ${number(p)}`;

  // The trend in a sentence; layers that code nothing have no depth, and of one alone there is no order.
  const trendIn = (report) =>
    report.layers.filter((layer) => layer.depth).length > 1
      ? `Rank correlation of depth and layer ${number(report.trend.value)}, ${trendOf(report)}.`
      : "Too few layers have a depth to rank them.";

  // Below a heading of the first order its own is of the second.
  function card(report, level) {
    const [first, last] = [report.layers[0], report.layers[report.layers.length - 1]];
    return el(
      "article",
      { class: `finding-of ${report.shown ? "is-shown" : "is-not-shown"}` },
      el(level, { class: "titled" }, el("a", { href: reportAddress(report) }, name(report.title, 80))),
      small(report),
      el("p", { class: "under small" }, first ? most(first, "early") : null, last ? most(last, "late") : null),
      el("p", {}, name(withoutNumbers(report.words), 600)),
      el("p", { class: "small" }, trendIn(report)),
      el("p", { class: "small" }, `False labels on held-out random twins: ${percent(report.false_rate)}.`),
    );
  }

  const unfinished = ["is", "are"].map(
    (verb) => `${verb} not finished, being made or interrupted (the same command goes on)`,
  );

  const absent = () =>
    [
      [making, ...unfinished],
      [missing, "has no whole record; make it again", "have no whole record; make them again"],
    ]
      .filter(([titles]) => titles.length)
      .map(([titles, one, many]) =>
        el(
          "p",
          { class: "quiet absent" },
          `${plural(titles.length, "hierarchy report")} ${titles.length === 1 ? one : many}: `,
          titles.slice(0, 6).map((title, turn) => [turn ? ", " : "", name(title, 40)]),
          titles.length > 6 ? ", …" : null,
        ),
      );

  const cards = (level) => [
    legend(),
    el(
      "div",
      { class: "findings" },
      reports.map((report) => card(report, level)),
    ),
    el(
      "p",
      { class: "small" },
      "Each wide bar is a layer of the network, the narrow one beside it the mean of its random twins.",
    ),
  ];

  // The section of the first page; null where no hierarchy was measured.
  function measured(level = "h2") {
    if (!reports.length && !making.length && !missing.length) return null;
    return el(
      "section",
      { class: "measured-of" },
      el(level, {}, "The hierarchy, measured"),
      el(
        "p",
        { class: level === "h1" ? "lead" : "quiet" },
        "What the units of each layer code beyond random-weight twins of the network, from edges to objects.",
      ),
      reports.length ? cards(level === "h1" ? "h2" : "h3") : null,
      absent(),
    );
  }

  const all = () => ({
    title: "Hierarchy reports",
    trail: [["hierarchy", "#/hierarchy"]],
    content: [measured("h1") ?? el("section", {}, el("h1", {}, "No hierarchy was measured"))],
  });

  // [report, layer] of each report of the network of a gallery that tells of this layer, or of this unit.
  const reportsOf = (network, layer, unit = 0) => reportPairs(network, layer).filter(([, found]) => unit < found.units);

  // [network, layer] of each gallery of the network of a report that has a picture of this unit.
  const galleriesOf = (report, layer, unit) =>
    galleryPairs(report, layer).filter(([, found]) => (found.some ? found.some.includes(unit) : unit < found.made));

  Object.assign(LAYERSCOPE, { CODED, CATEGORIES, TESTS, tag, hueChip: hue, legendOf: legend, signed, between });
  Object.assign(LAYERSCOPE, { stack, reportStacks: small, largestOf: largest, withoutNumbers, trendOf, trendIn });
  Object.assign(LAYERSCOPE, { measuredHierarchies: measured, allReports: all, reportsOf, galleriesOf });
})();
