"use strict";
// The leaderboard: of each network what its measurements say, the table of methods by measures, and what these measures
// and these scenes are worth. One network is shown at a time; which one belongs to the address, as ?board=name.
(() => {
  const { el, name, encoded, number, percent, plural } = LAYERSCOPE;
  const { intervalWords, standingOf, firstMeasure } = LAYERSCOPE;
  const boards = LAYERSCOPE.data.index.leaderboards ?? [];

  const known = (value) => value !== null && value !== undefined;

  function boardAddress(method, board = boards[0]) {
    const asked = [board && board !== boards[0] ? `board=${encoded(board.slug)}` : null, method ? `method=${encoded(method)}` : null];
    const query = asked.filter(Boolean).join("&");
    return `#/leaderboard${query ? `?${query}` : ""}`;
  }

  function leaderboard(view, remember) {
    const board = boards.find((one) => one.slug === view.get("board")) ?? boards[0];
    if (board && view.get("method")) setTimeout(seek, 0); // after the page has scrolled to where it was, or to its top
    return {
      title: "Leaderboard",
      trail: [["leaderboard", boardAddress()]],
      content: board ? [head(board), choice(board), ...section(board, view, remember)] : [head({ truth: true }), nothing()],
    };
  }

  const seek = () => document.querySelector(".board-table .is-wanted")?.scrollIntoView({ block: "center" });

  const whose = (board) => name(board.scenes.source, 80);

  const head = (board) =>
    el(
      "header",
      { class: "head" },
      el("h1", {}, board.truth ? "Which explanations are right" : ["Which explanations to use on images of ", whose(board)]),
      el(
        "p",
        { class: "lead" },
        board.truth
          ? [
              "Scenes were rendered again without each part of their thing, which shows what each part truly does to the predicted ",
              "class. A map is right as far as it says the same. Maps that know nothing of the network are pinned on top: what does ",
              "not beat them explains nothing.",
            ]
          : [
              "Nobody knows what causes what in these images, so no measure here says that a map is right. They say what a map is ",
              "good for, beside maps that know nothing of the network.",
            ],
      ),
    );

  const nothing = () =>
    el(
      "section",
      {},
      el("p", {}, "No leaderboard lies in this folder. This makes one:"),
      el("pre", {}, el("code", {}, "layerscope benchmark attribution --truth --out FOLDER")),
    );

  // The leaderboards of this folder; nothing to choose where there is one.
  const choice = (shown) =>
    boards.length > 1
      ? el(
          "nav",
          { class: "board-choice", "aria-label": "Leaderboards" },
          boards.map((one) =>
            el("a", { href: boardAddress(null, one), "aria-current": one === shown ? "page" : null }, name(one.title, 80)),
          ),
        )
      : null;

  function section(board, view, remember) {
    const of = { names: [board.title, "leaderboard"], seed: board.seed, key: board.key, command: board.command };
    const parts = [
      LAYERSCOPE.boardTable(board, of, view, remember),
      LAYERSCOPE.trustedMeasures(board, of),
      LAYERSCOPE.provableNetworks(board, of),
      LAYERSCOPE.familiarScenes(board, of),
    ].filter(Boolean);
    return [
      el(
        "section",
        { class: "board", id: `board-${board.slug}` },
        el("h2", {}, name(board.title, 120)),
        el("ul", { class: "reading" }, board.reading.map((sentence) => el("li", {}, name(sentence, 1200)))),
        el("p", { class: "summary" }, factsOf(board).map((one) => el("span", {}, one))),
        networks(board),
        parts.length > 1 ? jumps(parts) : null,
        parts,
        refused(board),
        board.command ? LAYERSCOPE.command("The line of Python that makes it again", board.command) : null,
      ),
    ];
  }

  function factsOf({ scenes, truth, complete, rows, asked }) {
    const left = scenes.asked - scenes.telling;
    const made = rows.filter((row) => !row.control).length;
    const right = known(scenes.accuracy)
      ? `${percent(scenes.accuracy)} of them are named rightly.`
      : "The network has other classes than the scenes: each is asked about the class that it predicts.";
    const masks = { coco: "Masks come from a COCO file.", png: "Masks come from PNG files." }[scenes.masks];
    return [
      truth
        ? `Measured on ${plural(scenes.telling, "scene")} of ${scenes.source} that no bundled network was trained on.`
        : `Measured on ${plural(scenes.telling, "image")} of ${scenes.source}.`,
      left > 0 ? `${left} more ${left > 1 ? "are" : "is"} left out${truth ? ": fewer than three parts seen, or all of one effect" : ""}.` : null,
      truth || known(scenes.accuracy) ? right : null,
      scenes.checked && scenes.checked < scenes.telling ? `The slower checks are made on ${scenes.checked} of them.` : null,
      truth ? null : (masks ?? "There are no masks of things."),
      complete ? null : `It is still being measured${made < asked ? `: ${made} of ${asked} methods so far` : ""}.`,
    ].filter(Boolean);
  }

  const rightly = (accuracy) => el("span", { class: "quiet" }, ` names ${percent(accuracy)} rightly`);

  // The trainings of one network that the numbers are means over; of one alone the page has said enough.
  function networks(board) {
    if (board.networks.length < 2) return null;
    return el(
      "div",
      { class: "trainings" },
      el("h3", {}, `${plural(board.networks.length, "training")} of this network, each from another seed`),
      el(
        "ul",
        {},
        board.networks.map((one) =>
          el("li", {}, name(one.name, 80), known(one.accuracy) ? rightly(one.accuracy) : null),
        ),
      ),
    );
  }

  function jumps(parts) {
    const to = (part) => {
      for (const fold of part.querySelectorAll("details.fold")) fold.open = true;
      part.scrollIntoView();
      part.querySelector("h3").focus({ preventScroll: true });
    };
    return el(
      "nav",
      { class: "jumps", "aria-label": "Parts of this page" },
      parts.map((part) => el("button", { type: "button", onclick: () => to(part) }, part.querySelector("h3").textContent)),
    );
  }

  const refused = (board) =>
    board.refused.length
      ? el(
          "div",
          { class: "refused" },
          el("h3", {}, `${plural(board.refused.length, "method")} refused`),
          el("dl", {}, board.refused.map((one) => [el("dt", {}, name(one.title, 60)), el("dd", {}, name(one.error, 400))])),
        )
      : null;

  // --- from the maps of images back to their method

  // A line that says how the method did on the network of an image; null where no leaderboard knows it.
  function standing(image, method) {
    const board = boards.find((one) => image.fingerprint && one.networks.some(({ fingerprint }) => fingerprint === image.fingerprint));
    const row = board?.rows.find((one) => one.method === method && !one.control);
    const measure = board && firstMeasure(board);
    if (!row || !measure || !known(row[measure.name])) return null;
    const place = known(row.rank) ? `place ${row.rank} of ${board.rows.filter((one) => !one.control).length} methods` : "all methods";
    const scenes = board.truth
      ? `On ${plural(board.scenes.telling, "scene")} with known causes`
      : `On ${plural(board.scenes.telling, "image")} of ${board.scenes.source}`;
    return el(
      "p",
      { class: "standing-of" },
      `${scenes} its ${measure.title} is `,
      el("b", {}, number(row[measure.name].value)),
      ` (${intervalWords(row[measure.name]) || "every time"})${standingOf(row) ? `, ${standingOf(row)}` : ""}: `,
      el("a", { href: boardAddress(method, board) }, place),
      ".",
    );
  }

  Object.assign(LAYERSCOPE, { leaderboard, boards, boardAddress, methodStanding: standing });
})();
