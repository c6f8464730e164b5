"use strict";
// Explained images as cards: the latest on the first page, and all of them on a page of their own.
(() => {
  const { el, name, number, percent, plural, images, missing, imageAddress, overlay, mark } = LAYERSCOPE;
  const FEW = 8;

  function card(image) {
    const { map, versus } = image;
    const called = image.label === null ? "" : `, called ${LAYERSCOPE.short(image.label, 40)}`;
    const words = `${LAYERSCOPE.short(image.title, 60)}${called}`;
    const sure = image.probability === null ? `score ${number(image.score)}` : percent(image.probability);
    return el(
      "li",
      { class: "explained" },
      el(
        "a",
        { href: imageAddress(image) },
        el(
          "span",
          { class: "two" },
          overlay(image.image, null, words),
          map ? overlay(image.image, map, `${map.title} map of ${LAYERSCOPE.short(image.title, 60)}`) : null,
        ),
        el("span", { class: "answer" }, name(image.label ?? image.asked, 40), " ", el("b", {}, sure)),
      ),
      el("p", { class: "small" }, name(image.title, 48), " · ", name(image.network, 32)),
      el(
        "p",
        { class: "quiet" },
        versus
          ? [
              `${number(Math.abs(versus.margin))} logits ${versus.margin < 0 ? "behind" : "ahead of"} `,
              name(versus.label, 32),
            ]
          : null,
      ),
      image.unlike ? el("p", { class: "of-poor" }, mark("poor"), "unlike what the network knows") : null,
      image.truth !== null && image.label !== null && image.truth !== image.label
        ? el("p", { class: "of-poor" }, mark("poor"), el("span", {}, "wrong: it shows ", name(image.truth, 32)))
        : null,
    );
  }

  const cards = (shown) => el("ul", { class: "explanations" }, shown.map(card));

  const absent = () =>
    missing.length
      ? el(
          "p",
          { class: "quiet absent" },
          `${plural(missing.length, "image")} without a whole record; explain again: `,
          missing.slice(0, 6).map((one, turn) => [turn ? ", " : "", name(one, 40)]),
          missing.length > 6 ? ", …" : null,
        )
      : null;

  // The section of the first page; null where no image is explained.
  function latest(level = "h2") {
    if (!images.length && !missing.length) return null;
    return el(
      "section",
      { class: "latest" },
      el(level, {}, "Why this label"),
      el(
        "p",
        { class: level === "h1" ? "lead" : "quiet" },
        "What in an image speaks for its label, shown by methods that were checked on that very image.",
      ),
      cards(images.slice(0, FEW)),
      images.length > FEW
        ? el("p", { class: "more" }, el("a", { href: "#/image" }, `All ${plural(images.length, "image")} →`))
        : null,
      absent(),
    );
  }

  const all = () => ({
    title: "Images",
    trail: [["images", "#/image"]],
    content: [
      el("header", { class: "head" }, el("h1", {}, plural(images.length, "explained image"))),
      el("section", {}, cards(images), absent()),
    ],
  });

  Object.assign(LAYERSCOPE, { latestImages: latest, allImages: all });
})();
