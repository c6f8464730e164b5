"use strict";
// To what units are tuned: orientation, hue and spatial frequency; a dot for each unit of a layer, a curve for one.
(() => {
  const { el, svg, number, plural, saved, sourceOf, rowsOfColumns, keyOf } = LAYERSCOPE;

  const text = (x, y, anchor, words, kind) => svg("text", { x, y, "text-anchor": anchor, class: kind }, words);
  const line = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });
  const circle = (cx, cy, r, kind) => svg("circle", { cx, cy, r, class: kind });

  // Angles turn counter-clockwise from the right, as one sees the picture.
  const at = (degrees, radius, cx = 0, cy = 0) => {
    const angle = (degrees * Math.PI) / 180;
    return [cx + radius * Math.cos(angle), cy - radius * Math.sin(angle)];
  };
  const points = (pairs) => pairs.map(([x, y], turn) => `${turn ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

  function arc(from, to, radius) {
    const steps = Math.max(2, Math.ceil(Math.abs(to - from) / 4));
    return points(Array.from({ length: steps + 1 }, (_, turn) => at(from + ((to - from) * turn) / steps, radius)));
  }

  const drawing = (kind, box, label, ...content) =>
    svg("svg", { class: `plot tuning ${kind}`, viewBox: box, role: "img", "aria-label": label }, content);

  const rowsOf = (dots, needed) =>
    dots.unit
      .map((unit, place) => Object.fromEntries(Object.entries(dots).map(([key, values]) => [key, values[place]])))
      .filter((row) => needed.every((key) => row[key] !== null && row[key] !== undefined));

  const DEGREES = "°";
  const degrees = (value) =>
    `${number(((value % 360) + 360) % 360)
      .replace(/(\.\d*?)0+$/, "$1")
      .replace(/\.$/, "")}${DEGREES}`;

  // The colour that a hue's number means; null where the report has none.
  const chipOf = (row) => (row.hue_colour ? [LAYERSCOPE.hueChip(row.hue_colour), " "] : null);

  // Half a disc: bars have no direction. The further from the middle, the more selective.
  function orientations(dots) {
    const rows = rowsOf(dots, ["orientation", "orientation_selectivity"]);
    const passed = rows.filter((row) => row.edge_passed).length;
    const words = `${rows.length} of ${plural(dots.unit.length, "unit")} have a known orientation, ${passed} of them pass as edges`;
    const radius = 100;
    const most = Math.max(0, ...rows.map((row) => row.orientation_selectivity));
    const rim = [0.25, 0.5, 0.75, 1].find((one) => one >= most) ?? 1;
    return plotOf(
      "Orientation",
      rows.length === 0
        ? null
        : drawing(
            "orientations",
            "-150 -122 300 160",
            words,
            [0.5, 1].map((part) => svg("path", { d: arc(0, 180, radius * part), class: "grid" })),
            [0, 45, 90, 135].map((angle) => line(0, 0, ...at(angle, radius), "grid")),
            line(-radius, 0, radius, 0, "grid"),
            [0, 45, 90, 135, 180].map((angle) => {
              const [x, y] = at(angle, radius + 7);
              const anchor = angle === 90 ? "middle" : angle < 90 ? "start" : "end";
              return text(x, angle % 180 ? y : y + 4, anchor, `${angle}${DEGREES}`, "tiny");
            }),
            [0.5, 1].map((part) => text(radius * part, 15, "middle", String(rim * part).replace(/^0/, ""), "tiny")),
            text(0, 32, "middle", "selectivity", "tiny"),
            ordered(rows, "edge_passed").map((row) => {
              const [x, y] = at(((row.orientation % 180) + 180) % 180, (radius * row.orientation_selectivity) / rim);
              return dot(
                x,
                y,
                row,
                row.edge_passed ? row.label : null,
                `${degrees(row.orientation)}, selectivity ${number(row.orientation_selectivity)}`,
              );
            }),
          ),
      words,
    );
  }

  // Those that pass lie on top.
  const ordered = (rows, key) => [...rows].sort((a, b) => Number(Boolean(a[key])) - Number(Boolean(b[key])));

  const dot = (x, y, row, category, words) =>
    svg(
      "circle",
      {
        cx: x,
        cy: y,
        r: category ? 3.6 : 2.4,
        class: category ? `dot is-${LAYERSCOPE.CATEGORIES.includes(category) ? category : "none"}` : "dot is-other",
      },
      svg("title", {}, `#${row.unit} ${LAYERSCOPE.short(row.label, 20)}: ${words}`),
    );

  // The hues of the stimuli as a ring, and what its quarters are called.
  const ring = (stimuli, inner, outer) => [
    colours(stimuli, inner, outer),
    QUARTERS.map((words) => quarter(words, outer)),
  ];

  const QUARTERS = [
    [0, "red 0°", "start"],
    [90, "blue 90°", "middle"],
    [180, "green 180°", "end"],
    [270, "yellow 270°", "middle"],
  ];

  function quarter([angle, words, anchor], outer) {
    const [x, y] = at(angle, outer + 6);
    return text(x, y + (angle === 90 ? 0 : angle === 270 ? 8 : 4), anchor, words, "tiny");
  }

  const colours = (stimuli, inner, outer) =>
    (stimuli.hue_colours || []).map((colour, place) => {
      const half = 180 / stimuli.hues.length;
      const [from, to] = [stimuli.hues[place] - half, stimuli.hues[place] + half + 0.6];
      const back = points([at(to, inner), at((from + to) / 2, inner), at(from, inner)]).replace("M", "L");
      return svg("path", { d: `${arc(from, to, outer)}${back}Z`, fill: colour });
    });

  // A hue is the angle; outside the dashed circle hue moves a unit more than light does.
  function hues(dots, stimuli) {
    if (!stimuli.hues) return null;
    const rows = rowsOf(dots, ["hue", "colour_index"]);
    const passed = rows.filter((row) => row.colour_passed).length;
    const words = `${rows.length} of ${plural(dots.unit.length, "unit")} have a known hue, ${passed} of them pass as colour`;
    const radius = 84;
    return plotOf(
      "Hue",
      rows.length === 0
        ? null
        : drawing(
            "hues",
            "-164 -122 328 244",
            words,
            ring(stimuli, 92, 102),
            circle(0, 0, radius, "grid"),
            circle(0, 0, radius / 2, "zero"),
            ordered(rows, "colour_passed").map((row) => {
              const [x, y] = at(row.hue, (radius * (row.colour_index + 1)) / 2);
              return dot(
                x,
                y,
                row,
                row.colour_passed ? row.label : null,
                `hue ${degrees(row.hue)}, colour index ${number(row.colour_index)}`,
              );
            }),
          ),
      [words, "; colour index: dashed 0, rim 1"],
    );
  }

  const octaves = (value) => Math.log2(value);

  function frequencies(dots, stimuli) {
    const rows = rowsOf(dots, ["frequency"]).filter((row) => row.frequency > 0);
    const passed = rows.filter((row) => row.edge_passed).length;
    const middle = rows.map((row) => row.frequency).sort((a, b) => a - b)[Math.floor(rows.length / 2)];
    const words = rows.length
      ? `median ${number(middle)} cycles per pixel over ${plural(rows.length, "unit")}, ${passed} of them pass as edges`
      : "no unit has one";
    const drawn = rows.length ? histogram(rows, stimuli.frequencies, words) : null;
    return plotOf("Frequency", drawn, [words, rows.length ? " (strong bars)" : ""]);
  }

  function histogram(rows, shown, words) {
    const [width, height, bottom] = [290, 160, 34];
    const [low, high] = [octaves(shown[0]) - 0.2, octaves(shown[shown.length - 1]) + 0.2];
    const count = 14;
    const bins = Array.from({ length: count }, () => [0, 0]);
    for (const row of rows) {
      const place = Math.floor((count * (octaves(row.frequency) - low)) / (high - low));
      bins[Math.min(count - 1, Math.max(0, place))][row.edge_passed ? 0 : 1] += 1;
    }
    const most = Math.max(...bins.map(([passed, others]) => passed + others));
    const tall = (number) => ((height - bottom - 16) * number) / most;
    const x = (value) => (width * (octaves(value) - low)) / (high - low);
    return drawing(
      "frequencies",
      `-8 0 ${width + 16} ${height}`,
      words,
      bins.map(([passed, others], place) => {
        const box = { x: (place * width) / count + 0.5, width: width / count - 1 };
        const base = height - bottom;
        return [
          svg("rect", { ...box, y: base - tall(passed), height: tall(passed), class: "bar is-passing" }),
          svg("rect", { ...box, y: base - tall(passed + others), height: tall(others), class: "bar" }),
        ];
      }),
      text(width, 10, "end", `highest bar: ${plural(most, "unit")}`, "tiny"),
      line(0, height - bottom, width, height - bottom, "axis"),
      scale(shown, x, height - bottom + 15),
      text(width / 2, height - 3, "middle", "cycles per pixel", "tiny"),
    );
  }

  const scale = (shown, x, y) =>
    [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
      .filter((value) => value >= shown[0] * 0.9 && value <= shown[shown.length - 1] * 1.1)
      .map((value) => text(x(value), y, "middle", String(value).replace(/^0/, ""), "tiny"));

  const plotOf = (title, plot, words) =>
    el(
      "figure",
      { class: "tuned" },
      el("p", { class: "title-of" }, title),
      plot ?? el("p", { class: "no-plot quiet" }, "nothing known"),
      el("figcaption", { class: "small" }, words),
    );

  const sample = (kind, words) =>
    el(
      "li",
      {},
      el(
        "span",
        { class: "tag" },
        svg(
          "svg",
          { class: "plot spot", viewBox: "-6 -6 12 12", "aria-hidden": "true" },
          circle(0, 0, kind === "is-other" ? 3 : 4, `dot ${kind}`),
        ),
        words,
      ),
    );

  // What the dots mean, with the colours of the labels.
  const tuningKey = () =>
    el(
      "div",
      { class: "tuning-key" },
      LAYERSCOPE.legendOf(),
      el(
        "ul",
        { class: "categories", "aria-label": "Dots" },
        sample("is-any", "full, in the colour of its label: passes the test"),
        sample("is-other", "hollow: does not"),
      ),
    );

  // `data` is the report's: what its files say of their making.
  function layerTuning(layer, data) {
    const of = sourceOf(data, "hierarchy", data.title, layer.name);
    const given = { rows: () => rowsOfColumns(layer.dots), python: layer.python.preferences };
    const save = (figure, what) => saved(figure, of, what, { ...given, key: () => keyOf([tuningKey()]) });
    return el(
      "div",
      { class: "tunings" },
      save(orientations(layer.dots), "preferred orientations"),
      save(hues(layer.dots, data.stimuli), "preferred hues"),
      saved(frequencies(layer.dots, data.stimuli), of, "preferred frequencies", given),
    );
  }

  const parts = { text, line, circle, at, points, drawing, plotOf, ring, octaves, scale };

  Object.assign(LAYERSCOPE, { layerTuning, tuningKey, degrees, chipOf, tuningParts: parts });
})();
