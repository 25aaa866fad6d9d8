// SPDX-License-Identifier: MIT
// Keeps a reader's place in #messages. Who is at the end stays at the end, whatever comes; who reads above it keeps what
// they read where it is, whatever comes below or goes above; and who goes to another channel begins at its end.
function follow(room) {
  let channel, end = 0, tops = [];
  const keep = () => {
    const list = room.querySelector('#messages');
    if (!list) return;
    const at = list.scrollTop;
    const isElsewhere = channel !== room.dataset.channel;
    const mark = tops.find(([id, top]) => top >= at && document.getElementById(id)); // what was read, where it was
    if (isElsewhere || at >= end - 40) list.scrollTop = list.scrollHeight;
    else if (mark) list.scrollTop = at + document.getElementById(mark[0]).offsetTop - mark[1];
    channel = room.dataset.channel;
    end = list.scrollHeight - list.clientHeight;
    tops = Array.from(list.querySelectorAll('article'), (article) => [article.id, article.offsetTop]);
  };
  new MutationObserver(keep).observe(room, { childList: true, subtree: true, attributes: true, attributeFilter: ['data-channel', 'style', 'hidden'] });
  new ResizeObserver(keep).observe(room);
}
