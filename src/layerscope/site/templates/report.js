"use strict";
// A hierarchy report: the finding, the layers from early to late, units as evidence, and all numbers.
(() => {
  const { el, name, number, percent, whole, plural, shape, pixels, factList, sees } = LAYERSCOPE;
  const { reportData, reportAddress, CODED, CATEGORIES, tag, signed, between, findingOf, reportLayerLink } = LAYERSCOPE;
  const { layersSection, netSection, decodingSection, alikeSection, tasksOf, layerTuning, unitCard } = LAYERSCOPE;

  async function report(of) {
    const data = await reportData(of);
    return {
      title: `Hierarchy of ${of.title}`,
      trail: [
        ["hierarchy", "#/hierarchy"],
        [of.title, reportAddress(of)],
      ],
      content: [
        findingOf(of, data),
        layersSection(data),
        netSection(data),
        decodingSection(data),
        alikeSection(data),
        evidence(of, data),
        numbers(of, data),
        making(of, data),
      ],
    };
  }

  // --- layer by layer

  const evidence = (of, data) =>
    el(
      "section",
      { class: "chapter" },
      el("h2", {}, "Layer by layer"),
      el(
        "p",
        { class: "quiet lines" },
        "To what the units of each layer are tuned, a dot for each; the units that tell most, and beside them as many ",
        `that nobody chose: drawn at random, with seed ${data.seed}. Left in each pair the picture made for the unit, right what it sees where `,
        "natural images excite it most. Evidence is in standard deviations of the twins’ units.",
      ),
      data.layers.map((layer, place) => block(of, data, layer, place)),
    );

  function block(of, data, layer, place) {
    const at = (unit) => layer.chosen.units.unit.indexOf(unit);
    const group = (title, units, words) =>
      el(
        "section",
        { class: "group-of" },
        el("h4", {}, title),
        units.length
          ? el(
              "ul",
              { class: "coded-units" },
              units.map((unit) => unitCard(of, data, layer, layer.chosen, at(unit))),
            )
          : el("p", { class: "quiet" }, words),
      );
    return el(
      "article",
      { class: "layer-block" },
      el(
        "header",
        {},
        el("h3", {}, `${place + 1} `, reportLayerLink(of, layer)),
        el(
          "p",
          { class: "summary" },
          el("span", {}, `sees ${sees(layer)}`),
          el("span", {}, plural(layer.units, "unit")),
          el("span", {}, "beyond twins ", el("b", {}, signed(layer.net.any.value)), ` (${between(layer.net.any)})`),
          el("span", {}, "depth ", el("b", {}, layer.depth ? number(layer.depth.value) : "–")),
          CODED.filter((one) => layer.shares[one]?.units).map((one) =>
            el("span", {}, tag(one), ` ${layer.shares[one].units}`),
          ),
        ),
      ),
      layerTuning(layer, data.stimuli),
      el(
        "div",
        { class: "groups" },
        group("Most telling", layer.telling, "No unit of this layer passes any test."),
        group("A random sample", layer.sample, "There are no units to draw from."),
      ),
      el(
        "p",
        { class: "more" },
        el(
          "a",
          { href: reportAddress(of, layer) },
          `All ${plural(layer.units, "unit")} of `,
          name(layer.name, 24),
          " →",
        ),
      ),
    );
  }

  // --- all numbers

  const interval = (one) =>
    one
      ? [el("b", {}, number(one.value)), el("span", { class: "small" }, `${number(one.low)} to ${number(one.high)}`)]
      : "–";
  const share = (one) =>
    one ? [el("b", {}, percent(one.share)), el("span", { class: "small" }, `twins ${percent(one.twins)}`)] : "–";
  const accuracy = (one) =>
    one
      ? [
          el("b", {}, percent(one.accuracy.value)),
          el("span", { class: "small" }, between(one.accuracy)),
          one.beyond_twins ? el("span", { class: "small" }, `twins ${signed(one.beyond_twins.value)}`) : null,
        ]
      : "–";

  function columns(of, data) {
    return [
      ["kind", (layer) => name(layer.kind ?? "–", 24)],
      ["shape", (layer) => shape(layer.shape)],
      ["units", (layer) => whole(layer.units)],
      ["sees", (layer) => sees(layer)],
      ["effective field", (layer) => (layer.effective_field ? pixels(+layer.effective_field.toFixed(1)) : "–")],
      ["stride", (layer) => pixels(layer.stride)],
      ...CATEGORIES.map((one) => [tag(one), (layer) => share(layer.shares[one])]),
      [
        "any, net",
        (layer) => [el("b", {}, signed(layer.net.any.value)), el("span", { class: "small" }, between(layer.net.any))],
      ],
      ["depth", (layer) => interval(layer.depth)],
      ["two meanings", (layer) => whole(layer.polysemantic)],
      ["false rate", (layer) => percent(layer.false_rate)],
      ...tasksOf(data).map((task) => [["reading ", name(task, 20)], (layer) => accuracy(layer.decodability[task])]),
    ];
  }

  function numbers(of, data) {
    const shown = columns(of, data);
    return el(
      "section",
      { class: "chapter" },
      el("h2", {}, "All numbers by layer"),
      el(
        "div",
        { class: "scroller", tabindex: "0", role: "region", "aria-label": "All numbers by layer" },
        el(
          "table",
          { class: "all-numbers" },
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              el("th", { scope: "col" }, "layer"),
              shown.map(([head]) => el("th", { scope: "col" }, head)),
            ),
          ),
          el(
            "tbody",
            {},
            data.layers.map((layer, place) =>
              el(
                "tr",
                {},
                el("th", { scope: "row" }, `${place + 1} `, reportLayerLink(of, layer)),
                shown.map(([, value]) => el("td", {}, value(layer))),
              ),
            ),
          ),
        ),
      ),
    );
  }

  // --- how it was made

  const size = (bytes) =>
    bytes < 1e4
      ? `${whole(bytes)} bytes`
      : bytes < 1e6
        ? `${Math.round(bytes / 1e3)} kB`
        : `${(bytes / 1e6).toFixed(1)} MB`;

  const downloads = (data) =>
    data.tables.length
      ? el(
          "ul",
          { class: "downloads" },
          data.tables.map((one) =>
            el(
              "li",
              {},
              el("a", { href: one.url, download: one.name }, name(one.name, 40)),
              el("span", { class: "small" }, ` ${size(one.bytes)}`),
            ),
          ),
        )
      : el("p", { class: "quiet" }, "The tables do not lie beside this site.");

  function making(of, data) {
    const { network, probe } = data;
    const facts = {
      network: network.name,
      model: network.spec,
      weights: network.weights,
      fingerprint: network.fingerprint && LAYERSCOPE.short(network.fingerprint, 17),
      probe: probe && `${plural(probe.images ?? 0, "image")} of ${LAYERSCOPE.short(probe.name ?? "a probe set", 60)}`,
      masks: probe && (probe.masks ? "with masks of parts" : "without masks"),
      controls: probe?.controls,
      classes: probe?.classes?.length,
      profile: data.profile,
      twins: data.twins,
      seed: data.seed,
      "recipe of the pictures": data.recipe,
      "left out": data.skipped.length ? data.skipped : "nothing",
      "made with": data.layerscope && `Layerscope ${data.layerscope}`,
    };
    const there = Object.fromEntries(Object.entries(facts).filter(([, fact]) => fact !== null && fact !== undefined));
    return el(
      "section",
      { class: "making" },
      el("div", {}, el("h2", {}, "How it was made"), factList(there)),
      el(
        "div",
        {},
        el("h2", {}, "Tables and figures"),
        downloads(data),
        data.command ? LAYERSCOPE.command("The line of Python that makes it again", data.command) : null,
      ),
    );
  }

  LAYERSCOPE.report = report;
})();
