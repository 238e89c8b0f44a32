setInterval(() => { tick(); countDown(); }, 1000);
route();
connect();
