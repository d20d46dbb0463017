// Any set of galaxies as a grid: sorted, filtered, in the chosen display.
import { ask, judge } from "./api.js";
import { display, grid, setDisplay, tile } from "./galaxies.js";
import { button, change, choice, el, empty, fill, galaxies, go, keep, notice, number } from "./page.js";
const FILTER = /^\s*(.+?)\s*(>=|<=|!=|=|<|>|\bcontains\b|\bunknown\b|\bknown\b)\s*(.*?)\s*$/;
// `redshift > 0.05 and class = spiral` in the form the server expects.
const filters = (text) => text.split(/\s+and\s+/i).filter((part) => part.trim()).map((part) => {
  const [, column, operator, value] = part.match(FILTER) ?? [];
  if (!column) throw new Error(`“${part.trim()}” is not a filter. Write for example: redshift > 0.05 and class = spiral`);
  return value === "" ? [column, operator] : [column, operator, Number.isNaN(Number(value)) ? value : Number(value)];
});
// A choice of all named sets of galaxies.
export function sets(info, now, chosen) {
  const all = [["all", "all galaxies"], ...info.selections.map((one) => [`selection:${one.name}`, `${one.name} (${number(one.galaxies)})`])];
  for (const { name, values, labelled } of info.labels) all.push([`labelled:${name}`, `${name}: all labelled (${number(labelled)})`],
    ...values.map(({ value }) => [`label:${name}:${value}`, `${name}: ${value}`]));
  if (info.columns.list.some(({ from }) => from === "ratings")) all.push(["rated", "rated galaxies"]);
  if (info.clusters) all.push(["artefacts", "artefacts"]);
  if (!all.some(([set]) => set === now)) all.push([now, now.startsWith("~") ? "the selected galaxies" : now.replace(":", " ")]);
  return choice("Set of galaxies", all, now, chosen);
}
// What can be done with a set: save it under a name, or open it in another tab.
export function uses(set, here) {
  const name = el("input", { placeholder: "name, such as rings", "aria-label": "Name of the selection", maxlength: 60, size: 16 });
  let replace = false;
  const keeper = button("Save selection", async () => {
    const answer = await judge("api/selections", { name: name.value.trim(), set, replace }).saved.catch((error) => {
      if (error.status === 409) [replace, keeper.textContent] = [true, "Replace it"];
      throw error;
    });
    if (answer) notice(`${galaxies(answer.galaxies)} in ${answer.file}`);
  });
  return el("span", { class: "row" }, name, keeper, here !== "gallery" && button("Look at them", () => go("gallery", { set })),
    button("Label them", () => go("label", { from: "set", set })), here !== "map" && button("On the map", () => go("map", { set })));
}
export async function show(root, parameters, info) {
  const { set = "all", sort = "", descending = "", where = "", side = 140 } = parameters;
  const columns = info.columns.list.map(({ name }) => name), rules = filters(where);
  const named = columns.filter((name) => name === sort || rules.some(([column]) => column === name));
  const tiles = grid(), count = el("strong", { role: "status" }), more = button("More", load, { class: "more", hidden: true });
  const setSide = ({ target }) => { tiles.style.setProperty("--side", `${target.value}px`); keep({ side: target.value }); };
  const slider = (name, value, min, max, oninput) => el("label", {}, name, el("input", { type: "range", min, max, step: (max - min) / 50, value, oninput }));
  const light = (name) => slider(name, display[name], 0.3, 3, ({ target }) => setDisplay({ [name]: target.value }));
  const order = [["", set[0] === "~" || set.startsWith("cluster") ? "nearest first" : "as stored"], "random", "id_str", ...columns];
  const filter = el("input", { value: where, size: 24, placeholder: "redshift > 0.05 and …", "aria-label": "Filter", onchange: () => change({ where: filter.value }) });
  setSide({ target: { value: side } });
  root.append(el("div", { class: "bar" },
    el("label", {}, "Show", sets(info, set, (value) => change({ set: value }))),
    el("label", {}, "Sort", choice("Sort by", order, sort, (value) => change({ sort: value }))),
    button(descending ? "↓" : "↑", () => change({ descending: descending ? "" : "1" }), { "aria-label": descending ? "Largest first" : "Smallest first" }),
    el("label", {}, "Filter", filter),
    el("details", { class: "display" }, el("summary", {}, "Display"), el("div", { class: "card stack" },
      el("label", {}, "stretch", choice("Stretch", [["", "as it is"], ...info.stretches], display.stretch, (stretch) => { setDisplay({ stretch }); change({}); })),
      light("brightness"), light("contrast"), slider("size", side, 70, 320, setSide),
      button("Reset", () => { setDisplay({ brightness: 1, contrast: 1, stretch: "" }); change({}); })))),
  el("div", { class: "bar" }, count, uses(set, "gallery")), tiles, more);
  async function load() {
    const query = { set, sort, descending, offset: tiles.children.length, limit: 120, columns: named.length ? JSON.stringify(named) : "", where: rules.map((rule) => JSON.stringify(rule)) };
    const answer = await ask("api/galaxies", query);
    const note = (values) => named.map((name) => `${name} ${values[name] === null ? "unknown" : number(values[name])}`).join(", ");
    tiles.append(...answer.rows.map((row) => tile(row.id_str, { note: note(row.columns) })));
    count.textContent = galaxies(answer.galaxies);
    more.hidden = tiles.children.length >= answer.galaxies;
    if (!answer.galaxies) fill(tiles, empty("No galaxies", el("p", {}, where ? "None of these galaxies passes the filter." : "This set is empty.")));
  }
  await load();
}
