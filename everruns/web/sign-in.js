// API key: the form that asks for it, and its copy in the session storage of this tab.

import { byId, onClick, setText } from "./dom.js";
import { sentence } from "./format.js";

const STORAGE_NAME = "everruns-key";
const KEY = /^evr_[\x21-\x7e]+$/;
const CREATE = "Create one with: everruns create-key ORG.";

export class SignIn {
  /** Call `onKey()` for an entered key, which is then `this.key`; `onForget()` for the button "Forget key". */
  constructor({ onKey, onForget }) {
    this.key = sessionStorage.getItem(STORAGE_NAME);
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const key = extractKey(byId("key").value);
      if (!KEY.test(key)) return this.showError(`This is not a key: keys begin with evr_ and have no spaces. ${CREATE}`);
      this.key = key;
      setText(byId("key-error"), "");
      setText(document.querySelector("#key-form button"), "Loading…");
      onKey();
    });
    onClick(byId("forget"), onForget);
  }

  /** Return whether a request with this key has succeeded in this tab. */
  isAccepted() {
    return this.key !== null && this.key === sessionStorage.getItem(STORAGE_NAME);
  }

  /** Store the key after a successful request, and show the sessions. */
  accept() {
    sessionStorage.setItem(STORAGE_NAME, this.key);
    byId("key").value = "";
    this.showMain("app");
  }

  /** Forget a key that got a 401 response with this message. */
  reject(message) {
    const reason = this.isAccepted() ? "This key has expired or was revoked." : "This key is unknown, expired or revoked.";
    this.forget(`${reason} ${CREATE} Response: ${sentence(message)}`);
  }

  /** Forget the key, and show the form with an error, if there is one. */
  forget(error = "") {
    this.key = null;
    sessionStorage.removeItem(STORAGE_NAME);
    this.showError(error);
  }

  /** Show the form. */
  showError(error) {
    this.showMain("sign-in");
    setText(byId("key-error"), error);
    byId("key").setAttribute("aria-invalid", String(Boolean(error)));
    byId("key").focus();
  }

  showMain(id) {
    for (const main of ["sign-in", "app"]) byId(main).hidden = main !== id;
    byId("forget").hidden = byId("zone-choice").hidden = id !== "app";
    document.querySelector(".skip").hidden = id !== "app";
    setText(document.querySelector("#key-form button"), "Show sessions");
  }
}

/** Return the key without quotes, spaces and the header that it was pasted with. */
const extractKey = (text) => text.replace(/["'`\s]+/g, " ").trim().replace(/^(-H )?(authorization ?: ?)?((bearer|apikey) )?/i, "");
