// The one place that names the bundle.

export { Component, Fragment, html, render, signal, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact-11.2.0.js";
