"use strict";
// A hierarchy report: the finding, the layers from early to late, units as evidence, and all numbers.
(() => {
  const { el, name, whole, plural, factList, sees } = LAYERSCOPE;
  const { reportData, reportAddress, CODED, tag, signed, between, findingOf, reportLayerLink, numbersOf } = LAYERSCOPE;
  const { layersSection, netSection, decodingSection, alikeSection, layerTuning, tuningKey, unitCard } = LAYERSCOPE;
  const { depthIn, unstableIn } = LAYERSCOPE;

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
        LAYERSCOPE.compareLinks(LAYERSCOPE.subjectOfReport(of)),
        layersSection(data),
        netSection(data),
        decodingSection(data),
        alikeSection(data),
        evidence(of, data),
        numbersOf(of, data),
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
        "natural images excite it most. Evidence is in standard deviations of the twins’ units. Beside each label the share of redraws, of ",
        "stimuli and images, in which the unit has the same label: how stable it is, not how right.",
      ),
      tuningKey(),
      blocks(
        data.layers.map((layer, place) => block(of, data, layer, place)),
        data.layers,
      ),
    );

  // The layers, below a list to jump to each of them.
  const blocks = (made, layers) => [
    el(
      "nav",
      { class: "jumps", "aria-label": "Layers" },
      layers.map((layer, place) =>
        el(
          "button",
          { type: "button", onclick: () => jump(made[place]) },
          el("span", { class: "number" }, `${place + 1} `),
          name(layer.name, 24),
        ),
      ),
    ),
    made,
  ];

  function jump(block) {
    block.scrollIntoView();
    block.focus({ preventScroll: true });
  }

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
      { class: "layer-block", tabindex: "-1" },
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
          depthIn(layer),
          CODED.filter((one) => layer.shares[one]?.units).map((one) =>
            el("span", {}, tag(one), ` ${layer.shares[one].units}`),
          ),
          unstableIn(layer),
        ),
      ),
      layerTuning(layer, data),
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
