// SPDX-License-Identifier: MIT
// L3: links and forms that change the content of the page, back and forward; and navigations that the page leaves to
// the browser.
'use strict';
const { after, test } = require('node:test');
const assert = require('node:assert/strict');
const { sameInFirefox, startExample, newSession, send, closeChrome } = require('./harness.js');
const { startProxy } = require('./proxy.js');

after(closeChrome);

// A tab whose page has its stream, if scripts run.
async function tabFor(t, options = {}, where = 'list') {
  const server = await startExample('test_browser_navigate');
  t.after(() => server.stop());
  const proxy = await startProxy(t, server);
  const session = await newSession(t, { viewport: { width: 800, height: 600 }, ...options });
  await session.context.addInitScript(() => {
    window.documentIs = Math.random();
    window.navigated = [];
    window.addEventListener('vestry-navigated', ({ detail }) => window.navigated.push(detail.how));
    window.told = [];
    document.addEventListener('datastar-fetch', ({ detail }) => window.told.push(detail.type));
  });
  const tab = await session.tab(`${proxy.url}${where}`);
  if (options.javaScriptEnabled !== false) await tab.until(() => window.told.includes('datastar-patch-signals'));
  return { ...tab, ...handle(tab, proxy, session), server, proxy, session };
}

function handle(tab, proxy, session) {
  const { page } = tab;
  const its = {
    url: () => page.evaluate(() => location.pathname + location.search + location.hash),
    scroll: () => page.evaluate(() => Math.round(scrollY)),
    scrollTo: (top) => page.evaluate((to) => scrollTo(0, to), top),
    heading: (is) => tab.until((wanted) => document.querySelector('#heading')?.textContent === wanted, is),
    documentIs: () => page.evaluate(() => window.documentIs),
    length: () => page.evaluate(() => history.length),
    press: (id, how = {}) => page.evaluate(([of, init]) =>
      document.getElementById(of).dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, ...init })), [id, how]),
    // Wait until the new content is shown.
    async done(act) {
      const before = await page.evaluate(() => window.navigated.length);
      await act();
      await tab.until((count) => window.navigated.length > count, before);
    },
    // Return the address in the request of the last stream.
    streamAt: () => {
      const url = new URL(session.streams.at(-1));
      url.searchParams.delete('datastar');
      return url.pathname + url.search;
    },
    upload: () => send('POST', `${proxy.url}add`),
  };
  session.streams = [];
  session.context.on('request', (request) => {
    if (request.headers()['datastar-request'] && request.method() === 'GET') session.streams.push(request.url());
  });
  return its;
}

