/* Follows a job that runs in the background: moves the bar, and shows the finished page when the job is over. */
"use strict";

(() => {
  const card = document.querySelector("[data-progress]");
  if (!card) return;
  let pause = 700;
  const written = (number) => number.toLocaleString("en");

  const show = (job) => {
    const bar = card.querySelector("[role=progressbar]");
    bar.setAttribute("aria-valuenow", String(job.share));
    bar.firstElementChild.style.width = `${job.share}%`;
    card.querySelector("[data-handled]").textContent = written(job.handled);
    document.querySelector("[data-done]").textContent = written(job.done);
  };

  const ask = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(card.dataset.progress, { headers: { Accept: "application/json" }, credentials: "same-origin" });
        if (!answer.ok) throw new Error(String(answer.status));
        const job = await answer.json();
        if (job.state !== card.dataset.state) {
          window.location.replace(window.location.href);
          return;
        }
        show(job);
        pause = 1000;
      } catch {
        pause = Math.min(pause * 2, 30000);
      }
    }
    setTimeout(ask, pause);
  };
  setTimeout(ask, pause);
})();
