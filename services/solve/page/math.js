/** Mathematics set by the service: let into the document only if it holds nothing but MathML. */

import { typeset } from "./api.js";

const words = (text) => new Set(text.split(" "));
const MATHML = words(
  "math menclose merror mfrac mi mmultiscripts mn mo mover mpadded mphantom mroot mrow ms mspace msqrt mstyle msub " +
    "msubsup msup mtable mtd mtext mtr munder munderover none",
);
const ATTRIBUTES = words(
  "accent accentunder columnalign columnlines columnspacing depth display displaystyle fence form height largeop " +
    "linethickness lspace mathvariant maxsize minsize movablelimits notation rowlines rowspacing rspace scriptlevel " +
    "separator stretchy symmetric voffset width",
);

/** @typedef {(text: string) => Promise<DocumentFragment | null>} Typesetter */

/** Return a function that has each text typeset once. @param {import("./api.js").Caller} caller @returns {Typesetter} */
export function typesetter(caller) {
  const known = new Map();
  return async (text) => {
    if (!known.has(text)) known.set(text, typeset(text, caller).then(safeFragment, () => null));
    return (await known.get(text))?.cloneNode(true) ?? null;
  };
}

/** Parse HTML without running any of it; null if an element is not on the list; attributes that are not are left out. @param {string} html */
export function safeFragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const element of template.content.querySelectorAll("*")) {
    if (!(element instanceof MathMLElement && MATHML.has(element.localName))) return null;
    for (const { name } of [...element.attributes]) {
      if (!ATTRIBUTES.has(name)) element.removeAttribute(name);
    }
  }
  return template.content;
}

/** What each element shows, so that what is there is not asked for again and a late reply does not overwrite a newer text. */
const shown = new WeakMap();

/** Show a text as it is, then with its mathematics set. @param {Element} element @param {string} text @param {Typesetter} ask */
export async function setText(element, text, ask, source = text) {
  if (shown.get(element) === text) return;
  shown.set(element, text);
  element.textContent = text;
  const fragment = /[$\\]/.test(source) ? await ask(source) : null;
  if (fragment && shown.get(element) === text) element.replaceChildren(fragment);
}

/** Show an answer, which is mathematics without its dollars. @param {Element} element @param {string} answer @param {Typesetter} ask */
export function setAnswer(element, answer, ask) {
  return setText(element, answer, ask, /[\\^_]/.test(answer) && !answer.includes("$") ? `$${answer}$` : answer);
}
