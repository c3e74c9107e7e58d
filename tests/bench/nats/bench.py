#!/usr/bin/env python3
"""`./dev bench nats`: what `daystream publish` puts on JetStream a second, beside a bare publisher of
messages of the same size on the same servers, and what comes back.

  bench.py --build BUILD [--megabytes N] [--rounds N]

Each figure is the best of the rounds, which take turns: what else the machine does is not measured.
"""
import argparse
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

MESSAGE_BYTES = 512 * 1024
TARGET = 0.7


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


class Broker:
    """Servers on this machine, one or a cluster."""

    def __init__(self, folder, servers):
        self.ports = [free_port() for _ in range(servers)]
        routes = [free_port() for _ in range(servers)]
        self.processes = []
        for number, (port, route) in enumerate(zip(self.ports, routes)):
            store = folder / f'store{servers}{number}'
            config = f'listen: 127.0.0.1:{port}\nserver_name: n{number}\njetstream {{ store_dir: "{store}" }}\n'
            if servers > 1:
                others = ', '.join(f'nats://127.0.0.1:{other}' for other in routes)
                config += f'cluster {{ name: c, listen: 127.0.0.1:{route}, routes: [ {others} ] }}\n'
            path = folder / f'{servers}{number}.conf'
            path.write_text(config, encoding='utf-8')
            self.processes.append(subprocess.Popen(['nats-server', '-c', path],
                                                   stderr=subprocess.DEVNULL))

    def servers(self):
        return ','.join(f'nats://127.0.0.1:{port}' for port in self.ports)

    def address(self, stream):
        return 'nats://' + self.servers().replace('nats://', '') + '/' + stream

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()


def seconds_of(command):
    begin = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begin


def until_it_works(command):
    """A cluster that has just started has no leader yet."""
    for _ in range(100):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout
        time.sleep(0.2)
    raise SystemExit(done.stderr)


def measure(options, folder, servers):
    build = options.build
    daystream = build / 'daystream/command/daystream'
    floor = build / 'tests/bench/nats/nats_floor'
    stream = folder / 'stream'
    size = sum(path.stat().st_size for path in stream.glob('*.tsv'))
    broker = Broker(folder, servers)
    bare, published, pulled = [], [], []
    try:
        until_it_works([floor, broker.servers(), 'warm', str(servers), '1', str(MESSAGE_BYTES)])
        for turn in range(options.rounds):
            bare.append(float(until_it_works(
                [floor, broker.servers(), f'bare{turn}', str(servers), str(options.megabytes),
                 str(MESSAGE_BYTES)])))
            address = broker.address(f'day{turn}')
            published.append(size / 1e6 / seconds_of(
                [daystream, 'publish', stream, address, '--once', '--replicas', str(servers)]))
            pulled.append(size / 1e6 / seconds_of([daystream, 'cat', address]))
    finally:
        broker.end()
    ratio = max(published) / max(bare)
    print(f'{servers} server{"s" if servers > 1 else " "}  bare {max(bare):6.1f} MB/s  '
          f'publish {max(published):6.1f} MB/s  {ratio:4.2f} of it (target {TARGET})  '
          f'cat {max(pulled):6.1f} MB/s', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', type=pathlib.Path, required=True)
    parser.add_argument('--megabytes', type=int, default=512)
    parser.add_argument('--rounds', type=int, default=3)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix='deltaflood-nats-'))
    try:
        subprocess.run([options.build / 'tests/bench/stream/stream_bench', 'make', folder / 'stream',
                        '1', str(options.megabytes)], check=True)
        for servers in (1, 3):
            measure(options, folder, servers)
    finally:
        shutil.rmtree(folder)


if __name__ == '__main__':
    main()
