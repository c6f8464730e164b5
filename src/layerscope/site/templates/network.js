"use strict";
// One network: its facts, and its layers as a table.
(() => {
  const {
    el,
    name,
    ratio,
    shape,
    pixels,
    plural,
    shares,
    receptiveField,
    sees,
    heading,
    address,
    headline,
    factList,
    total,
    numberTable,
    compareLinks,
  } = LAYERSCOPE;

  function network(of, view, remember) {
    return {
      title: of.title,
      trail: [[of.title, address(of)]],
      content: [
        el(
          "header",
          { class: "head" },
          el("h1", {}, name(of.title, 160)),
          el(
            "p",
            { class: "summary" },
            [...headline(of), ...probed(of)].map(([key, value], turn) =>
              el("span", {}, turn ? "" : null, name(key, 48), " ", el("b", {}, value)),
            ),
          ),
          total(of.layers),
          compareLinks(LAYERSCOPE.subjectOf(of)),
        ),
        LAYERSCOPE.saved(
          el("section", {}, el("h2", {}, "Layers"), table(of, view, remember)),
          LAYERSCOPE.sourceOf(of, of.title),
          "layers",
          { rows: () => layerRows(of), python: of.python.sheet },
        ),
        details(of),
      ],
    };
  }

  const probed = ({ probe }) => (probe ? [["compared with", LAYERSCOPE.probe(probe)]] : []);
  const share = (layer, status) => (layer.made ? (layer.status[status] ?? 0) / layer.made : null);

  const rowOf = (layer) => ({
    layer,
    words: `${layer.name} ${layer.kind ?? ""}`,
    units: layer.units ?? layer.made,
    field: layer.receptive_field,
    stride: layer.stride,
    median: layer.median,
    converged: share(layer, "converged"),
  });

  function table(of, view, remember) {
    const { input_size: input } = of.network;
    const columns = [
      ["layer", "unit", ({ layer }) => el("a", { href: address(of, layer) }, name(layer.name, 60))],
      ["kind", null, ({ layer }) => name(layer.kind ?? "–", 40)],
      ["shape", null, ({ layer }) => shape(layer.shape)],
      ["units", "units", ({ layer }) => units(layer)],
      ["receptive field", "field", ({ layer }) => [receptiveField(layer, input), " ", sees(layer)]],
      ["stride", "stride", ({ layer }) => pixels(layer.stride)],
      ["median ratio", "median", ({ layer }) => el("b", {}, ratio(layer.median))],
      ["converged", "converged", ({ layer }) => (layer.made ? shares(layer.status, layer.made) : "nothing made yet")],
    ].map(([head, key, cell]) => ({ head, key, cell }));
    const rows = of.layers.map(rowOf);
    return numberTable({ columns, rows, what: "layer", view, remember, label: "Layers" });
  }

  const KEYS = ["name", "kind", "shape", "units", "made", "wanted", "receptive_field", "stride", "median"];
  const STATUS = ["converged", "weak", "dead"];
  const layerRows = (of) => [
    [...KEYS, ...STATUS],
    ...of.layers.map((layer) => [...KEYS.map((key) => layer[key]), ...STATUS.map((key) => layer.status[key] ?? 0)]),
  ];

  function units({ made, wanted, units: all }) {
    const chosen = wanted < all ? `${wanted} of ${all} chosen` : `${all}`;
    return made < wanted ? `${chosen}, ${made} of ${wanted} made` : chosen;
  }

  const isNested = (fact) => fact !== null && typeof fact === "object" && !Array.isArray(fact);

  function details(of) {
    const { card, class_names: classes } = of.network;
    const facts = Object.entries(card || {});
    const plain = Object.fromEntries(facts.filter(([key, fact]) => !isNested(fact) && key !== "class_names"));
    const nested = facts.filter(([, fact]) => isNested(fact) && Object.keys(fact).length);
    return el(
      "section",
      { class: "details" },
      Object.keys(plain).length ? el("div", {}, el("h2", {}, "The network"), factList(plain)) : null,
      nested.map(([key, fact]) => el("div", {}, el("h2", {}, name(heading(key))), factList(fact, key))),
      gallery(of),
      classes && classes.length ? classNames(classes) : null,
    );
  }

  function gallery(of) {
    const { spec, weights, fingerprint } = of.network;
    const facts = {
      model: spec,
      weights,
      fingerprint: fingerprint && LAYERSCOPE.short(fingerprint, 17),
      recipe: of.recipe,
      seed: of.seed,
      probe: of.probe && `${plural(of.probe.images, "image")} of ${of.probe.name}`,
      "made with": of.layerscope && `Layerscope ${of.layerscope}`,
    };
    const known = Object.fromEntries(Object.entries(facts).filter(([, fact]) => fact !== null && fact !== undefined));
    const line = of.command ? LAYERSCOPE.command("The line of Python that makes it again", of.command) : null;
    return el("div", {}, el("h2", {}, "This gallery"), factList(known), line);
  }

  function classNames(classes) {
    const shown = classes.slice(0, 200).map((one, turn) => [turn ? ", " : "", name(one, 40)]);
    const more = classes.length > 200 ? `, and ${classes.length - 200} more` : "";
    return el(
      "div",
      {},
      el("h2", {}, plural(classes.length, "class", "classes")),
      el("p", { class: "classes" }, shown, more),
    );
  }

  LAYERSCOPE.network = network;
})();
