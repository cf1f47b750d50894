// Nicety only: every page works without this file.
(function () {
  "use strict";
  var form = document.querySelector("form[data-pay]");
  if (form) {
    var button = form.querySelector("button");
    var key = form.elements.idempotency_key;
    var sent = false;
    form.addEventListener("submit", function (event) {
      if (button.disabled) { event.preventDefault(); return; }
      button.disabled = true;
      sent = true;
    });
    // Back on this page with another wish: that is another purchase. The same wish keeps its key, and is never sold twice.
    form.addEventListener("change", function () {
      if (sent) { key.value = key.value.slice(0, 32) + "-" + Date.now().toString(36); }
    });
    window.addEventListener("pageshow", function () { button.disabled = false; });
  }

  var back = document.querySelector("a[data-back]");
  if (back && history.length > 1) {
    back.addEventListener("click", function (event) { event.preventDefault(); history.back(); });
  }

  var live = document.getElementById("live");
  if (!live) { return; }
  var begun = Date.now();
  var shown = live.dataset.status;
  function later() { setTimeout(look, Date.now() - begun < 120000 ? 3000 : 10000); }
  function look() {
    fetch(live.dataset.poll, { cache: "no-store" })
      .then(function (answer) { return answer.ok ? answer.json() : null; })
      .then(function (view) {
        if (!view || view.status === shown) {
          var words = live.querySelector("p").textContent.trim();
          // Another amount came than the price: the page says so, and no longer how to pay.
          if (view && shown === "pending" && view.message.trim() !== words) { location.reload(); return; }
          later();
          return;
        }
        var title = live.querySelector("h1");
        // Code and receipt stand on the server's page for "paid"; only the two waits are told in place.
        if (view.status !== "pending" && view.status !== "prompted") { location.reload(); return; }
        shown = view.status;
        title.textContent = title.dataset[shown];
        live.querySelector("p").textContent = view.message;
        later();
      })
      .catch(later);
  }
  later();
})();
