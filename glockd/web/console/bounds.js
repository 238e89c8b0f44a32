const PAGE = 50;            // entries on a page
const PACE = 1000;          // milliseconds between two looks at the counters, at least
const SHARE = 10;           // nor does the page wait for answers more than 1 part in so many of the time
const WINDOW = 300e3;       // what the charts show, in milliseconds
const SILENCE = 15e3;       // without an answer for so long, the connection is given up
const LONGEST_PAUSE = 30e3; // between two attempts to connect
const SHOWN = 100;          // holders or waiters of one lock
const HEAVY = 50e3;         // an explain of more characters than this is not asked for again by itself
