// SPDX-License-Identifier: MIT
// The console. Text of users is inserted with textContent only, in an element with a separate text direction.
(() => {
  'use strict';
  const at = path => location.pathname.replace(/\/console$/, '') + path;
  const $ = id => document.getElementById(id);
  const number = new Intl.NumberFormat('en');
  const views = ['streams', 'channels', 'store', 'pages', 'cluster'];
  let view = 'streams', chosen = 0, connection = 0, gone = false, tail = null;
  let asking = false, again = false;

  function el(name, text, how) {
    const made = document.createElement(name);
    if (text !== undefined && text !== null) made.textContent = text;
    if (how) for (const [key, value] of Object.entries(how)) made.setAttribute(key, value);
    return made;
  }
  const foreign = text => el('bdi', text);
  const bytes = n => n < 1000 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : `${(n / 1e6).toFixed(1)} MB`;
  function time(ms) {
    if (ms === null) return 'never';
    const s = ms / 1000;
    return s < 10 ? `${s.toFixed(1)} s` : s < 120 ? `${Math.round(s)} s`
      : s < 7200 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
  }
  const span = ms => ms < 1000 ? `${ms.toFixed(ms < 10 ? 2 : 0)} ms` : time(ms);
  function fill(node, ...made) { node.replaceChildren(...made); }
  async function get(path) {
    const answer = await fetch(at(path), {headers: {Accept: 'application/json'}, cache: 'no-store'});
    if (answer.status === 404) return null;
    if (!answer.ok) throw new Error(answer.status === 403 ? 'not permitted' : (await answer.text()).trim() || answer.status);
    return answer.json();
  }
  function say(text, bad) {
    if ($('said').textContent === text) return;
    $('said').textContent = text;
    $('said').className = bad ? 'bad' : 'dim';
  }

  // ------------------------------------------------------------------------------------------------- tables
  // columns: [head, value(row) → text, number or element, class]. Rows keep their elements, and so the focus.
  function table(body, rows, columns, id) {
    const old = new Map([...body.rows].map(row => [row.dataset.id, row]));
    let place = body.firstElementChild;
    for (const row of rows) {
      const key = String(id(row));
      let tr = old.get(key);
      if (!tr) {
        tr = el('tr', null, {'data-id': key});
        for (const column of columns) tr.append(el('td', null, {class: column[2] || ''}));
      }
      old.delete(key);
      columns.forEach((column, i) => {
        const value = column[1](row, tr.cells[i]);
        if (value === undefined) return;
        const text = typeof value === 'number' ? number.format(value) : value;
        if (text instanceof Node) {
          if (tr.cells[i].textContent !== text.textContent) fill(tr.cells[i], text);
        } else if (tr.cells[i].textContent !== text) tr.cells[i].textContent = text;
      });
      if (tr === place) place = place.nextElementSibling;
      else body.insertBefore(tr, place);
    }
    for (const tr of old.values()) tr.remove();
  }
  function heads(holder, caption, columns) {
    let body = holder.querySelector('tbody');
    if (body) return body;
    const made = el('table'), head = el('tr');
    made.append(el('caption', caption, {class: 'dim'}));
    for (const column of columns) head.append(el('th', column[0], {scope: 'col', class: column[2] || ''}));
    made.append(el('thead'));
    made.tHead.append(head);
    body = el('tbody');
    made.append(body);
    const wide = el('div', null, {class: 'wide', tabindex: '0', role: 'region', 'aria-label': caption});
    wide.append(made);
    holder.append(wide);
    return body;
  }
  function facts(list, pairs) {
    fill(list, ...pairs.flatMap(([name, value]) => {
      const dd = el('dd');
      dd.append(value instanceof Node ? value : foreign(typeof value === 'number' ? number.format(value) : value));
      return [el('dt', name), dd];
    }));
  }

  // A listing by pages: the cursors of all pages up to the current one, and the query of its form.
  const LIMIT = 50;
  function listing(prefix, previous, next) {
    const self = {cursors: [''], next: null, isPart: () => $(prefix).value};
    self.query = more => {
      const query = new URLSearchParams({...more, limit: LIMIT}), cursor = self.cursors[self.cursors.length - 1];
      if ($(prefix).value) query.set('prefix', $(prefix).value);
      if (cursor) query.set('cursor', cursor);
      return query;
    };
    self.shown = (count, all, to, none) => {
      const first = (self.cursors.length - 1) * LIMIT;
      self.next = to;
      say(count ? `${number.format(first + 1)} to ${number.format(first + count)} of ${
        self.isPart() ? 'all matches' : number.format(all)}` : none);
      $(previous).disabled = self.cursors.length === 1;
      $(next).disabled = !to;
    };
    self.restart = () => {
      self.cursors = [''];
      refresh();
    };
    $(prefix).form.addEventListener('submit', event => event.preventDefault());
    $(prefix).addEventListener('input', self.restart);
    $(previous).addEventListener('click', () => { if (self.cursors.length > 1) self.cursors.pop(); refresh(); });
    $(next).addEventListener('click', () => { if (self.next) self.cursors.push(self.next); refresh(); });
    return self;
  }

  // ------------------------------------------------------------------------------------------------ streams
  function pick(s, cell) {
    if (cell.firstElementChild) return undefined;
    const button = el('button', `#${s.id}`, {type: 'button'});
    button.addEventListener('click', () => choose(s.id));
    return button;
  }
  const named = s => s.console ? 'a console' : s.key + (s.key_cut ? '…' : '');
  const columns = [
    ['stream', pick],
    ['key', s => foreign(named(s)), 'k'],
    ['page', s => foreign(s.path || ''), 'k'], // a page's stream may have no key
    ['age', s => time(s.age_ms), 'n'],
    ['queued', s => bytes(s.queued_bytes), 'n'],
    ['sent', s => bytes(s.wire_bytes), 'n'],
    ['events', s => s.written_count, 'n m'],
    ['scope', s => s.scope, 'm'],
    ['connection', s => s.connection ? `#${s.connection}` : '', 'n m'],
  ['state', s => s.waits_for ? `${s.state}, waits` : s.state, 'm'],
  ];
  const open = listing('prefix', 'previous', 'next');
  open.isPart = () => $('prefix').value || connection;
  // List only the streams of a connection of HTTP/2; 0: all.
  function share(id) {
    connection = id;
    $('shared').hidden = !id;
    $('shared').textContent = `all streams, not only those of connection #${id}`;
    open.restart();
  }
  async function showStreams() {
    const got = await get(`/streams?${open.query({sort: $('order').value, ...(connection ? {connection} : {})})}`);
    table(heads($('streams'), 'open streams', columns), got.streams, columns, s => s.id);
    mark();
    open.shown(got.streams.length, got.open_count, got.next, 'no streams');
  }
  function mark() {
    for (const row of $('streams').querySelectorAll('tbody tr'))
      row.setAttribute('aria-current', String(Number(row.dataset.id) === chosen));
  }

  // ---------------------------------------------------------------------------------------------- one stream
  async function showOne() {
    if (!chosen || gone) return;
    const id = chosen, s = await get(`/streams/${id}`);
    if (id !== chosen) return;
    if (!s) {
      gone = true;
      $('state').textContent = 'the stream has ended, and its data is not stored any more';
      return;
    }
    if (s.state === 'closed') {
      gone = true;
      $('state').textContent = `closed: ${s.cause}`;
      facts($('facts'), [['key', named(s) || 'none'], ['scope', s.scope || 'none'], ['age', time(s.age_ms)],
        ['ended', `${time(s.ago_ms)} ago`], ['adapter', s.adapter], ['coding', s.coding], ['written', s.written_count],
        ['conflated', s.conflated_count], ['refused', s.refused_count],
        ['lost', `${number.format(s.discarded_count)} events, ${bytes(s.discarded_bytes)}`],
        ['sent', `${bytes(s.wire_bytes)} for ${bytes(s.written_bytes)}`], ['last error', s.last_error || 'none']]);
      return;
    }
    $('state').textContent = s.cause ? `${s.state}, ${s.cause}` : s.state;
    facts($('facts'), [
      ['key', named(s) || 'none'], ['keys', s.keys_count], ['scope', s.scope || 'none'], ['age', time(s.age_ms)],
      ['adapter', s.adapter], ['coding', `${s.coding}, ${s.ratio.toFixed(2)} to 1`],
      ['queued', `${number.format(s.queued_count)} events, ${bytes(s.queued_bytes)}`],
      ['accepted', s.accepted_count], ['written', s.written_count], ['conflated', s.conflated_count],
      ['refused', s.refused_count], ['discarded', s.discarded_count],
      ['sent', `${bytes(s.wire_bytes)} for ${bytes(s.written_bytes)}`],
      ['last write', s.last_write_ms === null ? 'never' : `${time(s.last_write_ms)} ago`],
      ['not acknowledged', s.unacknowledged_bytes === null ? 'unknown' : bytes(s.unacknowledged_bytes)],
      ['last error', s.last_error || 'none'],
      ...(s.connection === undefined ? [] : [
        ['connection', siblings(s)],
        ['windows', `${bytes(s.stream_window_bytes)} of the stream, ${bytes(s.connection_window_bytes)} of the connection`],
        ['not sent', `${bytes(s.unsent_bytes)}${s.waits_for ? `: waits for ${reasons[s.waits_for]}` : ''}`]]),
      ...(s.path === undefined ? [] : [['page', s.path], ['topics', `${s.topics.join(', ')}${
        s.topics_count > s.topics.length ? ` and ${s.topics_count - s.topics.length} more` : ''}`]]),
    ]);
  }
  // HTTP/2: the connection that carries the stream, and a button that lists all streams of it.
  const reasons = {
    'stream window': 'its client to read this stream',
    'connection window': 'its client to read any of the connection\'s streams',
    socket: 'the network, or the client\'s machine',
  };
  function siblings(s) {
    const made = el('span'), button = el('button', 'list them', {type: 'button'});
    button.addEventListener('click', () => share(s.connection));
    made.append(`#${s.connection}, with ${number.format(s.connection_streams_count)} streams and requests `, button);
    return made;
  }
  function choose(id) {
    stop();
    chosen = id;
    gone = false;
    fill($('tail'));
    $('state').textContent = '';
    $('title').textContent = `stream #${id}`;
    $('one').hidden = false;
    mark();
    refresh();
    $('title').focus();
  }
  function add(text, name) {
    const li = el('li'), pre = el('pre');
    pre.append(foreign(text));
    li.append(el('span', `${new Date().toLocaleTimeString('en-GB')} ${name}`, {class: 'dim'}), pre);
    const list = $('tail'), follows = list.scrollTop + list.clientHeight >= list.scrollHeight - 8;
    list.append(li);
    while (list.childElementCount > 200) list.firstElementChild.remove();
    if (follows) list.scrollTop = list.scrollHeight;
  }
  function stop() {
    if (tail) tail.close();
    tail = null;
    $('watch').setAttribute('aria-pressed', 'false');
  }
  function watch() {
    if (tail) return stop();
    const source = tail = new EventSource(at(`/streams/${chosen}/tail`));
    $('watch').setAttribute('aria-pressed', 'true');
    const on = (name, fn) => source.addEventListener(name, event => fn(JSON.parse(event.data)));
    on('begin', () => add('', 'the tail begins'));
    on('event', e => add(e.text, `${bytes(e.bytes)}${e.written ? '' : ', not written'}${e.cut ? ', cut' : ''}`));
    on('left-out', e => add('', `${number.format(e.count)} events were left out`));
    on('end', e => {
      stop();
      const why = e.why === 'time' ? 'the tail has ended after five minutes' : `the stream has ended: ${e.cause}`;
      add('', why);
    });
    source.addEventListener('error', () => {
      if (source !== tail) return;
      stop();
      add('', 'no tail: not permitted, too many tails, or the stream has ended, or is a tail or a console');
    });
  }

  // ------------------------------------------------------------------------------------------- other views
  const counted = [['cause', r => r[0]], ['last hour', r => r[1], 'n'], ['total', r => r[2], 'n']];
  const left = [['cause', r => r[0]], ['count', r => r[1], 'n']];
  const unused = r => r.unused_ms === null ? 'longer' : `at most ${time(r.unused_ms)}`;
  const aged = [['unused time', unused], ['entries', r => r.count, 'n']];
  function median(ages) {
    let before = ages.reduce((sum, r) => sum + r.count, 0) / 2;
    return ages.find(r => (before -= r.count) <= 0);
  }
  const ended = [['stream', pick], ['key', r => foreign(named(r)), 'k'], ['cause', r => r.cause], ['ago', r => time(r.ago_ms), 'n'],
    ['age', r => time(r.age_ms), 'n'], ['lost', r => `${number.format(r.discarded_count)}, ${bytes(r.discarded_bytes)}`, 'n']];
  async function showStore() {
    const all = $('consoles').checked;
    const [s, c] = await Promise.all([get('/store'), get(`/closed?limit=50${all ? '' : '&consoles=no'}`)]);
    const sum = counts => Object.values(counts).reduce((a, b) => a + b, 0);
    const less = (of, own, cause) => Math.max(0, (of[cause] || 0) - (all ? 0 : own[cause] || 0));
    const causes = Object.keys(s.streams_closed).map(cause =>
      [cause, less(c.last_hour, c.last_hour_consoles, cause), less(s.streams_closed, c.all_consoles, cause)]);
    if (!all) causes.push(['consoles and tails', sum(c.last_hour_consoles), sum(c.all_consoles)]);
    facts($('stored'), [['entries', s.entries_count], ['maximum', s.max_count || 'the default'], ['put', s.put_count],
      ['found', s.hits_count], ['not found', s.misses_count], ['histories', s.histories_count], ['evicted', s.removed.size || 0],
      ['median unused time', s.evictions.length ? unused(median(s.evictions)) : 'unknown']]);
    table(heads($('evicted'), 'evicted entries by unused time, one in 16', aged), s.evictions, aged, r => r.unused_ms);
    table(heads($('closed'), 'ended streams, by cause', counted), causes.filter(r => r[2]), counted, r => r[0]);
    table(heads($('last'), 'the last ended streams', ended), c.closed, ended, r => r.number);
    table(heads($('removed'), 'entries removed from the store, by cause', left), Object.entries(s.removed), left, r => r[0]);
  }
  const channel = [
    ['key', c => foreign(named(c)), 'k'],
    ['members', c => c.members_count, 'n'],
    ['published', c => c.published_count, 'n'],
    ['accepted', c => c.accepted_count, 'n m'],
    ['refused', c => c.refused_count, 'n m'],
    ['encoded once', c => c.encodes_count, 'n m'], // for all members of one encoding that are in sync
    ['before', c => bytes(c.plain_bytes), 'n m'],
    ['after', c => bytes(c.encoded_bytes), 'n m'],
    ['ratio', c => c.ratio ? `${c.ratio.toFixed(1)} to 1` : '', 'n'],
    ['history', c => c.history ? `${number.format(c.kept_count)}, ${bytes(c.kept_bytes)}` : '', 'n'],
    ['scope', c => c.scope, 'm'],
  ];
  const live = listing('channels-prefix', 'channels-previous', 'channels-next');
  async function showChannels() {
    const got = await get(`/channels?${live.query()}`);
    table(heads($('channels'), 'channels', channel), got.channels, channel, c => c.number);
    facts($('channels-counts'), [['channels', got.live_count], ['created', got.made_count], ['ended', got.ended_count],
      ['refused (maximum)', got.refused_count]]);
    live.shown(got.channels.length, got.live_count, got.next, 'no channels');
  }
  const rendered = [
    ['page', p => foreign(p.path === null ? 'all other pages' : p.path || 'no path'), 'k'],
    ['part', p => foreign(p.part || ''), 'k'],
    ['streams', p => p.streams_count, 'n'],
    ['last minute', p => p.renders_minute_count, 'n'],
    ['unchanged', p => p.unchanged_minute_count, 'n'],
    ['renders', p => p.renders_count, 'n'],
    ['in handler', p => span(p.handler_ms), 'n'],
    ['longest', p => span(p.handler_longest_ms), 'n'],
    ['sent', p => bytes(p.sent_bytes), 'n'],
    ['last reason', p => foreign(p.refreshed_by || ''), 'k'],
    ['last reason, unchanged', p => foreign(p.unchanged_by || ''), 'k'],
  ];
  async function showPages() {
    const got = await get('/pages?sort=unchanged&limit=100');
    table(heads($('rendered'), 'pages and parts, most unchanged renders first', rendered), got.pages, rendered,
      p => `${p.path} ${p.part}`);
  }
  const member = [['node', m => foreign(m.node)], ['state', m => m.state], ['gaps', m => m.gaps_count, 'n'],
    ['lost', m => m.lost_count, 'n'], ['last gap', m => m.gap_ago_ms === null ? 'none' : `${time(m.gap_ago_ms)} ago`, 'n']];
  async function showCluster() {
    const c = await get('/cluster');
    table(heads($('members'), 'members, this node first', member), c.members, member, m => m.node);
    facts($('told'), c.members.length ? [['alive', c.alive_count], ['keys not known completely', c.unsynced_count],
      ['keys on this node', c.keys_count], ['keys on other nodes', c.others_keys_count], ['gaps', c.gaps_count],
      ['messages lost in them', c.lost_count], ['sent', c.sent_count], ['received', c.received_count]]
      : [['cluster', 'none']]);
  }
  const shows = {
    streams: showStreams, channels: showChannels, store: showStore, pages: showPages, cluster: showCluster,
  };

  // --------------------------------------------------------------------------------------------------- live
  // Load the current view. Calls during a load cause one more load.
  async function refresh() {
    if (asking) return void (again = true);
    asking = true;
    do {
      again = false;
      try {
        await shows[view]();
        await showOne();
      } catch (error) {
        say(String(error.message), true);
      }
    } while (again);
    asking = false;
  }
  function turn(name) {
    view = name;
    for (const tab of views) {
      $(`tab-${tab}`).setAttribute('aria-selected', String(tab === name));
      $(`tab-${tab}`).tabIndex = tab === name ? 0 : -1;
      $(`view-${tab}`).hidden = tab !== name;
    }
    say('');
    refresh();
  }
  function link(text, lost) {
    $('link').textContent = text;
    $('link').className = lost ? 'lost' : '';
  }
  const source = new EventSource(at('/console/events'));
  source.addEventListener('open', () => link('live'));
  source.addEventListener('error', () => {
    link('no connection', true);
    if (source.readyState === EventSource.CLOSED) link('no connection: load this page again', true);
  });
  source.addEventListener('now', event => {
    const now = JSON.parse(event.data);
    link('live');
    facts($('sums'), [['open', now.open_count], ['opened', now.opened_count], ['queued', bytes(now.queued_bytes)],
      ['events', now.written_count], ['refused', now.refused_count]]);
    if (document.visibilityState === 'visible') refresh();
  });

  $('shared').addEventListener('click', () => { share(0); $('prefix').focus(); });
  $('order').addEventListener('change', open.restart);
  $('consoles').addEventListener('change', refresh);
  $('watch').addEventListener('click', watch);
  $('leave').addEventListener('click', () => {
    stop();
    const row = $('streams').querySelector('[aria-current=true] button');
    chosen = 0;
    $('one').hidden = true;
    mark();
    (row || $('prefix')).focus();
  });
  for (const [i, name] of views.entries()) {
    $(`tab-${name}`).addEventListener('click', () => turn(name));
    $(`tab-${name}`).addEventListener('keydown', event => {
      const step = {ArrowRight: 1, ArrowLeft: views.length - 1}[event.key];
      if (!step) return;
      const to = views[(i + step) % views.length];
      turn(to);
      $(`tab-${to}`).focus();
    });
  }
  turn(views.find(name => location.hash === `#${name}`) || 'streams'); // the address can select a view
})();
