"use strict";
// Explained images as cards: the latest on the first page, and all of them on a page of their own.
(() => {
  const { el, name, number, percent, plural, images, missing, imageAddress, overlay, mark } = LAYERSCOPE;
  const { contains, filter, sort } = LAYERSCOPE;
  const FEW = 8;

  function card(image) {
    const { map, versus } = image;
    const called = image.label === null ? "" : `, called ${LAYERSCOPE.short(image.label, 40)}`;
    const words = `${LAYERSCOPE.short(image.title, 60)}${called}`;
    const sure = image.probability === null ? `score ${number(image.score)}` : percent(image.probability);
    return el(
      "li",
      { class: "explained" },
      el(
        "a",
        { href: imageAddress(image) },
        el(
          "span",
          { class: "two" },
          overlay(image.image, null, words),
          map ? overlay(image.image, map, `${map.title} map of ${LAYERSCOPE.short(image.title, 60)}`) : null,
        ),
        el("span", { class: "answer" }, name(image.label ?? image.asked, 40), " ", el("b", {}, sure)),
      ),
      el("p", { class: "small" }, name(image.title, 48), " · ", name(image.network, 32)),
      el(
        "p",
        { class: "quiet" },
        versus
          ? [
              `${number(Math.abs(versus.margin))} logits ${versus.margin < 0 ? "behind" : "ahead of"} `,
              name(versus.label, 32),
            ]
          : null,
      ),
      image.unlike ? el("p", { class: "of-poor" }, mark("poor"), "unlike what the network knows") : null,
      image.truth !== null && image.label !== null && image.truth !== image.label
        ? el("p", { class: "of-poor" }, mark("poor"), el("span", {}, "wrong: it shows ", name(image.truth, 32)))
        : null,
    );
  }

  const cards = (shown) => el("ul", { class: "explanations" }, shown.map(card));

  const absent = () =>
    missing.length
      ? el(
          "p",
          { class: "quiet absent" },
          `${plural(missing.length, "image")} without a whole record; explain again: `,
          missing.slice(0, 6).map((one, turn) => [turn ? ", " : "", name(one, 40)]),
          missing.length > 6 ? ", …" : null,
        )
      : null;

  // The section of the first page; null where no image is explained.
  function latest(level = "h2") {
    if (!images.length && !missing.length) return null;
    return el(
      "section",
      { class: "latest" },
      el(level, {}, "Why this label"),
      el(
        "p",
        { class: level === "h1" ? "lead" : "quiet" },
        "What in an image speaks for its label, shown by methods that were checked on that very image.",
      ),
      cards(images.slice(0, FEW)),
      images.length > FEW
        ? el("p", { class: "more" }, el("a", { href: "#/image" }, `All ${plural(images.length, "image")} →`))
        : null,
      absent(),
    );
  }

  // --- all of them, to filter and to sort; `view` is what the address says after "?": q, network, label, only, sort, down

  const NUMBERS = ["probability", "margin", "score"];
  const isWrong = (image) => known(image) && image.truth !== image.label;
  const known = (image) => image.truth !== null && image.truth !== undefined && image.label !== null;
  const ONLY = {
    warned: ["with a warning", (image) => image.unlike || isWrong(image)],
    unlike: ["unlike what it knows", (image) => image.unlike],
    wrong: ["wrong label", isWrong],
    right: ["right label", (image) => known(image) && !isWrong(image)],
  };
  const rows = images.map((image, unit) => ({
    ...{ image, unit, probability: image.probability, score: image.score },
    margin: image.versus?.margin ?? null,
  }));
  const language = {
    numbers: NUMBERS,
    test: (word) => (row) =>
      ["title", "label", "asked", "truth", "network"].some((key) => contains(row.image[key], word)),
  };

  const sortName = (view) => (NUMBERS.includes(view.get("sort")) ? view.get("sort") : "unit");
  const isDown = (view) => (view.get("down") ?? (sortName(view) === "unit" ? "0" : "1")) === "1";

  function shownBy(view) {
    const found = filter(rows, view.get("q") || "", language);
    const only = Object.hasOwn(ONLY, view.get("only")) ? ONLY[view.get("only")][1] : () => true;
    const passing = found.units
      .filter(({ image }) => ["network", "label"].every((key) => !view.get(key) || image[key] === view.get(key)))
      .filter(({ image }) => only(image));
    return { shown: sort(passing, sortName(view), isDown(view)).map((row) => row.image), error: found.error };
  }

  function draw({ view, list, message, down, made }) {
    const { shown, error } = shownBy(view);
    list.replaceChildren(
      ...shown.map((image) => {
        if (!made.has(image)) made.set(image, card(image));
        return made.get(image);
      }),
    );
    down.textContent = isDown(view) ? "↓" : "↑";
    down.setAttribute("aria-label", isDown(view) ? "From the highest; turn round" : "From the lowest; turn round");
    const count = shown.length === images.length ? "" : `${shown.length} of `;
    message.textContent = error || (shown.length ? `${count}${plural(images.length, "image")}.` : "No image matches.");
    message.classList.toggle("wrong", Boolean(error));
  }

  function toolbar(state) {
    const { view, remember } = state;
    const set = (key, value) => {
      if (value) view.set(key, value);
      else view.delete(key);
      if (key === "sort") view.delete("down");
      remember(view, false);
      draw(state);
    };
    const choice = (key, words, options) =>
      el(
        "label",
        {},
        el("span", {}, words),
        el(
          "select",
          { id: `images-${key}`, onchange: (event) => set(key, event.target.value) },
          options.map(([value, told]) =>
            el("option", { value, selected: (view.get(key) ?? "") === value }, LAYERSCOPE.short(told, 40)),
          ),
        ),
      );
    const each = (key) => [...new Set(images.map((image) => image[key]).filter((one) => one !== null))].sort();
    const any = (key, words) =>
      each(key).length > 1 ? choice(key, words, [["", "all"], ...each(key).map((one) => [one, one])]) : null;
    const there = Object.entries(ONLY).filter(([, [, test]]) => images.some(test));
    const box = el("input", {
      ...{ type: "search", id: "filter", value: view.get("q") || "", placeholder: "owl, probability<0.9, margin>2" },
      ...{ autocomplete: "off", spellcheck: "false", "aria-describedby": "count" },
      oninput: () => set("q", box.value),
    });
    state.down.addEventListener("click", () => set("down", isDown(view) ? "0" : "1"));
    return el(
      "form",
      { class: "toolbar", role: "search", onsubmit: (event) => event.preventDefault() },
      el("label", { class: "wide" }, el("span", {}, "Filter ", el("kbd", {}, "f")), box),
      any("network", "Network"),
      any("label", "Label"),
      there.length ? choice("only", "Only", [["", "all"], ...there.map(([key, [words]]) => [key, words])]) : null,
      el(
        "span",
        { class: "pair" },
        choice("sort", "Sort by", [["", "latest"], ...NUMBERS.map((one) => [one, one])]),
        state.down,
      ),
      LAYERSCOPE.saveMenu({ names: ["explained images"] }, "images", { rows: () => rowsFor(shownBy(view).shown) }),
    );
  }

  const rowsFor = (shown) => [
    ["image", "network", "label", "probability", "asked", "score", "versus", "margin", "truth", "unlike"],
    ...shown.map((one) => [
      ...[one.title, one.network, one.label, one.probability, one.asked, one.score],
      ...[one.versus?.label, one.versus?.margin, one.truth, one.unlike],
    ]),
  ];

  function all(view, remember) {
    const state = {
      ...{ view, remember, made: new Map() },
      list: el("ul", { class: "explanations" }),
      message: el("p", { class: "message", role: "status", id: "count" }),
      down: el("button", { type: "button", id: "direction" }),
    };
    const bar = images.length > 1 ? toolbar(state) : null;
    draw(state);
    return {
      title: "Images",
      trail: [["images", "#/image"]],
      content: [
        el("header", { class: "head" }, el("h1", {}, plural(images.length, "explained image"))),
        el("section", {}, bar, bar ? state.message : null, state.list, absent()),
      ],
    };
  }

  Object.assign(LAYERSCOPE, { latestImages: latest, allImages: all });
})();
