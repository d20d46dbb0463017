// More like this: examples and counter-examples by name, by position on the sky, or as an uploaded picture.
import { ask, send } from "./api.js";
import { grid, tile } from "./galaxies.js";
import { uses } from "./gallery.js";
import { button, calmly, change, choice, el, empty, fill, galaxies, notice } from "./page.js";
const lines = (text = "") => text.split("\n").filter(Boolean);
export async function show(root, parameters, info) {
  const { position, n = "48" } = parameters, { image, why_no_image, position: places, why_no_position } = info.similar;
  const now = { like: lines(parameters.like), unlike: lines(parameters.unlike), images: lines(parameters.images) };
  const set = (kind, names) => change({ [kind]: names.join("\n") });
  const remove = (kind, id) => ["✕", "Remove", () => set(kind, now[kind].filter((one) => one !== id))];
  const add = (kind, other, id) => change({ [kind]: [...new Set([...now[kind], id])].join("\n"), [other]: now[other].filter((one) => one !== id).join("\n") });
  const names = el("datalist", { id: "names" }), find = async (text) => (await ask("api/find", { text, limit: 10 })).ids;
  const suggest = calmly(120, async (text) => fill(names, (await find(text)).map((value) => el("option", { value }))));
  async function search() {
    const text = field.value.trim(), ids = text ? await find(text) : [];
    if (ids.includes(text) || ids.length === 1) add("like", "unlike", ids.includes(text) ? text : ids[0]);
    else if (places && /\d[\s,:hd°]/.test(text)) change({ position: text });
    else if (text) notice(ids.length ? `Which one? ${ids.slice(0, 4).join(", ")} …` : `There is no galaxy ${text}. ${why_no_position}`);
  }
  const field = el("input", {
    list: "names", size: 30, "aria-label": "Name of a galaxy, or a position", placeholder: places ? "name, or 10:00:28.6 +02:12:21" : "name of a galaxy",
    oninput: () => suggest(field.value), onkeydown: ({ key }) => { if (key === "Enter") search(); }, // returning false would disable all other keys
  });
  const upload = async (body) => body && set("images", [...now.images, (await ask("api/uploads", { name: body.name }, { body })).upload]);
  const file = el("input", { type: "file", hidden: true, "aria-label": "Image file", onchange: () => upload(file.files[0]) });
  root.ondragover = (event) => event.preventDefault();
  root.ondrop = (event) => { event.preventDefault(); upload(event.dataTransfer.files[0]); };
  const many = ["24", "48", "200", "1000"].map((each) => [each, `${each} nearest`]);
  root.append(el("div", { class: "bar" }, field, names, button("Search", search, { class: "main" }),
    button("Your own picture …", () => file.click(), { disabled: !image, title: why_no_image }), file, choice("How many", many, n, (value) => change({ n: value }))));
  if (!now.like.length && !now.images.length && !position) {
    return void root.append(empty("What are you looking for?", el("p", {}, `Type the name of a galaxy${places ? " or a position on the sky" : ""}${image ? ", drop a picture here" : ""}, `,
      "or click any galaxy on the map or in the gallery and choose Find similar."), el("small", {}, why_no_image)));
  }
  const answer = await send("api/similar", { ...now, ...(position && { position }), galaxies: Number(n) });
  const placed = answer.position && tile(answer.position.id_str, { kind: "plus", note: `${answer.position.separation.toFixed(1)}″ from ${position}`, tools: [["✕", "Remove", () => change({ position: "" })]] });
  root.append(grid(
    now.images.map((id) => el("figure", { class: "tile plus" }, el("span", { class: "picture" }, el("img", { src: `api/uploads/${id}`, alt: "Your picture" })),
      el("span", { class: "tools" }, button("✕", remove("images", id)[2], { "aria-label": "Remove your picture" })), el("figcaption", {}, "your picture"))), placed ?? [],
    now.like.map((id) => tile(id, { kind: "plus", note: "example", tools: [remove("like", id)] })),
    now.unlike.map((id) => tile(id, { kind: "minus", note: "not like this", tools: [remove("unlike", id)] }))),
  el("div", { class: "bar" }, el("strong", { role: "status" }, `${galaxies(answer.rows.length)}, nearest first`),
    el("small", {}, `of ${galaxies(info.galaxies)}, in ${Math.ceil(1000 * answer.seconds)} ms`), uses(answer.set, "similar")),
  grid(answer.rows.map(({ id_str, distance }) => tile(id_str, { note: distance.toFixed(3), tools: [
    ["+", "More like this", () => add("like", "unlike", id_str)], ["−", "Not like this", () => add("unlike", "like", id_str)]] }))));
}
