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
  } = LAYERSCOPE;

  function network(of) {
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
            headline(of).map(([key, value], turn) =>
              el("span", {}, turn ? "" : null, name(key, 48), " ", el("b", {}, value)),
            ),
          ),
          total(of.layers),
        ),
        el("section", {}, el("h2", {}, "Layers"), table(of)),
        details(of),
      ],
    };
  }

  const HEADS = ["layer", "kind", "shape", "units", "receptive field", "stride", "median ratio", "pictures"];

  function table(of) {
    return el(
      "table",
      { class: "layers" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          HEADS.map((head) => el("th", { scope: "col" }, head)),
        ),
      ),
      el(
        "tbody",
        {},
        of.layers.map((layer) => row(of, layer)),
      ),
    );
  }

  function row(of, layer) {
    const cell = (place, ...content) => el("td", { "data-head": HEADS[place] }, el("span", {}, content));
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, el("a", { href: address(of, layer) }, name(layer.name, 60))),
      cell(1, name(layer.kind ?? "–", 40)),
      cell(2, shape(layer.shape)),
      cell(3, units(layer)),
      cell(4, receptiveField(layer, of.network.input_size), " ", sees(layer)),
      cell(5, pixels(layer.stride)),
      cell(6, el("b", {}, ratio(layer.median))),
      cell(7, layer.made ? shares(layer.status, layer.made) : "nothing made yet"),
    );
  }

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
