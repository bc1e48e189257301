"use strict";
// The page itself: reads everything once, then again when a live event says that it changed.

const $ = (id) => document.getElementById(id);
const state = { me: null, last: {}, isLive: false, data: {} };
const READS = {
  accounts: "/accounts", positions: "/positions?is_open=true", orders: "/orders?limit=20", fills: "/fills?limit=15",
  denials: "/verdicts?outcome=denied&limit=15", strategies: "/strategies", services: "/system/health",
  alerts: "/alerts?limit=10", stages: "/risk/stages", ...RISK_READS,
};
const READS_AFTER = {
  orders: ["orders"], fills: ["fills", "positions", "accounts"], positions: ["positions", "accounts"],
  denials: ["denials"], alerts: ["alerts"], reconciliations: ["accounts"],
};
for (const [topic, names] of Object.entries(RISK_READS_AFTER)) READS_AFTER[topic] = [...(READS_AFTER[topic] ?? []), ...names];
const POLLED = ["services", "approvals", "protections", "latches", "flattenings"];
const stale = new Set();
const FOLLOW_MS = 800;
const READ_MS = 70; // that a person takes for a letter
const DRAW_MS = 250;
let drawTimer = null;
let closeWatch = () => {};
let noticeTimer = 0;

const may = (right) => state.me && state.me.rights.includes(right);
const right = () => "number";

// Prices come faster than people read: many changes are drawn at once.
function drawSoon() {
  drawTimer ??= setTimeout(() => { drawTimer = null; if (state.me) draw(); }, DRAW_MS);
}

function draw() {
  const { accounts = [], positions = [], orders, fills, denials, strategies = [], services, alerts, stages = [] } = state.data;
  drawNumbers(accounts, orders, services);
  table("positions", [
    ["instrument", (p) => p.instrument_id], ["quantity", (p) => number(p.quantity, 8), right],
    ["average", (p) => number(p.average_price), right], ["last", (p) => number(state.last[p.instrument_id] ?? p.last_price), right],
    ["unrealized", (p) => money(pnl(p)), (p) => `number ${sign(pnl(p))}`],
    ["realized", (p) => money(p.realized_pnl), (p) => `number ${sign(p.realized_pnl)}`],
  ], positions);
  table("orders", [
    ["time", (o) => time(o.created_at)], ["strategy", (o) => o.strategy_id], ["instrument", (o) => o.instrument_id],
    ["side", (o) => said(o.side), (o) => o.side], ["quantity", (o) => number(o.quantity, 8), right],
    ["price", (o) => number(o.average_price ?? o.limit_price), right],
    ["filled", (o) => number(o.filled_quantity, 8), right], ["status", (o) => said(o.status)],
    ["", (o) => (may("reduce") && ["new", "partially_filled"].includes(o.status)
      ? button(word("cancel"), () => act(`/orders/${o.client_order_id}/cancel`)) : "")],
  ], orders ? orders.items : []);
  table("fills", [
    ["time", (f) => time(f.executed_at)], ["instrument", (f) => f.instrument_id], ["side", (f) => said(f.side), (f) => f.side],
    ["quantity", (f) => number(f.quantity, 8), right], ["price", (f) => number(f.price), right],
    ["", (f) => button("?", () => why(f))],
  ], fills ? fills.items : []);
  table("denials", [
    ["time", (v) => time(v.created_at)], ["strategy", (v) => v.strategy_id],
    ["code", (v) => said(v.code)], ["reason", (v) => v.text],
  ], denials ? denials.items : []);
  table("strategies", [
    ["strategy", (s) => s.strategy_id], ["status", (s) => said(s.status), (s) => s.status],
    ["params", (s) => Object.entries(s.params).map(([name, value]) => `${name} ${value}`).join(", ")],
    ["", strategyButton],
  ], strategies);
  drawServices(services);
  table("alerts", [
    ["time", (a) => time(a.last_at)], ["level", (a) => said(a.level), (a) => a.level], ["text", (a) => a.text],
    ["acknowledged", (a) => a.acknowledged_by ?? (may("acknowledge")
      ? button(word("acknowledge"), async () => { await post(`/alerts/${a.alert_id}/acknowledge`); await read("alerts"); }) : "")],
  ], alerts ? alerts.items : []);
  drawStage(stages);
  drawRisk();
  drawOwn();
}

