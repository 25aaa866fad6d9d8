/* SPDX-License-Identifier: MIT */
/* essay: a scroll bar over rows that are not there */
/* What is seen is kept as `at`: which row is at the upper edge, as a number with a fraction, and which column; and of a
 * row that is there its id, and how far it is from the edge. When the window has changed, it is scrolled so that `at`
 * is seen again: by the id, for rows may have come in above it; or else by the numbers. So rows may have any height,
 * and the spacers need not be right. What was scrolled since, and not heard yet, is added; what the browser has cut off
 * at the end is none of it.
 *
 * Scrolled to rows that are not there, the place is to the list what the scroll bar is to its way. This is exact where
 * the spacers are, and also at both ends of a scaled one.
 *
 * The window is asked for when less than a sixth of what is rendered is left before an edge of it, and if another one
 * would come of it: the server rounds by the same rule (window.c). One navigation at a time: what is asked for next is
 * decided when it is done, by what is seen then. Browsers refuse changes of the address that come too fast, so 60 ms
 * lie between two. Once scrolling has rested, the address gets the exact place, and nothing is asked for.
 *
 * A list may become shorter than where its reader is: its end is shown then. A row that has the focus may leave the
 * window: the element gets the focus, so that the keys go on scrolling it. Home and End jump: browsers scroll there
 * smoothly, and end that in the middle when rows have come and the element is scrolled to show the same ones. For half
 * a second, since another smooth scroll may be under way, whose last steps come later;
 * they are smaller than what a script scrolls.
 *
 * All of it is a function that the stream's element makes: a window comes with each step of a scroll, and does not
 * bring the function again. `data-init` calls it; or the stream's element does, for windows that were there before.
 * But a document's first frame comes before the client: so a few lines after the content show the place
 * (vsi_window_put_first). What has been scrolled between these and the function is kept, as what was scrolled later. */
#include "app/page/page_script.h"

/* Numbers of both directions, and what is seen. */
static const char geometry[] =
    "if (!el.look) {"
    " const numbers = () => el.dataset.window.split(' ').map(Number);"
    " const axis = (from) => {"
    " const [first, shown, count, px, extent, place] = numbers().slice(from);"
    " return {first, shown, count, px, extent, place, view: from ? el.clientWidth : el.clientHeight} };"
    " const isEnd = () => numbers()[12] === 1;"
    " const rows = () => el.querySelector(':scope > .vestry-window-rows > div');"
    " const sought = (it, by) => it.count && Math.max(0, Math.min(it.count - it.view / it.px,"
    " by / Math.max(1, it.extent - it.view) * (it.count - it.view / it.px)));"
    " const edge = () => el.getBoundingClientRect().top + el.clientTop;"
    " const side = () => rows().getBoundingClientRect().left - el.getBoundingClientRect().left - el.clientLeft;"
    " const isLast = () => isEnd() && el.scrollTop + el.clientHeight >= el.scrollHeight - 2;"
    " const see = () => {"
    " const down = axis(0), across = axis(6), list = [...rows().children], top = edge();"
    " let low = 0, high = list.length;"
    " while (low < high) {"
    " const middle = low + high >> 1;"
    " if (list[middle].getBoundingClientRect().bottom > top) high = middle; else low = middle + 1 }"
    " const box = list[low]?.getBoundingClientRect(), left = -side() / across.px;"
    " const isHere = box && (box.top <= top || low === 0 && box.top < top + down.view);"
    " const isBeside = left > -across.view / across.px && left < across.shown;"
    " return {isLast: isLast(), top: el.scrollTop, left: el.scrollLeft,"
    " row: isHere ? down.first + low + (top - box.top) / box.height : sought(down, el.scrollTop),"
    " id: isHere ? list[low].id : '', away: isHere ? box.top - top : 0,"
    " column: isBeside ? Math.max(0, across.first + left) : sought(across, el.scrollLeft)} };";

/* To see again what was seen. */
static const char returns[] =
    " const show = () => {"
    " const down = axis(0), across = axis(6), list = rows().children;"
    " const moved = (by, is, most) => by === undefined || is >= most - 1 ? 0 : is - by;"
    " const further = moved(at.top, el.scrollTop, el.scrollHeight - el.clientHeight);"
    " const aside = moved(at.left, el.scrollLeft, el.scrollWidth - el.clientWidth);"
    " if (!further && at.isLast && down.first + down.shown === down.count || at.row >= down.count)"
    " el.scrollTop = el.scrollHeight;"
    " else {"
    " const same = at.id && document.getElementById(at.id), index = Math.floor(at.row) - down.first;"
    " const box = (same && rows().contains(same) ? same : list[index])?.getBoundingClientRect();"
    " if (box) el.scrollTop += box.top - edge()"
    " - (same && rows().contains(same) ? at.away : (Math.floor(at.row) - at.row) * box.height) + further }"
    " if (across.count && at.column >= across.first && at.column < across.first + across.shown)"
    " el.scrollLeft += side() + (at.column - across.first) * across.px + aside;"
    " at = see() };";

