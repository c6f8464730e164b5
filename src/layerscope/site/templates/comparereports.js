"use strict";
// Two hierarchy reports side by side: what share of each layer codes what, and what can be read from it.
(() => {
  const { el, name, percent, plural, findLayer, reportAddress, numberTable } = LAYERSCOPE;
  const { CODED, signed, between, reportStacks, legendOf, tasksOf, furthest, bothSides, trendIn, points } =
    LAYERSCOPE;

  function section(pair, view, remember) {
    if (pair.every((one) => !one.report)) return null;
    const missing = pair.filter((one) => !one.report);
    return el(
      "section",
      { class: "compared" },
      el("h2", {}, "What their units code"),
      missing.map((one) => el("p", { class: "quiet" }, "There is no hierarchy report of ", name(one.title, 60), ".")),
      el("div", { class: "stacks-of-both" }, pair.filter((one) => one.report).map(stacks)),
      legendOf(),
      missing.length ? null : [shares(pair, view, remember), readers(pair)],
    );
  }

  const stacks = ({ title, report }) =>
    el(
      "figure",
      {},
      el("h3", {}, el("a", { href: reportAddress(report) }, name(title, 60))),
      reportStacks(report),
      el(
        "figcaption",
        { class: "small" },
        report.shown ? "A hierarchy is shown. " : "No hierarchy is shown. ",
        `${trendIn(report)} `,
        `False labels on held-out random twins: ${percent(report.false_rate)}.`,
      ),
    );

  // --- shares

  function rowsOf([a, b], label) {
    const net = (layer) => layer?.net[label] ?? null;
    const own = (data, layer) => [findLayer(data, layer.name)].find((one) => one?.name === layer.name) ?? null;
    const rows = a.data.layers.map((layer) => [layer, own(b.data, layer)]);
    rows.push(...b.data.layers.filter((layer) => !own(a.data, layer)).map((layer) => [null, layer]));
    return rows.map(([left, right]) => {
      const [first, second] = [net(left), net(right)];
      const difference = first && second ? second.value - first.value : null;
      return {
        left,
        right,
        words: (left ?? right).name,
        first: first?.value ?? null,
        second: second?.value ?? null,
        difference,
        nets: [first, second],
      };
    });
  }

  const withInterval = (net) =>
    net ? [el("b", {}, signed(net.value)), el("span", { class: "small" }, ` ${between(net)}`)] : "–";

  // Intervals that do not touch are apart for sure; that others overlap proves nothing.
  function apart([a, b]) {
    if (!a || !b) return "–";
    return a.high < b.low || b.high < a.low ? "apart" : "intervals overlap";
  }

  function shares(pair, view, remember) {
    const kinds = ["any", ...CODED];
    const chosen = kinds.includes(view.get("label")) ? view.get("label") : "any";
    const [first, second] = pair.map((one) => LAYERSCOPE.short(one.title, 24));
    const columns = [
      ["layer", "unit", ({ left, right }) => link(pair, left, right)],
      [first, "first", ({ nets }) => withInterval(nets[0])],
      [second, "second", ({ nets }) => withInterval(nets[1])],
      [
        "difference",
        "difference",
        ({ difference, nets }) => (difference === null ? "–" : `${points(difference)}, ${apart(nets)}`),
      ],
    ].map(([head, key, cell]) => ({ head, key, cell }));
    const select = el(
      "select",
      {
        id: "coded",
        onchange: () => {
          view.set("label", select.value);
          remember(view, true);
        },
      },
      kinds.map((one) => el("option", { value: one, selected: one === chosen }, one === "any" ? "any label" : one)),
    );
    const rows = rowsOf(pair, chosen);
    return [
      el("h3", {}, "Beyond their random twins"),
      el(
        "p",
        { class: "quiet lines" },
        "Share of units beyond what random twins of the same network have, with intervals that hold together over all layers and labels of a report. ",
        probes(pair),
      ),
      el(
        "form",
        { class: "choosing", onsubmit: (event) => event.preventDefault() },
        el("label", {}, el("span", {}, "Units coding"), select),
      ),
      numberTable({ columns, rows, what: "layer", view, remember, label: "Shares of both", prefix: "share-" }),
    ];
  }

  const link = ([a, b], left, right) =>
    left
      ? el("a", { href: reportAddress(a.report, left) }, name(left.name, 40))
      : el("a", { href: reportAddress(b.report, right) }, name(right.name, 40));

  const probes = ([a, b]) => {
    const told = ({ data }) =>
      [data.probe?.name, data.probe?.images, data.probe?.fingerprint, data.profile].map(String).join(" ");
    return told(a) === told(b)
      ? "Both were measured on the same images."
      : "They were measured on other images or in another profile.";
  };

  // --- readers

  function best(data, report, task) {
    const found = furthest(data, task);
    if (!found) return "not compared with twins";
    return [
      "furthest in ",
      el("a", { href: reportAddress(report, found.layer) }, name(found.layer.name, 24)),
      ": ",
      bothSides(found.layer.decodability[task]),
      found.beyond.length
        ? `; beyond the twins in ${found.beyond.length} of ${plural(found.there.length, "layer")}`
        : "; in no layer beyond the twins",
    ];
  }

  function readers(pair) {
    const tasks = [...new Set(pair.flatMap(({ data }) => tasksOf(data)))];
    if (!tasks.length) return null;
    const heads = pair.map((one) => LAYERSCOPE.short(one.title, 24));
    const cell = ({ data, report }, turn, task) =>
      el("td", { "data-head": heads[turn] }, el("span", {}, best(data, report, task)));
    return [
      el("h3", {}, "What can be read from their layers"),
      el(
        "table",
        { class: "layers readers-of-both" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            ["what is read", ...heads].map((one) => el("th", { scope: "col" }, one)),
          ),
        ),
        el(
          "tbody",
          {},
          tasks.map((task) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, name(task, 40)),
              pair.map((one, turn) => cell(one, turn, task)),
            ),
          ),
        ),
      ),
    ];
  }

  LAYERSCOPE.compareReports = section;
})();
