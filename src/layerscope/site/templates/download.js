"use strict";
// The small menu of a plot, a picture or a table: as pixels, as a drawing, as numbers, and as the line of Python.
(() => {
  const { el, svg, short, vectorOf, pixelsOf } = LAYERSCOPE;
  const fromDisk = () => location.protocol === "file:";

  // --- tables

  // A cell as RFC 4180 writes it. Spreadsheets run what begins like a formula: such a name gets a quote before it.
  function cell(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    const text = Array.isArray(value) ? value.map((one) => one ?? "").join("; ") : String(value);
    const isNumber = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
    const safe = /^[=+\-@\t\r]/.test(text) && !isNumber ? `'${text}` : text;
    return /[",\r\n]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }

  const csv = (rows) => rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");

  // Objects as rows below their keys; without `keys`, all that any of them has.
  function rowsOf(objects, keys = [...new Set(objects.flatMap(Object.keys))]) {
    return [keys, ...objects.map((one) => keys.map((key) => one[key]))];
  }

  // Columns by name as rows below their names.
  const rowsOfColumns = (columns) =>
    rowsOf(
      (Object.values(columns)[0] ?? []).map((_, place) =>
        Object.fromEntries(Object.entries(columns).map(([key, values]) => [key, values[place]])),
      ),
      Object.keys(columns),
    );

  // --- names of files

  // Of names that may hold anything: lower-case letters, digits and hyphens, at most 100 of them.
  const slug = (parts) =>
    parts
      .map((part) =>
        String(part ?? "")
          .normalize("NFKD")
          .replace(/[^\x20-\x7e]/g, "")
          .toLowerCase()
          .replace(/[^a-z0-9]+/g, "-")
          .slice(0, 40)
          .replace(/^-+|-+$/g, ""),
      )
      .filter(Boolean)
      .join("-")
      .slice(0, 100)
      .replace(/-+$/, "") || "layerscope";

  function hand(blob, file) {
    const url = URL.createObjectURL(blob);
    el("a", { href: url, download: file }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  // --- the line of Python

  // To the clipboard; where that is closed to pages from the disk, what is shown is selected instead. Says what it did.
  async function copied(line, code) {
    try {
      await navigator.clipboard.writeText(line);
      return "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      return document.execCommand("copy") ? "Copied" : "Selected";
    }
  }

  // A line to copy, in a box of its own.
  function command(words, line) {
    const code = el("code", { tabindex: "0" }, line);
    const button = el(
      "button",
      {
        type: "button",
        class: "copy",
        onclick: async () => {
          button.textContent = await copied(line, code);
          setTimeout(() => {
            button.textContent = "Copy";
          }, 1500);
        },
      },
      "Copy",
    );
    return el("div", { class: "command" }, el("p", {}, words, button), el("pre", {}, code));
  }

  // --- the menu

  const icon = () =>
    svg(
      "svg",
      { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
      svg("path", { d: "M8 2v8M4.7 6.9 8 10.2l3.3-3.3M3 13.5h10" }),
    );

  const described = ({ seed, key, command: made, fingerprint }) =>
    [
      "Made with Layerscope.",
      seed === null || seed === undefined ? null : `Seed ${seed}.`,
      key && `Key ${key}.`,
      fingerprint && `Weights ${fingerprint}.`,
      made && `Command: ${made}`,
    ]
      .filter(Boolean)
      .join("\n");

  const capital = (words) => words.replace(/^./u, (letter) => letter.toUpperCase());

  // What is said of the making of all that a page shows: `facts` are those of a gallery, a report or an explanation.
  const sourceOf = (facts, ...names) => ({
    ...{ names, seed: facts.seed, key: facts.key, command: facts.command },
    fingerprint: facts.network?.fingerprint,
  });

  // What one menu offers. `of`: from sourceOf; `what`: words for the title and the file; then, each where there is one:
  // plots, key ([mark, words]) and rows as functions, python the line, picture a function that gives a canvas, with the
  // sheets that it is cut from as [words, address].
  function offers(of, what, { plots, key = () => [], rows, python, picture, sheets = [] }) {
    const stem = () => slug([...of.names, what]);
    const vector = () =>
      vectorOf(plots(), {
        title: [capital(what), ...of.names.map((one) => short(one, 60))].join(" · "),
        description: described(of),
        entries: key(),
      });
    const pixels = (canvas) => canvas.toBlob((blob) => hand(blob, `${stem()}.png`), "image/png");
    const text = (words, type, ending) => hand(new Blob([words], { type }), `${stem()}.${ending}`);
    return [
      plots && ["PNG", "pixels", async () => pixels(await pixelsOf(vector()))],
      plots && ["SVG", "drawing", () => text(vector().text, "image/svg+xml", "svg")],
      picture && !fromDisk() && ["PNG", "pixels", async () => pixels(await picture())],
      (fromDisk() || !picture) && sheets.length && { sheets, unread: Boolean(picture) },
      rows && ["CSV", "numbers", () => text(csv(rows()), "text/csv;charset=utf-8", "csv")],
      python && { python },
    ].filter(Boolean);
  }

  const button = ([words, kind, press], said) =>
    el(
      "li",
      {},
      el(
        "button",
        {
          type: "button",
          onclick: async () => {
            try {
              await press();
              said.textContent = "";
            } catch (error) {
              said.textContent = `That did not work: ${error.message}`;
            }
          },
        },
        el("b", {}, words),
        el("span", { class: "small" }, kind),
      ),
    );

  function line(python, said) {
    const code = el("code", { tabindex: "0" }, python);
    const shown = el("pre", { hidden: true }, code);
    const press = async () => {
      shown.hidden = false;
      said.textContent = `${await copied(python, code)}.`;
    };
    return el(
      "li",
      {},
      el(
        "button",
        { type: "button", onclick: press },
        el("b", {}, "Python"),
        el("span", { class: "small" }, "copy the line"),
      ),
      shown,
    );
  }

  // A page from the disk may show a picture and may not read it: then the file itself is offered.
  const files = ({ sheets, unread }) =>
    el(
      "li",
      { class: "as-file" },
      sheets.map(([words, url]) =>
        el(
          "a",
          { href: url, target: "_blank", rel: "noopener" },
          el("b", {}, "WebP"),
          el("span", { class: "small" }, words),
        ),
      ),
      unread
        ? el(
            "p",
            { class: "small" },
            "No PNG from the disk: browsers do not let such a page read pictures. Serve the folder, or use Python.",
          )
        : null,
    );

  function fill(panel, offered) {
    const said = el("p", { class: "small said", role: "status" });
    const item = (one) =>
      one.python ? line(one.python, said) : one.sheets ? files(one) : button(one, said);
    panel.replaceChildren(el("ul", {}, offered.map(item)), said);
  }

  // A panel that would reach beyond the left edge of the window is moved into it.
  function within(panel) {
    panel.style.right = "0";
    const { left } = panel.getBoundingClientRect();
    if (left < 8) panel.style.right = `${left - 8}px`;
  }

  function close(menu, back) {
    menu.open = false;
    if (back) menu.querySelector("summary").focus();
  }

  function menuOf(of, what, given) {
    const panel = el("div", { class: "offers" });
    const menu = el(
      "details",
      {
        class: "save",
        ontoggle: () => menu.open && (fill(panel, offers(of, what, given)), within(panel)),
        onkeydown: (event) => {
          if (event.key !== "Escape" || !menu.open) return;
          event.stopPropagation();
          close(menu, true);
        },
        onfocusout: (event) => {
          if (event.relatedTarget && !menu.contains(event.relatedTarget)) close(menu, false);
        },
      },
      el("summary", { "aria-label": `Save: ${short(what, 80)}`, title: "Save this" }, icon()),
      panel,
    );
    return menu;
  }

  addEventListener("pointerdown", (event) => {
    for (const menu of document.querySelectorAll("details.save[open]"))
      if (!menu.contains(event.target)) close(menu, false);
  });

  const PLOTS = "svg.plot:not(.sample, .spot)";

  // Gives a figure or a table its menu. What is drawn in it is found when it is asked for, as it is drawn by then.
  function saved(node, of, what, given = {}) {
    if (!node) return node;
    const drawn = () => [...node.querySelectorAll(PLOTS)];
    node.classList.add("takes");
    node.append(menuOf(of, what, { plots: node.querySelector(PLOTS) ? drawn : null, ...given }));
    return node;
  }

  Object.assign(LAYERSCOPE, { saved, sourceOf, saveMenu: menuOf, command });
  Object.assign(LAYERSCOPE, { rowsOf, rowsOfColumns, fileSlug: slug });
})();