/* To ask for what is to be seen. */
static const char asks[] =
    " const firstFor = ({count, shown}, place) => {"
    " const step = Math.max(1, Math.floor(shown / 6));"
    " const least = Math.max(0, Math.floor(place) - Math.floor(shown / 3));"
    " return Math.max(0, Math.min(count - shown, least - least %% step)) };"
    " const lacks = (it, place) => (it.first > 0 && place - it.first < it.shown / 6"
    " || it.first + it.shown < it.count && it.first + it.shown - place - it.view / it.px < it.shown / 6)"
    " && firstFor(it, place) !== it.first;"
    " const address = () => {"
    " const url = new URL(location.href);"
    " if (at.isLast) url.searchParams.delete(el.id);"
    " else url.searchParams.set(el.id, Math.floor(at.row) + (axis(6).count ? '.' + Math.floor(at.column) : ''));"
    " return url.href };"
    " const ask = () => {"
    " clearTimeout(timer); timer = 0;"
    " if (!el.isConnected || isBusy) return;"
    " if (!lacks(axis(0), at.row) && !lacks(axis(6), at.column)) {"
    " timer = setTimeout(rest, 300); return }"
    " const early = asked + 60 - performance.now();"
    " if (early > 0) { timer = setTimeout(ask, early); return }"
    " asked = performance.now();"
    " isBusy = !!window.vestryNavigate?.(address(), 'window');"
    " if (!isBusy) timer = setTimeout(ask, 1000) };"
    " const rest = () => {"
    " timer = 0;"
    " if (el.isConnected && !isBusy && el.isMoved) el.isMoved = false, window.vestryNavigate?.(address(), 'place') };"
    " const refocus = () => {"
    " if (held && !held.isConnected && document.activeElement === document.body) el.focus({preventScroll: true});"
    " if (held && !held.isConnected) held = null };"
    " let isBusy = false, timer = 0, asked = 0, held = null, at;";

/* What is heard. The first place is the address's, or what the browser has brought back with the document. */
static const char hears[] =
    " el.look = () => {"
    " const now = see();"
    " if (Math.abs(now.row - at.row) * axis(0).px < 1 && now.column === at.column && now.isLast === at.isLast) return;"
    " at = now; el.isMoved = true;"
    " if (!timer || !isBusy) ask() };"
    " const changed = new MutationObserver(() => el.isConnected ? (refocus(), show(), ask()) : changed.disconnect());"
    " const navigated = (e) => {"
    " if (!el.isConnected) return removeEventListener('vestry-navigated', navigated);"
    " isBusy = false; if (e.detail.how !== 'window') begin(); ask() };"
    " const begin = () => {"
    " at = {isLast: isEnd() && !new URL(location.href).searchParams.has(el.id), row: axis(0).place, id: '', away: 0,"
    " column: axis(6).place};"
    " show() };"
    " const early = el.first, scrolled = early && (Math.abs(el.scrollTop - early[0]) > 1"
    " || Math.abs(el.scrollLeft - early[1]) > 1) && [el.scrollTop, el.scrollLeft];"
    " begin();"
    " if (scrolled) el.scrollTop = scrolled[0], el.scrollLeft = scrolled[1], el.look();"
    " let going;"
    " for (const type of ['wheel', 'pointerdown']) el.addEventListener(type, () => going = null, {passive: true});"
    " el.addEventListener('keydown', (e) => {"
    " const isStart = e.key === 'Home';"
    " going = null;"
    " if (!isStart && e.key !== 'End' || e.ctrlKey || e.altKey || e.metaKey || e.shiftKey || e.defaultPrevented"
    " || e.target.closest('input, textarea, select, [contenteditable]')) return;"
    " e.preventDefault();"
    " going = e;"
    " const until = performance.now() + 500;"
    " const go = (most) => {"
    " const off = isStart ? el.scrollTop : el.scrollHeight - el.clientHeight - el.scrollTop;"
    " if (going !== e || off > most || performance.now() > until) return;"
    " el.scrollTo({top: isStart ? 0 : el.scrollHeight, behavior: 'instant'});"
    " requestAnimationFrame(() => go(2 * el.clientHeight)) };"
    " go(Infinity) });"
    " el.addEventListener('focusin', (e) => held = e.target);"
    " el.addEventListener('focusout', (e) => queueMicrotask(() => { if (e.target.isConnected) held = null }));"
    " changed.observe(el, {attributes: true, attributeFilter: ['data-window'], childList: true, subtree: true});"
    " addEventListener('vestry-navigated', navigated);"
    " new ResizeObserver(() => { if (el.isConnected) show(), ask() }).observe(el) };"
    " el.look()";

void vsi_window_put_attributes(vestry_html *html) {
  vestry_html_add(html, " data-on:scroll=\"el.look?.()\" data-init=\"window.vestryWindow?.(el)\"");
}

void vsi_window_put_script(vestry_html *html) {
  vestry_html_add(html, " window.vestryWindow = (el) => { ");
  vestry_html_add(html, geometry);
  vestry_html_add(html, returns);
  vestry_html_add(html, asks);
  vestry_html_add(html, hears);
  vestry_html_add(html, " };"
                        " document.querySelectorAll('.vestry-window').forEach((one) => window.vestryWindow(one));");
}

/* The same place as begin's. */
static const char first_frame[] =
    "for (const el of document.querySelectorAll('.vestry-window')) {"
    "const [first, , , , , place, column, , columns, px, , across, isEnd] = el.dataset.window.split(' ').map(Number),"
    " rows = el.querySelector('.vestry-window-rows > div'), row = rows.children[place - first],"
    " box = el.getBoundingClientRect();"
    "if (isEnd && !new URLSearchParams(location.search).has(el.id)) el.scrollTop = el.scrollHeight;"
    "else if (row) el.scrollTop += row.getBoundingClientRect().top - box.top - el.clientTop;"
    "if (columns) el.scrollLeft += rows.getBoundingClientRect().left - box.left - el.clientLeft"
    " + (across - column) * px;"
    "el.first = [el.scrollTop, el.scrollLeft]}";

vestry_err vsi_window_put_first(vestry_html *html, const char *nonce) {
  if (*nonce)
    vestry_html_add(html, "<script nonce=\"%s\">", nonce);
  else
    vestry_html_add(html, "<script>");
  return vestry_html_add(html, "%-s</script>", first_frame);
}
