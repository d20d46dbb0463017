// Requests to the server; judgements wait in the browser until the server has them on disk.
import { filled, notice, plural, storage } from "./page.js";

export function query(path, parameters) {
  const pairs = filled(parameters).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
  return pairs.length ? `${path}?${new URLSearchParams(pairs)}` : path;
}
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const failure = (message, status) => Object.assign(new Error(message), { status });

// The server's answer, or an error with its message and status; status 0 means that our server did not answer.
export async function ask(path, parameters = {}, { signal, body } = {}) {
  const raw = body instanceof Blob, method = body === undefined ? "GET" : "POST";
  const headers = body === undefined ? {} : { "Content-Type": raw ? "application/octet-stream" : "application/json" };
  const request = { signal, method, headers, body: raw ? body : JSON.stringify(body) };
  const response = await fetch(query(path, parameters), request).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw failure("The server does not answer. Is morphtools explore still running?", 0);
  });
  const drawn = response.ok && response.headers.get("X-Galaxies"); // for an image of the map
  if (drawn) return { picture: await createImageBitmap(await response.blob()), galaxies: Number(drawn) };
  const answer = await response.json().catch((error) => { if (error.name === "AbortError") throw error; return {}; });
  if (response.ok) return answer;
  if (!answer.retry) throw failure(answer.error ?? "This page belongs to another server: open the address that morphtools explore printed.", answer.error ? response.status : 0);
  notice(answer.error, 2 * answer.retry); // it is not ready yet
  await pause(1000 * answer.retry);
  return ask(path, parameters, { signal, body });
}

export const send = (path, body) => ask(path, {}, { body });
// Only the last of several requests is answered: earlier ones are cancelled, and their promises stay open.
const overtaken = (error) => { if (error.name !== "AbortError") throw error; return new Promise(() => {}); };
export function latest() {
  let control;
  return (path, parameters) => {
    control?.abort();
    return ask(path, parameters, { signal: (control = new AbortController()).signal }).catch(overtaken);
  };
}
const REFUSED = [400, 404, 409, 413, 415, 422]; // the server has read it and will never accept it
const OTHERS = 15000; // ms after which this page delivers what another page could not
const pending = new Map(); // judgements of this page: key → [resolve, reject]
let unsent = document.getElementById("unsent"), prefix, sending = false, wait = 500, count = 0;

// Like crypto.randomUUID, which is missing on pages without TLS.
const identifier = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// Keeps a judgement in the browser and sends it until the server has it on disk.
// `saved` is a promise of the answer; null if another page delivered it.
export function judge(path, content, then) {
  const judgement = identifier(), key = `${prefix}${Date.now()}-${String(count++).padStart(6, "0")}-${judgement}`;
  storage.setItem(key, JSON.stringify([path, { judgement, ...content }]));
  const saved = new Promise((resolve, reject) => pending.set(key, [resolve, reject])).then(then);
  deliver();
  return { judgement, saved };
}

// Waits until all judgements of this page are on the server's disk.
export const settled = async () => { while (pending.size) await pause(30); };
const ours = (key) => key.startsWith(prefix) && (pending.has(key) || Date.now() - parseInt(key.slice(prefix.length), 10) > OTHERS);
const waiting = () => Object.keys(storage).filter(ours).sort();

async function deliver() {
  if (sending || !prefix) return;
  sending = true;
  for (let [key] = waiting(); key; [key] = waiting()) {
    const [path, content] = JSON.parse(storage.getItem(key) ?? "[null]");
    const [answer, error] = await (path ? send(path, content) : Promise.resolve(null)).then((one) => [one], (one) => [null, one]);
    if (error && !REFUSED.includes(error.status)) {
      if (error.status) notice(error.message); // such as a full disk
      unsent.textContent = `${plural(waiting().length, "judgement")} not saved yet`;
      await pause(wait = Math.min(2 * wait, 8000));
      continue;
    }
    [wait, unsent.textContent] = [500, ""];
    storage.removeItem(key);
    if (error) pending.get(key)?.[1](failure(`Not saved: ${error.message}`, error.status));
    else pending.get(key)?.[0](answer);
    pending.delete(key);
  }
  sending = false;
}

// Sends now what an earlier page of this session could not deliver.
export function open(session) {
  if (!prefix) setInterval(deliver, OTHERS);
  prefix = `morphtools:${session}:`;
  deliver();
}
