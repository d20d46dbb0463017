// The map: drawn by the server, moved here; a lasso selects galaxies, not an area of the screen.
import { ask, latest, send } from "./api.js";
import { openGalaxy, picture, thumbnail } from "./galaxies.js";
import { uses } from "./gallery.js";
import { run, watch } from "./jobs.js";
import { button, calmly, change, choice, el, empty, fill, galaxies, keep, number, short } from "./page.js";

const CELL = 88; // screen px of a galaxy on the map of thumbnails
const HELP = "Map of galaxies. Arrow keys move it, plus and minus zoom, 0 shows all of it, Enter opens the galaxy in the middle, " +
  "B selects all galaxies in view, P shows pictures, Escape clears the selection.";
const MODES = [["replace", "next lasso replaces"], ["add", "next lasso adds"], ["remove", "next lasso removes"], ["keep", "next lasso intersects"]];

async function showLegend(legend, colour, info) {
  const columns = info.columns.list.filter(({ kind }) => kind !== "text").map(({ name }) => name);
  const pick = choice("Colour by", [["", "number of galaxies"], ...columns], colour, (value) => change({ colour: value }));
  const work = el("div", { class: "stack job" }), made = () => change({ x: "", y: "", w: "" });
  const maker = info.map.kind === "pca" && [button("Make a map", () => run(work, { verb: "make-map" }, made)), work];
  fill(legend, el("small", {}, "Colour by"), pick, !colour && [el("small", {}, info.map.message), maker]);
  if (!colour) {
    const job = maker && (await ask("api/jobs")).find(({ verb, state }) => verb === "make-map" && state === "running");
    return job && watch(work, job.job, made);
  }
  const { kind, low, high, colours, items, others, unknown } = await ask("api/legend", { colour });
  const painted = (node, background) => { node.style.background = background; return node; };
  const item = (value, paint, n) => el("li", {}, painted(el("i", { class: "swatch" }), paint), String(value), el("span", {}, number(n)));
  fill(legend, [...legend.children], kind === "number" ? [painted(el("span", { class: "ramp" }), `linear-gradient(to right, ${colours.join(",")})`),
    el("div", { class: "row apart soft" }, el("span", {}, short(low)), el("span", {}, short(high)))]
    : el("ul", {}, items.map((one) => item(one.value, one.colour, one.galaxies)), others > 0 && item("others", "#999", others)),
  unknown > 0 && el("small", {}, `${number(unknown)} unknown, in grey`));
}

