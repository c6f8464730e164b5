"use strict";
// One activation atlas: the map of a layer, and beside it what is measured of the cell that one looks at.
(() => {
  const { el, name, prose, number, percent, plural, whole, picture, script } = LAYERSCOPE;
  const { atlasAddress: address, atlasExtent: extent } = LAYERSCOPE;
  const METHODS = { umap: "UMAP", "pca+t-sne": "PCA and t-SNE" };
  const dataOf = (atlas) => script(atlas.data, `atlas:${atlas.slug}`);

  const shareOf = (cell, label) =>
    (cell.classes.find(([one]) => one === label)?.[1] ?? 0) / Math.max(1, cell.activations);
  const first = (cell) => (cell.classes.length ? cell.classes[0][0] : null);
  const cosines = (cell) =>
    cell.cosine === null
      ? "the picture excites nothing"
      : `cosine ${number(cell.cosine)}${cell.other === null ? "" : `, with another cell ${number(cell.other)}`}`;
  const spoken = (cell) =>
    `Row ${cell.row + 1}, column ${cell.column + 1}: ${plural(cell.activations, "activation")}, ` +
    `most of ${LAYERSCOPE.short(first(cell) ?? "no class", 40)}; ${cosines(cell)}`;

  async function page(atlas, view, remember) {
    const data = await dataOf(atlas);
    const state = { atlas, data, view, remember, cells: [], panel: el("aside", { class: "atlas-cell", id: "atlas-cell" }) };
    const labels = [...new Set(data.cells.flatMap((cell) => cell.classes.map(([label]) => label)))].sort();
    return {
      title: atlas.title,
      trail: [
        ["atlases", "#/atlas"],
        [atlas.title, address(atlas)],
      ],
      content: [
        el(
          "header",
          { class: "head" },
          el("h1", {}, name(atlas.layer, 60), " of ", name(atlas.network, 60)),
          el("p", { class: "lead" }, explained(atlas)),
        ),
        data.cells.length
          ? el("section", { class: "atlas" }, chart(state, labels), state.panel)
          : el("p", { class: "quiet" }, "No cell is made yet; the same command goes on with it."),
        numbers(atlas),
        making(data),
      ],
    };
  }

  const explained = (atlas) =>
    `Each picture stands for the activations that lie there: ${whole(atlas.vectors)} of them, one per image of ` +
    `${LAYERSCOPE.short(atlas.probe, 40)}, laid out by ${METHODS[atlas.method] ?? LAYERSCOPE.short(atlas.method, 40)} so that those that are alike lie side by side.`;

  // The map and, above it, the choice of a class.
  function chart(state, labels) {
    const { atlas, data } = state;
    const { top, left, rows, columns } = extent(atlas.places);
    state.cells = data.cells.map((cell, at) =>
      el(
        "button",
        {
          ...{ type: "button", class: cell.rank === 1 ? "at own" : "at", "aria-label": spoken(cell), tabindex: "-1" },
          ...{ "--row": cell.row - top + 1, "--column": cell.column - left + 1 },
          ...{ onfocus: () => choose(state, at), onmouseenter: () => choose(state, at), onclick: () => choose(state, at) },
          "aria-controls": "atlas-cell",
        },
        picture(data.pictures, at, ""),
      ),
    );
    for (const button of state.cells) {
      const canvas = button.querySelector("canvas"); // the button says what the picture is
      for (const attribute of ["role", "aria-label", "title"]) canvas.removeAttribute(attribute);
      canvas.setAttribute("aria-hidden", "true");
    }
    const map = el(
      "div",
      { ...{ class: "atlas-map scroller", role: "group", "aria-label": "The map; arrow keys go from cell to cell" }, "--columns": columns, "--rows": rows },
      state.cells,
    );
    map.addEventListener("keydown", (event) => step(state, event));
    const label = state.view.get("class");
    choose(state, start(data.cells, label));
    light(state, labels.includes(label) ? label : null);
    return el("div", { class: "atlas-chart" }, labels.length > 1 ? filter(state, labels) : null, map);
  }

  // Where one looks first: the cell that its picture is most like, of a class if one is chosen.
  function start(cells, label) {
    const weight = (cell) => (label ? shareOf(cell, label) : 1) * (1 + (cell.cosine ?? -1));
    return cells.reduce((best, cell, at) => (weight(cell) > weight(cells[best]) ? at : best), 0);
  }

  function filter(state, labels) {
    const chosen = state.view.get("class");
    return el(
      "form",
      { class: "atlas-choice", onsubmit: (event) => event.preventDefault() },
      el(
        "label",
        {},
        "Light up ",
        el(
          "select",
          {
            id: "filter",
            onchange: ({ target }) => {
              if (target.value) state.view.set("class", target.value);
              else state.view.delete("class");
              state.remember(state.view, false);
              light(state, target.value || null);
            },
          },
          el("option", { value: "" }, "all classes"),
          labels.map((one) => el("option", { value: one, selected: one === chosen }, LAYERSCOPE.short(one, 40))),
        ),
      ),
      el("p", { class: "small" }, el("i", { class: "key-own" }), "no other cell is more like the picture"),
    );
  }

  // Cells are as bright as the share of their activations that come from images of the class.
  function light(state, label) {
    const shares = state.data.cells.map((cell) => (label ? shareOf(cell, label) : 1));
    const most = Math.max(...shares) || 1;
    state.cells.forEach((button, at) => {
      button.style.setProperty("--light", (0.08 + 0.92 * (shares[at] / most)).toFixed(3));
    });
  }

  function choose(state, at) {
    if (state.chosen === at) return;
    state.cells[state.chosen]?.removeAttribute("aria-current");
    state.cells[state.chosen]?.setAttribute("tabindex", "-1");
    state.chosen = at;
    state.cells[at].setAttribute("aria-current", "true");
    state.cells[at].setAttribute("tabindex", "0");
    state.panel.replaceChildren(...told(state.data, at).filter(Boolean));
  }

  const WAYS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

  // To the nearest cell that way: along first, and beside that as little as possible.
  function step(state, event) {
    const way = WAYS[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const here = state.data.cells[state.chosen];
    let [best, least] = [null, Infinity];
    state.data.cells.forEach((cell, at) => {
      const [down, right] = [cell.row - here.row, cell.column - here.column];
      const along = down * way[0] + right * way[1];
      const beside = Math.abs(down * way[1]) + Math.abs(right * way[0]);
      const far = along + 2.5 * beside;
      if (along > 0 && far < least) [best, least] = [at, far];
    });
    if (best !== null) state.cells[best].focus();
  }

  // --- what is measured of a cell

  function told(data, at) {
    const cell = data.cells[at];
    return [
      el("figure", { class: "atlas-large" }, picture(data.pictures, at, spoken(cell))),
      el(
        "div",
        { class: "atlas-told" },
        el("h2", {}, `Row ${cell.row + 1}, column ${cell.column + 1}`, el("span", { class: "small" }, ` ${plural(cell.activations, "activation")}`)),
        likeness(cell),
        cell.status === "converged" ? null : el("p", { class: "small" }, `${cell.status}: `, name(cell.note, 300)),
      ),
      crops(data, at, cell),
      classes(cell),
      attributed(cell),
    ];
  }

  // The picture's cosine with its own cell as a bar, and with another one as a ring.
  function likeness(cell) {
    if (cell.cosine === null) return el("p", {}, "The picture excites nothing in this layer.");
    const place = (value) => `${100 * Math.min(1, Math.max(0, value))}%`;
    return el(
      "div",
      { class: "atlas-like" },
      el("p", {}, el("b", { class: "big" }, number(cell.cosine)), el("span", { class: "small" }, " cosine of picture and cell")),
      el(
        "span",
        { class: cell.rank === 1 ? "ruler strong" : "ruler", "aria-hidden": "true" },
        el("i", { class: "bar", "--from": "0%", "--to": place(cell.cosine) }),
        cell.other === null ? null : el("i", { class: "control", "--at": place(cell.other) }),
      ),
      el(
        "p",
        { class: "small" },
        cell.other === null ? "There is no other cell." : `${number(cell.other)} with another cell, the control; `,
        cell.rank === null ? null : cell.rank === 1 ? `none of ${whole(cell.of - 1)} others is more like it.` : `${whole(cell.rank - 1)} of ${whole(cell.of - 1)} others are more like it.`,
      ),
    );
  }

  function crops(data, at, cell) {
    if (!data.crops || !cell.crops.length) return null;
    const words = `What the activations nearest to the mean saw: ${LAYERSCOPE.short([...new Set(cell.crops)].join(", "), 120)}`;
    return el(
      "div",
      { class: "atlas-crops" },
      el("h3", {}, "What they saw"),
      picture(data.crops, at * data.crops.crops, words, { count: cell.crops.length, gap: 4 }),
    );
  }

  function classes(cell) {
    if (!cell.classes.length) return null;
    const rest = cell.classes.slice(5).reduce((sum, [, count]) => sum + count, 0);
    return el(
      "div",
      { class: "atlas-classes" },
      el("h3", {}, "Images that they come from"),
      el(
        "ul",
        { class: "bars" },
        cell.classes
          .slice(0, 5)
          .map(([label, count]) =>
            el(
              "li",
              {},
              name(label, 30),
              el("span", { class: "track" }, el("i", { "--share": count / cell.activations })),
              el("b", {}, whole(count)),
            ),
          ),
      ),
      rest ? el("p", { class: "small" }, `${whole(rest)} of other classes`) : null,
    );
  }

  const attributed = (cell) =>
    cell.attributed.length
      ? el(
          "div",
          { class: "atlas-classes" },
          el("h3", {}, "What the network makes of their mean"),
          el("ul", { class: "atlas-logits" }, cell.attributed.map(([label, logit]) => el("li", {}, name(label, 30), el("b", {}, ` ${number(logit)}`)))),
          el("p", { class: "small" }, "logits; all that follows this layer is linear"),
        )
      : null;

  // --- the numbers of the whole map

  function numbers(atlas) {
    const rows = [
      ["nearest neighbours kept", percent(atlas.kept), `shuffled ${percent(atlas.kept_shuffled)}`],
      ["trustworthiness", number(atlas.trust), `shuffled ${number(atlas.trust_shuffled)}`],
      ["pictures most like their own cell", `${whole(atlas.nearest)} of ${whole(atlas.ranked)}`, atlas.ranked ? `chance ${percent(1 / atlas.wanted)}` : null],
      ["cosine of picture and cell, median", number(atlas.cosine), `another cell ${number(atlas.other)}`],
      ["cells", atlas.places.length === atlas.wanted ? whole(atlas.wanted) : `${whole(atlas.places.length)} of ${whole(atlas.wanted)}`, `at least ${plural(atlas.least ?? 1, "activation")} each`],
      ["activations on them", `${whole(atlas.shown ?? 0)} of ${whole(atlas.vectors)}`, atlas.silent ? `${plural(atlas.silent, "image")} gave none` : null],
    ];
    return el(
      "section",
      { class: "atlas-numbers" },
      el("h2", {}, "How far to trust this map"),
      el(
        "dl",
        {},
        rows.map(([key, value, beside]) =>
          el("div", {}, el("dt", {}, key), el("dd", {}, el("b", {}, value), beside ? el("span", { class: "small" }, beside) : null)),
        ),
      ),
      prose(
        `Kept: the share of the ${atlas.neighbours} nearest neighbours of an activation, by cosine, that are among its ` +
          `${atlas.neighbours} nearest on the map. Distances between far parts of the map mean nothing.`,
        { class: "small" },
      ),
    );
  }

  const making = (data) =>
    el(
      "section",
      { class: "atlas-making" },
      data.python.atlas ? LAYERSCOPE.command("The line of Python that makes it again", data.python.atlas) : null,
      LAYERSCOPE.command("The figure for a paper", data.python.figure),
    );

  LAYERSCOPE.atlasPage = page;
})();
