// Label galaxies one by one or many at once; the labels form a table, and a network is trained on it.
import { ask, judge, settled } from "./api.js";
import { bars, desk, people } from "./desk.js";
import { grid, tile } from "./galaxies.js";
import { sets } from "./gallery.js";
import { run, watch } from "./jobs.js";
import { button, calmly, change, choice, el, empty, fill, galaxies, number, person } from "./page.js";

const SOURCES = [["random", "at random"], ["set", "from a set"], ["uncertain", "with the least certain predictions"], ["suggested", "chosen by suggest-labels"], ["contested", "people disagree on"]];
const UNSURE = { value: "unsure", key: "s", label: false };
function newQuestion() {
  const [name, question, values] = [["Name", "ring"], ["Question", "Does it have a ring?"], ["Answers", "yes, no"]].map(([label, value]) => el("input", { value, "aria-label": label, maxlength: 200 }));
  function begin() {
    const taken = new Set(["u", "s"]);
    const answers = values.value.split(",").map((one) => one.trim()).filter(Boolean).map((value, i) => {
      const key = [...value.toLowerCase(), ...String(i + 1)].find((letter) => /[a-z0-9]/.test(letter) && !taken.has(letter));
      return taken.add(key) && { value, key };
    });
    judge("api/labels", { person: person(), name: name.value.trim(), question: question.value.trim(), values: [...answers, UNSURE] }, (made) => made && change({ table: made.name }));
  }
  return el("section", { class: "card stack ask" }, el("h2", {}, "What do you want to know?"),
    [name, question, values].map((field) => el("label", { class: "field" }, field.getAttribute("aria-label"), field)),
    el("small", {}, "Two or more answers, separated by commas. “unsure” is always available and is not trained on."), button("Begin", begin, { class: "main" }));
}

export async function show(root, parameters, info) {
  if (!info.images) return void root.append(empty("There are no images", el("p", {}, "Labelling needs images: start with --records, or with --catalog and --images.")));
  const { from = "random", set = "all", table: wanted } = parameters;
  let given, table = info.labels.find(({ name }) => name === wanted) ?? (wanted === "new" ? undefined : info.labels[0]);
  if (!table) return void root.append(newQuestion());
  const { name, values } = table, who = { person: person(), table: name }, questions = info.labels.map((one) => [one.name, one.question || one.name]);
  const left = el("section", { class: "judge", "aria-label": "Label" }), about = el("section", { class: "card stack" });
  const learn = el("section", { class: "card stack" }), work = el("div", { class: "stack job" }), all = el("div", { class: "row" }), others = grid();
  root.append(el("div", { class: "bar" },
    el("label", {}, "Question", choice("Question", [...questions, ["new", "another question …"]], name, (value) => change({ table: value }))),
    el("label", {}, "Galaxies", choice("Which galaxies come", SOURCES, from, (value) => change({ from: value }))), from === "set" && sets(info, set, (value) => change({ set: value })), all),
  el("div", { class: "columns" }, left, el("aside", { class: "stack" }, from === "contested" && others, about, learn)));
  function tell(answer) {
    table = answer?.table ?? table;
    given?.provide();
    fill(about, el("h2", {}, table.question || name), el("p", { role: "status" }, el("strong", {}, galaxies(table.labelled)), " labelled"), bars(table.counts),
      people(table.people), el("a", { href: `api/labels/${encodeURIComponent(name)}.csv`, download: `${name}.csv` }, "Download the table"));
    offer();
  }
  const offer = calmly(400, async () => {
    const { command, can_run, why_not } = await ask("api/finetune", { table: name });
    fill(learn, el("h2", {}, "Train on these labels"), el("code", { class: "command" }, command.replaceAll(" --", " \\\n  --")), el("small", {}, why_not),
      button("Fine-tune", () => run(work, { verb: "finetune", table: name }), { class: "main", disabled: !can_run }), work);
  });
  const post = (content) => judge("api/label", { ...who, ...(from === "contested" && { settle: true }), ...content }, (answer) => answer && tell(answer)).judgement;
  const ask20 = async (here) => {
    const answer = await ask("api/queue", { ...who, from, ...(from === "set" && { set }), galaxies: 20 + here });
    fill(others, answer.queue.slice(0, 20).map((one) => tile(one.id_str, { note: one.about })));
    return answer;
  };
  await settled();
  const [first, past, jobs] = await Promise.all([ask20(0), ask("api/history", who), ask("api/jobs")]);
  given = await desk(left, {
    choices: values.map(({ value, key }) => ({ key, text: value, value })), past: past.filter(({ settled }) => settled === (from === "contested")),
    more: async (here) => (await ask20(here)).queue,
    give: (id_str, value) => post({ id_str, value }),
    undo: (judgement) => post({ undo: judgement }),
    nothing: empty("There is nothing left to label here", el("p", {}, first.message || "Choose other galaxies or another question above.")),
  });
  tell();
  const every = (value) => judge("api/label-all", { ...who, value, set }).saved.then(() => change({}));
  if (from === "set" && set !== "all" && first.left) fill(all, el("span", { class: "soft" }, `Label the remaining ${number(first.left)}`),
    values.map(({ value }) => button(value, () => every(value))));
  const before = jobs.find(({ verb, folder }) => verb === "finetune" && folder.includes(`/${name}-`));
  if (before) watch(work, before.job);
  return { keys: given.keys };
}