// Check the state after each navigation.
async function isAt(tab, { url, heading, title, scroll }) {
  await tab.heading(heading);
  assert.equal(await tab.url(), url);
  assert.equal(await tab.page.title(), title);
  if (scroll !== undefined) await tab.until((is) => Math.abs(scrollY - is) < 2, scroll);
  assert.equal(tab.streamAt(), url.replace(/#.*/, ''));
}

const LISTS = [
  { url: '/list', heading: '1 0', title: 'List "" & 1' },
  { url: '/list?page=2', heading: '2 0', title: 'List "" & 2' },
  { url: '/list?page=3', heading: '3 0', title: 'List "" & 3' },
  { url: '/item/7', heading: 'item 7', title: 'Item' },
];

// capability: L3
test('l3: after twenty steps and back, content, address, title, scroll position and stream are right', async (t) => {
  const tab = await tabFor(t);
  const first = await tab.documentIs();
  const ids = ['second', 'third', 'first', 'item', 'third', 'second', 'item', 'first', 'second', 'third',
    'first', 'item', 'second', 'third', 'item', 'second', 'first', 'third', 'second', 'first'];
  const which = { first: 0, second: 1, third: 2, item: 3 };
  const entries = [{ ...LISTS[0], scroll: 700 }];
  await tab.heading('1 0');
  await tab.until(() => window.told.includes('datastar-patch-signals'));
  await tab.page.fill('#outside', 'stays');
  await tab.scrollTo(700);
  for (const [i, id] of ids.entries()) {
    await tab.done(() => tab.press(id));
    const is = LISTS[which[id]];
    const scroll = is.url === '/item/7' ? 0 : 100 + 50 * i;
    await isAt(tab, { ...is, scroll: 0 });
    await tab.scrollTo(scroll);
    entries.push({ ...is, scroll });
  }
  for (let i = entries.length - 2; i >= 0; i--) {
    await tab.done(() => tab.page.goBack());
    await isAt(tab, entries[i]);
  }
  for (let i = 1; i < entries.length; i++) {
    await tab.done(() => tab.page.goForward());
    await isAt(tab, entries[i]);
  }
  assert.equal(await tab.documentIs(), first, 'it is the same document');
  assert.equal(await tab.page.inputValue('#outside'), 'stays');
  assert.equal(tab.proxy.open(), 1);
  await tab.upload();
  await tab.heading('1 1'); // the stream is live
  assert.deepEqual(tab.session.problems, []);
});

// capability: L3
test('l3: without a script, they are ordinary links', async (t) => {
  const tab = await tabFor(t, { javaScriptEnabled: false });
  const { page } = tab;
  const shows = (heading) => page.locator('#heading', { hasText: heading }).waitFor(); // in Firefox, a click returns before
  for (const [id, heading] of [['second', '2 0'], ['third', '3 0'], ['item', 'item 7'], ['first', '1 0']]) {
    await page.click(`#${id}`);
    await shows(heading);
  }
  for (const heading of ['item 7', '3 0', '2 0', '1 0']) {
    await page.goBack();
    await shows(heading);
  }
  await page.fill('#q', 'line 77');
  await page.click('#search');
  await page.waitForURL(/\?q=line\+77&page=1$/);
  assert.equal(await page.locator('li').count(), 1);
});

// capability: L3
test('l3: unchanged content is not sent again, at any address', async (t) => {
  const tab = await tabFor(t);
  await tab.upload();
  await tab.heading('1 1');
  const count = () => tab.proxy.streams.reduce((sum, stream) => sum + stream.contents(), 0);
  const before = count();
  await tab.done(() => tab.press('same'));
  assert.equal(await tab.url(), '/list?same=1');
  await tab.done(() => tab.page.goBack());
  await tab.done(() => tab.page.goForward());
  await tab.done(() => tab.press('sorted'));
  assert.equal(count(), before);
  await tab.done(() => tab.press('second'));
  await tab.done(() => tab.page.goBack());
  assert.equal(count(), before + 2);
});

// capability: L3
test('l3: links to other targets are left to the browser', async (t) => {
  const tab = await tabFor(t);
  const isLeft = (id, how) => tab.page.evaluate(([of, init]) => {
    let is = null;
    const hear = (evt) => {
      is = !evt.defaultPrevented;
      evt.preventDefault();
    };
    window.addEventListener('click', hear);
    document.getElementById(of).dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, ...init }));
    window.removeEventListener('click', hear);
    return is;
  }, [id, how]);
  for (const id of ['window', 'download', 'elsewhere', 'unmarked', 'within']) assert.equal(await isLeft(id, {}), true, id);
  for (const how of [{ ctrlKey: true }, { metaKey: true }, { shiftKey: true }, { altKey: true }, { button: 1 }])
    assert.equal(await isLeft('second', how), true, JSON.stringify(how));
  assert.equal(await tab.url(), '/list');
  const [other] = await Promise.all([tab.session.context.waitForEvent('page'),
    tab.page.click('#second', { modifiers: ['ControlOrMeta'] })]);
  await other.waitForFunction(() => location.search === '?page=2', null, { polling: 50 });
  assert.equal(await tab.url(), '/list');
});

