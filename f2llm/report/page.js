"use strict";
// Search and filter of the tuples, and the sources of the map. Without scripts all tuples are there to read.
(function () {
  var tools = document.getElementById("tuple-tools");
  if (tools) {
    var query = document.getElementById("tuple-query");
    var source = document.getElementById("tuple-source");
    var kind = document.getElementById("tuple-kind");
    var count = document.getElementById("tuple-count");
    var items = Array.prototype.slice.call(document.querySelectorAll("details.tuple"));
    var texts = items.map(function (item) { return item.textContent.toLowerCase(); });
    var groups = Array.prototype.slice.call(document.querySelectorAll("section.tuples-of"));
    var apply = function () {
      var words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
      var shown = 0;
      items.forEach(function (item, at) {
        var fits = (!source.value || item.dataset.source === source.value) &&
          (!kind.value || item.dataset.kinds.split(" ").indexOf(kind.value) >= 0) &&
          words.every(function (word) { return texts[at].indexOf(word) >= 0; });
        item.hidden = !fits;
        shown += fits ? 1 : 0;
      });
      groups.forEach(function (group) {
        group.hidden = !group.querySelector("details.tuple:not([hidden])") &&
          Boolean(words.length || kind.value || source.value && group.dataset.source !== source.value);
      });
      count.textContent = shown + " of " + items.length + " tuples";
    };
    [query, source, kind].forEach(function (input) { input.addEventListener("input", apply); });
    document.getElementById("tuple-open").addEventListener("click", function () {
      var closed = items.some(function (item) { return !item.hidden && !item.open; });
      items.forEach(function (item) { if (!item.hidden) { item.open = closed; } });
    });
    tools.hidden = false;
    apply();
  }
  var pick = document.getElementById("map-source");
  if (pick) {
    pick.addEventListener("input", function () {
      Array.prototype.forEach.call(document.querySelectorAll('[id^="map-"]'), function (group) {
        if (group.tagName.toLowerCase() === "g") {
          group.style.opacity = !pick.value || group.id === "map-" + pick.value ? "" : "0.08";
        }
      });
    });
    document.getElementById("map-tools").hidden = false;
  }
})();
