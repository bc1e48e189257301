"use strict";
// What waits for a second person, who that can be and from when on, and one's own password.

const VALUES = { from: "stageNow", stage: "stage", role: "role", accounts: "accounts", is_active: "isActive", amount: "amount", asset: "asset", latches: "latches", version: "version" };
const DAY_S = 86400;

function drawApprovals(waiting, services) {
  $("approvals-section").classList.toggle("waiting", waiting.length > 0);
  table("approvals", [
    ["what", (a) => `${word(a.action)} ${a.subject === "global" ? word("everything") : a.subject}`],
    ["now", (a) => pairs(a.before)], ["then", (a) => pairs(wanted(a))], ["reason", (a) => a.reason],
    ["askedBy", (a) => a.requested_by], ["until", (a) => time(a.expires_at)], ["", approvalButtons],
  ], waiting);
  const lonely = waiting.find((a) => a.approvers === 0);
  $("second-login").hidden = !lonely;
  $("second-login").textContent = lonely ? whoNext(lonely) : "";
  $("cooldown").textContent = services ? `${word("cooldown")} ${span(services.approval_cooldown_s)}.` : "";
}

// The stage that is left stands beside it already, as what holds now.
function wanted(waiting) {
  const { from, user_id, ...values } = waiting.values;
  return values;
}

function whoNext(waiting) {
  if (!waiting.next_approver) return word("secondLogin");
  const when = [];
  if (new Date(waiting.next_approver_from) > Date.now()) when.push(`${word("fromOn")} ${time(waiting.next_approver_from)}`);
  if (waiting.next_approver_needs_own_password) when.push(word("ownPasswordFirst"));
  return `${word("nobodyNow")} ${[waiting.next_approver, ...when].join(", ")}.`;
}

function approvalButtons(waiting) {
  const decide = (verb) => async () => {
    await post(`/approvals/${waiting.approval_id}/${verb}`, { fingerprint: waiting.fingerprint });
    tell({ message: word(verb === "approve" ? "approved" : "refused") });
    await Promise.all(["approvals", "stages"].map(read));
    if (verb === "approve" && waiting.kind === "command") follow(waiting.status_url);
  };
  if (waiting.requested_by === state.me.login) return button(word("takeBack"), decide("refuse"));
  if (!may("approve") || !may(waiting.needed_right)) return word("needsOther");
  return buttons(button(word("approve"), () => sure("reallyApprove", pairs(wanted(waiting)), decide("approve")), "good"),
    button(word("refuse"), decide("refuse")));
}

function span(seconds) {
  if (seconds % DAY_S === 0 && seconds) return `${seconds / DAY_S} ${word("days")}`;
  return seconds % 3600 === 0 && seconds ? `${seconds / 3600} ${word("hours")}` : `${seconds} ${word("seconds")}`;
}

const plain = (value) => (Array.isArray(value) && !value.length ? "–" : typeof value === "string" ? said(value) : JSON.stringify(value));
const pairs = (values) => Object.entries(values).map(([name, value]) => `${VALUES[name] ? word(VALUES[name]) : name} ${plain(value)}`).join(", ");

// Who was given a password by an admin is told to choose another; everybody may.
function drawOwn() {
  const me = state.me;
  $("own-password").hidden = !me || (me.has_own_password && !me.independent_from);
  if (!me) return;
  const since = me.independent_from ? `${word("countsFrom")} ${time(me.independent_from)}.` : "";
  $("own-password-text").textContent = `${me.has_own_password ? "" : word("notYours")} ${since}`.trim();
}

function openPassword() {
  $("password-form").reset();
  $("password-form").elements.login.value = state.me.login;
  $("password-error").textContent = "";
  $("password-dialog").showModal();
}

async function changePassword(form) {
  const [old, chosen, again] = ["old", "chosen", "again"].map((name) => form.elements[name].value);
  if (chosen !== again) throw new Error(word("differ"));
  const { login } = await get("/auth/me"); // with a token that is good for the next request too
  // The change ends this session as well: no other request may find it over before the next one is open.
  await navigator.locks.request("sigmax-refresh", async () => {
    await send("POST", "/auth/password", { body: { current_password: old, new_password: chosen }, retry: false });
    await signIn(login, chosen);
  });
  $("password-dialog").close();
  await start();
  tell({ message: word("passwordChanged") });
}
