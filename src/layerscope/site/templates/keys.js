"use strict";
// The keys, and the dialog that lists them. No key does anything while somebody types, or while a dialog is open.
(() => {
  const { el } = LAYERSCOPE;
  const KEYS = [
    [["/"], "search everything"],
    [["f"], "filter what is on the page"],
    [["←", "→"], "to the unit, layer or image before and after"],
    [["h"], "to the first page"],
    [["?"], "this list"],
    [["Esc"], "close, or leave a box"],
  ];
  const TYPING = "input:not([type=checkbox], [type=radio], [type=range]), select, textarea, [contenteditable]";
  const OWN_ARROWS = "input[type=range], input[type=radio], .scroller";

  let shown = null;

  function dialog() {
    const box = el(
      "dialog",
      { class: "keys", "aria-labelledby": "keys-title" },
      el("h2", { id: "keys-title" }, "Keys"),
      el(
        "dl",
        {},
        KEYS.map(([keys, words]) => [
          el(
            "dt",
            {},
            keys.map((key) => el("kbd", {}, key)),
          ),
          el("dd", {}, words),
        ]),
      ),
      el("button", { type: "button", onclick: () => box.close() }, "Close"),
    );
    box.addEventListener("click", (event) => (event.target === box ? box.close() : null)); // beside it
    document.body.append(box);
    return box;
  }

  function open() {
    shown ??= dialog();
    if (!shown.open) shown.showModal();
  }

  function toFilter() {
    const box = document.getElementById("filter");
    box?.focus();
    box?.select();
    return Boolean(box);
  }

  const go = (link) => {
    if (link) location.hash = link;
    return Boolean(link);
  };

  // What each key does; it says whether it did anything. `current` has the addresses before and after.
  const ACTIONS = {
    "/": () => LAYERSCOPE.openSearch(),
    "?": open,
    f: toFilter,
    h: () => go("#/"),
    ArrowLeft: (current) => go(current.previous),
    ArrowRight: (current) => go(current.next),
  };

  function onKey(event, current) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.closest?.(TYPING);
    if (event.key === "Escape" && typing) {
      event.preventDefault(); // else some browsers empty the box
      typing.blur();
    }
    if (typing || !Object.hasOwn(ACTIONS, event.key)) return;
    if (event.key.startsWith("Arrow") && event.target.closest?.(OWN_ARROWS)) return;
    if (ACTIONS[event.key](current) !== false) event.preventDefault();
  }

  document.getElementById("keys").addEventListener("click", open);
  Object.assign(LAYERSCOPE, { onKey });
})();
