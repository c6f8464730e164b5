"use strict";
// Two networks, or two states of one training, side by side: facts, layers, pictures, classes, and what their units code.
(() => {
  const { el, name, ratio, percent, plural, whole, heading, shares } = LAYERSCOPE;
  const { address, findLayer, layerData, reportData, scaleOf, glanceRows, unitTile, shareLayers } = LAYERSCOPE;
  const { comparable, findComparable, compareAddress, unitsOf, numberTable, compareReports, points } = LAYERSCOPE;
  const MOST = 24; // classes side by side; the page of their layer shows all

  async function compare(asked, view, remember) {
    const all = comparable();
    const first = findComparable(asked[0]) ?? all[0];
    const second = [findComparable(asked[1]), ...all].find((one) => one && one !== first);
    const trail = [["compare", "#/compare"]];
    if (!first || !second) return { title: "Compare", trail, content: [alone(first)] };
    const pair = await Promise.all([first, second].map(loaded));
    return {
      title: `${LAYERSCOPE.short(first.title, 40)} and ${LAYERSCOPE.short(second.title, 40)}`,
      trail,
      content: [
        head(pair),
        facts(pair),
        layers(pair, view, remember),
        pictures(pair),
        await classes(pair),
        compareReports(pair, view, remember),
      ],
    };
  }

  // A subject with what only its report's own file tells.
  async function loaded(subject) {
    const report = subject.report && (await reportData(subject.report));
    return { ...subject, subject, data: report, network: subject.gallery?.network ?? report.network };
  }

  const alone = (only) =>
    el(
      "section",
      {},
      el("h1", {}, "Nothing to compare"),
      el(
        "p",
        {},
        only ? ["There is only ", name(only.title, 60), "."] : "There is no network.",
        " Make the gallery or the hierarchy report of another one in this folder.",
      ),
    );

  // --- who

  function head(pair) {
    const go = (a, b) => {
      location.hash = compareAddress(a, b);
    };
    const [first, second] = pair.map((one) => one.subject);
    const others = (taken) => comparable().filter((one) => one !== taken);
    const choose = (id, words, at, taken, chosen) => {
      const options = others(taken);
      return el(
        "label",
        {},
        el("span", {}, words),
        el(
          "select",
          { id, onchange: (event) => chosen(options[event.target.value]) },
          options.map((one, place) =>
            el("option", { value: place, selected: one === at }, LAYERSCOPE.short(one.title, 40) || "unnamed"),
          ),
        ),
      );
    };
    return el(
      "header",
      { class: "head" },
      el("h1", {}, linked(pair[0]), el("span", { class: "quiet" }, " beside "), linked(pair[1])),
      el(
        "form",
        { class: "choosing", onsubmit: (event) => event.preventDefault() },
        choose("first", "Compare", first, second, (one) => go(one, second)),
        el("button", { type: "button", onclick: () => go(second, first) }, "Swap"),
        choose("second", "with", second, first, (one) => go(first, one)),
      ),
      el("p", { class: "lines" }, unitsOf(pair[0].network, pair[1].network)),
    );
  }

  const linked = ({ title, gallery, report }) =>
    el("a", { href: gallery ? address(gallery) : LAYERSCOPE.reportAddress(report) }, name(title, 60));

  // --- facts

  const isAccuracy = (key) => /accuracy/i.test(key);

  // Numbers of a network by their names: shares are written as percentages.
  function numbersOf(network) {
    const card = network.card ?? {};
    const found = {};
    for (const key of ["parameters", "step", "seen"])
      if (typeof card[key] === "number") found[heading(key)] = [card[key], whole];
    for (const [key, fact] of Object.entries(card).filter(([key]) => isAccuracy(key))) {
      if (typeof fact === "number") found[heading(key)] = [fact, percent];
      else
        for (const [of, share] of Object.entries(fact ?? {}))
          if (typeof share === "number") found[`${heading(key)}, ${of}`] = [share, percent];
    }
    if (network.input_size) found["Side of the input, px"] = [network.input_size, whole];
    if (network.class_names) found.Classes = [network.class_names.length, whole];
    return found;
  }

  const changeOf = (value, words) =>
    words === percent ? points(value) : (value > 0 ? "+" : "") + words(value).replace("-", "−");

  function facts(pair) {
    const [a, b] = pair.map((one) => numbersOf(one.network));
    const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
    if (!keys.length) return null;
    const cell = (fact) => (fact ? fact[1](fact[0]) : "–");
    const row = (key) => {
      const change = a[key] && b[key] ? changeOf(b[key][0] - a[key][0], a[key][1]) : "–";
      const cells = [cell(a[key]), cell(b[key]), change];
      return el(
        "tr",
        {},
        el("th", { scope: "row" }, name(key, 60)),
        cells.map((one) => el("td", {}, one)),
      );
    };
    return el(
      "section",
      { class: "compared" },
      el("h2", {}, "What is known of them"),
      el(
        "table",
        { class: "facts-of-both" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("td", {}),
            pair.map((one) => el("th", { scope: "col" }, name(one.title, 24))),
            el("th", { scope: "col" }, "difference"),
          ),
        ),
        el("tbody", {}, keys.map(row)),
      ),
      el(
        "p",
        { class: "small" },
        "Accuracies are those of the cards of the networks, without intervals; points are percentage points. ",
        "Here and below differences are taken before rounding.",
      ),
    );
  }

  // --- layers

  const share = (layer) => (layer?.made ? (layer.status.converged ?? 0) / layer.made : null);
  const minus = (a, b) => (typeof a === "number" && typeof b === "number" ? b - a : null);

  // By name: the layers of the first network, each with that of the second, and then those of the second alone.
  function rowsOf(a, b) {
    const own = (network, layer) => [findLayer(network, layer.name)].find((one) => one?.name === layer.name) ?? null;
    const rows = a.layers.map((layer) => [layer, own(b, layer)]);
    rows.push(...b.layers.filter((layer) => !own(a, layer)).map((layer) => [null, layer]));
    return rows.map(([left, right]) => ({
      left,
      right,
      words: (left ?? right).name,
      first: left?.median ?? null,
      second: right?.median ?? null,
      difference: minus(left?.median, right?.median),
      converged: minus(share(left), share(right)),
    }));
  }

  function layers(pair, view, remember) {
    const [a, b] = pair.map((one) => one.gallery);
    if (!a || !b) return withoutGallery(pair);
    const [first, second] = pair.map((one) => LAYERSCOPE.short(one.title, 24));
    const link = (of, layer) => el("a", { href: address(of, layer) }, name(layer.name, 40));
    const status = (layer) => (layer?.made ? shares(layer.status, layer.made) : "–");
    const change = (value, words) => (value === null ? "–" : el("b", {}, changeOf(value, words)));
    const columns = [
      ["layer", "unit", ({ left, right }) => (left ? link(a, left) : link(b, right))],
      [`median, ${first}`, "first", (row) => ratio(row.first)],
      [`median, ${second}`, "second", (row) => ratio(row.second)],
      ["difference of medians", "difference", (row) => change(row.difference, ratio)],
      [first, null, (row) => status(row.left)],
      [second, null, (row) => status(row.right)],
      ["difference of converged", "converged", (row) => change(row.converged, percent)],
    ].map(([head, key, cell]) => ({ head, key, cell }));
    const table = numberTable({ columns, rows: rowsOf(a, b), what: "layer", view, remember, label: "Layers of both" });
    return el(
      "section",
      { class: "compared" },
      el("h2", {}, "Layers"),
      el(
        "p",
        { class: "quiet lines" },
        "Median over units of the score as a multiple of the strongest natural activation. ",
        probes(a, b),
      ),
      table,
    );
  }

  // Ratios are multiples of what the images of a probe reach, so both have to have looked at the same.
  function probes(a, b) {
    const told = ({ probe, recipe }) => [probe?.name, probe?.images, probe?.fingerprint, recipe].map(String).join(" ");
    return told(a) === told(b)
      ? "Both were made with the same recipe and looked at the same natural images."
      : "The recipes or the natural images differ, and the ratios with them.";
  }

  const withoutGallery = (pair) =>
    el(
      "section",
      { class: "compared" },
      el("h2", {}, "Layers"),
      pair
        .filter((one) => !one.gallery)
        .map((one) =>
          el("p", { class: "quiet" }, "There is no gallery of ", name(one.title, 60), ", so no pictures to compare."),
        ),
    );

  function pictures(pair) {
    const [a, b] = pair.map((one) => one.gallery);
    if (!a || !b) return null;
    return el(
      "section",
      { class: "hierarchy compared" },
      el("h2", {}, "Pictures of the same layer"),
      shareLayers(a, b)
        ? [
            el("p", { class: "quiet lines" }, "Units evenly spaced over each layer, none of them chosen."),
            glanceRows(a, b),
          ]
        : el("p", { class: "quiet" }, "No layer has the same name in both."),
    );
  }

  // --- classes

  // The layer whose units stand for classes: the last one with labels.
  const logits = (network) =>
    [...(network?.layers ?? [])].reverse().find((layer) => layer.sample.some((unit) => unit.label !== null));

  async function classes(pair) {
    const found = pair.map((one) => [one.gallery, logits(one.gallery)]);
    if (!found.every(([, layer]) => layer)) return null;
    const sides = await Promise.all(
      found.map(async ([network, layer]) => ({ network, layer, data: await layerData(network, layer) })),
    );
    const labels = sides.map(({ data }) => new Map(data.units.map((unit, place) => [unit.label, place])));
    const both = [...labels[0].keys()].filter((label) => label !== null && labels[1].has(label));
    const scale = scaleOf(sides.flatMap(({ data }) => data.units));
    const half = ({ network, layer, data }, place) =>
      el("div", {}, unitTile(network, layer, data.units[place], data.pictures, place, scale));
    return el(
      "section",
      { class: "compared" },
      el("h2", {}, "The same class"),
      el(
        "p",
        { class: "quiet lines" },
        both.length
          ? ["Left ", name(pair[0].title, 40), ", right ", name(pair[1].title, 40), ". A class means the same in both."]
          : "They have no class in common.",
      ),
      el(
        "ul",
        { class: "class-pairs" },
        both.slice(0, MOST).map((label) =>
          el(
            "li",
            {},
            sides.map((side, turn) => half(side, labels[turn].get(label))),
          ),
        ),
      ),
      both.length > MOST ? allClasses(both.length, ...found[0], pair[1].gallery) : null,
    );
  }

  const allClasses = (count, network, layer, other) =>
    el(
      "p",
      { class: "more" },
      el("a", { href: `${address(network, layer)}?with=${other.slug}` }, `All ${plural(count, "class", "classes")} →`),
    );

  LAYERSCOPE.compare = compare;
})();
