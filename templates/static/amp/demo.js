/* Keeps the tour's page as the product is: asks once a second, and replaces what changed. Works without, by reloading. */
(function () {
  "use strict";
  var live = document.getElementById("live"), busy = false, PAUSE = 1000;
  function show(told) {
    document.querySelector("[data-clock]").textContent = told.clock;
    document.querySelector("[data-shift]").textContent = told.shift;
    if (!told.html) { return; }
    var held = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.id : "";
    live.innerHTML = told.html;
    live.dataset.version = told.version;
    var again = held && live.querySelector('[data-id="' + held + '"]');
    if (again) { again.focus({ preventScroll: true }); }
  }
  function ask() {
    return fetch(live.dataset.live + "?since=" + live.dataset.version, { cache: "no-store" })
      .then(function (answer) { if (!answer.ok) { throw new Error(answer.status); } return answer.json(); })
      .then(show);
  }
  function later() { window.setTimeout(turn, PAUSE); }
  function turn() {
    if (document.hidden || busy) { later(); return; }
    ask().then(later, later);
  }
  document.addEventListener("submit", function (event) {
    var form = event.target, button = event.submitter;
    if (!("quiet" in form.dataset)) { return; }
    event.preventDefault();
    var body = new FormData(form);
    if (button && button.name) { body.set(button.name, button.value); }
    busy = true;
    if (button) { button.disabled = true; }
    fetch(form.action, { method: "POST", body: body, redirect: "manual" })
      .then(function (answer) {
        if (answer.type !== "opaqueredirect" && !answer.ok) { return answer.text().then(window.alert.bind(window)); }
        return null;
      })
      .then(ask)
      .catch(function () { window.location.reload(); })
      .finally(function () { busy = false; if (button) { button.disabled = false; } });
  });
  document.addEventListener("visibilitychange", function () { if (!document.hidden && !busy) { ask().catch(function () {}); } });
  later();
})();
