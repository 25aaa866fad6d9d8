// SPDX-License-Identifier: MIT
// Sets the position of each window for the first frame, as `begin` of window.js does afterwards.
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.

for (const el of document.querySelectorAll('.vestry-window')) {
  const [first, , , , , place, column, , columns, px, , across, isEnd] = el.dataset.window.split(' ').map(Number),
    rows = el.querySelector('.vestry-window-rows > div'), row = rows.children[place - first],
    box = el.getBoundingClientRect();
  if (isEnd && !new URLSearchParams(location.search).has(el.id)) el.scrollTop = el.scrollHeight;
  else if (row) el.scrollTop += row.getBoundingClientRect().top - box.top - el.clientTop;
  if (columns) {
    const is = rows.getBoundingClientRect(), from = box.left + el.clientLeft, by = (across - column) * px;
    el.scrollLeft += getComputedStyle(el).direction === 'rtl' ? is.right - from - el.clientWidth - by : is.left - from + by }
  el.first = [el.scrollTop, el.scrollLeft]}
