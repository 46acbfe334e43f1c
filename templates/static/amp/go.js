/* Goes on by itself where the address ends in "#go": once, since it takes that off first, so that Back stays here. */
(function () {
  "use strict";
  if (window.location.hash !== "#go") { return; }
  window.history.replaceState(null, "", window.location.pathname + window.location.search);
  var next = document.querySelector("[data-go]");
  if (next) { next.click(); }
})();
