/** The page: a form, one run at a time, and what has been heard of it. */

import { ServiceError, choose, curlCommand, explain, solve } from "./api.js";
import { setAnswer, setText, typesetter } from "./math.js";
import * as view from "./view.js";

/** @import { Caller, Cluster, Sample } from "./api.js" @import { Typesetter } from "./math.js" */
/** @typedef {{request: any, caller: Caller, stop: AbortController, ask: Typesetter, samples: Map<number, Sample>,
 *             clusters: Cluster[], solution: any}} Run  samples: by index; solution: the response, null until it is there */

const at = (id) => document.getElementById(id);
const numberAt = (id) => (at(id).value === "" ? undefined : Number(at(id).value));

/** @type {Run | null} */
let run = null;

/** Return the body of POST /v1/solve that the form describes; what is left blank is left to the service. */
function requestOfForm() {
  const num_samples = numberAt("num-samples");
  return {
    question: at("question").value.trim(),
    num_samples,
    strategy: at("strategy").value || undefined,
    num_clusters: numberAt("num-clusters"),
    num_best: numberAt("num-best"),
    temperature: numberAt("temperature"),
    seed: numberAt("seed"),
    adaptive: at("adaptive").checked ? { min_samples: Math.min(4, num_samples ?? 4), confidence: numberAt("confidence") } : undefined,
  };
}

/** Ask the form's question and follow what the service says of it. */
async function start() {
  if (document.body.dataset.state === "running" || !isFilled()) return;
  const stop = new AbortController();
  const key = at("key").value.trim();
  run = { request: requestOfForm(), caller: { key }, stop, ask: typesetter({ key }), samples: new Map(), clusters: [], solution: null };
  const mine = run;
  clear();
  setState("running");
  try {
    for await (const { event, data } of solve(mine.request, { key, signal: stop.signal })) HEARD[event]?.(mine, data);
    setState("done");
  } catch (error) {
    if (stop.signal.aborted) showCancelled(mine);
    else showError(error);
  }
  at("votes").hidden = at("comparison").hidden = mine.clusters.length === 0;
}

/** Tell the reader what is missing in the form, if anything is. */
function isFilled() {
  const missing = at("ask").querySelector(":invalid");
  if (missing?.closest("details")) missing.closest("details").open = true;
  return at("ask").reportValidity();
}

/** What to do upon each event of the stream. @type {Record<string, (run: Run, data: any) => void>} */
const HEARD = {
  sample(run, sample) {
    if (run.samples.size === 0) showFirst(run);
    run.samples.set(sample.index, sample);
    view.showSample(at("samples"), sample, run.ask);
    showProgress(run);
  },
  clusters(run, { clusters }) {
    run.clusters = clusters;
    showVotes(run, view.leaderOf(clusters)?.answer);
  },
  score(run, { index, score }) {
    noteScore(run, index, score);
    showVotes(run, view.leaderOf(run.clusters)?.answer);
  },
  answer(run, solution) {
    run.solution = solution;
    run.clusters = solution.clusters;
    for (const { index, score } of solution.candidates ?? []) noteScore(run, index, score);
    showSolution(run);
  },
};

/** @param {Run} run @param {number} index @param {number | null} score */
function noteScore({ samples }, index, score) {
  const sample = samples.get(index);
  if (!sample) return;
  sample.score = score;
  view.showScore(at(`sample-${index + 1}`), score);
}

/** Show the places of all samples, and bring the answer's place into sight. @param {Run} run */
function showFirst({ request }) {
  view.showPending(at("samples"), request.num_samples);
  at("result").hidden = false;
  at("cost").scrollIntoView({ block: "nearest" });
}

/** @param {Run} run */
function showProgress({ request, samples }) {
  at("progress").max = request.num_samples;
  at("progress").value = samples.size;
  at("counted").textContent = `${samples.size} of ${request.num_samples} samples`;
}

/** @param {Run} run @param {string | undefined} leader */
function showVotes(run, leader) {
  const total = run.solution ? run.samples.size : run.request.num_samples;
  view.showClusters(at("clusters"), run.clusters, { samples: run.samples, total, leader, ask: run.ask });
  const meaning = at("clusters").hasAttribute("data-scored") ? "Pale: votes. Solid: the verifier’s weight." : "Bars are votes.";
  at("legend").textContent = `${meaning} Full width: ${total} samples.`;
  if (!run.solution && leader !== undefined) setAnswer(at("answer"), leader, run.ask);
}

