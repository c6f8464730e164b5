"use strict";
// How alike layers are, among themselves and with those of the twins.
(() => {
  const { el, name, number, plural, room, layerTicks, saved, sourceOf } = LAYERSCOPE;

  const below = (value) => value !== null && value <= -0.005;
  const hundredths = (value) =>
    value === null ? "–" : (below(value) ? "−" : "") + Math.abs(value).toFixed(2).replace(/^0/, "");

  function heat(data, matrix, title, words) {
    const columns = room() < 568 ? 30 : 60;
    const names = data.layers.map((layer) => layer.name);
    const cell = (value, row, column) =>
      el(
        "td",
        {
          class: below(value) ? "below" : null,
          "--size": value === null ? 0 : Math.min(1, Math.abs(value)),
          title: `${LAYERSCOPE.short(names[row], 60)} and ${LAYERSCOPE.short(names[column], 60)}: ${number(value)}`,
        },
        hundredths(value),
      );
    const short = layerTicks(data.layers, columns); // their numbers where there is no room
    const head = (words) => el("th", { scope: "col" }, el("span", {}, words));
    const figure = el(
      "figure",
      { class: "agreement alike" },
      el("h3", {}, title),
      el("p", { class: "small" }, words),
      el(
        "div",
        { class: "scroller", tabindex: "0", role: "region", "aria-label": title },
        el(
          "table",
          { "--count": names.length },
          el("thead", {}, el("tr", {}, el("td", {}), short.map(head))),
          el(
            "tbody",
            {},
            matrix.map((values, row) =>
              el(
                "tr",
                {},
                el("th", { scope: "row" }, `${row + 1} `, name(names[row], 18)),
                values.map((value, column) => cell(value, row, column)),
              ),
            ),
          ),
        ),
      ),
    );
    return saved(figure, sourceOf(data, "hierarchy", data.title), title, {
      plots: () => [LAYERSCOPE.matrixPlot(names, names, matrix, hundredths)],
      rows: () => [["", ...names], ...matrix.map((values, row) => [names[row], ...values])],
      python: data.python.similarity,
    });
  }

  const alikeSection = (data) =>
    el(
      "section",
      { class: "chapter" },
      el("h2", {}, "How alike the layers are"),
      el(
        "p",
        { class: "quiet lines" },
        "Debiased linear CKA of what the layers answer to the same images: 1 alike up to a rotation, 0 unrelated.",
      ),
      el(
        "div",
        { class: "two-of" },
        heat(data, data.cka, "Among the layers of the network", "Rows and columns from early to late."),
        heat(
          data,
          data.cka_twins,
          "With the layers of the twins",
          `Rows: the network; columns: its twins, mean over ${plural(data.twins, "twin")}.`,
        ),
      ),
      el("p", { class: "shades small" }, "0", el("i"), "1", el("i", { class: "striped" }), "below 0"),
    );

  LAYERSCOPE.alikeSection = alikeSection;
})();