// capability: L3
test('l3: links within the page are left to the browser, with their scroll positions', async (t) => {
  const tab = await tabFor(t);
  await tab.done(() => tab.press('second'));
  await tab.scrollTo(300);
  const streams = tab.session.streams.length;
  await tab.press('within');
  await tab.until(() => location.hash === '#line-30' && scrollY > 310);
  const there = await tab.scroll();
  await tab.page.evaluate(() => history.back()); // Playwright's goBack waits for a load in Firefox
  await tab.until(() => location.hash === '' && Math.abs(scrollY - 300) < 2);
  await tab.page.evaluate(() => history.forward());
  await tab.until((to) => location.hash === '#line-30' && Math.abs(scrollY - to) < 2, there);
  assert.equal(tab.session.streams.length, streams, 'no stream was opened');
  await tab.done(() => tab.press('first'));
  await tab.done(() => tab.press('part'));
  assert.equal(await tab.url(), '/list?page=2#line-60');
  await tab.until(() => Math.abs(document.getElementById('line-60').getBoundingClientRect().top) < 600);
  assert.ok(await tab.scroll() > 300);
});

// capability: L3
test('l3: continuous typing makes one history entry, and no typed text is lost', async (t) => {
  const tab = await tabFor(t);
  const before = await tab.length();
  await tab.page.focus('#q');
  await tab.page.keyboard.type('line', { delay: 5 });
  await tab.until(() => location.search === '?q=line&page=1');
  await tab.page.keyboard.type(' 7', { delay: 40 });
  await tab.until(() => location.search === '?q=line+7&page=1' && document.querySelectorAll('li').length === 11);
  assert.equal(await tab.page.inputValue('#q'), 'line 7');
  assert.equal(await tab.page.evaluate(() => document.activeElement.id), 'q');
  assert.equal(await tab.length(), before + 1);
  await tab.page.keyboard.press('Enter'); // the address contains it already
  await tab.page.keyboard.type('7', { delay: 5 });
  await tab.until(() => location.search === '?q=line+77&page=1' && document.querySelectorAll('li').length === 1);
  assert.equal(await tab.length(), before + 2);
  await tab.done(() => tab.page.goBack());
  await tab.until(() => document.querySelectorAll('li').length === 11);
  assert.equal(await tab.page.inputValue('#q'), 'line 7');
  await tab.done(() => tab.page.goBack());
  await tab.heading('1 0');
  assert.equal(await tab.url(), '/list');
  assert.equal(await tab.page.inputValue('#q'), '');
  assert.equal(await tab.page.locator('li').count(), 120);
  await tab.page.fill('#q', 'line 5');
  await tab.done(() => tab.page.keyboard.press('Enter'));
  await tab.until(() => location.search === '?q=line+5&page=1' && document.querySelectorAll('li').length === 11);
  assert.equal(await tab.length(), before + 1);
  assert.deepEqual(tab.session.problems, []);
});

// capability: L3
test('l3: check boxes and selections set the address, and follow it', async (t) => {
  const tab = await tabFor(t);
  const shows = async () => tab.page.evaluate(() =>
    [document.querySelector('#odd').checked, document.querySelector('#page').value]);
  await tab.done(() => tab.page.check('#odd'));
  assert.equal(await tab.url(), '/list?q=&odd=1&page=1');
  await tab.done(() => tab.press('first'));
  assert.deepEqual(await shows(), [false, '1']);
  await tab.done(() => tab.page.selectOption('#page', '2'));
  await tab.heading('2 0');
  assert.equal(await tab.url(), '/list?q=&page=2');
  await tab.done(() => tab.page.goBack());
  assert.deepEqual(await shows(), [false, '1']);
  await tab.done(() => tab.page.goBack());
  assert.deepEqual(await shows(), [true, '1']);
  await tab.done(() => tab.page.goForward());
  await tab.done(() => tab.page.goForward());
  assert.deepEqual(await shows(), [false, '2']);
  assert.deepEqual(tab.session.problems, []);
});

