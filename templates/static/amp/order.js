/* The order's page follows the order: asks every two seconds, and shows what is new without losing the place. */
"use strict";

(() => {
  const find = () => document.querySelector("[data-live]");
  let failures = 0;

  const tick = () => {
    const left = document.querySelector("[data-seconds]");
    if (!left) return;
    const seconds = Math.max(Number(left.dataset.seconds), 0);
    left.dataset.seconds = String(seconds - 1);
    left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  };

  const follow = async () => {
    const live = find();
    if (!live || !("moving" in live.dataset)) return;
    try {
      const answer = await fetch(live.dataset.status, { headers: { Accept: "application/json" }, credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      failures = 0;
      const state = await answer.json();
      if (state.version !== live.dataset.version) await refresh();
    } catch {
      failures += 1;
    }
    setTimeout(follow, Math.min(2000 * 2 ** Math.min(failures, 4), 30000));
  };

  const refresh = async () => {
    const answer = await fetch(window.location.href, { credentials: "same-origin" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
    if (fresh) find().replaceWith(fresh);
  };

  tick();
  setInterval(tick, 1000);
  setTimeout(follow, 2000);
})();
