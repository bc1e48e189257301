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
    reallyResume: "Let trading go on?", signal: "Signal", decision: "Judgement", checks: "Checks of the risk gate",
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
    change_user: "change of user",
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
    reallyHalt: "모든 거래를 정지하고 미체결 주문을 취소할까요?", reallyResume: "거래를 다시 시작할까요?", signal: "신호",
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
  },
};

let language = localStorage.getItem("sigmax-language") || (navigator.language.startsWith("ko") ? "ko" : "en");

function word(key) {
  return WORDS[language][key] || key;
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
