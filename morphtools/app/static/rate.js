// The anomaly loop: rate galaxies from 0 to 5, and the survey is ranked by your interest.
import { ask, judge, settled } from "./api.js";
import { bars, desk, people } from "./desk.js";
import { button, change, choice, el, empty, fill, galaxies, go, person, plural } from "./page.js";

const SOURCES = [["", "most promising first"], ["contested", "that raters disagree on"]], LEARN = [["all", "everybody"], ["own", "me alone"], ["similar", "me, similar tastes"]];
const why = ({ why, score, uncertainty }) => (score === null ? { fit: "liked by others" }[why] ?? "drawn at random" : `expected ${score.toFixed(1)} ± ${uncertainty.toFixed(1)}`);
const queue = (answer) => answer.queue.map((one) => ({ id_str: one.id_str, about: why(one) }));
export async function show(root, parameters, info) {
  if (!info.images) return void root.append(empty("There are no images", el("p", {}, "Rating needs images: start with --records, or with --catalog and --images.")));
  const from = parameters.from === "contested" ? "contested" : "", rater = person(), learn = parameters.learn ?? "", left = el("section", { class: "judge", "aria-label": "Rate" }), right = el("div", { class: "stack" });
  root.classList.add("columns");
  root.append(left, el("aside", { class: "stack" }, el("label", { class: "field" }, "Galaxies", choice("Which galaxies come", SOURCES, from, (value) => change({ from: value }))), right));
  const first = await settled().then(() => ask("api/rate", { rater, learn })), whose = choice("Whose ratings count", LEARN, first.learn, (value) => change({ learn: value }));
  let state = first, table;
  function tell(answer) {
    state = { ...state, ...answer };
    const { rated, skipped, raters, fit, counts, like, column } = state;
    const learning = { running: "Learning from your ratings …", failed: fit.message }[fit.state];
    fill(right, el("section", { class: "card stack" }, el("h2", {}, "How interesting is it?"),
      el("p", { class: "soft" }, "0 is dull, 5 is what you are looking for. After a few ratings, the most promising galaxies come first."),
      el("p", { role: "status" }, el("strong", {}, galaxies(rated)), " rated", skipped > 0 && `, ${skipped} skipped`), bars(counts), people(raters), like && el("small", {}, Object.keys(like).length ? `Starting from what ${Object.keys(like).join(", ")} would like.` : "Nobody else has a taste like yours so far."),
      Object.keys(raters).some((name) => name !== rater) && el("label", { class: "field" }, "Learn from", whose),
      el("p", { class: "soft" }, learning ?? (fit.ratings ? `The estimates are based on ${plural(fit.ratings, "rating")}.` : "No estimates yet."))),
    fit.ratings > 0 && button("See the ranking", () => go("gallery", { sort: column, descending: 1 }), { class: "main" }));
  }
  const post = (content) => judge("api/rate", { rater, settle: Boolean(from), ...content }, (answer) => answer && [tell(answer), !from && table.refill(queue(answer))]).judgement;
  tell();
  table = await desk(left, {
    choices: [...[0, 1, 2, 3, 4, 5].map((value) => ({ key: String(value), text: { 0: "dull", 5: "wow" }[value], value })), { key: "s", text: "skip", value: null }],
    past: (from ? await ask("api/rate", { rater, from }) : first).history.map(({ judgement, id_str, rating }) => ({ judgement, id_str, value: rating })),
    more: from ? async () => (await ask("api/rate", { rater, from })).queue : async () => queue(await ask("api/rate", { rater })),
    give: (id_str, rating) => post({ id_str, rating }),
    undo: (judgement) => post({ undo: judgement }),
    nothing: from ? empty("No raters disagree") : empty("All galaxies are rated", el("p", {}, "The ranking contains all of them.")),
  });
  const timer = setInterval(async () => state.fit.state === "running" && tell(await ask("api/rate", { rater })), 1500);
  return { keys: table.keys, leave: () => clearInterval(timer) };
}
