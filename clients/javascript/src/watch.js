/** Looks whether a daemon that was asked for signs of life still gives them. */

import { seconds } from './words.js';

/** The shortest interval, in seconds. */
const SHORTEST = 0.001;
/** The longest time, in milliseconds, that setInterval knows. */
const LONGEST_STEP = 2 ** 31 - 1;

export class Watch {
  #step; // milliseconds
  #steps; // without a sign, and then the daemon is lost
  #quiet = 0;
  #timer;

  /**
   * @param {number} interval seconds between two signs of life, which the daemon rounds up to whole ones; after 2.5 times as
   *     long without a word, it is lost
   */
  constructor(interval) {
    this.seconds = seconds('alive', interval);
    if (interval < SHORTEST || interval === Infinity) {
      throw new RangeError(`alive: ${interval}, want ${SHORTEST} or more seconds`);
    }
    const whole = Math.ceil(interval);
    // It counts its own steps instead of looking at a clock: a machine that has slept takes one when it wakes up, and not
    // all that it missed.
    this.#step = Math.min(250 * whole, LONGEST_STEP);
    this.#steps = Math.ceil((2500 * whole) / this.#step) + 1;
  }

  /** @param {() => void} lost called once, when no sign has come for too long */
  start(lost) {
    this.#timer = setInterval(() => {
      this.#quiet += 1;
      if (this.#quiet >= this.#steps) {
        this.stop();
        lost();
      }
    }, this.#step);
    this.#timer.unref?.(); // the connection keeps the process going, or nothing
  }

  heard() {
    this.#quiet = 0;
  }

  stop() {
    clearInterval(this.#timer);
  }
}
