/* Follows what happens on the server: asks a small status address and reloads the page when its version changes. */
(function () {
  "use strict";
  var box = document.querySelector("[data-follow]");
  if (!box) { return; }
  var version = box.dataset.version;
  var pause = 1000;
  function again() { pause = Math.min(pause * 1.1, 5000); window.setTimeout(ask, pause); }
  function ask() {
    fetch(box.dataset.follow, { headers: { Accept: "application/json" }, cache: "no-store", credentials: "same-origin" })
      .then(function (answer) { return answer.ok ? answer.json() : null; })
      .then(function (status) {
        if (status && status.version !== version) { window.location.reload(); return; }
        again();
      })
      .catch(again);
  }
  window.setTimeout(ask, pause);
})();
