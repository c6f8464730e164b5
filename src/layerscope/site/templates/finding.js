"use strict";
// The head of a hierarchy report: the finding in words, what it rests on, what the network shows and what it does not.
(() => {
  const { el, name, number, percent, whole, plural, mark, reportAddress, networks, address } = LAYERSCOPE;
  const { CODED, tag, signed, between, tasksOf } = LAYERSCOPE;
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

  // The head says already whether one is shown.
  const withoutHead = (words) =>
    String(words)
      .replace(/^(A|No) hierarchy (is )?shown: /, "")
      .replace(/^./u, (letter) => letter.toUpperCase());

  function tellers(data) {
    const { trend } = data;
    const deep = data.layers.filter((layer) => layer.depth);
    const honest = data.false_rate <= PROMISED;
    return [
      [
        number(trend.value),
        `rank correlation of depth and layer, ${number(trend.low)} to ${number(trend.high)}, p = ${number(data.trend_p)}`,
      ],
      [
        `${deep.length} of ${data.layers.length}`,
        "layers code something beyond their random twins, all layers together",
      ],
      [
        percent(data.false_rate),
        `of the units of held-out random twins are called anything: all of these labels are false${honest ? "" : ". More than the 5% that is promised"}`,
      ],
      [
        whole(data.layers.reduce((sum, layer) => sum + layer.units, 0)),
        `units of ${plural(data.layers.length, "layer")}, beside ${plural(data.twins, "twin")} with random weights`,
      ],
    ];
  }

  const line = (word, ...content) => el("li", { class: `of-${word}` }, mark(word), el("span", {}, content));

  // To a layer, or to those of its units that have a label.
  const layerLink = (of, layer, label) =>
    el("a", { href: reportAddress(of, layer) + (label ? `?label=${label}` : "") }, name(layer.name, 24));

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
      .map((task) => [task, strongest(data, (layer) => layer.decodability[task]?.beyond_twins)])
      .filter(([, found]) => found.beyond.length)
      .map(([task, { there, beyond, best }]) =>
        line(
          "good",
          name(task, 40),
          ` can be read better than from twins in ${beyond.length} of ${plural(there.length, "layer")}, most from `,
          layerLink(of, best),
          ": ",
          el("b", {}, signed(best.decodability[task].beyond_twins.value)),
          ` (${between(best.decodability[task].beyond_twins)})`,
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
      .map((task) => [task, strongest(data, (layer) => layer.decodability[task]?.beyond_twins)])
      .filter(([, found]) => found.best && !found.beyond.length)
      .map(([task]) => line("open", name(task, 40), " can be read no better than from twins"));
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
      line("open", "A label says what a unit answers to in these images, not what the network uses it for."),
    ];
  }

  Object.assign(LAYERSCOPE, { findingOf: banner, reportLayerLink: layerLink });
})();
