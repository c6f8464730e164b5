"use strict";
// A plot of a page as a file of its own: its styles in it, on white, with its title, its key and how it was made.
(() => {
  const { el, svg } = LAYERSCOPE;
  const [MARGIN, ROW, LETTERS] = [24, 19, "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"];
  const INHERITED = [
    ...["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap", "stroke-linejoin"],
    ...["font-size", "font-weight", "letter-spacing", "text-anchor", "paint-order"],
  ];
  const OWN = { opacity: "1", visibility: "visible" };
  const GEOMETRY =
    /^(d|x|y|x1|x2|y1|y2|cx|cy|r|rx|ry|width|height|points|transform|viewBox|dx|dy|text-anchor|fill|stroke)$/;
  const pen = el("canvas").getContext("2d");

  // The width of words in pixels, as the file shows them.
  function wide(words, font = "13px") {
    pen.font = `${font} ${LETTERS}`;
    return pen.measureText(words).width;
  }

  // A copy with the styles that the page gives each part now as attributes of it; null for what is not shown.
  function inlined(node, above = null) {
    if (node.nodeType !== Node.ELEMENT_NODE) return node.cloneNode();
    if (node.localName === "title") return svg("title", {}, clean(node.textContent));
    const style = getComputedStyle(node);
    if (style.display === "none") return null;
    const copy = svg(node.localName, {});
    for (const { name, value } of node.attributes) if (GEOMETRY.test(name)) copy.setAttribute(name, value);
    for (const key of INHERITED) {
      const value = style.getPropertyValue(key);
      if (value !== above?.getPropertyValue(key)) copy.setAttribute(key, value);
    }
    for (const [key, usual] of Object.entries(OWN)) {
      const value = style.getPropertyValue(key);
      if (value !== usual) copy.setAttribute(key, value);
    }
    copy.append(...[...node.childNodes].map((child) => inlined(child, style)).filter(Boolean));
    return copy;
  }

  // In the colours of light pages whatever the page wears; all within one turn, so that nobody sees it.
  function inLight(node, make) {
    node.style.colorScheme = "light";
    try {
      return make(node);
    } finally {
      node.style.removeProperty("color-scheme");
      if (!node.getAttribute("style")) node.removeAttribute("style");
    }
  }

  // XML knows no control characters and no halves of characters; names may hold both.
  const clean = (text) => String(text).replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd");

  function boxOf(plot) {
    const box = plot.viewBox.baseVal;
    if (box && box.width) return [box.x, box.y, box.width, box.height];
    return [0, 0, plot.clientWidth || 300, plot.clientHeight || 150];
  }

  // Words in lines of at most `room` pixels.
  function wrapped(words, room, font) {
    const lines = [""];
    for (const word of clean(words).split(/\s+/).filter(Boolean)) {
      const longer = lines[lines.length - 1] ? `${lines[lines.length - 1]} ${word}` : word;
      if (lines[lines.length - 1] && wide(longer, font) > room) lines.push(word);
      else lines[lines.length - 1] = longer;
    }
    return lines.filter(Boolean).slice(0, 4);
  }

  const words = (x, y, text, attributes = {}) => svg("text", { x, y, "font-size": "13px", ...attributes }, clean(text));

  // The marks of a key in a row, wrapped: [mark, words] with marks of the page, lines or squares.
  function keyRows(entries, room) {
    const rows = [];
    let at = room;
    for (const [mark, text] of entries) {
      const size = 34 + wide(text) + 18;
      if (at + size > room) {
        rows.push([]);
        at = 0;
      }
      rows[rows.length - 1].push([at, mark, text]);
      at += size;
    }
    return rows;
  }

  function drawnMark(mark, x, y) {
    if (mark instanceof SVGElement) {
      const [left, top, width, height] = boxOf(mark);
      const scale = Math.min(1, 28 / width);
      const moved = `translate(${x - left * scale} ${y - 4 - (top + height / 2) * scale}) scale(${scale})`;
      return svg("g", { transform: moved }, contentOf(mark));
    }
    const style = styled(mark, (node) => ({ ...shades(getComputedStyle(node)) }));
    return svg("rect", { x: x + 12, y: y - 10, width: 11, height: 11, rx: 2, ...style });
  }

  const shades = (style) => {
    const empty = /rgba\(0, 0, 0, 0\)|transparent/.test(style.backgroundColor);
    return empty
      ? { fill: "none", stroke: "#8b8e93", "stroke-dasharray": "2 2" }
      : { fill: style.backgroundColor, stroke: "#5b5e63", "stroke-width": 0.5 };
  };

  // Styles are known of what is on the page only: a plot that is made for its file is put there for a moment.
  function styled(plot, make) {
    if (plot.isConnected) return inLight(plot, make);
    const aside = el("div", { class: "aside" }, plot);
    document.getElementById("main").append(aside);
    try {
      return inLight(plot, make);
    } finally {
      aside.remove();
    }
  }

  function contentOf(plot) {
    const copy = styled(plot, (node) => inlined(node));
    const group = svg("g", {});
    for (const { name, value } of copy.attributes) if (name !== "viewBox") group.setAttribute(name, value);
    for (const name of ["width", "height"]) group.removeAttribute(name);
    group.append(...[...copy.childNodes].filter((child) => child.localName !== "title"));
    return group;
  }

  // `plots` below each other, each an element or [words before it, element, words after it]; `entries` of the key as
  // [mark, words]. Gives the text of the file and its size in pixels.
  function vectorOf(plots, { title, description, entries = [] }) {
    const rows = plots.map((one) => (Array.isArray(one) ? one : ["", one, ""]));
    const before = Math.max(0, ...rows.map(([text]) => (text ? wide(text) + 12 : 0)));
    const after = Math.max(0, ...rows.map(([, , text]) => (text ? wide(text) + 12 : 0)));
    const broad = Math.max(...rows.map(([, plot]) => boxOf(plot)[2]));
    const inner = Math.max(before + broad + after, 340);
    const parts = [];
    let y = MARGIN + 6;
    for (const line of wrapped(title, inner, "bold 15px")) {
      parts.push(words(MARGIN, y + 6, line, { "font-size": "15px", "font-weight": "bold" }));
      y += 20;
    }
    y += 10;
    for (const [text, plot, told] of rows) {
      const [left, top, width, height] = boxOf(plot);
      const x = MARGIN + before;
      if (text) parts.push(words(MARGIN, y + height / 2 + 4, text));
      parts.push(svg("g", { transform: `translate(${x - left} ${y - top})` }, contentOf(plot)));
      if (told) parts.push(words(x + width + 12, y + height / 2 + 4, told));
      y += height + 8;
    }
    for (const row of keyRows(entries, inner)) {
      y += ROW;
      for (const [at, mark, text] of row) {
        parts.push(drawnMark(mark, MARGIN + at, y), words(MARGIN + at + 34, y, text));
      }
    }
    const [width, height] = [Math.ceil(inner + 2 * MARGIN), Math.ceil(y + MARGIN)];
    const page = svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, width, height, "font-family": LETTERS, fill: "#17181a" },
      svg("title", {}, clean(title)),
      svg("desc", {}, clean(description)),
      svg("rect", { width, height, fill: "#ffffff" }),
      parts,
    );
    return { text: new XMLSerializer().serializeToString(page), width, height };
  }

  // The same as pixels: at least twice the size it has on a page, and wide enough for a slide.
  async function pixelsOf({ text, width, height }) {
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await image.decode();
    const scale = Math.max(2, 1600 / width);
    const canvas = el("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  // The entries of a key as the page shows them: lists whose items begin with a mark.
  const keyOf = (lists) =>
    lists
      .flatMap((list) => [...list.querySelectorAll("li")])
      .map((item) => [item.querySelector("svg, i"), item.textContent.trim()])
      .filter(([mark]) => mark);

  Object.assign(LAYERSCOPE, { vectorOf, pixelsOf, keyOf });
})();
