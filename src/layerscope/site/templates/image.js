"use strict";
// One image and its label: what the network says, where the evidence lies, how it got there, and what it hangs on.
(() => {
  const { el, name, number, imageAddress, imageData, images, factList, warning, poster, saved, sourceOf } = LAYERSCOPE;
  const { slider, colourScale, question, mark, mapGrid, agreement, curves, story, causes, flip } = LAYERSCOPE;

  // `view` is what the address says after "?": why (the question that the maps answer).
  async function image(of, view, remember) {
    const data = await imageData(of);
    const place = images.indexOf(of);
    const to = (other) => (other ? imageAddress(other) : null);
    const asked = data.questions.includes(view.get("why")) ? view.get("why") : data.questions[0];
    return {
      title: of.title,
      trail: [[of.title, imageAddress(of)]],
      previous: to(images[place - 1]),
      next: to(images[place + 1]),
      content: [
        warning(data),
        poster(of, data, place),
        evidence(of, data, asked, view, remember),
        story(data),
        causes(data),
        flip(data),
        making(data),
      ],
    };
  }

  // The maps of one question, and what was measured over all of them; the switch draws them anew and nothing else.
  function evidence(of, data, first, view, remember) {
    if (!data.methods.length) return null;
    const body = el("div", { class: "answers" });
    const scale = el("div", { class: "scale-of" });
    const draw = (which) => {
      scale.replaceChildren(colourScale(data, which));
      body.replaceChildren(
        ...mapGrid(of, data, which).filter(Boolean),
        ...[agreement(data, which), curves(data, which)].filter(Boolean),
      );
    };
    const choose = (which) => {
      if (which === data.questions[0]) view.delete("why");
      else view.set("why", which);
      remember(view, false);
      draw(which);
    };
    draw(first);
    const section = el(
      "section",
      { class: "evidence" },
      el("h2", {}, "Where the evidence lies"),
      el("p", { class: "quiet lines" }, intro(data)),
      el(
        "div",
        { class: "toolbar" },
        data.questions.length > 1 ? questions(data, first, choose) : null,
        slider(),
        scale,
      ),
      body,
    );
    return saved(section, sourceOf(data, data.title, data.network.name), "maps and their checks", {
      plots: null,
      rows: () => LAYERSCOPE.mapRows(data),
      python: data.python.maps,
    });
  }

  function intro(data) {
    const { layer } = data;
    const words =
      "Each method shares the score out over the image in its own way. All are on one scale of colours, " +
      "each map at its own size: 1 is its full colour, and the number under it says how much that is. ";
    if (!layer) return words;
    const size = layer.positions ? `, ${layer.positions.join(" × ")} positions` : "";
    return [
      words,
      "Methods that need a layer look at ",
      name(layer.name, 40),
      `${size}${layer.chosen ? ", chosen by itself" : ""}.`,
    ];
  }

  const questions = (data, first, choose) =>
    el(
      "fieldset",
      { class: "switch" },
      el("legend", { class: "unseen" }, "Question"),
      data.questions.map((which) =>
        el(
          "label",
          {},
          el("input", {
            type: "radio",
            name: "why",
            id: `why-${which}`,
            value: which,
            checked: which === first,
            onchange: () => choose(which),
          }),
          el("span", {}, question(data, which)),
        ),
      ),
    );

  function making(data) {
    const { network, familiar } = data;
    const facts = {
      network: network.name,
      model: network.spec,
      weights: network.weights,
      fingerprint: network.fingerprint && LAYERSCOPE.short(network.fingerprint, 17),
      asked: data.target.text,
      versus: data.versus && data.versus.text,
      image: data.image.sha256 && `sha256 ${LAYERSCOPE.short(data.image.sha256, 17)}`,
      temperature: data.temperature,
      seed: data.seed,
      seconds: data.seconds,
      "made with": data.layerscope && `Layerscope ${data.layerscope}`,
    };
    const known = Object.fromEntries(Object.entries(facts).filter(([, fact]) => fact !== null && fact !== undefined));
    return el(
      "section",
      { class: "making" },
      el(
        "div",
        {},
        el("h2", {}, "How it was made"),
        factList(known),
        data.command ? LAYERSCOPE.command(again(data.command), data.command) : null,
      ),
      familiar.layers && familiar.layers.length
        ? saved(
            el("div", {}, el("h2", {}, "How familiar it is"), distances(familiar)),
            sourceOf(data, data.title, network.name),
            "distance from the probe set",
            { rows: () => LAYERSCOPE.rowsOf(familiar.layers, ["layer", "distance", "limit"]) },
          )
        : null,
    );
  }

  // What was piped in has no path: whoever runs the line puts one in.
  const again = (command) =>
    "The line of Python that makes it again" +
    (command.includes("'PATH OF THE PICTURE'") ? ", with the path of the picture put in" : "");

  const distances = (familiar) =>
    el(
      "table",
      { class: "areas" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          ["layer", "distance", "limit"].map((head) => el("th", { scope: "col" }, head)),
        ),
      ),
      el(
        "tbody",
        {},
        familiar.layers.map((one) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, mark(one.distance > one.limit ? "poor" : "good"), name(one.layer, 40)),
            el("td", {}, number(one.distance)),
            el("td", {}, number(one.limit)),
          ),
        ),
      ),
    );

  LAYERSCOPE.image = image;
})();
