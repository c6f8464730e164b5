"use strict";
// What a hierarchy report measured of one unit beside its tuning: texture, class against controls, concepts.
(() => {
  const { el, svg, name, number, percent, factList, given, saved } = LAYERSCOPE;

  // Intervals on one axis from `low` to `high`, with a reference line.
  function forest(rows, [low, high], reference, label) {
    const [width, tall] = [360, 30];
    const x = (value) => 4 + ((width - 8) * (Math.min(high, Math.max(low, value)) - low)) / (high - low);
    return el(
      "ul",
      { class: "forest" },
      rows.map(([words, value, from, to]) =>
        el(
          "li",
          {},
          el("span", {}, words),
          svg(
            "svg",
            {
              class: "plot",
              viewBox: `0 0 ${width} ${tall}`,
              role: "img",
              "aria-label": `${label}: ${number(value)}${given(from) ? `, ${number(from)} to ${number(to)}` : ""}`,
            },
            svg("line", { x1: x(low), x2: x(high), y1: 15, y2: 15, class: "grid" }),
            svg("line", { x1: x(reference), x2: x(reference), y1: 3, y2: 27, class: "reference" }),
            given(from) ? svg("line", { x1: x(from), x2: x(to), y1: 15, y2: 15, class: "interval" }) : null,
            given(value) ? svg("circle", { cx: x(value), cy: 15, r: 4.5, class: "point" }) : null,
          ),
          el(
            "b",
            {},
            number(value),
            given(from) ? el("span", { class: "small" }, ` ${number(from)} to ${number(to)}`) : null,
          ),
        ),
      ),
    );
  }

  // Only a test that passed says what a unit likes.
  function liked(row) {
    const best = el("b", {}, name(row.texture, 40));
    if (row.texture_passed) return ["Of the textures it likes ", best, " most, beyond noise of the same spectrum."];
    const missing = row.texture_responds
      ? "but no more beyond noise of the same spectrum than units of random twins."
      : "but not beyond noise of the same spectrum.";
    return ["Strongest of the textures is ", best, `, ${missing}`];
  }

  function told(row) {
    const best = el("b", {}, name(row.class, 40));
    return row.object_passed
      ? ["Of all classes it tells ", best, " best, and whole objects from their parts apart; .5 is chance."]
      : ["Best told of all classes is ", best, ", but the test for objects does not pass; .5 is chance."];
  }

  const HEADS = ["measure", "value", "low", "high"];

  // Intervals below each other, with their words and numbers, as the page shows them.
  const save = (node, of, python, what, rows) =>
    saved(node, of, what, {
      python,
      plots: () =>
        [...node.querySelectorAll(".forest li")].map((item) => {
          const [words, drawing, numbers] = item.children;
          return [words.textContent, drawing, numbers.textContent.replace(/^(\S+) (.+)$/, "$1 ($2)")];
        }),
      rows: () => [HEADS, ...rows],
    });

  function texture(row, of, python) {
    if (!given(row.texture)) return null;
    const rows = [["modulation", row.texture_modulation, row.texture_low, row.texture_high]];
    const node = el(
      "div",
      {},
      el("h2", {}, "Texture"),
      el("p", {}, liked(row)),
      forest(rows, [-1, 1], 0, "Texture modulation"),
      factList({ p: row.texture_p, "selectivity, d′": row.texture_selectivity }),
    );
    return save(node, of, python, `texture ${row.texture}`, rows);
  }

  const controlsOf = (row) =>
    Object.keys(row)
      .map((key) => /^versus_(.+)_auc$/.exec(key)?.[1])
      .filter((control) => control && given(row[`versus_${control}_auc`]));

  function classes(row, of, python) {
    if (!given(row.class)) return null;
    const versus = controlsOf(row).map((control) => {
      const key = `versus_${control}`;
      return [`versus ${control.replaceAll("_", " ")}`, row[`${key}_auc`], row[`${key}_low`], row[`${key}_high`]];
    });
    const p = Object.fromEntries(
      controlsOf(row).map((control) => [`p, versus ${control.replaceAll("_", " ")}`, row[`versus_${control}_p`]]),
    );
    const rows = [["AUC", row.class_auc, null, null], ...versus];
    const node = el(
      "div",
      {},
      el("h2", {}, "Class"),
      el("p", {}, told(row)),
      forest(rows, [0, 1], 0.5, "AUC"),
      factList({
        ...p,
        "most selective for": row.selective_class,
        selectivity: row.class_selectivity,
        "p of selectivity": row.class_selectivity_p,
        "hit rate at 1% false alarms": given(row.hit_rate) ? percent(row.hit_rate) : null,
      }),
    );
    return save(node, of, python, `class ${row.class}`, rows);
  }

  function concepts(row, of, python) {
    const there = Object.keys(row)
      .map((key) => /^(.+)_iou$/.exec(key)?.[1])
      .filter((category) => category && given(row[`${category}_iou`]));
    const keys = ["concept", "iou", "iou_ceiling", "rate", "iou_lasting"];
    const rows = () => [
      ["kind", ...keys],
      ...there.map((category) => [category, ...keys.map((key) => row[`${category}_${key}`])]),
    ];
    const node = there.length
      ? el(
          "div",
          {},
          el("h2", {}, "Where it fires"),
          el(
            "p",
            {},
            "By kind the concept that it overlaps most, and the most that any unit of this resolution could.",
          ),
          el(
            "ul",
            { class: "overlaps" },
            there.map((category) => overlap(row, category)),
          ),
        )
      : null;
    return saved(node, of, "where it fires", { rows, python });
  }

  function overlap(row, category) {
    const keys = ["iou", "iou_ceiling", "rate", "iou_lasting"];
    const [iou, ceiling, rate, lasting] = keys.map((key) => row[`${category}_${key}`]);
    return el(
      "li",
      {},
      el(
        "span",
        {},
        el("b", {}, name(row[`${category}_concept`] ?? "–", 32)),
        el("span", { class: "small" }, " ", name(category, 20)),
      ),
      el(
        "span",
        { class: "track", "aria-hidden": "true" },
        el("u", { "--share": ceiling ?? 0 }),
        el("i", { "--share": iou }),
      ),
      el(
        "span",
        { class: "small" },
        "IoU ",
        el("b", {}, number(iou)),
        ` of at most ${number(ceiling)}`,
        given(rate) ? `, at its strongest ${percent(rate)}` : "",
        given(lasting) ? `; ${number(lasting)} is left where things have no textures` : "",
      ),
    );
  }

  // `of` and `python` are for the files that are saved of them.
  const measures = (row, of, python) =>
    el("section", { class: "measures-of" }, [texture, classes, concepts].map((measure) => measure(row, of, python)));

  LAYERSCOPE.unitMeasures = measures;
})();
