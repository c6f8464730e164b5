"use strict";
// Whether the maps agree with each other, and what happens to the score while the pixels they name come and go.
(() => {
  const { el, svg, name, number, fitted, saved, sourceOf } = LAYERSCOPE;

  const source = (data) => sourceOf(data, data.title, data.network.name);

  const titleOf = (data, which, method) =>
    data.methods.find((one) => one.method === method && one.question === which)?.title ?? method;

  // Rank correlations as a table that can be read: numbers in the cells, their size as shade, below zero striped.
  function agreement(data, which) {
    const found = data.agreement?.[which];
    if (!found || found.methods.length < 2) return null;
    const titles = found.methods.map((method) => titleOf(data, which, method));
    const cell = (value, row, column) =>
      el(
        "td",
        {
          class: row === column ? "self" : below(value) ? "below" : null,
          "--size": value === null ? 0 : Math.abs(value),
          title: `${titles[row]} and ${titles[column]}: ${number(value)}`,
        },
        row === column ? "" : short(value),
      );
    const figure = el(
      "figure",
      { class: "agreement" },
      el("h2", {}, "Do the maps agree?"),
      el("p", { class: "quiet" }, "Rank correlation of each two maps: 1 the same order of pixels, 0 unrelated."),
      el(
        "div",
        { class: "scroller", tabindex: "0", role: "region", "aria-label": "Agreement of the maps" },
        el(
          "table",
          { "--count": titles.length },
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              el("td", {}),
              titles.map((title) => el("th", { scope: "col" }, el("span", {}, name(title, 40)))),
              el("th", { scope: "col", class: "mean" }, el("span", {}, "mean of the others")),
            ),
          ),
          el(
            "tbody",
            {},
            found.matrix.map((values, row) =>
              el(
                "tr",
                {},
                el("th", { scope: "row" }, name(titles[row], 48)),
                values.map((value, column) => cell(value, row, column)),
                el("td", { class: "mean" }, el("b", {}, short(meanBut(values, row)))),
              ),
            ),
          ),
        ),
      ),
      el("p", { class: "shades small" }, "0", el("i"), "1", el("i", { class: "striped" }), "below 0"),
    );
    return saved(figure, source(data), `agreement of the maps, ${which}`, {
      plots: () => [LAYERSCOPE.matrixPlot(titles, titles, found.matrix, short)],
      rows: () => [["", ...titles], ...found.matrix.map((values, row) => [titles[row], ...values])],
      python: data.python.agreement,
    });
  }

  // ".83" and "−.12": two digits are enough to compare, and narrow enough for a telephone.
  const short = (value) =>
    value === null ? "–" : (below(value) ? "−" : "") + Math.abs(value).toFixed(2).replace(/^0/, "");
  const below = (value) => value <= -0.005;

  function meanBut(values, place) {
    const others = values.filter((value, turn) => turn !== place && value !== null);
    return others.length ? others.reduce((sum, value) => sum + value, 0) / others.length : null;
  }

  const [TOP, RIGHT, BOTTOM, LEFT] = [12, 10, 46, 40];
  const CONTROLS = { random: "random map", edges: "edges of the image", centre: "distance to the centre" };
  const PANELS = {
    deletion: ["Taken away", "pixels taken away, the most important first"],
    insertion: ["Put in", "pixels put in, the most important first"],
  };

  const text = (x, y, anchor, words, kind) => svg("text", { x, y, "text-anchor": anchor, class: kind }, words);

  // One panel: the score against the share of pixels that were changed; `key` is "deletion" or "insertion".
  function drawn(curves, key, width) {
    const height = width < 480 ? 250 : 270;
    const [words, axis] = PANELS[key];
    const values = curves.maps.flatMap((one) => one[key]);
    const [low, most] = [Math.min(0, ...values), Math.max(0, ...values)];
    const high = most === 0 && low === 0 ? 1 : most * 1.02;
    const x = (share) => LEFT + (width - LEFT - RIGHT) * share;
    const y = (value) => height - BOTTOM - ((height - TOP - BOTTOM) * (value - low)) / (high - low);
    const path = (points) =>
      points.map((value, at) => `${at ? "L" : "M"}${x(curves.shares[at]).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    const spoken = curves.maps.map((one) => `${one.name} ${number(one[`${key}_area`])}`).join(", ");
    return svg(
      "svg",
      { class: `plot ${key}`, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${words}: ${spoken}` },
      LAYERSCOPE.ticks(low, high, 4).map((value) => [
        svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: "grid" }),
        text(LEFT - 8, y(value) + 4, "end", minus(value)),
      ]),
      [0, 0.25, 0.5, 0.75, 1].map((share) =>
        text(x(share), height - BOTTOM + 18, share === 1 ? "end" : "middle", `${100 * share}%`),
      ),
      text((x(0) + x(1)) / 2, height - 6, "middle", axis, "title"),
      curves.maps.map((one) => svg("path", { d: path(one[key]), class: `line of-${one.kind}`, "data-curve": one.name })),
    );
  }

  const minus = (value) => String(value).replace("-", "−");

  // The best first: how much more is kept while its pixels come than while they go.
  const order = (maps) =>
    [...maps].sort((a, b) => b.insertion_area - b.deletion_area - (a.insertion_area - a.deletion_area));

  const sample = (kind, curve) =>
    svg(
      "svg",
      { class: "plot sample", viewBox: "0 0 30 10", width: 30, height: 10, "aria-hidden": "true" },
      svg("path", { d: "M0 5H30", class: `line of-${kind}`, "data-curve": curve }),
    );

  // Deletion and insertion beside controls that never looked at the network; a row of the table picks a line out.
  function curves(data, which) {
    const found = data.curves?.[which];
    if (!found || !found.maps.length) return null;
    const sorted = order(found.maps);
    const section = el("section", { class: "curves" });
    const rows = new Map();
    let chosen = sorted.find((one) => one.kind === "method")?.name ?? sorted[0].name;

    function pick(drawing) {
      for (const line of drawing.querySelectorAll("[data-curve]")) {
        line.classList.toggle("chosen", line.dataset.curve === chosen);
        if (line.dataset.curve === chosen && !line.closest(".sample")) line.parentNode.append(line); // above the others
      }
      return drawing;
    }

    function choose(wanted) {
      chosen = wanted;
      pick(section);
      for (const [key, row] of rows) {
        row.classList.toggle("chosen", key === chosen);
        row.querySelector("button").setAttribute("aria-pressed", String(key === chosen));
      }
    }

    for (const one of sorted) rows.set(one.name, row(data, which, one, choose));
    section.append(
      el("h2", {}, "What the pixels they name are worth"),
      el(
        "p",
        { class: "quiet" },
        "The ",
        name(found.of, 80),
        ", while pixels give way to ",
        name(found.fill, 40),
        " and the other way round. A map that is no better than a control has not found what the network looks at.",
      ),
      ...(found.note ? [el("p", { class: "quiet" }, "No areas are given: ", name(found.note, 200), ".")] : []),
      el(
        "div",
        { class: "panels" },
        Object.keys(PANELS).map((key) => panel(data, which, key, rows, pick)),
        areas(data, which, rows),
      ),
    );
    choose(chosen);
    return section;
  }

  // One panel and its menu; the key of its file are the buttons of the table.
  function panel(data, which, key, rows, pick) {
    const found = data.curves[which];
    const figure = el(
      "figure",
      { class: "panel" },
      el("h3", {}, PANELS[key][0]),
      fitted((width) => pick(drawn(found, key, width)), innerWidth > 900 ? 1.55 : 1),
    );
    const words = (one) => (one.kind === "control" ? one.name : titleOf(data, which, one.name));
    return saved(figure, source(data), `${key} curves, ${found.of}`, {
      key: () =>
        order(found.maps).map((one) => [
          rows.get(one.name).querySelector("svg"),
          one.kind === "control" ? `${CONTROLS[one.name] || one.name} (control)` : words(one),
        ]),
      rows: () => [
        ["share of pixels", ...found.maps.map(words)],
        ...found.shares.map((share, at) => [share, ...found.maps.map((one) => one[key][at])]),
      ],
      python: data.python.curves,
    });
  }

  const areas = (data, which, rows) => {
    const found = data.curves[which];
    const node = el("div", { class: "areas-of above" }, table(found, rows));
    return saved(node, source(data), `areas under the curves, ${which}`, {
      plots: null,
      rows: () => LAYERSCOPE.rowsOf(found.maps, ["name", "kind", "deletion_area", "insertion_area"]),
      python: data.python.curves,
    });
  };

  // Areas have a scale of their own, so that those of probabilities and logits compare.
  const table = (found, rows) =>
    el(
      "table",
      { class: "areas" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, "area under the curve, 0: ", name(found.fill, 20), ", 1: image"),
          ["taken away ↓", "put in ↑"].map((head) => el("th", { scope: "col" }, head)),
        ),
      ),
      el("tbody", {}, ...rows.values()),
    );

  function row(data, which, one, choose) {
    const control = one.kind === "control";
    const title = control ? CONTROLS[one.name] || one.name : titleOf(data, which, one.name);
    const pick = el(
      "button",
      { type: "button", "aria-pressed": "false", onclick: () => choose(one.name) },
      sample(one.kind, one.name),
      name(title, 40),
      control ? el("span", { class: "small" }, " control") : null,
    );
    return el(
      "tr",
      { class: `of-${one.kind}` },
      el("th", { scope: "row" }, pick),
      el("td", {}, number(one.deletion_area)),
      el("td", {}, number(one.insertion_area)),
    );
  }

  Object.assign(LAYERSCOPE, { agreement, curves });
})();