/** @param {Run} run */
function showSolution(run) {
  const { answer, no_answer_reason, confidence, solution } = run.solution;
  const members = run.clusters.find((cluster) => cluster.answer === answer)?.members ?? [];
  const chosen = members.map((index) => run.samples.get(index)).find((sample) => sample?.text === solution);
  at("result").hidden = false;
  showVotes(run, answer ?? undefined);
  setAnswer(at("answer"), answer ?? "No answer", run.ask);
  at("confidence-words").textContent = answer === null ? no_answer_reason : view.confidenceWords(confidence);
  at("cost").textContent = view.costLine(run.solution);
  view.markSamples(at("samples"), members, chosen?.index);
  at("chosen").hidden = solution === null;
  at("chosen-from").textContent = chosen ? view.origin(chosen) : "";
  setText(at("solution"), solution ?? "", run.ask);
  view.showRun(at("run").querySelector("dl"), run.solution);
  at("run").hidden = false;
  at("news").textContent = answer === null ? `No answer: ${no_answer_reason}` : `Answer: ${answer}. ${view.confidenceWords(confidence)}.`;
}

/** @param {Run} run */
function showCancelled({ samples, request }) {
  const line = `Cancelled after ${samples.size} of ${request.num_samples} samples.`;
  view.markSamples(at("samples"), []);
  at("result").hidden = samples.size === 0;
  at("confidence-words").textContent = line;
  at("news").textContent = line;
  setState("cancelled");
}

function showError(error) {
  at("error").textContent = explain(error);
  at("error").hidden = false;
  view.markSamples(at("samples"), []);
  setState("failed");
  if (error instanceof ServiceError && error.status === 401) {
    at("settings").open = true;
    at("key").focus();
  }
}

/** Ask what every strategy makes of the samples of this run. */
async function compare() {
  const { request, solution, samples, caller, ask } = /** @type {Run} */ (run);
  const drawn = [...samples.values()].sort((one, other) => one.index - other.index);
  const candidates = drawn.map(({ votes, answer, score }) => ({ answer: votes ? answer : null, score: score ?? null }));
  const { num_clusters, num_best } = request;
  at("compare").disabled = true;
  try {
    const rows = await Promise.all(Object.keys(view.STRATEGIES).map(async (strategy) => {
      const choice = await choose({ candidates, strategy, num_clusters, num_best }, caller);
      return { ...choice, strategy, chosen: drawn[choice.chosen]?.index };
    }));
    view.showComparison(at("compared").querySelector("tbody"), rows, solution?.strategy, ask);
    at("compared-note").textContent = scoresNote(candidates);
    at("compared").hidden = false;
    at("news").textContent = "Strategies compared.";
  } catch (error) {
    showError(error);
  }
  at("compare").disabled = false;
}

/** Say how far strategies that need scores can be trusted. */
function scoresNote(candidates) {
  const voting = candidates.filter(({ answer }) => answer !== null);
  const missing = voting.filter(({ score }) => score === null).length;
  if (missing === voting.length) return "No sample was scored, so that every strategy counts votes.";
  return missing ? `${missing} of ${voting.length} samples were not scored; they count with the mean score.` : "";
}

/** Empty the result of the run before. */
function clear() {
  for (const id of ["result", "error", "chosen", "comparison", "compared", "run"]) at(id).hidden = true;
  at("votes").hidden = false;
  for (const id of ["clusters", "samples"]) at(id).replaceChildren();
  for (const id of ["confidence-words", "cost"]) at(id).textContent = "";
  setText(at("answer"), "", run.ask);
  at("news").textContent = "Solving.";
}

/** Say where the run stands, and keep the keyboard's place. @param {"running" | "done" | "cancelled" | "failed"} state */
function setState(state) {
  const running = state === "running";
  const hadFocus = [at("solve"), at("cancel")].includes(document.activeElement);
  document.body.dataset.state = state;
  at("solve").hidden = running;
  at("cancel").hidden = !running;
  at("answer-title").textContent = running ? "Leading so far" : { done: "Answer" }[state] ?? "Leading when it stopped";
  if (hadFocus) at(running ? "cancel" : "solve").focus();
}

function showCommand() {
  const url = new URL("v1/solve", document.baseURI);
  at("curl").textContent = curlCommand(url, requestOfForm(), at("key").value !== "");
  at("copied").textContent = "";
}

async function copyCommand() {
  try {
    await navigator.clipboard.writeText(at("curl").textContent);
    at("copied").textContent = "Copied.";
  } catch {
    getSelection()?.selectAllChildren(at("curl"));
    at("copied").textContent = "Selected: press Ctrl+C.";
  }
}

function listen() {
  at("strategy").append(...Object.entries(view.STRATEGIES).map(([value, name]) => view.el("option", { value }, name)));
  at("ask").addEventListener("submit", (event) => (event.preventDefault(), start()));
  at("ask").addEventListener("input", showCommand);
  at("adaptive").addEventListener("change", () => (at("confidence").disabled = !at("adaptive").checked));
  at("cancel").addEventListener("click", () => run?.stop.abort());
  at("compare").addEventListener("click", compare);
  at("copy").addEventListener("click", copyCommand);
  document.querySelector(".examples").addEventListener("click", ({ target }) => {
    if (!(target instanceof HTMLButtonElement)) return;
    at("question").value = target.value;
    at("question").focus();
    showCommand();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) start();
    if (event.key === "Escape") run?.stop.abort();
  });
  showCommand();
}

listen();
