// A WebSocket, timers and chance that a test holds in its hand.

export class FakeTime {
  constructor() {
    this.now = 0;
    this.timers = new Map();
    this.last = 0;
  }

  setTimeout(call, ms) {
    this.timers.set(++this.last, { at: this.now + ms, call });
    return this.last;
  }

  clearTimeout(id) {
    this.timers.delete(id);
  }

  /** Lets time pass and calls what falls due, in order. */
  pass(ms) {
    const end = this.now + ms;
    for (;;) {
      const due = [...this.timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.now = due[1].at;
      due[1].call();
    }
    this.now = end;
  }
}

export function fakeWorld(random = () => 1) {
  const time = new FakeTime();
  const sockets = [];
  class FakeSocket {
    constructor(url, protocols) {
      Object.assign(this, { url, protocols, sent: [], closedWith: null });
      sockets.push(this);
    }

    send(text) {
      this.sent.push(...JSON.parse(text));
    }

    close(code) {
      this.closedWith = code;
    }

    // what the other side does
    open() {
      this.onopen?.();
    }

    say(...frames) {
      this.onmessage?.({ data: JSON.stringify(frames) });
    }

    drop(code = 1006, reason = "") {
      this.onclose?.({ code, reason });
    }
  }
  const environment = {
    WebSocket: FakeSocket,
    setTimeout: (call, ms) => time.setTimeout(call, ms),
    clearTimeout: (id) => time.clearTimeout(id),
    random: () => random(),
    monotonic: () => time.now,
    wall: () => 1_790_000_000_000 + time.now,
  };
  return { time, sockets, environment, get socket() { return sockets.at(-1); } };
}
