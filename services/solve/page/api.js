/** What the service is asked, and what it says: HTTP and server-sent events, no document. */

/** @typedef {{index: number, text: string, answer: string | null, finish_reason: string, votes: boolean,
 *             tokens: number, seed: number, score?: number | null}} Sample */
/** @typedef {{answer: string, votes: number, weight: number, score: number | null, members: number[]}} Cluster */
/** @typedef {{key: string, signal?: AbortSignal}} Caller  key: "" for none */

/** Something went wrong that the reader of the page can be told. */
export class ServiceError extends Error {
  /** @param {string} message @param {{status?: number, requestId?: string, retryAfter?: string | null}} [details] */
  constructor(message, { status = 0, requestId = "", retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { status, requestId, retryAfter });
  }
}

/** Say in one line what went wrong and what to do. @param {unknown} error */
export function explain(error) {
  if (!(error instanceof ServiceError)) return `The page failed: ${error}`;
  const parts = [/[.!?]$/.test(error.message) ? error.message : `${error.message}.`];
  if (error.status === 401) parts.push("Enter an API key under Settings.");
  if (error.retryAfter) parts.push(`Try again in ${error.retryAfter} s.`);
  if (error.requestId) parts.push(`(request ${error.requestId})`);
  return parts.join(" ");
}

/**
 * Solve a question and yield what happens, ending with the event "answer".
 * @param {object} request  the body of POST /v1/solve
 * @param {Caller} caller  aborting its signal closes the connection, upon which the service stops its work
 */
export async function* solve(request, caller) {
  const response = await post("v1/solve", request, caller, "text/event-stream");
  for await (const { event, data } of readEvents(response.body)) {
    if (event === "error") throw serviceError(data);
    yield { event, data };
    if (event === "answer") return;
  }
  throw new ServiceError("The connection ended before the answer came");
}

/** Ask what a strategy makes of samples that are there. @param {object} request @param {Caller} caller */
export async function choose(request, caller) {
  return (await post("v1/choose", request, caller)).json();
}

/** Return a text with its mathematics as MathML, as HTML yet to be checked. @param {string} text @param {Caller} caller */
export async function typeset(text, caller) {
  return (await (await post("page/typeset", { text }, caller)).json()).html;
}

/**
 * Read server-sent events whose data is JSON. One that the end of the stream cuts off is dropped.
 * @param {ReadableStream<Uint8Array>} stream
 */
export async function* readEvents(stream) {
  let rest = "";
  for await (const chunk of textOf(stream)) {
    const blocks = (rest + chunk).split(/\r?\n\r?\n/);
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const parsed = parseEvent(block);
      if (parsed) yield parsed;
    }
  }
}

/** Return the command that asks the same; the key is left to the shell. @param {URL} url */
export function curlCommand(url, request, withKey) {
  const body = JSON.stringify(request, null, 2).replaceAll("'", "'\\''");
  const key = withKey ? ` \\\n  -H "authorization: Bearer $METAMATH_RAY_API_KEY"` : "";
  return `curl '${url.href}' -H 'content-type: application/json'${key} \\\n  -d '${body}'`;
}

async function post(path, body, { key, signal }, accept = "application/json") {
  const headers = { "content-type": "application/json", accept, ...(key && { authorization: `Bearer ${key}` }) };
  const response = await reached(fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal }));
  if (response.ok) return response;
  throw serviceError(await response.json().catch(() => ({})), response);
}

/** Tell a broken connection from a mistake of this page: both are a TypeError. @template T @param {Promise<T>} promise */
async function reached(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof TypeError) throw new ServiceError("The service cannot be reached");
    throw error;
  }
}

function serviceError({ error = {} }, response) {
  const message = error.message ?? `The service answered with status ${response?.status}`;
  const retryAfter = response?.headers.get("retry-after");
  return new ServiceError(message, { status: response?.status, requestId: error.request_id, retryAfter });
}

async function* textOf(stream) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reached(reader.read());
      if (done) return;
      yield decoder.decode(value, { stream: true });
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parseEvent(block) {
  const lines = block.split(/\r?\n/);
  const values = (field) => lines.filter((line) => line.startsWith(`${field}:`)).map((line) => line.slice(field.length + 1).replace(/^ /, ""));
  const data = values("data").join("\n");
  return data && { event: values("event").at(-1) ?? "message", data: JSON.parse(data) };
}
