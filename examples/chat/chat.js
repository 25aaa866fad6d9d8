// SPDX-License-Identifier: MIT
// The newest message of each channel that this tab has shown: {"c7": 41}. What comes while the tab is on its way to
// another channel was not seen.
const newestShown = {};
const shown = () => ({ ...newestShown });

// Keeps a reader's place in #messages. Who is at the end stays at the end, whatever comes; who reads above it keeps what
// they read where it is, whatever comes below or goes above, and is told how much is new below; who goes to another
// channel begins at its end, or where there is something new for them. What came before they looked is under a line.
function follow(room) {
  const down = () => room.querySelector('#down');
  const number = (article) => Number(article.id.split('-')[1]);
  // Of its text: whether a message has a head depends on those before it.
  const textTop = (list, article) =>
    article.querySelector('p').getBoundingClientRect().top - list.getBoundingClientRect().top + list.scrollTop;
  const isAtEnd = (list) => list.scrollTop >= list.scrollHeight - list.clientHeight - 40;
  let channel, end = 0, tops = [], read = 0, first = 0; // read: the newest that was at the end; first: the first new one
  let come, from = 0; // the channel, and how far its messages were read when this tab came to it
  let dropped = null;
  let gone = Infinity; // the newest one when the tab was hidden: what comes then is new
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
    if (!list?.firstElementChild.firstElementChild) return; // the messages come after what is around them
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
    const mark = tops.find(([id, top]) => top >= at && document.getElementById(id)); // what was read, where it was
    const begin = list.querySelector('[data-new]');
    if (isElsewhere) list.scrollTop = begin ? begin.offsetTop - 16 : list.scrollHeight;
    else if (at >= end - 40) list.scrollTop = list.scrollHeight;
    else if (mark) list.scrollTop = at + Math.round(textTop(list, document.getElementById(mark[0])) - mark[1]);
    else if (tops.length && !tops.some(([id]) => document.getElementById(id))) list.scrollTop = list.scrollHeight; // others
    channel = room.dataset.channel;
    end = list.scrollHeight - list.clientHeight;
    tops = articles.map((article) => [article.id, textTop(list, article)]);
    if (dropped && !document.getElementById(dropped.id)) { // its button had the focus
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
    if (target.name === 'drop') {
      const { id } = target.closest('article'), ids = Array.from(room.querySelectorAll('article'), (article) => article.id);
      dropped = { id, near: [ids[ids.indexOf(id) + 1], ids[ids.indexOf(id) - 1]] };
    }
    if (target !== down()) return;
    const list = room.querySelector('#messages');
    list.scrollTop = list.scrollHeight;
    room.querySelector('#composer textarea')?.focus();
  });
}

// The focus goes to a message, or to where one writes.
function focusMessage(id) {
  const article = id && document.getElementById(id);
  if (article) article.focus({ preventScroll: true });
  else if (!focusComposer()) setTimeout(focusComposer); // an editor is about to give its place back
}
// At once, where it can be: what is typed next belongs there.
function focusComposer() {
  const field = document.querySelector('#composer textarea');
  field?.focus();
  return field === document.activeElement;
}

// So many messages are unread in the other channels.
function unreadOf(channel, last, seen) {
  let count = 0;
  for (const of of Object.keys(seen)) if (of !== `c${channel}`) count += Math.max(0, (last[of] ?? 0) - seen[of]);
  return count;
}
function titleOf(name, channel, last, seen) {
  const count = unreadOf(channel, last, seen);
  return `#${name}${count ? ` (${count})` : ''}`;
}

// Keys of an input method. Safari reports the key that ends a composition by its code alone.
function isOfComposition(event) {
  return event.isComposing || event.keyCode === 229;
}
// Enter sends what a field has, Shift and Enter are a new line; where one types on glass, which has no Shift at hand, so
// is Enter.
function sendAtEnter(event) {
  if (event.key !== 'Enter' || event.shiftKey || isOfComposition(event) || matchMedia('(pointer: coarse)').matches) return;
  event.preventDefault();
  event.target.form.requestSubmit();
}

// What was sent and is not among the messages yet stands below them. It is seen in the order in which it was sent: so
// it is the last ones, as many as the page counts.
const sent = [];
function noteSent(channel, text) {
  sent.push({ channel, text });
}
// What was refused is not tried again, and has failed at once.
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
