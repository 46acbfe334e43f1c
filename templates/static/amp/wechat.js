/* Hands the signed parameters to WeChat, and then asks the server how the payment stands: WeChat's word counts nothing. */
(function () {
  "use strict";
  var button = document.querySelector("[data-parameters]"), notice = document.querySelector("[data-not-wechat]");
  var busy = false;
  function pay() {
    var bridge = window.WeixinJSBridge;
    if (!bridge) { notice.hidden = false; return; }
    if (busy) { return; }
    busy = true;
    notice.hidden = true;
    bridge.invoke("getBrandWCPayRequest", JSON.parse(button.dataset.parameters), function () {
      window.location.replace(button.dataset.back);
    });
  }
  button.addEventListener("click", pay);
  // Back from the payment this page may be shown as it was left.
  window.addEventListener("pageshow", function (event) { if (event.persisted) { busy = false; } });
  if (window.WeixinJSBridge) { pay(); } else {
    document.addEventListener("WeixinJSBridgeReady", pay, { once: true });
    window.setTimeout(function () { if (!window.WeixinJSBridge) { notice.hidden = false; } }, 4000);
  }
})();