function pnl(position) {
  const last = state.last[position.instrument_id] ?? position.last_price;
  return last === null || last === undefined ? null : (last - position.average_price) * position.quantity;
}

function drawNumbers(accounts, orders, services) {
  const cards = [];
  for (const account of accounts) {
    const name = accounts.length > 1 ? ` · ${account.account_id}` : "";
    cards.push([word("equity") + name, `${money(account.equity)} ${account.currency}`]);
    cards.push([word("cash") + name, `${money(account.cash[account.currency] ?? 0)} ${account.currency}`]);
    cards.push([word("unrealized") + name, money(account.unrealized_pnl), sign(account.unrealized_pnl)]);
    cards.push([word("realized") + name, money(account.realized_pnl), sign(account.realized_pnl)]);
  }
  const open = orders ? orders.items.filter((o) => ["pending_new", "new", "partially_filled", "pending_cancel"].includes(o.status)) : [];
  cards.push([word("open"), String(open.length)]);
  if (services) cards.push([word("queued"), String(services.queued)]);
  $("numbers").replaceChildren(...cards.map(([title, value, className]) => {
    const card = element("div", null, "card");
    card.append(element("span", title), element("strong", value, className));
    return card;
  }));
}

function drawServices(services) {
  const badge = $("health");
  badge.hidden = !services;
  if (!services) return;
  badge.textContent = `${services.is_healthy ? word("healthy") : word("unhealthy")} · ${state.isLive ? word("live") : word("reconnecting")}`;
  badge.className = `badge ${services.is_healthy && state.isLive ? "good" : "bad"}`;
  const problem = (s) => s.replicas.flatMap((r) => r.problems).join("; ");
  const alive = (s) => s.replicas.some((r) => r.is_alive);
  table("services", [
    ["service", (s) => s.service],
    ["state", (s) => (s.is_healthy ? word("ready") : alive(s) ? `${word("notReady")}: ${problem(s)}` : word("silent")),
      (s) => (s.is_healthy ? "up" : "down")],
    ["waiting", (s) => s.replicas.reduce((sum, r) => sum + Object.values(r.queues).reduce((a, b) => a + b, 0), 0), right],
  ], services.services);
}

function drawStage(stages) {
  const global = stages.find((s) => s.scope === "global");
  const badge = $("stage");
  badge.hidden = !global;
  if (!global) return;
  badge.textContent = word(global.stage);
  badge.className = `badge ${global.stage === "normal" ? "good" : "bad"}`;
  const isHalted = ["halted", "locked"].includes(global.stage);
  $("halt").hidden = !may("reduce") || isHalted;
  $("resume").hidden = !may("release") || global.stage === "normal";
  $("resume").textContent = global.stage === "normal" ? "" : `${word("stepUp")}: ${word(stepUp(global.stage))}`;
}

function strategyButton(strategy) {
  if (strategy.status === "active") return may("reduce") ? button(word("stop"), () => act(`/strategies/${strategy.strategy_id}/stop`)) : "";
  return may("trade") ? button(word("activate"), () => act(`/strategies/${strategy.strategy_id}/activate`)) : "";
}

async function act(path, body = {}, method = "POST") {
  const given = await command(path, body, method);
  tell({ message: word(given.approval_url ? "waitsForSecond" : "sent") });
  follow(given.approval_url ? null : given.status_url);
}

// Looks at a command until its effect is seen, or the gateway says that there is none.
function follow(statusUrl) {
  const look = async () => {
    ["strategies", "orders", "stages", "postures", "approvals", "flattenings", "alerts"].forEach((name) => stale.add(name));
    if (!statusUrl) return;
    const { status } = await get(statusUrl.replace(API, ""));
    if (status === "requested") setTimeout(() => look().catch(tell), FOLLOW_MS);
    else tell({ message: word(`command_${status}`) });
  };
  setTimeout(() => look().catch(tell), FOLLOW_MS);
}

