"use strict";
// Networks without training whose causes can be worked out by hand: how right each method is on each of them.
(() => {
  const { el, name, short, saved } = LAYERSCOPE;
  const known = (value) => value !== null && value !== undefined;

  const hundredths = (value) => (known(value) ? value.toFixed(2).replace(/^-(0\.00)$/, "$1").replace("-", "−") : "–");

  // The methods of all tiers, each once: the controls, then the others in the order of the leaderboard.
  function methodsOf({ tiers, rows }) {
    const found = new Map();
    for (const row of [...rows, ...tiers.flatMap((tier) => tier.rows)]) if (!found.has(row.method)) found.set(row.method, row);
    const judged = [...found.values()].filter((row) => tiers.some((tier) => rightOf(tier, row)));
    return [...judged.filter((row) => row.control), ...judged.filter((row) => !row.control)];
  }

  const rightOf = (tier, { method }) => tier.rows.find((row) => row.method === method)?.right ?? null;

  function provable(board, of) {
    const { tiers } = board;
    if (!tiers.length) return null;
    const methods = methodsOf(board);
    const frame = LAYERSCOPE.boardFrame("Methods by provable networks", "provable-table");
    frame.append(table(board, methods));
    const node = LAYERSCOPE.boardSection(
      "board-provable",
      "Where the answer is provable",
      "Networks built so that the right answer is known: 1 is right, striped is below 0, the wrong way round.",
      frame,
      el("dl", { class: "tiers" }, tiers.map((tier) => [el("dt", {}, name(tier.title, 60)), el("dd", {}, told(tier))])),
    );
    const heads = tiers.map((tier) => tier.title);
    const values = methods.map((row) => tiers.map((tier) => rightOf(tier, row)?.value ?? null));
    return saved(node, of, "provable networks", {
      plots: () => [LAYERSCOPE.matrixPlot(methods.map((row) => row.title), heads, values, hundredths)],
      rows: () => rowsFor(tiers, methods),
      python: board.python.provable,
    });
  }

  const told = ({ words, measure_title: title, better }) => [
    name(words, 600),
    ` Judged by ${better === "low" ? "1 less " : ""}`,
    name(title, 60),
    ".",
  ];

  function rowsFor(tiers, methods) {
    const heads = tiers.flatMap(({ tier }) => [tier, `${tier}_low`, `${tier}_high`]);
    const values = (row) => tiers.map((tier) => rightOf(tier, row)).flatMap((one) => [one?.value, one?.low, one?.high]);
    return [["method", "control", ...heads], ...methods.map((row) => [row.method, row.control, ...values(row)])];
  }

  function table(board, methods) {
    const { tiers } = board;
    const body = (kind, is) => el("tbody", { class: kind }, methods.filter((row) => row.control === is).map(line));
    const line = (row) =>
      el(
        "tr",
        { class: row.control ? "is-control" : null, "data-method": row.method },
        el("th", { scope: "row" }, el("span", { class: "title" }, name(row.title, 60))),
        tiers.map((tier) => cell(rightOf(tier, row))),
      );
    return el(
      "table",
      { "aria-label": `Attribution methods on provable networks, ${short(board.title, 80)}` },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col", class: "first" }, "Method"),
          tiers.map((tier) => el("th", { scope: "col" }, name(tier.title, 60))),
        ),
      ),
      body("pinned", true),
      body(null, false),
    );
  }

  function cell(right) {
    if (!right) return el("td", { class: "shade is-unknown" }, "–");
    const { value, low, high } = right;
    return el(
      "td",
      {
        class: `shade${value <= -0.005 ? " is-below" : ""}`,
        title: known(low) ? `${hundredths(low)} to ${hundredths(high)}` : null,
        "--size": Math.min(1, Math.abs(value)).toFixed(3),
      },
      el("span", {}, hundredths(value)),
    );
  }

  LAYERSCOPE.provableNetworks = provable;
})();