// capability: L3
test('l3: a letter typed during a render is kept', async (t) => {
  const tab = await tabFor(t);
  await tab.page.focus('#q');
  // Each time new content arrives, the field has one letter more than the content. Nothing but this assigns its value,
  // because an assignment ends the composition of an input method.
  await tab.page.evaluate(() => {
    const { get, set } = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value');
    window.assigned = [];
    Object.defineProperty(HTMLInputElement.prototype, 'value', {
      get, set(text) { if (this.id === 'q') window.assigned.push(text); set.call(this, text); } });
    document.addEventListener('datastar-fetch', ({ detail }) => {
      const field = document.querySelector('#q');
      if (detail.type === 'started' && field.value.length < 6) {
        set.call(field, 'line 12'.slice(0, field.value.length + 1));
        field.dispatchEvent(new Event('input', { bubbles: true }));
      }
    });
  });
  await tab.page.keyboard.type('l');
  await tab.until(() => location.search === '?q=line+1&page=1' && document.querySelectorAll('li').length === 32);
  assert.equal(await tab.page.inputValue('#q'), 'line 1');
  assert.deepEqual(await tab.page.evaluate(() => window.assigned), []);
});

// capability: L3
test('l3: the last of several navigations takes effect, and no older content follows', async (t) => {
  const tab = await tabFor(t);
  await tab.page.evaluate(() => {
    window.headings = [];
    new MutationObserver(() => window.headings.push(document.querySelector('#heading').textContent))
      .observe(document.querySelector('#content'), { childList: true, characterData: true, subtree: true });
  });
  await send('POST', `${tab.server.url}hold`);
  await tab.press('item'); // its render waits
  await tab.until(() => location.pathname === '/item/7');
  await tab.done(() => tab.press('third'));
  await send('POST', `${tab.server.url}release`);
  await isAt(tab, { ...LISTS[2] });
  await tab.upload();
  await tab.heading('3 1');
  assert.ok(!(await tab.page.evaluate(() => window.headings)).includes('item 7'));
  // Back and forward at once.
  await tab.done(() => tab.page.evaluate(() => {
    history.back();
    history.back();
    document.querySelector('#second').click();
  }));
  await tab.until(() => document.querySelector('#heading').textContent.split(' ')[0] ===
    (new URLSearchParams(location.search).get('page') ?? '1') && !document.querySelector('[aria-busy]'));
});

// capability: L3
test('l3: another layout, a document, an error and a redirect are loaded by the browser; Back returns', async (t) => {
  const tab = await tabFor(t);
  await tab.done(() => tab.press('second'));
  await tab.scrollTo(400);
  for (const [id, heading, url] of [['about', 'about', '/about'], ['document', 'plain', '/plain'],
    ['guarded', 'login', '/login'], ['moved', 'login', '/login']]) {
    const before = await tab.documentIs();
    const length = await tab.length();
    await tab.press(id);
    await tab.heading(heading);
    assert.equal(await tab.url(), url, id);
    assert.notEqual(await tab.documentIs(), before, id);
    await tab.page.goBack();
    await tab.heading('2 0');
    assert.equal(await tab.url(), '/list?page=2', id);
    await tab.until(() => Math.abs(scrollY - 400) < 2);
    assert.ok(await tab.length() <= length + 1, id);
  }
  for (const [id, url] of [['none', '/none'], ['lost', '/item/100']]) {
    await tab.press(id);
    await tab.until((is) => location.pathname === is && document.readyState === 'complete' && !document.querySelector('#heading'), url);
    await tab.page.goBack();
    await tab.heading('2 0');
    assert.equal(await tab.url(), '/list?page=2', id);
  }
  assert.deepEqual(tab.session.problems.filter((line) => !/40[049]/.test(line)), []);
});

// capability: L3
test('l3: after a download the page is still live', async (t) => {
  const tab = await tabFor(t);
  const first = await tab.documentIs();
  const [download] = await Promise.all([tab.page.waitForEvent('download'), tab.press('file')]);
  assert.equal(download.suggestedFilename(), 'a.csv');
  assert.equal(await tab.url(), '/list');
  await tab.upload();
  await tab.heading('1 1');
  await tab.done(() => tab.press('second'));
  await tab.heading('2 1');
  assert.equal(await tab.documentIs(), first);
});

