// The page: one WebSocket, two views (all runs, one run), the controls of the game.

import { CurveChart, bars, count, distributions, number, spark, surface, trace, veil } from "./charts.js";

const $ = (id) => document.getElementById(id);
const HISTORY = 60, TRACE = 150;
const COLOURS = { greedy: "taken", random: "violet", person: "teal", opening: "grey" };
const SLOWED = { "": "", training: "slowed to spare the training", machine: "this machine is busy" };
const PAUSE = "M4 3h3v10H4zM9 3h3v10H9z", PLAY = "M4 3l9 5-9 5z";

// --- the connection ---------------------------------------------------------------------------------------------

let socket = null, tries = 0, watched = null;

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/live`);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => {
    tries = 0;
    say("connected", "on");
    socket.send(JSON.stringify({ watch: watched }));
  });
  socket.addEventListener("close", () => {
    say("not connected; trying again", "off");
    drop();
    tries += 1;
    setTimeout(connect, Math.min(500 * 2 ** tries, 8000));
  });
  socket.addEventListener("message", (event) => {
    if (typeof event.data === "string") fileMessage(JSON.parse(event.data));
    else playerMessage(event.data);
  });
}

function say(text, state) {
  const pill = $("connection");
  pill.textContent = text;
  pill.className = `pill ${state}`;
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function fileMessage(message) {
  if (message.kind === "runs") showRuns(message);
  else if (message.kind === "run" && message.name === watched) showRun(message);
  else if (message.kind === "no such run" && message.name === watched) {
    $("run-title").textContent = "No such run";
    $("run-name").textContent = message.name;
  }
}

// --- which view -------------------------------------------------------------------------------------------------

function route() {
  const name = location.hash.startsWith("#/run/") ? decodeURIComponent(location.hash.slice(6)) : null;
  drop();
  watched = name;
  forget();
  $("table-view").hidden = name !== null;
  $("run-view").hidden = name === null;
  $("back").hidden = name === null || alone;
  document.title = name === null ? "pixelq watch" : `${name} – pixelq watch`;
  if (name !== null) { $("run-title").textContent = "…"; $("run-name").textContent = name; }
  window.scrollTo(0, 0);
  send({ watch: name });
}

// --- all runs ---------------------------------------------------------------------------------------------------

let runs = [], alone = false, sort = { key: "name", down: false };

function showRuns(message) {
  alone = message.alone;
  runs = message.runs;
  if (alone && runs.length) {
    location.replace(`#/run/${encodeURIComponent(runs[0].name)}`);
    return;
  }
  $("cut").textContent = message.cut;
  $("cut").hidden = !message.cut;
  drawTable();
}

const progressOf = (run) => (run.steps > 0 ? Math.min(1, run.agent_steps / run.steps) : null);

