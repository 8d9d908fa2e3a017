"use strict";

const MOST_LEVELS = 200;
const OTHER = "\u0000other";
const $ = (id) => document.getElementById(id);
const state = { token: "", model: null, fields: [] };

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

async function call(path, body) {
  const headers = state.token ? { authorization: `Bearer ${state.token}` } : {};
  const options = body === undefined ? { headers } : {
    method: "POST", body, headers: { ...headers, "content-type": "application/json" },
  };
  const answer = await fetch(path, options);
  const text = await answer.text();
  let content = null;
  try { content = JSON.parse(text); } catch { /* shown as it is */ }
  if (answer.status === 401) askForToken();
  return { status: answer.status, text, content };
}

function sentence(answer) {
  const error = answer.content && answer.content.error;
  if (!error) return `The server answered ${answer.status}.`;
  const what = error.where ? `${error.where}: ${error.what}` : error.what;
  return `${what}. ${error.cure}`.trim();
}

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

function askForToken() {
  $("door").hidden = false;
  $("token").focus();
}

/* Fields: one a feature, made for its kind. */

function shown(feature) {
  const parts = [];
  if (feature.minimum !== undefined || feature.maximum !== undefined) {
    parts.push(`${feature.minimum ?? "…"} to ${feature.maximum ?? "…"} in training`);
  }
  if (feature.kind === "time" && !feature.time_format) parts.push("in UTC");
  if (feature.time_format) parts.push(`written like ${feature.time_format}`);
  if (feature.protection) parts.push("protected by the server before it is used");
  return parts.join("; ");
}

function control(feature, id) {
  const empty = feature.nullable ? "missing" : "choose";
  if (feature.kind === "boolean") return choices(id, empty, ["true", "false"], false);
  if (feature.kind === "category" && feature.levels && feature.levels.length <= MOST_LEVELS) {
    return choices(id, empty, feature.levels, feature.new_levels !== "refuse");
  }
  const types = { number: ["number", "any"], integer: ["number", "1"], time: ["datetime-local", "1"] };
  const [type, step] = (feature.time_format ? null : types[feature.kind]) ?? ["text", null];
  if (feature.kind === "text") return { parts: [make("textarea", { id, rows: 2, spellcheck: false })] };
  const input = make("input", { id, type, autocomplete: "off", spellcheck: false });
  if (step) input.step = step;
  if (feature.time_format) input.placeholder = feature.time_format;
  return { parts: [input] };
}

function choices(id, empty, levels, open) {
  const select = make("select", { id }, make("option", { value: "", textContent: `– ${empty} –` }));
  for (const level of levels) select.append(make("option", { value: level, textContent: level }));
  if (!open) return { parts: [select] };
  select.append(make("option", { value: OTHER, textContent: "another value …" }));
  const input = make("input", { hidden: true, type: "text", autocomplete: "off", spellcheck: false, ariaLabel: "another value" });
  select.addEventListener("change", () => {
    input.hidden = select.value !== OTHER;
    if (!input.hidden) input.focus();
  });
  return { parts: [select, input] };
}

function field(feature, number) {
  const id = `field-${number}`;
  const { parts } = control(feature, id);
  const kind = make("span", { className: "kind", textContent: ` ${feature.kind}${feature.nullable ? ", may be missing" : ""}` });
  const box = make("div", { className: "field" }, make("label", { htmlFor: id }, feature.name, kind), ...parts);
  const hint = shown(feature);
  if (hint) box.append(make("p", { className: "hint", textContent: hint }));
  return { feature, box, parts };
}

function textOf({ parts }) {
  const [first, second] = parts;
  return first.value === OTHER ? second.value : first.value;
}

function valueOf(one) {
  const text = textOf(one);
  const { kind, time_format: format } = one.feature;
  if (kind === "text") return text === "" ? null : text;
  if (text.trim() === "") return null;
  if (kind === "boolean") return text === "true";
  if (kind === "number" || kind === "integer") {
    const value = Number(text);
    return Number.isFinite(value) && (kind === "number" || Number.isSafeInteger(value)) ? value : text;
  }
  if (kind === "time" && !format) return text.length === 16 ? `${text}:00Z` : `${text}Z`;
  return text;
}

function row() {
  return Object.fromEntries(state.fields.map((one) => [one.feature.name, valueOf(one)]));
}

function exampleOf(feature) {
  const { kind, minimum: low, maximum: high } = feature;
  if (kind === "number" || kind === "integer") {
    const middle = low !== undefined && high !== undefined ? (low + high) / 2 : low ?? high ?? 1;
    return kind === "integer" ? String(Math.round(middle)) : String(Number(middle.toPrecision(6)));
  }
  if (kind === "boolean") return "true";
  if (kind === "category") return (feature.levels ?? [])[0] ?? "a";
  if (kind === "time") return feature.time_format ? "" : new Date().toISOString().slice(0, 16);
  return "some words";
}

function fillIn() {
  for (const one of state.fields) {
    one.parts[0].value = exampleOf(one.feature);
    if (one.parts[1]) one.parts[1].hidden = true;
  }
  changed();
}

