setInterval(() => { tick(); countDown(); }, 1000);
setInterval(doubt, 250);
route();
connect();
