"use strict";
// The search: a dialog over any page, and a page of all that was found. Its index comes when somebody searches first.
(() => {
  const { el, name, plural, whole, script, searchUrl, prepareSearch, findAll, searchExamples } = LAYERSCOPE;
  const [FEW, MANY] = [6, 200];
  const TITLES = { reports: "hierarchy reports", methods: "attribution methods" };
  let prepared = null;

  const ready = async () => (prepared ??= prepareSearch(await script(searchUrl, "search")));
  const pageOf = (query) => `#/search?${new URLSearchParams({ q: query })}`;
  const titleOf = (kind) => TITLES[kind] ?? kind;

  const KNOWN =
    "units (conv3:26 or 26), layers, classes, concepts, networks, images, hierarchy reports, methods and pages";

  const hint = (index) => [
    `You can search for ${KNOWN}. For example: `,
    searchExamples(index).map((one, turn) => [turn ? ", " : "", name(one, 32)]),
    ".",
  ];

  const nothing = (query, index) => ["Nothing here is called “", name(query, 60), "”. ", hint(index)];

  const row = (one) => [
    el("span", { class: "found-title" }, name(one.title, 60)),
    el("span", { class: "found-detail" }, name(one.detail, 80)),
    el("b", { class: "found-number" }, one.measured),
  ];

  // --- the dialog, a combobox: the input keeps the focus, the active option is named by its id

  function dialog() {
    const list = el("ul", { id: "found", role: "listbox", "aria-label": "Found" });
    const said = el("div", { class: "said", role: "status" });
    const input = el("input", {
      ...{ type: "text", id: "search-input", role: "combobox", "aria-controls": "found", "aria-expanded": "false" },
      ...{ "aria-autocomplete": "list", "aria-label": "Search everything", autocomplete: "off", spellcheck: "false" },
      ...{ maxlength: 200, placeholder: "conv3:26, owl, stripes, deeplift" },
    });
    const close = el("button", { type: "button", class: "close", onclick: () => box.close() }, "Close");
    const box = el(
      "dialog",
      { class: "search", "aria-label": "Search" },
      el("form", { method: "dialog", class: "asking", onsubmit: (event) => event.preventDefault() }, input, close),
      said,
      list,
    );
    const state = { box, input, list, said, active: -1, links: [] };
    input.addEventListener("input", () => look(state));
    input.addEventListener("keydown", (event) => onKey(state, event));
    list.addEventListener("click", (event) => go(state, event.target.closest("[role=option]")));
    box.addEventListener("click", (event) => (event.target === box ? box.close() : null)); // beside it
    document.body.append(box);
    return state;
  }

  async function look(state) {
    const query = state.input.value;
    let index;
    try {
      index = await ready();
    } catch (error) {
      return state.said.replaceChildren(error.message);
    }
    if (state.input.value !== query) return; // somebody typed on meanwhile
    const groups = findAll(index, query, FEW);
    const total = groups.reduce((sum, group) => sum + group.total, 0);
    state.list.replaceChildren(...groups.map(group), ...(total > 1 ? [toAll(query, total)] : []));
    state.said.replaceChildren(
      ...[total ? `${plural(total, "result")}.` : query.trim() ? nothing(query, index) : hint(index)].flat(Infinity),
    );
    state.said.classList.toggle("unseen", Boolean(total)); // the last option says it to those who see
    activate(state, total ? 0 : -1);
    state.input.setAttribute("aria-expanded", String(Boolean(total)));
  }

  const group = ({ kind, total, found }) =>
    el(
      "li",
      { role: "presentation" },
      el("p", { class: "kind", id: `kind-${kind}`, "aria-hidden": "true" }, `${titleOf(kind)} ${whole(total)}`),
      el(
        "ul",
        { role: "group", "aria-label": titleOf(kind) },
        found.map((one, turn) => option(`found-${kind}-${turn}`, one.link, row(one))),
      ),
    );

  const option = (id, link, content) =>
    el("li", { role: "option", id, "aria-selected": "false", "data-link": link }, content);

  const toAll = (query, total) => {
    const words = el("span", { class: "found-title" }, `All ${plural(total, "result")}`);
    return option("found-all", pageOf(query), words);
  };

  function activate(state, place) {
    const options = [...state.list.querySelectorAll("[role=option]")];
    state.active = options.length ? (place + options.length) % options.length : -1;
    options.forEach((one, turn) => one.setAttribute("aria-selected", String(turn === state.active)));
    const active = options[state.active];
    if (active) state.input.setAttribute("aria-activedescendant", active.id);
    else state.input.removeAttribute("aria-activedescendant");
    active?.scrollIntoView({ block: "nearest" });
  }

  function onKey(state, event) {
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in moves) {
      event.preventDefault();
      activate(state, state.active + moves[event.key]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      go(state, state.list.querySelector("[aria-selected=true]"));
    }
  }

  function go(state, chosen) {
    if (!chosen) return;
    state.box.close();
    location.hash = chosen.dataset.link;
  }

  let shown = null;
  function open() {
    shown ??= dialog();
    if (shown.box.open) return;
    shown.box.showModal();
    shown.input.select();
    look(shown);
  }

  // --- the page

  async function page(view, remember) {
    const index = await ready();
    const out = el("div", {});
    const said = el("p", { class: "message", role: "status", id: "count" });
    const box = el("input", {
      ...{ type: "search", id: "filter", value: view.get("q") || "", autocomplete: "off", spellcheck: "false" },
      ...{ "aria-describedby": "count", maxlength: 200 },
      oninput: () => {
        if (box.value) view.set("q", box.value);
        else view.delete("q");
        remember(view, false);
        draw();
      },
    });
    const draw = () => {
      const groups = findAll(index, box.value, MANY);
      const total = groups.reduce((sum, one) => sum + one.total, 0);
      const words = total ? `${plural(total, "result")}.` : box.value.trim() ? nothing(box.value, index) : hint(index);
      said.replaceChildren(...[words].flat(Infinity));
      out.replaceChildren(...groups.map(section));
    };
    draw();
    return {
      title: "Search",
      trail: [["search", "#/search"]],
      content: [
        el("header", { class: "head" }, el("h1", {}, "Search")),
        el(
          "form",
          { class: "toolbar", role: "search", onsubmit: (event) => event.preventDefault() },
          el("label", { class: "wide" }, el("span", {}, "Search everything ", el("kbd", {}, "f")), box),
        ),
        said,
        out,
      ],
    };
  }

  const section = ({ kind, total, found }) =>
    el(
      "section",
      { class: "found-kind" },
      el("h2", {}, titleOf(kind), el("span", { class: "quiet" }, ` ${whole(total)}`)),
      el(
        "ul",
        { class: "found-list" },
        found.map((one) => el("li", {}, el("a", { href: one.link }, row(one)))),
      ),
      total > found.length
        ? el("p", { class: "quiet" }, `${whole(total - found.length)} more: another word narrows it.`)
        : null,
    );

  document.getElementById("search").addEventListener("click", open);
  Object.assign(LAYERSCOPE, { openSearch: open, searchPage: page });
})();
