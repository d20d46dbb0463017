// One galaxy after another, judged by keys: shared by Rate and Label.
import { openGalaxy, picture, thumbnail } from "./galaxies.js";
import { button, el, fill, notice } from "./page.js";
// `choices` are {key, text, value}; `past` lists earlier judgements, newest first: {judgement, id_str, value}.
// `more(n)` requests galaxies, of which n are here already; `give(id, value)` and `undo(judgement)` are judgements.
export async function desk(root, { choices, past, more, give, undo, nothing }) {
  const before = past.filter(({ id_str }, i) => id_str && past.findIndex((one) => one.id_str === id_str) === i);
  const items = before.reverse(), done = [...past].reverse(), back = choices.some(({ key }) => key === "u") ? "Backspace" : "u";
  let at = items.length, asking = false;
  fill(root);
  // The next galaxies, after those the browser has fetched already.
  function refill(queue) {
    const waiting = at >= items.length, judged = items.findLastIndex(({ value }) => value !== undefined) + 1;
    const kept = items.slice(0, Math.max(at + 3, judged)), ids = new Set(kept.map(({ id_str }) => id_str));
    items.splice(0, items.length, ...kept, ...queue.filter(({ id_str }) => !ids.has(id_str)).map((one) => ({ ...one, value: undefined })));
    for (const { id_str } of items.slice(at, at + 4)) new Image().src = thumbnail(id_str, 512);
    if (waiting) draw();
  }
  async function provide() {
    if (asking || items.length - at > 5) return;
    asking = true; // skipped galaxies come again, and those not saved yet
    refill(await more(items.filter(({ value }) => value === undefined).length + Math.min(items.length, 20)).finally(() => { asking = false; }));
  }
  const key = (name, text, onclick, disabled) => button([el("kbd", {}, name), ` ${text}`], onclick, { class: "quiet", disabled });
  function draw() {
    const item = items[at];
    root.dataset.galaxy = item?.id_str ?? "";
    fill(root, item ? [picture(item.id_str, 512, { class: "subject", loading: "eager" }),
      el("div", { class: "row" }, button(item.id_str, () => openGalaxy(item.id_str), { class: "quiet", title: "All about this galaxy" }), el("small", {}, item.about)),
      el("div", { class: "keys", role: "group", "aria-label": "Your judgement" }, choices.map((one) => button(
        [el("kbd", {}, one.key), one.text], () => judged(one.value), { "aria-pressed": String(item.value === one.value) })))] : !asking && nothing,
    el("div", { class: "row" }, key("←", "back", () => move(-1), at === 0), key("→", "next", () => move(1), !item), key(back, "undo", takeBack, !done.length)));
  }
  const move = (by) => { at = Math.min(Math.max(at + by, 0), items.length); provide(); draw(); };
  function judged(value) {
    if (!items[at]) return;
    done.push({ judgement: give(items[at].id_str, value), id_str: items[at].id_str });
    items[at].value = value;
    move(1);
  }
  function takeBack() {
    const last = done.pop();
    if (!last) return notice("There is nothing to undo.");
    undo(last.judgement);
    const place = items.findIndex(({ id_str }) => id_str === last.id_str);
    if (place >= 0) [items[place].value, at] = [undefined, place];
    draw();
  }
  const keys = { u: takeBack, Backspace: takeBack, ArrowLeft: () => move(-1), ArrowRight: () => move(1) };
  for (const one of choices) keys[one.key] = () => judged(one.value);
  await provide();
  draw();
  return { keys, refill, provide };
}

// Counts drawn as bars.
export const bars = (counts) => el("div", { class: "bars" }, Object.entries(counts).map(([name, n]) => [
  el("span", {}, name), el("meter", { min: 0, max: Math.max(1, ...Object.values(counts)), value: n, "aria-label": name }), el("small", {}, String(n))]));

// How many each person judged, if there are several.
export const people = (counts) => Object.keys(counts).length > 1 && el("small", {}, Object.entries(counts).map(([name, n]) => `${name} ${n}`).join(", "));
