// SPDX-License-Identifier: MIT
// Sends the forms of a document that contain files, and shows their progress. view.c explains it, and calls the
// function with the names of two headers.
// parameters: none
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.
//
// The value, window.vestryUpload, is a map from each form that is being sent to its upload. Members of an upload:
//
//     form, view    the form, and its element for the display, whose data- attributes have the texts
//     files         the files of the form, each with its field
//     signal        the beginning of the names of the signals, and `said` their values
//     name          the names of the files that are shown
//     percent       the progress; `shown` returns the percentage that the signal has
//     state         kept, failed or cancelled at the end; otherwise undefined
//     resumes       true: each file is sent by itself, and resumed
//     url           the address of the form, and `to` the address that the tab goes to at the end
//     token         the CSRF token of the form
//     bytes         the size of all files that are resumed
//     fails         failures in a row, which determine the pauses
//     xhr, wake     aborts the request, and ends the pause
//     isCancelled   true once the user has cancelled the upload

((uploadHeader, keptHeader) => {
  const under = new Map();

  // A form's field may have the name of a property of forms.
  const proto = HTMLFormElement.prototype,
    fieldsOf = (form) => [...Object.getOwnPropertyDescriptor(proto, 'elements').get.call(form)],
    attribute = (form, name) => proto.getAttribute.call(form, name);

  // The signals, each of which is set when its value changes.
  const put = (of, what, value) => {
    if (of.said[what] !== value) $[of.signal + what] = of.said[what] = value };
  const fill = (text, parts) => parts.reduce((so, [name, part]) => so.split('{' + name + '}').join(part), text);
  const say = (of, state, word, why) => {
    put(of, 'State', state);
    put(of, 'Text', fill(of.view.dataset[word], [['name', of.name], ['why', why ?? '']]).trim()) };
  const shown = (of) => of.state ? of.percent : Math.min(99, Math.max(0, Math.floor(of.percent)));
  const tell = (of) => put(of, 'Percent', shown(of));
  const beat = (of) => {
    tell(of);
    of.timer = setTimeout(() => {
      of.timer = 0;
      if (!of.state && of.said.Percent !== shown(of)) beat(of) }, 100) };
  const advance = (of, share) => {
    of.percent = 100 * share;
    if (!of.timer) beat(of) };

  // The reason of a failure: the text of the answer. A proxy or a handler may answer with a document. Expressions
  // remove its tags, because a policy with trusted types forbids parsers.
  const marks = {amp: '&', lt: '<', gt: '>', quot: '\u0022', apos: '\u0027', nbsp: ' '};
  const decode = (all, hex, code, name) =>
    code ? String.fromCharCode(parseInt(code, hex ? 16 : 10)) : marks[name] ?? all;
  const sentence = (of, xhr) => {
    if (!xhr.status) return of.view.dataset.broken;
    const type = xhr.getResponseHeader('content-type') ?? '', text = type.startsWith('text/') ? xhr.responseText : '';
    const said = type.startsWith('text/plain') ? text
      : text.replace(/<(script|style|title|template|noscript)\b[^]*?<\/\1>|<[^>]*>/gi, '')
        .replace(/&(?:#(x?)([\da-f]+)|(\w+));/gi, decode);
    return said.trim().slice(0, 300) || String(xhr.status) };
  const reason = (of, xhr, asked) => {
    of.to = xhr.status === 403 ? xhr.getResponseHeader('Location') : null;
    if (!of.to && xhr.status && xhr.responseURL !== asked.split('#')[0]) of.to = xhr.responseURL;
    return of.to ? ' ' : sentence(of, xhr) };

  // Sends one request. An upload that can be resumed aborts it after a minute without progress, because the network may
  // drop all packets.
  const ask = (of, method, url, body, headers, advanced) => new Promise((done) => {
    const xhr = of.xhr = new XMLHttpRequest();
    let heard = Date.now();
    const watch = setInterval(() => of.resumes && Date.now() - heard > 60000 && xhr.abort(), 5000);
    xhr.open(method, url);
    for (const [name, value] of Object.entries(headers)) if (value !== null) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = (e) => { heard = Date.now(); advanced(e.loaded, e.total) };
    xhr.onloadend = () => { clearInterval(watch); done(xhr) };
    xhr.send(body) });
  // Sends a request without a body, for at most ten seconds, and follows no redirect.
  const look = async (of, method, url, headers) => {
    const control = of.xhr = new AbortController(), watch = setTimeout(() => control.abort(), 10000);
    const set = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== null));
    try {
      const got = await fetch(url, {method, headers: set, redirect: 'manual', signal: control.signal});
      return {status: got.status, isAway: got.type === 'opaqueredirect', responseURL: got.url,
        responseText: await got.text(), getResponseHeader: (name) => got.headers.get(name)}
    } catch { return {status: 0, getResponseHeader: () => null} }
    finally { clearTimeout(watch) } };

  // The addresses of unfinished uploads, in the storage of the tab.
  const recall = (key) => { try { return sessionStorage.getItem(key) } catch { return null } };
  const remember = (key, at) => {
    try { if (at) sessionStorage.setItem(key, at); else sessionStorage.removeItem(key) } catch {} };

  // Sends files one by one, and resumes them.
  const coded = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
  const pause = (of) => new Promise((done) => {
    of.wake = done;
    setTimeout(done, Math.min(30000, 300 * 2 ** Math.min(of.fails, 7)) * (0.75 + Math.random() / 2)) });
  const headersOf = (of, what, file, offset) => {
    const headers = {'Tus-Resumable': '1.0.0', [uploadHeader]: '1', 'X-CSRF-Token': of.token};
    if (what === 'PATCH') headers['Upload-Offset'] = offset,
      headers['Content-Type'] = 'application/offset+octet-stream';
    if (what === 'POST') headers['Upload-Length'] = file.size,
      headers['Upload-Metadata'] = 'filename ' + coded(file.name) + (file.type ? ',filetype ' + coded(file.type) : '');
    return headers };
  const isReadable = (file, from) =>
    (file.size ? file.slice(from, from + 1) : file).arrayBuffer().then(() => true, () => false);
  // Returns the reason of a failure, or ''. The next request depends on `at`, the address of the upload, which a POST
  // creates, and on `offset`, the size that the server has, which a HEAD queries after each failure. `anew` counts
  // uploads that the server has lost, `refused` failures of a reachable server without progress. `best` is the largest
  // offset so far.
  const sendFile = async (of, file, before) => {
    const key = ['vestry-upload', of.url, file.name, file.size, file.lastModified].join(' ');
    const advanced = (bytes) => advance(of, (before + Math.min(bytes, file.size)) / of.bytes);
    let at = recall(key), offset = null, anew = 0, refused = 0, best = -1;
    for (of.fails = 0;;) {
      if (of.isCancelled) {
        remember(key, null);
        if (at) ask({}, 'DELETE', at, null, headersOf(of), () => 0);
        return 'cancelled' }
      const what = !at ? 'POST' : offset === null ? 'HEAD' : 'PATCH', from = offset ?? 0;
      if (what !== 'HEAD' && !await isReadable(file, from)) return of.view.dataset.gone;
      if (of.isCancelled) continue;
      const asked = at ?? of.url, headers = headersOf(of, what, file, from);
      let xhr = await ask(of, what, asked, what === 'PATCH' ? file.slice(from) : null, headers,
        (bytes) => advanced(from + bytes));
      if (!xhr.status && what !== 'PATCH' && !of.isCancelled) xhr = await look(of, what, asked, headers);
      if (xhr.isAway && !of.isCancelled) return of.view.dataset.elsewhere;
      const status = xhr.status, offered = xhr.getResponseHeader('Upload-Offset'), has = Number(offered ?? 0),
        made = at ?? xhr.getResponseHeader('Location');
      if (status > 199 && status < 300 && offered !== null && made && (what !== 'PATCH' || has > from)) {
        if (what === 'POST') at = new URL(made, of.url).href, remember(key, at);
        offset = has;
        if (has > best) best = has, of.fails = refused = 0;
        advanced(has); say(of, 'sending', 'sending');
        if (offset < file.size) continue;
        remember(key, null);
        return '' }
      if (of.isCancelled) continue;
      if (what === 'HEAD' && status === 404 && anew++ < 3) { at = null; continue }
      if (status && ![408, 409, 423, 425, 429].includes(status) && status < 500
          || (status || what === 'PATCH') && ++refused > 8) {
        const why = reason(of, xhr, asked);
        if (of.to || status === 401 || status === 403) return why;
        remember(key, null);
        if (at) ask({}, 'DELETE', at, null, headersOf(of), () => 0);
        return why }
      // 503: this node does not have the upload, and the next one may
      if (status !== 503) offset = null;
      of.fails++;
      if (status !== 409 && status !== 423) say(of, 'waiting', 'waiting');
      await pause(of) } };
  const sendAll = async (of) => {
    of.bytes = of.files.reduce((sum, {file}) => sum + file.size, 0) || 1;
    let before = 0;
    for (let i = 0; i < of.files.length; i++) {
      const {file, field} = of.files[i];
      of.name = namesOf(of.files.slice(i).map((one) => one.file)); say(of, 'sending', 'sending');
      const why = await sendFile(of, file, before);
      if (why) return end(of, of.isCancelled ? 'cancelled' : 'failed', why);
      before += file.size;
      // the field keeps the files that are not sent yet
      const left = new DataTransfer();
      of.files.slice(i + 1).forEach((one) => one.field === field && left.items.add(one.file));
      field.files = left.files }
    of.name = namesOf(of.files.map(({file}) => file)); end(of, 'kept') };

  // Sends a form, from its submission to its end.
  const end = (of, state, why) => {
    clearTimeout(of.timer);
    of.state = state; if (state === 'kept') of.percent = 100;
    tell(of); say(of, state, state, why);
    under.delete(of.form); proto.removeAttribute.call(of.form, 'aria-busy');
    if (state === 'kept') proto.reset.call(of.form);
    const url = of.to && new URL(of.to, of.url);
    if (url?.protocol.startsWith('http') && (url.origin !== location.origin
        || url.pathname + url.search !== location.pathname + location.search)) location.assign(url.href) };
  const send = async (of, fields) => {
    for (const {file} of of.files)
      if (!await isReadable(file, 0)) return end(of, 'failed', of.view.dataset.gone);
    if (of.isCancelled) return end(of, 'cancelled');
    const xhr = await ask(of, 'POST', of.url, fields, {[uploadHeader]: '1'},
      (bytes, all) => { if (all) advance(of, bytes / all) });
    const isAway = !xhr.status && !of.isCancelled && (await look(of, 'HEAD', of.url, {})).isAway;
    if (of.isCancelled) return end(of, 'cancelled');
    if (!xhr.status) for (const {file} of of.files)
      if (!await isReadable(file, 0)) return end(of, 'failed', of.view.dataset.gone);
    if (isAway) return end(of, 'failed', of.view.dataset.elsewhere);
    const kept = Number(xhr.getResponseHeader(keptHeader) ?? 0);
    if (!kept) return end(of, 'failed', reason(of, xhr, of.url));
    if (kept > 299) of.to = xhr.getResponseHeader('Location');
    end(of, 'kept') };
  const namesOf = (all) => all.slice(0, 3).map((file) => file.name).join(', ') + (all.length > 3 ? ', …' : '');
  const begin = (form, view, by) => {
    const fields = by ? new FormData(form, by) : new FormData(form);
    const files = fieldsOf(form).filter((field) => field.type === 'file' && field.name && !field.disabled)
      .flatMap((field) => [...field.files].map((file) => ({field, file})));
    const to = by?.getAttribute('formaction') ?? attribute(form, 'action') ?? '';
    const of = {form, view, files, signal: view.dataset.upload, name: namesOf(files.map(({file}) => file)),
      said: {}, percent: 0, token: fields.get('csrf'), resumes: 'resumes' in view.dataset && files.length,
      url: new URL(to || location.href, document.baseURI).href};
    under.set(form, of); proto.setAttribute.call(form, 'aria-busy', 'true');
    tell(of); say(of, 'sending', 'sending');
    if (of.resumes) sendAll(of); else send(of, fields) };

  // Listeners at the document, so that a form that a patch inserts is sent, too.
  document.addEventListener('submit', (e) => {
    const form = e.target, view = proto.querySelector.call(form, '[data-upload]');
    const method = (e.submitter?.getAttribute('formmethod') ?? attribute(form, 'method') ?? '').toLowerCase();
    if (e.defaultPrevented || !view || method !== 'post') return;
    e.preventDefault();
    if (!under.has(form)) begin(form, view, e.submitter) });
  document.addEventListener('click', (e) => {
    const of = under.get(e.target.closest?.('[data-upload-cancel]')?.closest('form'));
    if (of) of.isCancelled = true, of.xhr?.abort(), of.wake?.() });
  const each = (what) => { for (const of of under.values()) if (of.resumes) what(of) };
  addEventListener('offline', () => each((of) => of.xhr?.abort()));
  addEventListener('online', () => each((of) => of.wake?.()));

  return under
})
