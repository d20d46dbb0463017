// Clusters of galaxies, to be named, merged, or marked as artefacts.
import { ask, judge } from "./api.js";
import { strip } from "./galaxies.js";
import { run } from "./jobs.js";
import { button, change, el, empty, fill, galaxies, go, notice, person, plural } from "./page.js";

export async function show(root) {
  const many = el("input", { type: "number", min: 2, max: 200, value: 20, "aria-label": "Number of clusters" }), work = el("div", { class: "stack job" });
  const make = () => run(work, { verb: "cluster", clusters: Number(many.value) }, () => change({}));
  const answer = await ask("api/clusters").catch((error) => { if (error.status !== 404) throw error; return error; });
  const first = () => empty("There are no clusters yet", el("p", {}, answer.message), el("p", { class: "row centred" }, many, button("Make clusters", make, { class: "main" })), work);
  if (!answer.clusters) return void root.append(first());
  const done = [], ticked = new Set(), sheet = el("div", { class: "clusters" });
  const post = (content) => judge("api/clusters", { person: person(), ...content }, (after) => after && draw(after)).judgement;
  const give = (content) => done.push(post(content));
  const name = el("input", { placeholder: "name for all ticked", size: 22, "aria-label": "Name for the ticked clusters", maxlength: 60 });
  const merge = () => (ticked.size && name.value ? give({ clusters: [...ticked], name: name.value.trim() }) : notice("Tick clusters and type a name: clusters with the same name are merged."));
  const undo = () => (done.length ? post({ undo: done.pop() }) : notice("There is nothing to undo."));
  root.append(el("div", { class: "bar" }, el("strong", {}, plural(answer.clusters.length, "cluster")), name, button("Merge", merge), button("Undo", undo), el("small", {}, answer.message)), sheet);
  const row = ({ cluster, galaxies: n, share, name: called, artefact, members }) => el("section", { class: `card stack cluster ${artefact ? "artefact" : ""}`, "aria-label": `Cluster ${cluster}` },
    el("div", { class: "row" },
      el("label", { class: "field" }, el("input", { type: "checkbox", checked: ticked.has(cluster), onchange: ({ target }) => ticked[target.checked ? "add" : "delete"](cluster) }), `Cluster ${cluster}`),
      el("input", { value: called ?? "", placeholder: "name", maxlength: 60, "aria-label": `Name of cluster ${cluster}`, onchange: ({ target }) => give({ clusters: [cluster], name: target.value.trim() || null }) }),
      el("span", { class: "soft" }, `${galaxies(n)}, ${(100 * share).toFixed(1)}%`),
      button("Artefacts", () => give({ clusters: [cluster], artefact: !artefact }), { "aria-pressed": String(artefact) }),
      [["Look at all", "gallery", {}], ["Label all", "label", { from: "set" }], ["On the map", "map", {}]].map(([text, tab, more]) => button(text, () => go(tab, { ...more, set: `cluster:${cluster}` })))),
    strip(members, `Galaxies of cluster ${cluster}`));
  const draw = ({ clusters }) => fill(sheet, clusters.map(row));
  draw(answer);
}
