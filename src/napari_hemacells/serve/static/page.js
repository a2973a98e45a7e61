// What the page does: send each picture once, show the answer, hand over the table.
// Texts go into the page as text, never as HTML.
"use strict";

const token = document.querySelector("meta[name=hemacells-token]").content;
const most = Number(document.body.dataset.most);
const mostBytes = Number(document.body.dataset.megabytes) * 1048576;
const at = (id) => document.getElementById(id);
const model = at("model");
const answers = []; // { model, row } of each picture with a class, in the order of the page
let pending = [];
let total = 0;
let done = 0;
let failed = 0;
let running = false;
let generation = 0; // of "Clear": answers to what was cleared are dropped

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function percent(share) {
  return share === null ? "–" : `${(100 * share).toFixed(1)} %`;
}

function colour(dots) {
  for (const dot of dots) dot.style.background = dot.dataset.colour;
}

function complain(sentence) {
  const message = element("p", "message");
  message.append(element("b", "", sentence));
  at("messages").replaceChildren(message);
}

async function send(path, body, headers = {}) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      body,
      headers: { "X-HemaCells-Token": token, ...headers },
      credentials: "same-origin",
    });
  } catch {
    throw new Error("The server does not answer. Is hemacells serve still running?");
  }
  if (response.ok) return response;
  let sentence = "The server could not answer. Send it again.";
  try {
    sentence = (await response.json()).error || sentence;
  } catch {
    // no JSON: the sentence above
  }
  throw new Error(sentence);
}

function form(file, chosen) {
  const data = new FormData();
  data.append("model", chosen);
  data.append("picture", file, file.name);
  return data;
}

function tell() {
  at("bar").hidden = total === 0;
  const left = total - done;
  const words = left
    ? `${done} of ${total} pictures`
    : `${total - failed} of ${total} ${total === 1 ? "picture" : "pictures"} classified`;
  at("progress").textContent = failed ? `${words}, ${failed} could not be` : words;
  at("csv").disabled = at("xlsx").disabled = left > 0 || answers.length === 0;
  const counts = new Map();
  for (const { row, tint } of answers) {
    const known = counts.get(row.shown) || { number: 0, tint };
    known.number += 1;
    counts.set(row.shown, known);
  }
  const items = [...counts].sort((a, b) => b[1].number - a[1].number).map(([name, one]) => {
    const item = element("li");
    const dot = element("i", "dot");
    dot.style.background = one.tint;
    item.append(dot, `${name} `, element("b", "", String(one.number)));
    return item;
  });
  at("counts").replaceChildren(...(answers.length > 1 ? items : []));
}

function bars(classes) {
  return [...classes].sort((a, b) => b.p - a.p).map((one) => {
    const item = element("li");
    const track = element("span", "track");
    const fill = element("span", "fill");
    fill.style.width = `${100 * (one.p || 0)}%`;
    fill.style.background = one.colour;
    track.append(fill);
    const name = element("span", "name", one.name);
    name.title = one.name;
    item.append(name, track, element("span", "value", percent(one.p)));
    return item;
  });
}

function show(card, file, chosen, answer) {
  const find = (selector) => card.querySelector(selector);
  find("figure img").src = answer.picture;
  find("figure img").alt = `The picture ${answer.image}`;
  find(".dot").style.background = answer.colour;
  find(".class").textContent = answer.class;
  find(".confidence").textContent = answer.is_unknown ? "" : percent(answer.confidence);
  find(".file").textContent = `${answer.image}, ${answer.size}`;
  find(".verdict").textContent = answer.is_unknown
    ? `Unlike everything the model learned from. The nearest class would be ${answer.nearest}.`
    : answer.confidence === null
      ? "The model knows one class alone: there is no probability."
      : "";
  find(".bars").replaceChildren(...(answer.confidence === null ? [] : bars(answer.classes)));
  find(".notes").replaceChildren(...answer.notes.map((note) => element("li", "", note)));
  const button = find(".show-heat");
  button.addEventListener("click", () => heat(card, button, file, chosen));
}

