"use strict";
// To what one unit is tuned: its answers to orientations, frequencies and hues, with what it prefers and how surely.
(() => {
  const { el, svg, number, degrees, chipOf, tuningParts, saved } = LAYERSCOPE;
  const { text, line, circle, at, points, drawing, plotOf, ring, octaves, scale } = tuningParts;

  const isKnown = (row, key) => row[key] !== null && row[key] !== undefined;
  const span = (row, key) =>
    isKnown(row, `${key}_low`) && isKnown(row, `${key}_high`) ? [row[`${key}_low`], row[`${key}_high`]] : null;

  const sector = (range, from, radius) => {
    const steps = Array.from({ length: 13 }, (_, turn) => at(range[0] + ((range[1] - range[0]) * turn) / 12, radius));
    return svg("path", { d: `${points([at((range[0] + range[1]) / 2, from), ...steps])}Z`, class: "known" });
  };

  // The whole disc, each bar twice, so that the shape is that of what the unit answers to.
  function orientationOf(row, curve, stimuli) {
    const most = Math.max(...curve, 1e-9);
    const radius = (value) => (100 * Math.max(0, value)) / most;
    const path = [0, 180].flatMap((turn) =>
      stimuli.orientations.map((angle, place) => at(angle + turn, radius(curve[place]))),
    );
    const range = span(row, "orientation");
    const words = isKnown(row, "orientation")
      ? `bars at ${degrees(row.orientation)}${range ? ` (${degrees(range[0])} to ${degrees(range[1])})` : ""}, selectivity ${number(row.orientation_selectivity)}`
      : `no orientation is known, selectivity ${number(row.orientation_selectivity)}`;
    return plotOf(
      "Orientation",
      drawing(
        "orientation",
        "-124 -118 248 236",
        `Answers to gratings by orientation, at most ${number(most)} deviations: ${words}`,
        [0.5, 1].map((part) => circle(0, 0, 100 * part, "grid")),
        [0, 45, 90, 135].map((angle) => line(...at(angle, 100), ...at(angle + 180, 100), "grid")),
        isKnown(row, "orientation") && range
          ? [0, 180].map((turn) =>
              sector(
                range.map((one) => one + turn),
                0,
                100,
              ),
            )
          : null,
        svg("path", { d: `${points(path)}Z`, class: "answer-of is-edge" }),
        isKnown(row, "orientation")
          ? line(...at(row.orientation, 100), ...at(row.orientation + 180, 100), "preferred")
          : null,
        [0, 45, 90, 135].map((angle) => {
          const [x, y] = at(angle, 109);
          return text(x, y + 4, angle === 90 ? "middle" : angle < 90 ? "start" : "end", `${angle}°`, "tiny");
        }),
      ),
      [words, `; rim: ${number(most)} deviations`],
    );
  }

  // Answers are relative to grey: the dashed circle is zero.
  function hueOf(row, curve, stimuli) {
    const most = Math.max(...curve.map(Math.abs), 1e-9);
    const path = stimuli.hues.map((hue, place) => at(hue, 44 + (40 * curve[place]) / most));
    const range = span(row, "hue");
    const words = isKnown(row, "hue")
      ? `${degrees(row.hue)}${range ? ` (${degrees(range[0])} to ${degrees(range[1])})` : ""}, colour index ${number(row.colour_index)}`
      : `no hue is known, colour index ${number(row.colour_index)}`;
    return plotOf(
      "Hue",
      drawing(
        "hue",
        "-166 -126 332 252",
        `Answers to hues beside grey, at most ${number(most)} deviations: ${isKnown(row, "hue") ? "hue " : ""}${words}`,
        ring(stimuli, 96, 106),
        circle(0, 0, 84, "grid"),
        isKnown(row, "hue") && range ? sector(range, 0, 92) : null,
        circle(0, 0, 44, "zero"),
        svg("path", { d: `${points(path)}Z`, class: "answer-of is-colour" }),
        isKnown(row, "hue") ? line(0, 0, ...at(row.hue, 92), "preferred") : null,
      ),
      [
        isKnown(row, "hue") ? ["hue ", chipOf(row)] : null,
        words,
        `; dashed: as grey, outermost: ${number(most)} deviations`,
      ],
    );
  }

  function frequencyOf(row, curve, stimuli) {
    const [width, height, left, bottom, top] = [300, 236, 34, 38, 10];
    const shown = stimuli.frequencies;
    const [low, high] = [octaves(shown[0]), octaves(shown[shown.length - 1])];
    const most = Math.max(...curve, 1e-9);
    const x = (value) => left + ((width - left - 8) * (octaves(value) - low)) / (high - low);
    const y = (value) => height - bottom - ((height - bottom - top) * Math.max(0, value)) / most;
    const range = span(row, "frequency");
    const inside = (value) => Math.min(width - 8, Math.max(left, x(value)));
    const words = isKnown(row, "frequency")
      ? `${number(row.frequency)} cycles per pixel${range ? ` (${number(range[0])} to ${number(range[1])})` : ""}, bandwidth ${isKnown(row, "bandwidth") ? `${number(row.bandwidth)} octaves` : "unknown"}`
      : "no frequency is known";
    return plotOf(
      "Spatial frequency",
      drawing(
        "frequency",
        `0 0 ${width} ${height}`,
        `Answers to gratings by frequency, at most ${number(most)} deviations: ${words}`,
        LAYERSCOPE.ticks(0, most, 3).map((value) => [
          line(left, y(value), width - 8, y(value), "grid"),
          text(left - 6, y(value) + 4, "end", String(value), "tiny"),
        ]),
        isKnown(row, "frequency") && range
          ? svg("rect", {
              x: inside(range[0]),
              y: top,
              width: Math.max(1, inside(range[1]) - inside(range[0])),
              height: height - bottom - top,
              class: "known",
            })
          : null,
        isKnown(row, "frequency")
          ? line(inside(row.frequency), top, inside(row.frequency), height - bottom, "preferred")
          : null,
        svg("path", {
          d: points(shown.map((value, place) => [x(value), y(curve[place])])),
          class: "answer-of is-open",
        }),
        shown.map((value, place) => circle(x(value), y(curve[place]), 2.4, "dot is-edge")),
        line(left, height - bottom, width - 8, height - bottom, "axis"),
        scale(shown, x, height - bottom + 15),
        text((left + width) / 2, height - 4, "middle", "cycles per pixel", "tiny"),
      ),
      words,
    );
  }

  const SHOWN = { orientation: "orientations", hue: "hues", frequency: "frequencies" };
  const shownBy = (stimuli, key) => stimuli[SHOWN[key]];

  // The curves of one unit; a dead unit has none. `of` and `python` are for its files.
  function unitTuning(row, tuning, place, data, of, python) {
    const draw = { orientation: orientationOf, hue: hueOf, frequency: frequencyOf };
    const there = ["orientation", "frequency", "hue"].filter((key) =>
      tuning[key]?.[place]?.every((value) => value !== null),
    );
    return there.length
      ? el(
          "div",
          { class: "tunings of-unit" },
          there.map((key) =>
            saved(draw[key](row, tuning[key][place], data.stimuli), of, `tuning to ${key}`, {
              rows: () => [
                [key, "answer"],
                ...shownBy(data.stimuli, key).map((one, turn) => [one, tuning[key][place][turn]]),
              ],
              python,
            }),
          ),
        )
      : el("p", { class: "quiet" }, "It answers to no grating and no hue: there is no curve to show.");
  }

  LAYERSCOPE.unitTuning = unitTuning;
})();