// capability: L3
test('l3: while the server is away the page waits, also for another address', async (t) => {
  const tab = await tabFor(t);
  await tab.done(() => tab.press('second'));
  tab.proxy.fail = 1000;
  tab.proxy.cut();
  await tab.until(() => window.told.includes('retrying'));
  await tab.press('third');
  await tab.until(() => location.search === '?page=3' && document.querySelector('[aria-busy]'));
  await tab.page.goBack();
  await tab.until(() => location.search === '?page=2');
  await tab.page.goForward();
  await tab.until(() => location.search === '?page=3');
  assert.equal(await tab.page.textContent('#heading'), '2 0');
  await tab.until(() => getComputedStyle(document.querySelector('.vestry-banner')).display !== 'none');
  tab.proxy.fail = 0;
  await tab.heading('3 0');
  await tab.until(() => getComputedStyle(document.querySelector('.vestry-banner')).display === 'none');
  await tab.until(() => !document.querySelector('[aria-busy]'));
  assert.equal(await tab.url(), '/list?page=3');
});

// capability: L3
test('l3: a reload in the middle of the history, and a duplicate tab', async (t) => {
  const tab = await tabFor(t);
  await tab.scrollTo(200);
  await tab.done(() => tab.press('second'));
  await tab.scrollTo(500);
  await tab.done(() => tab.press('item'));
  await tab.done(() => tab.page.goBack());
  await tab.until(() => Math.abs(scrollY - 500) < 2);
  const id = await tab.page.evaluate(() => JSON.stringify(history.state));
  await tab.page.reload();
  await tab.heading('2 0');
  await tab.until(() => Math.abs(scrollY - 500) < 2);
  assert.equal(await tab.page.evaluate(() => JSON.stringify(history.state)), id);
  await tab.until(() => window.told.includes('datastar-patch-signals'));
  await tab.done(() => tab.page.goBack());
  await isAt(tab, { ...LISTS[0], scroll: 200 });
  await tab.done(() => tab.page.goForward());
  await isAt(tab, { ...LISTS[1], scroll: 500 });
  await tab.done(() => tab.page.goForward());
  await isAt(tab, LISTS[3]);
  // window.open copies the tab's storage, like a duplicate: its navigation does not affect this tab.
  const [other] = await Promise.all([tab.session.context.waitForEvent('page'),
    tab.page.evaluate(() => void window.open('/list?page=3'))]);
  await other.waitForFunction(() => window.vestryNavigate, null, { polling: 50 });
  await other.evaluate(() => document.querySelector('#first').click());
  await other.waitForFunction(() => document.querySelector('#heading').textContent === '1 0', null, { polling: 50 });
  await tab.page.bringToFront(); // Firefox hides it behind the other
  await tab.done(() => tab.page.goBack());
  await isAt(tab, { ...LISTS[1], scroll: 500 });
});

// capability: L3
test('l3: focus and announcements for screen readers', async (t) => {
  const tab = await tabFor(t);
  const focus = () => tab.page.evaluate(() => document.activeElement.id);
  await tab.page.focus('#second');
  await tab.done(() => tab.page.keyboard.press('Enter'));
  assert.equal(await focus(), 'second', 'it is still there');
  await tab.until(() => document.querySelector('p[role=status]').textContent === 'List "" & 2');
  await tab.page.focus('#further');
  await tab.done(() => tab.page.keyboard.press('Enter'));
  assert.equal(await focus(), 'content', 'the link is gone');
  await tab.until(() => document.querySelector('p[role=status]').textContent === 'Item');
  assert.equal(await tab.page.evaluate(() => {
    const { width, height } = document.querySelector('p[role=status]').getBoundingClientRect();
    return width * height;
  }), 1);
});

// capability: L3
test('l3: an address whose fragment is not a valid escape is navigated to normally', async (t) => {
  const tab = await tabFor(t);
  await tab.done(() => tab.page.evaluate(() => { window.vestryNavigate('/item/7#100%', 'push'); }));
  await isAt(tab, { url: '/item/7#100%', heading: 'item 7', title: 'Item' });
  await tab.until(() => document.querySelector('p[role=status]').textContent === 'Item');
});

