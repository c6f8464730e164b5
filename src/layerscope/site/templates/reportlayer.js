"use strict";
// All units of one layer of a hierarchy report, to filter by label and to sort by evidence.
(() => {
  const { el, step, name, number, percent, plural, sees } = LAYERSCOPE;
  const { reportData, reportLayerData, reportAddress, address, galleriesOf, CATEGORIES, TESTS, tag, signed, between } =
    LAYERSCOPE;
  const { rowAt, naturalCrops, codes, sure, given, layerTuning, tuningKey, layerClaims, depthIn, unstableIn } =
    LAYERSCOPE;

  // `view` is what the address says after "?": label, sort, down.
  async function layer(of, at, view, remember) {
    const [data, table] = await Promise.all([reportData(of), reportLayerData(of, at)]);
    const place = of.layers.indexOf(at);
    const told = data.layers[place];
    const source = LAYERSCOPE.sourceOf(data, "hierarchy", of.title, at.name);
    const state = { of, data, told, table, view, remember, source, cards: new Map() };
    state.rows = table.units.unit.map((_, unit) => rowAt(table, unit));
    const link = (to) => (to ? reportAddress(of, to) : null);
    return {
      title: `${at.name} · Hierarchy of ${of.title}`,
      trail: [
        ["hierarchy", "#/hierarchy"],
        [of.title, reportAddress(of)],
        [at.name, reportAddress(of, at)],
      ],
      previous: link(of.layers[place - 1]),
      next: link(of.layers[place + 1]),
      content: [
        head(of, at, told),
        await LAYERSCOPE.layerImages(LAYERSCOPE.ofReport(of, at), (unit) => reportAddress(of, at, unit), source),
        layerClaims(told, data),
        tuningKey(),
        layerTuning(told, data),
        toolbar(state),
        state.message,
        state.grid,
      ],
    };
  }

  function head(of, at, told) {
    const place = of.layers.indexOf(at);
    const stepTo = (other, key, words) => step(other && reportAddress(of, other), key, other && words(other));
    return el(
      "header",
      { class: "head split" },
      el(
        "div",
        {},
        el("h1", {}, name(at.name, 160)),
        el(
          "p",
          { class: "summary" },
          el("span", {}, "sees ", el("b", {}, sees(told))),
          el("span", {}, "units ", el("b", {}, String(told.units))),
          el("span", {}, "beyond twins ", el("b", {}, signed(told.net.any.value)), ` (${between(told.net.any)})`),
          depthIn(told),
          unstableIn(told),
          galleriesOf(of, at, 0).map(([network, found]) =>
            el(
              "span",
              {},
              el("a", { href: address(network, found) }, "pictures of its units in ", name(network.title, 40)),
            ),
          ),
        ),
      ),
      el(
        "nav",
        { class: "steps", "aria-label": "Neighbouring layers" },
        stepTo(of.layers[place - 1], "prev", (to) => ["← ", name(to.name, 20)]),
        stepTo(of.layers[place + 1], "next", (to) => [name(to.name, 20), " →"]),
      ),
    );
  }

  const NUMBERS = [
    "unit",
    "confidence",
    ...TESTS.map((test) => `${test}_evidence`),
    "class_auc",
    "orientation_selectivity",
    "frequency",
  ];
  // The label to show; what is none of them is no filter.
  const wanted = (view) => (CATEGORIES.includes(view.get("label")) ? view.get("label") : null);
  const sortName = (view) => (NUMBERS.includes(view.get("sort")) ? view.get("sort") : "unit");
  const isDown = (view) => (view.get("down") ?? (sortName(view) === "unit" ? "0" : "1")) === "1";

  function toolbar(state) {
    const { view, rows } = state;
    state.message = el("p", { class: "message", role: "status", id: "count" });
    state.grid = el("ul", { class: "grid coded-grid" });
    const there = CATEGORIES.filter((one) => one === wanted(view) || rows.some((row) => row.label === one));
    const label = el(
      "select",
      { id: "label", onchange: () => change(state, "label", label.value) },
      el("option", { value: "" }, `all (${rows.length})`),
      there.map((one) =>
        el(
          "option",
          { value: one, selected: wanted(view) === one },
          `${one} (${rows.filter((row) => row.label === one).length})`,
        ),
      ),
    );
    const order = el(
      "select",
      { id: "sort", onchange: () => change(state, "sort", order.value) },
      NUMBERS.filter((key) => rows.some((row) => given(row[key]))).map((key) =>
        el("option", { value: key, selected: sortName(view) === key }, key.replaceAll("_", " ")),
      ),
    );
    state.down = el("button", {
      type: "button",
      id: "direction",
      onclick: () => change(state, "down", isDown(view) ? "0" : "1"),
    });
    show(state);
    return el(
      "form",
      { class: "toolbar", onsubmit: (event) => event.preventDefault() },
      el("label", {}, el("span", {}, "Label"), label),
      el("span", { class: "pair" }, el("label", {}, el("span", {}, "Sort by"), order), state.down),
      LAYERSCOPE.saveMenu(state.source, "units", {
        rows: () => LAYERSCOPE.rowsOf(shownBy(state), Object.keys(state.table.units)),
        python: state.told.python.preferences,
      }),
    );
  }

  function change(state, key, value) {
    if (value) state.view.set(key, value);
    else state.view.delete(key);
    if (key === "sort") state.view.delete("down");
    state.remember(state.view, false);
    show(state);
  }

  // The rows that pass the filter, in their order.
  function shownBy({ view, rows }) {
    const [label, key] = [wanted(view), sortName(view)];
    const sign = isDown(view) ? -1 : 1;
    return rows
      .filter((row) => !label || row.label === label)
      .sort((a, b) =>
        given(a[key]) && given(b[key])
          ? sign * (a[key] - b[key]) || a.unit - b.unit
          : given(b[key]) - given(a[key]) || a.unit - b.unit,
      );
  }

  function show(state) {
    const { view, rows } = state;
    const [label, key] = [wanted(view), sortName(view)];
    const shown = shownBy(state);
    state.grid.replaceChildren(...shown.map((row) => card(state, row, key)));
    state.down.textContent = isDown(view) ? "↓" : "↑";
    state.down.setAttribute(
      "aria-label",
      isDown(view) ? "Highest first; switch to lowest first" : "Lowest first; switch to highest first",
    );
    const share = rows.length ? ` ${percent(shown.length / rows.length)} of the layer.` : "";
    state.message.textContent = `${plural(shown.length, "unit")}.${label ? share : ""}`;
  }

  function card(state, row, key) {
    if (!state.cards.has(row.unit)) state.cards.set(row.unit, made(state, row));
    const [item, sorted] = state.cards.get(row.unit);
    sorted.textContent = ["unit", "confidence"].includes(key) ? "" : `${key.replaceAll("_", " ")} ${number(row[key])}`;
    return item;
  }

  function made({ of, data, told, table }, row) {
    const sorted = el("p", { class: "small" });
    const item = el(
      "li",
      { class: "unit", "data-unit": row.unit },
      el(
        "a",
        { href: reportAddress(of, told, row.unit) },
        naturalCrops(data, told, row, table, row.unit, 4),
        el("span", { class: "under" }, el("span", { class: "number" }, `#${row.unit}`), sure(row)),
      ),
      el(
        "div",
        { class: "codes" },
        el("p", {}, tag(row.label)),
        codes(row) ? el("p", { class: "small" }, codes(row)) : null,
        sorted,
      ),
    );
    return [item, sorted];
  }

  LAYERSCOPE.reportLayer = layer;
})();
