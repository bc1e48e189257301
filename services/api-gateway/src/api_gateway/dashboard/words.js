"use strict";
// What the page says, in the two languages it speaks.

const WORDS = {
  en: {
    signIn: "Sign in", login: "Login", password: "Password", logout: "Sign out", halt: "Halt all trading",
    positions: "Positions", orders: "Orders", fills: "Fills", denials: "Denied by the risk gate",
    strategies: "Strategies", services: "Services", alerts: "Alerts", why: "Why this fill", close: "Close",
    equity: "Equity", cash: "Cash", unrealized: "Unrealised P&L", realized: "Realised P&L", open: "Open orders",
    queued: "Messages waiting", instrument: "Instrument", quantity: "Quantity", average: "Average price",
    last: "Last price", time: "Time", side: "Side", price: "Price", status: "Status", filled: "Filled",
    strategy: "Strategy", fee: "Fee", reason: "Reason", code: "Code", service: "Service", state: "State",
    waiting: "Waiting", level: "Level", text: "What happened", acknowledged: "Seen by", params: "Parameters",
    none: "Nothing yet.", healthy: "all services well", unhealthy: "not well", ready: "ready", notReady: "not ready",
    silent: "silent", acknowledge: "Mark as seen", cancel: "Cancel", stop: "Stop", activate: "Activate",
    sent: "Sent. The platform carries it out now.", reallyHalt: "Halt all trading and cancel open orders?",
    signal: "Signal", decision: "Judgement", checks: "Checks of the risk gate",
    order: "Order", ledger: "Ledger", seen: "seen", limit: "limit", tickToSend: "tick to order", other: "한국어",
    live: "live", reconnecting: "reconnecting", risk: "Risk: how much is traded", everything: "everything", account: "Account",
    venue: "Venue", scope: "What", stage: "Stage", since: "Since", by: "By", until: "Until", haltShort: "Halt",
    stepUp: "One step up", flatten: "Flatten", reallyFlatten: "Cancel every order and sell everything held? This is about:",
    normal: "normal", caution: "caution", reducing: "reducing", halted: "halted", locked: "locked",
    secondPerson: "Waits for a second person", secondLogin: "Nobody else may approve this yet. An admin adds a second login: sigmax user add <login> --role admin",
    what: "What", now: "Now", then: "Then", askedBy: "Asked by", approve: "Approve", refuse: "Refuse", takeBack: "Take back",
    approved: "Approved. The platform carries it out now.", refused: "Refused.", needsOther: "another role is needed",
    reallyApprove: "Approve exactly this?", waitsForSecond: "It waits for a second person, for ten minutes.",
    why2: "Why? The second person reads it.", twoPeople: "two people release it", release: "Release",
    postureAndLimits: "Posture and limits", posture: "Posture", limits: "Limits", offensive: "offensive", guerrilla: "guerrilla",
    defensive: "defensive", automatic: "automatic", byHand: "by hand", ofLimits: "from the limits",
    protections: "What guards positions", entry: "Entry", stopLoss: "Stop", target: "Target", trailing: "Trailing stop",
    timeStop: "Time stop", atVenue: "Resting at the venue", guard_open: "on watch", guard_asking: "asking judgement", guard_exiting: "selling", guard_closed: "closed",
    stop_loss: "stop", take_profit: "target", trailing_stop: "trailing stop", time_stop: "time stop",
    venueHealth: "Venue", answering: "answers", failing: "failing since", clockGap: "Clock gap", unknown: "Unknown orders",
    asOf: "As of", latches: "Locked by a control", flattenings: "Flattened", underWay: "under way", flat: "flat",
    notFlat: "not flat", left: "Left", exit: "Why it was sold", attempts: "attempts", allowedBy: "Who allowed it",
    resume: "one step up of", set_stage: "stage of", set_limits: "limits of", book_transfer: "transfer of",
    change_user: "change of user", cancel_order: "cancel of order", set_posture: "posture of",
    stageNow: "stage", role: "role", accounts: "accounts", isActive: "may sign in", amount: "amount", asset: "asset", version: "version",
    nobodyNow: "Nobody else may approve this now. The next who may is", ownPasswordFirst: "once they have signed in and chosen a password of their own",
    fromOn: "from", cooldown: "A login whose password or rights somebody else set counts as another person after",
    days: "day(s)", hours: "hour(s)", seconds: "seconds", notYours: "An admin made your password: choose one that only you know.",
    countsFrom: "Your login counts as another person than who made it from", choosePassword: "Choose a password",
    oldPassword: "The password until now", newPassword: "A new one, of 15 characters or more", newAgain: "The new one again",
    differ: "The two new ones differ.", passwordChanged: "Your password is changed. Other sessions of yours have ended.",
    away: "The gateway does not answer. Look whether it runs (sigmax status); the page tries again by itself.",
    command_done: "Done.", command_unconfirmed: "No effect is seen. It may have been refused: the alerts say why.",
    command_refused: "Refused.", command_expired: "Nobody approved it in time.", command_awaiting_second_person: "It waits for a second person.",
    identify_order: "identity of order",
  },
  ko: {
    signIn: "로그인", login: "아이디", password: "비밀번호", logout: "로그아웃", halt: "전체 거래 정지",
    positions: "보유 종목", orders: "주문", fills: "체결", denials: "위험 관리 거부", strategies: "전략", services: "서비스",
    alerts: "알림", why: "체결 사유", close: "닫기", equity: "평가 자산", cash: "현금", unrealized: "미실현 손익",
    realized: "실현 손익", open: "미체결 주문", queued: "대기 메시지", instrument: "종목", quantity: "수량",
    average: "평균 단가", last: "현재가", time: "시각", side: "매매", price: "가격", status: "상태", filled: "체결 수량",
    strategy: "전략", fee: "수수료", reason: "사유", code: "코드", service: "서비스", state: "상태", waiting: "대기",
    level: "등급", text: "내용", acknowledged: "확인자", params: "매개변수", none: "아직 없습니다.", healthy: "모든 서비스 정상",
    unhealthy: "이상", ready: "정상", notReady: "준비 안 됨", silent: "응답 없음", acknowledge: "확인", cancel: "취소",
    stop: "중지", activate: "시작", sent: "전송했습니다. 플랫폼이 처리 중입니다.",
    reallyHalt: "모든 거래를 정지하고 미체결 주문을 취소할까요?", signal: "신호",
    decision: "판단", checks: "위험 관리 점검", order: "주문", ledger: "원장", seen: "확인값", limit: "한도",
    tickToSend: "틱에서 주문까지", other: "English", live: "실시간", reconnecting: "다시 연결 중",
    risk: "위험 관리: 거래 단계", everything: "전체", account: "계좌", venue: "거래소", scope: "대상", stage: "단계", since: "시작",
    by: "변경자", until: "기한", haltShort: "정지", stepUp: "한 단계 올리기", flatten: "전량 청산",
    reallyFlatten: "모든 주문을 취소하고 보유분을 모두 매도할까요? 대상:", normal: "정상", caution: "주의", reducing: "축소",
    halted: "정지", locked: "잠금", secondPerson: "두 번째 사람의 승인 대기",
    secondLogin: "아직 승인할 수 있는 다른 사람이 없습니다. 관리자가 두 번째 아이디를 추가하세요: sigmax user add <아이디> --role admin",
    what: "내용", now: "현재", then: "변경 후", askedBy: "요청자", approve: "승인", refuse: "거부", takeBack: "요청 취소",
    approved: "승인했습니다. 플랫폼이 처리 중입니다.", refused: "거부했습니다.", needsOther: "다른 권한이 필요합니다",
    reallyApprove: "정확히 이 내용을 승인할까요?", waitsForSecond: "두 번째 사람의 승인을 10분간 기다립니다.",
    why2: "사유를 적어 주세요. 두 번째 사람이 읽습니다.", twoPeople: "두 사람이 해제", release: "해제",
    postureAndLimits: "운용 태세와 한도", posture: "태세", limits: "한도", offensive: "공격", guerrilla: "유격", defensive: "방어",
    automatic: "자동", byHand: "수동", ofLimits: "한도에서 정함", protections: "보유분 보호", entry: "진입가", stopLoss: "손절",
    target: "익절", trailing: "추적 손절", timeStop: "시간 청산", atVenue: "거래소 대기 주문", guard_open: "감시 중",
    guard_asking: "판단 요청 중", guard_exiting: "매도 중", guard_closed: "종료", stop_loss: "손절", take_profit: "익절", trailing_stop: "추적 손절", time_stop: "시간 청산",
    venueHealth: "거래소", answering: "응답", failing: "장애 시작", clockGap: "시계 차이", unknown: "미확인 주문", asOf: "기준 시각",
    latches: "통제로 잠긴 항목", flattenings: "청산 기록", underWay: "진행 중", flat: "보유 없음", notFlat: "잔량 있음", left: "남은 것",
    exit: "매도 사유", attempts: "시도", allowedBy: "허용한 사람", resume: "한 단계 올리기:", set_stage: "단계 변경:",
    set_limits: "한도 변경:", book_transfer: "입출금 기장:", change_user: "사용자 변경:",
    cancel_order: "주문 취소:", set_posture: "태세 변경:",
    stageNow: "단계", role: "역할", accounts: "계좌", isActive: "로그인 가능", amount: "금액", asset: "자산", version: "버전",
    nobodyNow: "지금은 승인할 수 있는 다른 사람이 없습니다. 다음으로 승인할 수 있는 사람:", ownPasswordFirst: "본인이 로그인해 비밀번호를 직접 정한 뒤",
    fromOn: "가능 시각", cooldown: "다른 사람이 비밀번호나 권한을 정해 준 아이디는 다음 시간이 지나야 다른 사람으로 인정됩니다:",
    days: "일", hours: "시간", seconds: "초", notYours: "관리자가 만든 비밀번호입니다. 본인만 아는 비밀번호를 정하세요.",
    countsFrom: "이 아이디가 만든 사람과 다른 사람으로 인정되는 시각:", choosePassword: "비밀번호 정하기",
    oldPassword: "지금 비밀번호", newPassword: "새 비밀번호 (15자 이상)", newAgain: "새 비밀번호 확인",
    differ: "새 비밀번호가 서로 다릅니다.", passwordChanged: "비밀번호를 바꿨습니다. 다른 세션은 모두 종료되었습니다.",
    away: "게이트웨이가 응답하지 않습니다. 실행 중인지 확인하세요(sigmax status). 페이지가 스스로 다시 시도합니다.",
    command_done: "완료되었습니다.", command_unconfirmed: "효과가 확인되지 않습니다. 거부되었을 수 있습니다. 사유는 알림에 있습니다.",
    command_refused: "거부되었습니다.", command_expired: "기한 안에 아무도 승인하지 않았습니다.", command_awaiting_second_person: "두 번째 사람의 승인을 기다립니다.",
    identify_order: "주문 확인:",
  },
};