// capability: L3
test('l3: the response to an action can navigate to another address', async (t) => {
  const tab = await tabFor(t, {}, 'item/7');
  const first = await tab.documentIs();
  const length = await tab.length();
  await tab.done(() => tab.press('back'));
  await isAt(tab, LISTS[1]);
  assert.equal(await tab.length(), length + 1);
  await tab.done(() => tab.page.goBack());
  await isAt(tab, LISTS[3]);
  await tab.done(() => tab.press('out'));
  await isAt(tab, { url: '/item/8', heading: 'item 8', title: 'Item' });
  assert.equal(await tab.length(), length + 1);
  assert.equal(await tab.documentIs(), first);
  assert.deepEqual(tab.session.problems, []);
});

// capability: L3
test('l3: a page restored from the browser cache shows the content of its address', async (t) => {
  const tab = await tabFor(t);
  await tab.done(() => tab.press('second'));
  await tab.done(() => tab.press('third'));
  // Like a browser that restores a page: the document is unchanged, but the history entry may be another one.
  await tab.page.evaluate(() => {
    history.replaceState(history.state, '', '/list?page=2');
    window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
  });
  await isAt(tab, LISTS[1]);
  await tab.upload();
  await tab.heading('2 1');
});

// The state of /state that the browser keeps; each function runs in the page, and the second one returns whether the
// state is that of the first.
const STATES = {
  'an open dialog': [() => document.getElementById('dialog').showModal(),
    () => document.getElementById('dialog').matches('[open]:modal')],
  'open details': [() => { document.getElementById('details').open = true; }, () => document.getElementById('details').open],
  'a popover': [() => document.getElementById('popover').showPopover(),
    () => document.getElementById('popover').matches(':popover-open')],
  'the size of a field': [() => { document.getElementById('area').style.height = '150px'; },
    () => document.getElementById('area').style.height === '150px'],
  'text typed into a field': [() => { document.getElementById('area').value = 'typed'; },
    () => document.getElementById('area').value === 'typed'],
  'text edited in place': [() => { document.getElementById('editable').textContent = 'edited'; },
    () => document.getElementById('editable').textContent === 'edited'],
  'a check box that is partly checked': [() => { document.getElementById('partly').indeterminate = true; },
    () => document.getElementById('partly').indeterminate],
  'the volume of a video': [() => { document.getElementById('video').volume = 0.5; },
    () => document.getElementById('video').volume === 0.5],
  'a chosen file': [() => {
    const files = new DataTransfer();
    files.items.add(new File(['a'], 'a.txt'));
    document.getElementById('file').files = files.files;
  }, () => document.getElementById('file').files[0]?.name === 'a.txt'],
  'a selection': [() => getSelection().selectAllChildren(document.getElementById('text')),
    () => String(getSelection()) === 'text to select'],
  'focus and caret': [() => {
    const field = document.getElementById('inside');
    field.focus();
    field.value = 'abc';
    field.setSelectionRange(1, 2);
  }, () => document.activeElement.id === 'inside' && document.activeElement.selectionStart === 1],
};

async function stateTab(t) {
  const tab = await tabFor(t, {}, 'state');
  const open = (id, is) => tab.page.evaluate(([of, value]) => { document.getElementById(of).open = value; }, [id, is]);
  const isOpen = (id) => tab.page.evaluate((of) => document.getElementById(of).open, id);
  let changes = 0;
  const change = async () => {
    await tab.upload();
    await tab.heading(`state ${++changes}`);
  };
  return { ...tab, open, isOpen, change };
}

for (const [name, [set, is]] of Object.entries(STATES)) {
  // capability: L3
  test(`l3: ${name}: changes of the page keep it`, async (t) => {
    const tab = await stateTab(t);
    if (name.startsWith('focus')) await tab.page.evaluate(STATES['an open dialog'][0]);
    await tab.page.evaluate(set);
    for (const change of ['first', 'second', 'third']) {
      await tab.change();
      assert.ok(await tab.page.evaluate(is), change);
    }
    assert.deepEqual(tab.session.problems, []);
  });
}

