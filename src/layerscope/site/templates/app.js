"use strict";
// Addresses and the theme. An address is #/network/layer/unit, on layers followed by ?q=filter&sort=number, or
// #/image/name/question/method, on images followed by ?why=question, or #/hierarchy/name/layer/unit, or #/compare/a/b,
// or #/search?q=words, or #/leaderboard, or #/atlas/name?class=owl.
(() => {
  const { el, name, address, imageAddress, reportAddress, findNetwork, findLayer, findImage, findReport } = LAYERSCOPE;
  const main = document.getElementById("main");
  const scrolls = new Map();
  let current = { key: null, turn: 0 };

  function parse() {
    const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
    return {
      parts: path.split("/").filter(Boolean).map(decoded),
      view: new URLSearchParams(query),
      key: location.hash,
    };
  }

  function decoded(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text; // a lone "%" typed by hand: then it is a name like any other
    }
  }

  const knownNetworks = () => LAYERSCOPE.networks.map((one) => [one.title, address(one)]);
  const knownImages = () => LAYERSCOPE.images.map((one) => [one.title, imageAddress(one)]);

  const knownReports = () => LAYERSCOPE.hierarchies.reports.map((one) => [one.title, reportAddress(one)]);

  // Reports are called like the networks that they are of.
  const everything = () => [
    ...knownNetworks(),
    ...knownReports().map(([title, link]) => [`hierarchy of ${title}`, link]),
    ...knownImages(),
  ];

  function reportPage(report, [, , third, fourth], view) {
    if (third === undefined) return LAYERSCOPE.report(report);
    const [layer, trail] = [findLayer(report, third), [[report.title, reportAddress(report)]]];
    if (!layer) {
      const known = report.layers.map((one) => [one.name, reportAddress(report, one)]);
      return unknown("layer", third, known, trail);
    }
    if (fourth === undefined) return LAYERSCOPE.reportLayer(report, layer, view, remember);
    if (/^\d{1,9}$/.test(fourth) && Number(fourth) < layer.units)
      return LAYERSCOPE.reportUnit(report, layer, Number(fourth));
    return unknown("unit", fourth, [[layer.name, reportAddress(report, layer)]], trail);
  }

  // Pages whose first word no network is called by.
  const PAGES = {
    image: ([, second], view) =>
      second === undefined ? LAYERSCOPE.allImages(view, remember) : unknown("image", second, knownImages()),
    hierarchy: ([, second]) =>
      second === undefined ? LAYERSCOPE.allReports() : unknown("hierarchy report", second, knownReports()),
    search: (_, view) => LAYERSCOPE.searchPage(view, remember),
    compare: (parts, view) => {
      const known = LAYERSCOPE.comparable();
      const strange = parts.slice(1).find((one) => !LAYERSCOPE.findComparable(one));
      return strange === undefined
        ? LAYERSCOPE.compare(parts.slice(1), view, remember)
        : unknown(
            "network",
            strange,
            known.map((one) => [one.title, LAYERSCOPE.compareAddress(one)]),
            [["compare", "#/compare"]],
          );
    },
    leaderboard: (_, view) => LAYERSCOPE.leaderboard(view, remember),
    atlas: ([, second], view) => {
      if (second === undefined) return LAYERSCOPE.allAtlases();
      const atlas = LAYERSCOPE.findAtlas(second);
      const known = LAYERSCOPE.atlases.map((one) => [one.title, LAYERSCOPE.atlasAddress(one)]);
      return atlas
        ? LAYERSCOPE.atlasPage(atlas, view, remember)
        : unknown("atlas", second, known, [["atlases", "#/atlas"]]);
    },
  };
  const isComparison = ([, a, b]) =>
    b !== undefined && Boolean(LAYERSCOPE.findComparable(a) && LAYERSCOPE.findComparable(b));

  function page({ parts, view }) {
    const [first, second, third, fourth] = parts;
    if (first === undefined) return LAYERSCOPE.home();
    const report = first === "hierarchy" && second !== undefined && findReport(second);
    if (report) return reportPage(report, parts, view);
    const image = first === "image" && second !== undefined && findImage(second);
    if (image) {
      return third === undefined
        ? LAYERSCOPE.image(image, view, remember)
        : LAYERSCOPE.largeMap(image, third, fourth, (words) =>
            unknown("map", words, [[image.title, imageAddress(image)]]),
          );
    }
    if (first === "compare" && isComparison(parts)) return LAYERSCOPE.compare(parts.slice(1), view, remember);
    const network = findNetwork(first); // a network may be called "image" or "hierarchy" too
    if (!network && Object.hasOwn(PAGES, first)) return PAGES[first](parts, view);
    if (!network) return unknown("network", first, everything());
    if (second === undefined) return LAYERSCOPE.network(network, view, remember);
    const layer = findLayer(network, second);
    if (!layer)
      return unknown(
        "layer",
        second,
        network.layers.map((one) => [one.name, address(network, one)]),
        [[network.title, address(network)]],
      );
    return third === undefined
      ? LAYERSCOPE.layer(network, layer, view, remember)
      : LAYERSCOPE.unit(network, layer, Number(third));
  }

  function unknown(kind, given, known, trail = []) {
    return {
      title: "Not found",
      trail,
      content: [
        el(
          "section",
          { class: "not-found" },
          el("h1", {}, `There is no ${kind} `, name(given, 80)),
          el("p", {}, "There are:"),
          el(
            "ul",
            {},
            known.map(([words, link]) => el("li", {}, el("a", { href: link }, name(words, 80)))),
          ),
        ),
      ],
    };
  }

  // The filter and the order belong to the address, so that a view can be passed on.
  function remember(view, again) {
    const [path] = location.hash.split("?");
    const query = view.toString();
    history.replaceState(null, "", query ? `${path}?${query}` : path);
    current.key = location.hash;
    if (again) show();
  }

  async function show() {
    const turn = current.turn + 1;
    const asked = parse();
    const same = current.key === asked.key;
    if (current.key !== null) scrolls.set(current.key, scrollY);
    Object.assign(current, { key: asked.key, turn });
    let shown;
    try {
      shown = await page(asked);
    } catch (error) {
      shown = {
        title: "Not readable",
        trail: [],
        content: [el("section", {}, el("h1", {}, "This page cannot be shown"), el("p", {}, error.message))],
      };
    }
    if (current.turn !== turn) return; // somebody went on meanwhile
    const stepped = [current.previous, current.next].includes(asked.key); // to a neighbour: stay at the same height
    const first = !main.querySelector(":scope > :not(noscript)");
    Object.assign(current, { previous: shown.previous, next: shown.next });
    document.title = shown.title === "Layerscope" ? shown.title : `${LAYERSCOPE.short(shown.title, 80)} · Layerscope`;
    document.getElementById("trail").replaceChildren(...crumbs(shown.trail));
    const focused = same && document.activeElement?.id;
    main.replaceChildren(...shown.content.filter(Boolean));
    if (focused) document.getElementById(focused)?.focus();
    if (same) return;
    if (!first) main.focus({ preventScroll: true });
    if (!stepped) scrollTo(0, scrolls.get(asked.key) || 0);
  }

  function crumbs(trail) {
    const links = [["Layerscope", "#/"], ...trail];
    return links.map(([words, link], turn) =>
      el(
        "a",
        {
          href: link,
          class: turn ? "crumb" : "wordmark",
          "aria-current": turn && turn === links.length - 1 ? "page" : null,
        },
        name(words, 32),
      ),
    );
  }

  const theme = document.getElementById("theme");
  const isDark = () =>
    (document.documentElement.dataset.theme ||
      (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

  function dress(choice) {
    if (choice) document.documentElement.dataset.theme = choice;
    theme.textContent = isDark() ? "Light" : "Dark";
  }

  // Some browsers close the store to pages from the disk; then the choice lasts as long as the page.
  function stored(choice) {
    try {
      if (choice) localStorage.setItem("layerscope-theme", choice);
      return localStorage.getItem("layerscope-theme");
    } catch {
      return null;
    }
  }

  theme.addEventListener("click", () => {
    const choice = isDark() ? "light" : "dark";
    stored(choice);
    dress(choice);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dress(null));
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  addEventListener("keydown", (event) => LAYERSCOPE.onKey(event, current));
  addEventListener("hashchange", show);
  history.scrollRestoration = "manual";
  dress(stored(null));
  show();
})();