// What the platform and the gateway say in English words of their own, where the page has others for it.
const NAMES = { en: {}, ko: {
  said_buy: "매수", said_sell: "매도", said_pending_new: "전송 중", said_new: "접수", said_partially_filled: "일부 체결", said_filled: "체결",
  said_pending_cancel: "취소 중", said_canceled: "취소됨", said_rejected: "거래소 거부", said_expired: "만료", said_unplaced: "미접수",
  said_active: "실행 중", said_stopped: "중지됨", said_paused: "일시 중지", said_info: "정보", said_warning: "주의", said_danger: "위험",
  said_critical: "심각", said_kill_switch_on: "거래 정지 중",
  "problem_credentials-wrong": "아이디 또는 비밀번호가 맞지 않습니다.", "problem_not-allowed": "이 역할로는 할 수 없습니다.",
  "problem_not-two-people": "두 아이디는 아직 서로 다른 두 사람으로 인정되지 않습니다.", "problem_session-ended": "세션이 끝났습니다. 다시 로그인하세요.",
  "problem_conflict": "지금 상태와 맞지 않습니다.", "problem_invalid": "올바르지 않은 값이 있습니다.",
  "problem_too-many-requests": "요청이 너무 많습니다. 잠시 후 다시 시도하세요.", "problem_unavailable": "플랫폼 일부에 연결할 수 없습니다.",
  "problem_not-found": "찾을 수 없습니다.", "problem_internal": "서버 오류입니다.",
} };

let language = localStorage.getItem("sigmax-language") || (navigator.language.startsWith("ko") ? "ko" : "en");

function word(key) {
  return WORDS[language][key] || key;
}

// What the platform calls by a name of its own: in the language of the page where that has a word for it.
function said(name) {
  return NAMES[language][`said_${name}`] || (language !== "en" && WORDS[language][name]) || name.replaceAll("_", " ");
}

function speak() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  document.getElementById("language").textContent = word("other");
}

function switchLanguage() {
  language = language === "en" ? "ko" : "en";
  localStorage.setItem("sigmax-language", language);
  speak();
}
