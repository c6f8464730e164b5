"use strict";
// The head of a hierarchy report: the finding in words, what it rests on, what the network shows and what it does not.
(() => {
  const { el, name, number, percent, whole, plural, mark, reportAddress, networks, address } = LAYERSCOPE;
  const { CODED, tag, signed, between, tasksOf, withoutNumbers, trendOf, furthest, bothSides, bestRead } = LAYERSCOPE;
  const PROMISED = 0.05; // of the units of held-out twins that may be called anything

  function banner(of, data) {
    const gallery = networks.find((one) => of.fingerprint && one.network.fingerprint === of.fingerprint);
    return el(
      "header",
      { class: `finding ${data.shown ? "is-shown" : "is-not-shown"}` },
      el(
        "p",
        { class: "kicker" },
        "What the layers of ",
        gallery ? el("a", { href: address(gallery) }, name(of.title, 80)) : name(of.title, 80),
        " code",
      ),
      el("h1", {}, data.shown ? "A hierarchy is shown" : "No hierarchy is shown"),
      el("p", { class: "lead" }, name(withoutHead(data.words), 600)),
      el(
        "dl",
        { class: "tellers" },
        tellers(data).map(([value, words]) => el("div", {}, el("dt", {}, words), el("dd", {}, value))),
      ),
      el(
        "div",
        { class: "two-of" },
        el("div", {}, el("h2", {}, "What it shows"), el("ul", { class: "standing" }, shows(of, data))),
        el("div", {}, el("h2", {}, "What it does not show"), el("ul", { class: "standing" }, showsNot(of, data))),
      ),
    );
  }

  // The head says already whether one is shown, and the numbers stand below.
  const withoutHead = (words) =>
    withoutNumbers(words)
      .replace(/^(A|No) hierarchy (is )?shown: /, "")
      .replace(/^./u, (letter) => letter.toUpperCase());

  const layersOf = (data, words) => `${words} of ${data.layers.length}`;

  // The layers of which more than is promised is called anything in held-out twins, the worst first.
  const worst = (data) =>
    data.layers.filter((layer) => layer.false_rate > PROMISED).sort((a, b) => b.false_rate - a.false_rate);

  function falseWords(data) {
    const most = data.layers.reduce((a, b) => (b.false_rate > a.false_rate ? b : a));
    return [
      "of the units of held-out random twins are called anything: all of these labels are false",
      data.false_rate <= PROMISED ? "" : ". More than the 5% that is promised",
      most.false_rate > data.false_rate
        ? [`, at most ${percent(most.false_rate)} in one layer (`, name(most.name, 24), ")"]
        : null,
    ];
  }

  function tellers(data) {
    const coding = data.layers.filter((layer) => layer.net.any.low > 0);
    return [
      data.layers.filter((layer) => layer.depth).length > 1
        ? [number(data.trend.value), `rank correlation of depth and layer, ${trendOf(data)}`]
        : ["–", "rank correlation of depth and layer: too few layers have a depth to rank them"],
      [layersOf(data, coding.length), "layers code something beyond their random twins, all layers together"],
      [percent(data.false_rate), falseWords(data)],
      [
        whole(data.layers.reduce((sum, layer) => sum + layer.units, 0)),
        `units of ${plural(data.layers.length, "layer")}, beside ${plural(data.twins, "twin")} with random weights`,
      ],
    ];
  }

  const line = (word, ...content) => el("li", { class: `of-${word}` }, mark(word), el("span", {}, content));

  // To a layer, or to those of its units that have a label where any has it.
  const layerLink = (of, layer, label) =>
    el(
      "a",
      { href: reportAddress(of, layer) + (label && layer.shares[label]?.units ? `?label=${label}` : "") },
      name(layer.name, 24),
    );

  function strongest(data, net) {
    const there = data.layers.filter((layer) => net(layer));
    const beyond = there.filter((layer) => net(layer).low > 0);
    const among = beyond.length ? beyond : there;
    return { there, beyond, best: among.length ? among.reduce((a, b) => (net(b).value > net(a).value ? b : a)) : null };
  }

  function shows(of, data) {
    const told = CODED.map((category) => [category, strongest(data, (layer) => layer.net[category])])
      .filter(([, found]) => found.beyond.length)
      .map(([category, { there, beyond, best }]) =>
        line(
          "good",
          tag(category),
          ` units beyond the twins in ${beyond.length} of ${plural(there.length, "layer")}, most in `,
          layerLink(of, best, category),
          ": ",
          el("b", {}, signed(best.net[category].value)),
          ` (${between(best.net[category])})`,
        ),
      );
    const read = tasksOf(data)
      .map((task) => [task, furthest(data, task)])
      .filter(([, found]) => found?.beyond.length)
      .map(([task, { there, beyond, layer, top }]) =>
        line(
          "good",
          name(task, 40),
          ` can be read better than from twins in ${beyond.length} of ${plural(there.length, "layer")}, furthest beyond them from `,
          layerLink(of, layer),
          ": ",
          bothSides(layer.decodability[task]),
          bestRead(top, task, (one) => layerLink(of, one)),
        ),
      );
    return told.length + read.length
      ? [told, read]
      : line("open", "No label of any layer, and nothing that can be read from it, is beyond the twins for sure.");
  }

  function showsNot(of, data) {
    const missing = CODED.map((category) => [category, strongest(data, (layer) => layer.net[category])])
      .filter(([, found]) => found.best && !found.beyond.length)
      .map(([category, { best }]) =>
        line(
          "open",
          "No ",
          tag(category),
          " units for sure; most in ",
          layerLink(of, best, category),
          `: ${signed(best.net[category].value)} (${between(best.net[category])})`,
        ),
      );
    const unread = tasksOf(data)
      .filter((task) => furthest(data, task)?.beyond.length === 0)
      .map((task) => line("open", name(task, 40), " can be read no better than from twins"));
    return [
      missing,
      unread,
      data.skipped.map((words) => line("open", "left out: ", name(words, 300))),
      data.false_rate > PROMISED
        ? line(
            "poor",
            `${percent(data.false_rate)} false labels are more than the 5% that is promised: more twins or wider layers are needed`,
          )
        : null,
      worst(data)
        .slice(0, 4)
        .map((layer) =>
          line(
            "poor",
            "In ",
            layerLink(of, layer),
            ` ${percent(layer.false_rate)} of the units of held-out twins are called anything, more than the 5% that is promised`,
          ),
        ),
      worst(data).length > 4 ? line("poor", `and in ${plural(worst(data).length - 4, "further layer")}`) : null,
      line("open", "A label says what a unit answers to in these images, not what the network uses it for."),
    ];
  }

  Object.assign(LAYERSCOPE, { findingOf: banner, reportLayerLink: layerLink });
})();
