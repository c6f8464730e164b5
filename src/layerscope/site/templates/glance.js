"use strict";
// Pictures that stand for their layers, from early to late: of one network, or of two side by side.
(() => {
  const { el, name, ratio, plural, picture, scaleOf, ruler, measure, described, statusMark } = LAYERSCOPE;
  const { receptiveField, sees, address, findLayer } = LAYERSCOPE;

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

  // One unit with its numbers. `sprite` holds its picture at `place`, `scale` is that of the ruler.
  const tile = (network, layer, unit, sprite, place, scale) =>
    el(
      "a",
      { href: address(network, layer, unit.unit), class: `is-${unit.status}` },
      picture(sprite, place, described(unit, layer.name)),
      ruler(unit, scale),
      el(
        "span",
        { class: "under" },
        el("b", {}, measure(unit)),
        unit.status === "converged" ? null : statusMark(unit.status),
      ),
      unit.label ? el("span", { class: "label" }, name(unit.label, 24)) : null,
    );

  // Units of one layer; with `named` the network is named above them, for rows of two.
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
            units.map((unit) => el("li", {}, tile(network, layer, unit, network.glance, unit.tile, scale))),
          )
        : el("p", { class: "quiet" }, "nothing made yet"),
    );
  }

  const heads = (main, beside) =>
    el(
      "div",
      { class: "heads", "aria-hidden": "true" },
      el("span"),
      [main, beside].map((one) => el("span", {}, name(one.title, 40))),
    );

  function row(main, layer, beside) {
    const other = beside && findLayer(beside, layer.name);
    const missing = () => el("p", { class: "quiet" }, "no layer of this name");
    return el(
      "section",
      { class: `row${beside ? " paired" : ""}` },
      rowHead(main, layer, beside),
      sheetOf(main, layer, beside ? 6 : 12, beside),
      beside ? (other ? sheetOf(beside, other, 6, beside) : missing()) : null,
    );
  }

  // The layers of `main`, each beside the layer of the same name of `beside` where there is one.
  const rows = (main, beside) => [
    beside ? heads(main, beside) : null,
    main.layers.map((layer) => row(main, layer, beside)),
  ];

  const shareLayers = (a, b) => a.layers.some((layer) => findLayer(b, layer.name)?.name === layer.name);

  Object.assign(LAYERSCOPE, { glanceRows: rows, sheetOf, unitTile: tile, shareLayers });
})();
