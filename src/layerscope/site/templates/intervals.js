"use strict";
// Means with their intervals on one scale: dot and whisker, and behind them what the controls get.
(() => {
  const { el, number, ticks, LOGARITHMIC } = LAYERSCOPE;
  const CONTROLS = ["random", "centre", "edges", "even"]; // that know nothing of any network
  const DRAWN = ["random", "centre", "edges"];
  const WHOLE = { density_rank: [-1, 1], part_rank: [-1, 1] }; // scales that are the same whatever was found

  const known = (value) => value !== null && value !== undefined;

  // Where values of a measure lie on the scale of these rows: a function to [0, 1], and the ticks.
  function scaleOfMeasure({ name }, rows) {
    const found = rows.map((row) => row[name]).filter(known);
    const ends = found.flatMap((one) => [one.value, one.low, one.high]).filter(known);
    if (LOGARITHMIC.includes(name)) return logarithmic(ends.filter((value) => value > 0));
    const [low, high] = WHOLE[name] ?? [Math.min(0, ...ends), Math.max(0, ...ends) || 1];
    const room = WHOLE[name] ? 0 : 0.03 * (high - low);
    const [from, to] = [low < 0 ? low - room : low, high + room];
    return { place: (value) => (value - from) / (to - from), ticks: ticks(from, to, 4) };
  }

  function logarithmic(values) {
    const from = Math.floor(Math.log10(Math.min(...values, 1)));
    const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...values, Number.MIN_VALUE))));
    const powers = Array.from({ length: to - from + 1 }, (_, turn) => 10 ** (from + turn));
    return { place: (value) => (Math.log10(Math.max(value, Number.MIN_VALUE)) - from) / (to - from), ticks: powers };
  }

  const percentOf = (scale, value) => `${(100 * Math.min(1, Math.max(0, scale.place(value)))).toFixed(2)}%`;

  const between = ({ low, high }) => (known(low) && low !== high ? `${number(low)} to ${number(high)}` : "");

  function spokenInterval(measure, interval) {
    if (!known(interval)) return `${measure.title}: not measured`;
    return [`${measure.title} ${number(interval.value)}`, between(interval)].filter(Boolean).join(", ");
  }

  const nothings = (name, controls) => CONTROLS.map((one) => controls[one]?.[name]).filter(known);

  // Whether a row is better on the same images than every map that knows nothing and could be compared, by one measure.
  const isAhead = ({ name }, row) => row.ahead.includes(name);

  const at = (scale) => (value) => percentOf(scale, value);
  const span = (scale, kind, { low, high, value }) =>
    el("i", { class: kind, "--from": percentOf(scale, low ?? value), "--to": percentOf(scale, high ?? value) });

  // A bar for a cell that has the numbers beside it: what a random map gets, the best of all maps that know nothing, dot
  // and whisker.
  function cellBar(measure, row, scale, controls) {
    const [own, others] = [row[measure.name], nothings(measure.name, controls).map((one) => one.value)];
    const best = measure.better === "high" ? Math.max(...others) : Math.min(...others);
    const random = controls.random?.[measure.name];
    return el(
      "span",
      { class: `interval in-cell${isAhead(measure, row) ? " beats" : ""}`, "aria-hidden": "true" },
      known(random) ? span(scale, "band", random) : null,
      others.length ? el("i", { class: "reference", "--at": at(scale)(best) }) : null,
      known(own) ? [span(scale, "whisker", own), el("i", { class: "dot", "--at": at(scale)(own.value) })] : null,
    );
  }

  // One row's bar; `controls` are the rows of the controls by name, drawn behind it.
  function intervalBar(measure, row, scale, controls) {
    const own = row[measure.name];
    return el(
      "span",
      { class: `interval${isAhead(measure, row) ? " beats" : ""}`, role: "img", "aria-label": spokenInterval(measure, own) },
      scale.ticks.map((value) => el("i", { class: "tick", "--at": at(scale)(value) })),
      DRAWN.filter((name) => known(controls[name]?.[measure.name])).map((name) => [
        name === "random" ? span(scale, "band", controls[name][measure.name]) : null,
        el("i", { class: `reference of-${name}`, "--at": at(scale)(controls[name][measure.name].value) }),
      ]),
      known(own) ? [span(scale, "whisker", own), el("i", { class: "dot", "--at": at(scale)(own.value) })] : null,
    );
  }

  // The numbers under a column of bars.
  const intervalAxis = (scale) =>
    el(
      "span",
      { class: "interval-axis", "aria-hidden": "true" },
      scale.ticks.map((value) => el("span", { "--at": percentOf(scale, value) }, plain(value))),
    );

  const plain = (value) => (Math.abs(value) < 1e-9 ? "0" : String(+value.toPrecision(3)).replace("-", "−"));

  const key = (kind, words) => el("li", {}, el("i", { class: kind }), words);

  const intervalKey = () =>
    el(
      "ul",
      { class: "interval-key", "aria-label": "How to read the bars" },
      key("sample-dot", "mean and 95% interval, filled where it beats every map that knows nothing of the network on the same images"),
      key("sample-band in-cell", "random map"),
      key("sample-line", "the best of the maps that know nothing"),
    );

  Object.assign(LAYERSCOPE, { scaleOfMeasure, intervalBar, intervalAxis, intervalKey, cellBar, intervalWords: between, isAhead });
})();
