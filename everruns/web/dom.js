// Elements. Whatever comes from the service enters the page as text, here and nowhere else.

/** The element with this id. */
export const find = (id) => document.getElementById(id);

/** A new element; children that are strings become text, never markup. */
export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Put `text` there, unless it is there already: what is selected stays selected. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Whether a button can be used; one that cannot keeps the focus, and does nothing. */
export function enable(button, enabled) {
  button.setAttribute("aria-disabled", String(!enabled));
}

/** Call `act` when the button is used while it can be. */
export function onUse(button, act) {
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") !== "true") act(button);
  });
}
