"use strict";
// The table of a leaderboard as a drawing to save: a column for each measure, a row for each method.
(() => {
  const { svg, short, scaleOfMeasure, isAhead } = LAYERSCOPE;
  const [LEFT, TOP, ROW, COLUMN, GAP] = [170, 34, 17, 118, 16];
  const [INK, QUIET, LINE, STRONG, ACCENT] = ["#17181a", "#5b5e63", "#e2e2e0", "#8b8e93", "#2743c9"];

  const known = (value) => value !== null && value !== undefined;
  const text = (x, y, anchor, words, style = "") =>
    svg("text", { x, y, "text-anchor": anchor, style: `font-size: 11px; fill: ${INK}; ${style}` }, words);

  // rows as they stand in the table, controls first; `controls` by name; `write` writes the numbers of each measure.
  function forest(rows, measures, controls, write) {
    const height = TOP + ROW * rows.length + 8;
    const width = LEFT + measures.length * (COLUMN + GAP);
    const y = (place) => TOP + ROW * (place + 0.5);
    const pinned = rows.filter((row) => row.control).length;
    const left = (place) => LEFT + place * (COLUMN + GAP);
    return svg(
      "svg",
      { class: "plot", viewBox: `0 0 ${width} ${height}` },
      rows.map((row, place) => text(LEFT - 14, y(place) + 4, "end", short(row.title, 26), row.control ? `fill: ${QUIET}` : "")),
      svg("line", { x1: 0, x2: width, y1: TOP + ROW * pinned, y2: TOP + ROW * pinned, style: `stroke: ${STRONG}` }),
      measures.map((measure, place) => column(measure, rows, { left: left(place), y, height, controls, write })),
    );
  }

  function column(measure, rows, { left, y, height, controls, write }) {
    const scale = scaleOfMeasure(measure, rows);
    const x = (value) => left + COLUMN * 0.68 * Math.min(1, Math.max(0, scale.place(value)));
    const random = controls.random?.[measure.name];
    const rule = (value, colour) =>
      svg("line", { x1: x(value), x2: x(value), y1: TOP - 4, y2: height - 4, style: `stroke: ${colour}` });
    return [
      text(left, TOP - 14, "start", `${short(measure.title, 15)} ${measure.better === "high" ? "↑" : "↓"}`, "font-weight: bold"),
      scale.ticks.map((value) => rule(value, LINE)),
      known(random) ? rule(random.value, STRONG) : null,
      rows.map((row, place) => (known(row[measure.name]) ? dot(measure, row, { x, y: y(place), left, write }) : null)),
    ];
  }

  function dot(measure, row, { x, y, left, write }) {
    const { value, low, high } = row[measure.name];
    const colour = row.control ? QUIET : isAhead(measure, row) ? ACCENT : INK;
    return [
      known(low) ? svg("line", { x1: x(low), x2: x(high), y1: y, y2: y, style: `stroke: ${colour}` }) : null,
      svg("circle", { cx: x(value), cy: y, r: 3, style: `stroke: ${colour}; fill: ${colour === ACCENT ? ACCENT : "#ffffff"}` }),
      text(left + COLUMN, y + 4, "end", write[measure.name](value), `fill: ${colour}`),
    ];
  }

  LAYERSCOPE.forestPlot = forest;
})();
