#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""200 players of a quiz answer in the chat, over two processes with one SQLite file, which are killed three times within
the game: players.py CHAT VESTRY_BENCH ADAPTER [PLAYERS [ROUNDS]]

Each answer is in the database once, whenever its process was killed, and the page of each player shows the end of the
game, which the host announces in one of the processes."""
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from port import reserve_port  # noqa: E402

CHAT, BENCH, ADAPTER = sys.argv[1:4]
PLAYERS, ROUNDS = [int(text) for text in (*sys.argv[4:], *('200', '3')[len(sys.argv) - 4:])]
PATIENCE_S = int(os.environ.get('PATIENCE_S', 240))
KILLS = 3
LOGIN = 'open "/"\ntype "Name" "{side} {user}"\npress "Enter"\nexpect "general"\n'
PLAY = LOGIN + f"""repeat {ROUNDS}
  type "Message" "answer {{round}} of {{side}} {{user}}"
  press "Send"
  think 0 200
end
expect "the game is over"
"""
HOST = LOGIN + 'type "Message" "the game is over"\npress "Send"\nexpect "the game is over"\n'


class Side:
    """A process, and its players."""

    def __init__(self, name, folder):
        self.name, self.folder, self.port, self.process = name, folder, reserve_port(), None
        self.log = open(os.path.join(folder, f'{name}.log'), 'w')
        self.start()

    def start(self):
        command = [CHAT, '--port', str(self.port), '--adapter', ADAPTER, '--db', os.path.join(self.folder, 'chat.db')]
        if ADAPTER == 'civetweb':
            command += ['--threads', str(PLAYERS + 50)]  # one for each stream
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        assert re.fullmatch(r'chat: http://127\.0\.0\.1:\d+\n', line), f'{self.name} does not start: {line}'

    def kill(self):
        self.end(signal.SIGKILL)
        self.start()

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        status = self.process.wait(PATIENCE_S)
        assert status == (-how if how == signal.SIGKILL else 0), f'{self.name}: {status}'
        self.process.stdout.close()

    def play(self, script, users):
        path = os.path.join(self.folder, f'{self.name}.script')
        with open(path, 'w') as file:
            file.write(script)
        return subprocess.Popen([BENCH, 'users', '--port', str(self.port), '--script', path, '--users', str(users), '--set',
                                 f'side={self.name}', '--ramp-ms', '0', '--patience-ms', str(PATIENCE_S * 1000)],
                                stdout=subprocess.PIPE, text=True)


def finish(game):
    report = game.communicate(timeout=PATIENCE_S * 2)[0]
    print(report, end='')
    return game.returncode == 0


def main():
    with tempfile.TemporaryDirectory() as folder:
        sides = [Side('left', folder), Side('right', folder)]
        database = sqlite3.connect(f'file:{folder}/chat.db?mode=ro', uri=True, timeout=60)

        def answers():
            return database.execute("SELECT author, text FROM message WHERE text LIKE 'answer %'").fetchall()

        def await_answers(is_enough):
            while not is_enough(answers()) and all(game.poll() is None for game in games):
                time.sleep(.01)

        shares = [PLAYERS - PLAYERS // 2, PLAYERS // 2]
        games = [side.play(PLAY, share) for side, share in zip(sides, shares)]
        try:
            await_answers(lambda found: len({author for author, _ in found}) == PLAYERS)
            for kill in range(1, KILLS + 1):
                await_answers(lambda found: len(found) >= PLAYERS * ROUNDS * kill // (KILLS + 1))
                sides[kill % 2].kill()
            await_answers(lambda found: len(found) >= PLAYERS * ROUNDS)
            host = sides[0].play(HOST, 1)
            is_right = all([finish(game) for game in [host, *games]])
        finally:
            for game in games:
                game.kill()
        found = answers()
        wanted = {(f'{side.name} {user}', f'answer {answer} of {side.name} {user}')
                  for side, share in zip(sides, shares) for user in range(1, share + 1) for answer in range(1, ROUNDS + 1)}
        assert set(found) == wanted, f'lost: {sorted(wanted - set(found))[:5]}, others: {sorted(set(found) - wanted)[:5]}'
        assert len(found) == len(wanted), f'{len(found) - len(wanted)} answers are stored twice'
        for side in sides:
            side.end()
        database.close()
    if not is_right:
        sys.exit(1)


main()
