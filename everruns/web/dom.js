// DOM helpers. Text from the service becomes text nodes, never markup.

/** Return the element with this id. */
export const byId = (id) => document.getElementById(id);

/** Create an element; children that are strings become text nodes. */
export function create(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Set the text, unless it is the same: that would drop a selection. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Enable or disable a button. A disabled button keeps the focus, unlike with the `disabled` attribute. */
export function setEnabled(button, enabled) {
  button.setAttribute("aria-disabled", String(!enabled));
}

/** Call `handler` when an enabled button is clicked. */
export function onClick(button, handler) {
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") !== "true") handler();
  });
}
