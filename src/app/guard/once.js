// SPDX-License-Identifier: MIT
// The submissions of a page: their order, their content, repeats, and whether the page has shown their results.
// once_attributes.c explains it.
// parameters: none
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.
//
// window.vestryOnce is the function `submission`, which the expression of an action calls. Its members are called by
// the element of a page's stream (app/page/stream.js):
//
//     look(el)       called when a request begins; returns the header that names the submissions to report
//     seen(signals)  called for the signals of each event, which may report submissions
//
// Members of a submission:
//
//     said    its content as a text, by which a repeat is detected
//     nonce   the header that the server deduplicates by; a retry and a submission after a failure have the same one
//     at      the time of the submission, and of its last repeat
//     over    its answer has begun
//     failed  the client has given up; the action may have been performed or not
//     number  of a submission that names a signal; the key in `unseen`

(() => {
  // line: a promise that resolves when the next submission may be sent. page: the element of the page's stream.
  // clicks: how often the button was pressed in the click that runs now. count: numbers of forms and submissions.
  // last: the last submission of which repeats are dropped.
  let line, page, clicks = 0, count = 0, last;
  // pressed: submissions by their content. unseen: by number, the signal that counts a submission. sums: the values of
  // these signals. failures: the status of the current request of an element. waiting: functions that send a waiting
  // submission at once.
  const pressed = new Map(), unseen = new Map(), sums = {}, failures = new WeakMap(), waiting = new Set();
  // how often events of the page's stream may shorten the client's wait for one submission
  const hurriesMost = 4;

  // Submissions that the page has not shown yet.
  const own = [...crypto.getRandomValues(new Uint32Array(2))]
    .map((n) => (n + 2 ** 32).toString(16).slice(1)).join('');
  const leave = (name, by) => { sums[name] = (sums[name] ?? 0) + by; $[name] = sums[name] };
  const over = (number, why) => {
    const of = unseen.get(number);
    if (!unseen.delete(number)) return;
    if (why) $[of.name + 'Failed'] = why;
    leave(of.name, -1) };
  const ask = (number) => {
    if (!unseen.has(number)) return;
    if (document.hidden) return document.addEventListener('visibilitychange', () => ask(number), {once: true});
    page.open() };
  const answered = (number) => {
    if (!unseen.has(number)) return;
    unseen.get(number).answered = true;
    if (!page?.isConnected || page.isOver()) return over(number);
    if (page.isUp()) setTimeout(ask, 5000, number); else ask(number) };
  document.addEventListener('datastar-fetch', ({detail: {el, type}}) => {
    if (el === page && type.startsWith('datastar-')) for (const again of waiting) again() });
  addEventListener('click', (e) => { clicks = e.detail; setTimeout(() => clicks = 0) }, true);
  // A key that is held presses a button once.
  addEventListener('keydown', (e) => {
    if (e.repeat && e.key === 'Enter' && !e.target.closest?.('textarea, [contenteditable]')) e.preventDefault() },
  true);

  // Returns a hidden form with the content that another form had at its submission, and its id. Its fields come last,
  // and it is used by functions of other elements, because a field may have the name of a property of forms.
  const copy = (form, fields) => {
    const made = document.createElement('form'), id = 'vestry-once-' + ++count;
    made.id = id; made.hidden = made.noValidate = true;
    made.setAttribute('enctype', form.getAttribute('enctype') ?? '');
    made.append(...fields.map(([name, value]) => {
      const field = document.createElement('input'), files = new DataTransfer();
      field.type = typeof value === 'string' ? 'hidden' : 'file'; field.name = name;
      if (field.type === 'hidden') field.value = value;
      else if (value.name || value.size) files.items.add(value), field.files = files.files;
      return field }));
    return [made, id] };

  // Sends a submission when it is its turn. `stop` is set while the client's request can be replaced: if an event of
  // the page's stream aborts it during the client's wait, the loop sends the submission again. `wake` ends the wait of
  // `repeats`, after which the loop sends it again, too. `quiet`: listeners of the page do not see the end of a request
  // that is repeated, and the start of the next.
  const send = async (url, o, run, el, by, submission, made) => {
    let heard, stop, wake, quiet, hurries = hurriesMost, pause = o.retryInterval ?? 1000, left = o.retryMaxCount ?? 10;
    const first = new Promise((done) => heard = done),
      again = () => { waiting.delete(again); hurries--; stop.abort(); stop = null; wake?.() },
      isAway = () => !o.retry && /^50[234]$/.test(failures.get(el)),
      report = (type) => {
        document.dispatchEvent(new CustomEvent('datastar-fetch', {detail: {type, el, argsRaw: {}}})) };
    const hear = (e) => {
      const {el: of, type, argsRaw} = e.detail;
      if (of !== el) return;
      if (type.startsWith('datastar-')) heard();
      if (type === 'error') failures.set(el, argsRaw.status), quiet = isAway() && left;
      if (quiet && /^(error|finished|started)$/.test(type)) e.stopImmediatePropagation();
      if (type === 'started') quiet = 0;
      if (type === 'retrying') failures.delete(el), stop && hurries && waiting.add(again);
      if (type === 'retries-failed') submission.failed = true, failures.set(el, failures.get(el) ?? 'network') };
    const repeats = async () => {
      if (!isAway()) return;
      if (!left--) return report('retries-failed');
      report('retrying');
      await new Promise((done) => { wake = done; setTimeout(done, pause) });
      waiting.delete(again); pause = Math.min(pause * (o.retryScaler ?? 2), o.retryMaxWait ?? 30000);
      return true };
    const before = line, sent = (async () => {
      if (!o.unordered) await before;
      if (made) document.documentElement.append(made);
      el.once = o; document.addEventListener('datastar-fetch', hear, true);
      const isOurs = (o.requestCancellation ?? 'disabled') === 'disabled';
      try {
        do { if (isOurs) o.requestCancellation = stop = new AbortController(); await run(url, o) }
        while (isOurs && !stop || await repeats()) }
      finally {
        waiting.delete(again); document.removeEventListener('datastar-fetch', hear, true); heard();
        if (made) Element.prototype.remove.call(made);
        const why = failures.get(el); failures.delete(el);
        if (why) over(submission.number, why); else answered(submission.number) } })();
    if (!o.unordered) line = first;
    first.then(() => {
      submission.over = !submission.failed;
      if (!o.untilAnswered) return;
      by.removeAttribute('aria-busy');
      if (submission.over)
        setTimeout(() => pressed.get(submission.said) === submission && pressed.delete(submission.said), 1000) });
    return sent };

  // by: the pressed button, if el has the listener of many (guard/press.c)
  const submission = (url, o, run, el, evt, by = el) => {
    let made, id, said = o.payload;
    o.page = window.vestryNavigate?.page;
    if (o.contentType === 'form') {
      const form = o.selector ? document.querySelector(o.selector) : by.closest('form');
      if (form) {
        if (!form.noValidate && !form.reportValidity()) return;
        const submitter = el === form ? evt?.submitter : null,
          fields = [...(submitter ? new FormData(form, submitter) : new FormData(form))];
        [made, id] = copy(form, fields); o.selector = '#' + id;
        said = fields.map(([name, value]) =>
          [name, value.name ?? value, value.size, value.name && value.lastModified]) } }
    const submission = {said: run + url + JSON.stringify(said), nonce: o.headers['X-Once'], at: Date.now()};
    if (o.untilAnswered) {
      const same = pressed.get(submission.said);
      const it = clicks > 1 && submission.at - last?.at < 2000 ? last
        : same && !same.failed && !(same.over && submission.at - same.at > 500) ? same : 0;
      if (it) { it.at = submission.at; return it.sent }
      if (same?.failed) submission.nonce = o.headers['X-Once'] = same.nonce;
      pressed.set(submission.said, last = submission); by.setAttribute('aria-busy', 'true') }
    if (o.sent) {
      submission.number = ++count; unseen.set(count, {name: o.sent});
      o.headers['Vestry-Sent'] = own + '.' + count;
      $[o.sent + 'Failed'] = ''; leave(o.sent, 1) }
    return submission.sent = send(url, o, run, el, by, submission, made) };

  return Object.assign(submission, {
    look: (el) => {
      page = el;
      return own + [...unseen].filter(([, of]) => of.answered).slice(-16).map(([number]) => '.' + number).join('') },
    seen: (signals) =>
      Object.keys(JSON.parse(signals)._vestry?.seen ?? {}).forEach((number) => over(+number)) })
})()
