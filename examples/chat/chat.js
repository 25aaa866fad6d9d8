// SPDX-License-Identifier: MIT
// The newest message of each channel that this tab has shown: {"c7": 41}. Messages that arrive while the tab navigates to
// another channel do not count as shown.
const newestShown = {};
const shown = () => ({ ...newestShown });

// Keeps the scroll position in #messages:
// - at the end, the position stays at the end when messages arrive;
// - above the end, the visible messages stay in place when others are added or removed, and a button shows the number of
//   new messages below;
// - in another channel, the position begins at the first unread message, or at the end.
// A line separates messages that arrived before the user looked.
function follow(room) {
  const down = () => room.querySelector('#down');
  const number = (article) => Number(article.id.split('-')[1]);
  // The position of the text: whether a message has a header depends on the messages before it.
  const textTop = (list, article) =>
    article.querySelector('p').getBoundingClientRect().top - list.getBoundingClientRect().top + list.scrollTop;
  const isAtEnd = (list) => list.scrollTop >= list.scrollHeight - list.clientHeight - 40;
  let channel, end = 0, tops = [], read = 0, first = 0; // read: the newest message shown at the end; first: the first new message
  let come, from = 0; // the channel, and its read position when this tab arrived
  let dropped = null;
  let gone = Infinity; // the newest message when the tab was hidden; later ones are new
  const look = () => {
    const list = room.querySelector('#messages'), button = down();
    if (!list || !button) return;
    const articles = [...list.querySelectorAll('article')];
    if (isAtEnd(list)) read = number(articles.at(-1) ?? { id: '-0' });
    const count = articles.filter((article) => number(article) > read).length;
    const text = count ? `${count} new \u2193` : '';
    if (button.textContent !== text) button.textContent = text;
    if (button.hidden !== !count) button.hidden = !count;
  };
  const keep = () => {
    const list = room.querySelector('#messages');
    if (come !== room.dataset.channel) come = room.dataset.channel, from = Number(room.dataset.from);
    if (!list?.firstElementChild.firstElementChild) return; // the messages arrive after their surroundings
    let day; // of the reader's zone
    for (const heading of list.querySelectorAll('h2')) {
      const own = new Date(heading.firstChild.dateTime).toDateString();
      if (heading.hidden !== (own === day)) heading.hidden = own === day;
      day = own;
    }
    const at = list.scrollTop;
    const isElsewhere = channel !== room.dataset.channel;
    const articles = [...list.querySelectorAll('article')];
    const newest = number(articles.at(-1) ?? { id: '-0' });
    const name = `c${room.dataset.channel}`;
    if (newest && !document.hidden) newestShown[name] = Math.max(newest, newestShown[name] ?? 0);
    if (isElsewhere) {
      read = from;
      first = newest > read ? number(articles.find((article) => number(article) > read)) : 0;
    } else if (!first && newest > gone) first = number(articles.find((article) => number(article) > gone));
    for (const article of articles)
      if (article.hasAttribute('data-new') !== (number(article) === first)) article.toggleAttribute('data-new');
    const mark = tops.find(([id, top]) => top >= at && document.getElementById(id)); // a message that was visible, with its position
    const begin = list.querySelector('[data-new]');
    if (isElsewhere) list.scrollTop = begin ? begin.offsetTop - 16 : list.scrollHeight;
    else if (at >= end - 40) list.scrollTop = list.scrollHeight;
    else if (mark) list.scrollTop = at + Math.round(textTop(list, document.getElementById(mark[0])) - mark[1]);
    else if (tops.length && !tops.some(([id]) => document.getElementById(id))) list.scrollTop = list.scrollHeight; // the list shows other messages
    channel = room.dataset.channel;
    end = list.scrollHeight - list.clientHeight;
    tops = articles.map((article) => [article.id, textTop(list, article)]);
    if (dropped && !document.getElementById(dropped.id)) { // the button of the deleted message had the focus
      if (document.activeElement === document.body) focusMessage(dropped.near.find((id) => document.getElementById(id)));
      dropped = null;
    }
    look();
  };
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) gone = Math.max(0, ...[...room.querySelectorAll('article')].map(number)), first = 0;
    else gone = Infinity;
  });
  new MutationObserver(keep).observe(room, { childList: true, subtree: true, attributes: true, attributeFilter: ['data-channel', 'data-new', 'style', 'hidden'] });
  new ResizeObserver(keep).observe(room);
  keep();
  room.addEventListener('scroll', look, true);
  room.addEventListener('click', ({ target }) => {
    if (target.dataset.press) { // the button deletes its message
      const { id } = target.closest('article'), ids = Array.from(room.querySelectorAll('article'), (article) => article.id);
      dropped = { id, near: [ids[ids.indexOf(id) + 1], ids[ids.indexOf(id) - 1]] };
    }
    if (target !== down()) return;
    const list = room.querySelector('#messages');
    list.scrollTop = list.scrollHeight;
    room.querySelector('#composer textarea')?.focus();
  });
}

// Focus a message, or the field for a new one.
function focusMessage(id) {
  const article = id && document.getElementById(id);
  if (article) article.focus({ preventScroll: true });
  else if (!focusComposer()) setTimeout(focusComposer); // the editor is about to be replaced by the composer
}
// Focus the field at once if it exists, so that the next key goes there.
function focusComposer() {
  const field = document.querySelector('#composer textarea');
  field?.focus();
  return field === document.activeElement;
}

// Return the number of unread messages in the other channels.
function unreadOf(channel, last, seen) {
  let count = 0;
  for (const of of Object.keys(seen)) if (of !== `c${channel}`) count += Math.max(0, (last[of] ?? 0) - seen[of]);
  return count;
}
function titleOf(name, channel, last, seen) {
  const count = unreadOf(channel, last, seen);
  return `#${name}${count ? ` (${count})` : ''}`;
}

// Return whether a key belongs to an input method. Safari reports the key that ends a composition only by its code.
function isOfComposition(event) {
  return event.isComposing || event.keyCode === 229;
}
// Enter sends the text of a field, and Shift with Enter is a new line. On a touch screen, where Shift is hard to reach,
// Enter is a new line, too.
function sendAtEnter(event) {
  if (event.key !== 'Enter' || event.shiftKey || isOfComposition(event) || matchMedia('(pointer: coarse)').matches) return;
  event.preventDefault();
  event.target.form.requestSubmit();
}

// Sent messages that are not among the messages yet are shown below them. Messages appear in the order in which they
// were sent, so these are the last ones; the page counts them.
const sent = [];
function noteSent(channel, text) {
  sent.push({ channel, text });
}
// A rejected message is not repeated, and fails at once.
function giveUp(form) {
  setTimeout(() => {
    document.dispatchEvent(new CustomEvent('datastar-fetch', { detail: { type: 'retries-failed', el: form, argsRaw: {} } }));
    form.once.requestCancellation.abort();
  });
}
function showSending(list, channel, count) {
  sent.splice(0, sent.length - count);
  list.replaceChildren(...sent.filter((one) => one.channel === channel).map(({ text }) => {
    const line = document.createElement('li');
    line.dir = 'auto';
    line.textContent = text;
    return line;
  }));
}
