"use strict";
// What is known of a network: the facts of its card, whatever their names, and how much of its gallery is made.
(() => {
  const { el, name, percent, whole, plural, shares, sum } = LAYERSCOPE;
  const isShare = (key, value) => /accuracy|recall|precision|share/i.test(key) && value >= 0 && value <= 1;
  const words = (key) => String(key).replaceAll("_", " ");
  const heading = (key) => words(key).replace(/^./u, (letter) => letter.toUpperCase());

  function value(key, fact) {
    if (fact === null || fact === undefined) return "–";
    if (typeof fact === "number")
      return isShare(key, fact)
        ? percent(fact)
        : Number.isInteger(fact)
          ? whole(fact)
          : String(+fact.toPrecision(4)).replace("-", "−");
    if (Array.isArray(fact)) return fact.length ? fact.map((one, turn) => [turn ? ", " : "", value(key, one)]) : "none";
    if (typeof fact === "object") return list(fact, key);
    return name(fact, 160);
  }

  // A list of facts; shares of several classes become bars, the weakest first.
  function list(facts, parent = "") {
    const entries = Object.entries(facts);
    if (entries.length > 2 && entries.every(([, fact]) => typeof fact === "number" && isShare(parent, fact)))
      return bars(entries);
    return el(
      "dl",
      { class: "facts" },
      entries.map(([key, fact]) => [
        el("dt", {}, name(words(key))),
        el("dd", {}, value(isShare(parent, fact) ? parent : key, fact)),
      ]),
    );
  }

  function bars(entries) {
    const sorted = [...entries].sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1));
    return el(
      "ul",
      { class: "bars" },
      sorted.map(([key, share]) =>
        el(
          "li",
          {},
          name(words(key), 32),
          el("span", { class: "track", "aria-hidden": "true" }, el("i", { "--share": share })),
          el("b", {}, percent(share)),
        ),
      ),
    );
  }

  // Lines of [fact, value] on the card of the first page.
  function headline(network) {
    const { card = {}, class_names: classes, input_size: size } = network.network;
    const lines = [];
    for (const [key, fact] of Object.entries(card || {})) {
      if (!/accuracy/i.test(key)) continue;
      if (typeof fact === "number") lines.push([words(key), value(key, fact)]);
      else if (fact && typeof fact === "object") {
        for (const [of, share] of Object.entries(fact).slice(0, 3))
          lines.push([`${words(key)}, ${words(of)}`, value(key, share)]);
      }
    }
    if (classes) lines.push(["classes", String(classes.length)]);
    if (size) lines.push(["input", `${size} × ${size} px`]);
    lines.push(["layers", String(network.layers.length)], ["units", made(network.layers)]);
    return lines;
  }

  const probe = (facts) => [`${plural(facts.images ?? 0, "image")} of `, name(facts.name ?? "a probe set", 40)];

  function made(layers) {
    const [done, wanted] = [sum(layers, "made"), sum(layers, "wanted")];
    return done === wanted ? whole(done) : `${whole(done)} of ${whole(wanted)} made`;
  }

  function total(layers) {
    const counts = {};
    for (const layer of layers)
      for (const [word, count] of Object.entries(layer.status)) counts[word] = (counts[word] || 0) + count;
    return shares(counts, sum(layers, "made"));
  }

  Object.assign(LAYERSCOPE, { factList: list, heading, headline, made, total, probe });
})();
