const secret = { value: null, rejected: false };

class Refused extends Error {}
class Lost extends Error {}

// What befalls a connection is told elsewhere; all other errors are the page's own.
function bear(error) {
  if (!(error instanceof Lost || error instanceof Refused)) throw error;
}

// One websocket: messages in order, each with one answer in order.
class Wire {
  constructor({ opened, closed, pushed = () => {} }) {
    this.pending = [];
    this.pushed = pushed;
    this.closed = closed;
    this.over = false;
    this.asked = new Map(); // how often which verb
    this.heard = performance.now(); // when silence began
    this.socket = new WebSocket(location.href.replace(/^http/, "ws").replace(/#.*/, ""));
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = async () => {
      this.heard = performance.now();
      this.watch();
      try {
        if (secret.value !== null) {
          const answer = await this.ask("auth " + secret.value);
          if (!answer.startsWith("1 ")) throw new Refused();
        }
        await opened(this);
      } catch (error) {
        this.end(error);
      }
    };
    this.socket.onmessage = ({ data }) => this.hear(data);
    this.socket.onclose = () => this.end(new Lost());
    this.watch();
  }

  ask(line, patient = false) {
    if (this.over) return Promise.reject(new Lost());
    if (typeof line === "string") {
      const verb = line.split(" ", 1)[0];
      this.asked.set(verb, (this.asked.get(verb) ?? 0) + 1);
    }
    const answer = new Promise((resolve, reject) => this.pending.push({ resolve, reject, patient, first: verbOf(line) }));
    if (!patient) this.watch();
    this.socket.send(line);
    return answer;
  }

  hear(data) {
    this.heard = performance.now();
    if (data.startsWith("! ")) return this.pushed(data);
    // A cancel overtakes what was sent behind the wait that it ends.
    let index = 0;
    if (/^(1 Cancelled|0 Nothing To Cancel)\n$/.test(data)) index = Math.max(0, this.pending.findIndex((one) => one.first === "cancel"));
    const [one] = this.pending.splice(index, 1);
    this.watch();
    if (data.startsWith("0 Not Authorised")) this.end(new Refused(), one);
    else one?.resolve(data);
  }

  watch() {
    clearTimeout(this.timer);
    const idle = this.socket.readyState === WebSocket.OPEN && !this.pending.some((one) => !one.patient);
    if (!this.over && !idle) this.timer = setTimeout(() => this.end(new Lost()), SILENCE);
  }

  end(error, current) {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.timer);
    this.socket.close();
    for (const one of [current, ...this.pending]) one?.reject(error);
    this.closed(error);
  }
}

const verbOf = (line) => typeof line === "string" ? line.trim().split(" ", 1)[0] : "";
