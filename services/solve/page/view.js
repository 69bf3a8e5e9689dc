/** From what the service says to what is seen. Text of the model becomes text nodes, never markup. */

import { setAnswer, setText } from "./math.js";

/** @import { Cluster, Sample } from "./api.js" @import { Typesetter } from "./math.js" */

export const STRATEGIES = {
  majority_vote: "Majority vote",
  weighted_vote: "Weighted vote",
  weighted_vote_top_clusters: "Weighted vote, top answers",
  best_of_n: "Best sample",
  best_of_top_clusters: "Best sample, top answers",
  majority_of_best: "Majority of the best",
};

const STOP_REASONS = {
  all_samples: "All samples drawn",
  confident: "Stopped early, the lead was safe",
  deadline: "Stopped at the time limit, best answer so far",
};

const number = new Intl.NumberFormat("en");
const percent = new Intl.NumberFormat("en", { style: "percent" });
const plural = (count, noun) => `${number.format(count)} ${noun}${count === 1 ? "" : "s"}`;
const but = (saved) => (saved ? `, ${saved} saved` : "");
const rounded = (value) => value.toFixed(2);

/** Make an element. @param {string} name @param {object} properties @param {...(Node | string)} children */
export function el(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** Say in words and as a number what share of the weight is behind an answer. @param {number} confidence  0 to 1 */
export function confidenceWords(confidence) {
  const place = [0.9, 0.7, 0.5, 0.3, 0].findIndex((least) => confidence >= least);
  const words = ["near-unanimous", "strong agreement", "a majority", "a narrow lead", "barely ahead"][place];
  return `Confidence ${percent.format(confidence)}: ${words}`;
}

/** Return the cluster of the largest weight, the first of those on a tie. @param {Cluster[]} clusters */
export function leaderOf(clusters) {
  return clusters.length ? clusters.reduce((best, one) => (one.weight > best.weight ? one : best)) : null;
}

/** Sum the scores of a cluster's members that have one; null where none has. @param {Cluster} cluster @param {Map<number, Sample>} samples */
export function scoreOf(cluster, samples) {
  const scores = cluster.members.map((index) => samples.get(index)?.score).filter((score) => score != null);
  return scores.length ? scores.reduce((sum, score) => sum + score, 0) : null;
}

/** Say how the run ended and what it cost. @param {any} solution  the response of POST /v1/solve */
export function costLine({ stop_reason, candidates, num_samples, saved, usage, timings }) {
  return [
    STOP_REASONS[stop_reason] ?? stop_reason,
    `${plural(candidates?.length ?? num_samples, "sample")} drawn${but(saved.samples)}`,
    usage.verifier && plural(usage.verifier.requests, "verifier call") + but(saved.verifier_calls),
    `${plural(usage.generator.completion_tokens, "token")} written`,
    `${timings.total.toFixed(1)}\u00a0s`,
  ].filter(Boolean).join(" · ");
}

/**
 * Draw each cluster as a bar, keeping the rows that are there so that they grow; a full bar is `total` samples.
 * @param {Element} list @param {Cluster[]} clusters
 * @param {{samples: Map<number, Sample>, total: number, leader?: string, ask: Typesetter}} context
 */
export function showClusters(list, clusters, { samples, total, leader, ask }) {
  const rows = new Map([...list.children].map((row) => [row.dataset.answer, row]));
  const scores = clusters.map((cluster) => scoreOf(cluster, samples));
  list.toggleAttribute("data-scored", scores.some((score) => score !== null));
  list.replaceChildren(...clusters.map((cluster, place) => {
    const row = rows.get(cluster.answer) ?? clusterRow(cluster.answer, ask);
    const score = scores[place];
    row.toggleAttribute("data-leading", cluster.answer === leader);
    row.style.setProperty("--votes", String(Math.min(1, cluster.votes / total)));
    row.style.setProperty("--weight", String(Math.min(1, (score ?? 0) / cluster.votes)));
    row.querySelector(".figures").textContent = plural(cluster.votes, "vote") + (score === null ? "" : `, weight ${rounded(score)}`);
    return row;
  }));
}

function clusterRow(answer, ask) {
  const value = el("span", { className: "value" });
  setAnswer(value, answer, ask);
  const bar = el("span", { className: "bar", ariaHidden: "true" }, el("span"));
  const row = el("li", {}, value, el("div", {}, bar, el("span", { className: "figures" }), el("strong", { className: "mark" }, "★ leading")));
  row.dataset.answer = answer;
  return row;
}

/** Lay out one empty place a sample. @param {Element} list @param {number} count */
export function showPending(list, count) {
  list.replaceChildren(...Array.from({ length: count }, (_, index) => el("li", { className: "pending", ariaHidden: "true" }, `#${index + 1}`)));
}

/** Put a sample in its place. @param {Element} list @param {Sample} sample @param {Typesetter} ask */
export function showSample(list, sample, ask) {
  list.children[sample.index].replaceWith(sampleCard(sample, ask));
}

function sampleCard(sample, ask) {
  const answer = el("span", { className: "value" });
  setAnswer(answer, sample.answer ?? "no answer", ask);
  const text = el("div", { className: "text" });
  const details = el(
    "details",
    { ontoggle: () => details.open && setText(text, sample.text, ask) },
    el("summary", {}, answer, el("span", {}, `#${sample.index + 1}`), el("span", {}, ending(sample)), el("span", { className: "score" })),
    text,
  );
  const card = el("li", { id: `sample-${sample.index + 1}` }, details);
  card.toggleAttribute("data-silent", !sample.votes);
  showScore(card, sample.score);
  return card;
}

function ending({ finish_reason, votes }) {
  if (finish_reason === "length") return "cut off, no vote";
  return votes ? "finished" : "no vote";
}

/** Say where a solution comes from. @param {Sample} sample */
export function origin({ index, score }) {
  return `Sample #${index + 1}${score == null ? "" : ` · score ${rounded(score)}`}`;
}

/** @param {Element} card @param {number | null | undefined} score */
export function showScore(card, score) {
  card.querySelector(".score").textContent = score == null ? "" : `score ${rounded(score)}`;
}

/** Mark the cards of the winning cluster and the chosen one. @param {Element} list @param {number[]} members @param {number} [chosen] */
export function markSamples(list, members, chosen) {
  for (const place of list.querySelectorAll(".pending")) place.remove();
  for (const index of members) list.querySelector(`#sample-${index + 1}`)?.toggleAttribute("data-leading", true);
  list.querySelector(`#sample-${chosen + 1} summary`)?.append(el("strong", { className: "mark" }, "✓ chosen"));
}

/**
 * Fill the table of strategies.
 * @param {Element} body @param {{strategy: string, answer: string | null, confidence: number, chosen?: number}[]} rows
 * @param {string | undefined} used  the strategy of the run
 * @param {Typesetter} ask
 */
export function showComparison(body, rows, used, ask) {
  body.replaceChildren(...rows.map(({ strategy, answer, confidence, chosen }) => {
    const value = el("td", { className: "value" });
    setAnswer(value, answer ?? "no answer", ask);
    const name = el("th", { scope: "row" }, STRATEGIES[strategy]);
    if (strategy === used) name.append(" ", el("span", { className: "mark" }, "✓ used"));
    const link = chosen === undefined ? "–" : el("a", { href: `#sample-${chosen + 1}` }, `#${chosen + 1}`);
    return el("tr", {}, name, value, el("td", {}, answer === null ? "–" : percent.format(confidence)), el("td", {}, link));
  }));
}

/** List what a run was made with. @param {HTMLElement} list @param {any} solution */
export function showRun(list, { id, strategy, seed, models, usage, timings }) {
  const used = (model, { requests, prompt_tokens, completion_tokens }) =>
    `${model}: ${plural(requests, "request")}, ${plural(prompt_tokens, "token")} read, ${number.format(completion_tokens)} written`;
  const rows = {
    Strategy: STRATEGIES[strategy] ?? strategy,
    Seed: String(seed),
    Generator: used(models.generator, usage.generator),
    Verifier: usage.verifier && used(models.verifier, usage.verifier),
    Prompts: [models.prompt_set_hash, models.verifier_prompt_hash].filter(Boolean).join(", "),
    Time: Object.entries(timings).map(([stage, seconds]) => `${stage} ${rounded(seconds)} s`).join(", "),
    Request: id,
  };
  const pairs = Object.entries(rows).filter(([, value]) => value);
  list.replaceChildren(...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}