/* The request, its curl line, the answer. */

function body() {
  return JSON.stringify({ rows: [row()] });
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function place() {
  return new URL(`v1/models/${encodeURIComponent(state.model)}/predict`, document.baseURI).href;
}

function changed() {
  const door = state.token ? ' \\\n  -H "authorization: Bearer $TILTYARD_TOKEN"' : "";
  $("curl").textContent = `curl ${quoted(place())}${door} \\\n  -H 'content-type: application/json' \\\n  -d ${quoted(body())}`;
}

function share(name, value) {
  const bar = make("span");
  bar.style.width = `${Math.max(0, Math.min(1, value)) * 100}%`;
  const percent = `${(value * 100).toFixed(1)} %`;
  return [make("dt", { textContent: name }), make("dd", { className: "bar" }, bar), make("dd", { className: "share", textContent: percent })];
}

function answered(content) {
  const [entry] = content.predictions;
  const parts = [make("p", { className: "result", textContent: String(entry.prediction) })];
  if (entry.probabilities) {
    const spelt = (name) => (typeof entry.prediction === "boolean" ? name.toLowerCase() : name);
    const shares = Object.entries(entry.probabilities).flatMap(([name, value]) => share(spelt(name), value));
    parts.push(make("dl", {}, ...shares));
  }
  if (content.notes.length) {
    const notes = content.notes.map((note) => make("li", { textContent: `${note.column}: ${note.note}` }));
    parts.push(make("ul", { className: "notes" }, ...notes));
  }
  return parts;
}

function refused(answer) {
  const what = answer.content && answer.content.error ? answer.content.error.what : "";
  for (const one of state.fields) one.box.classList.toggle("wrong", what.includes(`\`${one.feature.name}\``));
  return [make("p", { className: "refused", textContent: sentence(answer) })];
}

function show(answer, milliseconds) {
  for (const one of state.fields) one.box.classList.remove("wrong");
  const good = answer.status === 200 && answer.content !== null;
  const version = good ? `version ${answer.content.version}, ` : "";
  $("status").textContent = `${answer.status}, ${version}${milliseconds.toFixed(0)} ms`;
  $("shown").replaceChildren(...(good ? answered(answer.content) : refused(answer)));
  $("raw").textContent = answer.content === null ? answer.text : JSON.stringify(answer.content, null, 2);
  $("answer").hidden = false;
}

async function predict() {
  const button = $("ask").querySelector(".main");
  button.disabled = true;
  const start = performance.now();
  try {
    show(await call(`v1/models/${encodeURIComponent(state.model)}/predict`, body()), performance.now() - start);
    trouble("");
  } catch {
    trouble("The server cannot be reached.");
  } finally {
    button.disabled = false;
  }
}

/* Models. */

function about(detail) {
  const parts = [detail.task, `version ${detail.version}`];
  if (detail.since) parts.push(`since ${new Date(detail.since).toLocaleString()}`);
  if (detail.classes.length) parts.push(`answers ${detail.classes.join(" or ")}`);
  return parts.join(" · ");
}

async function open(name) {
  for (const link of $("models").children) {
    if (link.textContent === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const answer = await call(`v1/models/${encodeURIComponent(name)}`);
  $("model").hidden = answer.status !== 200;
  trouble(answer.status === 200 || answer.status === 401 ? "" : sentence(answer));
  if (answer.status !== 200) return;
  state.model = name;
  state.fields = answer.content.features.map(field);
  $("title").textContent = name;
  $("about").textContent = about(answer.content);
  $("fields").replaceChildren(...state.fields.map((one) => one.box));
  $("answer").hidden = true;
  fillIn();
}

function chosen(names) {
  let wanted = "";
  try { wanted = decodeURIComponent(location.hash.slice(1)); } catch { /* no name of a model */ }
  return names.includes(wanted) ? wanted : names[0];
}

async function start() {
  try {
    const answer = await call("v1/models");
    if (answer.status !== 200) {
      trouble(answer.status === 401 ? "" : sentence(answer));
      return;
    }
    const names = answer.content.models.map((model) => model.model);
    const links = names.map((name) => make("a", { href: `#${encodeURIComponent(name)}`, textContent: name }));
    $("models").replaceChildren(...links);
    if (names.length) await open(chosen(names));
    else trouble("This server has no models.");
  } catch {
    trouble("The server cannot be reached.");
  }
}

$("ask").addEventListener("submit", (event) => { event.preventDefault(); predict(); });
$("ask").addEventListener("input", changed);
$("ask").addEventListener("reset", () => setTimeout(() => {
  for (const one of state.fields) if (one.parts[1]) one.parts[1].hidden = true;
  changed();
}));
$("example").addEventListener("click", fillIn);
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("curl").textContent);
    $("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("curl"));
  }
  setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
});
$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  state.token = $("token").value.trim();
  $("door").hidden = true;
  start();
});
addEventListener("hashchange", start);
start();
