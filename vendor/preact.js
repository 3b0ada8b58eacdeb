// What the page takes of preact, its hooks, signals and htm: one bundle, for they share one copy of preact.

import htm from "htm";
import { h } from "preact";

export { effect, signal } from "@preact/signals";
export { Component, Fragment, render } from "preact";
export { useEffect, useErrorBoundary, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

export const html = htm.bind(h);