export async function show(root, parameters, info) {
  if (!info.map.ready || !info.map.bounds) {
    const timer = setTimeout(() => info.map.ready || change({}), 1000);
    root.append(empty(info.map.ready ? "There is no map" : "The map is being made", el("p", {}, info.map.message)));
    return { leave: () => clearTimeout(timer) };
  }
  root.classList.add("map");
  const canvas = el("canvas", { tabindex: 0, "aria-label": HELP }), pen = canvas.getContext("2d"), aim = el("i", { class: "aim" });
  const card = el("div", { class: "float hover", hidden: true }), status = el("p", { class: "float status", role: "status" });
  const panel = el("section", { class: "float selected stack", "aria-label": "Selection", hidden: true });
  const legend = el("section", { class: "float legend stack", "aria-label": "Colours" });
  const askMap = latest(), askHover = latest(), askGrid = latest(), images = new Map(), fingers = new Map();
  const [x0, x1, y0, y1] = info.map.bounds, pictures = parameters.pictures === "1" && info.images, { colour = "" } = parameters;
  let view = {}, width, height, ratio, tool, layer, cells = [], hovered, path, start, mode = "replace", set = parameters.set ?? "";
  // In units of the map: the middle of the view and its width. In px on the screen: width, height and all places.
  const whole = () => Object.assign(view, { x: (x0 + x1) / 2, y: (y0 + y1) / 2, w: 1.06 * Math.max(x1 - x0, ((y1 - y0) * width) / height) });
  const unit = () => view.w / width; // map units per px
  const toMap = ([px, py]) => [view.x + (px - width / 2) * unit(), view.y - (py - height / 2) * unit()];
  const toScreen = ([x, y]) => [(x - view.x) / unit() + width / 2, (view.y - y) / unit() + height / 2];
  const middle = () => [width / 2, height / 2];
  const extent = (w = view.w / 2, h = (w * height) / width) => ({ x0: view.x - w, x1: view.x + w, y0: view.y - h, y1: view.y + h });
  function draw() {
    const colours = getComputedStyle(root);
    pen.reset();
    pen.scale(ratio, ratio);
    if (layer) {
      const [left, top] = toScreen([layer.x0, layer.y1]), [right, bottom] = toScreen([layer.x1, layer.y0]);
      pen.globalAlpha = pictures ? 0.35 : 1;
      pen.drawImage(layer.picture, left, top, right - left, bottom - top);
      pen.globalAlpha = 1;
    }
    for (const { image, at } of cells) {
      const [left, top] = toScreen(at).map((middle) => middle - CELL / 2 + 3);
      if (image.complete && image.naturalWidth) pen.drawImage(image, left, top, CELL - 6, CELL - 6);
    }
    [pen.lineWidth, pen.strokeStyle] = [2, colours.getPropertyValue("--ink")];
    pen.beginPath();
    if (hovered) pen.arc(...toScreen([hovered.x, hovered.y]), 8, 0, 7);
    pen.stroke();
    if (!path) return;
    pen.beginPath();
    for (const corner of path) pen.lineTo(...toScreen(corner));
    pen.closePath();
    [pen.strokeStyle, pen.fillStyle] = ["--accent", "--veil"].map((name) => colours.getPropertyValue(name));
    pen.stroke();
    pen.fill();
  }
  async function thumbnails(where) {
    const columns = Math.max(1, Math.round(width / CELL)), rows = Math.max(1, Math.round(height / CELL));
    const answer = await askGrid("api/grid", { ...where, columns, rows, set });
    cells = answer.cells.map(({ id_str, column, row }) => {
      if (!images.has(id_str)) images.set(id_str, Object.assign(new Image(), { onload: draw, src: thumbnail(id_str, 96) }));
      const right = (column + 0.5) / columns, down = (row + 0.5) / rows;
      return { image: images.get(id_str), at: [where.x0 + right * (where.x1 - where.x0), where.y1 - down * (where.y1 - where.y0)] };
    });
    draw();
  }
  const refresh = calmly(25, async () => {
    if (!root.isConnected) return;
    const where = extent(), size = { width: Math.round(width * ratio), height: Math.round(height * ratio), points: Math.round(5 * ratio) };
    keep({ x: view.x.toPrecision(7), y: view.y.toPrecision(7), w: view.w.toPrecision(5) });
    if (pictures) thumbnails(where);
    const answer = await askMap("api/map.png", { ...where, ...size, colour, set });
    layer = { ...where, picture: answer.picture };
    fill(status, `${galaxies(answer.galaxies)} in view`);
    draw();
  });
  const moved = () => { requestAnimationFrame(draw); refresh(); };
  function zoom(factor, at = middle()) {
    const [x, y] = toMap(at), w = Math.min(Math.max(view.w * factor, (x1 - x0) * 1e-5), (x1 - x0) * 4), kept = w / view.w;
    view = { x: x + (view.x - x) * kept, y: y + (view.y - y) * kept, w }; // that place stays where it is on the screen
    moved();
  }
  // The galaxy at a place on the screen, and its card beside it.
  async function hover(at) {
    const [x, y] = toMap(at), answer = await askHover("api/hover", { x, y, radius: 14 * unit() });
    [hovered, card.hidden] = answer.id_str ? [answer, false] : [undefined, true];
    draw();
    if (!hovered) return;
    const facts = Object.entries(hovered.columns).filter(([, value]) => value !== null).slice(0, 4);
    fill(card, info.images && picture(hovered.id_str, 160, { loading: "eager" }), el("strong", {}, hovered.id_str),
      facts.map(([name, value]) => el("div", {}, el("span", { class: "soft" }, `${name} `), number(value))));
    const [left, top] = toScreen([hovered.x, hovered.y]);
    card.style.left = `${Math.max(4, left + 200 > width ? left - 196 : left + 16)}px`;
    card.style.top = `${Math.max(4, Math.min(top - 60, height - card.offsetHeight - 8))}px`;
  }
  const open = (at) => hover(at).then(() => hovered && openGalaxy(hovered.id_str));
  function selected(now, n) {
    [set, path, panel.hidden] = [now, undefined, !now];
    keep({ set });
    fill(panel, el("div", { class: "row apart" }, el("h3", { role: "status" }, `${galaxies(n)} selected`), button("Clear", () => selected("", 0), { class: "quiet" })),
      choice("The next lasso", MODES, mode, (value) => { mode = value; }), uses(set, "map"));
    moved();
  }
  const select = (content) => send("api/select", { ...content, ...(set && { mode, to: set }) }).then((answer) => selected(answer.set, answer.galaxies));
  const [all, toggle] = [() => { whole(); moved(); }, () => info.images && change({ pictures: pictures ? "" : "1" })];
  const pointers = ["Move", "Box", "Lasso"].map((name) => button(name, () => setTool(name)));
  const setTool = (name) => { tool = name; pointers.forEach((one) => { one.ariaPressed = String(one.textContent === tool); }); };
  const tools = el("div", { class: "float tools-map", role: "toolbar", "aria-label": "Map" }, pointers,
    button("+", () => zoom(0.6), { "aria-label": "Zoom in" }), button("−", () => zoom(1 / 0.6), { "aria-label": "Zoom out" }), button("All", all),
    info.images && button("Pictures", toggle, { "aria-pressed": String(pictures) }));
  const place = (event) => [event.offsetX, event.offsetY], span = ([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, place(event));
    start = { at: place(event), view: { ...view }, far: false };
    path = tool === "Move" ? undefined : [toMap(start.at)];
  };
  canvas.onpointermove = (event) => {
    const at = place(event), before = [...fingers.values()];
    if (!fingers.has(event.pointerId)) return void hover(at);
    const after = [...fingers.set(event.pointerId, at).values()];
    [start.far, card.hidden] = [start.far || span([at, start.at]) > 4, true];
    if (after.length > 1) {
      path = undefined;
      return zoom(span(before) / span(after), [(after[0][0] + after[1][0]) / 2, (after[0][1] + after[1][1]) / 2]);
    }
    if (!path) {
      Object.assign(view, { x: start.view.x - (at[0] - start.at[0]) * unit(), y: start.view.y + (at[1] - start.at[1]) * unit() });
      return moved();
    }
    const [first] = path, corner = toMap(at);
    path = tool === "Box" ? [first, [corner[0], first[1]], corner, [first[0], corner[1]]] : [...path, corner];
    requestAnimationFrame(draw);
  };
  canvas.onpointerup = canvas.onpointercancel = ({ pointerId, type }) => {
    fingers.delete(pointerId);
    if (!start || fingers.size) return;
    const { far, at } = start, every = Math.ceil(path?.length / 2000);
    start = undefined;
    if (far && path?.length > 2 && type === "pointerup") return select({ polygon: path.filter((_, i) => i % every === 0) });
    path = undefined;
    if (!far) open(at);
  };
  canvas.onpointerleave = () => { [hovered, card.hidden] = [undefined, true]; draw(); };
  const wheel = (event) => { event.preventDefault(); zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.004), place(event)); };
  canvas.addEventListener("wheel", wheel, { passive: false });
  const pan = (dx, dy) => () => {
    if (![canvas, document.body].includes(document.activeElement)) return false;
    Object.assign(view, { x: view.x + dx * view.w * 0.08, y: view.y + dy * view.w * 0.08 });
    return void [moved(), hover(middle())];
  };
  const keys = {
    ArrowLeft: pan(-1, 0), ArrowRight: pan(1, 0), ArrowUp: pan(0, 1), ArrowDown: pan(0, -1), "+": () => zoom(0.75), "=": () => zoom(0.75), "-": () => zoom(1 / 0.75),
    0: all, b: () => void select({ box: Object.values(extent()) }), p: () => void toggle(), Escape: () => selected("", 0),
    Enter: () => document.activeElement === canvas && void open(middle()),
  };
  root.append(canvas, aim, tools, legend, panel, status, card);
  const sized = new ResizeObserver(() => {
    [width, height, ratio] = [canvas.clientWidth || 1, canvas.clientHeight || 1, Math.min(devicePixelRatio || 1, 2)];
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (!view.w) {
      const { x, y, w = whole().w / 12, at } = parameters, [px, py, pw] = [x, y, w].map(Number);
      whole(); // also where the address leads nowhere
      if (x && pw > (x1 - x0) * 1e-5 && px > x0 - pw && px < x1 + pw && py > y0 - pw && py < y1 + pw) Object.assign(view, { x: px, y: py, w: pw });
      if (at) hover(middle());
    }
    moved();
  });
  sized.observe(canvas);
  setTool("Move");
  showLegend(legend, colour, info);
  if (set) ask("api/galaxies", { set, limit: 1 }).then((answer) => selected(set, answer.galaxies), () => selected("", 0));
  return { keys, leave: () => sized.disconnect(), fresh: (now) => showLegend(legend, colour, now) };
}
