// Nicety only: every page works without this file. It keeps #live fresh: at each new event, and now and then.
(function () {
  "use strict";
  var live = document.getElementById("live");
  if (!live) { return; }
  var LOOK_MS = 2000;
  var SOON_MS = 10000;
  var last = Number(live.dataset.last);
  var every = Number(live.dataset.every) * 1000;
  var page = live.dataset.poll || location.href;
  var offline = document.getElementById("offline");
  var drawn = Date.now();

  function ask(address) {
    return fetch(address, { cache: "no-store" }).then(function (answer) {
      if (answer.redirected || answer.status === 401 || answer.status === 403) { location.reload(); }
      if (!answer.ok) { throw new Error(String(answer.status)); }
      return answer;
    });
  }

  function draw() {
    return ask(page).then(function (answer) { return answer.text(); }).then(function (text) {
      var fresh = new DOMParser().parseFromString(text, "text/html").getElementById("live");
      drawn = Date.now();
      if (!fresh || fresh.innerHTML === live.innerHTML) { return; }
      keepPlace(function () { live.replaceChildren.apply(live, Array.from(fresh.childNodes)); });
    });
  }

  // What was opened stays open, and what had the focus keeps it.
  function keepPlace(change) {
    function all(what) { return Array.from(live.querySelectorAll(what)); }
    var open = all("details").map(function (part) { return part.open; });
    var focus = all("a,button,summary").indexOf(document.activeElement);
    change();
    all("details").forEach(function (part, place) { part.open = Boolean(open[place]); });
    if (focus >= 0 && all("a,button,summary")[focus]) { all("a,button,summary")[focus].focus({ preventScroll: true }); }
  }

  function look() {
    if (document.hidden) { later(); return; }
    ask("/api/admin/events?after=" + last)
      .then(function (answer) { return answer.json(); })
      .then(function (news) {
        var isNew = news.last !== last;
        last = news.last;
        // What is dear to draw is drawn in its own time, whatever happens meanwhile.
        return (isNew && every <= SOON_MS) || Date.now() - drawn >= every ? draw() : null;
      })
      .then(function () { offline.hidden = true; }, function () { offline.hidden = false; })
      .then(later);
  }

  function later() { setTimeout(look, LOOK_MS); }
  later();
})();

// A slip is printed by the browser's own menu, or by its button where there are scripts.
(function () {
  "use strict";
  document.querySelectorAll("[data-print]").forEach(function (button) {
    button.hidden = false;
    button.addEventListener("click", function () { window.print(); });
  });
})();
