"use strict";
// Elements, words and numbers. Every text goes through text nodes and attributes: names are data, never markup.
window.LAYERSCOPE = { data: {} };

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name.startsWith("--")) node.style.setProperty(name, value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
    return node;
  }

  const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

  // Marks that turn the direction of writing would reorder the words around a name: they are shown as unreadable.
  const TURNS = /[\u202a-\u202e\u2066-\u2069]/g;

  function short(text, most) {
    const letters = Array.from(String(text).replace(TURNS, "\ufffd"));
    return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : letters.join("");
  }

  // A name somebody gave: its own direction of writing, cut where it would flood the page, whole in its tooltip. A word
  // that is longer than its place breaks behind one of ":/_." before it breaks anywhere.
  const BREAKS = /(?<=[:/_])(?=[^:/_])|(?<=\.)(?=\p{L})/u;
  function name(text, most = 60) {
    const cut = short(text, most) || "unnamed";
    const parts = /\s/.test(cut) ? [cut] : cut.split(BREAKS).map((part, turn) => (turn ? [el("wbr"), part] : part));
    return el("bdi", { class: "name", title: cut.endsWith("…") ? short(text, 600) : null }, parts);
  }

  // For an address; half a character has no code, so it is written as an unreadable one.
  const encoded = (text) => encodeURIComponent(String(text).replace(/\p{Surrogate}/gu, "\ufffd"));

  // A sentence that a record brings along; nothing where it is silent.
  const prose = (text, attributes = {}) => (text ? el("p", attributes, name(text, 600)) : null);

  const minus = (text) => text.replace("-", "−");

  function number(value) {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e5 || size < 1e-3) return minus(value.toExponential(1).replace("e+", "e"));
    return minus(value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3));
  }

  const ratio = (value) =>
    value === null || value === undefined ? "–" : minus(value.toFixed(Math.abs(value) >= 100 ? 0 : 2)) + "×";

  function percent(value) {
    if (value === null || value === undefined) return "–";
    if (value === 0 || value === 1) return `${100 * value}%`;
    if (value > 0 && value < 5e-4) return "<0.05%"; // hardly anything is not nothing
    const digits = value > 0.9995 && value < 1 ? 2 : 1; // nearly all is not all
    return `${Math.min(100 * value, 99.99).toFixed(digits)}%`;
  }

  const whole = (count) => count.toLocaleString("en");
  const plural = (count, one, many = one + "s") => `${whole(count)} ${count === 1 ? one : many}`;
  const shape = (sizes) => (sizes && sizes.length ? sizes.join(" × ") : "–");
  const pixels = (size) => (size === null || size === undefined ? "–" : `${whole(size)} px`);

  // To a neighbour, also by the arrow keys; without one an empty place, so that the other one stays where it is.
  const step = (href, key, words) =>
    href
      ? el(
          "a",
          { class: "step", href, rel: key, "aria-keyshortcuts": key === "prev" ? "ArrowLeft" : "ArrowRight" },
          words,
        )
      : el("span", { class: "step none" });

  Object.assign(LAYERSCOPE, { el, svg, step, short, name, encoded, prose, number, ratio, percent, whole, plural, shape, pixels });
})();
