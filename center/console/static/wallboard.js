// Keeps a wallboard honest and alive: a clock, the age of what it shows, and a way back after the center was away.
(() => {
  const OLD_S = 20; // the page is told anew each 5 s
  const TRY_S = 45;
  let beat = null;
  let heard = performance.now();
  let tried = performance.now();

  // NiceGUI would load the page again although nobody answers, and a browser's error page comes back by itself never.
  function keep() {
    if (!window.socket || window.socket.kept) return;
    window.socket.kept = true;
    window.socket.off("connect_error");
  }

  async function comeBack() {
    tried = performance.now();
    try {
      const answer = await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (answer.ok) window.location.reload();
    } catch {
      // still away
    }
  }

  setInterval(() => {
    keep();
    const now = performance.now();
    const language = document.documentElement.lang || "en";
    const clock = document.querySelector(".wall-clock");
    const age = document.querySelector(".wall-age");
    if (clock) clock.textContent = new Date().toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    if (age) {
      if (age.dataset.beat !== beat) [beat, heard] = [age.dataset.beat, now];
      const seconds = Math.floor((now - heard) / 1000);
      const old = seconds >= OLD_S;
      age.textContent = (old ? age.dataset.lost : age.dataset.words).replace("{n}", seconds);
      document.querySelector(".wall").classList.toggle("old", old);
    }
    if ((now - heard) / 1000 > TRY_S && (now - tried) / 1000 > TRY_S / 3) comeBack();
  }, 1000);
})();
