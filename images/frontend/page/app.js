"use strict";

const byId = (id) => document.getElementById(id);

// Requests

async function request(method, path, body) {
  const options = { method };
  if (body !== undefined) {
    options.headers = { "content-type": "application/json" };
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options).catch(() => {
    throw new Error("The frontend cannot be reached.");
  });
  const answer = await response.json().catch(() => null);
  if (!response.ok) {
    if (response.status === 502) refreshStatus();
    throw new Error(answer?.error ?? `${method} ${path} answered ${response.status}`);
  }
  return answer;
}

// The inventory

function row(part) {
  const line = document.createElement("tr");
  line.dataset.id = part.id;
  const cell = (content, className = "") => {
    const cell = line.insertCell();
    cell.className = className;
    cell.append(content);
  };
  const added = document.createElement("time");
  added.dateTime = part.created_at;
  added.textContent = new Date(part.created_at).toLocaleString([], {
    dateStyle: "medium",
    timeStyle: "short",
  });
  const remove = document.createElement("button");
  remove.className = "delete";
  remove.textContent = "×";
  remove.title = remove.ariaLabel = `Delete ${part.name}`;
  remove.addEventListener("click", () => deletePart(part.id));
  cell(part.name);
  cell(part.quantity.toLocaleString(), "number");
  cell(added);
  cell(remove);
  return line;
}

async function refreshParts(newId) {
  const parts = await request("GET", "/api/parts");
  byId("parts").replaceChildren(...parts.map(row));
  byId("parts").querySelector(`[data-id="${newId}"]`)?.classList.add("new");
  byId("empty").hidden = parts.length > 0;
  byId("total").textContent = parts.length === 1 ? "1 part" : `${parts.length} parts`;
}

async function deletePart(id) {
  try {
    await request("DELETE", `/api/parts/${id}`);
    await refreshParts();
  } catch (error) {
    showOutage(error.message);
  }
}

// The forms

function say(form, text, failed = false) {
  const output = form.querySelector("output");
  output.textContent = text;
  output.classList.toggle("failed", failed);
}

// Runs `create`, which returns the new part, whenever the form is submitted.
function onSubmit(form, create) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    say(form, "");
    try {
      const part = await create(new FormData(form));
      form.reset();
      say(form, `Added ${part.name}.`);
      await refreshParts(part.id);
    } catch (error) {
      say(form, error.message, true);
    } finally {
      button.disabled = false;
    }
  });
}

function create(fields) {
  return request("POST", "/api/parts", {
    name: fields.get("name"),
    quantity: Number(fields.get("quantity")),
  });
}

// `crypto.randomUUID` is there over HTTPS and on loopback only.
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Opens a stream first and asks for the work once it is there, so that no
// event can be missed.
function createByAi(fields) {
  const form = byId("create-by-ai");
  const bar = form.querySelector("progress");
  const requestId = randomId();
  const stream = new EventSource(`/sse/stream?request_id=${requestId}`);
  bar.value = 0;
  bar.hidden = false;

  const done = new Promise((resolve, reject) => {
    const on = (name, handle) => stream.addEventListener(name, handle);
    on("ready", () => {
      const description = fields.get("description");
      request("POST", "/api/parts/ai", { description, request_id: requestId }).catch(reject);
    });
    on("progress", (event) => {
      const { step, percent } = JSON.parse(event.data);
      bar.value = percent;
      say(form, `${step}…`);
    });
    on("result", (event) => resolve(JSON.parse(event.data).part));
    on("failed", (event) => reject(new Error(JSON.parse(event.data).error)));
    on("error", () => {
      refreshStatus();
      reject(new Error("The event stream could not be opened, or was lost."));
    });
  });
  // Left open, the stream would be opened anew when the server ends it.
  return done.finally(() => {
    stream.close();
    bar.hidden = true;
  });
}

// The services

function showOutage(text) {
  byId("outage").textContent = text;
  byId("outage").hidden = text === "";
}

function showService(name, service) {
  const entry = document.querySelector(`[data-service="${name}"]`);
  const ready = service.reachable && service.status < 400;
  entry.dataset.state = ready ? "ready" : "down";
  entry.title = service.reason ?? service.url;
  entry.querySelector("span").textContent = service.reachable
    ? `${service.milliseconds.toFixed(1)} ms`
    : "unreachable";
  if (ready) return "";
  return service.reachable
    ? `The ${name} answers, but is not ready.`
    : `The ${name} cannot be reached: ${service.reason}.`;
}

async function refreshStatus() {
  try {
    const { backend, gateway } = await request("GET", "/status");
    const outages = [showService("backend", backend), showService("gateway", gateway)];
    showOutage(outages.filter(Boolean).join(" "));
  } catch (error) {
    showOutage(error.message);
  }
}

async function start() {
  onSubmit(byId("create"), create);
  onSubmit(byId("create-by-ai"), createByAi);
  refreshStatus();
  setInterval(() => document.hidden || refreshStatus(), 5000);
  refreshParts().catch((error) => showOutage(error.message));
  const { version } = await request("GET", "/version.json");
  byId("version").textContent = version;
}

start();
