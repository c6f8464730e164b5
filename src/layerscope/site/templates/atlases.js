"use strict";
// Activation atlases at a glance: each whole map in one picture, on the first page and on one of their own.
(() => {
  const { el, name, encoded, percent, plural, whole, onSight, tileOf, sheet } = LAYERSCOPE;
  const atlases = LAYERSCOPE.data.index.atlases;

  const address = (atlas) => `#/atlas/${encoded(atlas.slug)}`;
  const find = (text) => atlases.find((one) => one.slug === text || one.title === text);

  // The rows and columns between the outermost cells.
  function extent(places) {
    const [rows, columns] = [0, 1].map((axis) => places.map((place) => place[axis]));
    const sides = [Math.min(...rows), Math.max(...rows), Math.min(...columns), Math.max(...columns)];
    const [top, bottom, left, right] = places.length ? sides : [0, 0, 0, 0];
    return { top, left, rows: bottom - top + 1, columns: right - left + 1 };
  }

  // The whole map in one canvas.
  function preview(atlas) {
    const { top, left, rows, columns } = extent(atlas.places);
    const words = `The map of ${LAYERSCOPE.short(atlas.title, 80)}: ${plural(atlas.places.length, "cell")}`;
    return onSight(words, columns / rows, async (context, width) => {
      const side = width / columns;
      const tiles = atlas.places.map((_, at) => tileOf(atlas.preview, at));
      const sheets = await Promise.all(tiles.map((tile) => sheet(tile.url)));
      context.imageSmoothingQuality = "high";
      tiles.forEach((tile, at) => {
        const [row, column] = atlas.places[at];
        const [x, y] = [Math.round((column - left) * side), Math.round((row - top) * side)];
        const size = Math.round(side) - 1;
        context.drawImage(sheets[at], tile.left, tile.top, ...atlas.preview.tile, x, y, size, size);
      });
    });
  }

  const fits = ({ nearest, ranked }) =>
    ranked ? `${whole(nearest)} of ${plural(ranked, "picture")} most like ${ranked === 1 ? "its" : "their"} own cell` : null;

  const card = (atlas) =>
    el(
      "li",
      { class: "atlas-card" },
      el(
        "a",
        { href: address(atlas) },
        atlas.places.length ? preview(atlas) : el("span", { class: "blank" }, "no cell is made yet"),
        el("span", { class: "atlas-name" }, name(atlas.title, 80)),
      ),
      el("p", { class: "small" }, [fits(atlas), `${percent(atlas.kept)} of neighbours kept`].filter(Boolean).join(" · ")),
    );

  const cards = () => el("ul", { class: "atlas-cards" }, atlases.map(card));
  const LEAD = "What a layer tells apart, in pictures: activations that are alike lie side by side.";

  // The section of the first page; null where there is no atlas.
  function measured(level = "h2") {
    if (!atlases.length) return null;
    return el(
      "section",
      { class: "atlases" },
      el(level, {}, el("a", { href: "#/atlas" }, "Activation atlases")),
      el("p", { class: level === "h1" ? "lead" : "quiet" }, LEAD),
      cards(),
    );
  }

  const all = () => ({
    title: "Activation atlases",
    trail: [["atlases", "#/atlas"]],
    content: [
      el("header", { class: "head" }, el("h1", {}, plural(atlases.length, "activation atlas", "activation atlases"))),
      el("section", {}, el("p", { class: "quiet" }, LEAD), cards()),
    ],
  });

  Object.assign(LAYERSCOPE, { atlases, atlasAddress: address, findAtlas: find, atlasExtent: extent, allAtlases: all, measuredAtlases: measured });
})();