function drawTable() {
  const wanted = $("filter").value.trim().toLowerCase();
  const matching = runs.filter((run) => `${run.name} ${run.game} ${run.label ?? ""} ${run.recipe}`.toLowerCase().includes(wanted));
  const value = (run) => (sort.key === "progress" ? progressOf(run) : run[sort.key]);
  matching.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x == null || y == null) return (x == null) - (y == null);  // unknown ones last, whichever way
    const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
    return (sort.down ? -order : order) || a.name.localeCompare(b.name, "en", { numeric: true });
  });
  const training = runs.filter((run) => run.state === "training").length;
  $("table-count").textContent = `${runs.length} ${runs.length === 1 ? "run" : "runs"}, ${training} training` +
    (matching.length < runs.length ? `, ${matching.length} shown` : "");
  $("no-runs").hidden = runs.length > 0;
  for (const head of document.querySelectorAll("#runs th[data-key]")) {
    if (head.dataset.key === sort.key) head.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  $("runs").tBodies[0].replaceChildren(...matching.map(row));
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function row(run) {
  const link = element("a", { href: `#/run/${encodeURIComponent(run.name)}`, textContent: run.name });
  const about = [run.game, run.label ?? run.recipe, run.seed == null ? null : `seed ${run.seed}`].filter((part) => part != null).join(" · ");
  const name = element("td", { className: "run" }, link, element("span", { className: "under", textContent: about }));
  if (run.damage) name.append(element("span", { className: "warn", textContent: run.damage }));
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  picture.setAttribute("viewBox", "0 0 100 24");
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", spark(run.spark));
  picture.append(path);
  const share = progressOf(run);
  const bar = element("progress", { max: 1, value: share ?? 0 });
  bar.setAttribute("aria-label", `${Math.round(100 * (share ?? 0))}% of the planned agent steps`);
  const cell = (text, kind = "number") => element("td", { className: kind, textContent: text });
  const made = element("tr", {},
    name,
    element("td", {}, element("span", { className: `state ${run.state}`, textContent: run.state })),
    cell(number(run.score)),
    element("td", { className: "wide" }, picture),
    cell(number(run.best), "number wide"),
    cell(count(run.agent_steps)),
    element("td", { className: "wide" }, bar),
    cell(number(run.speed), "number wide"),
    cell(count(run.games), "number wider"),
    cell(duration(run.seconds), "number wider"),
    cell(run.quiet == null ? "–" : `${duration(run.quiet)} ago`, "number wider"));
  made.addEventListener("click", (event) => { if (event.target !== link) link.click(); });
  return made;
}

function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86400)} days`;
}

// --- one run: its files -----------------------------------------------------------------------------------------

const charts = {
  score: new CurveChart($("c-score"), "Learning curve"),
  loss: new CurveChart($("c-loss"), "Loss"),
  mean_q: new CurveChart($("c-mean_q"), "Mean Q"),
  epsilon: new CurveChart($("c-epsilon"), "Epsilon"),
  speed: new CurveChart($("c-speed"), "Agent steps per second"),
};
let curves = null, wholeRun = false, stateBefore = null;

function showRun(message) {
  curves = message;
  const run = message.run;
  if (introduction === null) $("run-title").textContent = run.game ?? run.name;
  const about = [run.label ?? run.recipe, run.seed == null ? null : `seed ${run.seed}`, run.name].filter((part) => part != null);
  $("run-name").textContent = about.join(" · ");
  $("run-state").textContent = run.state;
  $("run-state").className = `state ${run.state}`;
  if (stateBefore !== null && stateBefore !== run.state) $("announce").textContent = `The run is ${run.state}.`;
  stateBefore = run.state;
  $("damage").hidden = !run.damage;
  $("damage").textContent = run.damage;
  $("f-score").textContent = number(run.score);
  $("f-best").textContent = number(run.best);
  $("f-steps").replaceChildren(count(run.agent_steps), element("small", { textContent: run.steps ? ` of ${count(run.steps)}` : "" }));
  $("f-progress").value = progressOf(run) ?? 0;
  $("f-speed").textContent = number(run.speed);
  $("f-epsilon").textContent = number(run.epsilon);
  $("f-loss").textContent = number(run.loss);
  $("told").replaceChildren(...Object.entries(run.told).filter(([, value]) => value !== null).map(([name, value]) =>
    element("div", {}, element("dt", { textContent: name.replaceAll("_", " ") }), element("dd", { textContent: String(value) }))));
  drawCurves();
}

function drawCurves() {
  if (!curves) return;
  const { band, score, scores, tests, run } = curves;
  const first = band ? Math.min(1.2 * band.x[0], run.steps ?? Infinity) : 0;
  const end = wholeRun ? Math.max(run.steps ?? 0, run.agent_steps) : Math.max(run.agent_steps, first);
  charts.score.show({ end, band, lines: [
    { ...scores, colour: "accent", dots: 1.3, alpha: 0.35 },
    { ...score, colour: "accent", width: 2.2, name: "mean of 100 games" },
    { x: tests.x, y: tests.mean, colour: "taken", dots: 3.6, name: "test" },
  ] });
  for (const key of ["loss", "mean_q", "epsilon", "speed"]) {
    charts[key].show({ end: wholeRun ? end : run.agent_steps, band: null, lines: [{ ...curves[key], colour: "accent", name: key === "speed" ? "steps/s" : key.replace("_", " ") }] });
  }
  const legend = [["mean", "mean of the last 100 games"], ["game", "a game"], ["test", "mean of an evaluation"]];
  if (band) legend.push(["published", `${band.label}, lowest to highest (published)`]);
  $("curve-legend").replaceChildren(...legend.map(([kind, text]) => element("span", {}, element("i", { className: kind }), text)));
}

// --- one run: its game ------------------------------------------------------------------------------------------

let newest = null, mappedAt = 0;
let introduction = null, moment = null, history = [], axis = 1e-6, driving = false, held = null, rows = [];
const pressed = new Set();

function forget() {
  introduction = moment = curves = stateBefore = newest = null;
  hideHeat();
  history = [];
  axis = 1e-6;
  rows = [];
  $("q-rows").replaceChildren();
  note("Starting the game …");
  for (const id of ["picture", "picture-heat", "map-picture", "map-heat", "frames"]) {
    const canvas = $(id);
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  }
  for (const id of ["policy", "who", "games-before"]) $(id).textContent = "";
  for (const id of ["game-score", "game-step"]) $(id).textContent = "–";
  surface($("q-trace"));
  $("distribution-card").hidden = true;
  document.querySelector(".live").classList.remove("distributional");
}

function note(text) {
  $("game-note").textContent = text;
  $("game-note").hidden = text === "";
}

async function playerMessage(buffer) {
  const length = new DataView(buffer).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const name = watched;
  let offset = 4 + length;
  const pictures = {};
  await Promise.all(header.sizes.map(async (size, i) => {
    const blob = new Blob([new Uint8Array(buffer, offset, size)], { type: "image/png" });
    offset += size;
    pictures[header.parts[i]] = await createImageBitmap(blob);
  }));
  if (name !== watched) return;
  if (header.kind === "introduction") introduce(header);
  else if (header.kind === "trouble") note(header.text);
  else if (introduction && header.kind === "moment") showMoment(header, pictures);
  else if (introduction && header.kind === "saliency") showSaliency(header, pictures);
}

function introduce(header) {
  if (introduction) return;
  introduction = header;
  $("run-title").textContent = header.title;
  note(header.note);
  const images = header.images;
  $("map").hidden = $("frames").hidden = $("frames-title").hidden = !images;
  $("numbers").hidden = $("numbers-hint").hidden = images;
  document.querySelector(".overlay").hidden = !header.atari;
  $("look-title").textContent = images ? "What it looks at" : "The numbers it sees";
  $("frames-title").textContent = header.shape[0] === 1 ? "The frame it sees" : `The ${header.shape[0]} frames it sees`;
  document.querySelector("#saliency option[value=perturbation]").disabled = !images;
  document.querySelector(".q-rows").style.setProperty("--row", header.actions.length > 9 ? "22px" : header.actions.length > 6 ? "28px" : "36px");
  rows = header.actions.map((text, action) => {
    const name = element("button", { type: "button", className: "q-name", textContent: text, tabIndex: -1 });
    name.addEventListener("pointerdown", (event) => { if (driving) { event.preventDefault(); hold(action); } });
    for (const end of ["pointerup", "pointerleave", "pointercancel"]) name.addEventListener(end, () => { if (driving) hold(idle()); });
    name.addEventListener("keydown", (event) => { if (driving && event.key === "Enter") hold(action); });
    name.addEventListener("keyup", (event) => { if (driving && event.key === "Enter") hold(idle()); });
    const bar = element("i"), value = element("span", { className: "q-value", textContent: "–" });
    const canvas = element("canvas", { className: "q-history" });
    canvas.setAttribute("aria-hidden", "true");
    const made = element("div", { className: "q-row" }, name, element("span", { className: "q-bar" }, bar), value, canvas);
    $("q-rows").append(made);
    return { made, name, bar, value, canvas };
  });
}

function paint(canvas, picture) {
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
}

/** One frame of a strip of them. */
function cut(canvas, strip, index) {
  const side = strip.width / introduction.shape[0];
  canvas.width = side;
  canvas.height = strip.height;
  canvas.getContext("2d").drawImage(strip, -index * side, 0);
}

function showMap() {
  cut($("map-picture"), newest, introduction.shape[0] - 1);
}

/** The strip of frames in rows of two, the oldest first. */
function showFrames(strip) {
  const frames = introduction.shape[0], side = strip.width / frames, across = Math.min(frames, 2), gap = Math.ceil(side / 40);
  const canvas = $("frames"), tall = strip.height;
  canvas.width = across * (side + gap) - gap;
  canvas.height = Math.ceil(frames / across) * (tall + gap) - gap;
  const g = canvas.getContext("2d");
  for (let i = 0; i < frames; i += 1) {
    g.drawImage(strip, i * side, 0, side, tall, (i % across) * (side + gap), Math.floor(i / across) * (tall + gap), side, tall);
  }
}

function showMoment(header, pictures) {
  moment = header;
  if (pictures.screen) { paint($("picture"), pictures.screen); note(""); }
  if (pictures.frames) {
    newest = pictures.frames;
    showFrames(newest);
    if ($("map-heat").hidden) showMap();
    if (!introduction.atari && introduction.note) { cut($("picture"), newest, introduction.shape[0] - 1); note(""); }
  }
  if (!$("picture-heat").hidden) {  // it belongs to an earlier state, and fades
    const age = header.step - mappedAt;
    $("picture-heat").style.opacity = String(age < 0 ? 0 : Math.max(0, 1 - age / 12));
  }
  if (header.numbers) showNumbers(header.numbers.at(-1), null);
  $("game-score").textContent = number(header.score);
  $("game-step").textContent = count(header.step);
  $("who").textContent = header.reason === "person" ? "you have the joystick" : SLOWED[header.slowed];
  const policy = header.policy;
  const at = policy?.agent_steps == null ? "" : ` at ${count(policy.agent_steps)} agent steps`;
  $("policy").textContent = policy ? `${policy.from === "policy" ? "kept policy" : policy.from}${at}` : "no policy yet: random actions";
  $("policy").title = header.trouble;
  if (header.trouble) note(header.trouble);
  const games = header.games.slice(-6).map((game) => number(game.score));
  $("games-before").hidden = !games.length;
  $("games-before").textContent = `Games before: ${games.join(", ")}`;
  $("pause-text").textContent = header.paused ? "Play" : "Pause";
  $("pause-icon").setAttribute("d", header.paused ? PLAY : PAUSE);
  for (const button of $("speed").children) button.setAttribute("aria-pressed", String(Number(button.dataset.value) === header.speed));
  const shown = { which: header.which, saliency: introduction.images || header.saliency === "off" ? header.saliency : "gradient" };
  for (const id of ["saliency", "which"]) if (document.activeElement !== $(id)) $(id).value = shown[id];
  if (header.saliency === "off") hideHeat();
  showValues(header);
}

function showValues(header) {
  for (const one of header.trail) history.push(one);
  history = history.slice(-TRACE);
  const { q, action } = header;
  const colour = COLOURS[header.reason];
  if (q) {
    const high = Math.max(...q), low = Math.min(...q);
    // The bars share an axis as wide as the largest recent gap: they differ where the choice matters.
    axis = Math.max(high - low, axis * 0.97, 1e-6);
    rows.forEach(({ made, bar, value }, i) => {
      bar.style.transform = `scaleX(${Math.max(0.01, (q[i] - high + 1.1 * axis) / (1.1 * axis))})`;
      value.textContent = Math.abs(q[i]) < 100 ? q[i].toFixed(3) : q[i].toFixed(1);
      made.classList.toggle("chosen", i === action);
      if (i === action) made.style.setProperty("--chosen", `var(--${colour})`);
    });
  } else rows.forEach(({ made }, i) => made.classList.toggle("chosen", i === action));
  const recent = history.slice(-HISTORY);
  const gap = Math.max(1e-6, ...recent.filter((one) => one.q).map((one) => Math.max(...one.q) - Math.min(...one.q)));
  rows.forEach(({ canvas }, i) => bars(canvas, recent.map((one) => ({
    share: one.q ? Math.max(0, 1 - (Math.max(...one.q) - one.q[i]) / (1.1 * gap)) : 0,
    colour: one.action === i ? COLOURS[one.reason] : "accent",
    alpha: one.action === i ? 1 : 0.35,
  })), HISTORY));
  trace($("q-trace"), history.map((one) => ({ value: one.q ? Math.max(...one.q) : null, colour: COLOURS[one.reason] })), TRACE);
  const spread = header.distribution;
  $("distribution-card").hidden = !spread;
  document.querySelector(".live").classList.toggle("distributional", Boolean(spread));
  if (spread) distributions($("distribution"), spread, introduction.actions, action, colour);
}

/** The values again, in another size or other colours. */
function redraw() {
  if (moment && introduction) showValues({ ...moment, trail: [] });
}

function showSaliency(header, pictures) {
  if (header.numbers) showNumbers(null, header.numbers);
  if (!pictures.saliency) { hideHeat(); return; }
  if (!newest || moment?.step !== header.step) return;  // the state that it belongs to got lost on the way
  mappedAt = header.step;
  showMap();
  $("picture-heat").style.opacity = "1";
  veil($("map-heat"), pictures.saliency);
  $("map-heat").hidden = false;
  $("picture-heat").hidden = !($("overlay").checked && introduction.atari);
  if (!$("picture-heat").hidden) {
    veil($("picture-heat"), pictures.saliency);
    fit();
  }
}

function hideHeat() {
  $("map-heat").hidden = $("picture-heat").hidden = true;
}

/** The veil over the game has the place and size of the picture. */
function fit() {
  const picture = $("picture"), outer = picture.getBoundingClientRect();
  const scale = Math.min(outer.width / picture.width, outer.height / picture.height);
  const [width, height] = [picture.width * scale, picture.height * scale];
  const frame = $("screen").getBoundingClientRect();
  Object.assign($("picture-heat").style, {
    width: `${width}px`, height: `${height}px`,
    left: `${outer.left - frame.left + (outer.width - width) / 2}px`,
    top: `${outer.top - frame.top + (outer.height - height) / 2}px`,
  });
}

let numbersShown = [], weightsShown = [];

function showNumbers(numbers, weights) {
  numbersShown = numbers ?? numbersShown;
  weightsShown = weights ?? weightsShown;
  const box = $("numbers");
  if (box.childElementCount !== 3 * numbersShown.length) {
    box.replaceChildren(...numbersShown.flatMap((_, i) => [
      element("span", { className: "dim", textContent: `number ${i + 1}` }), element("span", { className: "n" }), element("i")]));
  }
  numbersShown.forEach((value, i) => {
    box.children[3 * i + 1].textContent = value.toFixed(3);
    box.children[3 * i + 2].style.transform = `scaleX(${(weightsShown[i] ?? 0) / 255})`;
  });
}

// --- controls ---------------------------------------------------------------------------------------------------

$("pause").addEventListener("click", () => send({ paused: !moment?.paused }));
$("step").addEventListener("click", () => send({ step: true }));
$("speed").addEventListener("click", (event) => { if (event.target.dataset.value) send({ speed: Number(event.target.dataset.value) }); });
$("which").addEventListener("change", (event) => send({ policy: event.target.value }));
$("saliency").addEventListener("change", (event) => { hideHeat(); send({ saliency: event.target.value }); });
$("overlay").addEventListener("change", (event) => {
  $("picture-heat").hidden = !event.target.checked;
  if (event.target.checked && moment?.saliency !== "off") send({ saliency: moment.saliency });
});
$("joystick").addEventListener("click", () => (driving ? drop() : take()));
$("span").addEventListener("click", (event) => {
  if (!event.target.dataset.value) return;
  wholeRun = event.target.dataset.value === "all";
  for (const button of $("span").children) button.setAttribute("aria-pressed", String((button.dataset.value === "all") === wholeRun));
  drawCurves();
});
$("filter").addEventListener("input", drawTable);
for (const head of document.querySelectorAll("#runs th[data-key] button")) {
  head.addEventListener("click", () => {
    const { key } = head.parentElement.dataset;
    const first = !["name", "state"].includes(key);  // numbers begin with the largest
    sort = { key, down: sort.key === key ? !sort.down : first };
    drawTable();
  });
}

// --- the joystick -----------------------------------------------------------------------------------------------

const KEYS = {
  ArrowUp: "UP", ArrowDown: "DOWN", ArrowLeft: "LEFT", ArrowRight: "RIGHT",
  KeyW: "UP", KeyS: "DOWN", KeyA: "LEFT", KeyD: "RIGHT", Space: "FIRE",
};

function take() {
  if (!introduction) return;
  driving = true;
  pressed.clear();
  showJoystick();
  if (moment?.paused) send({ paused: false });
  hold(idle());
}

function drop() {
  if (!driving) return;
  driving = false;
  held = null;
  send({ hold: null });
  showJoystick();
}

function showJoystick() {
  $("joystick").setAttribute("aria-pressed", String(driving));
  $("joystick-text").textContent = driving ? "Hand it back" : "Take the joystick";
  $("screen").classList.toggle("driven", driving);
  $("q-rows").classList.toggle("driving", driving);
  for (const { name } of rows) name.tabIndex = driving ? 0 : -1;
  const directions = introduction?.actions.some((text) => text.includes("LEFT") || text.includes("UP"));
  const keys = directions ? [["←↑↓→"], ["Space"]] : [];
  const kbd = (text) => element("kbd", { textContent: text });
  $("keys").replaceChildren(...(driving
    ? [...keys.flatMap(([text]) => [kbd(text), " "]), kbd("1"), "–", kbd(String(Math.min(9, rows.length))), " actions in their order, ", kbd("Esc"), " hand it back"]
    : [kbd("Space"), " pause, ", kbd("."), " step, ", kbd("J"), " joystick"]));
  $("announce").textContent = driving ? "You have the joystick." : "The agent plays.";
}

function hold(action) {
  if (action === held) return;
  held = action;
  send({ hold: action });
}

/** What is done when no key is pressed: nothing, where the game has such an action, else what was done before. */
function idle() {
  const nothing = introduction.actions.findIndex((text) => /^(NOOP|NOTHING|NO TORQUE|NO ?OP|DO NOTHING|DONE)$/.test(text));
  return nothing >= 0 ? nothing : held ?? 0;
}

/** The action whose name has exactly the pressed directions; else one that has most of them. */
function pressedAction() {
  const wanted = new Set([...pressed].map((code) => KEYS[code]).filter(Boolean));
  if (!wanted.size) return idle();
  let best = null, most = 0;
  introduction.actions.forEach((text, action) => {
    const parts = new Set(text.match(/UP|DOWN|LEFT|RIGHT|FIRE|FORWARD|MAIN/g) ?? []);
    if (parts.delete("FORWARD") || parts.delete("MAIN")) parts.add("UP");
    const common = [...parts].filter((part) => wanted.has(part)).length;
    const score = common - 0.5 * (parts.size - common);
    if (score > most) { best = action; most = score; }
  });
  return best ?? idle();
}

function typing(target) {
  return target.closest?.("input, select, textarea, summary") !== null && target !== document.body;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || watched === null) return;
  if (driving) {
    if (event.key === "Escape") { drop(); event.preventDefault(); return; }
    const digit = /^Digit[1-9]$/.test(event.code) ? Number(event.code[5]) - 1 : -1;
    if (event.code in KEYS || (digit >= 0 && digit < rows.length)) {
      event.preventDefault();
      if (event.repeat) return;
      if (digit >= 0) hold(digit);
      else { pressed.add(event.code); hold(pressedAction()); }
    }
    if (event.key.toLowerCase() === "j") drop();
    return;
  }
  if (typing(event.target) || event.repeat) return;
  if (event.code === "Space" && !event.target.closest("button, a")) { send({ paused: !moment?.paused }); event.preventDefault(); }
  else if (event.key === ".") send({ step: true });
  else if (event.key.toLowerCase() === "j") take();
});

document.addEventListener("keyup", (event) => {
  if (!driving) return;
  if (event.code in KEYS) { pressed.delete(event.code); hold(pressedAction()); event.preventDefault(); }
  else if (/^Digit[1-9]$/.test(event.code)) hold(pressedAction());
});

window.addEventListener("blur", () => { if (driving) { pressed.clear(); hold(idle()); } });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawCurves(); redraw(); });
window.addEventListener("hashchange", route);
new ResizeObserver(() => { if (!$("picture-heat").hidden) fit(); }).observe($("screen"));
new ResizeObserver(redraw).observe($("q-trace"));

route();
connect();
