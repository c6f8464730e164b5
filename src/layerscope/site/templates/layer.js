"use strict";
// One layer: all its units with their numbers, to filter, to sort, and to compare with another network's.
(() => {
  const {
    el,
    name,
    number,
    ratio,
    percent,
    plural,
    shape,
    pixels,
    picture,
    scaleOf,
    ruler,
    measure,
    described,
    status,
    shares,
  } = LAYERSCOPE;
  const { receptiveField, sees, networks, address, findNetwork, findLayer, layerData, NUMBERS, filter, sort } =
    LAYERSCOPE;
  const { reportsOf, reportAddress, saved, saveMenu, sourceOf, rowsOf, command, ofGallery, layerImages } = LAYERSCOPE;
  const FEW = 4; // exemplars under a picture; the page of the unit shows all
  const preferences = { exemplars: true };

  // `view` is what the address says after "?": q (filter), sort, down, with (another network).
  async function layer(of, at, view, remember) {
    const rivals = networks.filter((one) => one !== of && findLayer(one, at.name)?.name === at.name);
    const other = rivals.find((one) => one === findNetwork(view.get("with")));
    const [data, beside] = await Promise.all([
      layerData(of, at),
      other ? layerData(other, findLayer(other, at.name)) : null,
    ]);
    const state = {
      of,
      at,
      data,
      other,
      beside: beside && byNumber(beside),
      view,
      remember,
      scale: scaleOf(data.units.concat(beside?.units || [])),
    };
    const place = of.layers.indexOf(at);
    const to = (next) => (next ? address(of, next) : null);
    return {
      title: `${at.name} · ${of.title}`,
      trail: [
        [of.title, address(of)],
        [at.name, address(of, at)],
      ],
      previous: to(of.layers[place - 1]),
      next: to(of.layers[place + 1]),
      content: [
        head(of, at, data),
        await layerImages(ofGallery(of, at), (unit) => address(of, at, unit), sourceOf(of, of.title, at.name)),
        toolbar(state, rivals),
        state.message,
        state.grid,
        data.python.gallery ? command("The line of Python that makes this layer again", data.python.gallery) : null,
      ],
    };
  }

  const byNumber = (data) => ({ ...data, places: new Map(data.units.map((unit, place) => [unit.unit, place])) });

  function head(of, at, data) {
    const place = of.layers.indexOf(at);
    const step = (to, words) =>
      to ? el("a", { href: address(of, to), class: "step" }, words, name(to.name, 24)) : null;
    const facts = [
      ["kind", name(at.kind ?? "–", 40)],
      ["shape", shape(at.shape)],
      ["receptive field", [receptiveField(at, of.network.input_size), " ", sees(at)]],
      ["stride", pixels(at.stride)],
      ["units", at.made === at.wanted ? String(at.made) : `${at.made} of ${at.wanted} made`],
      ["median", ratio(at.median)],
    ];
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
          facts.map(([key, value]) => el("span", {}, key, " ", el("b", {}, value))),
        ),
        at.made ? shares(at.status, at.made) : null,
        el(
          "p",
          { class: "steps" },
          step(of.layers[place - 1], "earlier: "),
          step(of.layers[place + 1], "later: "),
          reportsOf(of, at).map(([report, found]) =>
            el("a", { href: reportAddress(report, found) }, "what its units code: report ", name(report.title, 40)),
          ),
        ),
      ),
      saved(LAYERSCOPE.ratios(data.units), sourceOf(of, of.title, at.name), "ratios of score to natural", {
        rows: () => rowsOf(data.units, ["unit", "ratio"]),
        python: data.python.ratios,
      }),
    );
  }

  function toolbar(state, rivals) {
    const { view } = state;
    state.message = el("p", { class: "message", role: "status", id: "count" });
    state.grid = el("ul", { class: "grid" });
    state.cards = new Map();
    const box = el("input", {
      type: "search",
      id: "filter",
      value: view.get("q") || "",
      placeholder: "37, owl, weak, ratio>1.2",
      autocomplete: "off",
      spellcheck: "false",
      "aria-describedby": "count",
      oninput: () => change(state, "q", box.value),
    });
    const order = el(
      "select",
      { id: "sort", onchange: () => change(state, "sort", order.value) },
      NUMBERS.map((one) => el("option", { value: one, selected: sortName(view) === one }, one)),
    );
    const down = el("button", {
      type: "button",
      id: "direction",
      onclick: () => change(state, "down", isDown(view) ? "0" : "1"),
    });
    const toggle = el("input", {
      type: "checkbox",
      id: "exemplars",
      checked: preferences.exemplars,
      onchange: () => {
        preferences.exemplars = toggle.checked;
        show(state);
      },
    });
    const compare = el(
      "select",
      { id: "compare", onchange: () => change(state, "with", compare.value, true) },
      el("option", { value: "" }, "nothing"),
      rivals.map((one) =>
        el("option", { value: one.slug, selected: one === state.other }, LAYERSCOPE.short(one.title, 40)),
      ),
    );
    state.down = down;
    show(state);
    return el(
      "form",
      { class: "toolbar", role: "search", onsubmit: (event) => event.preventDefault() },
      el("label", { class: "wide" }, el("span", {}, "Filter ", el("kbd", {}, "f")), box),
      el("span", { class: "pair" }, el("label", {}, el("span", {}, "Sort by"), order), down),
      rivals.length ? el("label", {}, el("span", {}, "Compare with"), compare) : null,
      state.data.exemplars ? el("label", { class: "check" }, toggle, el("span", {}, "Natural exemplars")) : null,
      saveMenu(sourceOf(state.of, state.of.title, state.at.name), "units", {
        rows: () => rowsOf(shownBy(state).shown, COLUMNS),
        sheets: LAYERSCOPE.sheetsOf(state.data.pictures),
        python: state.data.python.layer,
      }),
    );
  }

  const sortName = (view) => (NUMBERS.includes(view.get("sort")) ? view.get("sort") : "unit");
  const isDown = (view) => (view.get("down") ?? (sortName(view) === "unit" ? "0" : "1")) === "1";

  function change(state, key, value, again = false) {
    if (value) state.view.set(key, value);
    else state.view.delete(key);
    if (key === "sort") state.view.delete("down");
    state.remember(state.view, again);
    if (!again) show(state);
  }

  const COLUMNS = ["unit", "label", ...NUMBERS.slice(1), "status", "note", "seed", "steps"];

  function shownBy({ data, view }) {
    const found = filter(data.units, view.get("q") || "");
    return { found, shown: sort(found.units, sortName(view), isDown(view)) };
  }

  function show(state) {
    const { data, view, grid } = state;
    const { found, shown } = shownBy(state);
    grid.className = `grid${state.other ? " paired" : ""}${preferences.exemplars && data.exemplars ? "" : " alone"}`;
    grid.replaceChildren(...shown.map((unit) => cardOf(state, unit)));
    grid.dataset.sort = sortName(view);
    state.down.textContent = isDown(view) ? "↓" : "↑";
    state.down.setAttribute(
      "aria-label",
      isDown(view) ? "Highest first; switch to lowest first" : "Lowest first; switch to highest first",
    );
    state.message.textContent = found.error || summary(state, shown.length);
    state.message.classList.toggle("wrong", Boolean(found.error));
  }

  function summary(state, count) {
    const all = state.data.units.length;
    if (!all) return "Nothing is made yet; run the gallery again and it goes on from here.";
    const twins = state.other
      ? ` ${LAYERSCOPE.unitsOf(state.of.network, state.other.network)}`
      : "";
    return (
      (count === 0
        ? "No unit matches the filter."
        : count === all
          ? `${plural(all, "unit")}.`
          : `${count} of ${plural(all, "unit")}.`) + twins
    );
  }

  function cardOf(state, unit) {
    if (!state.cards.has(unit.unit)) {
      const place = state.data.units.indexOf(unit);
      const there = state.beside?.places.get(unit.unit);
      const twin =
        there === undefined
          ? el("p", { class: "blank" }, "not made")
          : half(state, state.other, findLayer(state.other || state.of, state.at.name), state.beside, there);
      state.cards.set(
        unit.unit,
        el(
          "li",
          { class: "unit", "data-unit": unit.unit },
          half(state, state.of, state.at, state.data, place),
          state.other ? twin : null,
        ),
      );
    }
    return state.cards.get(unit.unit);
  }

  // One picture with its numbers and its exemplars.
  function half(state, of, at, data, place) {
    const unit = data.units[place];
    return el(
      "div",
      { class: `half is-${unit.status}` },
      el(
        "a",
        { href: address(of, at, unit.unit) },
        state.other ? el("span", { class: "of" }, name(of.title, 24)) : null,
        picture(data.pictures, place, described(unit, at.name)),
        ruler(unit, state.scale),
        el("span", { class: "under" }, el("span", { class: "number" }, `#${unit.unit}`), el("b", {}, measure(unit))),
        unit.label ? el("span", { class: "label" }, name(unit.label, 40)) : null,
        el(
          "span",
          { class: "under small" },
          status(unit.status, unit.status === "dead" ? "dead: nothing here" : unit.status),
          el(
            "span",
            { class: "sorted" },
            el("span", { class: "by-saturated" }, `saturated ${percent(unit.saturated)}`),
            el("span", { class: "by-control" }, `control ${number(unit.control)}`),
            el("span", { class: "by-score" }, `score ${number(unit.score)}`),
          ),
        ),
      ),
      natural(data, place, unit),
    );
  }

  function natural(data, place, unit) {
    const count = Math.min(FEW, unit.exemplars.length);
    if (!count) return null;
    const labels = unit.exemplars.slice(0, count).map((one) => LAYERSCOPE.short(one.label ?? "unlabelled", 24));
    const first = place * data.exemplars.crops;
    const strip = picture(data.exemplars, first, `Strongest natural images: ${labels.join(", ")}`, { count, gap: 3 });
    return el(
      "div",
      { class: "natural-strip" },
      strip,
      el("span", { class: "under small" }, el("span", {}, `natural ${number(unit.natural)}`), name(labels[0], 18)),
    );
  }

  LAYERSCOPE.layer = layer;
})();
