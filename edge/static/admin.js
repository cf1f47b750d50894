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

// A campaign's page: figures every three seconds while it is looked at; once it has ended, the page anew, once.
(function () {
  "use strict";
  var page = document.querySelector("[data-progress]");
  if (!page) { return; }
  var EVERY_MS = 3000;
  var offline = document.getElementById("offline");
  var timer = null;
  var isOver = false;

  function look() {
    timer = null;
    if (document.hidden || isOver) { return; }
    fetch(page.dataset.progress, { cache: "no-store" }).then(function (answer) {
      if (answer.status === 401 || answer.status === 403 || answer.status === 404) { over(); }
      if (!answer.ok) { throw new Error(String(answer.status)); }
      return answer.json();
    }).then(function (told) {
      offline.hidden = true;
      if (told.is_final) { over(); } else { draw(told); }
    }, function () { offline.hidden = false; }).then(later);
  }

  function over() {
    if (!isOver) { isOver = true; location.reload(); }
  }

  function draw(told) {
    page.querySelector("progress").value = told.percent;
    page.querySelectorAll("[data-figure]").forEach(function (part) {
      var value = told[part.dataset.figure];
      part.textContent = typeof value === "number" ? value.toLocaleString("en") : value;
      if (part.dataset.figure === "words") { part.hidden = !value; }
      if (part.dataset.figure === "failed") { part.parentNode.classList.toggle("bad", value > 0); }
    });
    page.querySelectorAll("[data-credits]").forEach(function (part) {
      part.textContent = part.dataset.credits.replace(/\{(spent|reserved)\}/g, function (_, name) {
        return told.credits[name].toLocaleString("en");
      });
    });
    page.querySelectorAll("[data-when]").forEach(function (part) {
      part.hidden = part.dataset.when.split(" ").indexOf(told.status) < 0;
    });
  }

  function later() {
    if (timer === null && !isOver && !document.hidden) { timer = setTimeout(look, EVERY_MS); }
  }

  document.addEventListener("visibilitychange", function () {
    if (document.hidden) { clearTimeout(timer); timer = null; } else if (timer === null && !isOver) { look(); }
  });
  later();
})();

// What a campaign's words take, while they are typed; the server counts.
(function () {
  "use strict";
  var text = document.querySelector("textarea[data-count]");
  var told = document.getElementById("counted");
  if (!text || !told) { return; }
  var PAUSE_MS = 400;
  var timer = null;
  var asked = 0;

  function count() {
    var mine = ++asked;
    var form = new URLSearchParams(new FormData(text.form));
    fetch(text.dataset.count, { method: "POST", body: form, cache: "no-store" }).then(function (answer) {
      if (!answer.ok) { throw new Error(String(answer.status)); }
      return answer.text();
    }).then(function (words) {
      if (mine === asked) { told.textContent = words; }
    }, function () { told.textContent = ""; });
  }

  text.form.addEventListener("input", function () {
    clearTimeout(timer);
    timer = setTimeout(count, PAUSE_MS);
  });
})();
