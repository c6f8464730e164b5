"use strict";
// Addresses, keys and the theme. An address is #/network/layer/unit, on layers followed by ?q=filter&sort=number, or
// #/image/name/question/method, on images followed by ?why=question, or #/hierarchy/name/layer/unit.
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
    const network = findNetwork(first); // a network may be called "image" or "hierarchy" too
    if (!network && first === "image")
      return second === undefined ? LAYERSCOPE.allImages() : unknown("image", second, knownImages());
    if (!network && first === "hierarchy")
      return second === undefined ? LAYERSCOPE.allReports() : unknown("hierarchy report", second, knownReports());
    if (!network) return unknown("network", first, [...knownNetworks(), ...knownReports(), ...knownImages()]);
    if (second === undefined) return LAYERSCOPE.network(network);
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
          {},
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

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest?.("input[type=search], select, textarea");
    const box = document.getElementById("filter");
    if (event.key === "Escape" && typing) {
      event.preventDefault();
      typing.blur();
    } // else some browsers empty the box
    else if (typing) return;
    else if (event.key === "/" && box) {
      event.preventDefault();
      box.focus();
      box.select();
    } else if (event.target.closest?.("input[type=range], input[type=radio], .scroller"))
      return; // their own arrows
    else if (event.key === "ArrowLeft" && current.previous) location.hash = current.previous;
    else if (event.key === "ArrowRight" && current.next) location.hash = current.next;
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
  addEventListener("keydown", onKey);
  addEventListener("hashchange", show);
  history.scrollRestoration = "manual";
  dress(stored(null));
  show();
})();
