"use strict";
// Two small plots: the ratios of a layer, and the trace of one ascent.
(() => {
  const { el, svg, number, ratio, plural, fitted } = LAYERSCOPE;
  const WIDEST = 420; // pixels of the ratios, beside the head of their layer

  // About `count` round numbers between `low` and `high`.
  function ticks(low, high, count) {
    const raw = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= raw * 0.999);
    const found = [];
    for (let turn = Math.ceil(low / step - 1e-9); turn * step <= high + 1e-9 * step; turn += 1)
      found.push(+(turn * step).toPrecision(12));
    return found;
  }

  const text = (x, y, anchor, words, kind) => svg("text", { x, y, "text-anchor": anchor, class: kind }, words);
  const line = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });

  // How many units of a layer reach which ratio; null where there is no natural activation to compare with.
  function ratios(units) {
    const values = units
      .map((unit) => unit.ratio)
      .filter((value) => value !== null)
      .sort((a, b) => a - b);
    if (values.length < 8) return null;
    return el(
      "figure",
      { class: "ratios-of" },
      fitted((width) => histogram(values, width - 32), 1, 0, WIDEST),
    );
  }

  function histogram(values, width) {
    const [height, bottom] = [96, 22];
    const low = Math.min(0, values[0]);
    const high = Math.max(1.25, values[Math.floor(0.98 * (values.length - 1))] * 1.1);
    const count = Math.max(12, Math.round(width / 12));
    const step = (1 - low) / Math.ceil((count * (1 - low)) / (high - low)); // so that 1 lies between two bars
    const bins = new Array(Math.ceil((high - low) / step)).fill(0);
    for (const value of values) bins[Math.min(bins.length - 1, Math.floor((value - low) / step + 1e-9))] += 1;
    const x = (value) => (width * (value - low)) / (bins.length * step);
    const tall = height - bottom - 14;
    const bars = bins.map((count, place) =>
      svg("rect", {
        x: x(low + place * step) + 0.5,
        width: width / bins.length - 1,
        y: height - bottom - (tall * count) / Math.max(...bins),
        height: (tall * count) / Math.max(...bins),
        class: low + place * step > 1 - 1e-6 ? "bar strong" : "bar",
      }),
    );
    const above = values.filter((value) => value >= 1).length;
    const label = `Ratios of ${plural(values.length, "unit")}: ${above} reach their strongest natural activation`;
    return svg(
      "svg",
      { class: "plot ratios", viewBox: `-16 0 ${width + 32} ${height}`, role: "img", "aria-label": label },
      bars,
      line(0, height - bottom, width, height - bottom, "axis"),
      line(x(1), 2, x(1), height - bottom, "reference"),
      x(1) > width / 2
        ? text(x(1) - 5, 11, "end", "strongest natural activation", "note")
        : text(x(1) + 5, 11, "start", "strongest natural activation", "note"),
      ticks(low, high, Math.min(6, width / 60)).map((value) =>
        text(x(value), height - 6, "middle", ratio(value).replace(/\.?0+×/, "×")),
      ),
    );
  }

  function path(points, x, y) {
    let pen = "M";
    return points
      .map(([step, value]) => {
        if (value === null) {
          pen = "M";
          return "";
        }
        const piece = `${pen}${x(step).toFixed(1)} ${y(value).toFixed(1)}`;
        pen = "L";
        return piece;
      })
      .join("");
  }

  // What was climbed at each step, through the transforms of the ascent: score and control have no line here.
  function trace(unit) {
    const values = unit.trace.map((point) => point[1]).filter((value) => value !== null);
    if (values.length < 2) return null;
    return fitted((width) => curve(unit, values, width), innerWidth > 900 ? 1.9 : 1);
  }

  function curve(unit, values, width) {
    const [height, left, right, top, bottom] = [260, 56, 16, 16, 44];
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const room = 0.06 * (most - least || 1);
    const [low, high] = [least >= 0 && least < 0.5 * most ? 0 : least - room, most + room];
    const last = unit.trace[unit.trace.length - 1][0];
    const x = (step) => left + ((width - left - right) * step) / last;
    const y = (value) => height - bottom - ((height - top - bottom) * (value - low)) / (high - low);
    const ends = [values[0], values[values.length - 1]].map(number);
    const label = `What was climbed over ${unit.steps} steps: from ${ends.join(" to ")}`;
    return svg(
      "svg",
      { class: "plot trace", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
      ticks(low, high, 4).map((value) => [
        line(left, y(value), width - right, y(value), "grid"),
        text(
          left - 8,
          y(value) + 4,
          "end",
          number(value)
            .replace(/(\.\d*?)0+$/, "$1")
            .replace(/\.$/, ""),
        ),
      ]),
      ticks(0, last, 5).map((step) => text(x(step), height - bottom + 18, "middle", String(step))),
      line(left, height - bottom, width - right, height - bottom, "axis"),
      svg("path", { d: path(unit.trace, x, y), class: "curve" }),
      text((left + width - right) / 2, height - 6, "middle", "step of the ascent", "title"),
      svg(
        "text",
        {
          transform: `translate(13 ${(top + height - bottom) / 2}) rotate(-90)`,
          "text-anchor": "middle",
          class: "title",
        },
        "what was climbed",
      ),
    );
  }

  // A matrix of numbers from -1 to 1 as a drawing: the darker the further from 0, with the numbers in it.
  function matrix(rows, columns, values, written) {
    const longest = (words, most) => Math.max(...words.map((one) => Math.min(most, Array.from(one).length)));
    const [left, top, side] = [16 + 7 * longest(rows, 22), 18 + 5 * longest(columns, 18), 44];
    const corner = (place) => ({ x: left + place * side, y: top + place * side });
    const heads = columns.map((words, place) =>
      svg(
        "text",
        { transform: `translate(${corner(place).x + side / 2 + 4} ${top - 8}) rotate(-45)` },
        LAYERSCOPE.short(words, 18),
      ),
    );
    const cell = (value, row, column) => {
      const size = value === null ? 0 : Math.min(1, Math.abs(value));
      const box = { x: corner(column).x, y: corner(row).y, width: side - 1, height: side - 1 };
      const ink = size > 0.55 ? "#ffffff" : "#17181a";
      return [
        svg("rect", { ...box, fill: value < 0 ? "#2166ac" : "#17181a", "fill-opacity": size }),
        svg(
          "text",
          { x: box.x + side / 2, y: box.y + side / 2 + 4, "text-anchor": "middle", style: `fill: ${ink}` },
          written(value),
        ),
      ];
    };
    const [width, height] = [left + columns.length * side + top - 18, top + rows.length * side];
    return svg(
      "svg",
      { class: "plot", viewBox: `0 0 ${width} ${height}` },
      heads,
      rows.map((words, place) =>
        text(left - 8, corner(place).y + side / 2 + 4, "end", LAYERSCOPE.short(words, 22), null),
      ),
      values.map((line, row) => line.map((value, column) => cell(value, row, column))),
    );
  }

  Object.assign(LAYERSCOPE, { ticks, ratios, trace, matrixPlot: matrix });
})();
