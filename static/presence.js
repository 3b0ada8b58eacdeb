// What a page knows of itself that matters to its connection: seen or hidden, online or not, left and come back to.

/**
 * Tells a connection, until the function that is returned is called. `page` is the window.
 *
 * A page that is left gives its socket up: with an open one the browser could not keep it for Back.
 */
export function followPage(connection, page) {
  const { document } = page;
  const wake = () => connection.wake();
  const look = () => {
    connection.setHidden(document.hidden);
    if (!document.hidden) connection.wake();
  };
  const leave = () => connection.stop();
  const comeBack = (event) => {
    if (event.persisted) connection.start();
  };
  const heard = [
    [page, "online", wake],
    [page, "offline", wake], // asks for a sign of life: what is cut off is known in seconds
    [document, "visibilitychange", look],
    [page, "pagehide", leave],
    [page, "pageshow", comeBack],
  ];
  for (const [target, name, listener] of heard) target.addEventListener(name, listener);
  connection.setHidden(document.hidden);
  return () => {
    for (const [target, name, listener] of heard) target.removeEventListener(name, listener);
  };
}
