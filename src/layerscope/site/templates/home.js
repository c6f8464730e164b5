"use strict";
// The first page: how to read a picture, one card per network, the hierarchies measured, the images explained last, and
// pictures of the hierarchy from early to late at a glance.
(() => {
  const { el, name, number, ratio, plural, picture, scaleOf, ruler, described, networks, hierarchies, images } =
    LAYERSCOPE;
  const { address, headline, total, latestImages, measuredHierarchies, glanceRows, sheetOf, shareLayers } = LAYERSCOPE;
  const { measuredAtlases } = LAYERSCOPE;
  const { comparable, compareAddress, subjectOf } = LAYERSCOPE;
  const chosen = { main: null, beside: null };

  function home() {
    return {
      title: "Layerscope",
      trail: [],
      content: networks.length
        ? [
            introduction(),
            searchBox(),
            firstPictures(),
            el("section", { class: "cards", "aria-label": "Networks" }, networks.map(card)),
            measuredHierarchies(),
            measuredAtlases(),
            latestImages(),
            bestMethods(),
            hierarchy(),
          ]
        : withoutGallery(),
    };
  }

  // One heading of the first order, whatever there is.
  function withoutGallery() {
    if (hierarchies.reports.length || hierarchies.missing.length || hierarchies.making.length)
      return [measuredHierarchies("h1"), toCompare(), searchBox(), measuredAtlases(), latestImages(), bestMethods()];
    if (images.length || LAYERSCOPE.missing.length)
      return [latestImages("h1"), searchBox(), measuredAtlases(), bestMethods()];
    if (LAYERSCOPE.atlases.length) return [measuredAtlases("h1"), searchBox(), bestMethods()];
    return [el("h1", {}, "Attribution methods, measured"), bestMethods()];
  }

  const bestMethods = () => LAYERSCOPE.bestMethods?.() ?? null;

  // Looks like the box that it opens.
  const searchBox = () =>
    el(
      "button",
      { type: "button", class: "search-box", "aria-haspopup": "dialog", onclick: () => LAYERSCOPE.openSearch() },
      el("span", {}, "Search units, layers, classes, concepts, images …"),
      el("kbd", {}, "/"),
    );

  const toCompare = () =>
    comparable().length > 1
      ? el("p", { class: "more" }, el("a", { href: "#/compare" }, "Compare two networks →"))
      : null;

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
    return layer && layer.sample.length > 5
      ? el("section", { class: "first" }, sheetOf(network, layer, 12, null))
      : null;
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
      network.probe
        ? el("p", { class: "small" }, "Compared with ", LAYERSCOPE.probe(network.probe), ".")
        : null,
    );
  }

  function hierarchy() {
    const section = el("section", { class: "hierarchy" });
    const draw = () =>
      section.replaceChildren(
        ...[el("h2", {}, "The hierarchy at a glance"), choices(draw), glanceRows(chosen.main, chosen.beside)]
          .flat(2)
          .filter(Boolean),
      );
    chosen.main ??= networks[0];
    chosen.beside ??= networks.find((one) => one !== chosen.main && shareLayers(chosen.main, one)) || null;
    draw();
    return section;
  }

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
    const others = networks.filter((one) => one !== chosen.main && shareLayers(chosen.main, one));
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
      comparable().length > 1 ? el("a", { href: comparison() }, "compare their numbers →") : null,
    );
  }

  const comparison = () =>
    chosen.beside
      ? compareAddress(subjectOf(chosen.main), subjectOf(chosen.beside))
      : compareAddress(subjectOf(chosen.main));

  function keepApart() {
    if (chosen.beside && (chosen.beside === chosen.main || !shareLayers(chosen.main, chosen.beside)))
      chosen.beside = null;
  }

  LAYERSCOPE.home = home;
})();
