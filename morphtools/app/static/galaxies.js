// Images of galaxies: a tile in a grid, a strip of neighbours, and the large view of one galaxy.
import { ask, query } from "./api.js";
import { address, button, el, fill, go, keep, number, storage } from "./page.js";
// How images are shown: the server applies the stretch, the browser brightness and contrast.
export const display = { stretch: "", brightness: 1, contrast: 1, ...JSON.parse(storage.getItem("morphtools-display") ?? "{}") };
export function setDisplay(changes = {}) {
  Object.assign(display, changes);
  storage.setItem("morphtools-display", JSON.stringify(display));
  document.documentElement.style.setProperty("--filter", `brightness(${display.brightness}) contrast(${display.contrast})`);
}
setDisplay();
export const thumbnail = (id_str, side = 128) => query("api/thumbnail", { id_str, side, stretch: display.stretch });
export const picture = (id, side, attributes = {}) => el("img",
  { src: thumbnail(id, side), alt: `Galaxy ${id}`, loading: "lazy", decoding: "async", width: side, height: side, ...attributes });
// A galaxy in a grid. `tools` are [text, label, handler]; `note` is shown below the name.
export const tile = (id, { note = "", tools = [], kind = "" } = {}) => el("figure", { class: `tile ${kind}`, "data-id": id },
  button(picture(id, 160), () => openGalaxy(id), { class: "picture", "aria-label": `Open ${id}, ${note}` }),
  el("span", { class: "tools" }, tools.map(([text, label, handler]) => button(text, handler, { "aria-label": `${label}: ${id}`, title: label }))),
  el("figcaption", {}, id, note && el("span", {}, note)));
export const grid = (...tiles) => el("section", { class: "grid", "aria-label": "Galaxies" }, tiles);
export const strip = (ids, label) => el("div", { class: "strip", role: "group", "aria-label": label },
  ids.map((id) => button(picture(id, 84, { alt: "" }), () => openGalaxy(id), { title: id, "aria-label": `Open ${id}` })));
const dialog = document.getElementById("galaxy");
dialog.onclose = () => { if (address()[1].galaxy) keep({ galaxy: "" }); };
dialog.onclick = ({ target }) => { if (target === dialog) dialog.close(); };
// The large view of a galaxy; it is part of the address, so a reload opens it again.
export async function openGalaxy(id) {
  const about = await ask("api/galaxy", { id_str: id });
  keep({ galaxy: id });
  const leave = (tab, parameters) => () => { dialog.close(); go(tab, parameters); };
  const judged = [
    ...about.ratings.map(({ rater, rating }) => [`rating by ${rater}`, rating ?? "skipped"]),
    ...Object.entries(about.labels).flatMap(([table, all]) => all.map(({ person, value }) => [`${table} by ${person}`, value])),
  ];
  const facts = [...judged, ...Object.entries(about.columns).filter(([name, value]) => value !== null && name !== "id_str")];
  fill(dialog, el("div", { class: "large" }, picture(id, 512, { loading: "eager" }),
    el("div", { class: "stack" },
      el("div", { class: "row apart" }, el("h2", {}, id), button("Close", () => dialog.close(), { class: "quiet" })),
      el("div", { class: "row" }, button("Find similar", leave("similar", { like: id }), { class: "main" }),
        about.place && button("Show on the map", leave("map", { x: about.place[0], y: about.place[1], at: id }))),
      about.links.length > 0 && el("p", { class: "row" }, el("span", { class: "soft" }, "Open in"),
        about.links.map(({ name, url }) => el("a", { href: url, target: "_blank", rel: "noreferrer noopener" }, name))),
      el("div", { class: "facts", tabindex: 0, role: "region", "aria-label": "All columns" }, el("table", {}, el("tbody", {},
        facts.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, number(value)))))))),
    about.nearest && el("div", { class: "wide stack" }, el("h3", {}, "Nearest galaxies"),
      strip(about.nearest.map(({ id_str }) => id_str), "Nearest galaxies"))));
  if (!dialog.open) dialog.showModal();
}
