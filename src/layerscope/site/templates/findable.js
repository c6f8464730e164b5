"use strict";
// What can be found: every kind of thing as entries with the words by which it is found, and units as columns, so that
// tens of thousands are looked through between two keystrokes.
(() => {
  const { networks, images, hierarchies, number, ratio, percent, plural } = LAYERSCOPE;
  const { address, imageAddress, reportAddress, stability, boards, boardAddress, firstMeasure } = LAYERSCOPE;
  const STATUS = { c: "converged", w: "weak", d: "dead", o: "other" };

  const fold = (text) => String(text ?? "").toLowerCase();

  // An entry: what it is called, what it belongs to, the number that says how far to trust it, and where it leads.
  const entry = (kind, title, detail, measured, link, more = "") => ({
    kind,
    title,
    detail,
    measured,
    link,
    text: fold(`${title} ${more}`),
  });

  function accuracyOf(network) {
    const found = Object.entries(network.network.card ?? {}).find(
      ([key, fact]) => /accuracy/i.test(key) && typeof fact === "number",
    );
    return found ? `${String(found[0]).replaceAll("_", " ")} ${percent(found[1])}` : "no accuracy known";
  }

  const networkEntries = () =>
    networks.map((one) =>
      entry("networks", one.title, plural(one.layers.length, "layer"), accuracyOf(one), address(one)),
    );

  const layerEntries = () =>
    networks.flatMap((of) =>
      of.layers.map((layer) =>
        entry(
          "layers",
          layer.name,
          `${of.title}, ${plural(layer.made, "unit")}`,
          layer.median === null ? "no ratio" : `median ${ratio(layer.median)}`,
          address(of, layer),
          of.title,
        ),
      ),
    );

  const reportEntries = () =>
    hierarchies.reports.flatMap((report) => [
      entry(
        "reports",
        `Hierarchy of ${report.title}`,
        report.shown ? "a hierarchy is shown" : "no hierarchy is shown",
        `trend p = ${number(report.trend_p)}`,
        reportAddress(report),
      ),
      ...report.layers.map((layer) =>
        entry(
          "reports",
          layer.name,
          `in the hierarchy of ${report.title}`,
          layer.depth ? `depth ${number(layer.depth.value)}` : "no depth",
          reportAddress(report, layer),
          report.title,
        ),
      ),
    ]);

  const imageEntries = () =>
    images.map((one) =>
      entry(
        "images",
        one.title,
        one.label ? `called ${one.label} by ${one.network}` : `${one.asked}, ${one.network}`,
        one.probability === null ? `score ${number(one.score)}` : `probability ${percent(one.probability)}`,
        imageAddress(one),
        `${one.label ?? ""} ${one.truth ?? ""} ${one.asked ?? ""}`,
      ),
    );

  // A method with its standing on each leaderboard; where there is none, with the checks of the maps that it made here.
  const rankedEntries = () =>
    boards.flatMap((board) =>
      board.rows.map((row) => {
        const detail = row.control ? "control, knows nothing of the network" : `measured on ${board.network.name}`;
        return entry("methods", row.title, detail, standingOn(board, row), boardAddress(row.method, board), row.method);
      }),
    );

  function standingOn(board, row) {
    const first = firstMeasure(board);
    if (!first) return "nothing measured";
    return row[first.name] ? `${first.title} ${number(row[first.name].value)}` : `no ${first.title}`;
  }

  const mappedEntries = (methods) =>
    methods.map((one) =>
      entry(
        "methods",
        one.title,
        `maps of ${plural(one.images, "image")}`,
        one.checks ? `${one.good} of ${one.checks} checks good` : "no checks",
        imageAddress(images[one.image], one.question, one.method),
        one.method,
      ),
    );

  function pageEntries() {
    const there = [
      [images.length, "Explained images", plural(images.length, "image"), "#/image"],
      [hierarchies.reports.length, "Hierarchy reports", plural(hierarchies.reports.length, "report"), "#/hierarchy"],
      [boards.length, "Leaderboard", "attribution methods, measured", boardAddress()],
      [LAYERSCOPE.comparable().length > 1, "Compare", "two networks side by side", "#/compare"],
    ];
    return there.filter(([is]) => is).map(([, title, detail, link]) => entry("pages", title, detail, "", link));
  }

  // --- units

  const measureOf = (columns, place) =>
    columns.ratio[place] === null ? `score ${number(columns.score[place])}` : `${ratio(columns.ratio[place] / 100)} natural`;

  function galleryBlock(of, layer, columns) {
    const units = layer.some;
    return {
      text: fold(`${of.title} ${layer.name}`),
      name: fold(layer.name),
      placeOf: (unit) => (units ? units.indexOf(unit) : unit < layer.made ? unit : -1),
      entry: (place) => {
        const unit = units ? units[place] : place;
        const label = columns.label?.[place];
        const words = `${label ? `${label}, ` : ""}${of.title}, ${STATUS[columns.status[place]]}`;
        return entry("units", `${layer.name}:${unit}`, words, measureOf(columns, place), address(of, layer, unit));
      },
    };
  }

  function reportBlock(report, layer, columns, concepts) {
    return {
      text: fold(`${report.title} ${layer.name}`),
      name: fold(layer.name),
      columns,
      placeOf: (unit) => (unit < layer.units ? unit : -1),
      entry: (unit) => {
        const coded = columns.concepts[unit] === null ? "codes nothing" : concepts[columns.concepts[unit]];
        const sure = columns.confidence[unit];
        const stable =
          coded === "codes nothing" || sure === null ? "" : `stable in ${stability({ confidence: sure / 1000 })}`;
        const words = `${coded}, hierarchy of ${report.title}`;
        return entry("units", `${layer.name}:${unit}`, words, stable, reportAddress(report, layer, unit));
      },
    };
  }

  const each = (things, columns, made) =>
    things.flatMap((one, turn) => one.layers.map((layer, place) => made(one, layer, columns[turn][place])));

  const classEntries = (galleries) =>
    networks.flatMap((of, turn) => {
      const made = of.layers.flatMap((layer, at) => {
        const columns = galleries[turn][at];
        return (columns.label ?? []).flatMap((label, place) => (label ? [[label, layer, place, columns]] : []));
      });
      const there = new Set(made.map(([label]) => label));
      const units = made.map(([label, layer, place, columns]) => {
        const unit = layer.some ? layer.some[place] : place;
        const detail = `class of ${of.title}, ${layer.name}:${unit}`;
        return entry("classes", label, detail, measureOf(columns, place), address(of, layer, unit));
      });
      const rest = (of.network.class_names ?? []).filter((one) => !there.has(String(one).slice(0, 160)));
      return [...units, ...rest.map((one) => entry("classes", one, `class of ${of.title}`, "no picture", address(of)))];
    });

  // A concept leads to all units that code it; its number is the most stable of them.
  function conceptEntries(blocks, concepts) {
    const found = concepts.map(() => ({ units: 0, layers: new Set(), best: null }));
    for (const block of blocks)
      block.columns.concepts.forEach((concept, unit) => {
        if (concept === null) return;
        const [one, sure] = [found[concept], block.columns.confidence[unit]];
        one.units += 1;
        one.layers.add(block);
        if (sure !== null) one.best = Math.max(one.best ?? 0, sure);
      });
    return found.map(({ units, layers, best }, place) => {
      const detail = `${plural(units, "unit")} in ${plural(layers.size, "layer")}`;
      const link = `#/search?${new URLSearchParams({ q: concepts[place] })}`;
      return entry(
        "concepts",
        concepts[place],
        detail,
        best === null ? "" : `stable in ${stability({ confidence: best / 1000 })} at best`,
        link,
      );
    });
  }

  function prepare(data) {
    const concepts = data.concepts.map(([category, what]) => `${category}: ${what}`);
    const coded = each(hierarchies.reports, data.reports, (...at) => reportBlock(...at, concepts));
    return {
      concepts: concepts.map(fold),
      coded,
      made: each(networks, data.galleries, galleryBlock),
      entries: [
        ...[...networkEntries(), ...layerEntries(), ...classEntries(data.galleries)],
        ...[...conceptEntries(coded, concepts), ...imageEntries(), ...reportEntries()],
        ...[...rankedEntries(), ...mappedEntries(data.methods), ...pageEntries()],
      ],
    };
  }

  // Some things that can be searched here, for people who found nothing.
  const examples = ({ entries, made, coded }) =>
    [
      [...made, ...coded].map((block) => block.entry(0).title)[0],
      ...["classes", "concepts", "networks", "methods"].map((kind) => entries.find((one) => one.kind === kind)?.title),
    ].filter(Boolean);

  Object.assign(LAYERSCOPE, { prepareSearch: prepare, searchExamples: examples });
})();
