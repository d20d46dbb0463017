// Starts the page: the current tab, keys, the person's name, light and dark.
import * as api from "./api.js";
import { openGalaxy } from "./galaxies.js";
import { address, el, empty, fill, galaxies, notice, person, storage } from "./page.js";

const VIEWS = ["map", "gallery", "similar", "rate", "label", "clusters"];
let view = {}, drawn = 0, at = (id) => document.getElementById(id);
// A view draws itself into an element and returns what its keys do and what to do when the user leaves it.
async function draw() {
  const [wanted, parameters] = address(), tab = VIEWS.includes(wanted) ? wanted : "map", turn = ++drawn;
  for (const link of document.querySelectorAll("#tabs a")) link.ariaCurrent = link.hash === `#${tab}` ? "page" : null;
  document.title = `${tab[0].toUpperCase()}${tab.slice(1)} · morphtools`;
  view.leave?.();
  view = {};
  try {
    const [{ show }, info] = await Promise.all([import(`./${tab}.js`), api.ask("api/about")]);
    if (turn !== drawn) return;
    at("survey").textContent = info.name;
    at("size").textContent = galaxies(info.galaxies);
    api.open(info.out);
    if (!info.columns.ready && ["map", "gallery"].includes(tab)) {
      const told = (now) => turn === drawn && (now.columns.ready ? (view.fresh ?? draw)(now) : setTimeout(look, 1000));
      const look = () => turn === drawn && api.ask("api/about").then(told);
      setTimeout(look, 1000);
      if (parameters.colour || parameters.sort || parameters.where) return fill(at("main"), empty("The catalogue is being read …"));
    }
    const root = fill(at("main"), el("div", { class: "view" })).firstChild;
    const made = (await show(root, parameters, info)) ?? {};
    if (turn !== drawn) return made.leave?.();
    view = made;
    if (parameters.galaxy) openGalaxy(parameters.galaxy);
  } catch (error) {
    if (turn === drawn) fill(at("main"), empty("This did not work", el("p", {}, error.message)));
  }
}

const dark = matchMedia("(prefers-color-scheme: dark)"), look = document.documentElement.dataset;
const paint = () => { look.theme = storage.getItem("morphtools-theme") ?? (dark.matches ? "dark" : "light"); };
dark.onchange = paint;
at("theme").onclick = () => {
  storage.setItem("morphtools-theme", look.theme === "dark" ? "light" : "dark");
  paint();
};
at("who").value = storage.getItem("morphtools-who") ?? "me";
at("who").onchange = () => {
  storage.setItem("morphtools-who", at("who").value = person().trim() || "me");
  draw();
};
addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input:not([type=range], [type=checkbox]), select, textarea");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || at("galaxy").open) return;
  const action = view.keys?.[event.key] ?? view.keys?.[event.key.toLowerCase()];
  if (action && action(event) !== false) event.preventDefault();
});
addEventListener("hashchange", draw);
addEventListener("unhandledrejection", ({ reason }) => notice(reason?.message ?? String(reason)));
paint();
draw();
