// Elements without markup: what comes from outside is only ever text or the value of an attribute.

/** @typedef {Record<string, unknown>} Attributes  `onclick` and the like are listeners; `false` and `null` are left out */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag | `${Tag}.${string}`} what a tag, and behind dots its classes without their prefix
 * @param {Attributes} [attributes]
 * @param {...(Node | string | undefined)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(/** @type {Tag} */ (tag));
  if (classes.length > 0) element.className = classes.map((name) => `bw-${name}`).join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.map((child) => child ?? ""));
  return element;
}

/**
 * Leaves it alone where it says that already: screen readers read what changes.
 * @param {Element} element
 * @param {string} [text]
 */
export function say(element, text = "") {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * A part of the panel that can be folded away.
 * @param {string} name its class, without the prefix
 * @param {string} title
 * @param {...(Node | string)} children
 */
export function card(name, title, ...children) {
  const note = h("span.note");
  const root = h(
    /** @type {"details.card"} */ (`details.card.${name}`),
    {},
    h("summary", {}, h("h2", {}, title), note),
    ...children,
  );
  return { root, note };
}