async function why(fill) {
  const chain = await get(`/why/${encodeURIComponent(fill.execution_id)}?account_id=${encodeURIComponent(fill.account_id)}`);
  const parts = [];
  const part = (title, lines) => parts.push(element("h3", title), ...lines.map((line) => element("p", line)));
  if (chain.signal) {
    const features = Object.entries(chain.signal.features ?? {}).map(([name, value]) => `${name} = ${value}`).join(", ");
    part(word("signal"), [`${chain.signal.strategy_id} v${chain.signal.strategy_version}: ${chain.signal.reason}`, features]);
  }
  if (chain.decision) part(word("decision"), [`${chain.decision.policy}: ${chain.decision.verdict}`, ...chain.decision.reasons]);
  for (const call of chain.calls) part(call.model, [JSON.stringify(call.prompt), call.reply ?? call.error ?? ""]);
  if (chain.verdict) {
    part(word("checks"), chain.verdict.checks.map((c) => `${c.passed ? "✓" : "✗"} ${c.code}: ${word("seen")} ${c.seen}, ${word("limit")} ${c.limit}`));
  }
  if (chain.order) {
    part(word("order"), [`${chain.order.client_order_id}: ${chain.order.side} ${number(chain.order.quantity, 8)} @ ${number(chain.order.limit_price)}`,
      `${word("tickToSend")}: ${number(chain.tick_to_send_ms, 1)} ms`]);
  }
  whyRisk(chain, part);
  part(word("ledger"), chain.ledger.map((e) => `${e.ledger_account} ${e.asset}: ${number(e.amount, 8)}`));
  showDialog(word("why"), parts);
}

function showDialog(title, parts) {
  $("why-title").textContent = title;
  $("why-body").replaceChildren(...parts);
  $("why").showModal();
}

function tell(error) {
  $("notice").textContent = error.message;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { $("notice").textContent = ""; }, Math.max(6000, error.message.length * READ_MS));
}

async function read(name) {
  state.data[name] = await get(READS[name]);
  drawSoon();
}

// What could not be read is read again: "nothing yet" must not stand for what nobody could tell.
async function readAll(names) {
  await Promise.all(names.map((name) => read(name).catch((error) => { stale.add(name); tell(error); })));
}

async function readStale() {
  const names = [...stale];
  stale.clear();
  await readAll(names);
}

function onEvent(event) {
  if (event.topic === "ticks") {
    for (const tick of event.data) state.last[tick.instrument_id] = tick.price;
    drawSoon();
    return;
  }
  for (const name of READS_AFTER[event.topic] ?? []) stale.add(name);
}

async function start() {
  state.me = await get("/auth/me");
  $("notice").textContent = "";
  $("who").textContent = `${state.me.login} · ${state.me.role}`;
  $("signed-out").hidden = true;
  $("signed-in").hidden = $("logout").hidden = $("password").hidden = false;
  await readAll(Object.keys(READS));
  closeWatch();
  closeWatch = watch(["ticks", ...Object.keys(READS_AFTER)], onEvent, (isLive) => { state.isLive = isLive; drawSoon(); });
}

function showSignedOut() {
  closeWatch();
  state.me = null;
  state.data = {};
  for (const id of ["signed-in", "logout", "password", "halt", "resume", "health", "stage"]) $(id).hidden = true;
  $("who").textContent = "";
  $("signed-out").hidden = false;
}

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  try {
    await signIn(form.login.value, form.password.value);
    form.reset();
    $("login-error").textContent = "";
    await start();
  } catch (error) {
    $("login-error").textContent = error.message;
  }
});
$("logout").addEventListener("click", () => signOut().catch(tell).finally(showSignedOut));
$("language").addEventListener("click", () => { switchLanguage(); if (state.me) draw(); });
$("halt").addEventListener("click", () => { if (confirm(word("reallyHalt"))) act("/risk/halt", { reason: "dashboard" }).catch(tell); });
$("resume").addEventListener("click", () => ask("/risk/resume", {}).catch(tell));
$("password").addEventListener("click", openPassword);
$("own-password-button").addEventListener("click", openPassword);
$("password-cancel").addEventListener("click", () => $("password-dialog").close());
$("password-form").addEventListener("submit", (event) => {
  event.preventDefault();
  changePassword(event.target).catch((error) => { $("password-error").textContent = error.message; });
});
$("why-close").addEventListener("click", () => $("why").close());
whenSignedOut = showSignedOut;

setInterval(() => { if (state.me) { POLLED.forEach((name) => stale.add(name)); readStale(); } }, 2000);
speak();
refresh().then((isSignedIn) => (isSignedIn ? start() : showSignedOut())).catch(showSignedOut);
