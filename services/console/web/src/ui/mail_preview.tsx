// SPDX-License-Identifier: Apache-2.0
//
// A mail as its reader gets it.  Its HTML is shown in a frame that has an origin of its own and a policy of its own
// (services/console/preview_frame.c): nothing in it runs, loads, or leads anywhere.
import { useEffect, useRef, useState } from 'react';

const LEAST = 160;
const MOST = 1400;

export function HtmlFrame({ html, title }: { html: string; title: string }) {
  const frame = useRef<HTMLIFrameElement>(null);
  const [isReady, setReady] = useState(false);
  const [height, setHeight] = useState(LEAST);
  useEffect(() => {
    const take = (e: MessageEvent<unknown>) => {
      if (!frame.current || e.source !== frame.current.contentWindow) return;
      const said = e.data as { ready?: unknown; height?: unknown } | null;
      if (said?.ready === true) setReady(true);
      if (typeof said?.height === 'number') setHeight(Math.min(Math.max(said.height, LEAST), MOST));
    };
    window.addEventListener('message', take);
    return () => window.removeEventListener('message', take);
  }, []);
  // The frame's origin is nobody's: it cannot be named.
  useEffect(() => { if (isReady) frame.current?.contentWindow?.postMessage(html, '*'); }, [isReady, html]);
  return <iframe ref={frame} className="mail-frame" src="/preview-frame" sandbox="allow-scripts" title={title} height={height} />;
}
