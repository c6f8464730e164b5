"use strict";
// The ways back: from a unit or a layer to the images in which it mattered, from a class to the images called by it.
(() => {
  const { el, name, number, percent, plural, script, images, networks, address, imageAddress, overlay } = LAYERSCOPE;
  const { hierarchies, findLayer, saved } = LAYERSCOPE;
  const { mattered: url, pairs } = LAYERSCOPE.data.index;
  const FEW = 24;

  // The layer of a report that measures the units of a layer of a gallery, and the other way round.
  const bySlug = (things, slug) => things.find((one) => one.slug === slug);
  const reportPairs = (network, layer) =>
    pairs
      .filter(([mine, name]) => mine === network.slug && name === layer.name)
      .map(([, , slug, name]) => [bySlug(hierarchies.reports, slug), name])
      .map(([report, name]) => [report, report.layers.find((one) => one.name === name)]);
  const galleryPairs = (report, layer) =>
    pairs
      .filter(([, , theirs, name]) => theirs === report.slug && name === layer.name)
      .map(([slug, name]) => [bySlug(networks, slug), name])
      .map(([network, name]) => [network, network.layers.find((one) => one.name === name)]);

  // Who is meant, under all the names that a layer has: those of the convolution and of its rectifier.
  const ofGallery = (network, layer) => ({
    ...{ fingerprint: network.network.fingerprint, network: network.network.name },
    names: new Set([layer.name, ...reportPairs(network, layer).map(([, found]) => found.name)]),
  });
  const ofReport = (report, layer) => ({
    ...{ fingerprint: report.fingerprint, network: report.network },
    names: new Set([layer.name, ...galleryPairs(report, layer).map(([, found]) => found.name)]),
  });

  // The same weights, or else the same name.
  const isOf = (image, { fingerprint, network }) =>
    fingerprint && image.fingerprint ? image.fingerprint === fingerprint : image.network === network;

  // {image, unit, change, predicted} for each unit of a layer in each image in which it was shown to matter, the
  // largest change first.
  async function told(who) {
    if (!url) return [];
    const stories = await script(url, "mattered");
    return images
      .filter((image) => isOf(image, who))
      .flatMap((image) =>
        (stories[image.slug] ?? [])
          .filter(({ layer, same }) => [layer, ...same].some((one) => who.names.has(one)))
          .flatMap(({ units }) => units.map(([unit, change, predicted]) => ({ image, unit, change, predicted }))),
      )
      .sort((a, b) => Math.abs(b.change) - Math.abs(a.change));
  }

  const signed = (value) => (value > 0 ? "+" : "") + number(value);
  const SIDES = { for: "speaks for ", against: "speaks against ", none: "changes nothing for " };

  const thumbnail = (image) =>
    el(
      "a",
      { href: imageAddress(image), class: "thumb", tabindex: "-1", "aria-hidden": "true" },
      overlay(image.image, null, ""),
    );

  const effect = ({ image, change }) => [
    el("b", {}, signed(change)),
    " ",
    SIDES[LAYERSCOPE.sideOf(change)],
    name(image.asked ?? "what was asked", 32),
  ];

  const item = (image, ...content) =>
    el(
      "li",
      {},
      thumbnail(image),
      el("div", {}, el("p", {}, el("a", { href: imageAddress(image) }, name(image.title, 48))), content),
    );

  const list = (items) => [
    el("ul", { class: "back-of" }, items.slice(0, FEW)),
    items.length > FEW ? el("p", { class: "small" }, `and ${plural(items.length - FEW, "further image")}`) : null,
  ];

  const rowsFor = (found) => [
    ["image", "network", "explained", "unit", "true change", "predicted change"],
    ...found.map((one) => [
      one.image.title,
      one.image.network,
      one.image.asked,
      one.unit,
      one.change,
      one.predicted,
    ]),
  ];

  // The images in which one unit mattered; null where there is none.
  async function unitImages(who, unit, of) {
    const found = (await told(who)).filter((one) => one.unit === unit);
    if (!found.length) return null;
    const section = el(
      "section",
      { class: "mattered" },
      el("h2", {}, "Images in which it mattered"),
      el(
        "p",
        { class: "quiet lines" },
        "It is among the units of its layer that an explanation set to their mean one by one; by how much the score of ",
        "what was explained changed without it.",
      ),
      list(found.map((one) => item(one.image, el("p", { class: "small" }, effect(one))))),
    );
    return saved(section, of, "images in which it mattered", { rows: () => rowsFor(found) });
  }

  // By image the unit of a layer that mattered most, folded; null where no image tells of the layer.
  async function layerImages(who, link, of) {
    const found = await told(who);
    const seen = new Set();
    const first = found.filter(({ image }) => !seen.has(image) && seen.add(image));
    if (!first.length) return null;
    const section = el(
      "details",
      { class: "mattered" },
      el("summary", {}, `Mattered in ${plural(first.length, "explained image")}`),
      list(
        first.map((one) =>
          item(
            one.image,
            el("p", { class: "small" }, "most ", el("a", { href: link(one.unit) }, `#${one.unit}`), ": ", effect(one)),
          ),
        ),
      ),
    );
    return saved(section, of, "images in which its units mattered", { rows: () => rowsFor(found) });
  }

  // The images that are called by the class that a unit stands for; null where there is none, or it stands for none.
  function classImages(who, label) {
    const found = label ? images.filter((image) => isOf(image, who) && image.label === label) : [];
    if (!found.length) return null;
    return el(
      "section",
      { class: "mattered" },
      el("h2", {}, "Images called ", name(label, 40)),
      list(
        found.map((image) =>
          item(image, image.probability === null ? null : el("p", { class: "small" }, percent(image.probability))),
        ),
      ),
    );
  }

  // In an image's story: the report that measures a layer of it, by its own name or by that of its units.
  const reportsOfStory = (network, layer) =>
    hierarchies.reports
      .filter((report) => isOf({ fingerprint: network.fingerprint, network: network.name }, { ...report }))
      .flatMap((report) =>
        report.layers
          .filter((one) => one.name === layer.layer || (one.same_units ?? []).includes(layer.layer))
          .map((one) => [report, one]),
      );

  // The gallery of the network of a story that shows the units of a layer of it, and under which name.
  const galleryOfStory = (gallery, layer) => {
    const known = [layer.layer, ...(layer.same_units ?? []), ...layer.shown.map((unit) => unit.gallery_layer)];
    const measured = gallery
      ? pairs.filter(([slug, , , theirs]) => slug === gallery.slug && theirs === layer.layer).map(([, mine]) => mine)
      : [];
    const found = [...known, ...measured].find((one) => one && gallery && findLayer(gallery, one)?.name === one);
    return found ? findLayer(gallery, found) : undefined;
  };

  Object.assign(LAYERSCOPE, { reportPairs, galleryPairs, ofGallery, ofReport, unitImages, layerImages, classImages });
  Object.assign(LAYERSCOPE, { reportsOfStory, galleryOfStory, signedChange: signed });
})();
