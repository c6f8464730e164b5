"use strict";
// Means with their intervals on one scale: dot and whisker, and behind them what the controls get.
(() => {
  const { el, number, ticks } = LAYERSCOPE;
  const CONTROLS = ["random", "centre", "edges"]; // that know nothing of any network
  const DIRECTION = { high: "↑", low: "↓" };
  const LOGARITHMIC = ["seconds"];
  const WHOLE = { part_rank: [-1, 1] }; // scales that are the same whatever was found

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

  // Whether an interval lies beyond those of all maps that know nothing of any network, by one measure.
  function beatsAll({ name, better }, own, controls) {
    const others = CONTROLS.map((one) => controls[one]?.[name]);
    if (![own, ...others].every((one) => known(one) && known(one.low) && known(one.high))) return false;
    return others.every((one) => (better === "high" ? own.low > one.high : own.high < one.low));
  }

  // One row's bar; `controls` are the rows of the controls by name, drawn behind it.
  function intervalBar(measure, row, scale, controls) {
    const own = row[measure.name];
    const beats = !row.control && beatsAll(measure, own, controls);
    const at = (value) => percentOf(scale, value);
    const span = (kind, { low, high, value }) =>
      el("i", { class: kind, "--from": at(low ?? value), "--to": at(high ?? value) });
    return el(
      "span",
      { class: `interval${beats ? " beats" : ""}`, role: "img", "aria-label": spokenInterval(measure, own) },
      scale.ticks.map((value) => el("i", { class: "tick", "--at": at(value) })),
      CONTROLS.filter((name) => known(controls[name]?.[measure.name])).map((name) => [
        name === "random" ? span("band", controls[name][measure.name]) : null,
        el("i", { class: `reference of-${name}`, "--at": at(controls[name][measure.name].value) }),
      ]),
      known(own) ? [span("whisker", own), el("i", { class: "dot", "--at": at(own.value) })] : null,
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

  const intervalKey = () =>
    el(
      "ul",
      { class: "interval-key", "aria-label": "How to read the bars" },
      el("li", {}, el("i", { class: "sample-dot" }), "mean and 95% interval, filled where it beats every control"),
      el("li", {}, el("i", { class: "sample-band" }), "random map"),
      el("li", {}, el("i", { class: "sample-line of-edges" }), "edge detector, from above"),
      el("li", {}, el("i", { class: "sample-line of-centre" }), "centre blob, from below"),
    );

  Object.assign(LAYERSCOPE, { scaleOfMeasure, intervalBar, intervalAxis, intervalKey, intervalWords: between });
  Object.assign(LAYERSCOPE, { measureDirection: ({ better }) => DIRECTION[better] });
})();
