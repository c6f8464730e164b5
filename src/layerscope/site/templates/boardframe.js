"use strict";
// A section of the leaderboard's page; and what a wide table stands in: it scrolls sideways where there is no room, with its
// first column in place.
(() => {
  const { el, short } = LAYERSCOPE;
  const seen = new WeakSet();
  const watcher = new ResizeObserver((entries) => entries.forEach(({ target }) => fit(target)));

  // With a head that the buttons at the top of the page lead to, and a paragraph of what it shows.
  const section = (kind, title, words, ...parts) =>
    el("section", { class: kind }, el("h3", { tabindex: "-1" }, title), el("p", { class: "quiet lines" }, words), parts);

  function frame(label, kind) {
    const node = el("div", { class: `board-frame ${kind}`, "data-label": short(label, 120) });
    watcher.observe(node);
    return node;
  }

  // A frame that scrolls can be reached and scrolled by the keyboard; one that need not is no stop on the way.
  function fit(node) {
    const table = node.querySelector("table");
    if (!table || !node.isConnected) return;
    node.classList.remove("is-scrolled");
    const scrolls = table.offsetWidth > node.clientWidth;
    node.classList.toggle("is-scrolled", scrolls);
    const told = { tabindex: "0", role: "region", "aria-label": node.dataset.label };
    for (const [key, value] of Object.entries(told)) {
      if (scrolls) node.setAttribute(key, value);
      else node.removeAttribute(key);
    }
    node.style.setProperty("--head", `${table.tHead.offsetHeight}px`);
    if (!seen.has(node)) reveal(node, table);
    seen.add(node);
  }

  // The column that the table is sorted by is in sight when the page opens.
  function reveal(node, table) {
    const [first, chosen] = [table.querySelector(".first"), table.querySelector("th.is-chosen")];
    if (chosen && chosen.offsetLeft + chosen.offsetWidth > node.clientWidth)
      node.scrollLeft = chosen.offsetLeft - first.offsetWidth - 12;
  }

  Object.assign(LAYERSCOPE, { boardSection: section, boardFrame: frame, fitFrame: fit });
})();
