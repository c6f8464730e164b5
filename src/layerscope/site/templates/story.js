"use strict";
// The way from the image to what is explained: the units of each layer that mattered most, and whether they really did.
(() => {
  const { el, name, prose, number, percent, plural, picture, ratio, networks, address, findLayer, overlay } =
    LAYERSCOPE;

  function story(data) {
    const layers = (data.story?.layers || []).filter((layer) => layer.shown.length);
    if (!layers.length) return null;
    const scale = Math.max(...layers.flatMap((layer) => layer.shown.flatMap(changes).map(Math.abs)), 1e-9);
    const gallery = galleryOf(data);
    const most = Math.max(...layers.map((layer) => layer.shown.length));
    const section = el(
      "section",
      { class: "story" },
      el("h2", {}, "How it got there"),
      prose(data.story.words, { class: "quiet lines" }),
      flow(data, layers),
      el(
        "p",
        { class: "small" },
        "At a glance: of each layer, the first of the units below that speaks for ",
        LAYERSCOPE.asked(data),
        ", where one does.",
      ),
      key(data),
      el(
        "ol",
        { class: "layers-of", "--most": Math.min(most, 6) },
        layers.map((layer) => row(data, layer, gallery, scale)),
      ),
      layers.some((layer) => layer.shown.some((unit) => unit.picture === null)) ? howTo(data, layers) : null,
    );
    return LAYERSCOPE.saved(section, LAYERSCOPE.sourceOf(data, data.title, data.network.name), "units that mattered", {
      plots: null,
      rows: () => rowsFor(layers),
      python: data.python.units_that_mattered,
    });
  }

  const rowsFor = (layers) =>
    LAYERSCOPE.rowsOf(
      layers.flatMap((layer) => layer.shown.map((unit) => ({ layer: layer.layer, ...unit }))),
      ["layer", "unit", "label", "contribution", "predicted", "true", "ratio", "status", "gallery_layer"],
    );

  const changes = (unit) => [unit.predicted, unit.true].filter((value) => value !== null);

  // The gallery of the same network, where this site has one: the same weights, or else the same name.
  function galleryOf(data) {
    const { fingerprint, name: called } = data.network;
    const same = (one) =>
      fingerprint && one.network.fingerprint ? one.network.fingerprint === fingerprint : one.network.name === called;
    return networks.find(same);
  }

  // A change of the score without a unit or a part says for what it speaks; none at all says nothing.
  const sideOf = (change) => (change < 0 ? "for" : change > 0 ? "against" : "none");
  const SIDES = { for: null, against: "speaks against", none: "changes nothing" };

  // The whole way at a glance: the image, of each layer the first unit that speaks for what is explained, and that.
  function flow(data, layers) {
    const asked = data.labels.find((one) => one.index === data.target.index);
    return el(
      "ol",
      { class: "flow" },
      el(
        "li",
        { class: "from" },
        overlay(data.image, null, `The image ${LAYERSCOPE.short(data.image.name, 60)}`),
        el("p", { class: "under" }, "the image"),
      ),
      layers.map((layer) => {
        const unit = layer.shown.find((one) => one.true < 0) ?? layer.shown[0];
        const side = sideOf(unit.true);
        return el(
          "li",
          { class: `is-${side}` },
          el("span", { class: "pair-of" }, data.story.units && drawn(data, layer, unit), where(data, layer, unit)),
          el("p", { class: "under" }, name(layer.layer, 24)),
          SIDES[side] ? el("p", { class: "side" }, SIDES[side]) : null,
        );
      }),
      el(
        "li",
        { class: "to" },
        el("p", { class: "answer" }, name(data.target.label ?? data.target.text, 40)),
        el("p", { class: "quiet" }, sure(asked) ?? `score ${number(data.target.score)}`),
      ),
    );
  }

  const sure = (label) => (label && label.probability !== null ? percent(label.probability) : null);
  const called = (layer, unit) => `${LAYERSCOPE.short(layer.layer, 40)}:${unit.unit}`;

  const drawn = (data, layer, unit) =>
    unit.picture === null
      ? el("span", { class: "unmade" }, "no picture yet")
      : picture(data.story.units, unit.picture, `What drives unit ${called(layer, unit)} most`);

  function where(data, layer, unit) {
    const [rows, columns] = unit.positions;
    const most =
      rows * columns > 1 ? `, most at row ${unit.peak[0]} of ${rows}, column ${unit.peak[1]} of ${columns}` : "";
    return picture(data.story.fired, unit.fired, `Where unit ${called(layer, unit)} fired${most}`);
  }

  const key = (data) =>
    el(
      "ul",
      { class: "storykey" },
      el("li", {}, el("i", { class: "swatch fired" }), "where it fired in this image"),
      el("li", {}, el("i", { class: "swatch predicted" }), "predicted change of the score without the unit"),
      el("li", {}, el("i", { class: "swatch true" }), "true change"),
      el("li", {}, el("i", { class: "swatch for" }), el("span", {}, "falls: it speaks for ", LAYERSCOPE.asked(data))),
      el("li", {}, el("i", { class: "swatch against" }), "rises: it speaks against"),
    );

  function row(data, layer, gallery, scale) {
    const shownIn = LAYERSCOPE.galleryOfStory(gallery, layer);
    const at = ({ unit }) => (hasPicture(shownIn, unit) ? shownIn : undefined);
    const measured = LAYERSCOPE.reportsOfStory(data.network, layer);
    const fact = (key, value, words) =>
      value === null ? null : el("p", { title: words }, key, " ", el("b", {}, value));
    return el(
      "li",
      { class: "layer-of" },
      el(
        "div",
        { class: "stephead" },
        el("h3", {}, shownIn ? el("a", { href: address(gallery, shownIn) }, name(layer.layer, 40)) : name(layer.layer, 40)),
        measured
          .slice(0, 1)
          .map(([report, found]) =>
            el("p", {}, el("a", { href: LAYERSCOPE.reportAddress(report, found) }, "in the hierarchy")),
          ),
        el("p", {}, name(layer.kind ?? "layer", 24), `, ${plural(layer.units, "unit")}`),
        el("p", {}, layer.reach === "unknown" ? "reach unknown" : ["sees ", name(layer.reach, 24)]),
        fact(
          "agreement",
          layer.agreement === null ? null : number(layer.agreement),
          "Rank correlation of predicted and true change over all units that were tried",
        ),
        fact(
          "same sign",
          layer.within === null ? null : percent(layer.within),
          "Share of the units shown whose change has the predicted sign; those that change nothing do not count",
        ),
      ),
      el(
        "ul",
        { class: "units-of" },
        layer.shown.map((unit) => card(data, layer, unit, { gallery, at: at(unit), measured, scale })),
      ),
    );
  }

  const hasPicture = (at, unit) => at && (at.some ? at.some.includes(unit) : unit < at.made);

  function card(data, layer, unit, { gallery, at, measured, scale }) {
    const title = [`#${unit.unit}`, unit.label ? [" ", name(unit.label, 24)] : null];
    const link = (attributes, ...content) => el("a", { href: address(gallery, at, unit.unit), ...attributes }, content);
    const shown = drawn(data, layer, unit);
    return el(
      "li",
      { class: "unit-of", "data-unit": unit.unit },
      el(
        "div",
        { class: "pair-of" },
        at ? link({ "aria-label": `${called(layer, unit)} in the gallery` }, shown) : shown,
        where(data, layer, unit),
      ),
      el(
        "p",
        { class: "under" },
        at ? link({ tabindex: "-1" }, title) : el("span", {}, title),
        unit.ratio === null
          ? null
          : el("span", { class: "small", title: "of the strongest natural activation" }, ratio(unit.ratio)),
      ),
      el("div", { class: "changes" }, change("predicted", unit.predicted, scale), change("true", unit.true, scale)),
      measured
        .filter(([, found]) => unit.unit < found.units)
        .slice(0, 1)
        .map(([report, found]) =>
          el(
            "p",
            { class: "small" },
            el("a", { href: LAYERSCOPE.reportAddress(report, found, unit.unit) }, "what it codes"),
          ),
        ),
    );
  }

  // Both from the same edge, on one scale for the whole story; the sign is the colour, and stands in the number.
  function change(kind, value, scale) {
    const size = value === null ? 0 : Math.min(1, Math.abs(value) / scale);
    return el(
      "span",
      { class: `change ${kind} ${sideOf(value)}` },
      el("i", { "--size": size }),
      el("b", {}, el("span", { class: "unseen" }, `${kind} change `), (value > 0 ? "+" : "") + number(value)),
    );
  }

  function howTo(data, layers) {
    const wanted = layers.filter((layer) => layer.shown.some((unit) => unit.picture === null));
    const units = wanted.map((layer) => ` --units ${quoted(layer.layer)}`).join("");
    const weights = data.network.weights ? ` --weights ${quoted(data.network.weights)}` : "";
    return LAYERSCOPE.command(
      "Some units have no picture yet; this makes them, and the image explained again shows them",
      `layerscope gallery ${quoted(data.network.spec || "MODEL")}${weights}${units}${out()}`,
    );
  }

  // The folder of this site, where it was opened from the disk; a browser on Windows writes /C:/...
  function out() {
    if (location.protocol !== "file:") return "";
    const path = decodeURIComponent(location.pathname).replace(/\/[^/]*$/, "");
    return ` --out ${quoted(path.replace(/^\/(?=[A-Za-z]:)/, "") || "/")}`;
  }

  // As a shell wants it: a name may hold anything.
  const quoted = (text) => (/^[\w.:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

  Object.assign(LAYERSCOPE, { story, sideOf });
})();
