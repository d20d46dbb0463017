// The page: elements, the state in the address, and messages.

// An element with attributes, handlers (onclick …) and children.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on") || name === "value") node[name] = value;
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  return fill(node, children);
}
// Replaces what is inside an element; null, false and empty text are left out.
export function fill(node, ...children) {
  node.replaceChildren(...children.flat(9).filter((child) => ![null, undefined, false, ""].includes(child)));
  return node;
}
export const button = (text, onclick, attributes = {}) => el("button", { type: "button", onclick, ...attributes }, text);
// A choice among [value, text] or plain texts.
export function choice(label, options, value, chosen) {
  const items = options.map((one) => [one].flat()).map(([key, text = key]) => el("option", { value: key }, text));
  const select = el("select", { "aria-label": label, onchange: () => chosen(select.value) }, items);
  select.value = value;
  return select;
}
export const filled = (parameters) => Object.entries(parameters).filter(([, value]) => ![null, undefined, ""].includes(value));
// The part of the address after #: the tab and its parameters.
export function address() {
  const [tab, query] = location.hash.slice(1).split(/\?(.*)/s);
  return [tab || "map", Object.fromEntries(new URLSearchParams(query))];
}
const hash = (tab, parameters) => `#${tab}?${new URLSearchParams(filled(parameters))}`;
// Opens a tab; the browser's Back button returns from it.
export const go = (tab, parameters = {}) => { location.hash = hash(tab, parameters); };
// Changes parameters of the address without drawing the view again.
export function keep(changes) {
  const [tab, parameters] = address();
  history.replaceState(null, "", hash(tab, { ...parameters, ...changes }));
}
// Changes them and draws the view again.
export function change(changes) {
  keep(changes);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

let timer;
export function notice(text, seconds = 7) {
  document.getElementById("notice").textContent = text;
  clearTimeout(timer);
  if (text) timer = setTimeout(() => notice(""), 1000 * seconds);
}

const digits = (value) => (Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(5))));
export const number = (value) => (typeof value === "number" ? digits(value) : String(value ?? ""));
export const short = (value) => (typeof value === "number" ? number(Number(value.toPrecision(3))) : number(value));
export const plural = (n, word, words = `${word}s`) => `${number(n)} ${n === 1 ? word : words}`;
export const galaxies = (n) => plural(n, "galaxy", "galaxies");
export const empty = (title, ...more) => el("section", { class: "empty stack" }, el("h2", {}, title), more);
export const person = () => document.getElementById("who").value;
// Waits until there have been no calls for a while.
export function calmly(wait, work) {
  let waiting;
  return (...given) => { clearTimeout(waiting); waiting = setTimeout(() => work(...given), wait); };
}

// Storage that outlives the page, where the browser allows it (not inside every notebook).
const memory = Object.create({ getItem(key) { return this[key] ?? null; }, setItem(key, value) { this[key] = value; }, removeItem(key) { delete this[key]; } });
export const storage = (() => { try { return localStorage; } catch { return memory; } })();
