"use strict";
// How much is traded and how boldly, and what guards what is held.

const RISK_READS = {
  approvals: "/approvals?is_awaiting=true&limit=20", postures: "/risk/postures", limits: "/risk/limits",
  protections: "/risk/protections?is_open=true&limit=100", venues: "/risk/venues", latches: "/risk/latches?is_on=true",
  flattenings: "/risk/flattenings?limit=5",
};
const RISK_READS_AFTER = {
  stages: ["stages", "postures", "approvals", "flattenings"], venue: ["venues"], positions: ["protections"],
  alerts: ["approvals", "latches", "limits", "flattenings"],
};
const STAGES = ["normal", "caution", "reducing", "halted", "locked"];
const POSTURES = ["offensive", "guerrilla", "defensive"];
const VENUE_SILENT_S = 15;

const scopeName = (row) => (row.scope === "global" ? word("everything") : `${word(row.scope)} ${row.scope_id}`);
const bodyOf = (row) => ({ scope: row.scope, scope_id: row.scope_id, reason: "dashboard" });
const stageClass = (stage) => (stage === "normal" ? "up" : ["caution", "reducing"].includes(stage) ? "warning" : "down");
const guard = (protection) => word(`guard_${protection.state}`);
const stepUp = (stage) => STAGES[STAGES.indexOf(stage) - 1];

function buttons(...made) {
  const group = element("span", null, "buttons");
  group.append(...made.filter(Boolean));
  return group;
}

function drawRisk() {
  const { services, stages = [], approvals, postures = [], limits = [], protections, venues = [], latches, flattenings } = state.data;
  table("stages", [
    ["scope", scopeName], ["stage", (s) => word(s.stage), (s) => stageClass(s.stage)], ["since", (s) => time(s.changed_at)],
    ["by", (s) => s.changed_by], ["reason", (s) => s.reason], ["", stageButtons],
  ], stages);
  drawApprovals(approvals ? approvals.items : [], services);
  drawPostures(limits, postures);
  table("protections", [
    ["strategy", (p) => p.strategy_id], ["instrument", (p) => p.instrument_id], ["quantity", (p) => number(p.quantity, 8), right],
    ["entry", (p) => number(p.entry_price), right], ["last", (p) => number(state.last[p.instrument_id]), right],
    ["stopLoss", (p) => number(p.stop_price), right], ["target", (p) => number(p.target_price), right],
    ["trailing", (p) => number(p.trailing_price), right], ["timeStop", (p) => time(p.closes_at)],
    ["atVenue", (p) => (p.resting.length ? p.resting.map((r) => number(r.trigger_price)).join(", ") : "–"), right],
    ["state", (p) => (p.exit_kind ? `${guard(p)}: ${word(p.exit_kind)} ${p.refusal}` : guard(p)),
      (p) => (p.state === "open" ? "" : "warning")],
  ], protections ? protections.items : []);
  table("venues", [
    ["account", (v) => v.account_id], ["venue", (v) => v.venue],
    ["state", (v) => (isSilent(v) ? word("silent") : v.is_answering ? word("answering") : `${word("failing")} ${time(v.failing_since)}`),
      (v) => (v.is_answering && !isSilent(v) ? "up" : "down")],
    ["clockGap", (v) => `${number(v.clock_gap_ms, 0)} ms`, right], ["unknown", (v) => v.orders_unknown, right],
    ["asOf", (v) => time(v.as_of)],
  ], venues);
  table("latches", [
    ["scope", scopeName], ["code", (l) => said(l.code)], ["reason", (l) => l.reason],
    ["since", (l) => time(l.latched_at)], ["until", (l) => (l.expires_at ? time(l.expires_at) : word("twoPeople"))],
    ["", (l) => (may("release") ? button(word("release"), () => ask("/risk/release", { ...bodyOf(l), reason: "" })) : "")],
  ], latches ? latches.items : []);
  table("flattenings", [
    ["since", (f) => time(f.started_at)], ["scope", scopeName], ["by", (f) => f.requested_by],
    ["state", (f) => word(f.is_flat === null ? "underWay" : f.is_flat ? "flat" : "notFlat"),
      (f) => (f.is_flat === null ? "warning" : f.is_flat ? "up" : "down")],
    ["left", (f) => f.remaining.map((r) => `${r.quantity} ${r.instrument_id}: ${r.reason}`).join("; ")],
  ], flattenings ? flattenings.items : []);
}