// capability: L3
test('l3: a page can be used after its open dialog was closed, and after a navigation from it', async (t) => {
  const tab = await stateTab(t);
  const show = STATES['an open dialog'][0];
  const isUsable = () => tab.page.evaluate(() => {
    const { left, top } = document.getElementById('second').getBoundingClientRect();
    return document.elementFromPoint(left + 1, top + 1)?.id === 'second' && !document.querySelector(':modal');
  });
  await tab.page.evaluate(show);
  await tab.change();
  assert.equal(await isUsable(), false);
  await tab.page.keyboard.press('Escape');
  await tab.until(() => !document.querySelector(':modal'));
  assert.equal(await isUsable(), true);
  await tab.page.evaluate(show);
  await tab.done(() => tab.page.click('#leave'));
  await tab.heading('item 7');
  assert.equal(await isUsable(), true);
});

// capability: L3
test('l3: an attribute that the document changes has the value of the document', async (t) => {
  const tab = await stateTab(t);
  await tab.change();
  assert.equal(await tab.isOpen('declared'), true);
  await tab.open('declared', false);
  await tab.upload(); // it is closed, as the user has it
  await tab.heading('state 2');
  await tab.upload();
  await tab.heading('state 3');
  assert.equal(await tab.isOpen('declared'), true);
  await tab.upload();
  await tab.heading('state 4');
  await tab.open('declared', true);
  await tab.upload(); // it is open, as the user has it
  await tab.heading('state 5');
  await tab.upload();
  await tab.heading('state 6');
  assert.equal(await tab.isOpen('declared'), false);
});

// capability: L3
test('l3: after Back, controls show the document, and drafts of forms are kept', async (t) => {
  const tab = await stateTab(t);
  await tab.change();
  await tab.page.fill('#word', 'draft');
  await tab.page.check('#own');
  await tab.page.fill('#range', '70');
  await tab.page.fill('#colour', '#ff0000');
  await tab.page.goto(`${tab.proxy.url}plain`);
  await tab.upload();
  await tab.page.goBack();
  await tab.heading('state 2');
  await tab.until(() => !document.querySelector('head i')); // the client runs
  const shown = await tab.page.evaluate(() => ['box', 'choice0', 'choice1', 'acts', 'own'].map((id) => document.getElementById(id).checked)
    .concat(['pick', 'range', 'colour', 'word'].map((id) => document.getElementById(id).value)));
  const drafts = sameInFirefox ? [shown[4], shown[8]] : [true, 'draft']; // Firefox restores none after Back
  assert.deepEqual(shown, [false, true, false, false, drafts[0], '0', '0', '#000000', drafts[1]]);
});

for (const button of ['say', 'once']) {
  // capability: L3
  test(`l3: the response to an action of a page that was left is ignored: ${button}`, async (t) => {
    const tab = await tabFor(t, {}, 'item/7');
    let letGo = null;
    const held = new Promise((done) => (letGo = done));
    await tab.page.route('**/say', async (route) => {
      await held;
      await route.continue();
    }, { times: 1 });
    const asked = tab.page.waitForRequest('**/say');
    await tab.press(button);
    const request = await asked;
    await tab.done(() => tab.press('item'));
    await tab.done(() => tab.press('first'));
    letGo();
    await (await request.response()).finished();
    await tab.until(() => window.told.at(-1) === 'finished' || window.told.at(-2) === 'finished');
    assert.equal(await tab.page.inputValue('#outside'), '');
    // On the page of the action it applies.
    await tab.done(() => tab.press('item'));
    await tab.press(button);
    await tab.until(() => document.getElementById('outside').value === 'said');
    assert.deepEqual(tab.session.problems, []);
  });
}

// capability: L3
test('l3: after a link with a fragment, :target is its element, and Tab continues there', async (t) => {
  const tab = await tabFor(t);
  await tab.done(() => tab.page.evaluate(() => { window.vestryNavigate('/list?page=2#line-120', 'push'); }));
  assert.equal(await tab.page.evaluate(() => document.querySelector(':target')?.id), 'line-120');
  const length = await tab.length();
  await tab.page.keyboard.press('Tab');
  assert.equal(await tab.page.evaluate(() => document.activeElement.id), 'further');
  await tab.done(() => tab.page.goBack());
  await isAt(tab, { ...LISTS[0], scroll: 0 });
  await tab.done(() => tab.page.goForward());
  await isAt(tab, { ...LISTS[1], url: '/list?page=2#line-120' });
  assert.equal(await tab.length(), length);
});
