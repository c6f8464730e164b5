"use strict";
// One unit as a hierarchy report tells of it: what excites it, what it is called, and the numbers for that.
(() => {
  const { el, name, number, percent, ratio, picture, onSight, tileOf, sheet } = LAYERSCOPE;
  const { CATEGORIES, tag, degrees, chipOf, reportAddress } = LAYERSCOPE;
  const GAP = 3; // pixels of the screen between crops

  // The table is by column; a row is what the cards and the page of a unit read.
  const rowAt = (table, place) => ({
    ...Object.fromEntries(Object.entries(table.units).map(([key, values]) => [key, values[place]])),
    hue_colour: table.hue_colours?.[place],
  });
  const excites = (table, place) =>
    table.exemplars[place].map((tile, turn) => ({
      tile,
      score: table.scores[place][turn],
      box: table.boxes[place][turn],
    }));

  const given = (value) => value !== null && value !== undefined;
  const seesPart = (box) => box.every(given) && box[2] < 0.999;

  // Draws what lies in a box of a picture to a square, and nothing of its neighbours on the sheet.
  async function crop(context, sprite, { tile, box }, x, y, side) {
    const { url, left, top } = tileOf(sprite, tile);
    const image = await sheet(url);
    const [width, height] = sprite.tile;
    const [from, to, part] = box.every(given) ? box : [0, 0, 1];
    const clip = (start, size) => [Math.max(0, start), Math.min(1, start + size)];
    const [[x0, x1], [y0, y1]] = [clip(from, part), clip(to, part)];
    if (!(x1 > x0 && y1 > y0)) return;
    const scale = side / part;
    context.imageSmoothingEnabled = part * width >= 24; // a crop of few pixels is shown as these pixels
    context.imageSmoothingQuality = "high";
    const source = [left + x0 * width, top + y0 * height, (x1 - x0) * width, (y1 - y0) * height];
    context.drawImage(
      image,
      ...source,
      x + (x0 - from) * scale,
      y + (y0 - to) * scale,
      (x1 - x0) * scale,
      (y1 - y0) * scale,
    );
  }

  // Crops of what a unit sees in the pictures that excite it most, as a square of squares.
  function crops(sprite, shown, label) {
    const columns = Math.max(1, Math.ceil(Math.sqrt(shown.length)));
    const rows = Math.max(1, Math.ceil(shown.length / columns));
    return onSight(label, columns / rows, async (context, width) => {
      const space = GAP * (window.devicePixelRatio || 1);
      const side = (width - space * (columns - 1)) / columns;
      const place = (turn) => turn * (side + space);
      await Promise.all(
        shown.map((one, turn) =>
          crop(context, sprite, one, place(turn % columns), place(Math.floor(turn / columns)), side),
        ),
      );
    });
  }

  // A whole picture with the square that the unit sees there.
  function framed(sprite, one, label) {
    return onSight(label, sprite.tile[0] / sprite.tile[1], async (context, width) => {
      await crop(context, sprite, { tile: one.tile, box: [0, 0, 1] }, 0, 0, width);
      if (!seesPart(one.box)) return;
      const [x, y, side] = one.box.map((part) => part * width);
      for (const [colour, size] of [
        ["#000", 3.5],
        ["#fff", 1.5],
      ]) {
        context.strokeStyle = colour;
        context.lineWidth = size * (window.devicePixelRatio || 1);
        context.strokeRect(x, y, side, side);
      }
    });
  }

  const words = {
    object: (row) => [name(row.class ?? "–", 24), ` AUC ${number(row.class_auc)}`],
    part: (row) => [
      name(row.part_concept ?? "–", 24),
      ` IoU ${number(row.part_iou)} of at most ${number(row.part_iou_ceiling)}`,
      given(row.part_iou_lasting) ? `, ${number(row.part_iou_lasting)} without textures` : "",
    ],
    texture: (row) => [name(row.texture ?? "–", 24), ` modulation ${number(row.texture_modulation)}`],
    colour: (row) => [hueOf(row), given(row.hue) ? ", " : "", `index ${number(row.colour_index)}`],
    edge: (row) => [
      given(row.orientation) ? `bars at ${degrees(row.orientation)}, ` : "",
      given(row.frequency) ? `${number(row.frequency)} cycles/px` : "",
    ],
    "colour-edge": (row) => [
      given(row.orientation) ? `bars at ${degrees(row.orientation)}, ` : "",
      given(row.hue) ? hueOf(row) : `index ${number(row.colour_index)}`,
    ],
  };
  const hueOf = (row) => (given(row.hue) ? ["hue ", chipOf(row), degrees(row.hue)] : null);

  // What a unit of a category codes, in words with their number; null for none and dead.
  const codes = (row, category = row.label) => (Object.hasOwn(words, category) ? words[category](row) : null);

  // A label is as stable as it is the same where the stimuli are drawn anew: that does not make it right.
  const STABLE = 0.5;
  const isUnstable = (row) => given(row.confidence) && row.confidence < STABLE;
  const unstableOf = (units) => units.confidence?.filter((confidence) => isUnstable({ confidence })).length ?? 0;
  const stability = (row) => (given(row.confidence) ? `${percent(row.confidence)} of redraws` : "not redrawn");
  const sure = (row) =>
    el(isUnstable(row) ? "span" : "b", { class: isUnstable(row) ? "unsure" : null }, stability(row));
  const evidenceOf = (row) => {
    const tests = row.label === "colour-edge" ? ["edge", "colour"] : [row.label];
    return tests.filter((test) => given(row[`${test}_evidence`])).map((test) => [test, row[`${test}_evidence`]]);
  };

  function described(layer, row) {
    const label = CATEGORIES.includes(row.label) ? row.label : "unlabelled";
    const evidence = evidenceOf(row).map(([test, value]) => `, ${test} evidence ${number(value)}`);
    return `Unit ${row.unit} of ${LAYERSCOPE.short(layer.name, 60)}: ${label}, ${stability(row)}${evidence.join("")}`;
  }

  const synthetic = (data, layer, row, made) =>
    given(layer.tiles[row.unit])
      ? picture(data.pictures, layer.tiles[row.unit], `Synthetic picture of unit ${row.unit}: ${measured(made)}`)
      : el("span", { class: "unmade" }, row.label === "dead" ? "dead: no picture" : "no synthetic picture");

  const measured = (made) =>
    !made || made.status === "dead"
      ? "not measured"
      : given(made.ratio)
        ? `${ratio(made.ratio)} natural`
        : given(made.score)
          ? `score ${number(made.score)}`
          : "not measured";

  // One unit of a report: its synthetic picture, crops of what excites it, its label, and how far that can be trusted.
  function card(report, data, layer, table, place) {
    const row = rowAt(table, place);
    const made = layer.pictures?.[row.unit];
    return el(
      "li",
      { class: "coded-unit", "data-unit": row.unit },
      el(
        "a",
        { href: reportAddress(report, layer, row.unit) },
        el("span", { class: "pair-of" }, synthetic(data, layer, row, made), natural(data, layer, row, table, place)),
        el(
          "span",
          { class: "under" },
          el("span", { class: "number" }, `#${row.unit}`),
          el("span", { class: "small" }, measured(made)),
        ),
      ),
      facts(row),
    );
  }

  const natural = (data, layer, row, table, place, most = 9) =>
    crops(
      data.probe_sheet,
      excites(table, place).slice(0, most),
      `${described(layer, row)}; what it sees where natural images excite it most, up to ${number(table.scores[place][0])}`,
    );

  const facts = (row) =>
    el(
      "div",
      { class: "codes" },
      el("p", { class: "labelled" }, tag(row.label), sure(row)),
      codes(row) ? el("p", {}, codes(row)) : null,
      evidenceOf(row).length
        ? el(
            "p",
            { class: "small" },
            "evidence ",
            evidenceOf(row).map(([test, value], turn) => [turn ? ", " : "", `${test} `, el("b", {}, number(value))]),
          )
        : null,
      row.runner_up
        ? el(
            "p",
            { class: "small" },
            row.runner_up_passed ? "also " : "next ",
            name(row.runner_up, 20),
            ` ${number(row[`${row.runner_up}_evidence`])}`,
          )
        : null,
      row.polysemantic ? el("p", { class: "small" }, "overlaps two kinds of concept about equally") : null,
    );

  Object.assign(LAYERSCOPE, { rowAt, excites, crops, framed, codes, sure, stability, unstableOf, given });
  Object.assign(LAYERSCOPE, {
    unitCard: card,
    naturalCrops: natural,
    syntheticOf: synthetic,
    measuredPicture: measured,
    describedUnit: described,
  });
})();