const isSilent = (venue) => Date.now() - new Date(venue.as_of) > VENUE_SILENT_S * 1000;

function stageButtons(row) {
  const body = bodyOf(row);
  const isStopped = ["halted", "locked"].includes(row.stage);
  return buttons(
    may("reduce") && !isStopped && button(word("haltShort"), () => act("/risk/halt", body), "danger"),
    may("release") && row.stage !== "normal" && button(`${word("stepUp")}: ${word(stepUp(row.stage))}`, () => ask("/risk/resume", body)),
    may("reduce") && button(word("flatten"), () => sure("reallyFlatten", scopeName(row), () => act("/risk/flatten", body)), "danger"),
  );
}

function drawPostures(limits, postures) {
  const rows = limits.map((one) => ({ ...one, posture: postures.find((p) => p.account_id === one.account_id) }));
  const named = (row) => (row.posture ? row.posture.posture : row.values.posture);
  table("postures", [
    ["account", (r) => r.account_id], ["posture", (r) => word(named(r))],
    ["by", (r) => (r.posture ? `${word(r.posture.is_manual ? "byHand" : "automatic")}, ${r.posture.changed_by}` : word("ofLimits"))],
    ["reason", (r) => (r.posture ? r.posture.reason : "")],
    ["limits", (r) => buttons(button(`v${r.version}, ${r.changed_by}`, async () => showLimits(r)))],
    ["", (r) => (may("posture") ? buttons(
      ...POSTURES.filter((p) => p !== named(r)).map((p) => button(word(p), () => setPosture(r, p))),
      r.posture && r.posture.is_manual && button(word("automatic"), () => setPosture(r, null))) : "")],
  ], rows);
}

const setPosture = (row, posture) =>
  act("/risk/posture", { account_id: row.account_id, posture, reason: "dashboard" }, "PUT");

function showLimits(row) {
  const lines = Object.entries(row.values).sort().map(([name, value]) => element("p", `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`));
  showDialog(`${word("limits")}: ${row.account_id}, v${row.version}, ${row.changed_by}`, lines);
}

// Asks for a reason, which the second person reads.
async function ask(path, body) {
  const reason = prompt(word("why2"));
  if (reason) await act(path, { ...body, reason });
}

async function sure(question, about, go) {
  if (confirm(`${word(question)} ${about}`)) await go();
}

// The part of a fill's reasons that the gate itself, or a person, had in it.
function whyRisk(chain, part) {
  if (chain.exit) {
    part(word("exit"), [chain.exit.text, `${word("attempts")}: ${chain.exit.attempts}`]);
  }
  if (chain.flattening) part(word("flatten"), [`${chain.flattening.requested_by}: ${chain.flattening.reason}`]);
  if (chain.protection) {
    const p = chain.protection;
    part(word("protections"), [`${word("entry")} ${number(p.entry_price)}, ${word("stopLoss")} ${number(p.stop_price)}, ${word("target")} ${number(p.target_price)}, ${word("trailing")} ${number(p.trailing_price)}: ${guard(p)}`]);
  }
  const allowed = chain.stages.map((s) => `${scopeName(s)}: ${word(s.to_stage)}, ${s.changed_by} (${s.reason})`);
  if (chain.limits) allowed.unshift(`${word("limits")} v${chain.limits.version}, ${chain.limits.changed_by}`);
  if (chain.posture) allowed.push(`${word("posture")}: ${word(chain.posture.posture)}, ${chain.posture.changed_by}`);
  if (allowed.length) part(word("allowedBy"), allowed);
}
