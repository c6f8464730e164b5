"use strict";
// Tables of numbers: sorted by a click on a head, filtered where they are long. Filter and order belong to the address.
(() => {
  const { el, plural, contains, filter, sort } = LAYERSCOPE;
  const LONG = 12; // rows; a longer table can be filtered

  // columns: [{head, key, cell}]: `cell(row)` makes the content of a column; `key` is the number it is sorted by, one
  //   lower-case word, or null where it cannot be. The first column heads its row; "unit" is the order it came in.
  // rows: objects that have these numbers (null where unknown) and `words`, the text by which they are filtered.
  // what: what a row is, "layer". Two tables on a page keep their state apart by `prefix`.
  function table({ columns, rows, what, view, remember, label, prefix = "", kind = "layers" }) {
    const state = { columns, what, view, remember, prefix, rows: rows.map((row, unit) => ({ ...row, unit })) };
    const keys = [...new Set(columns.map((one) => one.key).filter((key) => key && key !== "unit"))];
    state.keys = ["unit", ...keys];
    state.language = { numbers: keys, test: (word) => (row) => contains(row.words, word) };
    state.heads = columns.map((column) => head(state, column));
    state.message = el("p", { class: "message", role: "status", id: `${prefix}count` });
    state.body = el("tbody", {});
    state.lines = new Map();
    const bar = toolbar(state, keys);
    show(state);
    return el(
      "div",
      { class: "sortable" },
      bar,
      state.message,
      el("table", { class: kind, "aria-label": label }, el("thead", {}, el("tr", {}, state.heads)), state.body),
    );
  }

  const sortKey = ({ view, prefix, keys }) =>
    keys.includes(view.get(`${prefix}sort`)) ? view.get(`${prefix}sort`) : "unit";
  const isDown = (state) => (state.view.get(`${state.prefix}down`) ?? (sortKey(state) === "unit" ? "0" : "1")) === "1";

  function head(state, { head: words, key }) {
    if (!key) return el("th", { scope: "col" }, words);
    const order = () => {
      const again = sortKey(state) === key;
      const down = again ? !isDown(state) : key !== "unit";
      set(state, { sort: key, down: down ? "1" : "0" });
    };
    return el(
      "th",
      { scope: "col", "data-key": key },
      el("button", { type: "button", class: "sorter", onclick: order }, words, el("i", { "aria-hidden": "true" })),
    );
  }

  // The box is there for long tables, the choice for telephones, where tables have no heads.
  function toolbar(state, keys) {
    const { view, prefix } = state;
    const example = keys.includes("median") ? `${state.what} name, median>1.2` : `${state.what} name`;
    const box = el("input", {
      ...{ type: "search", id: `${prefix}filter`, value: view.get(`${prefix}q`) || "", placeholder: example },
      ...{ autocomplete: "off", spellcheck: "false", "aria-describedby": `${prefix}count` },
      oninput: () => set(state, { q: box.value }),
    });
    const heads = state.columns.filter((one) => one.key);
    const order = el(
      "select",
      { id: `${prefix}order`, onchange: () => set(state, { sort: order.value, down: "" }) },
      heads.map((one) => el("option", { value: one.key }, one.head)),
    );
    state.order = order;
    return el(
      "form",
      { class: "tablebar", onsubmit: (event) => event.preventDefault() },
      state.rows.length > LONG
        ? el("label", { class: "wide" }, el("span", {}, "Filter ", prefix ? null : el("kbd", {}, "f")), box)
        : null,
      el("label", { class: "narrow" }, el("span", {}, "Sort by"), order),
    );
  }

  function set(state, changes) {
    for (const [key, value] of Object.entries(changes)) {
      if (value) state.view.set(state.prefix + key, value);
      else state.view.delete(state.prefix + key);
    }
    state.remember(state.view, false);
    show(state);
  }

  function show(state) {
    const { rows, view, prefix } = state;
    const found = filter(rows, rows.length > LONG ? view.get(`${prefix}q`) || "" : "", state.language);
    const shown = sort(found.units, sortKey(state), isDown(state));
    state.body.replaceChildren(...shown.map((row) => line(state, row)));
    for (const head of state.heads) {
      const sorted = head.dataset.key === sortKey(state);
      if (head.dataset.key)
        head.setAttribute("aria-sort", sorted ? (isDown(state) ? "descending" : "ascending") : "none");
    }
    state.order.value = sortKey(state);
    const count = shown.length === rows.length ? "" : `${shown.length} of ${plural(rows.length, state.what)}.`;
    state.message.textContent = found.error || (shown.length ? count : `No ${state.what} matches the filter.`);
    state.message.classList.toggle("wrong", Boolean(found.error));
  }

  function line(state, row) {
    if (!state.lines.has(row)) {
      const [first, ...others] = state.columns;
      const cells = others.map((one) => el("td", { "data-head": one.head }, el("span", {}, one.cell(row))));
      state.lines.set(row, el("tr", {}, el("th", { scope: "row" }, first.cell(row)), cells));
    }
    return state.lines.get(row);
  }

  LAYERSCOPE.numberTable = table;
})();