async function heat(card, button, file, chosen) {
  const picture = card.querySelector("figure img");
  const map = card.querySelector(".heat");
  if (!map.src) {
    button.disabled = true;
    card.querySelector(".heat-words").textContent = "Looking…";
    try {
      const answer = await (await send("/heat", form(file, chosen))).json();
      map.src = answer.heat;
      map.alt = answer.words;
      map.dataset.words = answer.words;
    } catch (error) {
      card.querySelector(".heat-words").textContent = error.message;
      button.disabled = false;
      return;
    }
    button.disabled = false;
  }
  const shown = map.hidden;
  map.hidden = !shown;
  picture.hidden = shown;
  button.setAttribute("aria-pressed", String(shown));
  button.textContent = shown ? "Show picture" : "Show heat map";
  card.querySelector(".heat-words").textContent = shown ? map.dataset.words : "";
}

function fail(name, sentence) {
  failed += 1;
  const card = element("article", "card failed");
  card.setAttribute("role", "alert");
  card.append(element("b", "", name), element("p", "", sentence));
  at("results").prepend(card);
}

async function classify(file, chosen) {
  if (file.size > mostBytes) {
    throw new Error(
      `The file is larger than ${document.body.dataset.megabytes} MB, more than this page takes. ` +
        "Cut the cell out of it, or use hemacells classify.",
    );
  }
  return (await send("/classify", form(file, chosen))).json();
}

async function run() {
  if (running) return;
  running = true;
  while (pending.length) {
    const { file, chosen } = pending.shift();
    const now = generation;
    try {
      const answer = await classify(file, chosen);
      if (now !== generation) continue;
      const card = at("card").content.firstElementChild.cloneNode(true);
      show(card, file, chosen, answer);
      at("results").append(card);
      const chances = Object.fromEntries(answer.classes.map((one) => [one.name, one.p]));
      const row = {
        image: answer.image,
        shown: answer.class,
        nearest: answer.nearest,
        confidence: answer.confidence,
        unknown: answer.unknown,
        is_unknown: answer.is_unknown,
        group: answer.group,
        chances,
      };
      answers.push({ model: chosen, row, tint: answer.colour });
    } catch (error) {
      if (now !== generation) continue;
      fail(file.name, error.message);
    }
    done += 1;
    tell();
  }
  running = false;
}

function take(files) {
  const room = most - total;
  at("messages").replaceChildren();
  if (files.length > room) {
    complain(
      `This page shows ${most} pictures at a time: ${files.length - room} were left out. ` +
        "Download the table, press Clear and drop the rest; or use hemacells classify --whole.",
    );
  }
  const taken = files.slice(0, room).map((file) => ({ file, chosen: model.value }));
  pending.push(...taken);
  total += taken.length;
  tell();
  run();
}

function clear() {
  generation += 1;
  pending = [];
  answers.length = total = done = failed = 0;
  at("results").replaceChildren();
  at("messages").replaceChildren();
  tell();
}

async function download(kind) {
  const asked = answers[0].model;
  const rows = answers.map((one) => one.row);
  try {
    const body = JSON.stringify({ model: asked, kind, answers: rows });
    const response = await send("/table", body, { "Content-Type": "application/json" });
    const link = element("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = `cells.${kind}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  } catch (error) {
    complain(error.message);
  }
}

// Answers of two models cannot share a table: another model asks again about the same pictures.
let given = [];
function chooseModel() {
  for (const one of document.querySelectorAll("details.seen")) {
    one.hidden = one.dataset.model !== model.value;
  }
  const again = given;
  clear();
  given = again;
  if (again.length) take(again);
}

model.addEventListener("change", chooseModel);
at("files").addEventListener("change", (event) => {
  const files = [...event.target.files];
  given.push(...files);
  take(files);
  event.target.value = "";
});
at("clear").addEventListener("click", () => {
  given = [];
  clear();
});
at("csv").addEventListener("click", () => download("csv"));
at("xlsx").addEventListener("click", () => download("xlsx"));

let depth = 0;
addEventListener("dragenter", (event) => {
  event.preventDefault();
  depth += 1;
  document.body.classList.add("dragging");
});
addEventListener("dragleave", () => {
  depth -= 1;
  if (depth <= 0) document.body.classList.remove("dragging");
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  document.body.classList.remove("dragging");
  const files = [...event.dataTransfer.files];
  given.push(...files);
  take(files);
});
colour(document.querySelectorAll(".dot[data-colour]"));
