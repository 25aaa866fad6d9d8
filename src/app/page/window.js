// SPDX-License-Identifier: MIT
// The function of windows, which each window calls. window.c explains it.
// parameters: none
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.

window.vestryWindow = (el) => {
  // Numbers of both directions, and the visible position.
  if (!el.look) {
    const numbers = () => el.dataset.window.split(' ').map(Number);
    const axis = (from) => {
      const [first, shown, count, px, extent, place] = numbers().slice(from);
      return {first, shown, count, px, extent, place, view: from ? el.clientWidth : el.clientHeight} };
    const isEnd = () => numbers()[12] === 1;
    const rows = () => el.querySelector(':scope > .vestry-window-rows > div');
    const sought = (it, by) => it.count && Math.max(0, Math.min(it.count - it.view / it.px,
        by / Math.max(1, it.extent - it.view) * (it.count - it.view / it.px)));
    const edge = () => el.getBoundingClientRect().top + el.clientTop;
    // Columns may run from right to left: distances are those from the edge where a line begins.
    const way = () => getComputedStyle(el).direction === 'rtl' ? -1 : 1;
    const left = () => el.scrollLeft * way();
    const side = () => {
      const box = rows().getBoundingClientRect(), from = el.getBoundingClientRect().left + el.clientLeft;
      return way() < 0 ? from + el.clientWidth - box.right : box.left - from };
    const isLast = () => isEnd() && el.scrollTop + el.clientHeight >= el.scrollHeight - 2;
    const see = () => {
      const down = axis(0), across = axis(6), list = [...rows().children], top = edge();
      let low = 0, high = list.length;
      while (low < high) {
        const middle = low + high >> 1;
        if (list[middle].getBoundingClientRect().bottom > top) high = middle; else low = middle + 1 }
      const box = list[low]?.getBoundingClientRect(), column = -side() / across.px;
      const isHere = box && (box.top <= top || low === 0 && box.top < top + down.view);
      const isBeside = column > -across.view / across.px && column < across.shown;
      return {isLast: isLast(), top: el.scrollTop, left: left(),
          row: isHere ? down.first + low + (top - box.top) / box.height : sought(down, el.scrollTop),
          id: isHere ? list[low].id : '', away: isHere ? box.top - top : 0,
          column: isBeside ? Math.max(0, across.first + column) : sought(across, left())} };

    // Restoring the position.
    const show = () => {
      const down = axis(0), across = axis(6), list = rows().children;
      const moved = (by, is, most) => by === undefined || is >= most - 1 ? 0 : is - by;
      const further = moved(at.top, el.scrollTop, el.scrollHeight - el.clientHeight);
      const aside = moved(at.left, left(), el.scrollWidth - el.clientWidth);
      if (!further && at.top <= 0 && at.row < 1) el.scrollTop = 0;
      else if (!further && at.isLast && down.first + down.shown === down.count || at.row >= down.count)
        el.scrollTop = el.scrollHeight;
      else {
        const same = at.id && document.getElementById(at.id), index = Math.floor(at.row) - down.first;
        const box = (same && rows().contains(same) ? same : list[index])?.getBoundingClientRect();
        if (box) el.scrollTop += box.top - edge()
          - (same && rows().contains(same) ? at.away : (Math.floor(at.row) - at.row) * box.height) + further }
      if (across.count && at.column >= across.first && at.column < across.first + across.shown)
        el.scrollLeft += way() * (side() + (at.column - across.first) * across.px + aside);
      at = see() };

    // Requesting rows.
    const firstFor = ({count, shown}, place) => {
      const step = Math.max(1, Math.floor(shown / 6));
      const least = Math.max(0, Math.floor(place) - Math.floor(shown / 3));
      return Math.max(0, Math.min(count - shown, least - least % step)) };
    const lacks = (it, place) => (it.first > 0 && place - it.first < it.shown / 6
        || it.first + it.shown < it.count && it.first + it.shown - place - it.view / it.px < it.shown / 6)
      && firstFor(it, place) !== it.first;
    const address = () => {
      const url = new URL(window.vestryNavigate.shown() + location.hash, location.href);
      if (at.isLast) url.searchParams.delete(el.id);
      else url.searchParams.set(el.id, Math.floor(at.row) + (axis(6).count ? '.' + Math.floor(at.column) : ''));
      return url.href };
    const ask = () => {
      clearTimeout(timer); timer = 0;
      if (!el.isConnected || isBusy) return;
      if (!lacks(axis(0), at.row) && !lacks(axis(6), at.column)) {
        timer = setTimeout(rest, 300); return }
      const early = asked + 60 - performance.now();
      if (early > 0) { timer = setTimeout(ask, early); return }
      asked = performance.now();
      isBusy = window.vestryNavigate(address(), 'window');
      if (!isBusy) timer = setTimeout(ask, 1000) };
    const rest = () => {
      timer = 0;
      if (!el.isConnected || isBusy || !el.isMoved) return;
      el.isMoved = !window.vestryNavigate(address(), 'place');
      if (el.isMoved) timer = setTimeout(rest, 1000) };
    const refocus = () => {
      if (held && !held.isConnected && document.activeElement === document.body) el.focus({preventScroll: true});
      if (held && !held.isConnected) held = null };
    let isBusy = false, timer = 0, asked = 0, held = null, at;

    // Listeners. The first position is that of the address, or the one that the browser restored with the document.
    el.look = () => {
      const now = see();
      if (Math.abs(now.row - at.row) * axis(0).px < 1 && now.column === at.column && now.isLast === at.isLast) return;
      at = now; el.isMoved = true;
      if (!timer || !isBusy) ask() };
    const changed = new MutationObserver(() => {
      if (!el.isConnected) return changed.disconnect();
      const row = Math.floor(at.row);
      refocus(); show();
      el.isMoved ||= row !== Math.floor(at.row);
      ask() });
    const navigated = (e) => {
      if (!el.isConnected) return removeEventListener('vestry-navigated', navigated);
      isBusy = false; if (e.detail.how !== 'window') begin(); ask() };
    const begin = () => {
      at = {isLast: isEnd() && !new URL(location.href).searchParams.has(el.id), row: axis(0).place, id: '', away: 0,
          column: axis(6).place};
      show() };
    const early = el.first, scrolled = early && (Math.abs(el.scrollTop - early[0]) > 1
        || Math.abs(el.scrollLeft - early[1]) > 1) && [el.scrollTop, el.scrollLeft];
    begin();
    if (scrolled) el.scrollTop = scrolled[0], el.scrollLeft = scrolled[1], el.look();
    let going;
    for (const type of ['wheel', 'pointerdown']) el.addEventListener(type, () => going = null, {passive: true});
    el.addEventListener('keydown', (e) => {
      const isStart = e.key === 'Home';
      going = null;
      if (!isStart && e.key !== 'End' || e.ctrlKey || e.altKey || e.metaKey || e.shiftKey || e.defaultPrevented
          || e.target.closest('input, textarea, select, [contenteditable]')) return;
      e.preventDefault();
      going = e;
      const until = performance.now() + 500;
      const go = (most) => {
        const off = isStart ? el.scrollTop : el.scrollHeight - el.clientHeight - el.scrollTop;
        if (going !== e || off > most || performance.now() > until) return;
        el.scrollTo({top: isStart ? 0 : el.scrollHeight, behavior: 'instant'});
        requestAnimationFrame(() => go(2 * el.clientHeight)) };
      go(Infinity) });
    el.addEventListener('focusin', (e) => held = e.target);
    el.addEventListener('focusout', (e) => queueMicrotask(() => { if (e.target.isConnected) held = null }));
    changed.observe(el, {attributes: true, attributeFilter: ['data-window'], childList: true, subtree: true});
    addEventListener('vestry-navigated', navigated);
    new ResizeObserver(() => { if (el.isConnected) show(), ask() }).observe(el) };
    el.look()
};
document.querySelectorAll('.vestry-window').forEach((one) => window.vestryWindow(one));
