/* Follows a renewal: asks a small status address, and puts the new page in place when its version changes. */
(function () {
  "use strict";
  var pause = 1000, below = "main > .button, main > .panel, main > .notice";
  function main() { return document.querySelector("main[data-follow]"); }
  function later() { pause = Math.min(pause * 1.15, 8000); window.setTimeout(ask, pause); }
  function show(html) {
    var next = new DOMParser().parseFromString(html, "text/html");
    var fresh = next.querySelector("main[data-follow]");
    if (!fresh) { window.location.reload(); return; }
    document.title = next.title;
    var from = main();
    // Only what is inside the live region changes, so that a screen reader reads the news and nothing else.
    var card = from.querySelector("[aria-live]"), news = fresh.querySelector("[aria-live]");
    card.replaceChildren.apply(card, Array.prototype.slice.call(news.childNodes));
    from.querySelectorAll(below).forEach(function (old) { old.remove(); });
    fresh.querySelectorAll(below).forEach(function (part) { from.appendChild(part); });
    from.dataset.version = fresh.dataset.version;
    if (!("moving" in fresh.dataset)) { delete from.dataset.moving; return; }
    pause = 1000;
    later();
  }
  function fetched(address, kind) {
    return fetch(address, { headers: { Accept: kind }, cache: "no-store", credentials: "omit" });
  }
  function ask() {
    if (document.hidden) { later(); return; }
    fetched(main().dataset.follow, "application/json")
      .then(function (answer) { return answer.ok ? answer.json() : null; })
      .then(function (status) {
        if (!status || status.version === main().dataset.version) { later(); return null; }
        return fetched(window.location.href, "text/html")
          .then(function (answer) { return answer.ok ? answer.text() : Promise.reject(new Error(answer.status)); })
          .then(show);
      })
      .catch(later);
  }
  document.addEventListener("visibilitychange", function () { if (!document.hidden) { pause = 1000; } });
  if (main() && "moving" in main().dataset) { window.setTimeout(ask, pause); }
})();
