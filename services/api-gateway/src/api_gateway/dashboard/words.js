"use strict";
// What the page says, in the two languages it speaks.

const WORDS = {
  en: {
    signIn: "Sign in", login: "Login", password: "Password", logout: "Sign out", halt: "Halt all trading",
    resume: "Resume", positions: "Positions", orders: "Orders", fills: "Fills", denials: "Denied by the risk gate",
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
    live: "live", reconnecting: "reconnecting",
  },
  ko: {
    signIn: "로그인", login: "아이디", password: "비밀번호", logout: "로그아웃", halt: "전체 거래 정지", resume: "거래 재개",
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
