"use strict";
// The first page: how to read a picture, one card per network, the hierarchies measured, the images explained last, and
// pictures of the hierarchy from early to late at a glance.
(() => {
  const {
    el,
    name,
    number,
    ratio,
    plural,
    picture,
    scaleOf,
    ruler,
    measure,
    described,
    statusMark,
    receptiveField,
    sees,
  } = LAYERSCOPE;
  const { networks, address, findLayer, headline, total, latestImages, measuredHierarchies } = LAYERSCOPE;
  const chosen = { main: null, beside: null };

  function home() {
    return {
      title: "Layerscope",
      trail: [],
      content: networks.length
        ? [
            introduction(),
            firstPictures(),
            el("section", { class: "cards", "aria-label": "Networks" }, networks.map(card)),
            measuredHierarchies(),
            latestImages(),
            hierarchy(),
          ]
        : withoutGallery(),
    };
  }

  // One heading of the first order, whatever there is.
  function withoutGallery() {
    const measured = measuredHierarchies("h1");
    return measured ? [measured, latestImages()] : [latestImages("h1")];
  }

  function introduction() {
    const network = [...networks].reverse().find((one) => one.layers.some((layer) => layer.sample.length));
    const layer = network && example(network);
    return el(
      "section",
      { class: "intro" },
      el(
        "div",
        {},
        el("h1", {}, "What each layer looks for"),
        el(
          "p",
          { class: "lead" },
          "Every picture was made to drive one unit of a network as hard as it can. ",
          "How far to trust it is measured, and the number stands under the picture.",
        ),
      ),
      layer ? legend(network, layer) : null,
    );
  }

  // The last layer of the last network, which is the robust one on a tour: pictures before numbers of numbers.
  function firstPictures() {
    const network = [...networks].reverse().find((one) => one.layers.some((layer) => layer.sample.length));
    const layer = network && network.layers[network.layers.length - 1];
    return layer && layer.sample.length > 5 ? el("section", { class: "first" }, sheetOf(network, layer, 12, null)) : null;
  }

  const example = (network) =>
    [...network.layers].reverse().find((layer) => layer.sample.some((unit) => unit.ratio !== null));

  // One real picture with the parts of its ruler named.
  function legend(network, layer) {
    const unit = layer.sample.find((one) => one.ratio !== null);
    return el(
      "figure",
      { class: "legend" },
      el(
        "a",
        { href: address(network, layer, unit.unit) },
        picture(network.glance, unit.tile, described(unit, layer.name)),
        el(
          "span",
          { class: "under small" },
          el("span", {}, name(network.title, 24)),
          el("span", {}, name(layer.name, 20), `:${unit.unit}`),
        ),
      ),
      el(
        "figcaption",
        {},
        el("p", { class: "big" }, ratio(unit.ratio)),
        el("p", { class: "small" }, "of the strongest natural activation"),
        ruler(unit, scaleOf([unit])),
        el(
          "ul",
          {},
          el("li", {}, el("i", { class: "key bar" }), "the picture: ", el("b", {}, number(unit.score))),
          el(
            "li",
            {},
            el("i", { class: "key natural" }),
            "strongest natural activation: ",
            el("b", {}, number(unit.natural)),
          ),
          unit.control === null
            ? null
            : el(
                "li",
                {},
                el("i", { class: "key control" }),
                "control, the image before ascent: ",
                el("b", {}, number(unit.control)),
              ),
        ),
      ),
    );
  }

  function card(network) {
    return el(
      "article",
      { class: "card" },
      el("h2", {}, el("a", { href: address(network) }, name(network.title, 80))),
      el(
        "dl",
        { class: "stats" },
        headline(network).map(([key, value]) => el("div", {}, el("dt", {}, name(key, 48)), el("dd", {}, value))),
      ),
      total(network.layers),
    );
  }

  function hierarchy() {
    const section = el("section", { class: "hierarchy" });
    const draw = () => section.replaceChildren(el("h2", {}, "The hierarchy at a glance"), choices(draw), ...rows());
    chosen.main ??= networks[0];
    chosen.beside ??= networks.find((one) => one !== chosen.main && shared(chosen.main, one)) || null;
    draw();
    return section;
  }

  const shared = (a, b) => a.layers.some((layer) => b.layers.some((other) => other.name === layer.name));

  function choices(draw) {
    const choose = (key, words, options) =>
      el(
        "label",
        {},
        words,
        el(
          "select",
          {
            id: `choose-${key}`,
            onchange: (event) => {
              chosen[key] = networks[event.target.value] || null;
              keepApart();
              draw();
              document.getElementById(`choose-${key}`).focus();
            },
          },
          options,
        ),
      );
    const option = (network, key) =>
      el(
        "option",
        { value: networks.indexOf(network), selected: chosen[key] === network },
        LAYERSCOPE.short(network.title, 40),
      );
    const others = networks.filter((one) => one !== chosen.main && shared(chosen.main, one));
    return el(
      "div",
      { class: "choices" },
      el(
        "p",
        { class: "quiet" },
        "From early to late: units evenly spaced over each layer, none of them chosen; all others are a step away.",
      ),
      networks.length > 1
        ? choose(
            "main",
            "Show ",
            networks.map((one) => option(one, "main")),
          )
        : null,
      others.length
        ? choose("beside", "beside ", [
            el("option", { value: "" }, "nothing"),
            others.map((one) => option(one, "beside")),
          ])
        : null,
    );
  }

  function keepApart() {
    if (chosen.beside && (chosen.beside === chosen.main || !shared(chosen.main, chosen.beside))) chosen.beside = null;
  }

  function rows() {
    const { main, beside } = chosen;
    const heads = beside
      ? [
          el(
            "div",
            { class: "heads", "aria-hidden": "true" },
            el("span"),
            [main, beside].map((one) => el("span", {}, name(one.title, 40))),
          ),
        ]
      : [];
    return [
      ...heads,
      ...main.layers.map((layer) => {
        const other = beside && findLayer(beside, layer.name);
        return el(
          "section",
          { class: `row${beside ? " paired" : ""}` },
          rowHead(main, layer, beside),
          sheetOf(main, layer, beside ? 6 : 12, beside),
          beside
            ? other
              ? sheetOf(beside, other, 6, beside)
              : el("p", { class: "quiet" }, "no layer of this name")
            : null,
        );
      }),
    ];
  }

  function rowHead(network, layer, beside) {
    const left = layer.wanted - layer.made;
    return el(
      "div",
      { class: "rowhead" },
      el("h3", {}, el("a", { href: address(network, layer) }, name(layer.name, 40))),
      el("p", {}, receptiveField(layer, network.network.input_size), `sees ${sees(layer)}`),
      el("p", {}, left ? `${layer.made} of ${layer.wanted} made` : plural(layer.made, "unit")),
      beside || layer.median === null ? null : el("p", {}, "median ", el("b", {}, ratio(layer.median))),
    );
  }

  function sheetOf(network, layer, most, named) {
    const scale = scaleOf(layer.sample);
    const label = `Units of ${LAYERSCOPE.short(layer.name, 60)} in ${LAYERSCOPE.short(network.title, 60)}`;
    const units = layer.sample.slice(0, most);
    return el(
      "div",
      { class: "sheet" },
      named
        ? el(
            "p",
            { class: "of" },
            el("span", { class: "network" }, name(network.title, 40)),
            layer.median === null ? null : el("span", {}, "median ", el("b", {}, ratio(layer.median))),
          )
        : null,
      units.length
        ? el(
            "ul",
            { class: "contact", "aria-label": label },
            units.map((unit) =>
              el(
                "li",
                {},
                el(
                  "a",
                  { href: address(network, layer, unit.unit), class: `is-${unit.status}` },
                  picture(network.glance, unit.tile, described(unit, layer.name)),
                  ruler(unit, scale),
                  el(
                    "span",
                    { class: "under" },
                    el("b", {}, measure(unit)),
                    unit.status === "converged" ? null : statusMark(unit.status),
                  ),
                  unit.label ? el("span", { class: "label" }, name(unit.label, 24)) : null,
                ),
              ),
            ),
          )
        : el("p", { class: "quiet" }, "nothing made yet"),
    );
  }

  LAYERSCOPE.home = home;
})();
